"""Models and inputs that measures are tried on."""

from __future__ import annotations

import functools
from typing import Any

import keras
import numpy as np
from keras import layers

IMAGES = np.random.default_rng(0).random((4, 6, 7, 3), np.float32)
LABELS = np.array([0, 2, 1, 2])


def linear(weights: Any) -> keras.Model:
    """Two outputs: the weighted sum of the features, and minus that."""
    model = keras.Sequential([layers.Input((len(weights),)), layers.Dense(2, use_bias=False)])
    model.set_weights([np.stack([weights, -np.asarray(weights)], axis=1)])
    return model


@functools.cache
def convolutional(end: str | None = "softmax") -> keras.Model:
    """Three classes of images."""
    keras.utils.set_random_seed(1)
    return keras.Sequential(
        [
            layers.Input((6, 7, 3)),
            layers.Conv2D(4, 3, activation="relu", bias_initializer="ones"),
            layers.Flatten(),
            layers.Dense(3, activation=end, name="end"),
        ]
    )
