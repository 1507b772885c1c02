"""The composites for transformers, against each rule of the paper applied in NumPy, and with masks."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops

from vis.attributions import LRP

TOKENS, FEATURES = 4, 3


class Attending(layers.Layer):
    """Attention among the tokens, with what is added to the scores."""

    def __init__(self, mask: Any) -> None:
        super().__init__()
        self.mask = np.asarray(mask, "float32")

    def call(self, x: Any) -> Any:
        scores = ops.einsum("btc,bsc->bts", x, x)
        return ops.einsum("bts,bsc->btc", ops.softmax(scores + ops.convert_to_tensor(self.mask)), x)


def encoder(mask: Any) -> keras.Model:
    """A layer normalization with a shift, attention and a dense layer, all with weights of some size."""
    inputs = keras.Input((TOKENS, FEATURES))
    x = layers.LayerNormalization(epsilon=1e-2)(inputs)
    x = layers.Add()([inputs, Attending(mask)(x)])
    model = keras.Model(inputs, layers.Dense(2)(layers.Flatten()(x)))
    random = np.random.default_rng(0)
    for weight in model.weights:
        weight.assign(random.uniform(0.5, 1.5, weight.shape))
    return model


def shared(x: np.ndarray, kernel: np.ndarray, output: np.ndarray, relevance: np.ndarray) -> np.ndarray:
    """Return the relevance of `x`, shared by its contributions to `x @ kernel`, a part of the output."""
    return x * ((relevance / output) @ kernel.T)


def in_numpy(model: keras.Model, x: np.ndarray, mask: np.ndarray, of_softmax: bool) -> np.ndarray:
    """Return the relevance of one sample's tokens, each rule with an epsilon of zero.

    Achtibat et al. 2024: equation 8 for linear maps, propositions 3.1 for a softmax, 3.3 for products, and
    3.4 for normalizations.
    """
    gamma, beta, kernel, bias = (np.asarray(each, np.float64) for each in model.get_weights())
    centred = x - x.mean(-1, keepdims=True)
    scaled = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-2) * gamma
    tokens = scaled + beta
    scores = tokens @ tokens.T + mask
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    weights /= weights.sum(-1, keepdims=True)
    mixed = weights @ tokens
    summed = x + mixed
    output = summed.ravel() @ kernel + bias
    relevance = np.array([output[0], 0])

    relevance = shared(summed.ravel(), kernel, output, relevance).reshape(x.shape)
    direct, relevance = relevance * x / summed, relevance * mixed / summed
    share = 0.5 if of_softmax else 1
    of_tokens = share * tokens * (weights.T @ (relevance / mixed))
    if of_softmax:
        of_weights = share * weights * ((relevance / mixed) @ tokens.T)
        # The mask takes its share of the scores; what it hides has a weight of zero, and so no relevance.
        slopes = of_weights - weights * of_weights.sum(-1, keepdims=True)
        products = tokens @ tokens.T
        ratio = share * np.where(weights > 0, products * slopes, 0) / products
        of_tokens += tokens * (ratio @ tokens) + tokens * (ratio.T @ tokens)
    normalized = of_tokens * scaled / tokens
    mean = np.eye(FEATURES) - 1 / FEATURES
    return direct + shared(x, mean, centred, normalized)


MASKS = {
    "none": np.zeros((TOKENS, TOKENS)),
    "minus infinity": np.where(np.tril(np.ones((TOKENS, TOKENS))), 0, -np.inf),
    "a large number": np.where(np.tril(np.ones((TOKENS, TOKENS))), 0, -1e9),
}


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("composite", ["attn_lrp", "cp_lrp"])
def test_transformers_by_the_rules_of_the_paper(composite: str, mask: str) -> None:
    model = encoder(MASKS[mask])
    x = np.random.default_rng(2).normal(size=(2, TOKENS, FEATURES)).astype("float32")

    found = LRP(model, composite, reducer=None).explain(x, 0)

    expected = np.array([in_numpy(model, each, MASKS[mask], composite == "attn_lrp") for each in x])
    np.testing.assert_allclose(found, expected, atol=1e-3 * np.abs(expected).max())
    taken = LRP(model, composite).conservation(x, [0, 0]).taken()
    assert np.isfinite(list(taken.values())).all()


def test_the_shift_of_a_normalization_takes_its_share_by_hand() -> None:
    # (1, 3) is normalized to (-1, 1) and shifted to (1, 3), which have the relevance (1, 3). The shifts of 2
    # take theirs of it, so (-1, 1) is left for the normalized numbers z = (-1, 1), and for 1 and 3
    # x_i sum_j (1[i = j] - 1/2) R_j / z_j = x_i (1 - 1/2 - 1/2) = 0: a shift of both changes nothing.
    inputs = keras.Input((2,))
    layer = layers.LayerNormalization(epsilon=0)
    model = keras.Model(inputs, ops.sum(layer(inputs), axis=-1, keepdims=True))
    layer.set_weights([np.ones(2), np.full(2, 2.0)])

    found = LRP(model, "attn_lrp", reducer=None).explain(np.array([[1, 3]], "float32"), 0)

    np.testing.assert_allclose(found, [[0, 0]], atol=1e-4)
