"""Descriptions of a model: its layers, the pictures it takes, the class it predicts."""

from __future__ import annotations

from typing import Any

from vis import backprop_modifiers, graph, models
from vis.errors import ModelError


def layer_table(model: Any) -> str:
    """Return a table of all layers of a model and the other operations of its graph, nested ones too.

    A layer that the graph calls several times has a row for each call, in the order in which they run.

    Columns: index, path, type, output shape, filters, activation, and whether the guided modifier
    reaches the activation: yes, no (it keeps its true gradient), or - (there is none to reach).
    """
    rule = backprop_modifiers.get("guided").rule
    rows = [("index", "path", "type", "output shape", "filters", "activation", "guided")]
    top = {id(layer): str(index) for index, layer in enumerate(model.layers)}
    calls: dict[int, list[Any]] = {}
    for node in models.runs(model):
        calls.setdefault(id(node.operation), []).append(node)
    for path, layer in models.walk(model, operations=True):
        coverage = models.layer_coverage(layer, rule)
        reach = "?" if coverage is None else "-"
        if coverage is not None and (coverage.reached or coverage.missed):
            reach = "no" if not coverage.reached else "partly" if coverage.missed else "yes"
        described = (models.activation_name(layer) or "-", reach)
        index = top.get(id(layer), "") if "/" not in path else ""
        several = calls.get(id(layer), [])
        if len(several) < 2:
            rows.append((index, path, type(layer).__name__, *_size(layer), *described))
        for number, node in enumerate(several if len(several) > 1 else []):
            call = models.Call(layer, number, None, node.output_tensors[0])
            rows.append((index, f"{path}:{number}", type(layer).__name__, *_size(call), *described))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def _size(point: Any) -> tuple[str, str]:
    """Return the output shape and the number of filters as text."""
    shape = models.output_shape(point)
    if shape is None:
        return "?", "-"
    filters = None if len(shape) < 2 else shape[models.located(point, len(shape))[0]]
    sizes = "x".join("?" if size is None else str(size) for size in shape[1:])
    return sizes or "scalar", "-" if filters is None else str(filters)


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


def pixel_range(model: Any) -> tuple[float, float]:
    """Return the range of a model's pixels: (0, 1), (0, 255) or (-1, 1), see `vis.graph.pixel_range`."""
    return graph.pixel_range(models.read(model))


def layer_key(text: str) -> int | str:
    """Return what a user wrote for a layer: an index, or a name or path."""
    try:
        return int(text)
    except ValueError:
        return text
