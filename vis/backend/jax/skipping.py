"""Running a forward pass without some of its steps, such as the softmax at its end.

The forward pass is traced unchanged and run; what comes after a skipped step is then run again on the input
of that step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jax
import keras
from jax.extend.core import Literal, Var

from vis.backend.contract import Find
from vis.backend.jax.leaving import collecting, leave
from vis.backend.jax.noted import mark_output
from vis.backend.jax.program import Action, Replacement, evaluated, needed
from vis.backend.jax.reading import index_of
from vis.backend.jax.tracing import Trace, traced_inside
from vis.backend.jax.words import Words, words_of
from vis.graph.squashing import Skip


def skipping(forward: Callable[..., Any], find: Find) -> Callable[..., Any]:
    """Return a function that runs `forward` without some of its steps.

    Args:
        forward: takes and returns structures of tensors.
        find: returns the steps to skip for each output, in flat order, given the graph of a call.
    """

    def call(*args: Any, **kwargs: Any) -> Any:
        flat = keras.tree.flatten((args, kwargs))
        places = [place for place, item in enumerate(flat) if keras.ops.is_tensor(item)]
        tensors = [flat[place] for place in places]
        trace = _traced(forward, (args, kwargs), places)
        outputs, left = trace.returned
        words = words_of(trace, trace.program.outputs[: len(keras.tree.flatten(outputs))])
        made, others = _made(words, find(words.graph), tensors)
        for structure, use in left:
            leave(jax.tree.unflatten(structure, [next(others) for _ in range(structure.num_leaves)]), use)
        return keras.tree.pack_sequence_as(outputs, made)

    return call


def _traced(forward: Callable[..., Any], given: Any, places: Sequence[int]) -> Trace:
    """Trace a call whose arguments are tensors at some positions, in flat order."""
    flat = keras.tree.flatten(given)

    def function(tensors: list[Any]) -> tuple[list[Any], Any]:
        now = list(flat)
        for place, tensor in zip(places, tensors, strict=True):
            now[place] = tensor
        args, kwargs = keras.tree.pack_sequence_as(given, now)
        with collecting() as leaving:
            outputs = forward(*args, **kwargs)
        arrays, left = keras.tree.flatten(outputs), []
        for value, use in leaving:
            leaves, structure = jax.tree.flatten(value)
            arrays += leaves
            left.append((structure, use))
        # Not the tensors themselves: they belong to the trace.
        return arrays, (keras.tree.map_structure(lambda _: 0, outputs), left)

    types = [jax.ShapeDtypeStruct(flat[place].shape, flat[place].dtype) for place in places]
    return traced_inside(function, types)


def _made(
    words: Words, found: Sequence[Sequence[Skip]], tensors: Sequence[Any]
) -> tuple[list[Any], Iterator[Any]]:
    """Return the outputs of a trace without some of the steps that lead to each, and what else it returns."""
    program = words.trace.program
    own = [[_replacement(words, skip) for skip in skips] for skips in found]
    actions = program.actions([each for replacements in own for each in replacements])
    values = dict(zip(program.inputs, tensors, strict=True)) | program.constants
    known = evaluated([action for action in actions if action.replacement is None], values)
    for (number, place), (atom, _) in program.marks.items():
        if atom in known:
            mark_output(known[atom], number, place)
    made = []
    for output, replacements in zip(program.outputs, own, strict=False):
        kept = [each for each in actions if each.replacement is None or each.replacement in replacements]
        made.append(
            output.val if isinstance(output, Literal) else _again(needed(kept, [output]), known, output)
        )
    others = (atom.val if isinstance(atom, Literal) else known[atom] for atom in program.outputs[len(made) :])
    return made, others


def _replacement(words: Words, skip: Skip) -> Replacement:
    """Return what to run in place of a step that is skipped."""
    before, end = words.variables[skip.before], words.variables[skip.end]
    index = index_of(words.graph.maker(skip.end))

    def passed(x: Any) -> Any:
        return (x if skip.sign > 0 else -x).astype(end.aval.dtype)

    return Replacement(frozenset([index]), before, end, (), passed)


def _again(actions: Sequence[Action], known: Mapping[Var, Any], output: Var) -> Any:
    """Return a value, with the actions run again that replacements change."""
    now = dict(known)
    changed: set[Var] = set()
    for action in actions:
        if action.replacement is not None or not changed.isdisjoint(action.operands):
            now.update(zip(action.results, action.run(*(now[var] for var in action.operands)), strict=True))
            changed.update(action.results)
    return now[output]
