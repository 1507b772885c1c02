"""Gradients on PyTorch: those of the framework, without a trace in the model."""

from __future__ import annotations

import gc
import threading
import warnings
import weakref
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import torch
from keras import layers, ops

import vis
from tests.asking import input_gradient
from vis import backend, backprop_modifiers
from vis.attributions import GuidedBackprop, Saliency
from vis.engine import Source
from vis.errors import GradientError, InputError, RandomWarning
from vis.losses import ActivationMaximization

X = np.random.default_rng(0).normal(size=(3, 8, 8, 2)).astype(np.float32)


def network() -> Any:
    keras.utils.set_random_seed(1)
    entry = keras.Input((8, 8, 2))
    x = layers.Conv2D(4, 3, activation="relu", name="conv")(entry)
    y = layers.BatchNormalization(name="norm")(x)
    x = layers.Add(name="sum")([x, layers.Dropout(0.5)(layers.ReLU()(y))])
    return keras.Model(entry, layers.Dense(3, name="end")(layers.Flatten()(x)))


def gradient(model: Any, x: Any = X, wrt: Any = None, modifier: Any = None) -> Any:
    loss = ActivationMaximization(model.get_layer("end"), 1)
    return input_gradient(Source(model), [(loss, -1.0)], [x], wrt, modifier)[0]


def own(model: Any, x: Any = X) -> Any:
    x = torch.tensor(x, requires_grad=True)
    (found,) = torch.autograd.grad(model(x, training=False)[:, 1].sum(), x)
    return found.cpu().numpy()


def test_it_is_the_gradient_of_the_framework() -> None:
    model = network()
    for x in (X, X[:1], np.concatenate([X, X])):
        np.testing.assert_allclose(gradient(model, x), own(model, x), rtol=1e-5, atol=1e-6)


def test_past_a_skip_connection_it_is_the_total_derivative() -> None:
    model = network()
    middle = keras.Model(model.input, model.get_layer("conv").output)(X).detach().requires_grad_()
    y = model.get_layer("norm")(middle, training=False)
    end = model.get_layer("end")(ops.reshape(middle + torch.relu(y), (3, -1)))
    (expected,) = torch.autograd.grad(end[:, 1].sum(), middle)
    found = gradient(model, wrt=model.get_layer("conv"))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_by_an_embedding_whether_it_is_trained_or_not() -> None:
    tokens = np.array([[1, 2, 0], [3, 3, 1]], np.int32)
    for trainable in (True, False):
        model = keras.Sequential(
            [keras.Input((3,), dtype="int32"), layers.Embedding(5, 4, name="table"), layers.Flatten()]
        )
        model.add(layers.Dense(2, name="end"))
        model.trainable = trainable
        found = gradient(model, tokens, model.get_layer("table"))
        kernel = ops.convert_to_numpy(model.get_layer("end").kernel)[:, 1].reshape(3, 4)
        np.testing.assert_allclose(found, np.stack([kernel, kernel]))


@pytest.mark.parametrize("modifier", [None, backprop_modifiers.guided])
def test_nothing_moves_and_nothing_is_collected(modifier: Any) -> None:
    model = network()
    before = [array.copy() for array in model.get_weights()]
    state = torch.get_rng_state()
    gradient(model, modifier=modifier)
    for array, now in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(array, now)
    assert all(parameter.grad is None for parameter in model.parameters())
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode, torch.enable_grad])
def test_whatever_is_set_around(context: Callable[[], Any]) -> None:
    model = network()
    expected = own(model)
    with context():
        np.testing.assert_allclose(gradient(model), expected, rtol=1e-5, atol=1e-6)
        guided = gradient(model, modifier=backprop_modifiers.guided)
    assert not np.allclose(guided, expected)


