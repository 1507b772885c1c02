"""Sites on TensorFlow: by every route to a gradient, to the bit, in graphs of their own, and run eagerly."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, ops

from tests.backend.sites import (
    INCOMING,
    SITES,
    WIDTH,
    Site,
    Written,
    X,
    between,
    by_hand,
    by_library,
    derived,
    relu_slope,
    slope_of,
)
from tests.backend.test_sites import SEQUENCE, U, W, rnn_gradient, simple_rnn
from vis import backprop_modifiers
from vis.errors import ModifierError, PartialOverrideWarning

EACH_SITE = pytest.mark.parametrize("site", SITES, ids=[site.name for site in SITES])
EACH_MODIFIER = pytest.mark.parametrize("name", ["guided", "rectified"])


def looped(x: Any) -> Any:
    """Run a ReLU once in a loop."""
    return tf.while_loop(lambda i, y: i < 1, lambda i, y: (i + 1, tf.nn.relu(y)), [0, x])[1]


class DecoratedCall(layers.Layer):
    """A call that is a graph of its own, which no override reaches."""

    @tf.function
    def call(self, x: Any) -> Any:
        return tf.nn.relu(x)


def taped_persistently(model: Any, x: Any) -> Any:
    """Differentiate twice, the first time by other outputs."""
    x = tf.constant(x)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        y, score = model(x)
    tape.gradient(y, x)
    return tape.gradient(score, x).numpy()


def taped_for_each_output(model: Any, x: Any) -> Any:
    """Take the Jacobian, which TensorFlow vectorises over the outputs."""
    x = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(x)
        score = model(x)[-1]
    return tape.jacobian(score, x).numpy()[0, 0]


def taped_in_function(model: Any, x: Any) -> Any:
    @tf.function
    def outer(x: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(x)
            score = model(x)[-1]
        return tape.gradient(score, x)

    return outer(tf.constant(x)).numpy()


def graph_gradients(model: Any, x: Any) -> Any:
    @tf.function
    def outer(x: Any) -> Any:
        return tf.gradients(model(x)[-1], x)[0]

    return outer(tf.constant(x)).numpy()


ROUTES = [taped_persistently, taped_for_each_output, taped_in_function, graph_gradients]


def same(modified: Any, original: Any) -> None:
    for changed, wanted in zip(keras.tree.flatten(modified), keras.tree.flatten(original), strict=True):
        np.testing.assert_array_equal(changed, wanted)


@EACH_SITE
def test_forward_is_bit_identical(site: Site) -> None:
    model = between(site.build)
    guided, rectified = (backprop_modifiers.get(name)(model) for name in ("guided", "rectified"))

    @tf.function
    def together(x: Any) -> Any:
        return model(x), guided(x), rectified(x)

    # TensorFlow rounds some activations of several operations in another way in a graph.
    original = tf.function(lambda x: model(x))(X)
    np.testing.assert_allclose(original[0], site.forward(X), rtol=1e-5, atol=1e-6)
    same(guided(X), original)
    same(rectified(X), original)
    in_function, *others = together(tf.constant(X))
    for other in others:
        same(other, in_function)


def test_predict_is_bit_identical() -> None:
    """Many sites at once, as `predict` compiles each model anew."""
    # Some share operations, which TensorFlow then computes, and rounds, together or not.
    alone = ("SiLU", "Mish", "GELU", "hard", "soft", "log")
    sites = [site for site in SITES if not site.name.startswith(alone)]
    entry = keras.Input((WIDTH,))
    model = keras.Model(entry, [site.build(entry) for site in sites])
    batch = np.concatenate([X, X[:, ::-1], -X])
    predicted = model.predict(batch, verbose=0)
    for site, output in zip(sites, predicted, strict=True):
        np.testing.assert_allclose(output, site.forward(batch), rtol=1e-5, atol=1e-6, err_msg=site.name)
    for name in ("guided", "rectified"):
        same(backprop_modifiers.get(name)(model).predict(batch, verbose=0), predicted)


@pytest.mark.parametrize("kind", ["SiLU", "Mish", "GELU"])
def test_predict_of_a_composed_activation_is_bit_identical(kind: str) -> None:
    model = between(next(site for site in SITES if site.name == kind).build)
    same(backprop_modifiers.guided(model).predict(X, verbose=0), model.predict(X, verbose=0))


@EACH_SITE
@EACH_MODIFIER
def test_gradient_in_a_function(site: Site, name: str) -> None:
    model = between(site.build)
    found = taped_in_function(backprop_modifiers.get(name)(model), X)
    np.testing.assert_allclose(found, by_hand(name, slope_of(site), INCOMING), rtol=1e-5, atol=3e-6)
    np.testing.assert_allclose(taped_in_function(model, X), derived(model, X), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("kind", ["fused", "ReLU max_value=3 negative_slope=.1", "ELU alpha=.5"])
@EACH_MODIFIER
def test_gradient_by_every_route(route: Any, kind: str, name: str) -> None:
    site = next(site for site in SITES if site.name == kind)
    model = between(site.build)
    found = route(backprop_modifiers.get(name)(model), X)
    np.testing.assert_allclose(found, by_hand(name, slope_of(site), INCOMING), rtol=1e-5, atol=1e-6)
    true = by_hand(None, slope_of(site), INCOMING)
    np.testing.assert_allclose(route(model, X), true, rtol=1e-5, atol=1e-6)


def relu_and_itself_doubled(x: Any) -> Any:
    """A leaky ReLU one of whose parts is used elsewhere, too."""
    positive = ops.relu(x)
    leaky = positive - 0.1 * ops.relu(-x)
    return 0.5 * leaky + 0.5 * layers.Lambda(lambda pair: tf.concat(pair, 1)[:, :WIDTH])([positive, leaky])


MISSED = {
    "tf.function-decorated call": (lambda x: DecoratedCall()(x), relu_slope, "relu.* inside"),
    "loop": (lambda x: Written(looped)(x), relu_slope, "relu.* inside"),
    "parts used elsewhere": (
        relu_and_itself_doubled,
        lambda x: np.where(x > 0, 1.0, np.where(x < 0, 0.05, 0.0)),
        "intermediate values are used elsewhere",
    ),
}
EACH_MISSED = pytest.mark.parametrize(("build", "slope", "word"), MISSED.values(), ids=MISSED.keys())


@EACH_MISSED
@EACH_MODIFIER
def test_nothing_reached_raises_and_names_it(build: Any, slope: Any, word: str, name: str) -> None:
    model = between(build)
    modifier = backprop_modifiers.get(name)
    with pytest.raises(ModifierError, match=word):
        modifier(model)
    with pytest.raises(ModifierError, match=word):
        by_library(model, X, modifier)


@EACH_MISSED
@EACH_MODIFIER
def test_partly_reached_warns_and_names_it(build: Any, slope: Any, word: str, name: str) -> None:
    """A ReLU follows the rule; the activation beneath it keeps its true gradient."""
    model = between(lambda x: layers.ReLU(name="reached")(build(x)))
    modifier = backprop_modifiers.get(name)
    with pytest.warns(PartialOverrideWarning, match=word) as caught:
        modified = modifier(model)
    assert len(caught) == 1
    assert "reached" not in str(caught[0].message).split("keep their true gradient")[1]
    # The forward of the activation beneath is taken from the plain network, its slope is by hand.
    y = keras.Model(model.input, model.get_layer("reached").input)(X).numpy()
    expected = by_hand(name, relu_slope(y), INCOMING) * slope(X.astype(float))
    for route in (derived, taped_in_function):
        np.testing.assert_allclose(route(modified, X), expected, rtol=1e-4, atol=1e-6)
    with pytest.warns(PartialOverrideWarning, match=word):
        np.testing.assert_allclose(by_library(modified, X), expected, rtol=1e-4, atol=1e-6)


@EACH_MODIFIER
def test_simple_rnn_in_a_while_loop(name: str) -> None:
    """The body of a while loop is a graph of its own: named, and its gradient stays the true one."""
    incoming = np.array([1.0, -2.0])
    modifier = backprop_modifiers.get(name)
    alone = between(lambda x: simple_rnn(unroll=False)(x), SEQUENCE[None], incoming)
    with pytest.raises(ModifierError, match=r"relu.* inside"):
        modifier(alone)
    with pytest.raises(ModifierError, match=r"relu.* inside"):
        by_library(alone, SEQUENCE[None], modifier)

    model = between(lambda x: simple_rnn(unroll=False)(layers.ReLU()(x)), SEQUENCE[None], incoming)
    with pytest.warns(PartialOverrideWarning, match="reaches 1 activation.*relu.* inside"):
        modified = modifier(model)
    x = SEQUENCE.astype(float)
    upper = rnn_gradient("", np.maximum(x, 0), W, U, incoming)
    np.testing.assert_allclose(
        derived(modified, SEQUENCE[None])[0], by_hand(name, relu_slope(x), upper), rtol=1e-6
    )


@pytest.fixture
def functions_run_eagerly() -> Iterator[None]:
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


@pytest.mark.usefixtures("functions_run_eagerly")
@EACH_MODIFIER
def test_functions_run_eagerly(name: str) -> None:
    """A switch for debugging, under which there is no graph to mark: the rule holds all the same."""
    model = between(lambda x: layers.ReLU()(x))
    modifier = backprop_modifiers.get(name)
    expected = by_hand(name, relu_slope(X), INCOMING)
    np.testing.assert_allclose(by_library(model, X, modifier), expected)
    np.testing.assert_allclose(derived(modifier(model), X), expected)


@EACH_MODIFIER
def test_modified_before_functions_run_eagerly(name: str, request: pytest.FixtureRequest) -> None:
    modified = backprop_modifiers.get(name)(between(lambda x: layers.ReLU()(x)))
    request.getfixturevalue("functions_run_eagerly")
    np.testing.assert_allclose(derived(modified, X), by_hand(name, relu_slope(X), INCOMING))
