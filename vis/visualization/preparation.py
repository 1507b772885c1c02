"""Shared by the functions: preparing the model, the input and the arguments, and warning of empty maps."""

from __future__ import annotations

import threading
from typing import Any

import keras
import numpy.typing as npt

from vis import advice, backprop_modifiers, inputs, models
from vis.backprop_modifiers.base import BackpropModifier, BackpropModifierLike
from vis.engine import Losses, Source
from vis.errors import EmptyMapWarning, warn
from vis.losses import ActivationMaximization
from vis.typing import Filters, Inputs, Layer

_building = threading.Lock()


def built(source: Source, seed_input: Inputs) -> Source:
    """Return `source` with its model built, from the shape of the seed if it was not built before."""
    model = source.model
    with _building:  # two threads must not both make its variables
        if source.is_model and not model.built:
            array = inputs.unbuilt_input(model, seed_input)
            if isinstance(model, keras.Sequential):
                model.build((None, *array.shape[1:]))
            else:
                model(array, training=False)
    return source


def asked(
    model: keras.Model,
    layer_idx: Layer,
    filter_indices: Filters,
    backprop_modifier: BackpropModifierLike,
    seed_input: Inputs,
) -> tuple[Source, ActivationMaximization, BackpropModifier | None]:
    """Return the source of gradients, the loss of the filters, and the backprop modifier."""
    models.check_model(model)
    loss = ActivationMaximization(models.find_layer(model, layer_idx), filter_indices)
    modifier = None if backprop_modifier is None else backprop_modifiers.get(backprop_modifier)
    return built(Source(model), seed_input), loss, modifier


def arrays_of(source: Source, seed_input: Inputs) -> list[npt.NDArray[Any]]:
    """Return the arrays of one input, with their batch axis, in the flat order of the source's inputs."""
    if source.symbols is None:
        return [inputs.unbuilt_input(source.model, seed_input)]
    return inputs.one_input(source.symbols, seed_input)


def warn_if_empty(
    result: npt.NDArray[Any], gradient: npt.NDArray[Any], source: Source, losses: Losses, otherwise: str
) -> None:
    """Warn if a map is zero everywhere.

    Args:
        result: the map.
        gradient: the gradient that it was made from.
        source, losses: the model and the losses of the gradient.
        otherwise: the reason if the gradient is not zero, and what to try.
    """
    if result.any() or not result.size:
        return
    if not gradient.any():
        end = next((loss.layer for loss, _ in losses if hasattr(loss, "layer")), None)
        why, attempts = advice.attempts(source.model, end, ["a layer before it"])
        otherwise = f"The gradient is zero: the output does not depend on this input here ({why}). {attempts}"
    warn(f"The map of shape {result.shape} is zero everywhere. {otherwise}", EmptyMapWarning)
