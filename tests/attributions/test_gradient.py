"""Saliency, gradient times input, DeconvNet and guided backpropagation against slow oracles and by hand."""

from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops

from tests import native
from tests.precision import precision
from vis import models
from vis.attributions import (
    LRP,
    Attribution,
    DeconvNet,
    GradientExplainer,
    GradientInput,
    GuidedBackprop,
    Saliency,
)
from vis.errors import GradientError, InputError, ModifierError

# Where zeros are right, a warning about them is beside the point.
pytestmark = pytest.mark.filterwarnings("ignore::vis.errors.EmptyMapWarning")


SHAPES: dict[str, tuple[tuple[int, ...], Any]] = {
    "features": ((5,), None),
    "sequence": ((7, 3), layers.Conv1D),
    "image": ((5, 4, 3), layers.Conv2D),
    "volume": ((4, 3, 5, 2), layers.Conv3D),
    "eleven channels": ((5, 4, 11), layers.Conv2D),
}


def random(*shape: int, seed: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


def smooth(shape: tuple[int, ...], convolution: Any, dtype: str = "float64") -> keras.Model:
    """A network without corners, in double precision."""
    keras.utils.set_random_seed(5)
    entry = x = keras.Input(shape, dtype=dtype)
    if convolution:
        x = layers.Flatten(dtype=dtype)(convolution(3, 2, activation="tanh", dtype=dtype)(x))
    x = layers.Dense(6, "tanh", dtype=dtype)(x)
    return keras.Model(entry, layers.Dense(4, dtype=dtype)(x))


def differences(model: keras.Model, x: np.ndarray, index: int, step: float = 1e-5) -> np.ndarray:
    """The gradient of one output at one sample: every value moved up and down, one after the other."""
    moved = np.stack([x] * (2 * x.size))
    for number, at in enumerate(np.ndindex(*x.shape)):
        moved[2 * number][at] += step
        moved[2 * number + 1][at] -= step
    scores = np.asarray(model(moved))[:, index].reshape(*x.shape, 2)
    return (scores[..., 0] - scores[..., 1]) / (2 * step)


@pytest.mark.in_64_bits
@pytest.mark.parametrize(("shape", "convolution"), SHAPES.values(), ids=SHAPES.keys())
def test_saliency_and_gradient_input_agree_with_differences(shape: tuple[int, ...], convolution: Any) -> None:
    model = smooth(shape, convolution)
    x, labels = random(2, *shape), [3, 1]
    # Keras computes a part of it in 32 bits on some backends.
    step, rtol, atol = (1e-5, 1e-4, 1e-6) if precision(model, x) < 1e-10 else (1e-2, 1e-2, 1e-3)
    gradient = np.stack([differences(model, *pair, step) for pair in zip(x, labels, strict=True)])
    assert np.abs(gradient).max() > 1e-2
    image = len(shape) > 2
    near = {"rtol": rtol, "atol": atol}
    largest = np.abs(gradient).max(axis=-1, keepdims=True) if image else np.abs(gradient)
    times = (x * gradient).mean(axis=-1, keepdims=True) if image else x * gradient
    found = Saliency(model).explain(x, labels)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, largest, **near)
    np.testing.assert_allclose(GradientInput(model).explain(x, labels), times, **near)
    np.testing.assert_allclose(Saliency(model, grad_modifier=None, reducer=None)(x, labels), gradient, **near)
    np.testing.assert_allclose(GradientInput(model, reducer=None)(x, labels), x * gradient, **near)


def two_layers(dtype: str = "float32") -> tuple[keras.Model, list[np.ndarray]]:
    weights = [random(6, 9, seed=1), random(9, seed=2), random(9, 3, seed=3), random(3, seed=4)]
    model = keras.Sequential(
        [layers.Input((6,)), layers.Dense(9, "relu", name="hidden"), layers.Dense(3, name="end")]
    )
    model.set_weights(weights)
    return model, weights


