"""Calling layers without what Keras does around each call.

Where a forward pass runs layer by layer, Keras takes longer to bind arguments, open scopes, convert types and
look for masks than many a layer takes. A layer that needs none of this is called directly, with the same
result.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

import keras
import torch

from vis.backend.contract import Direct, mask_of

_KNOWN = {"training": False, "mask": None}


def direct(operations: Iterable[Any]) -> Direct:
    """Return the layers that may be called directly on a tensor of their type that has no mask."""
    layers = [each for each in operations if isinstance(each, keras.Layer)]
    # Otherwise variables are cast as the layers around say.
    if any(layer.compute_dtype != layer.variable_dtype for layer in layers):
        return {}
    found = {id(layer): _arguments(layer) for layer in layers}
    return {key: partial(directly, own) for key, own in found.items() if own is not None}


def _arguments(layer: keras.Layer) -> dict[str, Any] | None:
    """Return the arguments of a layer's own call, or None if it needs what Keras does around it."""
    cls = type(layer)
    keras_own = cls.__call__ is keras.Layer.__call__ and cls.compute_mask is keras.Layer.compute_mask
    if not keras_own or not layer.built or layer.activity_regularizer is not None:
        return None
    others = list(inspect.signature(layer.call).parameters.values())[1:]
    if any(each.name not in _KNOWN or each.kind is each.POSITIONAL_ONLY for each in others):
        return None
    return {each.name: _KNOWN[each.name] for each in others}


def directly(arguments: Mapping[str, Any], layer: Any, called: Callable[..., Any]) -> Callable[..., Any]:
    """Return a call of a layer that leaves out what is not needed.

    Args:
        arguments: of the layer.
        layer: the layer.
        called: calls it as Keras does.
    """

    def run(*args: Any, **kwargs: Any) -> Any:
        x = args[0] if len(args) == 1 and not kwargs else None
        if not isinstance(x, torch.Tensor) or mask_of(x) is not None:
            return called(*args, **kwargs)
        if keras.backend.standardize_dtype(x.dtype) != layer.input_dtype:
            return called(x)
        try:
            return super(keras.Layer, layer).__call__(x, **arguments)
        except Exception:  # Keras says more about an input that does not fit
            return called(x)

    return run
