"""What the server answers, and what it refuses."""

from __future__ import annotations

import io
import json
import struct
import threading
import time
import zlib
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from PIL import Image

from tests.explorer.conftest import ORIGIN, PORT, Client, httpx, last, network
from tests.files.test_arrays import WRONG, npy
from vis.explorer.guard import HEADER, Guard, is_loopback
from vis.explorer.samples import MOST_ADDED, MOST_BYTES
from vis.explorer.server import Explorer
from vis.explorer.session import Session
from vis.explorer.settings import Setting
from vis.files.arrays import is_arrays
from vis.progress import each


def png(*size: int) -> bytes:
    file = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def bomb(side: int) -> bytes:
    """Return a small PNG file that claims many pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    data = zlib.compress(b"\0" * 10**6)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def test_the_page_and_its_parts(client: Client) -> None:
    page = client.get("/")
    assert page.status_code == 200
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy and "http" not in policy
    for name in ("page.css", "page.js"):
        assert client.get(f"/page/{name}").status_code == 200
        assert f"/page/{name}" in page.text
    assert client.guard.token not in page.text


def test_the_session(client: Client, about: Session) -> None:
    told = client.get("/api/session").json()
    assert [layer["path"] for layer in told["layers"]] == ["scene", "conv", "smooth", "mean", "classes"]
    assert told["samples"][:3] == ["a.png", "b.png", "c.jpg"]
    picture = Image.open(io.BytesIO(client.get("/api/picture/0/0").content))
    assert picture.size == (12, 12)
    assert client.get("/api/picture/99/0").status_code == 422


def test_a_map(client: Client, about: Session) -> None:
    answer = client.told("explain", target=2)
    result = about.explain(Setting(0, target=2))
    assert answer == {"answer": result.told()}
    assert client.told("script", target=2) == {"answer": about.script(Setting(0, target=2))}
    assert client.told("predict") == {"answer": about.predict(0)}
    assert "5" in client.told("explain", target=5)["error"]


FOREIGN: dict[str, dict[str, str]] = {
    "another host": {"host": f"evil.example:{PORT}"},
    "another port": {"host": "127.0.0.1:80"},
    "no port": {"host": "127.0.0.1"},
    "the name within another": {"host": f"127.0.0.1.evil.example:{PORT}"},
    "another origin": {"origin": "http://evil.example"},
    "the origin of another port": {"origin": "http://127.0.0.1:8888"},
    "no origin": {"origin": "null"},
    "the origin by https": {"origin": f"https://127.0.0.1:{PORT}"},
}
AT = [("GET", "/"), ("GET", "/page/page.js"), ("GET", "/api/session"), ("POST", "/api/explain")]


@pytest.mark.parametrize(("kind", "at"), AT)
@pytest.mark.parametrize("case", FOREIGN)
def test_foreign_requests(client: Client, case: str, kind: str, at: str) -> None:
    answer = client.together((kind, at, {"headers": FOREIGN[case]}))[0]
    assert answer.status_code == 403
    assert "another" in answer.text


@pytest.mark.parametrize("site", ["cross-site", "same-site", "none"])
def test_requests_of_other_sites(client: Client, site: str) -> None:
    assert client.get("/api/session", headers={"sec-fetch-site": site}).status_code == 403
    assert client.get("/api/session", headers={"sec-fetch-site": "same-origin"}).status_code == 200


@pytest.mark.parametrize("token", ["", "wrong", "ünïcode"])
def test_the_token(client: Client, token: str) -> None:
    for kind, at in AT[2:]:
        answer = client.together((kind, at, {"headers": {HEADER: token.encode()}}))[0]
        assert answer.status_code == 403 and "token" in answer.text
    assert client.get("/", headers={HEADER: token.encode()}).status_code == 200, "it holds nothing"


def test_the_cookie_lets_in(client: Client) -> None:
    entered = client.post("/api/enter", headers={"origin": ORIGIN})
    cookie = entered.headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=strict" in cookie
    name, _, value = cookie.split(";")[0].partition("=")
    held = {HEADER: "", "cookie": f"{name}={value}"}
    assert client.get("/api/session", headers=held).status_code == 200
    assert client.get("/api/session", headers={**held, "origin": "http://evil.example"}).status_code == 403
    assert client.get("/api/session", headers={HEADER: "", "cookie": f"{name}=x"}).status_code == 403


def test_each_run_has_a_token_of_its_own(client: Client) -> None:
    other = Guard(client.pages.app, "127.0.0.1", PORT)
    assert other.token != client.guard.token and len(other.token) >= 43


@pytest.mark.parametrize(
    ("host", "sent", "known"),
    [
        ("0.0.0.0", f"192.168.0.3:{PORT}", True),
        ("0.0.0.0", f"evil.example:{PORT}", False),
        ("::", f"[fe80::1]:{PORT}", True),
        ("192.168.0.3", f"192.168.0.3:{PORT}", True),
        ("192.168.0.3", f"192.168.0.4:{PORT}", False),
        ("127.0.0.1", f"localhost:{PORT}", True),
        ("127.0.0.1", f"192.168.0.3:{PORT}", False),
    ],
)
def test_hosts(client: Client, host: str, sent: str, known: bool) -> None:
    assert Guard(client.pages.app, host, PORT)._known(sent) == known


def test_loopback() -> None:
    assert all(map(is_loopback, ("127.0.0.1", "::1", "localhost", "127.0.0.2")))
    assert not any(map(is_loopback, ("0.0.0.0", "::", "192.168.0.3", "example.com", "")))


@pytest.mark.parametrize(
    "at",
    [
        "/page/../server.py",
        "/page/..%2fserver.py",
        "/page/%2e%2e/server.py",
        "/page/%2fetc%2fpasswd",
        "/../../etc/passwd",
        "/api/picture/..%2f..%2fetc%2fpasswd",
        "/api/picture/-1",
        "/api/picture/a.png",
    ],
)
def test_paths_lead_nowhere(client: Client, at: str) -> None:
    answer = client.get(at)
    assert answer.status_code == 404 and "import" not in answer.text and "root:" not in answer.text


def test_a_picture_is_added(client: Client, about: Session) -> None:
    before = len(about.samples)
    added = client.post("/api/add?name=..%2F..%2Fmy%20cat.png", content=png(30, 40)).json()
    assert added == {"number": before, "names": ["my cat.png"]}
    assert client.get(f"/api/picture/{before}/0").status_code == 200
    assert "answer" in client.told("explain", picture=before, target=1)
    assert "'my cat.png'" in client.told("script", picture=before, target=1)["answer"]


@pytest.mark.parametrize(
    ("data", "status", "words"),
    [
        (b"\0" * (MOST_BYTES + 1), 413, "too large"),
        (bomb(30000), 422, "pixels"),
        (bomb(8000), 422, "could not be decoded"),
        (b"words", 422, "is not a picture"),
        (b"", 422, "is not a picture"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", 422, "is not a picture"),
    ],
    ids=["bytes", "pixels", "fewer pixels", "words", "nothing", "SVG"],
)
def test_what_is_not_added(client: Client, about: Session, data: bytes, status: int, words: str) -> None:
    before = len(about.samples)
    answer = client.post("/api/add?name=<b>.png", content=data)
    assert answer.status_code == status
    assert words in answer.json()["error"] and "/tmp" not in answer.json()["error"]
    assert len(about.samples) == before


ARRAYS = {case: data for case, data in WRONG.items() if is_arrays(data)}


@pytest.mark.parametrize("case", ARRAYS)
def test_arrays_that_are_not_added(client: Client, about: Session, case: str) -> None:
    before = len(about.samples)
    answer = client.post("/api/add?name=sent", content=ARRAYS[case])
    assert answer.status_code == 422 and "'sent'" in answer.json()["error"]
    assert len(about.samples) == before


def test_arrays_are_added(client: Client, about: Session) -> None:
    before = len(about.samples)
    images = np.zeros((2, 12, 12, 3), np.float32)
    added = client.post("/api/add?name=two.npy", content=npy(images)).json()
    assert added == {"number": before, "names": ["two.npy[0]", "two.npy[1]"]}
    assert client.get(f"/api/sample/{before}").json() == {"preview": "", "texts": [None]}
    assert client.get("/api/sample/999").status_code == 422
    assert client.get(f"/api/picture/{before}/7").status_code == 422


def test_what_is_computed_beside(client: Client, about: Session) -> None:
    setting = Setting(0, target=2)
    for kind in ("sanity", "measures"):
        answer = client.told("beside", more=[kind], target=2)
        assert answer == {"answer": about.beside(kind, setting).told()}
    assert client.told("filters", layer=1) == {"answer": about.filters(Setting(0, layer=1))}
    for more in ([], ["sanity", "measures"], ["else"], [1], "sanity"):
        assert client.ask("beside", more=more).status_code == 422


def test_what_is_written() -> None:
    model = keras.Sequential([keras.Input((3,), name="facts"), keras.layers.Dense(2)])
    made = Session(model, np.zeros((1, 3), np.float32), ("# model",))
    client = Client(lambda: made)
    for body, number in (({"number": 0, "slot": 0, "text": "1, 2, 3"}, 1), ({"text": "4 5 6"}, 2)):
        assert client.post("/api/write", json=body).json()["number"] == number
    np.testing.assert_array_equal(made.samples[2].read()[0], [[4, 5, 6]])
    for body in (
        {"text": "1"},
        {"slot": 3, "text": "1 2 3"},
        {"slot": "x"},
        {"number": 1e400},
        {"text": None},
    ):
        assert client.post("/api/write", content=json.dumps(body)).status_code == 422


def test_the_number_of_added_pictures_is_bounded() -> None:
    made = Session(network(), None, input_range=(0.0, 1.0))
    client = Client(lambda: made)
    small = png(12, 12)
    requests = [("POST", f"/api/add?name={number}.png", {"content": small}) for number in range(70)]
    answers = client.together(*requests)
    assert [each.status_code for each in answers].count(200) == MOST_ADDED == len(made.samples)
    numbers = [each.json()["number"] for each in answers if each.status_code == 200]
    assert sorted(numbers) == [*range(MOST_ADDED)]
    assert "have been added" in next(each for each in answers if each.status_code == 422).json()["error"]


BODIES = [b"", b"[]", b"{", b"[" * 10**4, b"\xff", b'{"page": 1}', b'{"setting": []}']


@pytest.mark.parametrize("body", BODIES, ids=range(len(BODIES)))
def test_what_is_no_request(client: Client, body: bytes) -> None:
    for at in ("explain", "predict", "filters", "beside", "script", "report", "write"):
        answer = client.post(f"/api/{at}", content=body)
        assert answer.status_code == 422 and answer.json()["error"]
    assert client.post("/api/explain", content=b" " * 10**6).status_code == 413


class Slow:
    """A session whose maps wait until they may go on."""

    def __init__(self, about: Session) -> None:
        self.about = about
        self.may, self.begun = threading.Event(), threading.Event()
        self.asked: list[int] = []

    def explain(self, setting: Setting) -> Any:
        self.begun.set()
        assert self.may.wait(30)
        self.asked.append(setting.target or 0)
        return self.about.explain(Setting(0, target=(setting.target or 0) % 5))


def when_asked(client: Client, times: int, act: Callable[[], None]) -> None:
    """Act as soon as the worker has taken so many requests."""
    ask, taken = client.pages.worker.ask, []

    def counted(*given: Any) -> Any:
        made = ask(*given)
        taken.append(made)
        if len(taken) == times:
            act()
        return made

    client.pages.worker.ask = counted  # type: ignore[method-assign]


def requests_of(pages: list[str]) -> list[tuple[str, str, dict[str, Any]]]:
    return [
        ("POST", "/api/explain", {"json": {"page": page, "setting": {"picture": 0, "target": number}}})
        for number, page in enumerate(pages)
    ]


def test_the_newest_of_two_hundred_requests(about: Session) -> None:
    slow = Slow(about)
    client = Client(lambda: slow)
    when_asked(client, 200, slow.may.set)
    answers = client.together(*requests_of(["one"] * 200))
    ends = [last(each) for each in answers]
    assert all(each == {"dropped": True} for each in ends[:-1]), "only the newest is drawn"
    assert ends[-1] == {"answer": about.explain(Setting(0, target=199 % 5)).told()}
    assert slow.asked[-1] == 199 and len(slow.asked) == 2, "what a newer one follows is not computed"


def test_too_many_pages(about: Session) -> None:
    slow = Slow(about)
    client = Client(lambda: slow, most=8)
    threading.Timer(0.5, slow.may.set).start()
    answers = client.together(*requests_of([f"page {number}" for number in range(50)]))
    states = [each.status_code for each in answers]
    assert set(states) == {200, 503} and 8 <= states.count(200) <= 20
    assert "Too many" in next(each for each in answers if each.status_code == 503).json()["error"]


def test_two_browsers(about: Session) -> None:
    client = Client(lambda: about)
    answers = client.together(*requests_of(["one", "two"]))
    for target, answer in enumerate(answers):
        assert last(answer) == {"answer": about.explain(Setting(0, target=target)).told()}


class Endless:
    """A session whose maps go on until they are stopped."""

    def __init__(self) -> None:
        self.begun, self.ended = threading.Event(), threading.Event()

    def explain(self, _: Setting) -> Any:
        try:
            for _ in each(range(10**6), "rounds"):
                self.begun.set()
                time.sleep(0.01)
        finally:
            self.ended.set()


def test_what_nobody_waits_for_ends() -> None:
    endless: Any = Endless()
    explorer = Explorer(lambda: endless).start()
    address, _, token = explorer.url.partition("#token=")
    body = {"page": "one", "setting": {"picture": 0}}
    headers = {HEADER: token}
    while httpx.get(f"{address}api/session", headers=headers).status_code == 200 and not ready(explorer):
        time.sleep(0.01)
    with httpx.stream("POST", f"{address}api/explain", json=body, headers=headers, timeout=30) as answer:
        lines = answer.iter_lines()
        told = [json.loads(next(lines)) for _ in range(2)]
    assert [each["what"] for each in told] == ["rounds"] * 2 and told[0]["total"] == 10**6
    assert told[0]["done"] < told[1]["done"]
    assert endless.ended.wait(10), "it goes on after the page has closed the connection"
    explorer.close()


def ready(explorer: Explorer) -> bool:
    return explorer._pages._session is not None


def test_the_page_answers_while_the_model_is_loaded(about: Session) -> None:
    may = threading.Event()
    client = Client.__new__(Client)
    client.errors = []

    def start() -> Any:
        assert may.wait(30)
        return about

    from vis.explorer.server import Pages

    client.pages = Pages(start, failed=client.errors.append)
    client.guard = Guard(client.pages.app, "127.0.0.1", PORT)
    client.pages.begin()
    assert client.get("/api/session").json() == {"loading": True}
    assert "is being loaded" in client.ask("explain").json()["error"]
    assert client.get("/").status_code == 200
    may.set()
    while client.get("/api/session").json() == {"loading": True}:
        time.sleep(0.01)
