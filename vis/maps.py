"""Gradients to maps: channel reduction and normalisation. Arrays only, no colour, no model."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt


def reduce_channels(gradients: npt.NDArray[Any], channel_axis: int = -1) -> npt.NDArray[Any]:
    """Return the maximum over channels.

    A vector `(features,)` has no channels and comes back as it is.

    Args:
        gradients: `(length, channels)`, `(height, width, channels)`, `(depth, height, width, channels)`
            or with the channels at `channel_axis`; no batch axis.
        channel_axis: the position of the channels.
    """
    return gradients if gradients.ndim < 2 else gradients.max(axis=channel_axis)


def normalize(
    array: npt.ArrayLike, min_value: float = 0.0, max_value: float = 1.0
) -> npt.NDArray[np.float32]:
    """Return `array` scaled linearly so that its smallest value becomes `min_value`, its largest `max_value`.

    `min_value + (max_value - min_value) (a - min a) / (max a - min a)`, in float64: nothing is added
    to the denominator, so an array of values around 1e-30 keeps its full range. A constant array
    becomes `min_value` everywhere.

    Args:
        array: finite values of any shape.
        min_value: the smallest value of the result.
        max_value: the largest value of the result.
    """
    values = np.asarray(array, dtype=np.float64)
    if not values.size:
        return values.astype(np.float32)
    # Halves keep the range finite even for values near the largest float64.
    low, high = values.min() / 2, values.max() / 2
    share = np.zeros_like(values) if low == high else (values / 2 - low) / (high - low)
    return (min_value + (max_value - min_value) * share).astype(np.float32)
