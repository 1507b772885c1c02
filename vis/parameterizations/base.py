"""The base class of parameterizations, and their registry."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, TypeAlias

import keras
import numpy as np
import numpy.typing as npt

from vis.errors import InputError
from vis.parameterizations.affine import RandomAffine
from vis.registry import Registry
from vis.reprs import TypedRepr
from vis.typing import Tensor
from vis.words import ParameterizationName


@dataclass(frozen=True, repr=False)
class Canvas(TypedRepr):
    """The images to make: their shape `(samples, ...)`, their channel axis, and the range of their values.

    The range is None where any value may be; then black and white are -1 and 1.
    """

    shape: tuple[int, ...]
    channels: int
    input_range: tuple[float, float] | None

    @property
    def low(self) -> float:
        """The value of black."""
        return -1.0 if self.input_range is None else float(self.input_range[0])

    @property
    def high(self) -> float:
        """The value of white."""
        return 1.0 if self.input_range is None else float(self.input_range[1])

    @property
    def image_axes(self) -> list[int]:
        """The axes that are neither samples nor channels."""
        return [axis for axis in range(1, len(self.shape)) if axis != self.channels]


class Parameterization(TypedRepr, ABC):
    """How an image is computed from the values that the optimizer changes.

    Parameterizations that are equal share their compiled descent, so make your own a frozen dataclass.

    Raises:
        InputError: if `transformation` is neither a `RandomAffine` nor None.
    """

    transformation: RandomAffine | None = None
    # The weight of a norm or a total variation that nobody has chosen.
    regularization = 0.0

    def __post_init__(self) -> None:
        if self.transformation is not None and not isinstance(self.transformation, RandomAffine):
            raise InputError(
                "transformation must be a vis.parameterizations.RandomAffine, or None. "
                f"Received: {self.transformation!r}."
            )

    @abstractmethod
    def optimizer(self) -> keras.optimizers.Optimizer:
        """Return the default optimizer."""

    @abstractmethod
    def start(self, canvas: Canvas, random: np.random.Generator) -> npt.NDArray[Any]:
        """Return the parameters of a random start, with the samples on their first axis."""

    @abstractmethod
    def parameters(self, canvas: Canvas, image: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return the parameters of an image, or of the nearest image that has parameters."""

    @abstractmethod
    def image(self, canvas: Canvas, parameters: Tensor) -> Tensor:
        """Return the image that belongs to parameters, computed in `keras.ops`."""

    @abstractmethod
    def picture(self, canvas: Canvas, image: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return one image, without its batch axis, as a picture to show.

        Returns:
            uint8 if both ends of the range are integers from 0 to 255, the higher one above 1; float32
            otherwise, also without a range.
        """


def _wrap(thing: Any, name: str) -> Parameterization:
    if not isinstance(thing, Parameterization):
        raise TypeError("it is an object of a subclass of vis.parameterizations.Parameterization")
    return thing


# What an option `parameterization` takes.
ParameterizationLike: TypeAlias = ParameterizationName | str | Parameterization
_registry: Registry[Parameterization] = Registry("parameterization", _wrap)
register = _registry.register
names = _registry.names


def get(identifier: ParameterizationLike) -> Parameterization:
    """Return the parameterization for a name, or itself.

    Raises:
        ModifierError: if the name is unknown; the valid ones and the nearest are listed.
    """
    return _registry.get(identifier)
