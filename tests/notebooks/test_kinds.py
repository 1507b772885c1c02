"""Texts, series, volumes, features and results in a notebook: what the last line of a cell shows."""

import base64
import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests import native
from tests.notebooks.running import kinds, run_cells

pytestmark = native.once

CELLS = {
    "words": """
import numpy as np
from vis import metrics, plotting
rng = np.random.default_rng(0)
words = ["never", "a", "dull", "<b>minute</b>"]
plotting.plot_tokens(words, rng.normal(size=(1, 4, 1)))
""",
    "series": "plotting.plot_series(rng.normal(size=(50, 2)), rng.normal(size=(1, 50, 1)))",
    "volume": "plotting.plot_volume(rng.random((6, 8, 9)), rng.random((1, 6, 8, 9, 1)))",
    "features": "plotting.plot_features(['age', 'bmi'], rng.normal(size=(30, 2)))",
    "curve": """
curve = metrics.Curve(np.linspace(0, 1, 11), rng.random((5, 11)), "removed")
curve.plot()
""",
    "table": "curve.table()",
    "comparison": "metrics.table({'<b>': {'deletion': curve, 'hits': np.array([True, False])}})",
    "repr": "curve",
    "axes": """
import matplotlib.pyplot as plt
_, (left, right) = plt.subplots(1, 2)
plotting.plot_tokens(words, [1, 2, 3, 4], ax=left)
plotting.plot_features(words, [1, 2, 3, 4], ax=right);
""",
}
Outputs = Sequence[Mapping[str, Any]]


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Outputs]:
    found = run_cells(list(CELLS.values()), tmp_path_factory.mktemp("home"))
    return dict(zip(CELLS, found, strict=True))


def pixels(output: Mapping[str, Any]) -> np.ndarray:
    with Image.open(io.BytesIO(base64.b64decode(output["data"]["image/png"]))) as picture:
        return np.asarray(picture.convert("RGB"))


@pytest.mark.parametrize("name", ["series", "volume", "features", "curve"])
def test_a_figure_as_the_last_line_is_one_picture(outputs: dict[str, Outputs], name: str) -> None:
    assert kinds(outputs[name]) == [("execute_result", {"image/png", "text/plain"})]
    shown = pixels(outputs[name][0])
    assert min(shown.shape[:2]) > 100 and shown.std() > 20


def test_words_are_html_and_a_picture(outputs: dict[str, Outputs]) -> None:
    (output,) = outputs["words"]
    assert set(output["data"]) == {"image/png", "text/html", "text/plain"}
    assert pixels(output).std() > 20
    page = output["data"]["text/html"]
    assert "&lt;b&gt;minute&lt;/b&gt;" in page and "<b>" not in page


@pytest.mark.parametrize("name", ["table", "comparison"])
def test_tables_are_html_and_aligned_text(outputs: dict[str, Outputs], name: str) -> None:
    (output,) = outputs[name]
    assert set(output["data"]) == {"text/html", "text/plain"}
    assert output["data"]["text/html"].startswith("<table>") and "<b>" not in output["data"]["text/html"]
    lines = output["data"]["text/plain"].splitlines()
    assert len({len(line) for line in lines}) == 1 and "\\n" not in output["data"]["text/plain"]


def test_a_result_says_what_it_is(outputs: dict[str, Outputs]) -> None:
    (output,) = outputs["repr"]
    assert output["data"]["text/plain"].startswith(
        "Curve(fractions=<11 values, 0 to 1>, scores=<5 x 11 values"
    )


def test_a_figure_of_the_user_is_shown_once(outputs: dict[str, Outputs]) -> None:
    (picture,) = [output for output in outputs["axes"] if "image/png" in output.get("data", ())]
    assert picture["output_type"] == "display_data" and pixels(picture).std() > 20
