"""The thread that computes: what is dropped, what waits, and what it tells."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from vis.explorer.worker import Busy, Dropped, Worker
from vis.progress import Work, each


@pytest.fixture
def worker() -> Iterator[Worker]:
    made = Worker(4)
    yield made
    made.end()


class Steps:
    """A computation of steps, each of which waits until it may go on."""

    def __init__(self, count: int = 1000) -> None:
        self.count, self.done = count, 0
        self.begun, self.may = threading.Event(), threading.Semaphore(0)
        self.rounds = 0

    def __call__(self) -> int:
        self.rounds += 1
        for _ in each(range(self.count), "steps"):
            self.begun.set()
            assert self.may.acquire(timeout=30)
            self.done += 1
        return self.done


def test_one_after_another(worker: Worker) -> None:
    jobs = [worker.ask(name, lambda name=name: name * 2) for name in "abc"]
    assert [job.made.result(30) for job in jobs] == ["aa", "bb", "cc"]


def test_an_error_is_that_of_the_request(worker: Worker) -> None:
    def raising() -> None:
        raise ZeroDivisionError("no")

    assert isinstance(worker.ask("a", raising).made.exception(30), ZeroDivisionError)
    assert worker.ask("a", lambda: 3).made.result(30) == 3, "the thread goes on"


def test_a_newer_request_of_the_page_ends_the_older_one(worker: Worker) -> None:
    steps = Steps()
    old = worker.ask("a", steps)
    assert steps.begun.wait(30)
    waiting = worker.ask("a", lambda: 1)
    newest = worker.ask("a", lambda: 2)
    assert isinstance(waiting.made.exception(30), Dropped)
    steps.may.release()
    assert isinstance(old.made.exception(30), Dropped) and steps.done == 1
    assert newest.made.result(30) == 2


def test_other_pages_and_what_is_beside_go_on(worker: Worker) -> None:
    steps = Steps(3)
    first = worker.ask("a", steps)
    assert steps.begun.wait(30)
    beside = worker.ask("a", lambda: "curve", beside="sanity")
    other = worker.ask("b", lambda: "b")
    steps.may.release(3)
    assert [job.made.result(30) for job in (first, beside, other)] == [3, "curve", "b"]


def test_a_map_drops_what_stands_beside_the_last_one(worker: Worker) -> None:
    steps = Steps()
    beside = worker.ask("a", steps, beside="sanity")
    assert steps.begun.wait(30)
    map_ = worker.ask("a", lambda: "map")
    steps.may.release()
    assert isinstance(beside.made.exception(30), Dropped)
    assert map_.made.result(30) == "map"


def test_what_stands_beside_waits_for_maps_and_begins_again(worker: Worker) -> None:
    steps = Steps(2)
    beside = worker.ask("a", steps, beside="sanity")
    assert steps.begun.wait(30)
    order: list[str] = []
    beside.made.add_done_callback(lambda _: order.append("beside"))
    map_ = worker.ask("b", lambda: order.append("map"))
    steps.may.release(10)
    map_.made.result(30)
    beside.made.result(30)
    assert order == ["map", "beside"] and steps.rounds == 2


def test_a_request_is_dropped_while_it_waits_or_runs(worker: Worker) -> None:
    steps = Steps()
    running = worker.ask("a", steps)
    assert steps.begun.wait(30)
    waiting = worker.ask("b", lambda: 1)
    worker.drop(waiting)
    assert isinstance(waiting.made.exception(30), Dropped)
    worker.drop(running)
    steps.may.release()
    assert isinstance(running.made.exception(30), Dropped) and steps.done == 1
    worker.drop(running)  # once more changes nothing


def test_the_queue_is_bounded(worker: Worker) -> None:
    steps = Steps()
    worker.ask("a", steps)
    assert steps.begun.wait(30)
    for name in "bcde":
        worker.ask(name, lambda: None)
    with pytest.raises(Busy):
        worker.ask("f", lambda: None)
    worker.ask("e", lambda: None)  # instead of its older one
    worker.end()
    with pytest.raises(Busy):
        worker.ask("g", lambda: None)
    steps.may.release()


def test_how_far_it_is(worker: Worker) -> None:
    told: list[tuple[int, int | None, str]] = []

    def nested() -> None:
        for _ in each("ab", "layers"):
            with Work(None, "samples") as work:
                work.advance(3)

    worker.ask("a", nested, lambda *news: told.append(news)).made.result(30)
    assert told[0] == (0, 2, "layers") and told[-1] == (2, 2, "layers")
    assert (0, None, "samples") in told


def test_few_reports_of_many_steps(worker: Worker) -> None:
    told: list[Any] = []
    worker.ask("a", lambda: [*each(range(10_000), "steps")], lambda *news: told.append(news)).made.result(30)
    assert told[0] == (0, 10_000, "steps") and told[-1] == (10_000, 10_000, "steps")
    assert len(told) < 100
