"""What leaves a trace that is a part of another one, whose tensors would be unknown outside."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any

Leaving = list[tuple[Any, Callable[[Any], None]]]
_leaving: ContextVar[Leaving | None] = ContextVar("leaving", default=None)


def leave(value: Any, use: Callable[[Any], None]) -> None:
    """Call `use` with a structure of tensors, after the trace inside another one has been run there."""
    current = _leaving.get()
    if current is None:
        use(value)
    else:
        current.append((value, use))


@contextlib.contextmanager
def collecting() -> Iterator[Leaving]:
    """Collect what leaves the trace that is made here, instead of using it."""
    found: Leaving = []
    token = _leaving.set(found)
    try:
        yield found
    finally:
        _leaving.reset(token)
