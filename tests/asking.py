"""The engine, asked in one line."""

from __future__ import annotations

from typing import Any

from vis.engine import Differentiation, Score, Source, WeightedLosses


def input_gradient(
    source: Source, losses: Any, arrays: Any, wrt: Any = None, modifier: Any = None
) -> list[Any]:
    """The gradient of the weighted sum of losses by each input, or by `wrt`."""
    return Differentiation(source, WeightedLosses(losses), modifier).gradients(arrays, watch=wrt).gradients


def score(model: Any, operator: Any, layer: Any = None, modifier: Any = None) -> Differentiation[Score]:
    """The score of a model's output, or of a layer's."""
    return Differentiation(Source(model), Score(operator, layer), modifier)
