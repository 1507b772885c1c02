"""A recording of what PyTorch ran, in the terms of `vis.graph`.

An operation is named by the path of the layer that ran it and the index of its step. A step that does several
things in the words of `vis.graph` becomes several operations; a dot and a number follow in the names of the
others. A value is named by the number of its slot; one inside a step, which is not a tensor, has a dot in its
name. Shapes are those of the run.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from vis.backend.torch.kinds import tell
from vis.backend.torch.recording import CUSTOM, Recording, Slot, Step
from vis.backend.torch.telling import Telling, dtype_of, numbers
from vis.graph import Graph, LayerCall, Operation, Value


def read(recording: Recording, inputs: Sequence[Slot], outputs: Sequence[Slot]) -> Graph:
    """Return what a recording computes.

    Args:
        recording: the recording.
        inputs: the slots of its input tensors.
        outputs: the slots of its output tensors.
    """
    return _Reading(recording, inputs, outputs).graph


class _Reading:
    def __init__(self, recording: Recording, inputs: Sequence[Slot], outputs: Sequence[Slot]) -> None:
        self._operations: list[Operation] = []
        self._values: dict[int, Value] = {}
        self._variables = recording.variables
        self._written = _last_writes(recording.steps)
        for slot in inputs:
            self._begin(slot, "input")
        noted = [slot for note in recording.notes for slot in note.outputs]
        idle, self._used = _usage(recording.steps, [*outputs, *noted])
        names = _names(recording)
        starts = []
        for index, step in enumerate(recording.steps):
            starts.append(len(self._operations))
            if index not in idle:
                self._tell(names[index], step)
        starts.append(len(self._operations))
        self.graph = Graph(
            self._operations,
            [self._value(slot) for slot in inputs],
            [self._value(slot) for slot in outputs],
            self._calls(recording, starts),
        )

    def _value(self, slot: Slot) -> Value:
        if slot.number not in self._values:
            # What no step has made is a variable, or comes from numbers outside.
            self._begin(slot, "variable" if self._is_variable(slot) else "constant")
        return self._values[slot.number]

    def _begin(self, slot: Slot, kind: str) -> None:
        known = numbers(slot) if kind == "constant" and self._is_last(slot) else None
        value = Value(str(slot.number), slot.shape, dtype_of(slot), known)
        named = {"name": self._variables.get(slot.number, "")} if kind == "variable" else {}
        self._values[slot.number] = value
        self._operations.append(Operation(f"{kind}_{slot.number}", kind, (), (value,), named))

    def _is_variable(self, slot: Slot) -> bool:
        return slot.number in self._variables or isinstance(slot.held, torch.nn.Parameter)

    def _is_last(self, slot: Slot) -> bool:
        """Tell whether the tensor of a slot still holds its value."""
        return slot.number >= self._written.get(_memory(slot), -1)

    def _tell(self, name: str, step: Step) -> None:
        if step.target == CUSTOM:
            self._tell_custom(name, step)
        elif step.outputs:
            telling = Telling(name, step, self._value, self._is_last)
            tell(telling, self._used)
            self._operations += telling.operations
            self._values.update(telling.made)

    def _tell_custom(self, name: str, step: Step) -> None:
        """Tell a derivative of the user's: its first operand is the result, the others get the gradient."""
        operands = tuple(self._value(slot) for slot in step.operands)
        (slot,) = step.outputs
        made = Value(str(slot.number), slot.shape, dtype_of(slot))
        attributes = {"differentiated": tuple(range(1, len(operands)))}
        self._values[slot.number] = made
        self._operations.append(Operation(name, "identity", operands, (made,), attributes))

    def _calls(self, recording: Recording, starts: Sequence[int]) -> list[LayerCall]:
        calls = []
        counts: dict[str, int] = {}
        for note in sorted(recording.notes, key=lambda note: note.first):
            index = counts.get(note.path, 0)
            counts[note.path] = index + 1
            made = tuple(self._value(slot) for slot in note.outputs)
            bounds = starts[note.first], starts[note.stop]
            calls.append(
                ((note.stop, -note.first), LayerCall(note.path, index, note.is_layer, *bounds, made))
            )
        # In the order in which they ended; the inner ones first if they ended together.
        return [call for _, call in sorted(calls, key=lambda pair: pair[0])]


def _names(recording: Recording) -> list[str]:
    """Return the names of the operations that tell the steps."""
    names = [str(index) for index in range(len(recording.steps))]
    # Inner calls end earlier.
    for note in reversed(recording.notes):
        if note.path:
            for index in range(note.first, note.stop):
                names[index] = f"{note.path}/{index}"
    return names


def _usage(steps: Sequence[Step], outputs: Sequence[Slot]) -> tuple[set[int], set[int]]:
    """Return the steps that are not the model's, and the slots that the others use.

    PyTorch keeps results for derivatives, and what shares memory with a tensor that is written into is new.
    """
    targets = (torch.ops.aten.detach.default, torch.ops.aten.as_strided_scatter.default)
    used = {slot.number for slot in outputs}
    idle = set()
    for index, step in reversed(list(enumerate(steps))):
        if step.target in targets and used.isdisjoint(slot.number for slot in step.outputs):
            idle.add(index)
        else:
            used.update(slot.number for slot in step.operands)
    return idle, used


def _last_writes(steps: Sequence[Step]) -> dict[int, int]:
    """Return the number of the last slot that was written into each memory."""
    return {
        _memory(slot): slot.number
        for step in steps
        if step.target != CUSTOM and step.target._schema.is_mutable
        for slot in step.outputs
    }


def _memory(slot: Slot) -> int:
    # Storages have no public identity; addresses are 0 where nothing is stored.
    return int(slot.held.untyped_storage()._cdata)
