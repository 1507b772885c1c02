"""What a model computes, read off a trace of it, kept as long as the model is as it was."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from vis import backend
from vis.graph import Graph
from vis.models.find import held_operations, input_structure, unmodified
from vis.models.probe import noting
from vis.models.settings import Settings
from vis.weak import WeakTable

_readings: WeakTable[tuple[Graph, Settings]] = WeakTable()


def read(model: Any, specs: Sequence[backend.Spec] | None = None) -> Graph:
    """Return what a model computes in inference mode, with the calls of all layers that can be observed.

    Args:
        model: a built Keras model; of a modified one, the original is read.
        specs: the inputs in flat order; None for the symbolic inputs, which a subclassed model does not have.
    """
    graph, _ = unmodified(model)
    symbols = input_structure(graph)
    if specs is None:
        given = keras.tree.flatten(symbols)
        specs = [backend.Spec(tuple(symbol.shape), symbol.dtype) for symbol in given]
    known = _readings.get([graph], tuple(specs))
    if known is None or not known[1].hold():
        written: set[tuple[int, str]] = set()
        run = noting(graph, written)
        settings = Settings([graph, *held_operations(graph).values()])

        def forward(tensors: list[Any]) -> Any:
            inputs = tensors[0] if symbols is None else keras.tree.pack_sequence_as(symbols, tensors)
            return run(inputs, training=False)

        known = (backend.traced(forward, specs), settings)
        settings.settle(written)
        _readings.put([graph], known, tuple(specs))
    return known[0]
