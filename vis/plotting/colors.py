"""Values as colours: maps without negative values from dark to bright, signed ones diverging from 0."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, TypedDict

import matplotlib
import numpy as np
import numpy.typing as npt
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, Normalize

from vis import checks
from vis.errors import InputError, did_you_mean

SEQUENTIAL = "inferno"
DIVERGING = "RdBu_r"


class Scale(ScalarMappable):
    """A scale from values to colours, for a colour bar too.

    Args:
        low, high: the values at the ends of the colours; from `-high` if `signed`.
        cmap: the colours.
        signed: whether zero is in the middle.
        cut: the percentage that may lie beyond the ends; 0 if no value does.
    """

    def __init__(self, low: float, high: float, cmap: Colormap, signed: bool, cut: float) -> None:
        super().__init__(Normalize(-high if signed else low, high), cmap)
        self.low, self.high, self.signed, self.cut = low, high, signed, cut

    @property
    def extend(self) -> Literal["neither", "max", "both"]:
        """Which ends of a colour bar are pointed: those that values lie beyond."""
        return ("both" if self.signed else "max") if self.cut else "neither"

    def rgb(self, values: npt.NDArray[np.float64]) -> npt.NDArray[np.uint8]:
        """Return the colours of values, uint8, with a last axis of 3."""
        rgba: npt.NDArray[np.uint8] = self.to_rgba(values, bytes=True)
        return rgba[..., :3]

    def share(self, values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return how far values, or the magnitudes of signed ones, are up the scale, 0 to 1."""
        sizes = np.abs(values) if self.signed else values
        return np.clip((sizes - self.low) / (self.high - self.low), 0, 1)


class LookOptions(TypedDict, total=False):
    """The options of a plot that make its `Look`."""

    cmap: str | Colormap | None
    clip_percentile: float
    signed: bool | None
    absolute: bool


