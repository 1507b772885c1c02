"""One call of a layer that a model calls several times, and what else can be read inside a model."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any

import keras

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


def lasting(point: Any) -> tuple[Any, Hashable]:
    """Return the object that lives as long as a point, and a key that distinguishes its points."""
    return (point.layer, (point.index, point.part)) if isinstance(point, Call) else (point, None)
