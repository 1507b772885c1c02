"""Examples, run as commands."""

import contextlib
import io
import re
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

EXAMPLES = Path(__file__).parents[2] / "examples"
SCRIPTS = sorted(EXAMPLES.glob("*.py"))
NUMBER = r"(\d\.\d\d)"


def run(name: str, folder: Path, *arguments: str) -> str:
    """Run an example in this process, look at its picture, and return what it printed."""
    printed = io.StringIO()
    path = str(EXAMPLES / f"{name}.py")
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(printed):
        patch.setattr(sys, "argv", [path, *arguments, "--output", str(folder)])
        runpy.run_path(path, run_name="__main__")
    check_picture(folder / f"{name}.png")
    return printed.getvalue()


def run_apart(name: str, folder: Path) -> str:
    """Run an example in a process of its own, for one that registers names: those stay registered."""
    command = [sys.executable, str(EXAMPLES / f"{name}.py"), "--output", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    check_picture(folder / f"{name}.png")
    return done.stdout


def check_picture(path: Path) -> None:
    with Image.open(path) as picture:
        pixels = np.asarray(picture.convert("RGB"), np.float64)
    assert min(pixels.shape[:2]) > 200
    assert pixels.std(axis=(0, 1)).min() > 20


def shares(printed: str, line: str) -> list[float]:
    """Return the figures with two decimals in the line that starts with `line`."""
    (found,) = [text for text in printed.splitlines() if text.startswith(line)]
    return [float(number) for number in re.findall(rf"(?<![+-]){NUMBER}", found)]
