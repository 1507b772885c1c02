"""Calls of layers that compute the same are read once; others never pass for the same."""

from __future__ import annotations

import types
from typing import Any

import keras
import pytest
from keras import layers

import vis
from vis import backend
from vis.models.alike import likeness, read_once, reading
from vis.models.calls import first_node


def doubled(x: Any) -> Any:
    return 2 * x


def rectified(x: Any) -> Any:
    return keras.ops.relu(x)


doubled.__name__ = rectified.__name__ = "same"


class Own(layers.Activation):
    """A layer of a user, whose settings do not tell all."""


def alike(one: Any, other: Any, *shapes: tuple[int, ...]) -> bool:
    given = [keras.Input(shape) for shape in shapes or ((6, 6, 2),)]
    found = []
    for layer in (one, other):
        layer(given if len(given) > 1 else given[0])
        found.append(likeness(first_node(layer)))
    return found[0] is not None and found[0] == found[1]


@pytest.mark.parametrize(
    ("make", "settings"),
    [
        (layers.Conv2D, {"filters": 3, "kernel_size": 3, "activation": "relu"}),
        (layers.BatchNormalization, {}),
        (layers.ReLU, {"max_value": 6.0}),
        (layers.Dropout, {"rate": 0.5}),
    ],
)
def test_layers_with_the_same_settings(make: Any, settings: dict[str, Any]) -> None:
    assert alike(make(**settings), make(**settings))
    assert not alike(make(**settings), make(**settings, dtype="float16"))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (lambda: layers.Conv2D(3, 3), lambda: layers.Conv2D(4, 3)),
        (lambda: layers.Activation(doubled), lambda: layers.Activation(rectified)),
        (lambda: Own("relu"), lambda: Own("relu")),
        (lambda: layers.PReLU(), lambda: layers.PReLU()),
        (lambda: layers.TimeDistributed(layers.ReLU()), lambda: layers.TimeDistributed(layers.ReLU())),
        (lambda: keras.Sequential([layers.ReLU()]), lambda: keras.Sequential([layers.ReLU()])),
    ],
    ids=["filters", "functions of one name", "a user's class", "slopes", "a layer inside", "a model"],
)
def test_layers_that_may_differ(one: Any, other: Any) -> None:
    assert not alike(one(), other())


def test_a_method_that_was_replaced() -> None:
    one, other = layers.ReLU(), layers.ReLU()
    other.call = types.MethodType(lambda self, x: x, other)
    assert not alike(one, other)


def test_how_inputs_are_passed() -> None:
    x, y = keras.Input((4,)), keras.Input((4,))
    one, other, third = layers.Add(), layers.Add(), layers.Add()
    one([x, y])
    other([x, x])
    third([y, x])
    first, second, last = (likeness(first_node(layer)) for layer in (one, other, third))
    assert first != second
    assert first == last
    narrow = layers.ReLU()
    narrow(x)
    wide = layers.ReLU()
    wide(keras.Input((5,)))
    assert likeness(first_node(narrow)) != likeness(first_node(wide))


def test_only_in_the_block() -> None:
    x = keras.Input((4,))
    nodes = []
    for _ in range(2):
        layer = layers.ReLU()
        layer(x)
        nodes.append(first_node(layer))
    made: list[int] = []
    with read_once():
        assert [reading(node, "it", lambda: made.append(1)) for node in nodes] == [None, None]
        assert len(made) == 1
        reading(nodes[0], "more", lambda: made.append(1))
        assert len(made) == 2
    reading(nodes[0], "it", lambda: made.append(1))
    assert len(made) == 3


def test_the_rows_of_a_model_are_those_of_its_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    x = inputs = keras.Input((8, 8, 3))
    kinds: list[Any] = ["relu", "relu", doubled, rectified, "tanh", "relu"]
    for kind in kinds:
        x = layers.Conv2D(3, 3, padding="same", activation=kind)(x)
        x = layers.BatchNormalization()(x)
    model = keras.Model(inputs, layers.Dense(2)(layers.GlobalAveragePooling2D()(x)))
    compiled = []
    compile_call = backend.compile_call

    def counted(*arguments: Any) -> Any:
        compiled.append(1)
        return compile_call(*arguments)

    monkeypatch.setattr(backend, "compile_call", counted)
    rows = vis.list_layers(model)
    assert [row.guided for row in rows if row.kind == "Conv2D"] == [
        "yes",
        "yes",
        "none",
        "yes",
        "none",
        "yes",
    ]
    # One of three layers with the same function, three others, a normalization, the pooling, the last layer.
    assert len(compiled) == 7
    model.layers[1].activation = keras.activations.linear
    assert [row.guided for row in vis.list_layers(model)][1] == "none"
