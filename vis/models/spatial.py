"""The nearest layer before another whose output still has places."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras

from vis.errors import LayerError
from vis.models.find import child_layers, input_structure, nodes_of

_KINDS = tuple(
    getattr(keras.layers, f"{kind}{rank}D")
    for rank in (1, 2, 3)
    for kind in ("Conv", "SeparableConv", "DepthwiseConv", "MaxPooling", "AveragePooling")
    if hasattr(keras.layers, f"{kind}{rank}D")
) + tuple(getattr(keras.layers, f"Conv{rank}DTranspose") for rank in (1, 2, 3))

# An operation with the nested models that it lies in, the outermost first.
_Place = tuple[Any, tuple[Any, ...]]


def spatial_layer_before(model: Any, layer: Any, argument: str = "penultimate_layer_idx") -> Any:
    """Return the nearest convolution or pooling layer on the way from the input to `layer`.

    The way is followed backwards through the graph, into and out of nested models; global pooling has
    no places and does not count.

    Args:
        model: a functional or sequential model.
        layer: one of its layers, at any depth.
        argument: what the caller calls that layer, for the message.

    Raises:
        LayerError: if there is none; name the layer instead.
    """
    start = next(_places(model, layer, ()), None)
    pending = [] if start is None or input_structure(model) is None else list(_before(*start, model))
    seen: set[int] = set()
    while pending:
        operation, parents = pending.pop(0)
        # A wrapper, such as TimeDistributed, has the places of the layer inside it.
        if isinstance(getattr(operation, "layer", operation), _KINDS):
            return operation
        if id(operation) not in seen:
            seen.add(id(operation))
            pending += _before(operation, parents, model)
    raise LayerError(
        f"No convolution or pooling layer lies before {layer.name!r} in the graph of the model "
        f"{model.name!r}. Name the layer whose places are to be weighed: {argument}."
    )


def _places(holder: Any, layer: Any, parents: tuple[Any, ...]) -> Iterator[_Place]:
    if holder is layer:
        yield holder, parents
    for child in child_layers(holder):
        if child is layer:
            yield child, parents
        elif isinstance(child, keras.Model):
            yield from _places(child, layer, (*parents, child))


def _before(operation: Any, parents: tuple[Any, ...], root: Any) -> Iterator[_Place]:
    """Yield the operations whose outputs `operation` takes; those of a nested model are its own last ones."""
    if isinstance(operation, keras.Model) and input_structure(operation) is not None:
        inside = (*parents, operation)
        yield from ((tensor._keras_history.operation, inside) for tensor in operation.outputs)
        return
    yield from _called_on(operation, parents, root)


def _called_on(operation: Any, parents: tuple[Any, ...], root: Any) -> Iterator[_Place]:
    holder = parents[-1] if parents else root
    for node in nodes_of(holder, operation):
        for tensor in node.input_tensors:
            source = tensor._keras_history.operation
            if isinstance(source, keras.layers.InputLayer) and parents:
                yield from _called_on(holder, parents[:-1], root)
            else:
                yield source, parents
