"""`vis explain`."""

import os
import shlex
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import vis
from tests.cli.running import run
from vis import files
from vis.attributions import groups
from vis.methods import METHODS


@pytest.mark.parametrize(
    "error", [RuntimeError, ImportError, vis.attributions.base.InputError, KeyboardInterrupt]
)
def test_explain_leaves_no_file_when_it_fails(
    capfd: pytest.CaptureFixture[str],
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    error: type[BaseException],
) -> None:
    def fail(*_: Any) -> None:
        raise error("of the model's own")

    monkeypatch.setattr(vis.attributions.Saliency, "attribute", fail)
    code, out, err = run(capfd, "explain", folder / "model.keras", folder, "-o", tmp_path / "maps")
    assert (code, out) == (130 if error is KeyboardInterrupt else 2, "") and err.startswith("vis: ")
    assert not list(tmp_path.iterdir())


def test_explain(capfd: pytest.CaptureFixture[str], folder: Path, tmp_path: Path) -> None:
    pictures = tmp_path / "pictures"
    (pictures / "inside").mkdir(parents=True)
    pixels = np.random.default_rng(1).integers(0, 256, (5, 12, 12, 3), dtype=np.uint8)
    for number, picture in enumerate(pixels):
        Image.fromarray(picture).save(pictures / ("inside" if number > 2 else "") / f"{number}.png")
    (pictures / "2b.png").write_bytes(b"no picture")
    (pictures / "notes.txt").write_text("not asked for")
    maps = tmp_path / "maps.zarr"
    command = ["explain", folder / "model.keras", pictures, "-o", maps, "--batch-size", 2, "--target", 3]
    code, out, err = run(capfd, *command)
    assert code == 0
    assert out.splitlines()[1:] == [f"5 of 6 pictures explained by saliency -> {maps}, listed in {maps}.txt"]
    assert out.startswith(
        f"{pictures / '0.png'}: values from 0 to 1 assumed (--input-range), predicted class "
    )
    assert err.count("\n") == 1 and "Sample 3 is skipped" in err and "2b.png" in err
    names = (tmp_path / "maps.zarr.txt").read_text().splitlines()
    assert names == ["0.png", "1.png", "2.png", "2b.png", "inside/3.png", "inside/4.png"]
    model = vis.linear_outputs(files.load_model(folder / "model.keras"))
    expected = vis.attributions.Saliency(model)(pixels / np.float32(255), 3)
    found = vis.attributions.store.read(maps)
    np.testing.assert_allclose(np.delete(found, 3, axis=0), expected, rtol=1e-4, atol=1e-7)
    assert run(capfd, *command)[0] == 0, "again: nothing is left to do"
    code, _, err = run(capfd, *command, "--method", "gradcam")
    assert code == 2
    assert "with other settings: method is 'Saliency' there, 'GradCAM' here. Choose" in err
    code, _, err = run(capfd, *command, "--grad-modifier", "relu")
    assert code == 2 and "settings: --grad-modifier is 'absolute' there, 'relu' here. Choose" in err
    code, _, err = run(capfd, *command, "--method", "gradcm")
    assert code == 2 and "Did you mean 'gradcam'" in err
    (pictures / "0a.png").write_bytes((pictures / "0.png").read_bytes())
    code, _, err = run(capfd, *command)
    assert code == 2 and "The picture '0a.png' is new since" in err and "--add" in err
    (tmp_path / "empty").mkdir()
    code, _, err = run(
        capfd, "explain", folder / "model.keras", tmp_path / "empty", "-o", tmp_path / "no.zarr"
    )
    assert code == 2 and "There is no picture in the folder" in err


