"""`vis saliency`, `vis cam`, `vis activation`."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers
from PIL import Image

import vis
from tests.cli.running import ENDS, headed, rgb, run
from tests.reliability.scale import NIGHTLY
from vis import cli, files


@pytest.fixture(scope="module")
def network(folder: Path) -> keras.Model:
    """Return the model of the folder."""
    return files.load_model(folder / "model.keras")


@pytest.fixture(scope="module")
def logits(network: keras.Model) -> keras.Model:
    return vis.linear_outputs(network)


def test_saliency_of_the_predicted_class(
    capfd: pytest.CaptureFixture[str], folder: Path, tmp_path: Path, network: keras.Model, logits: keras.Model
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
    image = files.load_image(images[0], (12, 12, 3)) / 255
    probabilities = np.asarray(network(image[None]))[0]
    predicted = int(probabilities.argmax())
    assert out.splitlines()[0] == (
        f"{images[0]}: values from 0 to 1 assumed (--input-range), cropped from 20 x 30 to 12 x 12 (--fit), "
        f"predicted class {predicted}, score {probabilities[predicted]:.4g}"
    )
    expected = vis.visualize_saliency(logits, -1, predicted, image)
    np.testing.assert_allclose(np.load(tmp_path / "a.saliency.npy"), expected, atol=1e-6)
    assert f"classes [{predicted}], vanilla, |gradient| -> " in out
    with Image.open(tmp_path / "a.saliency.png") as picture:
        assert np.asarray(picture).std() > 10


@pytest.mark.parametrize("layer", ["backbone/conv", "smooth", "2"])
def test_saliency_of_a_layer_inside(
    capfd: pytest.CaptureFixture[str], folder: Path, tmp_path: Path, layer: str, network: keras.Model
) -> None:
    options = [
        "--layer",
        layer,
        "--target",
        0,
        "--target",
        1,
        "--grad-modifier",
        "relu",
        "--output",
        tmp_path,
    ]
    code, out, err = run(
        capfd, "saliency", folder / "model.keras", folder / "a.png", *options, "--save-array"
    )
    assert (code, err) == (0, "")
    image = files.load_image(folder / "a.png", (12, 12, 3)) / 255
    target = int(layer) if layer.isdigit() else layer
    expected = vis.visualize_saliency(network, target, [0, 1], image, grad_modifier="relu")
    np.testing.assert_allclose(np.load(tmp_path / "a.saliency.npy"), expected, atol=1e-6)
    assert "[0, 1], vanilla, max(gradient, 0) -> " in out


@pytest.mark.parametrize(
    ("command", "modifier", "normalize", "label"),
    [
        ("saliency", "none", "signed", "gradient"),
        ("saliency", "negate", "minmax", "-gradient from its lowest value to its highest"),
        ("saliency", "negate", "none", "-gradient"),
        ("saliency", "invert", "signed", "1 / gradient"),
        ("saliency", "small_values", "minmax", "|1 / gradient|"),
        ("cam", "none", "none", "Grad-CAM"),
        ("cam", "absolute", "signed", "Grad-CAM of |gradient|"),
    ],
)
def test_signs_are_kept_and_told(
    capfd: pytest.CaptureFixture[str],
    folder: Path,
    tmp_path: Path,
    command: str,
    modifier: str,
    normalize: str,
    label: str,
    network: keras.Model,
) -> None:
    asked = ["--target", 0, "--grad-modifier", modifier, "--normalize", normalize, "-o", tmp_path]
    code, out, err = run(
        capfd, command, folder / "model.keras", folder / "a.png", *asked, "--save-array", "--layer", "smooth"
    )
    assert (code, err) == (0, "")
    assert f"smooth [0], vanilla, {label} -> " in out
    image = files.load_image(folder / "a.png", (12, 12, 3)) / 255
    function = getattr(vis, f"visualize_{command}")
    given = [None if word == "none" else word for word in (modifier, normalize)]
    expected = function(network, "smooth", 0, image, grad_modifier=given[0], normalize=given[1])
    found = np.load(tmp_path / f"a.{command}.npy")
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)
    signed = command == "saliency" and normalize != "minmax" and modifier in ("none", "negate", "invert")
    assert (found.min() < 0) == signed
    # Signed maps are drawn in diverging colours.
    with Image.open(tmp_path / f"a.{command}.png") as picture:
        blue = np.asarray(picture.convert("RGB"), int) @ [-1, 0, 1]
    assert found.any() and (normalize != "signed" or modifier != "none" or (blue > 60).any())


def test_cam(capfd: pytest.CaptureFixture[str], folder: Path, tmp_path: Path, logits: keras.Model) -> None:
    options = ["--target", 0, "--conv-layer", "backbone/conv", "--output", tmp_path, "--save-array"]
    code, out, err = run(capfd, "cam", folder / "model.keras", folder / "a.png", *options)
    assert (code, err) == (0, "")
    assert "classes [0], vanilla, Grad-CAM" in out
    image = files.load_image(folder / "a.png", (12, 12, 3)) / 255
    expected = vis.visualize_cam(logits, -1, 0, image, "backbone/conv")
    np.testing.assert_allclose(np.load(tmp_path / "a.cam.npy"), expected, atol=1e-6)
    with Image.open(tmp_path / "a.cam.png") as picture:
        assert np.asarray(picture).std() > 10


@pytest.mark.parametrize(("parameterization", "white"), [("fourier", 1.0), ("pixels", 255.0)])
def test_activation(
    capfd: pytest.CaptureFixture[str],
    folder: Path,
    tmp_path: Path,
    parameterization: str,
    white: float,
    logits: keras.Model,
) -> None:
    options = ["--target", 3, "--target", 0, "--steps", 4, "--seed", 1, "--output", tmp_path, "--save-array"]
    options += ["--parameterization", parameterization, "--input-range", 0, white]
    code, out, err = run(capfd, "activation", folder / "model.keras", *options)
    assert (code, err) == (0, "")
    assert out.splitlines()[0].startswith(f"classes [3], {parameterization} -> ")
    assert out.splitlines()[2:] == [f"values from 0 to {white:g}"]
    files_ = [f"classes-{index}.activation.{suffix}" for index in (0, 3) for suffix in ("npy", "png")]
    assert sorted(path.name for path in tmp_path.iterdir()) == files_
    for index in (0, 3):
        expected = vis.visualize_activation(
            logits, -1, index, input_range=(0.0, white), max_iter=4, seed=1, parameterization=parameterization
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


@pytest.mark.filterwarnings("ignore::vis.errors.SoftmaxWarning", "ignore::vis.errors.EmptyMapWarning")
@pytest.mark.parametrize(
    ("end", "probabilities"),
    # Probabilities are what the model returns, wherever its logits are.
    [
        *((end, False) for end in ENDS),
        *((end, True) for end in (ENDS if NIGHTLY else ("model", "softmax operation", "map"))),
    ],
)
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
    if NIGHTLY or not probabilities or end == "model":
        code, out, err = run(
            capfd, "activation", tmp_path / "model.keras", *options, "--target", 1, "--steps", 2, "--seed", 1
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
def test_the_picture_is_explained_as_the_model_sees_it(
    capfd: pytest.CaptureFixture[str], folder: Path, tmp_path: Path, logits: keras.Model, fit: str
) -> None:
    sizes = {"wide": (20, 40), "tall": (40, 20), "square": (24, 24)}
    for name, size in sizes.items():
        Image.fromarray(rgb(*size)).save(tmp_path / f"{name}.png")
    pictures = [tmp_path / f"{name}.png" for name in sizes]
    options = ["--output", tmp_path, "--save-array", "--fit", fit, "--target", 1]
    code, out, err = run(capfd, "saliency", folder / "model.keras", *pictures, *options)
    assert (code, err) == (0, "")
    said = {"crop": "cropped", "pad": "padded", "stretch": "stretched"}[fit]
    for (name, size), picture in zip(sizes.items(), pictures, strict=True):
        line = next(line for line in out.splitlines() if line.startswith(f"{picture}: "))
        assert (f"{said} from {size[0]} x {size[1]} to 12 x 12 (--fit)" in line) == (name != "square")
        image = files.load_image(picture, (12, 12, 3), fit) / 255
        expected = vis.visualize_saliency(logits, -1, 1, image)
        np.testing.assert_allclose(np.load(tmp_path / f"{name}.saliency.npy"), expected, atol=1e-5)


def test_the_range_that_is_given_is_taken(
    capfd: pytest.CaptureFixture[str], folder: Path, tmp_path: Path, logits: keras.Model
) -> None:
    command = ["saliency", folder / "model.keras", folder / "a.png", "--output", tmp_path, "--save-array"]
    for options, words in {
        ("--input-range", -1, 1): "values from -1 to 1,",
        ("--preprocess", "mobilenet_v2"): "preprocessed as for mobilenet_v2,",
    }.items():
        code, out, err = run(capfd, *command, *options, "--target", 2)
        assert (code, err) == (0, "") and words in out and "assumed" not in out
        image = files.load_image(folder / "a.png", (12, 12, 3)) / 127.5 - 1
        expected = vis.visualize_saliency(logits, -1, 2, image)
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


def test_folders_are_taken_where_pictures_are(
    capfd: pytest.CaptureFixture[str], folder: Path, tmp_path: Path
) -> None:
    photos = tmp_path / "photos"
    (photos / "inside").mkdir(parents=True)
    for name in ("a.png", "a-2.png", "inside/a.png", "inside/a.jpg"):
        Image.fromarray(rgb(12, 12)).save(photos / name)
    (photos / "broken.png").write_text("no picture")
    (photos / "notes.txt").write_text("words")
    command = ["saliency", folder / "model.keras", folder / "a.png", photos, photos / "a.png", "--target", 1]
    code, out, err = run(capfd, *command, "-o", tmp_path / "maps")
    assert code == 0
    assert err.count("\n") == 1 and err.startswith(f"vis: warning: {photos / 'broken.png'} is skipped: ")
    drawn = [line.rsplit(" -> ")[-1] for line in out.splitlines() if " -> " in line]
    names = ["a", "a-2", "a-3", "a-4", "a-5"]
    assert sorted(Path(path).name for path in drawn) == sorted(f"{name}.saliency.png" for name in names)
    assert {path.name for path in (tmp_path / "maps").iterdir()} == {f"{n}.saliency.png" for n in names}


@pytest.mark.parametrize("command", ["saliency", "cam"])
def test_former_names_of_options_are_understood(
    capfd: pytest.CaptureFixture[str], folder: Path, tmp_path: Path, command: str
) -> None:
    now = [command, folder / "model.keras", folder / "a.png", "-o", tmp_path, "--save-array"]
    old = [*now, "--filter", 0, "--filter=2", "--backprop", "guided", "--grad", "relu"]
    now += ["--target", 0, "--target", 2, "--backprop-modifier", "guided", "--grad-modifier", "relu"]
    notes = [
        "vis: --filter is now called --target.",
        "vis: --backprop is now called --backprop-modifier.",
        "vis: --grad is now called --grad-modifier.",
    ]
    if command == "cam":
        old += ["--penultimate", "backbone/conv"]
        now += ["--conv-layer", "backbone/conv"]
        notes.append("vis: --penultimate is now called --conv-layer.")
    found = []
    for arguments, noted in ((now, []), (old, notes)):
        code, _, err = run(capfd, *arguments)
        assert code == 0 and sorted(err.splitlines()) == sorted(noted)
        found.append(np.load(tmp_path / f"a.{command}.npy"))
    assert np.array_equal(*found)
    shown = run(capfd, command, "--help")[1]
    assert not {"--filter", "--grad", "--backprop", "--penultimate"} & set(shown.split())


def test_a_value_that_looks_like_a_former_name_is_a_value(
    capfd: pytest.CaptureFixture[str], folder: Path, tmp_path: Path
) -> None:
    command = ["saliency", folder / "model.keras", folder / "a.png", "-o", tmp_path, "--layer=--filter"]
    code, _, err = run(capfd, *command)
    assert code == 2 and "has no layer '--filter'" in err and "now called" not in err


def test_ctrl_c_says_what_is_drawn(
    capfd: pytest.CaptureFixture[str], folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    for number in range(4):
        Image.fromarray(rgb(12, 12)).save(photos / f"{number}.png")
    drawn: list[str] = []
    plot = vis.plotting.plot_saliency

    def stopped(*arguments: Any) -> Any:
        if len(drawn) == 2:
            raise KeyboardInterrupt
        drawn.append("one")
        return plot(*arguments)

    monkeypatch.setattr(vis.plotting, "plot_saliency", stopped)
    code, _, err = run(capfd, "saliency", folder / "model.keras", photos, "-o", tmp_path / "maps")
    assert (code, err) == (130, f"vis: stopped. 2 of 4 pictures are drawn, in {tmp_path / 'maps'}.\n")
    assert len(list((tmp_path / "maps").iterdir())) == 2


def test_names_are_distinct() -> None:
    assert cli.draw.distinct(["a", "b", "a", "a-2", "a"]) == ["a", "b", "a-2", "a-2-2", "a-3"]
