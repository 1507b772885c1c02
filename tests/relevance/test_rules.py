"""Each rule against values computed by hand, and against a slow oracle for one affine layer."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers

from vis.attributions import LRP
from vis.errors import ModifierError
from vis.relevance import (
    AlphaBeta,
    Box,
    Epsilon,
    Flat,
    Gamma,
    WSquare,
    Zero,
    ZPlus,
    rules,
)

# Where zeros are right, a warning about them is beside the point.
pytestmark = pytest.mark.filterwarnings("ignore::vis.errors.EmptyMapWarning")


def dense(kernel: Any, bias: Any) -> keras.Model:
    kernel, bias = np.asarray(kernel, np.float32), np.asarray(bias, np.float32)
    inputs = keras.Input(kernel.shape[:1])
    layer = layers.Dense(kernel.shape[1])
    model = keras.Model(inputs, layer(inputs))
    layer.set_weights([kernel, bias])
    return model


def relevance(model: keras.Model, x: Any, composite: Any) -> np.ndarray:
    x = np.asarray(x, np.float32)[None]
    weights = np.ones((1, *model.output_shape[1:]))
    return LRP(model, composite, reducer=None).explain(x, weights)[0]


# x = (1, 2, -1), w = (2, -1, 3), b = 1, so the output is -2; it is shared among (2, -2, -3) and the bias.
BY_HAND = {
    "zero": (Zero(), (2, -2, -3)),
    "epsilon": (Epsilon(1), (4 / 3, -4 / 3, -2)),
    "z_plus": (ZPlus(0), (-4 / 3, 0, 0)),
    "alpha_beta": (AlphaBeta(2, 1, 0), (-8 / 3, 4 / 5, 6 / 5)),
    "alpha 1, beta 0": (AlphaBeta(1, 0, 0), (-4 / 3, 0, 0)),
    "flat": (Flat(0), (-2 / 3, -2 / 3, -2 / 3)),
    "box": (Box(-2, 3, 0), (-6 / 5, -1 / 5, -3 / 5)),
    "gamma": (Gamma(1, 0), (4 / 7, -8 / 7, -12 / 7)),
    "w_square": (WSquare(0), (-4 / 7, -1 / 7, -9 / 7)),
}


@pytest.mark.parametrize("name", BY_HAND)
def test_dense_layer_by_hand(name: str) -> None:
    rule, expected = BY_HAND[name]
    model = dense([[2], [-1], [3]], [1])

    found = relevance(model, (1, 2, -1), [("dense", rule)])

    np.testing.assert_allclose(found, expected, rtol=2e-6)


def oracle(name: str, x: np.ndarray, w: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the relevance of the inputs of a dense layer, one pair of input and output after the other."""
    y = x @ w + b
    found = np.zeros(len(x))
    for j in range(w.shape[1]):
        terms = x * w[:, j]
        up, down = np.maximum(terms, 0), np.minimum(terms, 0)
        if name == "zero":
            shares = terms / y[j]
        elif name == "z_plus":
            shares = up / (up.sum() + max(b[j], 0))
        elif name == "alpha_beta":
            shares = 2 * up / (up.sum() + max(b[j], 0)) - down / (down.sum() + min(b[j], 0))
        elif name == "gamma":
            # The terms of the output's sign count more.
            same = (lambda v: np.maximum(v, 0)) if y[j] > 0 else (lambda v: np.minimum(v, 0))
            more = terms + 0.25 * same(terms)
            shares = more / (more.sum() + b[j] + 0.25 * same(b[j]))
        elif name == "flat":
            shares = np.full(len(x), 1 / len(x))
        elif name == "w_square":
            shares = w[:, j] ** 2 / (w[:, j] ** 2).sum()
        elif name == "box":
            q = terms + 4 * np.maximum(w[:, j], 0) - 4 * np.minimum(w[:, j], 0)
            shares = q / q.sum()
        found += shares * y[j]
    return found


NUMBERS = st.floats(-3, 3).map(lambda v: round(v, 2)).filter(lambda v: abs(v) > 0.05)


@settings(max_examples=10)
@given(
    x=st.lists(NUMBERS, min_size=4, max_size=4), w=st.lists(NUMBERS, min_size=12, max_size=12), seed=NUMBERS
)
def test_dense_layers_agree_with_a_loop_over_pairs(x: list[float], w: list[float], seed: float) -> None:
    kernel, values = np.reshape(w, (4, 3)), np.array(x)
    bias = np.array([seed, -seed, 0.4])
    # Away from denominators of zero.
    terms = values[:, None] * kernel
    sums = [values @ kernel + bias, np.maximum(terms, 0).sum(0), np.minimum(terms, 0).sum(0)]
    if min(np.abs(each).min() for each in sums) < 0.2:
        return
    model = dense(kernel, bias)
    for name in ("zero", "z_plus", "alpha_beta", "gamma", "flat", "w_square", "box"):
        rule = Box(-4, 4) if name == "box" else rules.get(name)
        expected = oracle(name, values, kernel, bias)
        np.testing.assert_allclose(
            relevance(model, values, [("any", rule)]), expected, rtol=1e-3, atol=2e-4, err_msg=name
        )


def functional(shape: tuple[int, ...], build: Any) -> keras.Model:
    inputs = keras.Input(shape)
    return keras.Model(inputs, build(inputs))