def test_names_of_any_bytes(capfd: pytest.CaptureFixture[str], folder: Path, tmp_path: Path) -> None:
    """A run continues, and is reported, whatever the names of the pictures; a line break is told at once."""
    pictures, maps = tmp_path / "pictures", tmp_path / "maps.zarr"
    pictures.mkdir()
    picture = (folder / "a.png").read_bytes()
    for name in (b"latin\xe9.png", "line\u2028separator.png".encode(), b"feed\f.png", b"return\r.png"):
        (pictures / os.fsdecode(name)).write_bytes(picture)
    (pictures / os.fsdecode(b"broken\xe9.png")).write_bytes(b"no picture")
    command = ["explain", folder / "model.keras", pictures, "-o", maps]
    assert [run(capfd, *command)[0] for _ in range(2)] == [0, 0]
    (pictures / "new.png").write_bytes(picture)
    code, _, err = run(capfd, *command)
    assert code == 2 and "The picture 'new.png' is new" in err
    assert run(capfd, *command, "--add")[0] == 0
    code, _, err = run(capfd, "report", maps, "-o", tmp_path / "report.html")
    assert (code, err) == (0, "") and (tmp_path / "report.html").read_text().count('alt="input"') == 5
    (pictures / "two\nlines.png").write_bytes(picture)
    code, _, err = run(capfd, *command, "--add")
    assert code == 2 and "'two\\nlines.png' has a line break" in err


@pytest.mark.parametrize("method", METHODS)
def test_every_method_explains(
    capfd: pytest.CaptureFixture[str], folder: Path, tmp_path: Path, method: str
) -> None:
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    (pictures / "a.png").write_bytes((folder / "a.png").read_bytes())
    options = ["--method", method, "--layer", "classes", "--target", 0]
    code, _, err = run(capfd, "explain", folder / "model.keras", pictures, "-o", tmp_path / "maps", *options)
    if method.startswith("attention"):  # which this network has not
        assert code == 2 and "There is no attention" in err
        return
    assert code == 0 and "vis:" not in err  # else a progress bar, if it takes long
    assert vis.attributions.store.read(tmp_path / "maps").any()


