"""Items that are read ahead: in order, as many as are allowed, and nothing is left behind."""

import contextlib
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from vis.attributions.ahead import read_ahead


def alive() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("vis-read-ahead")]


@pytest.mark.parametrize("workers", [0, 1, 2, 5])
@pytest.mark.parametrize("most", [1, 2, 7, 100])
def test_items_come_in_order(workers: int, most: int) -> None:
    waits = np.random.default_rng(0).uniform(0, 0.003, 40)

    def read(number: int) -> int:
        time.sleep(waits[number])
        return number**2

    numbers = [*range(20, 40), *range(20)]
    with contextlib.closing(read_ahead(read, numbers, workers, most)) as coming:
        assert [item() for item in coming] == [number**2 for number in numbers]
    assert not alive()


@pytest.mark.parametrize("workers", [1, 3])
def test_an_error_reaches_its_own_item(workers: int) -> None:
    def read(number: int) -> int:
        if number % 3 == 1:
            raise ValueError(str(number))
        return number

    found: list[Any] = []
    with contextlib.closing(read_ahead(read, range(9), workers, 4)) as coming:
        for item in coming:
            try:
                found.append(item())
            except ValueError as error:
                found.append(str(error))
    assert found == [0, "1", 2, 3, "4", 5, 6, "7", 8]


def test_no_more_than_allowed_are_held() -> None:
    begun: list[int] = []
    finished = threading.Semaphore(0)

    def read(number: int) -> int:
        begun.append(number)
        finished.release()
        return number

    with contextlib.closing(read_ahead(read, range(50), 3, 5)) as coming:
        taken = 0
        for item in coming:
            item()
            taken += 1
            while len(begun) < min(taken + 4, 50):
                assert finished.acquire(timeout=5), "what is allowed is read while nobody asks"
            assert len(begun) <= taken + 4
    assert sorted(begun) == list(range(50))


def test_reading_goes_on_while_the_items_are_used() -> None:
    """Ten items of 20 ms, two at a time, beside ten uses of 20 ms: a third of what both take in turn."""

    def wait(_: int) -> None:
        time.sleep(0.02)

    def seconds(workers: int) -> float:
        begun = time.perf_counter()
        with contextlib.closing(read_ahead(wait, range(12), workers, 6)) as coming:
            for item in coming:
                item()
                time.sleep(0.02)
        return time.perf_counter() - begun

    assert seconds(1) > 0.48
    assert min(seconds(2) for _ in range(3)) < 0.4


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError, GeneratorExit])
def test_nothing_is_left_when_the_user_stops(error: type[BaseException]) -> None:
    begun: list[int] = []

    def read(number: int) -> int:
        begun.append(number)
        time.sleep(0.01)
        return number

    def use(coming: Any) -> None:
        for number, item in enumerate(coming):
            item()
            if number == 2:
                raise error

    with (
        pytest.raises(error),
        contextlib.closing(read_ahead(read, range(10_000), 2, 100)) as coming,
    ):
        use(coming)
    assert not alive() and len(begun) < 12, "what had not begun is dropped"


def test_one_thread_is_this_one() -> None:
    names: list[str] = []
    reads: Callable[[int], None] = lambda _: names.append(threading.current_thread().name)  # noqa: E731
    coming = read_ahead(reads, range(3), 1, 10)
    next(coming)()
    assert names == [threading.current_thread().name], "read when it is asked for, and not before"
