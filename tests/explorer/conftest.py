"""A model and pictures to explore, and a server about them."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers
from PIL import Image

httpx = pytest.importorskip("httpx")
pytest.importorskip("starlette")
pytest.importorskip("uvicorn")

from vis.explorer.guard import HEADER, Guard  # noqa: E402
from vis.explorer.server import Pages  # noqa: E402
from vis.explorer.session import Session  # noqa: E402

PORT = 8123
ORIGIN = f"http://127.0.0.1:{PORT}"


def network() -> keras.Model:
    """Return a small classifier whose weights are the same on every backend."""
    inputs = layers.Input((12, 12, 3), name="scene")
    x = layers.Conv2D(4, 3, activation="relu", name="conv")(inputs)
    x = layers.Conv2D(3, 3, activation="gelu", name="smooth")(x)
    x = layers.Dense(5, activation="softmax", name="classes")(layers.GlobalAveragePooling2D(name="mean")(x))
    model = keras.Model(inputs, x, name="network")
    random = np.random.default_rng(1)  # with which no map that the tests look at is empty
    model.set_weights([random.normal(0, 0.3, each.shape) for each in model.get_weights()])
    return model


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a model and pictures, which no test changes."""
    path = tmp_path_factory.mktemp("explored")
    network().save(path / "model.keras")
    (path / "photos").mkdir()
    random = np.random.default_rng(0)
    for name in ("a.png", "b.png", "c.jpg"):
        Image.fromarray(random.integers(0, 256, (20, 30, 3), dtype=np.uint8)).save(path / "photos" / name)
    return path


@pytest.fixture(scope="session")
def about(folder: Path) -> Session:
    """Return a session about them."""
    return Session(folder / "model.keras", folder / "photos", input_range=(0.0, 1.0))


class Client:
    """What a browser can send, without one.

    Args:
        start: makes the session.
        most: how many requests may wait.
    """

    def __init__(self, start: Callable[[], Any], most: int = 128) -> None:
        self.errors: list[BaseException] = []
        self.pages = Pages(start, most, self.errors.append)
        self.guard = self.pages.guard = Guard(self.pages.app, "127.0.0.1", PORT)
        self.pages.begin()
        while self.pages._session is None and not self.errors:
            time.sleep(0.01)

    def together(self, *requests: tuple[str, str, dict[str, Any]]) -> list[Any]:
        """Send requests at once; return the answers in the same order."""

        async def send() -> list[Any]:
            transport = httpx.ASGITransport(self.guard, raise_app_exceptions=False)
            headers = {HEADER: self.guard.token}
            async with httpx.AsyncClient(transport=transport, base_url=ORIGIN, headers=headers) as client:
                sent = [client.request(kind, at, **more) for kind, at, more in requests]
                return await asyncio.gather(*sent)

        return asyncio.run(send())

    def get(self, at: str, **more: Any) -> Any:
        return self.together(("GET", at, more))[0]

    def post(self, at: str, **more: Any) -> Any:
        return self.together(("POST", at, more))[0]

    def ask(self, at: str, page: str = "one", more: Sequence[str] = (), **setting: Any) -> Any:
        given = {"page": page, "setting": {"picture": 0, **setting}, "more": [*more]}
        return self.post(f"/api/{at}", json=given)

    def told(self, at: str, page: str = "one", more: Sequence[str] = (), **setting: Any) -> Any:
        """Return the last line of an answer that is computed."""
        return last(self.ask(at, page, more, **setting))


def last(answer: Any) -> Any:
    """Return the last line of an answer that is computed; the others say how far it is."""
    assert answer.status_code == 200, answer.text
    *before, found = [json.loads(line) for line in answer.text.splitlines()]
    assert all(set(line) == {"done", "total", "what"} for line in before)
    assert len(found) == 1
    return found


@pytest.fixture
def client(about: Session) -> Iterator[Client]:
    made = Client(lambda: about)
    yield made
    made.pages.worker.end()
