"""Scores and their gradients against the framework, sample by sample, and what they share and keep."""

import functools
import gc
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops

import vis.engine.traces
from tests import native
from tests.asking import score as score_of
from vis import backprop_modifiers, metrics, visualize_cam, visualize_saliency
from vis.attributions import GradCAM, IntegratedGradients, Occlusion, Saliency, SmoothGrad, operators
from vis.engine import single_output
from vis.errors import GradientError, LayerError


def random(*shape: int, seed: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


X, WEIGHTS = random(5, 4), random(5, 3, seed=4)
SUM = operators.get(None)


def build() -> keras.Model:
    keras.utils.set_random_seed(5)
    return keras.Sequential(
        [layers.Input((4,)), layers.Dense(6, "relu", name="hidden"), layers.Dense(3, name="end")]
    )


@pytest.fixture(scope="module")
def model() -> keras.Model:
    return build()


def _above(end: Any, row: Any, hidden: Any) -> Any:
    return ops.sum(end(hidden)[0] * row)


def one_by_one(model: Any, x: np.ndarray, weights: np.ndarray) -> tuple[list[float], list[Any], list[Any]]:
    """The score, its gradient by the input, and that by the hidden layer, sample by sample."""
    scores, by_input, by_hidden = [], [], []
    hidden, end = model.layers
    for sample, row in zip(x, weights, strict=True):
        above = functools.partial(_above, end, ops.convert_to_tensor(row))
        middle = hidden(sample[None])
        scores.append(float(above(middle)))
        by_input.append(native.gradient(lambda x, above=above: above(hidden(x)), sample[None])[0])
        by_hidden.append(native.gradient(above, middle)[0])
    return scores, by_input, by_hidden


def traces_of(thing: Any) -> int:
    """The number of traces about an object; those of others may go at any time."""
    entries = list(vis.engine.traces._traces._entries.values())
    return sum(any(item() is thing for item in about) for _, about in entries)


def test_agrees_with_the_framework_sample_by_sample(model: keras.Model) -> None:
    score = score_of(model, SUM)
    scores, by_input, by_hidden = one_by_one(model, X, WEIGHTS)
    found = score.gradients([X], WEIGHTS)
    np.testing.assert_allclose(found.scores, scores, rtol=1e-5)
    np.testing.assert_allclose(found.gradients[0], by_input, rtol=1e-5, atol=1e-6)
    assert found.values == []
    np.testing.assert_allclose(score.values([X], WEIGHTS), scores, rtol=1e-5)
    np.testing.assert_allclose(score.outputs([X]), np.asarray(model(X)), rtol=1e-6)
    watched = score.gradients([X], WEIGHTS, model.layers[0])
    np.testing.assert_allclose(watched.gradients[0], by_hidden, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(watched.values[0], np.asarray(model.layers[0](X)), rtol=1e-6)
    np.testing.assert_allclose(watched.scores, scores, rtol=1e-5)


def test_by_hand() -> None:
    model = keras.Sequential([layers.Input((2,)), layers.Dense(2)])
    model.set_weights([np.array([[1.0, 2], [3, 4]]), np.array([10.0, 20])])
    score = score_of(model, SUM)
    x = np.array([[1, 1], [2, 0]], np.float32)
    assert score.outputs([x]).tolist() == [[14, 26], [12, 24]]
    weights = np.array([[1, 0], [-1, 2]], np.float32)
    assert score.values([x], weights).tolist() == [14, 36]
    assert score.gradients([x], weights).gradients[0].tolist() == [[1, 3], [3, 5]]


def test_a_layer_takes_the_place_of_the_output(model: keras.Model) -> None:
    hidden = model.layers[0]
    score = score_of(model, SUM, hidden)
    weights = random(5, 6, seed=7)
    outputs = np.asarray(hidden(X))
    np.testing.assert_allclose(score.outputs([X]), outputs, rtol=1e-6)
    np.testing.assert_allclose(
        score.values([X], weights), (outputs * weights).sum(axis=1), rtol=1e-4, atol=1e-5
    )
    expected = (weights * (outputs > 0)) @ np.asarray(hidden.kernel).T
    np.testing.assert_allclose(score.gradients([X], weights).gradients[0], expected, rtol=1e-4, atol=1e-5)


def test_a_modifier_changes_the_gradient_and_no_value(model: keras.Model) -> None:
    score = score_of(model, SUM)
    guided = score_of(model, SUM, None, backprop_modifiers.get("guided"))
    hidden, end = model.layers
    first, second = np.asarray(hidden.kernel), np.asarray(end.kernel)
    before, incoming = X @ first, WEIGHTS @ second.T
    found = guided.gradients([X], WEIGHTS)
    expected = (incoming * (before > 0) * (incoming > 0)) @ first.T
    np.testing.assert_allclose(found.gradients[0], expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(found.scores, score.values([X], WEIGHTS))
    np.testing.assert_array_equal(guided.values([X], WEIGHTS), score.values([X], WEIGHTS))
    np.testing.assert_array_equal(guided.outputs([X]), score.outputs([X]))
    # A modified model brings its own along.
    brought = score_of(backprop_modifiers.guided(model), SUM).gradients([X], WEIGHTS)
    np.testing.assert_array_equal(brought.gradients[0], found.gradients[0])


def test_an_input_that_the_score_does_not_depend_on_has_no_gradient() -> None:
    a, b = keras.Input((4,)), keras.Input((2,))
    model = keras.Model([a, b], [layers.Dense(3, name="end")(a), layers.Dense(1)(b)])
    score = score_of(model, SUM, model.get_layer("end"))
    found = score.gradients([X, random(5, 2)], WEIGHTS)
    assert found.gradients[1] is None
    expected = WEIGHTS @ np.asarray(model.get_layer("end").kernel).T
    np.testing.assert_allclose(found.gradients[0], expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("entry", ["float32", "float16"])
def test_small_gradients_in_float16_do_not_vanish(entry: str) -> None:
    model = keras.Sequential([layers.Input((2,), dtype=entry), layers.Dense(2, dtype="float16")])
    model.set_weights([np.full((2, 2), 2.0**-12, np.float16), np.zeros(2, np.float16)])

    def tiny(model: Any, inputs: Any, targets: Any) -> Any:
        return ops.sum(model(inputs), axis=-1) * 2.0**-14

    score = score_of(model, tiny)
    x = np.ones((3, 2), entry)
    found = score.gradients([x], np.ones((3, 2), np.float32)).gradients[0]
    np.testing.assert_allclose(np.asarray(found, np.float64), 2.0**-25, rtol=1e-3)


# ---- traces --------------------------------------------------------------------------------------------


def test_two_scores_that_ask_the_same_share_a_trace() -> None:
    model = build()
    score_of(model, SUM).gradients([X], WEIGHTS)
    assert traces_of(model) == 1
    for count in (1, 2, 5):
        score_of(model, SUM).gradients([X[:count]], WEIGHTS[:count] * 2)
    assert traces_of(model) == 1
    score_of(model, SUM).values([X], WEIGHTS)
    score_of(model, SUM).outputs([X])
    score_of(model, SUM, model.layers[0]).gradients([X], random(5, 6))
    score_of(model, SUM).gradients([X], WEIGHTS, model.layers[0])
    assert traces_of(model) == 5


def test_two_operators_are_not_confused(model: keras.Model) -> None:
    def scaled(factor: float) -> Any:
        return lambda model, inputs, targets: factor * SUM(model, inputs, targets)

    two, three = score_of(model, scaled(2)), score_of(model, scaled(3))
    for _ in range(2):
        np.testing.assert_allclose(two.values([X], WEIGHTS) * 3, three.values([X], WEIGHTS) * 2, rtol=1e-5)
        first, second = (s.gradients([X], WEIGHTS).gradients[0] for s in (two, three))
        np.testing.assert_allclose(first * 3, second * 2, rtol=1e-5, atol=1e-6)


def test_an_operator_that_is_gone_takes_its_traces_along() -> None:
    model = build()

    def own(model: Any, inputs: Any, targets: Any) -> Any:
        return ops.sum(model(inputs), axis=-1)

    score = score_of(model, own)
    score.gradients([X], WEIGHTS)
    assert traces_of(model) == traces_of(own) == 1
    del score, own
    gc.collect()
    assert traces_of(model) == 0


def test_a_method_as_an_operator(model: keras.Model) -> None:
    """A bound method is a new object each time it is read; its score still holds."""

    class Asked:
        factor = 2.0

        def score(self, model: Any, inputs: Any, targets: Any) -> Any:
            return self.factor * ops.sum(model(inputs) * targets, axis=-1)

    score = score_of(model, operators.get(Asked().score))
    gc.collect()
    plain = score_of(model, SUM).gradients([X], WEIGHTS).gradients[0]
    for _ in range(2):
        np.testing.assert_allclose(
            score.gradients([X], WEIGHTS).gradients[0], 2 * plain, rtol=1e-5, atol=1e-6
        )


# ---- wrong ones ----------------------------------------------------------------------------------------


def test_single_output() -> None:
    assert single_output([3]) == 3 and single_output({"a": 4}) == 4
    with pytest.raises(LayerError, match=r"The model has 2 outputs; one is explained at a time"):
        single_output([1, 2])


def test_wrong_scores(model: keras.Model) -> None:
    for wrong in (lambda m, x, y: m(x), lambda m, x, y: ops.mean(m(x)), lambda m, x, y: None):
        with pytest.raises(
            GradientError, match=r"An operator must return the score of each sample, \(batch,\)"
        ):
            score_of(model, wrong).values([X], WEIGHTS)
    with pytest.raises(GradientError, match=r"No path leads from the loss weighted_sum to 'end'"):
        score_of(model, SUM, model.layers[0]).gradients([X], random(5, 6), model.layers[1])
    with pytest.raises(GradientError, match=r"NaN or infinite"):
        score_of(model, SUM).gradients([X], np.full((5, 3), np.nan, np.float32))


@pytest.mark.usefixtures("as_users_have_it")
def test_an_operator_in_another_library_names_the_line(model: keras.Model) -> None:
    def squares(m: Any, x: Any, y: Any) -> Any:
        return np.sum(np.square(m(x)), axis=-1)

    line = squares.__code__.co_firstlineno + 1
    with pytest.raises(
        GradientError, match=rf"line {line}: .*Write keras\.ops\.square\(m\(x\)\)\."
    ) as raised:
        score_of(model, squares).values([X], WEIGHTS)
    assert "The operator 'squares'" in str(raised.value)


# ---- finite or loud ------------------------------------------------------------------------------------

PICTURES = random(2, 6, 6, 1)


class Log(layers.Layer):
    def call(self, x: Any) -> Any:
        return ops.log(ops.stop_gradient(0 * x[:, :1])) + x


def spoiled(how: str) -> keras.Model:
    """A network whose outputs are not finite, though the gradient of its input is, where that can be."""
    keras.utils.set_random_seed(3)
    x = keras.Input((6, 6, 1))
    y = layers.Conv2D(2, 3, activation="relu", name="conv")(x)
    end = layers.Dense(3, name="end")
    y = end(layers.Flatten()(y))
    if how == "a logarithm of zero":
        y = Log()(y)
    if how == "an overflow in half precision":
        y = layers.Activation("linear", dtype="float16")(1e6 + y)
    model = keras.Model(x, y)
    if how == "a NaN bias":
        end.bias.assign([0.0, np.nan, 0.0])
    if how == "NaN weights":
        end.kernel.assign(np.full(end.kernel.shape, np.nan))
    return model


WAYS = ["a NaN bias", "NaN weights", "a logarithm of zero", "an overflow in half precision"]
MAPS = np.ones((2, 6, 6, 1))
CALLS: dict[str, Any] = {
    **{
        f"{kind.__name__}{'' if target is None else ' of a class'}": lambda m, k=kind, t=target: k(m)(
            PICTURES, t
        )
        for kind in (Saliency, GradCAM, IntegratedGradients, Occlusion, SmoothGrad)
        for target in (None, 1)
    },
    "residuals": lambda m: IntegratedGradients(m).residuals(PICTURES, 1),
    "deletion": lambda m: metrics.deletion(m, PICTURES, MAPS, 1),
    "insertion": lambda m: metrics.insertion(m, PICTURES, MAPS),
    "mu_fidelity": lambda m: metrics.mu_fidelity(m, PICTURES, MAPS, 1, nb_samples=4),
    "sensitivity_max": lambda m: metrics.sensitivity_max(Saliency(m), PICTURES, 1, nb_samples=2),
    "sanity_check": lambda m: metrics.sanity_check(Saliency, m, PICTURES),
    "visualize_saliency": lambda m: visualize_saliency(m, -1, 1, PICTURES[0]),
    "visualize_cam": lambda m: visualize_cam(m, -1, 1, PICTURES[0]),
}


@pytest.mark.parametrize("how", WAYS)
@pytest.mark.parametrize("name", CALLS)
def test_what_is_not_finite_raises(name: str, how: str) -> None:
    with pytest.raises(GradientError, match="NaN or infinite"):
        CALLS[name](spoiled(how))
