"""What a user may change in a layer is noticed, whatever holds it."""

import copy
import gc
import weakref
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as settings_
from hypothesis import strategies as st
from keras import layers

import vis
import vis.engine.traces
from vis.models import Settings


def built(**settings: Any) -> Any:
    layer = layers.Dense(3, **settings)
    layer.build((None, 2))
    return layer


def test_an_untouched_layer_holds() -> None:
    layer = built(activation="relu")
    settings = Settings([layer])
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
    "a text in place of nothing": lambda layer: setattr(layer, "kernel_constraint", "zeros"),
    "a new attribute": lambda layer: setattr(layer, "rate", 0.5),
    "the data type": lambda layer: setattr(layer, "dtype_policy", keras.DTypePolicy("mixed_float16")),
    "an attribute that is gone": lambda layer: vars(layer).pop("use_bias"),
    "one gone, one new": lambda layer: vars(layer).update(rate=vars(layer).pop("use_bias")),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_is_noticed(name: str) -> None:
    layer = built(activation="relu")
    settings = Settings([layer])
    assert settings.hold()
    CHANGES[name](layer)
    assert not settings.hold()


class Config:
    def __init__(self) -> None:
        self.rate, self.nested = 0.5, {"a": [1, 2]}


def closing(number: float) -> Callable[[Any], Any]:
    box = [number]
    return lambda x: x * box[0]


class Holding(layers.Layer):
    """Holds, in attributes, whatever may be changed without being replaced."""

    def __init__(self) -> None:
        super().__init__()
        self.items, self.named, self.kinds = [1, 2], {"a": 1}, {"x"}
        self.deep = {"a": [1, (2, [3])]}
        self.layered = [layers.ReLU(), layers.ReLU()]
        self.array, self._hidden = np.zeros((2, 3)), np.zeros(3)
        self.arrays = {"a": np.zeros(3)}
        self.odd = np.array([1, "a", None], object)
        self.tensor = keras.ops.zeros(3)
        self.config = Config()
        self.function = closing(2.0)
        self._rate = 0.5
        self.pair = (1, np.zeros(2))


MUTATIONS: dict[str, Callable[[Any], Any]] = {
    "an item of a list": lambda layer: layer.items.__setitem__(0, 5),
    "a longer list": lambda layer: layer.items.append(5),
    "another list": lambda layer: setattr(layer, "items", [2, 1]),
    "an item of a dict": lambda layer: layer.named.update({"a": 2}),
    "a new key": lambda layer: layer.named.update({"b": 1}),
    "a set": lambda layer: layer.kinds.add("y"),
    "deep inside": lambda layer: layer.deep["a"][1][1].append(4),
    "the order of layers": lambda layer: layer.layered.reverse(),
    "a number of an array": lambda layer: layer.array.__setitem__((1, 2), 1),
    "an array in place": lambda layer: np.add(layer.array, 1, out=layer.array),
    "the shape of an array": lambda layer: setattr(layer, "array", layer.array.reshape(3, 2)),
    "the type of an array": lambda layer: setattr(layer, "array", layer.array.astype("float32")),
    "an array of one's own": lambda layer: layer._hidden.__setitem__(0, 1),
    "an array in a dict": lambda layer: layer.arrays["a"].__setitem__(0, 1),
    "an array in a tuple": lambda layer: layer.pair[1].__setitem__(0, 1),
    "an array of objects": lambda layer: layer.odd.__setitem__(0, 2),
    "a tensor": lambda layer: setattr(layer, "tensor", keras.ops.ones(3)),
    "an array in place of a tensor": lambda layer: setattr(layer, "tensor", np.zeros(3)),
    "a tensor in place of a number": lambda layer: setattr(layer, "_rate", keras.ops.ones(3)),
    "an attribute of an object": lambda layer: setattr(layer.config, "rate", 0.7),
    "deep in an object": lambda layer: layer.config.nested["a"].append(3),
    "what a function closes over": lambda layer: layer.function.__closure__[0].cell_contents.__setitem__(
        0, 3.0
    ),
    "a number of one's own": lambda layer: setattr(layer, "_rate", 0.7),
}


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_change_of_what_is_held_is_noticed(name: str) -> None:
    layer = Holding()
    settings = Settings([layer])
    settings.settle()
    assert settings.hold()
    MUTATIONS[name](layer)
    assert not settings.hold()


@settings_(max_examples=40, deadline=None)
@given(data=st.data())
def test_any_change_of_nested_values_is_noticed(data: st.DataObject) -> None:
    leaves = st.one_of(st.integers(-3, 3), st.text("ab", max_size=2), st.booleans(), st.none())
    arrays = st.lists(st.integers(0, 3), min_size=1, max_size=3).map(np.array)
    values = st.recursive(
        leaves | arrays,
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3)
        ),
    )
    before, after = data.draw(values), data.draw(values)
    layer = layers.Layer()
    layer.value = copy.deepcopy(before)
    settings = Settings([layer])
    settings.settle()
    assert settings.hold()
    layer.value = copy.deepcopy(before)
    is_same = settings.hold()
    assert is_same, "an equal value of the same types is no change"
    layer.value = copy.deepcopy(after)
    assert settings.hold() == (described(before) == described(after))


