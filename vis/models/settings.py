"""What a user may change in the layers of a built model, apart from its variables."""

from __future__ import annotations

import operator
import sys
import types
import weakref
from collections import deque
from collections.abc import Callable, Container, Iterable, Mapping
from typing import Any

import keras
import numpy as np

from vis.backend import hooks_of
from vis.models.attributes import attributes_of, count_of
from vis.models.containers import is_foreign, parts
from vis.models.find import own_attributes

# What operations write when they are called: their ids, with the names of the attributes.
Written = set[tuple[int, str]]
_Check = Callable[[Any], bool]
_PLAIN = (type(None), bool, int, float, complex, str, bytes, keras.DTypePolicy)
_CONTAINERS = (list, tuple, dict, set, frozenset, deque)
# Attributes that Keras and the frameworks set on a model or layer while it is trained, run, saved or loaded.
_OWN = frozenset(
    "stop_training stop_evaluating stop_predicting is_awq_calibrated is_gptq_calibrated "
    "_compile_config _compiled_trainable_state _eval_epoch_iterator _jax_state".split()
)


class Settings:
    """The settings of operations at one moment: activations, numbers, flags, containers, arrays, hooks.

    Args:
        operations: layers, models and other Keras operations; neither they nor their parts are kept alive.
        passing: whether some of them were made for the occasion, and may be gone.
    """

    def __init__(self, operations: Iterable[Any], passing: bool = False) -> None:
        states = [_State(operation) for operation in operations]
        self._states = {id(state.reference): state for state in states}
        self._gone, self._passing = False, passing
        self._arrange()

    def settle(self, written: Container[tuple[int, str]] = ()) -> None:
        """Ignore what the operations write when they are called, such as their last output.

        Args:
            written: the ids of operations with the names of such attributes, besides those that have changed.
        """

        def note(state: _State) -> None:
            self._gone |= self._counts(state.reference)

        for state in self._states.values():
            state.settle(written, lambda _, state=state: note(state))  # type: ignore[misc]
        self._arrange()

    def hold(self) -> bool:
        """Tell whether the operations are unchanged."""
        # An object that is gone has been replaced, and its id may already belong to another.
        if self._gone:
            return False
        try:
            for plain, values, hooks, count, references in self._alike:
                for reference in references:
                    operation = reference()
                    if operation is None and self._passing:
                        continue
                    own = vars(operation)
                    if plain(own) != values or hooks_of(own) != hooks:
                        return False
                    if count_of(own) != count and not self._states[id(reference)].has_no_other():
                        return False
            return all([state.others_hold() for state in self._rest if self._counts(state.reference)])
        except Exception:  # an operation or attribute is gone, or is now an array, which compares elementwise
            return False

    def _counts(self, reference: weakref.ref[Any]) -> bool:
        """Tell whether an operation must be unchanged: not if it was made for the occasion and is gone."""
        return not self._passing or reference() is not None

    def _arrange(self) -> None:
        # Layers with equal settings share the values to compare with, because memory access takes the time.
        alike: dict[Any, list[Any]] = {}
        for state in self._states.values():
            # A data type cannot be hashed.
            key = (*state.plain, state.hooks, state.count, *((type(v), repr(v)) for v in state.values))
            shared = [_getter(state.plain), state.values, state.hooks, state.count, []]
            alike.setdefault(key, shared)[-1].append(state.reference)
        self._alike = list(alike.values())
        self._rest = [state for state in self._states.values() if state.others]


