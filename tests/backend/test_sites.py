"""Sites: wherever an activation runs, its derivative follows the rule and nothing else changes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops

from tests import native
from tests.asking import input_gradient
from tests.backend.sites import (
    INCOMING,
    SITES,
    WIDTH,
    Site,
    Written,
    X,
    between,
    by_hand,
    by_library,
    derived,
    fixed_dense,
    gelu_slope,
    relu,
    relu_slope,
    slope_of,
)
from vis import backprop_modifiers
from vis.engine import Source
from vis.errors import ModifierError
from vis.losses import ActivationMaximization

EACH_SITE = pytest.mark.parametrize("site", SITES, ids=[site.name for site in SITES])
EACH_MODIFIER = pytest.mark.parametrize("name", ["guided", "rectified"])


@EACH_SITE
def test_oracle_agrees_with_the_plain_network(site: Site) -> None:
    """The formulas against the framework's own derivative: a test of the oracle."""
    model = between(site.build)
    np.testing.assert_allclose(native.array(model(X)[0]), site.forward(X), rtol=1e-5, atol=1e-6)
    expected = by_hand(None, slope_of(site), INCOMING)
    np.testing.assert_allclose(derived(model, X), expected, rtol=1e-5, atol=2e-6)


@EACH_SITE
def test_forward_is_that_of_the_original(site: Site) -> None:
    model = between(site.build)
    for name in ("guided", "rectified"):
        found, _ = backprop_modifiers.get(name)(model)(X)
        np.testing.assert_allclose(native.array(found), site.forward(X), rtol=1e-5, atol=1e-6)


@EACH_SITE
@EACH_MODIFIER
def test_gradient(site: Site, name: str) -> None:
    model = between(site.build)
    modifier = backprop_modifiers.get(name)
    expected = by_hand(name, slope_of(site), INCOMING)
    vanilla = derived(model, X)
    assert not np.allclose(expected, vanilla, rtol=1e-3), "the points do not tell the modifier from none"
    for found in (
        derived(modifier(model), X),
        by_library(modifier(model), X),
        by_library(model, X, modifier),
    ):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=2e-5)
    np.testing.assert_array_equal(derived(model, X), vanilla)
    np.testing.assert_allclose(by_library(model, X), vanilla, rtol=1e-5, atol=2e-5)


@pytest.mark.parametrize("kind", ["fused", "ReLU max_value=3 negative_slope=.1", "ELU alpha=.5"])
@EACH_MODIFIER
def test_gradient_within_another_model(kind: str, name: str) -> None:
    site = next(site for site in SITES if site.name == kind)
    modified = backprop_modifiers.get(name)(between(site.build))
    entry = keras.Input(X.shape[1:])
    found = derived(keras.Model(entry, modified(entry)), X)
    np.testing.assert_allclose(found, by_hand(name, slope_of(site), INCOMING), rtol=1e-5, atol=1e-6)


@EACH_MODIFIER
def test_gradient_compiled_by_a_user(name: str) -> None:
    """A user's compiled gradient of the original, made before the modifier came, and one made after."""
    model = between(lambda x: layers.ReLU()(x))

    def compiled(model: Any) -> Callable[[Any], Any]:
        score = lambda x: model(x)[-1][:, 0]  # noqa: E731
        run = native.compiled(lambda x: native.pullback(score, x, ops.ones((ops.shape(x)[0],))))
        return lambda x: ops.convert_to_numpy(run(ops.convert_to_tensor(x)))

    before, true = compiled(model), relu_slope(X) * INCOMING
    np.testing.assert_array_equal(before(X), true)
    modified = backprop_modifiers.get(name)(model)
    expected = by_hand(name, relu_slope(X), INCOMING)
    np.testing.assert_allclose(derived(modified, X), expected)
    np.testing.assert_allclose(compiled(modified)(X), expected)
    np.testing.assert_array_equal(before(X), true)
    np.testing.assert_array_equal(before(np.repeat(X, 2, axis=0))[1:], true)
    np.testing.assert_array_equal(compiled(model)(X), true)


@EACH_MODIFIER
def test_one_relu_layer_called_twice(name: str) -> None:
    x = np.array([[-2.0, -1.0, 0.5, 3.0]], np.float32)
    shift, incoming = 1.5, np.array([1.0, -1.0, 2.0, -3.0])
    layer = layers.ReLU()
    model = between(lambda entry: layer(shift - layer(entry)), x, incoming)
    inner = shift - relu(x)
    through_outer = by_hand(name, relu_slope(inner), incoming)
    expected = by_hand(name, relu_slope(x), -through_outer)
    modified = backprop_modifiers.get(name)(model)
    np.testing.assert_allclose(derived(modified, x), expected)
    np.testing.assert_allclose(by_library(modified, x), expected)


