"""ReLU sites: wherever an activation runs, its derivative follows the rule and nothing else changes.

The oracle is PyTorch's own derivative of the plain activation, with the rule applied by hand: each site is
placed between the input and a weighted sum, so that the weights are the gradient that comes in.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import torch
from keras import layers, ops
from keras.layers import TorchModuleWrapper

from tests.asking import input_gradient
from vis import backprop_modifiers
from vis.engine import Source
from vis.errors import ModifierError, PartialOverrideWarning
from vis.losses import ActivationMaximization

POINTS = np.array([-7, -3, -1, -0.5, 0, 0.25, 1, 2, 3, 4, 6, 7.5], np.float32)
X = np.tile(POINTS, 2)[None]
INCOMING = np.concatenate([np.full(POINTS.size, 1.5), np.full(POINTS.size, -0.75)]).astype(np.float32)
WIDTH = X.shape[1]
Build = Callable[[Any], Any]


def fixed_dense(kernel: Any, **kwargs: Any) -> keras.layers.Dense:
    kernel = np.asarray(kernel, np.float32)
    return layers.Dense(
        kernel.shape[1], use_bias=False, kernel_initializer=lambda shape, dtype=None: kernel, **kwargs
    )


class Written(layers.Layer):
    """Runs a function of PyTorch's."""

    def __init__(self, function: Build) -> None:
        super().__init__()
        self.function = function

    def call(self, x: Any) -> Any:
        return self.function(x)

    def compute_output_shape(self, shape: Any) -> Any:
        return shape


class Subclassed(keras.Model):
    def __init__(self) -> None:
        super().__init__()
        self.identity = fixed_dense(np.eye(WIDTH))

    def call(self, x: Any) -> Any:
        return torch.nn.functional.relu(self.identity(x))


def nested_two_deep(x: Any) -> Any:
    def wrapped(inside: Build, name: str) -> keras.Model:
        entry = keras.Input((WIDTH,))
        return keras.Model(entry, inside(entry), name=name)

    inner = wrapped(layers.ReLU(name="act"), "inner")
    return wrapped(lambda entry: inner(entry), "outer")(x)


