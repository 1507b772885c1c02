"""Gradient descent on an input against a slow oracle, with and without listeners, and its errors."""

import gc
import math
import weakref
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops

from vis import backend, backprop_modifiers, maps
from vis.callbacks import OptimizerCallback
from vis.errors import EmptyMapWarning, GradientError, InputError, LayerError, ModifierError, VisError
from vis.input_modifiers import InputModifier, Jitter
from vis.losses import ActivationMaximization, Loss, TotalVariation
from vis.optimizer import Optimizer
from vis.parameterizations import Fourier, Pixels, RandomAffine

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
        np.testing.assert_allclose(value, model.predict(START[None], verbose=0), rtol=1e-5)
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


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The specs of each descent that is compiled."""
    found: list[Any] = []
    compile_descent = backend.compile_descent

    def noted(forward: Any, specs: Any, steps: Any, rule: Any) -> Any:
        found.append(specs)
        return compile_descent(forward, specs, steps, rule)

    monkeypatch.setattr(backend, "compile_descent", noted)
    return found


def test_one_trace_for_many_runs_and_the_model_is_freed(compiled: list[Any]) -> None:
    model = keras.Sequential([layers.Input((4,)), layers.Dense(3)])
    for index in range(3):
        losses = [(ActivationMaximization(model.layers[-1], index), 1)]
        Optimizer(model.inputs[0], losses).minimize(np.ones(4), 50, verbose=False)
    assert len(compiled) == 1
    freed = weakref.ref(model)
    del model, losses
    gc.collect()
    assert freed() is None


def test_wrong_calls(model: keras.Model) -> None:
    optimizer = Optimizer(model.inputs[0], losses(model))
    with pytest.raises(InputError, match=r">= 1\. Received: 0"):
        optimizer.minimize(START, 0)
    with pytest.raises(InputError, match="must have shape"):
        optimizer.minimize(np.ones(3), verbose=False)
    with pytest.raises(InputError, match=r"input_range must be a pair .* Received: \(1, 1\)"):
        Optimizer(model.inputs[0], losses(model), (1, 1))
    with pytest.raises(GradientError, match="empty list"):
        Optimizer(model.inputs[0], []).minimize(START, verbose=False)
    anywhere = keras.Sequential([layers.Input((None, None, 1)), layers.Conv2D(1, 1)])
    with pytest.raises(InputError, match="any size"):
        Optimizer(anywhere, [(ActivationMaximization(anywhere.layers[-1], 0), 1)]).minimize(verbose=False)
    model.set_weights([np.full((24, 1), np.nan)])
    with pytest.raises(GradientError, match="The loss is nan within 1 steps"):
        optimizer.minimize(START, 1, verbose=False)


COLOURED = (3, 4, 3)
COLOURED_KERNEL = np.random.default_rng(2).normal(size=(36, 1)).astype(np.float32)


@pytest.fixture
def coloured() -> keras.Model:
    model = keras.Sequential(
        [layers.Input(COLOURED), layers.Flatten(), layers.Dense(1, use_bias=False, activation="tanh")]
    )
    model.set_weights([COLOURED_KERNEL])
    return model


def slow_image(z: np.ndarray) -> np.ndarray:
    """The sum of all waves, `(3, 4, 3)`, in its colours, from -1 to 1."""
    rows, columns = np.mgrid[:3, :4]
    total = np.zeros(COLOURED)
    for k, m in np.ndindex(3, 4):
        frequency = math.hypot(min(k, 3 - k) / 3, min(m, 4 - m) / 4)
        down, across = 2 * math.pi * k * rows / 3, 2 * math.pi * m * columns / 4
        wave = (np.cos(down) + np.sin(down)) * (np.cos(across) + np.sin(across)) / math.sqrt(12)
        total += wave[..., None] * z[k, m] / max(frequency, 1 / 4)
    colours = np.array([[0.26, 0.09, 0.02], [0.27, 0.00, -0.05], [0.27, -0.09, 0.03]])
    mixed = np.einsum("hwc,dc->hwd", total, colours) / np.sqrt(0.26**2 + 2 * 0.27**2)
    return 2 / (1 + np.exp(-mixed / 4)) - 1


def slow_view(image: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """The image moved, turned and scaled: each pixel is a tent over the mirrored places."""
    result = np.zeros(COLOURED)
    for row, column in np.ndindex(3, 4):
        y, x = matrix.astype(np.float64) @ [row - 1, column - 1.5, 1] + [1, 1.5]
        y, x = 2 - abs(y % 4 - 2), 3 - abs(x % 6 - 3)
        for i, j in np.ndindex(3, 4):
            result[row, column] += max(0, 1 - abs(y - i)) * max(0, 1 - abs(x - j)) * image[i, j]
    return result


def slow_fourier_descent(seed: int, steps: int, affine: RandomAffine | None) -> list[tuple[float, Any, Any]]:
    """SGD with a rate of 0.5 by central differences: (loss, gradient, coefficients) of each step."""
    random = np.random.default_rng(seed)
    z, found = random.normal(0, 0.01, (1, *COLOURED))[0], []
    for _ in range(steps):
        matrix = np.eye(2, 3) if affine is None else affine.draw(random, 1, COLOURED[:2])[0]

        def loss(z: np.ndarray, matrix: np.ndarray = matrix) -> float:
            return -np.tanh((slow_view(slow_image(z), matrix).ravel() @ COLOURED_KERNEL).item())

        gradient = np.empty(COLOURED)
        for place in np.ndindex(COLOURED):
            step = np.zeros(COLOURED)
            step[place] = 1e-5
            gradient[place] = (loss(z + step) - loss(z - step)) / 2e-5
        gradient = gradient / np.sqrt((gradient**2).sum())
        found.append((loss(z), gradient, z))
        z = z - 0.5 * gradient
    return found


@pytest.mark.parametrize("affine", [None, RandomAffine(0.2, 30, 0.3)])
@pytest.mark.parametrize("listening", [False, True])
def test_waves_under_random_views_agree_with_the_oracle(
    coloured: keras.Model, listening: bool, affine: RandomAffine | None
) -> None:
    recorder = Recorder()
    picture, gradient, value = Optimizer(coloured, losses(coloured), (-1.0, 1.0)).minimize(
        max_iter=3,
        seed=7,
        parameterization=Fourier(affine),
        optimizer=keras.optimizers.SGD(0.5),
        callbacks=[recorder] if listening else None,
        verbose=False,
    )
    expected = slow_fourier_descent(7, 3, affine)
    np.testing.assert_allclose(gradient[0], expected[-1][1], atol=1e-4)
    np.testing.assert_allclose(value[0], slow_image(expected[-1][2]), atol=1e-4)
    best = min(expected, key=lambda step: step[0])[2]
    assert picture.shape == COLOURED and picture.dtype == np.float32
    np.testing.assert_allclose(picture, slow_image(best), atol=1e-4)
    if listening:
        for heard, (loss, gradient, z) in zip(recorder.heard, expected, strict=True):
            assert heard[2] == pytest.approx(loss, abs=1e-4)
            np.testing.assert_allclose(heard[3][0], gradient, atol=1e-4)
            np.testing.assert_allclose(heard[4][0], slow_image(z), atol=1e-4)


def test_waves_start_at_the_seed_input(coloured: keras.Model) -> None:
    start = np.random.default_rng(0).uniform(-2, 2, COLOURED)
    optimizer = Optimizer(coloured, losses(coloured), (-1.0, 1.0))
    picture, _, value = optimizer.minimize(start, 1, parameterization="fourier", verbose=False)
    np.testing.assert_allclose(value[0], np.clip(start, -1, 1), atol=2.1e-3)
    assert np.array_equal(picture, value[0])


@pytest.mark.parametrize("made_of", [Fourier(), Pixels(RandomAffine())])
def test_the_same_seed_gives_the_same_views(coloured: keras.Model, made_of: Any) -> None:
    optimizer = Optimizer(coloured, losses(coloured), (-0.1, 0.1))  # where the tanh is steep
    start = np.random.default_rng(0).uniform(-0.1, 0.1, COLOURED)
    first, again, other, listening = (
        optimizer.minimize(start, 30, parameterization=made_of, verbose=False, seed=seed, callbacks=callbacks)
        for seed, callbacks in ((1, None), (1, None), (2, None), (1, [Recorder()]))
    )
    assert all(np.array_equal(*pair) for pair in zip(first, again, strict=True))
    assert not np.array_equal(first[2], other[2])
    # One step at a time or many in one go, the same views are drawn.
    np.testing.assert_allclose(first[2], listening[2], rtol=1e-3, atol=1e-3)


class Targets(Loss):
    """Asks each sample for a brightness of its own, as urgently as a factor says."""

    name = "targets"

    def __init__(self, model: keras.Model, targets: list[float], factors: list[float] | None = None) -> None:
        self.model = model
        self.targets = np.array(targets, np.float32).reshape(-1, 1, 1, 1)
        self.factors = np.array([1] * len(targets) if factors is None else factors, np.float32)

    def build_loss(self) -> Any:
        return ops.mean(ops.square(self.model.inputs[0] - self.targets), axis=(1, 2, 3)) * self.factors


class Total(Loss):
    """One value for all samples."""

    name = "total"

    def __init__(self, model: keras.Model) -> None:
        self.model = model

    def build_loss(self) -> Any:
        return ops.sum(ops.square(self.model.inputs[0] - 1.0))


@pytest.mark.parametrize("listening", [False, True])
def test_the_best_of_each_sample_is_returned(model: keras.Model, listening: bool) -> None:
    targets = [0.0, 2.0, 5.0, 100.0]
    recorder = Recorder()
    pictures, _, _ = Optimizer(model, [(Targets(model, targets), 1)], (0.0, 1.0)).minimize(
        START,
        5,
        optimizer=keras.optimizers.SGD(4.0, momentum=0.9),
        samples=4,
        verbose=False,
        callbacks=[recorder] if listening else None,
    )
    steps = []
    for picture, target in zip(pictures, targets, strict=True):
        x, speed, tried = START.astype(np.float64), 0.0, []
        for _ in range(5):
            tried.append((((x - target) ** 2).mean(), x))
            speed = 0.9 * speed - 4 * (x - target) / np.sqrt(((x - target) ** 2).sum())
            x = x + speed
        best = min(range(5), key=lambda step: tried[step][0])
        steps.append(best)
        np.testing.assert_allclose(picture, maps.deprocess_input(tried[best][1], (0.0, 1.0)), atol=1e-5)
    assert steps == [1, 2, 3, 4], "each sample has its best at another step"
    if listening:
        heard = np.array([heard[2] for heard in recorder.heard])
        assert heard.argmin(axis=0).tolist() == steps


def test_a_gradient_is_normalized_without_regard_to_its_neighbours(model: keras.Model) -> None:
    targets, factors = [3.0, 5.0, -4.0, 1.0, 2.0], [1.0, 1e10, 1e-10, 0.0, -3.0]
    optimizer = Optimizer(model, [(Targets(model, targets, factors), 1)])
    _, gradient, _ = optimizer.minimize(START, 1, samples=5, verbose=False)
    for found, target, factor in zip(gradient, targets, factors, strict=True):
        expected = np.sign(factor) * (START - target) / np.sqrt(((START - target) ** 2).sum())
        np.testing.assert_allclose(found, expected, rtol=1e-5)
    raw = Optimizer(model, [(Targets(model, targets, factors), 1)], norm_grads=False)
    _, gradient, _ = raw.minimize(START, 1, samples=5, verbose=False)
    for found, target, factor in zip(gradient, targets, factors, strict=True):
        np.testing.assert_allclose(found, factor * 2 * (START - target) / 24, rtol=1e-5)


def test_the_gradient_by_another_tensor_is_normalized_per_sample(model: keras.Model) -> None:
    optimizer = Optimizer(model, losses(model), wrt_tensor=model.outputs[0])
    pictures, gradient, value = optimizer.minimize(START, 1, samples=3, verbose=False)
    assert pictures.shape == (3, *SHAPE)
    np.testing.assert_allclose(value, np.repeat(model.predict(START[None], verbose=0), 3, axis=0), rtol=1e-5)
    np.testing.assert_allclose(gradient, [[-1], [-1], [-1]], rtol=1e-6)


def test_samples_start_alike_however_many_they_are(model: keras.Model) -> None:
    optimizer = Optimizer(model, losses(model))
    (one, gradient, value), (several, gradients, values) = (
        optimizer.minimize(max_iter=3, seed=4, samples=samples, verbose=False) for samples in (None, 3)
    )
    assert one.shape == SHAPE and several.shape == (3, *SHAPE)
    assert gradient.shape == value.shape == (1, *SHAPE) and values.shape == (3, *SHAPE)
    for sample in range(3):
        np.testing.assert_allclose(gradients[sample], gradient[0], rtol=1e-5)
        np.testing.assert_allclose(values[sample], value[0], rtol=1e-5)
        np.testing.assert_allclose(several[sample].astype(int), one, atol=1)
    single, _, _ = optimizer.minimize(max_iter=3, seed=4, samples=1, verbose=False)
    np.testing.assert_array_equal(single, one[None])


def test_one_loss_for_all_samples(model: keras.Model) -> None:
    recorder = Recorder()
    pictures, gradient, _ = Optimizer(model, [(Total(model), 2)], norm_grads=False).minimize(
        START,
        2,
        samples=3,
        callbacks=[recorder],
        optimizer=keras.optimizers.SGD(0.01),
        verbose=False,
    )
    assert pictures.shape == (3, *SHAPE)
    total = 3 * ((START - 1.0) ** 2).sum()
    _, named, overall, first, _ = recorder.heard[0]
    assert [name for name, _ in named] == ["total"]
    np.testing.assert_allclose(named[0][1], [total] * 3, rtol=1e-5)
    np.testing.assert_allclose(overall, [2 * total] * 3, rtol=1e-5)
    np.testing.assert_allclose(first, np.stack([4 * (START - 1)] * 3), rtol=1e-5)
    assert gradient.shape == first.shape


@pytest.mark.parametrize("weight", [0.0, 1.0])
def test_one_loss_for_all_samples_beside_one_for_each(model: keras.Model, weight: float) -> None:
    targets = [3.0, 5.0, -4.0]
    both = [(Total(model), 2.0), (Targets(model, targets), weight)]
    optimizer = Optimizer(model, both, norm_grads=False)
    _, gradient, _ = optimizer.minimize(START, 1, samples=3, verbose=False)
    for found, target in zip(gradient, targets, strict=True):
        expected = 4 * (START - 1) + weight * 2 * (START - target) / 24
        np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize("made_of", ["pixels", Fourier(None)])
def test_callbacks_hear_one_loss_per_sample_or_a_float(coloured: keras.Model, made_of: Any) -> None:
    for samples in (None, 1, 3):
        recorder = Recorder()
        Optimizer(coloured, [*losses(coloured), (Total(coloured), 0.5)]).minimize(
            max_iter=2,
            samples=samples,
            callbacks=[recorder],
            verbose=False,
            seed=0,
            parameterization=made_of,
        )
        assert len(recorder.heard) == 2
        for _, named, overall, gradient, image in recorder.heard:
            values = [overall, *(value for _, value in named)]
            if samples is None:
                assert all(type(value) is float for value in values)
            else:
                assert all(isinstance(value, np.ndarray) and value.shape == (samples,) for value in values)
            activation, total = (value for _, value in named)
            np.testing.assert_allclose(overall, activation + 0.5 * total, rtol=1e-6)
            assert gradient.shape == image.shape == (samples or 1, *COLOURED)


def test_verbose_prints_the_losses_of_all_samples(
    model: keras.Model, capsys: pytest.CaptureFixture[str]
) -> None:
    Optimizer(model, [(Targets(model, [3.0, 5.0]), 1)]).minimize(0 * START, 1, samples=2)
    line = "Iteration: 1, named_losses: [targets: [9.0, 25.0]], overall loss: [9.0, 25.0]"
    assert capsys.readouterr().out.splitlines() == [line]


def test_input_modifiers_and_samples(model: keras.Model) -> None:
    class Lighter(InputModifier):
        """Raises the channels of what a step sees, by more at each."""

        by = 0

        def pre(self, inp: Any) -> Any:
            self.by += 1
            return inp + self.by * rise

        def post(self, inp: Any) -> Any:
            return inp - self.by * rise

    rise = np.array([0.5, 1.5], np.float32)
    targets = [0.0, 2.0, 4.0, 8.0]
    pictures, _, _ = Optimizer(model, [(Targets(model, targets), 1)], (0.0, 1.0)).minimize(
        START,
        4,
        input_modifiers=[Lighter()],
        samples=4,
        verbose=False,
        optimizer=keras.optimizers.SGD(4.0),
    )
    steps = []
    for picture, target in zip(pictures, targets, strict=True):
        x, tried = START.astype(np.float64), []
        for by in (1, 2, 3, 4):
            away = x + by * rise - target
            tried.append(((away**2).mean(), x))
            x = x - 4 * away / np.sqrt((away**2).sum())
        best = min(range(4), key=lambda step: tried[step][0])
        steps.append(best)
        # What is kept is the input without what was done to it for its step.
        np.testing.assert_allclose(picture, maps.deprocess_input(tried[best][1], (0.0, 1.0)), atol=1e-5)
    assert steps == [0, 1, 2, 3], "each sample has its best at another step"


def test_a_fixed_batch_is_optimized_whole() -> None:
    model = keras.Sequential(
        [layers.Input(batch_shape=(2, *SHAPE)), layers.Flatten(), layers.Dense(1, use_bias=False)]
    )
    optimizer = Optimizer(model, [(ActivationMaximization(model.layers[-1], 0), 1)])
    assert optimizer.minimize(START, 2, verbose=False)[0].shape == SHAPE
    assert optimizer.minimize(START, 2, samples=2, verbose=False)[0].shape == (2, *SHAPE)
    with pytest.raises(InputError, match=r"takes 2 samples at once\. Received: samples=3"):
        optimizer.minimize(START, 2, samples=3, verbose=False)


def test_equal_parameterizations_share_a_trace_and_the_model_is_freed(compiled: list[Any]) -> None:
    model = keras.Sequential([layers.Input((4, 4, 1)), layers.Flatten(), layers.Dense(3)])

    def descend(filters: list[int], made_of: Any, input_range: tuple[float, float] = (0, 255)) -> Any:
        each = [(ActivationMaximization(freed().layers[-1], filters, each=True), 1)]
        return Optimizer(freed(), each, input_range).minimize(
            max_iter=3, seed=0, parameterization=made_of, samples=len(filters), verbose=False
        )

    freed = weakref.ref(model)
    descend([0, 1], "fourier")
    descend([2, 1], Fourier())
    descend([0, 0], Fourier(RandomAffine(0.05, 10, 0.1), True))
    assert len(compiled) == 1
    # A transformation, a number of samples or a range of its own makes another.
    wide = descend([0, 1], Fourier(None))[2]
    descend([0, 1, 2], Fourier(None))
    narrow = descend([0, 1], Fourier(None), (0, 1))[2]
    assert len(compiled) == 4
    np.testing.assert_allclose(narrow.mean(), 0.5, atol=0.2)
    np.testing.assert_allclose(wide.mean(), 128, atol=50)
    del model
    gc.collect()
    assert freed() is None


@pytest.mark.parametrize("made_of", ["pixels", "fourier"])
def test_a_range_may_be_a_list_or_an_array(coloured: keras.Model, made_of: str) -> None:
    coloured.set_weights([1e-4 * COLOURED_KERNEL])
    settings: dict[str, Any] = {"max_iter": 2, "seed": 0, "verbose": False, "parameterization": made_of}
    expected, *pictures = (
        Optimizer(coloured, losses(coloured), input_range).minimize(**settings)[0]
        for input_range in ((0, 255), [0, 255], np.array([0, 255]))
    )
    assert expected.dtype == np.uint8
    for picture in pictures:
        np.testing.assert_array_equal(picture, expected)


def test_a_rule_for_the_models_activations_leaves_those_of_the_parameterization() -> None:
    @dataclass(frozen=True)
    class Bounded(Pixels):
        def image(self, canvas: Any, parameters: Any) -> Any:
            return ops.relu(parameters + 5.0) - 5.0

    inputs = layers.Input((3,))
    model = keras.Model(inputs, ops.sum(ops.relu(-inputs) * np.array([1.0, -1.0, 1.0], np.float32), axis=-1))

    class Output(Loss):
        def build_loss(self) -> Any:
            return -model.outputs[0]

    x = np.array([-1.0, -1.0, 1.0])
    guided = Optimizer(backprop_modifiers.guided(model), [(Output(), 1)], norm_grads=False)
    for made_of in ("pixels", Bounded()):
        # What comes in to the model's ReLU is (-1, 1, -1), and its second value passes; the image is the
        # input itself, so nothing else changes it.
        _, gradient, _ = guided.minimize(x, 1, parameterization=made_of, verbose=False)
        assert gradient.tolist() == [[0, -1, 0]]


def test_no_step_lowers_the_loss(model: keras.Model) -> None:
    def run(targets: list[float], **settings: Any) -> Any:
        # A step of 100 overshoots a target at a distance of 5, and the loss rises.
        sgd = keras.optimizers.SGD(100.0)
        optimizer = Optimizer(model, [(Targets(model, targets), 1)], (0.0, 1.0))
        return optimizer.minimize(
            START, optimizer=sgd, samples=len(targets), verbose=False, **{"max_iter": 2, **settings}
        )[0]

    with pytest.warns(EmptyMapWarning, match=r"None of 2 steps has lowered the loss"):
        pictures = run([1.0, -1.0])
    np.testing.assert_allclose(pictures, [maps.deprocess_input(START, (0.0, 1.0))] * 2, atol=1e-6)
    run([1.0, -1.0], max_iter=1)  # which has nothing to be compared with
    run([1000.0, -1000.0])
    with pytest.warns(EmptyMapWarning, match="lowered the loss"):
        run([1000.0, 1.0])  # one picture of the two is its start


def test_wrong_calls_with_samples_and_parameterizations(model: keras.Model) -> None:
    optimizer = Optimizer(model, losses(model))
    for samples in (0, -1):
        with pytest.raises(InputError, match=rf"samples must be an integer >= 1\. Received: {samples}\."):
            optimizer.minimize(START, samples=samples, verbose=False)
    with pytest.raises(InputError, match=r"Input modifiers change pixels.*Fourier.*RandomAffine"):
        optimizer.minimize(START, 1, input_modifiers=[Jitter()], parameterization="fourier", verbose=False)
    with pytest.raises(
        ModifierError, match=r"Unknown parameterization: 'waves'.*Valid names: fourier, maco, pix"
    ):
        optimizer.minimize(START, 1, parameterization="waves", verbose=False)
    tokens = keras.Sequential([layers.Input((4,), dtype="int32"), layers.Embedding(5, 2), layers.Flatten()])
    with pytest.raises(InputError, match="takes int32, and there is no gradient with respect to an integer"):
        Optimizer(tokens, losses(tokens)).minimize(samples=2)


@pytest.mark.parametrize("shape", [(5,), (5, 3), (2, 3, 4, 1)])
def test_a_transformation_of_what_is_no_picture(shape: tuple[int, ...]) -> None:
    model = keras.Sequential([layers.Input(shape), layers.Flatten(), layers.Dense(1)])
    optimizer = Optimizer(model, losses(model))
    with pytest.raises(InputError, match=r"RandomAffine needs images with two axes.*transformation=None"):
        optimizer.minimize(max_iter=2, parameterization="fourier", verbose=False)
    picture, _, _ = optimizer.minimize(max_iter=2, parameterization=Fourier(None), verbose=False)
    assert picture.shape == shape


@pytest.mark.parametrize("samples", [None, 3])
def test_filters_for_each_sample_and_another_number_of_samples(samples: int | None) -> None:
    model = keras.Sequential([layers.Input((4,)), layers.Dense(3)])
    each = [(ActivationMaximization(model.layers[-1], [0, 2], each=True), 1)]
    with pytest.raises(VisError, match="samples"):
        Optimizer(model, each).minimize(max_iter=2, samples=samples, verbose=False)


def test_by_another_tensor_one_step_is_told(model: keras.Model) -> None:
    recorder = Recorder()
    optimizer = Optimizer(model, losses(model), wrt_tensor=model.outputs[0])
    _, gradient, value = optimizer.minimize(START, 5, callbacks=[recorder], verbose=False)
    ((i, named, overall, heard, at),) = recorder.heard
    assert (i, recorder.ended) == (0, 1)
    assert named == [("ActivationMax Loss", pytest.approx(-value.item()))]
    assert overall == pytest.approx(-value.item())
    np.testing.assert_array_equal(heard, gradient)
    np.testing.assert_array_equal(at, value)


def test_by_another_tensor_the_input_modifiers_act(model: keras.Model) -> None:
    class Brighter(InputModifier):
        def pre(self, inp: Any) -> Any:
            return inp + 1

    optimizer = Optimizer(model, losses(model), wrt_tensor=model.outputs[0])
    _, _, value = optimizer.minimize(START, input_modifiers=[Brighter()], verbose=False)
    np.testing.assert_allclose(value, model.predict(START[None] + 1, verbose=0), rtol=1e-6)


def test_by_another_tensor_a_loss_must_be_finite(model: keras.Model) -> None:
    optimizer = Optimizer(model, losses(model), wrt_tensor=model.outputs[0])
    model.set_weights([np.full_like(KERNEL, np.nan)])
    with pytest.raises(GradientError, match=r"NaN|nan"):
        optimizer.minimize(START, verbose=False)


def test_the_input_in_a_list_is_the_input() -> None:
    inputs = keras.Input(SHAPE)
    model = keras.Model([inputs], layers.Dense(1)(layers.Flatten()(inputs)))
    optimizer = Optimizer(model.input, losses(model), wrt_tensor=model.input)
    assert optimizer.wrt_tensor is None
    assert Optimizer(model, losses(model), wrt_tensor=0).wrt_tensor is None
    assert Optimizer(model, losses(model), wrt_tensor=-1).wrt_tensor is model.layers[-1]
    with pytest.raises(LayerError, match="wrt must be a layer or a symbolic tensor"):
        Optimizer(model.input, losses(model), wrt_tensor="dense")
    for point in (model.layers[-1], model.layers[-1].output, model.layers[-1].name, -1):
        found = [Optimizer(model, losses(model), **{name: point}) for name in ("wrt", "wrt_tensor")]
        assert found[0].wrt is not None and found[0].wrt is found[0].wrt_tensor is found[1].wrt
        minima = [each.minimize(START, 1, verbose=False)[1:] for each in found]
        assert all(np.array_equal(*pair) for pair in zip(*minima, strict=True))
        assert minima[0][1].shape == (1, 1)
    assert repr(Optimizer(model, losses(model), wrt_tensor=-1)).endswith(f"wrt={model.layers[-1].name})")
    with pytest.raises(InputError, match="wrt and wrt_tensor name the same argument"):
        Optimizer(model, losses(model), wrt_tensor=-1, wrt=-1)


@pytest.mark.parametrize("wrong", [1.5, True, "2", 0])
def test_numbers_are_whole(model: keras.Model, wrong: Any) -> None:
    for name in ("max_iter", "samples"):
        with pytest.raises(InputError, match=f"{name} must be an integer >= 1"):
            Optimizer(model, losses(model)).minimize(START, verbose=False, **{name: wrong})


@pytest.mark.in_64_bits
def test_a_double_input_of_a_single_model() -> None:
    inputs = keras.Input(SHAPE, dtype="float64")
    model = keras.Model(inputs, layers.Dense(1)(layers.Flatten()(inputs)))
    both = [*losses(model), (TotalVariation(model.inputs[0]), 10)]
    picture, _, value = Optimizer(model, both).minimize(max_iter=3, seed=0, verbose=False)
    assert picture.shape == SHAPE and value.dtype == np.float64
