"""Which axis of a layer's output, or of an input, holds the channels: read from what the operations compute.

A convolution or a pooling tells the axes along which its window slides, which are positions, from that of the
channels. The walk reads one call of a symbolic graph at a time, from the layer back to the nearest call that
tells, and forward from an input, and follows the axes through what lies between, such as a transposition.
"""

from __future__ import annotations

import math
import threading
import weakref
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import keras

from vis import backend
from vis.errors import ChannelAxisWarning, warn
from vis.graph import Geometry, Graph
from vis.models.alike import reading
from vis.models.calls import Call, first_node, node_of, operation_of, repeated
from vis.models.find import output_structure, runs_graph, walk
from vis.models.probe import noting
from vis.weak import WeakTable

# By symbolic tensor: the axes that hold features.
_told: WeakTable[frozenset[int]] = WeakTable()
# By symbolic input and rank: the layer whose data format says where the channels are.
_formats: WeakTable[weakref.ref[Any]] = WeakTable()
# Two threads must not both read the same layers.
_reading = threading.RLock()
# The tensors of a call of a nested model, by the ids of those of its own graph.
_Bound: TypeAlias = Mapping[int, Any]


def filter_axis(layer: Any, rank: int) -> int:
    """Return the axis of the filters (channels, classes) in the output of `layer`, -1 for the last one.

    Args:
        layer: a layer or another operation of a Keras graph, a call of it, a model, or a symbolic tensor.
        rank: the number of axes of its output, the batch axis included.

    Warns:
        ChannelAxisWarning: if the computation shows positions on the last axis and does not show one axis of
            filters; then the last one is taken.
    """
    axis, is_sure = located(layer, rank)
    if not is_sure:
        warn(
            f"The computation does not show which of the {rank} axes of the output of {layer.name!r} holds "
            "its filters or classes, and its last axis holds positions. The last axis is taken. To explain "
            "something else, pass weights in the shape of the outputs, or an earlier layer.",
            ChannelAxisWarning,
        )
    return axis


def located(layer: Any, rank: int) -> tuple[int, bool]:
    """Return the axis of the filters in the output of `layer`, and False if it is a doubtful guess.

    If the computation of a layer shows nothing, its own `data_format` decides, and then the convention: the
    last axis of sequences, and that of `keras.config.image_data_format` for more axes.

    Args:
        layer, rank: see `filter_axis`.
    """
    if rank < 3:
        return -1, True
    tensor = _tensor(layer)
    if tensor is None or len(tensor.shape) != rank:
        declared = getattr(operation_of(layer), "data_format", None)
        return _usual_axis(rank) if declared is None else _axis(declared), True
    with _reading:
        found = _told.get([tensor])
        if found is None:
            read = _Walk().features(tensor, {})
            if read is None:
                return _usual_axis(rank), True
            found = _told.put([tensor], read)
    return _chosen(found, tensor.shape)


def input_channel_axis(source: Any, rank: int) -> int:
    """Return the axis of the channels in an input, -1 for the last one.

    If the computation shows nothing, the first layer after the input that works on arrays of this rank and
    has a `data_format` decides, and then the convention, see `located`.

    Args:
        source: the symbolic input, or a model without any.
        rank: the input's number of axes, its batch axis included.
    """
    if not isinstance(source, keras.KerasTensor):
        layer = _first_with_format((layer for _, layer in walk(source)), rank)
        return _usual_axis(rank) if layer is None else _axis(layer.data_format)
    if rank < 3:
        return -1
    with _reading:
        found = _told.get([source])
        if found is None and len(source.shape) == rank:
            # The graph after an input only grows, at its ends.
            read = _Walk().used(source, {})
            found = None if read is None else _told.put([source], read)
    if found is not None and len(found) == 1:
        return _from_end(next(iter(found)), rank)
    known = _formats.get([source], rank)
    layer = None if known is None else known()
    if layer is None and (layer := _first_with_format(_after(source), rank)) is not None:
        _formats.put([source], weakref.ref(layer), rank)
    return _usual_axis(rank) if layer is None else _axis(layer.data_format)


