"""Volumes and videos with their maps, slice by slice."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.colors import Colormap
from numpy.typing import ArrayLike

from vis import checks
from vis.errors import InputError
from vis.plotting import figures
from vis.plotting.colors import Look, LookOptions, Scale, finite
from vis.plotting.figures import Figure
from vis.plotting.over import ALPHA, as_picture, laid_over
from vis.plotting.paper import bar_beside

if TYPE_CHECKING:
    from typing_extensions import Unpack


class _Options(LookOptions, total=False):
    axis: int
    slices: int | Sequence[int]
    choose: str
    unit: str
    name: str
    colorbar: bool
    alpha: float
    size: tuple[float, float] | None


@overload
def plot_volume(
    volume: ArrayLike, values: ArrayLike, title: str = "", *, ax: None = None, **options: Unpack[_Options]
) -> Figure: ...
@overload
def plot_volume(
    volume: ArrayLike, values: ArrayLike, title: str = "", *, ax: Axes, **options: Unpack[_Options]
) -> Axes: ...
@overload
def plot_volume(
    volume: ArrayLike, values: ArrayLike, title: str = "", *, ax: Axes | None, **options: Unpack[_Options]
) -> Figure | Axes: ...
def plot_volume(
    volume: ArrayLike,
    values: ArrayLike,
    title: str = "",
    *,
    axis: int = 0,
    slices: int | Sequence[int] = 12,
    choose: str = "evenly",
    unit: str = "slice",
    name: str = "map",
    cmap: str | Colormap | None = None,
    alpha: float = ALPHA,
    clip_percentile: float = 1,
    signed: bool | None = None,
    absolute: bool = False,
    colorbar: bool = True,
    size: tuple[float, float] | None = None,
    ax: Axes | None = None,
) -> Figure | Axes:
    """Return a contact sheet: slices of a volume, or frames of a video, with the map laid over them.

    All slices share one scale, that of the whole map; see `overlay_map` for the overlay.

    Args:
        volume: `(D, H, W)` or `(D, H, W, channels)`, also with a first axis of length 1; a video `(T, H, W,
            channels)`.
        values: its map, `(D, H, W)` or `(D, H, W, 1)`, also with a first axis of length 1.
        title: a title above the figure.
        axis: the axis along which the slices lie: 0, 1 or 2 for D, H or W.
        slices: the number of slices, or a list of their indices.
        choose: which slices, if there are more: `"evenly"` from the first to the last, or `"most"`: those
            with the largest sum of magnitudes in the map. The figure says which.
        unit: the name of a slice in the title above it: `"frame"` for a video.
        name: the name of the map.
        cmap: a Matplotlib colormap or its name; by default `SEQUENTIAL` or, for signed values, `DIVERGING`.
        alpha: the opacity of the largest value, 0 to 1.
        clip_percentile: the percentage of values that may lie beyond the end of the colours.
        signed: diverging colours around 0 or not; None reads it from the values: signed if one is negative.
        absolute: draw magnitudes.
        colorbar: draw the scale beside the slices.
        size: `(width, height)` of a new figure in inches.
        ax: Matplotlib axes, whose area the slices share; None for a new figure.

    Returns:
        A `Figure`; or `ax`.

    Raises:
        InputError: if the shapes do not match, a value is NaN or infinite, there is no such slice,
            or an option is unknown.
    """
    look = Look(cmap, clip_percentile, signed, absolute)
    stack, found = _stacks(volume, values, axis)
    numbers, which = _chosen(found, slices, choose, unit, look.named(name) if absolute else f"|{name}|")
    found = look.drawn(found)
    scale = look.scale(found)
    columns = min(len(numbers), max(1, math.ceil(math.sqrt(len(numbers)))))
    rows = math.ceil(len(numbers) / columns)
    shape = found.shape[1] / found.shape[2]
    size = size or (1.9 * columns + 0.9, (1.9 * min(shape, 3) + 0.3) * rows + 0.6)
    drawn, grid = figures.panels(rows, columns, size, "\n".join(filter(None, (title, which))), ax)
    pictures = _laid_over(stack[numbers], found[numbers], scale, alpha)
    for axes in grid.flat[len(numbers) :]:
        axes.set_axis_off()
    for axes, number, picture in zip(grid.flat, numbers, pictures, strict=False):
        figures.show(axes, picture, f"{unit} {number}")
    if colorbar:
        bar_beside(grid, scale, look.named(name))
    return drawn


def save_gif(
    path: str | os.PathLike[str],
    video: ArrayLike,
    values: ArrayLike,
    *,
    fps: float = 8,
    axis: int = 0,
    pixels: int = 256,
    cmap: str | Colormap | None = None,
    alpha: float = ALPHA,
    clip_percentile: float = 1,
    signed: bool | None = None,
    absolute: bool = False,
) -> Path:
    """Write a video, or a volume slice by slice, with its map laid over it, as an animated GIF.

    Args:
        path: the file; `.gif` is added where it is missing.
        video: `(T, H, W)` or `(T, H, W, channels)`, also with a first axis of length 1.
        values: its map, `(T, H, W)` or `(T, H, W, 1)`, also with a first axis of length 1.
        fps: frames per second, at most 50: the format stores hundredths of a second.
        axis: the axis along which the frames lie: 0, 1 or 2 for T, H or W.
        pixels: frames whose longer side is shorter than half of this are enlarged by a whole factor.
        cmap, alpha, clip_percentile, signed, absolute: see `plot_volume`.

    Returns:
        The path of the file.

    Raises:
        InputError: if the shapes do not match, a value is NaN or infinite, an option is unknown, or
            the file cannot be written.
    """
    from vis.files import write_gif  # which loads Keras; plots do not

    if not checks.is_number(fps) or not 0.1 <= fps <= 50:
        raise InputError(f"fps must be a number of frames per second, 0.1 to 50. Received: {fps!r}.")
    look = Look(cmap, clip_percentile, signed, absolute)
    stack, found = _stacks(video, values, axis)
    found = look.drawn(found)
    pictures = _laid_over(stack, found, look.scale(found), alpha)
    factor = max(1, pixels // max(pictures.shape[1:3]))
    pictures = pictures.repeat(factor, axis=1).repeat(factor, axis=2)
    name = os.fspath(path)
    target = Path(name if name.lower().endswith(".gif") else f"{name}.gif")
    write_gif(target, list(pictures), 10 * max(1, round(100 / fps)))
    return target


def _stacks(
    volume: ArrayLike, values: ArrayLike, axis: int
) -> tuple[npt.NDArray[Any], npt.NDArray[np.float64]]:
    """Return a volume `(slices, height, width, channels)` and its map `(slices, height, width)`."""
    if isinstance(axis, bool) or axis not in (0, 1, 2):
        raise InputError(f"axis must be an axis of the volume (D, H, W): 0, 1 or 2. Received: {axis!r}.")
    stack, found = checks.real(volume, "A volume"), finite(values, np.ndim(values))
    shapes = stack.shape, found.shape
    for lay in _lays(found):
        for sizes in (lay.shape, (1, *lay.shape)):
            if lay.ndim == 3 and stack.shape[: len(sizes)] == sizes and stack.ndim - len(sizes) in (0, 1):
                channels = stack.shape[len(sizes) :] or (1,)
                whole = stack.reshape(*lay.shape, *channels)
                return np.moveaxis(whole, axis, 0), np.moveaxis(lay, axis, 0)
    raise InputError(
        "A volume must be (D, H, W) or (D, H, W, channels), and its map the same, with one channel or "
        f"none. Received: a volume of shape {shapes[0]} and a map of shape {shapes[1]}. Pass one sample of a "
        "batch: volume[i], values[i]."
    )


def _lays(values: npt.NDArray[np.float64]) -> list[npt.NDArray[np.float64]]:
    """Return what a map can be without axes of length 1 before and after its three."""
    lays = [values]
    if values.ndim > 3 and values.shape[-1] == 1:
        lays.append(values[..., 0])
    return [*lays, *(lay[0] for lay in lays if lay.ndim > 3 and lay.shape[0] == 1)]


def _chosen(
    values: npt.NDArray[np.float64], slices: Any, choose: str, unit: str, name: str
) -> tuple[list[int], str]:
    """Return the numbers of the slices that are drawn, in their order, and which they are in words."""
    count = len(values)
    if choose not in ("evenly", "most"):
        raise InputError(f"choose must be 'evenly' or 'most'. Received: {choose!r}.")
    if isinstance(slices, Sequence | np.ndarray) and not isinstance(slices, str):
        numbers = list(slices)
        wrong = [number for number in numbers if not isinstance(number, int | np.integer)]
        wrong = wrong or [number for number in numbers if not 0 <= number < count]
        if wrong or not numbers:
            raise InputError(f"slices must be indices from 0 to {count - 1}. Received: {wrong or slices}.")
        return numbers, ""
    if isinstance(slices, bool) or not isinstance(slices, int | np.integer) or slices < 1:
        raise InputError(
            f"slices must be a number of slices, at least 1, or their indices. Received: {slices!r}."
        )
    if slices >= count:
        return list(range(count)), ""
    if choose == "evenly":
        spaced = np.linspace(0, count - 1, slices) if slices > 1 else np.array([(count - 1) / 2])
        return np.rint(spaced).astype(int).tolist(), f"{slices} of {count} {unit}s, evenly spaced"
    sums = np.abs(values).sum(axis=(1, 2))
    numbers = sorted(np.argsort(-sums, kind="stable")[:slices].tolist())
    return numbers, f"the {slices} of {count} {unit}s with the largest sum of {name}"


def _laid_over(
    stack: npt.NDArray[Any], values: npt.NDArray[np.float64], scale: Scale, alpha: float
) -> npt.NDArray[np.uint8]:
    """Return slices as RGB pictures on one grey scale, with their maps on one scale laid over them."""
    # As one tall picture: then no slice is brighter than another because of its own range.
    count, height, width, channels = stack.shape
    tall = as_picture(stack.reshape(count * height, width, channels), (count * height, width))
    return laid_over(tall, scale, values.reshape(count * height, width), alpha).reshape(
        count, height, width, 3
    )
