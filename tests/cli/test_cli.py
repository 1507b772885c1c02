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
from vis.cli.explain import METHODS


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
    probabilities = np.asarray(model(image[None]))[0]
    predicted = int(probabilities.argmax())
    assert out.splitlines()[0] == (
        f"{images[0]}: values from 0 to 1 assumed (--input-range), cropped from 20 x 30 to 12 x 12 (--fit), "
        f"predicted class {predicted}, score {probabilities[predicted]:.4g}"
    )
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
    assert out.splitlines()[2:] == [f"values from 0 to {white:g}"]
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
    monkeypatch.setattr(cli.draw, "_AT_ONCE", 2)
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
    assert err.startswith("vis: warning: The output of 'classes' ends in a softmax")
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
        (["layers", "modle.keras"], "There is no model file 'modle.keras'. Did you mean 'model.keras'"),
        (["layers", "other"], "'other' is a folder, not a file"),
        (["saliency", "model.keras", "none.png"], "There is no image file"),
        (["saliency", "model.keras", "brokn.png"], "Did you mean 'broken.png'"),
        (["saliency", "model.keras", "a.png", "other"], "'other' is a folder, not a file"),
        (["saliency", "model.keras", "a.png", "--fit", "croup"], "'croup' is not one of"),
        (
            ["saliency", "model.keras", "a.png", "--preprocess", "resnet50", "--input-range", "0", "1"],
            "Give an input range or a preprocessing",
        ),
        (["cam", "model.keras", "a.png", "--grad", "abs"], "Unknown gradient modifier"),
        (["explain", "model.keras", "oter", "-o", "m.zarr"], "'oter' does not exist. Did you mean 'other'?"),
        (["explain", "model.keras", "a.png", "-o", "m.zarr"], "'a.png' is a file"),
        (["show", "oter"], "'oter' does not exist. Did you mean 'other'?"),
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


def loaded_by(*arguments: object) -> tuple[set[str], str]:
    """Return which modules a command has imported in a process of its own, and what it said on stderr."""
    script = "import sys\nfrom vis.cli import main\ntry: main()\nfinally: print(' '.join(sys.modules))"
    command = [sys.executable, "-c", script, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    return set(done.stdout.splitlines()[-1].split()), done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["layers", "modle.keras"],
        ["layers", "other"],
        ["saliency", "other", "a.png"],
        ["saliency", "model.keras", "a.png", "oter.png"],
        ["cam", "model.keras", "other"],
        ["activation", "none"],
        ["explain", "model.keras", "oter", "-o", "new"],
        ["explain", "model.keras", "a.png", "-o", "new"],
        ["explain", "model.keras", "other", "-o", "new", "--method", "gradcm"],
        ["show", "oter"],
    ],
)
def test_a_wrong_name_is_told_before_tensorflow_is_loaded(
    folder: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setenv("PYTHONPATH", str(Path(vis.__file__).parents[1]))
    modules, said = loaded_by(*arguments)
    assert not {"tensorflow", "keras", "matplotlib"} & modules
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
        getattr(cli, command), "start_tensorflow", lambda: pytest.fail("TensorFlow is not needed to say so")
    )
    arguments = [folder / "model.keras", folder, "-o", tmp_path / "new"] if command == "explain" else [folder]
    code, out, err = run(capfd, command, *arguments)
    assert (code, out, err) == (2, "", 'vis: Maps on disk need zarr: pip install "keras-vis3[zarr]".\n')
    assert not list(tmp_path.iterdir())


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


def rgb(*size: int) -> np.ndarray[Any, Any]:
    return np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)


def stacked(*held: Any) -> keras.Model:
    return keras.Sequential(list(held), name="body")


