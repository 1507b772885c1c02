"""Random moves, turns and scalings against a slow oracle, by hand, their exact adjoint, and their limits."""

import math
from dataclasses import FrozenInstanceError
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops

from tests import native
from vis.errors import InputError
from vis.parameterizations import RandomAffine

pytestmark = pytest.mark.in_64_bits

SIZES = [(3, 4), (5, 2), (4, 4), (1, 5), (5, 1), (1, 1)]
RANDOM = RandomAffine(0.3, 40, 0.5)


def mirrored(place: float, length: int) -> float:
    """Walk back and forth between the two edge pixels."""
    while length > 1 and not 0 <= place <= length - 1:
        place = -place if place < 0 else 2 * (length - 1) - place
    return place if length > 1 else 0.0


def slow(image: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """One pixel at a time, from its four neighbours; `(height, width, channels)`."""
    height, width, _ = image.shape
    result = np.zeros(image.shape)
    for row in range(height):
        for column in range(width):
            up, right = row - (height - 1) / 2, column - (width - 1) / 2
            (a, b, move_y), (c, d, move_x) = matrix.tolist()
            y = mirrored((height - 1) / 2 + a * up + b * right + move_y, height)
            x = mirrored((width - 1) / 2 + c * up + d * right + move_x, width)
            top, left = math.floor(y), math.floor(x)
            bottom, far = min(top + 1, height - 1), min(left + 1, width - 1)
            above = (left + 1 - x) * image[top, left] + (x - left) * image[top, far]
            below = (left + 1 - x) * image[bottom, left] + (x - left) * image[bottom, far]
            result[row, column] = (top + 1 - y) * above + (y - top) * below
    return result


def seen(image: np.ndarray, matrix: Any, channels: int = -1) -> np.ndarray:
    precision = np.promote_types(image.dtype, np.float32)
    return np.asarray(RandomAffine().apply(image, np.asarray(matrix, precision), channels))


def picture(*rows: list[float]) -> np.ndarray:
    return np.array(rows, np.float64)[None, ..., None]


def random_image(sizes: tuple[int, ...], samples: int = 1) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(samples, *sizes, 2))


@pytest.mark.parametrize("sizes", SIZES)
def test_agrees_with_the_oracle(sizes: tuple[int, int]) -> None:
    image = random_image(sizes)
    for matrix in RANDOM.draw(np.random.default_rng(1), 5, sizes):
        np.testing.assert_allclose(seen(image, matrix)[0], slow(image[0], matrix), atol=1e-12)


def test_agrees_with_the_oracle_in_single_precision() -> None:
    image = random_image((20, 30)).astype(np.float32)
    (matrix,) = RANDOM.draw(np.random.default_rng(1), 1, (20, 30))
    found = seen(image, matrix)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found[0], slow(image[0], matrix), atol=1e-4)


def test_places_keep_their_digits_in_half_precision() -> None:
    # A pixel of a side of 300 is known to an eighth of a pixel in half precision, which is too little.
    image = random_image((4, 300)).astype(np.float16)
    for matrix in RandomAffine().draw(np.random.default_rng(1), 3, (4, 300)):
        found = seen(image, matrix)
        assert found.dtype == np.float16
        np.testing.assert_allclose(found[0], slow(image[0].astype(np.float64), matrix), atol=5e-3)


matrices = st.tuples(*[st.floats(-2, 2)] * 4, *[st.floats(-30, 30)] * 2).map(
    lambda n: np.array([[n[0], n[1], n[4]], [n[2], n[3], n[5]]])
)


@settings(deadline=None, max_examples=50)
@given(sizes=st.sampled_from(SIZES), matrix=matrices)
def test_any_matrix_agrees_with_the_oracle(sizes: tuple[int, int], matrix: np.ndarray) -> None:
    image = random_image(sizes)
    found = seen(image, matrix)
    np.testing.assert_allclose(found[0], slow(image[0], matrix), atol=1e-10)
    assert image.min() - 1e-12 <= found.min() and found.max() <= image.max() + 1e-12
    np.testing.assert_allclose(seen(np.full_like(image, 0.7), matrix), 0.7, rtol=1e-12)


SHEET = picture([1, 2, 3], [4, 5, 6], [7, 8, 9])


