"""Saliency on the outputs that tools of this kind fail on.

The oracle writes the number that is explained out, and differentiates it by the framework or by hand.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops

from tests import native
from vis.errors import EmptyMapWarning, FilterError, SoftmaxWarning
from vis.models import linear_outputs
from vis.visualization import visualize_saliency

SHAPE = (5, 4, 3)
IMAGE = np.random.default_rng(2).normal(size=SHAPE).astype(np.float32)
VECTOR = np.random.default_rng(3).normal(size=6).astype(np.float32)


@pytest.fixture(autouse=True)
def seeded() -> None:
    keras.utils.set_random_seed(9)


def normalized(a: Any) -> Any:
    a = np.asarray(a, np.float64)
    return (a - a.min()) / (a.max() - a.min())


def derived(number: Callable[[Any], Any], x: Any) -> Any:
    """Return the gradient of a number that is computed from the input."""
    return native.gradient(number, x[None])[0]


def check(model: Any, layer: Any, filters: Any, x: Any, number: Callable[[Any], Any]) -> None:
    """Compare the map, and the gradient with its signs and channels, with the oracle's."""
    wanted = derived(number, x)
    found = visualize_saliency(model, layer, filters, x)
    reduced = abs(wanted) if wanted.ndim == 1 else abs(wanted).max(axis=-1)
    np.testing.assert_allclose(found, normalized(reduced), atol=2e-5)
    signed = visualize_saliency(model, layer, filters, x, grad_modifier=None, keepdims=True)
    np.testing.assert_allclose(signed, normalized(wanted), atol=2e-5)


def chain(shape: tuple[int, ...], *stack: Any) -> keras.Model:
    entry = x = keras.Input(shape)
    for layer in stack:
        x = layer(x)
    return keras.Model(entry, x)


def body() -> list[Any]:
    return [layers.Conv2D(4, 3, activation="tanh"), layers.Flatten(), layers.Dense(5, activation="tanh")]


def before(model: keras.Model, count: int) -> Callable[[Any], Any]:
    """Return the first layers of a model as a function."""

    def run(x: Any) -> Any:
        for layer in model.layers[1 : 1 + count]:
            x = layer(x)
        return x

    return run


SOFTMAXES = {
    "fused": lambda: [layers.Dense(3, activation="softmax")],
    "Softmax layer": lambda: [layers.Dense(3), layers.Softmax()],
    "Activation": lambda: [layers.Dense(3), layers.Activation("softmax")],
    "log_softmax": lambda: [layers.Dense(3, activation="log_softmax")],
    "nested": lambda: [chain((5,), layers.Dense(3), layers.Softmax())],
    "the framework's": lambda: [layers.Dense(3, activation=native.softmax)],
    "Lambda": lambda: [layers.Dense(3), layers.Lambda(lambda z: ops.softmax(z))],
    "by hand": lambda: [
        layers.Dense(3),
        layers.Lambda(lambda z: ops.exp(z) / ops.sum(ops.exp(z), axis=-1, keepdims=True)),
    ],
    "scaled and reshaped": lambda: [
        layers.Dense(3, activation="softmax"),
        layers.Rescaling(2.0),
        layers.Reshape((3,)),
    ],
}


@pytest.mark.parametrize("name", SOFTMAXES)
def test_softmax(name: str) -> None:
    """A warning names the layer and the way out; the map is that of the probability all the same."""
    model = chain(SHAPE, *body(), *SOFTMAXES[name]())
    with pytest.warns(SoftmaxWarning, match=rf"'{model.layers[-1].name}' ends in a softmax.*linear_outputs"):
        check(model, -1, 1, IMAGE, lambda x: model(x)[0, 1])