class _State:
    """The settings of one operation: plain values to compare, and other values with their checks."""

    def __init__(self, operation: Any) -> None:
        self.reference = weakref.ref(operation)
        own = attributes_of(operation)
        names = [name for name in own_attributes(operation) if name not in _OWN and name[:6] != "_self_"]
        if not isinstance(operation, keras.Sequential):
            names = [name for name in names if name != "_layers"]
        if "_dtype_policy" in own:
            names.append("_dtype_policy")
        if is_foreign(type(operation).__module__):
            names = [name for name in names if name[0] != "_" or name in ("_layers", "_dtype_policy")]
        # A built layer no longer uses its initializers, and Keras does not let anyone replace its variables.
        unused = keras.initializers.Initializer | keras.Variable
        self._checks = {name: _checker(own[name], {}) for name in names if not isinstance(own[name], unused)}
        self._arrange(own)

    def settle(self, written: Container[tuple[int, str]], note: Callable[[object], None]) -> None:
        operation = self.reference()
        if operation is None:
            return
        own = attributes_of(operation)
        lasting = [name for name in self._checks if (id(operation), name) not in written and name in own]
        self._checks = {name: self._checks[name] for name in lasting if self._checks[name](own[name])}
        self._arrange(own)
        self._watched = [
            _watched(item, note) for name, _ in self.others for item in _identified(own[name], set())
        ]

    def _arrange(self, own: Mapping[str, Any]) -> None:
        direct = vars(self.reference())
        self.names, self.count, self.hooks = frozenset(own), count_of(direct), hooks_of(direct)
        self.plain = [name for name in self._checks if name in direct and _is_plain(own[name])]
        self.values = tuple(own[name] for name in self.plain)
        self.others = [(name, check) for name, check in self._checks.items() if name not in self.plain]

    def others_hold(self) -> bool:
        operation = self.reference()
        if operation is None:
            return False
        own = attributes_of(operation)
        return all(check(own[name]) for name, check in self.others)

    def has_no_other(self) -> bool:
        """Tell whether every new attribute is private, or one of those that Keras sets."""
        own = own_attributes(self.reference())
        return all(name[0] == "_" or name in _OWN or name in self.names for name in own)


def _getter(names: list[str]) -> Callable[[Mapping[str, Any]], tuple[Any, ...]]:
    if len(names) > 1:
        return operator.itemgetter(*names)
    return lambda own: tuple(own[name] for name in names)


def _is_plain(value: Any) -> bool:
    """Tell whether a value can be kept and compared as a whole: numbers, strings, functions of a module."""
    if isinstance(value, types.FunctionType | types.BuiltinFunctionType):
        module = sys.modules.get(value.__module__ or "")
        return getattr(module, value.__name__, None) is value
    if type(value) is tuple:
        return all(map(_is_plain, value))
    return isinstance(value, _PLAIN)


def _same(value: Any) -> _Check:
    """Return a check whether another value is this same object, or equal to it if it is plain."""
    if _is_plain(value):
        return lambda other: bool(other == value)
    known = id(value)
    return lambda other: id(other) == known


def _checker(value: Any, seen: dict[int, Any]) -> _Check:
    """Return a check whether the value of an attribute is still what it is now."""
    if _is_plain(value) or isinstance(value, keras.Operation) or id(value) in seen:
        return _same(value)
    seen[id(value)] = value
    kind = type(value)
    if isinstance(value, np.ndarray) and not isinstance(value, np.memmap):
        known = _fingerprint(value)
        return lambda other: isinstance(other, np.ndarray) and _fingerprint(other) == known
    held = parts(value)
    if not held and not isinstance(value, _CONTAINERS):
        return _same(value)
    if isinstance(value, list | dict | set) and all(map(_is_plain, held.values())):
        # Compare it as a whole, however long it is.
        plain = next(plain for plain in (list, dict, set) if isinstance(value, plain))
        copied = plain(value)
        return lambda other: type(other) is kind and bool(other == copied)
    checks = {key: _checker(part, seen) for key, part in held.items()}

    def check(other: Any) -> bool:
        now = parts(other) if type(other) is kind else {}
        return now.keys() == checks.keys() and all(check(now[key]) for key, check in checks.items())

    return check


def _fingerprint(array: Any) -> Any:
    return array.shape, array.dtype, hash(array.tobytes())


def _identified(value: Any, seen: set[int]) -> Iterable[Any]:
    """Yield the objects that a checker identifies by id."""
    if _is_plain(value) or isinstance(value, np.ndarray) or id(value) in seen:
        return
    seen.add(id(value))
    held = {} if isinstance(value, keras.Operation) else parts(value)
    if not held and not isinstance(value, _CONTAINERS):
        yield value
    for part in held.values():
        yield from _identified(part, seen)


def _watched(value: Any, note: Callable[[object], None]) -> Any:
    try:
        return weakref.ref(value, note)
    except TypeError:  # NumPy scalars and the like: kept, so that no other object gets their id
        return value
