"""Images made of waves against a slow oracle, by hand, and back from images to waves."""

import itertools
import math
from dataclasses import FrozenInstanceError
from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from vis.parameterizations import Canvas, Fourier, RandomAffine
from vis.parameterizations.fourier import hartley

pytestmark = pytest.mark.in_64_bits

# Olah et al., lucid/optvis/param/color.py: the columns are brightness, red to blue, and green to purple.
COLOURS = [[0.26, 0.09, 0.02], [0.27, 0.00, -0.05], [0.27, -0.09, 0.03]]
LAST = [(4, 4, 3), (3, 5, 3), (5, 2, 1), (4, 3, 2), (1, 4, 3), (1, 1, 3), (6, 2), (4, 3), (2, 3, 2, 1)]
FIRST = [(3, 4, 4), (1, 5, 2), (3, 2, 5)]
CANVASES = [
    *(Canvas((1, *shape), len(shape), (0.0, 1.0)) for shape in LAST),
    *(Canvas((1, *shape), 1, (0.0, 1.0)) for shape in FIRST),
    Canvas((1, 5), 1, (0.0, 1.0)),
    Canvas((1, 3), 1, (0.0, 1.0)),
]


def slow(z: np.ndarray, canvas: Canvas, decorrelate: bool = True) -> np.ndarray:
    """One value at a time: the sum of all waves at a place, mixed to colours, through a sigmoid."""
    *sizes, channels = np.moveaxis(z, canvas.channels - 1, -1).shape
    coefficients = np.moveaxis(z, canvas.channels - 1, -1)
    result = np.empty(coefficients.shape)
    longest = max(sizes, default=1)
    largest = max(math.hypot(*(row[i] for row in COLOURS)) for i in range(3))
    for place in itertools.product(*map(range, sizes)):
        sums = [0.0] * channels
        for wave in itertools.product(*map(range, sizes)):
            height, periods = 1.0, []
            for p, k, n in zip(place, wave, sizes, strict=True):
                height *= (math.cos(2 * math.pi * k * p / n) + math.sin(2 * math.pi * k * p / n)) / n**0.5
                periods.append(min(k, n - k) / n)
            height /= max(math.hypot(*periods), 1 / longest)
            for channel in range(channels):
                sums[channel] += height * coefficients[(*wave, channel)]
        if decorrelate and channels == 3:
            sums = [sum(c / largest * s for c, s in zip(row, sums, strict=True)) for row in COLOURS]
        low, high = canvas.input_range
        result[place] = [low + (high - low) / (1 + math.exp(-value / 4)) for value in sums]
    return np.moveaxis(result, -1, canvas.channels - 1)


def image(canvas: Canvas, z: np.ndarray, fourier: Fourier | None = None) -> np.ndarray:
    return np.asarray((fourier or Fourier()).image(canvas, z))


def coefficients(canvas: Canvas) -> np.ndarray:
    return np.random.default_rng(0).normal(size=canvas.shape)


def name(canvas: Canvas) -> str:
    return f"{canvas.shape[1:]} channels {canvas.channels}"


@pytest.mark.parametrize("canvas", CANVASES, ids=name)
@pytest.mark.parametrize("decorrelate", [True, False])
def test_agrees_with_the_oracle(canvas: Canvas, decorrelate: bool) -> None:
    z = coefficients(canvas)
    found = image(canvas, z, Fourier(decorrelate=decorrelate))
    assert found.shape == canvas.shape
    np.testing.assert_allclose(found[0], slow(z[0], canvas, decorrelate), rtol=1e-12)


@pytest.mark.parametrize("input_range", [(0, 255), (-1, 1), (-3.5, 20.0)])
def test_a_range_agrees_with_the_oracle(input_range: tuple[float, float]) -> None:
    canvas = Canvas((1, 3, 4, 3), 3, input_range)
    z = coefficients(canvas)
    np.testing.assert_allclose(image(canvas, z)[0], slow(z[0], canvas), rtol=1e-12)


def test_single_precision_stays_single() -> None:
    canvas = Canvas((1, 9, 12, 3), 3, (0.0, 1.0))
    z = coefficients(canvas).astype(np.float32)
    found = image(canvas, z)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found[0], slow(z[0], canvas), atol=1e-5)


LN3 = math.log(3)  # the sigmoid of it is 3/4


