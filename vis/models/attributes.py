"""The attributes of layers, which PyTorch keeps in several dicts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# Where Keras's layers are modules of PyTorch, these dicts hold the attributes that are modules, such as other
# layers, parameters or buffers. PyTorch has no public name for setting one of them in a second object.
_APART = ("_modules", "_parameters", "_buffers")


def attributes_of(operation: Any) -> Mapping[str, Any]:
    """Return the attributes of a layer or another Keras operation, by name."""
    own: dict[str, Any] = vars(operation)
    if "_modules" not in own:
        return own
    return {**own["_modules"], **own["_parameters"], **own["_buffers"], **own}


def count_of(own: Mapping[str, Any]) -> int:
    """Return the number of attributes of an operation, given its `__dict__`."""
    return len(own) + sum(len(own[name]) for name in _APART) if "_modules" in own else len(own)


def state_of(operation: Any, changed: Mapping[str, Any]) -> dict[str, Any]:
    """Return the `__dict__` of a second object with the attributes of an operation.

    An attribute that the second object sets does not change the operation.

    Args:
        operation: a layer or another Keras operation.
        changed: the attributes that differ.
    """
    own = vars(operation)
    apart = {name: dict(own[name]) for name in _APART if name in own}
    state = {**own, **apart}
    for name, value in changed.items():
        next((held for held in apart.values() if name in held), state)[name] = value
    return state
