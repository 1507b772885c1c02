"""The primitive `gather` in the terms of `vis.graph.words`: a slice, a lookup along an axis, or a resize."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from vis.backend.jax.attributes import Sizes, Told, whole, window_of
from vis.backend.jax.known import Known


def lookup(equation: Any, known: Known, makers: Mapping[Any, Any]) -> Told | None:
    """Return what a `gather` computes, or None if there is no word for it.

    Args:
        equation: the equation.
        known: what is known before it runs.
        makers: the equation that computes each variable.
    """
    numbers, sizes = equation.params["dimension_numbers"], equation.params["slice_sizes"]
    x, indices = equation.invars
    dropped, moved = whole(numbers.collapsed_slice_dims), whole(numbers.start_index_map)
    if numbers.operand_batching_dims:
        return None
    if len(indices.aval.shape) == 1:
        taken = known.full(indices)
        if taken is None:
            return None
        begins = [0] * len(sizes)
        for axis, first in zip(moved, taken, strict=True):
            begins[axis] = int(first)
        return Told("slice", (x,), window_of(x, begins, sizes, dropped))
    count = len(indices.aval.shape) - 1
    if len(moved) != 1 or dropped != moved:
        return None
    (axis,) = moved
    rank, lengths = len(equation.outvars[0].aval.shape), x.aval.shape
    kept = tuple(place for place in range(rank) if not axis <= place < axis + count)
    wholes = (*lengths[:axis], sizes[axis], *lengths[axis + 1 :])
    if whole(numbers.offset_dims) != kept or tuple(sizes) != wholes:
        return None
    array = known.full(indices)
    if array is not None:
        array = array[..., 0]
        return _nearest(x, axis, array) or Told("gather", (x, array), {"axis": axis})
    source = without_axis(indices, count, makers)
    return None if source is None else Told("gather", (x, source), {"axis": axis})


def without_axis(atom: Any, axis: int, makers: Mapping[Any, Any]) -> Any:
    """Return the variable that a variable with an axis of size 1 was made of by adding that axis, or None."""
    shape, maker = atom.aval.shape, makers.get(atom)
    if maker is None or shape[axis] != 1:
        return None
    (source, *_), shorter = maker.invars, (*shape[:axis], *shape[axis + 1 :])
    name = maker.primitive.name
    if source.aval.shape != shorter or name not in ("broadcast_in_dim", "reshape", "expand_dims"):
        return None
    along = maker.params.get("broadcast_dimensions")
    kept = tuple(place for place in range(len(shape)) if place != axis)
    return source if along is None or whole(along) == kept else None


def _nearest(x: Any, axis: int, indices: npt.NDArray[Any]) -> Told | None:
    """Return a resize if each position takes the nearest one, other than at equal steps."""
    old, new = x.aval.shape[axis], indices.size
    if indices.ndim != 1 or not isinstance(old, int) or new < 2 or len(set(np.diff(indices))) == 1:
        return None
    # Rounded down, up to the precision with which the positions were computed.
    behind = (np.arange(new) + 0.5) * old / new - indices
    if np.any(behind < -1e-3) or np.any(behind > 1 + 1e-3):
        return None
    return resized(x, {axis: new}, "nearest")


def resized(x: Any, sizes: Mapping[int, int], method: str, start: str = "half_pixel_centers") -> Told:
    """Return a resize.

    Args:
        x: what is resized.
        sizes: the new size of each axis that is resized.
        method: how.
        start: the attribute that says where the first position lies, or an empty text.
    """
    axes = tuple(sorted(sizes))
    places = {name: name == start for name in ("align_corners", "half_pixel_centers")}
    return Told(
        "resize", (x, Sizes(tuple(sizes[axis] for axis in axes))), {"axes": axes, "method": method, **places}
    )
