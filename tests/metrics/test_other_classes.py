"""The similarity of maps of two classes."""

from typing import Any

import numpy as np
import pytest

from tests.metrics.models import IMAGES, LABELS, convolutional, linear
from vis import GradientInput, Saliency
from vis.errors import EmptyMapWarning, InputError
from vis.metrics import random_logit, rank_correlation, structural_similarity

EXPLAINER = GradientInput(convolutional(None))


@pytest.mark.parametrize(
    ("name", "alike"), [("structural", structural_similarity), ("rank", rank_correlation)]
)
def test_the_mean_over_all_others(name: Any, alike: Any) -> None:
    maps = [EXPLAINER(IMAGES, k) for k in range(3)]
    wanted = []
    for i, label in enumerate(LABELS):
        one = slice(i, i + 1)
        others = [alike(maps[label][one], maps[k][one])[0] for k in range(3) if k != label]
        wanted.append(np.mean(others))
    np.testing.assert_allclose(random_logit(EXPLAINER, IMAGES, LABELS, name, 2), wanted, atol=1e-4)
    seeds = [random_logit(EXPLAINER, IMAGES, LABELS, name, seed=seed) for seed in range(5)]
    assert len(np.unique(np.round(seeds, 4), axis=0)) == 2, "the next class, or the one after it"
    alone = random_logit(EXPLAINER, IMAGES[2:3], LABELS[2:3], name)
    np.testing.assert_allclose(alone, seeds[0][2:3], atol=1e-4)


def test_magnitudes_of_two_opposite_classes_are_one() -> None:
    model, x = linear([1.0, -2.0, 3.0]), np.ones((2, 3))
    np.testing.assert_allclose(random_logit(Saliency(model), x, 0, "rank"), 1)
    np.testing.assert_allclose(random_logit(GradientInput(model), x, 0, "rank"), -1)
    with pytest.warns(EmptyMapWarning, match="random_logit of 2 of 2 samples is NaN: 0, 1"):
        random_logit(Saliency(linear([1.0, 1.0, 1.0])), x, 0, "rank")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"similarity": "cosine"}, "similarity must be one of structural, rank"),
        ({"nb_samples": 3}, r"classes, of which 3 others are drawn. Received: targets of shape \(4, 3\)"),
        ({"seed": 1.5}, "seed must be an integer >= 0"),
    ],
)
def test_what_is_refused(change: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        random_logit(**{"explainer": EXPLAINER, "inputs": IMAGES, "targets": LABELS, **change})
