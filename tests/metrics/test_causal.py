"""Deletion and insertion on functions whose curves are known."""

from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from tests import native
from vis.errors import FilterError, InputError
from vis.metrics import Curve, blurred, deletion, insertion, plot_curves

WEIGHTS = np.array([4.0, 1.0, 3.0, 2.0])


@pytest.fixture
def linear() -> keras.Model:
    """Two outputs of four features: `4 a + b + 3 c + 2 d`, and minus that."""
    model = keras.Sequential([layers.Input((4,)), layers.Dense(2, use_bias=False)])
    model.set_weights([np.stack([WEIGHTS, -WEIGHTS], axis=1)])
    return model


ONES = np.ones((1, 4), np.float32)


def test_the_curves_of_a_linear_function(linear: keras.Model) -> None:
    removed = deletion(linear, ONES, WEIGHTS[None], 0, steps=4)
    assert removed.fractions.tolist() == [0, 0.25, 0.5, 0.75, 1]
    assert removed.scores.tolist() == [[10, 6, 3, 1, 0]]
    assert removed.area.tolist() == [(10 / 2 + 6 + 3 + 1) / 4]
    put_in = insertion(linear, ONES, WEIGHTS[None], 0, steps=4)
    assert put_in.scores.tolist() == [[0, 4, 7, 9, 10]]
    worst = deletion(linear, ONES, -WEIGHTS[None], 0, steps=4)
    assert worst.scores.tolist() == [[10, 9, 7, 4, 0]]
    assert (
        removed.area < worst.area and put_in.area > insertion(linear, ONES, -WEIGHTS[None], 0, steps=4).area
    )


def test_targets_steps_and_baselines(linear: keras.Model) -> None:
    assert deletion(linear, ONES, WEIGHTS[None], 1, steps=2).scores.tolist() == [[-10, -3, 0]]
    assert deletion(linear, ONES, WEIGHTS[None], steps=2).scores.tolist() == [[10, 3, 0]], (
        "the predicted class"
    )
    assert deletion(linear, -ONES, WEIGHTS[None], steps=1).scores.tolist() == [[10, 0]]
    assert deletion(linear, ONES, WEIGHTS[None], 0, steps=3).scores.tolist() == [[10, 6, 1, 0]], (
        "1, 3 and 4 of 4"
    )
    other = np.array([0.0, 1, 2, 3])
    wanted = [[10, 6, 9, 11, 11]]  # 4, then 3 -> 6, 2 -> 6, 1 -> 1
    wanted = [[10, 6, 6 + 3, 9 + 4, 13]]
    for baseline in (other, other[None], lambda batch: 0 * batch + other, lambda batch: other):
        assert deletion(linear, ONES, WEIGHTS[None], 0, 4, baseline).scores.tolist() == wanted
    two = np.stack([other, 0 * other])
    found = deletion(linear, np.repeat(ONES, 2, 0), np.repeat(WEIGHTS[None], 2, 0), 0, 4, two)
    assert found.scores.tolist() == [*wanted, [10, 6, 3, 1, 0]]


def test_ties_go_in_their_order(linear: keras.Model) -> None:
    assert deletion(linear, ONES, np.zeros((1, 4)), 0, steps=4).scores.tolist() == [[10, 6, 5, 2, 0]]


def slowly(model: Any, image: Any, heat: Any, baseline: Any, target: int, steps: int, inserted: bool) -> Any:
    """One image, one place after the other."""
    places = sorted(np.ndindex(heat.shape), key=lambda place: -heat[place])
    now, other = (baseline.copy(), image) if inserted else (image.copy(), baseline)
    scores = [float(model(now[None])[0, target])]
    done = 0
    for step in range(1, steps + 1):
        while done < round(step * len(places) / steps):
            now[places[done]] = other[places[done]]
            done += 1
        scores.append(float(model(now[None])[0, target]))
    return scores


