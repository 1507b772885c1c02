"""What tests need, by means of TensorFlow."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import Any
from unittest import mock

import keras
import numpy as np
import tensorflow as tf

relu, softmax, matmul, compiled = tf.nn.relu, tf.nn.softmax, tf.matmul, tf.function
double = contextlib.nullcontext


def gradients(function: Callable[..., Any], arrays: Sequence[Any]) -> list[Any]:
    """Return the gradient of the sum of what a function returns by each of its tensors, as arrays."""
    tensors = [tf.convert_to_tensor(array) for array in arrays]
    with tf.GradientTape() as tape:
        tape.watch(tensors)
        total = tf.reduce_sum(function(*tensors))
    found = tape.gradient(total, tensors, unconnected_gradients=tf.UnconnectedGradients.ZERO)
    return [np.asarray(each) for each in found]


def by_variables(function: Callable[[], Any], variables: Sequence[Any]) -> list[Any]:
    """Return the gradient of the sum of what a function returns by Keras variables, as arrays."""
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(function())
    return [np.asarray(each) for each in tape.gradient(total, [each.value for each in variables])]


def pullback(function: Callable[[Any], Any], x: Any, incoming: Any) -> Any:
    """Return the derivative of a function at a tensor, times what comes in from above."""
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = function(x)
    return tape.gradient(y, x, incoming)


def with_gradient(forward: Callable[[Any], Any], backward: Callable[[Any, Any], Any]) -> Callable[[Any], Any]:
    """Return a function of a tensor whose gradient is `backward(x, incoming)`."""

    def call(x: Any) -> Any:
        y = forward(x)  # outside of what is given a gradient, which must not read variables

        @tf.custom_gradient
        def ruled(x: Any) -> Any:
            return tf.identity(y), lambda incoming: backward(x, incoming)

        return ruled(x)

    return call


def observe(function: Callable[[Any], Any], x: Any) -> Any:
    """Return a tensor, and call a function with its values whenever it is computed."""
    tf.py_function(lambda x: function(x.numpy()), [x], [])
    return x


def hidden_relu(x: Any) -> Any:
    """Return the positive part, computed in a loop."""
    return tf.while_loop(lambda i, y: i < 1, lambda i, y: (i + 1, tf.nn.relu(y)), [0, x])[1]


def traced(function: Callable[[Any], Any]) -> None:
    """Call a function with a tensor, rows of three, as the framework traces it."""
    tf.function(function, autograph=False).get_concrete_function(tf.TensorSpec((None, 3), tf.float32))


def dataset(parts: Any, batch_size: int | None = None) -> Any:
    """Return a data set of arrays or a tuple of them, in batches if a size is given."""
    rows = tf.data.Dataset.from_tensor_slices(parts)
    return rows if batch_size is None else rows.batch(batch_size)


def draw() -> float:
    """Return a random number by the framework, seeded by `keras.utils.set_random_seed`."""
    return float(tf.random.uniform(()))


def seed(number: int) -> None:
    """Seed Python, NumPy and Keras.

    TensorFlow's own seed is left alone, as setting it drops all that it has compiled: a test that draws by
    TensorFlow itself sets it.
    """
    with mock.patch("tensorflow.random.set_seed"):
        keras.utils.set_random_seed(number)


def forget() -> None:
    """Do nothing: what TensorFlow compiles goes with the functions."""
