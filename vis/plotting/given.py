"""What is given to be drawn, read: one image or several, with the maps of one method or of several."""

from __future__ import annotations

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
    read = {name: _maps(name, _read(rows, f"A map of {name!r}"), given) for name, rows in maps.items()}
    lengths = {name: len(rows) for name, rows in read.items()}
    first = next(iter(read.values()))
    several = _images(given, len(first), first[0].shape if first else ())
    if not several or any(length != len(several) for length in lengths.values()):
        hint = " Pass a mapping from names to maps to draw several of one image." if len(several) == 1 else ""
        raise InputError(
            f"A grid needs one entry per input. Received: {len(several)} inputs and maps {lengths}.{hint}"
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


def _read(given: Batch, what: str) -> list[Any] | npt.NDArray[Any]:
    """Return a list of images or maps as it is, anything else as an array."""
    if isinstance(given, list | tuple) and all(checks.real(row, what).ndim > 1 for row in given):
        return list(given)
    return checks.real(given, what)


def _maps(name: str, given: Any, images: Any) -> list[npt.NDArray[np.float64]]:
    if isinstance(given, np.ndarray):
        # (height, width, C) beside one image of that height and width is a map with channels, not a batch.
        beside = images.shape[:2] if isinstance(images, np.ndarray) and images.ndim < 4 else None
        with_channels = given.ndim == 3 and given.shape[:2] == beside and given.shape[1:] != beside
        one = given.ndim < 3 or (given.ndim == 3 and given.shape[-1] == 1) or with_channels
        given = [given] if one else list(given)
    many = len(given) > 1
    named = [f"Map {number} of {name!r}" if many else "A map" for number in range(len(given))]
    return [one_map(row, what) for row, what in zip(given, named, strict=True)]


def _images(given: Any, count: int, shape: tuple[int, ...]) -> list[Any]:
    if isinstance(given, list):
        return given
    one = given.ndim == 3 and (given.shape[:2] == shape or (count == 1 and given.shape[1:] == shape))
    return [given] if given.ndim < 3 or one else list(given)
