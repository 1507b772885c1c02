"""Grad-CAM: the feature maps of a layer, weighted by how they change the output."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, overload

import keras
import numpy as np
import numpy.typing as npt

from vis import checks, class_maps, grad_modifiers, inputs, maps, models
from vis.backprop_modifiers.base import BackpropModifier, BackpropModifierLike
from vis.engine import Differentiation, Losses, ModelOrInputs, Source, WeightedLosses, as_source
from vis.errors import LayerError
from vis.grad_modifiers.base import GradModifierLike
from vis.graph import Positions
from vis.models import Weighted
from vis.typing import Filters, Inputs, Layer, Map, Maps
from vis.visualization.preparation import arrays_of, asked, built, warn_if_empty
from vis.weak import WeakTable
from vis.words import Normalization

_over: WeakTable[dict[int, Positions]] = WeakTable()


@overload
def visualize_cam(
    model: keras.Model,
    layer_idx: Layer,
    filter_indices: Filters,
    seed_input: npt.NDArray[Any],
    penultimate_layer_idx: Layer | None = ...,
    backprop_modifier: BackpropModifierLike = ...,
    grad_modifier: GradModifierLike = ...,
    *,
    conv_layer: Layer | None = ...,
    grid: tuple[int, int] | None = ...,
    upsample: bool = ...,
    normalize: Normalization | None = ...,
) -> Map: ...
@overload
def visualize_cam(
    model: keras.Model,
    layer_idx: Layer,
    filter_indices: Filters,
    seed_input: Inputs,
    penultimate_layer_idx: Layer | None = ...,
    backprop_modifier: BackpropModifierLike = ...,
    grad_modifier: GradModifierLike = ...,
    *,
    conv_layer: Layer | None = ...,
    grid: tuple[int, int] | None = ...,
    upsample: bool = ...,
    normalize: Normalization | None = ...,
) -> Maps: ...
def visualize_cam(
    model: keras.Model,
    layer_idx: Layer,
    filter_indices: Filters,
    seed_input: Inputs,
    penultimate_layer_idx: Layer | None = None,
    backprop_modifier: BackpropModifierLike = None,
    grad_modifier: GradModifierLike = None,
    *,
    conv_layer: Layer | None = None,
    grid: tuple[int, int] | None = None,
    upsample: bool = True,
    normalize: Normalization | None = "minmax",
) -> Maps:
    """Return the Grad-CAM map of where `seed_input` raises the activation of `filter_indices`.

    `M = normalize(upsample(max(sum_k a_k F_k, 0)))`, with `F_k` the channels of the convolutional layer's
    output and `a_k = mean_p m(dA / dF_k)(p)` their weights: the gradient of the activation A of the filters,
    modified by `m` and averaged over the positions p. `upsample` puts each position at the centre of its
    receptive field in the input and interpolates linearly between these centres; beyond the outermost ones
    the map is constant as far as their receptive fields reach, and zero where the layer sees nothing.

    | normalize | value | range |
    |---|---|---|
    | `"minmax"`, as keras-vis | `(v - min v) / (max v - min v)` | 0 to 1 |
    | `"signed"` | `v / max v`: zero stays zero | 0 to 1 |
    | None | `v`, in units of the output | 0 and above |

    No value is negative: use `grad_modifier="negate"` for what lowers the activation.

    Args:
        model: a Keras model, see `visualize_saliency`.
        layer_idx: the layer whose filters are explained, named as in `visualize_saliency`.
        filter_indices: an index, several, or None for all.
        seed_input: one input with or without its batch axis.
        penultimate_layer_idx: keras-vis's name of `conv_layer`.
        backprop_modifier: changes the derivative of activations, see `visualize_saliency`.
        grad_modifier: changes the gradient by the convolutional layer, see `visualize_saliency`.
        conv_layer: the layer whose feature maps are weighted, named as `layer_idx`; by default the last one
            before `layer_idx`, in nested models too, that every path from the input crosses and whose output
            has more than one position.
        grid: `(height, width)` of the tokens of a transformer, for a model whose computation does not show
            it; these tokens come last, after class and register tokens.
        upsample: whether the map is laid over the input; if False, it has a value for each of the layer's own
            positions, in the order of the layer's axes.
        normalize: how values are scaled, see above.

    Returns:
        float32 values, `(height, width)`, `(length,)` or `(depth, height, width)`, of the input, or of the
        layer if `upsample` is False. If the layer sees several
        inputs, or several inputs with positions have a layer each, a map of each input in their structure,
        normalized by itself, zeros for an input without positions.

    Raises:
        LayerError: if there is no layer with positions before `layer_idx`, or the given one has none.
        FilterError, InputError, ModifierError, ModelError, GradientError: see `vis.errors`.

    Warns:
        StretchedMapWarning: if an operation between the input and the layer could not be followed.
        SoftmaxWarning, PartialOverrideWarning, EmptyMapWarning: as `visualize_saliency`.

    Reference:
        Selvaraju et al.: Grad-CAM, 2017, equations (1) and (2).
    """
    conv_layer = checks.either(conv_layer, penultimate_layer_idx, "conv_layer", "penultimate_layer_idx")
    normalization = maps.checked_normalization(normalize)
    source, loss, modifier = asked(model, layer_idx, filter_indices, backprop_modifier, seed_input)
    named = None if conv_layer is None else models.find_layer(model, conv_layer)
    arrays = arrays_of(source, seed_input)
    specs, sizes = source.sized(arrays), class_maps.checked_grid(grid)
    with source.tried(specs):
        layers = class_maps.weighted_layers(source.anchor(), specs, named, loss.layer, sizes)
    losses = [(loss, -1.0)]
    return _cam(source, losses, seed_input, arrays, layers, modifier, grad_modifier, upsample, normalization)


@overload
def visualize_cam_with_losses(
    input_tensor: ModelOrInputs,
    losses: Losses,
    seed_input: npt.NDArray[Any],
    penultimate_layer: Layer | None = ...,
    grad_modifier: GradModifierLike = ...,
    *,
    conv_layer: Layer | None = ...,
    grid: tuple[int, int] | None = ...,
    upsample: bool = ...,
    normalize: Normalization | None = ...,
) -> Map: ...
@overload
def visualize_cam_with_losses(
    input_tensor: ModelOrInputs,
    losses: Losses,
    seed_input: Inputs,
    penultimate_layer: Layer | None = ...,
    grad_modifier: GradModifierLike = ...,
    *,
    conv_layer: Layer | None = ...,
    grid: tuple[int, int] | None = ...,
    upsample: bool = ...,
    normalize: Normalization | None = ...,
) -> Maps: ...
def visualize_cam_with_losses(
    input_tensor: ModelOrInputs,
    losses: Losses,
    seed_input: Inputs,
    penultimate_layer: Layer | None = None,
    grad_modifier: GradModifierLike = None,
    *,
    conv_layer: Layer | None = None,
    grid: tuple[int, int] | None = None,
    upsample: bool = True,
    normalize: Normalization | None = "minmax",
) -> Maps:
    """Return the Grad-CAM map of a weighted sum of losses.

    As `visualize_cam`, with `A = sum_i weight_i loss_i`: losses are minimized, so a weight of -1 shows where
    the input lowers a loss.

    Args:
        input_tensor: the model's symbolic input, or the model itself.
        losses: pairs `(loss, weight)` of a `vis.losses.Loss` and a finite number.
        seed_input, grad_modifier, grid, upsample, normalize: see `visualize_cam`.
        penultimate_layer: keras-vis's name of `conv_layer`.
        conv_layer: the layer whose feature maps are weighted, a layer or a symbolic tensor; where
            `input_tensor` is a model, also the name of one. It is required, since losses do not tell where to
            look for it.

    Returns:
        As `visualize_cam`.

    Raises:
        LayerError, ModelError, InputError, ModifierError, GradientError: see `vis.errors`.

    Warns:
        As `visualize_cam`.
    """
    conv_layer = checks.either(conv_layer, penultimate_layer, "conv_layer", "penultimate_layer")
    if conv_layer is None:
        raise LayerError(
            "visualize_cam_with_losses needs a layer whose feature maps it weights. Received: "
            "conv_layer=None. Pass the last convolutional layer, conv_layer=model.get_layer('...')."
        )
    normalization = maps.checked_normalization(normalize)
    source = built(as_source(input_tensor), seed_input)
    point = source.point(conv_layer, "conv_layer")
    arrays = arrays_of(source, seed_input)
    layers = [_named(source, losses, arrays, point, class_maps.checked_grid(grid))]
    return _cam(source, losses, seed_input, arrays, layers, None, grad_modifier, upsample, normalization)


def _named(
    source: Source, losses: Losses, arrays: list[npt.NDArray[Any]], layer: Any, grid: class_maps.Grid | None
) -> Weighted:
    """Return what a named layer sees in the model that losses are about."""
    specs = source.sized(arrays)
    if source.is_model:
        with source.tried(specs):
            return class_maps.weighted_layers(source.anchor(), specs, layer, None, grid)[0]
    # A model over symbolic inputs is made for each call: it is read once.
    about, key = [source.anchor(), layer], (tuple(specs), grid)
    over = _over.get(about, key)
    if over is None:
        model = source.graph(WeightedLosses(losses).symbols)
        (found,) = class_maps.weighted_layers(model, specs, layer, None, grid)
        over = _over.put(about, found.over, key)
    return Weighted(layer, over)


def _cam(
    source: Source,
    losses: Losses,
    seed_input: Inputs,
    arrays: list[npt.NDArray[Any]],
    layers: Sequence[Weighted],
    modifier: BackpropModifier | None,
    grad_modifier: GradModifierLike,
    upsample: bool,
    normalization: Normalization | None,
) -> Maps:
    modify = grad_modifiers.get(grad_modifier)
    objective = Differentiation(source, WeightedLosses(losses), modifier)
    found, _ = class_maps.weighted(objective, layers, arrays)
    # A map is zero where the model masks its input.
    steps = objective.steps(objective.begin(arrays))

    def laid(modify: grad_modifiers.GradModifier) -> list[npt.NDArray[np.float32]]:
        whole = class_maps.Laid(arrays, upsample)
        for layer, gradient, features in found:
            modified = grad_modifiers.applied(modify, gradient[0])[None]
            whole.add(layer, modified, features, class_maps.grad_cam)
        made = whole.result(trailing=False)
        if len(made) == len(steps):
            made = [maps.unmasked(array, kept) for array, kept in zip(made, steps, strict=True)]
        return [maps.scaled(array[0], normalization) for array in made]

    results = laid(modify)
    if not any(result.any() for result in results):
        same = ", or constant" if normalization == "minmax" else ""
        reason = f"The weighted sum of the feature maps is negative or zero everywhere{same}. "
        negate = grad_modifiers.get("negate")
        # Said only where it shows something.
        if modify is not negate and any(result.any() for result in laid(negate)):
            reason += "To see what lowers the output, use grad_modifier='negate'. "
        reason += "Try another conv_layer, or vis.HiResCAM."
        gradients = np.concatenate([gradient.ravel() for _, gradient, _ in found])
        warn_if_empty(results[0], gradients, source, losses, reason)
    packed: Maps = results[0] if len(results) == 1 else inputs.packed(source.symbols, results, seed_input)
    return packed
