"""Grad-CAM against a slow oracle, by hand, and the layer that it chooses."""

from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops

from tests import native
from tests.laying import laid
from tests.traps.trap import drawn
from vis import errors
from vis.attributions import GradCAM
from vis.class_maps import grad_cam
from vis.losses import ActivationMaximization, Loss
from vis.maps import upsample
from vis.models import linear_outputs
from vis.visualization import visualize_cam, visualize_cam_with_losses

# Stride, offset and reach of the positions of the layers of `network`.
CENTRES = [(1, 1, 1), (2, 2, 2), (2, 2, 2)]


def slow_cam_raw(
    features: np.ndarray, gradient: np.ndarray, size: tuple[int, int], centres: tuple[int, int, int]
) -> np.ndarray:
    """Equations (1) and (2) with loops, laid over the input one value at a time."""
    height, width, channels = features.shape
    heat = np.zeros((height, width))
    for k in range(channels):
        weight = sum(float(gradient[i, j, k]) for i in range(height) for j in range(width)) / (height * width)
        for i in range(height):
            for j in range(width):
                heat[i, j] += weight * float(features[i, j, k])
    return laid(np.where(heat > 0, heat, 0), size, *centres)


def slow_cam(
    features: np.ndarray, gradient: np.ndarray, size: tuple[int, int], centres: tuple[int, int, int]
) -> np.ndarray:
    large = slow_cam_raw(features, gradient, size, centres)
    return (large - large.min()) / (large.max() - large.min())


@pytest.fixture
def network() -> keras.Model:
    return keras.Sequential(
        [
            layers.Input((12, 10, 3)),
            layers.Conv2D(4, 3, activation="relu", name="first", kernel_initializer=drawn),
            layers.Conv2D(5, 3, strides=2, name="second", kernel_initializer=drawn),
            layers.ReLU(),
            layers.GlobalAveragePooling2D(),
            layers.Dense(3, activation="tanh", name="end", kernel_initializer=drawn),
        ]
    )


IMAGE = np.random.default_rng(0).random((12, 10, 3)).astype(np.float32)


def oracle_cam(network: keras.Model, index: int, filters: list[int], image: np.ndarray) -> np.ndarray:
    return slow_cam(*oracle_features(network, index, filters, image), image.shape[:2], CENTRES[index])


def oracle_features(network: keras.Model, index: int, filters: list[int], image: np.ndarray) -> Any:
    """Split the network by hand after the layer with an index."""
    features = ops.convert_to_tensor(image[None])
    for layer in network.layers[: index + 1]:
        features = layer(features)

    def total(outputs: Any) -> Any:
        for layer in network.layers[index + 1 :]:
            outputs = layer(outputs)
        return sum(outputs[0, f] for f in filters)

    return ops.convert_to_numpy(features)[0], native.gradient(total, features)[0]


@pytest.mark.parametrize("filters", [[0], [2], [0, 2]])
@pytest.mark.parametrize(("penultimate", "index"), [(None, 2), ("second", 1), ("first", 0), (2, 2)])
def test_agrees_with_the_oracle(
    network: keras.Model, filters: list[int], penultimate: Any, index: int
) -> None:
    found = visualize_cam(network, -1, filters, IMAGE, penultimate)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, oracle_cam(network, index, filters, IMAGE), atol=1e-5)


def two_convolutions_of_ones() -> keras.Model:
    return keras.Sequential(
        [
            layers.Input((6, 6, 1)),
            layers.Conv2D(1, 3, kernel_initializer="ones", name="first"),
            layers.Conv2D(1, 3, kernel_initializer="ones", name="second"),
        ]
    )


def test_two_convolutions_of_ones_by_hand() -> None:
    image = np.zeros((6, 6, 1), np.float32)
    image[:, :3] = 1
    # The first convolution gives columns of 9, 6, 3, 0; its weight is positive, so the map is these, with the
    # centres of their receptive fields at the columns 1 to 4, and the outermost once more at the edges.
    row = [1, 1, 2 / 3, 1 / 3, 0, 0]
    np.testing.assert_allclose(visualize_cam(two_convolutions_of_ones(), -1, 0, image), [row] * 6, rtol=1e-5)


