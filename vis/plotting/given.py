"""Reads the images and maps to draw: one image or several, with the maps of one method or of several."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from vis import checks
from vis.errors import InputError
from vis.plotting.colors import one_map
from vis.plotting.over import as_picture

Batch = npt.ArrayLike | Sequence[npt.ArrayLike]


def images_and_maps(
    images: Batch, maps: Mapping[str, Batch]
) -> tuple[list[npt.NDArray[np.uint8]], dict[str, list[npt.NDArray[np.float64]]]]:
    """Return images as RGB pictures, and the maps of each method as `(height, width)`, one per image.

    Args:
        images: one or several: `(N, height, width, channels)` with the channels last or first, `(N, height,
            width)`, a list of images of any size; or one without the first axis.
        maps: by the name of the method: `(N, height, width, 1)`, `(N, height, width)`, a list of maps; or one
            without the first axis.

    Raises:
        InputError: if there is not one map per image and method, or shapes do not belong together.
    """
    if not maps:
        raise InputError(
            "A grid needs one entry per input. Received: no maps. Pass one per input, or a mapping from the "
            "names of methods to their maps."
        )
    given = _read(images, "An image")
    of = {name: f" of {name!r}" if len(maps) > 1 else "" for name in maps}
    raw = {name: _read(rows, f"A map{of[name]}") for name, rows in maps.items()}
    for name, values in raw.items():
        if _channels(values) in (3, 4) and _channels(given) == 1:
            raise InputError(
                f"Images come first, then their maps. Received: images of shape {np.shape(given)} and maps"
                f"{of[name]} of shape {np.shape(values)}. Swap them, or reduce the channels of the maps."
            )
    read = {name: _maps(values, given, of[name]) for name, values in raw.items()}
    lengths = {name: len(rows) for name, rows in read.items()}
    first = next(iter(read.values()))
    several = _images(given, len(first), first[0].shape if first else ())
    if not several or any(length != len(several) for length in lengths.values()):
        hint = " Pass a mapping from names to maps to draw several of one image." if len(several) == 1 else ""
        raise InputError(
            f"A grid needs one entry per input. Received: {inputs_of(several)} and maps {lengths}.{hint}"
        )
    for number, rows in enumerate(zip(*read.values(), strict=True)):
        shapes = {name: row.shape for name, row in zip(read, rows, strict=True)}
        if len(set(shapes.values())) > 1:
            raise InputError(
                f"All maps of an image must have its height and width. Received: {shapes} of image {number}. "
                "Resize them first."
            )
    pictures = [
        as_picture(image, row.shape, f"Image {number}" if len(several) > 1 else "An image")
        for number, (image, row) in enumerate(zip(several, first, strict=True))
    ]
    return pictures, read


def inputs_of(images: Sequence[Any]) -> str:
    """Return how many inputs there are, for a message."""
    return f"{len(images)} input{'' if len(images) == 1 else 's'}"


def _read(given: Batch, what: str) -> list[Any] | npt.NDArray[Any]:
    """Return a list of images or maps as it is, anything else as an array."""
    first = given[0] if isinstance(given, list | tuple) and given else given
    if isinstance(first, str | os.PathLike):
        raise InputError(
            f"{what} must be an array of real numbers. Received: {first!r}, a name. Read the file first: "
            "vis.utils.utils.load_img(path)."
        )
    if hasattr(first, "explain"):
        raise InputError(
            f"{what} must be an array of real numbers. Received: the explainer {first!r}. Pass what it "
            "returns: explainer(images, targets)."
        )
    rows = [checks.real(row, what) for row in given] if isinstance(given, list | tuple) else []
    if isinstance(given, list | tuple) and all(row.ndim > 1 for row in rows):
        return rows
    return checks.real(given, what)


def _channels(given: list[Any] | npt.NDArray[Any]) -> int | None:
    return given.shape[-1] if isinstance(given, np.ndarray) and given.ndim == 4 else None


def _maps(given: Any, images: Any, of: str) -> list[npt.NDArray[np.float64]]:
    if isinstance(given, np.ndarray):
        one = given.ndim < 3 or (given.ndim == 3 and given.shape[-1] == 1) or _has_channels(given, images)
        given = [given] if one else list(given)
    if any(row.ndim == 4 and len(row) > 1 for row in map(np.asarray, given)):
        raise InputError(
            f"A list of maps has one map{of} per image. Received: a list of {len(given)} batches of maps, "
            f"the first of shape {np.shape(given[0])}. Pass a mapping from the names of methods to maps."
        )
    called = [f"Map {number}{of}" for number in range(len(given))] if len(given) > 1 else [f"A map{of}"]
    return [one_map(row, what) for row, what in zip(given, called, strict=False)]


def _has_channels(given: npt.NDArray[Any], images: Any) -> bool:
    """Return whether three axes are those of one map with channels beside one image, not of several maps."""
    if given.ndim != 3 or isinstance(images, list) or images.ndim not in (2, 3):
        return False
    if given.shape[:2] != images.shape[:2]:
        return False
    # (n, height, width) of both would be grey pictures; they are wider than an image has channels.
    return bool(images.ndim == 2 or given.shape[-1] != images.shape[-1] or given.shape[-1] <= 4)


def _images(given: Any, count: int, shape: tuple[int, ...]) -> list[Any]:
    if isinstance(given, list):
        return given
    each = given.ndim == 3 and given.shape == (count, *shape) and count > 1
    one = given.ndim == 3 and (given.shape[:2] == shape or (count == 1 and given.shape[1:] == shape))
    return [given] if given.ndim < 3 or (one and not each) else list(given)