@dataclass(frozen=True)
class Look:
    """How values become colours.

    Args:
        cmap: a Matplotlib colormap or its name; None for `SEQUENTIAL`, or `DIVERGING` for signed values.
        clip_percentile: the colours end at the `100 - clip_percentile`-th percentile of the values, or of
            their magnitudes if they are signed: at most this percentage of values lies beyond and is drawn in
            the colour of the end. 0 cuts nothing.
        signed: diverging colours from -m through 0 to m, or dark to bright from 0 (or the smallest negative
            value) to the largest; None reads it from the values: signed if one is negative.
        absolute: draw magnitudes.
    """

    cmap: str | Colormap | None = None
    clip_percentile: float = 0
    signed: bool | None = None
    absolute: bool = False

    def __post_init__(self) -> None:
        percentile = self.clip_percentile
        if not checks.is_number(percentile) or not 0 <= percentile < 100:
            raise InputError(
                f"clip_percentile must be a percentage, at least 0 and below 100. Received: {percentile!r}."
            )
        if isinstance(self.cmap, str):
            if self.cmap not in matplotlib.colormaps:
                hint = did_you_mean(self.cmap, list(matplotlib.colormaps))
                raise InputError(f"Matplotlib has no colormap {self.cmap!r}.{hint}")
        elif not isinstance(self.cmap, Colormap | None):
            raise InputError(f"cmap must be a Matplotlib colormap or its name. Received: {self.cmap!r}.")
        if self.absolute and self.signed:
            raise InputError("Magnitudes have no sign. Received: absolute=True and signed=True. Pass one.")

    def named(self, name: str) -> str:
        """Return the title of a panel: `|name|` if its values lose their sign."""
        return f"|{name}|" if self.absolute and name else name

    def of(self, values: npt.NDArray[np.float64]) -> Look:
        """Return the look of all maps whose values these are: signed if one value is negative."""
        signed = bool(values.min() < 0) if self.signed is None else self.signed
        return replace(self, signed=signed and not self.absolute)

    def drawn(self, values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return the values that are drawn: their magnitudes if `absolute`."""
        return np.abs(values) if self.absolute else values

    def scale(self, values: npt.NDArray[np.float64]) -> Scale:
        """Return the scale of values."""
        signed = self.of(values).signed
        values = self.drawn(values)
        low = 0.0 if signed else min(float(values.min()), 0.0)
        sizes = np.abs(values) if signed else values
        # "higher": no more than that percentage is cut, and none of a few values.
        high = float(np.percentile(sizes, 100 - self.clip_percentile, method="higher"))
        # Where nearly everything is zero, the cut would fall on zero and hide the rest.
        if high <= low:
            high = float(sizes.max())
        if high <= low:
            high = low + 1.0
        cmap = self.cmap or (DIVERGING if signed else SEQUENTIAL)
        chosen = matplotlib.colormaps[cmap] if isinstance(cmap, str) else cmap
        return Scale(low, high, chosen, bool(signed), self.clip_percentile if (sizes > high).any() else 0)


def colorize(
    array: npt.ArrayLike,
    *,
    cmap: str | Colormap | None = None,
    clip_percentile: float = 0,
    signed: bool | None = None,
    absolute: bool = False,
) -> npt.NDArray[np.uint8]:
    """Return a map as an RGB picture.

    Values without a sign are drawn from 0 to their maximum, values of both signs from -m to m with m
    their largest magnitude.

    Args:
        array: `(height, width)`, or with axes of length 1 before or after: `(height, width, 1)`, `(1, height,
            width, 1)`.
        cmap: a Matplotlib colormap or its name; by default `SEQUENTIAL` or, for signed values, `DIVERGING`.
        clip_percentile: the percentage of values that may lie beyond the end of the colours.
        signed: diverging colours around 0 or not; None reads it from the values: signed if one is negative.
        absolute: draw magnitudes.

    Returns:
        `(height, width, 3)`, uint8.

    Raises:
        InputError: if the shape is not that of one map, a value is NaN or infinite, or an option is invalid.
    """
    look = Look(cmap, clip_percentile, signed, absolute)
    values = one_map(array)
    return look.scale(values).rgb(look.drawn(values))


def one_map(array: npt.ArrayLike, what: str = "A map") -> npt.NDArray[np.float64]:
    """Return one map as `(height, width)`, without axes of length 1 before and after them.

    Raises:
        InputError: if there are several maps or channels, or a value is NaN or infinite.
    """
    values = checks.real(array, what)
    shape = values.shape
    if values.ndim == 4 and shape[0] == 1:
        values = values[0]
    if values.ndim == 3 and values.shape[-1] == 1:
        values = values[..., 0]
    elif values.ndim == 3 and values.shape[0] == 1:
        values = values[0]
    if values.ndim == 3 and 1 < values.shape[-1] <= 4:
        raise InputError(
            f"{what} must have one value per position, (height, width). Received: shape {shape}, with "
            f"{values.shape[-1]} channels. Reduce them, for example by map.max(axis=-1) or by the reducer of "
            "the explainer."
        )
    if values.ndim != 2:
        raise InputError(f"{what} must have the axes (height, width). Received: shape {shape}.")
    return finite(values, 2, what)


def finite(array: npt.ArrayLike, ndim: int | None = None, what: str = "A map") -> npt.NDArray[np.float64]:
    """Return values of a map in float64.

    Args:
        array: of the shape `(height, width)` or `(length,)`, or of `ndim` axes.
        ndim: how many axes there must be.
        what: the values, for the message.

    Raises:
        InputError: if there is another number of axes, no value, or one that is NaN or infinite.
    """
    values = checks.real(array, what).astype(np.float64)
    if values.ndim not in ((1, 2) if ndim is None else (ndim,)):
        axes = {None: "(height, width) or (length,)", 1: "(length,)", 2: "(height, width)"}
        expected = f"the shape {axes[ndim]}" if ndim in axes else f"{ndim} axes"
        raise InputError(f"{what} must have {expected}. Received: shape {values.shape}.")
    if not values.size:
        raise InputError(f"{what} must have at least one value. Received: shape {values.shape}.")
    bad = np.argwhere(~np.isfinite(values))
    if len(bad):
        where = ", ".join(str(tuple(map(int, index))) for index in bad[:3])
        raise InputError(
            f"{what} must be finite. Received: {len(bad)} of {values.size} values of shape "
            f"{values.shape} are NaN or infinite, at {where}{', ...' if len(bad) > 3 else ''}."
        )
    return values
