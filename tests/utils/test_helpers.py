"""keras-vis's small helpers."""

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keras import ops

from vis.errors import InputError
from vis.utils import utils


@pytest.fixture
def channels_first() -> Iterator[None]:
    keras.config.set_image_data_format("channels_first")
    yield
    keras.config.set_image_data_format("channels_last")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, []),
        ([], []),
        (3, [3]),
        (0, [0]),
        ([1, 2], [1, 2]),
        ((1, 2), [1, 2]),
        (range(2), [0, 1]),
        (np.array([4, 5]), [4, 5]),
        (np.array(4), [4]),
        ("abc", ["abc"]),
        ({"a": 1}, [{"a": 1}]),
        ([None], [None]),
    ],
)
def test_listify(value: Any, expected: list[Any]) -> None:
    assert utils.listify(value) == expected


def test_listify_does_not_hand_out_the_list_it_was_given() -> None:
    callbacks = [1]
    utils.listify(callbacks).append(2)
    assert callbacks == [1]


def test_listify_of_images_keeps_them_arrays() -> None:
    images = utils.listify(np.zeros((2, 4, 3)))
    assert [image.shape for image in images] == [(4, 3)] * 2


def test_reverse_enumerate_as_in_keras_vis() -> None:
    assert list(utils.reverse_enumerate("abcde")) == [(4, "e"), (3, "d"), (2, "c"), (1, "b"), (0, "a")]


@given(st.lists(st.integers()))
def test_reverse_enumerate_is_enumerate_backwards(items: list[int]) -> None:
    expected = list(enumerate(items))[::-1]
    for way in (items, tuple(items), iter(items), (item for item in items), dict(enumerate(items)).values()):
        assert list(utils.reverse_enumerate(way)) == expected


def test_add_defaults_to_kwargs() -> None:
    defaults = {"a": 1, "b": 2}
    assert utils.add_defaults_to_kwargs(defaults, b=3, c=4) == {"a": 1, "b": 3, "c": 4}
    assert defaults == {"a": 1, "b": 2}


@given(
    shape=st.lists(st.integers(1, 5), min_size=1, max_size=4).map(tuple).filter(lambda s: np.prod(s) > 1),
    mean=st.floats(-1e3, 1e3),
    std=st.floats(0.01, 1e3),
    seed=st.integers(0, 100),
)
def test_random_array_has_its_mean_and_deviation(
    shape: tuple[int, ...], mean: float, std: float, seed: int
) -> None:
    array = utils.random_array(shape, mean, std, seed)
    assert array.shape == shape
    assert array.mean() == pytest.approx(mean, abs=1e-9 * std)
    assert np.sqrt(np.mean((array - mean) ** 2)) == pytest.approx(std)


def test_random_array_is_even_and_follows_its_seed() -> None:
    array = utils.random_array((100, 100), seed=0)
    assert np.array_equal(array, utils.random_array((100, 100), seed=0))
    assert not np.array_equal(array, utils.random_array((100, 100), seed=1))
    assert not np.array_equal(utils.random_array((9,)), utils.random_array((9,)))
    np.testing.assert_allclose(array.max() - array.mean(), 20 * np.sqrt(3), rtol=0.02)
    counts, _ = np.histogram(array, bins=10)
    assert (abs(counts - 1000) < 150).all()


def test_random_array_of_one_value_is_the_mean() -> None:
    assert utils.random_array((1, 1)).tolist() == [[128]]
    assert utils.random_array((0, 3)).shape == (0, 3)
    assert set(utils.random_array((2, 2), 5, 0).ravel()) == {5}


def test_random_array_of_no_shape() -> None:
    with pytest.raises(InputError, match=r"shape must be a tuple of sizes. Received: \(None, 3\)"):
        utils.random_array((None, 3))  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r">= 0. Received: std=-1"):
        utils.random_array((2,), std=-1)


LAST = np.random.default_rng(0).normal(size=(2, 4, 5, 3))
FIRST = np.moveaxis(LAST, -1, 1)


class Index:
    """Gives back what it is indexed with."""

    def __getitem__(self, index: Any) -> Any:
        return index


INDICES = [
    Index()[:, 1, :, :],
    Index()[:, 1, ...],
    Index()[:, 1],
    Index()[0, 2, 1:, :-1],
    Index()[:, :, 1:, :-1],
    Index()[:, :2, ..., 3],
    Index()[1:, 0, 2],
    Index()[:, ...],
    Index()[0],
    Index()[...],
]


@pytest.mark.parametrize("index", INDICES, ids=repr)
def test_slicer_for_channels_last(index: Any) -> None:
    expected = FIRST[index]
    found = LAST[utils.slicer[index]]
    # A slice of channels stays an axis: the last one of the result.
    kept = isinstance(index, tuple) and len(index) > 1 and isinstance(index[1], slice)
    if kept or not isinstance(index, tuple) or index[1] is Ellipsis:
        samples = isinstance(index, tuple) and isinstance(index[0], int)
        expected = np.moveaxis(expected, 0 if samples or index == 0 else 1, -1)
    assert np.array_equal(found, expected)


@pytest.mark.parametrize("index", INDICES, ids=repr)
def test_slicer_for_channels_first(index: Any, channels_first: None) -> None:
    assert np.array_equal(FIRST[utils.slicer[index]], FIRST[index])


@pytest.mark.in_64_bits
def test_slicer_on_tensors() -> None:
    tensor, symbol = ops.convert_to_tensor(LAST), keras.Input((4, 5, 3))
    assert np.array_equal(tensor[utils.slicer[:, 1, 1:, :]], FIRST[:, 1, 1:, :])
    assert symbol[utils.slicer[:, 1, 1:, :]].shape == (None, 3, 5)


def test_slicer_on_volumes_and_sequences() -> None:
    volume = np.random.default_rng(0).normal(size=(2, 3, 4, 5, 6))
    assert np.array_equal(volume[utils.slicer[:, 1, :, 2]], volume[:, :, 2, :, 1])
    assert np.array_equal(LAST[0][utils.slicer[:, 1, 2]], LAST[0][:, 2, 1])


@pytest.mark.parametrize("index", [Index()[..., 1], Index()[:, ..., 1], Index()[..., 1, :]], ids=repr)
def test_slicer_without_a_place_for_the_channels(index: Any) -> None:
    with pytest.raises(InputError, match=r"Write slicer\[:, channel, \.\.\.\]"):
        utils.slicer[index]
