"""Jitter against moves one pixel at a time, its bounds, and that it only ever moves."""

from fractions import Fraction
from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vis.errors import InputError
from vis.input_modifiers import InputModifier, Jitter


def numbered(shape: tuple[int, ...]) -> np.ndarray:
    """Return an array whose every value is different."""
    return np.arange(np.prod(shape), dtype=np.float32).reshape(shape)


def moves(before: np.ndarray, after: np.ndarray, axes: list[int]) -> tuple[int, ...]:
    """Return where the first value went, after a check value by value that all others went along."""
    target = [int(i[0]) for i in np.nonzero(after == before.ravel()[0])]
    for place in np.ndindex(before.shape):
        there = [(i + t) % n for i, t, n in zip(place, target, before.shape, strict=True)]
        assert after[tuple(there)] == before[place]
    assert all(t == 0 for axis, t in enumerate(target) if axis not in axes)
    return tuple(target[axis] for axis in axes)


def test_the_base_does_nothing() -> None:
    x = numbered((1, 2, 2, 1))
    assert InputModifier().pre(x) is x and InputModifier().post(x) is x
    assert Jitter().post(x) is x


@given(
    sizes=st.lists(st.integers(1, 7), min_size=1, max_size=3),
    jitter=st.one_of(st.floats(0, 0.99), st.integers(0, 9), st.floats(1, 9)),
    seed=st.integers(0, 1000),
    first=st.booleans(),
)
def test_moves_everything_together_within_the_bounds(
    sizes: list[int], jitter: float, seed: int, first: bool
) -> None:
    x = numbered((2, 3, *sizes) if first else (2, *sizes, 3))
    x.flags.writeable = False
    after = Jitter(jitter, seed, "channels_first" if first else "channels_last").pre(x)
    assert after.dtype == x.dtype and after.shape == x.shape and not np.shares_memory(after, x)
    axes = list(range(2, 2 + len(sizes))) if first else list(range(1, 1 + len(sizes)))
    for move, size in zip(moves(x, after, axes), sizes, strict=True):
        exact = Fraction(jitter) * size if jitter < 1 else Fraction(jitter)
        limit = int(exact + Fraction(1, 10**8))
        assert min(move, size - move) <= limit


@pytest.mark.parametrize(
    ("jitter", "expected"),
    [
        (0, {0}),
        (0.05, {0}),
        (0.1, {-1, 0, 1}),
        (0.29, {-2, -1, 0, 1, 2}),
        (0.3, {-3, -2, -1, 0, 1, 2, 3}),
        (1, {-1, 0, 1}),
        (2.7, {-2, -1, 0, 1, 2}),
        (2, {-2, -1, 0, 1, 2}),
    ],
)
def test_every_move_within_the_bounds_is_made(jitter: float, expected: set[int]) -> None:
    modifier, x = Jitter(jitter, seed=0), numbered((1, 10, 1))
    seen = {moves(x, modifier.pre(x), [1])[0] for _ in range(200)}
    assert {move - 10 if move > 5 else move for move in seen} == expected


def test_a_fraction_of_a_hundred_pixels_is_not_rounded_down_by_its_last_bit() -> None:
    modifier, x = Jitter(0.29, seed=0), numbered((1, 100, 1))  # 0.29 * 100 is 28.999999999999996
    assert {int(np.argmin(modifier.pre(x))) for _ in range(2000)} >= {29, 71}


def test_all_moves_are_equally_likely() -> None:
    modifier, x = Jitter(1, seed=0), numbered((1, 5, 1))
    counts = np.bincount([int(np.argmin(modifier.pre(x))) for _ in range(3000)], minlength=5)
    assert counts[2] == counts[3] == 0
    assert (abs(counts[[0, 1, 4]] - 1000) < 130).all()  # five standard deviations


def test_one_value_per_axis() -> None:
    x = numbered((1, 6, 8, 2))
    for given_as in ([0, 3], (0, 3), np.array([0, 3])):
        modifier = Jitter(given_as, seed=1)
        seen = {moves(x, modifier.pre(x), [1, 2]) for _ in range(100)}
        assert {row for row, _ in seen} == {0}
        assert {column for _, column in seen} == {0, 1, 2, 3, 5, 6, 7}


def test_each_image_has_its_own_bounds() -> None:
    # keras-vis turns the fraction into pixels once, for the first image that it sees.
    modifier = Jitter(0.5, seed=0)
    for size in (4, 40):
        x = numbered((1, size, 1))
        seen = {int(np.argmin(modifier.pre(x))) for _ in range(400)}
        assert size // 2 in seen


def test_a_seed_gives_the_same_moves() -> None:
    x = numbered((1, 20, 20, 3))
    runs = [[modifier.pre(x) for _ in range(5)] for modifier in (Jitter(9, seed=3), Jitter(9, seed=3))]
    assert np.array_equal(*runs)
    assert not np.array_equal(runs[0][0], runs[0][1])
    other = Jitter(9, seed=np.random.default_rng(4))
    assert not np.array_equal(runs[0], [other.pre(x) for _ in range(5)])


def test_the_configured_data_format() -> None:
    modifier = Jitter(3, seed=0)
    keras.config.set_image_data_format("channels_first")
    try:
        x = numbered((1, 3, 4, 5))
        assert len({moves(x, modifier.pre(x), [2, 3]) for _ in range(50)}) > 10
        sequence = numbered((1, 5, 3))
        assert len({moves(sequence, modifier.pre(sequence), [1]) for _ in range(50)}) == 5
    finally:
        keras.config.set_image_data_format("channels_last")
    x = numbered((1, 3, 4, 5))
    assert len({moves(x, modifier.pre(x), [1, 2]) for _ in range(50)}) > 5


@pytest.mark.parametrize("jitter", [-1, [0.1, -0.1], float("nan"), float("inf"), "much", [], [[1, 2]], None])
def test_an_invalid_jitter(jitter: Any) -> None:
    with pytest.raises(InputError, match="jitter must be a number >= 0, or one per image axis"):
        Jitter(jitter)


def test_an_unknown_data_format() -> None:
    with pytest.raises(InputError, match=r"Unknown data_format. Received: 'NHWC'"):
        Jitter(data_format="NHWC")


def test_images_that_it_cannot_move() -> None:
    with pytest.raises(InputError, match=r"Received: shape \(4, 4\)"):
        Jitter().pre(np.zeros((4, 4)))
    with pytest.raises(InputError, match=r"3 values.*shape \(1, 4, 4, 3\), which has 2"):
        Jitter([1, 2, 3]).pre(np.zeros((1, 4, 4, 3)))