@pytest.fixture(scope="module")
def network() -> keras.Model:
    keras.utils.set_random_seed(1)
    return keras.Sequential(
        [
            layers.Input((5, 6, 3)),
            layers.Conv2D(4, 3, activation="relu"),
            layers.Flatten(),
            layers.Dense(3, activation="softmax"),
        ]
    )


@pytest.mark.parametrize("batch_size", [1, 7, 64])
@pytest.mark.parametrize("channels", ["none", "one", "each"])
@pytest.mark.parametrize("inserted", [False, True])
def test_images_by_loops(network: keras.Model, batch_size: int, channels: str, inserted: bool) -> None:
    noise = np.random.default_rng(0)
    images = noise.random((4, 5, 6, 3), np.float32)
    heat = noise.normal(size=(4, 5, 6, 3) if channels == "each" else (4, 5, 6))
    targets = np.array([0, 2, 1, 2])
    given = heat[..., None] if channels == "one" else heat
    call = insertion if inserted else deletion
    found = call(network, images, given, targets, steps=7, batch_size=batch_size)
    baselines = blurred(images).astype(np.float32) if inserted else 0 * images
    wanted = [
        slowly(network, *parts, 7, inserted) for parts in zip(images, heat, baselines, targets, strict=True)
    ]
    np.testing.assert_allclose(found.scores, wanted, atol=1e-6)
    assert found.area.shape == (4,)


def test_channels_first_images_change_place_by_place() -> None:
    pool = layers.GlobalAveragePooling2D(data_format="channels_first")
    model = keras.Sequential([layers.Input((2, 3, 4)), pool, layers.Dense(2)])
    images, heat = np.ones((1, 2, 3, 4), np.float32), np.arange(12.0).reshape(1, 3, 4)
    flat = deletion(model, images, heat, 0, steps=12).scores[0]
    np.testing.assert_allclose(flat - flat[-1], (flat[0] - flat[-1]) * np.linspace(1, 0, 13), atol=1e-6)


def test_blurring() -> None:
    image = np.zeros((1, 31, 31, 2))
    image[0, 15, 15, 1] = 1
    found = blurred(image, 2)
    assert found[..., 0].max() == 0, "channels stay apart"
    assert found.sum() == pytest.approx(1, rel=1e-6)
    assert found[0, 15, 17, 1] / found[0, 15, 15, 1] == pytest.approx(np.exp(-1 / 2), rel=1e-6)
    wide = np.zeros((1, 224, 100, 1))
    wide[0, 112, 50] = 1
    np.testing.assert_allclose(blurred(wide), blurred(wide, 5))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"maps": WEIGHTS}, "1 samples, 4 maps"),
        ({"maps": np.ones((1, 3))}, r"maps of shape \(1, 3\) for inputs of shape \(1, 4\)"),
        ({"maps": np.ones((2, 4))}, "1 samples, 2 maps"),
        ({"maps": WEIGHTS[None] * np.nan}, "A map must be finite"),
        ({"baseline": np.nan}, "The baseline must be a finite number"),
        ({"baseline": np.zeros(3)}, r"shape \(3,\)"),
        ({"baseline": "black"}, "The baseline must be a finite number"),
        ({"steps": 0}, "steps must be an integer >= 1"),
        ({"batch_size": 1.5}, "batch_size must be an integer"),
        ({"inputs": np.full((1, 4), np.nan)}, "NaN"),
        ({"targets": 5}, "Target 5 is out of range"),
    ],
)
def test_what_is_refused(linear: keras.Model, change: dict[str, Any], words: str) -> None:
    call = {"model": linear, "inputs": ONES, "maps": WEIGHTS[None], "targets": 0, **change}
    with pytest.raises((InputError, FilterError), match=words):
        deletion(**call)
    with pytest.raises((InputError, FilterError), match=words):
        insertion(**call)
    with pytest.raises(InputError, match="Images must have the axes samples, height"):
        blurred(ONES)


