"""Batch normalization folded into the convolution before it, for one run and in twins only.

In inference a batch normalization is a linear map of each channel, `s x + t` with `s = gamma / sqrt(v + e)`
and `t = beta - s mean`. After a layer `K x + b` it makes the layer `(s K) x + (s b + t)`. The kernel is
scaled at each run, from the variables as they are then.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import keras
from keras import ops

from vis.models.find import held_operations, sublayers, upstream
from vis.models.twins import twin

Scaled = Callable[[Any, Any], Any]


def _outputs_last(kernel: Any, scale: Any) -> Any:
    return kernel * scale


def _outputs_before_last(kernel: Any, scale: Any) -> Any:
    return kernel * scale[:, None]


def _each_input(kernel: Any, scale: Any) -> Any:
    return kernel * ops.reshape(scale, kernel.shape[-2:])


# By the type of a layer, which must be this very class: its kernel's name, and how that is scaled.
_KERNELS: dict[Any, tuple[str, Scaled]] = {
    keras.layers.Dense: ("kernel", _outputs_last),
    keras.layers.Conv1D: ("kernel", _outputs_last),
    keras.layers.Conv2D: ("kernel", _outputs_last),
    keras.layers.Conv3D: ("kernel", _outputs_last),
    keras.layers.SeparableConv1D: ("pointwise_kernel", _outputs_last),
    keras.layers.SeparableConv2D: ("pointwise_kernel", _outputs_last),
    keras.layers.DepthwiseConv1D: ("kernel", _each_input),
    keras.layers.DepthwiseConv2D: ("kernel", _each_input),
    keras.layers.Conv1DTranspose: ("kernel", _outputs_before_last),
    keras.layers.Conv2DTranspose: ("kernel", _outputs_before_last),
    keras.layers.Conv3DTranspose: ("kernel", _outputs_before_last),
}


def foldable(model: Any) -> list[tuple[Any, Any]]:
    """Return the pairs of a layer and the batch normalization that can be folded into it, at every depth.

    Nothing but the normalization takes the layer's output, both are run once and by the graph of a functional
    or sequential model, between them is no activation, and both compute in the type of their variables.
    """
    operations = [model, *held_operations(model).values()]
    graphs = [operation for operation in operations if _is_graph(operation)]
    nodes = {id(node): node for graph in graphs for node in upstream(graph.outputs)}.values()
    calls = Counter(id(node.operation) for node in nodes)
    uses = Counter(id(tensor) for node in nodes for tensor in node.input_tensors)
    uses.update(id(tensor) for graph in graphs for tensor in graph.outputs)
    # What another object holds may be run in any way.
    elsewhere = {
        id(held) for operation in operations if operation not in graphs for _, held in sublayers(operation)
    }
    found = []
    for node in nodes:
        if type(node.operation) is keras.layers.BatchNormalization:
            tensor = node.input_tensors[0]
            pair = (tensor._keras_history.operation, node.operation)
            alone = uses[id(tensor)] == 1 and all(
                calls[id(part)] == 1 and id(part) not in elsewhere for part in pair
            )
            if alone and _fit(*pair, len(tensor.shape)):
                found.append(pair)
    return found


def folded(model: Any, kept: Sequence[Any]) -> dict[int, Any]:
    """Return twins of the layers of `foldable`, by the ids of the originals, in which the pairs are folded.

    Args:
        model: a Keras model.
        kept: operations whose own outputs are wanted.
    """
    twins: dict[int, Any] = {}
    for layer, norm in foldable(model):
        if all(part is not operation for part in (layer, norm) for operation in kept):
            twins[id(layer)] = _with_norm(layer, norm)
            twins[id(norm)] = _passing_on(norm)
    return twins


def _is_graph(operation: Any) -> bool:
    """Tell whether an operation runs its graph, and nothing of a user's own."""
    if not isinstance(operation, keras.Model) or not getattr(operation, "outputs", None):
        return False
    methods = (type(operation).call, type(operation).__call__)
    return all(method.__module__.split(".")[0] == "keras" for method in methods)


def _fit(layer: Any, norm: Any, rank: int) -> bool:
    if type(layer) not in _KERNELS or layer.activation not in (None, keras.activations.linear):
        return False
    # A kernel of another form: quantized, or with an adapter.
    if getattr(layer, "lora_enabled", False) or getattr(layer, "quantization_mode", None) is not None:
        return False
    channels = 1 if getattr(layer, "data_format", None) == "channels_first" else rank - 1
    axes = [axis % rank for axis in (norm.axis if isinstance(norm.axis, list | tuple) else [norm.axis])]
    types = {part for each in (layer, norm) for part in (each.compute_dtype, each.variable_dtype)}
    return axes == [channels] and types in ({"float32"}, {"float64"})


def _with_norm(layer: Any, norm: Any) -> Any:
    cls = type(layer)
    name, scaled = _KERNELS[cls]

    def scale() -> Any:
        root = ops.rsqrt(norm.moving_variance + norm.epsilon)
        return root * norm.gamma if norm.scale else root

    def bias(_: Any) -> Any:
        moved = layer.bias - norm.moving_mean if layer.use_bias else -norm.moving_mean
        return moved * scale() + norm.beta if norm.center else moved * scale()

    properties = {
        name: property(lambda _: scaled(getattr(layer, name), scale())),
        "bias": property(bias),
        "use_bias": property(lambda _: True),
    }
    return twin(layer, type(cls.__name__, (cls,), properties))


def _passing_on(norm: Any) -> Any:
    cls = type(norm)
    methods = {"__call__": lambda self, inputs, *args, **kwargs: inputs}
    return twin(norm, type(cls.__name__, (cls,), methods))
