"""The page on the choice of a method has every explainer, and the numbers that its script measures."""

import importlib.util
import re
from pathlib import Path

import pytest

import vis
from tests import native
from vis.attributions import Explainer

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "which-method.md").read_text()
SPEC = importlib.util.spec_from_file_location("sanity_table", DOCS / "figures" / "sanity_table.py")
assert SPEC is not None and SPEC.loader is not None
table = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(table)

NAMES = {
    name
    for name in vis.__all__
    if isinstance(thing := getattr(vis, name), type)
    and issubclass(thing, Explainer)
    and thing is not Explainer
}
ROWS = {
    name: cells
    for name, *cells in re.findall(
        r"^\| [^|]+ \| (`\w+`(?:, with signs)?) \| [^|]+ \| [^|]+ \| [^|]+ \| (\S+) \| (\S+) \|$", PAGE, re.M
    )
}


def test_every_explainer_has_a_row_and_a_card() -> None:
    assert {name.split("`")[1] for name in ROWS} == NAMES
    cards = PAGE[PAGE.index("## Input gradients") :]
    assert set(re.findall(r"\*\*`(\w+)`\*\*", cards)) == NAMES


def test_each_row_was_measured_or_says_that_it_was_not() -> None:
    measured = {name for name, cells in ROWS.items() if cells != ["-", "-"]}
    assert measured == {table.label(name) for name in table.EXPLAINERS}
    assert all(-1 <= float(cell) <= 1 for name in measured for cell in ROWS[name])


def test_the_script_writes_into_the_row_of_its_explainer() -> None:
    changed = table.written(PAGE, "Saliency, with signs", (0.5, -0.25))
    (line,) = [new for new, old in zip(changed.splitlines(), PAGE.splitlines(), strict=True) if new != old]
    assert "`Saliency`, with signs" in line and line.endswith(" | 0.50 | -0.25 |")


@pytest.mark.skipif(native.NAME != "TensorFlow", reason="its random weights are those of the documentation")
@pytest.mark.parametrize(
    "name", ["Saliency", "Saliency, with signs", "GuidedBackprop", "LRP", "GradCAM", "EigenCAM"]
)
def test_the_numbers_of_the_page(name: str) -> None:
    quoted = [float(cell) for cell in ROWS[table.label(name)]]
    assert quoted == pytest.approx(table.measured(name), abs=0.03)
