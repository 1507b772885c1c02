"""SmoothGrad, SquareGrad and VarGrad against a loop over the same noise, and their properties."""

from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from tests import native
from vis.attributions import (
    GradCAM,
    GradientExplainer,
    GradientInput,
    IntegratedGradients,
    Occlusion,
    Saliency,
    Smoothed,
    SmoothGrad,
    SquareGrad,
    VarGrad,
)
from vis.errors import InputError

# Where zeros are right, a warning about them is beside the point.
pytestmark = pytest.mark.filterwarnings("ignore::vis.errors.EmptyMapWarning")


def random(*shape: int, seed: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


@pytest.fixture(scope="module")
def network() -> keras.Model:
    keras.utils.set_random_seed(5)
    return keras.Sequential(
        [
            layers.Input((6, 5, 2)),
            layers.Conv2D(3, 2, activation="tanh"),
            layers.Flatten(),
            layers.Dense(3),
        ]
    )


def noise(sample: np.ndarray, number: int, scale: float, seed: int = 0, which: int = 0) -> np.ndarray:
    """The noise of one copy of a sample, a fraction of its range."""
    drawn = np.random.default_rng([seed, number, which]).standard_normal(sample.shape, np.float32)
    return scale * (sample.max() - sample.min()) * drawn


def noisy(x: np.ndarray, number: int, scale: float, which: int = 0) -> np.ndarray:
    return np.stack([sample + noise(sample, number, scale, which=which) for sample in x])


def derivative(model: Any, x: np.ndarray, label: int) -> np.ndarray:
    return native.gradient(lambda entry: model(entry)[0, label], x[None])[0].astype(np.float64)


def statistic(kind: Any, maps: list[np.ndarray]) -> np.ndarray:
    n = len(maps)
    mean = sum(maps) / n
    if kind is SmoothGrad:
        return mean
    if kind is SquareGrad:
        return sum(a**2 for a in maps) / n
    return sum((a - mean) ** 2 for a in maps) / (n - 1)


KINDS = [SmoothGrad, SquareGrad, VarGrad]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("batch_size", [64, 7, 2, None])
def test_agrees_with_a_loop_over_the_same_noise(
    network: keras.Model, kind: Any, batch_size: int | None
) -> None:
    x, labels = random(3, 6, 5, 2), [0, 2, 1]
    expected = np.stack(
        [
            statistic(kind, [derivative(network, sample + noise(sample, k, 0.5, 4), label) for k in range(5)])
            for sample, label in zip(x, labels, strict=True)
        ]
    )
    explainer = kind(network, nb_samples=5, noise=0.5, seed=4, reducer=None, batch_size=batch_size)
    found = explainer.explain(x, labels)
    assert found.dtype == np.float32 and found.shape == x.shape
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-5 * np.abs(expected).max())
    mean = kind(network, nb_samples=5, noise=0.5, seed=4).explain(x, labels)
    np.testing.assert_allclose(mean, expected.mean(-1, keepdims=True), rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "inner",
    [
        lambda m: IntegratedGradients(m, steps=3, baseline=0.3, reducer=None),
        lambda m: GradCAM(m),
        lambda m: Saliency(m),
        lambda m: GradientInput(m, reducer="sum"),
        lambda m: Occlusion(m, patch_size=2),
    ],
    ids=["integrated", "cam", "saliency", "gradient input", "occlusion"],
)
def test_of_another_explainer(network: keras.Model, kind: Any, inner: Any) -> None:
    x, labels = random(2, 6, 5, 2), [0, 2]
    explainer = inner(network)
    reducer, explainer.reducer = explainer.reducer, None
    maps = [explainer.explain(noisy(x, k, 0.4), labels).astype(np.float64) for k in range(4)]
    expected = statistic(kind, maps)
    if reducer is not None:
        expected = getattr(expected, reducer)(axis=-1, keepdims=True)
    found = kind(inner(network), nb_samples=4, noise=0.4).explain(x, labels)
    assert np.abs(expected).max() > 0
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-5 * np.abs(expected).max())


def test_a_linear_score_by_hand() -> None:
    model = keras.Sequential([layers.Input((2,)), layers.Dense(1)])
    model.set_weights([np.array([[3], [-2]]), np.zeros(1)])
    assert SmoothGrad(model)([[1, 1]], 0).tolist() == [[3, -2]]
    np.testing.assert_allclose(SquareGrad(model)([[1, 1]], 0), [[9, 4]], rtol=1e-6)
    np.testing.assert_allclose(VarGrad(model)([[1, 1]], 0), [[0, 0]], atol=1e-6)


