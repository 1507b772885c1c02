"""Features of tables with their maps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeAlias, TypedDict, overload

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.colors import Colormap
from numpy.typing import ArrayLike

from vis.errors import InputError
from vis.plotting import figures
from vis.plotting.colors import Look, finite
from vis.plotting.figures import Figure
from vis.plotting.paper import drawable, scale_of

if TYPE_CHECKING:
    from typing_extensions import Unpack


Names: TypeAlias = Sequence[str] | None
_LONGEST = 40  # letters of a name


class _Options(TypedDict, total=False):
    top: int
    name: str
    cmap: str | Colormap | None
    signed: bool | None
    absolute: bool
    size: tuple[float, float] | None


@overload
def plot_features(
    names: Names, values: ArrayLike, title: str = "", *, ax: None = None, **options: Unpack[_Options]
) -> Figure: ...
@overload
def plot_features(
    names: Names, values: ArrayLike, title: str = "", *, ax: Axes, **options: Unpack[_Options]
) -> Axes: ...
@overload
def plot_features(
    names: Names, values: ArrayLike, title: str = "", *, ax: Axes | None, **options: Unpack[_Options]
) -> Figure | Axes: ...
def plot_features(
    names: Names,
    values: ArrayLike,
    title: str = "",
    *,
    top: int = 15,
    name: str = "map",
    cmap: str | Colormap | None = None,
    signed: bool | None = None,
    absolute: bool = False,
    size: tuple[float, float] | None = None,
    ax: Axes | None = None,
) -> Figure | Axes:
    """Return a figure of features, those with the largest magnitude first.

    For one sample, a bar for each feature, in one colour above zero and in another below. For a batch, a box
    for each feature: from the first to the third quartile of the samples, with a line at the median, whose
    sign gives the colour, and whiskers from the 5th to the 95th percentile; sorted by the mean magnitude.

    Args:
        names: the names of the features; None for "feature 0", "feature 1", ...
        values: the map of one sample, `(F,)`, `(1, F)`, `(F, 1)`; or of a batch, `(N, F)`, `(N, F, 1)`.
        title: a title above the figure.
        top: how many features are drawn; the figure says how many more there are, and how large they are.
        name: the name of the map.
        cmap: a Matplotlib colormap or its name; by default `"Reds"` or, for signed values, `DIVERGING`.
        signed: a colour for each sign or one for all; None reads it from the values: signed if one is
            negative.
        absolute: draw magnitudes.
        size: `(width, height)` of a new figure in inches.
        ax: Matplotlib axes to draw into; None for a new figure.

    Returns:
        A `Figure`; or `ax`.

    Raises:
        InputError: if there is not a name for each feature, a value is NaN or infinite, or an option is
            unknown.
    """
    if isinstance(top, bool) or not isinstance(top, int | np.integer) or top < 1:
        raise InputError(f"top must be the number of features to draw, at least 1. Received: {top!r}.")
    look = Look(cmap, signed=signed, absolute=absolute)
    rows = look.drawn(_rows(names, finite(values, np.ndim(values))))
    labels = [f"feature {index}" for index in range(rows.shape[1])] if names is None else names
    means = np.abs(rows).mean(axis=0)
    order = np.argsort(-means, kind="stable")
    shown, more = order[:top], order[top:]
    scale = scale_of(rows, look)
    up, down = scale.cmap(0.85), scale.cmap(0.15 if scale.signed else 0.85)
    count = len(shown) + bool(len(more))
    drawn, grid = figures.panels(1, 1, size or (7.0, 1.1 + 0.3 * count), title, ax)
    axes = grid[0, 0]
    heights = np.arange(len(shown))
    what = look.named(name)
    if len(rows) == 1:
        widths = rows[0, shown]
        axes.barh(heights, widths, 0.7, color=[up if width >= 0 else down for width in widths])
    else:
        lowest, low, middle, high, highest = np.quantile(
            rows[:, shown], (0.05, 0.25, 0.5, 0.75, 0.95), axis=0
        )
        axes.hlines(heights, lowest, highest, color="0.35", linewidth=1, zorder=0.9)
        colors = [up if value >= 0 else down for value in middle]
        axes.barh(heights, high - low, 0.55, left=low, color=colors, edgecolor="0.35", linewidth=0.8)
        axes.vlines(middle, heights - 0.275, heights + 0.275, color="black", linewidth=2)
        what = f"{what} of {len(rows)} samples: median, middle half, middle 90 %;\nby the mean of |{name}|"
    ticks = [drawable(_short(str(labels[feature]))) for feature in shown]
    if len(more):
        ticks.append(f"and {len(more)} more")
        magnitude = f"|{name}|" if len(rows) == 1 else f"mean of |{name}|"
        axes.text(
            0.02,
            len(shown),
            f"their largest {magnitude}: {means[more[0]]:.3g}",
            transform=axes.get_yaxis_transform(),
            va="center",
            fontsize="small",
            color="0.3",
            backgroundcolor="white",
        )
    axes.axvline(0, color="0.4", linewidth=0.8)
    axes.set_yticks(range(count), ticks, parse_math=False)
    axes.set_ylim(count - 0.4, -0.6)
    axes.set_xlabel(what, fontsize="small")
    axes.grid(axis="x", color="0.9", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    return drawn


def _rows(names: Names, values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the map of each sample, `(N, F)`."""
    shape = values.shape
    count = None if names is None else len(names)
    if values.ndim == 3 and shape[-1] == 1:
        values = values[..., 0]
    if values.ndim == 2 and shape[-1] == 1 and count == shape[0]:
        values = values[:, 0]
    if values.ndim == 1:
        values = values[None]
    if values.ndim != 2 or count not in (None, values.shape[1]):
        given = "no names" if count is None else f"{count} names"
        raise InputError(
            "A map must have the shape (features,) or (samples, features), and each feature a name. "
            f"Received: {given} and a map of shape {shape}."
        )
    return values


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…"
