"""RISE against a loop over masks that another library enlarges, by hand, and its limits."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops
from skimage.transform import resize

from vis.attributions import Rise
from vis.attributions.rise import _Field
from vis.errors import InputError


def field(cells: list[int], shape: list[int], count: int, probability: float = 0.5, seed: int = 0) -> _Field:
    return _Field(cells, shape, count, probability, np.random.default_rng(seed))


@pytest.mark.parametrize(
    ("cells", "shape"), [([3, 2], [7, 6]), ([4], [9]), ([2, 3, 2], [4, 7, 5]), ([1, 2], [3, 4])], ids=str
)
def test_masks_are_enlarged_grids(cells: list[int], shape: list[int]) -> None:
    made = field(cells, shape, 5)
    for number in range(5):
        sides = [-(-size // n) for size, n in zip(shape, cells, strict=True)]
        large = resize(
            made.grids[number].astype(float),
            [(n + 1) * side for n, side in zip(cells, sides, strict=True)],
            order=1,
            mode="edge",
            anti_aliasing=False,
        )
        at = [slice(o[number], o[number] + size) for o, size in zip(made.offsets, shape, strict=True)]
        np.testing.assert_allclose(made[number : number + 1][0], large[tuple(at)], atol=1e-6)
    np.testing.assert_array_equal(np.concatenate([made[:2], made[2:5]]), made[0:5])


def test_masks_keep_their_share() -> None:
    masks = field([5, 5], [20, 20], 3000, 0.3)[0:3000]
    assert masks.min() >= 0 and masks.max() <= 1
    np.testing.assert_allclose(masks.mean(axis=0), 0.3, atol=0.05)


@pytest.mark.parametrize("shape", [(6,), (5, 2), (6, 5, 3)], ids=str)
def test_agrees_with_a_loop(shape: tuple[int, ...]) -> None:
    keras.utils.set_random_seed(2)
    model = keras.Sequential(
        [layers.Input(shape), layers.Flatten(), layers.Dense(4, "tanh"), layers.Dense(2)]
    )
    x = np.random.default_rng(1).normal(size=(2, *shape)).astype(np.float32)
    sizes = [*shape[:2], 1] if len(shape) > 2 else [*shape]
    made = field([min(2, size) for size in sizes], sizes, 6, 0.4, seed=9)
    expected = []
    for sample in x:
        total, weight = np.zeros(sizes), np.zeros(sizes)
        for number in range(6):
            mask = made[number : number + 1][0]
            score = float(model((mask * sample + (1 - mask) * 0.2).astype("float32")[None])[0, 1])
            total += score * mask
            weight += mask
        expected.append(total / np.where(weight > 0, weight, 1))
    explainer = Rise(
        model, nb_samples=6, grid_size=2, preservation_probability=0.4, baseline=0.2, seed=9, batch_size=4
    )
    np.testing.assert_allclose(explainer(x, 1), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("cells", [[(3, 2), 4], {"series": [4], "image": (3, 2)}, 2], ids=str)
def test_two_inputs_have_grids_of_their_own(cells: Any) -> None:
    image, series = keras.Input((6, 5, 1), name="image"), keras.Input((8,), name="series")
    score = ops.sum(image, axis=(1, 2)) + ops.sum(series * series, axis=1, keepdims=True)
    rng = np.random.default_rng(4)
    x = [rng.normal(size=(1, 6, 5, 1)).astype(np.float32), rng.normal(size=(1, 8)).astype(np.float32)]
    given: Any = x if isinstance(cells, list | int) else dict(zip(("image", "series"), x, strict=True))
    model = keras.Model([image, series] if given is x else {"image": image, "series": series}, score)
    found = Rise(model, nb_samples=9, grid_size=cells, seed=3)(given, 0)
    found = found if given is x else [found["image"], found["series"]]
    # Drawn one after the other, from one generator.
    random = np.random.default_rng(3)
    of_image, of_series = ([3, 2, 1], [4]) if cells != 2 else ([2, 2, 1], [2])
    one = _Field(of_image, [6, 5, 1], 9, 0.5, random)[0:9]
    other = _Field(of_series, [8], 9, 0.5, random)[0:9]
    scores = (one * x[0]).sum(axis=(1, 2, 3)) + ((other * x[1]) ** 2).sum(axis=1)
    for part, masks in zip(found, (one, other), strict=True):
        np.testing.assert_allclose(part[0], np.tensordot(scores, masks, 1) / masks.sum(axis=0), rtol=1e-4)


def test_grids_that_do_not_fit_their_inputs_are_named() -> None:
    image, series = keras.Input((6, 5, 1), name="image"), keras.Input((8,), name="series")
    model = keras.Model([image, series], ops.sum(image, axis=(1, 2)) + ops.sum(series, axis=1, keepdims=True))
    for cells, words in (
        ([2, (2, 2)], r"one per axis of \[8\]"),
        ([2, 0], "grid_size must be an integer >= 1"),
        ([2, 2, 2], "2"),
    ):
        with pytest.raises(InputError, match=words):
            Rise(model, grid_size=cells)


def test_a_constant_score_is_its_map() -> None:
    found = Rise(lambda x: np.full((len(x), 1), 3.0), nb_samples=200)(np.ones((1, 12, 12, 1)), 0)
    np.testing.assert_allclose(found, 3, rtol=1e-6)


def test_one_cell_for_each_value_by_hand() -> None:
    """With cells of one value, `E[S | kept]` of a sum is the value and p times the others."""
    found = Rise(lambda x: x.sum(axis=1, keepdims=True), nb_samples=4000, grid_size=2)(
        np.array([[4.0, 10.0]]), 0
    )
    # The grid of two cells is enlarged to three, and cut at 0: shares 1 and 1/2 of the two cells.
    made = field([2], [2], 4000)
    masks = made[0:4000]
    expected = (masks * (masks @ [4, 10])[:, None]).sum(axis=0) / masks.sum(axis=0)
    np.testing.assert_allclose(found[0], expected, rtol=1e-6)


def test_what_the_score_needs_stands_out() -> None:
    x = np.ones((1, 16, 16, 1))
    found = Rise(lambda x: x[:, 4:7, 9:12].mean(axis=(1, 2)), nb_samples=1500)(x, 0)[0, ..., 0]
    assert 3 <= np.unravel_index(found.argmax(), found.shape)[0] <= 7
    assert found[4:7, 9:12].mean() > 1.2 * found.mean()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"nb_samples": 0}, "nb_samples must be an integer >= 1"),
        ({"grid_size": 0}, "grid_size must be an integer >= 1"),
        ({"grid_size": (2, 2, 2)}, r"one per axis of \[6, 5\]"),
        ({"preservation_probability": 0}, "a number between 0 and 1. Received: 0"),
        ({"preservation_probability": "half"}, "a number between 0 and 1"),
        *(({"seed": seed}, "seed must be") for seed in (-1, None, np.random.default_rng(0))),
    ],
)
def test_wrong_options_are_named(options: Any, words: str) -> None:
    with pytest.raises(InputError, match=words):
        Rise(lambda x: x[:, 0, 0], **options)(np.ones((1, 6, 5, 3)), 0)
