"""How far a long computation is: watchers are called between batches of work, and can stop it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from typing import Any, TypeAlias, TypeVar

from vis.errors import InputError

__all__ = ["Work", "each", "is_watched", "watching"]

T = TypeVar("T")
#: What is told how far a computation is: `(done, total, what)`, see `vis.watching`.
Progress: TypeAlias = Callable[[int, int | None, str], object]
# A variable of the context, so that each thread and each asynchronous task has its own watchers.
_watchers: ContextVar[tuple[Progress, ...]] = ContextVar("watchers", default=())


@contextlib.contextmanager
def watching(progress: Progress) -> Iterator[None]:
    """Tell a function how far the computations inside the `with` block are, between batches of work.

    What the function raises stops the computation, and is raised from it. The model, its weights, random
    states and what is compiled are then as before, and the same call can be made again.

    Args:
        progress: `progress(done, total, what)`, called before the first batch and after each. `what` names
            what is counted, such as `"samples"`, `"inputs"` or `"steps"`; `total` is None where the number is
            not known, as for a stream. Computations inside others count on their own: the inputs of each
            batch of samples. Inside another `watching`, both functions are called, the outer first. Only the
            thread or asynchronous task that enters the block is watched, and not what the function computes.

    Raises:
        InputError: if `progress` cannot be called.
    """
    if not callable(progress):
        raise InputError(
            f"progress must be a function of (done, total, what). Received: {progress!r}. Pass a function."
        )
    token = _watchers.set((*_watchers.get(), progress))
    try:
        yield
    finally:
        _watchers.reset(token)


def is_watched() -> bool:
    """Tell whether there is a watcher, for which work is cut into smaller parts."""
    return bool(_watchers.get())


class Work:
    """Counts the parts of some work for watchers, and draws a bar if one is wanted; a context manager.

    Args:
        total: how many parts there are; None if it is not known.
        what: what the parts are, in the plural.
        done: how many are done before it begins.
        bar: whether a bar is drawn on stderr; None for only on a terminal.
        delay: the seconds before the bar appears.
    """

    def __init__(
        self, total: int | None, what: str, done: int = 0, *, bar: bool | None = False, delay: float = 0
    ) -> None:
        self._total, self._what, self._done = total, what, done
        self._shown, self._delay = bar, delay
        self._bar: Any = None

    def __enter__(self) -> Work:
        self._tell()
        if self._shown is not False:
            from tqdm import tqdm

            self._bar = tqdm(
                total=self._total,
                initial=self._done,
                unit=f" {self._what}",
                disable=None if self._shown is None else False,
                delay=self._delay,
                leave=False,
            )
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def advance(self, parts: int = 1) -> None:
        """Tell that some parts are done."""
        self._done += parts
        if self._bar is not None:
            self._bar.update(parts)
        self._tell()

    def describe(self, text: str) -> None:
        """Write what is done now before the bar."""
        if self._bar is not None:
            self._bar.set_description(text)

    def _tell(self) -> None:
        watchers = _watchers.get()
        if watchers:
            token = _watchers.set(())
            try:
                for watcher in watchers:
                    watcher(self._done, self._total, self._what)
            finally:
                _watchers.reset(token)


def each(items: Sequence[T], what: str, parts: int = 1, *, bar: bool | None = False) -> Iterator[T]:
    """Yield items, and tell when what is done with each is done.

    Args:
        items: what is gone through.
        what, bar: see `Work`.
        parts: how many parts of the work an item is.
    """
    with Work(parts * len(items), what, bar=bar) as work:
        for item in items:
            yield item
            work.advance(parts)
