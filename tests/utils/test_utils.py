"""The helpers under keras-vis's names and import paths."""

import keras
import numpy as np
import pytest
from keras import layers

from vis.errors import LayerError
from vis.utils import utils


def model() -> keras.Model:
    return keras.Sequential(
        [
            layers.Input((4,)),
            layers.Dense(3, activation="relu", name="hidden"),
            layers.Dense(2, activation="softmax", name="end"),
        ]
    )


def test_find_layer_idx() -> None:
    assert [utils.find_layer_idx(model(), name) for name in ("hidden", "end")] == [0, 1]
    with pytest.raises(LayerError, match=r"no layer 'hiden'\. Did you mean 'hidden'"):
        utils.find_layer_idx(model(), "hiden")


def test_find_layer_idx_of_a_nested_layer() -> None:
    inputs = layers.Input((4,))
    outer = keras.Model(inputs, keras.Sequential([layers.Dense(2, name="deep")], name="inner")(inputs))
    with pytest.raises(LayerError, match="'inner/deep' is inside a nested model"):
        utils.find_layer_idx(outer, "inner/deep")


def test_apply_modifications_as_in_keras_vis() -> None:
    original = model()
    x = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
    probabilities = original.predict(x, verbose=0)
    original.layers[-1].activation = keras.activations.linear
    changed = utils.apply_modifications(original)
    hidden = np.maximum(x @ np.asarray(original.layers[0].kernel) + np.asarray(original.layers[0].bias), 0)
    logits = hidden @ np.asarray(original.layers[1].kernel) + np.asarray(original.layers[1].bias)
    np.testing.assert_allclose(changed.predict(x, verbose=0), logits, rtol=1e-5, atol=1e-6)
    original.layers[-1].activation = keras.activations.softmax
    np.testing.assert_allclose(changed(x), logits, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(original(x), probabilities, rtol=1e-5)


def test_apply_modifications_shares_the_variables() -> None:
    original = model()
    changed = utils.apply_modifications(original)
    assert all(a is b for a, b in zip(original.variables, changed.variables, strict=True))
    original.layers[0].kernel.assign(np.zeros((4, 3)))
    assert not np.asarray(changed.layers[0].kernel).any()


def test_normalize_is_that_of_the_maps() -> None:
    assert utils.normalize(np.array([1.0, 3.0]), 0, 10).tolist() == [0, 10]
