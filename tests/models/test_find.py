"""Finding layers: by index, name, path and the layer itself, at any depth."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from tests import native
from vis import models
from vis.errors import LayerError, ModelError


def block(name: str) -> keras.Model:
    return keras.Sequential(
        [layers.Input((4, 4, 2)), layers.Conv2D(2, 1, name="conv"), layers.ReLU(name="act")], name=name
    )


@pytest.fixture
def model() -> keras.Model:
    """input -> conv -> backbone(stem(conv, act), conv5) -> pool -> head"""
    entry = keras.Input((4, 4, 2), name="stem_input")
    inside = layers.Conv2D(3, 1, name="conv5")(block("stem")(entry))
    backbone = keras.Model(entry, inside, name="backbone")
    entry = keras.Input((4, 4, 2), name="image")
    x = layers.Conv2D(2, 1, name="conv")(entry)
    x = layers.GlobalAveragePooling2D(name="pool")(backbone(x))
    return keras.Model(entry, layers.Dense(2, name="head")(x), name="whole")


@pytest.mark.parametrize(
    ("index", "name"),
    [(0, "image"), (1, "conv"), (4, "head"), (-1, "head"), (-5, "image"), (np.int64(2), "backbone")],
)
def test_by_index(model: keras.Model, index: Any, name: str) -> None:
    found = models.find_layer(model, index)
    assert found is next(layer for layer in model.layers if layer.name == name)


def test_by_name(model: keras.Model) -> None:
    assert models.find_layer(model, "pool") is model.layers[3]


def test_by_path_two_levels_deep(model: keras.Model) -> None:
    backbone = model.get_layer("backbone")
    assert models.find_layer(model, "backbone") is backbone
    assert models.find_layer(model, "backbone/conv5") is backbone.get_layer("conv5")
    assert models.find_layer(model, "backbone/stem/act") is backbone.get_layer("stem").get_layer("act")


def test_equal_names_on_two_levels(model: keras.Model) -> None:
    top = models.find_layer(model, "conv")
    deep = models.find_layer(model, "backbone/stem/conv")
    assert top is model.layers[1]
    assert deep is model.get_layer("backbone").get_layer("stem").layers[0]
    assert top is not deep


@pytest.mark.skipif(not native.NAMES_WITH_DOTS, reason="PyTorch refuses a name with dots")
def test_name_with_dots() -> None:
    backbone = keras.Sequential([layers.Input((3,)), layers.Dense(2, name="fc.0")], name="timm.net.v1")
    model = keras.Sequential([layers.Input((3,)), backbone, layers.Dense(1, name="fc.0")])
    assert models.find_layer(model, "timm.net.v1") is backbone
    assert models.find_layer(model, "timm.net.v1/fc.0") is backbone.layers[0]
    assert models.find_layer(model, "fc.0") is model.layers[1]


def test_inside_a_wrapper() -> None:
    dense = layers.Dense(2, name="inner")
    model = keras.Sequential([layers.Input((3, 4)), layers.TimeDistributed(dense, name="steps")])
    assert models.find_layer(model, "steps/inner") is dense


def test_inside_a_subclassed_model() -> None:
    class Net(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.blocks = [layers.Dense(2, name="a"), layers.Dense(2, name="b")]

        def call(self, x: Any) -> Any:
            for item in self.blocks:
                x = item(x)
            return x

    model = Net()
    model(np.zeros((1, 3), np.float32))
    assert models.find_layer(model, "b") is model.blocks[1]
    assert models.find_layer(model, -1) is model.blocks[1]


def test_layer_itself(model: keras.Model) -> None:
    deep = model.get_layer("backbone").get_layer("conv5")
    assert models.find_layer(model, deep) is deep
    assert models.find_layer(model, model) is model


def test_layer_of_another_model(model: keras.Model) -> None:
    with pytest.raises(LayerError, match=r"'act' is not part of the model 'whole'"):
        models.find_layer(model, block("other").layers[1])


@pytest.mark.parametrize("index", [5, -6, 100])
def test_index_out_of_range(model: keras.Model, index: int) -> None:
    with pytest.raises(LayerError, match=rf"index {index} is out of range.*5 layers.*-5 to 4"):
        models.find_layer(model, index)


def test_wrong_name_shows_the_nearest(model: keras.Model) -> None:
    with pytest.raises(LayerError, match=r"no layer 'haed'\. Did you mean 'head'"):
        models.find_layer(model, "haed")


def test_wrong_name_in_a_path_shows_the_nearest_path(model: keras.Model) -> None:
    with pytest.raises(LayerError, match=r"no layer 'backbone/cnov5'\. Did you mean 'backbone/conv5'"):
        models.find_layer(model, "backbone/cnov5")
    with pytest.raises(LayerError, match=r"'backbone/stem/act'"):
        models.find_layer(model, "backbone/stem/atc")


def test_name_that_lies_deeper_shows_its_path(model: keras.Model) -> None:
    with pytest.raises(LayerError, match=r"no layer 'conv5'\. Did you mean 'backbone/conv5'"):
        models.find_layer(model, "conv5")


def test_name_like_no_other_lists_the_layers(model: keras.Model) -> None:
    with pytest.raises(LayerError) as raised:
        models.find_layer(model, "zzzzzz")
    message = str(raised.value)
    assert "Did you mean" not in message
    assert all(name in message for name in ("image", "conv", "backbone", "backbone/stem/conv"))


@pytest.mark.parametrize("empty", ["", "/", "backbone/", "/conv", "conv/"])
def test_empty_name(model: keras.Model, empty: str) -> None:
    with pytest.raises(LayerError, match="has no layer"):
        models.find_layer(model, empty)


@pytest.mark.parametrize("wrong", [None, 1.0, [1], ("conv",), object()])
def test_neither_index_nor_name(model: keras.Model, wrong: Any) -> None:
    with pytest.raises(LayerError, match="its index, its name, a path"):
        models.find_layer(model, wrong)


@pytest.mark.parametrize("wrong", [None, "model.keras", layers.Dense(2)])
def test_no_model(wrong: Any) -> None:
    with pytest.raises(ModelError, match=r"Expected a keras\.Model"):
        models.find_layer(wrong, 0)


def test_walk_gives_every_layer_with_its_path_in_order(model: keras.Model) -> None:
    paths = [path for path, _ in models.walk(model)]
    assert paths == [
        "image",
        "conv",
        "backbone",
        "backbone/stem_input",
        "backbone/stem",
        "backbone/stem/conv",
        "backbone/stem/act",
        "backbone/conv5",
        "pool",
        "head",
    ]
    assert all(models.find_layer(model, path) is layer for path, layer in models.walk(model))


def test_shared_layer_is_listed_once_per_model() -> None:
    shared = layers.Dense(3, name="shared")
    entry = keras.Input((3,), name="x")
    model = keras.Model(entry, shared(shared(entry)))
    assert [path for path, _ in models.walk(model)] == ["x", "shared"]


def test_held_operations_holds_what_is_no_layer() -> None:
    entry = keras.Input((3,))
    inner = keras.Model(entry, keras.ops.tanh(entry), name="inner")
    outer = keras.Input((3,))
    model = keras.Model(outer, keras.ops.exp(inner(outer)))
    kinds = sorted(type(operation).__name__ for operation in models.held_operations(model).values())
    assert kinds == ["Exp", "Functional", "InputLayer", "InputLayer", "Tanh"]


def test_output_shape(model: keras.Model) -> None:
    assert models.output_shape(model) == (None, 2)
    assert models.output_shape(model.get_layer("backbone")) == (None, 4, 4, 3)
    assert models.output_shape(model.get_layer("conv")) == (None, 4, 4, 2)
    assert models.output_shape(layers.Dense(2)) is None


def first(shape: tuple[int, ...], *stack: Any) -> keras.Model:
    return keras.Sequential([layers.Input(shape), *stack])


@pytest.mark.parametrize(
    ("model", "axis"),
    [
        (first((3, 8, 9), layers.AveragePooling2D(2, data_format="channels_first")), 1),
        (first((8, 9, 3), layers.AveragePooling2D(2)), -1),
        # The first layer that works on pictures decides, not the first layer.
        (first((3, 8, 9), layers.Rescaling(2.0), layers.MaxPool2D(2, data_format="channels_first")), 1),
        (first((3, 8, 9), first((3, 8, 9), layers.AveragePooling2D(2, data_format="channels_first"))), 1),
        (first((8, 9, 3), layers.Rescaling(2.0)), -1),
    ],
    ids=["channels_first", "channels_last", "after rescaling", "nested", "nothing tells"],
)
def test_input_channel_axis(model: keras.Model, axis: int) -> None:
    assert models.input_channel_axis(model, 4) == axis


def test_filter_axis_of_a_layer_and_of_what_follows_it() -> None:
    pool = layers.AveragePooling2D(2, data_format="channels_first")
    act, flat, dense = layers.ReLU(), layers.Flatten(), layers.Dense(2)
    first((3, 8, 9), pool, act, flat, dense)
    assert models.filter_axis(pool, 4) == 1
    assert models.filter_axis(act, 4) == 1
    assert models.filter_axis(dense, 2) == -1
    pool, act = layers.AveragePooling2D(2), layers.ReLU()
    first((8, 9, 3), pool, act)
    assert models.filter_axis(act, 4) == -1


def test_filter_axis_of_a_nested_model_is_that_of_its_last_layer() -> None:
    inner = first((3, 8, 9), layers.AveragePooling2D(2, data_format="channels_first"), layers.ReLU())
    assert models.filter_axis(inner, 4) == 1


def test_sequence_has_its_features_last() -> None:
    lstm = layers.LSTM(4, return_sequences=True)
    first((5, 3), lstm)
    assert models.filter_axis(lstm, 3) == -1
