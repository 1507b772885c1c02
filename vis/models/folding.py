"""Batch normalizations and zero paddings folded into the convolutions beside them, for one run, in twins.

In inference a batch normalization is a linear map of each channel, `s x + t` with `s = gamma / sqrt(v + e)`
and `t = beta - s mean`. After a layer `K x + b` it makes the layer `(s K) x + (s b + t)`. The kernel is
scaled at each run, from the variables as they are then. A zero padding before a convolution is that
convolution's own where it pads the same numbers of zeros.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import keras
from keras import ops

from vis.models.find import held_operations, sublayers, upstream
from vis.models.twins import twin

Scaled = Callable[[Any, Any], Any]
Pair = tuple[Any, Any]


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
_PADDED = (
    keras.layers.Conv1D,
    keras.layers.Conv2D,
    keras.layers.Conv3D,
    keras.layers.SeparableConv1D,
    keras.layers.SeparableConv2D,
    keras.layers.DepthwiseConv1D,
    keras.layers.DepthwiseConv2D,
)
_PADDINGS = (keras.layers.ZeroPadding1D, keras.layers.ZeroPadding2D, keras.layers.ZeroPadding3D)


def foldable(model: Any) -> list[Pair]:
    """Return the pairs of a layer and the one after it that can be folded into one, at every depth.

    Each pair is a layer with its batch normalization, or a zero padding with its convolution. Nothing but the
    second takes the output of the first, and both are run once, by the graph of a functional or sequential
    model.
    """
    operations = [model, *held_operations(model).values()]
    graphs = [operation for operation in operations if _is_graph(operation)]
    nodes = {id(node): node for graph in graphs for node in upstream(graph.outputs)}.values()
    calls = Counter(id(node.operation) for node in nodes)
    uses = Counter(id(tensor) for node in nodes for tensor in node.input_tensors)
    uses.update(id(tensor) for graph in graphs for tensor in graph.outputs)
    # What another object holds may be run in any way.
    others = [operation for operation in operations if operation not in graphs]
    elsewhere = {id(held) for operation in others for _, held in sublayers(operation)}
    found = []
    for node in nodes:
        if len(node.input_tensors) != 1 or uses[id(node.input_tensors[0])] > 1:
            continue
        first, index, _ = node.input_tensors[0]._keras_history
        pair = (first, node.operation)
        alone = all(calls[id(part)] == 1 and id(part) not in elsewhere for part in pair)
        inputs = first._inbound_nodes[index].input_tensors
        if alone and (_is_normalized(*pair, node.input_tensors[0]) or _is_padded(*pair, inputs)):
            found.append(pair)
    return found


def folded(model: Any, kept: Sequence[Any]) -> dict[int, Any]:
    """Return twins of the layers of `foldable`, by the ids of the originals, in which the pairs are folded.

    Args:
        model: a Keras model.
        kept: operations whose own outputs are wanted.
    """
    changed: dict[int, tuple[Any, dict[str, Any]]] = {}
    twins: dict[int, Any] = {}
    for first, second in foldable(model):
        if any(part is operation for part in (first, second) for operation in kept):
            continue
        layer, left_out = (first, second) if type(first) in _KERNELS else (second, first)
        properties = _normalized(first, second) if layer is first else {"padding": property(lambda _: "same")}
        changed.setdefault(id(layer), (layer, {}))[1].update(properties)
        twins[id(left_out)] = _of_class(left_out, {"__call__": lambda self, inputs, *args, **kwargs: inputs})
    return twins | {key: _of_class(layer, properties) for key, (layer, properties) in changed.items()}


def _is_graph(operation: Any) -> bool:
    """Tell whether an operation runs its graph, and nothing of a user's own."""
    if not isinstance(operation, keras.Model) or not getattr(operation, "outputs", None):
        return False
    methods = (type(operation).call, type(operation).__call__)
    return all(method.__module__.split(".")[0] == "keras" for method in methods)


def _is_normalized(layer: Any, norm: Any, between: Any) -> bool:
    """Tell whether a layer has a linear kernel, and a normalization of its channels follows."""
    if type(norm) is not keras.layers.BatchNormalization or type(layer) not in _KERNELS:
        return False
    if layer.activation not in (None, keras.activations.linear):
        return False
    # A kernel of another form: quantized, or with an adapter.
    if getattr(layer, "lora_enabled", False) or getattr(layer, "quantization_mode", None) is not None:
        return False
    rank = len(between.shape)
    channels = 1 if getattr(layer, "data_format", None) == "channels_first" else rank - 1
    axes = [axis % rank for axis in (norm.axis if isinstance(norm.axis, list | tuple) else [norm.axis])]
    types = {part for each in (layer, norm) for part in (each.compute_dtype, each.variable_dtype)}
    return axes == [channels] and types in ({"float32"}, {"float64"})


def _is_padded(padding: Any, layer: Any, inputs: list[Any]) -> bool:
    """Tell whether a convolution that pads as it likes ("same") would pad what is padded before it."""
    if type(padding) not in _PADDINGS or type(layer) not in _PADDED or layer.padding != "valid":
        return False
    if layer.data_format != getattr(padding, "data_format", "channels_last"):
        return False
    sizes = inputs[0].shape[1:-1] if layer.data_format == "channels_last" else inputs[0].shape[2:]
    pads = padding.padding if isinstance(padding.padding[0], list | tuple) else [padding.padding]
    axes = zip(sizes, pads, layer.kernel_size, layer.strides, layer.dilation_rate, strict=True)
    return all(size is not None and tuple(pad) == _same(size, *rest) for size, pad, *rest in axes)


def _same(size: int, kernel: int, stride: int, dilation: int) -> tuple[int, int]:
    """Return the zeros that "same" puts before and behind an axis."""
    total = max((math.ceil(size / stride) - 1) * stride + (kernel - 1) * dilation + 1 - size, 0)
    return total // 2, total - total // 2


def _normalized(layer: Any, norm: Any) -> dict[str, Any]:
    """Return the properties by which a layer becomes the layer with its normalization."""
    name, scaled = _KERNELS[type(layer)]

    def scale() -> Any:
        root = ops.rsqrt(norm.moving_variance + norm.epsilon)
        return root * norm.gamma if norm.scale else root

    def bias(_: Any) -> Any:
        center = norm.moving_mean - layer.bias if layer.use_bias else norm.moving_mean
        return norm.beta - center * scale() if norm.center else -center * scale()

    return {
        name: property(lambda _: scaled(getattr(layer, name), scale())),
        "bias": property(bias),
        "use_bias": property(lambda _: True),
    }


def _of_class(layer: Any, attributes: dict[str, Any]) -> Any:
    """Return a twin whose class has other attributes."""
    cls = type(layer)
    return twin(layer, type(cls.__name__, (cls,), attributes))
