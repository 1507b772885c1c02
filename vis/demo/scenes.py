"""Scenes of one handwritten digit on a photograph, where the position of the digit is known."""

from __future__ import annotations

import colorsys
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from vis import checks

SIDE = 64
DIGIT_SIDES = (22, 26)
TEST_DIGITS = 400

_Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Scenes:
    """Scenes with their ground truth.

    images: (N, 64, 64, 3) float32 in [0, 1]; labels: (N,) int64 in 0..9;
    masks: (N, 64, 64) bool, true inside the box that holds the digit.
    """

    images: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int64]
    masks: npt.NDArray[np.bool_]


def data_sets() -> Any:
    return checks.extra("demo", "sklearn.datasets", "The demo needs scikit-learn")


@cache
def _sources() -> tuple[_Floats, npt.NDArray[np.int64], tuple[_Floats, ...]]:
    """Read the digits (1797, 8, 8) in [0, 1], their labels (1797,) and the photographs."""
    digits = data_sets().load_digits()
    photos = []
    for pixels in data_sets().load_sample_images().images:
        # At half size a 64-pixel crop still shows structure; at full size it is mostly blur.
        photo = Image.fromarray(pixels).reduce(2)
        photos.append(np.asarray(photo, dtype=np.float32) / 255.0)
    return (
        np.asarray(digits.images, dtype=np.float32) / 16.0,
        np.asarray(digits.target, dtype=np.int64),
        tuple(photos),
    )


def _digit_indices(split: str) -> npt.NDArray[np.int64]:
    """Return which of the 1,797 digits belong to a split, the same in every call."""
    count = len(_sources()[1])
    # The data set lists its digits in a repeating order of classes, so a plain stride or a
    # slice would give unbalanced splits.
    order = np.random.default_rng(0).permutation(count).astype(np.int64)
    return order[:TEST_DIGITS] if split == "test" else order[TEST_DIGITS:]


def _enlarge(digit: _Floats, side: int) -> _Floats:
    """Enlarge a digit (8, 8) in [0, 1] to opacities (side, side) in [0, 1]."""
    large = Image.fromarray(digit).resize((side, side), Image.Resampling.BICUBIC)
    # Strokes as faint as scanned would vanish on a photograph, and a plain gain would fill the
    # holes of an 8 or a 6: so subtract first, then strengthen.
    opacities: _Floats = np.clip((np.asarray(large, dtype=np.float32) - 0.15) * 1.6, 0.0, 1.0)
    return opacities


def make_scenes(count: int, split: str, seed: int) -> Scenes:
    """Make scenes, each one digit in a random bright colour at a random position on a photograph.

    count: number of scenes, at least 1; split: "train" or "test", which share no digit (both
    use the same two photographs); seed: non-negative, equal seeds give equal scenes.
    The boxes are squares of 22 to 26 pixels and cover 0.14 of the area on average.
    """
    if count < 1:
        raise ValueError(f"count must be at least 1, got {count!r}: ask for one scene or more")
    if split not in ("train", "test"):
        raise ValueError(f'split must be "train" or "test", got {split!r}: choose one of the two')
    if seed < 0:
        raise ValueError(f"seed must not be negative, got {seed!r}: use 0 or a positive integer")
    digits, targets, photos = _sources()
    rng = np.random.default_rng(seed)
    chosen = rng.choice(_digit_indices(split), size=count)
    sides = rng.integers(DIGIT_SIDES[0], DIGIT_SIDES[1], size=count, endpoint=True)
    corners = rng.integers(0, SIDE - sides[:, None], size=(count, 2), endpoint=True)
    which = rng.integers(0, len(photos), size=count)
    room = np.array([photo.shape[:2] for photo in photos])[which] - SIDE
    crops = rng.integers(0, room, size=(count, 2), endpoint=True)
    # Full brightness and a limited saturation keep every colour, blue too, lighter than the
    # photograph behind it, which is dimmed for the same reason.
    hues, saturations = rng.random(count), rng.uniform(0.0, 0.6, size=count)
    dimming = rng.uniform(0.4, 0.6, size=count).astype(np.float32)

    images = np.empty((count, SIDE, SIDE, 3), dtype=np.float32)
    masks = np.zeros((count, SIDE, SIDE), dtype=np.bool_)
    for i in range(count):
        (top, left), (y, x), side = crops[i], corners[i], int(sides[i])
        images[i] = photos[which[i]][top : top + SIDE, left : left + SIDE] * dimming[i]
        opacity = _enlarge(digits[chosen[i]], side)[..., None]
        colour = np.array(colorsys.hsv_to_rgb(hues[i], saturations[i], 1.0), dtype=np.float32)
        box = images[i, y : y + side, x : x + side]
        box += opacity * (colour - box)
        masks[i, y : y + side, x : x + side] = True
    return Scenes(images=images, labels=targets[chosen], masks=masks)


def make_pairs(
    count: int, split: str, seed: int
) -> tuple[_Floats, npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Make scenes of two digits each: images, labels `(count, 2)` and boxes `(count, 2, 64, 64)`.

    Args: as `make_scenes`.
    """
    scenes = make_scenes(2 * count, split, seed)
    # The digits are brighter than the photographs, so the maximum of two scenes shows both digits.
    images = np.maximum(scenes.images[::2], scenes.images[1::2])
    return images, scenes.labels.reshape(count, 2), scenes.masks.reshape(count, 2, SIDE, SIDE)
