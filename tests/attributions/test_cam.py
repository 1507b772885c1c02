"""Class activation maps by a gradient, in batches, against loops over their equations, and by hand."""

from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops

from tests import native
from tests.laying import laid
from vis.attributions import GradCAM, GradCAMPlusPlus, HiResCAM, LayerCAM, XGradCAM
from vis.attributions.cam import ClassActivation
from vis.errors import EmptyMapWarning, GradientError, LayerError
from vis.visualization import visualize_cam

# Where zeros are right, a warning about them is beside the point.
pytestmark = pytest.mark.filterwarnings("ignore::vis.errors.EmptyMapWarning")


def random(*shape: int, seed: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).random(size=shape).astype(np.float32)


@pytest.fixture(scope="module")
def network() -> keras.Model:
    keras.utils.set_random_seed(9)
    return keras.Sequential(
        [
            layers.Input((12, 10, 3)),
            layers.Conv2D(4, 3, activation="relu", name="first"),
            layers.Conv2D(5, 3, strides=2, name="second"),
            layers.ReLU(),
            layers.GlobalAveragePooling2D(),
            layers.Dense(3, activation="tanh", name="end"),
        ]
    )


def heat_of(kind: Any, features: np.ndarray, gradient: np.ndarray) -> np.ndarray:
    """The equations, one channel and one position at a time."""
    height, width, channels = features.shape
    heat = np.zeros((height, width))
    for k in range(channels):
        total = sum(float(features[i, j, k]) for i in range(height) for j in range(width))
        weight = 0.0
        for i in range(height):
            for j in range(width):
                g = float(gradient[i, j, k])
                if kind is GradCAM:
                    weight += g / (height * width)
                elif kind is XGradCAM:
                    weight += g * float(features[i, j, k]) / total if total else 0
                elif kind is GradCAMPlusPlus and g != 0:
                    weight += g**2 / (2 * g**2 + total * g**3) * max(g, 0)
        for i in range(height):
            for j in range(width):
                g = float(gradient[i, j, k])
                factor = {LayerCAM: max(g, 0), HiResCAM: g}.get(kind, weight)
                heat[i, j] += factor * float(features[i, j, k])
    return np.where(heat > 0, heat, 0)


# Stride, offset and reach of the positions of the layers of `network`.
CENTRES = [(1, 1, 1), (2, 2, 2), (2, 2, 2)]


def oracle(kind: Any, network: keras.Model, cut: int, x: np.ndarray, label: int) -> np.ndarray:
    """Split the network by hand after a layer, for one sample."""
    features = ops.convert_to_tensor(x[None])
    for layer in network.layers[: cut + 1]:
        features = layer(features)

    def score(y: Any) -> Any:
        for layer in network.layers[cut + 1 :]:
            y = layer(y)
        return y[0, label]

    gradient = native.gradient(score, features)[0]
    features = ops.convert_to_numpy(features)[0]
    return laid(heat_of(kind, features, gradient), x.shape[:2], *CENTRES[cut])


KINDS = [GradCAM, GradCAMPlusPlus, LayerCAM, HiResCAM, XGradCAM]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("conv_layer", "cut"), [(None, 2), ("second", 1), ("first", 0), (0, 0), (2, 2)], ids=str
)
def test_agrees_with_the_oracle(network: keras.Model, kind: Any, conv_layer: Any, cut: int) -> None:
    x, labels = random(5, 12, 10, 3), [0, 2, 1, 2, 0]
    expected = np.stack([oracle(kind, network, cut, *pair) for pair in zip(x, labels, strict=True)])
    assert (np.abs(expected).max(axis=(1, 2)) > 1e-5).any()
    found = kind(network, conv_layer=conv_layer, batch_size=2).explain(x, labels)
    assert found.dtype == np.float32 and found.shape == (5, 12, 10, 1)
    np.testing.assert_allclose(found[..., 0], expected, rtol=1e-4, atol=1e-5 * expected.max())


