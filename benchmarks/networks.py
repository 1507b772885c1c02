"""The measured networks, with random weights, which do not change the cost of a map."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from vis import linear_outputs
from vis.demo.network import build_network

SMALL = "small CNN"
NETWORKS = (SMALL, "MobileNetV2", "ResNet50", "DenseNet121")


def build(name: str, side: int = 224) -> keras.Model:
    """Return a network that ends in logits: the demo's of 64 x 64, or one of keras.applications."""
    keras.utils.set_random_seed(0)
    if name == SMALL:
        return linear_outputs(build_network())
    make = getattr(keras.applications, name)
    network: keras.Model = make(weights=None, input_shape=(side, side, 3), classifier_activation=None)
    _move(network)
    return network


def _move(network: keras.Model) -> None:
    """Give batch normalizations statistics other than their initial ones."""
    noise = np.random.default_rng(0)
    for layer in network.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            count = layer.moving_mean.shape
            layer.moving_mean.assign(noise.normal(0, 0.1, count))
            layer.moving_variance.assign(noise.uniform(0.5, 1.5, count))


def images(network: keras.Model, count: int) -> npt.NDArray[Any]:
    """Return random images for a network."""
    shape = network.inputs[0].shape[1:]
    return np.random.default_rng(0).random((count, *shape), np.float32)
