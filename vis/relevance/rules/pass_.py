"""Relevance that goes on unchanged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from keras import ops

from vis.errors import ModifierError
from vis.relevance.rules.base import Rule, register
from vis.relevance.site import Site
from vis.typing import Tensor


@register("pass")
@dataclass(frozen=True, repr=False)
class Pass(Rule):
    """Pass relevance on unchanged, `R_i = R_j`.

    Raises:
        ModifierError: at a site that has several inputs, or is not elementwise.
    """

    def __call__(self, site: Site, relevance: Tensor) -> list[Tensor]:
        if len(site.inputs) != 1 or not site.keeps_shape:
            raise ModifierError(
                f"Relevance cannot pass unchanged through {site.path!r}, which mixes its inputs. Take "
                f'another rule for sites of the kind {site.kind!r}, such as "epsilon".'
            )
        return [fitted(relevance, site.x)]


def fitted(values: Any, like: Any) -> Any:
    """Return values summed over the axes along which a tensor was repeated."""
    ahead = len(values.shape) - len(like.shape)
    if ahead:
        values = ops.sum(values, axis=tuple(range(ahead)))
    sizes = zip(values.shape, like.shape, strict=True)
    axes = tuple(axis for axis, (size, own) in enumerate(sizes) if own == 1 and size != 1)
    return ops.sum(values, axis=axes, keepdims=True) if axes else values
