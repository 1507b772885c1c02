"""Gradient descent on an input against a slow oracle, with and without listeners, and its errors."""

import gc
import weakref
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops

from vis import backprop_modifiers, maps
from vis.callbacks import OptimizerCallback
from vis.errors import GradientError, InputError
from vis.input_modifiers import InputModifier
from vis.losses import ActivationMaximization, Loss
from vis.optimizer import Optimizer

SHAPE = (3, 4, 2)
START = np.random.default_rng(0).normal(size=SHAPE).astype(np.float32)
KERNEL = 0.01 * np.random.default_rng(1).normal(size=(24, 1)).astype(np.float32)


@pytest.fixture
def model() -> keras.Model:
    model = keras.Sequential(
        [layers.Input(SHAPE), layers.Flatten(), layers.Dense(1, use_bias=False), layers.Activation("tanh")]
    )
    model.set_weights([KERNEL])
    return model


class Recorder(OptimizerCallback):
    """Keeps what it hears."""

    def __init__(self) -> None:
        self.heard: list[tuple[Any, ...]] = []
        self.ended = 0

    def callback(self, i: int, named_losses: Any, overall_loss: Any, grads: Any, wrt_value: Any) -> None:
        self.heard.append((i, named_losses, overall_loss, np.array(grads), np.array(wrt_value)))

    def on_end(self) -> None:
        self.ended += 1


def slow_descent(steps: int, modify: Any = None, normalize: bool = True) -> list[tuple[float, Any, Any]]:
    """RMSProp as keras-vis wrote it, on minus the tanh of a product: (loss, gradient, input) of each step."""
    x, cache, found = START[None].astype(np.float64), 0.0, []
    for _ in range(steps):
        activation = np.tanh((x.reshape(1, 24) @ KERNEL).item())
        gradient = -(1 - activation**2) * KERNEL.reshape(x.shape).astype(np.float64)
        if normalize:
            gradient = gradient / np.sqrt((gradient**2).sum())
        if modify:
            gradient = modify(gradient)
        found.append((-activation, gradient, x))
        cache = 0.95 * cache + 0.05 * gradient**2
        x = x - gradient / np.sqrt(cache + 1e-7)
    return found


def losses(model: keras.Model) -> list[tuple[Loss, float]]:
    return [(ActivationMaximization(model.layers[-1], 0), 1.0)]


@pytest.mark.parametrize("steps", [1, 2, 5])
@pytest.mark.parametrize("listening", [False, True])
def test_agrees_with_the_oracle(model: keras.Model, steps: int, listening: bool) -> None:
    recorder = Recorder()
    callbacks = [recorder] if listening else None
    optimizer = Optimizer(model.inputs[0], losses(model))
    picture, gradient, value = optimizer.minimize(START, steps, callbacks=callbacks, verbose=False)
    expected = slow_descent(steps)
    np.testing.assert_allclose(gradient, expected[-1][1], rtol=1e-3, atol=1e-6)
    np.testing.assert_allclose(value, expected[-1][2], rtol=1e-3, atol=1e-5)
    best = min(expected, key=lambda step: step[0])[2]
    np.testing.assert_allclose(picture, maps.deprocess_input(best[0]), atol=1)
    if listening:
        assert [heard[0] for heard in recorder.heard] == list(range(steps))
        assert recorder.ended == 1
        for heard, (loss, gradient, x) in zip(recorder.heard, expected, strict=True):
            assert heard[1] == [("ActivationMax Loss", pytest.approx(loss, rel=1e-4))]
            assert heard[2] == pytest.approx(loss, rel=1e-4)
            np.testing.assert_allclose(heard[3], gradient, rtol=1e-3, atol=1e-6)
            np.testing.assert_allclose(heard[4], x, rtol=1e-3, atol=1e-5)


def test_the_best_input_is_returned_not_the_last(model: keras.Model) -> None:
    class Hill(Loss):
        def build_loss(self) -> Any:
            return ops.mean(ops.square(model.inputs[0] - 3.0), axis=(1, 2, 3))

    recorder = Recorder()
    optimizer = Optimizer(model.inputs[0], [(Hill(), 1)], (0.0, 1.0))
    # About 15 away, steps of 10 come to 5, overshoot to 5 on the other side, and come back.
    sgd = keras.optimizers.SGD(10.0)
    picture, _, _ = optimizer.minimize(START, 4, callbacks=[recorder], verbose=False, optimizer=sgd)
    best = min(recorder.heard, key=lambda heard: heard[2])
    assert best[0] in (1, 2), "neither the first nor the last"
    np.testing.assert_allclose(picture, maps.deprocess_input(best[4][0], (0.0, 1.0)), atol=1e-6)


def test_a_gradient_modifier_and_a_raw_gradient(model: keras.Model) -> None:
    optimizer = Optimizer(model.inputs[0], losses(model), norm_grads=False)
    _, gradient, value = optimizer.minimize(START, 3, grad_modifier="relu", verbose=False)
    expected = slow_descent(3, lambda g: np.maximum(g, 0), normalize=False)
    np.testing.assert_allclose(gradient, expected[-1][1], rtol=1e-3, atol=1e-6)
    np.testing.assert_allclose(value, expected[-1][2], rtol=1e-3, atol=1e-5)


