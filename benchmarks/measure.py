"""Timing side by side: the candidates take turns (A B C A B C ...), so a busy machine slows all of them."""

from __future__ import annotations

import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import keras

RESULTS = Path(__file__).with_name("results")
ROUNDS = 9
# A comparison that would take longer has fewer rounds, but at least three.
_SECONDS = 300
_LEAST = 3
# A candidate runs once before the first round; vis on PyTorch, where what runs often gets faster, more often.
_WARM_UP = 60 if keras.config.backend() == "torch" else 1
_WARM_SECONDS = 20


def interleave(candidates: dict[str, Callable[[], Any]], rounds: int = ROUNDS) -> dict[str, list[float]]:
    """Return the seconds of each candidate in each round, after it has warmed up.

    A candidate that raises an error has no entry; the error is printed.
    """
    seconds: dict[str, list[float]] = {name: [] for name in candidates}
    for name, run in list(candidates.items()):
        begun = time.perf_counter()
        try:
            for _ in range(_WARM_UP if name.startswith("vis") else 1):
                run()
                if time.perf_counter() - begun > _WARM_SECONDS:
                    break
        except Exception as error:
            print(f"{name} raises {type(error).__name__}: {' '.join(str(error).split())[:200]}")
            del candidates[name], seconds[name]
    begun = time.perf_counter()
    for number in range(rounds):
        each = (time.perf_counter() - begun) / max(number, 1)
        if number >= _LEAST and each * (number + 1) > _SECONDS:
            break
        for name, run in candidates.items():
            start = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - start)
    return seconds


def row(name: str, seconds: dict[str, list[float]], yardstick: str, units: int = 1) -> dict[str, Any]:
    """Return the results of one comparison.

    Args:
        name: what was compared.
        seconds: by candidate, per round.
        yardstick: the candidate that the others are divided by, round by round.
        units: the number of items that a candidate processes in a call; times are given per item.
    """
    found = {}
    for candidate, times in seconds.items():
        ratios = [a / b for a, b in zip(times, seconds[yardstick], strict=True)]
        quarters = statistics.quantiles(ratios, n=4)
        found[candidate] = {
            "median ms": round(1000 * statistics.median(times) / units, 3),
            "ratio": round(statistics.median(ratios), 3),
            "quartiles of the ratio": [round(quarters[0], 3), round(quarters[2], 3)],
        }
    return {"row": name, "yardstick": yardstick, "rounds": len(seconds[yardstick]), "candidates": found}


def named(results: str) -> str:
    """Return the name of the files with the results of this backend: TensorFlow's have no suffix."""
    backend = keras.config.backend()
    return results if backend == "tensorflow" else f"{results}-{backend}"


def read(name: str) -> dict[str, dict[str, Any]]:
    """Return the rows that `write` has written, by title."""
    path = RESULTS / f"{name}.json"
    rows = json.loads(path.read_text())["rows"] if path.exists() else []
    return {each["row"]: each for each in rows}


def _processor() -> str:
    """Return the name of the processor, if it is known."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"{platform.machine()}, {names[0] if names else platform.processor()}"


def machine(versions: dict[str, str] | None = None) -> dict[str, Any]:
    """Return the machine and the versions; `versions`: those of other packages, by name."""
    return {
        "cores": os.cpu_count(),
        "processor": _processor(),
        "python": platform.python_version(),
        **{package: version(package) for package in (keras.config.backend(), "keras", "numpy")},
        **(versions or {}),
    }


def write(
    name: str,
    rows: list[dict[str, Any]],
    versions: dict[str, str] | None = None,
    facts: dict[str, Any] | None = None,
) -> str:
    """Write the rows with the machine and versions as JSON, and return the table that is written beside it.

    Args:
        name: the name of the files.
        rows: see `row`.
        versions: the versions of other packages, by name.
        facts: other results.
    """
    lines = ["| row | candidate | median ms | ratio | quartiles |", "|---|---|---|---|---|"]
    for each in rows:
        for candidate, found in each["candidates"].items():
            low, high = found["quartiles of the ratio"]
            lines.append(
                f"| {each['row']} | {candidate} | {found['median ms']:.2f} | {found['ratio']:.2f} "
                f"| {low:.2f} to {high:.2f} |"
            )
    table = "\n".join(lines)
    return save(name, table, {"machine": machine(versions), "rows": rows, **(facts or {})})


def save(name: str, table: str, results: dict[str, Any]) -> str:
    """Write results as JSON and their table beside it, and return the table."""
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(results, indent=2) + "\n")
    (RESULTS / f"{name}.md").write_text(table + "\n")
    return table
