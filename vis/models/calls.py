"""One call of a layer that a model calls several times, and what else can be read inside a model."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any

import keras

from vis import backend
from vis.errors import LayerError


@dataclass(frozen=True)
class Call:
    """The output of one call of a layer: `"embedding:1"` is the second, in the order in which the model runs.

    Args:
        layer: a layer or another operation.
        index: the number of the call, from 0.
        part: the number of its output, if the layer has several.
        tensor: the symbolic tensor that is its output, if a graph has one.
    """

    layer: Any
    index: int = 0
    part: int | None = None
    tensor: Any = field(default=None, compare=False, repr=False)

    @property
    def name(self) -> str:
        return f"{self.layer.name}:{self.index}{'' if self.part is None else f':{self.part}'}"

    @property
    def output(self) -> Any:
        """The symbolic tensor.

        Raises:
            LayerError: if it is not in a graph.
        """
        if self.tensor is None:
            raise LayerError(f"The call {self.name!r} is not in a graph, so it has no symbolic output.")
        return self.tensor


# What can name a value inside a model: a layer or other operation that is called once, a call, or a tensor.
POINTS = (keras.Operation, Call, keras.KerasTensor)


def operation_of(point: Any) -> Any:
    """Return the layer or operation whose output a point is."""
    if isinstance(point, Call):
        return point.layer
    return point._keras_history.operation if isinstance(point, keras.KerasTensor) else point


def node_of(tensor: Any) -> Any:
    """Return the call (node) that made a symbolic tensor."""
    operation, index, _ = tensor._keras_history
    return operation._inbound_nodes[index]


def first_node(operation: Any) -> Any:
    """Return the first call of a layer or operation in a graph, or None; Keras has no public name for it."""
    return next(iter(getattr(operation, "_inbound_nodes", ())), None)


def spec_of(tensor: Any) -> backend.Spec:
    """Return the shape and the data type of a tensor, symbolic or not."""
    return backend.Spec(tuple(tensor.shape), keras.backend.standardize_dtype(tensor.dtype))


def repeated(node: Any, run: Callable[..., Any]) -> tuple[Callable[[Any], Any], list[backend.Spec]]:
    """Return a forward pass that runs something with the arguments of a call, and the specs of its inputs."""
    symbols = node.arguments.keras_tensors

    def forward(tensors: Any) -> Any:
        values = {id(symbol): tensor for symbol, tensor in zip(symbols, tensors, strict=True)}
        args, kwargs = node.arguments.fill_in(values)
        return run(*args, **kwargs)

    return forward, [spec_of(symbol) for symbol in symbols]


def lasting(point: Any) -> tuple[Any, Hashable]:
    """Return the object that lives as long as a point, and a key that distinguishes its points."""
    return (point.layer, (point.index, point.part)) if isinstance(point, Call) else (point, None)
