"""Where a map points, compared with where the object is."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from vis import checks
from vis.errors import InputError


def pointing_game(maps: npt.ArrayLike, masks: npt.ArrayLike, tolerance: float = 0.0) -> npt.NDArray[np.bool_]:
    """Tell for each map whether its largest value lies in its mask: a hit in the pointing game.

    The mean of the result is the share of hits. A constant map points nowhere and is not a hit.

    Args:
        maps: `(N, H, W)` or `(N, H, W, 1)`; also with other spatial axes, `(N, T)`, `(N, D, H, W)`.
        masks: of the same shape: true where the object is.
        tolerance: how far from the mask the largest value may lie, in pixels; 15 in the paper.

    Returns:
        `(N,)`.

    Raises:
        InputError: if the shapes differ, or the maps are not finite.

    Reference:
        Zhang et al.: Top-down Neural Attention by Excitation Backprop, 2016, section 4.2.
    """
    values, inside = _together(maps, masks)
    if not isinstance(tolerance, int | float | np.number) or not tolerance >= 0:
        raise InputError(f"tolerance must be a distance in pixels, at least 0. Received: {tolerance!r}.")
    hits = np.zeros(len(values), bool)
    for i, (one, mask) in enumerate(zip(values, inside, strict=True)):
        peak = np.unravel_index(one.argmax(), one.shape)
        distances = np.sqrt(np.square(np.argwhere(mask) - peak).sum(axis=1))
        hits[i] = one.max() > one.min() and bool((distances <= tolerance).any())
    return hits


def energy_in_mask(maps: npt.ArrayLike, masks: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Return the share of each map's sum that lies in its mask: `sum_mask(map) / sum(map)`.

    Args:
        maps: without negative values, `(N, H, W)` or `(N, H, W, 1)`; also with other spatial axes.
        masks: of the same shape: true where the object is.

    Returns:
        `(N,)`, 0 to 1; 0 for a map of zeros.

    Raises:
        InputError: if the shapes differ, or a map is not finite or has negative values.

    Reference:
        Wang et al.: Score-CAM: Score-Weighted Visual Explanations for Convolutional Neural Networks, 2020,
        section 4.3.
    """
    values, inside = _together(maps, masks)
    if (values < 0).any():
        raise InputError(
            f"Energy needs maps without negative values. Received: {values.min():.3g}. "
            "Pass numpy.abs(maps), or numpy.maximum(maps, 0)."
        )
    # Divided by the largest first, so that no sum overflows.
    flat = values.reshape(len(values), -1)
    flat = flat / np.maximum(flat.max(axis=1, keepdims=True, initial=0), np.finfo(np.float64).tiny)
    total = flat.sum(axis=1)
    within = np.where(inside.reshape(flat.shape), flat, 0).sum(axis=1)
    return np.asarray(within / np.where(total > 0, total, 1))


def _together(maps: Any, masks: Any) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    values, inside = checks.real(maps, "A map").astype(np.float64), checks.real(masks, "A mask")
    if values.ndim == inside.ndim + 1 and values.shape[-1] == 1:
        values = values[..., 0]
    if values.ndim < 2 or values.shape != inside.shape or 0 in values.shape[1:]:
        raise InputError(
            "Each map needs a mask of the same shape, with the samples as the first axis. "
            f"Received: maps of shape {values.shape}, masks of shape {inside.shape}."
        )
    if not np.isfinite(values).all():
        raise InputError(
            "Maps must be finite. Received: "
            f"{np.count_nonzero(~np.isfinite(values))} of {values.size} values are NaN or infinite."
        )
    return values, inside.astype(bool)
