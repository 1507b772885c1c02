"""Models and pictures on disk: what is read is checked, what is written appears whole or not at all."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from vis.errors import InputError, ModelError, did_you_mean


def load_model(path: str | Path) -> Any:
    """Return the Keras model in a `.keras` or `.h5` file, loaded in safe mode: no code in the file is run.

    Raises:
        ModelError: if the file is no such model, or holds a `Lambda` layer with code.
    """
    path = Path(path)
    if not path.is_file():
        raise ModelError(f"There is no model file {str(path)!r}. Pass the path of a .keras or .h5 file.")
    try:
        if path.suffix in (".h5", ".hdf5"):
            _refuse_code(path)
        return keras.models.load_model(path, compile=False, safe_mode=True)
    except ModelError:
        raise
    except Exception as error:  # the loaders raise whatever the bytes provoke
        raise ModelError(
            f"{str(path)!r} could not be read as a Keras model (.keras or .h5): {_first_line(error)}"
        ) from error


def _refuse_code(path: Path) -> None:
    """Raise for an HDF5 model with a `Lambda`, whose code older versions of Keras run even in safe mode."""
    import h5py

    with h5py.File(path, "r") as file:
        config = file.attrs.get("model_config")
    if config is None:
        raise ModelError(
            f"{str(path)!r} holds no model, perhaps weights alone. Save it whole: model.save('model.keras')."
        )
    pending = [json.loads(config)]
    while pending:
        item = pending.pop()
        if isinstance(item, dict) and item.get("class_name") == "Lambda":
            raise ModelError(
                f"{str(path)!r} has a Lambda layer, which holds code. It is not run. "
                "Load the model yourself if you trust it, and call the library from Python."
            )
        if isinstance(item, dict | list):
            pending += item.values() if isinstance(item, dict) else item


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0].split(". ")[0] if lines else type(error).__name__


def load_image(path: str | Path, shape: tuple[int | None, ...]) -> npt.NDArray[np.float32]:
    """Return a picture from a file, resized to what a model takes.

    Args:
        path: a file in any format that Pillow reads.
        shape: `(height, width, channels)`; None for height and width keeps the picture's size.

    Returns:
        float32 values from 0 to 255.

    Raises:
        InputError: if the file is missing, damaged or no picture, or is too large to be decoded safely.
    """
    height, width, channels = shape
    mode = {1: "L", 3: "RGB", 4: "RGBA"}.get(channels or 3)
    if mode is None:
        raise InputError(
            f"A picture has 1, 3 or 4 channels. Received: a model with {channels}. "
            "Call vis.visualize_saliency with an array."
        )
    try:
        with Image.open(path) as picture:
            if picture.mode == "F" or (picture.mode == "I" and picture.format != "PNG"):
                raise InputError(
                    f"The image {str(path)!r} has the pixel type {picture.mode!r}, whose range is not known. "
                    "Save it with 8 or 16 bits per channel."
                )
            if picture.mode.startswith("I"):  # 16 bits; converting would cut them off at 255
                picture = Image.fromarray((np.asarray(picture, np.float32) / 257).astype(np.uint8))
            converted = picture.convert(mode)
    except InputError:
        raise
    except FileNotFoundError:
        raise InputError(f"There is no image file {str(path)!r}.") from None
    except UnidentifiedImageError:
        raise InputError(f"{str(path)!r} is not a picture in a format that Pillow reads.") from None
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
        raise InputError(f"The image {str(path)!r} could not be decoded: {_first_line(error)}.") from error
    size = (width or converted.width, height or converted.height)
    if converted.size != size:
        converted = converted.resize(size, Image.Resampling.BILINEAR)
    return np.asarray(converted, np.float32).reshape(size[1], size[0], -1)


class ImageFolder:
    """The pictures in a folder and those inside it, in the order of their paths, read when asked for.

    Args:
        folder: the folder.
        shape: `(height, width, channels)` to which each is resized.
        prepare: what makes the model's input of a picture of float32 values from 0 to 255.

    Raises:
        InputError: if there is no picture; and by the item, if one cannot be read.
    """

    def __init__(
        self,
        folder: str | Path,
        shape: tuple[int | None, ...],
        prepare: Callable[[npt.NDArray[np.float32]], npt.NDArray[Any]] = np.asarray,
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

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> npt.NDArray[Any]:
        return self.prepare(load_image(self.paths[index], self.picture_shape))


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
            f"keras.applications has no preprocessing {name!r}.{did_you_mean(name, known)} "
            f"Valid names: {', '.join(sorted(known))}."
        )
    try:
        result: npt.NDArray[Any] = getattr(keras.applications, name).preprocess_input(picture.copy())
    except (IndexError, ValueError) as error:
        raise InputError(
            f"The preprocessing {name!r} does not take a picture of shape {picture.shape}: "
            f"{_first_line(error)}."
        ) from error
    return result


@contextlib.contextmanager
def written(path: str | Path) -> Iterator[Path]:
    """Give a temporary path beside `path`, which takes its place when the block ends without an error.

    Raises:
        InputError: if the folder cannot be made or written.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(suffix=path.suffix, prefix=f".{path.stem}-", dir=path.parent)
    except OSError as error:
        raise InputError(f"{str(path)!r} cannot be written: {error.strerror}.") from error
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        # mkstemp makes files for the owner alone; a picture is for whom any new file would be.
        mask = os.umask(0)
        os.umask(mask)
        temporary.chmod(0o666 & ~mask)
        temporary.replace(path)
    except OSError as error:
        raise InputError(f"{str(path)!r} cannot be written: {error.strerror}.") from error
    finally:
        temporary.unlink(missing_ok=True)
