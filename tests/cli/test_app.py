"""What all commands share: help, errors and warnings in a line, and that a wrong name is told early."""

import importlib.util
import io
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import pytest
from keras import layers
from tqdm import tqdm

import vis
from tests.cli.running import loaded_by, run
from vis import cli, frameworks


def test_a_warning_is_one_line(capfd: pytest.CaptureFixture[str], folder: Path, tmp_path: Path) -> None:
    code, _, err = run(
        capfd,
        *("saliency", folder / "model.keras", folder / "a.png", "--probabilities", "--output", tmp_path),
    )
    assert code == 0
    assert err.startswith("vis: warning: The output of 'classes' ends in a softmax")
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["frobnicate"], "No such command 'frobnicate'"),
        (["saliency"], "Missing argument 'MODEL'"),
        (["saliency", "model.keras"], "Missing argument 'PICTURE...'"),
        (["layers", "none.keras"], "There is no model file"),
        (["layers", "text.keras"], "could not be read as a Keras model"),
        (["layers", "a.png"], "could not be read as a Keras model"),
        (["layers", "modle.keras"], "There is no model file 'modle.keras'. Did you mean 'model.keras'"),
        (["layers", "other"], "'other' is a folder, not a file"),
        (["saliency", "model.keras", "none.png"], "There is no image file"),
        (["saliency", "model.keras", "brokn.png"], "Did you mean 'broken.png'"),
        (["saliency", "model.keras", "a.png", "empty"], "There is no picture in the folder 'empty'"),
        (["saliency", "model.keras", "a.png", "--fit", "croup"], "'croup' is not one of"),
        (
            ["saliency", "model.keras", "a.png", "--preprocess", "resnet50", "--input-range", "0", "1"],
            "Give an input range or a preprocessing",
        ),
        (["cam", "model.keras", "a.png", "--grad-modifier", "abs"], "Unknown gradient modifier"),
        (["explain", "model.keras", "oter", "-o", "m.zarr"], "no image file 'oter'. Did you mean 'other'?"),
        (["explain", "model.keras", "a.png", "-o", "m", "--target", "1", "--target", "2"], "one target"),
        (["show", "oter"], "'oter' does not exist. Did you mean 'other'?"),
        (["saliency", "model.keras", "text.keras"], "is not a picture"),
        (["saliency", "model.keras", "broken.png"], "could not be decoded"),
        (["saliency", "model.keras", "a.png", "broken.png"], "could not be decoded"),
        (["saliency", "model.keras", "a.png", "--layer", "clases"], "Did you mean 'classes'"),
        (["saliency", "model.keras", "a.png", "--layer", "99"], "Layer index 99 is out of range"),
        (["saliency", "model.keras", "a.png", "--target", "5"], "valid indices are -5 to 4"),
        (["saliency", "model.keras", "a.png", "--target", "x"], "not a valid integer"),
        (["saliency", "model.keras", "a.png", "--backprop-modifier", "gided"], "Did you mean 'guided'"),
        (["saliency", "model.keras", "a.png", "--grad-modifier", "abs"], "Unknown gradient modifier"),
        (["saliency", "model.keras", "a.png", "--normalize", "minmx"], "'minmx' is not one of"),
        (["cam", "model.keras", "a.png", "--normalize", "unit"], "'unit' is not one of"),
        (
            ["explain", "model.keras", "a.png", "-o", "m", "--grad-modifier", "none"],
            "Unknown gradient modifier",
        ),
        (["saliency", "model.keras", "a.png", "--preprocess", "resnet5"], "Unknown preprocessing: 'resnet5'"),
        (["saliency", "model.keras", "a.png", "--input-range", "0"], "requires 2 arguments"),
        (["saliency", "model.keras", "a.png", "--output", "a.png/folder"], "cannot be written"),
        (["activation", "model.keras", "--target", "5"], "valid indices are -5 to 4"),
        (["activation", "model.keras", "--steps", "0"], "0 is not in the range"),
        (["activation", "model.keras", "--parameterization", "furier"], "Did you mean 'fourier'"),
        (
            ["activation", "model.keras", "--target", "0", "--steps", "1", "--output", "a.png"],
            "cannot be written",
        ),
        (["demo", "--scenes", "0"], "0 is not in the range"),
        (["demo", "--unknown"], "No such option"),
    ],
)
def test_whatever_is_wrong_is_one_line(
    capfd: pytest.CaptureFixture[str],
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    words: str,
) -> None:
    monkeypatch.chdir(folder)
    before = sorted(folder.rglob("*"))
    code, out, err = run(capfd, *arguments)
    assert (code, out) == (2, "")
    assert err.startswith("vis: ") and err.count("\n") == 1
    assert words in err
    assert sorted(folder.rglob("*")) == before, "nothing half-written is left"


