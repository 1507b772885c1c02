"""The activations of a traced computation, found by what it computes.

A *region* is a group of elementwise operations that compute one value from one other: `relu(x)`, `x *
sigmoid(x)`, `relu(x) - slope * relu(-x)`, `where(x < 0, 0.1 * x, x)`. It is evaluated on numbers. It acts
like a rectifier if its slopes far to the left and far to the right differ. If it is flat on both sides, it is
a rectifier with a maximum (ReLU6) if it has a corner at zero, and a gate (sigmoid, tanh, hard sigmoid) if it
rises through zero.

Each region is as small as possible: it starts at the last value from which all of it is computed. Consecutive
rectifiers in one layer, such as the parts of `ReLU(max_value=3)`, form one region. A sum of the outputs of
several layers is a skip connection, and no region crosses it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from vis.graph.elementwise import AFFINE, FLAT, FUNCTIONS, evaluated, is_elementwise
from vis.graph.words import Graph, LayerCall, Operation, Value, constant

# How far is far: the larger number is used where everything is finite.
_FAR = (300.0, 1e4)
_NEAR = 1e-3
# The largest number of operations in a row that make up one function.
_LONGEST = 8
# Numbers that stand in for a variable.
_DRAWS = (0.3, 0.8)
Slopes = tuple[float, float]


@dataclass(frozen=True)
class Region:
    """A group of elementwise operations that compute `end` from `start` alone.

    Args:
        start, end: values of the same shape.
        operations: those between them, in order.
        slopes: far to the left and far to the right; None if there is no such slope.
    """

    start: Value
    end: Value
    operations: tuple[Operation, ...]
    slopes: Slopes | None

    @cached_property
    def route(self) -> tuple[tuple[Operation, int], ...]:
        """A route for gradients from the end back to the start: operations, each with an operand index.

        Empty if there is no route.
        """
        makers = {value: operation for operation in self.operations for value in operation.outputs}
        known: dict[Value, tuple[tuple[Operation, int], ...] | None] = {self.start: ()}

        def back(value: Value) -> tuple[tuple[Operation, int], ...] | None:
            if value not in known:
                known[value] = None
                for operand, index in _differentiated(makers[value]) if value in makers else ():
                    rest = back(operand)
                    if rest is not None:
                        known[value] = ((makers[value], index), *rest)
                        break
            return known[value]

        return back(self.end) or ()

    def __str__(self) -> str:
        kinds = dict.fromkeys(operation.kind for operation in self.operations)
        said = [kind for kind in kinds if kind not in AFFINE | FLAT] or kinds
        return f"{self.operations[-1].name} ({', '.join(said)})"


@dataclass(frozen=True)
class Activations:
    """The rectifiers of a graph that a rule can act on, and those that it cannot, with the reason."""

    found: tuple[Region, ...]
    missed: tuple[str, ...]


def find_activations(graph: Graph, sources: Sequence[Value], ends: Sequence[Value]) -> Activations:
    """Return the activations that act like a rectifier between some values and others."""
    return _Search(graph, sources, ends).result()


def _differentiated(operation: Operation) -> list[tuple[Value, int]]:
    """Return the operands that receive a gradient from an operation, with their indices."""
    if operation.kind in FLAT or operation.kind == "shape":
        return []
    indices = operation.attributes.get("differentiated", range(len(operation.operands)))
    return [(operation.operands[i], i) for i in indices if not operation.operands[i].is_discrete]


class _Search:
    def __init__(self, graph: Graph, sources: Sequence[Value], ends: Sequence[Value]) -> None:
        self.graph = graph
        self.ends = set(ends)
        self.operations = list(graph.between(sources, ends))
        self.places = {operation: place for place, operation in enumerate(self.operations)}
        self.dependent = graph.after(sources)
        self.flowing = flowing(graph, sources) & _flowing_back(graph, ends)
        # The dominator tree of elementwise operations: the value from which alone each value is computed.
        self.parents: dict[Value, Value | None] = {}
        self.depths: dict[Value, int] = {}
        for operation in self.operations:
            for place, output in enumerate(operation.outputs):
                parent = self._parent(operation, output) if place == 0 else None
                self.parents[output] = parent
                self.depths[output] = 0 if parent is None else self.depths.get(parent, 0) + 1

    def result(self) -> Activations:
        regions = self._merged(list(self._regions()))
        found, missed = [], []
        for region in regions:
            inside = {value for operation in region.operations for value in operation.outputs} - {region.end}
            users = {user for value in inside for user in self.graph.users(value) if user in self.places}
            if region.end not in self.flowing:
                if self._is_hidden(region):
                    missed.append(f"{region}, inside a custom gradient")
            elif inside & self.ends or not users <= set(region.operations):
                missed.append(f"{region}, whose intermediate values are used elsewhere")
            elif region.route:
                found.append(region)
        return Activations(tuple(found), tuple(missed))

    def _is_hidden(self, region: Region) -> bool:
        """Tell whether the output of a region goes on through a custom derivative."""
        after = self.graph.after([region.end])
        return any(
            "differentiated" in operation.attributes and not after.isdisjoint(operation.operands)
            for operation in self.operations
        ) and not after.isdisjoint(self.flowing)

    def _parent(self, operation: Operation, output: Value) -> Value | None:
        if not is_elementwise(operation):
            return None
        made_of = [value for value in dict.fromkeys(operation.operands) if value in self.dependent]
        parent: Value | None = made_of[0] if made_of else None
        for other in made_of[1:]:
            parent = None if parent is None else self._common(parent, other)
        if parent is None or not _fits(parent, output):
            return None
        here = self.graph.owner(operation)
        if any(value is not parent and self._owner_of(value) is not here for value in made_of):
            # A sum of the outputs of several layers is a skip connection, and a product with x itself a gate.
            if operation.kind in ("add", "subtract", "divide"):
                return None
            if operation.kind == "multiply" and parent not in made_of:
                return None
        return parent

    def _common(self, one: Value, other: Value) -> Value | None:
        """Return the last value from which alone both are computed."""
        left: Value | None = one
        right: Value | None = other
        while left is not right:
            if left is None or right is None:
                return None
            if self.depths.get(left, 0) >= self.depths.get(right, 0):
                left = self.parents.get(left)
            else:
                right = self.parents.get(right)
        return left

    def _owner_of(self, value: Value) -> LayerCall | None:
        return self.graph.owner(self.graph.maker(value))

    def _cell(self, start: Value, end: Value) -> tuple[Operation, ...]:
        """Return the operations between a value and another that is computed from it alone."""
        needed = {end}
        cell = []
        pending = [end]
        while pending:
            value = pending.pop()
            if value is start or value not in self.dependent:
                continue
            operation = self.graph.maker(value)
            cell.append(operation)
            fresh = [operand for operand in dict.fromkeys(operation.operands) if operand not in needed]
            needed.update(fresh)
            pending += fresh
        return tuple(sorted(set(cell), key=self.places.__getitem__))

    def _regions(self) -> Iterator[Region]:
        """Yield the regions that are not affine, last first."""
        covered: set[Value] = set()
        for operation in reversed(self.operations):
            end = operation.outputs[0] if operation.outputs else None
            start = None if end is None else self.parents[end]
            if end is None or start is None or end in covered or end.is_discrete:
                continue
            cell = self._cell(start, end)
            if len(cell) == 1 and (operation.kind in FLAT or self._is_affine(operation)):
                continue
            found = slopes(cell, start, end)
            if found is None:
                if len(cell) > 1:
                    continue  # perhaps a power of an activation: its parts are checked separately
                cell, end, found = self._prolonged(cell, start, end)
            covered.update(value for part in cell for value in part.outputs)
            if found is not None and (not _same(*found) or _has_corner(cell, start, end, found)):
                yield Region(start, end, cell, found)

    def _is_affine(self, operation: Operation) -> bool:
        """Tell whether an operation is an affine function of its only operand that is not fixed."""
        varied = [index for index, value in enumerate(operation.operands) if value in self.dependent]
        return operation.kind in AFFINE and len(varied) == 1 and (operation.kind != "divide" or varied == [0])

    def _prolonged(
        self, cell: tuple[Operation, ...], start: Value, end: Value
    ) -> tuple[tuple[Operation, ...], Value, Slopes | None]:
        """Return the function that starts with an exponential or a power: `log(1 + exp(x))`, `sqrt(x^2)`."""
        longer, last = cell, end
        for _ in range(_LONGEST):
            users = [user for user in self.graph.users(last) if user in self.places]
            after = users[0].outputs[0] if len(users) == 1 and users[0].outputs else None
            if after is None or last in self.ends or self.parents.get(after) is not last:
                break
            if self._owner_of(after) is not self._owner_of(end):
                break
            longer, last = (*longer, users[0]), after
            found = slopes(longer, start, last)
            if found is not None:
                return (longer, last, found) if not _same(*found) else (cell, end, None)
        return cell, end, None

    def _merged(self, regions: list[Region]) -> Iterator[Region]:
        by_start = {region.start: region for region in regions}
        later = {id(after) for region in regions if (after := self._next(region, by_start)) is not None}
        for region in reversed(regions):
            if id(region) in later:
                continue
            merged = region
            while (after := self._next(merged, by_start)) is not None:
                between = self._cell(merged.end, after.start) if after.start is not merged.end else ()
                operations = (*merged.operations, *between, *after.operations)
                found = slopes(operations, merged.start, after.end)
                merged = Region(merged.start, after.end, operations, found)
            if merged.slopes is None or not _same(*merged.slopes) or not self._is_gate(merged):
                yield self._scaled(merged)

    def _next(self, region: Region, by_start: dict[Value, Region]) -> Region | None:
        """Return the next rectifier in the same layer, if it alone uses this one's output."""
        end = region.end
        while end not in self.ends:
            users = self.graph.users(end)
            after = by_start.get(end)
            if after is not None and set(users) <= set(after.operations):
                same = self._owner_of(after.end) is self._owner_of(region.end)
                return after if same else None
            if len(users) != 1 or users[0].kind not in ("identity", "cast"):
                return None
            end = users[0].outputs[0]
        return None

    def _is_gate(self, region: Region) -> bool:
        """Tell whether a region that is flat on both sides rises through zero, like `relu6(x + 3) / 6`."""
        start, operations = region.start, list(region.operations)
        while True:
            left, right = _slopes_at_zero(operations, start, region.end)
            if abs(left) > 1e-3 and _same(left, right):
                return True
            before = self.parents.get(start)
            if before is None:
                return False
            # Shifts and scalings by constants are part of the gate, whichever layer computes them.
            operation = self.graph.maker(start)
            others = [value for value in operation.operands if value not in self.dependent]
            if not self._is_affine(operation) or any(constant(value) is None for value in others):
                return False
            start = before
            operations.insert(0, operation)

    def _scaled(self, region: Region) -> Region:
        """Return a region extended by the scaling around it, if that is part of the function.

        A scaling after it counts if it brings the steeper slope nearer to 1, as in `(x + |x|) / 2`, or makes
        the function SELU; scalings before and after it count if both change the sign, as in `-min(-x, 0)`.
        """
        users = [user for user in self.graph.users(region.end) if user in self.places]
        if len(users) != 1 or region.end in self.ends or region.slopes is None:
            return region
        (after,) = users
        factor = self._factor(after)
        here = self._owner_of(region.end)
        if not factor or self.graph.owner(after) is not here or not _fits(region.end, after.outputs[0]):
            return region
        start, operations = region.start, (*region.operations, after)
        if factor < 0 and max(region.slopes, key=abs) > 0:
            before = self.graph.maker(start)
            inner, parent = self._factor(before), self.parents.get(start)
            around = {user for user in self.graph.users(start) if user in self.places} <= set(
                region.operations
            )
            if not inner or inner > 0 or parent is None or not around or self.graph.owner(before) is not here:
                return region
            start, operations = parent, (before, *operations)
        found = slopes(operations, start, after.outputs[0])
        if found is None:
            return region
        steep, scaled = max(map(abs, region.slopes)), max(map(abs, found))
        nearer = abs(scaled - 1) <= abs(steep - 1) and (scaled != steep or factor < 0)
        if not nearer and not _is_selu(operations, start, after.outputs[0]):
            return region
        return Region(start, after.outputs[0], operations, found)

    def _factor(self, operation: Operation) -> float | None:
        """Return the number that an operation multiplies one operand by, or None for anything else."""
        if operation.kind == "negative":
            return -1.0
        numbers = [value for value in operation.operands if value not in self.dependent]
        number = constant(numbers[0]) if len(numbers) == 1 and len(operation.operands) == 2 else None
        if not number:
            return None
        if operation.kind == "divide" and operation.operands[1] is numbers[0]:
            return 1 / number
        return number if operation.kind == "multiply" else None


