"""What a traced computation says of a model, in words of no framework."""

from vis.graph.activations import Activations, Region, find_activations
from vis.graph.words import Graph, LayerCall, Operation, Shape, Value, constant

__all__ = [
    "Activations",
    "Graph",
    "LayerCall",
    "Operation",
    "Region",
    "Shape",
    "Value",
    "constant",
    "find_activations",
]
