"""The rule of squared weights."""

from __future__ import annotations

from dataclasses import dataclass

from keras import ops

from vis.relevance.rules.base import Rule, register, shared
from vis.relevance.site import Site
from vis.typing import Tensor


@register("w_square")
@dataclass(frozen=True, repr=False)
class WSquare(Rule):
    """Share relevance by the squares of the weights, `R_i = sum_j w_ij^2 R_j / sum_k w_kj^2`.

    Args:
        epsilon: what moves the denominator away from zero.

    Reference:
        Montavon et al.: Explaining Nonlinear Classification Decisions with Deep Taylor Decomposition, 2017,
        section 3.1.
    """

    epsilon: float = 1e-6

    def __call__(self, site: Site, relevance: Tensor) -> list[Tensor]:
        return [
            shared(site, relevance, [(ops.ones_like(site.x), ops.square(site.weights), None)], self.epsilon)
        ]
