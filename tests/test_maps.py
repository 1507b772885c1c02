"""Channel reduction and normalisation, against arithmetic by hand and in exact fractions."""

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from vis import maps
from vis.errors import InputError

floats = st.floats(-(2.0**127), 2.0**127, width=32)


def slow_normalize(values: list[float]) -> list[float]:
    """Min-max in exact rational arithmetic."""
    exact = [Fraction(value) for value in values]
    low, high = min(exact), max(exact)
    return [float((v - low) / (high - low)) if high != low else 0.0 for v in exact]


def test_the_least_range_is_a_range() -> None:
    assert maps.normalize([-5e-324, 0.0]).tolist() == [0, 1]
    assert maps.normalize([-1.7e308, 0.0, 1.7e308]).tolist() == [0, 0.5, 1]


def test_reduce_channels_takes_the_maximum_over_the_given_axis() -> None:
    array = np.array([[[1.0, -2.0], [-3.0, -4.0]]])
    assert maps.reduce_channels(array).tolist() == [[1.0, -3.0]]
    assert maps.reduce_channels(array, 0).tolist() == array[0].tolist()


@pytest.mark.parametrize("reducer", ["max", "mean", "min", "sum"])
@pytest.mark.parametrize("axis", [-1, 1])
@pytest.mark.parametrize("count", [1, 2, 3, 7, 8, 11])
def test_the_reducers_are_those_of_numpy(reducer: str, axis: int, count: int) -> None:
    array = np.moveaxis(np.random.default_rng(0).normal(size=(2, 5, 6, count)).astype(np.float32), -1, axis)
    reduced = maps.reduce_channels(array, axis, reducer)
    assert reduced.dtype == np.float32
    np.testing.assert_allclose(reduced, getattr(np, reducer)(array, axis=axis), rtol=1e-6, atol=1e-6)


def test_a_vector_is_never_collapsed() -> None:
    assert maps.reduce_channels(np.array([1.0, 5.0, 2.0])).tolist() == [1.0, 5.0, 2.0]


def test_normalize_by_hand() -> None:
    assert maps.normalize([2.0, 4.0, 3.0]).tolist() == [0.0, 1.0, 0.5]
    assert maps.normalize([2.0, 4.0, 3.0], -1, 3).tolist() == [-1.0, 3.0, 1.0]


@pytest.mark.parametrize("scale", [1e-45, 1e-30, 1.0, 1e30, 1e300])
def test_normalize_divides_the_range_out_exactly(scale: float) -> None:
    result = maps.normalize(np.array([0.0, 1.0, 2.0, 4.0]) * scale)
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, [0, 0.25, 0.5, 1], rtol=0.0 if scale > 1e-45 else 1)
    assert result[-1] == 1


def test_normalize_spans_the_whole_range_of_float64() -> None:
    largest = np.finfo(np.float64).max
    assert maps.normalize([-largest, 0.0, largest]).tolist() == [0.0, 0.5, 1.0]


@pytest.mark.parametrize("value", [0.0, 7.0, -1e-30])
def test_a_constant_map_becomes_zeros(value: float) -> None:
    assert not maps.normalize(np.full((3, 2), value)).any()


def test_an_empty_map_stays_empty() -> None:
    assert maps.normalize(np.zeros((0, 3))).shape == (0, 3)


@given(hnp.arrays(np.float32, st.integers(1, 20), elements=floats))
def test_normalize_agrees_with_exact_fractions(array: np.ndarray) -> None:
    np.testing.assert_allclose(maps.normalize(array), slow_normalize(array.tolist()), rtol=1e-6, atol=1e-45)


@given(hnp.arrays(np.float32, (4, 3), elements=floats))
def test_normalize_keeps_the_order_and_the_bounds(array: np.ndarray) -> None:
    result = maps.normalize(array)
    assert result.min() >= 0 and result.max() <= 1
    order = np.argsort(array, axis=None, kind="stable")
    assert (np.diff(result.ravel()[order]) >= 0).all()


def test_unit_by_hand() -> None:
    gradient = np.array([[3.0, -4.0], [0.0, 0.0], [3e-30, 4e-30], [3e30, 4e30]], np.float32)
    expected = [[0.6, -0.8], [0, 0], [0.6, 0.8], [0.6, 0.8]]
    np.testing.assert_allclose(maps.unit(gradient), expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("input_range", "dtype"),
    [
        ((0, 255), np.uint8),
        ((10, 200), np.uint8),
        (np.array([0, 255]), np.uint8),
        ((0, 2), np.uint8),
        ((0, 1), np.float32),
        ((0.0, 1.0), np.float32),
        (np.array([0, 1]), np.float32),
        ((False, True), np.float32),
        ((-1, 1), np.float32),
        ((0, 256), np.float32),
        ((0.0, 255.0), np.float32),
    ],
)
def test_a_picture_of_fractions_is_none_of_bytes(input_range: Any, dtype: Any) -> None:
    values = np.linspace(*input_range, 12)
    picture = maps.as_picture(values, input_range)
    assert picture.dtype == dtype
    np.testing.assert_allclose(picture, np.rint(values) if dtype == np.uint8 else values, rtol=1e-6)


def slow_strongest(row: list[float]) -> float:
    best = row[0]
    for value in row[1:]:
        if abs(value) > abs(best) or (abs(value) == abs(best) and value > best):
            best = value
    return best


@given(hnp.arrays(np.float32, hnp.array_shapes(min_dims=2, max_dims=3, max_side=9), elements=floats))
def test_the_strongest_channel_agrees_with_loops(array: np.ndarray) -> None:
    for axis in range(array.ndim):
        rows = np.moveaxis(array, axis, -1)
        expected = [slow_strongest(row.tolist()) for row in rows.reshape(-1, rows.shape[-1])]
        found = maps.strongest_channel(array, axis)
        assert found.dtype == np.float32
        assert found.ravel().tolist() == expected
        np.testing.assert_array_equal(maps.strongest_channel(abs(array), axis), abs(array).max(axis))


def test_the_strongest_channel_of_bytes_and_vectors() -> None:
    assert maps.strongest_channel(np.array([[3, 255]], np.uint8)).tolist() == [255]
    assert maps.strongest_channel(np.array([1.0, -5.0])).tolist() == [1.0, -5.0]
    assert maps.strongest_channel(np.zeros((2, 0, 3), np.float32)).shape == (2, 0)


@given(hnp.arrays(np.float32, st.integers(1, 20), elements=floats))
def test_signed_agrees_with_exact_fractions(array: np.ndarray) -> None:
    exact = [Fraction(value) for value in array.tolist()]
    largest = max(map(abs, exact))
    expected = [float(value / largest) if largest else 0.0 for value in exact]
    found = maps.scaled(array, "signed")
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-45)
    assert np.array_equal(found == 0, np.asarray(expected, np.float32) == 0)
    assert np.abs(found).max() == (1 if largest else 0)
    assert np.array_equal(maps.scaled(array, None), array)
    assert np.array_equal(maps.scaled(array, "minmax"), maps.normalize(array))


@pytest.mark.parametrize("normalization", ["minmax", "signed"])
def test_values_that_are_not_finite_are_counted(normalization: Any) -> None:
    with pytest.raises(InputError, match="Received: 2 of 3 values NaN or infinite"):
        maps.scaled(np.array([np.nan, 1, -np.inf]), normalization)
