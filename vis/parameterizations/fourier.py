"""The image as a sum of waves in decorrelated colours."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from keras import ops

from vis import maps
from vis.parameterizations.affine import RandomAffine
from vis.parameterizations.base import Canvas, Parameterization, register
from vis.typing import Tensor

# Square root of the covariance of the colours of natural images, as Olah et al. give it in their code.
_COLOURS = np.array([[0.26, 0.09, 0.02], [0.27, 0.00, -0.05], [0.27, -0.09, 0.03]])
_COLOURS /= np.linalg.norm(_COLOURS, axis=0).max()
# The ends of the range would need infinite coefficients.
_EDGE = 1e-3


@dataclass(frozen=True, repr=False)
class Waves(Parameterization):
    """A base of parameterizations by waves: `x = low + (high - low) sigmoid(C w / 4)` with `w` their sum.

    `C` is the square root of the covariance of natural colours, for images of three channels. Without a
    range, `x = C w`.

    Args:
        transformation: a `RandomAffine` that transforms the image at each step before the model sees it, or
            None.
        decorrelate: whether three channels are red, green and blue, which `C` mixes.
    """

    transformation: RandomAffine | None = field(default_factory=RandomAffine)
    decorrelate: bool = True

    @abstractmethod
    def sums(self, canvas: Canvas, parameters: Tensor) -> Tensor:
        """Return the sum of the waves, of the shape of the image, in `keras.ops`."""

    @abstractmethod
    def waves(self, canvas: Canvas, sums: npt.NDArray[np.float64]) -> npt.NDArray[Any]:
        """Return the parameters of the sum of some waves."""

    def parameters(self, canvas: Canvas, image: npt.NDArray[Any]) -> npt.NDArray[Any]:
        values = np.asarray(image, np.float64)
        if canvas.input_range is not None:
            share = np.clip((values - canvas.low) / (canvas.high - canvas.low), _EDGE, 1 - _EDGE)
            values = 4 * np.log(share / (1 - share))
        return self.waves(canvas, self.decorrelated(canvas, values))

    def decorrelated(self, canvas: Canvas, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return values, `(samples, ...)`, with their colours as they are before `C`."""
        colours = self._colours(canvas)
        return values if colours is None else along(np, values, np.linalg.inv(colours), canvas.channels)

    def image(self, canvas: Canvas, parameters: Tensor) -> Tensor:
        values = self.sums(canvas, ops.convert_to_tensor(parameters))
        colours = self._colours(canvas)
        if colours is not None:
            colours = ops.convert_to_tensor(colours, dtype=values.dtype)
            values = along(ops, values, colours, canvas.channels)
        if canvas.input_range is None:
            return values
        return canvas.low + (canvas.high - canvas.low) * ops.sigmoid(values / 4)

    def picture(self, canvas: Canvas, image: npt.NDArray[Any]) -> npt.NDArray[Any]:
        if canvas.input_range is None:
            return np.asarray(image, np.float32)
        return maps.as_picture(image, canvas.input_range)

    def _colours(self, canvas: Canvas) -> npt.NDArray[np.float64] | None:
        return _COLOURS if self.decorrelate and canvas.shape[canvas.channels] == 3 else None


@dataclass(frozen=True, repr=False)
class Fourier(Waves):
    """The image as a sum of waves in decorrelated colours, without the noise that plain pixels give.

    `x = low + (high - low) sigmoid(C H(z / max(|f|, 1 / n)) / 4)`: `z` the coefficients, `|f|` the frequency
    of each in periods per pixel, `n` the longest side, `H` the orthonormal Hartley transform of each image
    axis (the waves `cos + sin`: a Fourier transform in real numbers), and `C` the square root of the
    covariance of natural colours, for images of three channels. A step thus moves each wave as far as
    natural images vary along it, where a step on pixels moves mostly the highest frequencies. `z` has the
    shape of the image.

    The picture is the image itself, its values inside the range; without a range, `x = C H(...)`. The start
    is normal noise of `z` with a standard deviation of 0.01; the optimizer is Adam with a learning rate of
    0.05.

    Args:
        transformation: a `RandomAffine` that transforms the image at each step before the model sees it, or
            None.
        decorrelate: whether three channels are red, green and blue, which `C` mixes.

    Reference:
        Olah, Mordvintsev, Schubert: Feature Visualization, 2017, sections "Preconditioning and
        Parameterization" and "Transformation Robustness"; its code for the numbers.
    """

    def optimizer(self) -> keras.optimizers.Optimizer:
        return keras.optimizers.Adam(0.05)

    def start(self, canvas: Canvas, random: np.random.Generator) -> npt.NDArray[Any]:
        return random.normal(0, 0.01, canvas.shape)

    def waves(self, canvas: Canvas, sums: npt.NDArray[np.float64]) -> npt.NDArray[Any]:
        for axis in canvas.image_axes:
            sums = along(np, sums, hartley(canvas.shape[axis]), axis)
        return sums / scale(canvas)

    def sums(self, canvas: Canvas, parameters: Tensor) -> Tensor:
        def constant(array: npt.NDArray[np.float64]) -> Any:
            return ops.convert_to_tensor(array, dtype=parameters.dtype)

        values = parameters * constant(scale(canvas))
        for axis in canvas.image_axes:
            values = along(ops, values, constant(hartley(canvas.shape[axis])), axis)
        return values


def hartley(length: int) -> npt.NDArray[np.float64]:
    """Return the orthonormal Hartley transform, `(length, length)`; it is its own inverse."""
    points = np.arange(length)
    # Taken modulo the length first, the angles keep their digits.
    angles = 2 * np.pi * (np.outer(points, points) % length) / length
    return np.asarray((np.cos(angles) + np.sin(angles)) / np.sqrt(length))


def scale(canvas: Canvas) -> npt.NDArray[np.float64]:
    """Return what each coefficient is multiplied by, of length 1 along samples and channels."""
    squares: Any = 0.0
    for axis in canvas.image_axes:
        shape = [-1 if other == axis else 1 for other in range(len(canvas.shape))]
        squares = squares + np.fft.fftfreq(canvas.shape[axis]).reshape(shape) ** 2
    longest = max((canvas.shape[axis] for axis in canvas.image_axes), default=1)
    return np.asarray(1 / np.maximum(np.sqrt(squares), 1 / longest))


def along(module: Any, values: Any, matrix: Any, axis: int) -> Any:
    """Return a matrix times the values along one axis."""
    last = module.moveaxis(values, axis, -1)
    return module.moveaxis(last @ module.transpose(matrix), -1, axis)


register("fourier")(Fourier())