def backward(weights: list[np.ndarray], x: np.ndarray, index: int, rule: str) -> np.ndarray:
    """The backward pass of the two layers, a unit at a time."""
    first, bias, second, _ = weights
    gradient = np.zeros(6)
    for unit in range(9):
        before = sum(x[i] * first[i, unit] for i in range(6)) + bias[unit]
        incoming = second[unit, index]
        open_ = {
            "true": before > 0,
            "guided": before > 0 and incoming > 0,
            "rectified": incoming > 0,
        }[rule]
        for i in range(6):
            gradient[i] += first[i, unit] * incoming * open_
    return gradient


@pytest.mark.parametrize(
    ("explainer", "rule"), [(GradientExplainer, "true"), (GuidedBackprop, "guided"), (DeconvNet, "rectified")]
)
def test_a_hand_written_backward_pass(explainer: Any, rule: str) -> None:
    model, weights = two_layers()
    x, labels = random(5, 6).astype(np.float32), [0, 1, 2, 0, 1]
    expected = [backward(weights, *pair, rule) for pair in zip(x, labels, strict=True)]
    np.testing.assert_allclose(explainer(model).explain(x, labels), expected, rtol=1e-4, atol=1e-5)
    if rule != "true":
        true = [backward(weights, *pair, "true") for pair in zip(x, labels, strict=True)]
        assert np.abs(np.subtract(expected, true)).max() > 0.1


@pytest.mark.parametrize(("explainer", "rule"), [(GuidedBackprop, "guided"), (DeconvNet, "rectified")])
def test_a_deep_convolutional_network_written_out(explainer: Any, rule: str) -> None:
    keras.utils.set_random_seed(2)
    kinds = [layers.Conv2D(4, 3, activation="relu"), layers.Conv2D(5, 2, activation="relu")]
    model = keras.Sequential([layers.Input((7, 6, 2)), *kinds, layers.Flatten(), layers.Dense(3)])
    x = random(3, 7, 6, 2).astype(np.float32)
    expected = []
    for sample, label in zip(x, [2, 0, 1], strict=True):

        def score(y: Any, label: int = label) -> Any:
            for layer in kinds:
                y = native.RELUS[rule](ops.conv(y, layer.kernel) + layer.bias)
            return model.layers[-1](ops.reshape(y, (1, -1)))[0, label]

        expected.append(native.gradient(score, sample[None])[0])
    found = explainer(model, reducer=None).explain(x, [2, 0, 1])
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)
    mean = explainer(model).explain(x, [2, 0, 1])
    np.testing.assert_allclose(mean, np.mean(expected, axis=-1, keepdims=True), rtol=1e-3, atol=1e-6)
    plain = GradientExplainer(model, reducer=None).explain(x, [2, 0, 1])
    assert np.abs(found - plain).max() > 0.01


KNOWN = keras.Sequential([layers.Input((2,)), layers.Dense(2, "relu"), layers.Dense(1)])
KNOWN.set_weights([np.array([[-1, 1], [-1, 1]]), np.zeros(2), np.array([[-1], [1]]), np.zeros(1)])


@pytest.mark.parametrize(
    ("x", "true", "guided", "rectified"),
    [([1, 0], [1, 1], [1, 1], [1, 1]), ([-1, 0], [1, 1], [0, 0], [1, 1])],
)
def test_known_values(x: list[int], true: list[int], guided: list[int], rectified: list[int]) -> None:
    assert GradientExplainer(KNOWN).explain([x], 0).tolist() == [true]
    assert GuidedBackprop(KNOWN).explain([x], 0).tolist() == [guided]
    assert DeconvNet(KNOWN).explain([x], 0).tolist() == [rectified]
    assert GradientInput(KNOWN).explain([x], 0).tolist() == [[a * b for a, b in zip(x, true, strict=True)]]


