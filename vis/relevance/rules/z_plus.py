"""The rule z-plus."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from vis.relevance.rules.base import Part, Rule, negative, positive, register, shared
from vis.relevance.site import Site
from vis.typing import Tensor


def signed(site: Site, of_positive: tuple[Any, Any], of_negative: Callable[[Any], Any]) -> list[Part]:
    """Return a term for the positive inputs, and one for the negative inputs if there may be any.

    Args:
        site: the site.
        of_positive: the weights and the bias of the first.
        of_negative: makes the weights of the second from those of the site; it has no bias.
    """
    if site.is_nonnegative:
        return [(site.x, *of_positive)]
    return [(positive(site.x), *of_positive), (negative(site.x), of_negative(site.weights), None)]


def excitatory(site: Site) -> list[Part]:
    """Return the terms that raise the output: `x+ W+ + x- W- + b+`, with `x+ = max(x, 0)`."""
    return signed(site, (positive(site.weights), positive(site.bias)), negative)


def inhibitory(site: Site) -> list[Part]:
    """Return the terms that lower the output: `x+ W- + x- W+ + b-`."""
    return signed(site, (negative(site.weights), negative(site.bias)), positive)


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
