"""Values as colours: maps without negative values from dark to bright, signed ones diverging from 0."""

from __future__ import annotations

import matplotlib
import numpy as np
import numpy.typing as npt
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize

from vis import checks
from vis.errors import InputError

SEQUENTIAL = "inferno"
DIVERGING = "RdBu_r"


def colorize(array: npt.ArrayLike) -> npt.NDArray[np.uint8]:
    """Return a map as an RGB picture.

    Args:
        array: `(height, width)`; values without a sign are drawn from 0 to their maximum, values of
            both signs from -m to m with m their largest magnitude.

    Returns:
        `(height, width, 3)`, uint8.

    Raises:
        InputError: if the map is not two-dimensional or not finite.
    """
    scale = mappable(finite(array, ndim=2))
    rgba: npt.NDArray[np.uint8] = scale.to_rgba(np.asarray(array, np.float64), bytes=True)
    return rgba[..., :3]


def finite(array: npt.ArrayLike, ndim: int | None = None) -> npt.NDArray[np.float64]:
    values = checks.real(array, "A map").astype(np.float64)
    known = values.ndim in ((1, 2) if ndim is None else (ndim,)) and values.size
    if not known or not np.isfinite(values).all():
        raise InputError(
            "A map is finite and has the axes (height, width), or one axis. Received: shape "
            f"{values.shape} with {np.count_nonzero(~np.isfinite(values))} values not finite."
        )
    return values


def mappable(values: npt.NDArray[np.float64]) -> ScalarMappable:
    largest = float(np.abs(values).max()) or 1.0
    signed = bool(values.min() < 0)
    scale = Normalize(-largest if signed else 0.0, largest)
    return ScalarMappable(scale, matplotlib.colormaps[DIVERGING if signed else SEQUENTIAL])
