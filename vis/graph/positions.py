"""The axes of a value that hold positions, and where the positions lie in an input."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from vis.graph.geometry import Geometry
from vis.graph.views import UNKNOWN, Part, View
from vis.graph.words import Value

Grid = tuple[int, int]


@dataclass(frozen=True)
class Along:
    """Where the positions lie along an axis of the input.

    Args:
        source: the axis of the input.
        dimension: the dimension of the positions that runs along it; None if all see the same part of it.
        stride, offset: position i has its centre at `stride * i + offset`.
        reach: how far a position sees to both sides of its centre.
        bounds: the first and the last input position that is seen at all.
    """

    source: int
    dimension: int | None
    stride: float
    offset: float
    reach: float
    bounds: tuple[float, float]


@dataclass(frozen=True)
class Positions:
    """The positions of a value in an input.

    Args:
        axes: the axes of the value that hold them.
        starts: how many other entries, such as class tokens, come first on each of these axes.
        grids: the sizes that make up each of these axes: one, or rows and columns.
        along: one entry per axis of the input that a map covers; None if the positions could not be followed
            and are stretched over the input.
        sources: the axes of the input that a map covers.
        lost: what could not be followed.
        is_computed: whether the value holds features, and not just the scaled or cropped input.
    """

    axes: tuple[int, ...]
    starts: tuple[int, ...]
    grids: tuple[tuple[int, ...], ...]
    along: tuple[Along, ...] | None
    sources: tuple[int, ...]
    lost: str
    is_computed: bool

    @property
    def sizes(self) -> tuple[int, ...]:
        return tuple(size for grid in self.grids for size in grid)

    @property
    def count(self) -> int:
        return math.prod(self.sizes)

    def moved(self, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return an array of the value, `(batch, ...)`, as `(batch, *sizes, channels)`."""
        for axis, start, grid in zip(self.axes, self.starts, self.grids, strict=True):
            taken = [slice(None)] * array.ndim
            taken[axis] = slice(start, start + math.prod(grid))
            array = array[tuple(taken)]
        front = np.moveaxis(array, self.axes, range(1, len(self.axes) + 1))
        return front.reshape(len(front), *self.sizes, -1)


def positions_of(
    geometry: Geometry, value: Value, channels: tuple[int, int], grid: Grid | None = None, named: bool = False
) -> Positions | None:
    """Return the positions of a value in the source of a geometry, or None if it has none.

    Args:
        geometry: how values depend on the input.
        value: the value.
        channels: the channel axes of the input and the value, if the computation does not show them.
        grid: rows and columns of its tokens, if the computation does not show them.
        named: whether the user named the value: then an axis that has lost its positions counts too.
    """
    view = geometry.views.get(value)
    apart = geometry.channel_axes(channels[0])
    sources = tuple(axis for axis in range(1, len(geometry.source.shape or ())) if axis not in apart)
    if view is None or not sources:
        return None
    rank = len(view.axes)
    features = channels[1] % rank
    followed, open_ = [], []
    for index, axis in enumerate(view.axes[1:], start=1):
        if axis.is_followed and axis.sources <= set(sources):
            followed.append(index)
        elif axis.is_unknown:
            open_.append(index)
    if named and not followed and not open_:
        open_ = [index for index, axis in enumerate(view.axes[1:], start=1) if axis.size > 1]
    if len(followed) + len(open_) == rank - 1:
        open_ = [index for index in open_ if index != features]
    axes = tuple(sorted([*followed, *open_]))
    grids = tuple(
        tuple(part.size for part in view.axes[index].parts) if index in followed else (view.axes[index].size,)
        for index in axes
    )
    starts = tuple(view.axes[index].start if index in followed else 0 for index in axes)
    lost = view.lost or ("positions are mixed in this layer or before it" if open_ else "")
    parts = [part for index in axes for part in view.axes[index].parts]
    runs = [part.source for part in parts]
    if len(set(runs) - {UNKNOWN}) < len(runs) and not open_:
        open_, lost = list(axes), "positions along one axis of the input have been split"
    if grid is not None and grids != (grid,):
        token = [index for index in range(1, rank) if index != features]
        if rank != 3 or view.axes[token[0]].size < math.prod(grid):
            return None
        start = view.axes[token[0]].size - math.prod(grid)
        return Positions((token[0],), (start,), (grid,), None, sources, "", view.is_computed)
    if not axes:
        return None
    rows = _rows(view, sources, parts)
    along = None if open_ else rows
    return Positions(axes, starts, grids, along, sources, lost if open_ else "", view.is_computed)


def tokens_of(
    geometry: Geometry, value: Value, axis: int, channels: int, grid: Grid | None = None
) -> Positions | None:
    """Return the positions of an array `(batch, tokens)`, for tokens that run along an axis of a value.

    None if they are not known.

    Args:
        geometry: how values depend on the input.
        value: the value.
        axis: its axis.
        channels: the channel axis of the input, if the computation does not show it.
        grid: rows and columns of the tokens, if the computation does not show them.
    """
    view = geometry.views.get(value)
    apart = geometry.channel_axes(channels)
    sources = tuple(each for each in range(1, len(geometry.source.shape or ())) if each not in apart)
    if view is None or not sources:
        return None
    own = view.axes[axis]
    sizes, runs = tuple(part.size for part in own.parts), [part.source for part in own.parts]
    is_followed = own.is_followed and set(runs) <= set(sources) and len({*runs}) == len(runs)
    if grid is not None and not (is_followed and sizes == grid):
        start = own.size - math.prod(grid)
        found = Positions((1,), (start,), (grid,), None, sources, "", view.is_computed)
        return None if start < 0 or len(sources) != len(grid) else found
    if is_followed:
        rows = _rows(view, sources, own.parts)
        return Positions((1,), (own.start,), (sizes,), rows, sources, "", view.is_computed)
    if len(sources) > 1 or not own.is_unknown:
        return None
    return Positions((1,), (0,), ((own.size,),), None, sources, view.lost, view.is_computed)


def _rows(view: View, sources: Sequence[int], parts: Sequence[Part]) -> tuple[Along, ...]:
    """Return where the positions of some parts of axes lie along each axis of the input."""
    runs = [part.source for part in parts]
    rows = []
    for source in sources:
        dimension = runs.index(source) if source in runs else None
        stride = 0.0 if dimension is None else parts[dimension].stride
        rows.append(
            Along(source, dimension, stride, view.offsets[source], view.reach[source], view.bounds[source])
        )
    return tuple(rows)


def is_seen(geometry: Geometry, value: Value, found: Positions) -> bool:
    """Tell whether a value sees more than one position of the source of a geometry.

    Args:
        geometry: how values depend on a value that has positions.
        value: the dependent value.
        found: the positions.
    """
    view = geometry.views.get(value)
    if view is None:
        return False
    for axis, start, grid in zip(found.axes, found.starts, found.grids, strict=True):
        low, high = view.bounds[axis]
        if min(high, start + math.prod(grid) - 1) - max(low, start) >= 1:
            return True
    return False
