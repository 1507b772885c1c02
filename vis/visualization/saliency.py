"""Saliency: where a change of the input changes the output."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from vis import backprop_modifiers, grad_modifiers, inputs, maps, models
from vis.errors import EmptyMapWarning, LayerError, ModifierError, SoftmaxWarning
from vis.gradients import Losses, Source, as_source, input_gradient
from vis.losses import ActivationMaximization


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
        layer_idx: the layer: an index, a name, a path into nested models such as `"backbone/conv5"`,
            or the layer itself. For class saliency take the logits: a softmax mixes the classes, see
            `vis.utils.utils.linear_outputs`.
        filter_indices: an index, several, or None for all; negative ones count from the end.
        seed_input: one input with or without its batch axis: `(height, width, channels)`,
            `(1, height, width, channels)`, `(steps, channels)`, `(features,)`, ...; for a model with
            several inputs a list or dict of them.
        wrt_tensor: a symbolic tensor of the model to differentiate by instead of the input.
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
    models.check_model(model)
    layer = models.find_layer(model, layer_idx)
    loss = ActivationMaximization(layer, filter_indices)
    modifier = None if backprop_modifier is None else backprop_modifiers.get(backprop_modifier)
    source = Source(_built(model, seed_input))
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
        wrt_tensor: a symbolic tensor to differentiate by instead of the input.
        grad_modifier: what is done to the gradient, see `visualize_saliency`.
        keepdims: keep the channels.

    Returns:
        As `visualize_saliency`.

    Raises:
        ModelError, InputError, ModifierError, GradientError: see `vis.errors`.
    """
    source = as_source(input_tensor)
    if source.is_model:
        source = Source(_built(input_tensor, seed_input))
    return _saliency(source, losses, seed_input, wrt_tensor, None, grad_modifier, keepdims)


def _built(model: Any, seed_input: Any) -> Any:
    """Return `model`, built if it never was: a Sequential without an input, from the seed's shape."""
    if isinstance(model, keras.Sequential) and not model.built:
        model.build((None, *inputs.unbuilt_input(model, seed_input).shape[1:]))
    elif not model.built:
        model(inputs.unbuilt_input(model, seed_input), training=False)
    return model


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
    _warn_of_softmax(losses)
    symbols = source.symbols
    if symbols is None:
        arrays = [inputs.unbuilt_input(source.model, seed_input)]
    else:
        arrays = inputs.one_input(symbols, seed_input)
    if wrt is not None and not isinstance(wrt, keras.KerasTensor):
        raise LayerError(
            f"wrt_tensor is a symbolic tensor, such as model.get_layer('conv1').output. Received: {wrt!r}."
        )
    gradients = input_gradient(source, losses, arrays, wrt, modifier)
    made = [
        _map(np.zeros_like(array, np.float32) if gradient is None else gradient, axis, modify, keepdims)
        for gradient, array, axis in zip(
            gradients, arrays if wrt is None else gradients, _channel_axes(source, arrays, wrt), strict=True
        )
    ]
    return made[0] if symbols is None or wrt is not None else inputs.packed(symbols, made, seed_input)


def _channel_axes(source: Source, arrays: list[npt.NDArray[Any]], wrt: Any) -> list[int]:
    """Return the channel axis of each gradient, counted from the end."""
    if wrt is not None:
        rank = len(wrt.shape)
        return [models.filter_axis(wrt._keras_history.operation, rank) % rank - rank]
    return [
        models.input_channel_axis(source.anchor(), array.ndim) % array.ndim - array.ndim for array in arrays
    ]


def _map(
    gradient: npt.NDArray[Any],
    channel_axis: int,
    modify: Callable[[npt.NDArray[Any]], npt.NDArray[Any]],
    keepdims: bool,
) -> npt.NDArray[np.float32]:
    sample = gradient[0]
    modified = np.asarray(modify(sample.copy()))
    if modified.shape != sample.shape or not np.isfinite(modified).all():
        raise ModifierError(
            "A gradient modifier returns finite values in the shape that it was given. Received from "
            f"{modify!r}: shape {modified.shape} for {sample.shape}, "
            f"{np.count_nonzero(~np.isfinite(modified))} values not finite."
        )
    result = maps.normalize(modified if keepdims else maps.reduce_channels(modified, channel_axis))
    if not result.any():
        flat = "The gradient is zero" if not sample.any() else "The modified gradient is constant"
        warnings.warn(
            f"The map of shape {result.shape} is zero everywhere. {flat}: the output does not depend on this "
            "input here (a dead filter, a saturated softmax or sigmoid), or the modifier removes all of it. "
            "Try the logits (vis.utils.utils.linear_outputs), another filter or another grad_modifier.",
            EmptyMapWarning,
            stacklevel=5,
        )
    return result


def _warn_of_softmax(losses: Losses) -> None:
    for loss, _ in losses:
        layer = getattr(loss, "layer", None)
        if layer is not None and models.ends_in_softmax(layer):
            warnings.warn(
                f"The layer {layer.name!r} ends in a softmax: raising one class means lowering the others, "
                "and where it saturates the gradient vanishes. Explain the logits: "
                "model = vis.utils.utils.linear_outputs(model).",
                SoftmaxWarning,
                stacklevel=4,
            )
