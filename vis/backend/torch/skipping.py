"""Running a forward pass without some of its steps, such as the softmax at its end.

The forward pass runs unchanged; the operations after a skipped step then run again on the input of that step.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import torch

from vis.backend.contract import Find
from vis.backend.torch.reading import read
from vis.backend.torch.recording import CUSTOM, Recording, Slot, Step
from vis.errors import ModelError
from vis.graph import Graph, Value
from vis.graph.squashing import Skip


def skipping(forward: Callable[..., Any], find: Find) -> Callable[..., Any]:
    """Return a function that runs `forward` without some of its steps.

    Args:
        forward: takes and returns structures of tensors.
        find: returns the steps to skip for each output, in flat order, given the graph of a call.
    """

    def call(*args: Any, **kwargs: Any) -> Any:
        given = [each for each in keras.tree.flatten((args, kwargs)) if isinstance(each, torch.Tensor)]
        seen = Recording(given)
        with seen:
            outputs = forward(*args, **kwargs)
        flat = keras.tree.flatten(outputs)
        words = read(seen, seen.inputs, list(map(seen.slot, flat)))
        made = [
            _made(seen, words, tensor, slot, skips)
            for tensor, slot, skips in zip(flat, map(seen.slot, flat), find(words), strict=True)
        ]
        return keras.tree.pack_sequence_as(outputs, made)

    return call


def _made(seen: Recording, words: Graph, tensor: Any, slot: Slot, skips: Sequence[Skip]) -> Any:
    """Return a tensor computed without some of the steps that lead to it."""
    if not skips:
        return tensor
    steps = {_slot(seen, skip.end).number: skip for skip in skips}
    known: dict[int, Any] = {}

    def now(slot: Slot) -> Any:
        if slot.number in known:
            return known[slot.number]
        held = seen.current(slot)
        if held is None:
            raise ModelError(
                "The last step cannot be left out, because the model writes another value into a tensor that "
                "is needed after it."
            )
        return held

    value = next(value for value in words.outputs if value.name == str(slot.number))
    between = words.between([skip.before for skip in skips], [value])
    for step in dict.fromkeys(seen.step(operation.name) for operation in between):
        numbers = [output.number for output in step.outputs]
        for number in numbers:
            if number in steps:
                before = now(_slot(seen, steps[number].before))
                known[number] = before if steps[number].sign > 0 else -before
        if not steps.keys() & set(numbers) and any(operand.number in known for operand in step.operands):
            known.update(zip(numbers, _again(step, known, now), strict=True))
    return known[slot.number]


def _slot(seen: Recording, value: Value) -> Slot:
    slot = seen.named(value.name)
    if slot is None:
        raise ModelError("The last step cannot be left out: it is a part of one operation of PyTorch.")
    return slot


def _again(step: Step, known: Mapping[int, Any], now: Callable[[Slot], Any]) -> list[Any]:
    """Return the outputs of a step that runs again on its new operands."""

    def filled(value: Any) -> Any:
        if isinstance(value, Slot):
            return now(value).clone() if step.writes else now(value)
        if isinstance(value, list | tuple):
            return [filled(item) for item in value]
        return value

    if step.target == CUSTOM:
        return [known[step.operands[0].number]]
    made = step.target(*filled(step.args), **{key: filled(value) for key, value in step.kwargs.items()})
    return list(made) if isinstance(made, list | tuple) else [made]
