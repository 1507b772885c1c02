"""The score that an explainer explains, and the targets of a batch."""

from __future__ import annotations

from functools import partial
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from vis import backend, backprop_modifiers, checks, grad_modifiers, models
from vis.attributions import operators
from vis.attributions.batches import Arrays, Pick
from vis.attributions.operators import OperatorLike
from vis.attributions.targets import as_weights, classes_of, predicted
from vis.backprop_modifiers.base import BackpropModifierLike
from vis.engine import (
    Differentiation,
    FunctionScore,
    FunctionSource,
    Score,
    Source,
    Wrapped,
    without_gradient,
    wrapped,
)
from vis.errors import GradientError, InputError, LayerError, SignWarning, warn
from vis.typing import Explainable, Layer


def asked(
    model: Explainable,
    output_layer: Layer | None = None,
    operator: OperatorLike = None,
    backprop_modifier: BackpropModifierLike = None,
    wrt: Layer | None = None,
    fold_layers: bool = False,
) -> Differentiation[Score]:
    """Return the score that is explained.

    Args and raises: see `vis.attributions.Explainer`.
    """
    if callable(model) and not isinstance(model, keras.Operation | type):
        model = wrapped(model)
    models.check_built(model)
    layer = None if output_layer is None else models.find_layer(model, output_layer)
    if layer is model:
        layer = None
    modifier = None if backprop_modifier is None else backprop_modifiers.get(backprop_modifier)
    start = None if wrt is None else models.find_layer(model, wrt)
    end = model if layer is None else layer
    shape, asks = models.output_shape(end), operators.get(operator)
    if shape is not None and len(shape) > 2 and asks is operators.contrastive:
        axis = models.filter_axis(end, len(shape)) % len(shape)
        asks = asks if axis == len(shape) - 1 else operators.along(asks, axis)
    objective = Score(asks, layer)
    if isinstance(model, Wrapped):
        if modifier is not None:
            raise without_gradient(model)
        return FunctionScore(FunctionSource(model), objective)
    return Differentiation(Source(model), objective, modifier, wrt=start, fold=bool(fold_layers))


def is_relevance(asked: Differentiation[Any]) -> bool:
    """Tell whether relevance is passed back in place of a gradient."""
    modifier = asked.modifier or asked.source.modifier
    return modifier is not None and isinstance(modifier.rule, backend.Flow)


def warn_of_lost_signs(asked: Differentiation[Any], modify: grad_modifiers.GradModifier) -> None:
    """Warn if a gradient modifier drops the signs of relevance."""
    if modify is grad_modifiers.absolute and is_relevance(asked):
        warn(
            'The gradient modifier "absolute" drops the sign of relevance: what lowers the output looks '
            "like what raises it. Pass grad_modifier=None.",
            SignWarning,
        )


def weighs(score: Differentiation[Score]) -> bool:
    """Tell whether the targets of a score are weights of the outputs, and so may come as labels."""
    asks = operators.registered(score.objective.operator)
    return asks in (operators.weighted_sum, operators.contrastive, operators.segmentation)


def pick_of(score: Differentiation[Score]) -> Pick:
    """Return a function that chooses the targets of the explained output among those of all outputs."""
    return partial(_picked, score)


def _picked(score: Differentiation[Score], targets: Any, from_data: bool) -> Any:
    """Return the targets of what is explained.

    Args:
        score: what is asked.
        targets: of the explained output; or a dict by the names of the model's outputs or layers; or a list
            with those of each output.
        from_data: whether they come with the inputs, as in a training.

    Raises:
        InputError: if it is not clear which are meant, or they are not labels of the explained output.
    """
    if targets is None:
        return None
    model = models.unmodified(score.source.model)[0]
    structure = models.output_structure(model)
    layers = _output_layers(model)
    chosen = 0 if score.layer is None and len(layers) == 1 else None
    if score.layer in layers:
        chosen = layers.index(score.layer)
    if isinstance(targets, dict) or (from_data and _one_each(targets, len(layers))):
        names: list[Any] = [layer.name for layer in layers]
        # In flat order.
        keys = sorted(structure) if isinstance(structure, dict) else names
        given = targets if isinstance(targets, dict) else dict(zip(keys, targets, strict=True))
        known = [] if chosen is None else [name for name in (keys[chosen], names[chosen]) if name in given]
        if not known:
            raise InputError(
                "The keys of a dict of targets must be the names of the model's outputs, "
                f"{', '.join(map(repr, keys))}. Received: {', '.join(map(repr, given))}. Choose an output by "
                "output_layer; a custom operator takes one array."
            )
        targets = given[known[0]]
    if from_data and weighs(score):
        shape = models.output_shape(model if score.layer is None else score.layer)
        array = checks.array(targets)
        if shape is not None and shape[1:] == (1,) and array.dtype.kind in "fiu":
            strange = array[~np.isin(array, (-1, 0, 1))]
            if strange.size:
                raise InputError(
                    "The targets of a single output in a data set must be the labels 0 and 1. Received: "
                    f"{strange[0]:.6g}. The true values of a regression are not targets. Leave them out, for "
                    "example with dataset.map(lambda x, y: x), to explain the output itself."
                )
    return targets


