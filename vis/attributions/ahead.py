"""Items read by threads before they are asked for, so that no computation waits for a disk or a decoder."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def read_ahead(
    read: Callable[[int], T], numbers: Iterable[int], workers: int, most: int
) -> Generator[Callable[[], T], None, None]:
    """Yield for each number, in order, a function that returns `read(number)` or raises what that raised.

    When the generator is closed, what has not begun is dropped and what has begun is waited for, so that no
    thread is left.

    Args:
        read: reads an item; with several workers, several threads call it at once.
        numbers: which items.
        workers: the number of threads; with less than 2, items are read in this thread when they are asked
            for.
        most: the largest number of items that are held, read or being read.
    """
    if workers < 2:
        for number in numbers:
            yield lambda number=number: read(number)  # type: ignore[misc]
        return
    coming = iter(numbers)
    waiting: deque[Future[T]] = deque()
    pool = ThreadPoolExecutor(workers, "vis-read-ahead")
    try:
        for number in coming:
            waiting.append(pool.submit(read, number))
            if len(waiting) >= most:
                yield waiting.popleft().result
        while waiting:
            yield waiting.popleft().result
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
