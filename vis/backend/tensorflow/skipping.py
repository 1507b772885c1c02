"""Running a forward pass without some of its steps, such as the softmax at its end.

The forward pass is traced unchanged; the operations after a skipped step are then built again on the input of
that step. TensorFlow removes from the compiled function what is no longer needed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

from vis.backend.contract import Find
from vis.backend.tensorflow.reading import read
from vis.graph import Graph
from vis.graph.squashing import Skip


def skipping(forward: Callable[..., Any], find: Find) -> Callable[..., Any]:
    """Return a function that runs `forward` without some of its steps.

    Args:
        forward: takes and returns structures of tensors.
        find: returns the steps to skip for each output, in flat order, given the graph of a call.
    """

    def run(*args: Any, **kwargs: Any) -> Any:
        outputs = forward(*args, **kwargs)
        graph = tf.compat.v1.get_default_graph()
        given = [item for item in keras.tree.flatten((args, kwargs)) if getattr(item, "graph", None) is graph]
        flat = keras.tree.flatten(outputs)
        words = read(graph, given, flat)
        found = zip(flat, words.outputs, find(words), strict=True)
        made = [_made(graph, words, tensor, value.name, skips) for tensor, value, skips in found]
        return keras.tree.pack_sequence_as(outputs, made)

    compiled = tf.function(run, autograph=False)

    def call(*args: Any, **kwargs: Any) -> Any:
        return (compiled if tf.executing_eagerly() else run)(*args, **kwargs)

    return call


def _made(graph: Any, words: Graph, tensor: Any, name: str, skips: Sequence[Skip]) -> Any:
    """Return a tensor computed without some of the steps that lead to it."""
    if not skips:
        return tensor
    steps = {skip.end.name: skip for skip in skips}
    known: dict[str, Any] = {}

    def now(name: str) -> Any:
        return known[name] if name in known else graph.get_tensor_by_name(name)

    value = next(value for value in words.outputs if value.name == name)
    for operation in words.between([skip.before for skip in skips], [value]):
        names = [output.name for output in operation.outputs]
        for step in (steps[name] for name in names if name in steps):
            before = now(step.before.name)
            known[step.end.name] = before if step.sign > 0 else -before
        if not steps.keys() & set(names) and any(operand.name in known for operand in operation.operands):
            known.update(zip(names, _again(graph, operation.name, now), strict=True))
    return tf.identity(known[name])


def _again(graph: Any, name: str, now: Callable[[str], Any]) -> Sequence[Any]:
    """Return the outputs of an operation, built again on its new operands."""
    op = graph.get_operation_by_name(name)
    given = {f"operand_{place}:0": now(tensor.name) for place, tensor in enumerate(op.inputs)}
    node = tf.compat.v1.NodeDef()
    node.CopyFrom(op.node_def)
    node.attr.pop("_class", None)  # where it must run: beside operations that do not exist here
    del node.input[:]
    node.input.extend(name.removesuffix(":0") for name in given)
    definition = tf.compat.v1.GraphDef(node=[node])
    wanted = [f"{node.name}:{place}" for place in range(len(op.outputs))]
    made: Sequence[Any] = tf.graph_util.import_graph_def(definition, given, wanted, name="without")
    return made
