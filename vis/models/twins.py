"""Second objects around the same state: the same class and the same attributes, hence the same variables."""

from __future__ import annotations

from typing import Any

from vis.models.find import sublayers


def twin(operation: Any, base: type | None = None, **attributes: Any) -> Any:
    """Return a second object with the state of `operation`, outside every graph.

    Args:
        operation: a layer, a model or another Keras operation.
        base: the twin's class; the operation's by default.
        attributes: what differs from the original.
    """
    double: Any = object.__new__(base or type(operation))
    # Written past Keras's attribute tracking, which would write to the state that both share.
    double.__dict__.update(vars(operation))
    double.__dict__.update(_inbound_nodes=[], _outbound_nodes=[], **attributes)
    return double


def exchanged(operation: Any, twins: dict[int, Any]) -> dict[str, Any]:
    """Return the attributes that hold operations, with the twins (by the ids of the originals) in them."""
    return {name: _exchange(vars(operation)[name], twins) for name, _ in sublayers(operation)}


def _exchange(value: Any, twins: dict[int, Any]) -> Any:
    if isinstance(value, dict):
        return {key: _exchange(item, twins) for key, item in value.items()}
    if isinstance(value, list | tuple):
        items = [_exchange(item, twins) for item in value]
        return items if isinstance(value, list) else tuple(items)
    return twins.get(id(value), value)
