"""The rule z-plus."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from vis.relevance.rules.base import Part, Rule, negative, positive, register, shared
from vis.relevance.site import Site
from vis.typing import Tensor


def excitatory(site: Site) -> list[Part]:
    """Return the terms that raise the output: `x+ W+ + x- W- + b+`, with `x+ = max(x, 0)`."""
    found: list[Part] = [(positive(site.x), positive(site.weights), positive(site.bias))]
    if not site.is_nonnegative:
        found.append((negative(site.x), negative(site.weights), None))
    return found


def inhibitory(site: Site) -> list[Part]:
    """Return the terms that lower the output: `x+ W- + x- W+ + b-`."""
    found: list[Part] = [(positive(site.x), negative(site.weights), negative(site.bias))]
    if not site.is_nonnegative:
        found.append((negative(site.x), positive(site.weights), None))
    return found


@register("z_plus")
@dataclass(frozen=True, repr=False)
class ZPlus(Rule):
    """Share relevance by what raises the output: `R_i = sum_j (x_i w_ij)+ R_j / (sum_k (x_k w_kj)+ + b_j+)`.

    Args:
        epsilon: what moves the denominator away from zero.

    Reference:
        Montavon et al.: Explaining Nonlinear Classification Decisions with Deep Taylor Decomposition, 2017,
        section 3.3, for inputs of any sign as in Bach et al. 2015, equation 60, with alpha = 1, beta = 0.
    """

    epsilon: float = 1e-6

    def __call__(self, site: Site, relevance: Tensor) -> list[Any]:
        return [shared(site, relevance, excitatory(site), self.epsilon)]
