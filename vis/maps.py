"""From arrays to maps and pictures: reducing channels and scaling values, without colours or models."""

from __future__ import annotations

import functools
import math
from typing import Any, get_args

import numpy as np
import numpy.typing as npt

from vis import checks
from vis.errors import GradientError, InputError, did_you_mean
from vis.words import Normalization

__all__ = [
    "as_picture",
    "deprocess_input",
    "normalize",
    "reduce_channels",
    "scaled",
    "strongest_channel",
    "upsample",
]

# How the channels of a position become one: what joins two of them, and whether the result is a mean.
REDUCERS = {
    "max": (np.maximum, False),
    "mean": (np.add, True),
    "min": (np.minimum, False),
    "sum": (np.add, False),
}


def unmasked(values: npt.NDArray[Any], steps: npt.NDArray[np.bool_]) -> npt.NDArray[Any]:
    """Return values that are zero where a model masks its input.

    Args:
        values: `(batch, ...)`, unchanged if they are of other positions than the input's.
        steps: True where nothing is masked, with the same first axes, or sizes of 1 there.
    """
    if steps.all():
        return values
    of_positions = steps.any(axis=tuple(range(values.ndim, steps.ndim)))
    sizes = of_positions.shape + (1,) * (values.ndim - steps.ndim)
    if any(size not in (1, own) for size, own in zip(sizes, values.shape, strict=True)):
        return values
    return np.where(of_positions.reshape(sizes), values, 0)


def reduce_channels(
    gradients: npt.NDArray[Any], channel_axis: int = -1, reducer: str = "max"
) -> npt.NDArray[Any]:
    """Return the maximum, mean, minimum or sum over channels.

    A vector `(features,)` has no channels and is returned unchanged.

    Args:
        gradients: `(length, channels)`, `(height, width, channels)`, `(depth, height, width, channels)`
            or with the channels at `channel_axis`, of one sample or of several.
        channel_axis: the position of the channels.
        reducer: one of `REDUCERS`.
    """
    if gradients.ndim < 2:
        return gradients
    join, is_mean = REDUCERS[reducer]
    count = gradients.shape[channel_axis]
    if not gradients.size:
        return np.zeros(np.delete(gradients.shape, channel_axis), gradients.dtype)
    if 0 < count < 8:
        # A few channels are joined ten times as fast picture by picture as position by position.
        reduced = functools.reduce(join, np.moveaxis(gradients, channel_axis, 0))
    else:
        reduced = join.reduce(gradients, axis=channel_axis)
    return np.asarray(reduced / reduced.dtype.type(count) if is_mean else reduced)


def strongest_channel(values: npt.NDArray[Any], channel_axis: int = -1) -> npt.NDArray[Any]:
    """Return the value of largest magnitude over the channels, with its sign.

    `v_c` with `c = argmax_c |v_c|`; of `v` and `-v`, the positive one. Where no value is negative, this is
    the maximum. A vector `(features,)` has no channels and is returned unchanged.

    Args:
        values: as the gradients of `reduce_channels`.
        channel_axis: the position of the channels.
    """
    values = values if values.dtype.kind == "f" else values.astype(np.float64)
    high = reduce_channels(values, channel_axis, "max")
    low = reduce_channels(values, channel_axis, "min")
    return np.where(high >= -low, high, low)


def checked_normalization(normalize: Any) -> Normalization | None:
    """Return how values are scaled.

    Raises:
        InputError: for anything other than "minmax", "signed" and None.
    """
    known = get_args(Normalization)
    if normalize is None or (isinstance(normalize, str) and normalize in known):
        return normalize  # type: ignore[return-value]
    near = did_you_mean(normalize, known) if isinstance(normalize, str) else ""
    raise InputError(
        'normalize must be "minmax" (0 to 1), "signed" (-1 to 1, zero stays zero) or None (unscaled '
        f"values). Received: {normalize!r}.{near}"
    )


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

    Raises:
        InputError: if a value is not a finite number.
    """
    values = checks.real(array, "A map").astype(np.float64)
    if not values.size:
        return np.asarray(values, np.float32)
    low, high = values.min(), values.max()
    if not (np.isfinite(low) and np.isfinite(high)):
        raise _not_finite(values)
    if low == high:
        return np.full(values.shape, min_value, np.float32)
    # Halves keep the range finite for values near the largest float64. In place: fresh memory is slow.
    if max(-low, high) > np.finfo(np.float64).max / 2:
        values, low, high = values / 2, low / 2, high / 2
    values -= low
    values /= high - low
    if (min_value, max_value) != (0, 1):
        values *= max_value - min_value
        values += min_value
    return values.astype(np.float32)


def scaled(array: npt.ArrayLike, normalization: Normalization | None) -> npt.NDArray[np.float32]:
    """Return a map in the range that a normalization asks for.

    | normalization | value | range |
    |---|---|---|
    | `"minmax"` | `(a - min a) / (max a - min a)`, 0 for a constant map | 0 to 1 |
    | `"signed"` | `a / max abs(a)`, 0 for a map of zeros | -1 to 1 |
    | None | `a` | all real numbers |

    Raises:
        InputError: if a value is not a finite number.
        GradientError: for None, if a value is too large for float32.
    """
    if normalization == "minmax":
        return normalize(array)
    values = checks.real(array, "A map").astype(np.float64)
    if normalization == "signed":
        largest = np.abs(values).max(initial=0.0)
        if not np.isfinite(largest):
            raise _not_finite(values)
        return np.asarray(values / largest if largest else values, np.float32)
    with np.errstate(over="ignore"):
        raw = values.astype(np.float32)
    if not np.isfinite(raw).all():
        raise GradientError(
            f"A value of the map is too large for float32: {np.abs(values).max():.3g}. "
            'Pass normalize="signed", which divides by it.'
        )
    return raw


def _not_finite(values: npt.NDArray[Any], rule: str = "Only finite values can be normalized") -> InputError:
    bad = int(np.count_nonzero(~np.isfinite(values)))
    return InputError(
        f"{rule}. Received: {bad} of {values.size} values NaN or infinite. Replace or remove them."
    )


def unit(gradient: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return gradients `(samples, ...)`, each divided by its Euclidean norm; zeros stay zeros."""
    axes = tuple(range(1, gradient.ndim))
    # Divided by its largest value first, no square of it overflows or vanishes.
    largest = np.abs(gradient).max(axis=axes, keepdims=True)
    scaled = gradient / np.where(largest > 0, largest, 1)
    return np.asarray(scaled / np.sqrt(np.maximum((scaled**2).sum(axis=axes, keepdims=True), 1)))


