"""Lines with the spread of samples around them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias, overload

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes

from vis.errors import InputError
from vis.plotting import figures
from vis.plotting.figures import Figure

Ticks: TypeAlias = Sequence[str] | Sequence[float]
Panels: TypeAlias = Mapping[str, Mapping[str, npt.ArrayLike]]


@overload
def plot_spread(
    ticks: Ticks, panels: Panels, title: str = "", xlabel: str = "", *, ax: None = None
) -> Figure: ...
@overload
def plot_spread(ticks: Ticks, panels: Panels, title: str = "", xlabel: str = "", *, ax: Axes) -> Axes: ...
def plot_spread(
    ticks: Ticks, panels: Panels, title: str = "", xlabel: str = "", *, ax: Axes | None = None
) -> Figure | Axes:
    """Return a figure of panels, one above the other, with a line for each method in each of them.

    A line is the median over the samples, with the middle half of the samples as a band; NaN is left out.

    Args:
        ticks: names along the horizontal axis, or the numbers that the values belong to.
        panels: by the name of the panel, then by that of the method: values `(ticks, N)`. A method named ""
            is left out of the legend.
        title: a title above the figure.
        xlabel: a label under the lowest panel.
        ax: Matplotlib axes, whose area the panels share; None for a new figure.

    Returns:
        A `Figure`; or `ax`.

    Raises:
        InputError: if there is no panel or method, or values have no row per tick.
    """
    shapes = {name: np.shape(rows) for panel in panels.values() for name, rows in panel.items()}
    if not shapes or any(len(shape) != 2 or shape[0] != len(ticks) for shape in shapes.values()):
        raise InputError(f"A line needs values (ticks, N), here ({len(ticks)}, N). Received: {shapes}.")
    named = any(isinstance(tick, str) for tick in ticks)
    x = np.arange(len(ticks)) if named else np.asarray(ticks, np.float64)
    width = 2.4 + 0.45 * len(ticks) if named else 6.4
    size = (width, (0.8 if named else 1.4) + 2.2 * len(panels))
    drawn, grid = figures.panels(len(panels), 1, size, title, ax, sharex=True)
    for axes, (panel, lines) in zip(grid[:, 0], panels.items(), strict=True):
        for number, (name, rows) in enumerate(lines.items()):
            kept = [row[~np.isnan(row)] for row in np.asarray(rows, np.float64)]
            spread = [np.quantile(row, (0.25, 0.5, 0.75)) if row.size else [np.nan] * 3 for row in kept]
            low, middle, high = np.transpose(spread)
            axes.plot(x, middle, marker="o", markersize=3, color=f"C{number}", label=name)
            axes.fill_between(x, low, high, color=f"C{number}", alpha=0.2, linewidth=0)
        axes.axhline(0, color="0.7", linewidth=0.8)
        axes.set_ylabel(panel)
        if named:
            axes.set_xticks(x, ticks, rotation=60, ha="right", fontsize="small")
    if any(name for panel in panels.values() for name in panel):
        grid[0, 0].legend(fontsize="small")
    grid[-1, 0].set_xlabel(xlabel)
    return drawn
