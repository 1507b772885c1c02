"""Features of inputs: values, patches, groups, superpixels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from vis.attributions import superpixels
from vis.attributions.features import features_of
from vis.errors import InputError


def numbers(given: Any, shape: tuple[int, ...], axis: int | None = None) -> tuple[np.ndarray, int]:
    found, count = features_of([given], [np.zeros(shape)], [axis])
    return found[0], count


@pytest.mark.parametrize(
    ("given", "shape", "axis", "expected"),
    [
        (None, (3,), None, [0, 1, 2]),
        (None, (2, 2), None, [[0, 1], [2, 3]]),
        (None, (3, 4), 2, [[0], [1], [2]]),
        (2, (3,), None, [0, 0, 1]),
        ((2,), (3,), None, [0, 0, 1]),
        ((2, 1), (3, 2), None, [[0, 1], [0, 1], [2, 3]]),
        (2, (2, 3, 5), 3, [[[0], [0], [1]], [[0], [0], [1]]]),
        (2, (5, 2, 3), 1, [[[0, 0, 1], [0, 0, 1]]]),
        ([7, 7, -1], (3,), None, [1, 1, 0]),
        (lambda x: np.arange(x.size).reshape(x.shape) // 2, (2, 2), None, [[0, 0], [1, 1]]),
        (lambda x: 1, (2,), None, [0, 1]),
        (np.array([[5, 5], [5, 6]]), (2, 2, 3), 3, [[[0], [0]], [[0], [1]]]),
    ],
)
def test_numbers(given: Any, shape: tuple[int, ...], axis: int | None, expected: list[Any]) -> None:
    found, count = numbers(given, shape, axis)
    assert found.tolist() == expected
    assert count == np.max(expected) + 1


def test_pictures_have_eight_patches_along_each_axis() -> None:
    found, count = numbers(None, (16, 32, 3), 3)
    assert count == 64 and found.shape == (16, 32, 1)
    assert found[:2, :4].max() == 0 and found[2, 0] == 8 and found[0, 4] == 1
    assert numbers(None, (5, 9, 3), 3)[1] == 5 * 5
    assert numbers(None, (8, 8, 16, 1), 4)[1] == 512


def test_the_channels_of_a_picture_may_be_features() -> None:
    own = np.broadcast_to(np.arange(3), (4, 4, 3))
    found, count = numbers(own, (4, 4, 3), 3)
    assert count == 3 and np.array_equal(found, own)


def test_several_inputs_are_counted_through() -> None:
    found, count = features_of([None, 2], [np.zeros(2), np.zeros(3)], [None, None])
    assert [part.tolist() for part in found] == [[0, 1], [2, 2, 3]] and count == 4


def test_superpixels_follow_colour() -> None:
    picture = np.zeros((20, 30, 3))
    picture[:, 12:] = 200
    found = superpixels(picture, segments=6)
    assert found.shape == (20, 30) and 2 <= len(np.unique(found)) <= 12
    assert not set(found[:, :12].flat) & set(found[:, 12:].flat)
    first = superpixels(np.moveaxis(picture, -1, 0), 0, segments=6)
    assert np.array_equal(first, found)
    laid, count = features_of(["superpixels"], [picture], [3])
    assert laid[0].shape == (20, 30, 1) and count == len(np.unique(superpixels(picture)))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("pixels", 'features must be "superpixels"'),
        (0, "features must be the side of patches"),
        ((2, 2, 2), r"one for each of the axes \[4, 5\]"),
        (1.5, "features must be integers"),
        (np.zeros((4, 4), int), r"the shape of an input, \(4, 5\)"),
    ],
    ids=str,
)
def test_wrong_features_are_named(given: Any, words: str) -> None:
    with pytest.raises(InputError, match=words):
        numbers(given, (4, 5))