def flowing(graph: Graph, sources: Sequence[Value]) -> set[Value]:
    """Return the values whose gradient by some sources may be nonzero."""
    if all(source.is_discrete for source in sources):
        return graph.after(sources)  # there is no gradient, which is reported elsewhere
    found = set(sources)
    for operation in graph.operations:
        if any(operand in found for operand, _ in _differentiated(operation)):
            found.update(operation.outputs)
    return found


def _flowing_back(graph: Graph, ends: Sequence[Value]) -> set[Value]:
    """Return the values that receive gradients from some ends."""
    found = set(ends)
    for operation in reversed(graph.operations):
        if not found.isdisjoint(operation.outputs):
            found.update(operand for operand, _ in _differentiated(operation))
    return found


def _fits(one: Value, other: Value) -> bool:
    return one.shape is None or other.shape is None or one.shape == other.shape


def _same(left: float, right: float) -> bool:
    return abs(left - right) <= 1e-3 * (1 + abs(left) + abs(right))


def _stand_in(draw: float) -> Callable[[Value], Any]:
    """Return the number used for a fixed operand: its value, or a random one."""

    def number(value: Value) -> Any:
        known = constant(value)
        if known is not None:
            return np.asarray(known, value.constant.dtype if value.constant is not None else float)
        if value.constant is not None and value.constant.size and value.constant.dtype.kind in "fiub":
            # Different numbers for different channels: use some of them.
            flat = value.constant.ravel()
            return flat[int(draw * (flat.size - 1))]
        return draw > 0.5 if value.dtype == "bool" else int(10 * draw) if "int" in value.dtype else draw

    return number


