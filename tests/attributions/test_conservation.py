"""Relevance is conserved where a rule says so, and its balance closes where it is not."""

from __future__ import annotations

import warnings
from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st
from keras import layers

from tests import native
from tests.reliability.architectures import architectures
from tests.reliability.scale import NIGHTLY, compiled
from vis.attributions import LRP, Conservation
from vis.errors import InputError
from vis.relevance import Box, Epsilon, Flat, Gamma, WSquare, Zero

# What each rule conserves: everything, if nothing is added and no denominator is zero.
CONSERVING = {
    "zero": Zero(),
    "epsilon": Epsilon(0),
    "gamma": Gamma(0.25, 0),
    "flat": Flat(0),
    "w_square": WSquare(0),
    "box": Box(-9, 9, 0),
}


def without_biases(model: keras.Model) -> None:
    """Make all that a model adds zero."""
    for variable in model.variables:
        if variable.path.rsplit("/", 1)[-1] in ("bias", "beta", "moving_mean"):
            variable.assign(np.zeros(variable.shape))


def balance(model: keras.Model, x: Any, composite: Any) -> Conservation:
    output = keras.tree.flatten(model.outputs)[0]
    layer = None if len(model.outputs) == 1 else output
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return LRP(model, composite, layer).conservation(x, np.ones((1, *output.shape[1:])))


@pytest.mark.in_64_bits
@settings(
    max_examples=compiled(18, 200),
    deadline=None,
    derandomize=not NIGHTLY,
    database=None,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
)
@given(architectures(), st.sampled_from(sorted(CONSERVING)))
def test_relevance_is_conserved(architecture: Any, name: str) -> None:
    # Some return more than zero for zero: there is relevance where nothing is that could get it.
    assume(not any(name in repr(architecture) for name in ("sigmoid", "softplus", "LayerNorm")))
    model = architecture.build()
    x = architecture.inputs(1)
    inputs = x[0] if len(x) == 1 else x
    rule = CONSERVING[name]
    # The bounds of pixels are for the first layers.
    where = "first" if name == "box" else "affine"
    entries = [(where, rule), ("affine", Zero()), ("sum", Zero()), ("pooling", Zero())]
    exact = 1e-10 if native.NAME == "TensorFlow" else 1e-5
    for biases in (True, False):
        if not biases:
            without_biases(model)
        found = balance(model, inputs, entries)
        # Terms of both signs may be larger than their sum.
        flow = max([1e-3, *np.abs(found.scores), *(np.abs(site.arrived).max() for site in found.sites)])
        assert abs(found.taken()["operator"]).max() <= exact * flow
        for site in found.sites:
            if site.kind not in ("unknown", "softmax"):
                np.testing.assert_allclose(site.rest, 0, atol=1e2 * exact * flow, err_msg=repr(site))
        if not biases:
            assert not found.taken()["bias"].any()


def small() -> keras.Model:
    inputs = keras.Input((2,))
    layer = layers.Dense(1, name="last")
    model = keras.Model(inputs, layer(inputs))
    layer.set_weights([np.array([[1.0], [2.0]], np.float32), np.array([3.0], np.float32)])
    return model


def test_the_balance_of_one_layer_by_hand() -> None:
    # Of a score of 1 + 4 + 3 = 8 with epsilon 2, the inputs get 0.8 and 3.2, the bias 2.4, epsilon 1.6.
    found = LRP(small(), [("dense", Epsilon(2))]).conservation(np.array([[1.0, 2.0]]), np.ones((1, 1)))

    np.testing.assert_allclose([found.scores[0], found.sums[0]], [8, 4], rtol=1e-6)
    (site,) = [site for site in found.sites if site.kind == "dense"]
    numbers = [site.arrived[0], site.passed[0], site.bias[0], site.epsilon[0], site.rest[0]]
    np.testing.assert_allclose(numbers, [8, 4, 2.4, 1.6, 0], atol=1e-5)
    assert site.rule == "Epsilon(epsilon=2)"
    assert site.path.startswith("last:")
    taken = {name: float(values[0]) for name, values in found.taken().items()}
    assert taken == pytest.approx(
        {"bias": 2.4, "epsilon": 1.6, "rules": 0, "unknown": 0, "operator": 0}, abs=1e-5
    )


def test_alpha_beta_counts_both_of_its_biases() -> None:
    found = LRP(small(), [("dense", "alpha_beta")]).conservation(np.array([[1.0, -2.0]]), np.ones((1, 1)))

    # 1 - 4 + 3 = 0 leaves nothing to share; with x = (1, -1) the score is 2: 2 * 2 * 3/4 goes to the bias.
    np.testing.assert_allclose(found.scores, [0], atol=1e-6)
    found = LRP(small(), [("dense", "alpha_beta")]).conservation(np.array([[1.0, -1.0]]), np.ones((1, 1)))
    np.testing.assert_allclose(found.taken()["bias"], [3.0], rtol=1e-5)
    np.testing.assert_allclose(found.sums, [-1.0], rtol=1e-5)


def test_the_table_and_the_plot_show_what_was_taken() -> None:
    found = LRP(small(), [("dense", Epsilon(2))]).conservation(
        np.array([[1.0, 2.0], [2.0, 0.0]]), np.ones((2, 1))
    )

    table = str(found).splitlines()
    assert table[0].split() == ["site", "kind", "rule", "arrived", "bias", "epsilon", "rule", "took"]
    assert table[1].startswith("last:")
    assert table[-1].startswith("2 samples: score 13, relevance ")
    texts = [text.get_text() for text in found.plot(0).axes[0].texts]
    assert texts == ["8", "-2.4", "-1.6", "4"]
    with pytest.raises(InputError, match="sample must be from 0 to 1"):
        found.plot(2)


def test_operators_that_are_not_linear_take_their_part() -> None:
    def squared(model: Any, inputs: Any, targets: Any) -> Any:
        return keras.ops.sum(model(inputs) ** 2, axis=-1)

    found = LRP(small(), "zero", operator=squared).conservation(np.array([[1.0, 2.0]]), np.ones((1, 1)))

    # The score is y^2 = 64; relevance starts at y d(y^2)/dy = 128.
    np.testing.assert_allclose(found.taken()["operator"], [-64], rtol=1e-5)
