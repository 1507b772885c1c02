"""What a user may change in a layer is noticed, whatever holds it."""

import gc
import weakref
from collections.abc import Callable
from typing import Any

import keras
import pytest
from keras import layers

from vis.models import Settings


def built(**settings: Any) -> Any:
    layer = layers.Dense(3, **settings)
    layer.build((None, 2))
    return layer


def test_an_untouched_layer_holds() -> None:
    layer = built(activation="relu")
    settings = Settings(layer)
    assert settings.hold()
    layer.kernel.assign(layer.kernel + 1)
    layer(keras.ops.ones((1, 2)))
    assert settings.hold(), "weights and calls are no settings"


CHANGES: dict[str, Callable[[Any], None]] = {
    "a function": lambda layer: setattr(layer, "activation", keras.activations.tanh),
    "a function in place of none": lambda layer: setattr(layer, "kernel_constraint", keras.ops.abs),
    "no function": lambda layer: setattr(layer, "activation", None),
    "a number": lambda layer: setattr(layer, "units", 4),
    "a flag": lambda layer: setattr(layer, "use_bias", False),
    "a text in place of an object": lambda layer: setattr(layer, "kernel_initializer", "zeros"),
    "a new attribute": lambda layer: setattr(layer, "rate", 0.5),
    "the data type": lambda layer: setattr(layer, "dtype_policy", keras.DTypePolicy("mixed_float16")),
    "an attribute that is gone": lambda layer: vars(layer).pop("use_bias"),
    "one gone, one new": lambda layer: vars(layer).update(rate=vars(layer).pop("use_bias")),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_is_noticed(name: str) -> None:
    layer = built(activation="relu")
    settings = Settings(layer)
    assert settings.hold()
    CHANGES[name](layer)
    assert not settings.hold()


def test_what_is_no_setting_may_change() -> None:
    layer = built(activation="relu")
    settings = Settings(layer)
    layer._mine = 3
    assert settings.hold() and settings.hold()
    layer.kernel_initializer = keras.initializers.Zeros()
    assert settings.hold() and settings.hold()
    layer.units = float(layer.units)
    assert settings.hold(), "an equal number"
    layer.units += 1
    assert not settings.hold()


def test_the_layers_of_a_model() -> None:
    model = keras.Sequential([keras.Input((2,)), built(), layers.ReLU()])
    settings = Settings(model)
    assert settings.hold()
    model.pop()
    assert not settings.hold()


def test_nothing_is_kept_alive() -> None:
    def activation(x: Any) -> Any:
        return x

    layer = built(activation=activation)
    settings = Settings(layer)
    function, held = weakref.ref(activation), weakref.ref(layer)
    del activation, layer
    gc.collect()
    assert function() is None and held() is None
    assert not settings.hold()
