"""Every block of code of every page runs as it is written, and prints what the page shows."""

from __future__ import annotations

import contextlib
import doctest
import io
import re
import shlex
import sys
import unittest
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from click.testing import CliRunner
from keras import layers
from PIL import Image
from sybil import Example
from sybil.document import Document
from sybil.parsers.markdown import CodeBlockParser, PythonCodeBlockParser, SkipParser

import vis
from vis.cli.app import cli
from vis.demo.network import load_network
from vis.demo.scenes import make_scenes
from vis.registry import Registry

ROOT = Path(__file__).parents[2]
# What Sphinx writes there is not a page of its own.
WRITTEN = ("_build", "api", "gallery", "repository")
PAGES = [
    *ROOT.glob("*.md"),
    *(
        path
        for path in (ROOT / "docs").rglob("*.md")
        if path.relative_to(ROOT / "docs").parts[0] not in WRITTEN
    ),
    *(ROOT / "examples").glob("*.md"),
]
# Of a command line, what is run is `vis`: others make environments, download, or take minutes.
NOT_RUN = r"(make|pip|git|cd|export|ray|python|KERAS_BACKEND=\w+ (make|vis|python))( |$)"
LANGUAGES = {"python", "sh", "output", "text", "toml", "{toctree}"}


class Reader:
    """Runs the blocks of a page, and keeps what the last one has printed."""

    def __init__(self) -> None:
        self.printed = ""

    def parsers(self) -> list[Callable[[Document], Any]]:
        return [
            PythonCodeBlockParser(),
            CodeBlockParser("sh", self.commands),
            CodeBlockParser("output", self.shown),
            SkipParser(),
        ]

    def python(self, example: Example) -> None:
        """Run a block of Python; called for what the other parsers do not run themselves."""
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            example.evaluate()
        self.printed = printed.getvalue()

    def commands(self, example: Example) -> None:
        """Run the commands of a block."""
        lines = []
        for line in str(example.parsed).replace("\\\n", " ").splitlines():
            program, *arguments = shlex.split(line, comments=True) or [""]
            if program == "vis":
                found = CliRunner().invoke(cli, arguments, catch_exceptions=False)
                assert found.exit_code == 0, f"{line}\n{found.output}"
                lines.append(found.output)
            else:
                assert not program or re.match(NOT_RUN, line.strip()), f"not run: {line}"
        self.printed = "".join(lines)

    def shown(self, example: Example) -> None:
        """Compare what a page shows with what the block before it has printed; `...` stands for anything."""
        options = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
        want = str(example.parsed)
        assert doctest.OutputChecker().check_output(want, self.printed, options), (
            f"{want}\ngot\n{self.printed}"
        )


def named(network: keras.Model) -> keras.Model:
    """Return the demo's network as a model with a backbone, a nested model of the layers before its head."""
    inputs = keras.Input((64, 64, 3))
    backbone = keras.Model(network.input, network.get_layer("conv5").output, name="backbone")
    x = network.get_layer("maximum")(backbone(inputs))
    return keras.Model(inputs, network.get_layer("predictions")(x))


@pytest.fixture(scope="module")
def model() -> keras.Model:
    return named(load_network())


@pytest.fixture
def folder(model: keras.Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Go to a folder with the models and pictures that pages read."""
    monkeypatch.chdir(tmp_path)
    keras.utils.set_random_seed(0)
    model.save("model.keras")
    small = {
        "reviews": [
            keras.Input((4,), dtype="int32"),
            layers.Embedding(9, 8, name="embedding"),
            layers.Conv1D(8, 2, activation="relu"),
            layers.GlobalAveragePooling1D(),
            layers.Dense(1),
        ],
        "sensor": [
            keras.Input((40, 2)),
            layers.Conv1D(8, 5, activation="relu"),
            layers.GlobalMaxPooling1D(),
            layers.Dense(3),
        ],
        "table": [keras.Input((3,)), layers.Dense(8, activation="relu"), layers.Dense(1)],
    }
    for name, made_of in small.items():
        keras.Sequential(made_of).save(f"{name}.keras")
    pictures = np.rint(255 * make_scenes(6, "test", 2).images).astype(np.uint8)
    (tmp_path / "photos").mkdir()
    names = ["cat.jpg", "dog.jpg", *(f"photos/{number}.png" for number in range(4))]
    for name, picture in zip(names, pictures, strict=True):
        Image.fromarray(picture).resize((96, 80)).save(tmp_path / name)
    return tmp_path


@pytest.fixture(autouse=True)
def registered() -> Iterator[None]:
    """Forget what a page registers, so that another one can use the same name, and close its figures."""
    import matplotlib.pyplot as plt

    ours = [module for name, module in sys.modules.items() if name.split(".")[0] == "vis"]
    kinds = {
        id(held): held for module in ours for held in vars(module).values() if isinstance(held, Registry)
    }
    before = [(dict(kind._objects), dict(kind._registered)) for kind in kinds.values()]
    yield
    for kind, (objects, definitions) in zip(kinds.values(), before, strict=True):
        kind._objects, kind._registered = objects, definitions
    plt.close("all")


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_page(path: Path, folder: Path, model: keras.Model) -> None:
    reader = Reader()
    document = Document.parse(str(path), *reader.parsers())
    scenes = make_scenes(4, "test", 1)
    document.namespace.update(
        model=model,
        logits=vis.linear_outputs(model),
        images=scenes.images,
        labels=scenes.labels,
        image=scenes.images[0],
        keras=keras,
        np=np,
        vis=vis,
    )
    for example in document.examples():
        with contextlib.suppress(unittest.SkipTest):
            if example.region.evaluator in (reader.commands, reader.shown):
                example.evaluate()
            else:
                reader.python(example)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_languages(path: Path) -> None:
    """A block of another language would not be run."""
    found = re.findall(r"^ *```(\S*)[^\n]*\n.*?^ *```$", path.read_text(encoding="utf-8"), re.M | re.S)
    assert {*found} <= LANGUAGES, f"{path}: {set(found) - LANGUAGES}"


def test_a_page_that_shows_another_output_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("```python\nprint(1 + 1)\n```\n\n```output\n3\n```\n")
    reader = Reader()
    python, output = Document.parse(str(page), *reader.parsers()).examples()
    reader.python(python)
    with pytest.raises(AssertionError, match=r"got\s+2"):
        output.evaluate()
