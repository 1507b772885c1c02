"""Models that draw random numbers: one draw, the same for a sample whatever its neighbours, and said."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, ops

import vis
from tests.reliability.scale import NIGHTLY
from vis.attributions import GradCAM, IntegratedGradients, Occlusion, Saliency, SmoothGrad
from vis.errors import RandomWarning

X = np.random.default_rng(0).normal(size=(4, 5)).astype(np.float32)


class Sampling(layers.Layer):
    """The sampling layer of a variational autoencoder: `mean + exp(log variance / 2) noise`."""

    def __init__(self, draw: Callable[[Any, Any], Any]) -> None:
        super().__init__(name="sampling")
        self.draw, self.seed_generator = draw, keras.random.SeedGenerator(1337)

    def call(self, inputs: Any) -> Any:
        mean, log_variance = inputs
        noise = ops.cast(self.draw(ops.shape(mean), self.seed_generator), mean.dtype)
        return mean + ops.exp(0.5 * log_variance) * noise


@tf.function  # type: ignore[untyped-decorator]
def drawn_inside(shape: Any) -> Any:
    return tf.random.normal(shape)


GENERATOR = tf.random.Generator.from_seed(3)
DRAWS: dict[str, Callable[[Any, Any], Any]] = {
    "keras.random.normal": lambda shape, seed: keras.random.normal(shape, seed=seed),
    "keras.random without a seed": lambda shape, _: keras.random.uniform(shape),
    "keras.random.truncated_normal": lambda shape, seed: keras.random.truncated_normal(shape, seed=seed),
    "keras.random.randint": lambda shape, seed: keras.random.randint(shape, 0, 9, seed=seed),
    "keras.random.dropout": lambda shape, seed: keras.random.dropout(ops.ones(shape), 0.5, seed=seed),
    "keras.random.shuffle": lambda shape, seed: keras.random.shuffle(ops.ones(shape) * X[0], 1, seed),
    "keras.random.gamma": lambda shape, seed: keras.random.gamma(shape, 2.0, seed=seed),
    "tf.random.normal": lambda shape, _: tf.random.normal(shape),
    "tf.random.normal with a seed": lambda shape, _: tf.random.normal(shape, seed=5),
    "tf.random.uniform": lambda shape, _: tf.random.uniform(shape),
    "tf.random.uniform of integers": lambda shape, _: tf.random.uniform(shape, 0, 9, tf.int32),
    "tf.random.truncated_normal": lambda shape, _: tf.random.truncated_normal(shape),
    "tf.random.gamma": lambda shape, _: tf.random.gamma(shape, 2.0),
    "tf.random.poisson": lambda shape, _: tf.random.poisson(shape, 2.0),
    "tf.nn.dropout": lambda shape, _: tf.nn.dropout(tf.ones(shape), 0.5),
    "tf.random.categorical": lambda shape, _: tf.random.categorical(tf.zeros(shape), 5),
    "tf.random.stateless_normal": lambda shape, _: tf.random.stateless_normal(shape, [1, 2]),
    "a generator of TensorFlow": lambda shape, _: GENERATOR.normal(shape),
}


def sampling_model(draw: Callable[[Any, Any], Any], batch: int | None = None) -> Any:
    entry = keras.Input((5,), batch_size=batch)
    mean = layers.Dense(5, "tanh", name="mean")(entry)
    sample = Sampling(draw)([mean, layers.Dense(5, name="log_variance")(entry)])
    return keras.Model(entry, layers.Dense(3, name="end")(sample), name="vae")


@pytest.fixture(autouse=True)
def seeded() -> None:
    keras.utils.set_random_seed(2)


# Where the number of samples is a constant: one draw of each sort.
FIXED = (
    "keras.random.normal",
    "tf.random.normal",
    "tf.random.uniform of integers",
    "a generator of TensorFlow",
)


@pytest.mark.parametrize(
    ("name", "batch"),
    [*((name, None) for name in DRAWS), *((name, 3) for name in (DRAWS if NIGHTLY else FIXED))],
)
def test_a_sample_gets_the_same_draw_whatever_its_neighbours(name: str, batch: int | None) -> None:
    if batch and name == "tf.random.stateless_normal":
        pytest.skip("with a fixed seed and a fixed shape it is a constant of the model")
    model = sampling_model(DRAWS[name], batch)
    explainer = Saliency(model, reducer=None)
    with pytest.warns(RandomWarning, match=r"'vae' draws random numbers .*sampling.* one fixed draw"):
        maps = explainer.explain(X, 1)
    assert maps.any(axis=1).all()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RandomWarning)
        model(X[:3])  # moves the seeds that the model keeps
        np.testing.assert_array_equal(explainer.explain(X, 1), maps)
        np.testing.assert_array_equal(explainer.explain(X[::-1], 1)[::-1], maps)
        np.testing.assert_array_equal(np.concatenate([explainer.explain(x[None], 1) for x in X]), maps)
        again = Saliency(model, reducer=None, batch_size=2).explain(X, 1)
        np.testing.assert_array_equal(again, maps)
        wanted = (maps[2] - maps[2].min()) / (maps[2].max() - maps[2].min())
        found = vis.visualize_saliency(model, "end", 1, X[2])
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)
        scores = explainer.score.values([X], np.eye(3, dtype=np.float32)[[1] * 4])
        np.testing.assert_array_equal(explainer.score.values([X[2:3]], np.eye(3)[[1]]), scores[2:3])
        np.testing.assert_array_equal(explainer.score.outputs([X])[:, 1], scores)


class MonteCarlo(layers.Dropout):
    """Dropout that never stops."""

    def call(self, x: Any, training: Any = None) -> Any:
        return super().call(x, training=True)


def test_all_methods_warn() -> None:
    entry = keras.Input((6, 6, 2))
    hidden = layers.Conv2D(3, 3, activation="relu", name="conv")(entry)
    dropped = MonteCarlo(0.5, name="mc")(hidden)
    model = keras.Model(entry, layers.Dense(2)(layers.Flatten()(dropped)))
    x = np.random.default_rng(0).normal(size=(2, 6, 6, 2)).astype(np.float32)
    for explainer in (
        Saliency(model),
        GradCAM(model, conv_layer="conv"),
        IntegratedGradients(model, steps=2),
        SmoothGrad(model),
        Occlusion(model, patch_size=3),
    ):
        with pytest.warns(RandomWarning, match="mc"):
            maps = explainer.explain(x, 1)
        with pytest.warns(RandomWarning, match="mc"):
            np.testing.assert_array_equal(explainer.explain(x[1:], 1), maps[1:])
    with pytest.warns(RandomWarning, match="mc"):
        vis.visualize_cam(model, -1, 0, x[0], "conv")
    with pytest.warns(RandomWarning, match="mc"):
        one = vis.visualize_activation(model, -1, 0, max_iter=3, seed=0, backprop_modifier="guided")
    with pytest.warns(RandomWarning, match="mc"):
        again = vis.visualize_activation(model, -1, 0, max_iter=3, seed=0, backprop_modifier="guided")
    np.testing.assert_array_equal(one, again)


def test_completeness_of_one_draw() -> None:
    """With one draw the score is a function: integrated gradients sum to its difference."""
    model = sampling_model(DRAWS["tf.random.normal"])
    explainer = IntegratedGradients(model, reducer=None, steps=200)
    with pytest.warns(RandomWarning):
        found = explainer.explain(X, 0).sum(axis=1)
        targets = np.eye(3, dtype=np.float32)[[0] * 4]
        values = [explainer.score.values([x], targets) for x in (X, np.zeros_like(X))]
    np.testing.assert_allclose(found, values[0] - values[1], rtol=1e-3, atol=1e-3)


def quiet_models() -> dict[str, Any]:
    entry = keras.Input((5,))
    model = sampling_model(DRAWS["keras.random.normal"])
    fixed = layers.Lambda(lambda x: x @ tf.random.stateless_normal([5, 5], [1, 2]), output_shape=(5,))
    shape = layers.Lambda(lambda x: x * ops.cast(ops.shape(tf.random.normal(tf.shape(x)))[1], x.dtype))
    return {
        "dropout at inference": keras.Sequential([keras.Input((5,)), layers.Dropout(0.5), layers.Dense(3)]),
        "noise at inference": keras.Sequential(
            [keras.Input((5,)), layers.GaussianNoise(1.0), layers.AlphaDropout(0.2), layers.Dense(3)]
        ),
        "numbers that are always the same": keras.Model(entry, layers.Dense(3)(fixed(entry))),
        "only their shape": keras.Model(entry, layers.Dense(3)(shape(entry))),
        "before them": keras.Model(model.input, model.get_layer("mean").output),
        "beside them": model,
    }


@pytest.mark.parametrize("kind", quiet_models())
def test_what_does_not_depend_on_a_draw_is_as_ever(kind: str) -> None:
    model = quiet_models()[kind]
    layer = "mean" if kind == "beside them" else None
    explainer = Saliency(model, layer)
    assert explainer.explain(X, 1).shape == X.shape
    targets = np.zeros((4, 3 if layer is None and kind != "before them" else 5), np.float32)
    score = explainer.score
    assert not score._trace(("gradient",), score.specs([X]), targets, None).compiled.draws


def test_what_cannot_be_fixed_is_said() -> None:
    model = sampling_model(lambda shape, _: drawn_inside(shape))
    with pytest.warns(RandomWarning, match=r"RandomStandardNormal inside .*new numbers at each call"):
        Saliency(model).explain(X, 1)
