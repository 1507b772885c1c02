"""The slow reader of models itself: values worked out by hand, and Keras's own forward pass."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops

from tests.precision import precision
from tests.reliability.interpreter import forward, gradient, run

pytestmark = pytest.mark.in_64_bits

RULES = [None, "guided", "rectified"]
D = "float64"


def two_layers() -> keras.Model:
    model = keras.Sequential(
        [
            keras.Input((2,), dtype=D),
            layers.Dense(2, activation="relu", use_bias=False, dtype=D),
            layers.Dense(1, use_bias=False, dtype=D),
        ]
    )
    model.set_weights([np.array([[-1, 1], [-1, 1]]), np.array([[-1], [1]])])
    return model


def square_of_relu(sign: int) -> keras.Model:
    entry = keras.Input((1,), dtype=D)
    y = ops.square(ops.relu(entry))
    return keras.Model(entry, ops.negative(y) if sign < 0 else y)


@pytest.mark.parametrize(
    ("x", "wanted"),
    [([1, 0], [[1, 1], [1, 1], [1, 1]]), ([-1, 0], [[1, 1], [0, 0], [1, 1]])],
)
def test_two_layers(x: list[int], wanted: list[list[int]]) -> None:
    for rule, expected in zip(RULES, wanted, strict=True):
        assert gradient(two_layers(), [[x]], 0, 0, rule)[0].tolist() == [expected]


@pytest.mark.parametrize(
    ("sign", "wanted"),
    [
        (-1, [[-10, 0, 0, -20], [0] * 4, [0] * 4]),
        (1, [[10, 0, 0, 20], [10, 0, 0, 20], [10, 0, 0, 20]]),
    ],
)
def test_square_of_relu(sign: int, wanted: list[list[int]]) -> None:
    x = [[5], [0], [-5], [10]]
    for rule, expected in zip(RULES, wanted, strict=True):
        assert gradient(square_of_relu(sign), [x], 0, 0, rule)[0].ravel().tolist() == expected


def image_model(*made: Any, shape: tuple[int, int, int] = (2, 3, 1)) -> keras.Model:
    return keras.Sequential([keras.Input(shape, dtype=D), *made])


IMAGE = np.array([[1.0, -2, 3], [4, 5, -6]]).reshape(1, 2, 3, 1)


def test_convolution_by_hand() -> None:
    """Two windows of 2 x 2; before the ReLU they give 1 - 4 + 12 + 20 - 30 = -1 and -2 + 6 + 15 - 24 - 30."""
    conv = layers.Conv2D(1, 2, activation="relu", dtype=D)
    model = image_model(conv)
    conv.set_weights([np.array([[1.0, 2], [3, 4]]).reshape(2, 2, 1, 1), np.array([-30.0])])
    assert forward(model, [IMAGE])[0].ravel().tolist() == [0, 0]
    conv.set_weights([np.array([[1.0, 2], [3, 4]]).reshape(2, 2, 1, 1), np.array([-28.0])])
    assert forward(model, [IMAGE])[0].ravel().tolist() == [1, 0]
    # The mean of two places: the open one passes half of its kernel on, rectified both do.
    assert gradient(model, [IMAGE], 0, 0, None)[0].ravel().tolist() == [0.5, 1, 0, 1.5, 2, 0]
    assert gradient(model, [IMAGE], 0, 0, "guided")[0].ravel().tolist() == [0.5, 1, 0, 1.5, 2, 0]
    assert gradient(model, [IMAGE], 0, 0, "rectified")[0].ravel().tolist() == [0.5, 1.5, 1, 1.5, 3.5, 2]


def test_convolution_with_padding_and_strides_by_hand() -> None:
    """`same` with steps of 2 on 2 x 3 pads one column on each side of the three, and no row."""
    conv = layers.Conv2D(1, (2, 3), strides=2, padding="same", use_bias=False, dtype=D)
    model = image_model(conv)
    conv.set_weights([np.array([[1.0, 2, 3], [4, 5, 6]]).reshape(2, 3, 1, 1)])
    # Columns 0, 1, 2 of the first window are (pad, 0, 1), of the second (1, 2, pad).
    assert forward(model, [IMAGE])[0].ravel().tolist() == [2 - 6 + 20 + 30, -2 + 6 + 20 - 30]
    assert gradient(model, [IMAGE], 0, 0, None)[0].ravel().tolist() == [1, 2, 1, 2.5, 5, 2.5]


def test_depthwise_convolution_by_hand() -> None:
    conv = layers.DepthwiseConv2D(1, depth_multiplier=2, use_bias=False, dtype=D)
    model = image_model(conv, layers.GlobalAveragePooling2D(dtype=D), shape=(1, 2, 2))
    conv.set_weights([np.array([[1.0, 2], [3, 4]]).reshape(1, 1, 2, 2)])
    x = np.array([[1.0, 10], [5, 20]]).reshape(1, 1, 2, 2)
    assert forward(model, [x])[0].tolist() == [[3, 6, 45, 60]]
    assert gradient(model, [x], 0, 3, None)[0].ravel().tolist() == [0, 2, 0, 2]


def test_pooling_by_hand() -> None:
    """`same` windows of 2 x 2 in steps of 2: the second has a column of padding, which does not count."""
    largest = image_model(layers.MaxPooling2D(2, padding="same", dtype=D))
    mean = image_model(layers.AveragePooling2D(2, padding="same", dtype=D))
    assert forward(largest, [IMAGE])[0].ravel().tolist() == [5, 3]
    assert gradient(largest, [IMAGE], 0, 0, None)[0].ravel().tolist() == [0, 0, 0.5, 0, 0.5, 0]
    assert forward(mean, [IMAGE])[0].ravel().tolist() == [2, -1.5]
    assert gradient(mean, [IMAGE], 0, 0, None)[0].ravel().tolist() == [
        1 / 8,
        1 / 8,
        1 / 4,
        1 / 8,
        1 / 8,
        1 / 4,
    ]


def test_of_two_largest_the_first_gets_the_gradient() -> None:
    model = image_model(layers.MaxPooling2D((2, 3), dtype=D))
    assert gradient(model, [IMAGE * 0], 0, 0, None)[0].ravel().tolist() == [1, 0, 0, 0, 0, 0]


def test_what_two_layers_take_gets_the_sum_before_the_rule() -> None:
    """One ReLU feeds 3 and -2: together 1 comes in, which is positive; -3 and 2 are not."""
    for kernels, rectified in (((3, -2), 1), ((-3, 2), 0)):
        entry = keras.Input((1,), dtype=D)
        between = layers.ReLU(dtype=D)(entry)
        ends = [layers.Dense(1, use_bias=False, dtype=D) for _ in kernels]
        model = keras.Model(entry, layers.Add(dtype=D)([end(between) for end in ends]))
        for end, kernel in zip(ends, kernels, strict=True):
            end.set_weights([np.array([[kernel]])])
        assert gradient(model, [[[2.0]]], 0, 0, None)[0].tolist() == [[sum(kernels)]]
        assert gradient(model, [[[2.0]]], 0, 0, "guided")[0].tolist() == [[rectified]]
        assert gradient(model, [[[-2.0]]], 0, 0, "rectified")[0].tolist() == [[rectified]]


def test_a_shared_layer_is_as_many_activations_as_calls() -> None:
    shared, hidden = layers.ReLU(dtype=D), layers.Dense(2, "relu", dtype=D)
    entry = keras.Input((2,), dtype=D)
    inner = keras.Sequential(
        [keras.Input((2,), dtype=D), hidden, shared, layers.Dense(2, "softplus", dtype=D)]
    )
    model = keras.Model(entry, [inner(inner(entry)), shared(entry)])
    made = run(model, [np.ones((1, 2))])
    assert made.coverage(made.outputs[:1]) == 6
    assert made.coverage(made.outputs[1:]) == 1
    assert made.coverage(made.outputs) == 7


def test_an_input_that_plays_no_part_has_the_gradient_zero() -> None:
    entries = [keras.Input((2,), dtype=D), keras.Input((3,), dtype=D)]
    model = keras.Model(entries, [layers.Dense(1, dtype=D)(entry) for entry in entries])
    found = gradient(model, [np.ones((1, 2)), np.ones((1, 3))], 1, 0, None)
    assert found[0].tolist() == [[0, 0]] and found[1].any()


ACTIVATIONS = {
    **{name: layers.Activation(name, dtype=D) for name in ("relu", "relu6", "leaky_relu", "elu", "linear")},
    **{name: layers.Activation(name, dtype=D) for name in ("tanh", "sigmoid", "softplus")},
    "maximum 6": layers.ReLU(max_value=6, dtype=D),
    "maximum 3": layers.ReLU(max_value=3, dtype=D),
    "slope": layers.ReLU(negative_slope=0.1, dtype=D),
    "maximum 6, slope": layers.ReLU(max_value=6, negative_slope=0.1, dtype=D),
    "maximum 3, slope": layers.ReLU(max_value=3, negative_slope=0.1, dtype=D),
    "LeakyReLU": layers.LeakyReLU(0.3, dtype=D),
    "ELU": layers.ELU(alpha=0.5, dtype=D),
    "PReLU": layers.PReLU(alpha_initializer=keras.initializers.Constant(0.25), dtype=D),
}


def near(model: Any, x: np.ndarray) -> dict[str, float]:
    """Return how near the outputs of a model are to those in 64 bits."""
    return {"rtol": 1e-12, "atol": 1e-14} if precision(model, x) < 1e-10 else {"rtol": 1e-5, "atol": 1e-6}


@pytest.mark.parametrize("layer", ACTIVATIONS.values(), ids=ACTIVATIONS.keys())
def test_activations_agree_with_keras_and_with_differences(layer: Any) -> None:
    entry = keras.Input((1,), dtype=D)
    model = keras.Model(entry, layer(entry))
    x, step = np.array([[-7.0], [-1], [-0.2], [0.3], [2], [4], [7]]), 1e-6
    np.testing.assert_allclose(forward(model, [x])[0], model(x), **near(model, x))
    up, down = (forward(model, [x + sign * step])[0] for sign in (1, -1))
    np.testing.assert_allclose(gradient(model, [x], 0, 0, None)[0], (up - down) / (2 * step), atol=1e-8)
    np.testing.assert_array_equal(forward(model, [[[0.0]]])[0], model(np.zeros((1, 1))))


def test_normalizations_agree_with_keras_and_with_differences() -> None:
    rng = np.random.default_rng(1)
    model = image_model(
        layers.BatchNormalization(dtype=D), layers.LayerNormalization(dtype=D), shape=(2, 3, 4)
    )
    model.set_weights([rng.uniform(0.5, 1.5, weight.shape) for weight in model.get_weights()])
    x, step = rng.normal(size=(1, 2, 3, 4)), 1e-6
    np.testing.assert_allclose(forward(model, [x])[0], model(x), **near(model, x))
    moves = step * np.eye(24).reshape(24, 2, 3, 4)
    up, down = (forward(model, [x + sign * moves])[0][..., 2].mean(axis=(1, 2)) for sign in (1, -1))
    np.testing.assert_allclose(
        gradient(model, [x], 0, 2, None)[0].ravel(), (up - down) / (2 * step), rtol=1e-7, atol=1e-9
    )
