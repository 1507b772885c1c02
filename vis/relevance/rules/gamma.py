"""The rule LRP-gamma."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from keras import ops

from vis.relevance.rules.base import Part, Rule, negative, positive, register, shared
from vis.relevance.rules.z_plus import signed
from vis.relevance.site import Site
from vis.typing import Tensor


@register("gamma")
@dataclass(frozen=True, repr=False)
class Gamma(Rule):
    """Share relevance by what each input contributes, with terms of the output's sign counted more.

    `R_i = sum_j x_i w'_ij R_j / (sum_k x_k w'_kj + b'_j)` with `w' = w + gamma w+` where `z_j > 0` and
    `x_i > 0`; a negative input swaps the sign of the weights that are raised, and so does a negative `z_j`.

    Args:
        gamma: how much more, not negative; 0 is LRP-0, and a large number z-plus.
        epsilon: what moves the denominators away from zero.

    Reference:
        Montavon et al.: Layer-Wise Relevance Propagation: An Overview, 2019, section 10.2.2; generalized to
        inputs of any sign in Andéol et al.: Learning Domain Invariant Representations by Joint Wasserstein
        Distance Minimization, 2021, appendix.
    """

    gamma: float = 0.25
    epsilon: float = 1e-6

    def _parts(self, site: Site, sign: int) -> list[Part]:
        raised, lowered = (positive, negative) if sign > 0 else (negative, positive)

        def more(values: Any, part: Any) -> Any:
            return None if values is None else values + self.gamma * part(values)

        first = more(site.weights, raised), more(site.bias, raised)
        return signed(site, first, lambda weights: more(weights, lowered))

    def __call__(self, site: Site, relevance: Tensor) -> list[Tensor]:
        found: Any = 0.0
        for sign in (1, -1):
            own = ops.where(sign * site.output > 0, relevance, ops.zeros_like(relevance))
            found = found + shared(site, own, self._parts(site, sign), self.epsilon)
        return [found]