def test_any_keras_optimizer_and_it_is_not_changed(model: keras.Model) -> None:
    plain = keras.optimizers.SGD(0.5)
    optimizer = Optimizer(model.inputs[0], losses(model))
    for _ in range(2):  # the second run starts anew
        _, _, value = optimizer.minimize(START, 2, optimizer=plain, verbose=False)
        expected = START - 0.5 * slow_descent(1)[0][1]
        np.testing.assert_allclose(value, expected, rtol=1e-4, atol=1e-6)
    assert not plain.built
    with pytest.raises(InputError, match="a Keras optimizer or None"):
        optimizer.minimize(START, optimizer="adam", verbose=False)


def test_input_modifiers_surround_each_step(model: keras.Model) -> None:
    class Log(InputModifier):
        def __init__(self, name: str) -> None:
            self.name = name

        def pre(self, inp: Any) -> Any:
            order.append(f"pre {self.name}")
            return inp + 1

        def post(self, inp: Any) -> Any:
            order.append(f"post {self.name}")
            return inp - 1

    order: list[str] = []
    modifiers = [Log("a"), Log("b")]
    optimizer = Optimizer(model.inputs[0], losses(model))
    _, _, value = optimizer.minimize(START, 1, input_modifiers=modifiers, verbose=False)
    assert order[:4] == ["pre a", "pre b", "post b", "post a"]
    np.testing.assert_allclose(value, START[None] + 2, rtol=1e-6)


def test_nothing_of_the_callers_is_changed(model: keras.Model) -> None:
    callbacks: list[OptimizerCallback] = []
    start = START.copy()
    Optimizer(model.inputs[0], losses(model)).minimize(start, 2, callbacks=callbacks, verbose=True)
    assert callbacks == []
    assert np.array_equal(start, START)


def test_verbose_prints_each_step(model: keras.Model, capsys: pytest.CaptureFixture[str]) -> None:
    Optimizer(model.inputs[0], losses(model)).minimize(START, 3, verbose=True)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3 and all("ActivationMax Loss" in line for line in lines)


@pytest.mark.parametrize("which", ["None", "input", "output"])
def test_wrt_tensor_as_in_keras_vis(model: keras.Model, which: str) -> None:
    wrt = {"None": None, "input": model.inputs[0], "output": model.outputs[0]}[which]
    optimizer = Optimizer(model.inputs[0], losses(model), wrt_tensor=wrt, norm_grads=False)
    _, gradient, value = optimizer.minimize(START, 1, verbose=False)
    if which == "output":
        assert gradient.tolist() == [[-1]]
        np.testing.assert_allclose(value, model(START[None]), rtol=1e-5)
    else:
        np.testing.assert_allclose(gradient, slow_descent(1, normalize=False)[0][1], rtol=1e-3, atol=1e-7)
        assert np.array_equal(value, START[None])


def test_the_same_seed_gives_the_same_picture(model: keras.Model) -> None:
    optimizer = Optimizer(model.inputs[0], losses(model))
    first, again, other = (optimizer.minimize(None, 3, verbose=False, seed=seed)[0] for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_a_modified_model_descends_by_its_rule() -> None:
    inputs = layers.Input((3,))
    model = keras.Model(inputs, ops.sum(ops.relu(inputs) * np.array([1.0, -1.0, 1.0], np.float32), axis=-1))
    guided = backprop_modifiers.guided(model)

    class Output(Loss):
        def build_loss(self) -> Any:
            return -model.outputs[0]

    x = np.array([1.0, 1.0, -1.0])
    for source, expected in ((model, [[-1, 1, 0]]), (guided, [[0, 1, 0]])):
        _, gradient, _ = Optimizer(source, [(Output(), 1)], norm_grads=False).minimize(x, 1, verbose=False)
        # What comes in to the ReLU is (-1, 1, -1): guided passes on the positive part.
        assert gradient.tolist() == expected


def test_one_trace_for_many_runs_and_the_model_is_freed() -> None:
    runs = []

    class Count(layers.Layer):
        def call(self, x: Any) -> Any:
            runs.append(1)
            return x

    model = keras.Sequential([layers.Input((4,)), Count(), layers.Dense(3)])
    runs.clear()
    for index in range(3):
        losses = [(ActivationMaximization(model.layers[-1], index), 1)]
        Optimizer(model.inputs[0], losses).minimize(np.ones(4), 50, verbose=False)
    assert len(runs) == 1
    freed = weakref.ref(model)
    del model, losses
    gc.collect()
    assert freed() is None


def test_wrong_calls(model: keras.Model) -> None:
    optimizer = Optimizer(model.inputs[0], losses(model))
    with pytest.raises(InputError, match=r"at least 1\. Received: 0"):
        optimizer.minimize(START, 0)
    with pytest.raises(InputError, match="must have shape"):
        optimizer.minimize(np.ones(3), verbose=False)
    with pytest.raises(InputError, match=r"input_range is a pair .* Received: \(1, 1\)"):
        Optimizer(model.inputs[0], losses(model), (1, 1))
    with pytest.raises(GradientError, match="empty list"):
        Optimizer(model.inputs[0], []).minimize(START, verbose=False)
    with pytest.raises(InputError, match="Received: 2 inputs"):
        Optimizer([keras.Input((2,)), keras.Input((2,))], [])
    anywhere = keras.Sequential([layers.Input((None, None, 1)), layers.Conv2D(1, 1)])
    with pytest.raises(InputError, match="any size"):
        Optimizer(anywhere, [(ActivationMaximization(anywhere.layers[-1], 0), 1)]).minimize(verbose=False)
    model.set_weights([np.full((24, 1), np.nan)])
    with pytest.raises(GradientError, match="The loss is nan after 1 steps"):
        optimizer.minimize(START, 1, verbose=False)
