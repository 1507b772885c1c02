"""The library where TensorFlow builds graphs, and where an operation of it has no gradient."""

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from vis.errors import GradientError
from vis.visualization import visualize_saliency

X = np.random.default_rng(0).normal(size=(1, 5)).astype(np.float32)


def test_an_operation_without_a_gradient_is_named() -> None:
    inputs = layers.Input((2, 2, 3))
    shifted = layers.Lambda(lambda x: tf.image.adjust_hue(x, 0.1))(inputs)
    model = keras.Model(inputs, layers.Dense(1)(layers.Flatten()(shifted)))
    with pytest.raises(GradientError, match="has no gradient"):
        visualize_saliency(model, -1, 0, np.full((2, 2, 3), 0.5))


def test_inside_a_function_that_is_traced() -> None:
    model = keras.Sequential([layers.Input((5,)), layers.Dense(8, "relu"), layers.Dense(4)])

    @tf.function(autograph=False)
    def traced() -> Any:
        return visualize_saliency(model, -1, 0, X)

    with pytest.raises(GradientError, match="Call outside it"):
        traced()
    assert visualize_saliency(model, -1, 0, X).shape == (5,)
