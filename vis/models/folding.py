"""Folding batch normalizations and zero paddings into the adjacent convolutions, in twins, for one run.

At inference, batch normalization is an affine map of each channel, `s x + t` with `s = gamma / sqrt(v + e)`
and `t = beta - s mean`. A layer `K x + b` followed by it is the layer `(s K) x + (s b + t)`. The kernel is
scaled at each run with the current variables, unless scaled kernels are given. A zero padding before a
convolution is replaced by the convolution's own padding if that adds the same numbers of zeros.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import keras
from keras import ops

from vis.models.calls import node_of
from vis.models.find import held_operations, runs_graph, sublayers, upstream
from vis.models.twins import derived, twin

Scaled = Callable[[Any, Any], Any]
Pair = tuple[Any, Any]


def _outputs_last(kernel: Any, scale: Any) -> Any:
    return kernel * scale


def _outputs_before_last(kernel: Any, scale: Any) -> Any:
    return kernel * scale[:, None]


def _each_input(kernel: Any, scale: Any) -> Any:
    return kernel * ops.reshape(scale, kernel.shape[-2:])


# By the exact class of a layer: the name of its kernel, and how to scale it.
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
    """Return the pairs of consecutive layers that can be folded into one, at every depth.

    Each pair is a layer with its batch normalization, or a zero padding with its convolution. Only the second
    uses the output of the first, and both run once, in the graph of a functional or sequential model.
    """
    operations = [model, *held_operations(model).values()]
    graphs = [operation for operation in operations if runs_graph(operation)]
    nodes = {id(node): node for graph in graphs for node in upstream(graph.outputs)}.values()
    calls = Counter(id(node.operation) for node in nodes)
    uses = Counter(id(tensor) for node in nodes for tensor in node.input_tensors)
    uses.update(id(tensor) for graph in graphs for tensor in graph.outputs)
    # Layers inside other objects may be run in any way.
    others = [operation for operation in operations if operation not in graphs]
    elsewhere = {id(held) for operation in others for _, held in sublayers(operation)}
    found = []
    for node in nodes:
        if len(node.input_tensors) != 1 or uses[id(node.input_tensors[0])] > 1:
            continue
        between = node.input_tensors[0]
        before = node_of(between)
        pair = (before.operation, node.operation)
        alone = all(calls[id(part)] == 1 and id(part) not in elsewhere for part in pair)
        if alone and (_is_normalized(*pair, between) or _is_padded(*pair, before.input_tensors)):
            found.append(pair)
    return found


def folded(model: Any, kept: Sequence[Any], kernels: Sequence[Any] | None = None) -> dict[int, Any]:
    """Return twins of the layers of `foldable`, by the ids of the originals, in which the pairs are folded.

    Args:
        model: a Keras model.
        kept: operations whose own outputs are wanted.
        kernels: the result of `scaled_kernels`; None to scale them at each run.
    """
    changed: dict[int, tuple[Any, dict[str, Any]]] = {}
    twins: dict[int, Any] = {}
    pairs = foldable(model)
    given = {} if kernels is None else _by_layer(pairs, kernels)
    for first, second in pairs:
        if any(part is operation for part in (first, second) for operation in kept):
            continue
        layer, left_out = (first, second) if _has_kernel(first) else (second, first)
        if layer is first:
            properties = _normalized(first, second, given.get(id(first)))
        else:
            properties = {"padding": property(lambda _: "same")}
        changed.setdefault(id(layer), (layer, {}))[1].update(properties)
        twins[id(left_out)] = _of_class(left_out, {"__call__": lambda self, inputs, *args, **kwargs: inputs})
    return twins | {key: _of_class(layer, properties) for key, (layer, properties) in changed.items()}


def scaled_kernels(model: Any) -> list[Any]:
    """Return the present kernels and biases, in turn, of the layers that absorb a normalization."""
    normalized = [pair for pair in foldable(model) if _has_kernel(pair[0])]
    return [tensor for pair in normalized for tensor in (_scaled_kernel(*pair), _shifted_bias(*pair))]


def _by_layer(pairs: list[Pair], kernels: Sequence[Any]) -> dict[int, Pair]:
    """Return the result of `scaled_kernels` by the ids of the layers."""
    layers = [first for first, _ in pairs if _has_kernel(first)]
    found = zip(kernels[::2], kernels[1::2], strict=True)
    return {id(layer): pair for layer, pair in zip(layers, found, strict=True)}


def _has_kernel(layer: Any) -> bool:
    return type(layer) in _KERNELS


def _is_normalized(layer: Any, norm: Any, between: Any) -> bool:
    """Tell whether a layer has a linear kernel and is followed by a normalization of its channels."""
    if type(norm) is not keras.layers.BatchNormalization or not _has_kernel(layer):
        return False
    if layer.activation not in (None, keras.activations.linear):
        return False
    # A kernel in another form: quantized, or with an adapter.
    if getattr(layer, "lora_enabled", False) or getattr(layer, "quantization_mode", None) is not None:
        return False
    rank = len(between.shape)
    channels = 1 if getattr(layer, "data_format", None) == "channels_first" else rank - 1
    axes = [axis % rank for axis in (norm.axis if isinstance(norm.axis, list | tuple) else [norm.axis])]
    types = {part for each in (layer, norm) for part in (each.compute_dtype, each.variable_dtype)}
    return axes == [channels] and types in ({"float32"}, {"float64"})


def _is_padded(padding: Any, layer: Any, inputs: list[Any]) -> bool:
    """Tell whether a convolution with "same" padding would add the zeros that are padded before it."""
    if type(padding) not in _PADDINGS or type(layer) not in _PADDED or layer.padding != "valid":
        return False
    if layer.data_format != getattr(padding, "data_format", "channels_last"):
        return False
    sizes = inputs[0].shape[1:-1] if layer.data_format == "channels_last" else inputs[0].shape[2:]
    pads = padding.padding if isinstance(padding.padding[0], list | tuple) else [padding.padding]
    axes = zip(sizes, pads, layer.kernel_size, layer.strides, layer.dilation_rate, strict=True)
    return all(size is not None and tuple(pad) == _same(size, *rest) for size, pad, *rest in axes)


def _same(size: int, kernel: int, stride: int, dilation: int) -> tuple[int, int]:
    """Return the numbers of zeros that "same" adds before and after an axis."""
    total = max((math.ceil(size / stride) - 1) * stride + (kernel - 1) * dilation + 1 - size, 0)
    return total // 2, total - total // 2


def _normalized(layer: Any, norm: Any, given: Pair | None) -> dict[str, Any]:
    """Return the properties that turn a layer into the layer with its normalization.

    Args:
        layer: a layer with a linear kernel.
        norm: its normalization.
        given: the kernel and the bias; None to compute them at each run.
    """
    return {
        _KERNELS[type(layer)][0]: property(lambda _: given[0] if given else _scaled_kernel(layer, norm)),
        "bias": property(lambda _: given[1] if given else _shifted_bias(layer, norm)),
        "use_bias": property(lambda _: True),
    }


def _scaled_kernel(layer: Any, norm: Any) -> Any:
    name, scaled = _KERNELS[type(layer)]
    return scaled(getattr(layer, name), _scale(norm))


def _shifted_bias(layer: Any, norm: Any) -> Any:
    center = norm.moving_mean - layer.bias if layer.use_bias else norm.moving_mean
    return norm.beta - center * _scale(norm) if norm.center else -center * _scale(norm)


def _scale(norm: Any) -> Any:
    root = ops.rsqrt(norm.moving_variance + norm.epsilon)
    return root * norm.gamma if norm.scale else root


def _of_class(layer: Any, attributes: dict[str, Any]) -> Any:
    """Return a twin whose class has these attributes."""
    return twin(layer, base=derived(type(layer), attributes))
