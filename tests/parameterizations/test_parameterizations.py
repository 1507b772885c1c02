"""The names of parameterizations, pixels as the default, and one of one's own."""

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops

from vis import maps, parameterizations
from vis.callbacks import OptimizerCallback
from vis.errors import ModifierError
from vis.losses import ActivationMaximization
from vis.optimizer import Optimizer
from vis.parameterizations import Canvas, Fourier, Parameterization, Pixels, RandomAffine, base
from vis.visualization import visualize_activation

KERNEL = np.random.default_rng(0).normal(size=(36, 2)).astype(np.float32)


@dataclass(frozen=True)
class Grey(Parameterization):
    """One number for the three colours of a pixel, in tenths of the range."""

    def optimizer(self) -> keras.optimizers.Optimizer:
        return keras.optimizers.SGD(0.5)

    def start(self, canvas: Canvas, random: np.random.Generator) -> Any:
        return random.uniform(4, 6, (*canvas.shape[:-1], 1))

    def parameters(self, canvas: Canvas, image: Any) -> Any:
        return 10 * (image.mean(axis=-1, keepdims=True) - canvas.low) / (canvas.high - canvas.low)

    def image(self, canvas: Canvas, parameters: Any) -> Any:
        return canvas.low + (canvas.high - canvas.low) / 10 * ops.repeat(parameters, 3, axis=-1)

    def picture(self, canvas: Canvas, image: Any) -> Any:
        return np.asarray(image, np.float16)


class Recorder(OptimizerCallback):
    """Keeps what it hears."""

    def __init__(self) -> None:
        self.heard: list[tuple[Any, ...]] = []

    def callback(self, *args: Any) -> None:
        self.heard.append(args)


@pytest.fixture
def model() -> keras.Model:
    model = keras.Sequential(
        [layers.Input((3, 4, 3)), layers.Flatten(), layers.Dense(2, use_bias=False, activation="tanh")]
    )
    model.set_weights([0.05 * KERNEL])
    return model


def slow_grey(start: np.ndarray, samples: int) -> list[list[np.ndarray]]:
    """Three steps of SGD on the image `z / 10` for minus the tanh of each filter."""
    found = []
    for sample in range(samples):
        z, kernel = start.astype(np.float64), 0.05 * KERNEL[:, sample].reshape(3, 4, 3).astype(np.float64)
        found.append([z])
        for _ in range(2):
            gradient = -(1 - np.tanh((kernel * z / 10).sum()) ** 2) * kernel.sum(-1, keepdims=True) / 10
            z = z - 0.5 * gradient / np.sqrt((gradient**2).sum())
            found[-1].append(z)
    return found


@pytest.mark.parametrize("seeded", [False, True])
def test_one_of_ones_own_agrees_with_the_oracle(model: keras.Model, seeded: bool) -> None:
    recorder = Recorder()
    seed_input = np.random.default_rng(5).uniform(0, 1, (3, 4, 3)) if seeded else None
    pictures = visualize_activation(
        model,
        -1,
        seed_input=seed_input,
        input_range=(0.0, 1.0),
        each=True,
        seed=3,
        max_iter=3,
        parameterization=Grey(),
        callbacks=[recorder],
    )
    start = np.random.default_rng(3).uniform(4, 6, (3, 4, 1))
    if seed_input is not None:
        start = 10 * seed_input.mean(-1, keepdims=True)
    expected = slow_grey(start, 2)
    assert pictures.shape == (2, 3, 4, 3) and pictures.dtype == np.float16
    assert len(recorder.heard) == 3
    for step, (_, _, _, gradient, image) in enumerate(recorder.heard):
        assert gradient.shape == (2, 3, 4, 1)
        for sample in range(2):
            np.testing.assert_allclose(
                image[sample], np.repeat(expected[sample][step] / 10, 3, -1), rtol=1e-5
            )
    # A filter that rises at every step is highest at the last.
    np.testing.assert_allclose(
        pictures, np.stack([np.repeat(z[-1] / 10, 3, -1) for z in expected]), rtol=1e-3
    )


def test_the_names() -> None:
    assert sorted(parameterizations.names()) == ["fourier", "maco", "pixels"]
    assert parameterizations.get("pixels") == Pixels()
    assert parameterizations.get("fourier") == Fourier()
    own = Grey()
    assert parameterizations.get(own) is own


def test_an_unknown_name_shows_the_nearest_and_all(model: keras.Model) -> None:
    for get in (
        parameterizations.get,
        lambda name: visualize_activation(model, -1, 0, parameterization=name),
        lambda name: Optimizer(model, [(ActivationMaximization(model.layers[-1], 0), 1)]).minimize(
            parameterization=name
        ),
    ):
        with pytest.raises(
            ModifierError,
            match=r"Unknown parameterization: 'furier'\. Did you mean 'fourier'\?.*names: fourier, maco",
        ):
            get("furier")


