"""Examples of explainers and of how to compare them: what they claim holds."""

import re
from pathlib import Path

from tests.examples.running import EXAMPLES, run, shares
from tests.examples.test_form import blocks, shown


def test_data_sets(tmp_path: Path) -> None:
    printed = run("data_sets", tmp_path)
    assert "images (32, 64, 64, 3), maps (32, 64, 64, 1)" in printed
    (area,) = shares(printed, "the box")
    for name in ("saliency", "integrated gradients", "Grad-CAM", "SmoothGrad"):
        assert shares(printed, name)[0] > 3 * area
    (difference,) = re.findall(r"all at once: (\S+)", printed)
    assert float(difference) < 1e-5


def test_keras_tutorials(tmp_path: Path) -> None:
    printed = run("keras_tutorials", tmp_path)
    (area,) = shares(printed, "the box")
    for name in ("Grad-CAM", "gradient", "integrated gradients"):
        assert shares(printed, name)[0] > 2 * area
    assert 0.9 < shares(printed, "sum of")[0] < 1.1


def test_keras_tutorials_take_as_few_lines_as_they_say() -> None:
    cells = [cell for cell in blocks((EXAMPLES / "keras_tutorials.py").read_text()) if "these are" in cell[0]]
    assert len(cells) == 3
    for text, code in cells:
        lines = [line for line in shown(code).splitlines() if line.strip() and line != "figure"]
        (claimed,) = re.findall(r"these are (\d)", " ".join(text.split()))
        assert len(lines) == int(claimed)


def test_choosing_a_method(tmp_path: Path) -> None:
    """No explainer is the best by all measures."""
    printed = run("choosing_a_method", tmp_path)
    header, *rows = printed.strip().splitlines()
    measures = re.findall(r"(\S[\w ]*?) ([↓↑])", header.removeprefix("explainer"))[:5]
    medians = {
        re.split(r" {2,}", row)[0]: [float(cell) for cell in re.findall(r"(-?\d+\.\d+) \[", row)]
        for row in rows
    }
    assert len(medians) == 5 and {len(values) for values in medians.values()} == {5}
    best = {
        (min if arrow == "↓" else max)(medians, key=lambda name, i=i: medians[name][i])
        for i, (_, arrow) in enumerate(measures)
    }
    assert len(best) > 1


def test_relevance(tmp_path: Path) -> None:
    printed = run("relevance", tmp_path)
    (area,) = shares(printed, "the box")
    for name in ("epsilon:", "epsilon plus: 0.9", "alpha 2 beta 1", "gamma and box"):
        assert shares(printed, name)[0] > 4 * area
    (kept,) = re.findall(r"(\d\.\d\d) of the score arrives", printed)
    assert 0.7 < float(kept) < 1
    # Biases took what is missing, most of it in the first convolution.
    score, arrived, bias = map(
        float, re.search(r"score (\S+), relevance (\S+); taken: bias (\S+),", printed).groups()
    )
    assert abs(score - arrived - bias) < 0.01 * (score - arrived)
    table = [line for line in printed.splitlines() if "ZPlus()" in line]
    assert "conv1" in max(table, key=lambda line: float(line.split()[4]))


def test_transformer(tmp_path: Path) -> None:
    printed = run("transformer", tmp_path)
    (right,) = re.findall(r"(\d\.\d\d) of 300", printed)
    assert float(right) > 0.7
    (area,) = shares(printed, "the box")
    found = {name: shares(printed, name) for name in ("rollout", "attention x gradient", "AttnLRP")}
    assert min(inside for inside, *_ in found.values()) > 2 * area
    alike = {
        name: float(re.findall(rf"{name}: .* (-?\d\.\d\d)$", printed, re.MULTILINE)[0]) for name in found
    }
    assert alike["rollout"] > 0.95 > alike["attention x gradient"] > alike["AttnLRP"]


def test_segmentation(tmp_path: Path) -> None:
    printed = run("segmentation", tmp_path)
    assert float(printed[:4]) > 0.6
    (area,) = shares(printed, "the box")
    for name in ("first region", "second region"):
        own, other = shares(printed, name)
        assert own > 0.5 and own > 2 * other and own > 3 * area


def test_detection(tmp_path: Path) -> None:
    printed = run("detection", tmp_path)
    assert shares(printed, "overlap")[0] > 0.5
    (area,) = shares(printed, "the box")
    own, other = shares(printed, "falls")
    assert own > 3 * area and other < own / 3
