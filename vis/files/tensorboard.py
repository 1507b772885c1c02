"""Pictures in the log that TensorBoard reads."""

from __future__ import annotations

import itertools
import os
from typing import Any

import numpy as np
import numpy.typing as npt

from vis import checks
from vis.files.writing import unwritable

# Logs that are opened in a folder within the same second would otherwise be one file.
_numbers = itertools.count()


class PictureLog:
    """A log of pictures for TensorBoard.

    Args:
        folder: where it is written; it is created at once.

    Raises:
        ImportError: without tensorboardX: `pip install "keras-vis3[tensorboard]"`.
        InputError: if the folder cannot be created or written to.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self._folder = os.fspath(folder)
        self._writer = _opened(self._folder)

    def write(self, name: str, pictures: npt.NDArray[np.uint8], step: int) -> None:
        """Write pictures, `(count, height, width, 3)`, of one step, as `name/0`, `name/1`, ..."""
        if self._writer is None:  # a second training
            self._writer = _opened(self._folder)
        for index, picture in enumerate(pictures):
            self._writer.add_image(f"{name}/{index}", picture, step, dataformats="HWC")

    def close(self) -> None:
        """Write what is left."""
        if self._writer is not None:
            self._writer.close()
        self._writer = None


def _opened(folder: str) -> Any:
    tensorboard = checks.extra("tensorboard", "tensorboardX", "Writing for TensorBoard needs tensorboardX")
    # Written every second, so that a training can be watched.
    suffix = f".{os.getpid()}.{next(_numbers)}"
    try:
        return tensorboard.SummaryWriter(folder, flush_secs=1, filename_suffix=suffix)
    except OSError as error:
        raise unwritable(folder, error) from error
