"""The image as its pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from vis import maps
from vis.parameterizations.affine import RandomAffine
from vis.parameterizations.base import Canvas, Parameterization, register
from vis.typing import Tensor


@dataclass(frozen=True, repr=False)
class Pixels(Parameterization):
    """The optimizer changes the pixels themselves, as keras-vis does.

    Their values are unbounded; `vis.utils.utils.deprocess_input` turns them into a picture. The start is
    normal noise around the middle of the range with a standard deviation of a twentieth of it; the optimizer
    is RMSprop with a learning rate of 1 and a decay of 0.95. Without a range, the start is noise around 0
    with a standard deviation of 0.1, and the pixels are returned as they are.

    Args:
        transformation: a `RandomAffine` that transforms the image at each step before the model sees it, or
            None.
    """

    transformation: RandomAffine | None = None
    regularization = 10.0

    def optimizer(self) -> keras.optimizers.Optimizer:
        return keras.optimizers.RMSprop(1.0, rho=0.95)

    def start(self, canvas: Canvas, random: np.random.Generator) -> npt.NDArray[Any]:
        middle, width = (canvas.low + canvas.high) / 2, canvas.high - canvas.low
        return random.normal(middle, 0.05 * width, canvas.shape)

    def parameters(self, canvas: Canvas, image: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return image

    def image(self, canvas: Canvas, parameters: Tensor) -> Tensor:
        return parameters

    def picture(self, canvas: Canvas, image: npt.NDArray[Any]) -> npt.NDArray[Any]:
        if canvas.input_range is None:
            return np.asarray(image, np.float32)
        return maps.deprocess_input(image, canvas.input_range)


register("pixels")(Pixels())
