"""Activations on JAX: wherever one runs, its derivative follows the rule and nothing else changes.

The oracle of each site is its derivative written by hand in NumPy, as a formula of x, at points that are no
corners. At a corner the true gradient is that of JAX. The sites are placed between the input and a weighted
sum, so that the weights are the gradient that comes in.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest
from keras import layers, ops

from tests.backend.jax.compiling import Compiled
from vis import backend, backprop_modifiers
from vis.models.probe import noting

X = np.array([[-7, -3.5, -1.2, -0.5, 0.25, 0.75, 1.5, 2, 3.5, 4, 5.5, 7.5]], np.float32)
CORNERS = np.array([[-6, -3, -1, -0.0, 0, 0.0, 1, 2, 3, 4, 6, 7.5]], np.float32)
WIDTH = X.shape[1]
INCOMING = np.array([1.5, -0.75, 0.5, -2] * 3, np.float32)
MODIFIERS = ("guided", "rectified")
SELU_SCALE, SELU_ALPHA = 1.0507009873554805, 1.6732632423543772


def fixed_dense(kernel: Any, **kwargs: Any) -> Any:
    kernel = np.asarray(kernel, np.float32)
    return layers.Dense(
        kernel.shape[1], use_bias=False, kernel_initializer=lambda shape, dtype=None: kernel, **kwargs
    )


def between(build: Callable[[Any], Any], incoming: Any = INCOMING) -> Any:
    """Return a model with the site's output, and with the sum of it weighted by `incoming`."""
    entry = keras.Input((WIDTH,))
    y = build(entry)
    return keras.Model(entry, [y, fixed_dense(np.ravel(incoming)[:, None], name="score")(y)])


def compiled(model: Any, rule: Any = None) -> Any:
    run = noting(model, set())

    def forward(tensors: list[Any]) -> Any:
        return backend.Traced(ops.sum(run(tensors[0])[-1]), [tensors[0]])

    return Compiled(forward, [backend.Spec((None, WIDTH), "float32")], rule)


def differentiated(model: Any, x: Any) -> Any:
    return np.asarray(jax.grad(lambda x: model(x)[-1].sum())(jnp.asarray(x)))


def by_hand(name: str, slope: Any, incoming: Any) -> Any:
    """Return the gradient that one activation passes on."""
    positive = np.maximum(incoming, 0)
    return positive * np.ones_like(slope) if name == "rectified" else slope * positive