def test_negative_gradients_do_not_light_up() -> None:
    model = two_convolutions_of_ones()
    model.layers[1].kernel.assign(-np.ones((3, 3, 1, 1)))
    image = np.zeros((6, 6, 1), np.float32)
    image[:, :3] = 1
    with pytest.warns(errors.EmptyMapWarning):
        assert not visualize_cam(model, -1, 0, image).any()
    lowered = visualize_cam(model, -1, 0, image, grad_modifier="negate")
    np.testing.assert_allclose(lowered[0], [1, 1, 2 / 3, 1 / 3, 0, 0], rtol=1e-5)


def test_grad_cam_by_hand() -> None:
    features = np.array([[[1.0, 2.0], [3.0, 4.0]]])  # two positions, two channels
    gradient = np.array([[[2.0, -1.0], [0.0, -3.0]]])  # means 1 and -2
    assert grad_cam(gradient, features).tolist() == [[1 - 4, 3 - 8]]
    assert grad_cam(np.zeros((1, 2, 2)), features).tolist() == [[0, 0]]


@pytest.mark.parametrize("scale", [1e-30, 1e30])
@pytest.mark.parametrize("normalize", ["minmax", "signed"])
def test_the_scale_of_the_output_does_not_matter(network: keras.Model, scale: float, normalize: Any) -> None:
    end = network.layers[-1].output

    class Scaled(Loss):
        name = "scaled"

        def __init__(self, factor: float) -> None:
            self.factor = factor

        def build_loss(self) -> Any:
            return self.factor * end[:, 2]

    found, expected = (
        visualize_cam_with_losses(
            network, [(Scaled(factor), 1)], IMAGE, conv_layer="second", normalize=normalize
        )
        for factor in (scale, 1.0)
    )
    assert expected.any()
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("filters", [[0], [0, 2]])
def test_each_normalization_agrees_with_the_oracle(network: keras.Model, filters: list[int]) -> None:
    features, gradient = oracle_features(network, 1, filters, IMAGE)
    raw = slow_cam_raw(features, gradient, IMAGE.shape[:2], CENTRES[1])
    found = visualize_cam(network, -1, filters, IMAGE, conv_layer="second", normalize=None)
    assert found.dtype == np.float32 and found.max() > 0
    np.testing.assert_allclose(found, raw, rtol=1e-4, atol=1e-7)
    signed = visualize_cam(network, -1, filters, IMAGE, conv_layer="second", normalize="signed")
    np.testing.assert_allclose(signed, raw / raw.max(), atol=1e-5)
    assert signed.max() == 1
    explained = GradCAM(network, conv_layer="second").explain(IMAGE[None], np.eye(3)[filters].sum(0)[None])
    np.testing.assert_allclose(found, explained[0, ..., 0], rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("normalize", [None, "minmax", "signed"])
def test_the_map_at_the_positions_of_the_layer(network: keras.Model, normalize: Any) -> None:
    features, gradient = oracle_features(network, 0, [0], IMAGE)
    heat = np.maximum((gradient.mean(axis=(0, 1)) * features).sum(axis=-1), 0)
    given = {"conv_layer": "first", "normalize": normalize, "upsample": False}
    found = visualize_cam(network, -1, 0, IMAGE, **given)
    assert found.shape == features.shape[:2] and found.dtype == np.float32
    low = heat.min() if normalize == "minmax" else 0
    expected = heat if normalize is None else (heat - low) / (heat.max() - low)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6 * expected.max())
    loss = ActivationMaximization(network.layers[-1], 0)
    again = visualize_cam_with_losses(network, [(loss, -1)], IMAGE, **given)
    np.testing.assert_allclose(again, expected, rtol=1e-4, atol=1e-6 * expected.max())