@pytest.mark.parametrize("thing", [Fourier, None, 3, lambda canvas: canvas, RandomAffine()])
def test_something_else_is_refused(thing: Any) -> None:
    with pytest.raises(
        ModifierError, match=r"Not a parameterization: it is an object of a subclass of vis\."
    ):
        parameterizations.get(thing)


def test_a_name_of_ones_own(model: keras.Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base._registry, "_objects", dict(base._registry._objects))
    with pytest.raises(ModifierError, match="'fourier' is taken"):
        parameterizations.register("fourier")(Grey())
    parameterizations.register("grey")(Grey())
    settings: dict[str, Any] = {"seed": 0, "max_iter": 2}
    by_name = visualize_activation(model, -1, 0, parameterization="grey", **settings)
    assert np.array_equal(by_name, visualize_activation(model, -1, 0, parameterization=Grey(), **settings))


def test_what_is_to_be_written() -> None:
    class Half(Grey):
        image = Parameterization.image

    with pytest.raises(TypeError, match="abstract"):
        Half()
    with pytest.raises(TypeError, match="abstract"):
        Parameterization()  # type: ignore[abstract]


def test_pixels_are_the_default(model: keras.Model) -> None:
    settings: dict[str, Any] = {"seed": 0, "max_iter": 3}
    pictures = [
        visualize_activation(model, -1, 0, **settings, **how)
        for how in ({}, {"parameterization": "pixels"}, {"parameterization": Pixels()})
    ]
    assert np.array_equal(pictures[0], pictures[1]) and np.array_equal(pictures[0], pictures[2])
    other = visualize_activation(model, -1, 0, **settings, parameterization="fourier")
    assert not np.array_equal(pictures[0], other)


def test_pixels_are_what_keras_vis_changed() -> None:
    canvas = Canvas((1, 30, 40, 3), 3, (-100, 300))
    start = Pixels().start(canvas, np.random.default_rng(0))
    assert start.shape == canvas.shape
    assert start.mean() == pytest.approx(100, abs=2) and start.std() == pytest.approx(20, rel=0.05)
    image = np.random.default_rng(0).normal(size=canvas.shape)
    assert np.array_equal(Pixels().parameters(canvas, image), image)
    assert np.array_equal(np.asarray(Pixels().image(canvas, image)), image)
    np.testing.assert_array_equal(
        Pixels().picture(canvas, image[0]), maps.deprocess_input(image[0], (-100, 300))
    )
    given = Pixels().optimizer()
    assert isinstance(given, keras.optimizers.RMSprop)
    assert float(given.learning_rate) == 1 and given.rho == 0.95
    assert Pixels().transformation is None
    assert len({Pixels(), Pixels(None), Pixels(RandomAffine())}) == 2


@pytest.mark.parametrize(("made_of", "weight"), [("pixels", 10), (Fourier(None), 0), (Grey(), 0)])
def test_who_needs_regularizers(model: keras.Model, made_of: Any, weight: float) -> None:
    image = np.random.default_rng(0).uniform(0.1, 0.9, (3, 4, 3))

    def heard(**weights: float) -> tuple[dict[str, float], float]:
        recorder = Recorder()
        visualize_activation(
            model,
            -1,
            0,
            seed_input=image,
            input_range=(0.0, 1.0),
            max_iter=1,
            seed=0,
            parameterization=made_of,
            callbacks=[recorder],
            **weights,
        )
        ((_, named, overall, _, _),) = recorder.heard
        return dict(named), overall

    everything, overall = heard(lp_norm_weight=2, tv_weight=3)
    activation, norm, variation = everything.values()
    assert norm > 0 and variation > 0
    assert overall == pytest.approx(activation + 2 * norm + 3 * variation, rel=1e-5)
    _, overall = heard()
    assert overall == pytest.approx(activation + weight * (norm + variation), rel=1e-5)
    _, overall = heard(lp_norm_weight=10.0)
    assert overall == pytest.approx(activation + 10 * norm + weight * variation, rel=1e-5)


def test_a_canvas() -> None:
    canvas = Canvas((2, 3, 4, 5), 1, (0, 255))
    assert canvas.image_axes == [2, 3]
    assert Canvas((2, 3, 4, 5), 3, (0, 255)).image_axes == [1, 2]
    assert Canvas((2, 3), 1, (0, 255)).image_axes == []
    assert (canvas.low, canvas.high) == (0.0, 255.0) and isinstance(canvas.low, float)
    assert (Canvas((2, 3), 1, None).low, Canvas((2, 3), 1, None).high) == (-1.0, 1.0)
    assert canvas == Canvas((2, 3, 4, 5), 1, (0, 255)) != Canvas((2, 3, 4, 5), 1, (0, 1))