def slopes(operations: Sequence[Operation], start: Value, end: Value) -> Slopes | None:
    """Return the slopes of `end` as a function of `start` far to the left and far to the right.

    None if there is no such slope: the function grows faster than linearly there, or is undefined.
    """
    answers = {_slopes(operations, start, end, draw) for draw in _DRAWS}
    known = [answer for answer in answers if answer is not None]
    if not known:
        return None
    # If a slope is a variable, as in PReLU, the slopes differ for most of its values.
    return next((answer for answer in known if not _same(*answer)), known[0])


def evaluated_on(
    operations: Sequence[Operation], start: Value, end: Value, x: npt.NDArray[Any], draw: float = _DRAWS[0]
) -> npt.NDArray[Any] | None:
    """Return `end` as a function of `start` for numbers x, or None if it is undefined."""
    try:
        return evaluated(operations, start, end, x, _stand_in(draw))
    except (TypeError, ValueError, OverflowError):
        return None


def _is_selu(operations: Sequence[Operation], start: Value, end: Value) -> bool:
    """Tell whether `end` is SELU of `start`, which is scaled to keep the variance of its input."""
    x = np.linspace(-4, 4, 9)
    y = evaluated_on(operations, start, end, x)
    return y is not None and np.allclose(y, FUNCTIONS["selu"](x), rtol=1e-4)


