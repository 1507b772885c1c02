"""Attributions of a layer's output, such as the embedding of tokens."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from tests.asking import input_gradient
from vis import attributions
from vis.attributions import (
    DeconvNet,
    GradientInput,
    GuidedBackprop,
    IntegratedGradients,
    Saliency,
    SmoothGrad,
    VarGrad,
)
from vis.engine import as_source
from vis.errors import GradientError, InputError, LayerError
from vis.losses import ActivationMaximization

TOKENS = np.random.default_rng(0).integers(1, 20, (4, 6))
CLASSES = np.array([0, 2, 1, 1])


def fresh_layers() -> dict[str, Any]:
    keras.utils.set_random_seed(0)
    return {
        "embedding": keras.layers.Embedding(20, 5, name="embedding", mask_zero=True),
        "lstm": keras.layers.LSTM(6),
        "dense": keras.layers.Dense(16, activation="relu", name="dense"),
        "scores": keras.layers.Dense(3, name="scores"),
    }


def chained(layers: dict[str, Any]) -> keras.Model:
    tokens = keras.Input((None,), dtype="int32")
    x = tokens
    for layer in layers.values():
        x = layer(x)
    return keras.Model(tokens, x)


@pytest.fixture(scope="module")
def layers() -> dict[str, Any]:
    return fresh_layers()


@pytest.fixture(scope="module")
def model(layers: dict[str, Any]) -> keras.Model:
    return chained(layers)


@pytest.fixture(scope="module")
def after(model: keras.Model, layers: dict[str, Any]) -> keras.Model:
    """What follows the embedding, as a model of its own."""
    vectors = keras.Input((None, 5))
    x = vectors
    for name, layer in layers.items():
        x = x if name == "embedding" else layer(x)
    return keras.Model(vectors, x)


@pytest.mark.parametrize(
    "name", ["Saliency", "GradientInput", "GuidedBackprop", "DeconvNet", "IntegratedGradients"]
)
def test_it_is_the_same_as_explaining_what_follows(
    model: keras.Model, after: keras.Model, layers: dict[str, Any], name: str
) -> None:
    explainer = getattr(attributions, name)
    vectors = np.asarray(layers["embedding"](TOKENS))
    expected = explainer(after, reducer=None)(vectors, CLASSES)
    maps = explainer(model, reducer=None, wrt="embedding")(TOKENS, CLASSES)
    assert maps.shape == (4, 6, 5)
    np.testing.assert_allclose(maps, expected, rtol=1e-5, atol=1e-6 * np.abs(expected).max())


@pytest.mark.parametrize("kind", [Saliency, IntegratedGradients, SmoothGrad])
def test_it_is_named_by_a_tensor_a_name_an_index_or_itself(
    model: keras.Model, layers: dict[str, Any], kind: Any
) -> None:
    layer = layers["embedding"]
    expected = kind(model, wrt=layer)(TOKENS, CLASSES)
    assert expected.any()
    for wrt in ("embedding", layer.output, 1):
        explainer = kind(model, wrt=wrt)
        assert explainer.wrt == "embedding"
        np.testing.assert_array_equal(explainer(TOKENS, CLASSES), expected)


@pytest.mark.parametrize("name", ["SmoothGrad", "SquareGrad", "VarGrad"])
def test_noise_is_added_to_the_vectors(
    model: keras.Model, after: keras.Model, layers: dict[str, Any], name: str
) -> None:
    explainer = getattr(attributions, name)
    vectors = np.asarray(layers["embedding"](TOKENS))
    expected = explainer(after, reducer=None, nb_samples=7)(vectors, CLASSES)
    maps = explainer(model, reducer=None, nb_samples=7, wrt="embedding", batch_size=3)(TOKENS, CLASSES)
    np.testing.assert_allclose(maps, expected, rtol=1e-4, atol=1e-9)


def test_the_channels_of_the_layer_are_reduced(model: keras.Model) -> None:
    whole = Saliency(model, reducer=None, wrt="embedding")(TOKENS)
    maps = Saliency(model, wrt="embedding")(TOKENS)
    assert maps.shape == (4, 6, 1)
    np.testing.assert_array_equal(maps, whole.max(axis=-1, keepdims=True))


def test_padding_says_nothing(model: keras.Model) -> None:
    padded = TOKENS.copy()
    padded[:, 4:] = 0
    explainer = IntegratedGradients(model, wrt="embedding", steps=40)
    maps = explainer(padded, CLASSES)
    assert not maps[:, 4:].any()
    np.testing.assert_allclose(maps[:, :4], explainer(TOKENS[:, :4], CLASSES), rtol=1e-5, atol=1e-9)


def test_integrated_gradients_are_complete(model: keras.Model) -> None:
    padded = TOKENS.copy()
    padded[0, 3:] = 0
    explainer = IntegratedGradients(model, -2, reducer="sum", wrt="embedding", steps=80)
    assert np.abs(explainer.residuals(padded, CLASSES)).max() < 1e-4
    vectors = np.zeros((1, 6, 5))
    beside = IntegratedGradients(model, reducer="sum", wrt="embedding", baseline=vectors)
    np.testing.assert_array_equal(beside(padded), IntegratedGradients(model, reducer="sum", wrt=1)(padded))


def test_an_integer_gradient_says_how(model: keras.Model) -> None:
    with pytest.raises(InputError, match="Explain the output of the layer 'embedding': wrt='embedding'"):
        Saliency(model)(TOKENS)


def test_a_batch_is_its_samples_one_by_one(model: keras.Model) -> None:
    explainer = SmoothGrad(model, wrt="embedding", nb_samples=4)
    maps = explainer(TOKENS, CLASSES)
    alone = [explainer(TOKENS[i : i + 1], CLASSES[i : i + 1])[0] for i in range(4)]
    np.testing.assert_allclose(maps, alone, rtol=1e-5, atol=1e-9)
    assert explainer(TOKENS[:0], CLASSES[:0]).shape == (0, 6, 1)


def test_the_other_input_stays_as_it_is() -> None:
    layers = fresh_layers()
    tokens, table = keras.Input((6,), dtype="int32", name="tokens"), keras.Input((3,), name="table")
    x = layers["lstm"](layers["embedding"](tokens))
    model = keras.Model([tokens, table], keras.layers.Dense(2)(keras.layers.concatenate([x, table**2])))
    rows = np.random.default_rng(1).random((4, 3), np.float32)
    seen: list[Any] = []

    def operator(model: Any, inputs: Any, targets: Any) -> Any:
        seen.append(len(inputs))
        return keras.ops.sum(model(inputs) * targets, axis=-1)

    explainer = SmoothGrad(model, operator=operator, wrt="embedding", noise=0.0, nb_samples=3)
    plain = Saliency(
        model, operator=operator, wrt="embedding", reducer="mean", grad_modifier=lambda gradient: gradient
    )
    maps = explainer([TOKENS, rows], [0, 1, 1, 0])
    assert set(seen) == {2}
    np.testing.assert_allclose(maps, plain([TOKENS, rows], [0, 1, 1, 0]), rtol=1e-6, atol=1e-9)
    noisy = SmoothGrad(model, wrt="embedding", nb_samples=2, noise=0.1)
    first = noisy({"tokens": TOKENS, "table": rows}, 0)
    second = noisy({"tokens": TOKENS, "table": rows + 1}, 0)
    np.testing.assert_array_equal(first, second)  # the table is added, and got no noise of its own


@pytest.mark.parametrize("name", ["Saliency", "VarGrad", "IntegratedGradients"])
def test_a_convolution_in_a_nested_model(name: str) -> None:
    keras.utils.set_random_seed(1)
    image = keras.Input((8, 8, 3))
    inner = keras.Sequential(
        [keras.Input((8, 8, 3)), keras.layers.Conv2D(4, 3, name="conv", activation="tanh")], name="inner"
    )
    x = keras.layers.Dense(2)(keras.layers.GlobalAveragePooling2D()(inner(image) ** 2))
    model = keras.Model(image, x)
    explainer = getattr(attributions, name)(model, wrt="inner/conv", reducer=None)
    assert explainer(np.ones((2, 8, 8, 3)), 1).shape == (2, 6, 6, 4)


def test_it_is_the_gradient_of_the_verbs() -> None:
    keras.utils.set_random_seed(2)
    model = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            keras.layers.Conv2D(4, 3, name="conv", activation="tanh"),
            keras.layers.Flatten(),
            keras.layers.Dense(2),
        ]
    )
    image = np.random.default_rng(0).random((1, 8, 8, 3), np.float32)
    loss = ActivationMaximization(model.layers[-1], 1)
    expected = input_gradient(as_source(model), [(loss, -1)], [image], model.get_layer("conv").output)
    maps = VarGrad(GradientInput(model, wrt="conv", reducer=None), noise=0.0, reducer=None)(image, 1)
    assert np.abs(maps).max() < 1e-9
    found = Saliency(model, wrt="conv", reducer=None, grad_modifier=lambda gradient: gradient)(image, 1)
    np.testing.assert_allclose(found, expected[0], rtol=1e-6)


def test_to_disk(model: keras.Model, tmp_path: Path) -> None:
    zarr = pytest.importorskip("zarr")
    explainer = Saliency(model, wrt="embedding", batch_size=3)
    explainer.write(TOKENS, tmp_path / "maps.zarr", CLASSES, progress=False)
    group = zarr.open_group(tmp_path / "maps.zarr", mode="r")
    np.testing.assert_allclose(group["maps"][:], explainer(TOKENS, CLASSES), rtol=1e-6)
    assert explainer.settings()["wrt"] == "embedding"
    with pytest.raises(InputError, match="wrt"):
        Saliency(model, wrt="dense", batch_size=3).write(
            TOKENS, tmp_path / "maps.zarr", CLASSES, progress=False
        )


def test_half_precision() -> None:
    keras.utils.set_random_seed(0)
    tokens = keras.Input((6,), dtype="int32")
    policy = "mixed_float16"
    x = keras.layers.Embedding(20, 5, name="embedding", dtype=policy)(tokens)
    x = keras.layers.GlobalAveragePooling1D(dtype=policy)(keras.layers.add([x, x], dtype=policy))
    model = keras.Model(tokens, keras.layers.Dense(2, dtype=policy)(x))
    maps = IntegratedGradients(model, wrt="embedding", reducer=None)(TOKENS, 1)
    wide = keras.Model.from_config(_in_float32(model.get_config()))
    wide.set_weights(model.get_weights())
    expected = IntegratedGradients(wide, wrt="embedding", reducer=None)(TOKENS, 1)
    np.testing.assert_allclose(maps, expected, rtol=1e-2, atol=1e-4)


def _in_float32(config: Any) -> Any:
    for layer in config["layers"]:
        if layer["class_name"] != "InputLayer":
            layer["config"]["dtype"] = "float32"
    return config


def test_what_cannot_be_read() -> None:
    layers = fresh_layers()
    model = chained(layers)
    with pytest.raises(LayerError, match="embeddings"):
        Saliency(model, wrt="embeddings")
    with pytest.raises(InputError, match="Pass wrt to Saliency"):
        SmoothGrad(Saliency(model, wrt="embedding"), wrt="embedding")
    with pytest.raises(GradientError, match="scores"):
        Saliency(model, "embedding", wrt=layers["scores"])(TOKENS[:, :1], 0)
    one, two = keras.Input((6,), dtype="int32"), keras.Input((6,), dtype="int32")
    twice = keras.layers.subtract([layers["embedding"](one), layers["embedding"](two)])
    shared = keras.Model([one, two], layers["scores"](layers["dense"](layers["lstm"](twice))))
    with pytest.raises(LayerError, match="2 times"):
        Saliency(shared, wrt="embedding")([TOKENS, TOKENS])


def test_one_trace_and_modifiers(monkeypatch: pytest.MonkeyPatch) -> None:
    model = chained(fresh_layers())
    explainer = GuidedBackprop(model, wrt="embedding")
    explainer(TOKENS, CLASSES)
    monkeypatch.setattr("vis.backend.compile_gradient", _no_trace)
    explainer(TOKENS[:2, :3], [0, 0])
    with pytest.raises(AssertionError, match="traced again"):
        DeconvNet(model, wrt="embedding")(TOKENS, CLASSES)


def _no_trace(*_: Any) -> Any:
    raise AssertionError("traced again")
