"""Relevance: how much of an output each value of an input accounts for, by rules for each operation.

Relevance starts at the explained output and flows back to the inputs. At each *site* of the computation (an
affine map, an activation, a sum, a product, ...) a *rule* shares what arrives among the inputs of the site; a
*composite* says which rule is for which site.
"""

from vis.relevance.composites import Composite
from vis.relevance.rules import (
    AlphaBeta,
    Box,
    Epsilon,
    Flat,
    Gamma,
    Half,
    Pass,
    Route,
    Rule,
    Signal,
    WSquare,
    Zero,
    ZPlus,
)
from vis.relevance.site import Site

__all__ = [
    "AlphaBeta",
    "Box",
    "Composite",
    "Epsilon",
    "Flat",
    "Gamma",
    "Half",
    "Pass",
    "Route",
    "Rule",
    "Signal",
    "Site",
    "WSquare",
    "ZPlus",
    "Zero",
]