@pytest.mark.parametrize("kind", KINDS)
def test_the_map_at_the_positions_of_the_layer(network: keras.Model, kind: Any) -> None:
    x, labels = random(3, 12, 10, 3), [0, 2, 1]
    small = kind(network, conv_layer="first", upsample=False).explain(x, labels)
    assert small.shape == (3, 10, 8, 1) and small.dtype == np.float32
    expected = [laid(heat[..., 0], (12, 10), *CENTRES[0]) for heat in small]
    large = kind(network, conv_layer="first").explain(x, labels)[..., 0]
    np.testing.assert_allclose(large, expected, rtol=1e-4, atol=1e-6 * large.max())
    assert kind(network, conv_layer="first", upsample=False).explain(x[:0], []).shape == (0, 10, 8, 1)


def test_the_five_differ(network: keras.Model) -> None:
    x = random(1, 12, 10, 3)
    found = ([kind(network, conv_layer="first").explain(x, label) for kind in KINDS] for label in range(3))
    maps = next(each for each in found if all(part.any() for part in each))
    shares = [part / part.max() for part in maps]
    for i, share in enumerate(shares):
        assert np.abs(share - shares[i - 1]).max() > 0.01


def test_heat_by_hand() -> None:
    gradient = np.array([[[2.0, -1.0], [0.0, -3.0]]])  # one sample, two positions, two channels
    features = np.array([[[1.0, 2.0], [3.0, 4.0]]])  # sums 4 and 6
    heat = {kind: kind.heat(None, gradient, features)[0].tolist() for kind in KINDS}
    assert heat[GradCAM] == [1 * 1 - 2 * 2, 1 * 3 - 2 * 4]
    # Only the first place of the first channel rises: 4 / (8 + 8 * 4) * 2 = 1 / 5.
    np.testing.assert_allclose(heat[GradCAMPlusPlus], [1 / 5, 3 / 5])
    assert heat[LayerCAM] == [2, 0]
    assert heat[HiResCAM] == [2 - 2, -12]
    # The weights are 2 / 4 and -14 / 6.
    np.testing.assert_allclose(heat[XGradCAM], [1 / 2 - 14 / 3, 3 / 2 - 28 / 3])


@pytest.mark.parametrize("scale", [1e-120, 1e-30])
def test_small_gradients_do_not_vanish_in_their_powers(scale: float) -> None:
    gradient, features = np.random.default_rng(0).normal(size=(2, 1, 3, 4, 5))
    found = GradCAMPlusPlus.heat(None, gradient * scale, features) / scale
    expected = (np.maximum(gradient, 0) / 2).sum(axis=(1, 2), keepdims=True) * features
    np.testing.assert_allclose(found, expected.sum(axis=-1), rtol=1e-6)


def test_no_division_by_zero() -> None:
    # 2 + g sum A is zero for g = 1.
    found = GradCAMPlusPlus.heat(None, np.ones((1, 2, 1)), -np.ones((1, 2, 1)))
    assert np.isfinite(found).all()
    # A channel that adds up to zero has no weight.
    features = np.array([[[1.0, 2.0], [-1.0, 2.0]]])
    assert XGradCAM.heat(None, np.ones((1, 2, 2)), features).tolist() == [[2, 2]]


def test_shape_is_that_of_visualize_cam(network: keras.Model) -> None:
    x = random(3, 12, 10, 3)
    found = GradCAM(network).explain(x, 1)[..., 0]
    for sample, large in zip(x, found, strict=True):
        one = visualize_cam(network, -1, 1, sample)
        np.testing.assert_allclose((large - large.min()) / np.ptp(large), one, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("shape", "convolution"), [((9, 2), layers.Conv1D), ((5, 6, 7, 2), layers.Conv3D)])
def test_one_and_three_dimensions(kind: Any, shape: tuple[int, ...], convolution: Any) -> None:
    model = keras.Sequential(
        [layers.Input(shape), convolution(3, 2, kernel_initializer="ones"), layers.Flatten(), layers.Dense(1)]
    )
    model.layers[-1].kernel.assign(np.ones(model.layers[-1].kernel.shape))
    x = np.zeros((3, *shape), np.float32)
    x[(1, *(-1 for _ in shape[:-1]))] = 1
    found = kind(model).explain(x, 0)
    assert found.shape == (3, *shape[:-1], 1)
    assert not found[0].any() and not found[2].any()
    one = found[1, ..., 0]
    assert np.unravel_index(one.argmax(), one.shape) == tuple(n - 1 for n in shape[:-1])


