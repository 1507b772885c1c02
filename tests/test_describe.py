"""The layers of a model as rows and as a table."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import keras
import pytest
from keras import layers

import vis
from vis import describe, models
from vis.describe import LayerRow
from vis.errors import ModelError


@pytest.fixture(scope="module")
def model() -> keras.Model:
    inputs = keras.Input((8, 8, 3), name="picture")
    inside = keras.Sequential(
        [layers.Input((8, 8, 3)), layers.Conv2D(4, 3, activation="relu", name="conv")], name="backbone"
    )
    x = inside(inputs)
    smooth = layers.Conv2D(4, 1, activation="sigmoid", name="smooth")
    x = smooth(smooth(x))
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    return keras.Model(inputs, layers.Dense(5, activation="softmax", name="classes")(x))


ROWS = [
    LayerRow(0, "picture", None, "InputLayer", (None, 8, 8, 3), 3, None, "none"),
    LayerRow(1, "backbone", None, "Sequential", (None, 6, 6, 4), 4, "relu", "none"),
    LayerRow(None, "backbone/conv", None, "Conv2D", (None, 6, 6, 4), 4, "relu", "yes"),
    LayerRow(2, "smooth", 0, "Conv2D", (None, 6, 6, 4), 4, "sigmoid", "none"),
    LayerRow(2, "smooth", 1, "Conv2D", (None, 6, 6, 4), 4, "sigmoid", "none"),
    LayerRow(3, "pool", None, "GlobalAveragePooling2D", (None, 4), 4, None, "none"),
    LayerRow(4, "classes", None, "Dense", (None, 5), 5, "softmax", "none"),
]


def test_the_rows(model: keras.Model) -> None:
    found = vis.list_layers(model)
    assert found == ROWS
    with pytest.raises(AttributeError):
        found[0].path = "other"  # type: ignore[misc]


def test_a_row_names_what_it_describes(model: keras.Model) -> None:
    for row in vis.list_layers(model):
        point = models.find_layer(model, row.name)
        assert models.output_shape(point) == row.shape
        if row.index is not None:
            assert model.layers[row.index] is models.operation_of(point)


def test_the_table_is_made_of_the_rows(model: keras.Model, monkeypatch: pytest.MonkeyPatch) -> None:
    *_, smooth, pool, classes = [line.split() for line in describe.layer_table(model).splitlines()]
    assert smooth == ["2", "smooth:1", "Conv2D", "6x6x4", "4", "sigmoid", "-"]
    assert pool == ["3", "pool", "GlobalAveragePooling2D", "4", "4", "-", "-"]
    assert classes == ["4", "classes", "Dense", "5", "5", "softmax", "-"]
    others: list[tuple[Any, list[str]]] = [
        ({"shape": None, "filters": None, "guided": "unknown"}, ["?", "-", "softmax", "?"]),
        ({"shape": (None,), "filters": None, "guided": "partly"}, ["scalar", "-", "softmax", "partly"]),
        ({"shape": (None, None, 7), "guided": "no"}, ["?x7", "5", "softmax", "no"]),
    ]
    for changes, cells in others:
        monkeypatch.setattr(describe, "list_layers", lambda _, own=changes: [replace(ROWS[-1], **own)])
        assert describe.layer_table(model).splitlines()[1].split() == ["4", "classes", "Dense", *cells]


def test_what_is_not_a_model() -> None:
    with pytest.raises(ModelError, match=r"Expected a keras\.Model\. Received: 'model\.keras'"):
        vis.list_layers("model.keras")  # type: ignore[arg-type]
