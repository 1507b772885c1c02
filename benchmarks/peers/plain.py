"""A Keras model as one would write it in plain PyTorch, with the same weights."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import keras
import torch
from torch import nn

layers = keras.layers


def equal(network: keras.Model) -> nn.Module | None:
    """Return the network in plain PyTorch, channels first; None if it is not a chain of common layers."""
    modules: OrderedDict[str, nn.Module] = OrderedDict()
    for layer in network.layers:
        make = _MODULES.get(type(layer))
        if make is None:
            return None
        module = make(layer)
        activated = getattr(layer, "activation", None) is keras.activations.relu
        if module is not None:
            modules[f"{layer.name}_linear" if activated else layer.name] = module
        if activated:
            modules[layer.name] = nn.ReLU()
    return nn.Sequential(modules).to(keras.ops.zeros(()).device).eval().requires_grad_(False)


def _convolution(layer: Any) -> nn.Module:
    kernel = layer.kernel.value.detach().permute(3, 2, 0, 1)
    out, into, *size = kernel.shape
    padding = [side // 2 for side in size] if layer.padding == "same" else 0
    made = nn.Conv2d(into, out, size, layer.strides, padding, bias=layer.use_bias)
    return _with(made, weight=kernel, bias=layer.bias.value if layer.use_bias else None)


def _dense(layer: Any) -> nn.Module:
    kernel = layer.kernel.value.detach().T
    return _with(nn.Linear(*reversed(kernel.shape)), weight=kernel, bias=layer.bias.value)


def _normalization(layer: Any) -> nn.Module:
    made = nn.BatchNorm2d(len(layer.gamma.value), layer.epsilon)
    return _with(
        made,
        weight=layer.gamma.value,
        bias=layer.beta.value,
        running_mean=layer.moving_mean.value,
        running_var=layer.moving_variance.value,
    )


def _with(module: nn.Module, **values: Any) -> nn.Module:
    for name, value in values.items():
        if value is not None:
            with torch.no_grad():
                getattr(module, name).copy_(value)
    return module


class _Maximum(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.amax((2, 3))


_MODULES: dict[Any, Callable[[Any], nn.Module | None]] = {
    layers.InputLayer: lambda _: None,
    layers.Conv2D: _convolution,
    layers.BatchNormalization: _normalization,
    layers.ReLU: lambda _: nn.ReLU(),
    layers.MaxPooling2D: lambda layer: nn.MaxPool2d(layer.pool_size, layer.strides),
    layers.GlobalMaxPooling2D: lambda _: _Maximum(),
    layers.Dense: _dense,
}