@pytest.mark.parametrize("name", SOFTMAXES)
def test_logits_of_a_softmax(name: str) -> None:
    """What the warning advises: the gradient of the logit, and no warning."""
    model = chain(SHAPE, *body(), *SOFTMAXES[name]())
    hidden = before(model, 3)
    dense = next(layer for layer in walk(model) if isinstance(layer, layers.Dense) and layer.units == 3)
    check(linear_outputs(model), -1, 1, IMAGE, lambda x: (hidden(x) @ dense.kernel + dense.bias)[0, 1])


def walk(model: Any) -> Any:
    for layer in model.layers:
        yield layer
        if isinstance(layer, keras.Model):
            yield from walk(layer)


def test_softmax_operation_at_the_end() -> None:
    """An operation of Keras is no layer, so the model itself is the target."""
    model = chain(SHAPE, *body(), layers.Dense(3), lambda x: ops.softmax(x))
    with pytest.warns(SoftmaxWarning):
        check(model, model, 1, IMAGE, lambda x: model(x)[0, 1])


def test_layer_below_the_softmax_is_no_softmax() -> None:
    """The logits of a separate softmax are a layer of their own."""
    model = chain(SHAPE, *body(), layers.Dense(3), layers.Softmax())
    hidden = before(model, 4)
    check(model, -2, 1, IMAGE, lambda x: hidden(x)[0, 1])


def test_logits() -> None:
    model = chain(SHAPE, *body(), layers.Dense(3))
    for index in range(3):
        check(model, -1, index, IMAGE, lambda x, index=index: model(x)[0, index])


@pytest.mark.parametrize("gap", [100.0, 1000.0])
def test_saturated_softmax(gap: float) -> None:
    """The probability is 1 to the last bit and its gradient is 0: said so, where the logits show all."""
    kernel = np.random.default_rng(0).normal(size=(6, 2)).astype(np.float32)
    end = layers.Dense(2, activation="softmax")
    model = chain((6,), end)
    end.set_weights([kernel, np.float32([gap, -gap])])
    assert model(VECTOR[None])[0, 0] == 1.0
    with pytest.warns(SoftmaxWarning), pytest.warns(EmptyMapWarning, match="saturated softmax"):
        found = visualize_saliency(model, -1, 0, VECTOR)
    np.testing.assert_array_equal(found, np.zeros(6))
    for index in range(2):
        found = visualize_saliency(linear_outputs(model), -1, index, VECTOR)
        np.testing.assert_allclose(found, normalized(abs(kernel[:, index])), atol=1e-6)


def test_gradient_of_1e_minus_30() -> None:
    """Nearly saturated: as good as a gradient around 1."""
    kernel = np.float32([[1e-30], [-3e-30], [2e-30], [0], [5e-30], [-4e-30]])
    end = layers.Dense(1, use_bias=False)
    model = chain((6,), end)
    end.set_weights([kernel])
    found = visualize_saliency(model, -1, 0, VECTOR)
    np.testing.assert_allclose(found, [0.2, 0.6, 0.4, 0, 1, 0.8], rtol=1e-5, atol=1e-6)


def test_sigmoid_of_one_unit() -> None:
    """Binary: one filter; its sigmoid scales the gradient of the logit and leaves its map."""
    model = chain(SHAPE, *body(), layers.Dense(1, activation="sigmoid"))
    check(model, -1, 0, IMAGE, lambda x: model(x)[0, 0])
    logit = visualize_saliency(linear_outputs(model), -1, 0, IMAGE)
    np.testing.assert_allclose(visualize_saliency(model, -1, 0, IMAGE), logit, atol=1e-5)
    with pytest.raises(FilterError, match="has 1 filters"):
        visualize_saliency(model, -1, 1, IMAGE)


def test_saturated_sigmoid() -> None:
    end = layers.Dense(1, activation="sigmoid", bias_initializer=keras.initializers.Constant(200.0))
    model = chain((6,), end)
    with pytest.warns(EmptyMapWarning):
        np.testing.assert_array_equal(visualize_saliency(model, -1, 0, VECTOR), np.zeros(6))
    kernel = np.abs(end.get_weights()[0][:, 0])
    found = visualize_saliency(linear_outputs(model), -1, 0, VECTOR)
    np.testing.assert_allclose(found, normalized(kernel), atol=1e-6)


