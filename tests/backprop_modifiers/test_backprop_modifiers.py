"""The rules themselves, the registry, and the known values; the places they reach are in tests/backend."""

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, ops

from vis import backprop_modifiers
from vis.backprop_modifiers import BackpropModifier
from vis.errors import ModelError, ModifierError


def test_aliases_are_one_object() -> None:
    assert backprop_modifiers.relu is backprop_modifiers.deconv is backprop_modifiers.rectified
    assert backprop_modifiers.get("deconv") is backprop_modifiers.get("relu") is backprop_modifiers.rectified


def test_rules_by_hand() -> None:
    x, incoming = np.array([-1.0, -1.0, 2.0, 2.0]), np.array([3.0, -3.0, 3.0, -3.0])
    true = np.where(x > 0, incoming, 0.0)
    y = np.maximum(x, 0)
    assert np.asarray(backprop_modifiers.guided.rule(x, y, incoming, true)).tolist() == [0, 0, 3, 0]
    assert np.asarray(backprop_modifiers.rectified.rule(x, y, incoming, true)).tolist() == [3, 0, 3, 0]


def test_a_bare_rule_is_wrapped() -> None:
    def doubled(x: Any, y: Any, incoming: Any, true: Any) -> Any:
        return 2 * true

    modifier = backprop_modifiers.get(doubled)
    assert modifier == BackpropModifier("doubled", doubled)
    assert backprop_modifiers.get(modifier) is modifier


@pytest.mark.parametrize("thing", [3, lambda x: x, max.__class__])
def test_what_is_no_rule_is_refused(thing: Any) -> None:
    with pytest.raises(ModifierError, match="rule\\(x, y, incoming, true\\)"):
        backprop_modifiers.get(thing)


def test_no_model_and_no_variables_are_refused() -> None:
    with pytest.raises(ModelError, match=r"Expected a keras\.Model\. Received: 3"):
        backprop_modifiers.guided(3)
    with pytest.raises(ModelError, match="not built"):
        backprop_modifiers.guided(keras.Sequential([layers.Dense(2, activation="relu")]))


def two_layers() -> keras.Model:
    model = keras.Sequential(
        [
            layers.Input((2,)),
            layers.Dense(2, activation="relu", use_bias=False),
            layers.Dense(1, use_bias=False),
        ]
    )
    model.set_weights([np.array([[-1.0, 1.0], [-1.0, 1.0]]), np.array([[-1.0], [1.0]])])
    return model


def square_of_relu(sign: float) -> keras.Model:
    inputs = layers.Input((4,))
    return keras.Model(inputs, sign * ops.square(ops.relu(inputs)))


def gradient(model: keras.Model, x: list[float]) -> list[float]:
    inputs = tf.constant([x])
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        outputs = model(inputs)
    return tape.gradient(outputs, inputs)[0].numpy().tolist()


@pytest.mark.parametrize(
    ("model", "x", "vanilla", "guided", "rectified"),
    [
        (two_layers, [1.0, 0.0], [1, 1], [1, 1], [1, 1]),
        (two_layers, [-1.0, 0.0], [1, 1], [0, 0], [1, 1]),
        (lambda: square_of_relu(-1), [5.0, 0.0, -5.0, 10.0], [-10, 0, 0, -20], [0] * 4, [0] * 4),
        (lambda: square_of_relu(1), [5.0, 0.0, -5.0, 10.0], [10, 0, 0, 20], [10, 0, 0, 20], [10, 0, 0, 20]),
    ],
)
def test_known_values(model: Any, x: list[float], vanilla: Any, guided: Any, rectified: Any) -> None:
    built = model()
    assert gradient(built, x) == vanilla
    assert gradient(backprop_modifiers.guided(built), x) == guided
    assert gradient(backprop_modifiers.rectified(built), x) == rectified
    assert gradient(built, x) == vanilla


def test_a_rule_sees_input_output_incoming_and_true_gradient() -> None:
    seen: dict[str, Any] = {}

    def spy(x: Any, y: Any, incoming: Any, true: Any) -> Any:
        seen.update(x=x, y=y, incoming=incoming, true=true)
        return 10 * x + y + 100 * incoming + 1000 * true

    inputs = layers.Input((2,))
    model = BackpropModifier("spy", spy)(keras.Model(inputs, 3 * ops.relu(inputs)))
    assert gradient(model, [2.0, -1.0]) == [10 * 2 + 2 + 100 * 3 + 1000 * 3, 10 * -1 + 0 + 100 * 3 + 0]
    assert set(seen) == {"x", "y", "incoming", "true"}


def test_the_gradient_by_the_weights_follows_the_rule_too() -> None:
    model = two_layers()
    modified = backprop_modifiers.rectified(model)
    x = tf.constant([[-1.0, 0.0]])
    with tf.GradientTape() as tape:
        outputs = modified(x)
    kernel = tape.gradient(outputs, model.layers[0].kernel.value)
    # The units' inputs are (1, -1); what comes in is (-1, 1), of which rectified passes (0, 1) on.
    assert kernel.numpy().tolist() == [[0, -1], [0, 0]]
