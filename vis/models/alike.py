"""Calls that compute the same, apart from weights: what is read from one of them holds for all."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Hashable, Iterator
from contextvars import ContextVar
from typing import Any, TypeVar

import keras

from vis.models.calls import spec_of
from vis.models.find import sublayers

T = TypeVar("T")
# What has been read in the present block of `read_once`.
_read: ContextVar[dict[Hashable, Any] | None] = ContextVar("vis_alike", default=None)
# Keras wraps these for each layer. A forward pass uses none of those below.
_WRAPPED = ("build", "quantize")
_UNUSED = keras.initializers.Initializer | keras.regularizers.Regularizer | keras.constraints.Constraint
_PLAIN = (type(None), bool, int, float, str)


@contextlib.contextmanager
def read_once() -> Iterator[None]:
    """Let calls that compute the same be read once in this block, in which no setting may change."""
    token = _read.set({})
    try:
        yield
    finally:
        _read.reset(token)


def reading(node: Any, about: Hashable, make: Callable[[], T]) -> T:
    """Return what is read from a call of an operation.

    Args:
        node: the call.
        about: what is read.
        make: reads it; an error is read again for each call.
    """
    known = _read.get()
    key = None if known is None else likeness(node)
    if known is None or key is None:
        return make()
    if (about, key) not in known:
        known[about, key] = make()
    found: T = known[about, key]
    return found


def likeness(node: Any) -> Hashable | None:
    """Return what decides what a call of one of Keras's own layers computes, apart from weights.

    These are the layer's class and settings, the shapes and types of its weights and inputs, and how the
    inputs are passed.

    Returns:
        None for other layers and operations, and for layers with layers inside.
    """
    layer = node.operation
    own = isinstance(layer, keras.Layer) and type(layer).__module__.startswith("keras.")
    # The slopes of a PReLU are weights: whether it is a rectifier is read from them.
    if not own or isinstance(layer, keras.Model | keras.layers.PReLU) or any(True for _ in sublayers(layer)):
        return None
    numbers: dict[int, int] = {}

    def part(value: Any) -> Any:
        if isinstance(value, keras.KerasTensor):
            return numbers.setdefault(id(value), len(numbers)), spec_of(value)
        if not isinstance(value, _PLAIN):
            raise TypeError(value)
        return value

    try:
        passed = keras.tree.map_structure(part, (node.arguments.args, node.arguments.kwargs))
        config = layer.get_config()
    except Exception:  # an argument that cannot be compared, or a setting that cannot be written
        return None
    config.pop("name", None)
    # Two functions may be written in the same way, and a method may have been replaced.
    functions = [
        (name, id(value))
        for name, value in vars(layer).items()
        if callable(value) and name not in _WRAPPED and not isinstance(value, _UNUSED)
    ]
    weights = [spec_of(weight) for weight in layer.variables]
    return type(layer), json.dumps(config, sort_keys=True, default=repr), repr((passed, weights, functions))