def test_multi_label() -> None:
    """Several filters add up, and one named twice counts twice."""
    model = chain(SHAPE, *body(), layers.Dense(4, activation="sigmoid"))
    check(model, -1, [0, 3], IMAGE, lambda x: model(x)[0, 0] + model(x)[0, 3])
    check(model, -1, (2, 2, -1), IMAGE, lambda x: 2 * model(x)[0, 2] + model(x)[0, 3])
    check(model, -1, None, IMAGE, lambda x: ops.sum(model(x)[0]))


def test_saturated_steering() -> None:
    """A regression that ends in tanh: the logits that the warning advises are another model, and show all."""
    end = layers.Dense(1, activation="tanh", bias_initializer=keras.initializers.Constant(200.0))
    model = chain((6,), end, layers.Rescaling(25.0))
    with pytest.warns(EmptyMapWarning, match="linear_outputs"):
        np.testing.assert_array_equal(visualize_saliency(model, -1, 0, VECTOR), np.zeros(6))
    kernel = np.abs(end.get_weights()[0][:, 0])
    found = visualize_saliency(linear_outputs(model), -1, 0, VECTOR)
    np.testing.assert_allclose(found, normalized(kernel), atol=1e-6)


class Own(keras.Model):
    def __init__(self) -> None:
        super().__init__(name="own")
        self.end = layers.Dense(3, name="end")

    def call(self, x: Any) -> Any:
        e = ops.exp(self.end(x))
        return e / ops.sum(e, axis=-1, keepdims=True)


def test_softmax_of_a_subclassed_model() -> None:
    """Read at the first call, and warned of at each."""
    model = Own()
    model(VECTOR[None])
    for _ in range(2):
        with pytest.warns(SoftmaxWarning, match="'own' ends in a softmax.*linear_outputs"):
            visualize_saliency(model, model, 1, VECTOR)
    visualize_saliency(model, "end", 1, VECTOR)
    check(linear_outputs(model), -1, 1, VECTOR, lambda x: model.end(x)[0, 1])


@pytest.mark.parametrize("output", [2.5, 0.0, -1.5])
def test_scalar_regression(output: float) -> None:
    """A positive gradient means "raise the output", whatever the output is."""
    kernel = np.float32([[1.0], [-2.0], [0.5], [0.0], [3.0], [-1.0]])
    end = layers.Dense(1)
    model = chain((6,), end)
    end.set_weights([kernel, output - VECTOR @ kernel])
    assert abs(float(model(VECTOR[None])[0, 0]) - output) < 1e-6
    for modifier, expected in (
        ("absolute", [1 / 3, 2 / 3, 1 / 6, 0, 1, 1 / 3]),
        (None, [3 / 5, 0, 2.5 / 5, 2 / 5, 1, 1 / 5]),
        ("relu", [1 / 3, 0, 1 / 6, 0, 1, 0]),
        ("negate", [2 / 5, 1, 2.5 / 5, 3 / 5, 0, 4 / 5]),
    ):
        found = visualize_saliency(model, -1, 0, VECTOR, grad_modifier=modifier)
        np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("named", [False, True])
def test_two_heads(named: bool) -> None:
    """Each head has its own map, by the name of its layer."""
    entry = keras.Input((6,), name="x")
    hidden = layers.Dense(4, activation="tanh")(entry)
    a, b = layers.Dense(3, name="a"), layers.Dense(2, activation="tanh", name="b")
    outputs = {"a": a(hidden), "b": b(hidden)} if named else [a(hidden), b(hidden)]
    model = keras.Model(entry, outputs)
    for name, index in (("a", 2), ("b", 1)):
        key = name if named else "ab".index(name)
        check(model, name, index, VECTOR, lambda x, key=key, index=index: model(x)[key][0, index])


