"""How long a trace lasts, whom it belongs to, and what it does in half precision."""

import dataclasses
import gc
import threading
import weakref
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops

from tests import native
from tests.asking import input_gradient
from vis import backprop_modifiers, errors
from vis.engine import Source, traces
from vis.losses import ActivationMaximization, Loss
from vis.visualization import visualize_saliency, visualize_saliency_with_losses

X = np.random.default_rng(0).normal(size=(1, 5)).astype(np.float32)


def network(**first: Any) -> keras.Model:
    keras.utils.set_random_seed(3)
    model = keras.Sequential([layers.Input((5,)), layers.Dense(8, **first), layers.ReLU(), layers.Dense(4)])
    for layer in (model.layers[0], model.layers[-1]):
        layer.bias.assign(np.random.default_rng(1).normal(size=layer.bias.shape))
    return model


def plain(model: keras.Model, index: int = 0) -> np.ndarray:
    return native.gradient(lambda x: model(x)[:, index], X)


def ours(model: keras.Model, index: int = 0) -> np.ndarray:
    (gradient,) = input_gradient(Source(model), [(ActivationMaximization(model.layers[-1], index), -1)], [X])
    return gradient


class Pick(Loss):
    """The activation of one unit, a constant of the expression."""

    def __init__(self, layer: Any, index: int) -> None:
        self.layer, self.index = layer, index

    def build_loss(self) -> Any:
        return self.layer.output[:, self.index]


def test_a_loss_made_anew_is_never_taken_for_another() -> None:
    """Objects that have gone leave their identities to others."""
    model = network()
    kept = Pick(model.layers[-1], 0)
    for turn in range(30):
        losses = [(kept, 0.0), (Pick(model.layers[-1], turn % 4), 1.0)]
        (found,) = input_gradient(Source(model), losses, [X])
        np.testing.assert_allclose(found, plain(model, turn % 4), rtol=1e-5)


@pytest.mark.parametrize("change", ["lora", "activation", "slope", "pop and add"])
def test_a_change_of_the_model_shows_in_the_next_gradient(change: str) -> None:
    model = network()
    if change == "slope":
        model = keras.Sequential(
            [layers.Input((5,)), model.layers[0], layers.LeakyReLU(0.1), model.layers[-1]]
        )
    np.testing.assert_allclose(ours(model), plain(model), rtol=1e-5)
    before = ours(model)
    if change == "lora":
        model.layers[0].enable_lora(2)
        model.layers[0].lora_kernel_b.assign(np.ones((2, 8)))
    elif change == "activation":
        model.layers[-1].activation = keras.activations.tanh
    elif change == "slope":
        model.layers[1].negative_slope = 5.0
    else:
        end = model.layers[-1]
        model.pop()
        model.pop()
        model.add(layers.Activation("tanh"))
        model.add(end)
    np.testing.assert_allclose(ours(model), plain(model), rtol=1e-4)
    assert np.abs(ours(model) - before).max() > 1e-3


def test_losses_and_rules_need_not_be_hashable() -> None:
    @dataclasses.dataclass
    class Unit(Loss):
        layer: Any
        index: int

        def build_loss(self) -> Any:
            return self.layer.output[:, self.index]

    @dataclasses.dataclass
    class Scale:
        factor: float

        def __call__(self, x: Any, y: Any, grad: Any, true_grad: Any) -> Any:
            return self.factor * true_grad

    model = network()
    (found,) = input_gradient(
        Source(model),
        [(Unit(model.layers[-1], 2), 1.0)],
        [X],
        modifier=backprop_modifiers.BackpropModifier("scale", Scale(3.0)),
    )
    np.testing.assert_allclose(found, 3 * plain(model, 2), rtol=1e-5)


def test_a_subclass_of_activation_maximization_may_have_its_own_expression() -> None:
    class Squared(ActivationMaximization):
        def build_loss(self) -> Any:
            return -ops.square(self.layer.output[:, 3])

    model = network()
    (found,) = input_gradient(Source(model), [(Squared(model.layers[-1], 0), -1)], [X])
    np.testing.assert_allclose(found, 2 * float(model(X)[0, 3]) * plain(model, 3), rtol=1e-4)


def rule_about(model: keras.Model) -> Any:
    """A rule that holds its model."""
    return lambda x, y, grad, true_grad: true_grad + 0 * model.count_params()


def test_rules_made_anew_leave_no_trace_and_no_model_behind() -> None:
    model = network()
    visualize_saliency(model, -1, 0, X)
    gc.collect()
    before = len(traces._traces)
    for _ in range(3):
        visualize_saliency(model, -1, 0, X, backprop_modifier=rule_about(model))
    gc.collect()
    assert len(traces._traces) == before
    freed = weakref.ref(model)
    del model
    gc.collect()
    assert freed() is None


def test_small_gradients_survive_half_precision() -> None:
    half = keras.Sequential(
        [
            layers.Input((96, 96, 3)),
            layers.Conv2D(4, 3, activation="relu", dtype="mixed_float16"),
            layers.Conv2D(4, 3, dtype="mixed_float16", name="end"),
        ]
    )
    single = keras.Sequential(
        [layers.Input((96, 96, 3)), layers.Conv2D(4, 3, activation="relu"), layers.Conv2D(4, 3, name="end")]
    )
    single.set_weights(half.get_weights())
    image = np.random.default_rng(0).random((96, 96, 3)).astype(np.float32)
    found, expected = (visualize_saliency(model, "end", 0, image) for model in (half, single))
    assert found.dtype == np.float32
    assert np.corrcoef(found.ravel(), expected.ravel())[0, 1] > 0.99
    assert len(np.unique(found)) > 200


def test_a_loss_that_overflows_when_scaled_is_scaled_by_less() -> None:
    model = keras.Sequential([layers.Input((5,)), layers.Dense(1, use_bias=False, dtype="mixed_float16")])
    model.set_weights([np.full((5, 1), 3000.0)])
    np.testing.assert_allclose(ours(model), np.full((1, 5), 3000.0), rtol=1e-3)


def test_the_input_of_a_modified_model_is_ambiguous() -> None:
    model = network()
    guided = backprop_modifiers.guided(model)
    losses = [(ActivationMaximization(model.layers[-1], 0), -1)]
    with pytest.warns(errors.SharedInputWarning, match="Pass the model that you mean"):
        visualize_saliency_with_losses(guided.inputs[0], losses, X)
    del guided
    gc.collect()
    visualize_saliency_with_losses(model.inputs[0], losses, X)


def test_a_rule_returns_a_tensor_of_the_shape_of_x() -> None:
    for wrong in (lambda *_: None, lambda *_: 1.0, lambda x, *_: ops.concatenate([x, x], axis=-1)):
        with pytest.raises(errors.ModifierError, match="returns the gradient by x: a tensor of floats"):
            visualize_saliency(network(), -1, 0, X, backprop_modifier=wrong)


def test_a_model_that_was_never_built_in_two_threads() -> None:
    model = keras.Sequential([layers.Dense(4, activation="relu"), layers.Dense(2)])
    found: list[Any] = []
    threads = [
        threading.Thread(target=lambda: found.append(visualize_saliency(model, -1, 0, X))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4 and all(np.array_equal(found[0], other) for other in found)
    assert len(model.variables) == 4
