"""One thread that computes for all pages, the newest request of each."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any


class Dropped(Exception):
    """A newer request of the same page follows, or the page has dropped this one."""


class Busy(Exception):
    """Too many pages wait."""


class Worker:
    """A thread with a bounded queue that holds one request for each page.

    Args:
        most: how many requests may wait.
    """

    def __init__(self, most: int = 32) -> None:
        self._most = most
        self._waiting: OrderedDict[str, tuple[Callable[[], Any], Future[Any]]] = OrderedDict()
        self._changed = threading.Condition()
        self._ended = False
        self._thread = threading.Thread(target=self._run, name="vis explore", daemon=True)
        self._thread.start()

    def ask(self, page: str, compute: Callable[[], Any]) -> Future[Any]:
        """Return what will hold the result of a request; an older one of the page that waits is dropped.

        Raises:
            Busy: if too many requests of other pages wait.
        """
        made: Future[Any] = Future()
        with self._changed:
            self._drop(page)
            if self._ended or len(self._waiting) >= self._most:
                raise Busy
            self._waiting[page] = compute, made
            self._changed.notify()
        return made

    def drop(self, page: str) -> None:
        """Drop the request of a page, if it waits."""
        with self._changed:
            self._drop(page)

    def _drop(self, page: str) -> None:
        _, old = self._waiting.pop(page, (None, None))
        # False for one whose request has ended meanwhile.
        if old is not None and old.set_running_or_notify_cancel():
            old.set_exception(Dropped())

    def end(self) -> None:
        """Drop what waits, and let the thread end after what it computes."""
        with self._changed:
            self._ended = True
            for page in list(self._waiting):
                self._drop(page)
            self._changed.notify()

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._waiting and not self._ended:
                    self._changed.wait()
                if not self._waiting:
                    return
                _, (compute, made) = self._waiting.popitem(last=False)
            if not made.set_running_or_notify_cancel():
                continue
            try:
                result = compute()
            except BaseException as error:
                made.set_exception(error)
            else:
                made.set_result(result)
