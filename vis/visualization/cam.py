"""Grad-CAM: the places of a layer, weighed by what their channels do for the output."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from vis import backprop_modifiers, grad_modifiers, maps, models
from vis.errors import LayerError
from vis.gradients import gradient_and_value
from vis.source import Losses, Source, as_source
from vis.visualization.preparation import (
    arrays_of,
    asked,
    built,
    warn_if_empty,
)


def visualize_cam(
    model: Any,
    layer_idx: Any,
    filter_indices: Any,
    seed_input: Any,
    penultimate_layer_idx: Any = None,
    backprop_modifier: Any = None,
    grad_modifier: Any = None,
) -> Any:
    """Return the Grad-CAM map of where `seed_input` speaks for `filter_indices`.

    `M = normalize(upsample(max(sum_k a_k F_k, 0)))` with `F_k` the channels of the penultimate layer and
    `a_k = mean_p dA / dF_k(p)` their weights: the gradient of the activation A of the filters, modified,
    averaged over the places p, and divided by its largest magnitude. `upsample` is linear interpolation
    to the places of the input, `normalize` the linear map to [0, 1].

    Args:
        model: a Keras model, see `visualize_saliency`.
        layer_idx: the layer whose filters are explained, named as in `visualize_saliency`.
        filter_indices: an index, several, or None for all.
        seed_input: one input with or without its batch axis.
        penultimate_layer_idx: the layer whose places are weighed, named in the same ways; by default
            the nearest convolution or pooling layer before `layer_idx`, in nested models too.
        backprop_modifier: the derivative of activations, see `visualize_saliency`.
        grad_modifier: what is done to the gradient by the penultimate layer, see `visualize_saliency`.

    Returns:
        float32 values in [0, 1], `(height, width)`, `(length,)` or `(depth, height, width)`.

    Raises:
        LayerError: if there is no layer with places before `layer_idx`, or the one named has none.
        FilterError, InputError, ModifierError, ModelError, GradientError: see `vis.errors`.

    Warns:
        SoftmaxWarning, PartialOverrideWarning, EmptyMapWarning: as `visualize_saliency`.

    Reference:
        Selvaraju et al.: Grad-CAM, 2017, equations (1) and (2).
    """
    source, loss, modifier = asked(model, layer_idx, filter_indices, backprop_modifier, seed_input)
    if penultimate_layer_idx is None:
        penultimate = models.spatial_layer_before(source.anchor(), models.operation_of(loss.layer))
    else:
        penultimate = models.find_layer(model, penultimate_layer_idx)
    return _cam(source, [(loss, -1.0)], seed_input, penultimate, modifier, grad_modifier)


def visualize_cam_with_losses(
    input_tensor: Any, losses: Losses, seed_input: Any, penultimate_layer: Any, grad_modifier: Any = None
) -> Any:
    """Return the Grad-CAM map of a weighted sum of losses.

    As `visualize_cam`, with `A = sum_i weight_i loss_i`: a loss is lower for what is wanted, so it
    enters with a weight of -1.

    Args:
        input_tensor: the model's symbolic input, or the model itself.
        losses: pairs `(loss, weight)` of a `vis.losses.Loss` and a finite number.
        seed_input: one input, see `visualize_saliency`.
        penultimate_layer: the layer whose places are weighed.
        grad_modifier: what is done to the gradient, see `visualize_saliency`.

    Returns:
        As `visualize_cam`.

    Raises:
        LayerError, ModelError, InputError, ModifierError, GradientError: see `vis.errors`.
    """
    source = built(as_source(input_tensor), seed_input)
    penultimate = source.point(penultimate_layer, "penultimate_layer")
    return _cam(source, losses, seed_input, penultimate, None, grad_modifier)


def _cam(
    source: Source,
    losses: Losses,
    seed_input: Any,
    penultimate: Any,
    modifier: backprop_modifiers.BackpropModifier | None,
    grad_modifier: Any,
) -> npt.NDArray[np.float32]:
    modify = grad_modifiers.get(grad_modifier)
    arrays = arrays_of(source, seed_input)
    gradient, features, _ = gradient_and_value(source, losses, arrays, penultimate, modifier)
    if gradient.ndim < 3:
        raise LayerError(
            f"The layer {penultimate.name!r} has no places: its output has the shape {features.shape[1:]}. "
            "Choose a convolution or pooling layer."
        )
    channels = models.filter_axis(penultimate, gradient.ndim) % gradient.ndim - 1
    places = _places(source, arrays, gradient.ndim)
    moved = np.moveaxis(features[0], channels, -1)

    def heat(modify: grad_modifiers.GradModifier) -> npt.NDArray[np.float64]:
        return class_activation(np.moveaxis(grad_modifiers.applied(modify, gradient[0]), channels, -1), moved)

    result = maps.normalize(maps.upsample(heat(modify), places))
    if not result.any():
        reason = "The weighed features are negative, or the same everywhere. "
        negate = grad_modifiers.get("negate")
        # Said only where it shows something.
        if modify is not negate and maps.normalize(heat(negate)).any():
            reason += "What speaks against the output is shown by grad_modifier='negate'. "
        reason += "Try another penultimate layer."
        warn_if_empty(result, gradient, source, losses, reason)
    return result


def _places(source: Source, arrays: list[npt.NDArray[Any]], rank: int) -> tuple[int, ...]:
    """Return the spatial shape of the input that a map of a layer lies over."""
    places = source.places(arrays, rank)
    if places is not None:
        return places
    raise LayerError(
        f"The penultimate layer has {rank - 2} axes of places, and no input has as many. Received: inputs "
        f"{[array.shape[1:] for array in arrays]}. Choose a layer with the places of an input."
    )


def class_activation(gradient: npt.NDArray[Any], features: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Return `max(sum_k a_k F_k, 0)` with `a_k = mean_p g_k(p) / max |g|`.

    Args:
        gradient: g, `(..., channels)`.
        features: F, of the same shape.

    Returns:
        The map over the places, `(...)`; zeros if the gradient is zero.

    Reference:
        Selvaraju et al.: Grad-CAM, 2017, equations (1) and (2).
    """
    g = gradient.astype(np.float64)
    largest = np.abs(g).max()
    # The largest magnitude, not the largest value: its sign would turn a map of negative gradients.
    weights = (g / largest if largest else g).mean(axis=tuple(range(g.ndim - 1)))
    heat: npt.NDArray[np.float64] = np.maximum(features.astype(np.float64) @ weights, 0.0)
    return heat
