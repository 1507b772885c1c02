"""Examples of other inputs than pictures: the maps find the known answer, as `docs/pictures.md` says."""

import re
from pathlib import Path

import pytest
from PIL import Image

from tests import native
from tests.examples.running import EXAMPLES, NUMBER, run, shares


def quoted(claim: str, numbers: list[float]) -> None:
    """Compare figures with those in the documentation, whose random weights are those of TensorFlow."""
    if native.NAME == "TensorFlow":
        page = " ".join((EXAMPLES.parent / "docs" / "pictures.md").read_text().split())
        (found,) = re.findall(claim.replace("N", NUMBER), page)
        assert [float(number) for number in found] == pytest.approx(numbers, rel=0.25, abs=0.1)


def test_text(tmp_path: Path) -> None:
    right, words, opinions, signs = shares(run("text", tmp_path), "text")
    assert right > 0.95 and opinions > 2 * words and signs > 0.85
    claim = r"are N of the words and have N of the map .+? has the right sign in N of the cases"
    quoted(claim, [words, opinions, signs])


def test_ecg(tmp_path: Path) -> None:
    right, time, beat, lead = shares(run("ecg", tmp_path), "series")
    assert right > 0.95 and beat > 5 * time and lead > 0.65
    quoted(r"takes N of the time and has N of the map; its lead has N", [time, beat, lead])


def test_scan(tmp_path: Path) -> None:
    right, area, inside = shares(run("scan", tmp_path), "volume")
    assert right > 0.95 and inside > 8 * area
    quoted(r"fills N of the volume and has N of the map", [area, inside])


def test_video(tmp_path: Path) -> None:
    right, area, inside = shares(run("video", tmp_path), "video")
    assert right > 0.95 and inside > 3 * area
    quoted(r"fills N of the frames and has N of the map", [area, inside])
    with Image.open(tmp_path / "video.gif") as gif:
        assert gif.n_frames == 8


def test_table(tmp_path: Path) -> None:
    right, first, last = shares(run("table", tmp_path), "table")
    assert right > 0.93 and first > 5 * last
    quoted(r"change the logit by N, the last 8 by N", [first, last])
