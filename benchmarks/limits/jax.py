"""A `jax.jit` of a `jax.grad` of fixed shape; the weights are constants of the compiled function.

XLA then turns the kernels of convolutions around once, when it compiles. Weights that are arguments, as one
has them while training goes on, are turned at each call.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import keras
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def gradient(network: keras.Model, shape: tuple[int, ...], index: int) -> Callable[[Array], Array]:
    """Return the gradient of the scores of one class by a batch of one shape."""
    forward = _pure(network)
    run = jax.jit(jax.grad(lambda x: forward(x)[:, index].sum()))
    return lambda x: np.asarray(run(x))


def variants(network: keras.Model, shape: tuple[int, ...], index: int) -> dict[str, Callable[[Array], Array]]:
    """Return the same gradient with the weights as arguments."""

    @jax.jit
    def run(x: Any, trainable: list[Any], others: list[Any]) -> Any:
        def score(x: Any) -> Any:
            return network.stateless_call(trainable, others, x, training=False)[0][:, index].sum()

        return jax.grad(score)(x)

    def call(x: Array) -> Array:
        weights = [[each.value for each in some] for some in _weights(network)]
        return np.asarray(run(x, *weights))

    return {"hand-written limit, weights as arguments": call}


def grad_cam(
    network: keras.Model, layer: str, shape: tuple[int, ...], index: int
) -> Callable[[Array], Array]:
    """Return the weighted sum of the feature maps of a convolution for a batch of one shape, not enlarged."""
    features = network.get_layer(layer).output
    before = _pure(keras.Model(network.inputs, features))
    after = _pure(keras.Model(features, network.outputs[0]))

    @jax.jit
    def run(x: Any) -> Any:
        found = before(x)
        gradients = jax.grad(lambda found: after(found)[:, index].sum())(found)
        weights = gradients.mean(axis=(1, 2), keepdims=True)
        return jax.nn.relu(jnp.sum(weights * found, axis=-1))

    return lambda x: np.asarray(run(x))


def forward(network: keras.Model, shape: tuple[int, ...]) -> Callable[[Array], Array]:
    """Return the outputs for a batch of one shape."""
    run = jax.jit(_pure(network))
    return lambda x: np.asarray(run(x))


def _pure(network: keras.Model) -> Callable[[Any], Any]:
    """Return a network as a function with the weights that it has now."""
    trainable, others = ([each.value for each in some] for some in _weights(network))
    return lambda x: network.stateless_call(trainable, others, x, training=False)[0]


def _weights(network: keras.Model) -> tuple[list[Any], list[Any]]:
    return network.trainable_variables, network.non_trainable_variables


def device() -> str:
    """Return the name of the device that the backend computes on."""
    return str(jax.devices()[0].device_kind)


def peak() -> int:
    """Return the most bytes of a GPU that were in use, 0 without one."""
    return (jax.devices()[0].memory_stats() or {}).get("peak_bytes_in_use", 0)
