"""The server of the page: Starlette answers, uvicorn listens, one thread computes."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import socket
import threading
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING, Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from vis.errors import InputError, VisError
from vis.explorer.guard import Guard
from vis.explorer.worker import Busy, Dropped, Worker

if TYPE_CHECKING:
    from vis.explorer.session import Session
    from vis.explorer.settings import Setting

_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_PAGE = {
    path.name: (path.read_bytes(), _TYPES[path.suffix])
    for path in sorted((Path(__file__).parent / "page").iterdir())
    if path.suffix in _TYPES
}
# A setting has some hundred bytes.
_MOST_JSON = 2**16
# Seconds between two looks whether a page still waits.
_LOOK = 0.3


class TooLarge(Exception):
    """A request has a longer body than any that the page sends."""


class Pages:
    """Answers the requests of pages about a session.

    What is computed is answered in lines of JSON: `{"done", "total", "what"}` for how far it is, and at last
    `{"answer"}`, `{"error"}` or `{"dropped"}`. It ends when the page closes the connection.

    Args:
        start: makes the session; called once, in the thread that computes.
        most: how many requests may wait.
        failed: called with the error if there is no session.
    """

    def __init__(
        self, start: Callable[[], Session], most: int = 128, failed: Callable[[BaseException], None] = print
    ) -> None:
        self.worker = Worker(most)
        self._session: Session | None = None
        self._failed = failed
        self._adding = asyncio.Lock()
        self._start = start
        self.app = Starlette(
            routes=[
                Route("/", self.index),
                Route("/page/{name}", self.file),
                Route("/api/enter", self.enter, methods=["POST"]),
                Route("/api/session", self.session),
                Route("/api/picture/{number:int}/{slot:int}", self.picture),
                Route("/api/sample/{number:int}", self.sample),
                Route("/api/add", self.add, methods=["POST"]),
                Route("/api/write", self.write, methods=["POST"]),
                Route("/api/explain", self.explain, methods=["POST"]),
                Route("/api/predict", self.predict, methods=["POST"]),
                Route("/api/filters", self.filters, methods=["POST"]),
                Route("/api/beside", self.beside, methods=["POST"]),
                Route("/api/script", self.script, methods=["POST"]),
                Route("/api/report", self.report, methods=["POST"]),
            ],
            exception_handlers={
                Busy: lambda _, __: _error("Too many requests wait for this server. Try again.", 503),
                TooLarge: lambda _, __: _error("This request is too large.", 413),
                VisError: lambda _, error: _error(str(error), 422),
            },
        )
        self.guard: Guard | None = None

    def begin(self) -> None:
        """Make the session."""
        self.worker.ask("start", self._start).made.add_done_callback(self._started)

    def _started(self, made: Any) -> None:
        error = made.exception()
        if error is None:
            self._session = made.result()
        elif not isinstance(error, Dropped):
            self._failed(error)

    @property
    def about(self) -> Session:
        if self._session is None:
            raise InputError("The model is being loaded. Wait until the page shows its layers.")
        return self._session

    async def index(self, _: Request) -> Response:
        return HTMLResponse(_PAGE["index.html"][0])

    async def file(self, request: Request) -> Response:
        found = _PAGE.get(request.path_params["name"])
        return Response(status_code=404) if found is None else Response(found[0], media_type=found[1])

    async def enter(self, _: Request) -> Response:
        """Let other pages of this browser in, so that an address of a state can be opened in them."""
        answer = JSONResponse({})
        if self.guard is not None:
            answer.set_cookie(self.guard.cookie, self.guard.token, httponly=True, samesite="strict")
        return answer

    async def session(self, _: Request) -> Response:
        if self._session is None:
            return JSONResponse({"loading": True})
        return JSONResponse(self._session.told())

    async def picture(self, request: Request) -> Response:
        samples, number, slot = self.about.samples, *_numbers(request.path_params, "number", "slot")
        from vis.explorer.drawings import png

        def read() -> bytes:
            return png(samples.shown(number, slot))

        return Response(await asyncio.to_thread(read), media_type="image/png")

    async def sample(self, request: Request) -> Response:
        samples = self.about.samples
        return JSONResponse(await asyncio.to_thread(samples.told, request.path_params["number"]))

    async def add(self, request: Request) -> Response:
        samples = self.about.samples
        from vis.explorer.samples import MOST_BYTES

        data = await _body(request, MOST_BYTES)
        name, (number, slot) = (
            request.query_params.get("name", ""),
            _numbers(request.query_params, "number", "slot"),
        )
        async with self._adding:  # one is decoded at a time
            return await self._added(samples.add, name, data, number, slot)

    async def write(self, request: Request) -> Response:
        given = await _json(request)
        number, slot = _numbers(given, "number", "slot")
        return await self._added(self.about.samples.write, number, slot, str(given.get("text", "")))

    async def _added(self, add: Callable[..., int], *arguments: Any) -> Response:
        first = await asyncio.to_thread(add, *arguments)
        return JSONResponse({"number": first, "names": self.about.samples.names()[first:]})

    async def explain(self, request: Request) -> Response:
        about, page, setting, _ = await self._asked(request)
        return self._answered(request, page, lambda: about.explain(setting).told())

    async def predict(self, request: Request) -> Response:
        about, page, setting, _ = await self._asked(request)
        return self._answered(request, f"{page} predict", lambda: about.predict(setting.picture))

    async def filters(self, request: Request) -> Response:
        about, page, setting, _ = await self._asked(request)
        return self._answered(request, f"{page} filters", lambda: about.filters(setting), "filters")

    async def beside(self, request: Request) -> Response:
        about, page, setting, more = await self._asked(request)
        if len(more) != 1:
            raise InputError("Ask for one thing beside a map at a time. Received: another number.")
        return self._answered(request, page, lambda: about.beside(more[0], setting).told(), more[0])

    async def script(self, request: Request) -> Response:
        about, page, setting, more = await self._asked(request)
        # The class that is maximized may have to be predicted first.
        return self._answered(request, f"{page} script", lambda: about.script(setting, more))

    async def report(self, request: Request) -> Response:
        about, page, setting, _ = await self._asked(request)
        return self._answered(request, f"{page} report", lambda: about.report(setting).decode())

    async def _asked(self, request: Request) -> tuple[Session, str, Setting, list[str]]:
        given = await _json(request)
        about = self.about
        from vis.explorer.settings import BESIDE, Setting

        more = given.get("more", [])
        if not isinstance(more, list) or not all(each in BESIDE for each in more):
            raise InputError(f"more lists what stands beside a map: {', '.join(BESIDE)}. Received another.")
        return about, str(given.get("page", ""))[:64], Setting.of(given.get("setting")), more

    def _answered(
        self, request: Request, page: str, compute: Callable[[], Any], beside: str = ""
    ) -> Response:
        """Return the lines of an answer that is computed."""
        loop, news = asyncio.get_running_loop(), asyncio.Queue[dict[str, Any]]()

        def tell(news_: dict[str, Any]) -> None:
            with contextlib.suppress(RuntimeError):  # the server has ended
                loop.call_soon_threadsafe(news.put_nowait, news_)

        def progress(done: int, total: int | None, what: str) -> None:
            tell({"done": done, "total": total, "what": what})

        job = self.worker.ask(page, compute, progress, beside)
        job.made.add_done_callback(lambda made: tell(_last(made)))

        async def lines() -> AsyncIterator[bytes]:
            try:
                told: dict[str, Any] = {}
                while not told.keys() & {"answer", "error", "dropped"}:
                    try:
                        told = await asyncio.wait_for(news.get(), _LOOK)
                    except asyncio.TimeoutError:
                        if await request.is_disconnected():
                            return
                        continue
                    yield json.dumps(told).encode() + b"\n"
            finally:
                self.worker.drop(job)

        return StreamingResponse(lines(), media_type="application/x-ndjson")


def _last(made: Future[Any]) -> dict[str, Any]:
    """Return the last line of an answer."""
    error = made.exception()
    if error is None:
        return {"answer": made.result()}
    if isinstance(error, Dropped):
        return {"dropped": True}
    from vis.explorer.session import told  # what a model's own code raises, too

    return {"error": told(error)}


def _numbers(given: Mapping[str, Any], *names: str) -> tuple[int, ...]:
    """Return the whole numbers of these names, 0 for those that are missing."""
    try:
        return tuple(int(given.get(name, 0)) for name in names)
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(f"{' and '.join(names)} must be whole numbers. Received others.") from error


def _error(message: str, status: int) -> Response:
    return JSONResponse({"error": message}, status)


async def _json(request: Request) -> dict[str, Any]:
    try:
        given = json.loads(await _body(request, _MOST_JSON))
    except (ValueError, RecursionError) as error:
        raise InputError(f"The request is not JSON: {error}.") from error
    if not isinstance(given, dict):
        raise InputError("The request must be an object of JSON.")
    return given


async def _body(request: Request, most: int) -> bytes:
    """Return the body of a request, which is read no further than its limit."""
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > most:
            raise TooLarge
        parts.append(part)
    return b"".join(parts)


class Explorer:
    """A running explorer; in a notebook it shows itself in a frame.

    Args:
        start: makes the session.
        host: the address to listen on.
        port: its port; 0 for a free one.
        frames: the origins that may show the page in a frame.

    Attributes:
        url: the address to open, with the token of this run.

    Raises:
        InputError: if the address cannot be listened on.
    """

    def __init__(
        self,
        start: Callable[[], Session],
        host: str = "127.0.0.1",
        port: int = 0,
        frames: tuple[str, ...] = (),
    ) -> None:
        if not 0 <= port <= 65535:
            raise InputError(f"port must be from 0 to 65535. Received: {port}. 0 stands for a free one.")
        try:
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            self._socket = socket.create_server((host, port), family=family)
            # Connections take this over. asyncio sets it only for sockets that name their protocol; without
            # it, the second part of an answer waits some 40 ms until the browser has confirmed the first.
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError as error:
            why = str(error.strerror or error).split(" (while")[0]
            raise InputError(
                f"{host}:{port} cannot be listened on: {why}. Choose another port or address."
            ) from error
        port = self._socket.getsockname()[1]
        self._error: BaseException | None = None
        self._pages = Pages(start, failed=self._fail)
        guard = self._pages.guard = Guard(self._pages.app, host, port, frames)
        config = uvicorn.Config(
            guard, log_level="error", access_log=False, ws="none", lifespan="off", server_header=False
        )
        self._server = uvicorn.Server(config)
        shown = "127.0.0.1" if host in ("0.0.0.0", "::", "") else f"[{host}]" if ":" in host else host
        self.url = f"http://{shown}:{port}/#token={guard.token}"

    def _fail(self, error: BaseException) -> None:
        self._error = error
        self._server.should_exit = True

    def run(self) -> None:
        """Serve until the program is stopped.

        Raises:
            VisError: if there is no session.
        """
        try:
            self._pages.begin()
            self._server.run(sockets=[self._socket])
        finally:
            self._pages.worker.end()
            self._socket.close()
        if self._error is not None:
            raise self._error

    @functools.cached_property
    def _thread(self) -> threading.Thread:
        return threading.Thread(target=self.run, name="vis explore server", daemon=True)

    def start(self) -> Explorer:
        """Serve in a thread of its own, until `close`."""
        self._thread.start()
        return self

    def close(self) -> None:
        """End the server, and what it computes at its next batch of work."""
        self._server.should_exit = True
        self._pages.worker.end()
        if self._thread.is_alive():
            self._thread.join(10)
        else:
            self._socket.close()

    def __repr__(self) -> str:
        return f"Explorer({self.url!r})"

    def _repr_html_(self) -> str:
        return (
            f'<iframe src="{self.url}" title="vis explore" allow="clipboard-write" width="100%" height="960">'
            "</iframe>"
        )