def in_time_distributed(x: Any) -> Any:
    steps = layers.Reshape((4, WIDTH // 4))(x)
    return layers.Reshape((WIDTH,))(layers.TimeDistributed(layers.ReLU())(steps))


def wrapped(module: torch.nn.Module) -> TorchModuleWrapper:
    return TorchModuleWrapper(module, output_shape=(None, WIDTH))


def in_place_of_the_copy(x: Any) -> Any:
    return torch.nn.functional.relu(x * 1.0, inplace=True)


def twice_the_input_in_place(x: Any) -> Any:
    """Write over the input of the activation after it has been computed."""
    x = x * 1.0
    y = torch.where(x > 0, x, 0.1 * x)
    x.add_(1.0)
    return y


def of_views(x: Any) -> Any:
    return torch.relu(x.view(2, -1).transpose(0, 1)).transpose(0, 1).reshape(1, -1)


SITES: dict[str, Build] = {
    "fused": lambda x: fixed_dense(np.eye(WIDTH), activation="relu")(x),
    "Activation": lambda x: layers.Activation("relu")(x),
    "ReLU": lambda x: layers.ReLU()(x),
    "ops.relu": lambda x: ops.relu(x),
    "in a call": lambda x: Written(torch.relu)(x),
    "in a Lambda": lambda x: layers.Lambda(torch.nn.functional.relu)(x),
    "in a subclassed model": lambda x: Subclassed()(x),
    "two nesting levels deep": nested_two_deep,
    "TimeDistributed": in_time_distributed,
    "ReLU max_value=6": lambda x: layers.ReLU(max_value=6)(x),
    "ops.relu6": lambda x: ops.relu6(x),
    "ReLU max_value=3": lambda x: layers.ReLU(max_value=3)(x),
    "ReLU negative_slope=.1": lambda x: layers.ReLU(negative_slope=0.1)(x),
    "ReLU max_value=6 negative_slope=.1": lambda x: layers.ReLU(max_value=6, negative_slope=0.1)(x),
    "ReLU max_value=3 negative_slope=.1": lambda x: layers.ReLU(max_value=3, negative_slope=0.1)(x),
    "LeakyReLU": lambda x: layers.LeakyReLU(negative_slope=0.3)(x),
    "PReLU": lambda x: layers.PReLU(alpha_initializer=keras.initializers.Constant(0.25))(x),
    "ELU": lambda x: layers.ELU()(x),
    "ELU alpha=.5": lambda x: layers.ELU(alpha=0.5)(x),
    "selu": lambda x: layers.Activation("selu")(x),
    "GELU": lambda x: layers.Activation("gelu")(x),
    "GELU approximate": lambda x: ops.gelu(x, approximate=True),
    "SiLU": lambda x: layers.Activation("silu")(x),
    "SiLU by hand": lambda x: x * ops.sigmoid(x),
    "hard SiLU": lambda x: layers.Activation("hard_silu")(x),
    "hard SiLU of layers": lambda x: layers.Multiply()([x, layers.ReLU(6.0)(x + 3.0) * (1.0 / 6.0)]),
    "Mish": lambda x: layers.Activation("mish")(x),
    "softplus": lambda x: layers.Activation("softplus")(x),
    "log-sigmoid": lambda x: ops.log_sigmoid(x),
    "ReLU threshold=1": lambda x: layers.ReLU(threshold=1)(x),
    "maximum(x, 0)": lambda x: ops.maximum(x, 0.0),
    "maximum(0.2 x, x)": lambda x: ops.maximum(0.2 * x, x),
    "where(x < 0)": lambda x: ops.where(x < 0, 0.1 * x, x),
    "x (x >= 0)": lambda x: x * ops.cast(x >= 0, "float32"),
    "(x + |x|) / 2": lambda x: (x + ops.abs(x)) / 2,
    "-minimum(-x, 0)": lambda x: -ops.minimum(-x, 0.0),
    "clip(x, 0, 6)": lambda x: ops.clip(x, 0.0, 6.0),
    "ELU by hand": lambda x: ops.where(x > 0, x, ops.exp(ops.minimum(x, 0.0)) - 1),
    "a module": lambda x: wrapped(torch.nn.Sequential(torch.nn.Identity(), torch.nn.ReLU()))(x),
    "a module that writes into its input": lambda x: wrapped(torch.nn.ReLU(inplace=True))(x * 1.0),
    "in place": lambda x: Written(in_place_of_the_copy)(x),
    "whose input is overwritten": lambda x: Written(twice_the_input_in_place)(x),
    "of a view": lambda x: Written(of_views)(x),
}
EACH_SITE = pytest.mark.parametrize("site", SITES)
EACH_MODIFIER = pytest.mark.parametrize("name", ["guided", "rectified"])


def between(build: Build, incoming: Any = INCOMING, shape: Any = (WIDTH,)) -> keras.Model:
    """Return a model that returns what a site returns, and the sum of it weighted by `incoming`."""
    entry = keras.Input(shape)
    y = build(entry)
    flat = layers.Flatten()(y) if len(y.shape) > 2 else y
    score = fixed_dense(np.ravel(incoming)[:, None], name="score")(flat)
    return keras.Model(entry, [y, score])


def differentiated(model: Any, x: Any) -> Any:
    x = torch.tensor(x, requires_grad=True)
    (found,) = torch.autograd.grad(model(x)[-1].sum(), x)
    return found.cpu().numpy()


def by_functions(model: Any, x: Any) -> Any:
    found: Any = torch.func.grad(lambda x: model(x)[-1].sum())(torch.tensor(x))
    return found.detach().cpu().numpy()


def backward(model: Any, x: Any) -> Any:
    x = torch.tensor(x, requires_grad=True)
    model(x)[-1].sum().backward()
    return x.grad.cpu().numpy()


def by_library(model: Any, x: Any) -> Any:
    loss = ActivationMaximization(model.get_layer("score"), 0)
    return input_gradient(Source(model), [(loss, -1.0)], [x])[0]


def by_hand(name: str | None, slope: Any, incoming: Any) -> Any:
    """Return the gradient that one activation passes on."""
    if name == "rectified":
        return np.maximum(incoming, 0) * np.ones_like(slope)
    return slope * (np.maximum(incoming, 0) if name == "guided" else incoming)


@EACH_SITE
@EACH_MODIFIER
def test_gradient_by_every_route(site: str, name: str) -> None:
    model = between(SITES[site])
    slope = differentiated(between(SITES[site], np.ones(WIDTH)), X)
    expected = by_hand(name, slope, INCOMING)
    vanilla = differentiated(model, X)
    assert not np.allclose(expected, vanilla, rtol=1e-3), "the points do not tell the modifier from none"
    modified = backprop_modifiers.get(name)(model)
    for route in (differentiated, by_functions, backward, by_library):
        np.testing.assert_allclose(route(modified, X), expected, rtol=1e-5, atol=3e-6, err_msg=route.__name__)
        np.testing.assert_allclose(route(model, X), vanilla, rtol=1e-5, atol=1e-7, err_msg=route.__name__)


@EACH_SITE
def test_forward_is_bit_identical(site: str) -> None:
    model = between(SITES[site])
    modified = backprop_modifiers.guided(model)
    for run in (lambda m: m(X), lambda m: m.predict(X, verbose=0)):
        for changed, wanted in zip(run(modified), run(model), strict=True):
            np.testing.assert_array_equal(*(ops.convert_to_numpy(each) for each in (changed, wanted)))


@pytest.mark.parametrize("site", sorted(set(SITES) - {"TimeDistributed"}))  # which runs step by step
def test_a_rule_is_given_the_input_and_the_output(site: str) -> None:
    seen = []

    def rule(x: Any, y: Any, grad: Any, true_grad: Any) -> Any:
        seen.append([ops.convert_to_numpy(each) for each in (x, y, grad, true_grad)])
        return x + 2 * y + 3 * true_grad

    model = between(SITES[site])
    wanted, _ = model(X)
    slope = differentiated(between(SITES[site], np.ones(WIDTH)), X)
    modified = backprop_modifiers.BackpropModifier("own", rule)(model)
    for route in (differentiated, by_library):
        seen.clear()
        found = route(modified, X)
        x, y, _, true_grad = (np.ravel(each) for each in seen[-1])
        order = np.argsort(x, kind="stable")
        np.testing.assert_allclose(x[order], np.sort(X[0]))
        np.testing.assert_allclose(np.sort(y), np.sort(ops.convert_to_numpy(wanted)[0]), rtol=1e-6)
        np.testing.assert_allclose(np.sort(true_grad), np.sort((slope * INCOMING)[0]), rtol=1e-5, atol=3e-6)
        y = ops.convert_to_numpy(wanted)
        np.testing.assert_allclose(found, X + 2 * y + 3 * slope * INCOMING, rtol=1e-5, atol=1e-5)


@EACH_MODIFIER
def test_one_relu_layer_called_twice(name: str) -> None:
    x = np.array([[-2.0, -1.0, 0.5, 3.0]], np.float32)
    shift, incoming = 1.5, np.array([1.0, -1.0, 2.0, -3.0])
    layer = layers.ReLU()
    model = between(lambda entry: layer(shift - layer(entry)), incoming, (4,))
    inner = shift - np.maximum(x, 0)
    through_outer = by_hand(name, (inner > 0) * 1.0, incoming)
    expected = by_hand(name, (x > 0) * 1.0, -through_outer)
    modified = backprop_modifiers.get(name)(model)
    for route in (differentiated, by_library):
        np.testing.assert_allclose(route(modified, x), expected)


@pytest.mark.parametrize(
    "recurrent",
    [
        lambda: layers.SimpleRNN(3, activation="relu", kernel_initializer="ones"),
        lambda: TorchModuleWrapper(torch.nn.RNN(2, 3, nonlinearity="relu", batch_first=True)),
    ],
    ids=["Keras", "PyTorch"],
)
def test_what_runs_in_a_loop_is_reached(recurrent: Any) -> None:
    """One step at a time by hand: `h' = relu(a x + b h + c)`, with guided derivatives."""
    keras.utils.set_random_seed(3)
    layer = recurrent()
    entry = keras.Input((4, 2))
    if isinstance(layer, TorchModuleWrapper):
        read = Written(lambda x: layer.module(x)[0][:, -1])
        read.layer = layer
        read.compute_output_shape = lambda shape: (shape[0], 3)
        a, b, c, d = (each.detach().cpu().numpy() for each in layer.module.parameters())
        kernels, bias = [a.T, b.T], c + d
    else:
        read = layer
        read.build((None, 4, 2))
        kernels, bias = [ops.convert_to_numpy(w) for w in layer.get_weights()[:2]], layer.get_weights()[2]
    score = fixed_dense(np.array([[1.0], [-2.0], [0.5]]), name="score")
    model = keras.Model(entry, [score(read(entry))])
    x = np.random.default_rng(0).normal(size=(1, 4, 2)).astype(np.float32)
    states, h = [], np.zeros(3)
    for t in range(4):
        states.append(x[0, t] @ kernels[0] + h @ kernels[1] + bias)
        h = np.maximum(states[-1], 0)
    grad, expected = np.array([1.0, -2.0, 0.5]), np.zeros((1, 4, 2))
    for t in reversed(range(4)):
        through = np.maximum(grad, 0) * (states[t] > 0)
        expected[0, t] = kernels[0] @ through
        grad = kernels[1] @ through
    modified = backprop_modifiers.guided(model)
    np.testing.assert_allclose(by_library(modified, x), expected, rtol=1e-4, atol=1e-6)
    x = torch.tensor(x, requires_grad=True)
    (found,) = torch.autograd.grad(modified(x).sum(), x)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


class Straight(torch.autograd.Function):
    """A rectifier with a derivative of its own: always 5."""

    @staticmethod
    def forward(context: Any, x: Any) -> Any:
        return x.clamp(min=0)

    @staticmethod
    def backward(context: Any, incoming: Any) -> Any:
        return 5 * incoming


def relu_on_a_part(x: Any) -> Any:
    x = x * 1.0
    x[:, : WIDTH // 2].relu_()
    return x


class Scored(torch.autograd.Function):
    """A rectifier and what follows it, with a derivative of its own: always 5."""

    @staticmethod
    def forward(context: Any, x: Any) -> Any:
        return x.clamp(min=0).flip(-1)

    @staticmethod
    def backward(context: Any, incoming: Any) -> Any:
        return 5 * incoming


def test_a_derivative_of_ones_own_is_the_true_one() -> None:
    modified = backprop_modifiers.guided(between(lambda x: Written(Straight.apply)(x)))
    np.testing.assert_allclose(differentiated(modified, X), 5 * np.maximum(INCOMING, 0)[None])


HIDDEN: dict[str, Build] = {
    "in a derivative of one's own": lambda x: Written(Scored.apply)(x),
    "on a part": lambda x: Written(relu_on_a_part)(x),
}


@pytest.mark.parametrize("kind", HIDDEN)
def test_what_cannot_be_reached_keeps_its_derivative_and_is_named(kind: str) -> None:
    with pytest.raises(ModifierError, match=r"It cannot reach: .*inside a custom gradient"):
        backprop_modifiers.guided(between(HIDDEN[kind]))
    model = between(lambda x: layers.ReLU()(HIDDEN[kind](x) - 0.5))
    y = ops.convert_to_numpy(HIDDEN[kind](ops.convert_to_tensor(X))) - 0.5
    after = np.maximum(INCOMING, 0) * (y > 0)
    x = torch.tensor(X, requires_grad=True)
    (expected,) = torch.autograd.grad(HIDDEN[kind](x), x, torch.tensor(after))
    with pytest.warns(PartialOverrideWarning, match="inside a custom gradient"):
        modified = backprop_modifiers.guided(model)
    np.testing.assert_allclose(differentiated(modified, X), expected)
