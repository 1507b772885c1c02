"""Features of positions: what they may be, and deletion and insertion by them."""

from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from tests.metrics.models import IMAGES, LABELS, convolutional, linear
from vis.errors import InputError
from vis.metrics import blurred, deletion, insertion

WEIGHTS = np.array([4.0, 1.0, 3.0, 2.0])
ONES = np.ones((1, 4), np.float32)


def test_by_hand() -> None:
    """The means are 2.5 and 2.5, then 3.5 and 1.5: the first two, or the first and third, go first."""
    model = linear(WEIGHTS)
    assert deletion(model, ONES, WEIGHTS[None], 0, 2, features=[7, 7, -1, -1]).scores.tolist() == [[10, 5, 0]]
    assert deletion(model, ONES, WEIGHTS[None], 0, 2, features=[5, 9, 5, 9]).scores.tolist() == [[10, 3, 0]]
    assert insertion(model, ONES, WEIGHTS[None], 0, 2, features=[5, 9, 5, 9]).scores.tolist() == [[0, 7, 10]]
    assert deletion(model, ONES, -WEIGHTS[None], 0, 2, features=[5, 9, 5, 9]).scores.tolist() == [[10, 7, 0]]
    assert deletion(model, ONES, WEIGHTS[None], 0, 2, features=3).scores.tolist() == [[10, 2, 0]]
    # The mean counts, not the sum: 4, then (1 + 3 + 2) / 3.
    assert deletion(model, ONES, WEIGHTS[None], 0, 2, features=[0, 1, 1, 1]).scores.tolist() == [[10, 6, 0]]


def test_samples_may_have_other_features() -> None:
    model = linear(WEIGHTS)
    ids = np.array([[0, 0, 1, 1], [0, 1, 2, 3]])
    heat, two = np.repeat(WEIGHTS[None], 2, 0), np.repeat(ONES, 2, 0)
    for features in (ids, lambda one: ids[int(one[0] > 1)]):
        given = two if features is ids else two * [[1.0], [2.0]]
        found = deletion(model, given, heat, 0, steps=4, features=features).scores / np.max(given, 1)[:, None]
        np.testing.assert_allclose(
            found, [[10, 10, 5, 0, 0], [10, 6, 3, 1, 0]]
        )  # 0.5 is rounded to 0, 1.5 to 2


def slowly(model: Any, image: Any, heat: Any, ids: Any, other: Any, target: int, inserted: bool) -> Any:
    """One image, one feature after the other."""
    known = sorted(set(ids.ravel().tolist()))
    means = {k: np.mean([heat[at] for at in np.ndindex(ids.shape) if ids[at] == k]) for k in known}
    now, new = (other.copy(), image) if inserted else (image.copy(), other)
    scores = [float(model(now[None])[0, target])]
    for k in sorted(known, key=lambda k: -means[k]):
        now[ids == k] = new[ids == k]
        scores.append(float(model(now[None])[0, target]))
    return scores


@pytest.mark.parametrize("how", ["shared", "of each", "channel", "function", "patches"])
@pytest.mark.parametrize("inserted", [False, True])
def test_images_by_loops(how: str, inserted: bool) -> None:
    rng = np.random.default_rng(3)
    heat = rng.normal(size=(4, 6, 7))
    ids = np.repeat(np.arange(42).reshape(1, 6, 7) % 5, 4, axis=0)
    if how == "of each":
        ids = np.stack([rng.permutation(each.ravel()).reshape(each.shape) for each in ids])
    if how == "patches":
        rows, columns = np.indices((6, 7)) // 3
        ids = np.repeat((3 * rows + columns)[None], 4, axis=0)
    features: Any = {"shared": ids[0], "channel": ids[..., None], "patches": 3}.get(how, ids)
    if how == "function":
        features = lambda one: np.arange(42).reshape(one.shape[:2]) % 5  # noqa: E731
    model, call = convolutional(), insertion if inserted else deletion
    count = ids.max() + 1
    found = call(model, IMAGES, heat, LABELS, count, features=features, batch_size=7)
    others = blurred(IMAGES).astype(np.float32) if inserted else 0 * IMAGES
    parts = zip(IMAGES, heat, ids, others, LABELS, strict=True)
    np.testing.assert_allclose(found.scores, [slowly(model, *part, inserted) for part in parts], atol=1e-6)


def test_channels_first() -> None:
    pool = layers.GlobalAveragePooling2D(data_format="channels_first")
    model = keras.Sequential([layers.Input((2, 4, 6)), pool, layers.Dense(2)])
    images, heat = np.ones((1, 2, 4, 6), np.float32), np.arange(24.0).reshape(1, 4, 6)
    flat = deletion(model, images, heat, 0, steps=6, features=2).scores[0]
    np.testing.assert_allclose(flat - flat[-1], (flat[0] - flat[-1]) * np.linspace(1, 0, 7), atol=1e-6)


def test_superpixels_of_scikit_image() -> None:
    slic = pytest.importorskip("skimage.segmentation").slic
    found = deletion(
        convolutional(), IMAGES, IMAGES[..., 0], LABELS, features=lambda one: slic(one, 6, start_label=1)
    )
    assert found.scores.shape == (4, 21) and (np.diff(found.scores, axis=1) == 0).any()


@pytest.mark.parametrize("features", [[0, 1], [0.0, 1, 1, 0], np.zeros((2, 4), int), "slic", 0, 1.5])
def test_what_is_refused(features: Any) -> None:
    with pytest.raises(InputError, match="features must be"):
        deletion(linear(WEIGHTS), ONES, WEIGHTS[None], 0, features=features)