def _slopes_at_zero(operations: Sequence[Operation], start: Value, end: Value) -> Slopes:
    """Return the slopes of `end` as a function of `start` just to the left and just to the right of zero."""
    y = evaluated(operations, start, end, np.array([-_NEAR, 0, _NEAR]), _stand_in(_DRAWS[0]))
    if not np.isfinite(y).all():
        return 0.0, 0.0
    left, right = np.diff(y) / _NEAR
    return float(left), float(right)


def _has_corner(operations: Sequence[Operation], start: Value, end: Value, far: Slopes) -> bool:
    """Tell whether a region is flat far to both sides, with a corner at zero, such as ReLU6."""
    left, right = _slopes_at_zero(operations, start, end)
    return max(map(abs, far)) < 1e-3 and abs(right - left) > 0.1


def _slopes(operations: Sequence[Operation], start: Value, end: Value, draw: float) -> Slopes | None:
    for far in reversed(_FAR):
        x = np.array([-2, -1.5, -1, 1, 1.5, 2]) * far
        y = evaluated_on(operations, start, end, x, draw)
        if y is None:
            return None
        if np.isfinite(y).all():
            steps: npt.NDArray[Any] = np.diff(y) / np.diff(x)
            left, right = steps[:2], steps[3:]
            same = _same(float(left[0]), float(left[1])) and _same(float(right[0]), float(right[1]))
            return (float(left.mean()), float(right.mean())) if same else None
    return None
