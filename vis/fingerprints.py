"""Digests of functions and objects by what they compute: their code and the values that it uses."""

from __future__ import annotations

import dis
import functools
import hashlib
import json
import secrets
import sys
import types
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from vis.models.containers import is_foreign
from vis.reprs import TypedRepr, arguments_of

_PLAIN = (bool, int, float, complex, str, bytes, type(None), type(Ellipsis))
# Attributes of a class that do not change what it computes.
_ABOUT = frozenset("__doc__ __module__ __firstlineno__ __static_attributes__".split())
_INSTALLED = ("site-packages", "dist-packages")


def named(value: Any) -> str:
    """Return the name of a function or an object, with a digest unless an installed library has it.

    Equal digests mean equal code, with equal constants, defaults, global variables and values of enclosing
    functions; they are the same in each process. What cannot be described, such as a lock, has another one
    each time.
    """
    name = getattr(value, "__qualname__", type(value).__name__)
    return name if is_known(value) else f"{name} {fingerprint(value)}"


def fingerprint(value: Any) -> str:
    """Return a digest of what a function or an object computes, see `named`."""
    return _Description().of(value)[:16]


def is_known(value: Any) -> bool:
    """Tell whether a function or a class is found under its name in Python or an installed library."""
    module, name = getattr(value, "__module__", None), getattr(value, "__qualname__", None)
    if not isinstance(module, str) or not isinstance(name, str):
        return False
    file = getattr(sys.modules.get(module), "__file__", None) or ""
    if not is_foreign(module) and not any(part in file for part in _INSTALLED):
        return False
    try:
        return functools.reduce(getattr, name.split("."), sys.modules[module]) is value
    except (AttributeError, KeyError):
        return False


class _Description:
    """Describes values by digests of their parts."""

    def __init__(self) -> None:
        self._known: dict[int, str] = {}
        self._held: list[Any] = []  # so that no id is used again

    def of(self, value: Any) -> str:
        """Return the digest of a value."""
        if isinstance(value, _PLAIN):
            return _digest([type(value).__name__, repr(value)])
        if id(value) not in self._known:
            self._known[id(value)] = "in itself"
            self._held.append(value)
            self._known[id(value)] = _digest(self._parts(value))
        return self._known[id(value)]

    def _each(self, values: Sequence[Any]) -> list[str]:
        return [self.of(each) for each in values]

    def _parts(self, value: Any) -> list[Any]:
        """Return what a value is made of, in lists of strings."""
        kind = type(value).__qualname__
        if isinstance(value, types.ModuleType):
            return [kind, value.__name__]
        if is_known(value):
            return ["known", value.__module__, value.__qualname__]
        if isinstance(value, types.BuiltinFunctionType):
            owner = value.__self__
            whose = owner.__name__ if isinstance(owner, types.ModuleType) else self.of(owner)
            return ["known", whose, value.__name__]
        if isinstance(value, np.ufunc):
            return [kind, value.__name__]
        held = self._held_in(value)
        return [kind, *(self._made_of(value) if held is None else held)]

    def _held_in(self, value: Any) -> list[Any] | None:
        """Return the parts of functions, classes and containers, or None for other objects."""
        if isinstance(value, types.FunctionType):
            cells = [_content(cell) for cell in value.__closure__ or ()]
            scope = value.__globals__
            used = {name: scope[name] for name in _globals(value.__code__) if name in scope}
            return self._each([value.__code__, value.__defaults__, value.__kwdefaults__, cells, used])
        if isinstance(value, types.CodeType):
            handled = getattr(value, "co_exceptiontable", b"").hex()
            names = [*value.co_names, str(value.co_flags)]
            return [value.co_code.hex(), handled, names, self._each(value.co_consts)]
        if isinstance(value, types.MethodType | classmethod | staticmethod):
            return self._each([value.__func__, getattr(value, "__self__", None)])
        if isinstance(value, property):
            return self._each([value.fget])
        if isinstance(value, functools.partial):
            return self._each([value.func, value.args, value.keywords])
        if isinstance(value, type):
            of_code = (types.FunctionType, classmethod, staticmethod, property, *_PLAIN)
            own = {
                n: each for n, each in vars(value).items() if n not in _ABOUT and isinstance(each, of_code)
            }
            return [value.__module__, value.__qualname__, *self._each([*value.__bases__, own])]
        if isinstance(value, dict):
            return [[self.of(key), self.of(each)] for key, each in value.items()]
        if isinstance(value, set | frozenset):
            return sorted(self._each(list(value)))
        return self._each(value) if isinstance(value, list | tuple) else None

    def _made_of(self, value: Any) -> list[Any]:
        """Return the parts of an array, a tensor, a layer, or an object by what it would be copied from."""
        if isinstance(value, np.ndarray) and value.dtype.kind != "O":
            data = hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()
            return [str(value.dtype), str(value.shape), data]
        if isinstance(value, np.generic):
            return [repr(value.item())]
        if isinstance(value, keras.Layer):
            return [value.name, self._each(value.get_weights())]
        if isinstance(value, keras.Variable) or keras.ops.is_tensor(value):
            return [self.of(keras.ops.convert_to_numpy(value))]
        if isinstance(value, TypedRepr):
            given = {parameter.name: held for parameter, held in arguments_of(value)}
            return self._each([type(value), given])
        try:
            made = value.__reduce_ex__(4)
        except Exception:  # it cannot be copied: perhaps it is a lock, or a file
            return [secrets.token_hex()]
        if isinstance(made, str):
            return [made]
        # The items of lists and dicts come as iterators.
        return self._each([*made[:3], *(list(items or ()) for items in made[3:5])])


def _digest(parts: list[Any]) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _content(cell: types.CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # not set yet
        return "empty"


def _globals(code: types.CodeType) -> list[str]:
    """Return the names of the global variables that code and the functions in it read, sorted."""
    names = {
        each.argval for each in dis.get_instructions(code) if each.opname in ("LOAD_GLOBAL", "LOAD_NAME")
    }
    for const in code.co_consts:
        if isinstance(const, types.CodeType):
            names.update(_globals(const))
    return sorted(names)
