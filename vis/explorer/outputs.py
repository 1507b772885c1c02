"""What the outputs of a model or a layer say of a sample: the best classes, and what each filter gives."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
import numpy.typing as npt

from vis import models, plotting
from vis.explorer.drawings import CLIP, png
from vis.explorer.slots import Array

# Filters in a grid, tiles in a row of it, and the longest side of a tile.
_MOST, _COLUMNS, _TILE = 512, 16, 48


def best(output: Array, operation: Any) -> dict[str, Any]:
    """Return the five largest values of an output, in the mean over positions, and how many there are.

    Args:
        output: for one sample, without the batch axis.
        operation: what makes it.
    """
    values = _over_positions(output, operation).astype(np.float64)
    order = np.argsort(-values, kind="stable")[:5]
    best = [{"target": int(each), "value": _finite(values[each])} for each in order]
    return {"best": best, "count": len(values)}


def filters(output: Array, operation: Any) -> dict[str, Any]:
    """Return the mean of each filter, and for those with rows and columns a sheet of pictures.

    Args:
        output, operation: as `best`.
    """
    values = _over_positions(output, operation)
    found: dict[str, Any] = {"means": [_finite(each) for each in values[:_MOST]], "count": len(values)}
    if output.ndim != 3:
        return {**found, "sheet": None}
    axis = models.filter_axis(operation, 4) % 4 - 1
    sheet, side, columns = _sheet(np.moveaxis(output, axis, -1))
    return {**found, "sheet": base64.b64encode(png(sheet)).decode(), "tile": side, "columns": columns}


def _sheet(output: Array) -> tuple[npt.NDArray[np.uint8], int, int]:
    """Return the channels of `(height, width, channels)` side by side in colours, on one scale.

    Returns:
        the picture, the side of a tile, and the number of tiles in a row.
    """
    step = max(1, -(-max(output.shape[:2]) // _TILE))
    tiles = output[::step, ::step, :_MOST]
    side, count = max(tiles.shape[:2]), tiles.shape[2]
    columns = min(count, _COLUMNS)
    sheet = np.zeros((-(-count // columns) * side, columns * side))
    for number in range(count):
        top, left = side * (number // columns), side * (number % columns)
        sheet[top : top + tiles.shape[0], left : left + tiles.shape[1]] = tiles[..., number]
    return plotting.colorize(sheet, clip_percentile=CLIP), side, columns


def _over_positions(output: Array, operation: Any) -> Array:
    """Return the mean over positions, `(filters,)`."""
    if output.ndim == 0:
        return output[None]
    axis = models.filter_axis(operation, output.ndim + 1) % (output.ndim + 1) - 1
    return np.asarray(output.mean(axis=tuple(i for i in range(output.ndim) if i != axis)))


def _finite(value: Any) -> float | None:
    """Return a number as JSON can hold it: None for NaN and infinity."""
    return float(value) if np.isfinite(value) else None
