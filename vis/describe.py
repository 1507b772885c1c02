"""Descriptions of a model: its layers, the pictures it takes, the class it predicts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import keras

from vis import backend, backprop_modifiers, graph, models
from vis.errors import ModelError

Reach: TypeAlias = Literal["yes", "partly", "no", "none", "unknown"]


# Of the table of layers.
COLUMNS = ("index", "path", "type", "output shape", "filters", "activation", "guided")


@dataclass(frozen=True)
class LayerRow:
    """A layer of a model, another operation of its graph, or one of several calls of a layer.

    Attributes:
        index: the index in `model.layers`; None for what is inside a nested model, and for operations.
        path: the name, or the path into nested models, `"backbone/conv5"`.
        call: which call of the layer, from 0; None if it is called once.
        kind: the name of its class.
        shape: the output shape with the batch axis, None for sizes that vary; None if it is not known.
        filters: the size of the axis of the channels or units; None if there is no such axis or it varies.
        activation: the name of its activation; None if it has no activation.
        guided: whether the guided modifier reaches the activations: `"yes"`, `"partly"`, `"no"` (they keep
            their true gradient), `"none"` (it has nothing to reach, or is a nested model) or `"unknown"`.
    """

    index: int | None
    path: str
    call: int | None
    kind: str
    shape: tuple[int | None, ...] | None
    filters: int | None
    activation: str | None
    guided: Reach

    @property
    def name(self) -> str:
        """What names it where a layer is asked for: its path, with the call if there are several."""
        return self.path if self.call is None else f"{self.path}:{self.call}"


def list_layers(model: keras.Model) -> list[LayerRow]:
    """Return a row for each layer of a model and each other operation of its graph, nested ones too.

    A layer that the graph calls several times has a row for each call, in the order in which they run.

    Raises:
        ModelError: if it is not a Keras model.
    """
    models.check_model(model)
    with models.read_once():
        return list(_rows(model))


def _rows(model: keras.Model) -> Iterator[LayerRow]:
    rule = backprop_modifiers.get("guided").rule
    top = {id(layer): index for index, layer in enumerate(model.layers)}
    calls: dict[int, list[Any]] = {}
    for node in models.runs(model):
        calls.setdefault(id(node.operation), []).append(node)
    for path, layer in models.walk(model, operations=True):
        index = top.get(id(layer)) if "/" not in path else None
        described = (models.activation_name(layer), _reach(models.layer_coverage(layer, rule)))
        several = calls.get(id(layer), [])
        points: list[tuple[int | None, Any]] = [(None, layer)]
        if len(several) > 1:
            points = [
                (number, models.Call(layer, number, None, node.output_tensors[0]))
                for number, node in enumerate(several)
            ]
        for call, point in points:
            yield LayerRow(index, path, call, type(layer).__name__, *_size(point), *described)


def layer_cells(model: keras.Model) -> list[tuple[str, ...]]:
    """Return the rows of `list_layers` in words, in the order of `COLUMNS`.

    The shape is without the batch axis; guided is yes, partly, no, - (there is none to reach) or ? (unknown).
    """
    cells: list[tuple[str, ...]] = []
    for row in list_layers(model):
        shape = "?"
        if row.shape is not None:
            shape = "x".join(_text(size, "?") for size in row.shape[1:]) or "scalar"
        guided = {"none": "-", "unknown": "?"}.get(row.guided, row.guided)
        cells.append(
            (
                _text(row.index, ""),
                row.name,
                row.kind,
                shape,
                _text(row.filters),
                _text(row.activation),
                guided,
            )
        )
    return cells


def layer_table(model: keras.Model) -> str:
    """Return the rows of `layer_cells` as a table."""
    cells = [COLUMNS, *layer_cells(model)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in cells
    )


def _text(value: int | str | None, missing: str = "-") -> str:
    return missing if value is None else str(value)


def _reach(coverage: backend.Coverage | None) -> Reach:
    """Return whether a rule reaches the activations of a layer."""
    if coverage is None:
        return "unknown"
    if not coverage.reached:
        return "no" if coverage.missed else "none"
    return "partly" if coverage.missed else "yes"


def _size(point: Any) -> tuple[tuple[int | None, ...] | None, int | None]:
    """Return the output shape and the number of filters."""
    shape = models.output_shape(point)
    if shape is None:
        return None, None
    return tuple(shape), None if len(shape) < 2 else shape[models.located(point, len(shape))[0]]


def image_shape(model: Any) -> tuple[int | None, ...]:
    """Return `(height, width, channels)` of the pictures that a model takes.

    Raises:
        ModelError: if it does not take one picture with its channels last.
    """
    inputs = models.input_tensors(model)
    shapes = [tuple(symbol.shape[1:]) for symbol in inputs]
    one = len(shapes) == 1 and len(shapes[0]) == 3
    if not one or models.input_channel_axis(inputs[0], 4) != -1:
        raise ModelError(
            "This command needs a model with one picture as its input, (height, width, channels). Received: "
            f"the model {model.name!r} with inputs {shapes}. Call vis.visualize_saliency with arrays."
        )
    return shapes[0]


def pixel_range(model: Any, number: int = 0) -> tuple[float, float]:
    """Return the range of the pixels of an input, (0, 1), (0, 255) or (-1, 1): `vis.graph.pixel_range`."""
    return graph.pixel_range(models.read(model), number)


def layer_key(text: str) -> int | str:
    """Return what a user wrote for a layer: an index, or a name or path."""
    try:
        return int(text)
    except ValueError:
        return text
