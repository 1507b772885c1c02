"""How a value depends on an input: along which input axes its own axes run."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

# What a part is if it does not run along an axis of the input: a mixture of everything (channels), copies of
# one thing, something that could not be followed, or an axis with a start that has been joined to another.
MIXED, COPIES, UNKNOWN, INNER = -1, -2, -3, -4


@dataclass(frozen=True)
class Part:
    """A part of an axis.

    Args:
        size: how many positions it has.
        source: the axis of the input that it runs along, or one of the constants above.
        stride: the distance of its positions there.
        inner: the axis that it consists of, if that has been joined to another as a whole.
    """

    size: int
    source: int = MIXED
    stride: float = 0.0
    inner: Axis | None = None


@dataclass(frozen=True)
class Axis:
    """An axis of a value: its parts, outermost first, or none if it has one position; other entries may come
    before them (`start`) and after them.
    """

    size: int
    parts: tuple[Part, ...] = ()
    start: int = 0

    @property
    def is_followed(self) -> bool:
        """Whether each position can be located along axes of the input."""
        return bool(self.parts) and all(part.source >= 0 for part in self.parts)

    @property
    def is_unknown(self) -> bool:
        return any(part.source == UNKNOWN for part in self.parts)

    @property
    def span(self) -> int:
        return math.prod(part.size for part in self.parts)

    @property
    def is_whole(self) -> bool:
        return self.span == self.size

    @property
    def sources(self) -> set[int]:
        """The axes of the input that it runs along."""
        found = {part.source for part in self.parts if part.source >= 0}
        return found.union(*(part.inner.sources for part in self.parts if part.inner is not None))


def plain(size: int, kind: int = MIXED) -> Axis:
    """Return an axis of one kind of part."""
    return Axis(size, (Part(size, kind),) if size != 1 else ())


@dataclass(frozen=True)
class View:
    """How a value depends on an input, position by position.

    Args:
        axes: the axes of the value.
        offsets: the centre of the first position, for each axis of the input.
        reach: how far the receptive field of a position extends to both sides of its centre.
        bounds: the first and the last input position that is seen at all; an empty range if none is.
        everywhere: the axes along which every position sees everything that is seen.
        is_computed: whether the value holds features, computed by more than elementwise arithmetic.
        lost: the first operation that could not be followed.
    """

    axes: tuple[Axis, ...]
    offsets: tuple[float, ...]
    reach: tuple[float, ...]
    bounds: tuple[tuple[float, float], ...]
    everywhere: frozenset[int] = frozenset()
    is_computed: bool = False
    lost: str = ""

    def with_axis(self, index: int, axis: Axis) -> View:
        return replace(self, axes=(*self.axes[:index], axis, *self.axes[index + 1 :]))

    def mixed(self, index: int, kind: int = MIXED, size: int | None = None) -> View:
        """Return the view with an axis whose positions are no longer distinct."""
        axis = self.axes[index]
        size = axis.size if size is None else size
        return replace(self.with_axis(index, plain(size, kind)), everywhere=self.everywhere | axis.sources)

    def moved(self, index: int, size: int, scale: float = 1, shift: float = 0, reach: float = 0) -> View:
        """Return the view after position i of an axis has come from around `scale * i + shift`.

        Args:
            index: the index of the axis.
            size: its new size.
            scale, shift: see above.
            reach: how far around that.
        """
        axis = self.axes[index]
        if (size, scale, shift, reach) == (axis.size, 1, 0, 0):
            return self
        if not axis.sources or axis.is_unknown:
            kinds = {part.source for part in axis.parts} or {MIXED}
            return self.mixed(index, kinds.pop() if len(kinds) == 1 else UNKNOWN, size)
        if len(axis.parts) > 1 or not axis.is_whole:
            if scale != 1 or reach:
                return self.mixed(index, UNKNOWN, size)
            return self._shifted(index, axis, size, int(axis.start - shift))
        (part,) = axis.parts
        made = Axis(size, (Part(size, part.source, part.stride * scale),) if size != 1 else ())
        moved = replace(
            self.with_axis(index, made),
            offsets=changed(self.offsets, part.source, part.stride * shift),
            reach=changed(self.reach, part.source, abs(part.stride) * reach),
        )
        return moved.narrowed(part.source)

    def _shifted(self, index: int, axis: Axis, size: int, start: int) -> View:
        if 0 <= start and start + axis.span <= size:
            return self.with_axis(index, Axis(size, axis.parts, start))
        if 0 < start + axis.span and start < size:
            return self.mixed(index, UNKNOWN, size)
        # Only tokens without a position are left.
        bounds = list(self.bounds)
        for source in axis.sources - self.everywhere:
            bounds[source] = (math.inf, -math.inf)
        return replace(self.with_axis(index, plain(size)), bounds=tuple(bounds))

    def narrowed(self, source: int) -> View:
        """Return the view with the bounds on one input axis reduced to what its positions now see."""
        if source in self.everywhere:
            return self
        low = high = self.offsets[source]
        for axis in self.axes:
            for part in axis.parts:
                if part.source == source:
                    far = part.stride * (part.size - 1)
                    low, high = low + min(far, 0), high + max(far, 0)
        first, last = self.bounds[source]
        cut = (max(first, low - self.reach[source]), min(last, high + self.reach[source]))
        return replace(self, bounds=(*self.bounds[:source], cut, *self.bounds[source + 1 :]))


def changed(numbers: tuple[float, ...], index: int, by: float) -> tuple[float, ...]:
    return (*numbers[:index], numbers[index] + by, *numbers[index + 1 :])


def joined(views: Sequence[View]) -> tuple[tuple[float, float], ...]:
    """Return the bounds of what several views see together."""
    pairs = zip(*(view.bounds for view in views), strict=True)
    return tuple((min(low for low, _ in pair), max(high for _, high in pair)) for pair in pairs)


def rank(axis: Axis) -> int:
    """Return how informative an axis is; of several that are joined, the most informative one counts."""
    if axis.is_followed:
        return 4
    if axis.is_unknown:
        return 3
    return 0 if not axis.parts else 1 if axis.parts[0].source == COPIES else 2


def merged(views: Sequence[View]) -> View:
    """Return the view of values that have been combined elementwise, with the same number of axes."""
    first = views[0]
    if len(views) == 1:
        return first
    axes, offsets = [], list(first.offsets)
    reach = list(map(max, zip(*(view.reach for view in views), strict=True)))
    lost = next((view.lost for view in views if view.lost), "")
    apart: set[int] = set()
    for columns in zip(*(view.axes for view in views), strict=True):
        axes.append(max(columns, key=rank))
        followed = [axis for axis in columns if axis.is_followed]
        if any(not alike(axis, followed[0]) for axis in followed[1:]):
            apart = apart.union(*(axis.sources for axis in followed))
    for source in set().union(*(axis.sources for axis in axes)):
        centres = [view.offsets[source] for view in views if runs_along(view, source)]
        step = max(
            (abs(part.stride) for axis in axes for part in axis.parts if part.source == source), default=0
        )
        low, high = min(centres), max(centres)
        # Branches that differ by less than a position, for example by one-sided padding: use the middle.
        offsets[source] = (low + high) / 2
        reach[source] += (high - low) / 2
        if high - low > step:
            apart.add(source)
    view = View(
        tuple(axes),
        tuple(offsets),
        tuple(reach),
        joined(views),
        frozenset().union(*(view.everywhere for view in views)),
        any(view.is_computed for view in views),
        lost,
    )
    for index, axis in enumerate(axes):
        if apart & axis.sources:
            view = view.mixed(index, UNKNOWN)
    return view


def alike(one: Axis, other: Axis) -> bool:
    if len(one.parts) != len(other.parts) or (one.start, one.size) != (other.start, other.size):
        return False
    return all(
        (a.size, a.source) == (b.size, b.source) and math.isclose(a.stride, b.stride)
        for a, b in zip(one.parts, other.parts, strict=True)
    )


def runs_along(view: View, source: int) -> bool:
    return any(source in axis.sources for axis in view.axes)