def constant_model() -> keras.Model:
    """Return a model whose only feature map is the same everywhere for an input of ones."""
    return keras.Sequential(
        [
            layers.Input((3, 4, 1)),
            layers.Conv2D(1, 1, kernel_initializer=keras.initializers.Constant(2.0), name="conv"),
            layers.Flatten(),
            layers.Dense(1, kernel_initializer=keras.initializers.Constant(3.0)),
        ]
    )


def test_a_constant_map_is_zeros_in_minmax_only() -> None:
    model, image = constant_model(), np.ones((3, 4, 1))
    with pytest.warns(errors.EmptyMapWarning, match="negative or zero everywhere, or constant"):
        assert not visualize_cam(model, -1, 0, image).any()
    assert visualize_cam(model, -1, 0, image, normalize=None).tolist() == [[6.0] * 4] * 3  # 3 x 2
    assert visualize_cam(model, -1, 0, image, normalize="signed").tolist() == [[1.0] * 4] * 3
    with pytest.warns(errors.EmptyMapWarning, match="is negative or zero everywhere. To see what lowers"):
        assert not visualize_cam(model, -1, 0, -image, normalize=None).any()


def test_the_convolutional_layer_has_one_name_and_an_older_one(network: keras.Model) -> None:
    expected = visualize_cam(network, -1, 0, IMAGE, "second")
    losses = [(ActivationMaximization(network.layers[-1], 0), -1)]
    second = network.get_layer("second")
    for found in (
        visualize_cam(network, -1, 0, IMAGE, conv_layer="second"),
        visualize_cam(network, -1, 0, IMAGE, penultimate_layer_idx=1),
        visualize_cam_with_losses(network, losses, IMAGE, conv_layer="second"),
        visualize_cam_with_losses(network, losses, IMAGE, penultimate_layer=second),
        visualize_cam_with_losses(network.inputs, losses, IMAGE, conv_layer=second.output),
    ):
        np.testing.assert_array_equal(found, expected)
    with pytest.raises(errors.InputError, match="conv_layer and penultimate_layer_idx name the same"):
        visualize_cam(network, -1, 0, IMAGE, 1, conv_layer=1)
    with pytest.raises(errors.InputError, match="conv_layer and penultimate_layer name the same"):
        visualize_cam_with_losses(network, losses, IMAGE, second, conv_layer="first")
    with pytest.raises(errors.LayerError, match="needs a layer whose feature maps it weights"):
        visualize_cam_with_losses(network, losses, IMAGE)


@pytest.mark.parametrize("wrong", ["min-max", "sign", 1, False, ["minmax"], np.array(["minmax", "signed"])])
def test_a_wrong_normalization_is_refused_first(network: keras.Model, wrong: Any) -> None:
    with pytest.raises(errors.InputError, match=r'normalize must be "minmax".*Received: ') as caught:
        visualize_cam(network, "no layer", 0, IMAGE, normalize=wrong)
    assert ("Did you mean" in str(caught.value)) is isinstance(wrong, str)


@pytest.mark.parametrize("shape", [(7,), (5, 9), (3, 4, 5)])
def test_upsampling_is_linear_and_never_negative(shape: tuple[int, ...]) -> None:
    small = np.random.default_rng(0).random(tuple(2 for _ in shape))
    large = upsample(small, shape)
    assert large.shape == shape
    assert large.min() >= small.min() - 1e-12 and large.max() <= small.max() + 1e-12
    assert np.array_equal(upsample(small, small.shape), small)


