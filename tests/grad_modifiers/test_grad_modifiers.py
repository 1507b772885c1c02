"""Each gradient modifier against a slow oracle, by hand, and its properties."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from vis import grad_modifiers
from vis.errors import ModifierError

NAMES = ["absolute", "negate", "relu", "invert", "small_values"]
EPSILON = 1e-7
gradients = hnp.arrays(
    st.sampled_from([np.float32, np.float64]),
    hnp.array_shapes(max_dims=4, max_side=4),
    elements=st.one_of(
        st.sampled_from([0.0, -0.0, EPSILON, -EPSILON, 1e-30, -1e-30, 1e30, -1e30]),
        st.floats(-(2.0**100), 2.0**100, width=32),
    ),
)


def oracle(name: str, g: float) -> float:
    """One number at a time, by another route than the arrays."""
    if name == "absolute":
        return math.copysign(g, 1.0)
    if name == "negate":
        return 0.0 - g
    if name == "relu":
        return g if g > 0 else 0.0
    away_from_zero = g - EPSILON if g < 0 else g + EPSILON
    return away_from_zero**-1 if name == "invert" else abs(away_from_zero) ** -1


@pytest.mark.parametrize("name", NAMES)
@given(array=gradients)
def test_agrees_with_the_oracle(name: str, array: np.ndarray) -> None:
    result = grad_modifiers.get(name)(array)
    expected = np.array([oracle(name, float(g)) for g in array.ravel()]).reshape(array.shape)
    np.testing.assert_allclose(result, expected, rtol=1e-5)


@pytest.mark.parametrize("name", NAMES)
@given(array=gradients)
def test_is_pure_finite_and_keeps_shape_and_type(name: str, array: np.ndarray) -> None:
    before = array.copy()
    array.flags.writeable = False
    result = grad_modifiers.get(name)(array)
    assert np.isfinite(result).all()
    assert result.shape == array.shape and result.dtype == array.dtype
    assert np.array_equal(array, before)
    assert not np.shares_memory(result, array)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("absolute", [2, 0, 0.5]),
        ("negate", [2, 0, -0.5]),
        ("relu", [0, 0, 0.5]),
        ("invert", [-0.5, 1e7, 2]),
        ("small_values", [0.5, 1e7, 2]),
    ],
)
def test_by_hand(name: str, expected: list[float]) -> None:
    np.testing.assert_allclose(getattr(grad_modifiers, name)([-2.0, 0.0, 0.5]), expected, rtol=1e-6)


def test_no_epsilon_cancels_the_gradient() -> None:
    np.testing.assert_allclose(grad_modifiers.invert([EPSILON, -EPSILON]), [5e6, -5e6], rtol=1e-6)


def test_none_is_the_gradient_itself() -> None:
    array = np.array([1.0, -2.0])
    assert grad_modifiers.get(None)(array).tolist() == [1.0, -2.0]


def test_a_callable_is_taken_and_a_module_is_not() -> None:
    square = lambda g: g**2  # noqa: E731
    assert grad_modifiers.get(square) is square
    with pytest.raises(ModifierError, match="Unknown gradient modifier: 'np'"):
        grad_modifiers.get("np")


def test_the_names_are_listed() -> None:
    assert set(NAMES) <= set(grad_modifiers.names())
    with pytest.raises(ModifierError, match="Did you mean 'absolute'"):
        grad_modifiers.get("absolut")
