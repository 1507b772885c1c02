"""Score-CAM, Ablation-CAM and Eigen-CAM against loops over their definitions, and by hand."""

from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops

from tests.laying import laid
from tests.traps.trap import drawn
from vis.attributions import AblationCAM, EigenCAM, ScoreCAM
from vis.errors import EmptyMapWarning, InputError

# Where zeros are right, a warning about them is beside the point.
pytestmark = pytest.mark.filterwarnings("ignore::vis.errors.EmptyMapWarning")

X, LABELS = np.random.default_rng(3).random((5, 12, 10, 3)).astype(np.float32), [0, 2, 1, 2, 0]
KINDS = [ScoreCAM, AblationCAM, EigenCAM]


@pytest.fixture(scope="module")
def network() -> keras.Model:
    return keras.Sequential(
        [
            layers.Input((12, 10, 3)),
            layers.Conv2D(4, 3, activation="relu", name="first", kernel_initializer=drawn),
            layers.Conv2D(6, 3, strides=2, name="second", kernel_initializer=drawn, bias_initializer="ones"),
            layers.ReLU(),
            layers.Flatten(),
            layers.Dense(3, name="end", kernel_initializer=drawn),
        ]
    )


# Stride, offset and reach of the positions of the layers of `network`.
CENTRES = [(1, 1, 1), (2, 2, 2), (2, 2, 2)]


def run(network: keras.Model, part: slice, value: np.ndarray) -> np.ndarray:
    tensor = ops.convert_to_tensor(value[None])
    for layer in network.layers[part]:
        tensor = layer(tensor)
    return np.asarray(ops.convert_to_numpy(tensor)[0], np.float64)


def weights_of(kind: Any, network: keras.Model, cut: int, x: np.ndarray, label: int, most: int) -> np.ndarray:
    """The weights, one channel at a time, for one sample."""
    features = run(network, slice(cut + 1), x)
    channels = features.shape[-1]
    if kind is EigenCAM:
        rows = features.reshape(-1, channels)
        vector = np.linalg.eigh(rows.T @ rows)[1][:, -1]
        return vector * np.sign((rows @ vector).sum())
    weights = np.zeros(channels)
    if kind is AblationCAM:
        score = run(network, slice(cut + 1, None), features.astype(np.float32))[label]
        for k in range(channels):
            without = features.astype(np.float32)
            without[..., k] = 0
            weights[k] = (score - run(network, slice(cut + 1, None), without)[label]) / abs(score)
        return weights
    used = sorted(range(channels), key=lambda k: -features[..., k].var())[:most]
    for k in used:
        mask = laid(features[..., k], x.shape[:2], *CENTRES[cut])
        mask = (mask - mask.min()) / (np.ptp(mask) or 1)
        weights[k] = np.exp(run(network, slice(None), (x * mask[..., None]).astype(np.float32))[label])
    return weights / weights.sum()


def oracle(
    kind: Any, network: keras.Model, cut: int, x: np.ndarray, label: int, most: int = 99
) -> np.ndarray:
    features = run(network, slice(cut + 1), x)
    weights = weights_of(kind, network, cut, x, label, most)
    heat = np.zeros(features.shape[:2])
    for k, weight in enumerate(weights):
        heat += weight * features[..., k]
    return laid(np.maximum(heat, 0), x.shape[:2], *CENTRES[cut])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("conv_layer", "cut"), [(None, 2), ("second", 1), ("first", 0)], ids=str)
def test_agrees_with_the_oracle(network: keras.Model, kind: Any, conv_layer: Any, cut: int) -> None:
    expected = np.stack([oracle(kind, network, cut, *pair) for pair in zip(X, LABELS, strict=True)])
    assert (expected.max(axis=(1, 2)) > 1e-5).any()
    for batch_size in (2, 7, None):
        found = kind(network, conv_layer=conv_layer, batch_size=batch_size).explain(X, LABELS)
        assert found.dtype == np.float32 and found.shape == (5, 12, 10, 1)
        np.testing.assert_allclose(found[..., 0], expected, rtol=1e-3, atol=1e-5 * expected.max())


