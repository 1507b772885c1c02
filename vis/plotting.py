"""The only place with colour: maps as pictures and figures.

Maps without negative values are drawn from dark to bright, signed maps in diverging colours centred on 0.
Figures are returned, neither shown nor registered with pyplot: `figure.savefig("picture.png")`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from vis import checks, maps
from vis.errors import InputError

SEQUENTIAL = "inferno"
DIVERGING = "RdBu_r"


def colorize(array: npt.ArrayLike) -> npt.NDArray[np.uint8]:
    """Return a map as an RGB picture.

    Args:
        array: `(height, width)`; values without a sign are drawn from 0 to their maximum, values of
            both signs from -m to m with m their largest magnitude.

    Returns:
        `(height, width, 3)`, uint8.

    Raises:
        InputError: if the map is not two-dimensional or not finite.
    """
    mappable = _mappable(_finite(array, ndim=2))
    rgba: npt.NDArray[np.uint8] = mappable.to_rgba(np.asarray(array, np.float64), bytes=True)
    return rgba[..., :3]


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
    values = _finite(saliency)
    figure = Figure(figsize=(9.6, 3.4), layout="constrained")
    if title:
        figure.suptitle(title)
    if values.ndim == 1:
        _plot_series(figure, np.asarray(image), values, name)
        return figure
    picture = _picture(image, values.shape)
    axes = figure.subplots(1, 3)
    _show(axes[0], picture, "input")
    _show(axes[1], colorize(values), name)
    _show(axes[2], picture, f"{name} over input")
    axes[2].imshow(colorize(values), interpolation="nearest", alpha=0.6)
    figure.colorbar(_mappable(values), ax=axes[1], fraction=0.046)
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
        drawn = [colorize(_finite(column[row], ndim=2)) for column in columns.values()]
        pictures = [_picture(image, drawn[0].shape[:2]), *drawn]
        for column, (name, picture) in enumerate(zip(("input", *columns), pictures, strict=True)):
            axes = grid[row, column]
            _show(axes, picture, name if row == 0 else "")
            if len(boxes):
                _outline(axes, boxes[row], "white" if column else "lime")
        if len(row_names):
            grid[row, 0].set_ylabel(row_names[row])
    return figure


def plot_spread(
    ticks: Sequence[str],
    panels: Mapping[str, Mapping[str, npt.ArrayLike]],
    title: str = "",
    xlabel: str = "",
) -> Figure:
    """Return a figure of panels, one above the other, with a line for each of the same methods in each.

    A line is the median over the samples, with the middle half of the samples as a band; NaN is left out.

    Args:
        ticks: names along the horizontal axis.
        panels: by the panel's name, by the method's: values `(ticks, N)`.
        title: stands above the figure.
        xlabel: stands under the lowest panel.

    Raises:
        InputError: if there is no panel or method, or values have no row per tick.
    """
    shapes = {name: np.shape(rows) for panel in panels.values() for name, rows in panel.items()}
    if not shapes or any(len(shape) != 2 or shape[0] != len(ticks) for shape in shapes.values()):
        raise InputError(f"A line has values (ticks, N), here ({len(ticks)}, N). Received: {shapes}.")
    figure = Figure(figsize=(2.4 + 0.45 * len(ticks), 0.8 + 2.2 * len(panels)), layout="constrained")
    if title:
        figure.suptitle(title)
    axes = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
    for place, (panel, lines) in zip(axes, panels.items(), strict=True):
        for number, (name, rows) in enumerate(lines.items()):
            kept = [row[~np.isnan(row)] for row in np.asarray(rows, np.float64)]
            spread = [np.quantile(row, (0.25, 0.5, 0.75)) if row.size else [np.nan] * 3 for row in kept]
            low, middle, high = np.transpose(spread)
            place.plot(middle, marker="o", markersize=3, color=f"C{number}", label=name)
            place.fill_between(range(len(ticks)), low, high, color=f"C{number}", alpha=0.2, linewidth=0)
        place.axhline(0, color="0.7", linewidth=0.8)
        place.set_ylabel(panel)
    axes[0].legend(fontsize="small")
    axes[-1].set_xticks(range(len(ticks)), ticks, rotation=60, ha="right", fontsize="small")
    axes[-1].set_xlabel(xlabel)
    return figure


def _finite(array: npt.ArrayLike, ndim: int | None = None) -> npt.NDArray[np.float64]:
    values = checks.real(array, "A map").astype(np.float64)
    known = values.ndim in ((1, 2) if ndim is None else (ndim,)) and values.size
    if not known or not np.isfinite(values).all():
        raise InputError(
            "A map is finite and has the axes (height, width), or one axis. Received: shape "
            f"{values.shape} with {np.count_nonzero(~np.isfinite(values))} values not finite."
        )
    return values


def _mappable(values: npt.NDArray[np.float64]) -> ScalarMappable:
    largest = float(np.abs(values).max()) or 1.0
    signed = bool(values.min() < 0)
    scale = Normalize(-largest if signed else 0.0, largest)
    return ScalarMappable(scale, matplotlib.colormaps[DIVERGING if signed else SEQUENTIAL])


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


def _show(axes: Axes, picture: npt.NDArray[np.uint8], title: str) -> None:
    axes.imshow(picture, interpolation="nearest")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_title(title, fontsize="medium")


def _outline(axes: Axes, mask: npt.NDArray[np.bool_], color: str) -> None:
    if not mask.any():
        raise InputError("A box is a mask with something inside. Received: a mask without a place.")
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    left, top = columns[0] - 0.5, rows[0] - 0.5
    right, bottom = columns[-1] + 0.5, rows[-1] + 0.5
    axes.plot([left, right, right, left, left], [top, top, bottom, bottom, top], color=color, linewidth=0.8)


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
    lower.bar(np.arange(len(values)), values, color=_mappable(values).to_rgba(values))
    lower.set_title(name, fontsize="medium")
