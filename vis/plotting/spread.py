"""Lines with the spread of samples around them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from vis.errors import InputError
from vis.plotting.figures import Figure


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
