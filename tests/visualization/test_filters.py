"""Counting filters."""

import keras
import pytest
from keras import layers

from vis.errors import LayerError
from vis.visualization import get_num_filters


def test_of_every_kind_of_layer() -> None:
    model = keras.Sequential(
        [layers.Input((8, 8, 3)), layers.Conv2D(5, 3), layers.ReLU(), layers.Flatten(), layers.Dense(7)]
    )
    assert [get_num_filters(layer) for layer in model.layers] == [5, 5, 180, 7]


def test_channels_first() -> None:
    model = keras.Sequential([layers.Input((3, 8, 8)), layers.MaxPooling2D(data_format="channels_first")])
    assert get_num_filters(model.layers[0]) == 3


def test_a_layer_without_an_output() -> None:
    with pytest.raises(LayerError, match="'alone' cannot be counted"):
        get_num_filters(layers.Dense(3, name="alone"))


def test_an_unknown_number() -> None:
    model = keras.Sequential([layers.Input((None,)), layers.Activation("relu", name="any")])
    with pytest.raises(LayerError, match="'any' has an unknown number of filters"):
        get_num_filters(model.layers[0])
