"""The features of an input that are taken out together: values, patches, superpixels or other groups."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from vis import checks
from vis.attributions.batches import Arrays
from vis.errors import InputError

# Sides of patches, "superpixels", the number of the feature of each value, or a function of one input that
# returns these; a list or dict of them for several inputs; None for the usual ones.
FeaturesLike: TypeAlias = (
    int | Sequence[int] | str | npt.NDArray[np.integer[Any]] | Callable[[Any], Any] | dict[str, Any] | None
)
# Patches along each axis of pictures and volumes, if nothing else is asked for.
_PATCHES = 8


def features_of(
    given: Sequence[FeaturesLike], sample: Arrays, channels: Sequence[int | None]
) -> tuple[Arrays, int]:
    """Return the number of the feature of each value of one sample, and how many features there are.

    Features are counted from 0, through all inputs. The numbers broadcast to the inputs.

    Args:
        given: for each input, what features it has, see `Coalitions`.
        sample: the inputs of one sample, without a batch axis.
        channels: the axis of the channels of each, in a batch; None for none.

    Raises:
        InputError: if they do not fit the inputs.
    """
    numbers, count = [], 0
    for each, array, axis in zip(given, sample, channels, strict=True):
        own = _numbers(each, array, None if axis is None else axis - 1)
        names, inverse = np.unique(own, return_inverse=True)
        numbers.append(inverse.reshape(own.shape) + count)
        count += len(names)
    return numbers, count


def _numbers(given: FeaturesLike, array: npt.NDArray[Any], axis: int | None) -> npt.NDArray[Any]:
    """Return numbers that tell which values of an array are of the same feature; they broadcast to it."""
    sizes = [size for at, size in enumerate(array.shape) if at != axis]
    if callable(given):
        given = given(array.copy())  # it may change what it gets
    if given is None:
        sides = [-(-size // _PATCHES) if len(sizes) > 1 and axis is not None else 1 for size in sizes]
        return _with_axis(_patches(sizes, sides), axis)
    if isinstance(given, str):
        if given != "superpixels":
            raise InputError(f'features must be "superpixels", numbers or a function. Received: {given!r}.')
        return _with_axis(superpixels(array, axis), axis)
    own = checks.real(given, "features")
    if own.dtype.kind not in "iu":
        raise InputError(f"features must be integers. Received: numbers of type {own.dtype}.")
    alone = own.shape == (1,) and array.shape != (1,)  # the side along the only axis
    if own.ndim == array.ndim and not alone:
        if all(n in (1, size) for n, size in zip(own.shape, array.shape, strict=True)):
            return own
    if own.shape == tuple(sizes) and axis is not None:
        return _with_axis(own, axis)
    if own.shape in ((), (len(sizes),)) and (own > 0).all():
        return _with_axis(_patches(sizes, [int(side) for side in np.broadcast_to(own, len(sizes))]), axis)
    raise InputError(
        f"features must be the side of patches, one for each of the axes {sizes}, or have the shape of an "
        f"input, {array.shape}, with or without its channels. Received: an array of shape {own.shape}."
    )


def superpixels(
    picture: npt.ArrayLike, channels: int | None = -1, segments: int = 50, compactness: float = 10.0
) -> npt.NDArray[np.int64]:
    """Return the number of the superpixel of each position of a picture or volume, by SLIC.

    Args:
        picture: `(H, W, C)` or `(D, H, W, C)`, in any units: its values are spread to 0..1 first.
        channels: the axis of the channels; None if there is none.
        segments: about how many superpixels.
        compactness: how much nearness counts beside colour.

    Raises:
        InputError: if scikit-image is not installed, or it is not a picture or a volume.

    Reference:
        Achanta et al.: SLIC Superpixels Compared to State-of-the-art Superpixel Methods, 2012.
    """
    slic = checks.extra("superpixels", "skimage.segmentation", "Superpixels need scikit-image").slic
    array = checks.real(picture, "The picture").astype(np.float64)
    if array.ndim - (channels is not None) not in (2, 3):
        raise InputError(f"Superpixels are of pictures and volumes. Received: shape {array.shape}.")
    low, high = array.min(), array.max()
    spread = (array - low) / (high - low) if high > low else np.zeros_like(array)
    return np.asarray(
        slic(spread, n_segments=segments, compactness=compactness, channel_axis=channels, start_label=0),
        np.int64,
    )


def _patches(sizes: Sequence[int], sides: Sequence[int]) -> npt.NDArray[np.int64]:
    """Return the number of the patch of each position."""
    counts = [-(-size // side) for size, side in zip(sizes, sides, strict=True)]
    at = [np.arange(size) // side for size, side in zip(sizes, sides, strict=True)]
    return np.asarray(np.ravel_multi_index(np.meshgrid(*at, indexing="ij"), counts), np.int64)


def _with_axis(numbers: npt.NDArray[Any], axis: int | None) -> npt.NDArray[Any]:
    return numbers if axis is None else np.expand_dims(numbers, axis)
