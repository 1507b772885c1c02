"""What a traced computation says of a model, in words of no framework."""

from vis.graph.activations import Activations, Region, find_activations
from vis.graph.pixels import pixel_range
from vis.graph.squashing import SOFTMAX, Skip, Squashing, Squashings, find_squashing, signature
from vis.graph.words import Graph, LayerCall, Operation, Shape, Value, constant

__all__ = [
    "SOFTMAX",
    "Activations",
    "Graph",
    "LayerCall",
    "Operation",
    "Region",
    "Shape",
    "Skip",
    "Squashing",
    "Squashings",
    "Value",
    "constant",
    "find_activations",
    "find_squashing",
    "pixel_range",
    "signature",
]
