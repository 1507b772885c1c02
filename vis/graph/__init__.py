"""What a traced computation says about a model, in framework-independent terms."""

from vis.graph.activations import Activations, Region, find_activations
from vis.graph.cuts import find_cuts
from vis.graph.discrete import made_float
from vis.graph.geometry import Geometry
from vis.graph.pixels import pixel_range
from vis.graph.positions import Positions, is_seen, positions_of, tokens_of
from vis.graph.squashing import SOFTMAX, Skip, Squashing, Squashings, signature
from vis.graph.words import Graph, LayerCall, Operation, Shape, Value, constant

__all__ = [
    "SOFTMAX",
    "Activations",
    "Geometry",
    "Graph",
    "LayerCall",
    "Operation",
    "Positions",
    "Region",
    "Shape",
    "Skip",
    "Squashing",
    "Squashings",
    "Value",
    "constant",
    "find_activations",
    "find_cuts",
    "is_seen",
    "made_float",
    "pixel_range",
    "positions_of",
    "signature",
    "tokens_of",
]
