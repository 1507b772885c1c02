"""Centres, reach and bounds of receptive fields, against what each position really depends on."""

from __future__ import annotations

import inspect
import random
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops

from tests.native import gradient
from tests.reliability.scale import compiled
from vis import models
from vis.graph import Geometry

ONES = {"kernel_initializer": "ones"}

# Newer than the oldest Keras.
ANTIALIAS: dict[str, Any] = (
    {"antialias": True} if "antialias" in inspect.signature(layers.Resizing).parameters else {}
)


def convolution(draw: random.Random, size: int) -> Any:
    window, dilation = draw.randint(1, 3), draw.choice([1, 1, 2])
    stride = draw.choice([1, 2]) if dilation == 1 else 1
    padding = draw.choice(["valid", "same", "causal"])
    if padding == "valid" and size < (window - 1) * dilation + 1:
        padding = "same"
    return layers.Conv1D(2, window, stride, padding, dilation_rate=dilation, **ONES)


def pool(draw: random.Random, size: int) -> Any:
    padding = "same" if size < 3 else draw.choice(["valid", "same"])
    return layers.AveragePooling1D(draw.choice([2, 3]), draw.choice([1, 2]), padding)


def crop(draw: random.Random, size: int) -> Any:
    before = draw.randint(0, min(3, size - 1))
    return layers.Cropping1D((before, draw.randint(0, min(3, size - before - 1))))


def pad(draw: random.Random, size: int) -> Any:
    return layers.ZeroPadding1D((draw.randint(0, 3), draw.randint(0, 3)))


def upsample(draw: random.Random, size: int) -> Any:
    return layers.UpSampling1D(draw.randint(2, 3))


def transposed(draw: random.Random, size: int) -> Any:
    # A window smaller than the stride would leave positions that see nothing.
    padding = draw.choice(["valid", "same"])
    return layers.Conv1DTranspose(2, draw.randint(2, 4), draw.choice([1, 2]), padding, **ONES)


def take(draw: random.Random, size: int) -> Any:
    step, begin = draw.choice([1, 2]), draw.randint(0, min(2, size - 1))
    return lambda x: x[:, begin::step]


def reverse(draw: random.Random, size: int) -> Any:
    return lambda x: ops.flip(x, axis=1)


def turned(draw: random.Random, size: int) -> Any:
    return lambda x: ops.transpose(ops.transpose(x, (0, 2, 1)), (0, 2, 1))


def repeated(draw: random.Random, size: int) -> Any:
    return lambda x: ops.repeat(x, 2, axis=1)


def gathered(draw: random.Random, size: int) -> Any:
    indices = list(range(draw.randint(0, size - 1), size, draw.choice([1, 2])))
    return lambda x: ops.take(x, indices, axis=1)


def split(draw: random.Random, size: int) -> Any:
    at = draw.randint(1, size - 1)
    return lambda x: ops.split(x, [at], axis=1)[0]


def pieces(draw: random.Random, size: int) -> Any:
    at = draw.randint(1, size - 1)
    return lambda x: ops.concatenate([x[:, :at], x[:, at:]], axis=1)


KINDS: list[Callable[[random.Random, int], Any]] = [
    convolution, convolution, pool, crop, pad, upsample, transposed, take, reverse, turned, repeated,
    gathered, split, pieces,
]  # fmt: skip


def drawn(seed: int) -> keras.Model:
    """Return a random stack of operations that move positions."""
    draw = random.Random(seed)
    inputs = y = keras.Input((draw.randint(8, 24), 1))
    for _ in range(draw.randint(1, 6)):
        if 2 < y.shape[1] < 60:
            y = draw.choice(KINDS)(draw, y.shape[1])(y)
    return keras.Model(inputs, layers.Activation("linear")(y))


def dependence(model: keras.Model) -> np.ndarray:
    """Return whether each position of the output depends on each position of the input."""
    return fields(model, np.ones((1, *model.inputs[0].shape[1:])))


def fields(model: keras.Model, x: np.ndarray) -> np.ndarray:
    """Return whether each position of the output depends on each position of an input of a sample."""
    count = model.output_shape[1]
    each = np.eye(count)[:, :, None]  # one position of each of as many copies
    copies = np.repeat(x, count, axis=0)
    return gradient(lambda x: model(x) * ops.cast(each, "float32"), copies)[:, :, 0] != 0


