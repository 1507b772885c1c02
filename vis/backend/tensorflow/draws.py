"""Random numbers in a traced graph: the same draw at every call.

The random operations that the explained value depends on are found in the graph. A stateless one gets a
constant seed; a stateful one is replaced by its stateless counterpart. The numbers that a sample gets would
still depend on its row in the batch, so the caller must run one sample at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from vis.backend.tensorflow.reading import functions_of, upstream

_random = tf.random
# What draws the same kind of numbers from a seed: of an operation's operands, the seed, and the output.
_WITHOUT_STATE: dict[str, Callable[[Any, Any, Any], Any]] = {
    "RandomStandardNormal": lambda of, seed, y: _random.stateless_normal(of[0], seed, dtype=y.dtype),
    "TruncatedNormal": lambda of, seed, y: _random.stateless_truncated_normal(of[0], seed, dtype=y.dtype),
    "RandomUniform": lambda of, seed, y: _random.stateless_uniform(of[0], seed, dtype=y.dtype),
    "RandomUniformInt": lambda of, seed, y: _random.stateless_uniform(of[0], seed, *of[1:], y.dtype),
    "RandomGamma": lambda of, seed, y: _random.stateless_gamma(tf.shape(y), seed, of[1], dtype=y.dtype),
    "RandomPoissonV2": lambda of, seed, y: _random.stateless_poisson(tf.shape(y), seed, of[1], y.dtype),
    "Multinomial": lambda of, seed, y: _random.stateless_categorical(*of, seed, y.dtype),
    "RandomShuffle": lambda of, seed, y: _random.experimental.stateless_shuffle(of[0], seed),
}
_SEEDS = ("seed", "key", "counter")


def fix_draws(outputs: Sequence[Any]) -> tuple[str, ...]:
    """Make the random operations that tensors of the current graph depend on draw the same at every call.

    Returns:
        Their names, with a note for those that still draw new numbers: those inside separate functions, such
        as the body of a loop, and those of rare kinds.
    """
    graph = tf.compat.v1.get_default_graph()
    library: dict[str, Any] = {}
    found: list[str] = []
    for op in upstream(outputs, graph, past="Shape"):
        if not _draws(op.op_def):
            if names := functions_of(op.node_def):
                library = library or {f.signature.name: f for f in graph.as_graph_def().library.function}
                found += [f"{name} (new numbers at each call)" for name in _inside(names, library, graph)]
            continue
        names = [argument.name for argument in op.op_def.input_arg]
        seeds = {index: name for index, name in enumerate(names) if name in _SEEDS}
        if op.type in _WITHOUT_STATE:
            _replace(op, _WITHOUT_STATE[op.type](op.inputs, [0, len(found)], op.outputs[0]))
        elif not seeds or op.op_def.is_stateful:
            found.append(f"{op.name} (new numbers at each call)")
            continue
        elif all(_is_constant(op.inputs[index], graph) for index in seeds):
            if _is_constant(op.inputs[0], graph):
                continue  # always the same numbers, for any samples
        else:
            _reseed(op, seeds, [0, len(found)])
        found.append(op.name)
    return tuple(found)


def _draws(definition: Any) -> bool:
    """Tell from the definition of an operation whether it draws: it takes a seed, or keeps one."""
    taken = {argument.name for argument in definition.input_arg}
    kept = {attribute.name for attribute in definition.attr}
    draws = "seed" in taken or {"key", "counter"} <= taken or {"seed", "seed2"} <= kept
    # An operation that only turns a seed into a key draws nothing.
    return draws and {"key", "counter"}.isdisjoint({argument.name for argument in definition.output_arg})


def _replace(op: Any, tensor: Any) -> None:
    tensor.set_shape(op.outputs[0].shape)
    for user in op.outputs[0].consumers():
        for index, operand in enumerate(user.inputs):
            if operand is op.outputs[0] and user.type != "Shape":  # the same for both
                user._update_input(index, tensor)  # TensorFlow has no public name for it


def _reseed(op: Any, seeds: dict[int, str], seed: list[int]) -> None:
    key, counter = tf.raw_ops.StatelessRandomGetKeyCounter(seed=tf.constant(seed, tf.int64))
    for index, name in seeds.items():
        fixed = {"key": key, "counter": counter, "seed": tf.constant(seed, op.inputs[index].dtype)}
        op._update_input(index, fixed[name])


def _is_constant(tensor: Any, graph: Any) -> bool:
    operations = upstream([tensor], graph)
    return all(op.inputs or op.type == "Const" for op in operations) and not any(
        op.op_def.is_stateful for op in operations
    )


def _inside(names: list[str], library: dict[str, Any], graph: Any) -> list[str]:
    """Return the random operations in functions and in the functions that these call."""
    found, seen, pending = [], set(), list(names)
    while pending:
        name = pending.pop()
        if name in library and name not in seen:
            seen.add(name)
            for node in library[name].node_def:
                pending += functions_of(node)
                if node.op not in library and _draws(graph.op_def_for_type(node.op)):
                    found.append(f"{node.name} inside {name}")
    return found
