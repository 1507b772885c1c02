"""A table whose entries last as long as the objects that they are about."""

from __future__ import annotations

import weakref
from collections.abc import Hashable, Sequence
from typing import Generic, TypeVar

T = TypeVar("T")


class WeakTable(Generic[T]):
    """Values by the identities of one or several objects and a key; dropped when any of the objects is freed.

    The objects need not be hashable, and equal ones are not confused. A value must not hold its objects, or
    they are never freed.
    """

    def __init__(self) -> None:
        self._entries: dict[Hashable, tuple[T, list[weakref.ref[object]]]] = {}

    def get(self, objects: Sequence[object], key: Hashable = None) -> T | None:
        """Return the value for exactly these objects and this key, or None."""
        entry = self._entries.get((tuple(map(id, objects)), key))
        return None if entry is None else entry[0]

    def put(self, objects: Sequence[object], value: T, key: Hashable = None) -> T:
        """Store and return `value`."""
        full = (tuple(map(id, objects)), key)

        # The references live in the entry, so it is dropped before an identity can be reused.
        def forget(_: object) -> None:
            self._entries.pop(full, None)

        self._entries[full] = (value, [weakref.ref(item, forget) for item in objects])
        return value

    def __len__(self) -> int:
        return len(self._entries)
