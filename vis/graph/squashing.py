"""Whether a value ends in a softmax, a log-softmax or a sigmoid: found by walking back through the graph.

The walk passes operations that keep the order of the outputs: a scaling or a shift that does not depend on
the inputs, a cast, a change of shape, a slice. A *softmax* is the framework's own, or `exp(x) / sum(exp(x))`
however it is written; anything subtracted from `x` that is constant along the axes of the sum, such as the
maximum, does not count. A *sigmoid* is an elementwise region of one value that is flat far to both sides and
rises between them: sigmoid, tanh, arctangent, softsign, `1 / (1 + exp(-x))`. An increasing function after one
of them (a logarithm, a clip) belongs to it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from vis.graph.activations import evaluated_on, slopes
from vis.graph.elementwise import AFFINE, is_elementwise
from vis.graph.words import Graph, Operation, Value

SOFTMAX = ("softmax", "log_softmax")
# Operations that pass on the numbers of one operand.
_HANDS_ON = frozenset(
    "identity cast stop_gradient reshape expand_dims squeeze transpose slice gather repeat split tile "
    "broadcast reverse".split()
)
_JOINS = frozenset(["concatenate", "stack"])
_MIXES = {
    "reduce_sum": "a sum",
    "reduce_mean": "an average",
    "reduce_max": "a maximum",
    "reduce_min": "a minimum",
    "reduce_prod": "a product",
    "average_pool": "an average",
    "max_pool": "a maximum",
    "resize": "an average",
    "add": "a sum or average",
    "subtract": "a difference",
    "multiply": "a product",
    "divide": "a product or quotient",
    "maximum": "a maximum",
    "minimum": "a minimum",
}
# The largest number of operations in a row that make up one function.
_LONGEST = 24


@dataclass(frozen=True)
class Skip:
    """A squashing step: `end` is computed from `before`, and increases with `sign * before`."""

    end: Value
    before: Value
    sign: int = 1


@dataclass(frozen=True)
class Squashing:
    """What a value ends in.

    Args:
        kind: `"softmax"`, `"log_softmax"` or `"sigmoid"`.
        skips: the steps to leave out, so that the value is not squashed.
        why: the reason if no step can be left out.
    """

    kind: str
    skips: tuple[Skip, ...] = ()
    why: str = ""


class Squashings:
    """What the values of a graph end in.

    Args:
        graph: the graph.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        # The inputs that the walk reached: what lies before them might tell more.
        self.reached: set[Value] = set()
        self._inputs = set(graph.inputs)
        self._dependent = graph.after(graph.inputs)
        self._made = self._dependent - self._inputs
        self._places = {operation: place for place, operation in enumerate(graph.operations)}
        self._found: dict[Value, Squashing | None] = {}

    def of(self, value: Value) -> Squashing | None:
        """Return what a value ends in, or None."""
        if value not in self._found:
            self._found[value] = self._search(value)
        return self._found[value]

    def softmax(self, value: Value) -> Value | None:
        """Return what a value is the softmax or log-softmax of, or None."""
        maker = self._maker(value)
        found = None if maker is None else self._softmax(maker)
        return None if found is None else found[1]

    def _maker(self, value: Value) -> Operation | None:
        if value in self._inputs:
            self.reached.add(value)
        return self.graph.maker(value) if value in self._made else None

    def _operands(self, operation: Operation) -> list[Value]:
        return [value for value in dict.fromkeys(operation.operands) if value in self._dependent]

    def _search(self, value: Value) -> Squashing | None:
        operation = self._maker(value)
        if operation is None:
            return None
        softmax = self._softmax(operation)
        if softmax is not None:
            kind, before = softmax
            inner = self.of(before)  # a softmax of a softmax, by mistake
            more = inner.skips if inner is not None and inner.kind in SOFTMAX else ()
            return Squashing(kind, (Skip(value, before), *more))
        operands = self._operands(operation)
        if operation.kind == "identity":
            return self.of(operation.operands[operation.outputs.index(value)])
        if operation.kind == "call":
            return self._inside(operation, operation.outputs.index(value))
        if operation.kind in _JOINS:
            return self._joined([self.of(operand) for operand in operands])
        looked_up = operation.kind == "gather" and operands[0] is not operation.operands[0]
        if operation.kind in _HANDS_ON and len(operands) == 1 and not looked_up:
            return self.of(operands[0])
        if operation.kind == "resize" and operation.attributes.get("method") == "nearest":
            return self.of(operands[0])
        divides = "divide" in operation.kind and operands == [*operation.operands[1:]]
        if operation.kind in AFFINE and len(operands) == 1 and not divides:
            return self.of(operands[0])
        if operation.kind in _MIXES and (len(operands) > 1 or not is_elementwise(operation)):
            mixed = self._mixed(operation, operands)
            if mixed is not None:
                return mixed
        return self._sigmoid(value)

    def _inside(self, operation: Operation, place: int) -> Squashing | None:
        body = operation.attributes.get("body")
        inner = None if body is None else Squashings(body).of(body.outputs[place])
        if inner is None:
            return None
        why = f"it is computed inside a separate function ({operation.name}), such as a @tf.function call"
        return Squashing(inner.kind, (), why)

    def _joined(self, parts: Sequence[Squashing | None]) -> Squashing | None:
        found = [part for part in parts if part is not None]
        if not found:
            return None
        kind = next((part.kind for part in found if part.kind in SOFTMAX), found[0].kind)
        skips = dict.fromkeys(skip for part in found for skip in part.skips)
        why = next((part.why for part in found if part.why), "")
        return Squashing(kind, () if why else tuple(skips), why)

    def _mixed(self, operation: Operation, operands: Sequence[Value]) -> Squashing | None:
        kinds = []
        for operand in reversed(operands):
            part = self.of(operand)
            if part is None:
                return None
            kinds.append(part.kind)
        soft = [kind for kind in kinds if kind in SOFTMAX]
        if not soft or (operation.kind.startswith("reduce") and self._is_whole(operation)):
            return None
        what = f"{_MIXES[operation.kind]} of softmaxes ({operation.name})"
        return Squashing(soft[0], (), f"it is {what}, so no single value in the model holds its logits")

    def _is_whole(self, operation: Operation) -> bool:
        """Tell whether a reduction runs over the classes of a softmax, as in attention."""
        maker = self._maker(operation.operands[0])
        axes, rank = operation.attributes.get("axes"), operation.operands[0].shape
        if maker is None or axes is None or rank is None:
            return False
        return self._softmax(maker) is not None and len(rank) - 1 in axes

    # -- softmaxes ---------------------------------------------------------------------------------------

    def _softmax(self, operation: Operation) -> tuple[str, Value] | None:
        """Return the kind of softmax that an operation ends, and the value that enters it, or None."""
        operands = operation.operands
        if operation.kind in SOFTMAX:
            return operation.kind, operands[0]
        if len(operands) != 2 or any(value not in self._dependent for value in operands):
            return None
        before = None
        if operation.kind in ("divide", "divide_no_nan"):
            before = self._normalized(operands[0], operands[1])
        elif operation.kind == "multiply":
            for above, factor in (operands, operands[::-1]):
                inverse = self._maker(self._stripped(factor))
                if inverse is not None and inverse.kind == "reciprocal":
                    before = before or self._normalized(above, inverse.operands[0])
        elif operation.kind == "subtract":
            before = self._log_normalized(operands[0], operands[1])
            return None if before is None else ("log_softmax", before)
        return None if before is None else ("softmax", before)

    def _normalized(self, above: Value, below: Value) -> Value | None:
        """Return x if `above` is exp(x) and `below` is its sum."""
        exponent, total = self._exponent(above), self._total(below)
        if exponent is None or total is None or not self._same(exponent, self._exponent(total.operands[0])):
            return None
        return self._unshifted(exponent, total)

    def _log_normalized(self, value: Value, norm: Value) -> Value | None:
        """Return `value` without its shift if `norm` is the logarithm of the sum of its exponential."""
        pending = [norm]
        for _ in range(_LONGEST):
            if not pending:
                break
            maker = self._maker(self._stripped(pending.pop()))
            if maker is None:
                continue
            if maker.kind in ("add", "subtract"):
                pending += maker.operands
            total = self._total(maker.operands[0]) if maker.kind == "logarithm" else None
            exponent = None if total is None else self._exponent(total.operands[0])
            if total is not None and exponent is not None:
                before = self._unshifted(value, total)
                if self._same(before, self._unshifted(exponent, total)):
                    return before
        return None

    def _exponent(self, value: Value) -> Value | None:
        """Return x if a value is exp(x) or a number to the power of x, possibly scaled."""
        for _ in range(_LONGEST):
            maker = self._maker(value)
            operands = [] if maker is None else self._operands(maker)
            if maker is None or not operands:
                return None
            if maker.kind == "exponential":
                return operands[0]
            if maker.kind == "power" and operands == [maker.operands[1]]:
                return operands[0]
            scales = maker.kind in ("multiply", "divide") and operands == [maker.operands[0]]
            if not scales and maker.kind not in ("identity", "cast", "stop_gradient", "absolute"):
                return None
            value = operands[0]
        return None

    def _stripped(self, value: Value) -> Value:
        """Return the value whose numbers are passed on, possibly kept away from zero by a number."""
        for _ in range(_LONGEST):
            maker = self._maker(value)
            operands = [] if maker is None else self._operands(maker)
            if maker is None or len(operands) != 1:
                break
            if maker.kind not in _HANDS_ON and maker.kind not in ("add", "maximum", "clip", "select"):
                break
            value = operands[0]
        return value

    def _total(self, value: Value) -> Operation | None:
        maker = self._maker(self._stripped(value))
        return maker if maker is not None and maker.kind in ("reduce_sum", "reduce_mean") else None

    def _unshifted(self, value: Value, total: Operation) -> Value:
        """Return a value without any summand that is constant along the axes of a sum."""
        axes = total.attributes.get("axes")
        for _ in range(_LONGEST):
            maker = self._maker(value)
            operands = () if maker is None else maker.operands
            if maker is None or not operands or operands[0] not in self._dependent:
                break
            if maker.kind in ("identity", "cast"):
                value = operands[0]
                continue
            if maker.kind not in ("add", "subtract") or not all(o in self._dependent for o in operands):
                break
            if not _is_same_along(operands[1], axes) or _is_same_along(operands[0], axes):
                break
            value = operands[0]
        return value

    def _same(self, one: Value | None, other: Value | None, depth: int = 6) -> bool:
        """Tell whether two values are the same, or computed in the same way from the same values."""
        if one is None or other is None or one is other:
            return one is other
        makers = [self.graph.maker(value) for value in (one, other)]
        if depth == 0 or makers[0].kind in ("input", "random") or makers[0].kind != makers[1].kind:
            return False
        if makers[0].kind == "constant":
            return bool(np.array_equal(np.asarray(one.constant), np.asarray(other.constant)))
        pairs = list(zip(makers[0].operands, makers[1].operands, strict=False))
        same = len(makers[0].operands) == len(makers[1].operands)
        return (
            same
            and makers[0].attributes == makers[1].attributes
            and all(self._same(*pair, depth - 1) for pair in pairs)
        )

    # -- sigmoids ----------------------------------------------------------------------------------------

    def _starts(self, end: Value) -> Iterator[tuple[Value, list[Operation]]]:
        """Yield each value from which alone elementwise operations compute `end`, last first, with them."""
        frontier = {end}
        cell: list[Operation] = []
        while len(cell) < _LONGEST:
            last = max(frontier, key=lambda value: self._places[self.graph.maker(value)])
            operation = self._maker(last)
            if operation is None or not is_elementwise(operation):
                return
            others = [value for value in operation.operands if value not in self._dependent]
            if any(value.constant is None for value in others):
                return  # a bias, for example, is not part of the function
            cell.append(operation)
            frontier.remove(last)
            frontier.update(self._operands(operation))
            if len(frontier) == 1:
                (start,) = frontier
                if start.shape != end.shape:
                    return
                yield start, cell[::-1]

    def _sigmoid(self, value: Value) -> Squashing | None:
        if value.is_discrete:
            return None
        falling = None
        for start, cell in self._starts(value):
            inner = self.of(start)
            if inner is not None:
                low, high = (-9.0, -0.1) if inner.kind == "log_softmax" else (0.05, 0.95)
                y = evaluated_on(cell, start, value, np.linspace(low, high, 19))
                if inner.skips and _rises(y):
                    last = cell[-1].kind
                    changed = {"exponential": "softmax", "logarithm": "log_softmax"}
                    kind = changed.get(last, inner.kind) if inner.kind in SOFTMAX else inner.kind
                    return Squashing(kind, (Skip(value, start), *inner.skips))
                return inner if inner.why and _rises(y) else None
            sign = _squashes(cell, start, value)
            if sign > 0:
                return Squashing("sigmoid", (Skip(value, start),))
            falling = falling or (start if sign < 0 else None)
        return None if falling is None else Squashing("sigmoid", (Skip(value, falling, -1),))