@pytest.mark.parametrize("seed", range(compiled(40, 1000)))
def test_receptive_fields_of_random_stacks(seed: int) -> None:
    model = drawn(seed)
    graph = models.read(model)
    geometry = Geometry(graph, graph.inputs[0])
    view = geometry.views[graph.outputs[0]]
    assert not view.lost, view.lost
    axis, real = view.axes[1], dependence(model)
    if axis.size == 1:
        centres = np.array([view.offsets[1]])
    else:
        (part,) = axis.parts
        assert (part.size, part.source) == (real.shape[0], 1)
        centres = view.offsets[1] + part.stride * np.arange(part.size)
    seen = np.flatnonzero(real.any(axis=0))
    low, high = view.bounds[1]
    if not len(seen):
        return  # a stack that sees nothing but padding
    # All that is seen lies within the bounds, and each field within the reach of its centre.
    assert low <= seen[0] + 1e-6 and seen[-1] <= high + 1e-6
    for centre, field in zip(centres, real, strict=True):
        for position in np.flatnonzero(field):
            assert abs(position - centre) <= view.reach[1] + 1e-6


def exact(seed: int) -> keras.Model:
    """Return a random stack of operations whose fields are as long everywhere as the reach says."""
    draw = random.Random(seed)
    inputs = y = keras.Input((40, 1))
    kinds = [
        lambda n: layers.Conv1D(1, draw.choice([1, 2, 3]), padding="valid", **ONES),
        lambda n: layers.Conv1D(1, 3, padding="same", dilation_rate=2, **ONES),
        lambda n: layers.Conv1D(1, 3, 2, padding="same", **ONES),
        lambda n: layers.AveragePooling1D(2),
        lambda n: layers.MaxPooling1D(3, 2, padding="same"),
        lambda n: layers.Cropping1D((draw.randint(0, 3), draw.randint(0, 3))),
        lambda n: layers.ZeroPadding1D((draw.randint(0, 3), draw.randint(0, 3))),
    ]
    for _ in range(draw.randint(1, 5)):
        if y.shape[1] > 12:
            y = draw.choice(kinds)(y.shape[1])(y)
    return keras.Model(inputs, y)


@pytest.mark.parametrize("seed", range(compiled(20, 500)))
def test_centres_are_in_the_middle_of_fields(seed: int) -> None:
    model = exact(seed)
    graph = models.read(model)
    view = Geometry(graph, graph.inputs[0]).views[graph.outputs[0]]
    (part,) = view.axes[1].parts
    stretch = 1e-3 + np.random.default_rng(seed).random(
        (4, 40, 1)
    )  # no two values are the same for max pools
    real = np.any([fields(model, x[None]) for x in stretch], axis=0)
    is_pooled = any(isinstance(layer, layers.MaxPooling1D) for layer in model.layers)
    for index, field in enumerate(real):
        (where,) = np.nonzero(field)
        if len(where) and 0 < where[0] and where[-1] < 39 and not is_pooled:
            centre = view.offsets[1] + part.stride * index
            # Fields that were cut at a crop or by padding are shorter on one side.
            inner = view.bounds[1][0] + 1e-6 < where[0] and where[-1] < view.bounds[1][1] - 1e-6
            whole = where[-1] - where[0] >= 2 * view.reach[1] - 1e-6
            if inner and whole:
                assert (where[0] + where[-1]) / 2 == pytest.approx(centre)


def two(build: Callable[[Any], Any], shape: tuple[int, ...] = (16, 12, 3)) -> Any:
    inputs = keras.Input(shape)
    graph = models.read(keras.Model(inputs, build(inputs)))
    return Geometry(graph, graph.inputs[0]).views[graph.outputs[0]]


def lines(view: Any, *sources: int) -> list[tuple[float, float]]:
    """Return stride and offset along axes of the input."""
    parts = {part.source: part.stride for axis in view.axes for part in axis.parts}
    return [(parts[source], view.offsets[source]) for source in sources]


@pytest.mark.parametrize(
    ("build", "expected"),
    [
        (lambda x: layers.Resizing(8, 24)(x), [(2, 0.5), (0.5, -0.25)]),
        (lambda x: layers.Resizing(8, 24, **ANTIALIAS)(x), [(2, 0.5), (0.5, -0.25)]),
        (lambda x: layers.CenterCrop(10, 6)(x), [(1, 3), (1, 3)]),
        (lambda x: layers.UpSampling2D(2, interpolation="bilinear")(x), [(0.5, -0.25), (0.5, -0.25)]),
        (lambda x: layers.Conv2D(2, (3, 1), strides=(2, 3))(x), [(2, 1), (3, 0)]),
        (lambda x: layers.Conv2D(2, 3, strides=2, padding="same")(x), [(2, 1), (2, 1)]),
        (lambda x: layers.DepthwiseConv2D(3, dilation_rate=2)(x), [(1, 2), (1, 2)]),
        (lambda x: layers.SeparableConv2D(2, 5, padding="same")(x), [(1, 0), (1, 0)]),
        (lambda x: layers.Conv2DTranspose(2, 2, strides=2)(x), [(0.5, -0.25), (0.5, -0.25)]),
        (lambda x: ops.transpose(layers.MaxPooling2D(2)(x), (0, 2, 1, 3)), [(2, 0.5), (2, 0.5)]),
        (lambda x: layers.Reshape((16, 12, 3, 1))(layers.Flatten()(x)), [(1, 0), (1, 0)]),
        (lambda x: layers.ZeroPadding2D(((3, 1), (2, 0)))(layers.ReLU()(x)), [(1, -3), (1, -2)]),
        (lambda x: layers.BatchNormalization()(x[:, 3:]), [(1, 3), (1, 0)]),
        (lambda x: layers.GroupNormalization(1)(x), [(1, 0), (1, 0)]),
        (lambda x: layers.Dense(4)(layers.LayerNormalization()(x)), [(1, 0), (1, 0)]),
        # A branch that is shifted by a pixel: in the middle between both.
        (
            lambda x: layers.Conv2D(2, 1, strides=2, padding="same")(x)
            + layers.MaxPooling2D(3, 2, padding="same")(layers.Conv2D(2, 1)(x)),
            [(2, 0.5), (2, 0.5)],
        ),
        # A gate of all positions does not move them.
        (
            lambda x: x * layers.Dense(3, "sigmoid")(layers.GlobalAveragePooling2D(keepdims=True)(x)),
            [(1, 0), (1, 0)],
        ),
    ],
)  # fmt: skip
def test_by_hand(build: Callable[[Any], Any], expected: list[tuple[float, float]]) -> None:
    assert lines(two(build), 1, 2) == pytest.approx(np.array(expected))


