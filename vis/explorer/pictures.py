"""The pictures of the strip: files, arrays, and those that are added to the page, each named by a number."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vis import checks, files
from vis.errors import InputError, SkippedWarning, warn
from vis.plotting.over import as_picture
from vis.question import Question

# In the strip. A folder may hold more.
MOST_FILES = 1000
# Added to the page, which are kept in memory.
MOST_ADDED = 64
MOST_BYTES = 2**25


@dataclass(frozen=True)
class Picture:
    """A picture as a person and as the model sees it.

    Args:
        name: shown in the page.
        code: the lines of Python that read it, which define `image`.
        file: where it is; None for one that is in memory.
        array: the model's input, without its batch axis.
        pixels: a picture that was added to the page, 0 to 255.
    """

    name: str
    code: tuple[str, ...]
    file: Path | None = None
    array: npt.NDArray[Any] | None = None
    pixels: npt.NDArray[np.float32] | None = None


class Strip:
    """The pictures of a session. Numbers stay: a picture is never taken out or moved.

    Args:
        question: says how a picture becomes an input.
        images: a file, a folder, a list of them, or an array of inputs `(N, height, width, channels)`; None
            for none.
        name: what the arrays are called in a script.

    Raises:
        InputError: if there is nothing at a path, or the array is not one of pictures.

    Warns:
        SkippedWarning: for symbolic links that lead out of a folder.
    """

    def __init__(self, question: Question, images: Any = None, name: str = "images") -> None:
        self._question = question
        self._lock = threading.Lock()
        self._all: list[Picture] = []
        self.found = 0
        if images is None:
            return
        if isinstance(images, str | Path):
            images = [images]
        if isinstance(images, Sequence) and images and all(isinstance(each, str | Path) for each in images):
            for path in images:
                self._read(Path(path))
            return
        array = checks.real(images, "images")
        if array.ndim == 3:
            array = array[None]
        if array.ndim != 4 or not len(array):
            raise InputError(
                "images must be a folder, paths, or inputs of the model, (N, height, width, channels). "
                f"Received: shape {array.shape}."
            )
        if any(side not in (None, size) for side, size in zip(question.shape, array.shape[1:], strict=True)):
            raise InputError(
                f"images must have the shape (N, height, width, channels) of the model's input, "
                f"{question.shape}. Received: shape {array.shape}."
            )
        checks.finite(array, "images")
        self.found = len(array)
        for number, each in enumerate(array[:MOST_FILES]):
            line = f"image = {name}[{number}]" if np.ndim(images) == 4 else f"image = {name}"
            self._all.append(Picture(f"{name}[{number}]", (line,), array=each))

    def _read(self, path: Path) -> None:
        found = checks.pictures(path)
        if path.is_dir():
            root = path.resolve()
            inside = [each for each in found if each.resolve().is_relative_to(root)]
            if outside := sorted(set(found) - set(inside)):
                warn(
                    f"{len(outside)} symbolic links that lead out of the folder {str(path)!r} are left out: "
                    f"{', '.join(str(each) for each in outside[:3])}{', ...' if len(outside) > 3 else ''}.",
                    SkippedWarning,
                )
            found = inside
        self.found += len(found)
        for each in found[: max(0, MOST_FILES - len(self._all))]:
            # Where a link led when the list was made is what is read later.
            name = str(each.relative_to(path)) if path.is_dir() else each.name
            code = self._code(str(each.resolve()))
            self._all.append(Picture(name, code, file=each.resolve()))

    def _code(self, path: str) -> tuple[str, ...]:
        shape, fit = self._question.shape, self._question.fit
        read = f"picture = files.load_image({path!r}, {tuple(shape)!r}, {fit!r})  # 0 to 255"
        preprocess = self._question.source()["preprocess"]
        if preprocess is not None:
            return read, f"image = files.prepared(picture, {preprocess!r})"
        low, high = self._question.input_range
        return (
            read,
            f"low, high = {low!r}, {high!r}  # the model's values for black and white",
            "image = low + (high - low) * picture / 255",
        )

    def __len__(self) -> int:
        return len(self._all)

    def __getitem__(self, number: int) -> Picture:
        if not 0 <= number < len(self._all):
            raise InputError(
                f"There are {len(self._all)} pictures, numbered from 0. Received: number {number}. "
                "Choose one of the strip."
            )
        return self._all[number]

    def names(self) -> list[str]:
        """Return the names of the pictures."""
        return [picture.name for picture in self._all]

    def input_of(self, number: int) -> npt.NDArray[Any]:
        """Return the model's input, without its batch axis."""
        array = self[number].array
        return self._question.prepared(self._pixels(number)) if array is None else array

    def shown(self, number: int) -> npt.NDArray[np.uint8]:
        """Return the picture as it is shown, uint8 `(height, width, 3)`."""
        array = self[number].array
        if array is None:
            array = np.rint(self._pixels(number)).astype(np.uint8)
        return as_picture(array, array.shape[:2])

    def _pixels(self, number: int) -> npt.NDArray[np.float32]:
        picture = self[number]
        if picture.file is None:
            assert picture.pixels is not None  # noqa: S101 - one of them is there
            return picture.pixels
        if picture.file.resolve() != picture.file:
            raise InputError(f"{picture.name!r} has become a symbolic link. It is not read.")
        return self._question.picture(picture.file)

    def add(self, name: str, data: bytes) -> int:
        """Add a picture of a file's bytes and return its number.

        Raises:
            InputError: if it is too large or not a picture, or too many were added.
        """
        name = Path(name.replace("\\", "/")).name[:100] or "picture"
        if len(data) > MOST_BYTES:
            raise InputError(
                f"{name!r} has more than {MOST_BYTES:,} bytes. It is not read. Make the picture smaller."
            )
        picture = files.load_image(data, self._question.shape, self._question.fit, name=name)
        with self._lock:
            if sum(each.pixels is not None for each in self._all) >= MOST_ADDED:
                raise InputError(f"{MOST_ADDED} pictures have been added, no more are kept. Start again.")
            self._all.append(Picture(name, self._code(name), pixels=picture))
            return len(self._all) - 1
