"""The rules of products."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from keras import ops

from vis.relevance.rules.base import Rule, register, shares, stabilized
from vis.relevance.rules.pass_ import fitted
from vis.relevance.site import Site
from vis.typing import Tensor


def divided(site: Site, relevance: Tensor, takes: Sequence[bool], epsilon: float) -> list[Tensor]:
    """Return the relevance of the inputs of a product, the same for each that takes a share."""
    count = sum(takes)
    if site.keeps_shape:
        found = [fitted(relevance / count, x) for x in site.inputs]
    else:
        share = shares(relevance / count, stabilized(site.output, epsilon), epsilon)
        gradients = site.backward(share)
        found = [x * gradient for x, gradient in zip(site.inputs, gradients, strict=True)]
    return [each if own else ops.zeros_like(each) for each, own in zip(found, takes, strict=True)]


@register("half")
@dataclass(frozen=True, repr=False)
class Half(Rule):
    """Give each factor of a product the same share: `R / n` of an elementwise product of n factors.

    Otherwise `R_a = sum a dy/da R / (n (y + epsilon sign(y)))`.

    Args:
        epsilon: what moves the denominator away from zero.

    Reference:
        Achtibat et al.: AttnLRP: Attention-Aware Layer-Wise Relevance Propagation for Transformers, 2024,
        proposition 3.3.
    """

    epsilon: float = 1e-6

    def __call__(self, site: Site, relevance: Tensor) -> list[Tensor]:
        return divided(site, relevance, (True,) * len(site.inputs), self.epsilon)


@register("signal")
@dataclass(frozen=True, repr=False)
class Signal(Rule):
    """Give the signals of a product everything, as `Half` does, and its gates nothing.

    Args:
        epsilon: what moves the denominator away from zero.

    Reference:
        Arras et al.: Explaining Recurrent Neural Network Predictions in Sentiment Analysis, 2017, section
        3.1; for attention, Ali et al.: XAI for Transformers: Better Explanations through Conservative
        Propagation, 2022, section 4.
    """

    epsilon: float = 1e-6

    def __call__(self, site: Site, relevance: Tensor) -> list[Tensor]:
        return divided(site, relevance, site.signals, self.epsilon)

    def reaches(self, signals: Sequence[bool]) -> Sequence[bool]:
        return signals
