"""What a user's object contains, however it stores it: in containers, other objects or functions.

When a part is replaced, its container keeps its type: a list, a named tuple, a dict, a set, a data class, an
object with attributes or slots, a function that closes over it or names it globally, a bound method, a
partial function.
"""

from __future__ import annotations

import copy
import functools
import sys
import types
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import keras
import numpy as np

from vis.errors import LayerError

_ATOMS: tuple[type, ...] = (type(None), bool, int, float, complex, str, bytes, type, types.ModuleType)
_ATOMS = (*_ATOMS, np.ndarray, np.generic, keras.Variable, keras.KerasTensor)
# Objects of these packages contain none of the user's layers, and a great deal else.
_FOREIGN = frozenset(sys.stdlib_module_names) | set("keras tensorflow jax jaxlib torch numpy vis".split())


def operations_in(value: Any, seen: set[int] | None = None) -> Iterator[Any]:
    """Yield the operations that a value contains at any depth, but not those inside operations."""
    if isinstance(value, keras.Operation):
        yield value
        return
    seen = set() if seen is None else seen
    if isinstance(value, _ATOMS) or id(value) in seen:
        return
    seen.add(id(value))
    for part in parts(value).values():
        yield from operations_in(part, seen)


def exchange(value: Any, twins: Mapping[int, Any], done: dict[int, Any] | None = None) -> Any:
    """Return a value with some operations replaced, or the value itself if it contains none of them.

    Args:
        value: anything; it is not changed.
        twins: the replacements, by the ids of the operations.
        done: what has been replaced already, by id.
    """
    if isinstance(value, keras.Operation):
        return twins.get(id(value), value)
    done = {} if done is None else done
    if isinstance(value, _ATOMS) or id(value) in done:
        return done.get(id(value), value)
    done[id(value)] = value
    held = parts(value)
    found = {key: exchange(part, twins, done) for key, part in held.items()}
    changed = {key: part for key, part in found.items() if part is not held[key]}
    if changed:
        done[id(value)] = _with(value, changed)
    return done[id(value)]


def parts(value: Any) -> dict[Any, Any]:
    """Return the direct parts of a container, an object or a function, by their index, key or name."""
    if isinstance(value, dict):
        return dict(value)
    if isinstance(value, list | tuple | deque):
        return dict(enumerate(value))
    if isinstance(value, set | frozenset):
        return {id(item): item for item in value}
    if isinstance(value, types.FunctionType):
        return {} if is_foreign(value.__globals__.get("__name__")) else _of_function(value)
    if isinstance(value, types.MethodType):
        return {"__self__": value.__self__, "__func__": value.__func__}
    if isinstance(value, functools.partial):
        return {"func": value.func, "args": value.args, "keywords": value.keywords}
    if isinstance(value, types.SimpleNamespace) or not is_foreign(type(value).__module__):
        return _attributes(value)
    return {}


def is_foreign(module: Any) -> bool:
    """Tell whether a module belongs to Keras, a tensor framework, this library or Python itself."""
    return isinstance(module, str) and module.split(".")[0] in _FOREIGN


def _attributes(value: Any) -> dict[Any, Any]:
    slots = [vars(cls).get("__slots__", ()) for cls in type(value).__mro__]
    names = [name for some in slots for name in ([some] if isinstance(some, str) else some)]
    found = {name: getattr(value, name) for name in names if name[:2] != "__" and hasattr(value, name)}
    return {**found, **getattr(value, "__dict__", {})}


def _of_function(function: types.FunctionType) -> dict[Any, Any]:
    held: dict[Any, Any] = {}
    for index, cell in enumerate(function.__closure__ or ()):
        if cell != types.CellType():  # a cell that is still empty
            held["cell", index] = cell.cell_contents
    held |= {("default", index): item for index, item in enumerate(function.__defaults__ or ())}
    held |= {("keyword", name): item for name, item in (function.__kwdefaults__ or {}).items()}
    for name in _names(function.__code__):
        # Only layers: other globals of a module belong to more than this function.
        if isinstance(item := function.__globals__.get(name), keras.Operation):
            held["global", name] = item
    return held


def _names(code: types.CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _names(constant)


def _tracked(value: Any) -> Any:
    """Return a copy of one of Keras's containers without registering its items with the layer's tracker."""
    kinds: tuple[Any, ...] = (OrderedDict, dict, list, set)
    kind = next((kind for kind in kinds if isinstance(value, kind)), None)
    if kind is None:
        return copy.copy(value)
    double = kind.__new__(type(value))
    double.__dict__.update({**vars(value), "tracker": None})
    kind.__init__(double, value)
    return double


def _with(value: Any, changed: dict[Any, Any]) -> Any:
    """Return a copy of a value with some of its parts replaced."""
    if type(value) is not value.__class__:
        value = getattr(value, "__wrapped__", value)  # a proxy, with which TensorFlow tracks some
    if isinstance(value, types.FunctionType):
        return _function_with(value, changed)
    if isinstance(value, types.MethodType):
        return types.MethodType(
            changed.get("__func__", value.__func__), changed.get("__self__", value.__self__)
        )
    if isinstance(value, functools.partial):
        held = {**parts(value), **changed}
        return type(value)(held["func"], *held["args"], **held["keywords"])
    if isinstance(value, frozenset):
        return type(value)(changed.get(id(item), item) for item in value)
    if isinstance(value, tuple):
        double: Any = tuple.__new__(type(value), [changed.get(i, item) for i, item in enumerate(value)])
        if hasattr(value, "__dict__"):
            double.__dict__.update(vars(value))
        return double
    try:
        double = _tracked(value) if type(value).__module__.split(".")[0] == "keras" else copy.copy(value)
    except Exception as error:
        raise LayerError(
            f"A layer is stored in an object of class {type(value).__name__}, which cannot be copied, so the "
            f"layer cannot be read: {error}. Store it in an attribute of a layer or model, or in a list or "
            "dict."
        ) from error
    if isinstance(value, set):
        set.clear(double)
        set.update(double, [changed.get(id(item), item) for item in value])
        return double
    if isinstance(value, list) and list.__len__(double) < len(value):
        double = list(value)  # TensorFlow's lists keep their items elsewhere
    # Bypasses what the class does when an item is set, such as Keras's tracking.
    kinds = (kind for kind in (dict, list, deque) if isinstance(value, kind))
    write: Callable[..., None] = next((kind.__setitem__ for kind in kinds), object.__setattr__)
    for key, part in changed.items():
        write(double, key, part)
    return double


def _function_with(function: types.FunctionType, changed: dict[Any, Any]) -> types.FunctionType:
    cells = [
        types.CellType(changed["cell", index]) if ("cell", index) in changed else cell
        for index, cell in enumerate(function.__closure__ or ())
    ]
    of_globals = {key[1]: part for key, part in changed.items() if key[0] == "global"}
    double = types.FunctionType(
        function.__code__,
        {**function.__globals__, **of_globals} if of_globals else function.__globals__,
        function.__name__,
        tuple(changed.get(("default", i), item) for i, item in enumerate(function.__defaults__ or ()))
        or None,
        tuple(cells) or None,
    )
    double.__dict__.update(function.__dict__)
    keywords = function.__kwdefaults__ or {}
    double.__kwdefaults__ = {name: changed.get(("keyword", name), item) for name, item in keywords.items()}
    double.__qualname__, double.__module__ = function.__qualname__, function.__module__
    return double
