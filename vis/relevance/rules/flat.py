"""The flat rule."""

from __future__ import annotations

from dataclasses import dataclass

from keras import ops

from vis.relevance.rules.base import Rule, register, shared
from vis.relevance.site import Site
from vis.typing import Tensor


@register("flat")
@dataclass(frozen=True, repr=False)
class Flat(Rule):
    """Share relevance equally among all inputs of an output, `R_i = sum_j R_j / n_j`, with `n_j` of them.

    Args:
        epsilon: what moves the denominator away from zero.

    Reference:
        Lapuschkin et al.: Unmasking Clever Hans Predictors, 2019, supplement, note 3.
    """

    epsilon: float = 1e-6

    def __call__(self, site: Site, relevance: Tensor) -> list[Tensor]:
        part = (ops.ones_like(site.x), ops.ones_like(site.weights), None)
        return [shared(site, relevance, [part], self.epsilon)]
