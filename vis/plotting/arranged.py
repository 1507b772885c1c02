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
from vis.plotting.lettering import fitted

# Inches: a line of titles, each further line of them, a colour bar with its numbers.
_LINE, _MORE, _BAR = 0.3, 0.17, 0.5
# Panels of a single image that stand side by side: a figure that is wider cannot be read in a notebook.
_MOST = 8


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

    The many panels of a single image are drawn in several rows. Names are broken into lines.

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
    columns = across * length
    if len(groups) == 1 and length > _MOST:
        rows = math.ceil(length / _MOST)
        columns = math.ceil(length / rows)
    height, width = groups[0][0].picture.shape[:2]
    stretch = math.sqrt(np.clip(width / height, 0.2, 5))
    bars = min(columns, across * sum(panel.bar for panel in groups[0]))
    wide = columns * side * stretch + bars * _BAR + _LINE * bool(len(row_names))
    given = ax.get_window_extent().width / ax.figure.dpi if isinstance(ax, Axes) else wide
    if isinstance(size, tuple | list) and ax is None:
        given = size[0]
    lines = [0] * rows
    for number, group in enumerate(groups):
        for index, panel in enumerate(group, number * length):
            panel.name = str(panel.name) if number < across or panel.alone else ""
            panel.name = fitted(panel.name, given / columns, "medium")
            lines[index // columns] = max(lines[index // columns], _lines(panel.name))
    row_names = [fitted(str(name), side / stretch, "medium") for name in row_names]
    wide += _MORE * max((_lines(name) - 1 for name in row_names), default=0)
    above = [*lines, _lines(fitted(title, wide, "large")) if isinstance(title, str) else 1]
    high = rows * side / stretch + sum(_LINE + _MORE * (count - 1) for count in above if count)
    gap = 0.6 if bars else None  # for the numbers of colour bars
    drawn, grid = panels(rows, columns, size or (wide, high), title, ax, wspace=gap)
    flat = grid.ravel()
    cells = flat[: len(groups) * length].reshape(-1, length)
    for number, (group, axes) in enumerate(zip(groups, cells, strict=True)):
        for panel, cell in zip(group, axes, strict=True):
            show(cell, panel.picture, panel.name)
            if panel.scale is not None and panel.bar:
                bar(cell, panel.scale)
            if len(boxes):
                color = "lime" if panel.scale is None else "white"
                outline(cell, boxes[number], panel.picture.shape[:2], color)
        if len(row_names):
            axes[0].set_ylabel(row_names[number])
    for cell in flat[cells.size :]:
        cell.set_axis_off()
    return drawn


def _lines(text: str) -> int:
    return text.count("\n") + 1 if text else 0
