"""Infidelity on functions whose changes are known, and by loops."""

from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from tests.metrics.models import IMAGES, LABELS, convolutional, linear
from vis import GradientInput, IntegratedGradients
from vis.errors import InputError
from vis.metrics import infidelity

WEIGHTS = np.array([4.0, -1.0, 3.0, 2.0])
X = np.random.default_rng(1).normal(size=(3, 4)).astype(np.float32)


@pytest.mark.parametrize("perturbation", ["gaussian", "square"])
def test_of_a_linear_function_the_gradient_foretells_all(perturbation: Any) -> None:
    model, maps = linear(WEIGHTS), np.tile(WEIGHTS, (3, 1))
    np.testing.assert_allclose(infidelity(model, X, maps, 0, perturbation), 0, atol=1e-10)
    np.testing.assert_allclose(infidelity(model, X, -3 * maps, 0, perturbation, scaled=True), 0, atol=1e-10)
    contributions = (maps * (X - 0.5)).astype(np.float32)
    found = infidelity(model, X, contributions, 0, perturbation, baseline=0.5, contributions=True)
    np.testing.assert_allclose(found, 0, atol=1e-8)
    # A map of zeros foretells no change: the mean square of the drops, `noise^2 range^2 |w|^2`.
    found = infidelity(model, X, 0 * maps, 0, nb_samples=4000, noise=0.5)
    np.testing.assert_allclose(found, 0.25 * np.ptp(X, axis=1) ** 2 * (WEIGHTS**2).sum(), rtol=0.1)
    assert (infidelity(model, X, 0 * maps, 0, scaled=True) > 0).all()


def test_squares_by_hand() -> None:
    """Of one value, a square is the value: the drop is `w_i x_i`, the map foretells `m_i x_i`."""
    model = linear(WEIGHTS)
    found = infidelity(model, [[1.0, 2.0, 3.0, 4.0]], np.ones((1, 4)), 0, "square", 500, side=1)
    differences = np.square((1 - WEIGHTS) * [1, 2, 3, 4])
    assert set(np.round(np.array([differences]), 6).ravel()) == {9.0, 16.0, 36.0}
    assert found[0] == pytest.approx(differences.mean(), rel=0.1)


def slowly(model: Any, image: Any, heat: Any, target: int, changes: Any) -> float:
    """One image, one change after the other."""
    score = float(model(image[None])[0, target])
    errors = []
    for change in changes:
        now = (image - change).astype(np.float32)
        drop = score - float(model(now[None])[0, target])
        errors.append((float((change * heat).sum()) - drop) ** 2)
    return float(np.mean(errors))


@pytest.mark.parametrize("batch_size", [1, 5, 64])
def test_images_by_loops(batch_size: int) -> None:
    """Also a batch of samples is as each alone."""

    def perturbation(image: Any, random: Any) -> Any:
        return 0.3 * random.standard_normal(image.shape)

    model, heat = convolutional(), np.random.default_rng(4).normal(size=(4, 6, 7, 1))
    changes = [perturbation(IMAGES[0], np.random.default_rng([6, k])) for k in range(9)]
    call = (model, IMAGES, heat, LABELS, perturbation, 9)
    found = infidelity(*call, batch_size=batch_size, seed=6)
    wanted = [slowly(model, *each, changes) for each in zip(IMAGES, heat, LABELS, strict=True)]
    np.testing.assert_allclose(found, wanted, rtol=1e-4)


def test_the_best_factor() -> None:
    model, heat = convolutional(), np.random.default_rng(4).normal(size=(4, 6, 7, 3))
    how: Any = {"perturbation": "square", "nb_samples": 20}
    best = infidelity(model, IMAGES, heat, LABELS, **how, scaled=True)
    for factor in (-1, 0, 0.01, 1):
        assert (infidelity(model, IMAGES, factor * heat, LABELS, **how) >= best - 1e-9).all()
    np.testing.assert_allclose(infidelity(model, IMAGES, -7 * heat, LABELS, **how, scaled=True), best)


def test_a_contribution_is_removed_with_its_square() -> None:
    """Of a product of two values, integrated gradients gives half to each, and only both are foretold."""
    x = keras.Input((2,))
    model = keras.Model(x, layers.Reshape((1,))(x[:, 0] * x[:, 1]))
    values = np.array([[2.0, 3.0]], np.float32)
    halves = IntegratedGradients(model)(values, 0)
    np.testing.assert_allclose(halves, [[3, 3]], rtol=1e-5)
    # One of the two removed: the drop is 6, and 3 is foretold.
    found = infidelity(model, values, halves, 0, "square", 20, side=1, contributions=True)
    np.testing.assert_allclose(found, 9, rtol=1e-4)
    found = infidelity(
        model, values, GradientInput(model)(values, 0), 0, "square", 20, side=1, contributions=True
    )
    np.testing.assert_allclose(found, 0, atol=1e-6)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"perturbation": "laplace"}, "perturbation must be one of gaussian, square, or"),
        (
            {"perturbation": lambda one, random: np.zeros(3)},
            r"shape of one input, \(4,\). Received: shape \(3,\)",
        ),
        ({"nb_samples": 0}, "nb_samples must be an integer >= 1"),
        ({"noise": -1}, "noise must be a number >= 0"),
        ({"noise_scale": "relative"}, "noise_scale must be one of"),
        ({"perturbation": "square", "side": 0}, "side must be an integer >= 1"),
        ({"seed": -1}, "seed must be an integer >= 0"),
    ],
)
def test_what_is_refused(change: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        infidelity(**{"model": linear(WEIGHTS), "inputs": X, "maps": X, "targets": 0, **change})


def test_tokens_have_nothing_between_them() -> None:
    model = keras.Sequential([layers.Input((3,), dtype="int32"), layers.Embedding(5, 2), layers.Flatten()])
    with pytest.raises(InputError, match="Noise needs inputs of floats"):
        infidelity(model, np.zeros((1, 3), int), np.ones((1, 3)), 0)
