"""What a user gives, checked: arrays of numbers, seeds, lists of objects, names of files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vis.errors import GradientError, InputError, ModelError, VisError, did_you_mean


def real(values: Any, what: str) -> npt.NDArray[Any]:
    """Return values as an array of real numbers.

    Args:
        values: anything.
        what: the values, for the message: "A map".

    Raises:
        InputError: if they are no such array.
    """
    try:
        array = np.asarray(values)
    except (ValueError, TypeError) as error:
        raise InputError(
            f"{what} is an array of real numbers. Received: {type(values).__name__}, {error}."
        ) from error
    if array.dtype.kind not in "fiub" and array.dtype.name != "bfloat16":
        raise InputError(
            f"{what} is an array of real numbers. Received: {type(values).__name__} of type {array.dtype}."
        )
    return array


def finite(values: npt.NDArray[Any], what: str) -> npt.NDArray[Any]:
    """Return what a model has computed.

    Args:
        values: an array; what are no numbers pass.
        what: the values, for the message: "The output of 'dense'".

    Raises:
        GradientError: if a value is NaN or infinite.
    """
    bad = int(np.count_nonzero(~np.isfinite(values))) if values.dtype.kind == "f" else 0
    if bad:
        raise GradientError(
            f"{what} has {bad} of {values.size} values that are NaN or infinite. Look for NaN weights, a "
            "logarithm or square root of zero, or an overflow in half precision."
        )
    return values


def generator(seed: Any) -> np.random.Generator:
    """Return the generator of random numbers for a seed.

    Raises:
        InputError: if it is no seed.
    """
    try:
        return np.random.default_rng(seed)
    except (TypeError, ValueError):
        raise InputError(
            "seed is a whole number of at least 0, a NumPy generator, or None for new random numbers. "
            f"Received: {seed!r}."
        ) from None


def listed(things: Any, kind: type, what: str) -> list[Any]:
    """Return things as a list; None is an empty one.

    Args:
        things: a list or tuple of objects of the kind, or None.
        kind: their class.
        what: the things, for the message: "callbacks".

    Raises:
        InputError: if they are no such list.
    """
    known = things is None or (
        isinstance(things, list | tuple) and all(isinstance(thing, kind) for thing in things)
    )
    if not known:
        raise InputError(
            f"{what} are a list of objects of {kind.__module__.removesuffix('.base')}.{kind.__name__}. "
            f"Received: {things!r}."
        )
    return list(things or ())


def model_file(path: str | Path) -> Path:
    """Return the path of a file that a model may be in.

    Raises:
        ModelError: if there is none, or a folder.
    """
    return _file(path, "model", "Pass the path of a .keras or .h5 file.", ModelError)


def image_file(path: str | Path) -> Path:
    """Return the path of a file that a picture may be in.

    Raises:
        InputError: if there is none, or a folder.
    """
    return _file(path, "image", "Pass the path of a picture.", InputError)


def folder(path: str | Path) -> Path:
    """Return the path of a folder.

    Raises:
        InputError: if there is none, or a file.
    """
    if not existing(path).is_dir():
        raise InputError(f"{str(path)!r} is a file. Pass a folder.")
    return Path(path)


def existing(path: str | Path) -> Path:
    """Return the path of a file or folder.

    Raises:
        InputError: if there is none.
    """
    hint = _missing(Path(path))
    if hint is not None:
        raise InputError(f"{str(path)!r} does not exist.{hint or ' Pass the path of what is there.'}")
    return Path(path)


def _file(path: str | Path, kind: str, advice: str, error: type[VisError]) -> Path:
    path = Path(path)
    hint = _missing(path)
    if hint is not None:
        raise error(f"There is no {kind} file {str(path)!r}.{hint} {advice}")
    if path.is_dir():
        raise error(f"{str(path)!r} is a folder, and no {kind} file. {advice}")
    return path


def _missing(path: Path) -> str | None:
    """Return None for a path that exists, else which of those beside it may be meant, in a sentence."""
    try:
        return (
            None if path.exists() else did_you_mean(path.name, [item.name for item in path.parent.iterdir()])
        )
    except (OSError, ValueError):  # no folder that can be read, a name that is too long, a zero byte in it
        return ""
