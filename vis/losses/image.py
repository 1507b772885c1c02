"""The base class of regularizers, the losses of an image."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Hashable
from typing import Any

import keras
import numpy as np
from keras import ops

from vis.errors import GradientError, InputError
from vis.foreign import foreign_arrays
from vis.losses.base import Evaluate, Loss
from vis.models import check_data_format, filter_axis, held_operations, input_channel_axis
from vis.typing import Tensor
from vis.words import DataFormat


class ImageLoss(Loss):
    """A loss of the image itself, a regularizer: one value per sample, `(batch,)`, in keras.ops.

    Subclass it and implement `value`. Losses of the same class and `settings` share their trace.

    Args:
        img_input: a symbolic image, `model.input`, with its batch axis.
        settings: the numbers that the formula depends on.
        data_format: `"channels_last"`, `"channels_first"`, or None for that of the model.

    Raises:
        InputError: if `img_input` is not a symbolic tensor of at least `lowest_rank` axes, or the
            `data_format` is unknown.
    """

    lowest_rank = 2

    def __init__(
        self, img_input: keras.KerasTensor, settings: tuple[Hashable, ...], data_format: DataFormat | None
    ) -> None:
        if not isinstance(img_input, keras.KerasTensor):
            raise InputError(
                f"{type(self).__name__} needs one symbolic image, such as model.input. "
                f"Received: {img_input!r} of type {type(img_input).__name__}. "
                "For a model of several inputs, pass one of model.inputs."
            )
        if len(img_input.shape) < self.lowest_rank:
            raise InputError(
                f"{type(self).__name__} needs a symbolic image of at least {self.lowest_rank} axes, batch "
                f"and channels included. Received: shape {tuple(img_input.shape)}."
            )
        check_data_format(data_format, "the model")
        self.img = img_input
        self.data_format = data_format
        self._settings = settings

    def _arguments(self) -> dict[str, Any]:
        return {"img_input": self.img}

    @abstractmethod
    def value(self, image: Tensor, channels: int) -> Tensor:
        """Return the loss of each sample, `(batch,)`.

        Args:
            image: a tensor, float32 or float64, with its batch axis.
            channels: the axis of the channels, counted from the front.
        """

    def build_loss(self) -> keras.KerasTensor:
        return _PerSample(self._evaluate(None))(self.img)

    def trace_objects(self) -> list[Any]:
        return [type(self), self.img]

    def trace_settings(self) -> Hashable:
        return (self._settings, self.data_format, keras.config.image_data_format())

    def symbols(self) -> list[keras.KerasTensor]:
        return [self.img]

    def term(self, model: keras.Model) -> tuple[list[Any], Evaluate]:
        if id(self.img._keras_history.operation) not in held_operations(model):
            return super().term(model)
        evaluate = self._evaluate(model)
        # The value is read where it is: an expression would link a node to the user's input.
        return [self.img], lambda values, parameters: evaluate(values[0])

    def _evaluate(self, model: Any) -> Callable[[Any], Any]:
        rank = len(self.img.shape)
        channels = self._channel_axis(model, rank) % rank

        def evaluate(image: Any) -> Any:
            with foreign_arrays("The loss", self.value, GradientError):
                return self.value(ops.cast(image, _float(image.dtype)), channels)

        return evaluate

    def _channel_axis(self, model: Any, rank: int) -> int:
        if self.data_format is not None:
            return 1 if self.data_format == "channels_first" else -1
        operation = self.img._keras_history.operation
        if model is not None and isinstance(operation, keras.layers.InputLayer):
            return input_channel_axis(self.img, rank)
        return filter_axis(operation, rank)


class _PerSample(keras.Operation):  # type: ignore[misc]
    """A formula as one node: inside it the sizes are known and Keras 3.5 can stop a gradient."""

    def __init__(self, formula: Callable[[Any], Any]) -> None:
        super().__init__()
        self.formula = formula

    def call(self, image: Any) -> Any:
        return self.formula(image)

    def compute_output_spec(self, image: Any) -> Any:
        return keras.KerasTensor((image.shape[0],), dtype=_float(image.dtype))


def _float(dtype: Any) -> str:
    # Differences of bytes wrap around, and sums of half precision overflow.
    return "float64" if keras.backend.standardize_dtype(dtype) == "float64" else "float32"


def sample_size(image: Any) -> Any:
    """Return the number of values in one sample; where the shape is unknown, that at run time."""
    sizes = ops.shape(image)[1:]
    if all(isinstance(size, int) for size in sizes):
        return float(math.prod(sizes))
    return ops.prod(ops.stack([ops.cast(size, image.dtype) for size in sizes]))


def smallest(image: Any) -> float:
    """Return the smallest positive number whose reciprocal is finite in the image's type."""
    return float(np.finfo(keras.backend.standardize_dtype(image.dtype)).tiny)
