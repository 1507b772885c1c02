"""The rules themselves, the registry, and known values; tests/backend has the activations that they reach."""

import re
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops

from tests import native
from vis import backprop_modifiers
from vis.backprop_modifiers import BackpropModifier
from vis.errors import ModelError, ModifierError
from vis.visualization import visualize_saliency


def test_aliases_are_one_object() -> None:
    assert backprop_modifiers.relu is backprop_modifiers.deconv is backprop_modifiers.rectified
    assert backprop_modifiers.get("deconv") is backprop_modifiers.get("relu") is backprop_modifiers.rectified


def test_rules_by_hand() -> None:
    x, grad = np.array([-1.0, -1.0, 2.0, 2.0]), np.array([3.0, -3.0, 3.0, -3.0])
    true_grad = np.where(x > 0, grad, 0.0)
    y = np.maximum(x, 0)
    assert np.asarray(backprop_modifiers.guided.rule(x, y, grad, true_grad)).tolist() == [0, 0, 3, 0]
    assert np.asarray(backprop_modifiers.rectified.rule(x, y, grad, true_grad)).tolist() == [3, 0, 3, 0]


def test_a_bare_rule_is_wrapped() -> None:
    def doubled(x: Any, y: Any, grad: Any, true_grad: Any) -> Any:
        return 2 * true_grad

    modifier = backprop_modifiers.get(doubled)
    assert modifier == BackpropModifier("doubled", doubled)
    assert backprop_modifiers.get(modifier) is modifier


@pytest.mark.parametrize("thing", [3, lambda x: x, max.__class__])
def test_what_is_no_rule_is_refused(thing: Any) -> None:
    with pytest.raises(ModifierError, match="rule\\(x, y, grad, true_grad\\)"):
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
    return native.gradient(model, np.float32([x]))[0].tolist()


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


def test_a_rule_sees_input_output_gradient_and_true_gradient() -> None:
    seen: dict[str, Any] = {}

    def spy(x: Any, y: Any, grad: Any, true_grad: Any) -> Any:
        seen.update(x=x, y=y, grad=grad, true_grad=true_grad)
        return 10 * x + y + 100 * grad + 1000 * true_grad

    inputs = layers.Input((2,))
    model = BackpropModifier("spy", spy)(keras.Model(inputs, 3 * ops.relu(inputs)))
    assert gradient(model, [2.0, -1.0]) == [10 * 2 + 2 + 100 * 3 + 1000 * 3, 10 * -1 + 0 + 100 * 3 + 0]
    assert set(seen) == {"x", "y", "grad", "true_grad"}


def test_the_gradient_by_the_weights_follows_the_rule_too() -> None:
    model = two_layers()
    modified = backprop_modifiers.rectified(model)
    x = np.float32([[-1.0, 0.0]])
    (kernel,) = native.by_variables(lambda: modified(x), [model.layers[0].kernel])
    # The gradient by the units' outputs is (-1, 1), of which rectified keeps (0, 1).
    assert kernel.tolist() == [[0, -1], [0, 0]]


def doubled(x: Any, y: Any, grad: Any, true_grad: Any) -> Any:
    return 2 * true_grad


def test_a_repr_can_be_typed() -> None:
    import vis

    assert repr(backprop_modifiers.guided) == "vis.backprop_modifiers.get('guided')"
    assert eval(repr(backprop_modifiers.deconv), {"vis": vis}) is backprop_modifiers.rectified
    own = backprop_modifiers.get(doubled)
    assert repr(own) == "BackpropModifier('doubled', rule=doubled)"
    assert eval(repr(own)) == own


@pytest.mark.parametrize(
    "rule",
    [
        lambda x, y, grad, true_grad: ops.where(grad > 0, true_grad, 0.0),
        lambda inputs, outputs, above, true: ops.where(above > 0, true, 0.0),
        lambda *arguments: ops.where(arguments[2] > 0, arguments[3], 0.0),
    ],
    ids=["by name", "by other names", "by position"],
)
def test_a_rule_is_called_by_position(rule: Any) -> None:
    """The line that messages recommend is guided backpropagation."""
    x = [-1.0, 0.0]
    found = gradient(backprop_modifiers.get(rule)(two_layers()), x)
    assert found == gradient(backprop_modifiers.guided(two_layers()), x) == [0, 0]


elsewhere = pytest.mark.skipif(not native.COMPILES, reason="PyTorch runs it: gradients have their values")


