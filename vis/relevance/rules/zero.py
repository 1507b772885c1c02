"""The rule LRP-0."""

from __future__ import annotations

from dataclasses import dataclass

from vis.relevance.rules.base import Rule, quotient, register
from vis.relevance.site import Site, weighted
from vis.typing import Tensor


@register("zero")
@dataclass(frozen=True, repr=False)
class Zero(Rule):
    """Share relevance by what each input contributes, `R_i = sum_j x_i w_ij R_j / z_j`, with `z = x W + b`.

    An output of zero passes nothing on, and what contributes to no other output gets nothing, even if it is
    infinite, as a masked score is. What the bias contributes is taken by it.

    Reference:
        Bach et al.: On Pixel-Wise Explanations by Layer-Wise Relevance Propagation, 2015, equation 56.
    """

    def __call__(self, site: Site, relevance: Tensor) -> list[Tensor]:
        share = quotient(relevance, site.output)
        site.account(share, site.bias, None)
        gradients = site.backward(share)
        return [weighted(gradient, x) for x, gradient in zip(site.inputs, gradients, strict=True)]
