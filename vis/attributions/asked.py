"""What is asked of a model: which output of each sample, in whatever form a user names it."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from vis import backprop_modifiers, models
from vis.attributions import operators
from vis.attributions.batches import Arrays
from vis.attributions.targets import as_weights, predicted
from vis.errors import InputError, LayerError, ModelError
from vis.scores import Score
from vis.source import Source


def asked(
    model: Any,
    output_layer: Any = None,
    operator: Any = None,
    backprop_modifier: Any = None,
    wrt: Any = None,
    fold_layers: bool = False,
) -> Score:
    """Return the score of what is asked.

    Args and raises: see `vis.attributions.Explainer`.
    """
    models.check_model(model)
    if not model.built:
        raise ModelError(
            f"The model {model.name!r} is not built: it has no variables yet. "
            "Call it once, or build it with model.build(input_shape)."
        )
    layer = None if output_layer is None else models.find_layer(model, output_layer)
    if layer is model:
        layer = None
    modifier = None if backprop_modifier is None else backprop_modifiers.get(backprop_modifier)
    start = None if wrt is None else models.find_layer(model, wrt)
    return Score(Source(model), operators.get(operator), layer, modifier, start, bool(fold_layers))


def targets_of(score: Score, arrays: Arrays, given: Any) -> npt.NDArray[Any]:
    """Return what the operator of a score is given as the targets of a batch.

    Args:
        score: what is asked.
        arrays: the inputs in flat order, each `(batch, ...)`.
        given: the targets as `Explainer.explain` takes them.
    """
    count = len(arrays[0])
    plain = score.operator is operators.get(None)
    if given is None:
        try:
            return predicted(score.outputs(arrays))
        except LayerError:
            # An operator of one's own makes one score of several outputs, and may need no targets.
            if plain:
                raise
            return np.zeros((count, 1), np.float32)
    try:
        weights: npt.NDArray[Any] = as_weights(given, count, _output_shape(score, arrays))
    except InputError:
        # An operator of one's own, or of a task, may ask for targets of any form.
        array = np.asarray(given)
        if plain or array.dtype.kind not in "fiub" or array.shape[:1] != (count,):
            raise
        weights = array.astype(np.float32)
    if not np.isfinite(weights).all():
        bad = int(np.count_nonzero(~np.isfinite(weights)))
        raise InputError(f"The targets are finite. Received: {bad} of {weights.size} NaN or infinite.")
    return weights


def _output_shape(score: Score, arrays: Arrays) -> tuple[int, ...]:
    shape = models.output_shape(score.source.model if score.layer is None else score.layer)
    if shape is None or None in shape[1:]:
        return score.outputs([array[:1] for array in arrays]).shape[1:]
    return tuple(size for size in shape[1:] if size is not None)
