"""What a model computes, read from a trace, and cached as long as its settings do not change."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from vis import backend
from vis.graph import Graph, made_float
from vis.models.calls import spec_of
from vis.models.find import input_structure, unmodified
from vis.models.findings import Findings
from vis.models.probe import noting
from vis.models.settings import Written

_readings: Findings[Graph] = Findings()


def read(model: Any, specs: Sequence[backend.Spec] | None = None) -> Graph:
    """Return what a model computes in inference mode, with the calls of all layers that can be observed.

    Args:
        model: a built Keras model; if it is modified, the original is read.
        specs: the inputs in flat order; None for the symbolic inputs, which a subclassed model does not have.
    """
    graph, _ = unmodified(model)
    symbols = input_structure(graph)
    if specs is None:
        given = keras.tree.flatten(symbols)
        specs = [spec_of(symbol) for symbol in given]

    def make(written: Written) -> Graph:
        run = noting(graph, written)

        def forward(tensors: list[Any]) -> Any:
            inputs = tensors[0] if symbols is None else keras.tree.pack_sequence_as(symbols, tensors)
            return run(inputs, training=False)

        return backend.traced(forward, specs)

    return _readings.get(graph, make, key=tuple(specs))


def first_float_layer(model: Any, number: int | None = None) -> str | None:
    """Return the path of the layer that makes floats of an input that has no gradient.

    Args:
        model: a built Keras model.
        number: of the input; None for the first that has such a layer.

    Returns:
        None if the scores have a gradient with respect to the input, or the model has no symbolic inputs.
    """
    if input_structure(unmodified(model)[0]) is None:
        return None
    graph = read(model)
    inputs = graph.inputs if number is None else graph.inputs[number : number + 1]
    found = (made_float(graph, value) for value in inputs)
    return next((path for path in found if path is not None), None)
