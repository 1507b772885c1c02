"""The rule LRP-alpha-beta."""

from __future__ import annotations

from dataclasses import dataclass

from vis.errors import ModifierError
from vis.relevance.rules.base import Rule, register, shared
from vis.relevance.rules.z_plus import excitatory, inhibitory
from vis.relevance.site import Site
from vis.typing import Tensor


@register("alpha_beta")
@dataclass(frozen=True, repr=False)
class AlphaBeta(Rule):
    """Share relevance by what raises the output and by what lowers it, weighted by alpha and -beta.

    `R_i = sum_j (alpha (x_i w_ij)+ / z_j+ - beta (x_i w_ij)- / z_j-) R_j`, with `z+ = sum (x w)+ + b+`.

    Args:
        alpha, beta: not negative, with `alpha - beta = 1`.
        epsilon: what moves the denominators away from zero.

    Raises:
        ModifierError: for other alpha and beta.

    Reference:
        Bach et al.: On Pixel-Wise Explanations by Layer-Wise Relevance Propagation, 2015, equation 60.
    """

    alpha: float = 2.0
    beta: float = 1.0
    epsilon: float = 1e-6

    def __post_init__(self) -> None:
        if min(self.alpha, self.beta) < 0 or abs(self.alpha - self.beta - 1) > 1e-9:
            raise ModifierError(
                "alpha and beta must not be negative, and alpha - beta must be 1. Received: "
                f"alpha={self.alpha}, beta={self.beta}. Try AlphaBeta(2, 1) or AlphaBeta(1, 0)."
            )

    def __call__(self, site: Site, relevance: Tensor) -> list[Tensor]:
        found = shared(site, relevance, excitatory(site), self.epsilon, self.alpha)
        if self.beta:
            found = found + shared(site, relevance, inhibitory(site), self.epsilon, -self.beta)
        return [found]
