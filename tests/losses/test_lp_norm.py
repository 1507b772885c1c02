"""The norm of an image against a slow oracle, its gradient against finite differences, and its extremes."""

import math
from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from keras import layers, ops

from tests.asking import input_gradient
from vis.engine import Source
from vis.errors import InputError
from vis.losses import Loss
from vis.losses.lp_norm import LPNorm

pytestmark = pytest.mark.in_64_bits

POWERS = [1.0, 1.5, 2.0, 3.0, 6.0, 50.0, math.inf]


def slow(image: np.ndarray, p: float) -> float:
    """One value at a time, by logarithms."""
    logarithms = [math.log(abs(float(v))) for v in image.ravel() if v]
    if not logarithms:
        return 0.0
    top = max(logarithms)
    if p == math.inf:
        return math.exp(top) / image.size
    return math.exp(top + math.log(sum(math.exp(p * (v - top)) for v in logarithms)) / p) / image.size


def identity(shape: tuple[int | None, ...], dtype: str = "float64") -> keras.Model:
    inputs = keras.Input(shape, dtype=dtype)
    return keras.Model(inputs, layers.Activation("linear", dtype="float64")(inputs))


def value(model: keras.Model, loss: Loss, x: np.ndarray) -> np.ndarray:
    """Return the loss by its expression, after a check that the other route agrees."""
    by_expression = np.asarray(keras.Model(model.inputs[0], loss.build_loss())(x))
    (point,), evaluate = loss.term(model)
    assert point is model.inputs[0]
    np.testing.assert_array_equal(by_expression, np.asarray(evaluate([ops.convert_to_tensor(x)], [])))
    return by_expression


def gradient(model: keras.Model, loss: Loss, x: np.ndarray) -> np.ndarray:
    (found,) = input_gradient(Source(model), [(loss, 1.0)], [x])
    return found


@pytest.mark.parametrize("p", POWERS)
@pytest.mark.parametrize("shape", [(4,), (5, 2), (3, 2, 2)])
def test_agrees_with_the_oracle(shape: tuple[int, ...], p: float) -> None:
    model = identity(shape)
    x = np.random.default_rng(0).normal(size=(2, *shape))
    found = value(model, LPNorm(model.input, p), x)
    np.testing.assert_allclose(found, [slow(image, p) for image in x], rtol=1e-12)


@pytest.mark.parametrize("p", POWERS)
def test_gradient_agrees_with_finite_differences(p: float) -> None:
    model = identity((3, 2, 2))
    x = np.random.default_rng(1).normal(size=(1, 3, 2, 2))
    found = gradient(model, LPNorm(model.input, p), x)
    expected = np.empty_like(x)
    for place in np.ndindex(x.shape):
        step = np.zeros_like(x)
        step[place] = 1e-6
        expected[place] = (slow((x + step)[0], p) - slow((x - step)[0], p)) / 2e-6
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-8)


def test_by_hand() -> None:
    model = identity((2,))
    x = np.array([[3.0, -4.0], [0.0, -2.0]])
    for p, expected in ((1, [3.5, 1.0]), (2, [2.5, 1.0]), (math.inf, [2.0, 1.0])):
        np.testing.assert_allclose(value(model, LPNorm(model.input, p), x), expected, rtol=1e-15)
    np.testing.assert_allclose(gradient(model, LPNorm(model.input, 2), x), [[0.3, -0.4], [0, -0.5]])


def test_the_infinite_norm_is_of_the_magnitude() -> None:
    # keras-vis takes the largest value, -1 here.
    model = identity((3,))
    x = np.array([[-1.0, -5.0, -2.0]])
    loss = LPNorm(model.input, float("inf"))
    assert value(model, loss, x).tolist() == [pytest.approx(5 / 3)]
    assert gradient(model, loss, x).tolist() == [[0, pytest.approx(-1 / 3), 0]]


def test_the_largest_magnitudes_share_the_infinite_norms_gradient() -> None:
    model = identity((3,))
    for p in (math.inf, 1e30, 1e17):
        found = gradient(model, LPNorm(model.input, p), np.array([[4.0, -4.0, 2.0]]))
        np.testing.assert_allclose(found, [[1 / 6, -1 / 6, 0]], rtol=1e-12)


