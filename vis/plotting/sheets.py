"""Rows of pictures, each under its label."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias, overload

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes

from vis import checks
from vis.errors import InputError
from vis.plotting.figures import Figure, panels, show

Rows: TypeAlias = Mapping[str, Sequence[npt.ArrayLike]]
Labels: TypeAlias = Mapping[str, Sequence[str]]


@overload
def plot_pictures(
    rows: Rows, labels: Labels, title: str = "", *, size: float = 1.15, ax: None = None
) -> Figure: ...
@overload
def plot_pictures(rows: Rows, labels: Labels, title: str = "", *, size: float = 1.15, ax: Axes) -> Axes: ...
def plot_pictures(
    rows: Rows, labels: Labels, title: str = "", *, size: float = 1.15, ax: Axes | None = None
) -> Figure | Axes:
    """Return a figure of named rows of pictures, each picture under its label.

    Args:
        rows: the pictures of each row by its name, `(height, width, 3)`: floats in [0, 1] or uint8.
        labels: for each row by its name, a label for each of its pictures.
        title: a title above the figure.
        size: width of a picture, in inches.
        ax: Matplotlib axes, whose area the pictures share; None for a new figure.

    Raises:
        InputError: if there is no picture, one has other values or another shape, or there is not one label
            for each picture.
    """
    pictures = {name: [_picture(picture) for picture in row] for name, row in rows.items()}
    counts = {name: len(row) for name, row in pictures.items()}
    given = {name: len(row) for name, row in labels.items()}
    if counts != given or not all(counts.values()) or not counts:
        raise InputError(
            f"Every row needs pictures, and a label for each. Received: pictures {counts}, labels {given}."
        )
    columns = max(counts.values())
    height, width = max(picture.shape[:2] for row in pictures.values() for picture in row)
    # Room for the label above each picture, and for the title.
    inches = (size * columns + 0.4, (size * height / width + 0.3) * len(rows) + (0.35 if title else 0.0))
    figure, grid = panels(len(rows), columns, inches, title, ax)
    for line, (name, row) in zip(grid, pictures.items(), strict=True):
        for axes, picture, label in zip(line, row, labels[name], strict=False):
            show(axes, picture, label)
            axes.title.set_fontsize("small")
        for axes in line[len(row) :]:
            axes.set_axis_off()
        line[0].set_ylabel(name)
    return figure


def _picture(picture: npt.ArrayLike) -> npt.NDArray[np.uint8]:
    array = checks.real(picture, "A picture")
    whole = array.dtype == np.uint8
    if array.ndim != 3 or array.shape[-1] != 3 or not array.size:
        raise InputError(f"A picture must have the shape (height, width, 3). Received: {array.shape}.")
    if not whole and not (np.isfinite(array).all() and array.min() >= 0 and array.max() <= 1):
        raise InputError(
            "A picture must have uint8 values, or values from 0 to 1. Received: type "
            f"{array.dtype}, values from {array.min()} to {array.max()}."
        )
    return array if whole else np.rint(255.0 * array).astype(np.uint8)
