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

    def hold(self) -> bool:
        """Tell whether the operation is as it was."""
        operation = self._operation()
        return operation is not None and _read(operation) == self._known


def _read(operation: Any) -> dict[str, Any]:
    # References to the same living object are equal, and keep it no longer.
    if isinstance(operation, keras.Model):
        # A model's own attributes change with training; what it runs are its layers.
        return {"layers": [weakref.ref(layer) for layer in operation.layers]}
    settings: dict[str, Any] = {"dtype": getattr(getattr(operation, "dtype_policy", None), "name", None)}
    for name, value in vars(operation).items():
        if name[0] != "_":
            if isinstance(value, _PLAIN):
                settings[name] = value
            elif isinstance(value, _FUNCTIONS):
                settings[name] = weakref.ref(value)
    return settings