def test_the_variance_of_a_square_is_that_of_the_noise() -> None:
    """The gradient of x^2 / 2 is x, so that its variance over noisy copies is noise^2."""
    entry = keras.Input((50,))
    model = keras.Model(entry, keras.ops.sum(keras.ops.square(entry), axis=-1, keepdims=True) / 2)
    x = random(1, 50)
    for scale, unit in (("absolute", 1), ("range", np.ptp(x))):
        options: dict[str, Any] = {"nb_samples": 400, "noise": 0.3 / unit, "noise_scale": scale}
        found = VarGrad(model, **options)(x, 0)
        np.testing.assert_allclose(found.mean(), 0.09, rtol=0.05)
        np.testing.assert_allclose(SmoothGrad(model, **options)(x, 0), x, atol=0.08)


@pytest.mark.parametrize("nb_samples", [2, 5])
def test_no_noise_is_the_explainer_itself(network: keras.Model, nb_samples: int) -> None:
    x = random(3, 6, 5, 2)
    plain = GradientExplainer(network, reducer=None).explain(x)
    near = {"rtol": 1e-5, "atol": 1e-7}
    settings: dict[str, Any] = {"nb_samples": nb_samples, "noise": 0, "reducer": None}
    np.testing.assert_allclose(SmoothGrad(network, **settings).explain(x), plain, **near)
    np.testing.assert_allclose(SquareGrad(network, **settings).explain(x), plain**2, **near)
    np.testing.assert_allclose(VarGrad(network, **settings).explain(x), 0 * plain, atol=1e-6)
    cam = SmoothGrad(GradCAM(network), **settings).explain(x)
    np.testing.assert_allclose(cam, GradCAM(network).explain(x), **near)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("reducer", ["max", "mean", "min", "sum", None])
def test_the_reducer_of_an_explainer_is_kept_unless_another_is_given(
    network: keras.Model, kind: Any, reducer: Any
) -> None:
    x, given = random(2, 6, 5, 2), {"nb_samples": 3}
    expected = kind(network, reducer=reducer, **given)(x, 0)
    np.testing.assert_array_equal(kind(GradientExplainer(network, reducer=reducer), **given)(x, 0), expected)
    other = GradientExplainer(network, reducer="min")
    np.testing.assert_array_equal(kind(other, reducer=reducer, **given)(x, 0), expected)
    # Wrapped twice, too.
    twice = SmoothGrad(SmoothGrad(other, nb_samples=2), nb_samples=2)
    assert twice.reducer == "min" and kind(network).reducer == "mean"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("factor", [1e-3, 255.0])
def test_noise_scales_with_the_input(network: keras.Model, kind: Any, factor: float) -> None:
    """Pixels up to 255 under a network that divides by it: the maps of fractions."""
    entry = keras.Input((6, 5, 2))
    scaled = keras.Model(entry, network(entry / factor))
    x, power = random(2, 6, 5, 2), 1 if kind is SmoothGrad else 2
    found = kind(scaled, nb_samples=4)(x * factor, 1) * factor**power
    np.testing.assert_allclose(found, kind(network, nb_samples=4)(x, 1), rtol=1e-3, atol=1e-5)


