"""The page: nothing from elsewhere, every text a text, all rows."""

import base64
import csv
import hashlib
import io
import re
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest
import zarr
from keras import layers
from PIL import Image

import vis
from tests.reports.conftest import BROKEN, NAMES, TARGETS, model_of
from tests.reports.parsed import Page
from vis.attributions import Saliency
from vis.errors import InputError

LABELS = ["<img src=x onerror=alert(1)>", 'b"c', "c&d", "e"]


def test_every_row_with_what_is_known_of_it(run: Callable[..., Path], tmp_path: Path) -> None:
    path = run()
    held = zarr.open_group(str(path), mode="r")
    written = vis.report(path, labels=LABELS, progress=False)
    assert written == tmp_path / "maps.html"
    page = Page(written)
    kept = [number for number in range(len(NAMES)) if number != BROKEN]
    assert [int(card["data-row"]) for card in page.cards()] == kept
    for card, number in zip(page.cards(), kept, strict=True):
        prediction, target = int(held["predictions"][number]), int(TARGETS[number])
        assert card["data-name"] == NAMES[number] and NAMES[number] in card["text"]
        assert np.float32(card["data-score"]) == held["scores"][number]
        assert f"{held['scores'][number]:.4g}" in card["text"]
        assert (card["data-prediction"], card["data-target"]) == (str(prediction), str(target))
        assert card["data-equal"] == str(int(prediction == target))
        assert LABELS[prediction] in card["text"] and LABELS[target] in card["text"]
        assert ("differs" in card["text"]) == (prediction != target)
    pictures = [image for image in page.all("img") if "li" in image["inside"]]
    assert [image["alt"] for image in pictures] == ["input", "map", "map over input"] * len(kept)
    first = Image.open(io.BytesIO(base64.b64decode(pictures[0]["src"].split(",")[1])))
    assert first.size == (16, 12) == (int(pictures[0]["width"]), int(pictures[0]["height"]))
    source = np.asarray(Image.open(tmp_path / "pictures" / NAMES[0]))
    np.testing.assert_array_equal(np.asarray(first), source)
    (skipped,) = page.all("details", id="skipped")
    assert NAMES[BROKEN] in skipped["text"] and "not a picture in a format" in skipped["text"]
    share = 100 * np.mean([held["predictions"][number] == TARGETS[number] for number in kept])
    assert f"{share:.1f} %" in page.all("ul")[0]["text"]
    settings = page.all("details")[-1]["text"]
    for said in ("Saliency", "grad modifier", keras.__version__, vis.__version__, held.attrs["weights"]):
        assert said in settings
    with (tmp_path / "maps.csv").open(encoding="utf-8-sig", newline="") as table:
        assert len([*csv.DictReader(table)]) == len(NAMES)


def test_nothing_is_loaded_and_nothing_runs_but_the_script(run: Callable[..., Path]) -> None:
    page = Page(vis.report(run(), labels=LABELS, progress=False))
    assert "http" not in page.text.replace("http-equiv", "")
    assert "//" not in re.sub(r"base64,[\w+/=]+|^ *//.*$", "", page.text, flags=re.M)
    (policy,) = page.all("meta", **{"http-equiv": "Content-Security-Policy"})
    rules = dict(rule.strip().split(" ", 1) for rule in policy["content"].split(";"))
    assert rules["default-src"] == "'none'" and rules["img-src"] == "data:"
    for tag in ("script", "style"):
        (element,) = page.all(tag)
        digest = base64.b64encode(hashlib.sha256(element["text"].encode()).digest()).decode()
        assert rules[f"{tag}-src"] == f"'sha256-{digest}'"
    for element in page.elements:
        assert not [name for name in element if name.startswith("on") or name == "style"], element
        assert element["tag"] not in ("link", "iframe", "object", "base", "svg", "video")
        for name in ("src", "href"):
            assert element.get(name, "#").startswith(
                ("#", "data:image/png;base64,", "data:image/jpeg;base64,")
            )