def is_series(source: Any) -> bool | None:
    """Tell whether an input of two axes holds features along one of them, as a series does, or pixels.

    The computation tells, as for `input_channel_axis`. If it shows nothing, the first layer with weights
    does: whether it works on steps, as a recurrent one, or on what has been flattened.

    Args:
        source: the symbolic input, `(batch, ?, ?)`.

    Returns:
        None if it was flattened: then either is possible.
    """
    with _reading:
        found = _Walk().used(source, {})
    if found is not None:
        return bool(found)
    for layer in _after(source):
        if any(math.prod(weight.shape) > 1 for weight in getattr(layer, "weights", ())):
            given = [tensor for node in layer._inbound_nodes for tensor in node.input_tensors]
            if given:
                return True if any(len(tensor.shape) == 3 for tensor in given) else None
    return None


def _chosen(found: Set[int], shape: tuple[int | None, ...]) -> tuple[int, bool]:
    """Return one of the axes that may hold the filters, and whether it is more than a guess."""
    # An axis of one entry holds no positions and no filters to tell apart.
    several = {axis for axis in found if shape[axis] != 1} or found
    rank = len(shape)
    for axis in (_usual_axis(rank) % rank, rank - 1):
        if axis in several:
            return _from_end(axis, rank), True
    return (_from_end(next(iter(several)), rank), True) if len(several) == 1 else (-1, False)


@dataclass(frozen=True)
class _Step:
    """What one call of a symbolic graph computes.

    Args:
        symbols: its inputs.
        graph: what it computes of them.
    """

    symbols: list[Any]
    graph: Graph
    _geometries: dict[int, Geometry] = field(default_factory=dict)

    def geometry(self, index: int) -> Geometry:
        if index not in self._geometries:
            self._geometries[index] = Geometry(self.graph, self.graph.inputs[index])
        return self._geometries[index]

    def told(self, index: int) -> frozenset[int] | None:
        """Return the axes of an input that it uses as features, or None if it treats all axes alike."""
        geometry = self.geometry(index)
        if geometry.spatial or geometry.channels:
            return frozenset(geometry.channel_axes())
        return None


