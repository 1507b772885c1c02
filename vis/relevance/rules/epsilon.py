"""The rule LRP-epsilon."""

from __future__ import annotations

from dataclasses import dataclass

from vis.relevance.rules.base import Rule, register, shares, stabilized
from vis.relevance.site import Site
from vis.typing import Tensor


@register("epsilon")
@dataclass(frozen=True, repr=False)
class Epsilon(Rule):
    """Share relevance by what each input contributes, `R_i = sum_j x_i w_ij R_j / (z_j + epsilon sign(z_j))`.

    `z = x W + b`, and `sign(0) = 1`. What the bias and epsilon contribute is taken by them.

    Args:
        epsilon: what moves the denominator away from zero, in units of the output; not negative.

    Reference:
        Bach et al.: On Pixel-Wise Explanations by Layer-Wise Relevance Propagation, 2015, equation 58.
    """

    epsilon: float = 1e-6

    def __call__(self, site: Site, relevance: Tensor) -> list[Tensor]:
        below = stabilized(site.output, self.epsilon)
        share = shares(relevance, below, self.epsilon)
        site.account(share, site.bias, below - site.output)
        gradients = site.backward(share)
        return [x * gradient for x, gradient in zip(site.inputs, gradients, strict=True)]
