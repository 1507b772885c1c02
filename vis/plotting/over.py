"""Maps laid over their images: colour by value, opacity by value."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from matplotlib.colors import Colormap

from vis import checks, maps
from vis.errors import InputError
from vis.plotting.colors import Look, Scale, finite, one_map

ALPHA = 0.9
# The photo is dimmed behind the map: it loses some of its colour and brightness, and keeps its shapes.
_SATURATION, _BRIGHTNESS = 0.4, 0.85
_LUMINANCE = (0.299, 0.587, 0.114)  # ITU-R BT.601


def overlay_map(
    image: npt.ArrayLike,
    map: npt.ArrayLike,
    *,
    cmap: str | Colormap | None = None,
    alpha: float = ALPHA,
    clip_percentile: float = 1,
    signed: bool | None = None,
    absolute: bool = False,
) -> npt.NDArray[np.uint8]:
    """Return an image with a map laid over it, opaque where the map is large and clear where it is zero.

    `(1 - o) b + o c`, where c is the map's colour, `o = alpha s` its opacity, s from 0 to 1 how far the value
    (or its magnitude, if the map is signed) is up its scale, and b the image with 0.4 of its saturation and
    0.85 of its brightness.

    Args:
        image: `(height, width)`, `(height, width, channels)` or `(channels, height, width)`; values from 0 to
            1 and bytes (uint8, or whole numbers from 0 to 255, one above 31) are drawn as they are, others
            scaled to their range.
        map: of the same height and width, see `colorize`.
        cmap: a Matplotlib colormap or its name; by default `SEQUENTIAL` or, for signed values, `DIVERGING`.
        alpha: the opacity of the largest value, 0 to 1.
        clip_percentile: the percentage of values that may lie beyond the end of the colours.
        signed: diverging colours around 0 or not; None reads it from the values: signed if one is negative.
        absolute: draw magnitudes.

    Returns:
        `(height, width, 3)`, uint8.

    Raises:
        InputError: if the shapes do not match, a value is NaN or infinite, or an option is invalid.
    """
    look = Look(cmap, clip_percentile, signed, absolute)
    values = one_map(map)
    return laid_over(as_picture(image, values.shape), look.scale(values), look.drawn(values), alpha)


def laid_over(
    picture: npt.NDArray[np.uint8], scale: Scale, values: npt.NDArray[np.float64], alpha: float
) -> npt.NDArray[np.uint8]:
    """Return an RGB picture with values of a scale laid over it, see `overlay_map`."""
    if not checks.is_number(alpha) or not 0 <= alpha <= 1:
        raise InputError(f"alpha must be an opacity from 0 to 1. Received: {alpha!r}.")
    opacity = alpha * scale.share(values)[..., None]
    grey = (picture @ np.array(_LUMINANCE))[..., None]
    background = _BRIGHTNESS * (_SATURATION * picture + (1 - _SATURATION) * grey)
    mixed = (1 - opacity) * background + opacity * scale.rgb(values)
    return np.asarray(np.rint(mixed), np.uint8)


def as_picture(image: npt.ArrayLike, shape: tuple[int, ...], what: str = "An image") -> npt.NDArray[np.uint8]:
    """Return an input as an RGB picture of the height and width of its map.

    Values from 0 to 1 and bytes (uint8, or whole numbers from 0 to 255, one above 31) are drawn as they are,
    others are scaled to their range. Of three or four channels the first three are red, green and blue; of
    any other number the mean is drawn.

    Args:
        image: `(height, width)`, `(height, width, channels)` or `(channels, height, width)`, also with
            a first axis of length 1.
        shape: `(height, width)` of the map.
        what: the image, for the message.

    Raises:
        InputError: if the image has another height and width, or a value is NaN or infinite.
    """
    array = checks.real(image, what)
    received = array.shape
    if array.ndim == 4 and array.shape[0] == 1:
        array = array[0]
    if array.ndim == 3 and array.shape[:2] != shape and array.shape[1:] == shape:
        array = np.moveaxis(array, 0, -1)
    if array.ndim not in (2, 3) or array.shape[:2] != shape or not array.size:
        raise InputError(
            f"{what} and its map must have the same height and width. "
            f"Received: an image of shape {received} and a map of shape {shape}."
        )
    if array.dtype.kind not in "iu":
        array = finite(array, array.ndim, what)
    if array.ndim == 2:
        array = array[..., None]
    low, high = array.min(), array.max()
    # Whole numbers that end below 32 are those of fewer bits, such as 0 to 16 of scikit-learn's digits.
    if array.dtype == np.uint8 or (0 <= low and 31 < high <= 255 and (array == np.rint(array)).all()):
        array = array.astype(np.float64)
    elif 0 <= low and high <= 1:
        array = 255.0 * array
    else:
        array = 255.0 * maps.normalize(array)
    if array.shape[-1] == 4:  # the last is opacity
        array = array[..., :3]
    elif array.shape[-1] != 3:
        array = np.repeat(array.mean(axis=-1, keepdims=True), 3, axis=-1)
    return np.rint(array).astype(np.uint8)
