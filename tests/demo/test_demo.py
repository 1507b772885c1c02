"""The demo's scenes, network and figures."""

import re
from pathlib import Path

import numpy as np
import pytest

from tests import native
from vis import metrics
from vis.demo import network, report, scenes

PAGE = (Path(__file__).parents[2] / "docs" / "demo.md").read_text()


def test_scenes_hold_their_digit_in_the_box() -> None:
    made = scenes.make_scenes(50, "test", 3)
    assert made.images.shape == (50, 64, 64, 3) and made.images.dtype == np.float32
    assert made.images.min() >= 0 and made.images.max() <= 1
    for image, mask in zip(made.images, made.masks, strict=True):
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        assert mask.sum() == len(rows) * len(columns), "a box is a rectangle"
        assert 22 <= len(rows) <= 26
        assert image[mask].max() > 0.9, "the digit is bright"
    assert 0.12 < made.masks.mean() < 0.16


def test_scenes_depend_on_the_seed_alone() -> None:
    first, again, other = (scenes.make_scenes(5, "train", seed) for seed in (1, 1, 2))
    assert np.array_equal(first.images, again.images)
    assert not np.array_equal(first.images, other.images)


def test_train_and_test_share_no_digit() -> None:
    digits, _, _ = scenes._sources()
    train, test = (scenes._digit_indices(split) for split in ("train", "test"))
    assert sorted([*train, *test]) == list(range(len(digits)))


@pytest.mark.parametrize(("count", "split", "seed"), [(0, "test", 0), (1, "validation", 0), (1, "test", -1)])
def test_scenes_refuse_what_makes_no_sense(count: int, split: str, seed: int) -> None:
    with pytest.raises(ValueError, match="got"):
        scenes.make_scenes(count, split, seed)


def test_the_shipped_network_reads_digits_it_has_not_seen() -> None:
    model = network.load_network()
    assert 80_000 < model.count_params() < 100_000
    assert network.WEIGHTS.stat().st_size < 500_000
    made = scenes.make_scenes(300, "test", 11)
    predicted = model.predict(made.images, verbose=0).argmax(axis=-1)
    assert (predicted == made.labels).mean() >= 0.9


# What the command measures, and docs/demo.md quotes. On the other backends fewer: the maps of this network
# are compared elsewhere.
COUNT = 200 if native.NAME == "TensorFlow" else 40
quoting = pytest.mark.skipif(COUNT < 200, reason="the page quotes the figures of 200 scenes")


@pytest.fixture(scope="module")
def measured() -> report.Result:
    return report.measure(COUNT)


def test_what_the_demo_measures(measured: report.Result) -> None:
    rows = {row.method: row for row in measured.rows}
    assert list(rows) == [*report.ALL]
    # The box covers 0.14 of the area: a map that knew nothing of the digit would have that share in it.
    assert rows["vanilla"].energy > 0.5
    assert rows["vanilla"].hits >= 0.95 * COUNT
    assert rows["small_values"].energy < measured.area, "what does not matter lies outside the digit"
    table = measured.table().splitlines()
    assert table[0].startswith(f"{COUNT} test scenes")
    assert [line[:18].strip() for line in table[4:]] == list(rows)
    assert min(rows[name].energy for name in report.EXPLAINERS) > 2 * measured.area
    # Removed in the order of a map that knows the digit, it is gone soon; put in, it is there soon.
    for method in ("vanilla", "guided", "Grad-CAM", "occlusion"):
        assert rows[method].deletion < 0.3 < 0.8 < rows[method].insertion
    assert rows["small_values"].deletion > rows["vanilla"].deletion + 0.2


@quoting
def test_the_page_quotes_what_the_demo_measures(measured: report.Result) -> None:
    text = " ".join(PAGE.split())
    assert f"names {100 * measured.accuracy:.1f} % of 200 scenes" in text
    assert f"which covers {measured.area:.2f} of the scene" in text
    quoted = re.findall(
        r"^\| (.+?) \| (\d\.\d\d) \| (\d+) of 200 \| (\d\.\d\d) \| (\d\.\d\d) \| \d+ \|$", PAGE, re.M
    )
    assert [name for name, *_ in quoted] == [row.method for row in measured.rows]
    for (name, energy, hits, *areas), row in zip(quoted, measured.rows, strict=True):
        # The noise of sums in another order turns a map's largest value now and then.
        assert float(energy) == pytest.approx(row.energy, abs=0.011), name
        assert int(hits) == pytest.approx(row.hits, abs=2), name
        assert [float(area) for area in areas] == pytest.approx([row.deletion, row.insertion], abs=0.011), (
            name
        )


def test_a_map_has_negative_values_only_where_its_title_says_so(measured: report.Result) -> None:
    assert measured.maps.keys() == report.ALL.keys()
    for name, method in report.ALL.items():
        assert (measured.maps[name].min() < 0) == ("signed" in method.value), name


@pytest.mark.parametrize("methods", [report.METHODS, report.EXPLAINERS, *report.FAMILIES.values()], ids=len)
def test_the_galleries_say_what_they_show(measured: report.Result, methods: tuple[str, ...]) -> None:
    figure = report.gallery(measured, methods)
    grid = np.reshape(figure.axes[: report.GALLERY_ROWS * (1 + len(methods))], (report.GALLERY_ROWS, -1))
    titles = [axes.get_title() for axes in grid[0]]
    wanted = ["input", *(f"{name} {report.ALL[name].value}" for name in methods)]
    assert [" ".join(title.split()) for title in titles] == wanted
    assert ("Red" in figure.get_suptitle()) == any("signed" in title for title in titles)
    for axes in grid[:, 0]:
        digit, chance = re.fullmatch(r"digit (\d)\np = (\d\.\d{3})", axes.get_ylabel()).groups()
        same = measured.scenes.labels == int(digit)
        chances = measured.probabilities[same, int(digit)]
        assert f"{chances[0]:.3f}" == chance, "the first scene of each digit is shown"


@quoting
def test_a_random_order_of_pixels_is_worse(measured: report.Result) -> None:
    # What the page sets beside the areas of the methods.

    rng = np.random.default_rng(0)
    images, labels = measured.scenes.images[:50], measured.scenes.labels[:50]
    heat, model = rng.random((50, 64, 64)), network.load_network()
    found = [
        float(change(model, images, heat, labels).area.mean())
        for change in (metrics.deletion, metrics.insertion)
    ]
    (quoted,) = re.findall(r"random order has (\d\.\d\d) and (\d\.\d\d)", " ".join(PAGE.split()))
    assert [float(area) for area in quoted] == pytest.approx(found, abs=0.011)


def test_the_digits_that_the_demo_draws() -> None:
    figure = report.digits()
    assert len(figure.axes) == 20
    pictures = np.stack([np.asarray(axes.images[0].get_array())[..., :3] / 255.0 for axes in figure.axes])
    chances = network.load_network().predict(pictures, verbose=0)
    for position, axes in enumerate(figure.axes):
        digit = position % 10
        assert chances[position, digit] > 0.9
        # The picture is drawn in whole numbers.
        name, chance = axes.get_title().split(": ")
        assert int(name) == digit and float(chance) == pytest.approx(chances[position, digit], abs=0.01)
    assert [axes.get_ylabel() for axes in figure.axes[::10]] == ["pixels", "waves"]
