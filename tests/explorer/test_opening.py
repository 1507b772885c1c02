"""`vis.explore`, as a notebook calls it."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

import vis
from tests.explorer.conftest import network

httpx = pytest.importorskip("httpx")


def test_a_frame_in_a_notebook(folder: Path) -> None:
    explorer = vis.explore(network(), np.zeros((2, 12, 12, 3), np.float32), input_range=(0.0, 1.0))
    try:
        frame = explorer._repr_html_()
        (url,) = re.findall(r'<iframe src="([^"]+)" title="vis explore"', frame)
        assert 'allow="clipboard-write"' in frame
        assert url == explorer.url and repr(explorer) == f"Explorer({url!r})"
        page = httpx.get(url.split("#")[0])
        policy = page.headers["content-security-policy"]
        assert re.search(r"frame-ancestors http://localhost:\* http://127\.0\.0\.1:\*", policy)
        token = url.split("token=")[1]
        told = httpx.get(url.split("#")[0] + "api/session", headers={"x-vis-token": token}).json()
        assert told["samples"] == ["images[0]", "images[1]"]
    finally:
        explorer.close()
    with pytest.raises(httpx.ConnectError):
        httpx.get(url.split("#")[0])


def test_a_port_that_is_taken() -> None:
    one = vis.explore(network())
    try:
        port = int(one.url.split(":")[2].split("/")[0])
        with pytest.raises(vis.errors.InputError, match="cannot be listened on"):
            vis.explore(network(), port=port)
    finally:
        one.close()