def _output_layers(model: Any) -> list[Any]:
    """Return the layers that a model's outputs come out of, in flat order; none if it has no graph."""
    structure = models.output_structure(model)
    outputs = [] if structure is None else keras.tree.flatten(structure)
    return [tensor._keras_history.operation for tensor in outputs]


def _one_each(targets: Any, outputs: int) -> bool:
    """Tell whether there are targets for each of several outputs."""
    several = isinstance(targets, list | tuple) and 1 < len(targets) == outputs
    return several and all(hasattr(part, "shape") for part in targets)


def targets_of(score: Differentiation[Score], arrays: Arrays, given: Any) -> npt.NDArray[Any]:
    """Return the targets of a batch as the operator of a score takes them.

    Args:
        score: what is asked.
        arrays: the inputs in flat order, each `(batch, ...)`.
        given: the targets as `Explainer.explain` takes them.
    """
    count, weighted = len(arrays[0]), weighs(score)
    try:
        if given is None:
            outputs = score.outputs(arrays)
            return predicted(outputs, class_axis(score, outputs.ndim))
        shape = _output_shape(score, arrays)
    except LayerError:
        # An operator of the user's own may make one score of several outputs, and need no targets.
        if weighted:
            raise
        shape = None
    array = np.zeros((count, 1)) if given is None else checks.array(given)
    axis = -1 if shape is None else class_axis(score, len(shape) + 1)
    if weighted or (shape is not None and _names_outputs(array, count, shape, axis)):
        weights: npt.NDArray[Any] = as_weights(given, count, shape or (), axis)
    else:
        rows = np.full(count, array) if array.ndim == 0 else array
        if rows.dtype.kind not in "fiub" or len(rows) != count:
            raise InputError(
                f"The targets of an operator must be numbers, with a row for each of {count} samples. "
                f"Received: {type(given).__name__} of type {array.dtype} and shape {array.shape}."
            )
        weights = rows.astype(np.float32)
    if not np.isfinite(weights).all():
        bad = int(np.count_nonzero(~np.isfinite(weights)))
        raise InputError(f"Targets must be finite. Received: {bad} of {weights.size} NaN or infinite.")
    return weights


def class_axis(score: Differentiation[Score], rank: int) -> int:
    """Return the axis of the classes in the explained output.

    Args:
        score: what is asked.
        rank: the number of axes of the output, the batch axis included.
    """
    model = models.unmodified(score.source.model)[0]
    if rank < 3 or isinstance(model, Wrapped):
        return rank - 1
    return models.filter_axis(model if score.layer is None else score.layer, rank) % rank


def predictions_of(
    score: Differentiation[Score], arrays: Arrays, outputs: npt.NDArray[Any] | None
) -> npt.NDArray[np.int64]:
    """Return the predicted class of each sample, `(batch,)`: the largest output, or mean over positions.

    The result is -1 where there is no class: for a layer inside the model, a single output, or several
    outputs at once.

    Args:
        score, arrays: see `targets_of`.
        outputs: the outputs for the batch, or the weights of their predicted classes, if they are known.
    """
    none = np.full(len(arrays[0]), -1, np.int64)
    model = models.unmodified(score.source.model)[0]
    if score.layer is not None and score.layer not in _output_layers(model):
        return none
    try:
        outputs = score.outputs(arrays) if outputs is None else outputs
    except (LayerError, GradientError):
        return none
    axis = class_axis(score, outputs.ndim)
    if outputs.ndim < 2 or outputs.shape[axis] < 2 or not np.isfinite(outputs).all():
        return none
    return classes_of(predicted(outputs, axis), axis)


def _names_outputs(array: npt.NDArray[Any], count: int, shape: tuple[int, ...], axis: int) -> bool:
    """Tell whether the targets of a custom operator are classes of outputs, or positions in them."""
    forms = ((count,), (count, 1)) if shape and (1, *shape)[axis] > 1 else ()
    positions = ((count, len(shape)),) if len(shape) > 1 else ()
    return array.dtype.kind in "iu" and (array.ndim == 0 or array.shape in (*forms, *positions))


def _output_shape(score: Differentiation[Score], arrays: Arrays) -> tuple[int, ...]:
    """Return the shape of the outputs of one sample.

    Raises:
        LayerError: if there are several.
    """
    end = score.source.model if score.layer is None else score.layer
    shape = models.output_shape(end)
    if shape is None or None in shape[1:] or len(models.output_tensors(end)) > 1:
        return score.outputs([array[:1] for array in arrays]).shape[1:]
    return tuple(size for size in shape[1:] if size is not None)
