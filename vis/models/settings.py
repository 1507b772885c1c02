"""What a user may change in a layer after building a model, beside its variables."""

from __future__ import annotations

import types
import weakref
from typing import Any

import keras

_PLAIN = (bool, int, float, str, tuple, type(None))
_FUNCTIONS = (types.FunctionType, types.BuiltinFunctionType)


class Settings:
    """The settings of an operation at one moment: its activations, numbers, flags and data types.

    Args:
        operation: a layer, a model or another Keras operation; neither it nor a function is kept alive.
    """

    def __init__(self, operation: Any) -> None:
        self._operation = weakref.ref(operation)
        self._known = _read(operation)
        self._note(operation)

    def hold(self) -> bool:
        """Tell whether the operation is as it was."""
        operation = self._operation()
        if operation is None:
            return False
        if self._is_untouched(operation):
            return True
        if _read(operation) != self._known:
            return False
        self._note(operation)
        return True

    def _note(self, operation: Any) -> None:
        """Note by which objects the settings are held, which is quicker to compare than what they say."""
        own = vars(operation)
        self._names = set(own)
        here = {name: value for name, value in self._known.items() if name in own}
        self._functions = [name for name, value in here.items() if isinstance(value, weakref.ref)]
        self._references = [here[name] for name in self._functions]
        self._plain = [name for name, value in here.items() if isinstance(value, _PLAIN)]
        self._values = [here[name] for name in self._plain]
        self._others = [name for name in own if name[0] != "_" and name not in here]
        self._types = [type(own[name]) for name in self._others]

    def _is_untouched(self, operation: Any) -> bool:
        if isinstance(operation, keras.Model):
            return False
        own = vars(operation)
        return (
            own.keys() == self._names
            and list(map(own.get, self._plain)) == self._values
            and list(map(own.get, self._functions)) == [reference() for reference in self._references]
            and list(map(type, map(own.get, self._others))) == self._types
            and _dtype(operation) == self._known["dtype"]
        )


def _dtype(operation: Any) -> str | None:
    return getattr(getattr(operation, "dtype_policy", None), "name", None)


def _read(operation: Any) -> dict[str, Any]:
    # References to the same living object are equal, and keep it no longer.
    if isinstance(operation, keras.Model):
        # A model's own attributes change with training; what it runs are its layers.
        return {"layers": [weakref.ref(layer) for layer in operation.layers]}
    settings: dict[str, Any] = {"dtype": _dtype(operation)}
    for name, value in vars(operation).items():
        if name[0] != "_":
            if isinstance(value, _PLAIN):
                settings[name] = value
            elif isinstance(value, _FUNCTIONS):
                settings[name] = weakref.ref(value)
    return settings