@EACH_MODIFIER
def test_layer_shared_by_two_branches(name: str) -> None:
    x = np.array([[-2.0, -1.0, 0.5, 3.0]], np.float32)
    a, b = np.array([1.0, -1.0, 2.0, -3.0]), np.array([-4.0, 5.0, 6.0, -0.5])
    shared = fixed_dense(np.eye(4), activation="relu")

    def build(entry: Any) -> Any:
        return layers.Concatenate()([shared(entry), shared(-entry)])

    model = between(build, x, np.concatenate([a, b]))
    expected = by_hand(name, relu_slope(x), a) - by_hand(name, relu_slope(-x), b)
    modified = backprop_modifiers.get(name)(model)
    np.testing.assert_allclose(derived(modified, x), expected)
    np.testing.assert_allclose(by_library(modified, x), expected)


def rnn_gradient(name: str, x: Any, w: Any, u: Any, incoming: Any) -> Any:
    """Differentiate h_t = relu(x_t w + h_{t-1} u) at its last step, by hand."""
    states = [np.zeros(u.shape[0])]
    sums = []
    for step in x:
        sums.append(step @ w + states[-1] @ u)
        states.append(relu(sums[-1]))
    gradient, upper = np.zeros_like(x), np.asarray(incoming, float)
    for t in reversed(range(len(x))):
        passed = by_hand(name, relu_slope(sums[t]), upper)
        gradient[t] = passed @ w.T
        upper = passed @ u.T
    return gradient


W = np.array([[1.0, -0.5], [-0.5, 0.75]])
U = np.array([[0.5, -0.25], [-0.5, 1.0]])
SEQUENCE = np.array([[1.0, 1.5], [-0.5, 2.0], [3.0, -0.25], [1.0, 2.0]], np.float32)


def simple_rnn(unroll: bool) -> layers.SimpleRNN:
    return layers.SimpleRNN(
        2,
        activation="relu",
        unroll=unroll,
        kernel_initializer=keras.initializers.Constant(W),
        recurrent_initializer=keras.initializers.Constant(U),
    )


@EACH_MODIFIER
def test_simple_rnn_unrolled(name: str) -> None:
    incoming = np.array([1.0, -2.0])
    model = between(lambda x: simple_rnn(unroll=True)(x), SEQUENCE[None], incoming)
    expected = rnn_gradient(name, SEQUENCE.astype(float), W, U, incoming)
    assert not np.allclose(expected, rnn_gradient("", SEQUENCE.astype(float), W, U, incoming))
    modified = backprop_modifiers.get(name)(model)
    np.testing.assert_allclose(derived(modified, SEQUENCE[None])[0], expected, rtol=1e-6)
    np.testing.assert_allclose(by_library(modified, SEQUENCE[None])[0], expected, rtol=1e-6)


@EACH_MODIFIER
def test_bidirectional(name: str) -> None:
    ahead, back = np.array([1.0, -2.0]), np.array([2.0, 1.0])

    def build(x: Any) -> Any:
        return layers.Bidirectional(
            simple_rnn(unroll=True), backward_layer=_backwards(simple_rnn(unroll=True))
        )(x)

    model = between(build, SEQUENCE[None], np.concatenate([ahead, back]))
    x = SEQUENCE.astype(float)
    expected = rnn_gradient(name, x, W, U, ahead) + rnn_gradient(name, x[::-1], W, U, back)[::-1]
    modified = backprop_modifiers.get(name)(model)
    np.testing.assert_allclose(derived(modified, SEQUENCE[None])[0], expected, rtol=1e-6)
    np.testing.assert_allclose(by_library(modified, SEQUENCE[None])[0], expected, rtol=1e-6)


def _backwards(layer: layers.SimpleRNN) -> layers.SimpleRNN:
    layer.go_backwards = True
    return layer


