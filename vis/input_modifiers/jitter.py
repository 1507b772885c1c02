"""Random shifts of the image."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from vis import checks
from vis.errors import InputError
from vis.input_modifiers.base import InputModifier
from vis.models import check_data_format
from vis.words import DataFormat


class Jitter(InputModifier):
    """Moves the image by a random number of pixels before each step, which makes its details crisper.

    `pre(x) = roll(x, (d_1, ..., d_k))` over the k image axes, each `d_i` drawn evenly from the integers
    `-n_i` to `n_i`: values that leave at one end return at the other. The samples of a batch move together.

    Args:
        jitter: one number for all image axes, or one per image axis. Below 1 it is a fraction of the
            axis, `n_i = floor(jitter_i * length_i)` (0.05 of 224 pixels are 11, of 16 pixels none);
            from 1 on it is a number of pixels, `n_i = floor(jitter_i)`.
        seed: a seed, for the same moves whenever a `Jitter` is made, or a NumPy generator; None for new ones.
            The moves go on from one run of the optimizer to the next.
        data_format: `"channels_last"`, `"channels_first"`, or None: that of `keras.config` (channels last
            unless set otherwise), and channels last for sequences.

    Raises:
        InputError: if `jitter` is not one or more finite numbers of at least 0, the seed is invalid, or the
            `data_format` is unknown.

    Reference:
        Mordvintsev, Olah, Tyka: Inceptionism: Going Deeper into Neural Networks, 2015, and its code.
    """

    def __init__(
        self,
        jitter: float | Sequence[float] = 0.05,
        seed: int | np.random.Generator | None = None,
        data_format: DataFormat | None = None,
    ) -> None:
        try:
            values = np.asarray(jitter, np.float64)
        except (TypeError, ValueError):
            values = np.empty(0)
        if values.ndim > 1 or not values.size or not np.isfinite(values).all() or (values < 0).any():
            raise InputError(
                "jitter must be a number >= 0, or one per image axis: below 1 a fraction of the axis, from "
                f"1 on pixels. Received: {jitter!r}."
            )
        check_data_format(data_format, "keras.config")
        self.jitter = tuple(values.tolist()) if values.ndim else float(values)
        self.data_format = data_format
        self.seed = seed
        self._random = checks.generator(seed)

    def pre(self, inp: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return a copy of the input, moved.

        Args:
            inp: `(samples, length, channels)`, `(samples, height, width, channels)`,
                `(samples, depth, height, width, channels)` or with the channels first.

        Raises:
            InputError: if the input has no image axis, or their number is not that of the values of `jitter`.
        """
        image = np.asarray(inp)
        if image.ndim < 3:
            raise InputError(
                "Jitter needs images with their batch axis and channels. "
                f"Received: shape {image.shape}. Add the missing axes: image[None], image[..., None]."
            )
        axes = self._image_axes(image.ndim)
        jitter = self.jitter if isinstance(self.jitter, tuple) else (self.jitter,) * len(axes)
        if len(jitter) != len(axes):
            raise InputError(
                f"Jitter has {len(jitter)} values, one per image axis. Received: an image of shape "
                f"{image.shape}, which has {len(axes)}. Pass one number, or {len(axes)}."
            )
        limits = [_pixels(value, image.shape[axis]) for value, axis in zip(jitter, axes, strict=True)]
        moves = [int(self._random.integers(-limit, limit, endpoint=True)) for limit in limits]
        return np.roll(image, moves, axes)

    def _image_axes(self, rank: int) -> tuple[int, ...]:
        # Sequences have their features last whatever the image format is.
        data_format = self.data_format or (keras.config.image_data_format() if rank > 3 else "channels_last")
        return tuple(range(2, rank)) if data_format == "channels_first" else tuple(range(1, rank - 1))


def _pixels(value: float, length: int) -> int:
    """Return the longest move along an axis."""
    # The little more makes 0.29 of 100 pixels 29, although the product is 28.999999999999996.
    return math.floor(value * length + 1e-9) if value < 1 else math.floor(value)
