"""Losses of one's own, through the whole gradient."""

import importlib
import re
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops

from tests import native
from tests.asking import input_gradient
from vis.engine import Source, as_source
from vis.errors import GradientError
from vis.losses import ActivationMaximization, Loss

framework = importlib.import_module(
    {"TensorFlow": "tensorflow", "JAX": "jax.numpy", "PyTorch": "torch"}[native.NAME]
)


class Product(Loss):
    """The product of the mean activations of two layers, times a factor."""

    name = "product"

    def __init__(self, first: Any, second: Any, factor: float = 1.0) -> None:
        self.first, self.second, self.factor = first, second, factor
        self.built = 0

    def build_loss(self) -> Any:
        self.built += 1
        return self.factor * ops.mean(self.first.output) * ops.mean(self.second.output)


@pytest.fixture
def model() -> keras.Model:
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [layers.Input((3,)), layers.Dense(4, activation="tanh"), layers.Dense(2, activation="tanh")]
    )


X = np.array([[0.3, -0.2, 0.7]], np.float32)


def product_gradient(model: keras.Model, factor: float) -> np.ndarray:
    def product(x: Any) -> Any:
        first = model.layers[0](x)
        return factor * ops.mean(first) * ops.mean(model.layers[1](first))

    return native.gradient(product, X)


@pytest.mark.parametrize("by", ["model", "input", "inputs"])
def test_a_loss_over_several_layers(model: keras.Model, by: str) -> None:
    source = Source(model) if by == "model" else as_source(model.inputs[0] if by == "input" else model.inputs)
    (found,) = input_gradient(source, [(Product(*model.layers), 1)], [X])
    np.testing.assert_allclose(found, product_gradient(model, 1), rtol=1e-5)


@pytest.mark.parametrize("weights", [(1, 1), (2, -3), (0, 1), (0, 0), (-0.5, 0.25)])
def test_losses_add_with_their_weights(model: keras.Model, weights: tuple[float, float]) -> None:
    losses = [Product(*model.layers), ActivationMaximization(model.layers[1], 0)]
    parts = [input_gradient(Source(model), [(loss, 1)], [X])[0] for loss in losses]
    (found,) = input_gradient(Source(model), list(zip(losses, weights, strict=True)), [X])
    expected = weights[0] * parts[0] + weights[1] * parts[1]
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-7)


def test_an_expression_is_built_once_and_leaves_no_link(model: keras.Model) -> None:
    loss = Product(*model.layers)
    links = len(model.layers[1]._outbound_nodes)
    for _ in range(3):
        input_gradient(Source(model), [(loss, -1)], [X])
    assert loss.built == 1
    assert len(model.layers[1]._outbound_nodes) == links


def test_two_losses_of_a_kind_do_not_share_a_trace(model: keras.Model) -> None:
    for factor in (1.0, 5.0):
        (found,) = input_gradient(Source(model), [(Product(*model.layers, factor), 1)], [X])
        np.testing.assert_allclose(found, product_gradient(model, factor), rtol=1e-5)


def test_a_layer_of_a_nested_model(model: keras.Model) -> None:
    inputs = layers.Input((3,))
    outer = keras.Model(inputs, layers.Dense(2)(model(inputs)))
    (found,) = input_gradient(Source(outer), [(Product(*model.layers), 1)], [X])
    np.testing.assert_allclose(found, product_gradient(model, 1), rtol=1e-5)
    with pytest.raises(GradientError, match="pass the model in place of input_tensor"):
        input_gradient(as_source(outer.inputs), [(Product(*model.layers), 1)], [X])


def test_one_value_per_sample_or_more_are_summed(model: keras.Model) -> None:
    class All(Loss):
        def build_loss(self) -> Any:
            return ops.square(model.layers[1].output)

    (found,) = input_gradient(Source(model), [(All(), 1)], [X])
    np.testing.assert_allclose(found, native.gradient(lambda x: ops.square(model(x)), X), rtol=1e-5)


@pytest.mark.parametrize(
    ("losses", "message"),
    [
        ([], "no loss"),
        ([3], "list of pairs"),
        ([(3, 1)], "subclass of vis.losses.Loss. Received: 3"),
        (None, "list of pairs"),
    ],
)
def test_what_is_no_list_of_losses(model: keras.Model, losses: Any, message: str) -> None:
    with pytest.raises(GradientError, match=message):
        input_gradient(Source(model), losses, [X])


def test_a_weight_is_finite(model: keras.Model) -> None:
    with pytest.raises(GradientError, match=r"must be finite\. Received: nan"):
        input_gradient(Source(model), [(ActivationMaximization(model.layers[1], 0), float("nan"))], [X])


@pytest.mark.parametrize("value", [3.0, None, np.zeros(2)])
def test_build_loss_returns_an_expression(model: keras.Model, value: Any) -> None:
    class Wrong(Loss):
        name = "wrong"

        def build_loss(self) -> Any:
            return value

    with pytest.raises(GradientError, match=r"build_loss\(\) of the loss 'wrong' must return"):
        input_gradient(Source(model), [(Wrong(), 1)], [X])


def test_a_loss_of_another_model(model: keras.Model) -> None:
    other = keras.Sequential([layers.Input((3,)), layers.Dense(1)])

    class Stranger(Loss):
        name = "stranger"

        def build_loss(self) -> Any:
            return ops.mean(other.layers[0].output)

    with pytest.raises(GradientError, match="'stranger' uses no tensor of the model"):
        input_gradient(Source(model), [(Stranger(), 1)], [X])


def test_a_loss_is_printed_by_its_name() -> None:
    class Named(Loss):
        name = "a name"

        def build_loss(self) -> Any:
            raise NotImplementedError

    assert str(Named()) == "a name"


class Written(Loss):
    """A loss of a layer by a function."""

    name = "written"

    def __init__(self, layer: Any, function: Any) -> None:
        self.layer, self.function = layer, function

    def build_loss(self) -> Any:
        return self.function(self.layer.output)


@pytest.mark.parametrize(
    ("function", "advice"),
    [
        (lambda x: -np.mean(x), "which calls NumPy on .* Write keras.ops.mean(x)."),
        (lambda x: -framework.matmul(x, x), f"which calls {native.NAME} on .* keras.ops.matmul(x, x)."),
        (lambda x: -x.mean(), "has no 'mean'. Write keras.ops.mean(x)."),
    ],
    ids=["NumPy", "the framework", "a method"],
)
def test_a_loss_in_another_library_names_the_line(model: keras.Model, function: Any, advice: str) -> None:
    pattern = re.escape(f"{__file__}, line {function.__code__.co_firstlineno}: ") + ".*"
    pattern += re.escape(advice).replace(r"\.\*", ".*")
    with pytest.raises(
        GradientError, match=f"The loss 'Written.build_loss' must be written in keras.ops.*{pattern}"
    ):
        input_gradient(Source(model), [(Written(model.layers[0], function), 1)], [X])
