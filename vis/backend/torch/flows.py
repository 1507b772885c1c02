"""Relevance: what a forward pass computes is recorded at each run, and read once for each way it can go."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any

import torch

from vis.backend.contract import Flow, FlowPlan
from vis.backend.torch.reading import read
from vis.backend.torch.recording import Recording, Slot
from vis.backend.torch.replay import Replay
from vis.backend.torch.running import record
from vis.graph import Graph

# For how many computations, of inputs of other sizes as a rule, plans are kept.
_KEPT = 16
# Constants with more numbers count by their shape.
_LARGEST = 256


class Flows:
    """How relevance flows through a forward pass.

    Args:
        flow: returns what flows; it is not kept alive here.
    """

    def __init__(self, flow: Callable[[], Flow | None]) -> None:
        self._flow = flow
        self._known: dict[Hashable, tuple[Graph, FlowPlan]] = {}

    def run(
        self,
        forward: Callable[[list[Any]], Any],
        tensors: Sequence[torch.Tensor],
        parts: Callable[[Any], tuple[Sequence[Any], Sequence[Any], Sequence[Any], Sequence[Any]]],
    ) -> tuple[Any, FlowPlan, Replay]:
        """Run a forward pass; return what it returns, how relevance flows through it, and the run.

        Args:
            forward: takes the tensors.
            tensors: its inputs.
            parts: returns, of what the forward pass returns, what relevance is wanted of, where it starts,
                the loss that is computed of that, or nothing, and what else the flow reads.
        """
        # The calls of layers tell the paths of sites, which are noted when a computation is first seen.
        if self._known:
            seen, made, slots, key = self._recorded(forward, tensors, parts, notes=False)
            if key in self._known:
                return made, self._known[key][1], Replay(seen, self._known[key][0])
        seen, made, slots, key = self._recorded(forward, tensors, parts, notes=True)
        if key not in self._known:
            graph = read(seen, slots[0], [slot for group in slots[1:] for slot in group])
            outputs = iter(graph.outputs)
            ends, loss, references = ([next(outputs) for _ in group] for group in slots[1:])
            flow = self._flow()
            assert flow is not None  # noqa: S101 - what is compiled lasts no longer than it
            plan = flow.plan(graph, graph.inputs, ends, loss[0] if loss else None, references)
            self._known[key] = graph, plan
            if len(self._known) > _KEPT:
                self._known.pop(next(iter(self._known)))
        graph, plan = self._known[key]
        return made, plan, Replay(seen, graph)

    def _recorded(
        self,
        forward: Callable[[list[Any]], Any],
        tensors: Sequence[torch.Tensor],
        parts: Callable[[Any], tuple[Sequence[Any], Sequence[Any], Sequence[Any], Sequence[Any]]],
        notes: bool,
    ) -> tuple[Recording, Any, list[list[Slot]], Hashable]:
        """Record a run; return also the slots of the parts of its result, and what identifies it."""
        with torch.no_grad():
            seen, made = record(forward, tensors, keeps=True, notes=notes)
        slots = [[seen.slot(each) for each in group] for group in parts(made)]
        return seen, made, slots, _signature(seen, slots)


def _signature(seen: Recording, ends: Sequence[Sequence[Slot]]) -> Hashable:
    """Return what two runs have in common that do the same on tensors of the same sizes."""
    made: set[int] = set()
    steps: list[Hashable] = []
    for step in seen.steps:
        fresh = [slot for slot in step.operands if slot.number not in made]
        steps.append((step.target, _told(step.args), _told(step.kwargs), *map(_begun, fresh)))
        steps += [slot.shape for slot in step.outputs]
        made.update(slot.number for slot in (*fresh, *step.outputs))
    return (*steps, *(tuple(slot.number for slot in group) for group in ends))


def _begun(slot: Slot) -> Hashable:
    """Return how a value is described that no step has made."""
    small = slot.held.numel() <= _LARGEST and not slot.held.is_floating_point()
    return slot.shape, str(slot.held.dtype), tuple(slot.tensor.reshape(-1).tolist()) if small else None


def _told(value: Any) -> Hashable:
    if isinstance(value, Slot):
        return ("slot", value.number)
    if isinstance(value, dict):
        return tuple((key, _told(item)) for key, item in value.items())
    if isinstance(value, list | tuple):
        return tuple(map(_told, value))
    return value if isinstance(value, Hashable) else repr(value)
