"""`vis report`, from a folder to a page."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.cli.running import run


def test_from_a_folder_to_a_page(capfd: pytest.CaptureFixture[str], folder: Path, tmp_path: Path) -> None:
    pictures, maps, page = tmp_path / "pictures", tmp_path / "maps.zarr", tmp_path / "out" / "report.html"
    (pictures / "inside").mkdir(parents=True)
    rng = np.random.default_rng(1)
    names = ["0.png", "<b>.png", "inside/2.png"]
    for name in names:
        Image.fromarray(rng.integers(0, 256, (20, 30, 3), dtype=np.uint8)).save(pictures / name)
    (pictures / "broken.png").write_text("no picture")
    assert run(capfd, "explain", folder / "model.keras", pictures, "-o", maps, "--target", 3)[0] == 0
    labels = tmp_path / "imagenet_class_index.json"
    labels.write_text(json.dumps({str(number): [f"n{number}", f"label{number}"] for number in range(5)}))
    code, out, err = run(capfd, "report", maps, "-o", page, "--labels", labels)
    table = page.with_suffix(".csv")
    assert (code, err) == (
        0,
        "",
    ) and out == f"{maps} -> {page} ({page.stat().st_size / 1e6:.1f} MB) and {table}\n"
    with table.open(encoding="utf-8-sig", newline="") as file:
        lines = [*csv.DictReader(file)]
    assert [line["file"] for line in lines] == ["0.png", "<b>.png", "broken.png", "inside/2.png"]
    assert [line["target_label"] for line in lines] == ["label3", "label3", "", "label3"]
    text = page.read_text()
    assert text.count('alt="input"') == 3 and "&lt;b&gt;.png" in text and "<b>.png" not in text
    pictures.rename(tmp_path / "moved")
    code, out, err = run(capfd, "report", maps, "-o", page)
    assert code == 0 and "is not there any more, so the maps stand alone" in err
    assert page.read_text().count('alt="input"') == 0
    moved = ["report", maps, "-o", page, "--images", tmp_path / "moved", "--count", 1]
    for more, count in (([], 1), (["--all"], 3)):
        code, _, err = run(capfd, *moved, *more)
        assert (code, err) == (0, "") and page.read_text().count('alt="input"') == count


def test_another_name_than_that_of_a_table(
    capfd: pytest.CaptureFixture[str], folder: Path, tmp_path: Path
) -> None:
    maps = tmp_path / "maps.zarr"
    assert run(capfd, "explain", folder / "model.keras", folder / "other", "-o", maps)[0] == 0
    code, out, err = run(capfd, "report", maps, "-o", tmp_path / "report.csv")
    assert (code, out) == (2, "") and "A report is written to a file that ends in .html" in err
