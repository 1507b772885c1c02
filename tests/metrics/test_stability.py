"""How far maps move, where the function says it, and by loops."""

from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops

from tests import native
from tests.metrics.models import IMAGES, LABELS, convolutional, linear
from vis import GradientInput, Saliency
from vis.errors import EmptyMapWarning, InputError
from vis.metrics import average_stability, sensitivity_max

BOTH = [sensitivity_max, average_stability]
X = np.random.default_rng(1).normal(size=(3, 4)).astype(np.float32)


def test_a_linear_function_has_one_gradient() -> None:
    for measure in BOTH:
        assert measure(Saliency(linear(np.arange(1, 5.0))), X, 0).tolist() == [0, 0, 0]


def test_of_a_square_the_gradient_moves_twice_as_far() -> None:
    """The gradient of `sum x^2` is 2 x: the map moves by `2 |e|`."""
    x = keras.Input((4,))
    square = keras.Model(x, layers.Reshape((1,))(ops.sum(x**2, axis=-1)))
    explainer = Saliency(square, grad_modifier=None)
    changes = [np.array([0.5, 0, 0, 0]), np.array([0.0, 0.3, 0.4, 0.0]), np.array([0.1, 0.1, 0.1, 0.1])]

    def measured(measure: Any, **how: Any) -> list[float]:
        turn = iter(changes)
        return [
            float(each)
            for each in measure(explainer, X[:1], 0, nb_samples=3, perturbation=lambda *_: next(turn), **how)
        ]

    size = float(np.linalg.norm(X[0]))
    assert measured(sensitivity_max) == pytest.approx([0.5 / size], rel=1e-4)
    assert measured(sensitivity_max, relative=False) == pytest.approx([1.0], rel=1e-4)
    assert measured(average_stability, relative=False) == pytest.approx([(1 + 1 + 0.4) / 3], rel=1e-4)
    found = measured(average_stability, relative=False, distance="l1")
    assert found == pytest.approx([(1 + 1.4 + 0.8) / 3], rel=1e-4)
    # No change of a value is larger than the radius.
    wide = sensitivity_max(explainer, X, 0, 0.1, 200, "l2", relative=False, noise_scale="absolute")
    assert (wide < 2 * 0.1 * 2).all() and (wide > 0.2).all()
    ranged = sensitivity_max(explainer, X, 0, 0.1, 200, relative=False)
    np.testing.assert_allclose(ranged, wide * np.ptp(X, axis=1), rtol=1e-3)


@pytest.mark.parametrize("batch_size", [1, 3, 64, None])
def test_images_by_loops(batch_size: int | None) -> None:
    explainer = GradientInput(convolutional(None), batch_size=batch_size)
    steps = [0.2 * np.random.default_rng([5, k]).uniform(-1, 1, IMAGES.shape[1:]) for k in range(6)]
    wanted = []
    for image, label in zip(IMAGES, LABELS, strict=True):
        first = explainer(image[None], [label])
        maps = [explainer(np.float32(image + np.ptp(image) * step)[None], [label]) for step in steps]
        wanted.append([float(np.linalg.norm(each - first) / np.linalg.norm(first)) for each in maps])
    for measure, one in ((sensitivity_max, np.max), (average_stability, np.mean)):
        for given in ((IMAGES, LABELS), (native.dataset((IMAGES, LABELS), 3),)):
            found = measure(explainer, *given, radius=0.2, nb_samples=6, seed=5)
            np.testing.assert_allclose(found, [one(row) for row in wanted], rtol=1e-3)


def test_the_target_is_that_of_the_input() -> None:
    explainer = GradientInput(convolutional(None))
    classes = np.argmax(convolutional(None).predict(IMAGES, verbose=0), axis=1)
    for measure in BOTH:
        wanted = measure(explainer, IMAGES, classes, radius=0.5)
        np.testing.assert_allclose(measure(explainer, IMAGES, radius=0.5), wanted, rtol=1e-5)


@pytest.mark.parametrize("measure", BOTH)
def test_maps_of_zeros_and_what_is_refused(measure: Any) -> None:
    zero = Saliency(linear(np.zeros(4)))
    with pytest.warns(EmptyMapWarning, match="of 3 of 3 samples is NaN: 0, 1, 2. Their maps are zero"):
        assert np.isnan(measure(zero, X, 0)).all()
    for change, words in (
        ({"radius": -0.1}, "radius must be a number >= 0"),
        ({"nb_samples": 0}, "nb_samples must be an integer >= 1"),
        ({"distance": "l3"}, "distance must be one of l1, l2"),
        ({"noise_scale": "half"}, "noise_scale must be one of"),
        ({"explainer": "saliency"}, "Pass an explainer of vis.attributions"),
        ({"inputs": X[:0]}, "There is nothing to measure"),
    ):
        with pytest.raises(InputError, match=words):
            measure(**{"explainer": zero, "inputs": X, "targets": 0, **change})
