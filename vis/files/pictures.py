"""Pictures in files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from vis import checks
from vis.errors import InputError, did_you_mean
from vis.files.reading import first_line
from vis.files.writing import written

# How a picture gets another shape.
FITS: dict[str, Callable[[Image.Image, tuple[int, int], Image.Resampling], Image.Image]] = {
    "crop": ImageOps.fit,
    "pad": ImageOps.pad,
    "stretch": Image.Image.resize,
}
# More is no picture for a network, and a file of a few bytes can claim to have any number.
MAX_PIXELS = 2**26


def load_image(path: str | Path, shape: tuple[int | None, ...], fit: str = "crop") -> npt.NDArray[np.float32]:
    """Return a picture from a file, upright, in the size that a model takes.

    Args:
        path: a file in any format that Pillow reads.
        shape: `(height, width, channels)`; a height or width of None is that of the picture, or follows
            the other one.
        fit: what is done to a picture of another shape: `"crop"` keeps its middle, `"pad"` adds black,
            `"stretch"` squeezes it.

    Returns:
        float32 values from 0 to 255.

    Raises:
        InputError: if the file is missing, damaged or no picture, or has more pixels than `MAX_PIXELS`; or if
            `fit` is unknown.
    """
    if fit not in FITS:
        raise InputError(f"fit is one of {', '.join(FITS)}.{did_you_mean(str(fit), FITS)} Received: {fit!r}.")
    path = checks.image_file(path)
    height, width, channels = shape
    mode = {1: "L", 3: "RGB", 4: "RGBA"}.get(channels or 3)
    if mode is None:
        raise InputError(
            f"A picture has 1, 3 or 4 channels. Received: a model with {channels}. "
            "Call vis.visualize_saliency with an array."
        )
    try:
        with Image.open(path) as picture:
            if picture.width * picture.height > MAX_PIXELS:
                raise InputError(
                    f"The image {str(path)!r} has {picture.width} x {picture.height} pixels, more than "
                    f"{MAX_PIXELS:,}. It is not decoded. Make it smaller, or pass its array."
                )
            if picture.mode == "F" or (picture.mode == "I" and picture.format != "PNG"):
                raise InputError(
                    f"The image {str(path)!r} has the pixel type {picture.mode!r}, whose range is not known. "
                    "Save it with 8 or 16 bits per channel."
                )
            picture = ImageOps.exif_transpose(picture)
            if picture.mode.startswith("I"):  # 16 bits; converting would cut them off at 255
                picture = Image.fromarray((np.asarray(picture, np.float32) / 257).astype(np.uint8))
            converted = picture.convert(mode)
    except InputError:
        raise
    except UnidentifiedImageError:
        raise InputError(f"{str(path)!r} is not a picture in a format that Pillow reads.") from None
    except Exception as error:  # the decoders raise whatever the bytes provoke
        raise InputError(f"The image {str(path)!r} could not be decoded: {first_line(error)}.") from error
    size = _fitting(converted.size, height, width)
    if converted.size != size:
        converted = FITS[fit](converted, size, Image.Resampling.BILINEAR)
    return np.asarray(converted, np.float32).reshape(size[1], size[0], -1)


def image_size(path: str | Path) -> tuple[int, int]:
    """Return the height and width of the picture in a file, upright."""
    with Image.open(path) as picture:
        turned = picture.getexif().get(ExifTags.Base.Orientation, 1) in (5, 6, 7, 8)
        return picture.size if turned else (picture.height, picture.width)


def _fitting(size: tuple[int, int], height: int | None, width: int | None) -> tuple[int, int]:
    """Return the width and height that a picture gets."""
    if height is not None and width is not None:
        return width, height
    scale = height / size[1] if height is not None else width / size[0] if width is not None else 1
    return width or max(1, round(scale * size[0])), height or max(1, round(scale * size[1]))


class ImageFolder:
    """The pictures in a folder and those inside it, in the order of their paths, read when asked for.

    Args:
        folder: the folder.
        shape: `(height, width, channels)` that each gets.
        prepare: what makes the model's input of a picture of float32 values from 0 to 255.
        fit: see `load_image`.

    Raises:
        InputError: if there is no picture; and by the item, if one cannot be read.
    """

    def __init__(
        self,
        folder: str | Path,
        shape: tuple[int | None, ...],
        prepare: Callable[[npt.NDArray[np.float32]], npt.NDArray[Any]] = np.asarray,
        fit: str = "crop",
    ) -> None:
        Image.init()
        known = set(Image.EXTENSION)
        self.paths = sorted(path for path in Path(folder).rglob("*") if path.suffix.lower() in known)
        if not self.paths:
            raise InputError(f"There is no picture in the folder {str(folder)!r}.")
        if None in shape:
            raise InputError(f"Pictures of a batch have one size. Received: {shape}. Give the size.")
        self.picture_shape = shape
        self.prepare = prepare
        self.fit = fit

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> npt.NDArray[Any]:
        return self.prepare(load_image(self.paths[index], self.picture_shape, self.fit))


def save_picture(path: str | Path, picture: npt.NDArray[np.uint8]) -> None:
    """Write a picture as PNG, whole or not at all.

    Args:
        path: the file; one with its name is replaced.
        picture: uint8 `(height, width, channels)` with 1, 3 or 4 channels.

    Raises:
        InputError: if the picture has other channels, or the file cannot be written.
    """
    if picture.shape[-1] not in (1, 3, 4):
        raise InputError(
            f"A picture has 1, 3 or 4 channels. Received: {picture.shape[-1]}. Save the array instead."
        )
    with written(path) as temporary:
        Image.fromarray(picture[..., 0] if picture.shape[-1] == 1 else picture).save(temporary, "PNG")


def prepared(picture: npt.NDArray[np.float32], name: str) -> npt.NDArray[Any]:
    """Return a picture as the `preprocess_input` of a module of `keras.applications` makes it.

    Args:
        picture: `(height, width, channels)`, 0 to 255.
        name: the module, such as `"resnet50"`.

    Raises:
        InputError: if there is no such module, or it does not take such a picture.
    """
    known = [key for key, module in vars(keras.applications).items() if hasattr(module, "preprocess_input")]
    if name not in known:
        raise InputError(
            f"Keras has no preprocessing {name!r}.{did_you_mean(name, known)} "
            f"Valid names: {', '.join(sorted(known))}."
        )
    try:
        result: npt.NDArray[Any] = getattr(keras.applications, name).preprocess_input(picture.copy())
    except (IndexError, ValueError) as error:
        raise InputError(
            f"The preprocessing {name!r} does not take a picture of shape {picture.shape}: "
            f"{first_line(error)}."
        ) from error
    return result