def test_data_sets_are_those_of_arrays() -> None:
    keras.utils.set_random_seed(5)
    model = keras.Sequential([layers.Input((6, 6, 1), name="image"), layers.Flatten(), layers.Dense(3)])
    rng = np.random.default_rng(0)
    x, maps, labels = rng.random((5, 6, 6, 1), np.float32), rng.random((5, 6, 6)), np.array([0, 2, 1, 1, 0])
    data = native.dataset((x, labels[:, None]), 2)
    named = native.dataset(({"image": x}, labels, np.ones(5)), 3)
    for measure in (deletion, insertion):
        wanted = measure(model, x, maps, labels).scores
        for given in (data, named, iter(data)):
            np.testing.assert_allclose(measure(model, given, maps).scores, wanted, rtol=1e-5)
        np.testing.assert_allclose(measure(model, {"image": x}, maps, labels).scores, wanted, rtol=1e-5)
        with pytest.raises(InputError, match="5 samples, 4 maps"):
            measure(model, data, maps[:4])
    with pytest.raises(InputError, match="baseline must be a finite number"):
        deletion(model, x, maps, labels, baseline=None)


def test_tokens_are_replaced_by_tokens() -> None:
    model = keras.Sequential([layers.Input((3,), dtype="int32"), layers.Embedding(9, 2), layers.Flatten()])
    tokens, maps = np.array([[4, 0, 2]]), np.ones((1, 3))
    assert deletion(model, tokens, maps, 0, 3, baseline=1).scores.shape == (1, 4)
    with pytest.raises(InputError, match="The baseline must be integers for an input of integers"):
        deletion(model, tokens, maps, 0, 3, baseline=0.5)


CURVE = Curve(np.array([0, 0.5, 1]), np.array([[1.0, 0.5, 0], [1, 0, 0], [1, 1, 1]]), "removed")


def test_the_table_of_a_curve() -> None:
    found = CURVE.table()
    assert found.header == ("removed", "lower quartile", "median", "upper quartile")
    assert found.rows == (
        ("0%", "1.00", "1.00", "1.00"),
        ("50%", "0.25", "0.50", "0.75"),
        ("100%", "0.00", "0.00", "0.50"),
        # Areas 0.5, 0.25 and 1.
        ("area", "0.38", "0.50", "0.75"),
    )
    empty = Curve(CURVE.fractions, np.zeros((0, 3)))
    assert [row[1:] for row in empty.table().rows] == [("nan",) * 3] * 4


def test_the_repr_of_a_curve_is_short(linear: keras.Model) -> None:
    assert (
        repr(CURVE) == "Curve(fractions=<3 values, 0 to 1>, scores=<3 x 3 values, 0 to 1>, change='removed')"
    )
    assert deletion(linear, ONES, WEIGHTS[None], 0, steps=4).change == "removed"
    assert insertion(linear, ONES, WEIGHTS[None], 0, steps=4).change == "inserted"


def test_curves_are_drawn_as_medians() -> None:
    other = Curve(CURVE.fractions, CURVE.scores[::-1] / 2, "removed")
    (axes,) = plot_curves({"vanilla": CURVE, "guided": other}, "a title").axes
    np.testing.assert_array_equal(axes.lines[0].get_xydata(), [[0, 1], [0.5, 0.5], [1, 0]])
    np.testing.assert_array_equal(axes.lines[1].get_xydata(), [[0, 0.5], [0.5, 0.25], [1, 0]])
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["vanilla", "guided"]
    assert axes.get_xlabel() == "share of the positions that are removed"
    alone = CURVE.plot("a title")
    assert alone.get_suptitle() == "a title" and alone._repr_png_().startswith(b"\x89PNG")
    assert CURVE.plot(ax=axes) is axes
    for wrong in ({}, {"a": CURVE, "b": Curve(CURVE.fractions, CURVE.scores, "inserted")}):
        with pytest.raises(InputError, match="the same kind of change"):
            plot_curves(wrong)