# The last layer of a model, called on features and on their mean over the positions.
ENDS = {
    "model": lambda x, flat: stacked(layers.Flatten(), layers.Dense(5, "softmax", name="classes"))(x),
    "model in a model": lambda x, flat: stacked(layers.ReLU(), stacked(layers.Dense(5, "softmax")))(flat),
    "model of logits": lambda x, flat: stacked(layers.Dense(5))(flat),
    "operation": lambda x, flat: keras.ops.multiply(layers.Dense(5)(flat), 2.0),
    "softmax layer": lambda x, flat: layers.Softmax(name="softmax")(layers.Dense(5, name="logits")(flat)),
    "softmax operation": lambda x, flat: keras.ops.softmax(layers.Dense(5, name="logits")(flat)),
    "map": lambda x, flat: layers.Conv2D(5, 1, activation="softmax", name="classes")(x),
}


def headed(end: str) -> keras.Model:
    """Return a model of pictures of 12 x 12 whose last layer is of a kind."""
    inputs = layers.Input((12, 12, 3))
    x = layers.Conv2D(4, 3, activation="relu", name="conv")(layers.Rescaling(1 / 255)(inputs))
    return keras.Model(inputs, ENDS[end](x, layers.GlobalAveragePooling2D()(x)))


@pytest.mark.filterwarnings("ignore::vis.errors.SoftmaxWarning", "ignore::vis.errors.EmptyMapWarning")
@pytest.mark.parametrize("probabilities", [False, True])
@pytest.mark.parametrize("end", ENDS)
def test_whatever_the_last_layer_is(
    capfd: pytest.CaptureFixture[str], folder: Path, tmp_path: Path, end: str, probabilities: bool
) -> None:
    keras.utils.set_random_seed(1)
    headed(end).save(tmp_path / "model.keras")
    model = files.load_model(tmp_path / "model.keras")
    image = files.load_image(folder / "a.png", (12, 12, 3))
    outputs = np.asarray(model(image[None]))[0].reshape(-1, 5).mean(axis=0)
    explained = model if probabilities else vis.linear_outputs(model)
    predicted = int(np.asarray(explained(image[None]))[0].reshape(-1, 5).mean(axis=0).argmax())
    options = ["--output", tmp_path, "--save-array"] + ["--probabilities"] * probabilities
    for command, function in {"saliency": vis.visualize_saliency, "cam": vis.visualize_cam}.items():
        code, out, _ = run(capfd, command, tmp_path / "model.keras", folder / "a.png", *options)
        assert code == 0
        assert f"predicted class {predicted}, score {outputs[predicted]:.4g}\n" in out
        assert f"[{predicted}], vanilla" in out
        expected = function(explained, -1 if end == "map" else explained, predicted, image)
        np.testing.assert_allclose(np.load(tmp_path / f"a.{command}.npy"), expected, atol=1e-5)
    code, out, err = run(
        capfd, "activation", tmp_path / "model.keras", *options, "--filter", 1, "--steps", 2, "--seed", 1
    )
    assert code == 0, err
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    Image.open(folder / "a.png").save(pictures / "a.png")
    options = ["--probabilities"] * probabilities
    code, out, err = run(
        capfd, "explain", tmp_path / "model.keras", pictures, "-o", tmp_path / "maps", *options
    )
    assert code == 0, err
    expected = vis.attributions.Saliency(explained)(image[None], predicted)
    np.testing.assert_allclose(vis.attributions.store.read(tmp_path / "maps"), expected, atol=1e-5)


@pytest.mark.parametrize(("layer", "stands_for"), [("body/classes", 5), ("body", 5), ("conv", 4)])
def test_layers_of_models_inside(
    capfd: pytest.CaptureFixture[str], folder: Path, tmp_path: Path, layer: str, stands_for: int
) -> None:
    headed("model").save(tmp_path / "model.keras")
    options = ["--layer", layer, "--steps", 1, "--output", tmp_path / "pictures"]
    code, _, err = run(capfd, "activation", tmp_path / "model.keras", *options)
    assert (code, err) == (0, "")
    assert len(list((tmp_path / "pictures").iterdir())) == stands_for


