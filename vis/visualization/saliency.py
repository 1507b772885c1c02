"""Saliency: where a change of the input changes the output."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from vis import backprop_modifiers, grad_modifiers, inputs, maps, models
from vis.gradients import input_gradient
from vis.source import Losses, Source, as_source
from vis.visualization.cam import visualize_cam, visualize_cam_with_losses  # where keras-vis has them
from vis.visualization.preparation import (
    arrays_of,
    asked,
    built,
    warn_if_empty,
)

__all__ = [
    "visualize_cam",
    "visualize_cam_with_losses",
    "visualize_saliency",
    "visualize_saliency_with_losses",
]


def visualize_saliency(
    model: Any,
    layer_idx: Any,
    filter_indices: Any,
    seed_input: Any,
    wrt_tensor: Any = None,
    backprop_modifier: Any = None,
    grad_modifier: Any = "absolute",
    keepdims: bool = False,
) -> Any:
    """Return the map of where `seed_input` raises or lowers the activation of `filter_indices`.

    `M = normalize(max_c m(dA / dx))` with `A` the activation of the filters (mean over positions, summed
    over filters), `m` the gradient modifier, the maximum over the channels, and `normalize` the linear
    map of its range to [0, 1]. A constant map becomes zeros.

    Args:
        model: a Keras model: functional, sequential or subclassed, nested or not. It is not changed.
        layer_idx: the layer: an index, a name, a path into nested models such as `"backbone/conv5"`, a call
            such as `"encoder:1"`, a symbolic tensor, or the layer itself, see `vis.models.find_layer`. For
            class saliency take the logits: a softmax mixes the classes, see
            `vis.utils.utils.linear_outputs`.
        filter_indices: an index, several, or None for all; negative ones count from the end.
        seed_input: one input with or without its batch axis: `(height, width, channels)`,
            `(1, height, width, channels)`, `(steps, channels)`, `(features,)`, ...; for a model with
            several inputs a list or dict of them.
        wrt_tensor: what to differentiate by instead of the input, a symbolic tensor or named as `layer_idx`.
        backprop_modifier: the derivative of activations: None, a name (`"guided"`, `"rectified"`), a
            `BackpropModifier`, or a rule `rule(x, y, incoming, true)`.
        grad_modifier: what is done to the gradient: None, a name (`"absolute"`, `"negate"`, `"relu"`,
            `"invert"`, `"small_values"`), or a function from an array to an array of the same shape.
        keepdims: keep the channels.

    Returns:
        float32 values in [0, 1]: `(height, width)`, with `keepdims` `(height, width, channels)`;
        `(features,)` for a vector; the same structure as `seed_input` for several inputs.

    Raises:
        LayerError, FilterError, InputError, ModifierError, ModelError, GradientError: each says what was
            wrong, what was received and what to do; see `vis.errors`.

    Warns:
        SoftmaxWarning: if the layer ends in a softmax.
        PartialOverrideWarning: if the backprop modifier misses some activations.
        EmptyMapWarning: if the map is zero everywhere.

    Reference:
        Simonyan, Vedaldi, Zisserman: Deep Inside Convolutional Networks, 2014, section 3.1.
    """
    source, loss, modifier = asked(model, layer_idx, filter_indices, backprop_modifier, seed_input)
    return _saliency(source, [(loss, -1.0)], seed_input, wrt_tensor, modifier, grad_modifier, keepdims)


def visualize_saliency_with_losses(
    input_tensor: Any,
    losses: Losses,
    seed_input: Any,
    wrt_tensor: Any = None,
    grad_modifier: Any = "absolute",
    keepdims: bool = False,
) -> Any:
    """Return the map of where `seed_input` changes a weighted sum of losses.

    As `visualize_saliency`, with the gradient of `sum_i weight_i loss_i`. A loss is lower for what is
    wanted, so a weight of -1 makes positive gradients mean "more of it".

    Args:
        input_tensor: the model's symbolic input, `model.input` (a list or dict for several), or the
            model itself, which a modified model and losses over layers of nested models need.
        losses: pairs `(loss, weight)` of a `vis.losses.Loss` and a finite number.
        seed_input: one input, see `visualize_saliency`.
        wrt_tensor: a symbolic tensor or a layer to differentiate by instead of the input.
        grad_modifier: what is done to the gradient, see `visualize_saliency`.
        keepdims: keep the channels.

    Returns:
        As `visualize_saliency`.

    Raises:
        ModelError, InputError, ModifierError, GradientError: see `vis.errors`.
    """
    source = built(as_source(input_tensor), seed_input)
    return _saliency(source, losses, seed_input, wrt_tensor, None, grad_modifier, keepdims)


def _saliency(
    source: Source,
    losses: Losses,
    seed_input: Any,
    wrt: Any,
    modifier: backprop_modifiers.BackpropModifier | None,
    grad_modifier: Any,
    keepdims: bool,
) -> Any:
    modify = grad_modifiers.get(grad_modifier)
    arrays = arrays_of(source, seed_input)
    wrt = None if wrt is None else source.point(wrt, "wrt_tensor")
    # The channel axis of each gradient, counted from the end.
    axes = [source.channel_axis(i, array.ndim) - array.ndim for i, array in enumerate(arrays)]
    gradients = input_gradient(source, losses, arrays, wrt, modifier)
    if wrt is not None:
        rank = len(gradients[0].shape) if gradients[0] is not None else 0
        axes = [models.filter_axis(wrt, rank) % rank - rank]
    else:
        pairs = zip(gradients, arrays, strict=True)
        gradients = [np.zeros_like(array, np.float32) if g is None else g for g, array in pairs]
    made = [_map(g, axis, modify, keepdims) for g, axis in zip(gradients, axes, strict=True)]
    for g, axis, found in zip(gradients, axes, made, strict=True):
        if not found.any():
            reason = "gradient is constant: no value counts more than another. Try a layer before it"
            # Where the gradient itself has a map, it is the modifier that leaves nothing of it.
            if _map(g, axis, grad_modifiers.get(None), keepdims).any():
                reason = "modified gradient is constant. Try another grad_modifier"
            warn_if_empty(found, g, source, losses, f"The {reason}.")
    return made[0] if wrt is not None else inputs.packed(source.symbols, made, seed_input)


def _map(
    gradient: Any, channel_axis: int, modify: grad_modifiers.GradModifier, keepdims: bool
) -> npt.NDArray[np.float32]:
    modified = grad_modifiers.applied(modify, gradient[0])
    return maps.normalize(modified if keepdims else maps.reduce_channels(modified, channel_axis))