def test_of_nothing_is_the_middle_of_the_range() -> None:
    for input_range, middle in (((0, 255), 127.5), ((-1, 1), 0), ((2.0, 3.0), 2.5)):
        assert (image(Canvas((1, 3, 4, 3), 3, input_range), np.zeros((1, 3, 4, 3))) == middle).all()


def test_a_vector_has_no_waves() -> None:
    found = image(Canvas((1, 3), 1, (0.0, 1.0)), 4 * LN3 * np.array([[1.0, 0.0, -1.0]]), Fourier(None, False))
    np.testing.assert_allclose(found, [[0.75, 0.5, 0.25]], rtol=1e-14)


def test_waves_by_hand() -> None:
    # The constant, 1/2 on 2 x 2 pixels, times the length of 2; and half a period per pixel the same.
    for wave, signs in (
        ((0, 0), [[1, 1], [1, 1]]),
        ((1, 0), [[1, 1], [-1, -1]]),
        ((0, 1), [[1, -1], [1, -1]]),
    ):
        z = np.zeros((1, 2, 2, 1))
        z[(0, *wave, 0)] = 4 * LN3
        found = image(Canvas(z.shape, 3, (0.0, 1.0)), z)[0, ..., 0]
        np.testing.assert_allclose(found, 0.5 + 0.25 * np.array(signs), rtol=1e-14)
    # Both at once are 1 / sqrt(2) periods per pixel.
    z = np.zeros((1, 2, 2, 1))
    z[0, 1, 1] = 4 * LN3 * math.sqrt(2)
    found = image(Canvas(z.shape, 3, (0.0, 1.0)), z)[0, ..., 0]
    np.testing.assert_allclose(found, [[0.75, 0.25], [0.25, 0.75]], rtol=1e-14)


def test_colours_by_hand() -> None:
    canvas = Canvas((1, 1, 1, 3), 3, (0.0, 1.0))
    largest = math.sqrt(0.26**2 + 2 * 0.27**2)
    for channel, mixture in enumerate(np.transpose(COLOURS)):
        z = np.zeros(canvas.shape)
        z[..., channel] = 2.0
        expected = 1 / (1 + np.exp(-2 * mixture / largest / 4))
        np.testing.assert_allclose(image(canvas, z).ravel(), expected, rtol=1e-14)


@pytest.mark.parametrize("length", [*range(1, 12), 64, 101, 1000])
def test_hartley_is_orthonormal_and_its_own_inverse(length: int) -> None:
    matrix = hartley(length)
    assert matrix.dtype == np.float64
    np.testing.assert_allclose(matrix, matrix.T, atol=1e-15)
    np.testing.assert_allclose(matrix @ matrix, np.eye(length), atol=1e-13)
    values = np.random.default_rng(0).normal(size=length)
    spectrum = np.fft.fft(values, norm="ortho")
    np.testing.assert_allclose(matrix @ values, spectrum.real - spectrum.imag, atol=1e-13)


def test_each_sample_is_an_image_of_its_own() -> None:
    canvas = Canvas((3, 4, 5, 3), 3, (0.0, 1.0))
    z = coefficients(canvas)
    alone = [image(Canvas((1, 4, 5, 3), 3, (0.0, 1.0)), one[None])[0] for one in z]
    np.testing.assert_allclose(image(canvas, z), alone, rtol=1e-13)


