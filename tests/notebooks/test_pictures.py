"""Figures in notebooks: they show themselves, once, whatever backend pyplot has."""

import base64
import io
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests import native
from tests.notebooks.running import ROOT, kinds, run_cells

pytestmark = native.once

PAGE = (ROOT / "docs" / "pictures.md").read_text().partition("\n## Text, series, volumes, tables")[0]
SNIPPETS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
# What the page takes for granted.
GIVEN = """
import keras, vis
from vis.demo.network import load_network
from vis.demo.scenes import make_scenes
logits, scenes = vis.linear_outputs(load_network()), make_scenes(2, "test", 1)
images, labels = scenes.images, scenes.labels
"""

CELLS = {
    "fresh": """
import numpy as np
from IPython.display import display
from vis import plotting
rng = np.random.default_rng(0)
images, maps = rng.random((3, 8, 9, 3)), rng.random((3, 8, 9, 1))
plotting.plot_saliency(images[0], maps[0])
""",
    "a batch": "plotting.plot_maps(images, maps)",
    "a grid": "plotting.plot_grid(images, {'a': maps, 'b': -maps})",
    "display in a loop": "for image, row in zip(images, maps): display(plotting.plot_maps(image, row))",
    "show": "plotting.plot_maps(images, maps).show()",
    "not the last line": "figure = plotting.plot_maps(images, maps)",
    "savefig": """
import io
buffer = io.BytesIO()
figure.savefig(buffer, format="png")
print(buffer.getvalue()[1:4])
""",
    "an explainer": """
import keras
from vis.attributions import Saliency
model = keras.Sequential([keras.Input((8, 9, 3)), keras.layers.Flatten(), keras.layers.Dense(2)])
plotting.plot_maps(images, Saliency(model)(images.astype("float32"), 0), titles=["cat", "dog", "bird"])
""",
    "given": GIVEN,
    # The last of them imports pyplot.
    **{f"snippet {number}": code for number, code in enumerate(SNIPPETS)},
    # From here on pyplot is there, which makes the kernel show its figures at the end of a cell.
    "pyplot": """
import matplotlib.pyplot as plt
images, maps = rng.random((3, 8, 9, 3)), rng.random((3, 8, 9, 1))
plotting.plot_maps(images, maps)
""",
    "axes of the user's": """
drawn, axes = plt.subplots(1, 2, layout="constrained")
plotting.plot_saliency(images[0], maps[0], ax=axes[0])
plotting.plot_maps(images[0], maps[0], inputs=False, overlay=True, ax=axes[1]);
""",
    "axes as the last line": "_, axes = plt.subplots()\nplotting.plot_maps(images[0], maps[0], ax=axes)",
    "inline": "%matplotlib inline\nplotting.plot_maps(images, maps)",
    "inline, in a loop": "for row in maps: display(plotting.plot_maps(images[0], row))",
    "after a pickle": "import pickle\npickle.loads(pickle.dumps(plotting.plot_maps(images, maps)))",
    "agg": "%matplotlib agg\nplotting.plot_maps(images, maps)",
    "as svg": "%config InlineBackend.figure_formats = ['svg']\nplotting.plot_maps(images, maps)",
}
FIGURES = ("fresh", "a batch", "a grid", "an explainer", "pyplot", "inline", "after a pickle", "agg")
Outputs = Sequence[Mapping[str, Any]]


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Outputs]:
    found = run_cells(list(CELLS.values()), tmp_path_factory.mktemp("home"))
    return dict(zip(CELLS, found, strict=True))


def pixels(output: Mapping[str, Any]) -> np.ndarray:
    with Image.open(io.BytesIO(base64.b64decode(output["data"]["image/png"]))) as picture:
        return np.asarray(picture.convert("RGB"))


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_as_the_last_line_is_one_picture(outputs: dict[str, Outputs], name: str) -> None:
    assert kinds(outputs[name]) == [("execute_result", {"image/png", "text/plain"})]
    shown = pixels(outputs[name][0])
    assert min(shown.shape[:2]) > 100 and shown.std() > 20


@pytest.mark.parametrize("name", ["display in a loop", "inline, in a loop"])
def test_figures_in_a_loop(outputs: dict[str, Outputs], name: str) -> None:
    assert kinds(outputs[name]) == [("display_data", {"image/png", "text/plain"})] * 3
    shown = [pixels(output) for output in outputs[name]]
    assert len({picture.tobytes() for picture in shown}) == 3


def test_show_shows_a_figure_once(outputs: dict[str, Outputs]) -> None:
    assert kinds(outputs["show"]) == [("display_data", {"image/png", "text/plain"})]


def test_a_figure_that_is_kept_is_not_shown(outputs: dict[str, Outputs]) -> None:
    assert outputs["not the last line"] == []
    (printed,) = outputs["savefig"]
    assert printed["text"] == "b'PNG'\n"


@pytest.mark.parametrize("name", ["axes of the user's", "axes as the last line"])
def test_a_figure_of_the_user_is_shown_once(outputs: dict[str, Outputs], name: str) -> None:
    pictures = [output for output in outputs[name] if "image/png" in output.get("data", ())]
    (picture,) = pictures
    assert picture["output_type"] == "display_data"
    assert pixels(picture).std() > 20


def test_the_page_shows_what_it_says(outputs: dict[str, Outputs]) -> None:
    grid, loop, axes = (kinds(outputs[f"snippet {number}"]) for number in range(len(SNIPPETS)))
    assert [kind for kind, types in grid if "image/png" in types] == ["execute_result"]
    assert [kind for kind, types in loop if "image/png" in types] == ["display_data"] * 2
    assert [kind for kind, types in axes if "image/png" in types] == ["display_data"]


def test_other_formats_are_those_that_were_asked_for(outputs: dict[str, Outputs]) -> None:
    ((kind, types),) = kinds(outputs["as svg"])
    assert kind == "execute_result" and "image/svg+xml" in types
