"""DeepLIFT from one baseline and from a set of them: what they take, and that they add up."""

from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from vis import backend
from vis.attributions import DeepLift, DeepLiftShap
from vis.errors import InputError

# Where zeros are right, a warning about them is beside the point.
pytestmark = pytest.mark.filterwarnings("ignore::vis.errors.EmptyMapWarning")


def random(*shape: int, seed: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


@pytest.fixture(scope="module")
def network() -> keras.Model:
    keras.utils.set_random_seed(5)
    return keras.Sequential(
        [
            layers.Input((5, 4, 2)),
            layers.Conv2D(3, 2, activation="relu"),
            layers.MaxPooling2D(2, padding="same"),
            layers.Flatten(),
            layers.Dense(3),
        ]
    )


def scores(model: keras.Model, x: np.ndarray, index: int) -> np.ndarray:
    return np.asarray(model(x.astype(np.float32)))[:, index]


def test_a_linear_model_gives_weights_times_the_way() -> None:
    model = keras.Sequential([layers.Input((4,)), layers.Dense(2)])
    x = random(3, 4)
    kernel = np.asarray(model.layers[0].kernel)[:, 1]
    for value in (0.0, 2, np.float32(-1.5)):
        found = DeepLift(model, value).explain(x, 1)
        np.testing.assert_allclose(found, (x - value) * kernel, rtol=1e-4, atol=1e-6)


def test_the_maps_of_an_image(network: keras.Model) -> None:
    x, x0 = random(4, 5, 4, 2), random(5, 4, 2, seed=8)
    kept, summed = DeepLift(network, x0, reducer=None)(x, 1), DeepLift(network, x0)(x, 1)
    assert kept.shape == x.shape and summed.shape == (4, 5, 4, 1) and kept.dtype == np.float32
    np.testing.assert_allclose(summed, kept.sum(axis=-1, keepdims=True), rtol=1e-5, atol=1e-6)
    rise = scores(network, x, 1) - scores(network, x0[None], 1)
    np.testing.assert_allclose(summed.sum(axis=(1, 2, 3)), rise, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(DeepLift(network, x0).residuals(x, 1), 0, atol=1e-5)
    assert not DeepLift(network, x.astype(np.float32)[0])(x[:1], 0).any()


def test_a_sample_does_not_depend_on_its_neighbours(network: keras.Model) -> None:
    x, labels = random(5, 5, 4, 2), [0, 2, 1, 2, 0]
    for explainer in (
        DeepLift(network, 0.3, reducer=None),
        DeepLiftShap(network, random(3, 5, 4, 2, seed=8), reducer=None),
    ):
        together = explainer(x, labels)
        alone = [explainer(x[i : i + 1], labels[i])[0] for i in range(5)]
        np.testing.assert_allclose(together, alone, rtol=1e-4, atol=1e-6)
        explainer.batch_size = 2
        np.testing.assert_allclose(explainer(x, labels), together, rtol=1e-4, atol=1e-6)


def test_a_set_of_baselines_gives_their_mean(network: keras.Model) -> None:
    x, references = random(3, 5, 4, 2), random(5, 5, 4, 2, seed=8)
    found = DeepLiftShap(network, references, reducer=None)
    each = [DeepLift(network, reference, reducer=None)(x, 2) for reference in references]
    np.testing.assert_allclose(found(x, 2), np.mean(each, axis=0), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(found.residuals(x, 2), 0, atol=1e-5)
    rise = scores(network, x, 2) - scores(network, references, 2).mean()
    np.testing.assert_allclose(found(x, 2).sum(axis=(1, 2, 3)), rise, rtol=1e-4, atol=1e-5)


def test_many_baselines_are_compiled_once(network: keras.Model, monkeypatch: pytest.MonkeyPatch) -> None:
    made, own = [], backend.compile_gradient
    monkeypatch.setattr(backend, "compile_gradient", lambda *args: made.append(args) or own(*args))
    x, model = random(3, 5, 4, 2), keras.models.clone_model(network)
    DeepLiftShap(model, random(6, 5, 4, 2, seed=8), batch_size=4)(x, [0, 1, 2])
    DeepLift(model, 0.5)(x[:1], 1)
    DeepLift(model, x[1])(x, 1)
    assert len([args for args in made if args[2] is not None]) == 1


def several() -> tuple[keras.KerasTensor, keras.KerasTensor, Any]:
    keras.utils.set_random_seed(1)
    a, b = keras.Input((3,), name="a"), keras.Input((2, 2), name="b")
    hidden = layers.Concatenate()([layers.Dense(4, "tanh")(a), layers.Flatten()(b)])
    return a, b, layers.Dense(2)(layers.Dense(4, "relu")(hidden))


def test_baselines_of_several_inputs() -> None:
    a, b, out = several()
    x = {"a": random(2, 3), "b": random(2, 2, 2, seed=4)}
    x0 = {"b": random(2, 2, seed=6), "a": random(3, seed=5)}
    listed, named = keras.Model([a, b], out), keras.Model({"a": a, "b": b}, out)
    explainer = DeepLift(listed, [x0["a"], x0["b"]])
    expected = explainer([x["a"], x["b"]], 0)
    np.testing.assert_allclose(explainer.residuals([x["a"], x["b"]], 0), 0, atol=1e-5)
    found = DeepLift(named, x0)(x, 0)
    sets = {name: np.stack([part, part]) for name, part in x0.items()}
    twice = DeepLiftShap(named, sets)(x, 0)
    for place, name in enumerate("ab"):
        np.testing.assert_allclose(found[name], expected[place], rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(twice[name], expected[place], rtol=1e-5, atol=1e-6)
    with pytest.raises(InputError, match="as many for each input"):
        DeepLiftShap(named, {"a": sets["a"], "b": sets["b"][:1]})


def test_tokens_by_their_embedding() -> None:
    keras.utils.set_random_seed(0)
    tokens = keras.Input((None,), dtype="int32")
    x = layers.Embedding(20, 4, mask_zero=True, name="embedding")(tokens)
    x = layers.Dense(5, activation="relu")(x)
    model = keras.Model(tokens, layers.Dense(3)(layers.GlobalAveragePooling1D()(x)))
    x = np.array([[3, 7, 1, 0, 0, 0], [2, 9, 4, 4, 8, 1]])
    for explainer in (
        DeepLift(model, wrt="embedding"),
        DeepLift(model, random(6, 4), wrt="embedding"),
        DeepLiftShap(model, random(3, 6, 4), wrt="embedding"),
    ):
        found = explainer(x, 1)
        assert found.shape == (2, 6, 1) and found.any(axis=(1, 2)).all()
        assert not found[0, 3:].any()
        np.testing.assert_allclose(explainer.residuals(x, 1), 0, atol=1e-5)
    alone = DeepLift(model, wrt="embedding")(x[1:, :5], 1)
    assert alone.shape == (1, 5, 1)


def test_a_model_of_a_fixed_batch_size() -> None:
    def build(**kwargs: Any) -> keras.Model:
        keras.utils.set_random_seed(1)
        return keras.Sequential([layers.Input(**kwargs), layers.Dense(4, "relu"), layers.Dense(2)])

    x, references = random(6, 3), random(2, 3, seed=4)
    fixed, free = build(batch_shape=(4, 3)), build(shape=(3,))
    for kind, given in ((DeepLift, references[0]), (DeepLiftShap, references)):
        np.testing.assert_allclose(kind(fixed, given)(x, 1), kind(free, given)(x, 1), rtol=1e-4, atol=1e-6)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_wrong_calls(network: keras.Model) -> None:
    for baseline in (float("nan"), "zeros", None):
        with pytest.raises(InputError, match="baseline"):
            DeepLift(network, baseline)
    for shape in ((3, 3, 2), (5, 4), (2, 5, 4, 2)):
        with pytest.raises(InputError, match="The baseline must be a number, or have the shape"):
            DeepLift(network, np.zeros(shape))
    for shape in ((5, 4, 2), (2, 5, 4, 1)):
        with pytest.raises(InputError, match=r"The baselines must be several inputs, \(n, \.\.\.\)"):
            DeepLiftShap(network, np.zeros(shape))
    for baselines in (0.0, np.zeros((0, 5, 4, 2))):
        with pytest.raises(InputError, match=r"one or several inputs of numbers, \(n, \.\.\.\)"):
            DeepLiftShap(network, baselines)
    with pytest.raises(InputError, match="of finite numbers"):
        DeepLiftShap(network, np.full((2, 5, 4, 2), np.inf))