def test_two_heads_of_one_kernel() -> None:
    """A head that the other has nothing to do with: the map is that of the head's own input features."""
    entry = keras.Input((6,))
    a = layers.Dense(1, use_bias=False, kernel_initializer="ones", name="a")(entry[:, :2])
    b = layers.Dense(1, use_bias=False, kernel_initializer="ones", name="b")(entry[:, 2:])
    model = keras.Model(entry, [a, b])
    np.testing.assert_array_equal(visualize_saliency(model, "a", 0, VECTOR), [1, 1, 0, 0, 0, 0])
    np.testing.assert_array_equal(visualize_saliency(model, "b", 0, VECTOR), [0, 0, 1, 1, 1, 1])


def test_sequences() -> None:
    """(B, T, C): the mean over the steps of one class."""
    model = chain((7, 3), layers.Conv1D(4, 3, activation="tanh"), layers.Dense(5))
    x = np.random.default_rng(1).normal(size=(7, 3)).astype(np.float32)
    check(model, -1, 2, x, lambda x: ops.mean(model(x)[0, :, 2]))
    check(model, -1, [0, -1], x, lambda x: ops.mean(model(x)[0, :, 0] + model(x)[0, :, 4]))
    check(model, -1, None, x, lambda x: ops.sum(ops.mean(model(x)[0], axis=0)))


def test_sequences_with_a_softmax_per_step() -> None:
    model = chain((7, 3), layers.TimeDistributed(layers.Dense(4, activation="softmax")))
    x = np.random.default_rng(1).normal(size=(7, 3)).astype(np.float32)
    with pytest.warns(SoftmaxWarning):
        check(model, -1, 1, x, lambda x: ops.mean(model(x)[0, :, 1]))
    kernel = model.layers[-1].layer.get_weights()[0]
    with pytest.warns(EmptyMapWarning, match="constant"):
        # Each step has the same gradient, the kernel's column: as a map of steps that is constant.
        visualize_saliency(linear_outputs(model), -1, 1, x)
    kept = visualize_saliency(linear_outputs(model), -1, 1, x, grad_modifier=None, keepdims=True)
    np.testing.assert_allclose(kept, np.tile(normalized(kernel[:, 1]), (7, 1)), atol=2e-5)


def unet() -> keras.Model:
    entry = keras.Input((8, 6, 3))
    down = layers.Conv2D(4, 3, padding="same", activation="tanh")(entry)
    low = layers.Conv2D(4, 3, padding="same", activation="tanh")(layers.AveragePooling2D(2)(down))
    up = layers.Conv2DTranspose(4, 2, strides=2, activation="tanh")(low)
    y = layers.Conv2D(3, 1, name="classes")(layers.Concatenate()([down, up]))
    return keras.Model(entry, layers.Softmax(name="softmax")(y))


def test_unet() -> None:
    """(B, H, W, C): the mean over the pixels of one class, also below the skip connection."""
    model = unet()
    x = np.random.default_rng(1).normal(size=(8, 6, 3)).astype(np.float32)
    logits = keras.Model(model.inputs[0], model.get_layer("classes").output)
    check(model, "classes", 2, x, lambda x: ops.mean(logits(x)[0, :, :, 2]))
    with pytest.warns(SoftmaxWarning):
        check(model, "softmax", 2, x, lambda x: ops.mean(model(x)[0, :, :, 2]))
    check(linear_outputs(model), -1, 2, x, lambda x: ops.mean(logits(x)[0, :, :, 2]))


@pytest.fixture
def conv_model() -> keras.Model:
    """Four filters; filter 1 is dead: its bias lies below whatever comes in."""
    model = chain(
        SHAPE,
        layers.Conv2D(4, 3, padding="same", activation="relu", name="conv"),
        layers.Flatten(),
        layers.Dense(2),
    )
    kernel, _ = model.layers[1].get_weights()
    model.layers[1].set_weights([kernel, np.float32([0.5, -1000.0, 0.5, 0.5])])
    return model


