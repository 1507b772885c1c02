"""Dots with intervals: several numbers of each of several methods."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal, overload

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

from vis.errors import InputError
from vis.plotting import figures
from vis.plotting.figures import Figure
from vis.words import Direction

_BEST, _OTHER = "#2166ac", "#8c8c8c"
_COLUMNS = 5
# How many times the smallest number the largest one is where the axis is logarithmic.
_WIDE = 20
_NOTES: dict[Direction, tuple[str, Literal["left", "right"]]] = {
    "higher": ("better \u2192", "right"),
    "lower": ("\u2190 better", "left"),
}

Panels = Mapping[str, Mapping[str, Sequence[float]]]


@overload
def plot_intervals(
    panels: Panels, better: Mapping[str, Direction], title: str = "", *, ax: None = None
) -> Figure: ...
@overload
def plot_intervals(panels: Panels, better: Mapping[str, Direction], title: str = "", *, ax: Axes) -> Axes: ...
@overload
def plot_intervals(
    panels: Panels, better: Mapping[str, Direction], title: str = "", *, ax: Axes | None
) -> Figure | Axes: ...
def plot_intervals(
    panels: Panels, better: Mapping[str, Direction], title: str = "", *, ax: Axes | None = None
) -> Figure | Axes:
    """Return a figure of small panels, with a dot and its interval for each method in each of them.

    Blue are the best dot of a panel and those that cannot be told from it, whose intervals overlap with its
    own; an arrow says which direction is better. The axis is logarithmic where the largest number is more
    than twenty times the smallest.

    Args:
        panels: by the name of the panel, then by that of the method: the number, and the ends of its
            interval; NaN is left out.
        better: by the name of the panel: `"higher"` or `"lower"`.
        title: a title above the figure.
        ax: Matplotlib axes, whose area the panels share; None for a new figure.

    Returns:
        A `Figure`; or `ax`.

    Raises:
        InputError: if there is no panel, or they do not have the same methods, with three numbers each.
    """
    methods = list(next(iter(panels.values()), {}))
    sizes = {len(values) for row in panels.values() for values in row.values()}
    if not methods or sizes != {3} or any(list(row) != methods for row in panels.values()):
        raise InputError(
            "Every panel needs three numbers for each method, and all the same methods. Received: "
            f"{ {name: list(row) for name, row in panels.items()} }."
        )
    columns = math.ceil(len(panels) / math.ceil(len(panels) / _COLUMNS))
    rows = math.ceil(len(panels) / columns)
    longest = max(map(len, methods))
    size = (0.2 + 0.075 * longest + 1.5 * columns, rows * (0.75 + 0.21 * len(methods)) + 0.35 * bool(title))
    drawn, grid = figures.panels(rows, columns, size, title, ax)
    for number, axes in enumerate(grid.flat):
        if number >= len(panels):
            axes.set_axis_off()
            continue
        name = list(panels)[number]
        _draw(axes, np.array([panels[name][method] for method in methods], np.float64), better[name])
        axes.set_title(name, fontsize="small", loc="left", pad=4)
        axes.set_yticks(range(len(methods)), methods if number % columns == 0 else [""] * len(methods))
    return drawn


def _draw(axes: Axes, values: np.ndarray, better: Direction) -> None:
    """Draw a panel of values `(methods, 3)`."""
    ends = np.where(np.isnan(values), values[:, :1], values)  # of one sample there is no interval
    sign = 1 if better == "higher" else -1
    best = ends[np.nanargmax(sign * ends[:, 0])] if np.isfinite(ends).any() else ends[0]
    for row, (value, low, high) in enumerate(ends):
        color = _BEST if low <= best[2] and high >= best[1] else _OTHER
        axes.axhline(row, color="0.93", linewidth=0.8, zorder=0)
        axes.plot([low, high], [row, row], color=color, linewidth=2.2, alpha=0.45, solid_capstyle="round")
        axes.plot(value, row, "o", color=color, markersize=4.5)
    finite = values[np.isfinite(values)]
    if finite.size and finite.min() > 0 and finite.max() > _WIDE * finite.min():
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 3), numticks=4))
        axes.xaxis.set_major_formatter("{x:g}")
        axes.xaxis.set_minor_locator(NullLocator())
    else:
        axes.xaxis.set_major_locator(MaxNLocator(3))
    axes.margins(x=0.12)
    axes.set_ylim(len(values) - 0.4, -0.6)
    note, side = _NOTES[better]
    axes.set_xlabel(note, fontsize="x-small", color="0.35", labelpad=2, loc=side)
    axes.tick_params(axis="x", labelsize="x-small", length=2, pad=2, color="0.6")
    axes.tick_params(axis="y", labelsize="small", length=0)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color("0.6")
