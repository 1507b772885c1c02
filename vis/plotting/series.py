"""Series with their maps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, overload

import numpy as np
import numpy.typing as npt
from matplotlib import dates, patheffects
from matplotlib.axes import Axes
from matplotlib.colors import Colormap
from numpy.typing import ArrayLike

from vis import checks
from vis.errors import InputError
from vis.plotting import figures
from vis.plotting.colors import Look, LookOptions, finite
from vis.plotting.figures import Figure
from vis.plotting.paper import bar_beside, drawable, scale_of

if TYPE_CHECKING:
    from typing_extensions import Unpack


class _Options(LookOptions, total=False):
    name: str
    times: ArrayLike | None
    channels: Sequence[str]
    colorbar: bool
    size: tuple[float, float] | None


@overload
def plot_series(
    series: ArrayLike, values: ArrayLike, title: str = "", *, ax: None = None, **options: Unpack[_Options]
) -> Figure: ...
@overload
def plot_series(
    series: ArrayLike, values: ArrayLike, title: str = "", *, ax: Axes, **options: Unpack[_Options]
) -> Axes: ...
@overload
def plot_series(
    series: ArrayLike, values: ArrayLike, title: str = "", *, ax: Axes | None, **options: Unpack[_Options]
) -> Figure | Axes: ...
def plot_series(
    series: ArrayLike,
    values: ArrayLike,
    title: str = "",
    *,
    name: str = "map",
    times: ArrayLike | None = None,
    channels: Sequence[str] = (),
    cmap: str | Colormap | None = None,
    clip_percentile: float = 0,
    signed: bool | None = None,
    absolute: bool = False,
    colorbar: bool = True,
    size: tuple[float, float] | None = None,
    ax: Axes | None = None,
) -> Figure | Axes:
    """Return a figure of curves with their map as coloured background, one panel per channel.

    Each value colours the time from halfway to its predecessor to halfway to its successor. All panels have
    one scale, on which zero is white.

    Args:
        series: `(T,)`, `(T, channels)`; or a batch `(N, T, channels)`, whose samples are drawn side by side.
            NaN leaves a gap.
        values: a map for all channels, `(T,)`, `(T, 1)`, or one for each, `(T, channels)`; for a batch,
            `(N, T)`, `(N, T, 1)` or `(N, T, channels)`.
        title: a title above the figure.
        name: the name of the map.
        times: `(T,)`, increasing: numbers or `datetime64`; None counts from 0.
        channels: a name for each channel.
        cmap: a Matplotlib colormap or its name; by default `"Reds"` or, for signed values, `DIVERGING`.
        clip_percentile: the percentage of values that may lie beyond the end of the colours.
        signed: diverging colours around 0 or not; None reads it from the values: signed if one is negative.
        absolute: draw magnitudes.
        colorbar: draw the scale beside the panels.
        size: `(width, height)` of a new figure in inches.
        ax: Matplotlib axes, whose area the panels share; None for a new figure.

    Returns:
        A `Figure`; or `ax`.

    Raises:
        InputError: if the shapes do not match, a map is not finite, times do not increase, or an
            option is unknown.
    """
    look = Look(cmap, clip_percentile, signed, absolute)
    curves, found = _together(checks.real(series, "A series"), finite(values, np.ndim(values)))
    found = look.drawn(found)
    count, length, width = curves.shape
    if len(channels) not in (0, width):
        raise InputError(
            f"channels must have a name for each channel. Received: {len(channels)} names for {width} "
            f"channels."
        )
    moments, dated = _times(times, length)
    scale = scale_of(found, look)
    size = size or (min(16, 2 + 6 * count), 0.8 + 1.5 * width)
    drawn, grid = figures.panels(width, count, size, title, ax, sharex=True)
    edges = _edges(moments)
    for sample in range(count):
        for channel in range(width):
            axes = grid[channel, sample]
            row = found[sample, :, min(channel, found.shape[-1] - 1)]
            curve = curves[sample, :, channel]
            axes.pcolormesh(
                edges,
                [0, 1],
                row[None],
                cmap=scale.cmap,
                norm=scale.norm,
                transform=axes.get_xaxis_transform(),
            )
            axes.plot(
                moments,
                curve,
                color="black",
                linewidth=1.2,
                marker="o" if length == 1 else None,
                # A white seam, so that the curve is seen on dark colours, too.
                path_effects=[patheffects.withStroke(linewidth=2.6, foreground="white")],
            )
            axes.set_xlim(edges[0], edges[-1])
            axes.set_ylim(_range(curves[..., channel]))
            if dated:
                axes.xaxis_date()
            if sample:
                axes.tick_params(labelleft=False)
            elif len(channels):
                axes.set_ylabel(drawable(str(channels[channel])), parse_math=False)
    if colorbar:
        bar_beside(grid, scale, look.named(name))
    return drawn


def _together(
    series: npt.NDArray[Any], values: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return a series `(N, T, channels)`, and its maps, `(N, T, 1)` or `(N, T, channels)`."""
    shapes = series.shape, values.shape
    if values.ndim == 3 and series.ndim == 2 and series.shape == values.shape[:2]:
        series = series[..., None]
    elif values.ndim == 2 and series.ndim == 3 and series.shape[:2] == values.shape:
        values = values[..., None]
    if series.ndim == 2 and values.ndim == 1 and series.shape == (1, len(values)):
        series = series[0]
    series, values = (array[:, None] if array.ndim == 1 else array for array in (series, values))
    series, values = (array[None] if array.ndim == 2 else array for array in (series, values))
    fits = series.ndim == values.ndim == 3 and series.shape[:2] == values.shape[:2]
    if not fits or values.shape[2] not in (1, series.shape[2]) or not series.size:
        raise InputError(
            "A series and its map must have the same axes (T,), (T, channels) or (N, T, channels), the map "
            "with or without channels. "
            f"Received: a series of shape {shapes[0]} and a map of shape {shapes[1]}."
        )
    return series.astype(np.float64), values


def _times(times: Any, length: int) -> tuple[npt.NDArray[np.float64], bool]:
    """Return where the steps stand, and whether these are dates."""
    if times is None:
        return np.arange(length, dtype=np.float64), False
    given = np.asarray(times)
    dated = given.dtype.kind == "M"
    to_days: Any = dates.date2num
    found = np.asarray(to_days(given) if dated else checks.real(times, "times"), np.float64)
    if found.shape != (length,) or not np.isfinite(found).all() or (np.diff(found) <= 0).any():
        raise InputError(
            "times must be finite and increase, one for each step of the series. "
            f"Received: {given.dtype} of shape {given.shape}, for {length} steps. Sort the series by time."
        )
    return found, dated


def _edges(times: npt.NDArray[np.float64]) -> npt.NDArray[Any]:
    """Return where the colours of the steps begin and end, `(T + 1,)`."""
    if len(times) == 1:
        return np.asarray(times + np.array([-0.5, 0.5]))
    middles = (times[1:] + times[:-1]) / 2
    outer = 2 * times[[0, -1]] - middles[[0, -1]]
    return np.concatenate([outer[:1], middles, outer[1:]])


def _range(curves: npt.NDArray[np.float64]) -> tuple[float, float]:
    """Return the limits of the vertical axis: one for all samples of a channel."""
    known = curves[np.isfinite(curves)]
    low, high = (float(known.min()), float(known.max())) if known.size else (0.0, 1.0)
    margin = 0.06 * (high - low) or 0.5
    return low - margin, high + margin