_losses: dict[float, tuple[keras.Model, LPNorm]] = {}


def built(p: float) -> tuple[keras.Model, LPNorm]:
    """Return one model and one loss per power, so that an example costs no trace."""
    if p not in _losses:
        model = identity((2, 3), "float32")
        _losses[p] = model, LPNorm(model.input, p)
    return _losses[p]


@settings(deadline=None)  # the first example of each kind compiles
@given(
    x=hnp.arrays(
        np.float32,
        (1, 2, 3),
        elements=st.one_of(
            st.sampled_from([0.0, -0.0, 1.0, 1e-37, -1e-30, 1e30, -3e38]),
            st.floats(-256, 256, width=32),
        ),
    ),
    p=st.sampled_from(POWERS),
)
def test_is_finite_and_agrees_whatever_the_scale(x: np.ndarray, p: float) -> None:
    model, loss = built(p)
    x = x / np.float32(6)  # so that the 1-norm is no more than the largest float32
    _, evaluate = loss.term(model)
    found = float(evaluate([x], [])[0])
    exact = slow(x[0], p)
    assert found == pytest.approx(exact, rel=1e-4, abs=1e-38)
    slope = gradient(model, loss, x)
    assert np.isfinite(slope).all()
    # The norm of a gradient is that of the dual norm's unit ball, divided by N; it has the sign of x.
    assert (slope * np.sign(x) >= 0).all() and np.abs(slope).max() <= 1.0001 / x.size


@pytest.mark.parametrize("p", [*POWERS, 1e9, 1e300])
def test_zeros_have_no_norm_and_no_gradient(p: float) -> None:
    model, loss = built(p)
    x = np.zeros((1, 2, 3), np.float32)
    assert value(model, loss, x).tolist() == [0]
    assert not gradient(model, loss, x).any()


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_large_and_small_values_keep_their_gradient(scale: float) -> None:
    model, loss = built(6.0)
    x = np.random.default_rng(0).normal(size=(1, 2, 3)).astype(np.float32)
    scaled = x * np.float32(scale)
    np.testing.assert_allclose(value(model, loss, scaled), scale * value(model, loss, x), rtol=1e-5)
    np.testing.assert_allclose(gradient(model, loss, scaled), gradient(model, loss, x), rtol=1e-5)


def test_one_value_per_sample_that_ignores_the_others() -> None:
    model = identity((2, 3))
    x = np.random.default_rng(0).normal(size=(4, 2, 3))
    loss = LPNorm(model.input)
    together = value(model, loss, x)
    assert together.shape == (4,)
    alone = [float(value(model, loss, one[None])[0]) for one in x]
    np.testing.assert_allclose(together, alone, rtol=1e-14)


def test_an_image_of_unknown_size() -> None:
    model = identity((None, None, 2))
    x = np.random.default_rng(0).normal(size=(2, 3, 4, 2))
    loss = LPNorm(model.input)
    for image in (x, x[:, :2]):
        np.testing.assert_allclose(value(model, loss, image), [slow(i, 6) for i in image], rtol=1e-12)


def test_the_model_keeps_no_trace_of_it(untouched: Any) -> None:
    model = identity((2, 3))
    check = untouched(model)
    gradient(model, LPNorm(model.input), np.ones((1, 2, 3)))
    check()


def test_equal_losses_share_a_trace() -> None:
    model = identity((2, 3))
    assert LPNorm(model.input).trace_settings() == LPNorm(model.input, 6).trace_settings()
    assert LPNorm(model.input).trace_settings() != LPNorm(model.input, 2).trace_settings()


def test_its_name_is_that_of_keras_vis() -> None:
    assert LPNorm(identity((2,)).input).name == "L-6.0 Norm Loss"


@pytest.mark.parametrize("p", [0.5, 0, -6, -math.inf, math.nan, "6", None, True])
def test_an_invalid_power(p: Any) -> None:
    with pytest.raises(InputError, match=r"p must be a number from 1 to infinity. Received:"):
        LPNorm(identity((2,)).input, p)


def test_no_symbolic_image() -> None:
    with pytest.raises(InputError, match=r"LPNorm needs one symbolic image"):
        LPNorm(np.zeros((1, 2)))
    with pytest.raises(InputError, match=r"at least 2 axes"):
        LPNorm(keras.Input(()))
