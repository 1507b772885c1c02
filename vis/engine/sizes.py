"""The sizes of the batches of a run: few, where a function is compiled for each size that it meets."""

from __future__ import annotations

from collections.abc import Hashable
from contextvars import ContextVar, Token
from types import TracebackType

from vis import backend


class BatchSizes:
    """The sizes of a run over batches, in which a batch is filled up to the size of a larger one before it.

    A run enters this around each of its batches. A backend that compiles for each size then compiles once for
    all batches and the smaller last one.
    """

    def __init__(self) -> None:
        self._largest: dict[Hashable, int] = {}
        self._tokens: list[Token[BatchSizes | None]] = []

    def __enter__(self) -> None:
        self._tokens.append(_run.set(self))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _run.reset(self._tokens.pop())

    def size(self, function: Hashable, count: int) -> int:
        """Return the number of samples that a function is given instead of `count`, not less."""
        self._largest[function] = max(count, self._largest.get(function, 0))
        return self._largest[function]


_run: ContextVar[BatchSizes | None] = ContextVar("run", default=None)


def size_in_run(function: Hashable, count: int) -> int:
    """Return the number of samples that a function is given in the present run, for a batch of `count`."""
    run = _run.get()
    return count if run is None or not backend.compiles_sizes else run.size(function, count)
