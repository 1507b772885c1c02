"""Images with their maps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias, overload

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.colors import Colormap

from vis import checks
from vis.errors import InputError
from vis.plotting.arranged import Panel, arranged, side_by_side
from vis.plotting.colors import Look, LookOptions, one_map
from vis.plotting.figures import Figure
from vis.plotting.given import Batch, images_and_maps, inputs_of
from vis.plotting.over import ALPHA, as_picture, laid_over
from vis.plotting.series import plot_series

if TYPE_CHECKING:
    from typing_extensions import Unpack

Maps: TypeAlias = Batch | Mapping[str, Batch]
Titles: TypeAlias = Sequence[str] | str | None
Boxes: TypeAlias = Sequence[npt.ArrayLike] | npt.NDArray[np.bool_]
_SMALL, _LARGE = 1.6, 2.9  # the side of a square panel in a grid, and of one of three, in inches


class _Look(LookOptions, total=False):
    alpha: float
    colorbar: bool
    size: tuple[float, float] | None


class _GridLook(_Look, total=False):
    overlay: bool
    share_scale: bool


class _MapsLook(_GridLook, total=False):
    name: str
    row_names: Sequence[str]
    title: str
    boxes: Boxes
    inputs: bool


@overload
def plot_maps(
    images: Batch, maps: Maps, titles: Titles = None, *, ax: None = None, **options: Unpack[_MapsLook]
) -> Figure: ...
@overload
def plot_maps(
    images: Batch, maps: Maps, titles: Titles = None, *, ax: Axes, **options: Unpack[_MapsLook]
) -> Axes: ...
@overload
def plot_maps(
    images: Batch, maps: Maps, titles: Titles = None, *, ax: Axes | None, **options: Unpack[_MapsLook]
) -> Figure | Axes: ...
def plot_maps(
    images: Batch,
    maps: Maps,
    titles: Titles = None,
    *,
    name: str = "map",
    row_names: Sequence[str] = (),
    title: str = "",
    boxes: Boxes = (),
    inputs: bool = True,
    overlay: bool = False,
    cmap: str | Colormap | None = None,
    alpha: float = ALPHA,
    clip_percentile: float = 1,
    signed: bool | None = None,
    absolute: bool = False,
    share_scale: bool = False,
    colorbar: bool = False,
    size: tuple[float, float] | None = None,
    ax: Axes | None = None,
) -> Figure | Axes:
    """Return a figure of images with their maps: each image, then its map by each method.

    Maps without negative values are drawn from dark (0) to bright, signed maps in diverging colours with zero
    in the middle: all maps of a method if one of them has a negative value. Each map has its own scale unless
    `share_scale`, because methods differ in scale and a comparison is about where they point. A scale ends at
    the 99th percentile of its values, or of their magnitudes, unless `clip_percentile` is 0; a colour bar
    says so and is pointed where values lie beyond its ends.

    Args:
        images: one or several: `(N, height, width, channels)`, with the channels first or last, `(N, height,
            width)`, a list of images of any size, or one image without the first axis. Values from 0 to 1 and
            bytes (uint8, or whole numbers from 0 to 255, one above 31) are drawn as they are, others scaled
            to their range.
        maps: what `Explainer.explain` or a function of `vis.visualization` returns for them: `(N, height,
            width, 1)`, `(N, height, width)` or one map without the first axis; a list of maps; or a mapping
            from the names of methods to their maps, which makes a column for each.
        titles: a title for each image, above it.
        name: the name of the maps of a single method.
        row_names: a name for each image, at its left.
        title: a title above the figure.
        boxes: a mask for each image, of its height and width, whose bounding box is outlined.
        inputs: draw the images themselves, before their maps.
        overlay: draw the maps over their images, see `overlay_map`.
        cmap: a Matplotlib colormap or its name; by default `SEQUENTIAL` or, for signed maps, `DIVERGING`.
        alpha: the opacity of the largest value in an overlay, 0 to 1.
        clip_percentile: the percentage of values that may lie beyond the end of the colours.
        signed: diverging colours around 0 or not; None reads it from the values: signed if one is negative.
        absolute: draw magnitudes; the panels are then called `|name|`.
        share_scale: one scale for all maps of the figure.
        colorbar: draw the scale of each map, or once per row if there is only one.
        size: of the figure, `(width, height)` in inches.
        ax: Matplotlib axes to draw into instead of a new figure. A single panel is drawn in these axes
            themselves, several divide their area.

    Returns:
        A `Figure`, or `ax`.

    Raises:
        InputError: if there is not one map, title, name and box per image, shapes do not belong together, a
            value is NaN or infinite, or an option is invalid.
    """
    look = Look(cmap, clip_percentile, signed, absolute)
    columns = dict(maps) if isinstance(maps, Mapping) else {name: maps}
    pictures, read = images_and_maps(images, columns)
    above = [] if titles is None else _named(titles)
    row_names = _named(row_names)
    if isinstance(boxes, np.ndarray) and boxes.ndim == 2:
        boxes = [boxes]
    _one_each(pictures, titles=above, row_names=row_names, boxes=boxes)
    every = {column: np.concatenate([row.ravel() for row in rows]) for column, rows in read.items()}
    shared = look.scale(np.concatenate([*every.values()]))
    # The maps of a method are all drawn signed if one of them is.
    looks = {column: look.of(values) for column, values in every.items()}
    groups = []
    for number, picture in enumerate(pictures):
        group = [Panel(picture, "input")] if inputs else []
        for column, rows in read.items():
            scale = shared if share_scale else looks[column].scale(rows[number])
            values = look.drawn(rows[number])
            colors = laid_over(picture, scale, values, alpha) if overlay else scale.rgb(values)
            last = len(group) == len(read) + inputs - 1
            with_bar = colorbar and (last or not share_scale)
            group.append(Panel(colors, look.named(column), scale, with_bar, kept=absolute or len(read) > 1))
        if above:
            group[0].head(above[number])
        groups.append(group)
    across = 1 if isinstance(maps, Mapping) else side_by_side(groups)
    return arranged(groups, across, _SMALL, row_names, title, boxes, size, ax)


@overload
def plot_saliency(
    image: npt.ArrayLike,
    saliency: npt.ArrayLike,
    title: str = "",
    name: str = "saliency",
    *,
    ax: None = None,
    **options: Unpack[_Look],
) -> Figure: ...
@overload
def plot_saliency(
    image: npt.ArrayLike,
    saliency: npt.ArrayLike,
    title: str = "",
    name: str = "saliency",
    *,
    ax: Axes,
    **options: Unpack[_Look],
) -> Axes: ...
def plot_saliency(
    image: npt.ArrayLike,
    saliency: npt.ArrayLike,
    title: str = "",
    name: str = "saliency",
    *,
    cmap: str | Colormap | None = None,
    alpha: float = ALPHA,
    clip_percentile: float = 1,
    signed: bool | None = None,
    absolute: bool = False,
    colorbar: bool = True,
    size: tuple[float, float] | None = None,
    ax: Axes | None = None,
) -> Figure | Axes:
    """Return a figure of an input, its map with a colour bar, and the map laid over the input.

    Args:
        image: one input, see `plot_maps`; or a series `(steps, channels)` or `(steps,)`, which is drawn by
            `plot_series`.
        saliency: its map, see `plot_maps`; or `(steps,)`.
        title: a title above the figure.
        name: the name of the map.
        cmap, alpha, clip_percentile, signed, absolute, size, ax: see `plot_maps`.
        colorbar: draw the scale of the map.

    Returns:
        A `Figure`, or `ax`.

    Raises:
        InputError: if the shapes do not match, a value is NaN or infinite, or an option is invalid.
    """
    look = Look(cmap, clip_percentile, signed, absolute)
    if checks.real(saliency, "A map").ndim == 1:
        options = {**vars(look), "colorbar": colorbar, "size": size}
        return plot_series(image, saliency, title, name=name, ax=ax, **options)
    values = one_map(saliency)
    picture, scale, called = as_picture(image, values.shape), look.scale(values), look.named(name)
    values = look.drawn(values)
    group = [
        Panel(picture, "input"),
        Panel(scale.rgb(values), called, scale, colorbar),
        Panel(laid_over(picture, scale, values, alpha), "over input", scale),
    ]
    return arranged([group], 1, _LARGE, (), title, (), size, ax)


@overload
def plot_grid(
    images: Batch,
    columns: Mapping[str, Batch],
    row_names: Sequence[str] = (),
    title: str = "",
    boxes: Boxes = (),
    *,
    ax: None = None,
    **options: Unpack[_GridLook],
) -> Figure: ...
@overload
def plot_grid(
    images: Batch,
    columns: Mapping[str, Batch],
    row_names: Sequence[str] = (),
    title: str = "",
    boxes: Boxes = (),
    *,
    ax: Axes,
    **options: Unpack[_GridLook],
) -> Axes: ...
def plot_grid(
    images: Batch,
    columns: Mapping[str, Batch],
    row_names: Sequence[str] = (),
    title: str = "",
    boxes: Boxes = (),
    *,
    overlay: bool = False,
    cmap: str | Colormap | None = None,
    alpha: float = ALPHA,
    clip_percentile: float = 1,
    signed: bool | None = None,
    absolute: bool = False,
    share_scale: bool = False,
    colorbar: bool = False,
    size: tuple[float, float] | None = None,
    ax: Axes | None = None,
) -> Figure | Axes:
    """Return a figure with a row per input and a column per method, the inputs in the first column.

    The same as `plot_maps` with a mapping.

    Args:
        images: the inputs.
        columns: the maps by the name of their method, one per input.
        row_names: a name for each row.
        title: a title above the figure.
        boxes: for each input a mask `(height, width)` whose bounding box is outlined.
        overlay, cmap, alpha, clip_percentile, signed, absolute: see `plot_maps`.
        share_scale, colorbar, size, ax: see `plot_maps`.

    Returns:
        A `Figure`, or `ax`.

    Raises:
        InputError: if a column or the names do not have one entry per input, shapes differ, a value is NaN or
            infinite, or an option is invalid.
    """
    return plot_maps(
        images,
        columns,
        row_names=row_names,
        title=title,
        boxes=boxes,
        overlay=overlay,
        cmap=cmap,
        alpha=alpha,
        clip_percentile=clip_percentile,
        signed=signed,
        absolute=absolute,
        share_scale=share_scale,
        colorbar=colorbar,
        size=size,
        ax=ax,
    )


def _named(names: Any) -> list[Any]:
    """Return one name, a text or the number of a class, or several as a list."""
    return list(np.atleast_1d(np.asarray(names, object)))


def _one_each(images: Sequence[Any], **given: Any) -> None:
    lengths = {key: len(entries) for key, entries in given.items() if len(entries)}
    if any(length != len(images) for length in lengths.values()):
        raise InputError(f"A grid needs one entry per input. Received: {inputs_of(images)} and {lengths}.")
