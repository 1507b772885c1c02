"""Images with their maps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from vis import checks, maps
from vis.errors import InputError
from vis.plotting.colors import colorize, finite, mappable
from vis.plotting.figures import Figure, outline, show


def plot_saliency(
    image: npt.ArrayLike, saliency: npt.ArrayLike, title: str = "", name: str = "saliency"
) -> Figure:
    """Return a figure of an input, its map with a colour bar, and the map laid over the input.

    Args:
        image: `(height, width)` or `(height, width, channels)`; or `(steps, channels)` or `(features,)`
            for a map of one dimension, which is drawn as bars under the input's line.
        saliency: `(height, width)`, or `(steps,)` or `(features,)`.
        title: stands above the figure.
        name: what the map is called.

    Raises:
        InputError: if the shapes do not belong together, or the map is not finite.
    """
    values = finite(saliency)
    figure = Figure(figsize=(9.6, 3.4), layout="constrained")
    if title:
        figure.suptitle(title)
    if values.ndim == 1:
        _plot_series(figure, np.asarray(image), values, name)
        return figure
    picture = _picture(image, values.shape)
    axes = figure.subplots(1, 3)
    show(axes[0], picture, "input")
    show(axes[1], colorize(values), name)
    show(axes[2], picture, f"{name} over input")
    axes[2].imshow(colorize(values), interpolation="nearest", alpha=0.6)
    figure.colorbar(mappable(values), ax=axes[1], fraction=0.046)
    return figure


def plot_grid(
    images: Sequence[npt.ArrayLike],
    columns: Mapping[str, Sequence[npt.ArrayLike]],
    row_names: Sequence[str] = (),
    title: str = "",
    boxes: Sequence[npt.NDArray[np.bool_]] = (),
) -> Figure:
    """Return a figure with a row per input and a column per method, the inputs in the first column.

    Each map has its own colour scale: methods differ in scale, and what is compared is where they point.

    Args:
        images: the inputs, `(height, width)` or `(height, width, channels)` each.
        columns: the maps by the name of their method, one per input.
        row_names: a name for each row.
        title: stands above the figure.
        boxes: for each input a mask `(height, width)` whose bounding box is outlined.

    Raises:
        InputError: if a column or the names do not have one entry per input, or shapes differ.
    """
    count = len(images)
    lengths = {**{name: len(column) for name, column in columns.items()}}
    lengths |= {key: len(given) for key, given in (("row_names", row_names), ("boxes", boxes)) if len(given)}
    if not count or not columns or any(length != count for length in lengths.values()):
        raise InputError(f"A grid needs one entry per input. Received: {count} inputs and {lengths}.")
    figure = Figure(figsize=(1.55 * (len(columns) + 1), 1.6 * count + 0.7), layout="constrained")
    if title:
        figure.suptitle(title)
    grid = figure.subplots(count, len(columns) + 1, squeeze=False)
    for row, image in enumerate(images):
        drawn = [colorize(finite(column[row], ndim=2)) for column in columns.values()]
        pictures = [_picture(image, drawn[0].shape[:2]), *drawn]
        for column, (name, picture) in enumerate(zip(("input", *columns), pictures, strict=True)):
            axes = grid[row, column]
            show(axes, picture, name if row == 0 else "")
            if len(boxes):
                outline(axes, boxes[row], "white" if column else "lime")
        if len(row_names):
            grid[row, 0].set_ylabel(row_names[row])
    return figure


def _picture(image: npt.ArrayLike, shape: tuple[int, ...]) -> npt.NDArray[np.uint8]:
    """Return an input as an RGB picture; values outside [0, 1] are scaled to their range."""
    array = checks.real(image, "An input")
    if array.ndim == 4 and array.shape[0] == 1:
        array = array[0]
    if array.ndim == 3 and array.shape[:2] != shape and array.shape[1:] == shape:
        array = np.moveaxis(array, 0, -1)
    if array.ndim not in (2, 3) or array.shape[:2] != shape:
        raise InputError(f"The input must lie under its map of shape {shape}. Received: shape {array.shape}.")
    if array.ndim == 2:
        array = array[..., None]
    if array.shape[-1] != 3:
        array = np.repeat(array.astype(np.float64).mean(axis=-1, keepdims=True), 3, axis=-1)
    if array.dtype == np.uint8:
        return array
    array = array if np.isfinite(array).all() else maps.normalize(array)
    inside = array.min() >= 0.0 and array.max() <= 1.0
    return np.rint(255 * (array if inside else maps.normalize(array))).astype(np.uint8)


def _plot_series(
    figure: Figure, series: npt.NDArray[Any], values: npt.NDArray[np.float64], name: str
) -> None:
    if series.ndim > 1 and series.shape[0] == 1 and series.shape[1] == len(values):
        series = series[0]
    if series.shape[:1] != values.shape:
        raise InputError(
            f"The input must lie under its map of {len(values)}. Received: shape {series.shape}."
        )
    upper, lower = figure.subplots(2, 1, sharex=True)
    upper.plot(series.reshape(len(values), -1), linewidth=1)
    upper.set_title("input", fontsize="medium")
    lower.bar(np.arange(len(values)), values, color=mappable(values).to_rgba(values))
    lower.set_title(name, fontsize="medium")
