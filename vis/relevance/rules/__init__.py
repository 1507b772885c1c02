"""Rules: how a site passes back the relevance that arrives at its output.

| name | relevance of an input, for `z = x W + b` |
|---|---|
| `zero` | by what it contributes to z |
| `epsilon` | the same, with a denominator that is kept away from zero |
| `gamma` | the same, with terms of the output's sign counted more |
| `alpha_beta` | by what raises z and what lowers it |
| `z_plus` | by what raises z |
| `flat` | the same for all inputs |
| `w_square` | by the squares of the weights |
| `box` | by the distance from the bounds of the inputs |
| `pass`, `route` | unchanged; to where each number comes from |
| `half`, `signal` | of a product: equally to its factors; to its signal |

A custom rule is a function `rule(site, relevance)` that returns the relevance of each input.
"""

from vis.relevance.rules.alpha_beta import AlphaBeta
from vis.relevance.rules.base import Rule, RuleLike, get, names, register
from vis.relevance.rules.box import Box
from vis.relevance.rules.epsilon import Epsilon
from vis.relevance.rules.flat import Flat
from vis.relevance.rules.gamma import Gamma
from vis.relevance.rules.pass_ import Pass
from vis.relevance.rules.products import Half, Signal
from vis.relevance.rules.route import Route
from vis.relevance.rules.w_square import WSquare
from vis.relevance.rules.z_plus import ZPlus
from vis.relevance.rules.zero import Zero

__all__ = [
    "AlphaBeta",
    "Box",
    "Epsilon",
    "Flat",
    "Gamma",
    "Half",
    "Pass",
    "Route",
    "Rule",
    "RuleLike",
    "Signal",
    "WSquare",
    "ZPlus",
    "Zero",
    "get",
    "names",
    "register",
]
