"""The command-line form of a script."""

import runpy
import sys
from pathlib import Path

import click
import pytest

from vis.demo.script import Script
from vis.plotting import Figure

CODE = '''"""
A title
=======

A text.
"""
import click
from vis.demo.script import Script
from vis.plotting import Figure
script = Script(globals(), click.Option(["--steps"], type=int, default=3))
script.save(Figure())
'''


def run(folder: Path, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> Script:
    (folder / "drawn.py").write_text(CODE)
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", ["drawn.py", *arguments])
    return runpy.run_path(str(folder / "drawn.py"), run_name="__main__")["script"]


def test_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = run(tmp_path, monkeypatch, "--steps", "7", "--output", "a/b")
    assert script.options == {"steps": 7}
    assert (tmp_path / "a" / "b" / "drawn.png").is_file()


def test_defaults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = run(tmp_path, monkeypatch)
    assert script.options == {"steps": 3}
    assert script.output == Path("pictures")
    assert (tmp_path / "pictures" / "drawn.png").is_file()


def test_wrong_option(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        run(tmp_path, monkeypatch, "--stops", "7")
    assert ended.value.code == 2
    assert "--stops" in capsys.readouterr().err


def test_help_has_the_title(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        run(tmp_path, monkeypatch, "--help")
    assert ended.value.code == 0
    printed = capsys.readouterr().out
    assert "A title" in printed and "--steps" in printed and "====" not in printed


@pytest.mark.parametrize(
    "names",
    [
        {"__name__": "__main__", "__doc__": "Automatically created module for IPython"},
        {"__name__": "drawn", "__file__": "drawn.py"},
    ],
    ids=["no file", "imported"],
)
def test_elsewhere_nothing_is_read_or_written(
    names: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["ipykernel_launcher.py", "-f", "kernel.json"])
    script = Script(names, click.Option(["--steps"], type=int, default=3))
    script.save(Figure())
    assert script.options == {"steps": 3} and script.output is None
    assert not [*tmp_path.iterdir()]
