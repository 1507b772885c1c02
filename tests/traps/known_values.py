"""Networks whose maps can be worked out by hand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import layers, ops


@dataclass(frozen=True)
class Known:
    """A network with its input and its gradients, worked out by hand."""

    name: str
    build: Callable[[], Any]
    x: Sequence[float]
    vanilla: Sequence[float]
    guided: Sequence[float]
    rectified: Sequence[float]


def two_layers() -> keras.Model:
    """Return a network of two units; the rows of a kernel are its inputs."""
    first, second = layers.Dense(2, "relu", use_bias=False), layers.Dense(1, use_bias=False)
    model = keras.Sequential([keras.Input((2,)), first, second])
    model.set_weights([np.float32([[-1, 1], [-1, 1]]), np.float32([[-1], [1]])])
    return model


def squares(sign: float) -> Callable[[], keras.Model]:
    """Return what builds the sum of the squares of the positive parts, times a number."""

    def build() -> keras.Model:
        entry = keras.Input((4,))
        return keras.Model(entry, sign * ops.sum(ops.square(layers.ReLU()(entry)), axis=-1, keepdims=True))

    return build


def of_three_inputs() -> keras.Model:
    """Return 5 a + b^2 + sin c."""
    entry = keras.Input((3,))
    a, b, c = entry[:, :1], entry[:, 1:2], entry[:, 2:]
    return keras.Model(entry, 5.0 * a + ops.square(b) + ops.sin(c))


FIVES = (5, 0, -5, 10)
SMALL = "W1 = [[-1, 1], [-1, 1]], ReLU, w2 = [-1, 1]"
KNOWN = [
    Known(SMALL, two_layers, (1, 0), (1, 1), (1, 1), (1, 1)),
    Known(SMALL, two_layers, (-1, 0), (1, 1), (0, 0), (1, 1)),
    Known("-relu(x)^2", squares(-1.0), FIVES, (-10, 0, 0, -20), (0, 0, 0, 0), (0, 0, 0, 0)),
    Known("relu(x)^2", squares(1.0), FIVES, (10, 0, 0, 20), (10, 0, 0, 20), (10, 0, 0, 20)),
]
# From (.5, 1, 1) to (1, 2, 3): 5 (1 - .5), 2^2 - 1^2, sin 3 - sin 1.
INTEGRATED = ("5 a + b^2 + sin c", (0.5, 1, 1), (1, 2, 3), (2.5, 3.0, np.sin(3) - np.sin(1)))