def conv_filters(model: keras.Model, *indices: int) -> Callable[[Any], Any]:
    conv = model.layers[1]
    return lambda x: sum(ops.mean(conv(x)[0, :, :, index]) for index in indices)


@pytest.mark.parametrize("index", [0, -4], ids=["first", "first from the end"])
def test_conv_filter_first(conv_model: keras.Model, index: int) -> None:
    check(conv_model, "conv", index, IMAGE, conv_filters(conv_model, 0))


@pytest.mark.parametrize("index", [3, -1], ids=["last", "last from the end"])
def test_conv_filter_last(conv_model: keras.Model, index: int) -> None:
    check(conv_model, "conv", index, IMAGE, conv_filters(conv_model, 3))


def test_conv_filter_dead(conv_model: keras.Model) -> None:
    for options in ({}, {"backprop_modifier": "guided"}, {"grad_modifier": "negate"}):
        with pytest.warns(EmptyMapWarning, match="a dead filter"):
            found = visualize_saliency(conv_model, "conv", 1, IMAGE, **options)
        np.testing.assert_array_equal(found, np.zeros((5, 4)))


def test_conv_filters_all(conv_model: keras.Model) -> None:
    check(conv_model, "conv", None, IMAGE, conv_filters(conv_model, 0, 1, 2, 3))


def test_conv_filters_several(conv_model: keras.Model) -> None:
    for given in ([0, 2], (2, 0), np.array([0, -2]), {0, 2}, range(0, 4, 2)):
        check(conv_model, "conv", given, IMAGE, conv_filters(conv_model, 0, 2))


@pytest.mark.parametrize("index", [4, -5, [0, 4], np.array([-5])])
def test_conv_filter_out_of_range_by_one(conv_model: keras.Model, index: Any) -> None:
    with pytest.raises(FilterError, match=r"layer 'conv' has 4 filters.*-4 to 3"):
        visualize_saliency(conv_model, "conv", index, IMAGE)


@pytest.mark.parametrize("index", [1.0, "1", True, [], [None]])
def test_filter_that_is_no_index(conv_model: keras.Model, index: Any) -> None:
    with pytest.raises(FilterError, match="'conv'"):
        visualize_saliency(conv_model, "conv", index, IMAGE)


def test_map_as_large_as_1e30() -> None:
    kernel = np.float32([[1e30], [-3e30], [2e30], [0], [5e30], [-4e30]])
    end = layers.Dense(1, use_bias=False)
    model = chain((6,), end)
    end.set_weights([kernel])
    found = visualize_saliency(model, -1, 0, VECTOR)
    np.testing.assert_allclose(found, [0.2, 0.6, 0.4, 0, 1, 0.8], rtol=1e-5, atol=1e-6)
    small = visualize_saliency(model, -1, 0, VECTOR, grad_modifier="small_values")
    np.testing.assert_allclose(small, [0, 0, 0, 1, 0, 0], atol=1e-6)


def test_ties_in_a_max_pool() -> None:
    """All four values of each window are the largest: the map is the oracle's, and finite."""
    model = chain((4, 4, 1), layers.MaxPooling2D(2), layers.Flatten(), layers.Dense(2))
    x = np.ones((4, 4, 1), np.float32)
    check(model, -1, 0, x, lambda x: model(x)[0, 0])


def test_equal_gradients_everywhere() -> None:
    """A map that shows nothing is zeros, with a warning that says why."""
    end = layers.Dense(1, kernel_initializer="ones")
    model = chain((6,), end)
    with pytest.warns(EmptyMapWarning, match="constant"):
        np.testing.assert_array_equal(visualize_saliency(model, -1, 0, VECTOR), np.zeros(6))
