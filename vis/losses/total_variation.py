"""Total variation."""

from __future__ import annotations

import math

import keras
from keras import ops

from vis import checks
from vis.errors import InputError
from vis.losses.image import ImageLoss, sample_size, smallest
from vis.typing import Tensor
from vis.words import DataFormat


class TotalVariation(ImageLoss):
    """The total variation of an image, small where neighbouring pixels agree.

    `TV(x) = 1/N sum_{c, p} ( sum_{i in image axes} (x_c(p + e_i) - x_c(p))^2 )^(beta / 2)` for each sample,
    over the pixels `p` that have a next one along every image axis and over the channels `c`; `N` is the
    number of values of a sample, height x width x channels. Image axes of length 1 do not count.

    Values: 0 for a flat image, else positive, in units of a pixel value to the power `beta`. The gradient is
    finite everywhere, and 0 where the image is flat, although the formula has none there if `beta` <= 1.

    Args:
        img_input: `model.input`, `(batch, length, channels)`, `(batch, height, width, channels)`,
            `(batch, depth, height, width, channels)` or with the channels first; the image axes may
            be of unknown length.
        beta: the power of the length of a step between neighbours, greater than 0: the smaller, the
            sharper and spikier the image. 1.5 to 3 is a good range.
        data_format: `"channels_last"`, `"channels_first"`, or None for that of the model.

    Raises:
        InputError: if `img_input` is not a symbolic image, or `beta` is not a finite number above 0.

    Reference:
        Mahendran, Vedaldi: Understanding Deep Image Representations by Inverting Them, 2015, section 2.2,
        the discrete `R_{V^beta}`; the division by `N` is keras-vis's.
    """

    lowest_rank = 3

    def __init__(
        self, img_input: keras.KerasTensor, beta: float = 2.0, data_format: DataFormat | None = None
    ) -> None:
        if not checks.is_number(beta) or not 0 < beta < math.inf:
            raise InputError(
                f"beta must be a finite positive number. Received: {beta!r}. Try 2; values from 1.5 to 3 "
                f"work well."
            )
        self.beta = float(beta)
        self.name = f"TV({self.beta}) Loss"
        super().__init__(img_input, (self.beta,), data_format)

    def value(self, image: Tensor, channels: int) -> Tensor:
        everything = tuple(range(1, len(image.shape)))
        axes = [axis for axis in everything if axis != channels and image.shape[axis] != 1]
        if not axes:
            return ops.sum(ops.zeros_like(image), axis=everything)

        def pixels(moved: int | None) -> Tensor:
            index = [slice(None)] * len(image.shape)
            for axis in axes:
                index[axis] = slice(1, None) if axis == moved else slice(None, -1)
            return image[tuple(index)]

        steps = ops.stack([pixels(axis) - pixels(None) for axis in axes])
        # The length of a step is that of the step divided by its largest part, times that part, whatever
        # its gradient: so nothing is squared that is not near 1.
        largest = ops.stop_gradient(ops.max(ops.abs(steps), axis=0))
        flat = largest < smallest(image)
        scale = ops.where(flat, 1.0, largest)
        squares = ops.sum(ops.square(steps / scale), axis=0)
        # A flat pixel has no derivative here; what replaces it has one, and is dropped below.
        length = scale * ops.sqrt(ops.where(flat, 1.0, squares))
        powers = ops.where(flat, 0.0, length**self.beta)
        return ops.sum(powers, axis=everything) / sample_size(image)
