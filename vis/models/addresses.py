"""How to name what is inside a model: layers, graph operations, single calls of them, symbolic tensors."""

from __future__ import annotations

import re
import weakref
from collections.abc import Iterator
from typing import Any

import keras

from vis.errors import LayerError, did_you_mean
from vis.models.calls import Call, node_of, operation_of
from vis.models.find import check_model, children, runs_graph, unmodified, walk
from vis.reprs import typed
from vis.typing import Layer
from vis.weak import WeakTable

_tops: WeakTable[list[Any]] = WeakTable()


def find_layer(model: keras.Model, layer: Layer | Call) -> keras.Operation | Call:
    """Return the layer, operation or call that an index, a name, a path, a tensor or a layer refers to.

    Args:
        model: a Keras model.
        layer: an index into `model.layers` (negative ones count from the end); a name such as `"conv1"`, of a
            layer or of another operation of the graph such as `"add_3"`; a path into nested models such as
            `"backbone/conv5"`; an address such as `"embedding:1"` for the second call of a layer, in the
            order in which the model runs, or `"split:0:1"` for the second output of the first; a symbolic
            tensor; or a layer. A layer whose own name contains the colon takes precedence.

    Returns:
        The layer or operation; a `Call` for a layer that is called several times or has several outputs.

    Raises:
        LayerError: if there is no such layer; the message lists similar names.
    """
    check_model(model)
    graph, _ = unmodified(model)
    if isinstance(layer, str):
        return _by_path(graph, layer)
    if isinstance(layer, keras.KerasTensor):
        return call_of(graph, layer)
    given: Any = layer
    operation = operation_of(given)
    if isinstance(operation, keras.Operation):
        if operation in (model, graph) or _is_inside(graph, operation):
            return given
        raise LayerError(
            f"The layer {given.name!r} is not part of the model {model.name!r}. "
            "Pass a layer of this model, its index or its name."
        )
    try:
        index = given.__index__()
    except (AttributeError, TypeError):  # an array with several elements has an __index__ that raises
        raise LayerError(
            "Name a layer by its index, its name, a path such as 'backbone/conv5', a call such as 'conv5:1' "
            f"or a symbolic tensor, or pass the layer itself. Received: {typed(given)} of type "
            f"{type(given).__name__}."
        ) from None
    layers = _top(graph)
    if not -len(layers) <= index < len(layers):
        raise LayerError(
            f"Layer index {index} is out of range: the model {model.name!r} has {len(layers)} layers, "
            f"so valid indices are {-len(layers)} to {len(layers) - 1}."
        )
    return layers[index]()


def _top(model: Any) -> list[Any]:
    """Return weak references to the layers of a model; those of a functional model never change."""
    known = _tops.get([model])
    if known is None:
        known = [weakref.ref(layer) for layer in model.layers]
        if runs_graph(model) and not isinstance(model, keras.Sequential):
            _tops.put([model], known)
    return known


def _is_inside(model: Any, operation: Any) -> bool:
    # Most layers are at the top, where the search is fastest.
    at_top = any(operation is found() for found in _top(model))
    return at_top or any(operation is found for _, found in walk(model, operations=True))


def runs(model: Any) -> Iterator[Any]:
    """Yield the calls (nodes) in the order in which a model runs its graph, including those in nested models.

    What a custom layer runs is unknown.
    """
    # Keras has no public name for the order.
    by_depth = getattr(model, "_nodes_by_depth", None)
    if by_depth is None:
        by_depth = getattr(getattr(model, "_functional", None), "_nodes_by_depth", {})
    for depth in sorted(by_depth, reverse=True):
        for node in by_depth[depth]:
            if node.input_tensors:
                if runs_graph(node.operation):
                    yield from runs(node.operation)
                yield node


def call_of(model: Any, tensor: Any) -> Any:
    """Return the operation that makes a symbolic tensor, or its call if there are several.

    Raises:
        LayerError: if the tensor is not part of the model, or is computed more than once.
    """
    operation, _, part = tensor._keras_history
    node = node_of(tensor)
    if not _is_inside(model, operation):
        raise LayerError(
            f"The tensor {tensor.name!r} of the layer {operation.name!r} is not part of the graph of the "
            f"model {model.name!r}. Choose a tensor of that graph."
        )
    calls = [run for run in runs(model) if run.operation is operation]
    which = part if len(node.output_tensors) > 1 else None
    if len(calls) < 2:
        return operation if which is None else Call(operation, 0, which, tensor)
    indices = [index for index, run in enumerate(calls) if run is node]
    if len(indices) == 1:
        return Call(operation, indices[0], which, tensor)
    reason = "is computed more than once" if indices else "is not part of that graph itself"
    raise LayerError(
        f"The tensor {tensor.name!r} of the layer {operation.name!r}, which is called {len(calls)} times in "
        f"the model {model.name!r}, {reason}. Name the layer with its call number: "
        f"{addresses(model, operation, len(calls))}."
    )


def addresses(model: Any, operation: Any, count: int) -> str:
    """Return the addresses of the calls of an operation as text: `'embedding:0', 'embedding:1'`."""
    found = (path for path, held in walk(model, operations=True) if held is operation)
    path = next(found, operation.name)
    listed = ", ".join(repr(f"{path}:{index}") for index in range(min(count, 5)))
    return f"{listed}, ... '{path}:{count - 1}'" if count > 5 else listed


def _by_path(model: Any, path: str) -> Any:
    operation = _named(model, path)
    if operation is not None:
        return operation
    for form in (r"(.+):(\d+)", r"(.+):(\d+):(\d+)"):
        address = re.fullmatch(form, path)
        operation = _named(model, address[1]) if address else None
        if address and operation is not None:
            return _call(model, operation, *map(int, address.groups()[1:]))
    paths = [known for known, _ in walk(model, operations=True)]
    deeper = [known for known in paths if known.endswith(f"/{path}")]
    hint = f" Did you mean {' or '.join(map(repr, deeper[:3]))}?" if deeper else did_you_mean(path, paths)
    raise LayerError(
        f"The model {model.name!r} has no layer {path!r}.{hint} "
        f"It has {len(paths)} layers: {', '.join(paths[:8])}{', ...' if len(paths) > 8 else '.'}"
    )


def _named(model: Any, path: str) -> Any:
    operation = model
    for name in path.split("/"):
        operation = next((child for child in children(operation) if child.name == name), None)
        if operation is None:
            return None
    return operation


def _call(model: Any, operation: Any, index: int, part: int | None = None) -> Any:
    calls = [run for run in runs(model) if run.operation is operation]
    if not calls:  # inside a custom layer: known when it runs
        return Call(operation, index, part)
    if index >= len(calls):
        raise LayerError(
            f"The layer {operation.name!r} is called {len(calls)} times in the model {model.name!r}. "
            f"Received: call {index}. Its calls are {addresses(model, operation, len(calls))}."
        )
    outputs = calls[index].output_tensors
    if part is not None and part >= len(outputs):
        raise LayerError(
            f"The layer {operation.name!r} has {len(outputs)} outputs, numbered from 0. Received: {part}."
        )
    if len(outputs) > 1:
        return Call(operation, index, part, None if part is None else outputs[part])
    return operation if len(calls) == 1 else Call(operation, index, None, outputs[0])
