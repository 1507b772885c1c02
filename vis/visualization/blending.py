"""Blending one picture over another."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from vis import checks
from vis.errors import InputError


def overlay(array1: npt.ArrayLike, array2: npt.ArrayLike, alpha: float = 0.5) -> npt.NDArray[Any]:
    """Return `alpha array1 + (1 - alpha) array2`, in the type of `array1`.

    This is keras-vis's function; `vis.plotting.overlay_map` keeps the image visible where the map is small.

    Args:
        array1: the picture on top, `(height, width, channels)` or any other shape; integers are rounded.
        array2: the picture below, of the same shape.
        alpha: the opacity of `array1`, 0 to 1.

    Raises:
        InputError: if the shapes differ or `alpha` is outside [0, 1].
    """
    top, below = checks.real(array1, "A picture"), checks.real(array2, "A picture")
    if not isinstance(alpha, int | float | np.number) or not 0.0 <= alpha <= 1.0:
        raise InputError(f"alpha must be an opacity from 0 to 1. Received: {alpha!r}.")
    if top.shape != below.shape:
        raise InputError(
            f"Both pictures must have the same shape. Received: {top.shape} and {below.shape}. "
            "Lay a map over its image with vis.plotting.overlay_map, or colour it with vis.plotting.colorize."
        )
    mixed = top * alpha + below * (1.0 - alpha)
    return (np.rint(mixed) if top.dtype.kind in "iu" else mixed).astype(top.dtype)