def test_minus_relu_squared_by_hand() -> None:
    entry = keras.Input((4,))
    model = keras.Model(
        entry, -keras.ops.sum(keras.ops.square(keras.ops.relu(entry)), axis=-1, keepdims=True)
    )
    x = np.array([[5.0, 0, -5, 10]])
    assert Saliency(model, grad_modifier=None)(x, 0).tolist() == [[-10, 0, 0, -20]]
    assert Saliency(model)(x, 0).tolist() == [[10, 0, 0, 20]]
    assert GradientInput(model)(x, 0).tolist() == [[-50, 0, 0, -200]]
    assert GuidedBackprop(model)(x, 0).tolist() == [[0, 0, 0, 0]]


@pytest.mark.parametrize("modifier", [None, "absolute", "negate", "relu", "invert", "small_values"])
def test_a_grad_modifier_acts_on_each_sample(modifier: Any) -> None:
    model, _ = two_layers()
    x = random(4, 6).astype(np.float32)
    plain = GradientExplainer(model).explain(x, 1)
    by_hand = {
        None: lambda g: g,
        "absolute": np.abs,
        "negate": lambda g: -g,
        "relu": lambda g: np.maximum(g, 0),
    }
    found = Saliency(model, grad_modifier=modifier).explain(x, 1)
    if modifier in by_hand:
        np.testing.assert_allclose(found, by_hand[modifier](plain), rtol=1e-6)
    alone = np.concatenate([Saliency(model, grad_modifier=modifier).explain(row[None], 1) for row in x])
    np.testing.assert_allclose(found, alone, rtol=1e-5, atol=1e-6 * np.abs(alone).max())


def test_a_grad_modifier_of_ones_own_sees_one_sample() -> None:
    model, _ = two_layers()
    seen = []

    def share(gradient: np.ndarray) -> np.ndarray:
        seen.append(gradient.shape)
        return gradient / np.abs(gradient).sum()

    found = Saliency(model, grad_modifier=share).explain(random(3, 6), 0)
    assert (6,) in seen and (3, 6) not in seen
    np.testing.assert_allclose(np.abs(found).sum(axis=1), 1, rtol=1e-5)


@pytest.mark.parametrize(
    ("reducer", "function"), [("max", np.max), ("mean", np.mean), ("min", np.min), ("sum", np.sum)]
)
def test_reducers(reducer: str, function: Any) -> None:
    model = smooth((5, 4, 3), layers.Conv2D, "float32")
    x = random(2, 5, 4, 3)
    raw = GradientInput(model, reducer=None).explain(x, 2)
    assert raw.shape == (2, 5, 4, 3)
    found = GradientInput(model, reducer=reducer).explain(x, 2)
    np.testing.assert_allclose(found, function(raw, axis=-1, keepdims=True), rtol=1e-5, atol=1e-7)
    # The magnitude comes before the reducer.
    found = Saliency(model, reducer=reducer).explain(x, 2)
    plain = np.abs(GradientExplainer(model, reducer=None).explain(x, 2))
    np.testing.assert_allclose(found, function(plain, axis=-1, keepdims=True), rtol=1e-5, atol=1e-7)


def test_the_defaults_of_the_reducers() -> None:
    model = smooth((5, 4, 3), layers.Conv2D, "float32")
    x = random(2, 5, 4, 3)
    assert np.array_equal(Saliency(model)(x, 0), Saliency(model, reducer="max")(x, 0))
    assert np.array_equal(GradientInput(model)(x, 0), GradientInput(model, reducer="mean")(x, 0))


def test_channels_first_are_reduced_on_their_axis() -> None:
    model = keras.Sequential(
        [
            layers.Input((2, 4, 6)),
            layers.AveragePooling2D(2, data_format="channels_first"),
            layers.Flatten(),
            layers.Dense(2),
        ]
    )
    x = random(3, 2, 4, 6)
    raw = GradientExplainer(model, reducer=None).explain(x, 0)
    found = Saliency(model).explain(x, 0)
    assert found.shape == (3, 1, 4, 6)
    np.testing.assert_allclose(found, np.abs(raw).max(axis=1, keepdims=True))


