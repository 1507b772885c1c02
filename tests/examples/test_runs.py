"""Examples of long runs and of trainings: what they claim holds."""

import re
from pathlib import Path

import pytest

from tests.examples.running import run


def test_many_pictures(tmp_path: Path) -> None:
    pytest.importorskip("zarr")
    printed = run("many_pictures", tmp_path)
    (stopped,) = re.findall(r"stopped after (\d+) scenes", printed)
    assert 0 < int(stopped) < 300
    (right,) = re.findall(r"300 scenes, (\d+) named correctly", printed)
    assert int(right) > 285
    assert re.search(r"maps\.html: \d+\.\d MB, and maps\.csv", printed)
    assert re.search(r"the part on Ray is left out|on Ray: maps \(50, 64, 64, 1\)", printed)


def test_watch_training(tmp_path: Path) -> None:
    printed = run("watch_training", tmp_path)
    files = [f"epoch-{epoch:03d}.png" for epoch in range(1, 6)]
    assert printed.startswith(", ".join(files))
    assert sorted(path.name for path in (tmp_path / "epochs").iterdir()) == files
    shares = [float(share) for share in re.findall(r"named, (\d\.\d\d) of the maps", printed)]
    right = [float(share) for share in re.findall(r": (\d\.\d\d) of the training", printed)]
    assert len(shares) == 5 and shares[-1] > shares[0] + 0.1 and right[-1] > 0.7
