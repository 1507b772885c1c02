"""The multipliers of DeepLIFT by hand, against a slow oracle, and how they add up in generated networks."""

from __future__ import annotations

import warnings
from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from keras import layers, ops

from tests import native
from tests.reliability.architectures import Architecture, architectures
from tests.reliability.scale import count
from vis.attributions import DeepLift
from vis.backprop_modifiers import BackpropModifier
from vis.errors import ModifierError, PartialOverrideWarning
from vis.relevance.deep_lift import RESCALE, logarithmic_mean

# Where zeros are right, a warning about them is beside the point; a softmax is what some tests are about.
pytestmark = [
    pytest.mark.filterwarnings("ignore::vis.errors.EmptyMapWarning"),
    pytest.mark.filterwarnings("ignore::vis.errors.SoftmaxWarning"),
]


def random(*shape: int, seed: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


def functional(shape: tuple[int, ...], build: Any, dtype: str = "float32") -> keras.Model:
    entry = keras.Input(shape, dtype=dtype)
    return keras.Model(entry, build(entry))


LN_2, LN_3, LN_6 = np.log([2, 3, 6])
# Of two values a and b: the function, the input, the reference, and what a and b contribute.
BY_HAND: dict[str, tuple[Any, Any, Any, Any]] = {
    "a sum": (lambda a, b: 3 * a - b, (2, 5), (1, 1), (3, -4)),
    "ReLU": (lambda a, b: ops.relu(a + b - 1), (1, 1), (0, 0), (0.5, 0.5)),
    "saturation": (lambda a, b: 1 - ops.relu(1 - a - b), (1, 1), (0, 0), (0.5, 0.5)),
    "a minimum by ReLU": (lambda a, b: a - ops.relu(a - b), (3, 1), (0, 0), (0, 1)),
    "the other minimum": (lambda a, b: a - ops.relu(a - b), (1, 3), (0, 0), (1, 0)),
    "ReLU that does not change": (lambda a, b: ops.relu(a + b), (1, 2), (2, 1), (-1, 1)),
    "tanh": (lambda a, b: ops.tanh(a) + 0 * b, (1, 2), (0, 0), (np.tanh(1), 0)),
    "a square": (lambda a, b: a * a + ops.square(b), (3, 1), (1, -2), (8, -3)),
    "a product": (lambda a, b: a * b, (2, 5), (1, -1), (2, 9)),
    "a quotient": (lambda a, b: a / b, (6, 2), (2, 1), (3, -2)),
    "an inverse": (lambda a, b: 1 / a + 0 * b, (4, 0), (2, 0), (-0.25, 0)),
    "infinity on the way": (lambda a, b: ops.minimum(ops.rsqrt(a), 2) + 0 * b, (1, 0), (0, 0), (-1, 0)),
    "a stopped gradient": (lambda a, b: a * ops.stop_gradient(b), (2, 5), (1, -1), (2, 9)),
    "a rising maximum": (lambda a, b: ops.maximum(a, b), (1, 3), (2, 0), (0, 1)),
    "a falling maximum": (lambda a, b: ops.maximum(a, b), (1, 0), (2, 3), (0, -2)),
    "a rising minimum": (lambda a, b: ops.minimum(a, b), (2, 3), (4, 1), (0, 1)),
    "a falling minimum": (lambda a, b: ops.minimum(a, b), (0, 3), (4, 1), (-1, 0)),
    "a softmax": (
        lambda a, b: ops.softmax(ops.concatenate([a, b], -1), -1)[:, :1],
        (LN_6, LN_2),
        (0, 0),
        (LN_6 / (4 * LN_3), -LN_2 / (4 * LN_3)),
    ),
    "a log-softmax": (
        lambda a, b: ops.log_softmax(ops.concatenate([a, b], -1), -1)[:, :1],
        (LN_6, LN_2),
        (0, 0),
        # The weights are as the inverses of 4 ln 3/2 and 4 ln 2.
        (LN_6 * np.log(1.5) / LN_3, -LN_2 * np.log(1.5) / LN_3),
    ),
}


@pytest.mark.parametrize("name", BY_HAND)
def test_by_hand(name: str) -> None:
    function, x, x0, expected = BY_HAND[name]
    model = functional((2,), lambda entry: function(entry[:, :1], entry[:, 1:]))

    found = DeepLift(model, x0).explain([x], 0)

    np.testing.assert_allclose(found, [expected], rtol=1e-5, atol=1e-6)


@pytest.mark.in_64_bits
def test_logarithmic_mean() -> None:
    y, y0 = np.array([1.0, 2, 3, 3, 3, 1e-30, 0]), np.array([3.0, 2, 3.0001, 2.8, 1e-30, 1e-30, 0])
    with np.errstate(divide="ignore"):
        logs, logs0 = np.log(y), np.log(y0)
    found = ops.convert_to_numpy(logarithmic_mean(*map(ops.convert_to_tensor, (logs, logs0))))
    expected = [2 / LN_3, 2, 3.0000499999, 0.2 / np.log(3 / 2.8), 3 / np.log(3e30), 1e-30, 0]
    np.testing.assert_allclose(found, expected, rtol=1e-9)


def oracle(weights: list[np.ndarray], x: np.ndarray, x0: np.ndarray) -> np.ndarray:
    """Return what each pixel contributes to the sum of the outputs: convolution, ReLU, maxima, two dense."""
    kernel, shift, first, bias, last, _ = weights
    sizes = x.shape[0] - 1, x.shape[1] - 1, kernel.shape[-1]

    def convolved(image: np.ndarray) -> np.ndarray:
        made = np.zeros(sizes)
        for i, j, c in np.ndindex(*sizes):
            made[i, j, c] = (image[i : i + 2, j : j + 2] * kernel[..., c]).sum() + shift[c]
        return made

    def largest(h: np.ndarray, i: int, j: int, c: int) -> tuple[int, int, int]:
        window = h[2 * i : 2 * i + 2, 2 * j : 2 * j + 2, c]
        at = np.unravel_index(window.argmax(), window.shape)
        return 2 * i + int(at[0]), 2 * j + int(at[1]), c

    z, z0 = convolved(x), convolved(x0)
    h, h0 = np.maximum(z, 0), np.maximum(z0, 0)
    pooled = sizes[0] // 2, sizes[1] // 2, sizes[2]
    p, p0 = (np.array([a[largest(a, *at)] for at in np.ndindex(*pooled)]) for a in (h, h0))
    d, d0 = p @ first + bias, p0 @ first + bias
    rises = (np.maximum(d, 0) - np.maximum(d0, 0)) / (d - d0)
    by_pooled = (first * (last.sum(axis=1) * rises)).sum(axis=1) * (p - p0)
    by_hidden = np.zeros(sizes)
    for at, value, rise in zip(np.ndindex(*pooled), by_pooled, p - p0, strict=True):
        by_hidden[largest(h if rise > 0 else h0, *at)] += value
    found = np.zeros(x.shape)
    for i, j, c in np.ndindex(*sizes):
        share = by_hidden[i, j, c] / (z - z0)[i, j, c]
        found[i : i + 2, j : j + 2] += share * kernel[..., c] * (x - x0)[i : i + 2, j : j + 2]
    return found


def test_a_convolutional_network_agrees_with_the_oracle() -> None:
    keras.utils.set_random_seed(4)
    model = keras.Sequential(
        [
            layers.Input((7, 5, 2)),
            layers.Conv2D(3, 2),
            layers.ReLU(),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dense(4, activation="relu"),
            layers.Dense(2),
        ]
    )
    model.set_weights([0.5 * random(*weight.shape, seed=k) for k, weight in enumerate(model.weights)])
    x, x0 = random(3, 7, 5, 2), random(7, 5, 2, seed=8)

    found = DeepLift(model, x0, reducer=None).explain(x, np.ones((3, 2)))

    expected = [oracle(model.get_weights(), sample, x0) for sample in x]
    assert np.abs(expected).max() > 0.1
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def largest_residual(model: keras.Model, x: Any, x0: Any, output_layer: str | None = None) -> float:
    """Return how far the attributions are from adding up, relative to the scores."""
    explainer = DeepLift(model, x0, output_layer)
    end = model if output_layer is None else model.get_layer(output_layer)
    shape = (end.output if output_layer else model.outputs[0]).shape[1:]
    weights = np.linspace(1, 2, int(np.prod(shape))).reshape(1, *shape)
    first = x[0] if isinstance(x, list) else x
    weights = np.repeat(weights, len(first), axis=0)
    arrays = explainer.score.begin(x if isinstance(x, list) else [x])
    scores = explainer.score.values(arrays, weights.astype(np.float32))
    return float(np.abs(explainer.residuals(x, weights)).max() / max(1, np.abs(scores).max()))


@settings(
    max_examples=count(6, 150), deadline=None, suppress_health_check=list(HealthCheck), derandomize=True
)
@given(architectures())
@pytest.mark.in_64_bits
def test_attributions_of_generated_networks_add_up(architecture: Architecture) -> None:
    model, x = architecture.build(), architecture.inputs(3)
    rng = np.random.default_rng(architecture.seed + 2)
    x0 = [rng.normal(size=shape) for shape in architecture.shapes]
    with warnings.catch_warnings():
        warnings.simplefilter("error", PartialOverrideWarning)
        for number in range(len(architecture.heads)):
            single = len(x) == 1
            found = largest_residual(model, x[0] if single else x, x0[0] if single else x0, f"out{number}")
            # On JAX and PyTorch, Keras makes 32 bits of some operations.
            assert found < (1e-6 if native.NAME == "TensorFlow" else 1e-4)


def head(x: Any) -> Any:
    return layers.Dense(3)(layers.Flatten()(x))


def features(x: Any) -> Any:
    return layers.Conv2D(4, 3, activation="relu")(x)


def attention(x: Any) -> Any:
    x = layers.Reshape((12, 4))(features(x))
    return head(layers.Add()([x, layers.MultiHeadAttention(2, 3)(x, x)]))


def excitation(x: Any) -> Any:
    x = features(x)
    gate = layers.Dense(4, activation="sigmoid")(layers.GlobalAveragePooling2D(keepdims=True)(x))
    return head(x * gate)


NETWORKS: dict[str, Any] = {
    "attention": attention,
    "squeeze and excitation": excitation,
    "GELU": lambda x: head(layers.Conv2D(4, 3, activation="gelu")(x)),
    "layer normalization": lambda x: head(layers.LayerNormalization()(features(x))),
    "group normalization": lambda x: head(layers.GroupNormalization(2)(layers.Conv2D(4, 3)(x))),
    "unit normalization": lambda x: layers.UnitNormalization()(1 + head(features(x))),
    "maxima that overlap": lambda x: head(layers.MaxPooling2D(3, 1, padding="same")(features(x))),
    "the largest of all": lambda x: layers.Dense(3)(layers.GlobalMaxPooling2D()(features(x))),
    "maxout": lambda x: layers.Maximum()([head(x), head(x), head(x)]),
    "averages": lambda x: head(layers.AveragePooling2D(3, 2, padding="same")(features(x))),
    "an interpolation": lambda x: head(layers.UpSampling2D(2, interpolation="bilinear")(features(x))),
    "a power": lambda x: ops.power(ops.sigmoid(head(x)), ops.tanh(head(x))),
    "a softmax": lambda x: ops.softmax(head(features(x))),
    "a recurrent layer": lambda x: head(layers.LSTM(3, unroll=True)(layers.Reshape((3, 20))(x))),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_attributions_add_up(name: str) -> None:
    keras.utils.set_random_seed(2)
    model = functional((6, 5, 2), NETWORKS[name])
    # The values of the last sample are equal, so that many are the largest at once.
    x = np.concatenate([random(3, 6, 5, 2), np.ones((1, 6, 5, 2))])
    with warnings.catch_warnings():
        warnings.simplefilter("error", PartialOverrideWarning)
        for x0 in (0.0, random(6, 5, 2, seed=9), x[0] + 1e-4):
            assert largest_residual(model, x, x0) < 1e-4


def test_a_score_that_is_not_linear_in_the_output() -> None:
    model = functional((4,), lambda x: layers.Dense(3)(layers.Dense(5, "relu")(x)))

    def cubed(model: Any, inputs: Any, targets: Any) -> Any:
        return ops.sum(model(inputs), axis=-1) ** 3 + ops.max(inputs, axis=-1)

    x, x0 = random(3, 4), random(4, seed=5)
    explainer = DeepLift(model, x0, operator=cubed)
    rise = np.asarray(cubed(model, ops.convert_to_tensor(x, "float32"), None)) - np.asarray(
        cubed(model, ops.convert_to_tensor(x0[None], "float32"), None)
    )
    np.testing.assert_allclose(explainer.explain(x, 0).sum(axis=-1), rise, rtol=1e-4, atol=1e-5)


def test_half_precision_adds_up_to_its_rounding() -> None:
    keras.utils.set_random_seed(2)
    entry = keras.Input((6, 5, 2))
    options = {"dtype": "mixed_float16"}
    x = layers.LayerNormalization(**options)(layers.Conv2D(4, 3, activation="tanh", **options)(entry))
    model = keras.Model(entry, layers.Dense(3, dtype="float32")(layers.Flatten()(x)))
    assert largest_residual(model, random(3, 6, 5, 2), 0.1) < 2e-2


def test_a_condition_on_other_values_is_warned_of() -> None:
    model = functional((2,), lambda x: ops.where(x[:, :1] > 0, x[:, 1:], -x[:, 1:]))
    with pytest.warns(PartialOverrideWarning, match=r"need not add up.*\(select\)"):
        found = DeepLift(model).explain([[1, 2]], 0)
    np.testing.assert_allclose(found, [[0, 2]], rtol=1e-6)


def test_an_output_that_only_jumps() -> None:
    model = functional((2,), ops.round)
    with pytest.raises(ModifierError, match="No multiplier of DeepLIFT reaches the input"):
        DeepLift(model).explain([[1, 2]], 0)


def test_a_model_alone_has_no_reference() -> None:
    model = functional((2,), layers.Dense(1))
    with pytest.raises(ModifierError, match="a reference for each input"):
        BackpropModifier("deep_lift", RESCALE)(model)