def skip(h: Any) -> Any:
    h = layers.ReLU()(h)
    mixed = layers.Dense(
        2, use_bias=False, kernel_initializer=lambda shape, dtype: np.array([[1.0, 0], [2, 1]])
    )
    return layers.Dense(1, use_bias=False, kernel_initializer="ones")(layers.Add()([mixed(h), h]))


def convolution(x: Any) -> Any:
    kernel = np.reshape([1.0, 2, -1], (3, 1, 1))
    layer = layers.Conv1D(
        1, 3, padding="same", use_bias=False, kernel_initializer=lambda shape, dtype: kernel
    )
    return layers.GlobalAveragePooling1D()(layer(x))


def normalized(x: Any) -> Any:
    kernel = np.array([[1.0], [2]])
    layer = layers.Dense(1, use_bias=False, kernel_initializer=lambda shape, dtype: kernel)
    return layer(layers.LayerNormalization(epsilon=0)(x))


def shifted(x: Any) -> Any:
    # Normalized to (-1, 1) and shifted to (0, 3): relevance (0, 6) passes the shift.
    beta = layers.LayerNormalization(epsilon=0, beta_initializer=lambda shape, dtype: np.array([1.0, 2]))
    kernel = np.array([[1.0], [2]])
    return layers.Dense(1, use_bias=False, kernel_initializer=lambda shape, dtype: kernel)(beta(x))


def flat_pool(layer: Any) -> Any:
    return lambda x: layers.Flatten()(layer(x))


SITES: dict[str, tuple[Any, Any, Any, Any]] = {
    "skip": ((2,), skip, (1, 2), (2, 8)),
    "average": ((4, 1), flat_pool(layers.AveragePooling1D(4)), (1, 2, 3, -2), (1 / 4, 1 / 2, 3 / 4, -1 / 2)),
    "maximum": ((4, 1), flat_pool(layers.MaxPooling1D(4)), (1, 3, 3, 2), (0, 3, 0, 0)),
    "global maximum": ((4, 1), layers.GlobalMaxPooling1D(), (1, 3, 3, 2), (0, 1.5, 1.5, 0)),
    "x * x": ((1,), lambda x: x * x, (3,), (9,)),
    "x + x": ((1,), lambda x: x + x, (3,), (6,)),
    "a * b": ((2,), lambda x: x[:, :1] * x[:, 1:], (2, 5), (5, 5)),
    "convolution": ((4, 1), convolution, (1, 2, 0, 1), (1 / 4, 3 / 2, 0, 1 / 4)),
    "layer normalization": ((2,), normalized, (1, 3), (-1 / 2, 3 / 2)),
    "layer normalization with a shift": ((2,), shifted, (1, 3), (-3, 9)),
    "a gate": ((2,), lambda x: x[:, :1] * keras.ops.sigmoid(x[:, 1:]), (2, 0), (1, 0)),
    "one minus a gate": ((2,), lambda x: x[:, :1] * (1 - keras.ops.sigmoid(x[:, 1:])), (2, 0), (1, 0)),
    "SiLU": ((1,), lambda x: x * keras.ops.sigmoid(x), (2,), (2 / (1 + np.exp(-2)),)),
    "a quotient": ((2,), lambda x: x[:, :1] / x[:, 1:], (6, 2), (3, 0)),
    "attention": (
        (2, 1),
        lambda x: keras.ops.matmul(keras.ops.softmax(0 * keras.ops.transpose(x, (0, 2, 1)), -1), x)[:, :, 0],
        (1, 3),
        (0.5, 1.5),
    ),
}


@pytest.mark.parametrize("name", SITES)
def test_sites_by_hand(name: str) -> None:
    shape, build, x, expected = SITES[name]

    found = relevance(functional(shape, build), np.reshape(x, shape), "zero").ravel()

    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_flat_convolution_counts_the_inputs_that_are_there() -> None:
    found = relevance(functional((4, 1), convolution), np.reshape([1, 2, 0, 1], (4, 1)), "flat").ravel()

    np.testing.assert_allclose(found, (5 / 12, 1 / 2, 3 / 4, 1 / 3), rtol=1e-5)


def test_a_rule_of_the_user() -> None:
    def equal(site: Any, arrived: Any) -> list[Any]:
        total = keras.ops.sum(arrived, axis=-1, keepdims=True)
        return [keras.ops.broadcast_to(total / site.x.shape[-1], keras.ops.shape(site.x))]

    found = relevance(dense([[2], [-1], [3]], [1]), (1, 2, -1), [("dense", equal)])

    np.testing.assert_allclose(found, [-2 / 3] * 3, rtol=1e-6)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: AlphaBeta(2, 2), "alpha - beta must be 1"),
        (lambda: AlphaBeta(0, -1), "must not be negative"),
        (lambda: Box(1, 1), "low must be less than high"),
        (lambda: rules.get("epsilom"), "epsilon"),
        (lambda: rules.get(lambda site: site), "two arguments"),
        (lambda: relevance(dense([[1]], [0]), [1], [("dense", "pass")]), "cannot pass unchanged"),
        (lambda: relevance(dense([[1]], [0]), [1], [("dense", lambda site, r: r)]), "returns a list"),
    ],
)
def test_wrong_rules_say_what_is_wrong(make: Any, said: str) -> None:
    with pytest.raises(ModifierError, match=said):
        make()
