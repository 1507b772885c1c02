"""Callbacks: objects that the optimizer calls before the first step, at each step, and at the end."""

from __future__ import annotations

import os
import warnings
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

import keras
import numpy as np
import numpy.typing as npt

from vis import checks, files
from vis.errors import InputError, VisWarning
from vis.maps import checked_range
from vis.models import check_data_format
from vis.words import DataFormat

__all__ = ["GifGenerator", "NamedLosses", "OptimizerCallback", "Print"]

Array: TypeAlias = npt.NDArray[Any]
# A loss: one number, or one for each of several samples.
Value: TypeAlias = float | npt.NDArray[np.floating[Any]]
NamedLosses: TypeAlias = Sequence[tuple[str, Value]]


class OptimizerCallback(ABC):
    """The base class of callbacks. Subclass it and implement `callback`, which is called after each step."""

    @abstractmethod
    def callback(
        self, i: int, named_losses: NamedLosses, overall_loss: Value, grads: Array, wrt_value: Array
    ) -> None:
        """Called after each step of the optimizer.

        Args:
            i: the number of the step, from 0.
            named_losses: pairs of a loss's name and its value without its weight: a number, or one per sample
                if several samples are optimized.
            overall_loss: the weighted sum of the losses.
            grads: the gradient of the overall loss with respect to the optimized values: `wrt_value`, or,
                with a parameterization other than pixels, its parameters.
            wrt_value: the image, or the value of `wrt`, with its batch axis. For a model of several inputs,
                this and `grads` are structures of all of them.
        """

    def on_begin(self) -> None:  # noqa: B027 - few callbacks have anything to begin
        """Called once, before the first step."""

    def on_end(self) -> None:  # noqa: B027 - few callbacks have anything to end
        """Called once, when the optimization has ended, also if it or a callback has raised an error."""


class Print(OptimizerCallback):
    """Prints a line per step: its number, counted from 1, each loss with its name, and the overall loss."""

    def callback(
        self, i: int, named_losses: NamedLosses, overall_loss: Value, grads: Array, wrt_value: Array
    ) -> None:
        named = ", ".join(f"{name}: {_number(value)}" for name, value in named_losses)
        print(f"Iteration: {i + 1}, named_losses: [{named}], overall loss: {_number(overall_loss)}")


class GifGenerator(OptimizerCallback):
    """Writes the pictures of an optimization as an animated GIF, one frame per step, shown for 0.1 s each.

    A value `v` becomes the byte `255 (v - low) / (high - low)`, rounded; values outside the range are
    clipped. The file is written at the end, completely or not at all, and replaces an existing one.

    Args:
        path: the file; `.gif` is added where it is missing.
        input_range: the values `(low, high)` of black and white, in the units of the input: `(0, 255)`,
            `(0, 1)`, `(-1, 1)`.
        data_format: `"channels_last"`, `"channels_first"`, or None for that of `keras.config`.

    Raises:
        InputError: if the range is not a pair of finite numbers, the higher one last; at a step, if the
            input is not a picture of finite values; at the end, if the file cannot be written.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        input_range: tuple[float, float] = (0, 255),
        data_format: DataFormat | None = None,
    ) -> None:
        name = os.fspath(path)
        self.path = Path(name if name.lower().endswith(".gif") else f"{name}.gif")
        self.input_range = checked_range(input_range)
        check_data_format(data_format, "keras.config")
        self.data_format = data_format
        self._frames: list[npt.NDArray[np.uint8]] = []

    def callback(
        self, i: int, named_losses: NamedLosses, overall_loss: Value, grads: Array, wrt_value: Array
    ) -> None:
        """Keep the first sample of `wrt_value`.

        Args:
            wrt_value: `(samples, height, width)` or `(samples, height, width, channels)` with 1 or 3
                channels, or with the channels first.

        Raises:
            InputError: if it is not such a picture, or has a value that is NaN or infinite.
        """
        self._frames.append(self._bytes(checks.real(wrt_value, "The picture for GifGenerator")))

    def on_end(self) -> None:
        """Write the file, and forget the pictures."""
        frames, self._frames = self._frames, []
        if not frames:
            warnings.warn(
                f"{str(self.path)!r} was not written, because the optimizer reported no step. Received: no "
                "picture. Let the optimizer run for at least one step.",
                VisWarning,
                stacklevel=2,
            )
            return
        files.write_gif(self.path, frames, 100)

    def _bytes(self, batch: Array) -> npt.NDArray[np.uint8]:
        picture = batch[0] if batch.ndim else batch
        if picture.ndim == 3 and (self.data_format or keras.config.image_data_format()) == "channels_first":
            picture = np.moveaxis(picture, 0, -1)
        if picture.ndim == 3 and picture.shape[-1] == 1:
            picture = picture[..., 0]
        if not (picture.ndim == 2 or (picture.ndim == 3 and picture.shape[-1] == 3)) or not picture.size:
            raise InputError(
                "GifGenerator needs pictures with 1 or 3 channels. Received: "
                f"wrt_value of shape {batch.shape}. Pass data_format if the channels are on another axis, "
                f"or leave GifGenerator out."
            )
        low, high = self.input_range
        values = picture.astype(np.float64)
        if not np.isfinite(values).all():
            bad = int(np.count_nonzero(~np.isfinite(values)))
            raise InputError(
                f"A picture must have finite values. Received: wrt_value with {bad} of {values.size} values "
                f"NaN or infinite. Lower the learning rate."
            )
        return np.rint((np.clip(values, low, high) - low) / (high - low) * 255).astype(np.uint8)


def _number(value: Value) -> str:
    array = np.asarray(value, np.float64)
    return f"{array.item():.6g}" if array.size == 1 else str(array.tolist())