@EACH_MODIFIER
def test_linear_convolution_and_separate_activation(name: str) -> None:
    """ResNet style: convolution, batch norm, activation, each a layer, and a skip connection around them."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(1, 3, 4, 2)).astype(np.float32)
    kernel = np.array([[0.5, -1.0], [2.0, 0.25]], np.float32)
    scale, incoming = np.array([2.0, -1.0]), rng.normal(size=(1, 3, 4, 2))

    def build(entry: Any) -> Any:
        inner = layers.Conv2D(
            2, 1, use_bias=False, kernel_initializer=keras.initializers.Constant(kernel[None, None])
        )(entry)
        inner = layers.BatchNormalization(epsilon=0.0, gamma_initializer=keras.initializers.Constant(scale))(
            inner
        )
        inner = layers.Activation("relu")(inner)
        return layers.Activation("relu")(layers.Add()([entry, inner]))

    model = between(build, x, incoming)
    normed = (x @ kernel) * scale
    total = x + relu(normed)
    upper = by_hand(name, relu_slope(total), incoming)
    expected = upper + (by_hand(name, relu_slope(normed), upper) * scale) @ kernel.T
    modified = backprop_modifiers.get(name)(model)
    np.testing.assert_allclose(derived(modified, x), expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(by_library(modified, x), expected, rtol=1e-5, atol=1e-6)


@EACH_MODIFIER
def test_relus_in_a_row_each_follow_the_rule(name: str) -> None:
    """Two layers with kernels of both signs: the rule acts at each, not once at the end."""
    x = np.array([[1.0, -2.0, 0.5]], np.float32)
    first = np.array([[1.0, -1.0], [0.5, -2.0], [-1.0, 1.0]], np.float32)
    second = np.array([[1.0, -1.0], [-0.5, 1.0]], np.float32)
    incoming = np.array([2.0, -1.0])

    def build(entry: Any) -> Any:
        hidden = fixed_dense(first, activation="relu")(entry)
        return fixed_dense(second, activation="relu")(hidden)

    low = x @ first
    high = relu(low) @ second
    upper = by_hand(name, relu_slope(high), incoming) @ second.T
    expected = by_hand(name, relu_slope(low), upper) @ first.T
    modified = backprop_modifiers.get(name)(between(build, x, incoming))
    np.testing.assert_allclose(derived(modified, x), expected)
    np.testing.assert_allclose(by_library(modified, x), expected)


@EACH_MODIFIER
def test_no_relu_at_all(name: str) -> None:
    model = between(lambda x: layers.Activation("tanh")(x))
    modifier = backprop_modifiers.get(name)
    with pytest.raises(ModifierError, match="reaches no activation"):
        modifier(model)
    with pytest.raises(ModifierError, match="reaches no activation"):
        by_library(model, X, modifier)


@EACH_MODIFIER
def test_relu_and_gelu(name: str) -> None:
    """Both follow the rule, one after the other."""
    model = between(lambda x: layers.Activation("gelu")(layers.ReLU()(x)))
    modified = backprop_modifiers.get(name)(model)
    above = by_hand(name, gelu_slope(relu(X).astype(float)), INCOMING)
    expected = by_hand(name, relu_slope(X), above)
    np.testing.assert_allclose(derived(modified, X), expected, rtol=1e-4, atol=1e-6)


GATES = {
    "sigmoid": lambda x: layers.Activation("sigmoid")(x),
    "tanh": lambda x: layers.Activation("tanh")(x),
    "softsign": lambda x: layers.Activation("softsign")(x),
    "softsign by hand": lambda x: x / (1 + ops.abs(x)),
    "hard tanh": lambda x: ops.clip(x, -1.0, 1.0),
    "sigmoid by hand": lambda x: 1 / (1 + ops.exp(-x)),
    "soft shrink": lambda x: ops.where(ops.abs(x) > 0.5, x - 0.5 * ops.sign(x), 0.0 * x),
    "square": lambda x: x**2,
    "hard_sigmoid": lambda x: layers.Activation("hard_sigmoid")(x),
    "ops.hard_sigmoid": lambda x: ops.hard_sigmoid(x),
    # As MobileNetV3 writes it.
    "ReLU6 of x + 3 by layers": lambda x: layers.ReLU(6.0)(x + 3.0) * (1.0 / 6.0),
    "relu6 over 6": lambda x: ops.relu6(x + 3.0) / 6.0,
}


@pytest.mark.parametrize("gate", GATES.values(), ids=GATES.keys())
@EACH_MODIFIER
def test_gate_keeps_its_true_gradient(gate: Any, name: str) -> None:
    """A gate is no rectifier: what comes in with a minus passes on, and no warning names it."""
    model = between(lambda x: gate(layers.ReLU()(-x)))
    true = derived(between(gate, incoming=np.ones_like(INCOMING)), relu(-X))
    expected = -by_hand(name, relu_slope(-X), true * INCOMING)
    modified = backprop_modifiers.get(name)(model)
    np.testing.assert_allclose(derived(modified, X), expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(by_library(modified, X), expected, rtol=1e-5, atol=1e-6)
    # Without the ReLU nothing is left to modify.
    with pytest.raises(ModifierError, match="reaches no activation"):
        backprop_modifiers.get(name)(between(gate))


def test_original_and_modified_in_one_gradient() -> None:
    model = between(lambda x: layers.ReLU()(x))
    modified = backprop_modifiers.guided(model)
    found = native.gradient(lambda x: model(x)[1] + 10.0 * modified(x)[1], X)
    np.testing.assert_allclose(found, relu_slope(X) * (INCOMING + 10 * np.maximum(INCOMING, 0)))


def test_two_modifiers_on_one_model_do_not_mix() -> None:
    model = between(lambda x: layers.ReLU()(x))
    made = {name: backprop_modifiers.get(name)(model) for name in ("guided", "rectified")}
    for name in ("guided", "rectified", "guided"):
        np.testing.assert_allclose(derived(made[name], X), by_hand(name, relu_slope(X), INCOMING))


def test_a_rule_is_given_input_output_gradient_and_true_gradient() -> None:
    """A rule that returns each of its arguments in turn shows them."""
    site = next(site for site in SITES if site.name == "ReLU max_value=3 negative_slope=.1")
    model = between(site.build)
    wanted = [X, site.forward(X), INCOMING[None], slope_of(site) * INCOMING]
    for index, expected in enumerate(wanted):
        modifier = backprop_modifiers.get(lambda *arguments, i=index: arguments[i])
        np.testing.assert_allclose(derived(modifier(model), X), expected, rtol=1e-5)


@EACH_MODIFIER
def test_target_before_every_activation(name: str) -> None:
    """No activation lies between the loss and the input: the gradient would be the plain one."""
    entry = keras.Input((3,))
    low = fixed_dense(np.eye(3), name="low")(entry)
    model = keras.Model(entry, layers.ReLU()(low))
    loss = ActivationMaximization(model.get_layer("low"), 0)
    with pytest.raises(ModifierError, match="reaches no activation"):
        input_gradient(Source(model), [(loss, -1.0)], [X[:, :3]], modifier=backprop_modifiers.get(name))


@EACH_MODIFIER
def test_activation_after_the_target_is_not_named(name: str) -> None:
    """A GELU that the loss does not use is none of its business: no warning, which here is an error."""
    entry = keras.Input((3,))
    low = fixed_dense([[1.0], [-1.0], [2.0]], name="low")(layers.ReLU()(entry))
    model = keras.Model(entry, layers.Activation("gelu")(low))
    loss = ActivationMaximization(model.get_layer("low"), 0)
    x = np.array([[1.0, 1.0, -1.0]], np.float32)
    (found,) = input_gradient(Source(model), [(loss, -1.0)], [x], modifier=backprop_modifiers.get(name))
    np.testing.assert_allclose(found, by_hand(name, relu_slope(x), np.array([1.0, -1.0, 2.0])))


def test_clip_that_is_not_part_of_the_activation() -> None:
    """The ReLU's output is used twice, clipped and not: the ReLU alone is the activation."""

    def build(entry: Any) -> Any:
        y = layers.ReLU()(entry)
        return layers.Concatenate()([ops.minimum(y, 3.0), y])

    above = np.array([1.0, 2.0, -4.0, 0.5])
    beside = np.array([-0.5, -3.0, 3.0, 0.25])
    x = np.array([[1.0, 2.0, 5.0, -1.0]], np.float32)
    model = between(build, x, np.concatenate([above, beside]))
    incoming = above * (relu(x) <= 3) + beside
    for name in ("guided", "rectified"):
        modified = backprop_modifiers.get(name)(model)
        np.testing.assert_allclose(derived(modified, x), by_hand(name, relu_slope(x), incoming))