@pytest.mark.parametrize("most", [1, 3, 6, 50])
def test_the_channels_that_vary_most(network: keras.Model, most: int) -> None:
    found = ScoreCAM(network, conv_layer="second", max_channels=most, batch_size=7).explain(X, LABELS)
    expected = [oracle(ScoreCAM, network, 1, x, label, most) for x, label in zip(X, LABELS, strict=True)]
    np.testing.assert_allclose(found[..., 0], expected, rtol=1e-3, atol=1e-5 * np.max(expected))


@pytest.mark.parametrize("kind", KINDS)
def test_the_map_at_the_positions_of_the_layer(network: keras.Model, kind: Any) -> None:
    small = kind(network, conv_layer="first", upsample=False).explain(X, LABELS)
    assert small.shape == (5, 10, 8, 1) and small.dtype == np.float32
    expected = [laid(heat[..., 0], (12, 10), *CENTRES[0]) for heat in small]
    large = kind(network, conv_layer="first").explain(X, LABELS)[..., 0]
    np.testing.assert_allclose(large, expected, rtol=1e-4, atol=1e-6 * large.max())
    assert kind(network, upsample=False).explain(X[:0], []).shape == (0, 4, 3, 1)


def signs(**end: Any) -> keras.Model:
    """Two channels, x and -x; the score is the sum of x."""
    model = keras.Sequential(
        [layers.Input((2, 2, 1)), layers.Conv2D(2, 1, name="both"), layers.Flatten(), layers.Dense(1)]
    )
    model.layers[0].kernel.assign([[[[1.0, -1.0]]]])
    model.layers[-1].kernel.assign([[1.0], [0.0]] * 4)
    return model


def test_by_hand() -> None:
    model, x = signs(), np.float32([[[[1], [0]], [[0], [2]]]])
    # The masks are x / 2 and 1 - x / 2, so the scores of the masked inputs are 5 / 2 and 1 / 2.
    first = 1 / (1 + np.exp(-2))
    found = ScoreCAM(model, conv_layer="both")(x)
    np.testing.assert_allclose(found, (first - (1 - first)) * x, rtol=1e-5)
    # Both vary alike: the first one is taken.
    np.testing.assert_allclose(ScoreCAM(model, conv_layer="both", max_channels=1)(x), x, rtol=1e-5)
    # The score is 3, and 0 without the first channel; the second one counts nothing.
    np.testing.assert_allclose(AblationCAM(model, conv_layer="both")(x), x, rtol=1e-5)
    # Of a negative score, the first channel lowers it, and nothing raises it.
    assert not AblationCAM(model, conv_layer="both")(x, [[-1.0]]).any()
    # The first singular vector is (1, -1) / sqrt(2).
    for value in (x, -x):
        found = EigenCAM(model, conv_layer="both")(value)
        np.testing.assert_allclose(found, np.sqrt(2) * x, rtol=1e-5)


def test_constant_channels_show_nothing() -> None:
    model = signs()
    x = np.ones((1, 2, 2, 1), np.float32)
    # Both masks are 0, so both channels have the weight 1 / 2, and x and -x cancel.
    with pytest.warns(EmptyMapWarning):
        assert not ScoreCAM(model, conv_layer="both")(x).any()
    # A score of 0 is not divided by.
    balanced = np.float32([[[[1], [-1]], [[0], [0]]]])
    assert np.isfinite(AblationCAM(model, conv_layer="both")(balanced)).all()


def test_eigen_cam_is_the_same_for_every_class(network: keras.Model) -> None:
    found = [EigenCAM(network).explain(X, label) for label in range(3)]
    assert np.array_equal(found[0], found[1]) and np.array_equal(found[0], found[2])