def test_absolute_noise_has_the_units_of_the_input(network: keras.Model) -> None:
    x = random(2, 6, 5, 2)
    drawn = [np.random.default_rng([0, k, 0]).standard_normal((6, 5, 2), np.float32) for k in range(3)]
    maps = [GradientExplainer(network)(x + 0.4 * each, 1) for each in drawn]
    found = SmoothGrad(network, nb_samples=3, noise=0.4, noise_scale="absolute")(x, 1)
    np.testing.assert_allclose(found, np.mean(maps, axis=0), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("scale", ["range", "absolute"])
def test_a_map_does_not_depend_on_its_neighbours(network: keras.Model, scale: str) -> None:
    x = random(3, 6, 5, 2) * np.array([1, 100, 0.01]).reshape(3, 1, 1, 1)
    explainer = SmoothGrad(network, nb_samples=3, noise_scale=scale)
    alone = np.concatenate([explainer(x[i : i + 1], 1) for i in range(3)])
    np.testing.assert_allclose(explainer(x, 1), alone, rtol=1e-4, atol=1e-7)


def test_the_seed(network: keras.Model) -> None:
    x = random(2, 6, 5, 2)
    first, again, other = (SmoothGrad(network, nb_samples=3, seed=s).explain(x, 0) for s in (1, 1, 2))
    assert np.array_equal(first, again)
    assert np.abs(first - other).max() > 1e-4


def test_each_input_has_noise_of_its_own() -> None:
    keras.utils.set_random_seed(1)
    a, b = keras.Input((4,), name="a"), keras.Input((4,), name="b")
    model = keras.Model([a, b], layers.Dense(2)(layers.Dense(5, "tanh")(a - b)))
    x = [random(2, 4), random(2, 4, seed=5)]
    maps = []
    for k in range(3):
        maps.append(GradientExplainer(model).explain([noisy(x[i], k, 0.5, i) for i in range(2)], 0))
    found = SmoothGrad(model, nb_samples=3, noise=0.5).explain(x, 0)
    for i in range(2):
        np.testing.assert_allclose(found[i], np.mean([m[i] for m in maps], axis=0), rtol=1e-4, atol=1e-6)
    # Were the noise the same, a - b would not change at all.
    assert np.abs(found[0] - GradientExplainer(model).explain(x, 0)[0]).max() > 1e-3


def test_noise_does_not_touch_whole_numbers() -> None:
    keras.utils.set_random_seed(1)
    ids, table = keras.Input((4,), dtype="int32", name="ids"), keras.Input((3,), name="table")
    words = layers.Flatten()(layers.Embedding(9, 2)(ids))
    model = keras.Model([ids, table], layers.Dense(2)(layers.concatenate([words, table])) * words[:, :2])
    x = [np.full((2, 4), 5), random(2, 3)]
    # The score is linear in the table, so that only another token could change its gradient.
    found = SmoothGrad(model, nb_samples=8, noise=0.4).explain(x, 0)
    assert not found[0].any()
    np.testing.assert_allclose(found[1], GradientExplainer(model).explain(x, 0)[1], rtol=1e-5)


def test_channels_first_maps_of_places_stay_maps() -> None:
    keras.utils.set_random_seed(5)
    model = keras.Sequential(
        [
            layers.Input((2, 4, 6)),
            layers.AveragePooling2D(2, data_format="channels_first"),
            layers.Flatten(),
            layers.Dense(2),
        ]
    )
    x = random(3, 2, 4, 6)
    plain = GradCAM(model).explain(x, 0)
    assert plain.shape == (3, 4, 6, 1)
    found = SmoothGrad(GradCAM(model), nb_samples=2, noise=0).explain(x, 0)
    np.testing.assert_allclose(found, plain, rtol=1e-5)


def test_a_baseline_under_noise(network: keras.Model) -> None:
    x, x0 = random(3, 6, 5, 2), random(6, 5, 2, seed=9)
    inner = IntegratedGradients(network, steps=3, baseline=x0)
    found = SmoothGrad(inner, nb_samples=2, noise=0).explain(x, 0)
    np.testing.assert_allclose(found, inner.explain(x, 0), rtol=1e-4, atol=1e-6)


def test_wrong_calls(network: keras.Model) -> None:
    with pytest.raises(InputError, match=r"nb_samples must be an integer >= 2\. Received: 1"):
        VarGrad(network, nb_samples=1)
    for kind, wrong in ((SmoothGrad, 0), (SquareGrad, 1.5), (SmoothGrad, True)):
        with pytest.raises(InputError, match="nb_samples must be an integer >= 1"):
            kind(network, nb_samples=wrong)
    for wrong in (-0.1, float("nan"), float("inf"), "0.2", None, True):
        with pytest.raises(InputError, match="noise must be a standard deviation >= 0"):
            SmoothGrad(network, noise=wrong)
    with pytest.raises(
        InputError, match=r"noise_scale must be one of range, absolute\. Received: 'relative'"
    ):
        SmoothGrad(network, noise_scale="relative")
    with pytest.raises(InputError, match="seed must be an integer >= 0"):
        SmoothGrad(network, seed=-1)
    brought: list[dict[str, Any]] = [
        {"output_layer": -1},
        {"operator": "classification"},
        {"backprop_modifier": "guided"},
        {"output_layer_index": -1},
    ]
    for given in brought:
        with pytest.raises(InputError, match="uses the settings of that explainer"):
            SmoothGrad(Saliency(network), **given)
    with pytest.raises(NotImplementedError):
        Smoothed(network).explain(random(1, 6, 5, 2), 0)