def test_a_model_of_several_outputs(capfd: pytest.CaptureFixture[str], folder: Path, tmp_path: Path) -> None:
    inputs = layers.Input((12, 12, 3))
    x = layers.Flatten()(layers.Conv2D(2, 3)(inputs))
    heads = [layers.Softmax(name=name)(layers.Dense(count)(x)) for name, count in (("six", 6), ("four", 4))]
    model = keras.Model(inputs, heads)
    model.save(tmp_path / "model.keras")
    command = ["saliency", tmp_path / "model.keras", folder / "a.png", "--output", tmp_path, "--save-array"]
    code, _, err = run(capfd, *command)
    assert code == 2 and "has 2 outputs, of the layers 'six' and 'four'" in err
    image = files.load_image(folder / "a.png", (12, 12, 3)) / 255
    for number, name in enumerate(("six", "four")):
        code, out, err = run(capfd, *command, "--layer", name)
        assert (code, err) == (0, "")
        outputs = np.asarray(model(image[None])[number])[0]
        assert f"predicted class {outputs.argmax()}, score {outputs.max():.4g}\n" in out
        single = vis.linear_outputs(keras.Model(inputs, heads[number]))
        expected = vis.visualize_saliency(single, -1, int(outputs.argmax()), image)
        np.testing.assert_allclose(np.load(tmp_path / "a.saliency.npy"), expected, atol=1e-5)


@pytest.mark.parametrize("fit", ["crop", "pad", "stretch"])
@pytest.mark.parametrize("size", [(20, 40), (40, 20), (24, 24)])
def test_the_picture_is_explained_as_the_model_sees_it(
    capfd: pytest.CaptureFixture[str], folder: Path, tmp_path: Path, fit: str, size: tuple[int, int]
) -> None:
    Image.fromarray(rgb(*size)).save(tmp_path / "b.png")
    options = ["--output", tmp_path, "--save-array", "--fit", fit, "--filter", 1]
    code, out, err = run(capfd, "saliency", folder / "model.keras", tmp_path / "b.png", *options)
    assert (code, err) == (0, "")
    said = {"crop": "cropped", "pad": "padded", "stretch": "stretched"}[fit]
    assert (f"{said} from {size[0]} x {size[1]} to 12 x 12 (--fit)" in out) == (size[0] != size[1])
    image = files.load_image(tmp_path / "b.png", (12, 12, 3), fit) / 255
    model = vis.linear_outputs(files.load_model(folder / "model.keras"))
    expected = vis.visualize_saliency(model, -1, 1, image)
    np.testing.assert_allclose(np.load(tmp_path / "b.saliency.npy"), expected, atol=1e-5)


def test_the_range_that_is_given_is_taken(
    capfd: pytest.CaptureFixture[str], folder: Path, tmp_path: Path
) -> None:
    command = ["saliency", folder / "model.keras", folder / "a.png", "--output", tmp_path, "--save-array"]
    for options, words in {
        ("--input-range", -1, 1): "values from -1 to 1,",
        ("--preprocess", "mobilenet_v2"): "preprocessed as for mobilenet_v2,",
    }.items():
        code, out, err = run(capfd, *command, *options, "--filter", 2)
        assert (code, err) == (0, "") and words in out and "assumed" not in out
        image = files.load_image(folder / "a.png", (12, 12, 3)) / 127.5 - 1
        model = vis.linear_outputs(files.load_model(folder / "model.keras"))
        expected = vis.visualize_saliency(model, -1, 2, image)
        np.testing.assert_allclose(np.load(tmp_path / "a.saliency.npy"), expected, atol=1e-4)


def test_the_output_of_a_regression_is_told(
    capfd: pytest.CaptureFixture[str], folder: Path, tmp_path: Path
) -> None:
    model = keras.Sequential([layers.Input((12, 12, 3)), layers.Flatten(), layers.Dense(1)])
    model.save(tmp_path / "model.keras")
    code, out, err = run(capfd, "saliency", tmp_path / "model.keras", folder / "a.png", "--output", tmp_path)
    image = files.load_image(folder / "a.png", (12, 12, 3)) / 255
    assert (code, err) == (0, "")
    assert f", predicted {float(np.asarray(model(image[None]))[0, 0]):.4g}\n" in out


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
    assert code == 0 and out.splitlines()[1:] == [f"6 pictures, saliency -> {maps}"]
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


@pytest.mark.parametrize("method", METHODS)
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
