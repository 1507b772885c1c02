"""The image as waves of fixed amplitudes, of which the phases are optimized."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from keras import ops

from vis import checks
from vis.errors import InputError
from vis.parameterizations.affine import RandomAffine
from vis.parameterizations.base import Canvas, register
from vis.parameterizations.fourier import Waves, along, scale
from vis.typing import Tensor


@dataclass(frozen=True, repr=False)
class MACO(Waves):
    """Magnitude-constrained optimization: the amplitude of each wave is fixed, and its phase changes.

    `x = low + (high - low) sigmoid(C w)` with `w(p) = sum_f A(f) cos(2 pi f p + t(f))`,
    `t(f) = (z(f) - z(-f)) / 2`: `z` the parameters, of the shape of the image, and `A` the amplitudes,
    scaled so that `w` has a mean of 0 and a standard deviation of 1. No step can add energy to the high
    frequencies, so the image keeps the spectrum of natural ones and needs no regularization.

    Without a range, `x = C w`. The start is the phases of white noise; the optimizer is Nadam with a learning
    rate of 1.

    Args:
        transformation: a `RandomAffine` that transforms the image at each step before the model sees it, or
            None.
        decorrelate: whether three channels are red, green and blue, which the square root `C` of the
            covariance of natural colours mixes.
        images: natural images, `(n, ...)` of the model's input shape, such as some of the training data,
            whose mean amplitudes are kept. None for `A(f) = 1 / max(|f|, 1 / n)`, `n` the longest side,
            which natural images have on average.

    Raises:
        InputError: if `images` are not finite numbers; at the start, if they do not have the shape of the
            input, or the same value everywhere.

    Reference:
        Fel et al.: Unlocking Feature Visualization for Deeper Networks with MAgnitude Constrained
        Optimization, 2023, section 3, and its code for the numbers; there `A` is the mean of ImageNet.
        Field: Relations between the statistics of natural images and the response properties of cortical
        cells, 1987, for the default.
    """

    transformation: RandomAffine | None = field(default_factory=RandomAffine)
    images: npt.ArrayLike | None = field(default=None, compare=False)
    _held: tuple[Any, ...] = field(default=(), init=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.images is not None:
            images = checks.real(self.images, "The images for MACO").astype(np.float64)
            if not images.size or not np.isfinite(images).all():
                raise InputError(
                    "The images for MACO must be finite numbers, (n, ...) with n at least 1. Received: "
                    f"shape {images.shape}. Leave out images with NaN or infinite values."
                )
            object.__setattr__(self, "images", images)  # a copy, as what is compiled is compared by it
            # What is compared: equal parameterizations share their compiled descent.
            object.__setattr__(self, "_held", (images.shape, images.tobytes()))

    def optimizer(self) -> keras.optimizers.Optimizer:
        return keras.optimizers.Nadam(1.0)

    def start(self, canvas: Canvas, random: np.random.Generator) -> npt.NDArray[Any]:
        return self.waves(canvas, random.normal(size=canvas.shape))

    def waves(self, canvas: Canvas, sums: npt.NDArray[np.float64]) -> npt.NDArray[Any]:
        return np.angle(np.fft.fftn(sums, axes=canvas.image_axes))

    def sums(self, canvas: Canvas, parameters: Tensor) -> Tensor:
        def constant(array: npt.NDArray[np.float64]) -> Any:
            return ops.convert_to_tensor(array, dtype=parameters.dtype)

        mirrored = parameters
        for axis in canvas.image_axes:
            length = canvas.shape[axis]
            mirrored = ops.take(mirrored, (length - np.arange(length)) % length, axis=axis)
        phases, amplitudes = (parameters - mirrored) / 2, constant(self._amplitudes(canvas))
        real, imaginary = amplitudes * ops.cos(phases), amplitudes * ops.sin(phases)
        for axis in canvas.image_axes:
            points = np.arange(canvas.shape[axis])
            # Taken modulo the length first, the angles keep their digits.
            angles = 2 * np.pi * (np.outer(points, points) % len(points)) / len(points)
            cos, sin = constant(np.cos(angles)), constant(np.sin(angles))
            real, imaginary = (
                along(ops, real, cos, axis) - along(ops, imaginary, sin, axis),
                along(ops, real, sin, axis) + along(ops, imaginary, cos, axis),
            )
        # The sigmoid of the base takes a quarter.
        return real if canvas.input_range is None else 4 * real

    def _amplitudes(self, canvas: Canvas) -> npt.NDArray[np.float64]:
        """Return the amplitude of each wave, `(1, ...)`, so that their sum has a standard deviation of 1."""
        axes = tuple(canvas.image_axes)
        if self.images is None:
            size = [1] * len(canvas.shape)
            size[canvas.channels] = canvas.shape[canvas.channels]
            found = scale(canvas) * np.ones(size)
        else:
            images = checks.array(self.images).astype(np.float64)
            if images.shape[1:] != canvas.shape[1:]:
                raise InputError(
                    f"The images for MACO must have the shape of the input, {canvas.shape[1:]}. Received: "
                    f"shape {images.shape}. Crop or resize them."
                )
            spectra = np.fft.fftn(self.decorrelated(canvas, images), axes=axes)
            found = np.abs(spectra).mean(axis=0, keepdims=True)
        found[tuple(0 if axis in axes else slice(None) for axis in range(found.ndim))] = 0  # the mean
        energy = np.sqrt((found**2).sum() / found.shape[canvas.channels])
        if not energy:
            raise InputError(
                "The images for MACO must have waves. Received: images of shape "
                f"{canvas.shape[1:]} that have the same value everywhere. Pass natural images."
            )
        return np.asarray(found / energy)


register("maco")(MACO())