def test_a_text_in_the_group_is_no_mark_up(run: Callable[..., Path]) -> None:
    path = run()
    held = zarr.open_group(str(path), mode="r+")
    evil = "</script></style><!-- rows --><script>alert(1)</script>$x"
    said = {**held.attrs["source"], "model": evil, evil: [evil]}
    settings = {**held.attrs["settings"], "method": evil, "model": evil}
    versions = {**held.attrs["versions"], "vis": evil}
    progress = held.attrs["progress"]
    held.attrs.update(
        {
            "source": said,
            "settings": settings,
            "versions": versions,
            "progress": {**progress, "skipped": [[BROKEN, evil]]},
        }
    )
    page = Page(vis.report(path, labels=[evil] * 4, names=[evil] * 6, progress=False))
    assert len(page.all("script")) == len(page.all("style")) == 1 and len(page.cards()) == 5
    assert page.all("h1")[0]["text"] == f"{evil} of {evil}"
    assert evil in page.all("details", id="skipped")[0]["text"]
    assert all(card["data-name"] == evil for card in page.cards())


def test_a_name_that_is_no_unicode(run: Callable[..., Path], tmp_path: Path) -> None:
    page = Page(vis.report(run(), names=["a\udcff.png"] * 6, progress=False))
    assert {card["data-name"] for card in page.cards()} == {"a\\udcff.png"}
    assert (tmp_path / "maps.csv").read_text(encoding="utf-8-sig").count("a\\udcff.png") == 6


def test_the_predicted_class_is_no_target_to_compare_with(run: Callable[..., Path]) -> None:
    page = Page(vis.report(run(None), progress=False))
    assert "predicted as their target" not in page.all("ul")[0]["text"]
    assert {card["data-equal"] for card in page.cards()} == {""}
    assert all("Target" not in card["text"] and "Predicted" in card["text"] for card in page.cards())
    assert "The predicted class is explained." in page.text


def test_one_sign_for_all_maps(run: Callable[..., Path]) -> None:
    """A scale with zero in the middle where one map needs it, and the legend says so."""
    path = run(None, grad_modifier=None)
    assert (
        "from minus to plus the 99th percentile of its magnitudes, with zero in"
        in Page(vis.report(path, progress=False)).text
    )
    magnitudes = Page(vis.report(path, absolute=True, clip_percentile=0, progress=False)).text
    assert "from 0 to its largest magnitude. Magnitudes are drawn" in magnitudes
    with pytest.raises(InputError, match="colormap"):
        vis.report(path, cmap="infrno", progress=False)


def test_large_pictures_become_thumbnails(tmp_path: Path) -> None:
    network = model_of(layers.Input((90, 120, 1)), layers.Flatten(), layers.Dense(2))
    x = np.random.default_rng(0).random((2, 90, 120, 1)).astype(np.float32)
    Saliency(network).write(x, tmp_path / "maps", progress=False)
    page = Page(vis.report(tmp_path / "maps", images=x, names=["a", "b"], size=60, progress=False))
    pictures = [image for image in page.all("img") if "li" in image["inside"]]
    assert len(pictures) == 6
    for image in pictures:
        assert (image["width"], image["height"]) == ("60", "45")
        held = Image.open(io.BytesIO(base64.b64decode(image["src"].split(",")[1])))
        assert held.size == (60, 45) and held.format == "PNG"
    large = Page(vis.report(tmp_path / "maps", images=x, progress=False)).all("img")[1:]
    assert all(image["src"].startswith("data:image/jpeg") and image["width"] == "120" for image in large)


@pytest.mark.parametrize("shape", [(9,), (20, 1), (20, 3), (4, 6, 6, 1)])
def test_maps_that_are_none_of_pictures(tmp_path: Path, shape: tuple[int, ...]) -> None:
    network = model_of(layers.Input(shape), layers.Flatten(), layers.Dense(2))
    x = np.random.default_rng(0).random((3, *shape)).astype(np.float32)
    Saliency(network).write(x, tmp_path / "maps", progress=False)
    page = Page(vis.report(tmp_path / "maps", progress=False))
    assert "input" not in page.all("p", **{"class": "legend"})[0]["text"]
    assert not page.all("p", **{"class": "note"})
    assert [image["alt"] for image in page.all("img")] == ["", *["map"] * 3]