@pytest.mark.parametrize(
    ("move", "expected"),
    [
        ((1, 0), [[4, 5, 6], [7, 8, 9], [4, 5, 6]]),
        ((-1, 0), [[4, 5, 6], [1, 2, 3], [4, 5, 6]]),
        ((0, 1), [[2, 3, 2], [5, 6, 5], [8, 9, 8]]),
        ((2, -2), [[9, 8, 7], [6, 5, 4], [3, 2, 1]]),
        ((4, -400), [[1, 2, 3], [4, 5, 6], [7, 8, 9]]),  # a round trip is four pixels
        ((0, 0.5), [[1.5, 2.5, 2.5], [4.5, 5.5, 5.5], [7.5, 8.5, 8.5]]),
        ((-0.25, 0), [[1.75, 2.75, 3.75], [3.25, 4.25, 5.25], [6.25, 7.25, 8.25]]),
    ],
)
def test_moves_by_hand(move: tuple[float, float], expected: list[list[float]]) -> None:
    assert seen(SHEET, [[1, 0, move[0]], [0, 1, move[1]]])[0, ..., 0].tolist() == expected


def test_turns_by_hand() -> None:
    quarter = [[0, -1, 0], [1, 0, 0]]  # the cosine and sine of 90 degrees
    assert seen(SHEET, quarter)[0, ..., 0].tolist() == [[7, 4, 1], [8, 5, 2], [9, 6, 3]]
    wide = picture([1, 2, 3, 4], [5, 6, 7, 8])
    half = [[-1, 0, 0], [0, -1, 0]]
    assert seen(wide, half)[0, ..., 0].tolist() == [[8, 7, 6, 5], [4, 3, 2, 1]]


def test_scales_by_hand() -> None:
    row = picture([0, 1, 4])
    # Twice as large: the places are 0.5, 1 and 1.5; half as large: -1, 1 and 3, mirrored to 1.
    assert seen(row, [[0.5, 0, 0], [0, 0.5, 0]])[0, 0, :, 0].tolist() == [0.5, 1, 2.5]
    assert seen(row, [[2, 0, 0], [0, 2, 0]])[0, 0, :, 0].tolist() == [1, 1, 1]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("sizes", [*SIZES, (63, 64)])
def test_without_limits_it_is_the_identity(sizes: tuple[int, int], dtype: Any) -> None:
    image = random_image(sizes).astype(dtype)
    for matrix in RandomAffine(0, 0, 0).draw(np.random.default_rng(0), 3, sizes):
        assert np.array_equal(seen(image, matrix), image)


def test_all_samples_are_seen_the_same_way() -> None:
    images = random_image((4, 5), samples=3)
    (matrix,) = RANDOM.draw(np.random.default_rng(1), 1, (4, 5))
    alone = [seen(image[None], matrix)[0] for image in images]
    np.testing.assert_array_equal(seen(images, matrix), alone)


def test_channels_first() -> None:
    image = random_image((3, 5), samples=2)
    (matrix,) = RANDOM.draw(np.random.default_rng(1), 1, (3, 5))
    found = seen(np.moveaxis(image, -1, 1), matrix, channels=1)
    assert np.array_equal(np.moveaxis(found, 1, -1), seen(image, matrix))


@settings(deadline=None, max_examples=25)
@given(sizes=st.sampled_from(SIZES), matrix=matrices)
def test_the_gradient_is_the_exact_adjoint(sizes: tuple[int, int], matrix: np.ndarray) -> None:
    image = random_image(sizes)
    incoming = np.random.default_rng(2).normal(size=image.shape)

    def product(image: Any) -> Any:
        return ops.sum(RandomAffine().apply(image, matrix, -1) * ops.convert_to_tensor(incoming))

    back = native.gradient(product, image)
    # It is linear, so each pixel's gradient is the product for a picture of that pixel alone.
    expected = np.empty_like(back)
    for place in np.ndindex(back.shape):
        pixel = np.zeros_like(back)
        pixel[place] = 1
        expected[place] = (slow(pixel[0], matrix) * incoming[0]).sum()
    np.testing.assert_allclose(back, expected, atol=1e-10)
    assert float(product(image)) == pytest.approx(float((image * back).sum()), rel=1e-10, abs=1e-10)


