"""Affine sites: the kernel, the bias and the scale, whatever changes of shape lie between them."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from vis.attributions import LRP
from vis.relevance import Box, ZPlus

# Where zeros are right, a warning about them is beside the point.
pytestmark = pytest.mark.filterwarnings("ignore::vis.errors.EmptyMapWarning")

TOKENS, FEATURES = 5, 3
SHAPE = (2, TOKENS, FEATURES)


class Positions(layers.Layer):
    def build(self, shape: Any) -> None:
        self.positions = self.add_weight(shape=shape[1:], name="positions")

    def call(self, x: Any) -> Any:
        return x + self.positions


def wide(x: Any) -> Any:
    return layers.EinsumDense("abc,cde->abde", (TOKENS, 2, 4), bias_axes="de")(x)


def joined(x: Any) -> Any:
    x = layers.Reshape((TOKENS, FEATURES, 1))(x)
    return layers.EinsumDense("abde,dec->abc", (TOKENS, 6), bias_axes="c")(x)


# What computes one affine map of the tokens.
AFFINE = {
    "a dense layer and positions": lambda x: Positions()(layers.Dense(4)(x)),
    "a convolution, flattened, and positions": lambda x: Positions()(
        layers.Reshape((TOKENS, 4))(layers.Conv2D(4, 1)(layers.Reshape((TOKENS, 1, FEATURES))(x)))
    ),
    "a kernel with several axes": wide,
    "a kernel with several axes, scaled along one": lambda x: layers.BatchNormalization()(wide(x)),
    "a kernel over several axes": joined,
    "one output": lambda x: layers.EinsumDense("abc,cd->abd", (TOKENS, 1), bias_axes="d")(x),
    "a dense layer, its axes turned, and positions": lambda x: Positions()(
        layers.Permute((2, 1))(layers.Dense(4)(x))
    ),
}


def model_of(name: str) -> keras.Model:
    inputs = keras.Input(SHAPE[1:])
    model = keras.Model(inputs, layers.Flatten()(AFFINE[name](inputs)))
    random = np.random.default_rng(0)
    for weight in model.weights:
        low = 0.5 if "variance" in weight.name else -1.0
        weight.assign(random.uniform(low, 1.5, weight.shape))
    return model


def loop(model: keras.Model, x: np.ndarray, outputs: Any, is_positive: bool) -> np.ndarray:
    """Return the relevance of an affine model's inputs, from what the model computes of each alone."""
    found = np.zeros(x.shape)
    computed = model(np.zeros((1, *x.shape[1:]), "float32"))
    shift = np.asarray(keras.ops.convert_to_numpy(computed), np.float64)[0]
    for row, output in enumerate(outputs):
        terms = np.zeros(x.shape[1:])
        for place in np.ndindex(*x.shape[1:]):
            alone = np.zeros((1, *x.shape[1:]), "float32")
            alone[(0, *place)] = 1
            slope = keras.ops.convert_to_numpy(model(alone))[0, output] - shift[output]
            terms[place] = x[(row, *place)] * slope
        total = terms.sum() + shift[output]
        if is_positive:
            terms = np.maximum(terms, 0)
            found[row] = terms / (terms.sum() + max(shift[output], 0) or 1) * total
        else:
            found[row] = terms
    return found


@pytest.mark.parametrize("rule", ["zero", "z_plus"])
@pytest.mark.parametrize("name", AFFINE)
def test_the_bias_takes_its_share_and_the_scale_is_of_the_weights(name: str, rule: str) -> None:
    model = model_of(name)
    x = np.random.default_rng(1).normal(size=SHAPE).astype("float32")
    targets = [1, 3]

    found = LRP(model, [("affine", ZPlus(0) if rule == "z_plus" else rule)], reducer=None).explain(x, targets)

    expected = loop(model, x, targets, rule == "z_plus")
    np.testing.assert_allclose(found, expected, atol=2e-5 * np.abs(expected).max())


@pytest.mark.skipif(keras.backend.backend() == "jax", reason="JAX has doubles only by a flag")
def test_the_bounds_of_doubles_are_doubles() -> None:
    inputs = keras.Input((3,), dtype="float64")
    layer = layers.EinsumDense("ab,bc->ac", (1,), dtype="float64")
    model = keras.Model(inputs, layer(inputs))
    layer.set_weights([np.array([[2.0], [-1], [3]])])
    x = np.array([[1, 2, -1 / 3]])

    found = LRP(model, [("affine", Box(-2, 3, 0))], reducer=None).attribute([x], np.ones((1, 1))).maps[0]

    # x w - l w+ - h w-, over the sum of these, times the output of -1.
    terms = np.array([2 + 4, -2 + 3, -1 + 6])
    np.testing.assert_allclose(found, [terms / terms.sum() * -1], rtol=1e-14)
