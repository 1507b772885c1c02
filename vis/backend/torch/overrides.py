"""Other derivatives for activations, in one run only.

The regions that `vis.graph` finds in a recording are looked up in the graph of autograd that a run leaves
behind, and hooks are put on their nodes. The node that computed the region's end gets the gradient first:
there the true gradient of the region is taken and the rule is applied. The result goes out where the gradient
leaves the region, on the one route that is left open through it. The forward pass is unchanged, and no other
run is affected.

A run has the same nodes in the same order as the recording if it computes the same. Otherwise the caller
records it again.
"""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import torch
from torch.utils._python_dispatch import TorchDispatchMode  # there is no public name

from vis.backend.contract import Coverage, Rule
from vis.backend.ruled import checked
from vis.backend.torch.nodes import Nodes
from vis.backend.torch.reading import read
from vis.backend.torch.recording import DETACH, Recording, Slot
from vis.foreign import foreign_arrays
from vis.graph import Activations, Region, find_activations

# An edge of the graph of autograd: the position of a node, and the index of its input.
_Edge = tuple[int, int]


class Withheld(BaseException):
    """A rule reads the input or the output of an activation, which has not been kept."""


class _Withheld(torch.Tensor):  # type: ignore[misc]
    """Stands for a tensor that has not been kept."""

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        raise Withheld


@dataclass(frozen=True)
class _Kept:
    """Where a run meets a tensor: which operation, and which of its operands or outputs.

    `position` is how many operations were dispatched before, detaching not counted.

    `is_copied` tells whether it must be copied, because a later operation writes into it.
    """

    position: int
    target: Any
    is_operand: bool
    index: int
    is_copied: bool


@dataclass(frozen=True)
class _Site:
    """A region in the graph of autograd, by the positions of its nodes.

    Args:
        name: of the region.
        end: the node that computes its end, and which of its outputs that is.
        inner: the other nodes, in the order in which gradients flow.
        links: the edges inside, each with the node that it leads to.
        exits: the edges to the region's start.
        route: edges from the end to the start, one of each node on the way.
        x, y: where a run meets the region's start and end.
    """

    name: str
    end: int
    inner: tuple[int, ...]
    links: Mapping[_Edge, int]
    exits: tuple[_Edge, ...]
    route: tuple[_Edge, ...]
    x: _Kept
    y: _Kept


@dataclass(frozen=True)
class Plan:
    """The sites of a computation, what they cover, and how many operations a run of it dispatches."""

    sites: tuple[_Site, ...]
    coverage: Coverage
    dispatched: int


def plan(seen: Recording, sources: Sequence[Slot], ends: Sequence[Slot], nodes: Nodes) -> Plan:
    """Find the activations in a recording.

    Args:
        seen: the recording.
        sources, ends: the values between which activations are looked for.
        nodes: the nodes of autograd behind the ends.
    """
    words = read(seen, sources, ends)
    found: Activations = find_activations(words, words.inputs, words.outputs)
    places = {node: place for place, node in enumerate(nodes)}
    sites, reached, missed = [], [], list(found.missed)
    for region in found.found:
        start, last = seen.named(region.start.name), seen.named(region.end.name)
        if start is None or last is None:
            missed.append(f"{region}, inside one operation of PyTorch")
            continue
        end = seen.edge(last)
        if end is not None:
            site = _site(seen, region, start, last, places, nodes) if end[0] in places else None
            if site is None:
                missed.append(f"{region}, inside a custom gradient or written into a part of a tensor")
                continue
            sites.append(site)
        # Otherwise nothing that it is computed from is differentiated by in this run.
        reached.append(str(region))
    return Plan(tuple(sites), Coverage(tuple(reached), tuple(missed)), seen.dispatched)


def _site(
    seen: Recording, region: Region, start: Slot, end: Slot, places: Mapping[Any, int], nodes: Nodes
) -> _Site | None:
    """Return a region in the graph of autograd; None if gradients do not flow through it there."""
    steps = [seen.step(operation.name) for operation in region.operations if operation.operands]
    edges = [seen.edge(slot) for step in steps for slot in step.outputs]
    inside = {edge[0] for edge in edges if edge is not None and edge[0] in places}
    (last, output), entry = seen.edge(end) or (None, 0), seen.edge(start)
    links: dict[_Edge, int] = {}
    exits: list[_Edge] = []
    order: list[int] = []

    def visit(node: Any) -> bool:
        """Search behind a node, and tell whether the start has been found there."""
        place = places[node]
        if place in order:
            return True
        reached = False
        for index, edge in enumerate(node.next_functions):
            if edge == entry:
                exits.append((place, index))
                reached = True
            elif edge[0] in inside and edge[1] == 0 and visit(edge[0]):
                links[place, index] = places[edge[0]]
                reached = True
        if reached:
            order.append(place)
        return reached

    if output or not visit(last):
        return None
    inner = tuple(reversed(order[:-1]))
    if not all(callable(nodes[place]) for place in inner):
        return None
    route = [next(edge for edge in (*links, *exits) if edge[0] == places[last])]
    while route[-1] in links:
        route.append(next(edge for edge in (*links, *exits) if edge[0] == links[route[-1]]))
    first = next(step for step in steps if start in step.operands and step.target != DETACH)
    final = next(step for step in steps if end in step.outputs)
    x = _Kept(first.position, first.target, True, first.operands.index(start), seen.current(start) is None)
    y = _Kept(final.position, final.target, False, final.outputs.index(end), seen.current(end) is None)
    return _Site(str(region), places[last], inner, links, tuple(exits), tuple(route), x, y)


