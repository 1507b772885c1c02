"""Conductance, influence and the gradient of a value inside: against loops over the path, and by hand."""

import itertools
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from tests import native
from vis.attributions import IntegratedGradients, InternalInfluence, LayerConductance, NeuronGradient
from vis.attributions.integrated_gradients import nodes
from vis.errors import GradientError, InputError

pytestmark = pytest.mark.filterwarnings("ignore::vis.errors.EmptyMapWarning")
X = np.random.default_rng(0).normal(size=(3, 5, 4, 2)).astype(np.float32)
LABELS = [0, 2, 1]


@pytest.fixture(scope="module")
def network() -> keras.Model:
    keras.utils.set_random_seed(5)
    return keras.Sequential(
        [
            layers.Input((5, 4, 2)),
            layers.Conv2D(3, 2, activation="tanh", name="conv"),
            layers.Flatten(),
            layers.Dense(4, activation="tanh", name="hidden"),
            layers.Dense(3, name="end"),
        ]
    )


def parts(network: keras.Model, name: str) -> tuple[Any, Any]:
    """Return the model up to a layer, and from there."""
    layer = network.get_layer(name)
    start = keras.Input(layer.output.shape[1:])
    x = start
    for each in network.layers[network.layers.index(layer) + 1 :]:
        x = each(x)
    return keras.Model(network.inputs, layer.output), keras.Model(start, x)


def slow(network: keras.Model, name: str, x: Any, label: int, steps: int, method: str) -> tuple[Any, Any]:
    """Return the influence with some steps and the conductance with one more point, of one sample."""
    before, after = parts(network, name)
    influence: Any = 0

    def at(point: float) -> tuple[Any, Any]:
        value = np.asarray(before.predict(point * x[None], verbose=0))
        return value[0], native.gradient(lambda value: after(value)[0, label], value)[0]

    for point, weight in zip(*nodes(steps, method), strict=True):
        influence = influence + weight * at(point)[1]
    found = [at(point) for point in nodes(steps + 1, method)[0]]
    pairs = itertools.pairwise(found)
    return influence, sum(gradient * (next_value - value) for (value, gradient), (next_value, _) in pairs)


@pytest.mark.parametrize("name", ["conv", "hidden"])
@pytest.mark.parametrize("method", ["gauss-legendre", "trapezoid"])
def test_they_agree_with_the_oracle(network: keras.Model, name: str, method: Any) -> None:
    given: dict[str, Any] = {"steps": 4, "method": method}
    influence = InternalInfluence(network, name, **given)(X, LABELS)
    conductance = LayerConductance(network, name, batch_size=2, **given)(X, LABELS)
    assert influence.shape == conductance.shape == (3, *network.get_layer(name).output.shape[1:])
    assert influence.dtype == conductance.dtype == np.float32
    for i, label in enumerate(LABELS):
        expected = slow(network, name, X[i], label, 4, method)
        np.testing.assert_allclose(influence[i], expected[0], rtol=1e-3, atol=1e-5)
        np.testing.assert_allclose(conductance[i], expected[1], rtol=1e-3, atol=1e-5)


def test_conductance_adds_up(network: keras.Model) -> None:
    for name in ("conv", "hidden"):
        explainer = LayerConductance(network, name, steps=400, method="trapezoid", baseline=0.1)
        assert np.abs(explainer.residuals(X, LABELS)).max() < 1e-2
    # Of the input itself: integrated gradients.
    whole = IntegratedGradients(network, reducer=None, steps=100)(X, LABELS)
    entry = keras.Sequential([layers.Input((5, 4, 2)), layers.Activation("linear", name="same"), network])
    found = LayerConductance(entry, "same", steps=400, method="trapezoid")(X, LABELS)
    np.testing.assert_allclose(found, whole, atol=5e-3)


def test_the_gradient_of_a_value_inside(network: keras.Model) -> None:
    before, _ = parts(network, "conv")
    found = NeuronGradient(network, "conv", reducer=None)(X, np.array([[1, 2, 0], [0, 0, 2], [3, 1, 1]]))
    for i, (row, column, channel) in enumerate([(1, 2, 0), (0, 0, 2), (3, 1, 1)]):
        expected = native.gradient(lambda x: before(x)[0, row, column, channel], X[i : i + 1])[0]  # noqa: B023
        np.testing.assert_allclose(found[i], expected, rtol=1e-4, atol=1e-6)
    hidden = NeuronGradient(network, "hidden")(X, 2)
    assert hidden.shape == (3, 5, 4, 1)


def test_a_layer_that_the_score_does_not_depend_on(network: keras.Model) -> None:
    x = keras.Input((4,), name="x")
    model = keras.Model(x, [layers.Dense(2, name="one")(x), layers.Dense(2, name="other")(x)])
    with pytest.raises(GradientError):
        LayerConductance(model, "other", "one")(np.ones((1, 4)), 0)


def test_nothing_to_explain_and_what_is_written(network: keras.Model) -> None:
    explainer = LayerConductance(network, "conv", steps=2)
    assert explainer(X[:0], []).shape == (0, 4, 3, 3)
    assert explainer.settings()["layer"] == "conv"
    alone = np.concatenate([explainer(x[None], label) for x, label in zip(X, LABELS, strict=True)])
    np.testing.assert_allclose(explainer(X, LABELS), alone, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("kind", [LayerConductance, InternalInfluence])
def test_tokens_have_no_path(kind: Any) -> None:
    model = keras.Sequential(
        [layers.Input((4,), dtype="int32"), layers.Embedding(5, 3), layers.Flatten(), layers.Dense(2)]
    )
    with pytest.raises(InputError, match=r"nothing between tokens .* takes int32"):
        kind(model, 1)
    above = keras.Sequential([layers.Input((4, 3)), *model.layers[1:]])
    assert kind(above, 0, steps=3)(np.ones((2, 4, 3)), 0).any()


class ByHand(keras.Model):
    """A model that tells no shapes."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.end = layers.Conv1D(3, 2, name="inner"), layers.Dense(2)

    def call(self, x: Any) -> Any:
        return self.end(keras.ops.mean(self.inner(x), axis=1))


def test_nothing_to_explain_where_shapes_are_not_told() -> None:
    entry = keras.Input((None, 2))
    pooled = layers.GlobalAveragePooling1D()(layers.Conv1D(3, 2, name="inner")(entry))
    by_hand, x = ByHand(), np.ones((2, 5, 2), np.float32)
    by_hand(x)
    for model in (keras.Model(entry, layers.Dense(2)(pooled)), by_hand):
        explainer = LayerConductance(model, "inner", steps=2)
        assert explainer(x, 0).shape == (2, 4, 3)
        assert explainer(x[:0], 0).shape == (0, 4, 3)