ELEMENTWISE = {
    "where broadcasts": (
        lambda y: ops.where(ops.ones((1, WIDTH), "bool"), y, ops.zeros(())),
        lambda y, g: g + 0 * y,
    ),
    "maximum broadcasts": (
        lambda y: ops.maximum(y[:, :1], -ops.ones((1, WIDTH))),
        lambda y, g: np.eye(WIDTH)[0] * np.sum(g),
    ),
    "where of integers": (
        lambda y: y * ops.cast(ops.where(y > 1.5, ops.cast(y, "int32"), 7), "float32"),
        lambda y, g: np.where(y > 1.5, np.trunc(y), 7) * g,
    ),
    "minimum of two layers": (
        lambda y: ops.minimum(y, fixed_dense(np.eye(WIDTH)[::-1])(y)),
        lambda y, g: np.where(y <= y[:, ::-1], g, 0) + np.where(y > y[:, ::-1], g, 0)[:, ::-1],
    ),
    "a sum around another layer": (
        lambda y: layers.Add()([y, layers.Activation("tanh")(y)]),
        lambda y, g: g * (2 - np.tanh(y) ** 2),
    ),
}


@pytest.mark.parametrize(("op", "gradient"), ELEMENTWISE.values(), ids=ELEMENTWISE.keys())
def test_other_elementwise_operations_keep_their_gradient(op: Any, gradient: Any) -> None:
    """Activations may consist of such operations, but these are none."""
    model = between(lambda entry: op(layers.ReLU()(entry)))
    y = relu(X).astype(float)
    for name in ("guided", "rectified"):
        expected = by_hand(name, relu_slope(X), gradient(y, INCOMING))
        np.testing.assert_allclose(derived(backprop_modifiers.get(name)(model), X), expected, rtol=1e-5)


