"""The server of the page: Starlette answers, uvicorn listens, one thread computes."""

from __future__ import annotations

import asyncio
import functools
import json
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from vis.errors import InputError, VisError
from vis.explorer.guard import Guard
from vis.explorer.worker import Busy, Dropped, Worker

if TYPE_CHECKING:
    from vis.explorer.session import Session

_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_PAGE = {
    path.name: (path.read_bytes(), _TYPES[path.suffix])
    for path in sorted((Path(__file__).parent / "page").iterdir())
    if path.suffix in _TYPES
}
# A setting has some hundred bytes.
_MOST_JSON = 2**16


class TooLarge(Exception):
    """A request has a longer body than any that the page sends."""


class Pages:
    """Answers the requests of pages about a session.

    Args:
        start: makes the session; called once, in the thread that computes.
        most: how many requests may wait.
        failed: called with the error if there is no session.
    """

    def __init__(
        self, start: Callable[[], Session], most: int = 32, failed: Callable[[BaseException], None] = print
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
                Route("/api/picture/{number:int}", self.picture),
                Route("/api/pictures", self.add, methods=["POST"]),
                Route("/api/explain", self.explain, methods=["POST"]),
                Route("/api/predict", self.predict, methods=["POST"]),
                Route("/api/drop", self.drop, methods=["POST"]),
                Route("/api/script", self.script, methods=["POST"]),
                Route("/api/report", self.report, methods=["POST"]),
            ],
            exception_handlers={
                Dropped: lambda _, __: JSONResponse({"dropped": True}, 409),
                Busy: lambda _, __: _error("Too many pages wait for this server. Try again.", 503),
                TooLarge: lambda _, __: _error("This request is too large.", 413),
                VisError: lambda _, error: _error(str(error), 422),
            },
        )
        self.guard: Guard | None = None

    def begin(self) -> None:
        """Make the session."""
        self.worker.ask("start", self._start).add_done_callback(self._started)

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
        about, number = self.about, request.path_params["number"]
        about.pictures[number]
        from vis.explorer.session import png

        def read() -> bytes:
            return png(about.pictures.shown(number))

        return Response(await asyncio.to_thread(read), media_type="image/png")

    async def add(self, request: Request) -> Response:
        about = self.about
        from vis.explorer.pictures import MOST_BYTES

        data = await _body(request, MOST_BYTES)
        async with self._adding:  # one is decoded at a time
            name = request.query_params.get("name", "")
            number = await asyncio.to_thread(about.pictures.add, name, data)
        return JSONResponse({"number": number, "name": about.pictures[number].name})

    async def explain(self, request: Request) -> Response:
        about, page, setting = await self._asked(request)
        return await self._answered(page, lambda: about.explain(setting).told())

    async def predict(self, request: Request) -> Response:
        about, page, setting = await self._asked(request)
        return await self._answered(f"{page} predict", lambda: about.predict(setting.picture))

    async def drop(self, request: Request) -> Response:
        given = await _json(request)
        self.worker.drop(_page(given))
        return JSONResponse({})

    async def script(self, request: Request) -> Response:
        about, _, setting = await self._asked(request)
        return JSONResponse({"script": about.script(setting)})

    async def report(self, request: Request) -> Response:
        about, page, setting = await self._asked(request)
        return await self._answered(
            f"{page} report", lambda: about.report(setting), lambda html: HTMLResponse(html)
        )

    async def _asked(self, request: Request) -> tuple[Session, str, Any]:
        given = await _json(request)
        about = self.about
        from vis.explorer.session import Setting

        return about, _page(given), Setting.of(given.get("setting"))

    async def _answered(
        self, page: str, compute: Callable[[], Any], answer: Callable[[Any], Response] = JSONResponse
    ) -> Response:
        try:
            return answer(await asyncio.wrap_future(self.worker.ask(page, compute)))
        except (Dropped, Busy, VisError):
            raise
        except Exception as error:  # what a model's own code raises when it is called
            from vis.explorer.session import told

            return _error(told(error), 422)


def _error(message: str, status: int) -> Response:
    return JSONResponse({"error": message}, status)


def _page(given: dict[str, Any]) -> str:
    return str(given.get("page", ""))[:64]


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
        """End the server; what is computed at this moment ends by itself."""
        self._server.should_exit = True
        self._pages.worker.end()
        if self._thread.is_alive():
            self._thread.join(10)
        else:
            self._socket.close()

    def __repr__(self) -> str:
        return f"Explorer({self.url!r})"

    def _repr_html_(self) -> str:
        return f'<iframe src="{self.url}" title="vis explore" width="100%" height="760"></iframe>'
