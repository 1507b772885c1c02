"""The attributes of layers, wherever the framework keeps them."""

from typing import Any

import keras
import numpy as np
from keras import layers, ops

from vis.models.attributes import attributes_of, state_of
from vis.models.twins import twin


class Pair(keras.Model):
    """Two layers as attributes, one in a list, and a value that each call sets."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = layers.Dense(2, name="first"), layers.Dense(2, name="second")
        self.others = [layers.ReLU(name="third")]
        self.seen = None

    def call(self, x: Any) -> Any:
        self.seen = self.first(x)
        return self.others[0](self.second(self.seen))


def built() -> Pair:
    model = Pair()
    model(np.ones((1, 2), "float32"))
    return model


def test_layers_are_attributes() -> None:
    model = built()
    found = attributes_of(model)
    assert found["first"] is model.first and found["second"] is model.second
    assert found["others"] is model.others and found["seen"] is model.seen
    assert found["name"] == model.name


def test_a_second_object_has_them_all_but_those_that_differ() -> None:
    model = built()
    other = layers.Dense(2)
    double = object.__new__(Pair)
    double.__dict__.update(state_of(model, {"first": other, "seen": 3, "new": 4}))
    assert (double.first, double.second, double.seen, double.new) == (other, model.second, 3, 4)
    assert {**attributes_of(double), **attributes_of(model)}.keys() == {*attributes_of(model), "new"}
    assert model.first is not other and not hasattr(model, "new")


def test_what_a_twin_sets_does_not_change_its_original() -> None:
    model = built()
    first, seen, x = model.first, model.seen, np.ones((1, 2), "float32")
    double = twin(model)
    np.testing.assert_array_equal(ops.convert_to_numpy(double(x)), ops.convert_to_numpy(model(x)))
    seen = model.seen
    double.first = double.second
    double(2 * x)
    assert double.first is model.second
    assert model.first is first and model.seen is seen
