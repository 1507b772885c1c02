"""The demo's scenes, network and figures."""

import numpy as np
import pytest

from vis import metrics
from vis.demo import network, report, sanity, scenes


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


def test_what_the_demo_shows() -> None:
    result = report.measure(30)
    rows = {row.method: row for row in result.rows}
    assert list(rows) == [*report.METHODS, *report.EXPLAINERS]
    assert list(rows)[:6] == ["vanilla", "negate", "small_values", "guided", "rectified", "Grad-CAM"]
    # The box covers 0.14 of the area: a map that knew nothing of the digit would have that share in it.
    assert rows["vanilla"].energy > 0.5
    assert rows["vanilla"].hits >= 28
    assert rows["small_values"].energy < result.area, "what does not matter lies outside the digit"
    table = result.table().splitlines()
    assert table[0].startswith("30 test scenes")
    assert [line[:18].strip() for line in table[3:]] == list(rows)
    for methods in (report.METHODS, report.EXPLAINERS, *report.FAMILIES.values()):
        figure = report.gallery(result, methods)
        assert len(figure.axes) == report.GALLERY_ROWS * (1 + len(methods))
    assert min(rows[name].energy for name in report.EXPLAINERS) > 2 * result.area
    # Removed in the order of a map that knows the digit, it is gone soon; put in, it is there soon.
    for method in ("vanilla", "guided", "Grad-CAM", "occlusion"):
        assert rows[method].deletion < 0.3 < 0.8 < rows[method].insertion
    assert rows["small_values"].deletion > rows["vanilla"].deletion + 0.2


def test_guided_maps_stay_when_weights_are_random_and_vanilla_maps_do_not() -> None:
    found = sanity.checks(32)
    assert list(found) == ["vanilla", "guided", "rectified"]
    # The two dense layers are random by then: nothing is left that knows the classes.
    plain, guided = (metrics.median(found[name].rank_correlation[1]) for name in ("vanilla", "guided"))
    assert plain < 0.65 and guided > 0.85
    plain, guided = (metrics.median(found[name].structural_similarity[1]) for name in ("vanilla", "guided"))
    assert plain < 0.5 and guided > 0.75
    lines = sanity.table(found).splitlines()
    assert [line.split()[0] for line in lines[1:]] == found["guided"].layers
    assert len(sanity.figure(found).axes) == 2


def test_the_digits_that_the_demo_draws() -> None:
    sheet = report.digits()
    assert sheet.shape == (2 * 132 - 4, 10 * 132 - 4, 3)
    pictures = [
        sheet[row : row + 128 : 2, column : column + 128 : 2] / 255.0
        for row in (0, 132)
        for column in range(0, sheet.shape[1], 132)
    ]
    probabilities = network.load_network().predict(np.stack(pictures), verbose=0)
    assert probabilities[range(20), [*range(10), *range(10)]].min() > 0.9
