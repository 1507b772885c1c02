"""Average drop, increase in confidence and average gain where the probability is known."""

from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from tests import native
from tests.metrics.models import IMAGES, LABELS, convolutional
from vis.errors import InputError
from vis.metrics import average_drop, average_gain, increase_in_confidence


def mean_of_two() -> keras.Model:
    """The probability is the mean of two features, less the third."""
    model = keras.Sequential([layers.Input((3,)), layers.Dense(1, use_bias=False)])
    model.set_weights([np.array([[0.5], [0.5], [-0.5]])])
    return model


X = np.array([[1.0, 0.6, 0.4]], np.float32)  # 0.6


@pytest.mark.parametrize(
    ("heat", "drop", "rises", "gain"),
    [
        ([1, 1, 0], 0, True, (0.8 - 0.6) / 0.4),
        ([1, 0, 0], (0.6 - 0.5) / 0.6, False, 0),
        ([0, -2, 0], (0.6 - 0.3) / 0.6, False, 0),
        ([4, 2, 0], 0, True, (0.65 - 0.6) / 0.4),
        ([5, 5, 5], 1, False, 0),  # a constant map shows nothing
    ],
)
def test_by_hand(heat: Any, drop: float, rises: bool, gain: float) -> None:
    given = (mean_of_two(), X, [heat], 0)
    np.testing.assert_allclose(average_drop(*given), [drop], atol=1e-6)
    assert increase_in_confidence(*given).tolist() == [rises]
    np.testing.assert_allclose(average_gain(*given), [gain], atol=1e-6)


@pytest.mark.parametrize("batch_size", [1, 3, 64])
def test_images_by_loops(batch_size: int) -> None:
    model, heat = convolutional(), np.random.default_rng(0).normal(size=(4, 6, 7))
    drops, gains = [], []
    for image, one, label in zip(IMAGES, np.abs(heat), LABELS, strict=True):
        mask = (one - one.min()) / (one.max() - one.min())
        changed = 0.5 + mask[..., None] * (image - 0.5)
        before, after = (float(model(np.float32(each)[None])[0, label]) for each in (image, changed))
        drops.append(max(0, before - after) / before)
        gains.append(max(0, after - before) / (1 - before))
    for measure, wanted in (
        (average_drop, drops),
        (average_gain, gains),
        (increase_in_confidence, np.array(gains) > 0),
    ):
        found = measure(model, IMAGES, heat[..., None], LABELS, baseline=0.5, batch_size=batch_size)
        np.testing.assert_allclose(found, wanted, atol=1e-5)
        data = native.dataset((IMAGES, LABELS), 3)
        np.testing.assert_allclose(measure(model, data, heat, baseline=0.5), wanted, atol=1e-5)


def test_logits_are_refused() -> None:
    for measure in (average_drop, average_gain, increase_in_confidence):
        with pytest.raises(InputError, match="must be probabilities"):
            measure(mean_of_two(), [[0.0, 0.0, 8.0]], [[0, 0, 1]], 0)
        with pytest.raises(InputError, match="Pass one map for each sample"):
            measure(mean_of_two(), X[:0], np.ones((0, 3)), 0)