@pytest.mark.parametrize("kind", KINDS)
def test_channels_first(kind: Any) -> None:
    x = np.random.default_rng(1).random((3, 4, 6, 2)).astype(np.float32)
    maps = []
    for first in (False, True):
        form = "channels_first" if first else "channels_last"
        entry = keras.Input((2, 4, 6) if first else (4, 6, 2))
        y = layers.AveragePooling2D(2, data_format=form, name="pool")(entry)
        y = layers.Permute((2, 3, 1))(y) if first else y
        end = layers.Dense(2, kernel_initializer=keras.initializers.RandomUniform(-0.2, 1, seed=4))
        model = keras.Model(entry, end(layers.Flatten()(y)))
        maps.append(kind(model, conv_layer="pool").explain(np.moveaxis(x, 3, 1) if first else x, [0, 1, 1]))
    assert maps[0].any()
    np.testing.assert_allclose(maps[1], maps[0], rtol=1e-4, atol=1e-6)


def tokens_of(x: Any) -> Any:
    """Four patches behind a token of their mean."""
    y = layers.Reshape((4, 5))(layers.Conv2D(5, 2, strides=2)(x))
    return layers.Concatenate(axis=1, name="tokens")([ops.mean(y, axis=1, keepdims=True), y])


@pytest.mark.parametrize("kind", KINDS)
def test_a_class_token_has_no_place_on_the_map(kind: Any) -> None:
    keras.utils.set_random_seed(3)
    entry = keras.Input((4, 4, 1))
    tokens = tokens_of(entry)
    model = keras.Model(entry, layers.Dense(2)(layers.Flatten()(tokens)))
    x = np.random.default_rng(0).random((2, 4, 4, 1)).astype(np.float32)
    found = kind(model, conv_layer="tokens", grid=(2, 2), upsample=False).explain(x, [0, 1])
    assert found.shape == (2, 2, 2, 1)
    if kind is AblationCAM:
        values = ops.convert_to_numpy(keras.Model(entry, tokens)(x))
        head = model.layers[-1]
        for sample, label, heat in zip(values, (0, 1), found, strict=True):
            score = ops.convert_to_numpy(head(sample.reshape(1, -1)))[0, label]
            expected = np.zeros(4)
            for k in range(5):
                without = sample.copy()
                without[1:, k] = 0
                fall = score - ops.convert_to_numpy(head(without.reshape(1, -1)))[0, label]
                expected += fall / abs(score) * sample[1:, k]
            np.testing.assert_allclose(heat.ravel(), np.maximum(expected, 0), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_two_towers_have_a_map_each(kind: Any) -> None:
    keras.utils.set_random_seed(2)
    left, right = keras.Input((6, 6, 1), name="left"), keras.Input((5, 7, 2), name="right")
    flat = [
        layers.Flatten()(layers.Conv2D(3, 3, activation="relu", name=name)(value))
        for name, value in (("a", left), ("b", right))
    ]
    model = keras.Model({"left": left, "right": right}, layers.Dense(2)(layers.concatenate(flat)))
    random = np.random.default_rng(0)
    x = {"left": random.random((3, 6, 6, 1)), "right": random.random((3, 5, 7, 2))}
    found = kind(model).explain(x, [0, 1, 1])
    shapes = {name: part.shape for name, part in found.items()}
    assert shapes == {"left": (3, 6, 6, 1), "right": (3, 5, 7, 1)}
    # The other input stays as it is.
    named = kind(model, conv_layer="b").explain(x, [0, 1, 1])
    np.testing.assert_allclose(named, found["right"], rtol=1e-5, atol=1e-6)
    small = kind(model, upsample=False).explain(x, [0, 1, 1])
    shapes = {name: part.shape for name, part in small.items()}
    assert shapes == {"left": (3, 4, 4, 1), "right": (3, 3, 5, 1)}


def test_tokens_cannot_be_masked() -> None:
    keras.utils.set_random_seed(2)
    entry = keras.Input((6,), dtype="int32")
    y = layers.Embedding(9, 4, name="embedding")(entry)
    model = keras.Model(entry, layers.Dense(2)(layers.Flatten()(y)))
    tokens = np.random.default_rng(0).integers(0, 9, (2, 6))
    with pytest.raises(InputError, match=r"of type int32.*AblationCAM"):
        ScoreCAM(model, conv_layer="embedding").explain(tokens, 0)
    found = AblationCAM(model, conv_layer="embedding").explain(tokens, [0, 1])
    assert found.shape == (2, 6, 1) and found.any()
