"""What a user may change in a layer after building a model, beside its variables."""

from __future__ import annotations

import operator
import types
import weakref
from collections.abc import Callable
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
        here = [name for name in self._known if name in own]
        plain = [name for name in here if isinstance(own[name], _PLAIN)]
        functions = [name for name in here if isinstance(own[name], _FUNCTIONS)]
        others = [name for name in own if name[0] != "_" and name not in here]
        plain += ["_dtype_policy"] if "_dtype_policy" in own else []
        self._count = len(own)
        self._plain, self._functions, self._others = _getter(plain), _getter(functions), _getter(others)
        self._values = self._plain(own)
        self._references = [weakref.ref(function) for function in self._functions(own)]
        self._types = list(map(type, self._others(own)))

    def _is_untouched(self, operation: Any) -> bool:
        if isinstance(operation, keras.Model):
            return False
        own = vars(operation)
        try:
            return (
                len(own) == self._count
                and self._plain(own) == self._values
                and all(map(operator.is_, self._functions(own), [made() for made in self._references]))
                and list(map(type, self._others(own))) == self._types
            )
        except KeyError:
            return False


def _getter(names: list[str]) -> Callable[[dict[str, Any]], tuple[Any, ...]]:
    if len(names) > 1:
        return operator.itemgetter(*names)
    return lambda own: tuple(own[name] for name in names)


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