@pytest.mark.parametrize("shape", [(9, 2), (9, 7, 2), (5, 6, 7, 2)])
def test_no_sample_has_the_shape_of_one(shape: tuple[int, ...]) -> None:
    convolution = {2: layers.Conv1D, 3: layers.Conv2D, 4: layers.Conv3D}[len(shape)]
    model = keras.Sequential([layers.Input(shape), convolution(3, 2), layers.Flatten(), layers.Dense(1)])
    assert GradCAM(model).explain(np.zeros((0, *shape)), 0).shape == (0, *shape[:-1], 1)


def test_channels_first() -> None:
    model = keras.Sequential(
        [layers.Input((2, 4, 6)), layers.AveragePooling2D(2, data_format="channels_first"), layers.Flatten()]
    )
    x = np.zeros((2, 2, 4, 6), np.float32)
    x[0, 1, :2, 2:4] = 1
    found = GradCAM(model).explain(x, 7)
    assert found.shape == (2, 4, 6, 1)
    # The weight of the second channel is 1/6; half a cell from its centre a value has fallen to 3/4, but for
    # the first row, which lies outside all centres.
    np.testing.assert_allclose(found[0, :2, 2:4, 0] * 6, [[3 / 4] * 2, [9 / 16] * 2], rtol=1e-5)
    assert not found[1].any()


@pytest.fixture(scope="module")
def two_inputs() -> tuple[keras.Model, keras.Model]:
    keras.utils.set_random_seed(3)
    table, image = keras.Input((3,), name="a_table"), keras.Input((6, 5, 1), name="image")
    flat = layers.Flatten()(layers.Conv2D(2, 3, activation="relu", name="conv")(image))
    out = layers.Dense(2)(layers.concatenate([table, flat]))
    return keras.Model([table, image], out), keras.Model({"a_table": table, "image": image}, out)


def test_one_map_whatever_the_number_of_inputs(two_inputs: tuple[keras.Model, keras.Model]) -> None:
    model, by_name = two_inputs
    table, image = random(2, 3), random(2, 6, 5, 1)
    found = GradCAM(model).explain([table, image], 1)
    assert isinstance(found, np.ndarray) and found.shape == (2, 6, 5, 1) and found.any()
    again = GradCAM(by_name).explain({"image": image, "a_table": table}, 1)
    assert isinstance(again, np.ndarray)
    np.testing.assert_allclose(again, found, rtol=1e-6)


def test_one_input_by_its_name_gives_one_map() -> None:
    model = keras.Sequential(
        [layers.Input((6, 5, 1), name="image"), layers.Conv2D(2, 3), layers.Flatten(), layers.Dense(2)]
    )
    x = random(2, 6, 5, 1)
    found = GradCAM(model).explain({"image": x}, 1)
    expected = GradCAM(model).explain(x, 1)
    np.testing.assert_array_equal(found["image"] if isinstance(found, dict) else found, expected)


def test_a_nested_backbone(network: keras.Model) -> None:
    backbone = keras.Sequential([layers.Input((12, 10, 3)), *network.layers[:3]], name="backbone")
    entry = layers.Input((12, 10, 3))
    outer = keras.Model(entry, keras.Sequential(network.layers[3:], name="head")(backbone(entry)))
    x = random(2, 12, 10, 3)
    expected = GradCAM(network).explain(x, 1)
    np.testing.assert_allclose(GradCAM(outer).explain(x, 1), expected, atol=1e-6)
    found = GradCAM(outer, "head/end", conv_layer="backbone/second").explain(x, 1)
    expected = GradCAM(network, conv_layer="second").explain(x, 1)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_a_hidden_unit_and_the_layer_before_it(network: keras.Model) -> None:
    explainer = GradCAM(network, "second")
    assert explainer.conv_layer is network.get_layer("first")
    found = explainer.explain(random(2, 12, 10, 3), 1)
    assert found.any()