@pytest.mark.parametrize("modifier", [None, backprop_modifiers.guided])
def test_new_weights_and_frozen_ones(modifier: Any) -> None:
    model = network()
    first = gradient(model, modifier=modifier)
    model.trainable = False
    np.testing.assert_array_equal(gradient(model, modifier=modifier), first)
    model.get_layer("end").kernel.assign(-2 * model.get_layer("end").kernel)
    changed = gradient(model, modifier=modifier)
    assert not np.allclose(changed, first)
    if modifier is None:
        np.testing.assert_allclose(changed, -2 * first, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("modifier", [None, backprop_modifiers.guided])
def test_a_model_that_is_gone_is_freed(modifier: Any) -> None:
    model = network()
    gradient(model, modifier=modifier)
    if modifier is not None:
        x = torch.tensor(X, requires_grad=True)
        modifier(model)(x).sum().backward()
    gone = [weakref.ref(each) for each in (model, *model.layers)]
    del model
    gc.collect()
    gc.collect()  # Keras keeps a part of the graph of autograd in a cycle, which holds the rule
    assert not any(each() is not None for each in gone)


def test_graphs_are_not_kept() -> None:
    """What a call computes is freed, hooks included."""
    model = network()
    x = torch.tensor(X, requires_grad=True)
    modified = backprop_modifiers.guided(model)
    gradient(modified)
    modified(x).sum().backward()
    gc.collect()
    gc.collect()
    gc.disable()
    try:
        before = sum(type(each) is torch.Tensor for each in gc.get_objects())
        for _ in range(3):
            gradient(modified)
            modified(x).sum().backward()
        gc.collect()
        gc.collect()
        assert sum(type(each) is torch.Tensor for each in gc.get_objects()) <= before
    finally:
        gc.enable()


def test_two_threads_on_one_trace() -> None:
    model = network()
    inputs = [X + shift for shift in (0, 1)]
    expected = [gradient(model, x, modifier=backprop_modifiers.guided) for x in inputs]
    wrong: list[int] = []

    def work(which: int) -> None:
        for _ in range(15):
            found = gradient(model, inputs[which], modifier=backprop_modifiers.guided)
            if not np.array_equal(found, expected[which]):
                wrong.append(which)

    threads = [threading.Thread(target=work, args=(which,)) for which in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


class Branching(layers.Layer):
    """Takes another way for other numbers, and another number of steps."""

    def call(self, x: Any) -> Any:
        if x.mean() > 0:
            return torch.relu(x)
        for _ in range(x.shape[0]):
            x = torch.nn.functional.leaky_relu(x, 0.5)
        return x

    def compute_output_shape(self, shape: Any) -> Any:
        return shape


def test_a_computation_may_take_another_way() -> None:
    entry = keras.Input((4,))
    end = layers.Dense(2, name="end", kernel_initializer="ones")
    model = keras.Model(entry, end(Branching()(entry)))
    x = np.array([[1, -1, 2, 3]], np.float32)
    expected = {"once": [[1, 0, 1, 1]], "minus": [[0.5, 1, 0.5, 0.5]]}
    twice = np.where(-np.tile(x, (2, 1)) > 0, 1, 0.25)
    for _ in range(2):
        for modifier in (None, backprop_modifiers.guided):
            np.testing.assert_allclose(gradient(model, x, modifier=modifier), expected["once"])
            np.testing.assert_allclose(gradient(model, -x, modifier=modifier), expected["minus"])
            found = gradient(model, -np.tile(x, (2, 1)), modifier=modifier)
            np.testing.assert_allclose(found, twice)


def test_an_input_that_does_not_fit_is_an_error_of_the_library() -> None:
    table = layers.Embedding(5, 4, name="table")
    model = keras.Sequential([keras.Input((3,), dtype="int32"), table, layers.Flatten()])
    model.add(layers.Dense(2, name="end"))
    with pytest.raises(InputError, match=r"cannot run on an input of shape \(1, 3\): .*range 1 to 7"):
        gradient(model, np.array([[1, 2, 7]]), table)
    entry = keras.Input((None, 2))
    dense = layers.Dense(2, name="end")(layers.Reshape((8,))(entry))
    with pytest.raises(InputError, match=r"cannot run on an input of shape \(1, 3, 2\)"):
        gradient(keras.Model(entry, dense), np.zeros((1, 3, 2), np.float32))


class Drawing(layers.Layer):
    def __init__(self, draw: Callable[[Any, Any], Any]) -> None:
        super().__init__(name="sampling")
        self.draw, self.generator = draw, keras.random.SeedGenerator(7)

    def call(self, x: Any) -> Any:
        return x * ops.cast(self.draw(ops.shape(x), self.generator), x.dtype)

    def compute_output_shape(self, shape: Any) -> Any:
        return shape


GENERATOR = torch.Generator().manual_seed(5)
DRAWS: dict[str, Callable[[Any, Any], Any]] = {
    "Keras": lambda shape, seed: keras.random.normal(shape, seed=seed),
    "Keras without a seed": lambda shape, _: keras.random.uniform(shape),
    "PyTorch": lambda shape, _: torch.randn(shape),
    "a generator": lambda shape, _: torch.rand(shape, generator=GENERATOR),
    "in place": lambda shape, _: torch.empty(shape).normal_(),
    "dropout": lambda shape, _: torch.nn.functional.dropout(torch.ones(shape), 0.4, training=True),
}


@pytest.mark.parametrize("name", DRAWS)
def test_a_draw_is_the_same_at_every_call_and_moves_nothing(name: str) -> None:
    entry = keras.Input((6,))
    model = keras.Model(entry, layers.Dense(2, name="end")(Drawing(DRAWS[name])(entry)), name="drawing")
    x = np.random.default_rng(0).normal(size=(3, 6)).astype(np.float32)
    explainer = Saliency(model, reducer=None)
    with pytest.warns(RandomWarning, match="'drawing' draws random numbers .*sampling"):
        maps = explainer.explain(x, 1)
    states = [torch.get_rng_state(), GENERATOR.get_state(), model.layers[1].generator.state.value.clone()]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RandomWarning)
        np.testing.assert_array_equal(explainer.explain(x[1:], 1), maps[1:])
        np.testing.assert_array_equal(Saliency(model, reducer=None).explain(x, 1), maps)
    now = [torch.get_rng_state(), GENERATOR.get_state(), model.layers[1].generator.state.value]
    assert all(map(torch.equal, states, now))
    model(x)
    torch.rand(3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RandomWarning)
        np.testing.assert_array_equal(explainer.explain(x, 1), maps)


def test_the_softmax_is_left_out_under_any_setting() -> None:
    class Head(layers.Layer):
        def __init__(self) -> None:
            super().__init__(name="head")
            self.dense = layers.Dense(3)

        def call(self, x: Any) -> Any:
            return ops.softmax(self.dense(x) / 2.0) * 0.5

    entry = keras.Input((4,))
    model = keras.Model(entry, Head()(entry))
    x = np.random.default_rng(0).normal(size=(2, 4)).astype(np.float32)
    kernel, bias = model.get_weights()
    linear = vis.linear_outputs(model)
    expected = (x @ kernel + bias) / 4
    np.testing.assert_allclose(ops.convert_to_numpy(linear(x)), expected, rtol=1e-5)
    np.testing.assert_allclose(linear.predict(x, verbose=0), expected, rtol=1e-5)
    given = torch.tensor(x, requires_grad=True)
    (found,) = torch.autograd.grad(linear(given)[:, 1].sum(), given)
    np.testing.assert_allclose(found, np.tile(kernel[:, 1] / 4, (2, 1)), rtol=1e-5)
    np.testing.assert_allclose(
        Saliency(linear, reducer=None).explain(x, 1), abs(np.tile(kernel[:, 1] / 4, (2, 1))), rtol=1e-5
    )


def test_sums_are_taken_in_64_bits() -> None:
    assert backend.widest_float() == "float64"
    model = network()
    np.testing.assert_allclose(
        GuidedBackprop(model, reducer=None).explain(X, 1),
        np.concatenate([GuidedBackprop(model, reducer=None).explain(x[None], 1) for x in X]),
        rtol=1e-5,
        atol=1e-6,
    )


def test_a_branch_on_several_values_under_a_default_device_names_the_line() -> None:
    def branch(model: Any, inputs: Any, targets: Any) -> Any:
        return ops.sum(model(inputs), axis=1) if inputs > 0 else targets[:, 0]

    with torch.device("cpu"), pytest.raises(GradientError, match="whether several values are true"):
        Saliency(network(), operator=branch)(X, 1)
