"""keras-vis's helpers for pictures."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from keras import ops
from PIL import Image

from vis.errors import InputError, VisWarning
from vis.utils import utils

PIXELS = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)


@pytest.fixture
def channels_first() -> Iterator[None]:
    keras.config.set_image_data_format("channels_first")
    yield
    keras.config.set_image_data_format("channels_last")


@pytest.mark.parametrize("make", [np.ones, ops.ones, lambda shape: keras.Input(batch_shape=shape)])
@pytest.mark.parametrize("dims", [(2,), (1, 2), (1, 2, 3)])
def test_get_img_shape_for_channels_last(make: Any, dims: tuple[int, ...]) -> None:
    assert utils.get_img_shape(make((5, *dims, 4))) == (5, 4, *dims)


@pytest.mark.parametrize("make", [np.ones, ops.ones, lambda shape: keras.Input(batch_shape=shape)])
@pytest.mark.parametrize("dims", [(1, 2), (1, 2, 3)])
def test_get_img_shape_for_channels_first(make: Any, dims: tuple[int, ...], channels_first: None) -> None:
    assert utils.get_img_shape(make((5, 4, *dims))) == (5, 4, *dims)


def test_get_img_shape_of_unknown_sizes_and_lists() -> None:
    assert utils.get_img_shape(keras.Input((None, 7, 3))) == (None, 3, None, 7)
    assert utils.get_img_shape([[[[1.0, 2.0]]]]) == (1, 2, 1, 1)
    assert type(utils.get_img_shape(ops.ones((1, 2, 3, 4)))) is tuple
    with pytest.raises(InputError, match=r"Received: shape \(4, 4\)"):
        utils.get_img_shape(np.zeros((4, 4)))


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "picture.png"
    Image.fromarray(PIXELS).save(path)
    return path


def test_load_img(picture: Path) -> None:
    for path in (picture, str(picture)):
        image = utils.load_img(path)
        assert image.dtype == np.uint8
        assert np.array_equal(image, PIXELS)


def test_load_img_in_grey(picture: Path) -> None:
    grey = utils.load_img(picture, grayscale=True)
    assert grey.dtype == np.uint8 and grey.shape == (6, 8)
    np.testing.assert_allclose(grey, PIXELS @ [0.299, 0.587, 0.114], atol=1)


def test_load_img_in_a_size(picture: Path) -> None:
    assert utils.load_img(picture, target_size=(3, 5)).shape == (3, 5, 3)
    small = utils.load_img(picture, grayscale=True, target_size=(12, 4))
    # keras-vis makes this black: it casts grey values from 0 to 1 to bytes.
    assert small.shape == (12, 4) and small.max() > 50


def test_load_img_of_no_picture(tmp_path: Path, picture: Path) -> None:
    with pytest.raises(InputError, match="There is no image file"):
        utils.load_img(tmp_path / "none.png")
    for size in (5, (5,), (0, 5), (5.5, 5), (1, 2, 3)):
        with pytest.raises(InputError, match=r"target_size must be \(height, width\)"):
            utils.load_img(picture, target_size=size)  # type: ignore[arg-type]


def slow_deprocess(values: list[float], low: float, high: float) -> list[float]:
    """One value at a time."""
    mean = math.fsum(values) / len(values)
    deviation = math.sqrt(math.fsum((v - mean) ** 2 for v in values) / len(values))
    result = []
    for v in values:
        share = 0.5 + (v - mean) / deviation / 10 if max(values) > min(values) else 0.5
        result.append(low + (high - low) * min(max(share, 0.0), 1.0))
    return result


@given(
    x=hnp.arrays(np.float32, st.integers(1, 60), elements=st.floats(-1000, 1000, width=16)),
    input_range=st.sampled_from([(0.0, 255.0), (0, 1.0), (-1.0, 1.0), (-128, 127)]),
)
def test_deprocess_input_agrees_with_the_oracle(x: np.ndarray, input_range: tuple[float, float]) -> None:
    before = x.copy()
    result = utils.deprocess_input(x, input_range)
    assert result.dtype == np.float32 and result.shape == x.shape
    expected = slow_deprocess([float(v) for v in x], *input_range)
    np.testing.assert_allclose(result, expected, rtol=1e-4, atol=1e-4)
    assert np.array_equal(x, before)


def test_deprocess_input_by_hand() -> None:
    # Mean 0 and deviation 1: steps of a tenth of the range.
    result = utils.deprocess_input([1.0, -1.0, 1.0, -1.0])
    assert result.dtype == np.uint8
    assert result.tolist() == [153, 102, 153, 102]
    # One value of a hundred is 9.95 deviations away: it is cut off.
    lonely = utils.deprocess_input(np.eye(10)[:1].repeat(10, 0) * np.eye(10)[0][:, None])
    assert lonely[0, 0] == 255 and set(lonely.ravel().tolist()) == {255, 125}


@pytest.mark.parametrize("scale", [1e-320, 1e-200, 1e-30, 1e30, 1e200])
def test_deprocess_input_does_not_depend_on_the_scale(scale: float) -> None:
    x = np.array([0.0, 1.0, 5.0])
    np.testing.assert_allclose(
        utils.deprocess_input(x * scale, (0.0, 1.0)), utils.deprocess_input(x, (0.0, 1.0)), rtol=1e-3
    )


@pytest.mark.parametrize("level", [0, 7, 0.1, -1e30])
def test_deprocess_input_of_a_constant_is_the_middle(level: float) -> None:
    assert (utils.deprocess_input(np.full((3, 7, 3), level), (-1.0, 1.0)) == 0).all()


@pytest.mark.parametrize("input_range", [(0, 0), (1, 0), (0, math.inf), (0, math.nan), (1,), None, "ab"])
def test_deprocess_input_into_no_range(input_range: Any) -> None:
    with pytest.raises(InputError, match="input_range must be a pair"):
        utils.deprocess_input(np.ones(3), input_range)


@pytest.mark.parametrize("values", [[1.0, np.nan], [np.inf, 0.0], []])
def test_deprocess_input_of_no_picture(values: list[float]) -> None:
    words = (
        "Received: 1 of 2 values NaN or infinite" if values else r"at least one value. Received: .* \(0,\)"
    )
    with pytest.raises(InputError, match=words):
        utils.deprocess_input(values)


def slow_stitch(images: list[np.ndarray], margin: int, cols: int) -> np.ndarray:
    """Rows and columns put together piece by piece, the last row filled up with black."""
    height = len(images[0])
    black = np.zeros_like(images[0])
    cols = min(cols, len(images))
    images = [*images, *[black] * (-len(images) % cols)]
    gap = np.zeros((height, margin, *images[0].shape[2:]), images[0].dtype)
    rows = []
    for start in range(0, len(images), cols):
        pieces = [images[start]]
        for image in images[start + 1 : start + cols]:
            pieces += [gap, image]
        rows.append(np.concatenate(pieces, axis=1))
    between = np.zeros((margin, *rows[0].shape[1:]), rows[0].dtype)
    return np.concatenate([piece for row in rows for piece in (between, row)][1:])


@given(
    count=st.integers(1, 7),
    size=st.sampled_from([(2, 3, 3), (1, 2, 1), (3, 2)]),
    margin=st.integers(0, 3),
    cols=st.integers(1, 8),
)
def test_stitch_images_agrees_with_the_oracle(
    count: int, size: tuple[int, ...], margin: int, cols: int
) -> None:
    images = np.random.default_rng(0).integers(1, 256, (count, *size), dtype=np.uint8)
    expected = slow_stitch(list(images), margin, cols)
    for given_as in (images, list(images)):
        found = utils.stitch_images(given_as, margin, cols)
        assert found.dtype == np.uint8
        assert np.array_equal(found, expected)


def test_stitch_images_by_hand() -> None:
    ones = np.ones((1, 1, 1), np.float32)
    sheet = utils.stitch_images([ones, 2 * ones, 3 * ones], margin=1, cols=2)
    assert sheet[..., 0].tolist() == [[1, 0, 2], [0, 0, 0], [3, 0, 0]]
    assert utils.stitch_images([PIXELS] * 6).shape == (2 * 6 + 5, 5 * 8 + 4 * 5, 3)


@pytest.mark.parametrize(
    "images", [[], [PIXELS, PIXELS[:4]], [PIXELS, PIXELS[..., 0]], [np.zeros(3)], [np.zeros((1, 2, 3, 4))]]
)
def test_stitch_images_that_do_not_fit(images: list[np.ndarray]) -> None:
    with pytest.raises(InputError, match=f"Received: {len(images)} of the shapes"):
        utils.stitch_images(images)


@pytest.mark.parametrize("layout", [{"margin": -1}, {"cols": 0}, {"cols": 2.5}, {"margin": None}])
def test_stitch_images_in_no_layout(layout: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r"(margin|cols) must be an integer >= "):
        utils.stitch_images([PIXELS], **layout)


@pytest.mark.parametrize("shape", [(40, 90, 3), (40, 90, 4), (40, 90, 1), (40, 90)])
def test_draw_text_writes_in_its_place_and_colour(shape: tuple[int, ...]) -> None:
    white = np.full(shape, 255, np.uint8)
    written = utils.draw_text(white, "Step 1", position=(20, 10), color=(200, 0, 0))
    assert written.shape == shape and written.dtype == np.uint8 and (white == 255).all()
    changed = np.argwhere((written != 255).reshape(40, 90, -1).any(-1))
    assert len(changed) > 20
    assert (changed.min(0) >= [10, 19]).all() and (changed.max(0) < [30, 80]).all()
    darkest = written.reshape(-1, *shape[2:]).min(0).tolist()
    if shape[-1] in (3, 4):
        assert darkest == [200, 0, 0, 255][: shape[-1]]
    else:
        assert np.ravel(darkest).tolist() == [60]  # 0.299 * 200
    written[:] = 0  # it can be written to


def test_draw_text_in_a_size() -> None:
    white = np.full((80, 300), 255, np.uint8)
    small, large = (np.argwhere(utils.draw_text(white, "Step", font_size=size) < 255) for size in (10, 40))
    ratio = np.ptp(large, axis=0) / np.ptp(small, axis=0)
    assert (ratio > 3).all() and (ratio < 5).all()


def test_draw_text_in_a_font_that_is_not_there() -> None:
    white = np.full((40, 90, 3), 255, np.uint8)
    with pytest.warns(VisWarning, match="There is no font 'NoSuchFont.ttf'"):
        written = utils.draw_text(white, "Step", font="NoSuchFont.ttf")
    assert np.array_equal(written, utils.draw_text(white, "Step"))


@pytest.mark.parametrize("img", [np.zeros((4, 4, 3)), np.zeros((4, 4, 2), np.uint8), np.zeros(4, np.uint8)])
def test_draw_text_on_no_picture(img: np.ndarray) -> None:
    with pytest.raises(InputError, match="The picture under a text must be uint8"):
        utils.draw_text(img, "Step")


def test_bgr2rgb() -> None:
    blue = np.array([[[255, 0, 10]]], np.uint8)
    assert utils.bgr2rgb(blue).tolist() == [[[10, 0, 255]]]
    swapped = utils.bgr2rgb(PIXELS)
    assert np.array_equal(utils.bgr2rgb(swapped), PIXELS)
    assert swapped.flags.c_contiguous and not np.shares_memory(swapped, PIXELS)
    with pytest.raises(InputError, match=r"Received: shape \(4, 4, 4\)"):
        utils.bgr2rgb(np.zeros((4, 4, 4)))
