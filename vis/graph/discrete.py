"""Inputs without a gradient, such as the numbers of words, and where floats are made of them."""

from __future__ import annotations

from vis.graph.activations import flowing
from vis.graph.words import Graph, Value


def made_float(graph: Graph, source: Value) -> str | None:
    """Return the path of the layer that first makes floats of an input that has no gradient.

    Numbers of words are such inputs also where they are given as floats and become integers in the model.

    Returns:
        None if the outputs have a gradient with respect to the input, or no layer makes floats of it.
    """
    smooth = set() if source.is_discrete else flowing(graph, [source])
    if not smooth.isdisjoint(graph.outputs):
        return None
    discrete = graph.after([source]) - smooth if smooth else graph.after([source])
    for operation in graph.operations:
        if operation.kind == "shape" or discrete.isdisjoint(operation.operands):
            continue
        if not all(value.is_discrete for value in operation.outputs):
            owner = graph.owner(operation)
            if owner is not None and owner.path:
                return owner.path
    return None
