"""The explorer as a person meets it: from the start of the command to the first map, then one change after
another, and memory.

Each round starts `vis explore` in a new process, with the demo's network and pictures, or with a saved
network of keras.applications (random weights) and two photographs of 224 x 224, parts of scikit-learn's
samples. It is asked over HTTP what the page asks. In another process, Chromium opens the page as soon as its
address is printed, so that a map waits for the page, the list of the layers and the predictions, too.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click
import httpx
import keras
import psutil
from browsing import chromium
from measure import machine, named, save

DEMO = "the demo's network"
NETWORKS = (DEMO, "MobileNetV2", "ResNet50")
ROUNDS, SIDE = 3, 224
# Seconds between two looks whether the model is loaded; the page takes 0.3.
_LOOK = 0.05
_DRAWN = """() => document.querySelectorAll("#predictions button").length
  && document.querySelector("article:not(.old) .scale")"""
# Clicks the second predicted class, and returns the seconds until another map is drawn.
_CLICK = """async () => {
  const maps = () => document.querySelectorAll("article:not(.old) img[src^='data:']");
  const shown = () => [...maps()].map((each) => each.src).join();
  const frame = () => new Promise(requestAnimationFrame);
  const before = shown();
  const began = performance.now();
  document.querySelectorAll("#predictions button")[1].click();
  for (let now = before; now === before || now === ""; now = shown()) await frame();
  await frame();
  return (performance.now() - began) / 1000;
}"""


def write_inputs(folder: Path, networks: tuple[str, ...]) -> None:
    """Write the networks and the photographs into a folder."""
    from PIL import Image
    from sklearn.datasets import load_sample_images

    for number, photo in enumerate(load_sample_images().images):
        y, x = (photo.shape[0] - SIDE) // 2, (photo.shape[1] - SIDE) // 2
        Image.fromarray(photo[y : y + SIDE, x : x + SIDE]).save(folder / f"{number}.png")
    for name in networks:
        if name != DEMO:
            keras.utils.set_random_seed(0)
            getattr(keras.applications, name)(weights=None).save(folder / f"{name}.keras")


@contextlib.contextmanager
def started(name: str, folder: Path) -> Iterator[tuple[subprocess.Popen[str], str, float]]:
    """Yield the running command, the address that it prints, and when it was started."""
    given = ["--demo"] if name == DEMO else [folder / f"{name}.keras", folder / "0.png", folder / "1.png"]
    code = "from vis.cli import main\nmain()"
    command = [sys.executable, "-u", "-c", code, "explore", *map(str, given), "--no-browser"]
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        printed = process.stdout.readline() if process.stdout else ""
        yield process, printed.strip(), began
        process.send_signal(signal.SIGINT)
        process.wait(60)
    finally:
        process.kill()
        process.wait()


def memory(process: subprocess.Popen[str]) -> float:
    """Return the resident memory of a process and its children in MiB."""
    first = psutil.Process(process.pid)
    return sum(each.memory_info().rss for each in (first, *first.children(recursive=True))) / 2**20


def asked(client: httpx.Client, path: str, setting: dict[str, Any]) -> float:
    """Return the seconds of an answer.

    Raises:
        RuntimeError: if it has no map, or no predictions.
    """
    began = time.perf_counter()
    answer = client.post(f"/api/{path}", json={"page": "benchmark", "setting": setting})
    last = json.loads(answer.text.splitlines()[-1])
    seconds = time.perf_counter() - began
    found = last.get("answer") or {}
    if not (found if path == "predict" else found["maps"][0]["picture"]):
        raise RuntimeError(f"{path} of {setting}: {answer.text[:200]}")
    return seconds


def over_http(name: str, folder: Path) -> dict[str, float]:
    """Return seconds, and memory in MiB, of one process by what they are of."""
    found: dict[str, float] = {}
    with started(name, folder) as (process, url, began):
        found["start to the address"] = time.perf_counter() - began
        address, _, token = url.partition("/#token=")
        with httpx.Client(base_url=address, headers={"x-vis-token": token}, timeout=300) as client:
            client.get("/").raise_for_status()
            found["start to the page"] = time.perf_counter() - began
            while (told := client.get("/api/session").json()).get("loading"):
                time.sleep(_LOOK)
            found["start to the table of layers"] = time.perf_counter() - began
            found["MiB with the table of layers"] = memory(process)
            asked(client, "explain", {"picture": 0})
            found["start to the first map"] = time.perf_counter() - began
            convolutions = [i for i, row in enumerate(told["layers"]) if row["type"] == "Conv2D"]
            guided = {"picture": 1, "target": 3, "options": {"backprop_modifier": "guided"}}
            layer = {"picture": 1, "target": 3, "layer": convolutions[len(convolutions) // 2]}
            for what, path, setting in (
                ("the same setting again", "explain", {"picture": 0}),
                ("another picture", "explain", {"picture": 1}),
                ("another class", "explain", {"picture": 1, "target": 3}),
                ("a first modifier, guided", "explain", guided),
                ("a first layer inside", "explain", layer),
                ("another filter of it", "explain", layer | {"target": 4}),
                ("a first method of another kind, gradcam", "explain", {"picture": 1, "method": "gradcam"}),
                ("predictions, first picture", "predict", {"picture": 0}),
                ("predictions, another picture", "predict", {"picture": 1}),
            ):
                found[what] = asked(client, path, setting)
            found["MiB after all of this"] = memory(process)
    return found


def in_browser(name: str, folder: Path, browser: Any) -> dict[str, float]:
    """Return the seconds of one process by what they are of, as Chromium shows it."""
    found: dict[str, float] = {}
    with started(name, folder) as (_, url, began):
        context = browser.new_context(viewport={"width": 1280, "height": 900})
        tab = context.new_page()
        tab.goto(url)
        tab.wait_for_function(_DRAWN, timeout=300_000)
        found["Chromium: start to the first map drawn"] = time.perf_counter() - began
        found["Chromium: click on another class to its map"] = tab.evaluate(_CLICK)
        again = context.new_page()
        began = time.perf_counter()
        again.goto(url)
        again.wait_for_function(_DRAWN)
        found["Chromium: page opened again to its map"] = time.perf_counter() - began
        context.close()
    return found


@click.command()
@click.option("--rounds", default=ROUNDS, show_default=True)
@click.option("--network", "networks", multiple=True, type=click.Choice(NETWORKS), default=NETWORKS)
@click.option("--browser/--no-browser", default=True, help="Measure in Chromium, too.")
def run(rounds: int, networks: tuple[str, ...], browser: bool) -> None:
    """Measure and write the results."""
    found: dict[str, list[dict[str, float]]] = {name: [] for name in networks}
    versions = {package: version(package) for package in ("starlette", "uvicorn")}
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as temporary, contextlib.ExitStack() as stack:
        folder = Path(temporary)
        write_inputs(folder, networks)
        opened = stack.enter_context(chromium()) if browser else None
        if opened is not None:
            versions["chromium"] = opened.version
        for _ in range(rounds):
            for name, measured in found.items():
                once = over_http(name, folder)
                measured.append(once if opened is None else once | in_browser(name, folder, opened))
                print(name, {what: round(value, 3) for what, value in measured[-1].items()}, flush=True)
    rows = [
        {"row": name, "what": what, "median": round(statistics.median(values), 3), "values": values}
        for name, measured in found.items()
        for what in measured[0]
        for values in [[round(once[what], 3) for once in measured]]
    ]
    lines = ["| network | what | median | lowest to highest |", "|---|---|---|---|"]
    for each in rows:
        unit, digits = (" MiB", 0) if "MiB" in each["what"] else (" s", 3 if each["median"] < 0.1 else 2)
        middle, low, high = (
            f"{value:.{digits}f}" for value in (each["median"], min(each["values"]), max(each["values"]))
        )
        lines.append(f"| {each['row']} | {each['what']} | {middle}{unit} | {low} to {high} |")
    facts = {"rounds": rounds, "load average before": round(load, 2)}
    print(save(named("explorer"), "\n".join(lines), {"machine": machine(versions), **facts, "rows": rows}))


if __name__ == "__main__":
    run()
