"""The loss of activation maximization."""

from __future__ import annotations

import operator
from collections.abc import Hashable, Sequence
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from keras import ops

from vis.errors import FilterError, LayerError
from vis.losses.base import Evaluate, Loss
from vis.models import POINTS, filter_axis, lasting, output_shape
from vis.reprs import typed
from vis.typing import Filters, Tensor


class ActivationMaximization(Loss):
    """Minus the activation of the chosen filters, so that minimizing the loss raises their activation.

    `L(x) = - sum_{f in filters} mean_{p in positions} A_f(p)` for each sample, with `A` the layer's
    output: `(batch, filters)`, `(batch, steps, filters)`, `(batch, height, width, filters)` or with the
    filters where the layer's `data_format` puts them. A filter named twice counts twice.

    The choice of filters is a run-time input: one compiled gradient serves all of them.

    Args:
        layer: a layer of a Keras model, another operation of its graph, or a symbolic tensor.
        filter_indices: an index, several (list, tuple, array), or None for all; negative ones count
            from the end.
        each: maximize one filter in each sample of the batch, in their order, instead of the sum in all.

    Raises:
        LayerError: if `layer` is not a layer.
        FilterError: if an index is outside the layer's filters.

    Reference:
        Simonyan, Vedaldi, Zisserman: Deep Inside Convolutional Networks, 2014, section 2 and
        equation (1) without its regularizer.
    """

    name = "ActivationMax Loss"
    parameter_ranks = (2,)

    def __init__(
        self,
        layer: keras.Layer | keras.Operation | keras.KerasTensor,
        filter_indices: Filters = None,
        each: bool = False,
    ) -> None:
        if not isinstance(layer, POINTS):
            raise LayerError(
                "ActivationMaximization needs a layer, such as model.get_layer('conv1'). "
                f"Received: {layer!r}."
            )
        self.layer = layer
        self.filter_indices = as_indices(filter_indices, layer)
        self.each = each

    @property
    def samples(self) -> int | None:
        if not self.each:
            return None
        if self.filter_indices is not None:
            return len(self.filter_indices)
        shape = output_shape(self.layer)
        count = None if shape is None else shape[filter_axis(self.layer, len(shape))]
        return len(selection(None, count, self.layer))

    def _arguments(self) -> dict[str, Any]:
        indices = self.filter_indices
        return {"filter_indices": indices[0] if indices is not None and len(indices) == 1 else indices}

    def build_loss(self) -> keras.KerasTensor:
        (output,) = self.symbols()
        (selection,) = self.parameters([tuple(output.shape)])
        return self._loss(output, ops.convert_to_tensor(selection))

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "build_loss" in vars(cls):
            # An expression of its own replaces the run-time parameters.
            for name in "parameter_ranks trace_objects trace_settings symbols parameters term".split():
                setattr(cls, name, vars(Loss)[name])

    def trace_objects(self) -> list[Any]:
        return [type(self), lasting(self.layer)[0]]

    def trace_settings(self) -> Hashable:
        return lasting(self.layer)[1]

    def symbols(self) -> list[keras.KerasTensor]:
        return [self.layer if isinstance(self.layer, keras.KerasTensor) else self.layer.output]

    def parameters(self, shapes: Sequence[tuple[int | None, ...]]) -> list[npt.NDArray[Any]]:
        (shape,) = shapes
        count = shape[filter_axis(self.layer, len(shape))]
        chosen = selection(self.filter_indices, count, self.layer)
        if not self.each:
            return [chosen[None]]
        of_samples = np.eye(len(chosen), dtype=np.float32)
        return [of_samples if self.filter_indices is None else of_samples[self.filter_indices]]

    def term(self, model: keras.Model) -> tuple[list[Any], Evaluate]:
        return [self.layer], lambda values, parameters: self._loss(values[0], parameters[0])

    def _loss(self, output: Tensor, selection: Tensor) -> Tensor:
        if keras.backend.standardize_dtype(output.dtype) in ("float16", "bfloat16"):
            output = ops.cast(output, "float32")
        rank = len(output.shape)
        filters = filter_axis(self.layer, rank) % rank
        positions = [axis for axis in range(1, rank) if axis != filters]
        activation = ops.mean(output, axis=positions) if positions else output
        return -ops.sum(activation * ops.cast(selection, activation.dtype), axis=-1)


def as_indices(filter_indices: Filters, layer: Any) -> list[int] | None:
    """Return filter indices as a list of ints, or None for all."""
    if filter_indices is None:
        return None
    given: Any = filter_indices
    several = isinstance(given, list | tuple | set | range) or np.ndim(given) > 0
    items = list(given) if several else [given]
    try:
        indices = [operator.index(item) for item in items]
        if any(isinstance(item, bool) for item in items):
            raise TypeError
    except TypeError:
        raise FilterError(
            f"Filter indices of the layer {layer.name!r} must be integers: one, several, or None for all. "
            f"Received: {typed(filter_indices)}."
        ) from None
    if not indices:
        raise FilterError(
            f"No filter of the layer {layer.name!r} is chosen. Received: {filter_indices!r}. "
            "Pass at least one index, or None for all filters."
        )
    return indices


def selection(indices: list[int] | None, count: int | None, layer: Any) -> npt.NDArray[np.float32]:
    """Return how often each of `count` filters is chosen, `(count,)`.

    Raises:
        FilterError: if an index is outside `-count` to `count - 1`, or the count is unknown.
    """
    if count is None:
        raise FilterError(
            f"The layer {layer.name!r} has an unknown number of filters, so none can be chosen. "
            "Give its output a fixed last dimension."
        )
    if indices is None:
        return np.ones(count, np.float32)
    for index in indices:
        if not -count <= index < count:
            raise FilterError(
                f"Filter index {index} is out of range: the layer {layer.name!r} has {count} filters, "
                f"so valid indices are {-count} to {count - 1}."
            )
    return np.bincount(np.asarray(indices) % count, minlength=count).astype(np.float32)
