"""The backends give the same maps: those of TensorFlow are stored, `python -m tests.backend.test_agreement`.

Weights and inputs are drawn by NumPy, so that every backend has the same networks.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from vis.attributions import GradCAM, GuidedBackprop, IntegratedGradients, Saliency
from vis.demo.network import load_network
from vis.models import linear_outputs

STORED = Path(__file__).parent / "agreement.npz"


def settled(model: keras.Model) -> keras.Model:
    """Draw the weights anew, at scales at which the network is not dead."""
    rng = np.random.default_rng(1)
    for variable in model.variables:
        shape, name = variable.shape, variable.path.split("/")[-1]
        if "seed" in name:
            continue
        if name in ("gamma", "moving_variance"):
            variable.assign(rng.uniform(0.5, 1.5, shape))
        elif len(shape) < 2:
            variable.assign(rng.normal(0, 0.1, shape))
        else:
            variable.assign(rng.normal(0, np.sqrt(2 / np.prod(shape[:-1])), shape))
    return model


def demo() -> keras.Model:
    return linear_outputs(load_network())


def mobilenet() -> keras.Model:
    options = {"weights": None, "classes": 10, "classifier_activation": None}
    return settled(keras.applications.MobileNetV2((96, 96, 3), **options))


def unet() -> keras.Model:
    entry = keras.Input((16, 12, 3))
    high = layers.Conv2D(8, 3, padding="same", activation="relu")(entry)
    low = layers.Conv2D(12, 3, padding="same", activation="relu")(layers.MaxPooling2D(2)(high))
    up = layers.Conv2DTranspose(8, 2, strides=2, activation="relu")(low)
    y = layers.Conv2D(8, 3, padding="same", activation="relu")(layers.Concatenate()([high, up]))
    return settled(keras.Model(entry, layers.GlobalAveragePooling2D()(layers.Conv2D(10, 1)(y))))


def lstm() -> keras.Model:
    stack = [layers.Dense(12, "relu"), layers.LSTM(9), layers.Dense(8, "relu"), layers.Dense(10)]
    return settled(keras.Sequential([keras.Input((11, 6)), *stack]))


def transformer() -> keras.Model:
    entry = keras.Input((9, 16))
    x = layers.Add()([entry, layers.MultiHeadAttention(2, 8)(entry, entry)])
    x = layers.LayerNormalization()(x)
    hidden = layers.Dense(16)(layers.Dense(32, "relu")(x))
    x = layers.LayerNormalization()(layers.Add()([x, hidden]))
    return settled(keras.Model(entry, layers.Dense(10)(layers.GlobalAveragePooling1D()(x))))


NETWORKS: dict[str, Callable[[], keras.Model]] = {
    "demo": demo,
    "MobileNetV2": mobilenet,
    "U-Net": unet,
    "LSTM": lstm,
    "transformer": transformer,
}
METHODS: dict[str, Callable[[Any], Any]] = {
    "vanilla": Saliency,
    "guided": GuidedBackprop,
    "rectified": lambda model: Saliency(model, backprop_modifier="rectified"),
    "Grad-CAM": GradCAM,
    "integrated gradients": lambda model: IntegratedGradients(model, steps=4),
}


def maps(network: str) -> dict[str, Any]:
    """Return the maps of one input of a network by each method."""
    model = NETWORKS[network]()
    x = np.random.default_rng(2).normal(size=(1, *model.input_shape[1:])).astype(np.float32)
    return {method: METHODS[method](model)(x, 3)[0] for method in METHODS}


@pytest.mark.parametrize("network", NETWORKS)
def test_the_backends_agree(network: str) -> None:
    with np.load(STORED) as stored:
        for method, found in maps(network).items():
            wanted = stored[f"{network}, {method}"]
            assert wanted.any()
            largest = abs(wanted).max()
            np.testing.assert_allclose(found / largest, wanted / largest, rtol=0, atol=1e-5, err_msg=method)


if __name__ == "__main__":
    found = {network: maps(network) for network in NETWORKS}
    named = {f"{network}, {method}": each for network in NETWORKS for method, each in found[network].items()}
    np.savez_compressed(STORED, **named)
