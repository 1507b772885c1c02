"""Names to objects: one mechanism for every kind of modifier.

A name belongs to one definition: a notebook cell that is run again, or a module that is loaded again,
replaces what it has registered, and two packages that choose the same name raise an error.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from types import FunctionType, MethodType
from typing import Any, Generic, TypeVar

from vis.errors import ModifierError, did_you_mean

T = TypeVar("T")
# Py_TPFLAGS_HEAPTYPE: a class statement has made the class. Objects of others keep their values out of sight.
_HEAP_TYPE = 1 << 9


class Registry(Generic[T]):
    """The named objects of one kind.

    Args:
        kind: what the objects are, for messages: "gradient modifier".
        wrap: turns what a user registers or passes (a bare callable, or an object that is
            already of the kind) into the object, given a name for it; raises `TypeError`
            with the reason for anything else.
    """

    def __init__(self, kind: str, wrap: Callable[[Any, str], T]) -> None:
        self.kind = kind
        self._wrap = wrap
        self._objects: dict[str, T] = {}
        self._registered: dict[str, Any] = {}  # what `_objects` was made of

    def register(self, *names: str) -> Callable[[Any], T]:
        """Return a decorator that registers an object under each of `names` and returns it.

        What is registered again by the same definition (see `same_definition`) is replaced under all of its
        names.

        Raises:
            ModifierError: if a name is taken by another object, or the object is not of the kind.
        """
        if not names or not all(isinstance(name, str) and name for name in names):
            raise ModifierError(
                f"{self._article.capitalize()} {self.kind} must be registered under one or more names. "
                f'Received: {names!r}. Write @register("my_name").'
            )

        def decorate(thing: Any) -> T:
            replaced = {id(self._objects[name]) for name in names if name in self._objects}
            for name in names:
                if name in self._objects and not same_definition(self._registered[name], thing):
                    raise ModifierError(
                        f"The {self.kind} name {name!r} is taken by {self._objects[name]!r}. "
                        f"Received: {thing!r}. Choose another name."
                    )
            made = self._made(thing, names[0])
            aliases = [name for name, held in self._objects.items() if id(held) in replaced]
            self._objects.update(dict.fromkeys((*aliases, *names), made))
            self._registered.update(dict.fromkeys((*aliases, *names), thing))
            return made

        return decorate

    def get(self, identifier: Any) -> T:
        """Return the object that a name, an object of the kind or a bare callable stands for.

        Raises:
            ModifierError: if the name is unknown (the valid ones and the nearest are listed) or
                the object is not of the kind.
        """
        if isinstance(identifier, str):
            if identifier not in self._objects:
                raise ModifierError(
                    f"Unknown {self.kind}: {identifier!r}.{did_you_mean(identifier, self._objects)} "
                    f"Valid names: {', '.join(sorted(self._objects))}."
                )
            return self._objects[identifier]
        return self._made(identifier, getattr(identifier, "__name__", "custom"))

    def names(self) -> list[str]:
        """Return the registered names in order of registration."""
        return list(self._objects)

    def name_of(self, thing: T) -> str | None:
        """Return the first name of a registered object, or None."""
        return next((name for name, held in self._objects.items() if held is thing), None)

    @property
    def _article(self) -> str:
        return "an" if self.kind[0] in "aeiou" else "a"

    def _made(self, thing: Any, name: str) -> T:
        try:
            return self._wrap(thing, name)
        except TypeError as error:
            known = ", ".join(sorted(self._objects)) or "the registered names"
            raise ModifierError(
                f"Not {self._article} {self.kind}: {error}. Received: {thing!r}. "
                f"Pass one of {known}, or one of your own."
            ) from error


def same_definition(old: Any, new: Any) -> bool:
    """Tell whether one piece of code, run twice, has made two objects.

    It has made two classes, or two functions, if they have one module and one qualified name. Functions that
    share that with others, lambdas and those inside functions, must also have equal code and equal values.
    It has made two other objects if it has made their classes, and they hold equal values.
    """
    try:
        return _same(old, new)
    except (ValueError, RecursionError):  # arrays, say, or objects that hold themselves
        return False


def _same(old: Any, new: Any) -> bool:
    old, new = inspect.unwrap(old), inspect.unwrap(new)
    if old is new:
        return True
    if isinstance(old, type) and isinstance(new, type):
        return (old.__module__, old.__qualname__) == (new.__module__, new.__qualname__)
    if not _same(type(old), type(new)):
        return False
    if isinstance(old, dict):
        return old.keys() == new.keys() and all(_same(value, new[key]) for key, value in old.items())
    if isinstance(old, list | tuple):
        return len(old) == len(new) and all(map(_same, old, new))
    if isinstance(old, FunctionType):
        named = (old.__module__, old.__qualname__) == (new.__module__, new.__qualname__)
        return named and ("<" not in old.__qualname__ or _same(_held(old), _held(new)))
    if isinstance(old, functools.partial):
        return _same((old.func, old.args, old.keywords), (new.func, new.args, new.keywords))
    if isinstance(old, MethodType):
        return _same((old.__func__, old.__self__), (new.__func__, new.__self__))
    in_python = bool(type(old).__flags__ & _HEAP_TYPE) and hasattr(old, "__dict__")
    return bool(old == new) or (in_python and _same(vars(old), vars(new)))


def _held(function: FunctionType) -> list[Any]:
    """Return the code of a function without a name of its own, the file of that, and the values it holds."""
    code, cells = function.__code__, function.__closure__ or ()
    values = [function.__defaults__, function.__kwdefaults__, *(cell.cell_contents for cell in cells)]
    return [code.co_filename, code, *values]