def described(value: Any) -> Any:
    """Return a nested value with its arrays told as text; equal numbers are equal, whatever their type."""
    if isinstance(value, np.ndarray):
        return f"{value.shape} {value.dtype} {value.tolist()}"
    if isinstance(value, list):
        return [described(item) for item in value]
    if isinstance(value, dict):
        return {key: described(item) for key, item in value.items()}
    return value


def test_what_calls_write_is_no_setting() -> None:
    class Noting(layers.Layer):
        def __init__(self) -> None:
            super().__init__(name="noting")
            self.rate, self.last, self.calls = 2.0, None, 0

        def call(self, x: Any) -> Any:
            self.last, self.calls = x, self.calls + 1
            return x * self.rate

    def traces() -> list[int]:
        return sorted(id(trace) for trace, _ in vis.engine.traces._traces._entries.values())

    for inside in (True, False):  # whether a twin is run, or the layer itself
        noting = Noting()
        model = keras.Sequential([keras.Input((3,)), noting, layers.Dense(2, name="dense")])
        asked = "noting" if inside else "dense"
        x = np.ones((1, 3), np.float32)
        vis.visualize_saliency(model, asked, 0, x)
        gc.collect()
        known = traces()
        for _ in range(2):
            model(x)
            vis.visualize_saliency(model, asked, 0, x)
        assert known == traces()
        noting.rate = 3.0
        vis.visualize_saliency(model, asked, 0, x)
        assert known != traces()


def test_training_is_no_change_of_a_setting() -> None:
    model = keras.Sequential([keras.Input((2,)), built(activation="relu"), layers.Dropout(0.5)])
    settings = Settings([model, *model.layers])
    settings.settle()
    model.compile("sgd", "mse")
    x, y = np.ones((4, 2), np.float32), np.ones((4, 3), np.float32)
    for _ in range(2):
        model.fit(x, y, validation_data=(x, y), verbose=0)
        model.evaluate(x, y, verbose=0)
        model.predict(x, verbose=0)
        assert settings.hold()
        settings = Settings([model, *model.layers])
        settings.settle()


@pytest.mark.parametrize("kind", ["list", "dict", "array", "tensor", "attribute"])
def test_the_next_map_is_of_what_was_changed(kind: str) -> None:
    class Weighing(layers.Layer):
        def __init__(self) -> None:
            super().__init__()
            self.held = {
                "list": [1.0, 2.0, 3.0],
                "dict": {0: 1.0, 1: 2.0, 2: 3.0},
                "array": np.array([1.0, 2.0, 3.0], np.float32),
                "tensor": keras.ops.convert_to_tensor([1.0, 2.0, 3.0]),
            }.get(kind, 0)
            self.first = 1.0

        def call(self, x: Any) -> Any:
            if kind == "attribute":
                return x * keras.ops.convert_to_tensor([self.first, 2.0, 3.0])
            return x * keras.ops.stack([keras.ops.cast(self.held[i], x.dtype) for i in range(3)])

    layer = Weighing()
    model = keras.Sequential([keras.Input((3,)), layer])
    x = np.ones((1, 3), np.float32)
    explainer = vis.attributions.Saliency(model)
    np.testing.assert_allclose(vis.visualize_saliency(model, 0, None, x), [0, 0.5, 1])
    np.testing.assert_allclose(explainer.explain(x, np.ones((1, 3))), [[1, 2, 3]])
    if kind == "tensor":
        layer.held = keras.ops.convert_to_tensor([5.0, 2.0, 3.0])
    elif kind == "attribute":
        layer.first = 5.0
    else:
        layer.held[0] = 5.0
    np.testing.assert_allclose(vis.visualize_saliency(model, 0, None, x), [1, 0, 1 / 3])
    np.testing.assert_allclose(explainer.explain(x, np.ones((1, 3))), [[5, 2, 3]])


def test_what_is_no_setting_may_change() -> None:
    layer = built(activation="relu")
    settings = Settings([layer])
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
    settings = Settings([model, *model.layers])
    assert settings.hold()
    model.pop()
    assert not settings.hold()


def test_nothing_is_kept_alive() -> None:
    def activation(x: Any) -> Any:
        return x

    layer = built(activation=activation)
    settings = Settings([layer])
    function, held = weakref.ref(activation), weakref.ref(layer)
    del activation, layer
    gc.collect()
    assert function() is None and held() is None
    assert not settings.hold()
