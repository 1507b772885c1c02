"""TensorFlow where `keras.ops` is meant: the error names the line and what to write."""

from typing import Any

import keras
import pytest
import tensorflow as tf

from vis.errors import ModifierError
from vis.foreign import foreign_arrays


def test_tensorflow_on_a_symbolic_tensor_of_keras() -> None:
    def mean(x: Any) -> Any:
        return tf.reduce_mean(x, axis=1)

    with pytest.raises(ModifierError) as raised, foreign_arrays("The loss", mean):
        mean(keras.Input((3,)))
    text = str(raised.value)
    assert "calls TensorFlow on a symbolic tensor of Keras of shape (None, 3)" in text
    assert text.endswith("Write keras.ops.mean(x, axis=1).")
