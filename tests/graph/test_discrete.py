"""Which layer makes floats of an input that has no gradient."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

import vis
from vis import models


def words(dtype: str, **options: Any) -> keras.Model:
    embedding = layers.Embedding(20, 4, name="embedding", **options)
    x = keras.Input((6,), dtype=dtype)
    return keras.Model(x, layers.Dense(1)(layers.LSTM(3)(embedding(x))))


def nested() -> keras.Model:
    x = keras.Input((6,), dtype="int32")
    return keras.Model(x, layers.Dense(2)(_named(words("int32"), "inner")(x)))


def _named(model: keras.Model, name: str) -> keras.Model:
    model.name = name
    return model


def several() -> keras.Model:
    picture, title, table = keras.Input((8, 8, 3)), keras.Input((5,)), keras.Input((4,))
    parts = [
        layers.Flatten()(picture),
        layers.Flatten()(layers.Embedding(10, 6, name="title")(title)),
        table,
    ]
    return keras.Model([picture, title, table], layers.Dense(2)(layers.Concatenate()(parts)))


class WithPositions(layers.Layer):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__(name="both")
        self.words, self.where = layers.Embedding(20, 4, name="words"), layers.Embedding(6, 4)

    def call(self, x: Any) -> Any:
        return self.words(x) + self.where(keras.ops.arange(6))


def positions() -> keras.Model:
    x = keras.Input((6,), dtype="int32")
    return keras.Model(x, layers.Dense(1)(layers.Flatten()(WithPositions()(x))))


def one_hot() -> keras.Model:
    x = keras.Input((6,), dtype="int32")
    hot = layers.Lambda(lambda each: keras.ops.one_hot(each, 20), name="hot", output_shape=(6, 20))(x)
    return keras.Model(x, layers.Dense(1)(layers.Flatten()(hot)))


CASES: dict[str, tuple[Callable[[], keras.Model], list[str | None]]] = {
    "integers": (lambda: words("int32"), ["embedding"]),
    "small integers": (lambda: words("uint8"), ["embedding"]),
    "numbers of words as floats": (lambda: words("float32"), ["embedding"]),
    "with a mask": (lambda: words("int32", mask_zero=True), ["embedding"]),
    "a model inside": (nested, ["inner/embedding"]),
    "several inputs": (several, [None, "title", None]),
    "a layer of layers": (positions, ["both/words"]),
    "one-hot": (one_hot, ["hot"]),
    "bytes of a picture": (
        lambda: keras.Sequential(
            [
                keras.Input((4, 4, 3), dtype="uint8"),
                layers.Rescaling(1 / 255, name="scaled"),
                layers.Flatten(),
            ]
        ),
        ["scaled"],
    ),
    "floats": (lambda: keras.Sequential([keras.Input((4,)), layers.Dense(2)]), [None]),
}


@pytest.mark.parametrize("case", CASES)
def test_the_layer_is_found(case: str) -> None:
    make, expected = CASES[case]
    model = make()
    assert [models.first_float_layer(model, number) for number in range(len(expected))] == expected
    assert models.first_float_layer(model) == next((each for each in expected if each), None)


@pytest.mark.parametrize("case", [case for case in CASES if case != "floats"])
def test_maps_by_its_output(case: str) -> None:
    model = CASES[case][0]()
    path = models.first_float_layer(model)
    inputs = [np.ones((1, *symbol.shape[1:]), symbol.dtype) for symbol in model.inputs]
    found = vis.Saliency(model, wrt=path).explain(inputs if len(inputs) > 1 else inputs[0], 0)
    assert np.isfinite(np.asarray(found)).all()


def test_a_model_without_symbolic_inputs() -> None:
    class Subclassed(keras.Model):  # type: ignore[misc]
        def call(self, x: Any) -> Any:
            return x

    assert models.first_float_layer(Subclassed()) is None