def test_volumes_and_channels_first() -> None:
    view = two(lambda x: layers.Conv3D(2, 3, dilation_rate=2)(layers.MaxPooling3D(2)(x)), (12, 16, 20, 1))
    assert lines(view, 1, 2, 3) == [(2, 4.5)] * 3
    view = two(lambda x: layers.AveragePooling2D(2, data_format="channels_first")(x), (3, 8, 6))
    assert lines(view, 2, 3) == [(2, 0.5)] * 2


def test_frames_are_followed_through_a_wrapper() -> None:
    view = two(lambda x: layers.TimeDistributed(layers.Conv2D(2, 3))(x), (4, 8, 6, 3))
    assert lines(view, 1, 2, 3) == [(1, 0), (1, 1), (1, 1)]


def test_tokens_keep_their_grid() -> None:
    class ClassToken(layers.Layer):
        def build(self, shape: Any) -> None:
            self.token = self.add_weight(shape=(1, 1, shape[-1]))

        def call(self, x: Any) -> Any:
            token = ops.broadcast_to(self.token, (ops.shape(x)[0], 1, x.shape[-1]))
            return ops.concatenate([token, x], axis=1)

    def tokens(x: Any) -> Any:
        y = layers.Reshape((12, 8))(layers.Conv2D(8, 4, strides=4)(x))
        y = ClassToken()(y)
        z = layers.LayerNormalization()(y)
        y = y + layers.MultiHeadAttention(2, 4)(z, z)
        return y + layers.Dense(8)(layers.Dense(16, "gelu")(layers.LayerNormalization()(y)))

    view = two(tokens)
    axis = view.axes[1]
    assert (axis.size, axis.start, [part.size for part in axis.parts]) == (13, 1, [4, 3])
    assert lines(view, 1, 2) == [(4, 1.5), (4, 1.5)]
    taken = two(lambda x: tokens(x)[:, 1:])
    assert taken.axes[1].start == 0 and taken.axes[1].parts == axis.parts
    # The class token alone is no position.
    assert not two(lambda x: tokens(x)[:, 0]).axes[1].is_followed


@pytest.mark.parametrize(
    "build",
    [
        lambda x: ops.roll(x, 3, axis=1),
        lambda x: ops.sort(x, axis=1),
        lambda x: ops.take(x, [0, 3, 4], axis=1),
        lambda x: ops.concatenate([x[:, 3:], x[:, :3]], axis=1),
        lambda x: ops.tile(x, (1, 2, 1, 1)),
    ],
)
def test_what_cannot_be_followed_is_said(build: Callable[[Any], Any]) -> None:
    view = two(build)
    assert view.axes[1].is_unknown and view.lost


@pytest.mark.skipif(keras.config.backend() == "torch", reason="Keras pads before and moves the channels")
def test_what_is_read_is_neutral() -> None:
    """The words of windows have an entry per axis, and paddings that are worked out."""
    inputs = keras.Input((9, 8, 3))
    model = keras.Model(inputs, layers.Conv2D(4, 3, strides=2, padding="same")(inputs))
    (found,) = [each for each in models.read(model).operations if each.kind == "convolution"]
    # Where the kernel has its filters is up to the backend.
    (axis,) = found.attributes.pop("filters")
    assert found.operands[1].shape is not None and found.operands[1].shape[axis] == 4
    assert found.attributes == {
        "window": [1, 3, 3, 1],
        "strides": [1, 2, 2, 1],
        "dilations": [1, 1, 1, 1],
        "padding": [(0, 0), (1, 1), (0, 1), (0, 0)],
        "channels": 3,
        "groups": 1,
        "transposed": False,
    }
