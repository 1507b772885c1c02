"""Rows of a run as small pictures: the input, its map, the map over it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from vis import files, maps, plotting
from vis.errors import InputError
from vis.files.pictures import FITS
from vis.plotting.colors import Look
from vis.plotting.over import as_picture
from vis.reports.run import Row, Run
from vis.utils.pictures import stitch_images

Picture = npt.NDArray[np.uint8]


class Rows(Protocol):
    """An array, or anything with a length and an item per row."""

    def __len__(self) -> int: ...
    def __getitem__(self, number: int, /) -> Any: ...


# The inputs of a run: the folder of the pictures, or the pictures; None for the folder that the run names.
Pictures: TypeAlias = str | os.PathLike[str] | Rows | None

# A series is drawn as a band of this many pixels, a volume by this many slices.
_BAND, _SLICES = 32, 9


def look_of(
    run: Run, drawn: range, cmap: str | None, clip_percentile: float, signed: bool | None, absolute: bool
) -> Look:
    """Return how all maps are coloured: with a sign if one of them has a negative value."""
    look = Look(cmap, clip_percentile, signed, absolute)
    return replace(look, signed=not absolute and run.signed(drawn)) if signed is None else look


@dataclass(frozen=True)
class Drawing:
    """The drawing of a row.

    Attributes:
        panels: pictures by what they show, RGB.
        problem: what could not be drawn, in words; empty if nothing is missing.
    """

    panels: Mapping[str, Picture]
    problem: str = ""


class Inputs:
    """The pictures that a run has explained, as the model saw them.

    Args:
        run: the run.
        images: the folder of the pictures, or an array or a sequence with a picture for each row; None for
            the folder that the run names.

    Attributes:
        problem: why there are none; empty if there are some.
        lost: whether the run names a folder that does not exist.

    Raises:
        InputError: if `images` is not a folder, or has too few pictures, or the run does not name its files.
    """

    def __init__(self, run: Run, images: Pictures = None) -> None:
        self._arrays: Any = None
        self._folder: Path | None = None
        self.problem, self.lost = "", False
        if images is not None and not isinstance(images, str | os.PathLike):
            if len(images) < run.count:
                raise InputError(
                    f"There is a picture for each map. Received: {len(images)} pictures for {run.count} maps."
                )
            self._arrays = images
            return
        said = run.source.get("folder") if images is None else images
        if said is None:
            if run.of_pictures:
                self.problem = (
                    "The run does not say where its inputs lie, so the maps stand alone. Pass images "
                    "(--images FOLDER) to show the pictures, too."
                )
        elif not Path(said).is_dir():
            if images is not None:
                raise InputError(f"There is no folder of pictures {str(said)!r}.")
            self.lost = True
            self.problem = (
                f"The folder {str(said)!r} of the pictures is not there any more, so the maps stand alone. "
                "Pass images (--images FOLDER) to say where it is now."
            )
        elif not run.has_names:
            raise InputError(
                f"The run in {run.path.name!r} lists no files, so it does not say which picture of a folder "
                f"belongs to which map. Received: the folder {str(said)!r}. Pass names, the file of each map "
                "in that folder, or the pictures themselves."
            )
        else:
            self._folder = Path(said)
        fit = run.source.get("fit")
        self._fit = fit if fit in FITS else "crop"

    def picture(self, row: Row, shape: tuple[int, int]) -> Any:
        """Return the picture of a row, `(height, width, channels)`, or None if there is none.

        Args:
            row: the row.
            shape: the height and width of its map.

        Raises:
            InputError: if it cannot be read.
        """
        if self._arrays is not None:
            return np.asarray(self._arrays[row.number])
        if self._folder is None:
            return None
        # A list whose names lead out of the folder was not written by this library.
        if Path(row.name).is_absolute() or ".." in Path(row.name).parts:
            raise InputError(f"{row.name!r} lies outside the folder of the pictures.")
        picture = files.load_image(self._folder / row.name, (*shape, 3), self._fit)
        return np.rint(picture).astype(np.uint8)


def drawing(row: Row, inputs: Inputs, look: Look) -> Drawing:
    """Return the drawing of a row."""
    panels: dict[str, Picture] = {}
    problems = []
    for name, held in row.maps.items():
        title = "map" if name == "maps" else f"map of {name.removeprefix('maps_')}"
        values = flat(held)
        if values is None:
            problems.append(f"A map of shape {held.shape} cannot be drawn.")
            continue
        coloured = plotting.colorize(values, **vars(look))
        if held.ndim != 3 or len(row.maps) > 1:
            panels[title] = coloured
            continue
        image = None
        try:
            image = inputs.picture(row, (values.shape[0], values.shape[1]))
            if image is not None:
                over = plotting.overlay_map(image, values, **vars(look))
                shown = as_picture(image, values.shape)
                panels |= {"input": shown, title: coloured, f"{title} over input": over}
        except InputError as error:
            problems.append(str(error))
        panels.setdefault(title, coloured)
    return Drawing(panels, " ".join(problems))


def flat(held: npt.NDArray[np.float32]) -> npt.NDArray[np.float32] | None:
    """Return a map as values of a picture, or None if it cannot be drawn.

    A map of features or steps becomes a band from left to right, one of steps and channels has a row for
    each channel, a volume is drawn by up to nine slices side by side. Channels of pictures are averaged.
    """
    if not held.size:
        return None
    if held.ndim == 3:
        channels = 0 if held.shape[0] == 1 and held.shape[-1] != 1 else -1
        return np.asarray(maps.reduce_channels(held, channels, "mean"))
    if held.ndim == 1 or (held.ndim == 2 and held.shape[1] == 1):
        return _band(held.reshape(1, -1))
    if held.ndim == 2:
        return _band(held.T)
    if held.ndim == 4:
        chosen = np.unique(np.linspace(0, len(held) - 1, min(len(held), _SLICES)).round().astype(int))
        return stitch_images([held[number].mean(axis=-1) for number in chosen], margin=0, cols=3)
    return None


def _band(rows: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return rows, each as high as a band needs, whose steps are as wide as they are few."""
    high, wide = max(1, _BAND // rows.shape[0]), max(1, 4 * _BAND // rows.shape[1])
    return rows.repeat(high, axis=0).repeat(wide, axis=1)