class _Walk:
    """A walk through symbolic graphs, which reads each call once."""

    def __init__(self) -> None:
        self._steps: dict[int, _Step | None] = {}
        self._features: dict[int, frozenset[int] | None] = {}
        self._used: dict[int, frozenset[int] | None] = {}

    def features(self, tensor: Any, outside: _Bound) -> frozenset[int] | None:
        """Return the axes of a tensor that may hold features; None if the computation does not show them.

        Args:
            tensor: a symbolic tensor.
            outside: what the inputs of the nested models that it is in are called with.
        """
        key = id(tensor)
        if key not in self._features:
            self._features[key] = None
            found = _told.get([tensor]) or self._made(tensor, outside)
            declared = getattr(tensor._keras_history.operation, "data_format", None)
            if declared is not None and (found is None or len(found) > 1):
                found = frozenset({_axis(declared) % len(tensor.shape)})
            if found is not None and len(found) == 1:
                _told.put([tensor], found)
            self._features[key] = found
        return self._features[key]

    def _made(self, tensor: Any, outside: _Bound) -> frozenset[int] | None:
        node = node_of(tensor)
        if not node.input_tensors:
            found = self.used(tensor, {})
            outer = outside.get(id(tensor))
            alike = outer is not None and len(outer.shape) == len(tensor.shape)
            return self.features(outer, outside) if found is None and alike else found
        operation, index = node.operation, tensor._keras_history.tensor_index
        if runs_graph(operation):
            inner = keras.tree.flatten(operation.outputs)[index]
            pairs = zip(operation.inputs, node.input_tensors, strict=False)
            return self.features(inner, {**outside, **{id(own): given for own, given in pairs}})
        step = self._step(node)
        if step is None:
            return None
        for position, symbol in enumerate(step.symbols):
            view = step.geometry(position).views.get(step.graph.outputs[index])
            if view is None:
                continue
            features = step.told(position)
            if features is None and len(symbol.shape) < 3:
                features = frozenset(range(1, len(symbol.shape)))
            elif features is None:
                features = self.features(symbol, outside)
            axes = list(enumerate(view.axes))[1:]
            made = frozenset(at for at, axis in axes if not axis.is_followed)
            if view.is_computed and any(view.axes[at].size != 1 for at in made):
                return made  # such as the filters of a convolution and the units of a dense layer
            if features is not None:
                return made | {at for at, axis in axes if axis.sources & features}
        return None

    def used(self, tensor: Any, outside: _Bound) -> frozenset[int] | None:
        """Return the axes of a tensor that the calls after it use as features; None if they show nothing.

        Args:
            tensor: a symbolic tensor.
            outside: what the outputs of the nested models that it is in become.
        """
        key = id(tensor)
        if key not in self._used:
            self._used[key] = None
            self._used[key] = self._told_after(tensor, outside)
        return self._used[key]

    def _told_after(self, tensor: Any, outside: _Bound) -> frozenset[int] | None:
        for node in list(tensor._keras_history.operation._outbound_nodes):
            given = [index for index, each in enumerate(node.input_tensors) if each is tensor]
            if given and (found := self._told_by(node, given[0], outside)) is not None:
                return found
        outer = outside.get(id(tensor))
        return None if outer is None else self.used(outer, outside)

    def _told_by(self, node: Any, position: int, outside: _Bound) -> frozenset[int] | None:
        operation = node.operation
        if runs_graph(operation):
            pairs = zip(keras.tree.flatten(operation.outputs), node.output_tensors, strict=False)
            inner = list(operation.inputs)[position]
            return self.used(inner, {**outside, **{id(own): made for own, made in pairs}})
        step = self._step(node)
        if step is None:
            return None
        if (told := step.told(position)) is not None:
            return told
        geometry = step.geometry(position)
        for value, output in zip(step.graph.outputs, node.output_tensors, strict=False):
            view = geometry.views.get(value)
            if view is None or len(output.shape) < 3:
                continue
            later = self.used(output, outside)
            if later is not None and all(axis.is_followed or axis.size == 1 for axis in view.axes[1:]):
                sliding = set().union(*(axis.sources for at, axis in enumerate(view.axes) if at not in later))
                return frozenset(range(1, len(geometry.source.shape or ()))) - sliding
        return None

    def _step(self, node: Any) -> _Step | None:
        """Return what a call computes, or None if it cannot be read."""
        if id(node) not in self._steps:
            try:
                graph = reading(
                    node, "graph", lambda: backend.traced(*repeated(node, noting(node.operation, set())))
                )
            except Exception:  # it does not run on examples: then it shows nothing
                self._steps[id(node)] = None
            else:
                self._steps[id(node)] = _Step(list(node.arguments.keras_tensors), graph)
        return self._steps[id(node)]


def _tensor(layer: Any) -> Any:
    """Return the symbolic output of a layer, operation, call or model, or None if it is in no graph."""
    if isinstance(layer, keras.KerasTensor):
        return layer
    if isinstance(layer, Call) and layer.tensor is not None:
        return layer.tensor
    operation = operation_of(layer)
    if isinstance(operation, keras.Model) and output_structure(operation) is not None:
        return keras.tree.flatten(output_structure(operation))[0]
    node = first_node(operation)
    return None if node is None else node.output_tensors[0]


def _first_with_format(layers: Iterator[Any], rank: int) -> Any:
    """Return the first layer that works on arrays of some rank and has a `data_format`, or None."""
    for layer in layers:
        spec = getattr(layer, "input_spec", None)
        if isinstance(spec, list | tuple):
            continue
        works_on = getattr(spec, "ndim", None) or getattr(spec, "min_ndim", None)
        if works_on == rank and hasattr(layer, "data_format"):
            return layer
    return None


def _after(tensor: Any) -> Iterator[Any]:
    """Yield the operations that use a symbolic tensor, nearest first, and those inside nested models."""
    pending = [tensor._keras_history.operation]
    seen = set()
    while pending:
        operation = pending.pop(0)
        for node in operation._outbound_nodes:
            if id(node.operation) not in seen:
                seen.add(id(node.operation))
                yield node.operation
                yield from (layer for _, layer in walk(node.operation))
                pending.append(node.operation)


def _axis(data_format: str) -> int:
    return 1 if data_format == "channels_first" else -1


def _from_end(axis: int, rank: int) -> int:
    """Return -1 for the last axis."""
    return -1 if axis == rank - 1 else axis


def _usual_axis(rank: int) -> int:
    # Sequences have their features last, whatever the image format.
    return _axis(keras.config.image_data_format()) if rank > 3 else -1
