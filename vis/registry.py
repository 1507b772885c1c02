"""Names to objects: one mechanism for every kind of modifier.

A name belongs to one object for good: registering it again raises, so that a notebook cell run twice or two
packages that choose the same name are noticed instead of replacing one another.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

from vis.errors import ModifierError, did_you_mean

T = TypeVar("T")


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

    def register(self, *names: str) -> Callable[[Any], T]:
        """Return a decorator that registers an object under each of `names` and returns it.

        Raises:
            ModifierError: if a name is taken, or the object is not of the kind.
        """
        if not names or not all(isinstance(name, str) and name for name in names):
            raise ModifierError(
                f"{self._article.capitalize()} {self.kind} is registered under one or more names. "
                f'Received: {names!r}. Write @register("my_name").'
            )

        def decorate(thing: Any) -> T:
            for name in names:
                if name in self._objects:
                    raise ModifierError(
                        f"The {self.kind} name {name!r} is taken by {self._objects[name]!r}. "
                        f"Received: {thing!r}. Choose another name."
                    )
            made = self._made(thing, names[0])
            self._objects.update(dict.fromkeys(names, made))
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
