"""What all explanations by scores alone share: baselines, masks, batches, functions instead of models."""

from __future__ import annotations

import itertools
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops

from tests import native
from vis.attributions import (
    FeatureAblation,
    HsicAttribution,
    IntegratedGradients,
    KernelShap,
    Lime,
    Occlusion,
    Rise,
    Saliency,
    SobolAttribution,
    wrapped,
)
from vis.errors import InputError, ModelError
from vis.metrics import deletion, infidelity

# Where zeros are right, a warning about them is beside the point.
pytestmark = pytest.mark.filterwarnings("ignore::vis.errors.EmptyMapWarning")
KINDS: dict[str, Any] = {
    "FeatureAblation": FeatureAblation,
    "Occlusion": lambda model, baseline=0.0, **options: Occlusion(
        model, patch_size=2, occlusion_value=baseline, **options
    ),
    "Rise": lambda model, **options: Rise(model, nb_samples=7, grid_size=3, **options),
    "Lime": lambda model, **options: Lime(model, nb_samples=9, **options),
    "KernelShap": lambda model, **options: KernelShap(model, nb_samples=150, **options),
    "SobolAttribution": lambda model, **options: SobolAttribution(model, nb_design=4, **options),
    "HsicAttribution": lambda model, **options: HsicAttribution(model, nb_design=9, **options),
}


