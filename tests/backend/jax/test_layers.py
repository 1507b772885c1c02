"""What is written in JAX, or in Flax, as a layer of a Keras model."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest
from keras import layers

import vis
from vis.attributions import GuidedBackprop, IntegratedGradients, Saliency

RANDOM = np.random.default_rng(4)
FIRST, SHIFT = RANDOM.normal(size=(5, 7)).astype("float32"), RANDOM.normal(size=7).astype("float32")
LAST = RANDOM.normal(size=(7, 3)).astype("float32")
X = RANDOM.normal(size=(4, 5)).astype("float32")


def written_in_jax(params: Any, inputs: Any) -> Any:
    return jnp.maximum(inputs @ params["kernel"] + params["bias"], 0)


def with_a_derivative(params: Any, inputs: Any) -> Any:
    """The same by `jax.nn.relu`, which has a derivative of its own, inside a compiled function."""
    return jax.jit(lambda x: jax.nn.relu(x @ params["kernel"] + params["bias"]))(inputs)


def models(call: Any) -> tuple[keras.Model, keras.Model]:
    """A model with a layer in JAX, and the same in Keras."""
    layer = layers.JaxLayer(call, params={"kernel": FIRST, "bias": SHIFT})
    made = [layer, layers.Dense(7, "relu")]
    both = [keras.Sequential([layers.Input((5,)), first, layers.Dense(3, name="end")]) for first in made]
    both[1].layers[0].set_weights([FIRST, SHIFT])
    for model in both:
        model.layers[-1].set_weights([LAST, np.zeros(3, "float32")])
    return both[0], both[1]


@pytest.mark.parametrize("call", [written_in_jax, with_a_derivative])
@pytest.mark.parametrize("kind", [Saliency, GuidedBackprop, IntegratedGradients])
def test_a_layer_in_jax_is_explained_as_the_same_layer_in_keras(call: Any, kind: Any) -> None:
    own, wanted = models(call)
    np.testing.assert_allclose(kind(own)(X, 0), kind(wanted)(X, 0), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("call", [written_in_jax, with_a_derivative])
def test_guided_by_hand(call: Any) -> None:
    model, _ = models(call)
    before = X[0] @ FIRST + SHIFT
    incoming = LAST[:, 2]
    expected = (incoming * (before > 0) * (incoming > 0)) @ FIRST.T
    found = vis.visualize_saliency(
        model, -1, 2, X[0], backprop_modifier="guided", grad_modifier=None, normalize=None
    )
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_new_weights_of_a_layer_in_jax_are_seen() -> None:
    model, _ = models(written_in_jax)
    before = Saliency(model, grad_modifier=None)(X, 1)
    layer = model.layers[0]
    layer.set_weights([2 * weight for weight in layer.get_weights()])
    after = Saliency(model, grad_modifier=None)(X, 1)
    np.testing.assert_allclose(after, 2 * before, rtol=1e-5, atol=1e-6)
