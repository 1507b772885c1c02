"""Relevance that goes where the numbers come from."""

from __future__ import annotations

from dataclasses import dataclass

from vis.relevance.rules.base import Rule, register
from vis.relevance.site import Site
from vis.typing import Tensor


@register("route")
@dataclass(frozen=True, repr=False)
class Route(Rule):
    """Pass relevance on as a gradient: to where each number comes from, such as the largest of several."""

    def __call__(self, site: Site, relevance: Tensor) -> list[Tensor]:
        return [relevance] if site.keeps_shape and len(site.inputs) == 1 else site.backward(relevance)
