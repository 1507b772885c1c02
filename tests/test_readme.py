"""The README's snippets run as they are written."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from vis.cli.app import cli
from vis.demo.network import load_network
from vis.demo.scenes import make_scenes

ROOT = Path(__file__).parents[1]
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", (ROOT / "README.md").read_text(), re.M | re.S)
PYTHON = [code for language, code in BLOCKS if language == "python"]
LINES = [line for language, code in BLOCKS if language == "sh" for line in code.splitlines()]
COMMANDS = [line for line in LINES if line.startswith("vis ")]
# What is not run: these make a virtual environment, install packages, and run everything.
NOT_RUN = ["make demo", "make test", 'pip install ".[tensorflow]"']
# What the reader has, besides files.
YOURS = """
from vis.demo.scenes import make_scenes

scenes = make_scenes(4, "test", 1)
images, labels = scenes.images, scenes.labels
"""
DRIVER = """
import json, sys, warnings
from vis.errors import VisWarning

# A snippet that warns is no example.
warnings.simplefilter("error", VisWarning)
namespace = {}
for number, code in enumerate(json.load(open("blocks.json"))):
    exec(compile(code, f"block {number}", "exec"), namespace)
"""


def named(network: keras.Model) -> keras.Model:
    """Return the demo's network as a model with a backbone, a nested model of the layers before its head."""
    inputs = keras.Input((64, 64, 3))
    backbone = keras.Model(network.input, network.get_layer("conv5").output, name="backbone")
    x = network.get_layer("maximum")(backbone(inputs))
    return keras.Model(inputs, network.get_layer("predictions")(x))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the models and pictures that the snippets read."""
    made = tmp_path_factory.mktemp("readme")
    keras.utils.set_random_seed(0)
    named(load_network()).save(made / "model.keras")
    pictures = np.rint(255 * make_scenes(6, "test", 2).images).astype(np.uint8)
    (made / "photos").mkdir()
    names = ["cat.jpg", "dog.jpg", *(f"photos/{number}.png" for number in range(4))]
    for name, picture in zip(names, pictures, strict=True):
        Image.fromarray(picture).resize((96, 80)).save(made / name)
    return made


def test_every_block_is_python_or_commands_or_known() -> None:
    assert {language for language, _ in BLOCKS} == {"python", "sh"}
    for line in LINES:
        command = line.split("#")[0].strip()
        assert command.startswith("vis ") or command in NOT_RUN, line
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.M)
    made = [command.split()[1] for command in NOT_RUN if command.startswith("make ")]
    assert made and set(made) <= set(targets)


def test_the_python_blocks_run_in_order(folder: Path) -> None:

    (folder / "blocks.json").write_text(json.dumps([YOURS, *PYTHON]))
    # In a process of its own: they register names, which can be done once.
    done = subprocess.run(
        [sys.executable, "-c", DRIVER],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert (folder / "maps.html").stat().st_size > 1000 and (folder / "maps.csv").is_file()


def test_the_commands_run_in_order(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    for command in COMMANDS:
        program, *arguments = shlex.split(command, comments=True)
        assert program == "vis"
        found = CliRunner().invoke(cli, arguments, catch_exceptions=False)
        assert found.exit_code == 0, f"{command}\n{found.output}"
        if "-o" in arguments:
            output = Path(arguments[arguments.index("-o") + 1])
            assert output.is_dir() or output.stat().st_size > 1000, command
