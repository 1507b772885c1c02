"""Examples that optimize pictures or train on roads: what they claim holds."""

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.examples.running import run, shares


def test_regression_steering(tmp_path: Path) -> None:
    printed = run("regression_steering", tmp_path)
    for line, wanted in (("left", -0.8), ("straight", 0.0), ("right", 0.8)):
        area, increases, decreases, maintains = shares(printed, line)
        assert min(increases, decreases) >= 1.5 * area
        assert maintains < area
        (answer,) = re.findall(rf"{line}.*\(answer ([+-]\d\.\d\d)\)", printed)
        assert float(answer) == pytest.approx(wanted, abs=0.15)


def test_filter_pictures(tmp_path: Path) -> None:
    printed = run("filter_pictures", tmp_path, "--steps", "40")
    found = re.findall(r"(\d+\.\d) times as much .* for (\d) of 8", printed)
    assert len(found) == 3
    for ratio, own in found:
        assert float(ratio) > 2
        assert int(own) >= 6


def test_optimization_gif(tmp_path: Path) -> None:
    printed = run("optimization_gif", tmp_path, "--steps", "60")
    probabilities = [float(text) for text in re.findall(r"probability (\d\.\d\d)", printed)]
    assert probabilities[0] < 0.5 and probabilities[-1] > 0.9
    with Image.open(tmp_path / "optimization_gif.gif") as gif:
        assert gif.n_frames == 60
        gif.seek(59)
        assert np.asarray(gif.convert("RGB"), np.float64).std() > 20