def upsample(array: npt.NDArray[Any], shape: tuple[int, ...]) -> npt.NDArray[Any]:
    """Return `array` interpolated linearly to `shape`, each value standing for a cell of equal size.

    Args:
        array: one to three axes of any size.
        shape: the new size of each axis.
    """
    for axis, (old, new) in enumerate(zip(array.shape, shape, strict=True)):
        if old != new:
            array = np.moveaxis(np.tensordot(_weights(old, new), array, (1, axis)), 0, axis)
    return array


@functools.lru_cache(64)
def _weights(old: int, new: int) -> npt.NDArray[np.float64]:
    """Return the weights of the old cells in each new one, `(new, old)`: linear between their centres."""
    positions = np.clip((np.arange(new) + 0.5) * old / new - 0.5, 0, old - 1)
    weights = np.maximum(1 - np.abs(positions[:, None] - np.arange(old)), 0)
    weights.setflags(write=False)
    return np.asarray(weights)


def checked_range(input_range: Any) -> tuple[float, float]:
    """Return `(low, high)`.

    Raises:
        InputError: unless the range is a pair of finite numbers, low < high.
    """
    found = checks.pair(input_range, float)
    if found is None or not all(map(math.isfinite, found)) or found[0] >= found[1]:
        raise InputError(
            "input_range must be a pair (low, high) of finite numbers, low < high. "
            f"Received: {input_range!r}. Pass (0, 255), (0, 1) or (-1, 1)."
        )
    return found


def range_of_pictures(input_range: Any, preprocess: str | None) -> tuple[float, float] | None:
    """Return the range that pictures are scaled to, or None where they are prepared in another way.

    Raises:
        InputError: as `checked_range`, or if both a range and a preprocessing are given.
    """
    if input_range is None:
        return None
    if preprocess is not None:
        raise InputError("Give an input range or a preprocessing, not both. Received: both.")
    return checked_range(input_range)


def deprocess_input(
    input_array: npt.ArrayLike, input_range: tuple[float, float] = (0, 255)
) -> npt.NDArray[Any]:
    """Return an optimized input as a picture, with rare extreme values clipped.

    `low + (high - low) clip(0.5 + 0.1 (x - mean(x)) / std(x), 0, 1)`: values within five standard deviations
    of the mean spread over the range. A constant array becomes the middle of the range.

    Args:
        input_array: finite values of any shape, with at least one value.
        input_range: the values `(low, high)` of black and white.

    Returns:
        uint8, rounded, if both ends of the range are integers from 0 to 255 and the higher one is above 1;
        float32 otherwise, also for (0, 1), which means fractions.

    Raises:
        InputError: if the range is not a pair of finite numbers, low < high, the array is empty, or a value
            is NaN or infinite.
    """
    low, high = checked_range(input_range)
    values = checks.real(input_array, "A picture").astype(np.float64)
    if not values.size:
        raise InputError(
            f"A picture must have at least one value. Received: an array of shape {values.shape}."
        )
    if not np.isfinite(values).all():
        raise _not_finite(values, "A picture must have finite values")
    # Rounding can make the mean of equal values differ from them: that difference is not a deviation.
    if values.min() == values.max():
        share = np.full_like(values, 0.5)
    else:
        values /= np.abs(values).max()  # so that no square overflows or vanishes
        share = np.clip(0.5 + 0.1 * (values - values.mean()) / values.std(), 0, 1)
    return as_picture(low + (high - low) * share, input_range)


def as_picture(values: npt.NDArray[Any], input_range: tuple[float, float]) -> npt.NDArray[Any]:
    """Return values of a range as a picture, in the type that suits the range.

    Returns:
        uint8, rounded, if both ends of the range are integers from 0 to 255 and the higher one is above 1;
        float32 otherwise, also for (0, 1), which means fractions.
    """
    whole = all(isinstance(end, int | np.integer) and 0 <= end <= 255 for end in input_range)
    if whole and max(input_range) > 1:
        return np.asarray(np.rint(values), np.uint8)
    return np.asarray(values, np.float32)
