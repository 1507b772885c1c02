"""`vis show`: sheets of pictures."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import vis
from tests.cli.running import loaded_by, run
from vis.reports import sheets


@pytest.fixture
def maps(capfd: pytest.CaptureFixture[str], folder: Path, tmp_path: Path) -> Path:
    """Return a run of five pictures and a file that is none."""
    pictures, path = tmp_path / "pictures", tmp_path / "maps.zarr"
    pictures.mkdir()
    rng = np.random.default_rng(0)
    for number in range(5):
        Image.fromarray(rng.integers(0, 256, (20, 30, 3), dtype=np.uint8)).save(pictures / f"{number}.png")
    (pictures / "2b.png").write_text("no picture")
    assert run(capfd, "explain", folder / "model.keras", pictures, "-o", path)[0] == 0
    return path


def test_one_sheet(capfd: pytest.CaptureFixture[str], maps: Path, tmp_path: Path) -> None:
    """It is that of Python, the pictures being found where they were explained."""
    path = tmp_path / "sheet.png"
    code, out, err = run(capfd, "show", maps, "-o", path, "--columns", 4, "--count", 5, "--first", 1)
    assert (code, out, err) == (0, f"{maps} from row 1 on -> {path}\n", "")
    sheets(maps, tmp_path / "expected.png", columns=4, count=5, first=1)
    assert path.read_bytes() == (tmp_path / "expected.png").read_bytes()
    with Image.open(path) as sheet:
        # Pictures of 12 x 12 are enlarged 9 times, two to a cell.
        assert sheet.width == 4 * (2 * 108 + 2 + 14) + 14 and np.asarray(sheet).std() > 10


def test_several_sheets(capfd: pytest.CaptureFixture[str], maps: Path, tmp_path: Path) -> None:
    command = ["show", maps, "-o", tmp_path / "sheet.png", "--columns", 2, "--rows", 1]
    code, out, err = run(capfd, *command, "--absolute", "--cmap", "viridis", "--clip-percentile", 5)
    assert (code, err) == (0, "") and "sheet-1.png to " in out
    assert sorted(path.name for path in tmp_path.glob("sheet*")) == [f"sheet-{i}.png" for i in (1, 2, 3)]


def test_what_is_wrong(capfd: pytest.CaptureFixture[str], maps: Path, tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_text("one\n")
    for arguments, words in [
        ([tmp_path / "pictures"], "does not contain maps"),
        ([maps, "--first", 6], "has 6 maps"),
        ([maps, "--images", tmp_path / "none"], "does not exist"),
        ([maps, "--labels", tmp_path / "none"], "does not exist"),
        (
            [maps, "--labels", tmp_path / "labels.txt"],
            "for the classes 0 to 0 (1 in all)",
        ),
        ([maps, "--cmap", "infrno"], "Did you mean 'inferno'"),
        ([maps, "--clip-percentile", 100], "--clip-percentile must be a percentage"),
        ([maps, "--columns", 0], "0 is not in the range"),
    ]:
        code, out, err = run(capfd, "show", *arguments, "-o", tmp_path / "no.png")
        assert (code, out) == (2, "") and words in err and err.count("\n") == 1
    assert not (tmp_path / "no.png").exists()


@pytest.mark.parametrize("command", ["show", "report"])
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["oter"], "'oter' does not exist. Did you mean 'other'?"),
        (["other"], "'other' does not contain maps of this library. Choose another path."),
        (["a.png"], "'a.png' does not contain maps of this library. Choose another path."),
        (["run", "--labels", "labls.txt"], "'labls.txt' does not exist. Did you mean 'labels.txt'?"),
        (["run", "--images", "oter"], "'oter' does not exist. Did you mean 'other'?"),
        (["run", "--images", "a.png"], "'a.png' is a file. Pass a folder."),
        (["run", "-o", "a.gif"], "is written to a file that ends in"),
        (["run", "--cmap", "infrno"], "Matplotlib has no colormap 'infrno'. Did you mean 'inferno'"),
    ],
)
def test_a_wrong_name_is_told_before_tensorflow_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str, arguments: list[str], words: str
) -> None:
    for name in ("other", "run"):
        (tmp_path / name).mkdir()
    for name in ("a.png", "labels.txt", "run/zarr.json"):
        (tmp_path / name).write_text("words")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(Path(vis.__file__).parents[1]))
    modules, said = loaded_by(command, *arguments)
    assert not {"tensorflow", "keras"} & modules
    assert ("matplotlib" in modules) == ("--cmap" in arguments), "nothing but colours needs it"
    assert words in said and said.count("\n") == 1
