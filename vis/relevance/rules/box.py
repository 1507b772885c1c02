"""The box rule, z-B, for inputs between bounds."""

from __future__ import annotations

from dataclasses import dataclass

from vis.errors import ModifierError
from vis.relevance.rules.base import Rule, negative, positive, register, shared
from vis.relevance.site import Site
from vis.typing import Tensor


@register("box")
@dataclass(frozen=True, repr=False)
class Box(Rule):
    """Share relevance by the distance of inputs from their bounds: the input layer's rule for pixels.

    `R_i = sum_j q_ij R_j / sum_k q_kj` with `q_ij = x_i w_ij - l_i w_ij+ - h_i w_ij-`. The bounds are those
    of what relevance is wanted of; padding, a cast or a scaling before the site changes them as the inputs.

    Args:
        low, high: the bounds l and h.
        epsilon: what moves the denominator away from zero.

    Raises:
        ModifierError: unless low is less than high.

    Reference:
        Montavon et al.: Explaining Nonlinear Classification Decisions with Deep Taylor Decomposition, 2017,
        section 3.2.
    """

    low: float = 0.0
    high: float = 1.0
    epsilon: float = 1e-6

    def __post_init__(self) -> None:
        if not self.low < self.high:
            raise ModifierError(f"low must be less than high. Received: low={self.low}, high={self.high}.")

    def __call__(self, site: Site, relevance: Tensor) -> list[Tensor]:
        low, high = site.bounds(self.low, self.high)
        up, down, bias = positive(site.weights), negative(site.weights), site.bias
        parts = [
            (site.x, site.weights, bias),
            (low, -up, None if bias is None else -positive(bias)),
            (high, -down, None if bias is None else -negative(bias)),
        ]
        return [shared(site, relevance, parts, self.epsilon)]
