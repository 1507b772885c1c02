"""Figures that show themselves in a notebook, and panels in them or in axes of the user's."""

from __future__ import annotations

import io
from typing import Any

import matplotlib.figure
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes

from vis.errors import InputError


class Figure(matplotlib.figure.Figure):
    """A Matplotlib figure that is neither shown nor registered with pyplot.

    As the last line of a notebook's cell, or by `display(figure)`, it shows itself as PNG, without any magic.
    """

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        self.savefig(buffer, format="png", dpi=110)
        return buffer.getvalue()


def panels(
    rows: int,
    columns: int,
    size: tuple[float, float],
    title: str = "",
    ax: Axes | None = None,
    **options: Any,
) -> tuple[Any, npt.NDArray[Any]]:
    """Return a figure and its panels, `(rows, columns)`.

    Args:
        rows, columns: how many panels there are.
        size: of a new figure, `(width, height)` in inches.
        title: stands above the panels.
        ax: axes of the user's, which the panels divide among them; None for a new figure.
        **options: of `matplotlib.figure.Figure.subplots`, for a new figure.
    """
    if ax is None:
        figure = Figure(figsize=size, layout="constrained")
        if title:
            figure.suptitle(title)
        return figure, figure.subplots(rows, columns, squeeze=False, **options)
    ax.set_axis_off()
    if title:
        ax.set_title(title)
    width, height = 1 / columns, 1 / rows
    gap = 0.03  # of a panel, on each side
    return ax.figure, np.array(
        [
            [
                ax.inset_axes(
                    (
                        (column + gap) * width,
                        1 - (row + 1 - gap) * height,
                        (1 - 2 * gap) * width,
                        (1 - 2 * gap) * height,
                    )
                )
                for column in range(columns)
            ]
            for row in range(rows)
        ]
    )


def show(axes: Axes, picture: npt.NDArray[np.uint8], title: str) -> None:
    axes.imshow(picture, interpolation="nearest")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_title(title, fontsize="medium")


def outline(axes: Axes, mask: npt.NDArray[np.bool_], color: str) -> None:
    if not mask.any():
        raise InputError("A box is a mask with something inside. Received: a mask without a place.")
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    left, top = columns[0] - 0.5, rows[0] - 0.5
    right, bottom = columns[-1] + 0.5, rows[-1] + 0.5
    axes.plot([left, right, right, left, left], [top, top, bottom, bottom, top], color=color, linewidth=0.8)