@pytest.mark.parametrize(
    ("shape", "convolution"),
    [((9, 2), layers.Conv1D), ((7, 9, 2), layers.Conv2D), ((5, 6, 7, 2), layers.Conv3D)],
)
def test_one_two_and_three_dimensions(shape: tuple[int, ...], convolution: Any) -> None:
    model = keras.Sequential(
        [layers.Input(shape), convolution(3, 2, kernel_initializer="ones"), layers.Flatten(), layers.Dense(1)]
    )
    model.layers[-1].kernel.assign(np.ones(model.layers[-1].kernel.shape))
    image = np.zeros(shape, np.float32)
    image[tuple(-1 for _ in shape[:-1])] = 1
    found = visualize_cam(model, -1, 0, image)
    assert found.shape == shape[:-1]
    assert np.unravel_index(found.argmax(), found.shape) == tuple(n - 1 for n in shape[:-1])


def test_channels_first() -> None:
    model = keras.Sequential(
        [layers.Input((2, 4, 6)), layers.AveragePooling2D(2, data_format="channels_first"), layers.Flatten()]
    )
    image = np.zeros((2, 4, 6), np.float32)
    image[1, :2, 2:4] = 1
    # Flatten keeps the order channel, row, column: filter 7 is the second channel's pool (0, 1).
    found = visualize_cam(model, -1, 7, image)
    assert found.shape == (4, 6)
    # Half a cell from its centre a value has fallen to 3/4; the first row lies outside all centres.
    np.testing.assert_allclose(found[:2, 2:4], [[1, 1], [0.75, 0.75]])


def test_a_nested_backbone(network: keras.Model) -> None:
    backbone = keras.Sequential([layers.Input((12, 10, 3)), *network.layers[:3]], name="backbone")
    inputs = layers.Input((12, 10, 3))
    x = keras.Sequential(network.layers[3:], name="head")(backbone(inputs))
    outer = keras.Model(inputs, x)
    np.testing.assert_allclose(
        visualize_cam(outer, -1, 1, IMAGE), oracle_cam(network, 2, [1], IMAGE), atol=1e-5
    )
    expected = oracle_cam(network, 1, [1], IMAGE)
    found = visualize_cam(outer, "head/end", 1, IMAGE, "backbone/second")
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_branch_that_does_not_lead_to_the_target_is_not_chosen() -> None:
    image, table = layers.Input((6, 6, 1), name="image"), layers.Input((3,), name="table")
    used = layers.Conv2D(2, 3, kernel_initializer="ones", name="used")(image)
    aside = layers.Conv2D(2, 3, name="aside")(layers.Conv2D(2, 2)(image))
    flat = layers.concatenate([layers.GlobalMaxPooling2D()(used), table])
    model = keras.Model([image, table], [layers.Dense(1, kernel_initializer="ones", name="end")(flat), aside])
    picture = np.zeros((6, 6, 1), np.float32)
    picture[:, :3] = 1
    found = visualize_cam(model, "end", 0, [picture, np.ones(3)])
    assert found.shape == (6, 6)
    np.testing.assert_allclose(found[0], [1, 1, 2 / 3, 1 / 3, 0, 0], rtol=1e-5)


def test_with_losses_is_the_same_for_the_same_loss(network: keras.Model) -> None:
    expected = visualize_cam(network, -1, 0, IMAGE, "second")
    losses = [(ActivationMaximization(network.layers[-1], 0), -1)]
    for source in (network, network.inputs[0]):
        found = visualize_cam_with_losses(source, losses, IMAGE, network.get_layer("second"))
        assert np.array_equal(found, expected)


