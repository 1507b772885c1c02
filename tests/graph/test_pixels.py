"""The range of pixels that a model takes, by what it does to them first."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers, ops
from keras.applications import imagenet_utils

from vis.describe import pixel_range

FRACTIONS, BYTES, SIGNED = (0.0, 1.0), (0.0, 255.0), (-1.0, 1.0)
MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
Make = Callable[[Any], Any]


def preprocessed(module: str) -> Make:
    return lambda x: getattr(keras.applications, module).preprocess_input(x)


def adapted(scale: float) -> Any:
    layer = layers.Normalization()
    layer.adapt(scale * np.random.default_rng(0).random((16, 8, 8, 3)))
    return layer


class Scaling(layers.Layer):
    """Written out, with numbers of its own."""

    def call(self, x: Any) -> Any:
        mean, std = map(ops.convert_to_tensor, (np.float32(255 * MEAN), np.float32(255 * STD)))
        return (ops.cast(x, "float32") - mean) / std


CASES: dict[str, tuple[tuple[float, float], Make]] = {
    "none": (FRACTIONS, lambda x: x),
    "Rescaling to fractions": (BYTES, layers.Rescaling(1 / 255)),
    "Rescaling to -1 and 1": (BYTES, layers.Rescaling(1 / 127.5, -1)),
    "Rescaling of fractions to -1 and 1": (FRACTIONS, layers.Rescaling(2.0, -1)),
    "Rescaling of -1 and 1 to fractions": (SIGNED, layers.Rescaling(0.5, 0.5)),
    "Rescaling by channel": (BYTES, layers.Rescaling([1 / 255, 1 / 250, 1 / 260])),
    "Normalization of fractions": (FRACTIONS, layers.Normalization(mean=MEAN, variance=STD**2)),
    "Normalization of bytes": (BYTES, layers.Normalization(mean=255 * MEAN, variance=(255 * STD) ** 2)),
    "Normalization adapted to fractions": (FRACTIONS, adapted(1.0)),
    "Normalization adapted to bytes": (BYTES, adapted(255.0)),
    "Normalization of one channel": (BYTES, layers.Normalization(axis=None, mean=127.0, variance=3000.0)),
    "Rescaling and Normalization": (
        BYTES,
        lambda x: layers.Normalization(mean=MEAN, variance=STD**2)(layers.Rescaling(1 / 255)(x)),
    ),
    "caffe": (BYTES, lambda x: imagenet_utils.preprocess_input(x, mode="caffe")),
    "torch": (BYTES, lambda x: imagenet_utils.preprocess_input(x, mode="torch")),
    "tf": (BYTES, lambda x: imagenet_utils.preprocess_input(x, mode="tf")),
    "resnet50": (BYTES, preprocessed("resnet50")),
    "mobilenet_v2": (BYTES, preprocessed("mobilenet_v2")),
    "densenet": (BYTES, preprocessed("densenet")),
    "vgg16": (BYTES, preprocessed("vgg16")),
    "efficientnet, which does nothing": (FRACTIONS, preprocessed("efficientnet")),
    "operations": (BYTES, lambda x: (x - 127.5) / 127.5),
    "operations, turned around": (BYTES, lambda x: 1.0 - x / 255.0),
    "channels turned around first": (BYTES, lambda x: ops.flip(x, axis=-1) / 255.0),
    "channels one by one": (
        BYTES,
        lambda x: ops.stack([(x[..., i] - 255 * MEAN[i]) / (255 * STD[i]) for i in range(3)], axis=-1),
    ),
    "a layer of one's own": (BYTES, Scaling()),
    "an average picture": (BYTES, lambda x: x - np.full((8, 8, 3), 120.0, np.float32)),
    "times 255": (FRACTIONS, lambda x: 255.0 * x),
    "times 255, and caffe": (
        FRACTIONS,
        lambda x: imagenet_utils.preprocess_input(255.0 * x, mode="caffe"),
    ),
    "from -1 and 1 to caffe": (
        SIGNED,
        lambda x: imagenet_utils.preprocess_input(127.5 * (x + 1.0), mode="caffe"),
    ),
    "behind resizing, cropping, padding and augmentation": (
        BYTES,
        lambda x: layers.Rescaling(1 / 255)(
            layers.ZeroPadding2D(1)(
                layers.CenterCrop(6, 6)(
                    layers.RandomFlip()(layers.Resizing(12, 12)(layers.RandomRotation(0.1)(x)))
                )
            )
        ),
    ),
    "clipped": (BYTES, lambda x: ops.clip(x, 0, 255) / 255.0),
    "in a nested model": (
        BYTES,
        lambda x: keras.Sequential([layers.Input((8, 8, 3)), layers.Rescaling(1 / 255), layers.ReLU()])(x),
    ),
    "two branches": (BYTES, lambda x: layers.Concatenate()([x / 255.0, ops.flip(x, axis=-1) / 127.5 - 1.0])),
    "of each picture by itself": (FRACTIONS, lambda x: x - ops.mean(x, axis=(1, 2), keepdims=True)),
}
if keras.config.backend() != "torch":  # which has no steps backwards
    CASES["a step backwards"] = (BYTES, lambda x: x[..., ::-1] / 255.0)
FIRST: dict[str, Make] = {
    "convolution": layers.Conv2D(2, 3, padding="same"),
    "batch normalization": layers.BatchNormalization(),
    "dense": layers.Dense(2),
    "activation": layers.Activation("relu"),
    "patches": layers.Conv2D(2, 2, strides=2, use_bias=False),
}


@pytest.mark.parametrize(("expected", "make"), CASES.values(), ids=CASES.keys())
def test_by_the_first_operations(expected: tuple[float, float], make: Make) -> None:
    entry = keras.Input((8, 8, 3))
    model = keras.Model(entry, layers.Conv2D(2, 3)(make(entry)))
    assert pixel_range(model) == expected


@pytest.mark.parametrize("first", FIRST.values(), ids=FIRST.keys())
@pytest.mark.parametrize("name", ["none", "tf", "Normalization of fractions"])
def test_whatever_the_first_other_operation_is(name: str, first: Make) -> None:
    expected, make = CASES[name]
    entry = keras.Input((8, 8, 3))
    assert pixel_range(keras.Model(entry, layers.Flatten()(first(make(entry))))) == expected


def test_integers() -> None:
    entry = keras.Input((8, 8, 3), dtype="uint8")
    model = keras.Model(entry, layers.Conv2D(2, 3)(ops.cast(entry, "float32")))
    assert pixel_range(model) == BYTES


def test_channels_first() -> None:
    entry = keras.Input((3, 8, 8))
    mean, variance = 255 * MEAN, (255 * STD) ** 2
    y = layers.Normalization(axis=1, mean=mean, variance=variance)(entry)
    assert pixel_range(keras.Model(entry, layers.Flatten()(layers.ReLU()(y)))) == BYTES


@pytest.mark.parametrize(
    ("name", "size", "options", "expected"),
    [
        ("EfficientNetB0", 32, {}, BYTES),
        ("ConvNeXtTiny", 32, {}, BYTES),
        ("MobileNetV3Small", 32, {}, BYTES),
        ("MobileNetV3Small", 32, {"include_preprocessing": False}, FRACTIONS),
        ("MobileNetV2", 32, {}, FRACTIONS),
    ],
)
def test_applications(name: str, size: int, options: dict[str, Any], expected: tuple[float, float]) -> None:
    make = getattr(keras.applications, name)
    model = make(weights=None, include_top=False, input_shape=(size, size, 3), **options)
    assert pixel_range(model) == expected


@settings(max_examples=20, deadline=None)
@given(
    limits=st.sampled_from([FRACTIONS, BYTES, SIGNED]),
    steps=st.lists(st.tuples(st.sampled_from("+-*/"), st.floats(0.1, 200)), max_size=4),
    signed=st.booleans(),
)
def test_whatever_is_done_in_between(limits: tuple[float, float], steps: Any, signed: bool) -> None:
    """Scaled and shifted at will, and brought to fractions or to -1 and 1 in the end."""
    entry = keras.Input((4, 4, 3))
    scale, shift, y = 1.0, 0.0, entry
    for kind, number in steps:
        y = {"+": y + number, "-": y - number, "*": y * number, "/": y / number}[kind]
        scale = {"*": scale * number, "/": scale / number}.get(kind, scale)
        shift = {"+": shift + number, "-": shift - number, "*": shift * number, "/": shift / number}[kind]
    low, high = (scale * limit + shift for limit in limits)
    y = (y - low) / (high - low)
    y = 2.0 * y - 1.0 if signed and limits != SIGNED else y
    assert pixel_range(keras.Model(entry, layers.Conv2D(2, 3)(y))) == limits