def random(*shape: int, seed: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def build(*shape: int) -> keras.Model:
    keras.utils.set_random_seed(5)
    return keras.Sequential([layers.Input(shape), layers.Flatten(), layers.Dense(5, "tanh"), layers.Dense(3)])


MODELS = {shape: build(*shape) for shape in [(6,), (5, 2), (6, 5, 3)]}


def by_numpy(model: keras.Model) -> Any:
    """Return the same function in NumPy."""
    (a, b), (c, d) = [layer.get_weights() for layer in model.layers[-2:]]
    return lambda x: np.tanh(x.reshape(len(x), -1) @ a + b) @ c + d


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", MODELS, ids=str)
def test_a_function_is_explained_like_a_model(kind: str, shape: tuple[int, ...]) -> None:
    model, x = MODELS[shape], random(4, *shape)
    expected = KINDS[kind](model).explain(x, [2, 0, 1, 1])
    for function in (by_numpy(model), wrapped(by_numpy(model), shape)):
        found = KINDS[kind](function).explain(x, [2, 0, 1, 1])
        assert found.shape == expected.shape
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    predicted = KINDS[kind](by_numpy(model)).explain(x)
    np.testing.assert_allclose(predicted, KINDS[kind](model).explain(x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("batch_size", [1, 3, 64, None])
def test_a_map_depends_on_neither_the_batch_nor_its_neighbours(kind: str, batch_size: int | None) -> None:
    model, x = MODELS[(6, 5, 3)], random(5, 6, 5, 3)
    expected = np.concatenate([KINDS[kind](model)(x[i : i + 1], 1) for i in range(5)])
    found = KINDS[kind](model, batch_size=batch_size).explain(x, 1)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_the_model_is_given_no_more_than_batch_size(kind: str) -> None:
    seen: list[int] = []

    def function(x: np.ndarray) -> np.ndarray:
        seen.append(len(x))
        return x.sum(axis=(1, 2), keepdims=True)[:, 0]

    KINDS[kind](function, batch_size=4).explain(random(6, 6, 2), 0)
    assert max(seen) <= 6 and seen.count(4) > 2  # six are predicted once, as they come


@pytest.mark.parametrize("kind", KINDS)
def test_a_layers_output_is_perturbed(kind: str) -> None:
    """Explaining a layer is explaining the model above it, its output in place of the input."""
    entry = layers.Input((6, 5, 2))
    inner = layers.Conv2D(4, 3, activation="tanh", name="inner")(entry)
    model = keras.Model(entry, layers.Dense(3)(layers.Flatten()(inner)))
    lower = keras.Model(entry, inner)
    start = layers.Input((4, 3, 4))
    upper = keras.Model(start, model.layers[-1](model.layers[-2](start)))
    x = random(2, 6, 5, 2)
    features = native.array(lower(x))
    expected = KINDS[kind](upper, baseline=0.5).explain(features, 2)
    found = KINDS[kind](model, baseline=0.5, wrt="inner").explain(x, 2)
    assert found.shape == (2, 4, 3, 1)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_tokens_are_explained_by_what_embeds_them() -> None:
    model = keras.Sequential(
        [layers.Input((3,), dtype="int32"), layers.Embedding(5, 2), layers.Flatten(), layers.Dense(1)]
    )
    with pytest.raises(InputError, match=r"need inputs of real numbers.*wrt="):
        Rise(model, nb_samples=2)(np.ones((1, 3)), 0)
    found = FeatureAblation(model, wrt=0)(np.array([[4, 0, 2]]), 0)
    assert found.shape == (1, 3, 1)
    table, kernel = (layer.get_weights()[0] for layer in (model.layers[0], model.layers[-1]))
    expected = (table[[4, 0, 2]] * kernel.reshape(3, 2)).sum(axis=1)
    np.testing.assert_allclose(found[0, :, 0], expected, rtol=1e-4, atol=1e-6)
    replaced = FeatureAblation(model, baseline=1)(np.array([[4, 0, 2]]), 0)
    np.testing.assert_allclose(
        replaced[0], expected - (table[1] * kernel.reshape(3, 2)).sum(axis=1), rtol=1e-4, atol=1e-6
    )


def test_only_whole_tokens_are_taken_out() -> None:
    """The embedding of 4, 0, 2 is all that a linear model sees: Shapley values are those of its parts."""
    model = keras.Sequential(
        [layers.Input((3,), dtype="int32"), layers.Embedding(5, 2), layers.Flatten(), layers.Dense(1)]
    )
    given = np.array([[4, 0, 2]])
    expected = FeatureAblation(model, baseline=1)(given, 0)
    np.testing.assert_allclose(KernelShap(model, baseline=1)(given, 0), expected, rtol=1e-4, atol=1e-6)
    near = Lime(model, baseline=1, alpha=1e-9)(given, 0)
    np.testing.assert_allclose(near, expected, rtol=1e-4, atol=1e-6)
    assert HsicAttribution(model, baseline=1)(given, 0).argmax() == np.abs(expected).argmax()
    for kind in (SobolAttribution, lambda model: HsicAttribution(model, binary=False)):
        with pytest.raises(InputError, match=r"need inputs of real numbers.*wrt="):
            kind(model)(given, 0)


def test_strings_may_be_taken_out() -> None:
    found = FeatureAblation(lambda x: np.vectorize(len)(x).sum(axis=1, keepdims=True), baseline="")(
        np.array([["a", "word"], ["", "is"]], object), 0
    )
    assert found.tolist() == [[1, 4], [0, 2]]


def test_several_inputs_of_a_function() -> None:
    function = wrapped(
        lambda given: given["a"].sum(1, keepdims=True) * given["b"].sum(1, keepdims=True),
        {"a": (2,), "b": (None,)},
    )
    x = {"a": np.array([[1.0, 2]]), "b": np.array([[3.0, 4, 5]])}
    found = FeatureAblation(function, baseline={"a": 0, "b": [1, 1, 1]})(x, 0)
    assert found["a"].tolist() == [[12, 24]]
    assert found["b"].tolist() == [[6, 9, 12]]


def test_baselines() -> None:
    model = keras.Sequential([layers.Input((2,)), layers.Dense(1)])
    model.set_weights([np.array([[1.0], [10]]), np.zeros(1)])
    x = np.array([[3.0, 4], [5, 6]])
    for baseline, expected in [
        (0, [[3, 40], [5, 60]]),
        (1.0, [[2, 30], [4, 50]]),
        ([1, 2], [[2, 20], [4, 40]]),
        (lambda batch: batch / 2, [[1.5, 20], [2.5, 30]]),
    ]:
        np.testing.assert_allclose(FeatureAblation(model, baseline=baseline)(x, 0), expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("baseline", "words"),
    [
        ("grey", "must be a finite number"),
        (None, "must be a finite number"),
        (float("inf"), "must be a finite number"),
        (np.zeros(3), r"the shape of one input, \(6,\), .* Received: the shape \(3,\)"),
        (lambda batch: batch[:, :3], r"of the inputs, \(2, 6\), .* Received: the shape \(2, 3\)"),
        (lambda batch: batch * np.nan, "must be a finite number"),
    ],
)
def test_a_wrong_baseline_is_named(baseline: Any, words: str) -> None:
    with pytest.raises(InputError, match=words):
        FeatureAblation(MODELS[(6,)], baseline=baseline)(random(2, 6), 0)


def test_text_for_a_function_of_numbers() -> None:
    with pytest.raises(InputError, match=r"must be a finite number, one input, .* of type float"):
        FeatureAblation(lambda x: x, baseline="grey")(random(2, 6), 0)


def test_a_function_must_fit() -> None:
    with pytest.raises(InputError, match=r"must return a row for each sample, \(1, \.\.\.\).*\(6,\)"):
        FeatureAblation(lambda x: x[0])(random(2, 6), 0)
    with pytest.raises(InputError, match="What the function 'words' returns must be an array of real"):

        def words(x: np.ndarray) -> list[str]:
            return ["a"] * len(x)

        FeatureAblation(words)(random(2, 6), 0)
    for wrong in (layers.Dense(2), int, "model.keras"):
        with pytest.raises(ModelError, match="Expected a"):
            wrapped(wrong)  # type: ignore[arg-type]
    with pytest.raises(ModelError, match="has no layers and no gradient"):
        Saliency(by_numpy(MODELS[(6,)]))


def test_a_function_keeps_the_type_of_its_inputs() -> None:
    seen = []

    def function(x: np.ndarray) -> np.ndarray:
        seen.append(x.dtype)
        return x[:, :1]

    for dtype in ("float64", "int32", "float32"):
        FeatureAblation(function)(np.ones((1, 2), dtype), 0)
        assert {*map(str, seen)} == {dtype}
        seen.clear()
    FeatureAblation(wrapped(function, dtype="float32"))(np.ones((1, 2)), 0)
    assert {*map(str, seen)} == {"float32"}


def test_measures_take_functions() -> None:
    model, x, maps = MODELS[(5, 2)], random(3, 5, 2), random(3, 5, 2, seed=4)
    expected = deletion(model, x, maps, steps=4).scores
    np.testing.assert_allclose(deletion(by_numpy(model), x, maps, steps=4).scores, expected, rtol=1e-4)


def test_an_operator_of_ones_own_scores_a_function() -> None:
    def spread(model: Any, inputs: Any, targets: Any) -> Any:
        return ops.std(model(inputs), axis=-1)

    model, x = MODELS[(6,)], random(3, 6)
    expected = FeatureAblation(model, operator=spread)(x)
    np.testing.assert_allclose(FeatureAblation(by_numpy(model), operator=spread)(x), expected, rtol=1e-4)


def test_masked_steps_stay() -> None:
    """Whatever is taken out, what the model masks is neither changed nor attributed to."""
    entry = layers.Input((None, 2))
    model = keras.Model(entry, layers.Dense(2)(layers.GlobalAveragePooling1D()(layers.Masking()(entry))))
    x = random(2, 4, 2)
    x[0, 2:], x[1, :1] = 0, 0
    for kind, baseline in itertools.product(KINDS, (0.0, 0.7)):
        found = KINDS[kind](model, baseline=baseline)(x, 1)
        assert not found[0, 2:].any() and not found[1, :1].any()
    alone = FeatureAblation(model, baseline=0.7)(x[:1, :2], 1)
    found = FeatureAblation(model, baseline=0.7)(x, 1)
    np.testing.assert_allclose(found[0, :2], alone[0], rtol=1e-4, atol=1e-6)


def doubled(x: np.ndarray) -> np.ndarray:
    """Changes what it gets."""
    x *= 2
    return x


@pytest.mark.parametrize("kind", KINDS)
def test_functions_may_change_what_they_get(kind: str) -> None:
    """Neither the caller's arrays nor later scores change with it."""
    x = random(3, 6)
    given, expected = x.copy(), KINDS[kind](lambda x: 2 * x)(x, 1)
    for _ in range(2):
        np.testing.assert_allclose(KINDS[kind](doubled)(given, 1), expected, rtol=1e-5, atol=1e-6)
    found = KINDS[kind](lambda x: 2 * x, baseline=doubled)(given, 1)
    wanted = KINDS[kind](lambda x: 2 * x, baseline=lambda x: 2 * x)(x, 1)
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(given, x)


def test_functions_of_options_may_change_what_they_get() -> None:
    x, model = random(3, 6), MODELS[(6,)]
    given = x.copy()
    FeatureAblation(model, features=lambda x: np.round(doubled(x)).astype(int))(given, 1)
    IntegratedGradients(model, baseline=doubled, steps=2)(given, 1)
    deletion(model, given, x, baseline=doubled, steps=2)
    infidelity(model, given, x, perturbation=lambda x, random: doubled(x), nb_samples=2)
    np.testing.assert_array_equal(given, x)
