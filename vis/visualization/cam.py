"""Grad-CAM: the positions of a layer, weighed by what their channels do for the output."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from vis import backprop_modifiers, class_maps, grad_modifiers, inputs, maps, models
from vis.attributions import operators
from vis.gradients import gradient_and_value
from vis.graph import Positions
from vis.models import Weighed
from vis.scores import Score
from vis.source import Losses, Source, as_source
from vis.visualization.preparation import (
    arrays_of,
    asked,
    built,
    warn_if_empty,
)
from vis.weak import WeakTable

_over: WeakTable[dict[int, Positions]] = WeakTable()


def visualize_cam(
    model: Any,
    layer_idx: Any,
    filter_indices: Any,
    seed_input: Any,
    penultimate_layer_idx: Any = None,
    backprop_modifier: Any = None,
    grad_modifier: Any = None,
    *,
    grid: Any = None,
) -> Any:
    """Return the Grad-CAM map of where `seed_input` speaks for `filter_indices`.

    `M = normalize(laid(max(sum_k a_k F_k, 0)))` with `F_k` the channels of the penultimate layer and
    `a_k = mean_p dA / dF_k(p)` their weights: the gradient of the activation A of the filters, modified,
    averaged over the positions p, and divided by its largest magnitude. `laid` puts each position where the
    centre of its receptive field lies in the input, with linear interpolation between them, the outermost
    values as far as these positions see, and zero where the layer sees nothing; `normalize` is the linear map
    to [0, 1].

    Args:
        model: a Keras model, see `visualize_saliency`.
        layer_idx: the layer whose filters are explained, named as in `visualize_saliency`.
        filter_indices: an index, several, or None for all.
        seed_input: one input with or without its batch axis.
        penultimate_layer_idx: the layer whose positions are weighed, named in the same ways; by default the
            last one before `layer_idx`, in nested models too, that every path from the input crosses and
            whose output has more than one position.
        backprop_modifier: the derivative of activations, see `visualize_saliency`.
        grad_modifier: what is done to the gradient by the penultimate layer, see `visualize_saliency`.
        grid: `(height, width)` of the tokens of a transformer, where the model's computation does not tell;
            they stand last, behind class and register tokens.

    Returns:
        float32 values in [0, 1], `(height, width)`, `(length,)` or `(depth, height, width)`. If the layer
        sees several inputs, or several inputs with positions have a layer each, a map per input in their
        structure, each normalised by itself, zeros for an input without positions.

    Raises:
        LayerError: if there is no layer with positions before `layer_idx`, or the one named has none.
        FilterError, InputError, ModifierError, ModelError, GradientError: see `vis.errors`.

    Warns:
        StretchedMapWarning: if an operation between the input and the layer could not be followed.
        SoftmaxWarning, PartialOverrideWarning, EmptyMapWarning: as `visualize_saliency`.

    Reference:
        Selvaraju et al.: Grad-CAM, 2017, equations (1) and (2).
    """
    source, loss, modifier = asked(model, layer_idx, filter_indices, backprop_modifier, seed_input)
    named = None if penultimate_layer_idx is None else models.find_layer(model, penultimate_layer_idx)
    arrays = arrays_of(source, seed_input)
    specs, sizes = source.sized(arrays), class_maps.checked_grid(grid)
    with source.tried(specs):
        layers = class_maps.weighed(source.anchor(), specs, named, loss.layer, sizes, "penultimate_layer_idx")
    return _cam(source, [(loss, -1.0)], seed_input, arrays, layers, modifier, grad_modifier)


def visualize_cam_with_losses(
    input_tensor: Any,
    losses: Losses,
    seed_input: Any,
    penultimate_layer: Any,
    grad_modifier: Any = None,
    *,
    grid: Any = None,
) -> Any:
    """Return the Grad-CAM map of a weighted sum of losses.

    As `visualize_cam`, with `A = sum_i weight_i loss_i`: a loss is lower for what is wanted, so it
    enters with a weight of -1.

    Args:
        input_tensor: the model's symbolic input, or the model itself.
        losses: pairs `(loss, weight)` of a `vis.losses.Loss` and a finite number.
        seed_input: one input, see `visualize_saliency`.
        penultimate_layer: the layer whose positions are weighed.
        grad_modifier: what is done to the gradient, see `visualize_saliency`.
        grid: of tokens, see `visualize_cam`.

    Returns:
        As `visualize_cam`.

    Raises:
        LayerError, ModelError, InputError, ModifierError, GradientError: see `vis.errors`.
    """
    source = built(as_source(input_tensor), seed_input)
    penultimate = source.point(penultimate_layer, "penultimate_layer")
    arrays = arrays_of(source, seed_input)
    layers = [_named(source, losses, arrays, penultimate, class_maps.checked_grid(grid))]
    return _cam(source, losses, seed_input, arrays, layers, None, grad_modifier)


def _named(
    source: Source,
    losses: Losses,
    arrays: list[npt.NDArray[Any]],
    layer: Any,
    grid: class_maps.Grid | None,
) -> Weighed:
    """Return what a named layer sees in the model that losses are about."""
    specs = source.sized(arrays)
    if source.is_model:
        with source.tried(specs):
            return class_maps.weighed(source.anchor(), specs, layer, None, grid, "penultimate_layer")[0]
    # A model over symbolic inputs is made for each call: it is read once.
    about, key = [source.anchor(), layer], (tuple(specs), grid)
    over = _over.get(about, key)
    if over is None:
        model = source.graph(losses)
        (found,) = class_maps.weighed(model, specs, layer, None, grid, "penultimate_layer")
        over = _over.put(about, found.over, key)
    return Weighed(layer, over)


def _cam(
    source: Source,
    losses: Losses,
    seed_input: Any,
    arrays: list[npt.NDArray[Any]],
    layers: Sequence[Weighed],
    modifier: backprop_modifiers.BackpropModifier | None,
    grad_modifier: Any,
) -> Any:
    modify = grad_modifiers.get(grad_modifier)
    found = [
        (layer, *gradient_and_value(source, losses, arrays, layer.point, modifier)[:2]) for layer in layers
    ]

    # Nothing speaks where the model masks its input.
    score = Score(source, operators.get(None))
    steps = score.steps(score.begin(arrays)) if source.is_model else []

    def laid(modify: grad_modifiers.GradModifier) -> list[npt.NDArray[np.float32]]:
        whole = class_maps.Laid(arrays)
        for layer, gradient, features in found:
            whole.add(layer, grad_modifiers.applied(modify, gradient[0])[None], features, _heat)
        made = whole.result(trailing=False)
        if len(made) == len(steps):
            made = [maps.unmasked(array, kept) for array, kept in zip(made, steps, strict=True)]
        return [maps.normalize(array[0]) for array in made]

    results = laid(modify)
    if not any(result.any() for result in results):
        reason = "The weighed features are negative, or the same everywhere. "
        negate = grad_modifiers.get("negate")
        # Said only where it shows something.
        if modify is not negate and any(result.any() for result in laid(negate)):
            reason += "What speaks against the output is shown by grad_modifier='negate'. "
        reason += "Try another penultimate layer."
        gradients = np.concatenate([gradient.ravel() for _, gradient, _ in found])
        warn_if_empty(results[0], gradients, source, losses, reason)
    return results[0] if len(results) == 1 else inputs.packed(source.symbols, results, seed_input)


def _heat(gradient: npt.NDArray[Any], features: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return class_activation(gradient[0], features[0])[None]


def class_activation(gradient: npt.NDArray[Any], features: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Return `max(sum_k a_k F_k, 0)` with `a_k = mean_p g_k(p) / max |g|`.

    Args:
        gradient: g, `(..., channels)`.
        features: F, of the same shape.

    Returns:
        The map over the positions, `(...)`; zeros if the gradient is zero.

    Reference:
        Selvaraju et al.: Grad-CAM, 2017, equations (1) and (2).
    """
    g = gradient.astype(np.float64)
    largest = np.abs(g).max()
    # The largest magnitude, not the largest value: its sign would turn a map of negative gradients.
    weights = (g / largest if largest else g).mean(axis=tuple(range(g.ndim - 1)))
    heat: npt.NDArray[np.float64] = np.maximum(features.astype(np.float64) @ weights, 0.0)
    return heat
