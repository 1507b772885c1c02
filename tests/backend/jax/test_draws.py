"""Models that draw random numbers on JAX: one draw for a sample, whatever its neighbours, and said."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from typing import Any

import jax
import keras
import numpy as np
import pytest
from keras import layers, ops

from tests.backend.jax.compiling import Compiled
from vis import backend
from vis.attributions import Saliency
from vis.errors import RandomWarning

X = np.random.default_rng(0).normal(size=(4, 5)).astype(np.float32)


class Sampling(layers.Layer):
    """The sampling layer of a variational autoencoder: `mean + exp(log variance / 2) noise`."""

    def __init__(self, draw: Callable[[Any, Any], Any]) -> None:
        super().__init__(name="sampling")
        self.draw, self.seed_generator = draw, keras.random.SeedGenerator(1337)

    def compute_output_shape(self, shapes: Any) -> Any:
        return shapes[0]

    def call(self, inputs: Any) -> Any:
        mean, log_variance = inputs
        noise = ops.cast(self.draw(ops.shape(mean), self.seed_generator), mean.dtype)
        return mean + ops.exp(0.5 * log_variance) * noise


def scanned(shape: Any, seed: Any) -> Any:
    """Draw in a loop."""
    return jax.lax.scan(lambda key, _: (key, jax.random.normal(key, shape)), seed.next(), length=2)[1][0]


DRAWS: dict[str, Callable[[Any, Any], Any]] = {
    "normal": lambda shape, seed: keras.random.normal(shape, seed=seed),
    "truncated_normal": lambda shape, seed: keras.random.truncated_normal(shape, seed=seed),
    "randint": lambda shape, seed: keras.random.randint(shape, 0, 9, seed=seed),
    "dropout": lambda shape, seed: keras.random.dropout(ops.ones(shape), 0.5, seed=seed),
    "shuffle": lambda shape, seed: keras.random.shuffle(ops.ones(shape) * X[0], 1, seed),
    "gamma": lambda shape, seed: keras.random.gamma(shape, 2.0, seed=seed),
    "categorical": lambda shape, seed: keras.random.categorical(ops.zeros(shape), 5, seed=seed),
    "a key of one's own": lambda shape, _: jax.random.normal(jax.random.key(time.time_ns() % 1000), shape),
    "in a loop": scanned,
}


def sampling_model(draw: Callable[[Any, Any], Any]) -> Any:
    entry = keras.Input((5,))
    mean = layers.Dense(5, "tanh", name="mean")(entry)
    sample = Sampling(draw)([mean, layers.Dense(5, name="log_variance")(entry)])
    return keras.Model(entry, layers.Dense(3, name="end")(sample), name="vae")


@pytest.mark.parametrize("name", DRAWS)
def test_a_sample_gets_the_same_draw_whatever_its_neighbours(name: str) -> None:
    keras.utils.set_random_seed(2)
    model = sampling_model(DRAWS[name])
    explainer = Saliency(model, reducer=None)
    with pytest.warns(RandomWarning, match=r"'vae' draws random numbers .*sampling.* one fixed draw"):
        maps = explainer.explain(X, 1)
    assert maps.any(axis=1).all()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RandomWarning)
        model(X[:3])  # moves the seeds that the model keeps
        np.testing.assert_array_equal(explainer.explain(X[::-1], 1)[::-1], maps)
        np.testing.assert_array_equal(np.concatenate([explainer.explain(x[None], 1) for x in X]), maps)


def test_two_draws_from_two_seeds_differ_and_new_traces_draw_the_same() -> None:
    seeds = [keras.random.SeedGenerator(1), keras.random.SeedGenerator(1)]

    def forward(tensors: list[Any]) -> Any:
        drawn = [keras.random.normal((1, 5), seed=seed) for seed in seeds]
        return backend.Traced(ops.sum(tensors[0] * drawn[0]), [tensors[0]], drawn)

    first, second = (Compiled(forward, [backend.Spec((None, 5), "float32")]) for _ in range(2))
    one, other = first([X]).values
    assert not np.array_equal(one, other)
    seeds[0].next()
    for again in (first, second):
        np.testing.assert_array_equal(again([X]).values, [one, other])


def test_what_does_not_depend_on_a_draw_is_as_ever() -> None:
    seed = keras.random.SeedGenerator(1)
    key = jax.random.key(3)

    def forward(tensors: list[Any]) -> Any:
        keras.random.normal((5,), seed=seed)  # beside the loss
        always = jax.random.normal(key, (5,))  # the same for all samples
        return backend.Traced(ops.sum(tensors[0] * always), [tensors[0]])

    compiled = Compiled(forward, [backend.Spec((None, 5), "float32")])
    assert compiled.gradient.draws == ()
    np.testing.assert_array_equal(compiled([X]).gradients[0][0], jax.random.normal(key, (5,)))