def photos(folder: Path, *names: str) -> Path:
    """Write pictures that differ, whatever their names."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        seed = sum(map(ord, name))
        pixels = np.random.default_rng(seed).integers(0, 256, (12, 12, 3), dtype=np.uint8)
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(folder / name)
    return folder


def expected(folder: Path, model: Path, names: list[str]) -> Any:
    logits = vis.linear_outputs(files.load_model(model))
    arrays = [files.load_image(folder / name, (12, 12, 3)) / 255 for name in names]
    return vis.attributions.Saliency(logits)(np.stack(arrays), 1)


@pytest.mark.parametrize("batch", [2, 3, 64])
def test_pictures_are_added_in_the_order_of_their_arrival(
    capfd: pytest.CaptureFixture[str], folder: Path, tmp_path: Path, batch: int
) -> None:
    """Rows that are done keep their numbers, and are not explained again."""
    pictures = photos(tmp_path / "photos", "b.png", "d.png", "inside/c.png")
    maps, model = tmp_path / "maps.zarr", folder / "model.keras"
    command = ["explain", model, pictures, "-o", maps, "--target", 1, "--batch-size", batch]
    order = ["b.png", "d.png", "inside/c.png"]
    assert run(capfd, *command)[0] == 0
    for arrived in (["a.png"], ["inside/a.png", "c.png"], [f"z{n}.png" for n in range(5)]):
        photos(pictures, *arrived)
        before = (tmp_path / "maps.zarr.txt").read_text()
        code, _, err = run(capfd, *command)
        assert code == 2 and "new since" in err
        assert (tmp_path / "maps.zarr.txt").read_text() == before
        code, out, err = run(capfd, *command, "--add")
        order += sorted(arrived)
        assert (code, err) == (0, "") and f"{len(order)} pictures explained" in out
        assert (tmp_path / "maps.zarr.txt").read_text().splitlines() == order
        found = vis.attributions.store.read(maps)
        np.testing.assert_allclose(found, expected(pictures, model, order), rtol=1e-4, atol=1e-7)
        assert run(capfd, *command)[0] == 0, "again: nothing is left to do"
    (pictures / "d.png").unlink()
    for more in ([], ["--add"]):
        code, _, err = run(capfd, *command, *more)
        assert code == 2 and "The picture 'd.png' is missing from those that" in err
    (tmp_path / "maps.zarr.txt").unlink()
    code, _, err = run(capfd, *command, "--add")
    assert code == 2 and "maps.zarr.txt' is missing" in err


def test_what_cannot_be_added_leaves_the_listing(
    capfd: pytest.CaptureFixture[str], folder: Path, tmp_path: Path
) -> None:
    pictures = photos(tmp_path / "photos", "b.png")
    command = ["explain", folder / "model.keras", pictures, "-o", tmp_path / "maps.zarr"]
    assert run(capfd, *command)[0] == 0
    photos(pictures, "a.png")
    code, _, err = run(capfd, *command, "--add", "--method", "gradcam")
    assert code == 2 and "other settings" in err
    assert (tmp_path / "maps.zarr.txt").read_text() == "b.png\n"


def test_files_and_folders_are_explained_together(
    capfd: pytest.CaptureFixture[str], folder: Path, tmp_path: Path
) -> None:
    one, two = photos(tmp_path / "one", "b.png", ".hidden.png"), photos(tmp_path / "two", "a.png", "c.png")
    (one / "model.h5").write_text("no picture, though Pillow knows its suffix")
    (one / "folder.png").mkdir()
    maps, model = tmp_path / "maps.zarr", folder / "model.keras"
    pictures = [two / "c.png", one, two / "c.png"]
    code, _, err = run(capfd, "explain", model, *pictures, "-o", maps, "--target", 1)
    assert (code, err) == (0, "")
    names = (tmp_path / "maps.zarr.txt").read_text().splitlines()
    assert names == ["two/c.png", "one/b.png"]
    found = vis.attributions.store.read(maps)
    np.testing.assert_allclose(found, expected(tmp_path, model, names), rtol=1e-4, atol=1e-7)
    source = groups.opened(maps).attrs["source"]
    assert source == {
        "model": str(model),
        "shape": [12, 12, 3],
        "fit": "crop",
        "input_range": [0, 1],
        "preprocess": None,
        "probabilities": False,
        "layer": "classes",
        "folder": str(tmp_path),
    }


@pytest.mark.parametrize(
    ("method", "options", "attributes"),
    [
        ("smoothgrad", ["--samples", 3, "--noise", 0.1], {"nb_samples": 3, "noise": 0.1}),
        ("vargrad", ["--option", "samples=4", "--option", "seed=2"], {"nb_samples": 4, "seed": 2}),
        ("squaregrad", ["--option", "noise-scale=absolute", "--samples", 2], {"noise_scale": "absolute"}),
        ("integrated-gradients", ["--steps", 5, "--baseline", 0.5], {"steps": 5, "baseline": 0.5}),
        ("integrated-gradients", ["--option", "method=trapezoid"], {"method": "trapezoid"}),
        ("occlusion", ["--patch-size", "4x3"], {"patch_size": (4, 3)}),
        ("occlusion", ["--patch-size", 4, "--option", "patch_stride=2"], {"patch_stride": 2}),
        ("occlusion", ["--patch-size", 4, "--option", "occlusion_value=1"], {"occlusion_value": 1}),
        ("saliency", ["--grad-modifier", "relu", "--option", "reducer=none"], {"reducer": None}),
        ("saliency", ["--backprop-modifier", "guided", "--option", "fold_layers=yes"], {}),
        ("gradcam", ["--conv-layer", "backbone/conv"], {}),
    ],
)
def test_the_options_of_explainers(
    capfd: pytest.CaptureFixture[str],
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    method: str,
    options: list[Any],
    attributes: dict[str, Any],
) -> None:
    """Each reaches the constructor with the value and type that Python would be given."""
    made = []
    write = vis.attributions.base.Explainer.write
    monkeypatch.setattr(
        vis.attributions.base.Explainer,
        "write",
        lambda self, *a, **k: (made.append(self), write(self, *a, **k))[1],
    )
    command = ["explain", folder / "model.keras", folder / "a.png", "-o", tmp_path / "maps", "--target", 1]
    code, _, err = run(capfd, *command, "--method", method, *options)
    assert code == 0, err
    (explainer,) = made
    assert {name: getattr(explainer, name) for name in attributes} == attributes
    if "relu" in options:
        assert explainer.grad_modifier is vis.grad_modifiers.relu
    if "guided" in options:
        assert explainer.score.modifier is vis.backprop_modifiers.guided and explainer.score.fold
    if method == "gradcam":
        assert explainer.conv_layer.name == "conv"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--option", "seed"], "'seed' is not of the form NAME=VALUE"),
        (
            ["--option", "noise=1"],
            "option of smoothgrad, squaregrad, vargrad, not of saliency",
        ),
        (["--option", "reducr=mean"], "--option reducr is unknown. Did you mean 'reducer'?"),
        (["--option", "output_layer=3"], "--option output_layer is not an option. Use --layer."),
        (["--option", "reducer=median"], "reducer must be one of max, mean, min, sum"),
        (
            ["--option", "fold_layers=perhaps"],
            "--option fold_layers must be true or false. Received: 'perhaps'.",
        ),
        (
            ["--method", "smoothgrad", "--option", "seed=a"],
            "--option seed must be an integer. Received: 'a'.",
        ),
        (["--method", "smoothgrad", "--samples", 2, "--option", "nb_samples=3"], "--samples is given twice"),
        (["--method", "vargrad", "--samples", 1], "--samples must be an integer >= 2"),
        (["--method", "occlusion", "--patch-size", "4x"], "'4x' is not a size: give 16, or 16x24"),
        (["--method", "occlusion", "--baseline", 1], "--baseline is an option of integrated-gradients"),
        (["--method", "deconvnet", "--backprop-modifier", "guided"], "not of deconvnet"),
    ],
)
def test_wrong_options_of_explainers(
    capfd: pytest.CaptureFixture[str], folder: Path, tmp_path: Path, options: list[Any], words: str
) -> None:
    command = ["explain", folder / "model.keras", folder / "a.png", "-o", tmp_path / "maps"]
    code, out, err = run(capfd, *command, *options)
    assert (code, out) == (2, "") and err.count("\n") == 1
    assert words in err
    assert not list(tmp_path.iterdir())


def test_ctrl_c_says_what_is_done_and_how_to_continue(
    capfd: pytest.CaptureFixture[str], folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures = photos(tmp_path / "my photos", *(f"{number}.png" for number in range(7)))
    maps, model = tmp_path / "maps.zarr", folder / "model.keras"
    command = ["explain", model, pictures, "-o", maps, "--target", 1, "--batch-size", 2]
    attribute = vis.attributions.Saliency.attribute
    calls: list[int] = []

    def stopped(self: Any, arrays: Any, targets: Any) -> Any:
        calls.append(len(targets))
        if len(calls) == 3:
            raise KeyboardInterrupt
        return attribute(self, arrays, targets)

    with monkeypatch.context() as patch:
        patch.setattr(vis.attributions.Saliency, "attribute", stopped)
        code, out, err = run(capfd, *command)
    again = f"vis explain {model} '{pictures}' -o {maps} --target 1 --batch-size 2"
    kept = f"4 of 7 pictures are explained and kept in {maps}"
    assert (code, out, err) == (130, "", f"vis: stopped: {kept}. To continue: {again}\n")
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("vis-read-ahead")]
    assert run(capfd, *shlex.split(again)[1:])[0] == 0
    found = vis.attributions.store.read(maps)
    names = [f"{number}.png" for number in range(7)]
    np.testing.assert_allclose(found, expected(pictures, model, names), rtol=1e-4, atol=1e-7)


def test_the_map_of_a_picture_is_the_same_in_every_command(
    capfd: pytest.CaptureFixture[str], folder: Path, tmp_path: Path
) -> None:
    """A large JPEG, held sideways, is read in one way."""
    ramp = np.indices((450, 301)).sum(axis=0)[..., None] % [200, 150, 120]
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(ramp.astype(np.uint8)).save(tmp_path / "large.jpg", exif=exif)
    command = [folder / "model.keras", tmp_path / "large.jpg", "--target", 1, "-o"]
    assert run(capfd, "saliency", *command, tmp_path, "--save-array")[0] == 0
    assert run(capfd, "explain", *command, tmp_path / "maps")[0] == 0
    (found,) = vis.attributions.store.read(tmp_path / "maps")[..., 0]
    shown = (found - found.min()) / (found.max() - found.min())
    np.testing.assert_allclose(np.load(tmp_path / "large.saliency.npy"), shown, atol=1e-5)
