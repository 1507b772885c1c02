"""Second objects with the same state: the same class and attributes, hence the same variables."""

from __future__ import annotations

import types
from collections.abc import Mapping
from typing import Any

from vis.models.attributes import state_of
from vis.models.containers import exchange
from vis.models.find import own_attributes, own_methods


class Unannounced:
    """Hides the classes derived here from their base class, which may keep a list of its subclasses."""

    __slots__ = ()

    def __init_subclass__(cls) -> None:
        pass


def derived(cls: type, attributes: Mapping[str, Any]) -> type:
    """Return a subclass with these attributes, without notifying the base class."""
    bases = (cls,) if issubclass(cls, Unannounced) else (Unannounced, cls)
    return type(cls.__name__, bases, dict(attributes))


def twin(operation: Any, attributes: Mapping[str, Any] | None = None, base: type | None = None) -> Any:
    """Return a second object with the state of `operation`, outside every graph.

    Args:
        operation: a layer, a model or another Keras operation.
        attributes: those that differ from the original.
        base: the twin's class; the operation's by default.
    """
    double: Any = object.__new__(base or type(operation))
    # Bypasses Keras's attribute tracking, which would write to the state that both share.
    alone: dict[str, Any] = {"_inbound_nodes": [], "_outbound_nodes": []}
    double.__dict__.update(state_of(operation, {**alone, **(attributes or {})}))
    return double


def exchanged(operation: Any, twins: Mapping[int, Any]) -> dict[str, Any]:
    """Return the attributes that contain operations, with these replaced by twins (by original id)."""
    held = own_attributes(operation) if twins else {}
    found = {name: exchange(value, twins) for name, value in held.items()}
    return {name: value for name, value in found.items() if value is not held[name]}


def exchanged_methods(operation: Any, twins: Mapping[int, Any]) -> dict[str, types.FunctionType]:
    """Return the methods of a user's class that close over operations, with these replaced by twins."""
    held = own_methods(operation) if twins else {}
    found = {name: exchange(method, twins) for name, method in held.items()}
    return {name: method for name, method in found.items() if method is not held[name]}