def test_a_backprop_modifier_and_a_modified_model_are_the_same() -> None:
    model, _ = two_layers()
    x = random(4, 6)
    expected = GuidedBackprop(model).explain(x, 0)
    assert np.abs(expected - GradientExplainer(model).explain(x, 0)).max() > 0.1
    found = Saliency(model, backprop_modifier="guided", grad_modifier=None).explain(x, 0)
    np.testing.assert_array_equal(found, expected)
    from vis.backprop_modifiers import guided

    np.testing.assert_array_equal(GradientExplainer(guided(model)).explain(x, 0), expected)
    # The explainer's own modifier comes before that of the model.
    rectified = DeconvNet(model).explain(x, 0)
    np.testing.assert_array_equal(DeconvNet(guided(model)).explain(x, 0), rectified)
    assert np.abs(rectified - expected).max() > 0.1


def test_logits_without_their_softmax() -> None:
    model, weights = two_layers()
    soft = keras.Sequential([layers.Input((6,)), layers.Dense(9, "relu"), layers.Dense(3, "softmax")])
    soft.set_weights(weights)
    x = random(4, 6)
    found = Saliency(models.linear_outputs(soft)).explain(x, 2)
    np.testing.assert_allclose(found, Saliency(model).explain(x, 2), rtol=1e-6)


def test_an_explainer_of_ones_own() -> None:
    class Squared(GradientExplainer):
        def made_of(self, gradients: Any, arrays: Any) -> Any:
            return [gradient**2 for gradient in gradients]

    model, _ = two_layers()
    x = random(4, 6)
    plain = GradientExplainer(model).explain(x, 0)
    np.testing.assert_allclose(Squared(model).explain(x, 0), plain**2, rtol=1e-6)
    assert isinstance(Squared(model).attribute([x.astype(np.float32)], np.eye(3)[[0] * 4]), Attribution)


def test_wrong_calls() -> None:
    model, _ = two_layers()
    with pytest.raises(ModifierError, match=r"Did you mean 'absolute'"):
        Saliency(model, grad_modifier="absolut")
    with pytest.raises(ModifierError, match=r"Did you mean 'guided'"):
        Saliency(model, backprop_modifier="guidd")
    with pytest.raises(ModifierError):
        GuidedBackprop(keras.Sequential([layers.Input((2,)), layers.Dense(1)])).explain(np.ones((1, 2)), 0)
    with pytest.raises(
        InputError, match=r"reducer must be one of max, mean, min, sum, or None\. Received: 'avg'"
    ):
        Saliency(model, reducer="avg")
    tokens = keras.Sequential([layers.Input((4,), dtype="int32"), layers.Embedding(5, 2), layers.Flatten()])
    with pytest.raises(InputError, match=r"no gradient with respect to an integer"):
        Saliency(tokens).explain([[1, 2, 3, 4]], 0)
    entry = keras.Input((3,))
    rounded = keras.Model(entry, keras.ops.cast(keras.ops.cast(entry, "int32"), "float32"))
    with pytest.raises(GradientError, match=r"No path leads"):
        Saliency(rounded).explain(np.ones((1, 3)), 0)


class ClassToken(keras.layers.Layer):
    """Puts a token before the others, as often as there are samples."""

    def build(self, shape: tuple[int | None, ...]) -> None:
        self.first = self.add_weight(shape=(1, 1, shape[2]), initializer="ones")

    def call(self, x: Any) -> Any:
        first = keras.ops.repeat(self.first, keras.ops.shape(x)[0], axis=0)
        return keras.ops.concatenate([first, x], axis=1)


def test_a_weight_that_is_repeated_for_each_sample() -> None:
    inputs = keras.Input((3, 2))
    model = keras.Model(inputs, keras.ops.sum(keras.ops.square(ClassToken()(inputs)), axis=(1, 2))[:, None])
    x = np.random.default_rng(0).normal(size=(4, 3, 2)).astype(np.float32)
    maps = Saliency(model, grad_modifier=None, reducer=None).explain(x, 0)
    np.testing.assert_allclose(maps, 2 * x, rtol=1e-5)
    assert LRP(model, "epsilon").explain(x, 0).shape == x.shape
