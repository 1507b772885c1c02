"""What the page shows is what the library computes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from PIL import Image

import vis
from tests.explorer.conftest import Client, network
from vis import attributions, describe, files
from vis.errors import InputError, LayerError, SkippedWarning
from vis.explorer.beside import two_digits
from vis.explorer.session import Session, demo, layers_of
from vis.explorer.settings import Setting, forms
from vis.methods import METHODS


def array_of(folder: Path, name: str) -> np.ndarray[Any, Any]:
    return files.load_image(folder / "photos" / name, (12, 12, 3)) / 255


CASES: dict[str, dict[str, Any]] = {
    "the predicted class": {},
    "a class": {"target": 3},
    "a filter": {"layer": 1, "target": 2, "picture": 1},
    "guided": {"options": (("backprop_modifier", "guided"), ("grad_modifier", "none"))},
    "the class activation of a layer": {"method": "gradcam", "target": 1, "options": (("conv_layer", "1"),)},
    "an option in a text": {"method": "occlusion", "options": (("patch_size", "4, 3"),)},
    "noise": {"method": "smoothgrad", "options": (("nb_samples", "3"),), "target": 0},
}
SAME: dict[str, Any] = {
    "the predicted class": lambda m, x: attributions.Saliency(m)(x),
    "a class": lambda m, x: attributions.Saliency(m)(x, 3),
    "a filter": lambda m, x: attributions.Saliency(m, output_layer="conv")(x, 2),
    "guided": lambda m, x: attributions.Saliency(m, backprop_modifier="guided", grad_modifier=None)(x),
    "the class activation of a layer": lambda m, x: attributions.GradCAM(m, conv_layer="conv")(x, 1),
    "an option in a text": lambda m, x: attributions.Occlusion(m, patch_size=(4, 3))(x),
    "noise": lambda m, x: attributions.SmoothGrad(m, nb_samples=3)(x, 0),
}


@pytest.mark.filterwarnings("ignore::vis.errors.VisWarning")
@pytest.mark.parametrize("case", CASES)
def test_a_map_is_that_of_the_library(about: Session, folder: Path, case: str) -> None:
    setting = Setting(**{"picture": 0, **CASES[case]})
    logits = vis.linear_outputs(keras.models.load_model(folder / "model.keras"))
    image = array_of(folder, "ab"[setting.picture] + ".png")
    expected = SAME[case](logits, image[None])[0]
    (result,) = about.explain(setting).maps
    np.testing.assert_allclose(result.map, expected[..., 0], rtol=1e-4, atol=1e-6)
    assert result.signed == bool((expected < 0).any())
    sizes = np.abs(expected) if result.signed else expected
    assert result.high == pytest.approx(np.percentile(sizes, 99, method="higher"), rel=1e-4)
    assert result.low == (-result.high if result.signed else 0)


@pytest.mark.parametrize("case", CASES)
def test_the_script_makes_the_same_picture(about: Session, tmp_path: Path, case: str) -> None:
    if case not in ("a filter", "guided", "the class activation of a layer"):
        compile(about.script(Setting(**{"picture": 0, **CASES[case]})), case, "exec")
        return
    setting = Setting(**{"picture": 0, **CASES[case]})
    shown = about.explain(setting).maps[0].picture
    (tmp_path / "script.py").write_text(about.script(setting))
    done = subprocess.run(
        [sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "map.png").read_bytes() == shown


def test_predictions(about: Session, folder: Path) -> None:
    model = keras.models.load_model(folder / "model.keras")
    output = np.asarray(keras.ops.convert_to_numpy(model(array_of(folder, "a.png")[None])))[0]
    (found,) = about.predict(0)
    assert found["count"] == 5
    assert [each["target"] for each in found["best"]] == list(np.argsort(-output))
    np.testing.assert_allclose([each["value"] for each in found["best"]], np.sort(output)[::-1], rtol=1e-5)


def test_the_list_of_layers_is_that_of_the_command() -> None:
    model = network()
    rows = layers_of(model)
    assert [row["path"] for row in rows] == ["scene", "conv", "smooth", "mean", "classes"]
    assert rows[1] == {
        "index": "1",
        "path": "conv",
        "type": "Conv2D",
        "output shape": "10x10x4",
        "filters": "4",
        "activation": "relu",
        "guided": "yes",
    }
    assert [row["activation"] for row in rows] == ["-", "relu", "gelu", "-", "softmax"]
    assert len(rows) == len(describe.layer_table(model).splitlines()) - 1


@pytest.mark.parametrize("method", METHODS)
def test_the_defaults_of_the_form_are_those_of_the_constructor(about: Session, method: str) -> None:
    options = {form["name"]: form["default"] for form in forms(method) if form["default"]}
    kind = getattr(attributions, METHODS[method].explainer)
    asked = Setting(0, method, options=tuple(options.items())).arguments()
    assert set(asked) == set(options)
    if "attention" not in method:
        assert kind(about.logits, **asked).settings() == kind(about.logits).settings()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"picture": "0"}, "whole numbers"),
        ({}, "whole numbers"),
        ({"picture": True}, "whole numbers"),
        ({"picture": 0, "target": 1.5}, "whole numbers"),
        ({"picture": 0, "method": "salency"}, "Did you mean 'saliency'"),
        ({"picture": 0, "path": "/etc/passwd"}, "has the parts"),
        ({"picture": 0, "options": {"steps": "3"}}, "saliency does not take 'steps'"),
        ({"picture": 0, "options": {"reducer": 3}}, "must be texts"),
        ([], "has the parts"),
    ],
)
def test_what_is_no_setting_is_refused(given: Any, words: str) -> None:
    with pytest.raises(InputError, match=words):
        Setting.of(given)


def test_warnings_come_with_each_map(about: Session) -> None:
    options = (("backprop_modifier", "epsilon_plus"),)
    for picture in (0, 1, 0):
        (said,) = about.explain(Setting(picture, options=options)).warnings
        assert "drops the sign of relevance" in said
    softmax = keras.Sequential([keras.Input((12, 12, 3)), keras.layers.Flatten(), keras.layers.Softmax()])
    made = Session(softmax, np.random.default_rng(0).uniform(size=(2, 12, 12, 3)))
    layer = [row["type"] for row in made.layers].index("Softmax")
    for picture in (0, 1):
        assert "ends in a softmax" in made.explain(Setting(picture, layer=layer, target=0)).warnings[0]


def test_numbers_out_of_range(about: Session) -> None:
    with pytest.raises(InputError, match=r"There are .* samples"):
        about.explain(Setting(99))
    with pytest.raises(LayerError, match="There are 5 layers"):
        about.explain(Setting(0, layer=5))
    with pytest.raises(InputError, match="nb_samples must be an integer"):
        about.explain(Setting(0, "smoothgrad", options=(("nb_samples", "many"),)))


def test_links_out_of_the_folder_are_left_out(folder: Path, tmp_path: Path) -> None:
    inside = tmp_path / "photos"
    inside.mkdir()
    (inside / "own.png").write_bytes((folder / "photos" / "a.png").read_bytes())
    (inside / "link.png").symlink_to(inside / "own.png")
    (inside / "out.png").symlink_to(folder / "photos" / "b.png")
    with pytest.warns(SkippedWarning, match=r"1 symbolic links .*out\.png"):
        made = Session(network(), inside)
    assert made.samples.names() == ["link.png", "own.png"]
    (inside / "own.png").unlink()
    (inside / "own.png").symlink_to(folder / "photos" / "b.png")
    with pytest.raises(InputError, match="has become a symbolic link"):
        made.explain(Setting(1))


def test_inputs_in_an_array() -> None:
    images = np.random.default_rng(0).uniform(size=(2, 12, 12, 3)).astype(np.float32)
    made = Session(network(), images, ("# model and images",))
    assert made.samples.names() == ["images[0]", "images[1]"]
    expected = attributions.Saliency(made.logits)(images, 2)
    np.testing.assert_allclose(made.explain(Setting(1, target=2)).maps[0].map, expected[1, ..., 0], rtol=1e-4)
    assert "sample = images[1:2]" in made.script(Setting(1))
    with pytest.raises(InputError, match="must have shape"):
        Session(network(), images[0, 0])


def test_the_report_has_all_pictures(about: Session) -> None:
    pytest.importorskip("zarr")
    html = about.report(Setting(0, target=1)).decode()
    assert all(name in html for name in about.samples.names())
    assert "Saliency" in html


def test_a_model_that_raises() -> None:
    class Breaking(keras.layers.Layer):  # type: ignore[misc]
        def call(self, x: Any) -> Any:
            raise RuntimeError("out of order")

        def compute_output_shape(self, shape: Any) -> Any:
            return shape

    inputs = keras.Input((12, 12, 3))
    x = keras.layers.Flatten()(Breaking()(inputs))
    model = keras.Model(inputs, keras.layers.Dense(2)(x))
    made = Client(lambda: Session(model, np.zeros((1, 12, 12, 3), np.float32), input_range=(0.0, 1.0)))
    if made.errors:  # the model is read, and cannot be
        assert "out of order" in str(made.errors[0])
        return
    assert "out of order" in made.told("explain")["error"]
    assert made.get("/api/session").status_code == 200, "the server goes on"


def test_the_demo(tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    network, images, opened = demo()
    made = Session(network, images, opened)
    shown = made.explain(Setting(3, layer=15, target=7)).maps[0].picture
    (tmp_path / "script.py").write_text(made.script(Setting(3, layer=15, target=7)))
    done = subprocess.run(
        [sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "map.png").read_bytes() == shown
    assert np.asarray(Image.open(tmp_path / "map.png")).shape == (64, 64, 3)


@pytest.mark.parametrize(
    "value, text", [(-0.001, "0.00"), (-0.3, "-0.30"), (1, "1.00"), (float("nan"), "nan")]
)
def test_what_rounds_to_zero_has_no_sign(value: float, text: str) -> None:
    assert two_digits(value) == text
