"""Maps over images: the photo where the map is zero, the map's colour where it is large."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from vis.errors import InputError
from vis.plotting import colorize, overlay_map
from vis.plotting.over import as_picture

RNG = np.random.default_rng(0)
PHOTO = RNG.integers(0, 256, (6, 5, 3), np.uint8)


def by_hand(photo: np.ndarray, values: np.ndarray, alpha: float) -> np.ndarray:
    """Return the overlay of a map, pixel by pixel."""
    colors, mixed = colorize(values), np.zeros(photo.shape, np.uint8)
    largest = np.abs(values).max()
    for row in range(photo.shape[0]):
        for column in range(photo.shape[1]):
            red, green, blue = map(float, photo[row, column])
            grey = 0.299 * red + 0.587 * green + 0.114 * blue
            opacity = alpha * abs(values[row, column]) / largest
            for channel, value in enumerate((red, green, blue)):
                below = 0.85 * (0.4 * value + 0.6 * grey)
                above = float(colors[row, column, channel])
                mixed[row, column, channel] = round((1 - opacity) * below + opacity * above)
    return mixed


@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("low", [0.0, -1.0])
def test_against_pixel_by_pixel(alpha: float, low: float) -> None:
    values = RNG.uniform(low, 1, (6, 5))
    made = overlay_map(PHOTO, values, alpha=alpha, clip_percentile=0)
    assert made.dtype == np.uint8
    assert np.abs(made.astype(int) - by_hand(PHOTO, values, alpha)).max() <= 1


def test_zero_is_clear_and_the_largest_value_opaque() -> None:
    values = np.zeros((6, 5))
    values[2, 3], values[4, 1] = -2.0, 1.0
    made = overlay_map(PHOTO, values, alpha=1, clip_percentile=0)
    assert np.array_equal(made[2, 3], colorize(values)[2, 3])
    clear = overlay_map(PHOTO, np.zeros((6, 5)))
    zero = values == 0
    assert np.array_equal(made[zero], clear[zero])
    grey = PHOTO @ [0.299, 0.587, 0.114]
    assert np.corrcoef(clear[..., 0].ravel(), grey.ravel())[0, 1] > 0.8, "the photo is there"


@pytest.mark.parametrize("options", [{"absolute": True}, {"signed": False}, {"cmap": "viridis"}])
def test_options_are_those_of_colorize(options: dict[str, object]) -> None:
    values = RNG.uniform(-1, 0.5, (6, 5))
    made = overlay_map(PHOTO, values, alpha=1, clip_percentile=0, **options)
    largest = np.unravel_index(
        np.argmax(values if options.get("signed") is False else np.abs(values)), values.shape
    )
    assert np.array_equal(made[largest], colorize(values, **options)[largest])


def test_images_in_any_range_and_order() -> None:
    exact = np.array([[[10, 20, 30], [40, 50, 255]]], np.uint8)
    for image in (exact, exact / 255, exact.astype(float), exact.astype(int), exact[None], exact.tolist()):
        assert np.array_equal(as_picture(image, (1, 2)), exact)
    assert np.array_equal(as_picture(np.moveaxis(exact, -1, 0), (1, 2)), exact), "channels first"
    assert as_picture([[-1.0, 0.0, 1.0]], (1, 3))[0].tolist() == [[0] * 3, [128] * 3, [255] * 3]
    with_opacity = np.dstack([exact, np.full((1, 2), 255, np.uint8)])
    assert np.array_equal(as_picture(with_opacity, (1, 2)), exact)
    assert as_picture([[[0.0, 0.5]]], (1, 1))[0].tolist() == [[64] * 3], "the mean of two channels"


@given(
    arrays.arrays(np.float64, (2, 3, 3), elements=st.floats(-1e9, 1e9)),
    arrays.arrays(np.float64, (2, 3), elements=st.floats(-1e9, 1e9)),
)
def test_any_values_make_a_picture(image: np.ndarray, values: np.ndarray) -> None:
    assert overlay_map(image, values).shape == (2, 3, 3)


def test_wrong_calls() -> None:
    with pytest.raises(InputError, match=r"same height and width.*shape \(6, 5, 3\).*shape \(5, 6\)"):
        overlay_map(PHOTO, np.zeros((5, 6)))
    with pytest.raises(InputError, match=r"An image must be finite.*: 1 of 4"):
        overlay_map([[0.0, 1.0], [np.nan, 0.0]], np.zeros((2, 2)))
    with pytest.raises(InputError, match="with 3 channels"):
        overlay_map(PHOTO, PHOTO)
    for alpha in (-0.1, 1.1, "1", True):
        with pytest.raises(InputError, match="alpha must be an opacity"):
            overlay_map(PHOTO, np.ones((6, 5)), alpha=alpha)
