"""The small convolutional network of the demo and its shipped weights."""

from __future__ import annotations

from pathlib import Path

import keras

WEIGHTS = Path(__file__).with_name("digit_scenes.weights.h5")


def build_network() -> keras.Model:
    """Build the untrained network.

    Input: (N, 64, 64, 3) in [0, 1]; output: (N, 10) class probabilities.
    """
    layers = keras.layers
    inputs = keras.Input((64, 64, 3), name="scene")
    x = inputs
    for block, filters in enumerate((16, 32, 64, 96), start=1):
        x = layers.Conv2D(filters, 3, padding="same", use_bias=False, name=f"conv{block}")(x)
        # The default momentum of 0.99 is still far from the statistics after a short training.
        x = layers.BatchNormalization(momentum=0.9, name=f"norm{block}")(x)
        x = layers.ReLU(name=f"relu{block}")(x)
        # No pooling after block 2: one output then sees 26 pixels, the size of a digit, and the
        # gradient hardly leaves the digit.
        if block <= 2:
            x = layers.MaxPooling2D(2, name=f"pool{block}")(x)
    x = layers.Conv2D(48, 1, activation="relu", name="conv5")(x)
    # The maximum over the positions, unlike their mean, passes the gradient to few of them.
    x = layers.GlobalMaxPooling2D(name="maximum")(x)
    outputs = layers.Dense(10, activation="softmax", name="predictions")(x)
    return keras.Model(inputs, outputs, name="digit_scenes")


def load_network() -> keras.Model:
    """Build the network with the weights that ship with the package.

    Input: (N, 64, 64, 3) in [0, 1]; output: (N, 10) class probabilities.
    """
    if not WEIGHTS.is_file():
        raise FileNotFoundError(
            f"the demo's weights are missing, expected {WEIGHTS}: reinstall the package or run "
            f"python benchmarks/demo_network.py --output {WEIGHTS}"
        )
    model = build_network()
    model.load_weights(WEIGHTS)
    return model
