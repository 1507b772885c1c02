"""The layer that a class activation map weighs by default."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops

from tests.models.applications import BY_DAY, names, row
from tests.reliability.scale import NIGHTLY, compiled
from vis import models
from vis.attributions import GradCAM
from vis.errors import LayerError

PICTURE = (12, 10, 3)
CHOSEN = {
    "MobileNet": "conv_pw_13_relu",
    "MobileNetV3Small": "activation_17",
    "DenseNet121": "relu",
    "ResNet50": "conv5_block3_out",
}


@pytest.mark.parametrize("name", names() if NIGHTLY else BY_DAY)
def test_applications(name: str) -> None:
    keras.backend.clear_session()
    found = row(name)
    assert found.layer == CHOSEN.get(name, found.layer)
    height, width, channels = found.shape
    # All of the features that the head takes, and no branch of them.
    assert height * width > 1 and channels >= 512 and not found.missed and found.reached


def conv(name: str, filters: int = 4, **options: Any) -> Any:
    return layers.Conv2D(filters, 3, **{"padding": "same", "activation": "relu", "name": name, **options})


def mean(x: Any) -> Any:
    return layers.Dense(2)(layers.GlobalAveragePooling2D()(x))


def one_by_one(x: Any) -> Any:
    y = layers.GlobalAveragePooling2D(keepdims=True)(conv("wanted")(x))
    return layers.Flatten()(layers.Conv2D(5, 1, name="conv_preds")(y))


def concatenated(x: Any) -> Any:
    parts = [conv("a")(x), conv("b", activation=None)(x)]
    return mean(layers.Concatenate(name="wanted")(parts))


def residual(x: Any) -> Any:
    y = conv("a")(x)
    return mean(layers.ReLU(name="wanted")(layers.Add()([y, conv("b", activation=None)(y)])))


def an_operation(x: Any) -> Any:
    y = conv("a")(x)
    return mean(y + conv("b")(y))


def squeezed(x: Any) -> Any:
    y = conv("a")(x)
    gate = layers.Dense(4, "sigmoid")(layers.GlobalAveragePooling2D(keepdims=True)(y))
    return mean(layers.Multiply(name="wanted")([y, gate]))


def a_branch_that_goes_around(x: Any) -> Any:
    y = conv("wanted")(x)
    parts = [layers.GlobalAveragePooling2D()(conv("a")(y)), layers.GlobalMaxPooling2D()(y)]
    return layers.Dense(2)(layers.Concatenate()(parts))


def nested(x: Any) -> Any:
    inputs = keras.Input(PICTURE)
    backbone = keras.Model(inputs, conv("wanted")(conv("a")(inputs)), name="backbone")
    return mean(backbone(x))


def wrapped_in_layer(x: Any) -> Any:
    class Holder(layers.Layer):
        def __init__(self) -> None:
            super().__init__()
            self.inner = conv("wanted")

        def call(self, x: Any) -> Any:
            return ops.mean(self.inner(x), axis=(1, 2))

    return layers.Dense(2)(Holder()(x))


def one_column(x: Any) -> Any:
    y = conv("wanted", strides=(12, 2))(x)
    return layers.Dense(2)(layers.Flatten()(y))


@pytest.mark.parametrize(
    "build",
    [
        one_by_one, concatenated, residual, an_operation, squeezed, a_branch_that_goes_around, nested,
        wrapped_in_layer, one_column,
    ],
)  # fmt: skip
def test_the_last_value_that_every_path_crosses(build: Callable[[Any], Any]) -> None:
    inputs = keras.Input(PICTURE)
    chosen = GradCAM(keras.Model(inputs, build(inputs))).conv_layer
    assert chosen.name == "wanted" or build is an_operation
    assert build is not an_operation or not isinstance(chosen, keras.Layer)


def test_a_branch_of_a_concatenation_is_in_the_map() -> None:
    inputs = keras.Input((9, 9, 1))
    ones = {"kernel_initializer": "ones", "padding": "same"}
    a, b = layers.Conv2D(2, 1, activation="relu", **ones), layers.Conv2D(2, 1, **ones)
    end = layers.Dense(1, use_bias=False)
    model = keras.Model(
        inputs, end(layers.GlobalAveragePooling2D()(layers.Concatenate()([a(inputs), b(inputs)])))
    )
    end.set_weights([np.array([[1.0], [1.0], [0.0], [0.0]])])  # the evidence runs through the first alone
    x = np.zeros((1, 9, 9, 1), np.float32)
    x[0, 2, 6] = 1
    found = GradCAM(model).explain(x, 0)[0, ..., 0]
    assert np.unravel_index(found.argmax(), found.shape) == (2, 6) and np.count_nonzero(found) == 1


def drawn(seed: int) -> keras.Model:
    """Return a random network of branches that are added, multiplied or concatenated, and a head."""
    draw = random.Random(seed)
    keras.utils.set_random_seed(seed)
    inputs = keras.Input((8, 8, 2))
    values = [layers.Conv2D(3, 3, padding="same")(inputs)]
    for _ in range(draw.randint(1, 6)):
        one = draw.choice(values[-3:])
        match draw.choice(["conv", "act", "join", "pool"]):
            case "conv":
                made = layers.Conv2D(3, draw.choice([1, 3]), padding="same")(one)
            case "act":
                made = layers.Activation(draw.choice(["relu", "tanh", "gelu"]))(one)
            case "join":
                kind = draw.choice([layers.Add, layers.Multiply, layers.Concatenate])
                made = layers.Conv2D(3, 1)(kind()([one, draw.choice(values)]))
            case _:
                made = layers.AveragePooling2D(3, 1, padding="same")(one)
        values.append(made)
    ends = [layers.GlobalAveragePooling2D()(value) for value in draw.sample(values, min(2, len(values)))]
    return keras.Model(inputs, layers.Dense(2)(layers.Concatenate()(ends) if len(ends) > 1 else ends[0]))


@pytest.mark.parametrize("seed", range(compiled(25, 300)))
def test_the_score_depends_on_nothing_but_the_layer(seed: int) -> None:
    """Told what the layer gives for another picture, the model returns the score of that."""
    model = drawn(seed)
    chosen = GradCAM(model).conv_layer
    x, other = np.random.default_rng(seed).normal(size=(2, 3, 8, 8, 2)).astype(np.float32)
    outputs, (features,) = models.Probe(model, [chosen], chosen).run(ops.convert_to_tensor(other))
    told, _ = models.Probe(model, [chosen], chosen).run(ops.convert_to_tensor(x), features)
    np.testing.assert_allclose(*map(ops.convert_to_numpy, (told, outputs)), atol=1e-6)
    # Each layer that the chosen one is made of changes it: no path is missing from it.
    before = models.upstream([chosen.output])
    for node in before:
        layer = node.operation
        if isinstance(layer, layers.Conv2D) and layer is not chosen:
            kept = layer.get_weights()
            layer.set_weights([weight + 0.5 for weight in kept])
            changed = models.Probe(model, [chosen])(ops.convert_to_tensor(other))[0]
            layer.set_weights(kept)
            difference = ops.convert_to_numpy(changed) - ops.convert_to_numpy(features)
            assert np.abs(difference).max() > 1e-6


@pytest.mark.parametrize(
    "stack",
    [
        [layers.Input((28, 28, 1)), layers.Rescaling(1 / 255), layers.Flatten(), layers.Dense(3)],
        [layers.Input((5,)), layers.Dense(4), layers.Dense(2)],
        [layers.Input((12, 12, 3)), layers.Conv2D(3, 12), layers.Flatten(), layers.Dense(2)],
    ],
)
def test_without_such_a_value_it_is_refused_with_the_reason(stack: list[Any]) -> None:
    with pytest.raises(LayerError, match=r"every path.*dense network.*conv_layer.*grid"):
        GradCAM(keras.Sequential(stack))


def transformer(read: Callable[[Any], Any], patches: Callable[[Any], Any]) -> keras.Model:
    class Token(layers.Layer):
        def build(self, shape: Any) -> None:
            self.token = self.add_weight(shape=(1, 2, shape[-1]), initializer="ones")

        def call(self, x: Any) -> Any:
            first = ops.broadcast_to(self.token, (ops.shape(x)[0], 2, x.shape[-1]))
            return ops.concatenate([first, x], axis=1)

    inputs = keras.Input((16, 12, 3))
    y = Token()(patches(inputs))
    for number in range(2):
        z = layers.LayerNormalization()(y)
        y = layers.Add(name=f"attended_{number}")([y, layers.MultiHeadAttention(2, 4)(z, z)])
        z = layers.Dense(8)(layers.Dense(16, activation="gelu")(layers.LayerNormalization()(y)))
        y = layers.Add(name=f"block_{number}")([y, z])
    return keras.Model(inputs, layers.Dense(2)(read(layers.LayerNormalization(name="norm")(y))))


def embedded(x: Any) -> Any:
    return layers.Reshape((12, 8))(layers.Conv2D(8, 4, strides=4)(x))


def hidden_patches(x: Any) -> Any:
    """Patches whose grid cannot be followed."""
    pixels = ops.take(ops.reshape(x, (-1, 16 * 12 * 3)), np.random.default_rng(0).permutation(576), axis=1)
    return layers.Dense(8)(ops.reshape(pixels, (-1, 12, 48)))


def test_tokens_are_positions() -> None:
    keras.utils.set_random_seed(2)
    x = np.random.default_rng(0).random((2, 16, 12, 3)).astype(np.float32)
    # With a class token at the end, what comes after the last attention has no gradient by the patches.
    by_class = GradCAM(transformer(lambda y: y[:, 0], embedded))
    assert by_class.conv_layer.name not in ("norm", "block_1", "attended_1")
    assert by_class.explain(x, 0).shape == (2, 16, 12, 1)
    by_mean = GradCAM(transformer(lambda y: ops.mean(y, axis=1), embedded))
    assert by_mean.conv_layer.name == "norm"
    assert by_mean.explain(x, 0).shape == (2, 16, 12, 1)


@pytest.mark.filterwarnings("ignore::vis.errors.EmptyMapWarning")
def test_a_grid_is_given_where_it_cannot_be_read() -> None:
    model = transformer(lambda y: ops.mean(y, axis=1), hidden_patches)
    x = np.random.default_rng(0).random((2, 16, 12, 3)).astype(np.float32)
    with pytest.raises(LayerError, match=r"grid=\(height, width\)"):
        GradCAM(model)
    found = GradCAM(model, grid=(4, 3))
    assert found.conv_layer.name == "norm"
    assert found.explain(x, 0).shape == (2, 16, 12, 1)
    with pytest.raises(LayerError, match=r"grid=\(4, 5\)"):
        GradCAM(model, conv_layer="norm", grid=(4, 5)).explain(x, 0)