def test_guided_cam_differs(network: keras.Model) -> None:
    x = random(2, 12, 10, 3)
    guided = GradCAM(network, conv_layer="first", backprop_modifier="guided").explain(x, 0)
    plain = GradCAM(network, conv_layer="first").explain(x, 0)
    assert np.abs(guided - plain).max() > 0.01 * plain.max()


def test_a_kind_of_ones_own(network: keras.Model) -> None:
    class Sum(ClassActivation):
        def heat(self, gradient: Any, features: Any) -> Any:
            return features.sum(axis=-1)

    x = random(2, 12, 10, 3)
    first = np.asarray(network.layers[0](x)).sum(axis=-1)
    found = Sum(network, conv_layer="first").explain(x, 0)[..., 0]
    expected = [laid(sample, (12, 10), *CENTRES[0]) for sample in first]
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_wrong_calls(network: keras.Model, two_inputs: tuple[keras.Model, keras.Model]) -> None:
    table = keras.Sequential([layers.Input((3,)), layers.Dense(2, name="mid"), layers.Dense(1, name="end")])
    with pytest.raises(LayerError, match=r"No layer before 'end' has more than one position"):
        GradCAM(table)
    with pytest.raises(LayerError, match=r"no layer 'secnd'\. Did you mean 'second'"):
        GradCAM(network, conv_layer="secnd")
    with pytest.raises(LayerError, match=r"'end' has no positions: its output has the shape \(3,\)"):
        GradCAM(network, conv_layer="end").explain(random(1, 12, 10, 3), 0)
    with pytest.raises(GradientError, match=r"No path leads"):
        GradCAM(network, "first", conv_layer="second").explain(random(1, 12, 10, 3), 0)


def test_a_picture_read_as_a_sequence_of_rows() -> None:
    steps = keras.Sequential(
        [
            layers.Input((8, 6, 1)),
            layers.Reshape((8, 6)),
            layers.Conv1D(2, 3, kernel_initializer="ones"),
            layers.Flatten(),
            layers.Dense(1, kernel_initializer="ones"),
        ]
    )
    x = np.zeros((1, 8, 6, 1), np.float32)
    x[0, 3] = 1
    found = GradCAM(steps).explain(x, 0)
    assert found.shape == (1, 8, 6, 1)
    # Each row of the map is the same all along; the convolution sees row 3 from the rows 2 to 4.
    assert [bool(row.all()) for row in found[0, ..., 0]] == [
        False,
        False,
        True,
        True,
        True,
        False,
        False,
        False,
    ]
    assert (found[0, ..., 0] == found[0, :, :1, 0]).all()


def test_a_missing_convolution_is_asked_for_by_the_name_of_its_argument() -> None:
    table = keras.Sequential([layers.Input((3,)), layers.Dense(1, name="end")])
    with pytest.raises(LayerError, match=r"conv_layer"):
        GradCAM(table)


def test_an_empty_map_before_a_dense_layer_names_hirescam() -> None:
    """The gradients 2 and -3 of two positions, with features 1 and 0: their mean is negative."""
    model = keras.Sequential(
        [layers.Input((1, 2, 1)), layers.Conv2D(1, 1), layers.Flatten(), layers.Dense(1, use_bias=False)]
    )
    model.set_weights([np.ones((1, 1, 1, 1)), np.zeros(1), np.array([[2.0], [-3.0]])])
    image = np.array([[[[1.0], [0.0]]]], np.float32)
    with pytest.warns(EmptyMapWarning, match=r"negative everywhere\. Try HiResCAM, .* or another conv_layer"):
        np.testing.assert_array_equal(GradCAM(model).explain(image, 0), np.zeros((1, 1, 2, 1)))
    np.testing.assert_allclose(HiResCAM(model).explain(image, 0)[0, 0, :, 0], [2, 0])
