"""keras-vis's helpers for pictures: arrays, with the channels last unless stated otherwise."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from vis import checks, files
from vis.errors import InputError, VisWarning, warn
from vis.typing import PictureFile


def get_img_shape(img: npt.ArrayLike | keras.KerasTensor) -> tuple[int | None, ...]:
    """Return the shape of images as `(samples, channels, image axes...)`, for either data format.

    Args:
        img: an array, a tensor or a symbolic tensor with its batch axis:
            `(samples, image axes..., channels)`, or `(samples, channels, image axes...)` if
            `keras.config.image_data_format()` is channels_first.

    Returns:
        The sizes; None where the size of a symbolic tensor is unknown.

    Raises:
        InputError: if there is no image axis.
    """
    shape = tuple(img.shape if hasattr(img, "shape") else np.shape(img))
    if len(shape) < 3:
        raise InputError(
            f"Images must have samples, channels and image axes. Received: shape {shape}. "
            "Add the missing axes: image[None], image[..., None]."
        )
    if keras.config.image_data_format() == "channels_first":
        return shape
    return (shape[0], shape[-1], *shape[1:-1])


def load_img(
    path: PictureFile,
    grayscale: bool = False,
    target_size: tuple[int, int] | None = None,
    *,
    name: str | None = None,
) -> npt.NDArray[np.uint8]:
    """Return the picture in a file.

    Args:
        path: a file in any format that Pillow reads: its path, its bytes, or a binary file object.
        grayscale: whether to return only the lightness.
        target_size: `(height, width)` in pixels, to resize to bilinearly; None keeps the picture's own.
        name: what messages call the picture; None for its path, the name of the file object, or `"<bytes>"`.

    Returns:
        uint8 `(height, width, 3)`, RGB, or `(height, width)` with `grayscale`.

    Raises:
        InputError: if the file is missing, damaged or not a picture, or the size is not a pair of integers of
            at least 1.
    """
    size: tuple[int | None, int | None] = (None, None)
    if target_size is not None:
        found = checks.pair(target_size, operator.index)
        if found is None or min(found) < 1:
            raise InputError(
                f"target_size must be (height, width) in pixels, each at least 1. Received: {target_size!r}."
            )
        size = found
    picture = files.load_image(path, (*size, 1 if grayscale else 3), name=name).astype(np.uint8)
    return picture[..., 0] if grayscale else picture


def stitch_images(
    images: Sequence[npt.NDArray[Any]] | npt.NDArray[Any], margin: int = 5, cols: int = 5
) -> npt.NDArray[Any]:
    """Return pictures side by side, in rows of at most `cols`, with black margins between them.

    Args:
        images: one or more pictures of the same shape and type, `(height, width, channels)` or
            `(height, width)`; a list or an array.
        margin: the width of the margins, in pixels.
        cols: the number of pictures in a row.

    Raises:
        InputError: if there is no picture, they differ in shape, or `margin` < 0 or `cols` < 1.
    """
    margin, cols = checks.whole("margin", margin, 0), checks.whole("cols", cols)
    pictures = [checks.array(image) for image in images]
    shapes = sorted({picture.shape for picture in pictures})
    if len(shapes) != 1 or len(shapes[0]) not in (2, 3):
        raise InputError(
            "Pictures to stitch must have one shape, (height, width, channels) or (height, width). "
            f"Received: {len(pictures)} of the shapes {shapes}. Resize them first."
        )
    height, width, *channels = shapes[0]
    rows, columns = math.ceil(len(pictures) / cols), min(len(pictures), cols)
    size = (rows * (height + margin) - margin, columns * (width + margin) - margin)
    sheet = np.zeros((*size, *channels), np.result_type(*pictures))
    for number, picture in enumerate(pictures):
        row, column = divmod(number, cols)
        top, left = row * (height + margin), column * (width + margin)
        sheet[top : top + height, left : left + width] = picture
    return sheet


def draw_text(
    img: npt.NDArray[np.uint8],
    text: str,
    position: tuple[float, float] = (10, 10),
    font: str | None = None,
    font_size: float = 14,
    color: tuple[int, int, int] = (0, 0, 0),
) -> npt.NDArray[np.uint8]:
    """Return a copy of a picture with text on it.

    Args:
        img: uint8 `(height, width, 3)`, `(height, width, 4)`, `(height, width, 1)` or `(height, width)`.
        text: what to write.
        position: the upper left corner of the text, `(x, y)` in pixels.
        font: a TrueType or OpenType file, or the name of one that the system has, such as
            `"FreeSans.ttf"`; None for Pillow's own, which also replaces a font that is not found, with a
            warning.
        font_size: the size of the letters in pixels.
        color: `(red, green, blue)`, 0 to 255; its lightness on a picture of one channel.

    Raises:
        InputError: if `img` is not such a picture, or the text, its size or its colour is not valid.
    """
    picture = checks.array(img)
    single = picture.ndim == 3 and picture.shape[-1] == 1
    if picture.dtype != np.uint8 or not (
        picture.ndim == 2 or (picture.ndim == 3 and picture.shape[-1] in (1, 3, 4))
    ):
        raise InputError(
            "The picture under a text must be uint8 with 1, 3 or 4 channels. "
            f"Received: {picture.dtype} of shape {picture.shape}. Convert it first, with deprocess_input."
        )
    if not isinstance(text, str):
        raise InputError(f"text must be a string. Received: {text!r}.")
    if not isinstance(font_size, int | float | np.number) or not font_size > 0:
        raise InputError(f"font_size must be a positive size in pixels. Received: {font_size!r}.")
    try:
        red, green, blue = (operator.index(part) for part in color)
    except (TypeError, ValueError):
        raise InputError(
            f"color must be (red, green, blue), integers from 0 to 255. Received: {color!r}."
        ) from None
    canvas = Image.fromarray(picture[..., 0] if single else picture)
    lightness = round(0.299 * red + 0.587 * green + 0.114 * blue)
    fill = lightness if canvas.mode == "L" else (red, green, blue)
    ImageDraw.Draw(canvas).text(position, text, fill=fill, font=_font(font, font_size))
    return np.array(canvas)[..., None] if single else np.array(canvas)


def _font(name: str | None, size: float) -> Any:
    if name is not None:
        try:
            return ImageFont.truetype(name, size)
        except OSError as error:
            warn(
                f"There is no font {name!r}: {error}. Pillow's default font is used instead. "
                "Pass the path of a .ttf or .otf file, or font=None.",
                VisWarning,
            )
    return ImageFont.load_default(size)


def bgr2rgb(img: npt.ArrayLike) -> npt.NDArray[Any]:
    """Return a copy of a picture with its first and last channel swapped: BGR to RGB, or RGB to BGR.

    Args:
        img: `(..., 3)`, of any type.

    Raises:
        InputError: if the last axis is not of length 3.
    """
    picture = checks.array(img)
    if picture.shape[-1:] != (3,):
        raise InputError(
            "The last axis of a picture must hold three channels. "
            f"Received: shape {picture.shape}. Pass (height, width, 3)."
        )
    return np.ascontiguousarray(picture[..., ::-1])
