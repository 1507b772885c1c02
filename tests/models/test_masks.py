"""Which layers make masks, and runs under the masks of another run."""

from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops

from vis.models import Masks, Probe, makes_masks, mask_makers


def sequence(*stack: Any, shape: Any = (4, 2), dtype: str = "float32") -> keras.Model:
    return keras.Sequential([layers.Input(shape, dtype=dtype), *stack])


def added() -> keras.Model:
    entry = keras.Input((4, 2))
    return keras.Model(entry, layers.Concatenate()([layers.Add()([entry, layers.Dense(2)(entry)]), entry]))


def explicit() -> keras.Model:
    entry = keras.Input((4, 2))
    return keras.Model(entry, layers.GRU(3)(entry, mask=ops.any(ops.not_equal(entry, 0), axis=-1)))


@pytest.mark.parametrize(
    ("build", "at_work"),
    [
        (lambda: sequence(layers.Dense(3), layers.Flatten()), False),
        (lambda: sequence(layers.Bidirectional(layers.GRU(3, return_sequences=True)), layers.LSTM(2)), False),
        (lambda: sequence(layers.Embedding(5, 2), shape=(4,), dtype="int32"), False),
        (added, False),
        (lambda: sequence(layers.Embedding(5, 2, mask_zero=True), shape=(4,), dtype="int32"), True),
        (lambda: sequence(layers.Masking(), layers.GRU(3)), True),
        (lambda: sequence(sequence(layers.Masking(-1.0), layers.Dense(3))), True),
        (explicit, True),
    ],
)
def test_whether_masks_are_made(build: Any, at_work: bool) -> None:
    assert mask_makers(build()).at_work() == at_work


@pytest.mark.parametrize("wrap", [lambda layer: layer, lambda layer: sequence(layer, shape=(4,))])
def test_a_setting_that_changes_later_is_noticed(wrap: Any) -> None:
    embedding = layers.Embedding(5, 2)
    model = sequence(wrap(embedding), layers.Dense(3), shape=(4,), dtype="int32")
    for mask_zero in (False, True, False):
        embedding.mask_zero = mask_zero
        assert makes_masks(model) == mask_zero


@pytest.mark.parametrize("build", [lambda: sequence(layers.Masking(-1.0), layers.GRU(3)), explicit])
def test_a_run_makes_the_masks_of_another(build: Any) -> None:
    keras.utils.set_random_seed(0)
    model = build()
    value = 0.0 if build is explicit else -1.0
    x = np.random.default_rng(0).normal(size=(2, 4, 2)).astype(np.float32)
    x[0, 2:] = value
    made = Masks()
    outputs, _ = Probe(model, []).run(ops.convert_to_tensor(x), masks=made)
    np.testing.assert_array_equal(outputs, model(x))
    for _, mask in made.made:
        np.testing.assert_array_equal(mask, (x != value).any(axis=-1))

    # Of other values: what is masked makes no difference, and what was not masked is not, whatever it is.
    def run(x: np.ndarray) -> np.ndarray:
        return ops.convert_to_numpy(
            Probe(model, []).run(ops.convert_to_tensor(x), masks=Masks([m for _, m in made.made]))[0]
        )

    other = x.copy()
    other[0, 2:] = 5
    np.testing.assert_array_equal(run(other), outputs)
    other[:, 1] = value
    beside = other.copy()
    beside[:, 1] += 1e-5
    np.testing.assert_allclose(run(other), run(beside), atol=1e-4)
    assert np.abs(run(other) - np.asarray(model(other))).max() > 1e-3


def test_the_model_gains_nothing() -> None:
    model = sequence(layers.Masking(), layers.GRU(3))
    before = [(dict(vars(layer)), type(layer)) for layer in model.layers]
    Probe(model, []).run(ops.zeros((1, 4, 2)), masks=Masks())
    assert [(dict(vars(layer)), type(layer)) for layer in model.layers] == before
