"""A `tf.function` of fixed shape: a forward pass, a tape, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy.typing as npt
import tensorflow as tf

Array = npt.NDArray[Any]


def gradient(network: keras.Model, shape: tuple[int, ...], index: int) -> Callable[[Array], Array]:
    """Return the gradient of the scores of one class by a batch of one shape."""

    @tf.function(input_signature=[tf.TensorSpec(shape, tf.float32)])
    def run(x: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(x)
            score = tf.reduce_sum(network(x, training=False)[:, index])
        return tape.gradient(score, x)

    return lambda x: run(tf.constant(x)).numpy()


def variants(network: keras.Model, shape: tuple[int, ...], index: int) -> dict[str, Callable[[Array], Array]]:
    """Return other ways to write the same: none is of interest here."""
    return {}


def grad_cam(
    network: keras.Model, layer: str, shape: tuple[int, ...], index: int
) -> Callable[[Array], Array]:
    """Return the weighted sum of the feature maps of a convolution for a batch of one shape, not enlarged."""
    both = keras.Model(network.inputs, [network.get_layer(layer).output, network.outputs[0]])

    @tf.function(input_signature=[tf.TensorSpec(shape, tf.float32)])
    def run(x: Any) -> Any:
        with tf.GradientTape() as tape:
            features, scores = both(x, training=False)
            score = tf.reduce_sum(scores[:, index])
        weights = tf.reduce_mean(tape.gradient(score, features), axis=(1, 2), keepdims=True)
        return tf.nn.relu(tf.reduce_sum(weights * features, axis=-1))

    return lambda x: run(tf.constant(x)).numpy()


def forward(network: keras.Model, shape: tuple[int, ...]) -> Callable[[Array], Array]:
    """Return the outputs for a batch of one shape."""

    @tf.function(input_signature=[tf.TensorSpec(shape, tf.float32)])
    def run(x: Any) -> Any:
        return network(x, training=False)

    return lambda x: run(tf.constant(x)).numpy()


def device() -> str:
    """Return the name of the device that the backend computes on."""
    found = tf.config.list_physical_devices("GPU")
    return tf.config.experimental.get_device_details(found[0])["device_name"] if found else "cpu"


def peak() -> int:
    """Return the most bytes of a GPU that were in use, 0 without one."""
    found = tf.config.list_physical_devices("GPU")
    return tf.config.experimental.get_memory_info("GPU:0")["peak"] if found else 0
