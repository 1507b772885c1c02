"""Class activation maps lie where their layer sees the input."""

from __future__ import annotations

import random
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops

from tests.reliability.scale import compiled
from vis.attributions import GradCAM
from vis.class_maps import checked_grid
from vis.errors import InputError, StretchedMapWarning
from vis.visualization import visualize_cam

ONES = {"kernel_initializer": "ones", "bias_initializer": "zeros"}


def head(x: Any) -> Any:
    return layers.Dense(1, kernel_initializer="ones")(layers.GlobalAveragePooling2D()(x))


def test_a_crop_at_the_top_moves_the_map_down() -> None:
    inputs = keras.Input((160, 40, 3))
    y = layers.Cropping2D(((70, 25), (0, 0)))(inputs)
    for _ in range(2):
        y = layers.Conv2D(4, 5, strides=2, activation="relu", **ONES)(y)
    x = np.zeros((160, 40, 3), np.float32)
    x[80:86, 18:23] = 1
    found = visualize_cam(keras.Model(inputs, head(y)), -1, 0, x)
    row, column = np.unravel_index(found.argmax(), found.shape)
    assert 79 <= row <= 86 and 17 <= column <= 23
    assert not found[:70].any() and not found[135:].any()


def drawn(seed: int) -> tuple[keras.Model, float]:
    """Return a random stack that moves positions, with weights of one, and the distance of its positions."""
    draw = random.Random(seed)
    inputs = y = keras.Input((40, 36, 1))
    stride = 1.0
    for _ in range(draw.randint(1, 5)):
        match draw.choice(["conv", "pool", "crop", "pad", "dilated"]):
            case "conv":
                step = draw.choice([1, 1, 2]) if stride < 4 else 1
                size = draw.choice([1, 3, 5]) if step == 1 else 3
                y = layers.Conv2D(1, size, step, draw.choice(["valid", "same"]), activation="relu", **ONES)(y)
                stride *= step
            case "pool" if stride < 4:
                y = layers.AveragePooling2D(2)(y)
                stride *= 2
            case "dilated":
                y = layers.Conv2D(1, 3, dilation_rate=2, padding="same", **ONES)(y)
            case "crop":
                y = layers.Cropping2D(((draw.randint(0, 2), 0), (0, draw.randint(0, 2))))(y)
            case _:
                y = layers.ZeroPadding2D(((draw.randint(0, 2), 0), (0, draw.randint(0, 2))))(y)
    y = layers.Conv2D(1, 1, **ONES)(y)
    return keras.Model(inputs, head(y)), stride


@pytest.mark.parametrize("seed", range(compiled(12, 300)))
def test_a_single_bright_pixel_is_where_the_map_peaks(seed: int) -> None:
    model, stride = drawn(seed)
    draw = np.random.default_rng(seed)
    pixel = draw.integers(16, 24, 2)
    x = np.zeros((1, 40, 36, 1), np.float32)
    x[(0, *pixel)] = 1
    found = GradCAM(model).explain(x, 0)[0, ..., 0]
    where = np.argwhere(found > found.max() * (1 - 1e-5))
    # The middle of what is brightest, as near as positions stand.
    assert np.abs(where.mean(axis=0) - pixel).max() <= stride


def test_a_map_over_each_input_that_is_seen() -> None:
    thermal, colour, table = keras.Input((8, 6, 1)), keras.Input((16, 12, 3)), keras.Input((5,))
    fused = layers.Concatenate()([thermal, layers.AveragePooling2D(2)(colour)])
    y = layers.GlobalAveragePooling2D()(layers.Conv2D(3, 3, padding="same", activation="relu", **ONES)(fused))
    model = keras.Model(
        [thermal, colour, table], layers.Dense(1, kernel_initializer="ones")(ops.concatenate([y, table], -1))
    )
    x = [np.zeros((2, 8, 6, 1)), np.zeros((2, 16, 12, 3)), np.ones((2, 5))]
    x[0][:, 2, 3] = 1
    found = GradCAM(model).explain(x, 0)
    assert [part.shape for part in found] == [(2, 8, 6, 1), (2, 16, 12, 1), (2, 5)]
    assert found[0][0, 2, 3] == found[0].max() and not found[2].any()
    row, column = np.argwhere(found[1][0, ..., 0] == found[1].max()).mean(axis=0)
    assert (row, column) == pytest.approx((4.5, 6.5), abs=1.1)
    one = visualize_cam(model, -1, 0, [part[0] for part in x])
    assert [part.shape for part in one] == [(8, 6), (16, 12), (5,)]


def test_two_towers_have_a_layer_each() -> None:
    left, right = keras.Input((16, 16, 3), name="left"), keras.Input((20, 24, 3), name="right")
    parts = [
        layers.GlobalAveragePooling2D()(layers.Conv2D(2, 3, activation="relu", name=name, **ONES)(value))
        for name, value in (("a", left), ("b", right))
    ]
    model = keras.Model(
        {"left": left, "right": right}, layers.Dense(1, kernel_initializer="ones")(ops.concatenate(parts, -1))
    )
    x = {"left": np.ones((2, 16, 16, 3)), "right": np.ones((2, 20, 24, 3))}
    explainer = GradCAM(model)
    assert [layer.name for layer in explainer.conv_layer] == ["a", "b"]
    found = explainer.explain(x, 0)
    assert {name: part.shape for name, part in found.items()} == {
        "left": (2, 16, 16, 1),
        "right": (2, 20, 24, 1),
    }
    # A layer of one's choice lies over the input that it sees.
    named = GradCAM(model, conv_layer="b").explain(x, 0)
    np.testing.assert_allclose(named, found["right"])


def test_what_cannot_be_followed_is_stretched_and_said() -> None:
    inputs = keras.Input((8, 8, 1))
    y = layers.Conv2D(2, 3, padding="same", activation="relu", **ONES)(ops.roll(inputs, 3, axis=1))
    explainer = GradCAM(keras.Model(inputs, head(y)))
    x = np.ones((1, 8, 8, 1), np.float32)
    with pytest.warns(
        StretchedMapWarning, match=r"cannot be followed.*because of .*stretched.*earlier layer"
    ):
        assert explainer.explain(x, 0).shape == (1, 8, 8, 1)


def test_a_picture_without_channels() -> None:
    inputs = keras.Input((28, 20))
    model = keras.Model(
        inputs, head(layers.Conv2D(2, 3, activation="relu", **ONES)(layers.Reshape((28, 20, 1))(inputs)))
    )
    assert GradCAM(model).explain(np.ones((2, 28, 20)), 0).shape == (2, 28, 20, 1)


@pytest.mark.parametrize("grid", [3, (3,), (0, 4), ("a", 2), (2.5, 2)])
def test_a_wrong_grid(grid: Any) -> None:
    with pytest.raises(InputError, match=r"grid is a pair \(height, width\)"):
        checked_grid(grid)
