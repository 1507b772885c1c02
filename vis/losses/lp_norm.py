"""The norm of an image."""

from __future__ import annotations

import keras
from keras import ops

from vis import checks
from vis.errors import InputError
from vis.losses.image import ImageLoss, sample_size, smallest
from vis.typing import Tensor
from vis.words import DataFormat

# From here on the p-th power of all but the largest value is 0, in float64 too.
_AS_GOOD_AS_INFINITE = 1e18


class LPNorm(ImageLoss):
    """The p-norm of an image, which keeps its values near zero.

    `L(x) = 1/N ( sum |x|^p )^(1/p)` for each sample, over all its values; `N` is their number, height x width
    x channels. For p = infinity it is `max |x| / N`. The norm is taken of `x / max |x|`, so that no power
    overflows.

    Values: 0 for an image of zeros, else positive, in units of a pixel value. The gradient is finite
    everywhere, and 0 for an image of zeros; for p = infinity, pixels that share the largest magnitude share
    it evenly.

    Args:
        img_input: `model.input`, with its batch axis and one or more others.
        p: the power, from 1 to infinity: the larger, the more the largest values count.
        data_format: accepted for consistency with `TotalVariation`; the norm does not depend on it.

    Raises:
        InputError: if `img_input` is not a symbolic image, or `p` is not a number of at least 1.

    Reference:
        Mahendran, Vedaldi: Understanding Deep Image Representations by Inverting Them, 2015, section 2.2,
        `R_alpha = |x|_alpha^alpha` with alpha = 6; the root and the division by `N` are keras-vis's.
    """

    def __init__(
        self, img_input: keras.KerasTensor, p: float = 6.0, data_format: DataFormat | None = None
    ) -> None:
        if not checks.is_number(p) or not p >= 1:
            raise InputError(
                f"p must be a number from 1 to infinity. Received: {p!r}. Pass 6, or float('inf')."
            )
        self.p = float(p)
        self.name = f"L-{self.p} Norm Loss"
        super().__init__(img_input, (self.p,), data_format)

    def value(self, image: Tensor, channels: int) -> Tensor:
        everything = tuple(range(1, len(image.shape)))
        magnitudes = ops.abs(image)
        if self.p >= _AS_GOOD_AS_INFINITE:
            largest = ops.max(magnitudes, axis=everything)
            # The derivative of a magnitude of 0 is not the same on all backends.
            return ops.where(largest > 0, largest, 0.0) / sample_size(image)
        largest = ops.stop_gradient(ops.max(magnitudes, axis=everything, keepdims=True))
        zero = largest < smallest(image)
        scale = ops.where(zero, 1.0, largest)
        total = ops.sum((magnitudes / scale) ** self.p, axis=everything, keepdims=True)
        # The root has no derivative at 0; what replaces it has one, and is dropped again.
        root = ops.where(zero, 1.0, total) ** (1 / self.p)
        norm = ops.where(zero, 0.0, scale * root)
        return ops.sum(norm, axis=everything) / sample_size(image)
