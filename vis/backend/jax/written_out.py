"""What JAX writes out in several equations, and `vis.graph.words` has one word for.

An average is a sum and a division; an average pool, a sum of windows and a division by their sizes; a resize,
products with matrices of weights; a repetition, a broadcast and a reshape; a one-hot encoding, a comparison
with 0, 1, 2, ... The last equation becomes the whole; those before it that nothing else uses are left out.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from jax.extend.core import Literal

from vis.backend.jax.attributes import Told, size, whole, window
from vis.backend.jax.known import Known
from vis.backend.jax.lookups import without_axis
from vis.backend.jax.resizes import resize

_EXPANSIONS = ("broadcast_in_dim", "reshape", "expand_dims")


class WrittenOut:
    """Finds what several equations compute together.

    Args:
        equations: the equations, in order.
        known: what is known before they run.
        imagined: what would be known if the sizes of the inputs were.
        makers: the equation that computes each variable.
        wanted: the variables whose values are used outside.

    Attributes:
        told: what is found, by the index of its last equation.
        left_out: the indices of the equations before it that nothing else uses.
    """

    def __init__(
        self,
        equations: Sequence[Any],
        known: Known,
        imagined: Known,
        makers: Mapping[Any, Any],
        wanted: Iterable[Any],
    ) -> None:
        self._known = known
        self._imagined = imagined
        self._makers = makers
        self._uses = Counter(wanted)
        self.told: dict[int, Told] = {}
        self.left_out: set[int] = set()
        places = {id(equation): place for place, equation in enumerate(equations)}
        for equation in equations:
            self._uses.update(atom for atom in equation.invars if not isinstance(atom, Literal))
        finders: dict[str, Callable[[Any], tuple[Told, list[Any]] | None]] = {
            "div": self._average,
            "mul": self._average,
            "abs": self._positive,
            "convert_element_type": self._one_hot,
            "reshape": self._repeat,
            "dot_general": self._resize,
            "transpose": self._resize,
        }
        for place in reversed(range(len(equations))):
            equation = equations[place]
            find = finders.get(equation.primitive.name)
            found = None if find is None or place in self.left_out else find(equation)
            if found is not None:
                self.told[place], before = found
                # From the last to the first: an equation is left out only if those that use it are.
                self._leave_out(before, places)

    def _leave_out(self, before: Sequence[Any], places: Mapping[int, int]) -> None:
        for equation in before:
            (output,) = equation.outvars
            if self._uses[output] != 1:
                return
            self.left_out.add(places[id(equation)])

    def _maker(self, atom: Any, *names: str) -> Any:
        """Return the equation that computes a variable if it is one of some primitives, or None."""
        maker = None if isinstance(atom, Literal) else self._makers.get(atom)
        return maker if maker is not None and maker.primitive.name in names else None

    def _sum(self, atom: Any, name: str) -> tuple[Any, list[Any], bool] | None:
        """Return the sum that a variable holds, its equations from the last to the first, and whether its
        axes are kept.
        """
        total = self._maker(atom, name)
        if total is not None:
            return total, [total], False
        wide = self._maker(atom, *_EXPANSIONS)
        total = None if wide is None else self._maker(wide.invars[0], name)
        if total is None:
            return None
        axes, shape = whole(total.params["axes"]), total.invars[0].aval.shape
        kept = tuple(1 if axis in axes else length for axis, length in enumerate(shape))
        along = wide.params.get("broadcast_dimensions")
        same = along is None or whole(along) == tuple(axis for axis in range(len(shape)) if axis not in axes)
        return (total, [wide, total], True) if same and wide.outvars[0].aval.shape == kept else None

    def _average(self, equation: Any) -> tuple[Told, list[Any]] | None:
        above, below = equation.invars
        if equation.primitive.name == "mul":
            if self._known.number(above) is not None:
                above, below = below, above
            number = self._known.number(below)
            count = None if not number else 1 / number
        else:
            count = self._known.number(below)
        pool = self._pool(above, below, count)
        if pool is not None:
            return pool
        found = self._sum(above, "reduce_sum")
        if found is None:
            return None
        total, before, keepdims = found
        (x,), axes = total.invars, whole(total.params["axes"])
        length = math.prod(x.aval.shape[axis] for axis in axes)
        if size(length) is None:
            same = equation.primitive.name == "div" and bool(self._known.size(below) == length)
        else:
            same = count is not None and math.isclose(count, length, rel_tol=1e-3 / length)
        return (Told("reduce_mean", (x,), {"axes": axes, "keepdims": keepdims}), before) if same else None

    def _pool(self, above: Any, below: Any, count: float | None) -> tuple[Told, list[Any]] | None:
        total = self._maker(above, "reduce_window_sum")
        attributes = None if total is None else window(total)
        if attributes is None:
            return None
        counts = self._maker(below, "reduce_window_sum")
        if counts is not None:
            # How many positions each window has: some of those at the edges lie outside.
            same = counts.params == total.params and self._known.number(counts.invars[0]) == 1
        else:
            same = count is not None and math.isclose(count, math.prod(attributes["window"]), rel_tol=1e-5)
        return (Told("average_pool", tuple(total.invars), attributes), [total]) if same else None

    def _positive(self, equation: Any) -> tuple[Told, list[Any]] | None:
        """Return the identity for the absolute value of a sum of exponentials, as in `logsumexp`."""
        found = self._sum(equation.invars[0], "reduce_sum")
        if found is None or self._maker(found[0].invars[0], "exp") is None:
            return None
        return Told("identity", tuple(equation.invars)), []

    def _one_hot(self, equation: Any) -> tuple[Told, list[Any]] | None:
        (compared,) = equation.invars
        same = self._maker(compared, "eq")
        if same is None or not compared.aval.shape:
            return None
        for one, other in (same.invars, same.invars[::-1]):
            numbers = self._known.full(other)
            sizes = (
                [] if numbers is None else [axis for axis, length in enumerate(numbers.shape) if length > 1]
            )
            if numbers is None or isinstance(one, Literal) or len(numbers.shape) != len(compared.aval.shape):
                continue
            axis = sizes[0] if sizes else numbers.ndim - 1
            if len(sizes) > 1 or not np.array_equal(numbers.ravel(), np.arange(numbers.size)):
                continue
            source = without_axis(one, axis, self._makers)
            if source is not None:
                return Told("one_hot", (source,), {"axis": axis}), [same]
        return None

    def _repeat(self, equation: Any) -> tuple[Told, list[Any]] | None:
        wide = self._maker(equation.invars[0], "broadcast_in_dim")
        if wide is None or isinstance(wide.invars[0], Literal):
            return None
        (x, *_), shape = wide.invars, wide.outvars[0].aval.shape
        added = [axis for axis in range(len(shape)) if axis not in wide.params["broadcast_dimensions"]]
        if len(added) != 1 or not added[0] or x.aval.shape != (*shape[: added[0]], *shape[added[0] + 1 :]):
            return None
        axis, times = added[0] - 1, size(shape[added[0]])
        if times in (None, 1):  # None: as often as there are samples
            return None
        longer = [length * times if at == axis else length for at, length in enumerate(x.aval.shape)]
        if equation.outvars[0].aval.shape != tuple(longer):
            return None
        return Told("repeat", (x,), {"axis": axis, "times": times}), [wide]

    def _resize(self, equation: Any) -> tuple[Told, list[Any]] | None:
        return resize(equation, self._imagined, lambda atom: self._maker(atom, "dot_general"))
