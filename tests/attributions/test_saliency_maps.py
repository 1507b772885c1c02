"""CS231n's saliency maps against differences of the scores, and that they are those of `Saliency`."""

from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from tests.precision import precision
from vis import models
from vis.attributions import Saliency, compute_saliency_maps
from vis.errors import FilterError, InputError, ModelError


def build(activation: Any = None, dtype: str = "float64") -> keras.Model:
    keras.utils.set_random_seed(5)
    return keras.Sequential(
        [
            layers.Input((5, 4, 3), dtype=dtype),
            layers.Conv2D(3, 2, activation="tanh", dtype=dtype),
            layers.Flatten(dtype=dtype),
            layers.Dense(4, activation, dtype=dtype),
        ]
    )


X = np.random.default_rng(3).normal(size=(3, 5, 4, 3))
Y = np.array([2, 0, 3])


@pytest.mark.in_64_bits
@pytest.mark.parametrize("activation", [None, "softmax"])
def test_agrees_with_differences_of_the_logits(activation: Any) -> None:
    model, logits = build(activation), build()
    expected = np.zeros((3, 5, 4))
    # Keras computes a part of it in 32 bits on some backends.
    step, near = (
        (1e-5, {"rtol": 1e-4}) if precision(logits, X) < 1e-10 else (1e-2, {"rtol": 1e-2, "atol": 1e-3})
    )
    for n in range(3):
        for at in np.ndindex(5, 4, 3):
            up, down = X[n].copy(), X[n].copy()
            up[at] += step
            down[at] -= step
            scores = np.asarray(logits(np.stack([up, down])))[:, Y[n]]
            slope = abs(scores[0] - scores[1]) / (2 * step)
            expected[(n, *at[:2])] = max(expected[(n, *at[:2])], slope)
    found = compute_saliency_maps(X, Y, model)
    assert found.shape == (3, 5, 4) and found.dtype == np.float32
    np.testing.assert_allclose(found, expected, **near)


def test_a_linear_model_by_hand() -> None:
    model = keras.Sequential([layers.Input((1, 2, 3)), layers.Flatten(), layers.Dense(2, use_bias=False)])
    model.layers[-1].kernel.assign(np.array([[1, 0], [-4, 0], [2, 0], [0, 5], [3, 0], [-1, 6]]))
    found = compute_saliency_maps(np.ones((2, 1, 2, 3)), [0, 1], model)
    assert found.tolist() == [[[4, 3]], [[0, 6]]]


def test_is_saliency_of_the_logits() -> None:
    model = build("softmax", "float32")
    expected = Saliency(models.linear_outputs(model)).explain(X, Y)[..., 0]
    assert np.array_equal(compute_saliency_maps(X, Y, model), expected)


def test_the_model_is_untouched(untouched: Any) -> None:
    model = build("softmax", "float32")
    model(X.astype(np.float32))
    check = untouched(model)
    compute_saliency_maps(X, Y, model)
    check()


@pytest.mark.in_64_bits
def test_other_inputs_than_images() -> None:
    table = keras.Sequential([layers.Input((3,)), layers.Dense(2)])
    assert compute_saliency_maps(np.ones((4, 3)), [0, 1, 0, 1], table).shape == (4, 3)
    assert compute_saliency_maps(X[:0], Y[:0], build()).shape == (0, 5, 4)


@pytest.mark.in_64_bits
def test_wrong_calls() -> None:
    model = build()
    with pytest.raises(FilterError, match="Target 4 is out of range"):
        compute_saliency_maps(X, [0, 1, 4], model)
    with pytest.raises(InputError, match="Each sample needs a target"):
        compute_saliency_maps(X, [0, 1], model)
    with pytest.raises(InputError, match="must have shape"):
        compute_saliency_maps(X[0], 0, model)
    with pytest.raises(ModelError, match=r"Expected a keras\.Model"):
        compute_saliency_maps(X, Y, "model")
