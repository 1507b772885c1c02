"""The panels of several images, arranged in a figure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes

from vis.plotting.colors import Scale
from vis.plotting.figures import Figure, bar, outline, panels, show

# Inches: a line of titles, a colour bar with its numbers.
_LINE, _BAR = 0.3, 0.5


@dataclass
class Panel:
    """A picture under its name, with its scale if it is one of a map, and a colour bar if `bar`."""

    picture: npt.NDArray[np.uint8]
    name: str
    scale: Scale | None = None
    bar: bool = False
    # Whether a title may not take the place of the name.
    kept: bool = False
    # Whether the name is that of this panel only, and not of the panels below too.
    alone: bool = False

    def head(self, title: str) -> None:
        """Put a title in place of the name, or above it if that must be kept."""
        self.name = f"{title}\n{self.name}" if self.kept else title
        self.alone = True


def side_by_side(groups: list[list[Panel]]) -> int:
    """Return how many images stand side by side in a figure that is about as wide as high."""
    height, width = groups[0][0].picture.shape[:2]
    shape = width * len(groups[0]) / height
    counts = range(1, len(groups) + 1)
    fitting = (count for count in counts if math.ceil(len(groups) / count) <= 1.3 * count * shape)
    return next(fitting, len(groups))


def arranged(
    groups: list[list[Panel]],
    across: int,
    side: float,
    row_names: Sequence[str],
    title: str,
    boxes: Any,
    size: tuple[float, float] | None,
    ax: Axes | None,
) -> Figure | Axes:
    """Return a figure with the panels of each image beside one another, `across` images in a row.

    Args:
        groups: the panels of each image, as many of each.
        across: how many images are side by side.
        side: of a square panel, in inches.
        row_names, title, boxes, size, ax: see `vis.plotting.plot_maps`.
    """
    if ax is not None and title and len(groups) == len(groups[0]) == 1:  # the axes have one title
        groups[0][0].head(title)
        title = ""
    rows, length = math.ceil(len(groups) / across), len(groups[0])
    height, width = groups[0][0].picture.shape[:2]
    stretch = math.sqrt(np.clip(width / height, 0.2, 5))
    bars = across * sum(panel.bar for panel in groups[0])
    lines = rows if groups[0][0].alone else 1
    wide = across * length * side * stretch + bars * _BAR + _LINE * bool(len(row_names))
    high = rows * side / stretch + _LINE * (lines + bool(title))
    gap = 0.6 if bars else None  # for the numbers of colour bars
    drawn: Figure | Axes
    drawn, grid = panels(rows, across * length, size or (wide, high), title, ax, wspace=gap)
    cells = grid.reshape(-1, length)
    for number, (group, axes) in enumerate(zip(groups, cells, strict=False)):
        for panel, cell in zip(group, axes, strict=True):
            show(cell, panel.picture, panel.name if number < across or panel.alone else "")
            if panel.scale is not None and panel.bar:
                bar(cell, panel.scale)
            if len(boxes):
                color = "lime" if panel.scale is None else "white"
                outline(cell, boxes[number], panel.picture.shape[:2], color)
        if len(row_names):
            axes[0].set_ylabel(row_names[number])
    for cell in cells[len(groups) :].flat:
        cell.set_axis_off()
    return drawn