def test_drawn_values_stay_in_their_limits_and_reach_them() -> None:
    sizes = (20, 50)
    drawn = RandomAffine(0.25, 60, 0.5).draw(np.random.default_rng(0), 2000, sizes)
    assert drawn.shape == (2000, 2, 3) and drawn.dtype == np.float32
    turn, moves = drawn[:, :, :2].astype(np.float64), drawn[:, :, 2]
    # y(p) = x(c + R(a) (p - c) / s + d), so the determinant is 1 / s^2.
    scale = 1 / np.sqrt(np.linalg.det(turn))
    angle = np.rad2deg(np.arctan2(turn[:, 1, 0], turn[:, 0, 0]))
    rotation = np.array([[np.cos(a), -np.sin(a), np.sin(a), np.cos(a)] for a in np.deg2rad(angle)])
    np.testing.assert_allclose(turn * scale[:, None, None], rotation.reshape(-1, 2, 2), atol=1e-6)
    for values, low, high in (
        (scale, 0.5, 1.5),
        (angle, -60, 60),
        (moves[:, 0], -5, 5),
        (moves[:, 1], -12.5, 12.5),
    ):
        slack = 1e-5 * (high - low)
        near = 0.01 * (high - low)
        assert low - slack <= values.min() < low + near
        assert high - near < values.max() <= high + slack
        # Evenly: each tenth of the range has about a tenth of the values.
        shares = np.histogram(values, 10, (low - slack, high + slack))[0] / 2000
        assert np.abs(shares - 0.1).max() < 0.03


def test_each_is_drawn_for_itself() -> None:
    drawn = RandomAffine(0.25, 60, 0.5).draw(np.random.default_rng(0), 2000, (10, 10))
    scale = np.linalg.det(drawn[:, :, :2].astype(np.float64))
    angle = np.arctan2(drawn[:, 1, 0], drawn[:, 0, 0])
    correlations = np.corrcoef([scale, angle, drawn[:, 0, 2], drawn[:, 1, 2]])
    assert np.abs(correlations - np.eye(4)).max() < 0.1


@given(parts=st.lists(st.integers(0, 5), min_size=1, max_size=5), seed=st.integers(0, 9))
def test_drawn_in_parts_as_at_once(parts: list[int], seed: int) -> None:
    at_once = RANDOM.draw(np.random.default_rng(seed), sum(parts), (3, 4))
    random = np.random.default_rng(seed)
    in_parts = [RANDOM.draw(random, steps, (3, 4)) for steps in parts]
    assert np.array_equal(np.concatenate(in_parts), at_once)


def test_equal_ones_are_equal_and_nobody_changes_them() -> None:
    assert RandomAffine() == RandomAffine(0.05, 10, 0.1)
    assert hash(RandomAffine()) == hash(RandomAffine(0.05, 10.0, 0.1))
    assert len({RandomAffine(), RandomAffine(0.1), RandomAffine(rotation=1), RandomAffine(scale=0)}) == 4
    with pytest.raises(FrozenInstanceError):
        RandomAffine().jitter = 1  # type: ignore[misc]


def test_the_ends_of_the_limits_are_allowed() -> None:
    limits = RandomAffine(1, np.float32(180), 0.999)
    drawn = limits.draw(np.random.default_rng(0), 50, (3, 4))
    image = random_image((3, 4))
    for matrix in drawn:
        found = seen(image.astype(np.float32), matrix)[0]
        # Places a thousand pixels away, in single precision.
        np.testing.assert_allclose(found, slow(image[0], matrix), atol=1e-2)


@pytest.mark.parametrize("value", [-0.1, 181, math.nan, math.inf, "1", None, True, [0.1]])
@pytest.mark.parametrize("name", ["jitter", "rotation", "scale"])
def test_an_invalid_limit(name: str, value: Any) -> None:
    with pytest.raises(InputError, match=rf"{name} must be a number from 0 to .*Received: "):
        RandomAffine(**{name: value})


def test_a_limit_just_outside() -> None:
    with pytest.raises(InputError, match=r"jitter must be a number from 0 to 1\. Received: 1\.01"):
        RandomAffine(jitter=1.01)
    with pytest.raises(InputError, match=r"rotation must be a number from 0 to 180\. Received: 180\.5"):
        RandomAffine(rotation=180.5)
    with pytest.raises(InputError, match=r"scale must be a number from 0 to below 1\. Received: 1\.0"):
        RandomAffine(scale=1.0)


@pytest.mark.parametrize("shape", [(1, 4), (1, 4, 3), (1, 2, 3, 4, 1)])
def test_an_image_that_has_not_two_axes(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match=r"images with two axes.*Received: .*transformation=None"):
        seen(np.zeros(shape), np.eye(2, 3))
