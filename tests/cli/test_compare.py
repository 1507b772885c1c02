"""`vis compare`."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import vis
from tests.cli.running import run
from vis import files, metrics


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number, pixels in enumerate(
        np.random.default_rng(1).integers(0, 256, (4, 12, 12, 3), dtype=np.uint8)
    ):
        Image.fromarray(pixels).save(folder / f"{number}.png")
    return folder


def test_compare(capfd: Any, folder: Path, pictures: Path, tmp_path: Path) -> None:
    table, figure = tmp_path / "out" / "table.csv", tmp_path / "out" / "figure.png"
    (pictures / "broken.png").write_bytes(b"no picture")
    measures = "deletion,sparseness,average_drop"
    code, out, err = run(
        capfd,
        *(
            "compare",
            folder / "model.keras",
            pictures,
            "--target",
            3,
            "--methods",
            "saliency, gradient-input",
        ),
        *("--measures", measures, "-o", table, "-o", figure, "--seed", 2),
    )
    assert code == 0 and err.count("\n") == 1 and "is not a picture" in err and "skipped" in err
    network = files.load_model(folder / "model.keras")
    logits = vis.linear_outputs(network)
    arrays = np.stack([files.load_image(pictures / f"{k}.png", (12, 12, 3)) / 255 for k in range(4)])
    explainers = {"saliency": vis.Saliency(logits), "gradient-input": vis.GradientInput(logits)}
    wanted = metrics.compare(explainers, arrays, 3, measures.split(","), model=network, seed=2)
    lines = out.splitlines()
    assert lines[0].startswith("values from 0 to 1 assumed")
    assert lines[1].split()[:3] == ["explainer", "deletion", "\u2193"]
    for line, row in zip(lines[2:4], wanted.table().rows, strict=True):
        assert line.split("  ")[0] == row[0] and all(cell in line for cell in row[:-1])
    assert lines[4:] == [f"-> {table}", f"-> {figure}"]
    with open(table, encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    assert header == ["explainer", "measure", "better", "median", "low", "high"] and len(rows) == 2 * 4
    assert rows[0][:3] == ["saliency", "deletion", "lower"]
    np.testing.assert_allclose(
        [float(cell) for cell in rows[0][3:]], wanted.intervals["saliency"]["deletion"], rtol=1e-4
    )
    assert rows[3][1] == "ms per map" and figure.read_bytes().startswith(b"\x89PNG")


def test_hidden_layers_and_fewer_pictures(capfd: Any, folder: Path, pictures: Path) -> None:
    code, out, err = run(
        capfd,
        *("compare", folder / "model.keras", pictures, "--layer", "positive", "--target", 1, "--count", 2),
        *("--methods", "saliency", "--measures", "deletion"),
    )
    assert code == 0 and "vis: 2 of 4 pictures are measured (--count)" in err and "saliency" in out


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--methods", "saliency,salincy"], "Unknown method: 'salincy'. Did you mean 'saliency'"),
        (["--measures", "deletion,fidelity"], "Unknown measure: 'fidelity'"),
        (["-o", "table.txt"], "ends in .csv"),
        (["--target", 1, "--target", 2], "One target is explained at a time. Received: 1, 2"),
        (["--measures", "average_drop", "--layer", "positive", "--target", "1"], "must be probabilities"),
        (["--target", 7], "out of range"),
    ],
)
def test_what_is_refused(capfd: Any, folder: Path, pictures: Path, options: list[Any], words: str) -> None:
    code, out, err = run(capfd, "compare", folder / "model.keras", pictures, *options)
    assert (code, out) == (2, "") and words in err
    assert not list(pictures.glob("*.txt"))
