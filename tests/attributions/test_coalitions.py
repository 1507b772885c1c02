"""Feature ablation against a loop, by hand, and with groups of one's own."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

from vis.attributions import FeatureAblation, Occlusion


def slow(model: keras.Model, x: np.ndarray, label: int, groups: np.ndarray, value: float) -> np.ndarray:
    """One sample and one feature at a time."""
    score, found = float(model(x[None])[0, label]), np.zeros(groups.shape)
    for group in np.unique(groups):
        changed = np.where(np.broadcast_to(groups, x.shape) == group, value, x)
        found[groups == group] = score - float(model(changed[None].astype("float32"))[0, label])
    return found


def build(*shape: int) -> keras.Model:
    keras.utils.set_random_seed(2)
    return keras.Sequential([layers.Input(shape), layers.Flatten(), layers.Dense(4, "tanh"), layers.Dense(2)])


@pytest.mark.parametrize(
    ("shape", "groups"),
    [
        ((5,), np.array([0, 1, 0, 2, 1])),
        ((3, 2), np.array([[0, 0], [1, 2], [1, 0]])),
        ((4, 3, 2), np.arange(12).reshape(4, 3, 1) // 4),
        ((4, 3, 2), np.arange(24).reshape(4, 3, 2) % 5),
    ],
    ids=str,
)
def test_agrees_with_the_oracle(shape: tuple[int, ...], groups: np.ndarray) -> None:
    model = build(*shape)
    x = np.random.default_rng(1).normal(size=(3, *shape)).astype(np.float32)
    expected = np.stack([slow(model, sample, 1, groups, 0.4) for sample in x])
    given = groups[..., 0] if groups.shape[-1] == 1 else groups
    found = FeatureAblation(model, features=given, baseline=0.4)(x, 1)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_patches_that_do_not_overlap_are_those_of_occlusion() -> None:
    model, x = build(6, 4, 3), np.random.default_rng(1).normal(size=(2, 6, 4, 3))
    expected = Occlusion(model, patch_size=2)(x, 0)
    np.testing.assert_allclose(FeatureAblation(model, features=2)(x, 0), expected, rtol=1e-5, atol=1e-6)


def test_groups_may_differ_from_sample_to_sample() -> None:
    model = keras.Sequential([layers.Input((3,)), layers.Dense(1, use_bias=False)])
    model.set_weights([np.array([[1.0], [2], [4]])])
    found = FeatureAblation(model, features=lambda x: (x > 1).astype(int))([[1.0, 2, 3], [0, 1, 1]], 0)
    assert found.tolist() == [[1, 16, 16], [6, 6, 6]]