@EACH_MODIFIER
def test_skip_connection_around_an_activation(name: str) -> None:
    """The sum of a value and its ReLU by another layer is a skip connection, and no leaky ReLU."""
    model = between(lambda x: layers.Add()([x, layers.ReLU()(x)]))
    expected = INCOMING + by_hand(name, relu_slope(X), INCOMING)
    np.testing.assert_allclose(derived(backprop_modifiers.get(name)(model), X), expected)


def leaky_and_its_positive_part(x: Any) -> Any:
    positive = native.relu(x)
    return ops.concatenate([positive - 0.1 * native.relu(-x), positive], axis=-1)


def leaky_and_its_negative_part(x: Any) -> Any:
    negative = native.relu(-x)
    return ops.concatenate([native.relu(x) - 0.1 * negative, negative], axis=-1)


def two_leaky_of_the_same_parts(x: Any) -> Any:
    positive, negative = native.relu(x), native.relu(-x)
    return ops.concatenate([positive - 0.1 * negative, positive + 0.5 * negative], axis=-1)


def elu_scaled_and_not(x: Any) -> Any:
    y = ops.elu(x)
    return ops.concatenate([ops.where(x > 0, y, 0.5 * y), y], axis=-1)


def elu_scaled_by_what_depends_on_x(x: Any) -> Any:
    y = ops.elu(x)
    return ops.where(x > 0, y, ops.sin(x) * y)


def elu_scaled_by_itself(x: Any) -> Any:
    y = ops.elu(x)
    return ops.where(x > 0, y, y * y)


def leaky_with_a_slope_for_each_of_two_outputs(x: Any) -> Any:
    slopes = ops.convert_to_tensor(np.float32([[[0.1]], [[0.5]]]))
    return ops.concatenate(ops.unstack(native.relu(x) - slopes * native.relu(-x), 2), axis=-1)


def leaky_with_a_slope_that_depends_on_x(x: Any) -> Any:
    return native.relu(x) - ops.sin(x) * native.relu(-x)


@pytest.mark.parametrize(
    "function",
    [
        leaky_and_its_positive_part,
        leaky_and_its_negative_part,
        two_leaky_of_the_same_parts,
        elu_scaled_and_not,
        elu_scaled_by_what_depends_on_x,
        elu_scaled_by_itself,
        leaky_with_a_slope_for_each_of_two_outputs,
        leaky_with_a_slope_that_depends_on_x,
    ],
)
@pytest.mark.filterwarnings("ignore::vis.errors.PartialOverrideWarning")
def test_parts_of_an_activation_used_elsewhere(function: Callable[[Any], Any]) -> None:
    """The rule that returns the true gradient gives the plain network's, whatever is taken for one site."""
    entry = keras.Input((WIDTH,))
    y = Written(function)(layers.ReLU()(entry + 8.0) - 8.0)
    incoming = np.resize(INCOMING * np.linspace(0.5, 2, WIDTH), y.shape[-1])
    model = keras.Model(entry, [y, fixed_dense(incoming[:, None])(y)])
    true = backprop_modifiers.get(lambda x, y, grad, true_grad: true_grad)(model)
    np.testing.assert_allclose(derived(true, X), derived(model, X), rtol=1e-5, atol=1e-6)
