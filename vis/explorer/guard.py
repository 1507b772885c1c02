"""What is checked of every request before anything else: its host, its origin, its token."""

from __future__ import annotations

import hmac
import ipaddress
import secrets
import socket
from collections.abc import Iterable

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_LOCAL = ("127.0.0.1", "localhost", "[::1]")
_WILDCARDS = ("0.0.0.0", "::", "")
HEADER = "x-vis-token"


def is_loopback(host: str) -> bool:
    """Tell whether only this machine can reach an address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class Guard:
    """Refuses requests that no page of this run makes, and forbids the page to load anything from elsewhere.

    Args:
        app: what answers the others.
        host: the address that is listened on.
        port: its port.
        frames: the origins that may show the page in a frame.
    """

    def __init__(self, app: ASGIApp, host: str, port: int, frames: Iterable[str] = ()) -> None:
        self.app = app
        self.token = secrets.token_urlsafe(32)
        self.cookie = f"vis-{port}"
        self._any = host in _WILDCARDS
        names = {*_LOCAL, f"[{host}]" if ":" in host else host}
        if self._any:
            names |= {socket.gethostname().lower(), socket.getfqdn().lower()}
        self._hosts = {f"{name}:{port}" for name in names} | (names if port == 80 else set())
        self._port = port
        self._headers = {
            "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
            "img-src 'self' data: blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
            f"frame-ancestors {' '.join(frames) or chr(39) + 'none' + chr(39)}",
            "x-content-type-options": "nosniff",
            "referrer-policy": "no-referrer",
            "cross-origin-resource-policy": "same-origin",
            "cross-origin-opener-policy": "same-origin",
            "cache-control": "no-store",
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return

        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(self._headers)
            await send(message)

        refused = self._refused(Headers(scope=scope), scope["path"])
        answer = self.app if refused is None else PlainTextResponse(refused, 403)
        await answer(scope, receive, sent)

    def _refused(self, headers: Headers, path: str) -> str | None:
        """Return why a request is refused, or None."""
        hosts = headers.getlist("host")
        if len(hosts) != 1 or not self._known(hosts[0].lower()):
            return "This request was sent to another host than this server's."
        origins = headers.getlist("origin")
        if origins and origins != [f"http://{hosts[0]}"]:
            return "This request comes from another page."
        if not path.startswith("/api/"):
            return None
        if headers.get("sec-fetch-site", "same-origin") != "same-origin":
            return "This request comes from another page."
        given = headers.get(HEADER) or cookie_parser(headers.get("cookie", "")).get(self.cookie, "")
        if not hmac.compare_digest(given.encode(), self.token.encode()):
            return "The token is missing or of another run. Open the whole address that the start has shown."
        return None

    def _known(self, host: str) -> bool:
        if host in self._hosts:
            return True
        name, _, port = host.rpartition(":")
        if not self._any or port != str(self._port):
            return False
        # An address cannot be made to mean another machine, as a name can.
        try:
            ipaddress.ip_address(name.strip("[]"))
        except ValueError:
            return False
        return True
