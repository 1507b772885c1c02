"""A plain backward pass: the forward pass, and the gradient by the input only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy.typing as npt
import torch

Array = npt.NDArray[Any]


def gradient(network: keras.Model, shape: tuple[int, ...], index: int) -> Callable[[Array], Array]:
    """Return the gradient of the scores of one class by a batch."""
    network.requires_grad_(False)

    def run(x: Array) -> Array:
        given = keras.ops.convert_to_tensor(x).requires_grad_()
        score = network(given, training=False)[:, index].sum()
        (found,) = torch.autograd.grad(score, given)
        return found.cpu().numpy()

    return run


def variants(network: keras.Model, shape: tuple[int, ...], index: int) -> dict[str, Callable[[Array], Array]]:
    """Return other ways to write the same: none is of interest here."""
    return {}


def grad_cam(
    network: keras.Model, layer: str, shape: tuple[int, ...], index: int
) -> Callable[[Array], Array]:
    """Return the weighted sum of the feature maps of a convolution for a batch, not enlarged."""
    features = network.get_layer(layer).output
    before, after = keras.Model(network.inputs, features), keras.Model(features, network.outputs[0])
    network.requires_grad_(False)

    def run(x: Array) -> Array:
        found = before(keras.ops.convert_to_tensor(x), training=False).requires_grad_()
        score = after(found, training=False)[:, index].sum()
        (gradients,) = torch.autograd.grad(score, found)
        weights = gradients.mean(dim=(1, 2), keepdim=True)
        return (weights * found).sum(dim=-1).relu().detach().cpu().numpy()

    return run


def forward(network: keras.Model, shape: tuple[int, ...]) -> Callable[[Array], Array]:
    """Return the outputs for a batch."""

    def run(x: Array) -> Array:
        with torch.no_grad():
            return network(keras.ops.convert_to_tensor(x), training=False).cpu().numpy()

    return run


def device() -> str:
    """Return the name of the device that the backend computes on."""
    kind = keras.ops.zeros(()).device.type
    return torch.cuda.get_device_name() if kind == "cuda" else kind


def peak() -> int:
    """Return the most bytes of a GPU that were in use, 0 without one."""
    return torch.cuda.max_memory_allocated() if torch.cuda.is_available() else 0
