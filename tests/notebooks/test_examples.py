"""An example as a notebook, without any file beside it."""

from pathlib import Path

from tests import native
from tests.examples.running import EXAMPLES
from tests.examples.test_form import blocks, shown
from tests.notebooks.running import kinds, run_cells

pytestmark = native.once


def test_an_example_shows_its_figure(tmp_path: Path) -> None:
    cells = [shown(code) for _, code in blocks((EXAMPLES / "class_saliency.py").read_text()) if code]
    outputs = run_cells(cells, tmp_path)
    (types,) = [found for cell in outputs for kind, found in kinds(cell) if kind == "execute_result"]
    assert "image/png" in types
    printed = "".join(each["text"] for cell in outputs for each in cell if each.get("name") == "stdout")
    assert "first class: 0." in printed