def test_the_start_is_little_noise_of_a_seed() -> None:
    canvas = Canvas((1, 40, 50, 3), 3, (0, 255))
    first, again, other = (Fourier().start(canvas, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert first.shape == canvas.shape
    assert np.array_equal(first, again) and not np.array_equal(first, other)
    assert abs(first.mean()) < 5e-4 and first.std() == pytest.approx(0.01, rel=0.05)


ranges = st.sampled_from([(0, 255), (0, 1), (-1, 1), (0.0, 1.0), (-3.5, 20.0), (-0.1, 0.3)])
canvases = st.builds(
    lambda canvas, input_range: Canvas(canvas.shape, canvas.channels, input_range),
    st.sampled_from(CANVASES),
    ranges,
)


@settings(deadline=None)
@given(st.data())
def test_every_image_lies_in_the_range(data: st.DataObject) -> None:
    canvas = data.draw(canvases)
    elements = st.one_of(st.sampled_from([0.0, 1e30, -1e30, 1e4, -1e4]), st.floats(-100, 100, width=32))
    z = data.draw(hnp.arrays(np.float32, canvas.shape, elements=elements))
    found = image(canvas, z)
    slack = 1e-6 * (abs(canvas.low) + abs(canvas.high))
    assert np.isfinite(found).all()
    assert canvas.low - slack <= found.min() and found.max() <= canvas.high + slack
    # The other way round, black is white.
    np.testing.assert_allclose(image(canvas, -z), canvas.low + canvas.high - found, atol=10 * slack)


@settings(deadline=None)
@given(st.data())
def test_an_image_comes_back_from_its_parameters(data: st.DataObject) -> None:
    canvas = data.draw(canvases)
    decorrelate = data.draw(st.booleans())
    share = data.draw(hnp.arrays(np.float64, canvas.shape, elements=st.floats(0.0011, 0.9989)))
    given_image = canvas.low + (canvas.high - canvas.low) * share
    fourier = Fourier(decorrelate=decorrelate)
    z = fourier.parameters(canvas, given_image)
    assert z.shape == canvas.shape
    found = image(canvas, z, fourier)
    np.testing.assert_allclose(found, given_image, atol=1e-11 * (canvas.high - canvas.low))
    in_single = image(canvas, z.astype(np.float32), fourier)
    np.testing.assert_allclose(in_single, given_image, atol=1e-4 * (canvas.high - canvas.low))


@settings(deadline=None)
@given(st.data())
def test_values_outside_are_clipped(data: st.DataObject) -> None:
    canvas = data.draw(canvases)
    elements = st.one_of(st.sampled_from([-1e30, 1e30, 0.0, 255.0, 1.0, -1.0]), st.floats(-500, 500))
    values = data.draw(hnp.arrays(np.float64, canvas.shape, elements=elements))
    found = image(canvas, Fourier().parameters(canvas, values))
    # The ends themselves would lie infinitely far away: a thousandth of the range is near enough.
    width = canvas.high - canvas.low
    np.testing.assert_allclose(found, np.clip(values, canvas.low, canvas.high), atol=1.001e-3 * width)
    assert canvas.low < found.min() and found.max() < canvas.high


def test_black_and_white_of_bytes() -> None:
    canvas = Canvas((1, 1, 2, 1), 3, (0, 255))
    bytes_ = np.array([0, 255], np.uint8).reshape(canvas.shape)
    found = image(canvas, Fourier().parameters(canvas, bytes_)).ravel()
    np.testing.assert_allclose(found, [0.255, 254.745], rtol=1e-9)
    assert Fourier().picture(canvas, found).tolist() == [0, 255]


def test_the_given_image_is_not_changed() -> None:
    canvas = Canvas((1, 3, 4, 3), 3, (0.0, 1.0))
    given_image = np.random.default_rng(0).normal(size=canvas.shape)
    before = given_image.copy()
    Fourier().parameters(canvas, given_image)
    assert np.array_equal(given_image, before)


def test_a_picture_of_bytes_is_rounded_and_not_stretched() -> None:
    values = np.array([0.2, 0.6, 99.4, 99.6, 254.9])
    found = Fourier().picture(Canvas((1, 5), 1, (0, 255)), values)
    assert found.dtype == np.uint8 and found.tolist() == [0, 1, 99, 100, 255]


@pytest.mark.parametrize("input_range", [(0.0, 255.0), (-1, 1), (0.0, 1.0), (0, 256)])
def test_a_picture_of_another_range_is_the_image(input_range: tuple[float, float]) -> None:
    values = np.array([0.25, 0.5])
    found = Fourier().picture(Canvas((1, 2), 1, input_range), values)
    assert found.dtype == np.float32 and found.tolist() == [0.25, 0.5]


def test_equal_ones_are_equal_and_nobody_changes_them() -> None:
    assert Fourier() == Fourier(RandomAffine(), True)
    assert hash(Fourier()) == hash(Fourier(RandomAffine(), True))
    assert len({Fourier(), Fourier(None), Fourier(RandomAffine(0.1)), Fourier(decorrelate=False)}) == 4
    with pytest.raises(FrozenInstanceError):
        Fourier().decorrelate = False  # type: ignore[misc]


def test_it_descends_by_adam_and_without_regularizers() -> None:
    first, second = Fourier().optimizer(), Fourier().optimizer()
    assert isinstance(first, keras.optimizers.Adam) and first is not second
    assert float(first.learning_rate) == pytest.approx(0.05)
    assert Fourier().regularization == 0


def test_its_images_move_by_default() -> None:
    transformation: Any = Fourier().transformation
    assert transformation == RandomAffine() and Fourier(None).transformation is None