@pytest.mark.parametrize(
    "arguments",
    [
        ["layers", "modle.keras"],
        ["layers", "other"],
        ["saliency", "other", "a.png"],
        ["saliency", "model.keras", "a.png", "oter.png"],
        ["cam", "model.keras", "empty"],
        ["cam", "model.keras", "a.png", "--grad-modifier", "abs"],
        ["saliency", "model.keras", "a.png", "--backprop-modifier", "gided"],
        ["saliency", "model.keras", "a.png", "--preprocess", "resnet5"],
        ["saliency", "model.keras", "a.png", "--preprocess", "resnet50", "--input-range", "0", "1"],
        ["cam", "model.keras", "a.png", "--input-range", "0", "1", "--preprocess", "resnet50"],
        ["explore", "model.keras", "a.png", "--input-range", "1", "0"],
        ["activation", "model.keras", "--parameterization", "furier"],
        ["explain", "model.keras", "a.png", "-o", "new", "--grad-modifier", "smal_values"],
        ["explain", "model.keras", "a.png", "-o", "new", "--option", "noize=1"],
        ["explain", "model.keras", "a.png", "-o", "new", "--method", "gradcam", "--samples", "3"],
        ["explain", "model.keras", "a.png", "-o", "new", "--patch-size", "big"],
        ["activation", "none"],
        ["explain", "model.keras", "oter", "-o", "new"],
        ["explain", "model.keras", "other", "-o", "new", "--method", "gradcm"],
        ["explain", "model.keras", "a.png", "-o", "other"],
        ["explain", "a.png", "model.keras", "-o", "new"],
        ["show", "oter"],
    ],
)
def test_a_wrong_name_is_told_before_keras_is_loaded(
    folder: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setenv("PYTHONPATH", str(Path(vis.__file__).parents[1]))
    modules, said = loaded_by(*arguments)
    assert not {*frameworks.NAMES, "keras", "matplotlib"} & modules
    assert said.startswith("vis: ") and said.count("\n") == 1


@pytest.mark.parametrize("command", ["explain", "show"])
def test_zarr_is_looked_for_first(
    capfd: pytest.CaptureFixture[str],
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    command: str,
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setattr(
        getattr(cli, command), "start_keras", lambda: pytest.fail("Keras is not needed to say so")
    )
    (tmp_path / "zarr.json").write_text("{}")
    given = [folder / "model.keras", folder, "-o", tmp_path / "new"] if command == "explain" else [tmp_path]
    code, out, err = run(capfd, command, *given)
    assert (code, out, err) == (2, "", 'vis: Maps on disk need zarr: pip install "keras-vis3[zarr]".\n')
    assert [path.name for path in tmp_path.iterdir()] == ["zarr.json"]


def test_a_folder_of_which_nothing_can_be_read(
    capfd: pytest.CaptureFixture[str], folder: Path, tmp_path: Path
) -> None:
    for command in ("saliency", "explain"):
        code, out, err = run(capfd, command, folder / "model.keras", folder / "spoilt", "-o", tmp_path / "x")
        assert (code, out) == (2, "") and err.count("\n") == 2
        skipped, why = err.splitlines()
        assert skipped.startswith("vis: warning: ") and "is not a picture" in skipped
        assert "None of the pictures could be read" in why or "no sample that can be read" in why
        assert not list(tmp_path.iterdir())


def help_pages() -> list[list[str]]:
    return [["--help"], *([name, "--help"] for name in cli.cli.commands)]


@pytest.mark.parametrize("arguments", help_pages(), ids=lambda arguments: arguments[0])
def test_help_is_whole_at_80_columns(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    for columns in ("80", "200"):
        monkeypatch.setenv("COLUMNS", columns)
        code, out, err = run(capfd, *arguments)
        assert (code, err) == (0, "")
        assert "..." not in out.replace("[ARGS]...", "").replace("PICTURE...", "").replace(
            "SAMPLE...", ""
        ).replace("COMMAND [", "")
        assert max(map(len, out.splitlines())) <= 80
    if len(arguments) > 1:
        command = cli.cli.commands[arguments[0]]
        example = out.rsplit("Example:\n", 1)[1].strip()
        assert "\n" not in example
        words = [
            word for word in shlex.split(example)[2:] if not word.endswith((".keras", ".jpg", "/", ".zarr"))
        ]
        known = {name for parameter in command.params for name in parameter.opts}
        assert {word for word in words if word[0] == "-"} <= known
        assert command.get_short_help_str(1000) in " ".join(run(capfd, "--help")[1].split())


def test_what_is_said_stands_above_the_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal, the bar is cleared before a line is written, and drawn again below it."""

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with tqdm(total=2, file=terminal, delay=60):
        cli.app.say("before a bar is worth showing")
    assert terminal.getvalue() == "vis: before a bar is worth showing\n"
    terminal.truncate(0)
    with tqdm(total=2, file=terminal, ascii=True) as bar:
        bar.update()
        cli.app.say("a warning,\n in two lines")
    written = terminal.getvalue().lstrip("\0")
    before, after = written.split("vis: a warning, in two lines\n")
    last = before.rsplit("\r", 2)
    assert last[1].isspace() and last[2] == "", "cleared"
    assert after.lstrip("\r").startswith(" 50%"), "drawn again"


def test_help_and_version(capfd: pytest.CaptureFixture[str]) -> None:
    for arguments in ([], ["--help"], ["saliency", "--help"]):
        code, out, _ = run(capfd, *arguments)
        assert code == 0 and out.startswith("Usage: vis")
    backend = frameworks.NAMES[keras.config.backend()]
    said = f"vis, version {vis.__version__}, on Keras with {backend}\n"
    assert run(capfd, "--version") == (0, said, "")


def test_the_backend_is_told_before_or_behind_the_command(folder: Path) -> None:
    other = next(name for name in frameworks.NAMES if importlib.util.find_spec(name) is None)
    for arguments in (
        ("--backend", other, "layers", folder / "model.keras"),
        ("layers", folder / "model.keras", "--backend", other),
        ("--backend", keras.config.backend(), "demo", "--backend", other),
    ):
        modules, said = loaded_by(*arguments)
        assert f'pip install "keras-vis3[{other}]"' in said and said.count("\n") == 1
        assert not {"keras", other} & modules


def test_the_backend_cannot_change_where_keras_runs(capfd: pytest.CaptureFixture[str], folder: Path) -> None:
    own = keras.config.backend()
    other = next(name for name in frameworks.NAMES if name != own)
    code, _, err = run(capfd, "layers", folder / "model.keras", "--backend", other)
    assert (code, err) == (
        2,
        f"vis: Keras already runs on {frameworks.NAMES[own]} here. Leave --backend out.\n",
    )
    assert run(capfd, "layers", folder / "model.keras", "--backend", own)[0] == 0
    assert "'pytorch' is not one of 'tensorflow', 'jax', 'torch'" in run(capfd, "--backend", "pytorch")[2]


def test_the_installed_command_writes_nothing_but_its_line(folder: Path) -> None:
    script = "from vis.cli import main; main()"
    environment = {key: value for key, value in os.environ.items() if key != "TF_CPP_MIN_LOG_LEVEL"}
    done = subprocess.run(
        [sys.executable, "-c", script, "layers", str(folder / "text.keras")],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("vis: ") and done.stderr.count("\n") == 1


def test_a_model_with_code_is_loaded_if_one_insists(
    capfd: pytest.CaptureFixture[str], folder: Path, tmp_path: Path
) -> None:
    path = tmp_path / "code.keras"
    network = keras.Sequential([layers.Input((4, 4, 3)), layers.Lambda(lambda x: 2 * x), layers.Flatten()])
    network.save(path)
    commands: list[list[Any]] = [
        ["layers", path],
        ["saliency", path, folder / "a.png", "--output", tmp_path, "--target", 0],
        ["activation", path, "--output", tmp_path, "--target", 0, "--steps", 1],
        ["explain", path, folder, "-o", tmp_path / "maps"],
    ]
    for command in commands:
        code, _, err = run(capfd, *command)
        assert code == 2 and "has a Lambda layer, which holds code" in err and "--no-safe-mode" in err
        code, _, err = run(capfd, *command, "--no-safe-mode")
        assert code == 0, err
