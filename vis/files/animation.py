"""Animated GIFs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from vis.files.writing import written


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