def numpy_rule(x: Any, y: Any, grad: Any, true_grad: Any) -> Any:
    return np.where(grad > 0, true_grad, 0)


def numpy_inside(x: Any, y: Any, grad: Any, true_grad: Any) -> Any:
    return true_grad * np.sign(grad)


def method_rule(x: Any, y: Any, grad: Any, true_grad: Any) -> Any:
    return grad.clip(0, 1)


def python_rule(x: Any, y: Any, grad: Any, true_grad: Any) -> Any:
    return true_grad if grad > 0 else 0 * true_grad


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        pytest.param(
            numpy_rule,
            "which calls NumPy on a tensor .* Write keras.ops.where(grad > 0, true_grad, 0).",
            marks=elsewhere,
        ),
        pytest.param(
            numpy_inside, "which calls NumPy on a tensor .* Write keras.ops.sign(grad).", marks=elsewhere
        ),
        pytest.param(
            method_rule,
            "has no 'clip'. Write keras.ops.clip(grad, 0, 1).",
            marks=pytest.mark.skipif(native.NAME != "TensorFlow", reason="tensors have it elsewhere"),
        ),
        (python_rule, "Write keras.ops.where(condition, a, b)."),
    ],
)
def test_a_rule_in_another_library_names_the_line(rule: Any, words: str) -> None:
    line = rule.__code__.co_firstlineno + 1
    modified = backprop_modifiers.get(rule)(two_layers())
    for call in (
        lambda: gradient(modified, [1.0, 0.0]),
        lambda: visualize_saliency(two_layers(), -1, 0, [1.0, 0.0], backprop_modifier=rule),
    ):
        with pytest.raises(ModifierError) as raised:
            call()
        text = str(raised.value)
        assert f"The rule {rule.__name__!r} must be written in keras.ops." in text
        assert f"{__file__}, line {line}: " in text
        assert re.search(re.escape(words).replace(r"\.\*", ".*"), text), text


# How many rows messages tell of: as many as there are, or unknown.
ROWS = None if native.COMPILES else 1


@pytest.mark.parametrize(
    ("result", "words"),
    [
        (lambda x, y, g, t: None, "None of type NoneType"),
        (lambda x, y, g, t: 0.0, "0.0 of type float"),
        (lambda x, y, g, t: np.zeros((1, 2)), "an array of NumPy of shape (1, 2)"),
        (lambda x, y, g, t: g > 0, "a tensor of type bool"),
        (lambda x, y, g, t: ops.cast(g, "int32"), "a tensor of type int32"),
        (lambda x, y, g, t: ops.sum(g, axis=1), f"of shape ({ROWS},) for the shape ({ROWS}, 2)"),
        (
            lambda x, y, g, t: ops.concatenate([g, g], axis=1),
            f"of shape ({ROWS}, 4) for the shape ({ROWS}, 2)",
        ),
    ],
)
def test_what_a_rule_returns_is_checked(result: Any, words: str) -> None:
    def rule(x: Any, y: Any, grad: Any, true_grad: Any) -> Any:
        return result(x, y, grad, true_grad)

    with pytest.raises(ModifierError, match=r"A rule\(x, y, grad, true_grad\) returns") as raised:
        visualize_saliency(two_layers(), -1, 0, [1.0, 0.0], backprop_modifier=rule)
    text = str(raised.value)
    assert words in text
    assert f"'rule' ({__file__}, line {rule.__code__.co_firstlineno})" in text
    assert "return keras.ops.where(grad > 0, true_grad, 0.0)" in text


def test_the_line_that_messages_recommend_runs_in_half_precision() -> None:
    def rule(x: Any, y: Any, grad: Any, true_grad: Any) -> Any:
        return ops.where(grad > 0, true_grad, 0.0)

    entry = layers.Input((3,), dtype="float16")
    model = keras.Model(entry, layers.ReLU(dtype="float16")(entry))
    x = np.array([1.0, -1.0, 2.0], np.float16)
    assert visualize_saliency(model, -1, None, x, backprop_modifier=rule).tolist() == [1, 0, 1]


def test_another_failure_of_a_rule_is_raised_as_it_is() -> None:
    def rule(x: Any, y: Any, grad: Any, true_grad: Any) -> Any:
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        visualize_saliency(two_layers(), -1, 0, [1.0, 0.0], backprop_modifier=rule)
