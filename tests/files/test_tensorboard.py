"""Pictures in the log that TensorBoard reads."""

import sys
from pathlib import Path

import numpy as np
import pytest

from tests.files.events import logged
from vis.files import PictureLog

PICTURES = np.random.default_rng(0).integers(0, 256, (2, 5, 4, 3), np.uint8)


def test_pictures_of_steps(tmp_path: Path) -> None:
    log = PictureLog(tmp_path / "deep" / "logs")
    log.write("maps", PICTURES, 0)
    log.write("maps", PICTURES[:1, :, ::-1], 3)
    log.close()
    log.close()
    found = logged(tmp_path / "deep" / "logs")
    assert [(step, name) for step, name, _ in found] == [(0, "maps/0"), (0, "maps/1"), (3, "maps/0")]
    for (_, _, picture), expected in zip(found, [*PICTURES, PICTURES[0, :, ::-1]], strict=True):
        np.testing.assert_array_equal(picture, expected)


def test_logs_of_one_folder_and_one_that_goes_on(tmp_path: Path) -> None:
    first, second = PictureLog(tmp_path), PictureLog(tmp_path)
    first.write("a", PICTURES[:1], 0)
    second.write("b", PICTURES[:1], 0)
    first.close()
    first.write("a", PICTURES[:1], 1)
    for log in (first, second):
        log.close()
    assert [(step, name) for step, name, _ in logged(tmp_path)] == [(0, "a/0"), (0, "b/0"), (1, "a/0")]


def test_without_tensorboardx(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(ImportError, match=r'pip install "keras-vis3\[tensorboard\]"'):
        PictureLog(tmp_path / "logs")
    assert not (tmp_path / "logs").exists()