def test_a_loss_of_ones_own(network: keras.Model) -> None:
    class Difference(Loss):
        def build_loss(self) -> Any:
            output = network.layers[-1].output
            return ops.square(output[:, 1] - output[:, 0])

    found = visualize_cam_with_losses(network, [(Difference(), 1)], IMAGE, network.get_layer("second"))
    features = network.layers[1](network.layers[0](ops.convert_to_tensor(IMAGE[None])))

    def loss(outputs: Any) -> Any:
        for layer in network.layers[2:]:
            outputs = layer(outputs)
        return ops.square(outputs[0, 1] - outputs[0, 0])

    slopes = native.gradient(loss, features)[0]
    expected = slow_cam(ops.convert_to_numpy(features)[0], slopes, (12, 10), (2, 2, 2))
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_guided_cam_differs_and_is_that_of_the_guided_gradient(network: keras.Model) -> None:
    features = network.layers[1](network.layers[0](ops.convert_to_tensor(IMAGE[None])))
    kernel = np.asarray(network.layers[-1].kernel)[:, 0]
    slope = 1 - float(network(IMAGE[None])[0, 0]) ** 2
    # What comes in to the ReLU is the same at each of its positions.
    incoming = np.broadcast_to(kernel * slope / (features.shape[1] * features.shape[2]), features.shape[1:])
    guided = np.where((incoming > 0) & (ops.convert_to_numpy(features)[0] > 0), incoming, 0)
    expected = slow_cam(ops.convert_to_numpy(features)[0], guided, (12, 10), (2, 2, 2))
    found = visualize_cam(network, -1, 0, IMAGE, "second", backprop_modifier="guided")
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert np.abs(found - visualize_cam(network, -1, 0, IMAGE, "second")).max() > 0.01
    with pytest.raises(errors.ModifierError, match="reaches no activation"):
        visualize_cam(network, -1, 0, IMAGE, backprop_modifier="guided")  # the layer is that activation


def test_a_softmax_under_the_loss_warns_and_its_logits_do_not() -> None:
    model = keras.Sequential(
        [
            layers.Input((6, 6, 1)),
            layers.Conv2D(2, 3, activation="relu", kernel_initializer=drawn, bias_initializer="ones"),
            layers.Flatten(),
            layers.Dense(2, activation="softmax", kernel_initializer=drawn),
        ]
    )
    image = np.random.default_rng(0).random((6, 6, 1))
    with pytest.warns(errors.SoftmaxWarning):
        visualize_cam(model, -1, 0, image, grad_modifier="absolute")
    visualize_cam(linear_outputs(model), -1, 0, image, grad_modifier="absolute")


def test_wrong_calls(network: keras.Model) -> None:
    table = keras.Sequential([layers.Input((3,)), layers.Dense(2), layers.Dense(1, name="end")])
    with pytest.raises(errors.LayerError, match="No layer before 'end' has more than one position"):
        visualize_cam(table, -1, 0, np.ones(3))
    with pytest.raises(errors.LayerError, match="No layer before 'first' has more than one position"):
        visualize_cam(network, "first", 0, IMAGE)
    with pytest.raises(errors.LayerError, match="has no positions"):
        visualize_cam(network, -1, 0, IMAGE, 3)
    with pytest.raises(errors.LayerError, match=r"no layer 'secnd'\. Did you mean 'second'"):
        visualize_cam(network, -1, 0, IMAGE, "secnd")
    with pytest.raises(
        errors.LayerError, match=r"conv_layer must be a layer or a symbolic tensor.*Received: 1"
    ):
        loss = ActivationMaximization(network.layers[-1], 0)
        visualize_cam_with_losses(network.inputs, [(loss, -1)], IMAGE, 1)
    with pytest.raises(errors.GradientError, match="No path leads from the loss"):
        visualize_cam(network, "first", 0, IMAGE, "second")


def test_looks_into_wrappers() -> None:
    film = layers.Input((4, 6, 5, 2))
    inner = layers.Conv2D(3, 3, activation="relu", kernel_initializer=drawn, bias_initializer="ones")
    x = layers.TimeDistributed(inner, name="frames")(film)
    x = layers.Dense(2, kernel_initializer=drawn)(layers.Flatten()(x))
    model = keras.Model(film, x)
    frames = np.random.default_rng(0).random((4, 6, 5, 2)).astype(np.float32)
    found = visualize_cam(model, -1, 0, frames)
    assert found.shape == (4, 6, 5)
    np.testing.assert_array_equal(found, visualize_cam(model, -1, 0, frames, "frames"))
