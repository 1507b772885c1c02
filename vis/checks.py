"""Checks of what a user passes: arguments of two names, numbers, arrays, seeds, lists of objects, files."""

from __future__ import annotations

import importlib
import operator
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from vis.errors import GradientError, InputError, ModelError, VisError, did_you_mean

T = TypeVar("T")


def real(values: Any, what: str) -> npt.NDArray[Any]:
    """Return values as an array of real numbers.

    Args:
        values: anything.
        what: what the message calls the values: "A map".

    Raises:
        InputError: if they are not an array of real numbers.
    """
    try:
        converted = array(values)
    except (ValueError, TypeError) as error:
        raise InputError(
            f"{what} must be an array of real numbers. Received: {type(values).__name__}, {error}."
        ) from error
    if converted.dtype.kind not in "fiub":
        raise InputError(
            f"{what} must be an array of real numbers. "
            f"Received: {type(values).__name__} of type {converted.dtype}."
        )
    return converted


def array(values: Any) -> npt.NDArray[Any]:
    """Return values as an array of NumPy, whatever library they are an array or tensor of, on any device.

    Floats that NumPy itself does not have, such as bfloat16, become float32.

    Raises:
        ValueError, TypeError: if they are not an array.
    """
    if isinstance(values, list | tuple) and any(_is_tensor(item) for item in values):
        values = [array(item) for item in values]
    elif hasattr(values, "detach"):  # of PyTorch, which keeps a gradient, a device and bfloat16 from NumPy
        values = values.detach()
        try:
            return np.asarray(values.numpy(force=True))
        except TypeError:
            values = values.float().numpy(force=True)
    found = np.asarray(values)
    foreign = found.dtype.isbuiltin == 2  # registered with NumPy by another library
    return found.astype(np.float32) if foreign and np.can_cast(found.dtype, np.float32) else found


def _is_tensor(value: Any) -> bool:
    return hasattr(value, "shape") and not isinstance(value, np.ndarray | np.generic)


def is_number(value: Any) -> bool:
    """Tell whether a value is a number of Python or NumPy, and not a bool."""
    return isinstance(value, int | float | np.number) and not isinstance(value, bool)


def whole(name: str, value: Any, least: int = 1) -> int:
    """Return an integer.

    Raises:
        InputError: if it is not an integer, or smaller than `least`.
    """
    try:
        number = least - 1 if isinstance(value, bool) else operator.index(value)
    except TypeError:
        number = least - 1
    if number < least:
        raise InputError(f"{name} must be an integer >= {least}. Received: {value!r}.")
    return number


def pair(values: Any, kind: Callable[[Any], T]) -> tuple[T, T] | None:
    """Return two values as numbers of a kind, or None if they are anything else."""
    try:
        first, second = map(kind, values)
    except (TypeError, ValueError):
        return None
    return first, second


def either(new: T | None, old: T | None, name: str, alias: str) -> T | None:
    """Return the value of an argument that also has an older name, or that of another library.

    Raises:
        InputError: if it is given under both names.
    """
    if new is not None and old is not None:
        raise InputError(
            f"{name} and {alias} name the same argument. Received: {name}={new!r} and "
            f"{alias}={old!r}. Pass {name} alone."
        )
    return old if new is None else new


def finite(values: npt.NDArray[Any], what: str) -> npt.NDArray[Any]:
    """Return values that a model has computed, if they are finite.

    Args:
        values: an array; arrays that do not hold floats pass.
        what: what the message calls the values: "The output of 'dense'".

    Raises:
        GradientError: if a value is NaN or infinite.
    """
    bad = int(np.count_nonzero(~np.isfinite(values))) if values.dtype.kind == "f" else 0
    if bad:
        raise GradientError(
            f"{what} has {bad} NaN or infinite values out of {values.size}. Look for NaN weights, a "
            "logarithm or square root of zero, or an overflow in half precision."
        )
    return values


def generator(seed: Any) -> np.random.Generator:
    """Return the random number generator for a seed.

    Raises:
        InputError: if the seed is not valid.
    """
    try:
        return np.random.default_rng(seed)
    except (TypeError, ValueError):
        raise InputError(
            "seed must be a non-negative integer, a NumPy generator, or None for new random numbers. "
            f"Received: {seed!r}."
        ) from None


def listed(things: Any, kind: type, what: str) -> list[Any]:
    """Return objects as a list, empty for None.

    Args:
        things: a list or tuple of instances of `kind`, or None.
        kind: their class.
        what: what the message calls them: "callbacks".

    Raises:
        InputError: if they are anything else.
    """
    known = things is None or (
        isinstance(things, list | tuple) and all(isinstance(thing, kind) for thing in things)
    )
    if not known:
        raise InputError(
            f"{what} must be a list of {kind.__module__.removesuffix('.base')}.{kind.__name__} objects. "
            f"Received: {things!r}."
        )
    return list(things or ())