class Written(layers.Layer):
    """Runs a function of JAX."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        super().__init__()
        self.function = function

    def call(self, x: Any) -> Any:
        return self.function(x)


class Subclassed(keras.Model):
    def __init__(self) -> None:
        super().__init__()
        self.identity = fixed_dense(np.eye(WIDTH))

    def call(self, x: Any) -> Any:
        return jax.nn.relu(self.identity(x))


@jax.jit
def jitted_relu(x: Any) -> Any:
    return jax.nn.relu(x)


@jax.custom_jvp
def straight(x: Any) -> Any:
    """A ReLU whose own derivative is 3 everywhere."""
    return jnp.maximum(x, 0.0)


straight.defjvp(lambda primals, tangents: (straight(*primals), 3.0 * tangents[0]))


@jax.custom_vjp
def whole(x: Any) -> Any:
    """A ReLU whose own derivative is 5 everywhere."""
    return jnp.maximum(x, 0.0)


whole.defvjp(lambda x: (whole(x), None), lambda _, g: (5.0 * g,))


def nested_two_deep(x: Any) -> Any:
    def wrapped(inside: Callable[[Any], Any], name: str) -> Any:
        entry = keras.Input((WIDTH,))
        return keras.Model(entry, inside(entry), name=name)

    inner = wrapped(layers.ReLU(name="act"), "inner")
    return wrapped(lambda entry: inner(entry), "outer")(x)


def in_time_distributed(x: Any) -> Any:
    steps = layers.Reshape((4, WIDTH // 4))(x)
    return layers.Reshape((WIDTH,))(layers.TimeDistributed(layers.ReLU())(steps))


def relu_slope(x: Any) -> Any:
    return (x > 0) * 1.0


def clipped_slope(maximum: float, negative: float = 0.0) -> Callable[[Any], Any]:
    return lambda x: np.where(x > 0, (x < maximum) * 1.0, negative)


def leaky_slope(negative: float) -> Callable[[Any], Any]:
    return lambda x: np.where(x > 0, 1.0, negative)


def elu_slope(alpha: float) -> Callable[[Any], Any]:
    return lambda x: np.where(x > 0, 1.0, alpha * np.exp(np.minimum(x, 0)))


def sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


def gelu_slope(x: Any) -> Any:
    normal = 0.5 * (1 + np.vectorize(math.erf)(x / np.sqrt(2)))
    return normal + x * np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi)


def gelu_tanh_slope(x: Any) -> Any:
    c, k = np.sqrt(2 / np.pi), 0.044715
    t = np.tanh(c * (x + k * x**3))
    return 0.5 * (1 + t) + 0.5 * x * (1 - t**2) * c * (1 + 3 * k * x**2)


def silu_slope(x: Any) -> Any:
    return sigmoid(x) * (1 + x * (1 - sigmoid(x)))


def hard_silu_slope(x: Any) -> Any:
    return np.where((x > -3) & (x < 3), (2 * x + 3) / 6, (x >= 3) * 1.0)


def mish_slope(x: Any) -> Any:
    t = np.tanh(np.logaddexp(0, x))
    return t + x * (1 - t**2) * sigmoid(x)


def prelu(alpha: float) -> Any:
    return layers.PReLU(alpha_initializer=keras.initializers.Constant(alpha))


SITES: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    "fused": (lambda x: fixed_dense(np.eye(WIDTH), activation="relu")(x), relu_slope),
    "Activation": (lambda x: layers.Activation("relu")(x), relu_slope),
    "ReLU": (lambda x: layers.ReLU()(x), relu_slope),
    "ops.relu": (lambda x: ops.relu(x), relu_slope),
    "jax.nn.relu in a call": (lambda x: Written(jax.nn.relu)(x), relu_slope),
    "jax.nn.relu in a jitted call": (lambda x: Written(jitted_relu)(x), relu_slope),
    "jax.nn.relu in a Lambda": (lambda x: layers.Lambda(jax.nn.relu)(x), relu_slope),
    "jax.nn.relu in a subclassed model": (lambda x: Subclassed()(x), relu_slope),
    "two nesting levels deep": (nested_two_deep, relu_slope),
    "TimeDistributed": (in_time_distributed, relu_slope),
    "ReLU max_value=6": (lambda x: layers.ReLU(max_value=6)(x), clipped_slope(6)),
    "ops.relu6": (lambda x: ops.relu6(x), clipped_slope(6)),
    "ReLU max_value=3": (lambda x: layers.ReLU(max_value=3)(x), clipped_slope(3)),
    "ReLU negative_slope": (lambda x: layers.ReLU(negative_slope=0.1)(x), leaky_slope(0.1)),
    "ReLU max_value=3 negative_slope": (
        lambda x: layers.ReLU(max_value=3, negative_slope=0.1)(x),
        clipped_slope(3, 0.1),
    ),
    "ReLU threshold=1": (lambda x: layers.ReLU(threshold=1)(x), lambda x: (x > 1) * 1.0),
    "LeakyReLU": (lambda x: layers.LeakyReLU(negative_slope=0.3)(x), leaky_slope(0.3)),
    "ops.leaky_relu": (lambda x: ops.leaky_relu(x, 0.4), leaky_slope(0.4)),
    "PReLU": (lambda x: prelu(0.25)(x), leaky_slope(0.25)),
    "PReLU negative alpha": (lambda x: prelu(-2.0)(x), leaky_slope(-2.0)),
    "ELU": (lambda x: layers.ELU(alpha=0.5)(x), elu_slope(0.5)),
    "GELU": (lambda x: layers.Activation("gelu")(x), gelu_slope),
    "GELU approximate": (lambda x: ops.gelu(x, approximate=True), gelu_tanh_slope),
    "SiLU": (lambda x: layers.Activation("silu")(x), silu_slope),
    "SiLU by hand": (lambda x: x * ops.sigmoid(x), silu_slope),
    "hard SiLU": (lambda x: layers.Activation("hard_silu")(x), hard_silu_slope),
    "hard SiLU of layers": (
        lambda x: layers.Multiply()([x, layers.ReLU(6.0)(x + 3.0) * (1.0 / 6.0)]),
        hard_silu_slope,
    ),
    "Mish": (lambda x: layers.Activation("mish")(x), mish_slope),
    "softplus": (lambda x: layers.Activation("softplus")(x), sigmoid),
    "log-sigmoid": (lambda x: ops.log_sigmoid(x), lambda x: sigmoid(-x)),
    "maximum(x, 0)": (lambda x: ops.maximum(x, 0.0), relu_slope),
    "maximum(0.2 x, x)": (lambda x: ops.maximum(0.2 * x, x), leaky_slope(0.2)),
    "where(x < 0)": (lambda x: ops.where(x < 0, 0.1 * x, x), leaky_slope(0.1)),
    "x (x >= 0)": (lambda x: x * ops.cast(x >= 0, "float32"), relu_slope),
    "(x + |x|) / 2": (lambda x: (x + ops.abs(x)) / 2, relu_slope),
    "-minimum(-x, 0)": (lambda x: -ops.minimum(-x, 0.0), relu_slope),
    "clip(x, 0, 6)": (lambda x: ops.clip(x, 0.0, 6.0), clipped_slope(6)),
    "a derivative of its own": (lambda x: Written(straight)(x), lambda x: 3.0 + 0 * x),
    "custom_vjp": (lambda x: Written(whole)(x), lambda x: 5.0 + 0 * x),
}


@pytest.mark.parametrize("site", SITES)
def test_derivative_follows_the_rule(site: str) -> None:
    build, slope = SITES[site]
    model = between(build)
    slopes = slope(X.astype(np.float64))
    np.testing.assert_allclose(differentiated(model, X), slopes * INCOMING, rtol=1e-4, atol=2e-5)
    for name in MODIFIERS:
        expected = by_hand(name, slopes, INCOMING)
        modifier = backprop_modifiers.get(name)
        found = compiled(model, modifier.rule)([X]).gradients[0]
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=2e-5)
        modified = modifier(model)
        np.testing.assert_allclose(modified(X)[0], model(X)[0], rtol=1e-6, atol=2e-6)
        np.testing.assert_allclose(differentiated(modified, X), expected, rtol=1e-4, atol=2e-5)
    np.testing.assert_allclose(differentiated(model, X), slopes * INCOMING, rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize("site", SITES)
def test_at_corners_the_true_gradient_is_that_of_jax(site: str) -> None:
    model = between(SITES[site][0])
    expected = differentiated(model, CORNERS)
    for rule in (None, lambda x, y, grad, true_grad: true_grad):
        found = compiled(model, rule)([CORNERS]).gradients[0]
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=2e-5)


def test_a_rule_is_given_input_output_gradient_and_true_gradient() -> None:
    """A rule that returns each of its arguments in turn shows them."""
    model = between(SITES["ReLU max_value=3 negative_slope"][0])
    y = np.where(X > 0, np.minimum(X, 3), 0.1 * X)
    wanted = [X, y, INCOMING[None], clipped_slope(3, 0.1)(X) * INCOMING]
    for index, expected in enumerate(wanted):

        def rule(*arguments: Any, i: int = index) -> Any:
            return arguments[i]

        found = compiled(model, rule)([X]).gradients[0]
        np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_a_modified_model_under_each_transformation_of_jax() -> None:
    model = between(lambda x: layers.ReLU()(x))
    modified = backprop_modifiers.guided(model)
    expected = by_hand("guided", relu_slope(X), INCOMING)
    batch = jnp.asarray(np.concatenate([X, -X]))
    each = np.concatenate([expected, by_hand("guided", relu_slope(-X), INCOMING)])

    def score(x: Any) -> Any:
        return modified(x)[-1].sum()

    np.testing.assert_allclose(jax.grad(score)(batch), each)
    np.testing.assert_allclose(jax.jit(jax.grad(score))(batch), each)
    np.testing.assert_allclose(jax.grad(jax.jit(score))(batch), each)
    np.testing.assert_allclose(jax.vmap(jax.grad(lambda x: score(x[None])))(batch), each)
    np.testing.assert_allclose(jax.jacrev(lambda x: modified(x)[-1][:, 0])(batch)[1, 1], each[1])
    _, back = jax.vjp(lambda x: modified(x)[-1], batch)
    np.testing.assert_allclose(back(jnp.full((2, 1), 2.0))[0], 2 * each)


def test_original_and_modified_in_one_function() -> None:
    model = between(lambda x: layers.ReLU()(x))
    modified = backprop_modifiers.guided(model)
    found = jax.grad(lambda x: (model(x)[1] + 10.0 * modified(x)[1]).sum())(jnp.asarray(X))
    np.testing.assert_allclose(found, relu_slope(X) * (INCOMING + 10 * np.maximum(INCOMING, 0)))


def test_gradient_of_a_modified_model_by_its_variables() -> None:
    """The variables of an activation receive the gradient that comes in."""
    layer = prelu(0.25)
    model = between(lambda x: layer(x))
    modified = backprop_modifiers.guided(model)

    def score(of: Any, values: list[Any]) -> Any:
        outputs, _ = of.stateless_call(values, [], X)
        return outputs[-1].sum()

    values = [variable.value for variable in model.trainable_variables]
    expected = jax.grad(lambda values: score(model, values))(values)
    found = jax.grad(lambda values: score(modified, values))(values)
    place = next(i for i, variable in enumerate(model.trainable_variables) if variable is layer.alpha)
    np.testing.assert_allclose(found[place], expected[place], rtol=1e-6)
    np.testing.assert_allclose(np.ravel(found[place]), np.where(X < 0, X, 0)[0] * INCOMING, rtol=1e-6)


GATES: dict[str, Callable[[Any], Any]] = {
    "sigmoid": lambda x: layers.Activation("sigmoid")(x),
    "tanh": lambda x: layers.Activation("tanh")(x),
    "softsign": lambda x: layers.Activation("softsign")(x),
    "hard sigmoid": lambda x: layers.Activation("hard_sigmoid")(x),
    "relu6(x + 3) / 6": lambda x: ops.relu6(x + 3.0) / 6.0,
    "square": lambda x: x**2,
}


@pytest.mark.parametrize("gate", GATES)
def test_a_gate_keeps_its_true_gradient(gate: str) -> None:
    build = GATES[gate]
    model = between(lambda x: build(layers.ReLU()(-x)))
    true = differentiated(between(build, np.ones(WIDTH)), np.maximum(-X, 0)) * INCOMING
    for name in MODIFIERS:
        gradient = compiled(model, backprop_modifiers.get(name).rule)
        assert len(gradient.coverage.reached) == 1 and not gradient.coverage.missed
        expected = -by_hand(name, relu_slope(-X), true)
        np.testing.assert_allclose(gradient([X]).gradients[0], expected, rtol=1e-5, atol=1e-6)
    alone = compiled(between(build), backprop_modifiers.guided.rule)
    assert alone.coverage == backend.Coverage((), ())


def test_skip_connection_around_an_activation() -> None:
    """The sum of a value and its ReLU by another layer is a skip connection, and no leaky ReLU."""
    model = between(lambda x: layers.Add()([x, layers.ReLU()(x)]))
    modified = backprop_modifiers.guided(model)
    expected = INCOMING + by_hand("guided", relu_slope(X), INCOMING)
    np.testing.assert_allclose(differentiated(modified, X), expected)


def test_relu_and_gelu_follow_the_rule_one_after_the_other() -> None:
    model = between(lambda x: layers.Activation("gelu")(layers.ReLU()(x)))
    for name in MODIFIERS:
        above = by_hand(name, gelu_slope(np.maximum(X, 0).astype(float)), INCOMING)
        found = compiled(model, backprop_modifiers.get(name).rule)([X]).gradients[0]
        np.testing.assert_allclose(found, by_hand(name, relu_slope(X), above), rtol=1e-4, atol=1e-6)


def test_a_layer_that_is_called_twice() -> None:
    relu = layers.ReLU()
    model = between(lambda x: layers.Subtract()([relu(x), 0.5 * relu(-x)]))
    gradient = compiled(model, backprop_modifiers.guided.rule)
    expected = by_hand("guided", relu_slope(X), INCOMING) - by_hand("guided", relu_slope(-X), -0.5 * INCOMING)
    assert len(gradient.coverage.reached) == 2
    np.testing.assert_allclose(gradient([X]).gradients[0], expected)


@jax.custom_vjp
def hidden(x: Any) -> Any:
    """A sum of ReLUs in reverse order whose own derivative is 5 everywhere."""
    return jnp.maximum(x, 0.0) + jnp.maximum(x, 0.0)[:, ::-1]


hidden.defvjp(lambda x: (hidden(x), None), lambda _, g: (5.0 * g,))


def scanned(x: Any) -> Any:
    return jax.lax.scan(lambda y, _: (jax.nn.relu(y), None), x, None, length=2)[0]


def branched(x: Any) -> Any:
    return jax.lax.cond(x.sum() > 0, jax.nn.relu, lambda x: x, x)


MISSED: dict[str, tuple[Callable[[Any], Any], str]] = {
    "scan": (scanned, "inside .*scan"),
    "cond": (branched, "inside .*cond"),
    "remat": (jax.checkpoint(lambda x: jax.nn.relu(x) * 1.0), "inside .*(checkpoint|remat)"),
    "custom_vjp": (hidden, "inside a custom gradient"),
    "scan in a scan": (
        lambda x: jax.lax.scan(lambda y, _: (scanned(y), None), x, None, length=1)[0],
        "inside .*scan",
    ),
}


@pytest.mark.parametrize("kind", MISSED)
def test_what_the_rule_does_not_reach_is_named_and_keeps_its_gradient(kind: str) -> None:
    function, text = MISSED[kind]
    model = between(lambda x: layers.ReLU()(Written(function)(x)))
    gradient = compiled(model, backprop_modifiers.guided.rule)
    assert len(gradient.coverage.reached) == 1
    missed = gradient.coverage.missed
    assert missed and all(re.search(text, each) for each in missed), missed
    inner = jax.grad(lambda x: function(x).sum())(jnp.asarray(X))
    above = by_hand("guided", relu_slope(np.asarray(function(jnp.asarray(X)))), INCOMING)
    np.testing.assert_allclose(gradient([X]).gradients[0], above * inner, rtol=1e-6)


@pytest.mark.parametrize("function", [hidden, straight])
def test_a_custom_derivative_is_kept_where_no_rule_acts(function: Any) -> None:
    model = between(lambda x: Written(function)(x))
    expected = (5.0 if function is hidden else 3.0) * INCOMING[None]
    np.testing.assert_allclose(compiled(model)([X]).gradients[0], expected)


def test_gradient_reversal_keeps_its_derivative() -> None:
    @jax.custom_vjp
    def reversed_(x: Any) -> Any:
        return x

    reversed_.defvjp(lambda x: (x, None), lambda _, g: (-2.0 * g,))
    model = between(lambda x: Written(reversed_)(layers.ReLU()(x)))
    found = compiled(model, backprop_modifiers.guided.rule)([X]).gradients[0]
    np.testing.assert_allclose(found, by_hand("guided", relu_slope(X), -2.0 * INCOMING))


def test_a_straight_through_estimator_passes_gradients() -> None:
    """Its body is flat, its derivative is not."""

    @jax.custom_jvp
    def rounded(x: Any) -> Any:
        return jnp.round(x)

    rounded.defjvp(lambda primals, tangents: (rounded(*primals), tangents[0]))
    model = between(lambda x: Written(rounded)(layers.ReLU()(x)))
    found = compiled(model, backprop_modifiers.guided.rule)([X]).gradients[0]
    np.testing.assert_allclose(found, by_hand("guided", relu_slope(X), INCOMING))
