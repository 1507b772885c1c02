"""Pictures in files."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import keras
import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image, ImageOps, JpegImagePlugin, UnidentifiedImageError

from vis import checks
from vis.errors import InputError, did_you_mean
from vis.files.reading import first_line
from vis.files.writing import written
from vis.typing import PictureFile

Size = tuple[int, int]
Box = tuple[float, float, float, float]


def _crop(picture: Image.Image, size: Size, box: Box) -> Image.Image:
    left, top, right, bottom = box
    scale = min((right - left) / size[0], (bottom - top) / size[1])
    x, y = ((right - left - scale * size[0]) / 2, (bottom - top - scale * size[1]) / 2)
    # A rounding error must not lead outside the picture.
    middle = (left + max(x, 0), top + max(y, 0), min(right - x, right), min(bottom - y, bottom))
    return picture.resize(size, Image.Resampling.BILINEAR, middle)


def _pad(picture: Image.Image, size: Size, box: Box) -> Image.Image:
    inside = _inside((box[2] - box[0], box[3] - box[1]), size)
    padded = Image.new(picture.mode, size)
    resized = picture.resize(inside, Image.Resampling.BILINEAR, box)
    padded.paste(resized, (round((size[0] - inside[0]) / 2), round((size[1] - inside[1]) / 2)))
    return padded


def _inside(size: tuple[float, float], limits: Size) -> Size:
    """Return the largest width and height of the same shape within limits."""
    scale = min(limits[0] / size[0], limits[1] / size[1])
    return max(1, round(scale * size[0])), max(1, round(scale * size[1]))


# How a picture gets another shape.
FITS: dict[str, Callable[[Image.Image, Size, Box], Image.Image]] = {
    "crop": _crop,
    "pad": _pad,
    "stretch": lambda picture, size, box: picture.resize(size, Image.Resampling.BILINEAR, box),
}
# A JPEG is decoded at a half, a quarter or an eighth of its size if that is still this many times the final
# size; Pillow's thumbnails use the same factor.
_SPARE = 2
# Where the right and the lower edge of a picture are after it has been turned upright.
_RIGHT_TO_LEFT, _DOWN_TO_TOP, _TURNED = (2, 3, 6, 7), (3, 4, 7, 8), (5, 6, 7, 8)
# No network needs more, and a file of a few bytes can claim any number.
MAX_PIXELS = 2**26


def load_image(
    path: PictureFile, shape: tuple[int | None, ...], fit: str = "crop", *, name: str | None = None
) -> npt.NDArray[np.float32]:
    """Return a picture from a file, upright, in the size that a model takes.

    Args:
        path: a file in any format that Pillow reads: its path, its bytes, or a binary file object, which is
            read from its start and stays open.
        shape: `(height, width, channels)`; a height or width of None is that of the picture, or follows from
            the other one.
        fit: how a picture of another shape is fitted: `"crop"` keeps its middle, `"pad"` adds black,
            `"stretch"` squeezes it.
        name: what messages call the picture; None for its path, the name of the file object, or `"<bytes>"`.

    Returns:
        float32 values from 0 to 255.

    Raises:
        InputError: if the file is missing, damaged or not a picture, or has more pixels than `MAX_PIXELS` or
            Pillow's own limit; if `path` is something else; or if `fit` is unknown.
    """
    if fit not in FITS:
        raise InputError(
            f"fit must be one of {', '.join(FITS)}.{did_you_mean(str(fit), FITS)} Received: {fit!r}."
        )
    file, called = _file(path, name)
    height, width, channels = shape
    mode = {1: "L", 3: "RGB", 4: "RGBA"}.get(channels or 3)
    if mode is None:
        raise InputError(
            f"A picture must have 1, 3 or 4 channels. Received: a model with {channels}. "
            "Call vis.visualize_saliency with an array."
        )
    try:
        with Image.open(file) as picture:
            if picture.width * picture.height > MAX_PIXELS:
                raise InputError(
                    f"The image {called!r} has {picture.width} x {picture.height} pixels, more than "
                    f"{MAX_PIXELS:,}. It is not decoded. Make it smaller, or pass its array."
                )
            if picture.mode == "F" or (picture.mode == "I" and picture.format != "PNG"):
                raise InputError(
                    f"The image {called!r} has the pixel type {picture.mode!r}, whose range is not known. "
                    "Save it with 8 or 16 bits per channel."
                )
            orientation = picture.getexif().get(ExifTags.Base.Orientation, 1)
            width_, height_ = picture.size
            upright = (height_, width_) if orientation in _TURNED else (width_, height_)
            size = _fitting(upright, height, width)
            box = _drafted(picture, _inside(upright, size) if fit == "pad" else size, orientation)
            picture = ImageOps.exif_transpose(picture)
            if picture.mode.startswith("I"):  # 16 bits; converting would cut them off at 255
                picture = Image.fromarray((np.asarray(picture, np.float32) / 257).astype(np.uint8))
            converted = picture.convert(mode)
    except InputError:
        raise
    except UnidentifiedImageError:
        raise InputError(f"{called!r} is not a picture in a format that Pillow reads.") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise InputError(
            f"The image {called!r} is not decoded: {first_line(error)}. Make it smaller, or pass its array."
        ) from None
    except Exception as error:  # the decoders raise whatever the bytes provoke
        raise InputError(f"The image {called!r} could not be decoded: {first_line(error)}.") from error
    if upright != size:
        converted = FITS[fit](converted, size, box)
    return np.asarray(converted, np.float32).reshape(size[1], size[0], -1)


def _drafted(picture: Image.Image, wanted: Size, orientation: int) -> Box:
    """Decode a JPEG at a part of its size, if that is large enough; return where it lies when it is upright.

    Args:
        picture: one that is not decoded yet.
        wanted: the width and height that it is resized to, when it is upright.
        orientation: its orientation according to EXIF.
    """
    width, height = picture.size
    if isinstance(picture, JpegImagePlugin.JpegImageFile):
        least = wanted[::-1] if orientation in _TURNED else wanted
        for scale in (8, 4, 2):
            if min(width / least[0], height / least[1]) >= _SPARE * scale:
                picture.draft(picture.mode, (width // scale, height // scale))
                break
    scale = max(1, round(width / picture.width))
    # Its last column and row may stand for less than a whole pixel.
    right, bottom = picture.width - width / scale, picture.height - height / scale
    x, y = (bottom, right) if orientation in _TURNED else (right, bottom)
    turned = picture.size[::-1] if orientation in _TURNED else picture.size
    left, top = x * (orientation in _RIGHT_TO_LEFT), y * (orientation in _DOWN_TO_TOP)
    return left, top, turned[0] - x + left, turned[1] - y + top


def _file(path: PictureFile, name: str | None = None) -> tuple[Path | BinaryIO, str]:
    """Return what Pillow opens, and what messages call it.

    Raises:
        InputError: if there is no such file, or it is something else that cannot be read as bytes.
    """
    if isinstance(path, bytes | bytearray | memoryview):
        return io.BytesIO(path), name or "<bytes>"
    if isinstance(path, str | os.PathLike):
        return checks.image_file(Path(path)), name or str(path)
    if isinstance(path, io.TextIOBase) or not all(hasattr(path, each) for each in ("read", "seek", "tell")):
        raise InputError(
            "A picture must be the path of a file, its bytes, or a binary file object that can seek. "
            f'Received: {path!r}. Open the file with open(path, "rb"), or pass the bytes.'
        )
    own = getattr(path, "name", None)
    return path, name or (own if isinstance(own, str) else "<bytes>")


def image_size(path: PictureFile) -> tuple[int, int]:
    """Return the height and width of the picture in a file, upright."""
    with Image.open(_file(path)[0]) as picture:
        turned = picture.getexif().get(ExifTags.Base.Orientation, 1) in _TURNED
        return picture.size if turned else (picture.height, picture.width)


def _fitting(size: tuple[int, int], height: int | None, width: int | None) -> tuple[int, int]:
    """Return the width and height that a picture gets."""
    if height is not None and width is not None:
        return width, height
    scale = height / size[1] if height is not None else width / size[0] if width is not None else 1
    return width or max(1, round(scale * size[0])), height or max(1, round(scale * size[1]))


class ImageFolder:
    """The pictures in a folder and in the folders inside it, sorted by path, each read on access.

    Args:
        folder: the folder.
        shape: `(height, width, channels)` of each picture that is returned.
        prepare: makes the model's input from a picture of float32 values from 0 to 255. Several threads
            call it at once.
        fit: see `load_image`.
        paths: the pictures to use, in this order, instead of all pictures in the folder.
        workers: how many threads read ahead while maps are computed; 1 for none. By default, one for each
            core, at most 8.

    Raises:
        InputError: if there is no picture; when an item is read, if its file cannot be read.
    """

    def __init__(
        self,
        folder: str | Path,
        shape: tuple[int | None, ...],
        prepare: Callable[[npt.NDArray[np.float32]], npt.NDArray[Any]] = np.asarray,
        fit: str = "crop",
        *,
        paths: Sequence[str | Path] | None = None,
        workers: int | None = None,
    ) -> None:
        self.paths = checks.pictures_in(folder) if paths is None else [*map(Path, paths)]
        if not self.paths:
            raise InputError(f"There is no picture in the folder {str(folder)!r}.")
        if None in shape:
            raise InputError(
                f"Pictures of a batch must have the same size. Received: {shape}. Pass the height and width."
            )
        self.picture_shape = shape
        self.prepare = prepare
        self.fit = fit
        self.workers = min(os.cpu_count() or 1, 8) if workers is None else workers

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> npt.NDArray[Any]:
        return self.prepare(load_image(self.paths[index], self.picture_shape, self.fit))


def save_picture(path: str | Path, picture: npt.NDArray[np.uint8]) -> None:
    """Write a picture as PNG, completely or not at all.

    Args:
        path: the file; an existing one is replaced.
        picture: uint8 `(height, width, channels)` with 1, 3 or 4 channels.

    Raises:
        InputError: if the picture has other channels, or the file cannot be written.
    """
    if picture.shape[-1] not in (1, 3, 4):
        raise InputError(
            f"A picture must have 1, 3 or 4 channels. Received: {picture.shape[-1]}. Save the array instead."
        )
    with written(path) as temporary:
        Image.fromarray(picture[..., 0] if picture.shape[-1] == 1 else picture).save(temporary, "PNG")


def write_gif(path: str | Path, frames: Sequence[npt.NDArray[np.uint8]], milliseconds: int) -> None:
    """Write pictures as an animated GIF that loops forever, completely or not at all.

    Args:
        path: the file; an existing one is replaced.
        frames: at least one, `(height, width)` or `(height, width, 3)` each.
        milliseconds: how long each is shown; the format stores hundredths of a second.

    Raises:
        InputError: if the file cannot be written.
    """
    first, *others = (Image.fromarray(frame) for frame in frames)
    with written(path) as temporary:
        first.save(temporary, "GIF", save_all=True, append_images=others, duration=milliseconds, loop=0)


def prepared(picture: npt.NDArray[np.float32], name: str) -> npt.NDArray[Any]:
    """Return a picture preprocessed by the `preprocess_input` of a module of `keras.applications`.

    Args:
        picture: `(height, width, channels)`, 0 to 255.
        name: the module, such as `"resnet50"`.

    Raises:
        InputError: if there is no such module, or it does not accept the picture.
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
