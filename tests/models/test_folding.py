"""Folding batch normalizations into the layers before them: the same function, rounded in another way."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from tests.precision import precision
from vis import backprop_modifiers, models
from vis.attributions import GradCAM, IntegratedGradients, LayerCAM, Occlusion, Saliency, SmoothGrad
from vis.models import foldable

Build = Callable[[Any], Any]


def unsettled(model: keras.Model) -> keras.Model:
    """Give all variables random values, as after training."""
    noise = np.random.default_rng(0)
    for weight in model.weights:
        low, high = (0.5, 2) if "variance" in weight.path or "gamma" in weight.path else (-0.5, 0.5)
        weight.assign(noise.uniform(low, high, weight.shape))
    return model


def of_layers(shape: tuple[int, ...], *parts: Any, dtype: str = "float64") -> keras.Model:
    """Return a model of the layers, their outputs squared and weighed to two classes."""
    x = inputs = keras.Input(shape, dtype=dtype)
    for part in parts:
        part.dtype_policy = keras.DTypePolicy(dtype)
        x = part(x)
    x = layers.Flatten(dtype=dtype)(x**2)
    return unsettled(keras.Model(inputs, layers.Dense(2, dtype=dtype)(x)))


def maps(model: keras.Model, x: Any, fold: bool) -> Any:
    found = Saliency(model, reducer=None, grad_modifier=None, fold_layers=fold)(x, [0, 1])
    return found.astype(np.float64)


def in_double(model: keras.Model, x: Any, fold: bool) -> Any:
    """Return the gradients in float64, before an explainer makes float32 of them."""
    score = Saliency(model, fold_layers=fold).score
    return score.gradients([x], np.eye(2, dtype=np.float32)).gradients[0]


def near(model: keras.Model, x: Any) -> float:
    """Return how near the gradients of two models are: on some backends Keras computes a part in 32 bits."""
    return 1e-9 if precision(model, x) < 1e-10 else 1e-4


BEFORE: dict[str, tuple[tuple[int, ...], Callable[[], Any]]] = {
    "Dense": ((5,), lambda: layers.Dense(4)),
    "Dense on a sequence": ((3, 5), lambda: layers.Dense(4, use_bias=False)),
    "Conv1D": ((6, 3), lambda: layers.Conv1D(4, 3)),
    "Conv2D": ((6, 7, 3), lambda: layers.Conv2D(4, 3, strides=2, padding="same")),
    "Conv2D without bias": ((6, 7, 3), lambda: layers.Conv2D(4, 3, use_bias=False)),
    "Conv2D dilated": ((8, 8, 3), lambda: layers.Conv2D(4, 3, dilation_rate=2)),
    "Conv3D": ((4, 4, 4, 2), lambda: layers.Conv3D(3, 2)),
    "DepthwiseConv1D": ((6, 3), lambda: layers.DepthwiseConv1D(3, depth_multiplier=2)),
    "DepthwiseConv2D": ((6, 6, 3), lambda: layers.DepthwiseConv2D(3, depth_multiplier=2)),
    "SeparableConv1D": ((6, 3), lambda: layers.SeparableConv1D(4, 3)),
    "SeparableConv2D": ((6, 6, 3), lambda: layers.SeparableConv2D(4, 3)),
    "Conv1DTranspose": ((5, 3), lambda: layers.Conv1DTranspose(4, 3)),
    "Conv2DTranspose": ((4, 5, 3), lambda: layers.Conv2DTranspose(4, 3, strides=2)),
    "Conv3DTranspose": ((3, 3, 3, 2), lambda: layers.Conv3DTranspose(3, 2)),
}


@pytest.mark.in_64_bits
@pytest.mark.parametrize("norm", [{}, {"scale": False}, {"center": False}, {"epsilon": 0.1}])
@pytest.mark.parametrize("name", BEFORE)
def test_the_maps_are_those_of_the_unfolded_model(name: str, norm: dict[str, Any]) -> None:
    shape, make = BEFORE[name]
    model = of_layers(shape, make(), layers.BatchNormalization(**norm))
    assert foldable(model) == [tuple(model.layers[1:3])]
    x = np.random.default_rng(1).normal(size=(2, *shape))
    plain, folded = in_double(model, x, False), in_double(model, x, True)
    assert np.abs(plain).max() > 1e-3
    assert np.abs(folded - plain).max() < near(model, x) * np.abs(plain).max()


PADDED: dict[str, tuple[tuple[int, ...], Any, Any, bool]] = {
    "stride 2, even": ((8, 8, 2), ((0, 1), (0, 1)), lambda: layers.DepthwiseConv2D(3, strides=2), True),
    "stride 2, odd": ((7, 8, 2), ((0, 1), (0, 1)), lambda: layers.DepthwiseConv2D(3, strides=2), False),
    "stride 2, odd, both sides": ((7, 9, 2), 1, lambda: layers.Conv2D(3, 3, strides=2), True),
    "stride 1": ((6, 5, 2), (1, 2), lambda: layers.SeparableConv2D(3, (3, 5)), True),
    "too much": ((8, 8, 2), 3, lambda: layers.Conv2D(3, 7, strides=2), False),
    "dilated": ((8, 8, 2), 2, lambda: layers.Conv2D(3, 3, dilation_rate=2), True),
    "padded already": ((8, 8, 2), 1, lambda: layers.Conv2D(3, 3, padding="same"), False),
    "transposed": ((4, 4, 2), 1, lambda: layers.Conv2DTranspose(3, 3), False),
    "a sequence": ((6, 2), 1, lambda: layers.Conv1D(3, 3), True),
    "a volume": ((4, 4, 4, 2), 1, lambda: layers.Conv3D(3, 3), True),
    "a length that varies": ((None, 2), 1, lambda: layers.Conv1D(3, 3), False),
}


@pytest.mark.in_64_bits
@pytest.mark.parametrize("name", PADDED)
def test_zero_paddings(name: str) -> None:
    shape, padding, make, fits = PADDED[name]
    rank = len(shape) - 1
    padded = getattr(layers, f"ZeroPadding{rank}D")(padding)
    x = inputs = keras.Input(shape, dtype="float64")
    conv, norm = make(), layers.BatchNormalization(dtype="float64")
    for layer in (padded, conv):
        layer.dtype_policy = keras.DTypePolicy("float64")
    x = norm(conv(padded(x)))
    pool = getattr(layers, f"GlobalAveragePooling{rank}D")(dtype="float64")
    model = unsettled(keras.Model(inputs, layers.Dense(2, dtype="float64")(pool(x**2))))
    assert set(foldable(model)) == {(conv, norm), *([(padded, conv)] if fits else [])}
    seen = np.random.default_rng(1).normal(size=(2, *(size or 5 for size in shape)))
    plain, folded = in_double(model, seen, False), in_double(model, seen, True)
    assert np.abs(plain).max() > 1e-3
    assert np.abs(folded - plain).max() < near(model, seen) * np.abs(plain).max()
    if fits:
        first = Saliency(model, wrt=padded, reducer=None, fold_layers=True)(seen, 1)
        assert first.shape == (2, *padded.output.shape[1:])


def test_by_hand() -> None:
    """(3 x + 1 - 2) / sqrt(0.25) * 5 + 7 = 30 x - 3, squared, has the slope 60 (30 x - 3)."""
    dense, norm = layers.Dense(1), layers.BatchNormalization(epsilon=0.0)
    model = keras.Sequential([keras.Input((1,)), dense, norm, layers.Lambda(lambda x: x**2)])
    dense.set_weights([np.array([[3.0]]), np.array([1.0])])
    norm.set_weights([np.array([5.0]), np.array([7.0]), np.array([2.0]), np.array([0.25])])
    assert maps_of(model, [[1.0], [0.2]]).tolist() == [[1620.0], [180.0]]


def maps_of(model: keras.Model, x: Any) -> Any:
    found = Saliency(model, grad_modifier=None, reducer=None, fold_layers=True)(np.asarray(x), 0)
    return np.round(found, 3)


@pytest.fixture
def network() -> keras.Model:
    """What networks are made of: a stem, a residual block, a nested block, a depthwise one, a head."""
    keras.utils.set_random_seed(0)

    def block(x: Any, make: Any) -> Any:
        return layers.ReLU(max_value=6.0)(layers.BatchNormalization()(make(x)))

    inner_input = keras.Input((None, None, 8))
    inner = keras.Model(inner_input, block(inner_input, layers.DepthwiseConv2D(3)), name="inner")
    image = keras.Input((16, 16, 3))
    x = block(image, layers.Conv2D(8, 3, use_bias=False))
    x = layers.add([x, block(x, layers.Conv2D(8, 3, padding="same"))])
    x = layers.GlobalAveragePooling2D()(inner(x))
    x = layers.BatchNormalization()(layers.Dense(6)(x))
    return unsettled(keras.Model(image, layers.Dense(2)(x)))


IMAGES = np.random.default_rng(2).random((2, 16, 16, 3), np.float32)


def test_at_every_depth(network: keras.Model) -> None:
    assert len(foldable(network)) == 4
    plain, folded = maps(network, IMAGES, False), maps(network, IMAGES, True)
    assert np.corrcoef(plain.ravel(), folded.ravel())[0, 1] > 0.9999
    assert not np.array_equal(plain, folded), "it was folded"


def test_the_network_is_untouched(network: keras.Model, untouched: Any) -> None:
    check = untouched(network)
    maps(network, IMAGES, True)
    check()


def test_new_weights_are_seen(network: keras.Model) -> None:
    before = maps(network, IMAGES, True)
    norm, conv = network.layers[2], network.layers[1]
    norm.moving_variance.assign(norm.moving_variance * 3)
    conv.kernel.assign(-conv.kernel)
    after = maps(network, IMAGES, True)
    np.testing.assert_allclose(after, maps(network, IMAGES, False), rtol=1e-3, atol=1e-5)
    assert np.abs(after - before).max() > 0.1 * np.abs(before).max()


EXPLAINERS = pytest.mark.parametrize(
    "make",
    [
        lambda model, fold: Saliency(model, backprop_modifier="guided", fold_layers=fold),
        lambda model, fold: Saliency(backprop_modifiers.rectified(model), fold_layers=fold),
        lambda model, fold: SmoothGrad(model, nb_samples=3, fold_layers=fold),
        lambda model, fold: IntegratedGradients(model, steps=4, fold_layers=fold),
        lambda model, fold: LayerCAM(model, fold_layers=fold),
        lambda model, fold: GradCAM(model, conv_layer=1, fold_layers=fold),
        lambda model, fold: Occlusion(model, patch_size=8, fold_layers=fold),
        lambda model, fold: Saliency(model, output_layer="inner", fold_layers=fold),
        lambda model, fold: Saliency(model, output_layer=1, fold_layers=fold),
        lambda model, fold: Saliency(model, output_layer=2, fold_layers=fold),
        lambda model, fold: Saliency(model, wrt=1, fold_layers=fold),
        lambda model, fold: Saliency(model, wrt=2, fold_layers=fold),
    ],
)


@EXPLAINERS
def test_the_explainers_take_it(network: keras.Model, make: Build) -> None:
    explainer = make(network, True)
    assert explainer.settings().get("fold_layers", True)
    plain, folded = make(network, False)(IMAGES, 1), explainer(IMAGES, 1)
    np.testing.assert_allclose(folded, plain, rtol=2e-3, atol=1e-4 * np.abs(plain).max())


@EXPLAINERS
def test_a_run_gives_the_same_maps(network: keras.Model, make: Build) -> None:
    explainer = make(network, True)
    wanted, found = explainer(IMAGES, 1), explainer.fixed()(IMAGES, 1)
    np.testing.assert_allclose(found, wanted, rtol=2e-3, atol=1e-4 * np.abs(wanted).max())


@pytest.mark.parametrize("kind", [Saliency, SmoothGrad])
def test_for_a_run_it_is_done_once(network: keras.Model, kind: Any) -> None:
    explainer = kind(network, fold_layers=True)
    wanted, fixed = explainer(IMAGES, 1), explainer.fixed()
    network.layers[1].kernel.assign(-network.layers[1].kernel)
    close = {"rtol": 2e-3, "atol": 1e-4 * np.abs(wanted).max()}
    np.testing.assert_allclose(fixed(IMAGES, 1), wanted, **close)
    changed = explainer(IMAGES, 1)
    assert np.abs(changed - wanted).max() > 1e-2 * np.abs(wanted).max()
    np.testing.assert_allclose(explainer.fixed()(IMAGES, 1), changed, **close)


@pytest.mark.in_64_bits
def test_in_double_precision_once_is_as_good() -> None:
    model = of_layers((6, 7, 3), layers.Conv2D(4, 3), layers.BatchNormalization())
    x, weights = np.random.default_rng(1).normal(size=(2, 6, 7, 3)), np.eye(2, dtype=np.float32)
    score = Saliency(model, fold_layers=True).score
    found, plain = score.fixed().gradients([x], weights), in_double(model, x, False)
    assert np.abs(found.gradients[0] - plain).max() < near(model, x) * np.abs(plain).max()


@pytest.mark.parametrize("fold", [False, True])
def test_a_run_stays_the_same_run(network: keras.Model, fold: bool) -> None:
    run = Saliency(network, fold_layers=fold).fixed().score
    assert run.fixed() is run and bool(run.kernels) == fold


def test_the_logits_of_a_sequential_model_are_folded() -> None:
    parts = [layers.Conv2D(3, 3), layers.BatchNormalization(), layers.Flatten(), layers.Dense(2)]
    model = keras.Sequential([keras.Input((8, 8, 1)), *parts, layers.Softmax()])
    assert len(foldable(model)) == len(foldable(models.linear_outputs(model))) == 1


class Own(keras.Model):
    """A functional model with a call of its own."""

    def call(self, inputs: Any, training: Any = None, mask: Any = None) -> Any:
        return self.layers[-1](self.layers[1](inputs))


class Scaled(layers.Dense):
    """A layer with a call of its own."""

    def call(self, inputs: Any, training: Any = None) -> Any:
        return 2 * super().call(inputs)


class Holder(layers.Layer):
    """A layer that runs another one as it likes."""

    def __init__(self, held: Any) -> None:
        super().__init__()
        self.held = held

    def call(self, x: Any) -> Any:
        return self.held(x)


def _unfoldable() -> dict[str, Callable[[], keras.Model]]:
    def graph(end: Callable[[Any, Any, Any], Any], kind: Any = keras.Model, **settings: Any) -> keras.Model:
        x, norm = keras.Input((4,)), layers.BatchNormalization()
        dense = settings.pop("layer", None) or layers.Dense(4, **settings)
        return kind(x, end(x, dense, norm))

    def two_outputs(x: Any, dense: Any, norm: Any) -> Any:
        hidden = dense(x)
        return [hidden, norm(hidden)]

    def used_twice(x: Any, dense: Any, norm: Any) -> Any:
        hidden = dense(x)
        return layers.add([hidden, norm(hidden)])

    return {
        "an activation between": lambda: graph(lambda x, d, n: n(d(x)), activation="relu"),
        "the layer's output is used elsewhere": lambda: graph(used_twice),
        "the layer's output is one of the model's": lambda: graph(two_outputs),
        "the layer is run twice": lambda: graph(lambda x, d, n: n(d(d(x)))),
        "the normalization is run twice": lambda: graph(lambda x, d, n: n(n(d(x)))),
        "a layer with a call of its own": lambda: graph(lambda x, d, n: n(d(x)), layer=Scaled(4)),
        "half precision": lambda: graph(lambda x, d, n: n(d(x)), dtype="mixed_float16"),
        "a model with a call of its own": lambda: graph(lambda x, d, n: n(d(x)), kind=Own),
        "held by a layer with a call of its own": lambda: graph(lambda x, d, n: n(d(Holder(d)(x)))),
        "another axis": lambda: of_layers(
            (4, 4, 3), layers.Conv2D(4, 1), layers.BatchNormalization(axis=1), dtype="float32"
        ),
        "no layer before": lambda: graph(lambda x, d, n: d(n(x))),
    }


@pytest.mark.parametrize("name", _unfoldable())
def test_what_is_left_alone(name: str) -> None:
    model = _unfoldable()[name]()
    assert foldable(model) == []
    unsettled(model)
    x = np.random.default_rng(0).random((2, *model.inputs[0].shape[1:]), np.float32)
    options = {"operator": lambda model, inputs, targets: keras.ops.sum(model(inputs)[0], axis=-1)}
    options = options if len(model.outputs) > 1 else {}
    folded = Saliency(model, fold_layers=True, **options)(x, 1)
    np.testing.assert_array_equal(folded, Saliency(model, **options)(x, 1))


def test_an_activation_that_is_set_later_is_seen(network: keras.Model) -> None:
    maps(network, IMAGES, True)
    network.layers[1].activation = keras.activations.tanh
    assert len(foldable(network)) == 3
    folded = maps(network, IMAGES, True)
    np.testing.assert_allclose(folded, maps(network, IMAGES, False), rtol=1e-3, atol=1e-5)


def test_it_is_off_unless_asked_for(network: keras.Model) -> None:
    explainer = Saliency(network)
    assert explainer.settings()["fold_layers"] is False
    np.testing.assert_array_equal(explainer(IMAGES, 0), Saliency(network, fold_layers=False)(IMAGES, 0))
