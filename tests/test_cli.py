"""The command, as a shell runs it."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers
from PIL import Image

import vis
from vis import cli, files


def run(capfd: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    """Run the command in this process and return its exit code, stdout and stderr."""
    old = sys.argv
    sys.argv = ["vis", *map(str, arguments)]
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("warnings.showwarning", None)
            patch.setattr("warnings.filters", [])
            cli.main()
        code = 0
    except SystemExit as stop:
        code = int(stop.code or 0)
    finally:
        sys.argv = old
    out, err = capfd.readouterr()
    return code, out, err


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("cli")
    keras.utils.set_random_seed(0)
    backbone = keras.Sequential(
        [layers.Input((12, 12, 3)), layers.Conv2D(4, 3, activation="relu", name="conv")], name="backbone"
    )
    inputs = layers.Input((12, 12, 3))
    positive = keras.initializers.RandomUniform(0, 1)  # no unit is dead
    x = layers.Conv2D(2, 3, activation="gelu", kernel_initializer=positive, name="smooth")(backbone(inputs))
    x = layers.ReLU(name="positive")(x)
    x = layers.Dense(5, activation="softmax", name="classes")(layers.GlobalAveragePooling2D()(x))
    keras.Model(inputs, x, name="network").save(path / "model.keras")
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path / "a.png")
    (path / "other").mkdir()
    Image.fromarray(pixels).save(path / "other" / "a.jpg")
    (path / "text.keras").write_text("words")
    (path / "broken.png").write_bytes((path / "a.png").read_bytes()[:200])
    return path


def test_layers(capfd: pytest.CaptureFixture[str], folder: Path) -> None:
    code, out, err = run(capfd, "layers", folder / "model.keras")
    assert (code, err) == (0, "")
    rows = {line.split()[-6 if line.startswith(" ") else 1]: line.split() for line in out.splitlines()}
    assert rows["backbone/conv"] == ["backbone/conv", "Conv2D", "10x10x4", "4", "relu", "yes"]
    assert rows["smooth"] == ["2", "smooth", "Conv2D", "8x8x2", "2", "gelu", "yes"]
    assert rows["positive"] == ["3", "positive", "ReLU", "8x8x2", "2", "-", "yes"]
    assert rows["classes"] == ["5", "classes", "Dense", "5", "5", "softmax", "-"]


def test_saliency_of_the_predicted_class(
    capfd: pytest.CaptureFixture[str], folder: Path, tmp_path: Path
) -> None:
    images = [folder / "a.png", folder / "other" / "a.jpg"]
    code, out, err = run(
        capfd, "saliency", folder / "model.keras", *images, "--output", tmp_path, "--save-array"
    )
    assert (code, err) == (0, "")
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "a-2.saliency.npy",
        "a-2.saliency.png",
        "a.saliency.npy",
        "a.saliency.png",
    ]
    model = files.load_model(folder / "model.keras")
    image = files.load_image(images[0], (12, 12, 3)) / 255
    predicted = int(np.asarray(model(image[None])).argmax())
    expected = vis.visualize_saliency(vis.linear_outputs(model), -1, predicted, image)
    np.testing.assert_allclose(np.load(tmp_path / "a.saliency.npy"), expected, atol=1e-6)
    assert f"classes [{predicted}], vanilla, absolute" in out
    with Image.open(tmp_path / "a.saliency.png") as picture:
        assert np.asarray(picture).std() > 10


@pytest.mark.parametrize("layer", ["backbone/conv", "smooth", "2"])
def test_saliency_of_a_layer_inside(
    capfd: pytest.CaptureFixture[str], folder: Path, tmp_path: Path, layer: str
) -> None:
    options = ["--layer", layer, "--filter", 0, "--filter", 1, "--grad", "relu", "--output", tmp_path]
    code, out, err = run(
        capfd, "saliency", folder / "model.keras", folder / "a.png", *options, "--save-array"
    )
    assert (code, err) == (0, "")
    model = files.load_model(folder / "model.keras")
    image = files.load_image(folder / "a.png", (12, 12, 3)) / 255
    target = int(layer) if layer.isdigit() else layer
    expected = vis.visualize_saliency(model, target, [0, 1], image, grad_modifier="relu")
    np.testing.assert_allclose(np.load(tmp_path / "a.saliency.npy"), expected, atol=1e-6)
    assert "[0, 1], vanilla, relu" in out


def test_cam(capfd: pytest.CaptureFixture[str], folder: Path, tmp_path: Path) -> None:
    options = ["--filter", 0, "--penultimate", "backbone/conv", "--output", tmp_path, "--save-array"]
    code, out, err = run(capfd, "cam", folder / "model.keras", folder / "a.png", *options)
    assert (code, err) == (0, "")
    assert "classes [0], vanilla, Grad-CAM" in out
    model = vis.linear_outputs(files.load_model(folder / "model.keras"))
    image = files.load_image(folder / "a.png", (12, 12, 3)) / 255
    expected = vis.visualize_cam(model, -1, 0, image, "backbone/conv")
    np.testing.assert_allclose(np.load(tmp_path / "a.cam.npy"), expected, atol=1e-6)
    with Image.open(tmp_path / "a.cam.png") as picture:
        assert np.asarray(picture).std() > 10


@pytest.mark.parametrize(("parameterization", "white"), [("fourier", 1.0), ("pixels", 255.0)])
def test_activation(
    capfd: pytest.CaptureFixture[str], folder: Path, tmp_path: Path, parameterization: str, white: float
) -> None:
    options = ["--filter", 3, "--filter", 0, "--steps", 4, "--seed", 1, "--output", tmp_path, "--save-array"]
    options += ["--parameterization", parameterization, "--input-range", 0, white]
    code, out, err = run(capfd, "activation", folder / "model.keras", *options)
    assert (code, err) == (0, "")
    assert out.splitlines()[0].startswith(f"classes [3], {parameterization} -> ")
    files_ = [f"classes-{index}.activation.{suffix}" for index in (0, 3) for suffix in ("npy", "png")]
    assert sorted(path.name for path in tmp_path.iterdir()) == files_
    model = vis.linear_outputs(files.load_model(folder / "model.keras"))
    for index in (0, 3):
        expected = vis.visualize_activation(
            model, -1, index, input_range=(0.0, white), max_iter=4, seed=1, parameterization=parameterization
        )
        found = np.load(tmp_path / f"classes-{index}.activation.npy")
        np.testing.assert_allclose(found, expected, atol=1e-4 * white)
        with Image.open(tmp_path / f"classes-{index}.activation.png") as picture:
            np.testing.assert_allclose(np.asarray(picture) / 255, expected / white, atol=1 / 255)


def test_activation_of_all_filters_at_any_size(
    capfd: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli, "_AT_ONCE", 2)
    model = keras.Sequential([layers.Input((None, None, 1)), layers.Conv2D(3, 3, name="conv")])
    model.save(tmp_path / "any.keras")
    options = ["--size", 9, 12, "--steps", 2, "--output", tmp_path / "pictures"]
    code, _, err = run(capfd, "activation", tmp_path / "any.keras", *options)
    assert (code, err) == (0, "")
    pictures = sorted((tmp_path / "pictures").iterdir())
    assert [path.name for path in pictures] == [f"conv-{index}.activation.png" for index in range(3)]
    for path in pictures:
        with Image.open(path) as picture:
            assert picture.size == (12, 9) and np.asarray(picture).std() > 0


def test_a_warning_is_one_line(capfd: pytest.CaptureFixture[str], folder: Path, tmp_path: Path) -> None:
    code, _, err = run(
        capfd,
        *("saliency", folder / "model.keras", folder / "a.png", "--probabilities", "--output", tmp_path),
    )
    assert code == 0
    assert err.startswith("vis: warning: The layer 'classes' ends in a softmax")
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["frobnicate"], "No such command 'frobnicate'"),
        (["saliency"], "Missing argument 'MODEL'"),
        (["saliency", "model.keras"], "Missing argument 'IMAGE...'"),
        (["layers", "none.keras"], "There is no model file"),
        (["layers", "text.keras"], "could not be read as a Keras model"),
        (["layers", "a.png"], "could not be read as a Keras model"),
        (["saliency", "model.keras", "none.png"], "There is no image file"),
        (["saliency", "model.keras", "text.keras"], "is not a picture"),
        (["saliency", "model.keras", "broken.png"], "could not be decoded"),
        (["saliency", "model.keras", "a.png", "broken.png"], "could not be decoded"),
        (["saliency", "model.keras", "a.png", "--layer", "clases"], "Did you mean 'classes'"),
        (["saliency", "model.keras", "a.png", "--layer", "99"], "Layer index 99 is out of range"),
        (["saliency", "model.keras", "a.png", "--filter", "5"], "valid indices are -5 to 4"),
        (["saliency", "model.keras", "a.png", "--filter", "x"], "not a valid integer"),
        (["saliency", "model.keras", "a.png", "--backprop", "gided"], "Did you mean 'guided'"),
        (["saliency", "model.keras", "a.png", "--grad", "abs"], "Unknown gradient modifier"),
        (["saliency", "model.keras", "a.png", "--preprocess", "resnet5"], "no preprocessing 'resnet5'"),
        (["saliency", "model.keras", "a.png", "--input-range", "0"], "requires 2 arguments"),
        (["saliency", "model.keras", "a.png", "--output", "a.png/folder"], "cannot be written"),
        (["activation", "model.keras", "--filter", "5"], "valid indices are -5 to 4"),
        (["activation", "model.keras", "--steps", "0"], "0 is not in the range"),
        (["activation", "model.keras", "--parameterization", "furier"], "Did you mean 'fourier'"),
        (
            ["activation", "model.keras", "--filter", "0", "--steps", "1", "--output", "a.png"],
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


def test_help_and_version(capfd: pytest.CaptureFixture[str]) -> None:
    for arguments in ([], ["--help"], ["saliency", "--help"]):
        code, out, _ = run(capfd, *arguments)
        assert code == 0 and out.startswith("Usage: vis")
    assert run(capfd, "--version") == (0, f"vis, version {vis.__version__}\n", "")


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


def test_explain_and_show(capfd: pytest.CaptureFixture[str], folder: Path, tmp_path: Path) -> None:
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
    assert code == 0 and out == f"6 pictures, saliency -> {maps}\n"
    assert err.count("\n") == 1 and "Sample 3 is skipped" in err and "2b.png" in err
    names = (tmp_path / "maps.zarr.txt").read_text().splitlines()
    assert names == ["0.png", "1.png", "2.png", "2b.png", "inside/3.png", "inside/4.png"]
    model = vis.linear_outputs(files.load_model(folder / "model.keras"))
    expected = vis.attributions.Saliency(model)(pixels / np.float32(255), 3)
    found = vis.attributions.store.read(maps)
    np.testing.assert_allclose(np.delete(found, 3, axis=0), expected, rtol=1e-4, atol=1e-7)
    assert run(capfd, *command)[0] == 0, "again: nothing is left to do"
    code, _, err = run(capfd, *command, "--method", "gradcam")
    assert code == 2 and "another configuration" in err
    code, _, err = run(capfd, *command, "--method", "gradcm")
    assert code == 2 and "Did you mean 'gradcam'" in err
    (pictures / "0a.png").write_bytes((pictures / "0.png").read_bytes())
    code, _, err = run(capfd, *command)
    assert code == 2 and "have changed since" in err
    code, out, err = run(capfd, "show", maps, "-o", tmp_path / "sheet.png", "--columns", 4, "--count", 5)
    assert (code, err) == (0, "") and out.startswith("5 maps from 0 on")
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.size == (4 * 14 - 2, 2 * 14 - 2) and np.asarray(sheet).std() > 10
    code, _, err = run(capfd, "show", pictures, "-o", tmp_path / "no.png")
    assert code == 2 and "holds no explanations" in err
    (tmp_path / "empty").mkdir()
    code, _, err = run(
        capfd, "explain", folder / "model.keras", tmp_path / "empty", "-o", tmp_path / "no.zarr"
    )
    assert code == 2 and "There is no picture in the folder" in err


@pytest.mark.parametrize("method", cli._METHODS)
def test_every_method_explains(
    capfd: pytest.CaptureFixture[str], folder: Path, tmp_path: Path, method: str
) -> None:
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    (pictures / "a.png").write_bytes((folder / "a.png").read_bytes())
    options = ["--method", method, "--layer", "classes", "--target", 0]
    code, _, err = run(capfd, "explain", folder / "model.keras", pictures, "-o", tmp_path / "maps", *options)
    assert code == 0 and "vis:" not in err  # else a progress bar, if it takes long
    assert vis.attributions.store.read(tmp_path / "maps").any()


def test_a_model_with_code_is_loaded_if_one_insists(
    capfd: pytest.CaptureFixture[str], folder: Path, tmp_path: Path
) -> None:
    path = tmp_path / "code.keras"
    network = keras.Sequential([layers.Input((4, 4, 3)), layers.Lambda(lambda x: 2 * x), layers.Flatten()])
    network.save(path)
    commands: list[list[Any]] = [
        ["layers", path],
        ["saliency", path, folder / "a.png", "--output", tmp_path, "--filter", 0],
        ["activation", path, "--output", tmp_path, "--filter", 0, "--steps", 1],
        ["explain", path, folder, "-o", tmp_path / "maps"],
    ]
    for command in commands:
        code, _, err = run(capfd, *command)
        assert code == 2 and "has a Lambda layer, which holds code" in err and "--no-safe-mode" in err
        code, _, err = run(capfd, *command, "--no-safe-mode")
        assert code == 0, err
