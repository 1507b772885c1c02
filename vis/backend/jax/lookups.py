"""The primitive `gather` in the terms of `vis.graph.words`: a slice, a lookup along an axis, or a resize."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from vis.backend.jax.attributes import Told, size, sliced, whole
from vis.backend.jax.known import Known
from vis.backend.jax.resizes import nearest


def lookup(equation: Any, known: Known, imagined: Known, makers: Mapping[Any, Any]) -> Told | None:
    """Return what a `gather` computes, or None if there is no word for it.

    Args:
        equation: the equation.
        known: what is known before it runs.
        imagined: what would be known if the sizes of the inputs were.
        makers: the equation that computes each variable.
    """
    x, indices = equation.invars
    if equation.params["dimension_numbers"].operand_batching_dims:
        return None
    array = known.full(indices)
    example = imagined.full(indices) if array is None else array
    found = None if example is None else _slice(equation, example, array is None)
    if found is not None or (array is None and example is not None):
        return found
    axis = _axis(equation)
    if axis is None:
        return None
    if array is not None:
        array = array[..., 0]
        return nearest(x, axis, array) or Told("gather", (x, array), {"axis": axis})
    source = without_axis(indices, len(indices.aval.shape) - 1, makers)
    return None if source is None else Told("gather", (x, source), {"axis": axis})


def _axis(equation: Any) -> int | None:
    """Return the axis along which whole positions are looked up, or None."""
    numbers, sizes = equation.params["dimension_numbers"], equation.params["slice_sizes"]
    x, indices = equation.invars
    moved, lengths = whole(numbers.start_index_map), x.aval.shape
    if len(moved) != 1 or whole(numbers.collapsed_slice_dims) != moved:
        return None
    (axis,) = moved
    stop = axis + len(indices.aval.shape) - 1
    kept = tuple(place for place in range(len(equation.outvars[0].aval.shape)) if not axis <= place < stop)
    wholes = (*lengths[:axis], sizes[axis], *lengths[axis + 1 :])
    return axis if whole(numbers.offset_dims) == kept and tuple(sizes) == wholes else None


def _slice(equation: Any, indices: npt.NDArray[Any], is_example: bool) -> Told | None:
    """Return a slice if positions are taken at equal steps along axes that stay in order.

    Args:
        equation: a `gather`.
        indices: what it looks up.
        is_example: whether the indices are those for an example of sizes that vary.
    """
    (x, _), sizes = equation.invars, equation.params["slice_sizes"]
    moved = whole(equation.params["dimension_numbers"].start_index_map)
    lengths = x.aval.shape
    begin, end, strides = [0] * len(lengths), list(lengths), [1] * len(lengths)
    runs: dict[int, int] = {}
    for part, axis in zip(np.moveaxis(indices, -1, 0), moved, strict=True):
        varying = [at for at in range(part.ndim) if np.any(np.diff(part, axis=at))]
        first, length = int(part.flat[0]) if part.size else 0, size(lengths[axis])
        step = _step(np.moveaxis(part, varying[0], 0)) if len(varying) == 1 else None
        if len(varying) > 1 or (varying and (step is None or varying[0] in runs)):
            return None
        if is_example and length is None and not 0 <= first < (step or 1):
            return None  # the first position may depend on the size
        begin[axis] = first
        if step is not None:
            runs[varying[0]], strides[axis] = axis, step
            if length is not None or not is_example:  # otherwise, it goes on to the end
                end[axis] = first + step * (part.shape[varying[0]] - 1) + (1 if step > 0 else -1)
        elif sizes[axis] != lengths[axis]:
            begin[axis] = first if length is None else min(first, length - sizes[axis])
            end[axis] = begin[axis] + sizes[axis]
        else:
            begin[axis] = 0
    kept = _in_order(equation, runs, indices.shape[:-1])
    if kept is None:
        return None
    dropped = tuple(axis for axis in range(len(lengths)) if axis not in kept)
    return Told("slice", (x,), {**sliced(x, begin, end, strides), "dropped": dropped})


def _step(rows: npt.NDArray[Any]) -> int | None:
    """Return the step between the rows of an array, or None if it is not the same for all."""
    steps = set(np.diff(rows, axis=0).ravel())
    return int(steps.pop()) if len(steps) == 1 else None


def _in_order(equation: Any, runs: Mapping[int, int], shape: Sequence[int]) -> list[int] | None:
    """Return the axes of x that the axes of the output of a `gather` are, or None if they are not in order.

    Args:
        equation: the equation.
        runs: the axes of x along which the axes of the indices run.
        shape: the sizes of the axes of the indices.
    """
    numbers, rank = equation.params["dimension_numbers"], len(equation.outvars[0].aval.shape)
    dropped = whole(numbers.collapsed_slice_dims)
    others = iter(axis for axis in range(len(equation.invars[0].aval.shape)) if axis not in dropped)
    single = [axis for axis in dropped if axis not in runs.values()]
    kept: list[int] = []
    along = iter(range(len(shape)))
    for place in range(rank):
        if place in numbers.offset_dims:
            kept.append(next(others))
            continue
        at = next(along)
        if at in runs:
            kept.append(runs[at])
            continue
        # One position: of an axis that is left.
        left = [axis for axis in single if axis not in kept and (not kept or axis > kept[-1])]
        if shape[at] != 1 or not left:
            return None
        kept.append(left[0])
    return kept if kept == sorted(set(kept)) else None


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
