"""Twins: whatever a user calls an attribute, and however layers are held, a model is read like any other."""

from __future__ import annotations

import ast
import dataclasses
import functools
import keyword
import types
from collections import OrderedDict, deque, namedtuple
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import keras
import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from keras import layers

import vis
from tests.reliability.scale import count
from vis import attributions
from vis.models import Probe, find_layer, walk
from vis.models.twins import twin

X = np.random.default_rng(0).normal(size=(1, 5, 5, 2)).astype(np.float32)


def kernel(shape: Any, dtype: Any = None) -> Any:
    return np.random.default_rng(3).uniform(-0.5, 1, size=shape).astype(np.float32)


def conv(name: str = "conv") -> Any:
    return layers.Conv2D(3, 3, padding="same", activation="relu", kernel_initializer=kernel, name=name)


def names_of_ours() -> list[str]:
    """Return every name that the library gives to a parameter, an attribute or a function."""
    found = set()
    for path in Path(vis.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.arg(arg=name) | ast.Attribute(attr=name) | ast.Name(id=name):
                    found.add(name)
                case ast.FunctionDef(name=name) | ast.ClassDef(name=name) | ast.keyword(arg=str(name)):
                    found.add(name)
    return sorted(found)


NAMES = st.one_of(st.sampled_from(names_of_ours()), st.from_regex(r"_?[a-z][a-z0-9_]{0,8}", fullmatch=True))


PLAIN = keras.Model(), layers.Layer()


def is_free(name: str) -> bool:
    """Tell whether Keras leaves a name to its users."""
    return not keyword.iskeyword(name) and not any(hasattr(each, name) for each in PLAIN)


def network(attribute: str, values: tuple[Any, ...] = ()) -> Any:
    """Return a subclassed model with a subclassed layer: what they hold has the names that are given."""

    class Block(layers.Layer):
        def __init__(self) -> None:
            super().__init__(name="block")
            setattr(self, attribute, conv())

        def call(self, x: Any) -> Any:
            return getattr(self, attribute)(x)

    class Net(keras.Model):
        def __init__(self) -> None:
            super().__init__(name="net")
            setattr(self, attribute, Block())
            self.end_of_it = layers.Dense(2, kernel_initializer=kernel, name="end")
            self.flat_of_it = layers.Flatten()

        def call(self, x: Any) -> Any:
            return self.end_of_it(self.flat_of_it(getattr(self, attribute)(x)))

    model = Net()
    model(X)
    for index, value in enumerate(values):
        setattr(getattr(model, attribute), f"{attribute}_{index}", value)
    return model


def maps_of(model: Any) -> list[Any]:
    """Return maps of every kind: of the output, of a layer inside, with a rule, with twins of every sort."""
    grad_cam = attributions.GradCAM(model, conv_layer="block/conv")
    return [
        vis.visualize_saliency(model, "end", 0, X),
        vis.visualize_saliency(model, "block/conv", None, X, backprop_modifier="guided"),
        vis.visualize_cam(model, -1 if model.layers[-1].name == "end" else "end", 0, X, "block/conv"),
        grad_cam.explain(X, 0),
        attributions.IntegratedGradients(model, "block", steps=2).explain(X, (0,)),
    ]


@functools.cache
def expected() -> list[Any]:
    return maps_of(network("held_by_it"))


@settings(max_examples=count(2, 12), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(name=NAMES.filter(is_free))
@example(name="base")
@example(name="operation")
@example(name="attributes")
@example(name="outputs")
@example(name="layer")
def test_an_attribute_may_have_any_name(name: str) -> None:
    for found, wanted in zip(maps_of(network(name)), expected(), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)


@settings(max_examples=60, deadline=None)
@given(name=NAMES.filter(is_free), value=st.sampled_from([1, "text", [1], {"a": 1}, None, X, layers.ReLU()]))
def test_a_twin_takes_attributes_of_any_name(name: str, value: Any) -> None:
    layer = layers.Layer()
    layer.kept = 1
    double = twin(layer, {name: value})
    assert vars(double)[name] is value and double.kept == 1
    assert not hasattr(layer, name) or name == "kept"


Pair = namedtuple("Pair", ["first", "second"])


@dataclasses.dataclass
class Parts:
    first: Any
    second: Any


@dataclasses.dataclass(frozen=True)
class FrozenParts:
    first: Any
    second: Any


class Slots:
    __slots__ = ("first", "second")

    def __init__(self, first: Any, second: Any) -> None:
        self.first, self.second = first, second


class Helper:
    def __init__(self, *held: Any) -> None:
        self.held = list(held)

    def __call__(self, x: Any) -> Any:
        for layer in self.held:
            x = layer(x)
        return x


class Named(tuple[Any, ...]):
    """A tuple with a method."""

    def run(self, x: Any) -> Any:
        for layer in self:
            x = layer(x)
        return x


def closing_over(first: Any, second: Any) -> Callable[[Any], Any]:
    return lambda x: second(first(x))


def by_default(first: Any, second: Any) -> Callable[[Any], Any]:
    def run(x: Any, first: Any = first, *, second: Any = second) -> Any:
        return second(first(x))

    return run


def in_turn(x: Any, held: Any) -> Any:
    for layer in held:
        x = layer(x)
    return x


def by_names(x: Any, held: Any) -> Any:
    return held.second(held.first(x))


# How two layers are held by one attribute, and how they are run from there.
HOLDERS: dict[str, tuple[Callable[[Any, Any], Any], Callable[[Any, Any], Any]]] = {
    "a list": (lambda a, b: [a, b], in_turn),
    "a tuple": (lambda a, b: (a, b), in_turn),
    "a tuple with names": (Pair, by_names),
    "a tuple of a class of one's own": (lambda a, b: Named((a, b)), lambda x, held: held.run(x)),
    "a tuple with names, in a list": (lambda a, b: [Pair(a, b)], lambda x, held: by_names(x, held[0])),
    "a dict": (lambda a, b: {"a": a, "b": b}, lambda x, held: held["b"](held["a"](x))),
    "a dict in order": (
        lambda a, b: OrderedDict(b=b, a=a),
        lambda x, held: in_turn(x, list(held.values())[::-1]) if list(held) == ["b", "a"] else None,
    ),
    "a queue": (lambda a, b: deque([b, a]), lambda x, held: in_turn(x, reversed(held))),
    "a data class": (Parts, by_names),
    "a frozen data class": (FrozenParts, by_names),
    "a frozen data class of tuples": (
        lambda a, b: FrozenParts((a,), (b,)),
        lambda x, held: in_turn(x, held.first + held.second),
    ),
    "a namespace": (lambda a, b: types.SimpleNamespace(first=a, second=b), by_names),
    "slots": (Slots, by_names),
    "an object that is called": (Helper, lambda x, held: held(x)),
    "a method of an object": (lambda a, b: Named((a, b)).run, lambda x, held: held(x)),
    "a closure": (closing_over, lambda x, held: held(x)),
    "a closure in a list": (lambda a, b: [closing_over(a, b)], lambda x, held: held[0](x)),
    "arguments by default": (by_default, lambda x, held: held(x)),
    "a partial function": (lambda a, b: functools.partial(in_turn, held=[a, b]), lambda x, held: held(x)),
}


class Holder(keras.Model):
    runs: ClassVar[list[Any]] = []

    def __init__(self, held: Any, run: Any) -> None:
        super().__init__(name="holder")
        self.held, self.run, self.end = held, run, layers.Dense(2, kernel_initializer=kernel, name="end")

    def call(self, x: Any) -> Any:
        return self.end(layers.Flatten()(self.run(x, self.held)))


def held_in(kind: str) -> tuple[Any, Any, Any]:
    hold, run = HOLDERS[kind]
    first, second = conv("first"), conv("second")
    model = Holder(hold(first, second), run)
    model(X)
    return model, first, second


@functools.cache
def of_a_plain_model(activation: str = "relu") -> list[Any]:
    """Return the maps of the model by layers alone, with an activation of the first one."""
    entry = keras.Input(X.shape[1:])
    first = conv("first")
    first.activation = keras.activations.get(activation)
    end = layers.Dense(2, kernel_initializer=kernel, name="end")
    return cams(keras.Model(entry, end(layers.Flatten()(conv("second")(first(entry))))))


def cam(model: Any, name: str) -> Any:
    return vis.visualize_cam(model, "end", 0, X, name)


def cams(model: Any) -> list[Any]:
    return [cam(model, name) for name in ("first", "second")]


@pytest.mark.parametrize("kind", HOLDERS)
def test_layers_may_be_held_in_any_way(kind: str, untouched: Callable[[Any], Callable[[], None]]) -> None:
    model, first, second = held_in(kind)
    assert find_layer(model, "first") is first and find_layer(model, second) is second
    assert sum(layer is first for _, layer in walk(model)) == 1
    check = untouched(model)
    found = cam(model, "first")
    check()
    np.testing.assert_allclose(found, of_a_plain_model()[0], rtol=1e-5, atol=1e-6)
    first.activation = keras.activations.tanh  # a change of what is held is noticed
    changed = of_a_plain_model("tanh")[1]
    assert np.abs(changed - of_a_plain_model()[1]).max() > 1e-3
    np.testing.assert_allclose(cam(model, "second"), changed, rtol=1e-5, atol=1e-6)


def test_layers_that_a_call_closes_over() -> None:
    first, second, end = conv("first"), conv("second"), layers.Dense(2, kernel_initializer=kernel, name="end")

    class Net(keras.Model):
        def call(self, x: Any) -> Any:
            return end(layers.Flatten()(second(first(x))))

    model = Net()
    model(X)
    for found, wanted in zip(cams(model), of_a_plain_model(), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)


def test_a_lambda_that_closes_over_layers() -> None:
    first, second = conv("first"), conv("second")
    entry = keras.Input(X.shape[1:])
    hidden = layers.Lambda(lambda x: second(first(x)), name="branch")(entry)
    end = layers.Dense(2, kernel_initializer=kernel, name="end")(layers.Flatten()(hidden))
    model = keras.Model(entry, end)
    assert find_layer(model, "branch/second") is second
    found = [vis.visualize_cam(model, "end", 0, X, layer) for layer in ("branch/first", second)]
    for one, wanted in zip(found, of_a_plain_model(), strict=True):
        np.testing.assert_allclose(one, wanted, rtol=1e-5, atol=1e-6)


def test_a_class_that_lists_its_subclasses_hears_of_none() -> None:
    known: list[Any] = []

    class Listed(layers.Layer):
        def __init_subclass__(cls, *, label: str) -> None:
            known.append((label, cls))

    class Mine(Listed, label="mine"):
        def call(self, x: Any) -> Any:
            return x * 2.0

    model = keras.Sequential([keras.Input((3,)), Mine(name="mine")])
    (value,) = Probe(model, [model.layers[0]])(keras.ops.ones((1, 3)))
    assert float(value[0, 0]) == 2 and [label for label, _ in known] == ["mine"]


def test_a_layer_that_knows_its_model() -> None:
    class Child(layers.Layer):
        def call(self, x: Any) -> Any:
            return x * 3.0

    class Parent(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.child = Child(name="child")
            object.__setattr__(self.child, "owner", self)

        def call(self, x: Any) -> Any:
            return self.child(x)

    model = Parent()
    model(np.ones((1, 3), np.float32))
    assert [path for path, _ in walk(model)] == ["child"]
    assert vis.visualize_saliency(model, "child", 0, np.ones((1, 3))).shape == (3,)
