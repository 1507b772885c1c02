"""What can be said of a model in words: its layers, the pictures it takes, the class it predicts."""

from __future__ import annotations

from typing import Any

import keras

from vis import backprop_modifiers, models
from vis.errors import ModelError


def layer_table(model: Any) -> str:
    """Return a table of all layers of a model, nested ones too.

    Columns: index, path, type, output shape, filters, activation, and whether the guided modifier
    reaches the activation: yes, no (it keeps its true gradient), or - (there is none to reach).
    """
    rule = backprop_modifiers.get("guided").rule
    rows = [("index", "path", "type", "output shape", "filters", "activation", "guided")]
    top = {id(layer): str(index) for index, layer in enumerate(model.layers)}
    for path, layer in models.walk(model):
        shape = models.output_shape(layer)
        filters = None if shape is None or len(shape) < 2 else shape[models.filter_axis(layer, len(shape))]
        coverage = models.layer_coverage(layer, rule)
        reach = "?" if coverage is None else "-"
        if coverage is not None and (coverage.reached or coverage.missed):
            reach = "no" if not coverage.reached else "partly" if coverage.missed else "yes"
        rows.append(
            (
                top[id(layer)] if "/" not in path else "",
                path,
                type(layer).__name__,
                "?"
                if shape is None
                else "x".join("?" if n is None else str(n) for n in shape[1:]) or "scalar",
                "-" if filters is None else str(filters),
                models.activation_name(layer) or "-",
                reach,
            )
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def image_shape(model: Any) -> tuple[int | None, ...]:
    """Return `(height, width, channels)` of the pictures that a model takes.

    Raises:
        ModelError: if it does not take one picture with its channels last.
    """
    inputs = models.input_structure(model)
    shapes = [] if inputs is None else [tuple(symbol.shape[1:]) for symbol in keras.tree.flatten(inputs)]
    one = len(shapes) == 1 and len(shapes[0]) == 3
    if not one or models.input_channel_axis(keras.tree.flatten(inputs)[0], 4) != -1:
        raise ModelError(
            "This command explains models of one picture, (height, width, channels). Received: the model "
            f"{model.name!r} with inputs {shapes}. Call vis.visualize_saliency with arrays."
        )
    return shapes[0]


def pixel_range(model: Any) -> tuple[float, float]:
    """Return 0 and 255 for a model that rescales or normalises its input by itself, else 0 and 1."""
    prepares = keras.layers.Rescaling | keras.layers.Normalization
    return (0.0, 255.0) if any(isinstance(layer, prepares) for _, layer in models.walk(model)) else (0.0, 1.0)


def layer_key(text: str) -> int | str:
    """Return what a user wrote for a layer: an index, or a name or path."""
    try:
        return int(text)
    except ValueError:
        return text