class Keeping(TorchDispatchMode):  # type: ignore[misc]
    """A mode that keeps the inputs and outputs of activations while a forward pass runs.

    Attributes:
        found: for each site by its name, its input and its output.
        matches: whether the run is the one that was recorded.
    """

    def __init__(self, known: Plan) -> None:
        super().__init__()
        self._wanted: dict[int, list[tuple[int, int, _Kept]]] = {}
        for number, site in enumerate(known.sites):
            for which, kept in enumerate((site.x, site.y)):
                self._wanted.setdefault(kept.position, []).append((number, which, kept))
        self._expected, self._count, self._differs = known.dispatched, 0, False
        self.found: list[list[Any]] = [[None, None] for _ in known.sites]

    @property
    def matches(self) -> bool:
        return self._count == self._expected and not self._differs

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func == DETACH:
            return func(*args, **(kwargs or {}))
        wanted = self._wanted.get(self._count, ())
        self._count += 1
        for number, which, kept in wanted:
            if kept.target != func:
                self._differs = True
            elif kept.is_operand:
                tensor = _tensors((args, kwargs))[kept.index].detach()
                self.found[number][which] = tensor.clone() if kept.is_copied else tensor
        made = func(*args, **(kwargs or {}))
        for number, which, kept in wanted:
            if kept.target == func and not kept.is_operand:
                tensor = _tensors(made)[kept.index].detach()
                self.found[number][which] = tensor.clone() if kept.is_copied else tensor
        return made


def _tensors(value: Any) -> list[torch.Tensor]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list | tuple):
        return [tensor for item in value for tensor in _tensors(item)]
    return [value] if isinstance(value, torch.Tensor) else []


def override(known: Plan, nodes: Nodes, rule: Rule, kept: Sequence[Sequence[Any]] | None = None) -> None:
    """Differentiate the activations of a run by a rule.

    Args:
        known: the sites of the computation.
        nodes: the nodes of autograd of this run.
        rule: the rule.
        kept: the input and the output of each site, or None: a rule that reads them raises `Withheld`.
    """
    for number, site in enumerate(known.sites):
        x, y = (_withheld(), _withheld()) if kept is None else kept[number]
        _hook(site, nodes, functools.partial(_ruled, rule, site, x, y))


def reads_values(rule: Rule) -> bool:
    """Tell whether a rule may read the input or the output of an activation, and not only the gradients."""
    gradient = torch.ones((1,))
    try:
        applied(rule, _withheld(), _withheld(), gradient, gradient)
    except Withheld:
        return True
    except Exception:  # it does not accept these gradients, so it is not known
        return True
    return False


def applied(rule: Rule, *args: Any) -> Any:
    """Return what a rule returns.

    Raises:
        Withheld: if it reads, or returns, what has not been kept.
    """
    gradient = rule(*args)
    if isinstance(gradient, _Withheld):
        raise Withheld
    return gradient


def _withheld() -> torch.Tensor:
    return torch.empty(0).as_subclass(_Withheld)


def _hook(site: _Site, nodes: Nodes, ruled: Callable[[Any, Any], Any]) -> None:
    """Put the hooks of one region, which hold no node that leads to their own."""
    inner = {place: nodes[place] for place in site.inner}
    found: dict[str, Any] = {}
    leaving = site.route[-1]

    def at_end(gradients: Any, incoming: Any) -> Any:
        if incoming[0] is None or gradients[site.route[0][1]] is None:
            return None
        found["gradient"] = ruled(incoming[0], _true(site, inner, gradients))
        return passed(site.route[0], gradients)

    def passed(edge: _Edge, gradients: Any) -> Any:
        own = gradients[edge[1]]
        if edge == leaving and own is not None:
            own = found.pop("gradient").to(own.dtype)
        return tuple(own if index == edge[1] else None for index in range(len(gradients)))

    nodes[site.end].register_hook(at_end)
    for edge in site.route[1:]:
        nodes[edge[0]].register_hook(lambda gradients, _, edge=edge: passed(edge, gradients))


def _true(site: _Site, inner: Mapping[int, Any], gradients: Sequence[Any]) -> Any:
    """Return the true gradient of a region, given that of its last operation."""
    total = None
    arrived: dict[int, Any] = {}
    for place in (site.end, *site.inner):
        if place != site.end:
            if arrived.get(place) is None:
                continue
            made = inner[place](arrived.pop(place))
            gradients = made if isinstance(made, tuple) else (made,)
        for index, gradient in enumerate(gradients):
            edge = (place, index)
            if gradient is None:
                continue
            if edge in site.exits:
                total = gradient if total is None else total + gradient
            elif edge in site.links:
                before = arrived.get(site.links[edge])
                arrived[site.links[edge]] = gradient if before is None else before + gradient
    return total


def _ruled(rule: Rule, site: _Site, x: Any, y: Any, grad: Any, true_grad: Any) -> Any:
    """Return the gradient by the input of an activation that a rule gives."""
    true_grad = torch.zeros_like(grad) if true_grad is None else true_grad
    with foreign_arrays("The rule", rule):
        gradient = applied(rule, x, y, grad, true_grad)
    return checked(gradient, rule, site.name, true_grad)


def weakly(rule: Rule) -> Callable[[], Rule]:
    """Return what returns a rule that somebody else keeps alive: a trace lasts as long as its rule."""
    reference = weakref.ref(rule)

    def found() -> Rule:
        rule = reference()
        assert rule is not None  # noqa: S101 - the trace lasts as long as its rule
        return rule

    return found


def where_positive(condition: Any, value: Any) -> Any:
    """Return `value` where `condition`, a tensor of its shape and type, is positive, and 0 elsewhere."""
    # The derivative of a ReLU: one operation, where a comparison and a selection are two.
    condition, value = map(keras.ops.convert_to_tensor, (condition, value))
    return torch.ops.aten.threshold_backward(value, condition, 0)
