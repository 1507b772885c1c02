"""Expected gradients against a loop over the draws, and what they tend to."""

import keras
import numpy as np
import pytest
from keras import layers

from tests import native
from vis.attributions import GradientShap, IntegratedGradients
from vis.errors import InputError


def random(*shape: int, seed: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


@pytest.fixture(scope="module")
def network() -> keras.Model:
    keras.utils.set_random_seed(5)
    return keras.Sequential(
        [layers.Input((3, 4, 2)), layers.Conv2D(3, 2, activation="tanh"), layers.Flatten(), layers.Dense(3)]
    )


def slow(
    model: keras.Model, x: np.ndarray, references: np.ndarray, index: int, draws: int, noise: float, seed: int
) -> np.ndarray:
    """The mean over the draws, one sample, one point at a time."""
    total = np.zeros(x.shape)
    for k in range(draws):
        rng = np.random.default_rng([seed, k])
        reference = references[rng.integers(len(references))]
        share = rng.random()
        noisy = x + noise * np.random.default_rng([seed, k, 0]).standard_normal(x.shape)
        at = (reference + share * (noisy - reference))[None].astype(np.float32)
        gradient = native.gradient(lambda at: model(at)[0, index], at)[0]
        total += (noisy - reference) * gradient / draws
    return total


@pytest.mark.parametrize("noise", [0.0, 0.3])
@pytest.mark.parametrize("batch_size", [16, 3, None])
def test_agrees_with_the_oracle(network: keras.Model, noise: float, batch_size: int | None) -> None:
    x, labels, references = random(3, 3, 4, 2), [0, 2, 1], random(4, 3, 4, 2, seed=8)
    explainer = GradientShap(
        network, references, None, batch_size, reducer=None, nb_samples=7, noise=noise, seed=2
    )
    pairs = zip(x, labels, strict=True)
    expected = np.stack([slow(network, one, references, label, 7, noise, 2) for one, label in pairs])
    assert np.abs(expected).max() > 0.1
    found = explainer.explain(x, labels)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(explainer(x[1:2], labels[1]), found[1:2], rtol=1e-4, atol=1e-6)


def test_a_linear_model_gives_weights_times_the_way() -> None:
    model = keras.Sequential([layers.Input((4,)), layers.Dense(2)])
    x, x0 = random(3, 4), random(1, 4, seed=8)
    kernel = np.asarray(model.layers[0].kernel)[:, 1]
    explainer = GradientShap(model, x0, nb_samples=3)
    np.testing.assert_allclose(explainer(x, 1), (x - x0) * kernel, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(explainer.residuals(x, 1), 0, atol=1e-5)


def test_many_draws_from_one_baseline_tend_to_integrated_gradients(network: keras.Model) -> None:
    x, x0 = random(2, 3, 4, 2), random(1, 3, 4, 2, seed=8)
    found = GradientShap(network, x0, batch_size=200, reducer=None, nb_samples=800)(x, 1)
    expected = IntegratedGradients(network, baseline=x0[0], reducer=None)(x, 1)
    assert np.linalg.norm(found - expected) < 0.03 * np.linalg.norm(expected)


def test_the_seed_and_the_noise_make_a_difference(network: keras.Model) -> None:
    x, references = random(2, 3, 4, 2), random(4, 3, 4, 2, seed=8)
    made = [
        GradientShap(network, references, nb_samples=3, **options)(x, 1)
        for options in ({}, {}, {"seed": 1}, {"noise": 0.1})
    ]
    np.testing.assert_array_equal(made[0], made[1])
    for other in made[2:]:
        assert np.abs(other - made[0]).max() > 1e-3


def test_masked_steps_stay_masked() -> None:
    keras.utils.set_random_seed(0)
    entry = keras.Input((6, 2))
    x = layers.Dense(5, activation="relu")(layers.Masking()(entry))
    model = keras.Model(entry, layers.Dense(3)(layers.GlobalAveragePooling1D()(x)))
    x = random(2, 6, 2)
    x[0, 4:] = 0
    found = GradientShap(model, random(3, 6, 2), nb_samples=5, noise=0.2)(x, 1)
    assert not found[0, 4:].any() and found[0, :4].any() and found[1].any()


def test_tokens_by_their_embedding() -> None:
    keras.utils.set_random_seed(0)
    tokens = keras.Input((5,), dtype="int32")
    x = layers.Embedding(20, 4, name="embedding")(tokens)
    model = keras.Model(tokens, layers.Dense(3)(layers.Flatten()(layers.Dense(5, "tanh")(x))))
    explainer = GradientShap(model, random(3, 5, 4), nb_samples=400, batch_size=200, wrt="embedding")
    x = np.array([[3, 7, 1, 2, 5]])
    assert explainer(x, 1).shape == (1, 5, 1)
    assert abs(explainer.residuals(x, 1)[0]) < 0.2


def test_wrong_calls(network: keras.Model) -> None:
    references = np.zeros((2, 3, 4, 2))
    for options, said in (
        ({"nb_samples": 0}, "nb_samples must be an integer >= 1"),
        ({"noise": -1}, "noise must be a standard deviation"),
        ({"noise": float("inf")}, "noise must be a standard deviation"),
        ({"seed": -1}, "seed must be an integer >= 0"),
    ):
        with pytest.raises(InputError, match=said):
            GradientShap(network, references, **options)
    with pytest.raises(InputError, match="The baselines must be several inputs"):
        GradientShap(network, references[0])
    with pytest.raises(InputError, match="The baselines must be one or several inputs"):
        GradientShap(network, 0.5)
