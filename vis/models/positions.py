"""The layers that a class activation map is computed from, found by what the model computes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras

from vis.errors import LayerError
from vis.graph import Geometry, Graph, Positions, Value, find_cuts, is_seen, positions_of
from vis.graph.positions import Grid
from vis.models.addresses import addresses, call_of
from vis.models.calls import Call, operation_of
from vis.models.channels import input_channel_axis, located
from vis.models.find import held_operations, input_tensors
from vis.models.probe import paths_of


@dataclass(frozen=True)
class Weighted:
    """A layer that a class activation map is computed from.

    Args:
        point: the layer, operation or symbolic tensor.
        over: its positions over each input that it sees, by the index of the input in flat order.
    """

    point: Any
    over: dict[int, Positions]


class Reading:
    """What the graph of a model says about positions.

    Args:
        model: the model that was read.
        graph: what it computes.
        grid: rows and columns of its tokens, if the computation does not show them.
    """

    def __init__(self, model: Any, graph: Graph, grid: Grid | None = None) -> None:
        self._model, self._graph, self._grid = model, graph, grid
        self._paths = paths_of(model)
        self._geometries: dict[int, Geometry] = {}

    def named(self, point: Any) -> Weighted:
        """Return a layer that the user has named, without positions if it was not seen to run.

        Raises:
            LayerError: if it has no positions.
        """
        value = self._value(point)
        if value is None:
            return Weighted(point, {})
        rank = len(value.shape or ())
        over = {}
        if rank > 2:
            for index in range(len(self._graph.inputs)):
                found = self._positions(index, value, point, named=True)
                if found is not None and (found.along is not None or _fits(found)):
                    over[index] = found
        if over:
            return Weighted(point, over)
        shape = (value.shape or ())[1:]
        name = point.name
        if self._grid is not None:
            raise LayerError(
                f"The layer {name!r} does not return a grid of tokens. Received: the shape {shape} and "
                f"grid={self._grid}. Choose a layer of shape (tokens, features) with at least height x width "
                "tokens."
            )
        if rank > 2:
            raise LayerError(
                f"The layer {name!r} has {rank - 2} axes of positions, but no input has as many. Received: "
                f"inputs {[(value.shape or ())[1:] for value in self._graph.inputs]}. Choose a layer with as "
                "many as an input, or, for tokens, pass their grid=(height, width)."
            )
        raise LayerError(
            f"The layer {name!r} has no positions: its output has the shape {shape}. Choose a convolution or "
            "pooling layer, or another layer whose output still has positions."
        )

    def default(self, end: Any) -> list[Weighted]:
        """Return the default layers.

        For each input that has positions, this is the last value with more than one position that every path
        from the input to the end crosses.

        Args:
            end: the layer whose output is explained, or None for the model's outputs.

        Raises:
            LayerError: if there is no such layer.
        """
        ends = self.ends(end)
        count = sum(call.path == self._paths.get(id(end)) for call in self._graph.calls)
        if count > 1 and end is not self._model:
            raise LayerError(
                f"The layer {end.name!r} is called {count} times in the model {self._model.name!r}, so it is "
                "not clear which of its outputs is explained. Name the layer with its call number: "
                f"{addresses(self._model, end, count)}."
            )
        found: dict[Value, Weighted] = {}
        for index, source in enumerate(self._graph.inputs):
            for value in reversed(find_cuts(self._graph, source, ends)):
                point = None if value in ends else self._points.get(value)
                seen = None if point is None else self._candidate(index, value, point, ends)
                if seen is not None:
                    found.setdefault(value, Weighted(point, {})).over[index] = seen
                    break
        if found:
            return list(found.values())
        name = (end or self._model.layers[-1]).name
        raise LayerError(
            f"No layer before {name!r} has more than one position and lies on every path from the input: the "
            f"model {self._model.name!r} mixes positions in another way, or has none (a dense network). "
            "Name the layer to use with conv_layer, or, for tokens, pass their grid=(height, width)."
        )

    def ends(self, end: Any) -> Sequence[Value]:
        """Return the values that are explained, for a layer or None for the model's outputs."""
        return self._graph.outputs if end is None or end is self._model else self._values(end)

    def sources(self, wrt: Any) -> Sequence[Value]:
        """Return the values that are attributed, for a layer or None for the model's inputs."""
        return self._graph.inputs if wrt is None else self._values(wrt)[:1]

    def channels(self, index: int, wrt: Any) -> int:
        """Return the channel axis of a value that is attributed, if the computation does not show it."""
        rank = len(self.sources(wrt)[index].shape or ())
        if wrt is not None:
            return located(wrt, rank)[0]
        symbols = input_tensors(self._model)
        return input_channel_axis(symbols[index] if symbols else self._model, rank)

    def _candidate(self, index: int, value: Value, point: Any, ends: Sequence[Value]) -> Positions | None:
        rank = len(value.shape or ())
        if rank < 3:
            return None
        found = self._positions(index, value, point)
        if found is None or found.count < 2 or not found.is_computed:
            return None
        # Without an axis of features it is a flattened picture; with fewer axes than the input has, it
        # cannot be stretched over it.
        if len(found.axes) > rank - 2 or (found.along is None and not _fits(found)):
            return None
        later = Geometry(self._graph, value)
        return found if any(is_seen(later, end, found) for end in ends) else None

    def _positions(self, index: int, value: Value, point: Any, named: bool = False) -> Positions | None:
        rank = len(value.shape or ())
        channels = self.channels(index, None), located(point, rank)[0]
        return positions_of(self._geometry(index), value, channels, self._grid, named)

    def _geometry(self, index: int) -> Geometry:
        if index not in self._geometries:
            self._geometries[index] = Geometry(self._graph, self._graph.inputs[index])
        return self._geometries[index]

    @property
    def _points(self) -> dict[Value, Any]:
        """What can be read of the model: the innermost layer or operation that returns a value."""
        operations = {self._paths[id(held)]: held for held in held_operations(self._model).values()}
        counts = Counter(call.path for call in self._graph.calls)
        points: dict[Value, Any] = {}
        for call in self._graph.calls:
            operation = operations.get(call.path)
            if len(call.outputs) == 1 and operation is not None and call.outputs[0] not in points:
                alone = counts[call.path] == 1
                points[call.outputs[0]] = operation if alone else Call(operation, call.index)
        return points

    def _values(self, point: Any) -> tuple[Value, ...]:
        """Return what a layer, an operation, a call or a tensor returns, for each call."""
        if isinstance(point, keras.KerasTensor):
            point = call_of(self._model, point)
        path = self._paths.get(id(operation_of(point)))
        calls = [call for call in self._graph.calls if call.path == path]
        if isinstance(point, Call):
            calls = [call for call in calls if call.index == point.index]
            part = slice(None) if point.part is None else slice(point.part, point.part + 1)
            return tuple(value for call in calls for value in call.outputs[part])
        return tuple(value for call in calls for value in call.outputs)

    def _value(self, point: Any) -> Value | None:
        if point is self._model:
            return self._graph.outputs[0]
        for symbol, value in zip(input_tensors(self._model), self._graph.inputs, strict=False):
            if point is symbol or point is symbol._keras_history.operation:
                return value
        values = self._values(point)
        return values[0] if values else None


def _fits(found: Positions) -> bool:
    return len(found.sizes) == len(found.sources)
