"""The layer that a class activation map weights in each model of `keras.applications`; guided's reach.

`python -m tests.models.applications` prints the table of docs/explainers/class-activation.md.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any

import keras

from vis import models
from vis.graph import find_activations
from vis.models import Reading

# The smallest input at which the last maps of all of them have more than one position.
SIDE = 128
# Of each family the others are deeper or wider of the same.
BY_DAY = ("MobileNet", "MobileNetV3Small", "DenseNet121", "ResNet50")


@dataclass(frozen=True)
class Row:
    """What is found for a model: the layer, the shape of its output, and the activations."""

    model: str
    layer: str
    shape: tuple[int | None, ...]
    reached: int
    missed: int


def names() -> list[str]:
    """Return the names of all models of `keras.applications`."""
    return [name for name, made in inspect.getmembers(keras.applications) if inspect.isfunction(made)]


def row(name: str) -> Row:
    """Return the row of a model with random weights."""
    model = getattr(keras.applications, name)(weights=None, input_shape=(SIDE, SIDE, 3))
    graph = models.read(model)
    (weighted,) = Reading(model, graph).default(None)
    ((_, found),) = weighted.over.items()
    assert not found.lost, (name, found.lost)
    activations = find_activations(graph, graph.inputs, graph.outputs)
    shape = models.output_shape(weighted.point)
    assert shape is not None
    return Row(name, weighted.point.name, shape[1:], len(activations.found), len(activations.missed))


def main(chosen: Any = None) -> None:
    """Print the table."""
    print("| model | layer | positions | channels | guided reaches | misses |")
    print("|---|---|---|---|---|---|")
    for name in chosen or names():
        found = row(name)
        height, width, channels = found.shape
        cells = (name, f"`{found.layer}`", f"{height} x {width}", channels, found.reached, found.missed)
        print(f"| {' | '.join(map(str, cells))} |", flush=True)
        keras.backend.clear_session()


if __name__ == "__main__":
    main()
