"""Sheets: the pictures stand where they belong, and more of them make more sheets."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.reports.conftest import BROKEN, NAMES
from vis.errors import InputError, SkippedWarning
from vis.plotting.colors import Look
from vis.plotting.lettering import font
from vis.reports import sheets
from vis.reports.drawings import Inputs, drawing
from vis.reports.run import Run
from vis.reports.sheet import _cut

GAP, CAPTION = 14, 36


def size_of(path: Path) -> tuple[int, int]:
    with Image.open(path) as picture:
        return picture.size


def test_cells(run: Callable[..., Path], tmp_path: Path) -> None:
    path = run()
    (written,) = sheets(path, tmp_path / "sheet.png", columns=4, size=50)
    assert written == tmp_path / "sheet.png"
    sheet = np.asarray(Image.open(written))
    wide, high = 2 * 48 + 2, 36 + CAPTION
    assert sheet.shape == (2 * (high + GAP) + GAP, 4 * (wide + GAP) + GAP, 3)
    held = Run(path)
    inputs, look = Inputs(held), Look(clip_percentile=1, signed=False)
    for row in held.rows(range(6)):
        y, x = divmod(row.number, 4)
        top, left = GAP + y * (high + GAP), GAP + x * (wide + GAP)
        cell = sheet[top : top + 36, left : left + wide]
        caption = sheet[top + 36 : top + 36 + CAPTION, left : left + wide]
        assert (caption < 128).any(), "there is a caption"
        if row.number == BROKEN:
            assert (cell[:, :48] == (0xE4, 0xE4, 0xE0)).all() and (cell[:, 48:] == 255).all()
            continue
        panels = drawing(row, inputs, look).panels
        large = [panels[name].repeat(3, 0).repeat(3, 1) for name in ("input", "map over input")]
        np.testing.assert_array_equal(cell[:, :48], large[0])
        np.testing.assert_array_equal(cell[:, 50:], large[1])


def test_pages(run: Callable[..., Path], tmp_path: Path) -> None:
    path = run()
    written = sheets(path, tmp_path / "s.png", columns=2, rows=2, first=1, size=40)
    assert [each.name for each in written] == ["s-1.png", "s-2.png"]
    (wide, high), (narrow, low) = map(size_of, written)
    assert low < high == 2 * (24 + CAPTION + GAP) + GAP and narrow < wide
    (one,) = sheets(path, tmp_path / "one.png", count=3, columns=2, rows=2)
    assert one.name == "one.png"


def test_maps_alone(run: Callable[..., Path], pictures: Path, tmp_path: Path) -> None:
    path = run()
    pictures.rename(tmp_path / "moved")
    with pytest.warns(SkippedWarning, match="the maps stand alone"):
        sheets(path, tmp_path / "alone.png")
    sheets(path, tmp_path / "both.png", images=tmp_path / "moved")
    assert size_of(tmp_path / "alone.png")[0] < size_of(tmp_path / "both.png")[0]


def test_what_is_wrong(run: Callable[..., Path], tmp_path: Path) -> None:
    path = run()
    for options, words in [
        ({"columns": 0}, "columns must be"),
        ({"rows": 0}, "rows must be"),
        ({"first": 9}, "6 maps"),
    ]:
        with pytest.raises(InputError, match=words):
            sheets(path, tmp_path / "sheet.png", **options)  # type: ignore[arg-type]
    assert not (tmp_path / "sheet.png").exists()


def test_long_captions_are_cut() -> None:
    letters = font(11)
    name = "/".join(NAMES) * 4
    cut = _cut(name, letters, 100, keep_end=True)
    assert letters.getlength(cut) <= 100 < letters.getlength("W" + cut)
    assert cut[0] == "…" and name.endswith(cut[1:])
    assert name.startswith(_cut(name, letters, 100)[:-1])
    assert _cut("short\nname", letters, 100) == "short name"
    assert _cut("W", letters, 1) == "…", "however narrow the cell is"
