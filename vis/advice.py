"""Advice about a softmax or an empty map: only what would change the result for this model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from vis import models
from vis.errors import VisError
from vis.weak import WeakTable

# Every call that warns asks whether a model has separate logits, and finding out builds a model.
_known: WeakTable[bool] = WeakTable()


def has_logits(model: Any, end: Any) -> bool:
    """Tell whether `vis.linear_outputs(model)` has a different output from `end`.

    Args:
        model: what is explained; anything but a Keras model has no logits.
        end: the model, or the layer in it whose output is explained; None if unknown.
    """
    if not isinstance(model, keras.Model) or end is None:
        return False
    found = _known.get([model, end])
    if found is None:
        try:
            linear = models.linear_outputs(model)
        except VisError:
            linear = model
        # If the layer is still there, it was not replaced.
        kept = any(end is layer for _, layer in models.walk(linear))
        found = _known.put([model, end], linear is not model and not kept)
    return found


def attempts(model: Any, end: Any, others: Sequence[str], another: str = "another filter") -> tuple[str, str]:
    """Return in words why a score may not depend on its input, and what to try.

    Args:
        model, end: see `has_logits`.
        others: what else to try.
        another: what to try where the output has several classes or filters.
    """
    saturated = has_logits(model, end)
    shape = None if end is None else models.output_shape(end)
    several = shape is None or (len(shape) > 1 and shape[models.located(end, len(shape))[0]] != 1)
    ways = [
        *(["the logits (vis.linear_outputs)"] if saturated else []),
        *([another] if several else []),
        *others,
    ]
    listed = ways[0] if len(ways) == 1 else f"{', '.join(ways[:-1])} or {ways[-1]}"
    return f"a dead filter{', a saturated softmax or sigmoid' if saturated else ''}", f"Try {listed}."