def _is_same_along(value: Value, axes: Sequence[int] | None) -> bool:
    if value.shape is None:
        return False
    sizes = value.shape if axes is None else [value.shape[axis] for axis in axes if axis < len(value.shape)]
    return 1 in sizes if axes is None else all(size == 1 for size in sizes)


def _rises(y: npt.NDArray[Any] | None) -> bool:
    return y is not None and bool(np.isfinite(y).all() and (np.diff(y) >= 0).all() and y[-1] > y[0])


def _squashes(cell: Sequence[Operation], start: Value, end: Value) -> int:
    """Return 1 if a region is flat far to both sides and rises through zero, -1 if it falls, otherwise 0."""
    far = slopes(cell, start, end)
    if far is None or max(map(abs, far)) > 1e-3:
        return 0
    y = evaluated_on(cell, start, end, np.linspace(-30, 30, 2401))
    near = evaluated_on(cell, start, end, np.array([-0.01, 0.0, 0.01]))
    if y is None or near is None or not np.isfinite(y).all():
        return 0
    left, right = np.diff(near)
    # A corner at zero belongs to a rectifier with a maximum.
    if abs(left - right) > 0.1 * (abs(left) + abs(right)) or abs(left + right) < 1e-6:
        return 0
    return 1 if _rises(y) else -1 if _rises(-y) else 0


def signature(graph: Graph, values: Sequence[Value], skips: Sequence[Skip] = ()) -> tuple[int, ...]:
    """Return numbers that are equal for values that are computed in the same way.

    Args:
        graph: the graph.
        values: some of its values.
        skips: steps that are left out.
    """
    known: dict[Value, int] = {value: hash(("input", place)) for place, value in enumerate(graph.inputs)}
    left_out = {skip.end: skip for skip in skips}
    for operation in graph.operations:
        operands = tuple(known[value] for value in operation.operands)
        made = hash((operation.kind, repr(sorted(operation.attributes.items())), operands))
        for place, value in enumerate(operation.outputs):
            skip = left_out.get(value)
            if skip is not None:
                known[value] = known[skip.before]
            elif operation.kind == "identity":
                known[value] = operands[place]
            elif value not in known:
                number = value.constant
                told = (made, place) if number is None else (number.dtype.str, number.shape, number.tobytes())
                known[value] = hash(told)
    return tuple(known[value] for value in values)
