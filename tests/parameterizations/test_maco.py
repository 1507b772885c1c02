"""Waves of fixed amplitudes: against a sum over all of them, and what of the spectrum is kept."""

from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops

from vis import parameterizations
from vis.parameterizations import MACO, Canvas
from vis.parameterizations.fourier import _COLOURS
from vis.visualization import visualize_activation

RANDOM = np.random.default_rng(0)
PHOTOS = RANDOM.normal(size=(3, 4, 5, 3)).cumsum(1).cumsum(2)


def slow(z: np.ndarray, amplitudes: np.ndarray) -> np.ndarray:
    """Return the sum of the waves of an image `(height, width, channels)`, wave by wave."""
    height, width, depth = z.shape
    found = np.zeros(z.shape)
    rows, columns = np.mgrid[:height, :width]
    for v in range(height):
        for u in range(width):
            for c in range(depth):
                phase = (z[v, u, c] - z[-v % height, -u % width, c]) / 2
                angle = 2 * np.pi * (v * rows / height + u * columns / width) + phase
                found[..., c] += amplitudes[v, u, c] * np.cos(angle)
    return found


def expected_amplitudes(images: np.ndarray | None, shape: tuple[int, ...], mixed: bool) -> np.ndarray:
    if images is None:
        rows, columns = np.fft.fftfreq(shape[0])[:, None], np.fft.fftfreq(shape[1])[None]
        found = 1 / np.maximum(np.sqrt(rows**2 + columns**2), 1 / max(shape[:2]))[..., None] * np.ones(shape)
    else:
        images = images @ np.linalg.inv(_COLOURS).T if mixed else images
        found = np.abs(np.fft.fft2(images, axes=(1, 2))).mean(axis=0)
    found[0, 0] = 0
    return found / np.sqrt((found**2).sum() / shape[-1])


@pytest.mark.parametrize("images", [None, PHOTOS], ids=["by frequency", "of images"])
@pytest.mark.parametrize("mixed", [True, False])
@pytest.mark.parametrize("input_range", [(0, 255), None])
def test_the_image_agrees_with_the_oracle(images: Any, mixed: bool, input_range: Any) -> None:
    made_of = MACO(None, mixed, images)
    canvas = Canvas((2, 4, 5, 3), 3, input_range)
    z = RANDOM.uniform(-3, 3, canvas.shape)
    found = ops.convert_to_numpy(made_of.image(canvas, ops.convert_to_tensor(z, dtype="float32")))
    amplitudes = expected_amplitudes(images, canvas.shape[1:], mixed)
    for sample in range(2):
        sums = slow(z[sample], amplitudes)
        assert sums.std() == pytest.approx(1) and sums.mean() == pytest.approx(0, abs=1e-12)
        values = sums @ _COLOURS.T if mixed else sums
        image = values if input_range is None else 255 / (1 + np.exp(-values))
        np.testing.assert_allclose(found[sample], image, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("shape", [(1, 7, 2), (1, 3, 6, 8), (1, 4, 4, 4, 1)])
def test_any_number_of_axes_and_the_channels_first(shape: tuple[int, ...]) -> None:
    last = Canvas(shape, len(shape) - 1, None)
    z = MACO().start(last, np.random.default_rng(0)).astype(np.float32)
    sums = ops.convert_to_numpy(MACO(None, False).image(last, z))
    spectrum = np.abs(np.fft.fftn(sums, axes=last.image_axes))
    spectrum /= spectrum.max()
    expected = MACO()._amplitudes(last)
    np.testing.assert_allclose(spectrum, expected / expected.max() * np.ones(shape), atol=1e-5)
    first = Canvas((1, shape[-1], *shape[1:-1]), 1, None)
    again = ops.convert_to_numpy(MACO(None, False).image(first, np.moveaxis(z, -1, 1)))
    np.testing.assert_allclose(np.moveaxis(again, 1, -1), sums, atol=1e-5)


def test_an_image_of_the_right_amplitudes_is_found_again() -> None:
    for input_range in ((0.0, 1.0), None):
        canvas = Canvas((1, 6, 5, 3), 3, input_range)
        made_of = MACO(None)
        start = made_of.start(canvas, np.random.default_rng(1))
        image = ops.convert_to_numpy(made_of.image(canvas, start.astype(np.float32)))
        again = made_of.parameters(canvas, image).astype(np.float32)
        np.testing.assert_allclose(ops.convert_to_numpy(made_of.image(canvas, again)), image, atol=1e-3)


def test_equal_ones_share_their_descent() -> None:
    assert parameterizations.get("maco") == MACO()
    assert len({MACO(), MACO(images=PHOTOS), MACO(images=PHOTOS.copy()), MACO(images=2 * PHOTOS)}) == 3
    assert MACO.regularization == 0 and isinstance(MACO().optimizer(), keras.optimizers.Nadam)


def test_steps_raise_a_filter_and_keep_the_spectrum() -> None:
    kernel = RANDOM.normal(size=(96, 1)).astype(np.float32)
    model = keras.Sequential([layers.Input((8, 12, 1)), layers.Flatten(), layers.Dense(1, use_bias=False)])
    model.set_weights([kernel])
    given: dict[str, Any] = {"seed": 0, "input_range": None, "parameterization": MACO(None)}
    short, long = (visualize_activation(model, -1, 0, max_iter=steps, **given) for steps in (1, 60))
    assert long.dtype == np.float32 and kernel[:, 0] @ long.ravel() > 2 * abs(kernel[:, 0] @ short.ravel())
    # The best phases are those of the kernel.
    spectrum = np.fft.fft2(kernel.reshape(8, 12))
    amplitudes = MACO()._amplitudes(Canvas((1, 8, 12, 1), 3, None))[0, ..., 0]
    best = (np.abs(spectrum) * amplitudes).sum()
    assert kernel[:, 0] @ long.ravel() > 0.9 * best
    np.testing.assert_allclose(np.abs(np.fft.fft2(long[..., 0])) / 96, amplitudes, atol=1e-5)


def test_it_keeps_the_images_that_it_was_given() -> None:
    """Equal ones share what is compiled, whatever becomes of the caller's array."""
    canvas, photos = Canvas((1, 4, 5, 3), 3, (0, 1)), PHOTOS.copy()
    made_of = MACO(None, False, photos)
    before = made_of._amplitudes(canvas)
    photos *= np.linspace(0, 1, 4)[:, None, None]
    np.testing.assert_array_equal(made_of._amplitudes(canvas), before)
    assert made_of == MACO(None, False, PHOTOS)