def extra(name: str, module: str, needed: str) -> Any:
    """Return a module that one of the library's extras brings.

    Args:
        name: the extra. module: the module. needed: what needs what: "Writing explanations needs zarr".

    Raises:
        ImportError: if it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(f'{needed}: pip install "keras-vis3[{name}]".') from error


def model_file(path: str | Path) -> Path:
    """Return the path of a model file.

    Raises:
        ModelError: if the file does not exist, is a folder, or has another ending than Keras reads.
    """
    path = _file(path, "model", "Pass the path of a .keras or .h5 file.", ModelError)
    if path.suffix not in (".keras", ".h5", ".hdf5"):
        raise ModelError(
            f"{str(path)!r} could not be read as a Keras model, whose file ends in .keras or .h5."
        )
    return path


def image_file(path: str | Path) -> Path:
    """Return the path of a picture file.

    Raises:
        InputError: if the file does not exist, or is a folder.
    """
    return _file(path, "image", "Pass the path of a picture.", InputError)


def folder(path: str | Path) -> Path:
    """Return the path of a folder.

    Raises:
        InputError: if the folder does not exist, or is a file.
    """
    if not existing(path).is_dir():
        raise InputError(f"{str(path)!r} is a file. Pass a folder.")
    return Path(path)


def existing(path: str | Path) -> Path:
    """Return the path of a file or folder.

    Raises:
        InputError: if it does not exist.
    """
    hint = _missing(Path(path))
    if hint is not None:
        raise InputError(
            f"{str(path)!r} does not exist.{hint or ' Pass the path of an existing file or folder.'}"
        )
    return Path(path)


def group(path: str | Path) -> Path:
    """Return the path of a folder that holds a Zarr group.

    Raises:
        InputError: if it does not exist, or is something else.
    """
    if not any((Path(path) / name).is_file() for name in ("zarr.json", ".zgroup")):
        raise InputError(f"{str(path)!r} does not contain maps of this library. Choose another path.")
    return Path(path)


def run(path: str | Path) -> Path:
    """Return the path of a folder that exists and holds a Zarr group."""
    return group(existing(path))


def ending(path: str | os.PathLike[str], what: str, *endings: str) -> Path:
    """Return the path of a file to write, after checking that its ending fits its content.

    Args:
        path: the file.
        what: what is written: "A sheet".
        *endings: the endings that a name may have, the usual one first; a name without an ending is accepted,
            too.

    Raises:
        InputError: if it has another one.
    """
    suffix = Path(path).suffix.lower()
    if suffix and suffix not in endings:
        raise InputError(f"{what} is written to a file that ends in {endings[0]}. Received: {str(path)!r}.")
    return Path(path)


def pictures_in(folder: str | Path) -> list[Path]:
    """Return the pictures in a folder and in the folders inside it, sorted; hidden ones are left out."""
    from PIL import Image, ImageFile

    readers = {
        suffix: Image.OPEN.get(kind, (None,))[0] for suffix, kind in Image.registered_extensions().items()
    }
    # Of some formats Pillow knows the name, and reads them with other programs.
    stubs = ImageFile.StubImageFile
    known = {
        suffix
        for suffix, reader in readers.items()
        if reader and not (isinstance(reader, type) and issubclass(reader, stubs))
    }
    found = (path for path in Path(folder).rglob("*") if path.suffix.lower() in known)
    inside = ((path, path.relative_to(folder).parts) for path in found)
    return sorted(path for path, parts in inside if path.is_file() and not any(p[0] == "." for p in parts))


def pictures(path: str | Path) -> list[Path]:
    """Return the picture that a path names, or those in the folder that it names.

    Raises:
        InputError: if there is nothing, or no picture in the folder.
    """
    if not Path(path).is_dir():
        return [image_file(path)]
    found = pictures_in(path)
    if not found:
        raise InputError(f"There is no picture in the folder {str(path)!r}.")
    return found


def samples(path: str | Path) -> list[Path]:
    """Return the file of arrays that a path names, or the pictures, see `pictures`.

    Raises:
        InputError: if there is nothing, or no picture in the folder.
    """
    if Path(path).suffix.lower() in (".npy", ".npz"):
        return [_file(path, "array", "Pass the path of a .npy or .npz file.", InputError)]
    return pictures(path)


def _file(path: str | Path, kind: str, advice: str, error: type[VisError]) -> Path:
    path = Path(path)
    hint = _missing(path)
    if hint is not None:
        raise error(f"There is no {kind} file {str(path)!r}.{hint} {advice}")
    if path.is_dir():
        raise error(f"{str(path)!r} is a folder, not a file. {advice}")
    return path


def _missing(path: Path) -> str | None:
    """Return None for a path that exists, otherwise a sentence that suggests similar names beside it."""
    try:
        return (
            None if path.exists() else did_you_mean(path.name, [item.name for item in path.parent.iterdir()])
        )
    except (OSError, ValueError):  # an unreadable folder, a name that is too long or contains a zero byte
        return ""
