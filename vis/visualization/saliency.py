"""Saliency maps: where a change of the input changes the output."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, overload

import keras
import numpy as np
import numpy.typing as npt

from vis import checks, grad_modifiers, inputs, maps, models
from vis.attributions.asked import warn_of_lost_signs
from vis.backprop_modifiers.base import BackpropModifier, BackpropModifierLike
from vis.engine import Differentiation, Losses, ModelOrInputs, Source, WeightedLosses, as_source
from vis.grad_modifiers.base import GradModifierLike
from vis.typing import Filters, Inputs, Layer, Map, Maps
from vis.visualization.cam import visualize_cam, visualize_cam_with_losses  # where keras-vis has them
from vis.visualization.preparation import arrays_of, asked, built, warn_if_empty
from vis.words import Normalization

__all__ = [
    "visualize_cam",
    "visualize_cam_with_losses",
    "visualize_saliency",
    "visualize_saliency_with_losses",
]


@overload
def visualize_saliency(
    model: keras.Model,
    layer_idx: Layer,
    filter_indices: Filters,
    seed_input: npt.NDArray[Any],
    wrt_tensor: Layer | None = ...,
    backprop_modifier: BackpropModifierLike = ...,
    grad_modifier: GradModifierLike = ...,
    keepdims: bool = ...,
    *,
    wrt: Layer | None = ...,
    normalize: Normalization | None = ...,
) -> Map: ...
@overload
def visualize_saliency(
    model: keras.Model,
    layer_idx: Layer,
    filter_indices: Filters,
    seed_input: Inputs,
    wrt_tensor: Layer | None = ...,
    backprop_modifier: BackpropModifierLike = ...,
    grad_modifier: GradModifierLike = ...,
    keepdims: bool = ...,
    *,
    wrt: Layer | None = ...,
    normalize: Normalization | None = ...,
) -> Maps: ...
def visualize_saliency(
    model: keras.Model,
    layer_idx: Layer,
    filter_indices: Filters,
    seed_input: Inputs,
    wrt_tensor: Layer | None = None,
    backprop_modifier: BackpropModifierLike = None,
    grad_modifier: GradModifierLike = "absolute",
    keepdims: bool = False,
    *,
    wrt: Layer | None = None,
    normalize: Normalization | None = "minmax",
) -> Maps:
    """Return a map of where changes of `seed_input` change the activation of `filter_indices`.

    `M = normalize(reduce_c(m(dA / dx)))`, with `A` the activation of the filters (mean over positions, summed
    over filters), `m` the gradient modifier, and for each `normalize`:

    | normalize | `reduce_c`, over the channels of a position | `normalize` | range |
    |---|---|---|---|
    | `"minmax"`, as keras-vis | the largest value | `(v - min v) / (max v - min v)` | 0 to 1 |
    | `"signed"` | the value of largest magnitude, with its sign | `v / max abs(v)` | -1 to 1 |
    | None | the value of largest magnitude, with its sign | `v` | all real numbers |

    In a `"minmax"` map, zero can be anywhere, and a constant map becomes zeros. Use `"signed"` or None with
    the modifiers that keep a sign: None, `"negate"`, `"invert"`. Without a modifier, the values of
    `normalize=None` are in units of the output per unit of the input.

    Args:
        model: a Keras model: functional, sequential or subclassed, nested or not. It is not changed.
        layer_idx: the layer: an index, a name, a path into nested models such as `"backbone/conv5"`, a call
            such as `"encoder:1"`, a symbolic tensor, or the layer itself, see `vis.models.find_layer`. For
            class saliency take the logits: a softmax mixes the classes, see `vis.linear_outputs`.
        filter_indices: an index, several, or None for all; negative ones count from the end.
        seed_input: one input with or without its batch axis: `(height, width, channels)`,
            `(1, height, width, channels)`, `(steps, channels)`, `(features,)`, ...; for a model with
            several inputs a list or dict of them.
        wrt_tensor: keras-vis's name of `wrt`.
        backprop_modifier: changes the derivative of activations: None, a name (`"guided"`, `"rectified"`), a
            `BackpropModifier`, or a rule `rule(x, y, grad, true_grad)`; or relevance in place of a gradient,
            the name of a composite (`"epsilon_plus"`, ...) or a `vis.relevance.Composite`.
        grad_modifier: changes the gradient: None, a name (`"absolute"`, `"negate"`, `"relu"`,
            `"invert"`, `"small_values"`), or a function from an array to an array of the same shape.
        keepdims: keep the channels.
        wrt: what to differentiate by instead of the input: a symbolic tensor, or a layer named as
            `layer_idx`.
        normalize: how values are scaled, see above.

    Returns:
        float32 values: `(height, width)`, with `keepdims` `(height, width, channels)`; `(features,)` for a
        vector; for several inputs a map of each, normalized by itself, in the structure of `seed_input`.

    Raises:
        LayerError, FilterError, InputError, ModifierError, ModelError, GradientError: each says what was
            wrong, what was received and what to do; see `vis.errors`.

    Warns:
        SoftmaxWarning: if the layer ends in a softmax.
        SignWarning: if the modifier is relevance and the signs of it are dropped.
        PartialOverrideWarning: if the backprop modifier misses some activations.
        EmptyMapWarning: if the map is zero everywhere.

    Reference:
        Simonyan, Vedaldi, Zisserman: Deep Inside Convolutional Networks, 2014, section 3.1.
    """
    reading = _Reading.checked(grad_modifier, keepdims, normalize)
    wrt = checks.either(wrt, wrt_tensor, "wrt", "wrt_tensor")
    source, loss, modifier = asked(model, layer_idx, filter_indices, backprop_modifier, seed_input)
    return _saliency(source, [(loss, -1.0)], seed_input, wrt, modifier, reading)


@overload
def visualize_saliency_with_losses(
    input_tensor: ModelOrInputs,
    losses: Losses,
    seed_input: npt.NDArray[Any],
    wrt_tensor: Layer | None = ...,
    grad_modifier: GradModifierLike = ...,
    keepdims: bool = ...,
    *,
    wrt: Layer | None = ...,
    normalize: Normalization | None = ...,
) -> Map: ...
@overload
def visualize_saliency_with_losses(
    input_tensor: ModelOrInputs,
    losses: Losses,
    seed_input: Inputs,
    wrt_tensor: Layer | None = ...,
    grad_modifier: GradModifierLike = ...,
    keepdims: bool = ...,
    *,
    wrt: Layer | None = ...,
    normalize: Normalization | None = ...,
) -> Maps: ...
def visualize_saliency_with_losses(
    input_tensor: ModelOrInputs,
    losses: Losses,
    seed_input: Inputs,
    wrt_tensor: Layer | None = None,
    grad_modifier: GradModifierLike = "absolute",
    keepdims: bool = False,
    *,
    wrt: Layer | None = None,
    normalize: Normalization | None = "minmax",
) -> Maps:
    """Return a map of where changes of `seed_input` change a weighted sum of losses.

    As `visualize_saliency`, with the gradient of `sum_i weight_i loss_i` in place of `dA / dx`. Losses are
    minimized, so with a weight of -1, positive gradients show where a larger input lowers a loss.

    Args:
        input_tensor: the model's symbolic input, `model.input` (a list or dict for several), or the
            model itself, which a modified model and losses over layers of nested models need.
        losses: pairs `(loss, weight)` of a `vis.losses.Loss` and a finite number.
        seed_input, wrt_tensor, grad_modifier, keepdims, normalize: see `visualize_saliency`.
        wrt: what to differentiate by instead of the input: a symbolic tensor or a layer; if `input_tensor` is
            a model, also the name of one.

    Returns:
        As `visualize_saliency`.

    Raises:
        LayerError, ModelError, InputError, ModifierError, GradientError: see `vis.errors`.

    Warns:
        As `visualize_saliency`.
    """
    reading = _Reading.checked(grad_modifier, keepdims, normalize)
    wrt = checks.either(wrt, wrt_tensor, "wrt", "wrt_tensor")
    source = built(as_source(input_tensor), seed_input)
    return _saliency(source, losses, seed_input, wrt, None, reading)


def _saliency(
    source: Source,
    losses: Losses,
    seed_input: Inputs,
    wrt: Layer | None,
    modifier: BackpropModifier | None,
    reading: _Reading,
) -> Maps:
    arrays = arrays_of(source, seed_input)
    point = None if wrt is None else source.point(wrt, "wrt")
    # The channel axis of each gradient, counted from the end.
    axes = [source.channel_axis(i, array.ndim) - array.ndim for i, array in enumerate(arrays)]
    asked_ = Differentiation(source, WeightedLosses(losses), modifier)
    warn_of_lost_signs(asked_, reading.modify)
    found = asked_.gradients(arrays, watch=point).gradients
    if point is not None:
        gradients = [g for g in found if g is not None]  # the only one; a missing path has raised
        rank = gradients[0].ndim
        axes = [models.filter_axis(point, rank) % rank - rank]
    else:
        pairs = zip(found, arrays, strict=True)
        gradients = [np.zeros_like(array, np.float32) if g is None else g for g, array in pairs]
    made = [reading.map(g, axis) for g, axis in zip(gradients, axes, strict=True)]
    for g, axis, result in zip(gradients, axes, made, strict=True):
        if not result.any():
            warn_if_empty(result, g, source, losses, reading.why_empty(g, axis))
    packed: Maps = made[0] if point is not None else inputs.packed(source.symbols, made, seed_input)
    return packed


@dataclass(frozen=True)
class _Reading:
    """How a gradient becomes a map.

    Args:
        modify: the gradient modifier.
        keepdims: whether the channels are kept.
        normalization: how the values are scaled.
    """

    modify: grad_modifiers.GradModifier
    keepdims: bool
    normalization: Normalization | None

    @classmethod
    def checked(cls, grad_modifier: GradModifierLike, keepdims: bool, normalize: Any) -> _Reading:
        return cls(grad_modifiers.get(grad_modifier), keepdims, maps.checked_normalization(normalize))

    def map(self, gradient: Any, channel_axis: int) -> npt.NDArray[np.float32]:
        values = grad_modifiers.applied(self.modify, gradient[0])
        if not self.keepdims:
            # The maximum would drop what is strong and negative.
            reduce = maps.reduce_channels if self.normalization == "minmax" else maps.strongest_channel
            values = reduce(values, channel_axis)
        return maps.scaled(values, self.normalization)

    def why_empty(self, gradient: Any, channel_axis: int) -> str:
        """Return why the map of a gradient that is not zero is zero everywhere, and what to try."""

        def shows(**changes: Any) -> bool:
            return bool(replace(self, **changes).map(gradient, channel_axis).any())

        if not shows(normalization="signed"):
            return "The modified gradient is zero. Try another grad_modifier."
        if self.normalization is None:
            return (
                'Its values are too small for float32. Pass normalize="signed", which divides by the largest.'
            )
        # Where the gradient itself has a map, the modifier has removed all of it.
        if shows(modify=grad_modifiers.get(None)):
            reason = "The modified gradient is constant. Try another grad_modifier"
        else:
            reason = "The gradient is constant: no value counts more than another. Try a layer before it"
        return f"{reason}, or normalize=None, which returns its values."
