"""One thread that computes for all pages: the newest request of each, and what stands beside maps last."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from vis.progress import Progress, watching

# Seconds between two reports of how far a computation is.
_PAUSE = 0.1


class Dropped(Exception):
    """A newer request of the same page follows, or the page has dropped this one."""


class Busy(Exception):
    """Too many requests wait."""


class _Later(Exception):
    """A map is asked for, before which what stands beside maps is computed no further."""


@dataclass(eq=False)
class Job:
    """A request.

    Args:
        page: who asks.
        beside: what is asked for beside a map; empty for a map.
        compute: makes the result.
        told: called with how far it is, `(done, total, what)`, in the thread that computes.

    Attributes:
        made: will hold the result.
        dropped: whether nobody waits for it any more.
    """

    page: str
    beside: str
    compute: Callable[[], Any]
    told: Progress
    made: Future[Any] = field(default_factory=Future)
    dropped: bool = False


class Worker:
    """A thread with a bounded queue. A request ends between two batches of work once it is dropped.

    What stands beside maps waits for all maps, and begins again where one was asked for meanwhile.

    Args:
        most: how many requests may wait.
    """

    def __init__(self, most: int = 128) -> None:
        self._most = most
        self._waiting: list[Job] = []
        self._running: Job | None = None
        self._changed = threading.Condition()
        self._ended = False
        self._thread = threading.Thread(target=self._run, name="vis explore", daemon=True)
        self._thread.start()

    def ask(
        self, page: str, compute: Callable[[], Any], told: Progress = lambda *_: None, beside: str = ""
    ) -> Job:
        """Take a request; an older one of the page for the same is dropped, and with a map what is beside it.

        Raises:
            Busy: if too many other requests wait.
        """
        job = Job(page, beside, compute, told)
        with self._changed:
            for old in self._known():
                if old.page == page and (old.beside == beside or not beside):
                    self._drop(old)
            if self._ended or len(self._waiting) >= self._most:
                raise Busy
            self._waiting.append(job)
            self._changed.notify()
        return job

    def drop(self, job: Job) -> None:
        """Drop a request."""
        with self._changed:
            self._drop(job)

    def end(self) -> None:
        """Drop all requests, and let the thread end."""
        with self._changed:
            self._ended = True
            for job in self._known():
                self._drop(job)
            self._changed.notify()

    def _known(self) -> list[Job]:
        return [*self._waiting, *([] if self._running is None else [self._running])]

    def _drop(self, job: Job) -> None:
        job.dropped = True
        if job in self._waiting:
            self._waiting.remove(job)
            job.made.set_exception(Dropped())

    def _run(self) -> None:
        while (job := self._next()) is not None:
            result, error = None, None
            try:
                with watching(self._watcher(job)):
                    result = job.compute()
            except _Later:
                with self._changed:
                    self._running = None
                    if not job.dropped:
                        self._waiting.insert(0, job)
                        continue
            except BaseException as raised:
                error = raised
            with self._changed:
                self._running = None
            if job.dropped or error is not None:
                job.made.set_exception(Dropped() if error is None or job.dropped else error)
            else:
                job.made.set_result(result)

    def _next(self) -> Job | None:
        with self._changed:
            while not self._waiting and not self._ended:
                self._changed.wait()
            if not self._waiting:
                return None
            self._running = next((job for job in self._waiting if not job.beside), self._waiting[0])
            self._waiting.remove(self._running)
            return self._running

    def _watcher(self, job: Job) -> Progress:
        told: dict[str, float] = {}

        def watch(done: int, total: int | None, what: str) -> None:
            with self._changed:
                if job.dropped:
                    raise Dropped
                if job.beside and any(not other.beside for other in self._waiting):
                    raise _Later
            now = time.monotonic()
            # The end of what has been told is told, too.
            if now - told.get(what, 0.0) >= _PAUSE or (what in told and done == total):
                told[what] = now
                job.told(done, total, what)
                if done == total:
                    del told[what]

        return watch
