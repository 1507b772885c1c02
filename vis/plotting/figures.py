"""Figures that show themselves in a notebook, and panels in them or in the user's axes."""

from __future__ import annotations

import importlib
import io
import sys
from typing import Any

import matplotlib.figure
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes as Axes  # other rooms name it in their types
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator

from vis import checks
from vis.errors import InputError, VisError
from vis.plotting.colors import Scale
from vis.plotting.lettering import fitted

_LINE = 13  # points of a line of a title
_PIXELS = 128  # the longest side of a picture whose pixels are drawn as squares


class Figure(matplotlib.figure.Figure):
    """A Matplotlib figure that is neither shown by nor registered with pyplot.

    As the last line of a notebook's cell, or by `display(figure)`, it shows itself as PNG, without any magic.
    """

    def show(self, warn: bool = True) -> None:
        """Show the figure below the cell of a notebook, as `display(figure)` does.

        Raises:
            VisError: outside a notebook: the figure has no window.
        """
        if "IPython" not in sys.modules or importlib.import_module("IPython").get_ipython() is None:
            raise VisError(
                "A figure shows itself in a notebook only: pyplot does not know it. Received: show(). "
                "Save it: figure.savefig('picture.png')."
            )
        importlib.import_module("IPython.display").display(self)

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
    *,
    sharex: bool = False,
    wspace: float | None = None,
) -> tuple[Figure | Axes, npt.NDArray[Any]]:
    """Return what a plot returns, and its panels `(rows, columns)`.

    Args:
        rows, columns: how many panels there are.
        size: of a new figure, `(width, height)` in inches.
        title: a title above the panels.
        ax: the user's axes. One panel is these axes themselves, several divide their area; None for a new
            figure.
        sharex: whether the panels share their horizontal axes.
        wspace: the gaps between columns within the user's axes, as shares of a panel; a constrained layout,
            which new figures have, measures them itself.

    Returns:
        A new `Figure`, or `ax`: the user's figure is shown by the code that made it, and would be shown twice
        if a plot returned it as the last line of a cell.

    Raises:
        InputError: if the size is not two numbers from 0 to 500, the title is a list, or `ax` is something
            else.
    """
    if isinstance(title, list | tuple | np.ndarray):
        raise InputError(
            f"title is one text, above the figure. Received: {title!r}. Pass titles to plot_maps for one "
            "above each image."
        )
    if ax is None:
        figure = Figure(figsize=_size(size), layout="constrained")
        if title:
            figure.suptitle(fitted(str(title), figure.get_figwidth(), "large"))
        return figure, figure.add_gridspec(rows, columns).subplots(squeeze=False, sharex=sharex)
    if not isinstance(ax, Axes):
        raise InputError(
            f"ax must be Matplotlib axes, such as plt.gca(). Received: {type(ax).__name__}. "
            "Pass one of the axes that plt.subplots returns."
        )
    if rows == columns == 1:
        ax.set_title(title)
        return ax, np.array([[ax]])
    ax.set_axis_off()
    current = ax.figure.gca()
    parent, spec = ax.figure, ax.get_subplotspec()
    if spec is None:
        area = ax.get_position()
        edges = {"left": area.x0, "right": area.x1, "bottom": area.y0, "top": area.y1}
        spec = parent.add_gridspec(1, 1, **edges)[0]
    ax.set_title(title, y=1.0, pad=-_LINE)  # within the axes, above the titles of the panels
    if title:
        height = 72 * ax.get_window_extent().height / parent.get_dpi()  # in points
        spec = spec.subgridspec(2, 1, height_ratios=(2.8 * _LINE / height, 1), hspace=0)[1]
    layout = parent.get_layout_engine()
    gap = wspace if layout is None or layout.adjust_compatible else None
    inside = spec.subgridspec(rows, columns, wspace=gap).subplots(squeeze=False, sharex=sharex)
    for panel in inside.flat:
        panel.set_anchor("N")
        # Axes outside a grid have no layout; one would spread the panels over the figure.
        panel.set_in_layout(ax.get_subplotspec() is not None)
    parent.sca(current)
    return ax, inside


def _size(size: Any) -> tuple[float, float]:
    found = checks.pair(size, float)
    if found is None or not all(0 < side <= 500 for side in found):
        raise InputError(
            f"size must be (width, height) in inches, each at most 500. Received: {size!r}. "
            "Draw fewer images in a figure."
        )
    return found


def show(axes: Axes, picture: npt.NDArray[np.uint8], title: str) -> None:
    """Draw a picture in a panel, under a title unless it has one."""
    # Pixels of small pictures are seen as squares; larger ones shrink, and may not lose single bright pixels.
    smooth = max(picture.shape[:2]) > _PIXELS
    axes.imshow(picture, interpolation="antialiased" if smooth else "nearest")
    axes.set_xticks([])
    axes.set_yticks([])
    if title and not axes.get_title():
        axes.set_title(title, fontsize="medium")


def bar(axes: Axes, scale: Scale) -> None:
    """Draw a colour bar at the right of a panel, as high as what is drawn there.

    It is pointed where values lie beyond its ends, and says above how many percent may.
    """
    inset = axes.inset_axes((1.04, 0, 0.05, 1))
    axes.figure.colorbar(scale, cax=inset, extend=scale.extend)
    inset.tick_params(labelsize="small")
    inset.yaxis.set_major_locator(MaxNLocator(4))
    say_cut(inset, scale)


def say_cut(bar: Axes, scale: Scale) -> None:
    """Say above a colour bar how many percent of the values may lie beyond its ends, if some do."""
    if scale.cut:
        bar.set_title(f"top {scale.cut:g} %", fontsize="x-small", loc="left", pad=3)


def outline(axes: Axes, mask: npt.ArrayLike, shape: tuple[int, ...], color: str) -> None:
    """Draw the bounding box of a mask over a picture of a shape."""
    inside = np.asarray(mask, bool)
    if inside.ndim == 3 and inside.shape[-1] == 1:
        inside = inside[..., 0]
    if inside.shape != shape or not inside.any():
        received = f"shape {inside.shape}, with {np.count_nonzero(inside)} positions inside"
        raise InputError(
            f"A box must be a mask of the shape {shape} of its image, with at least one position inside. "
            f"Received: {received}."
        )
    rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    left, top = columns[0] - 0.5, rows[0] - 0.5
    right, bottom = columns[-1] + 0.5, rows[-1] + 0.5
    axes.plot(
        [left, right, right, left, left],
        [top, top, bottom, bottom, top],
        color=color,
        linewidth=0.8,
        path_effects=[withStroke(linewidth=2, foreground="black")],
    )
