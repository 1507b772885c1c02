"""`vis explore` as a shell runs it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.cli.running import loaded_by

httpx = pytest.importorskip("httpx")
pytest.importorskip("uvicorn")


def started(*arguments: object) -> tuple[subprocess.Popen[str], str, str]:
    """Return a running command, its address and its token."""
    script = "from vis.cli import main\nmain()"
    command = [sys.executable, "-u", "-c", script, "explore", *map(str, arguments), "--no-browser"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    address, _, token = process.stdout.readline().strip().partition("/#token=")
    assert not address or process.stdout.readline() == "Ctrl-C ends it.\n"
    return process, address, token


def session(address: str, token: str) -> Any:
    with httpx.Client(base_url=address, headers={"x-vis-token": token}, timeout=60) as client:
        assert client.get("/").status_code == 200
        while (told := client.get("/api/session").json()).get("loading"):
            time.sleep(0.1)
        setting = {"picture": 0, "target": 1}
        lines = client.post("/api/explain", json={"page": "one", "setting": setting}).text.splitlines()
        assert json.loads(lines[-1])["answer"]["maps"][0]["picture"]
        return told


@pytest.mark.parametrize("demo", [False, True], ids=["a model", "the demo"])
def test_explore(folder: Path, demo: bool) -> None:
    if demo:
        pytest.importorskip("sklearn")
    given = ["--demo"] if demo else [folder / "model.keras", folder / "a.png", folder / "other"]
    process, address, token = started(*given)
    try:
        assert address.startswith("http://127.0.0.1:") and len(token) >= 43
        told = session(address, token)
        assert told["name"] == ("digit_scenes" if demo else "network")
        assert len(told["samples"]) == (12 if demo else 2)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130
    assert err.strip().startswith("vis: stopped after ") and err.strip().count("\n") == 0


def test_other_machines_are_warned_of(folder: Path) -> None:
    process, address, token = started(folder / "model.keras", folder / "a.png", "--host", "0.0.0.0")
    try:
        session(address, token)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert "warning: other machines can reach 0.0.0.0" in err


def test_a_model_that_cannot_be_loaded_ends_the_command(folder: Path) -> None:
    process, _, _ = started(folder / "text.keras", folder / "a.png")
    try:
        _, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 2
    assert "could not be read as a Keras model" in err and err.count("\n") == 1


def test_what_is_wrong_is_told_before_keras_is_imported(folder: Path) -> None:
    modules, err = loaded_by("explore", folder / "model.keras", folder / "none.png")
    assert "There is no image file" in err
    assert "keras" not in modules
