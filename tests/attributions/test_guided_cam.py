"""Guided Grad-CAM against its formula in NumPy, and as the product of both maps."""

from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from vis.attributions import GradCAM, GuidedBackprop, GuidedGradCAM

# Where zeros are right, a warning about them is beside the point.
pytestmark = pytest.mark.filterwarnings("ignore::vis.errors.EmptyMapWarning")


def test_by_its_formula() -> None:
    """One convolution of a pixel, so that positions are pixels; then a dense layer."""
    random = np.random.default_rng(0)
    kernel, last = random.normal(size=(2, 4)), random.normal(size=(3, 5, 4))
    model = keras.Sequential(
        [
            layers.Input((3, 5, 2)),
            layers.Conv2D(4, 1, activation="relu", use_bias=False),
            layers.Flatten(),
            layers.Dense(1),
        ]
    )
    model.layers[0].kernel.assign(kernel.reshape(1, 1, 2, 4))
    model.layers[-1].kernel.assign(last.reshape(-1, 1))
    x = random.normal(size=(3, 5, 2)).astype(np.float32)
    features = np.maximum(x @ kernel, 0)
    cam = np.maximum(features @ last.mean(axis=(0, 1)), 0)
    assert cam.any()
    guided = (np.maximum(last, 0) * (features > 0)) @ kernel.T
    expected = guided * cam[..., None]
    found = GuidedGradCAM(model, reducer=None).explain(x[None])
    np.testing.assert_allclose(found[0], expected, rtol=1e-4, atol=1e-6)
    found = GuidedGradCAM(model).explain(x[None])
    np.testing.assert_allclose(found[0, ..., 0], expected.mean(axis=-1), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("reducer", [None, "mean", "max"])
@pytest.mark.parametrize("first", [False, True])
def test_it_is_the_product_of_both(reducer: Any, first: bool) -> None:
    keras.utils.set_random_seed(3)
    entry = keras.Input((3, 9, 8) if first else (9, 8, 3))
    y = layers.AveragePooling2D(1, data_format="channels_first")(entry) if first else entry
    y = layers.Permute((2, 3, 1))(y) if first else y
    y = layers.Conv2D(4, 3, activation="relu")(y)
    y = layers.Conv2D(5, 3, strides=2, activation="relu", name="second")(y)
    model = keras.Model(entry, layers.Dense(3)(layers.Flatten()(y)))
    x = np.random.default_rng(0).random((4, *entry.shape[1:])).astype(np.float32)
    found = GuidedGradCAM(model, reducer=reducer, conv_layer="second", batch_size=3)(x, [0, 1, 2, 1])
    cam = GradCAM(model, conv_layer="second")(x, [0, 1, 2, 1])
    guided = GuidedBackprop(model, reducer=reducer)(x, [0, 1, 2, 1])
    assert found.shape == guided.shape and found.any()
    cam = np.moveaxis(cam, -1, 1) if first else cam
    np.testing.assert_allclose(found, guided * cam, rtol=1e-4, atol=1e-8)


def test_what_the_layer_does_not_see_has_zeros() -> None:
    keras.utils.set_random_seed(3)
    table, image = keras.Input((3,), name="a_table"), keras.Input((6, 5, 1), name="image")
    flat = layers.Flatten()(layers.Conv2D(2, 3, activation="relu", name="conv")(image))
    model = keras.Model([table, image], layers.Dense(2)(layers.concatenate([table, flat])))
    random = np.random.default_rng(0)
    x = [random.random((2, 3)), random.random((2, 6, 5, 1))]
    found = GuidedGradCAM(model)(x, 1)
    assert [part.shape for part in found] == [(2, 3), (2, 6, 5, 1)]
    assert not found[0].any()
    expected = GuidedBackprop(model)(x, 1)[1] * GradCAM(model)(x, 1)
    np.testing.assert_allclose(found[1], expected, rtol=1e-4, atol=1e-8)
    empty = GuidedGradCAM(model)([part[:0] for part in x], 1)
    assert [part.shape for part in empty] == [(0, 3), (0, 6, 5, 1)]
