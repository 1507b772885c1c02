"""ReLU sites: wherever an activation runs, its derivative follows the rule and nothing else changes.

The oracle of each site is its forward and its derivative written by hand in NumPy, as a formula of x, with
the convention at a kink that TensorFlow has for the operations that the site consists of. The sites are
placed between the input and a weighted sum, so that the weights are the gradient that comes in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.asking import input_gradient
from vis import backprop_modifiers
from vis.engine import Source
from vis.errors import ModifierError, PartialOverrideWarning
from vis.losses import ActivationMaximization

# Below 0, at 0, between, at the maximum 3, above it, at the maximum 6, above it.
POINTS = np.array([-7, -3, -1, -0.5, 0, 0.25, 1, 2, 3, 4, 6, 7.5], np.float32)
X = np.tile(POINTS, 2)[None]
INCOMING = np.concatenate([np.full(POINTS.size, 1.5), np.full(POINTS.size, -0.75)]).astype(np.float32)
WIDTH = X.shape[1]
SELU_SCALE, SELU_ALPHA = 1.0507009873554805, 1.6732632423543772


@dataclass(frozen=True)
class Site:
    """A way to write an activation, and its forward and derivative by hand."""

    name: str
    build: Callable[[Any], Any]
    forward: Callable[[Any], Any]
    slope: Callable[[Any], Any]


def fixed_dense(kernel: Any, **kwargs: Any) -> keras.layers.Dense:
    kernel = np.asarray(kernel, np.float32)
    return keras.layers.Dense(
        kernel.shape[1], use_bias=False, kernel_initializer=lambda shape, dtype=None: kernel, **kwargs
    )


class CustomCall(keras.layers.Layer):
    """`tf.nn.relu` in the call of a layer of one's own."""

    def call(self, x: Any) -> Any:
        return tf.nn.relu(x)


class SubclassedModel(keras.Model):
    def __init__(self) -> None:
        super().__init__()
        self.identity = fixed_dense(np.eye(WIDTH))

    def call(self, x: Any) -> Any:
        return tf.nn.relu(self.identity(x))


def looped(x: Any) -> Any:
    """Run a ReLU once in a loop."""
    return tf.while_loop(lambda i, y: i < 1, lambda i, y: (i + 1, tf.nn.relu(y)), [0, x])[1]


class DecoratedCall(keras.layers.Layer):
    """A call that is a graph of its own, which no override reaches."""

    @tf.function
    def call(self, x: Any) -> Any:
        return tf.nn.relu(x)


def nested_two_deep(x: Any) -> Any:
    def wrapped(inside: Callable[[Any], Any], name: str) -> keras.Model:
        entry = keras.Input((WIDTH,))
        return keras.Model(entry, inside(entry), name=name)

    inner = wrapped(keras.layers.ReLU(name="act"), "inner")
    return wrapped(lambda entry: inner(entry), "outer")(x)


def in_time_distributed(layer: Any) -> Callable[[Any], Any]:
    def build(x: Any) -> Any:
        steps = keras.layers.Reshape((4, WIDTH // 4))(x)
        return keras.layers.Reshape((WIDTH,))(keras.layers.TimeDistributed(layer())(steps))

    return build


def relu(x: Any) -> Any:
    return np.maximum(x, 0)


def relu_slope(x: Any) -> Any:
    return (x > 0) * 1.0


def clipped(maximum: float, negative: float = 0.0) -> Callable[[Any], Any]:
    return lambda x: np.where(x > 0, np.minimum(x, maximum), negative * x)


def clipped_slope(maximum: float, at_maximum: float, negative: float = 0.0) -> Callable[[Any], Any]:
    """Return the derivative of a clip: a ReLU6 operation has 0 at its maximum, a minimum has 1 there."""
    return lambda x: (
        ((x > 0) & (x < maximum)) * 1.0 + (x == maximum) * at_maximum + np.where(x < 0, negative, 0.0)
    )


def leaky(negative: float) -> Callable[[Any], Any]:
    return lambda x: np.where(x > 0, x, negative * x)


def leaky_slope(negative: float, at_zero: float | None = None) -> Callable[[Any], Any]:
    """Return the derivative: at 0 that of the negative side, unless two ReLUs, both 0 there, make it up."""
    at_zero = negative if at_zero is None else at_zero
    return lambda x: np.where(x > 0, 1.0, np.where(x < 0, negative, at_zero))


def elu(alpha: float) -> Callable[[Any], Any]:
    return lambda x: np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0)))


def elu_slope(alpha: float) -> Callable[[Any], Any]:
    return lambda x: np.where(x > 0, 1.0, alpha * np.exp(np.minimum(x, 0)))


def selu(x: Any) -> Any:
    return SELU_SCALE * np.where(x > 0, x, SELU_ALPHA * np.expm1(np.minimum(x, 0)))


def selu_slope(x: Any) -> Any:
    # At 0 the operation's gradient takes the positive side.
    return SELU_SCALE * np.where(x >= 0, 1.0, SELU_ALPHA * np.exp(np.minimum(x, 0)))


def sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


def normal(x: Any) -> Any:
    """Return the distribution function of the normal distribution."""
    from math import erf

    return 0.5 * (1 + np.vectorize(erf)(x / np.sqrt(2)))


def gelu_slope(x: Any) -> Any:
    """Differentiate x Phi(x)."""
    phi = np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi)
    return normal(x) + x * phi


def gelu_tanh(x: Any) -> Any:
    return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


def gelu_tanh_slope(x: Any) -> Any:
    c, k = np.sqrt(2 / np.pi), 0.044715
    t = np.tanh(c * (x + k * x**3))
    return 0.5 * (1 + t) + 0.5 * x * (1 - t**2) * c * (1 + 3 * k * x**2)


def silu_slope(x: Any) -> Any:
    return sigmoid(x) * (1 + x * (1 - sigmoid(x)))


def hard_silu(x: Any) -> Any:
    return x * np.clip(x + 3, 0, 6) / 6


def hard_silu_slope(x: Any) -> Any:
    return np.where((x > -3) & (x < 3), (2 * x + 3) / 6, (x >= 3) * 1.0)


def mish(x: Any) -> Any:
    return x * np.tanh(np.logaddexp(0, x))


def mish_slope(x: Any) -> Any:
    t = np.tanh(np.logaddexp(0, x))
    return t + x * (1 - t**2) * sigmoid(x)


def threshold(x: Any) -> Any:
    return x * (x > 1)


def threshold_slope(x: Any) -> Any:
    return (x > 1) * 1.0


def sparse_plus(x: Any) -> Any:
    return np.where(x <= -1, 0, np.where(x < 1, (x + 1) ** 2 / 4, x))


def sparse_plus_slope(x: Any) -> Any:
    return np.where(x <= -1, 0, np.where(x < 1, (x + 1) / 2, 1))


class Written(keras.layers.Layer):
    """Runs a function of TensorFlow's."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        super().__init__()
        self.function = function

    def call(self, x: Any) -> Any:
        return self.function(x)


layers, ops = keras.layers, keras.ops
# Newer than the oldest Keras.
SPARSE_PLUS = getattr(keras.activations, "sparse_plus", None) or (
    lambda x: ops.where(x <= -1, ops.zeros_like(x), ops.where(x < 1, (x + 1) ** 2 / 4, x))
)

SITES = [
    Site("fused", lambda x: fixed_dense(np.eye(WIDTH), activation="relu")(x), relu, relu_slope),
    Site("Activation", lambda x: layers.Activation("relu")(x), relu, relu_slope),
    Site("ReLU", lambda x: layers.ReLU()(x), relu, relu_slope),
    Site("ops.relu", lambda x: ops.relu(x), relu, relu_slope),
    Site("tf.nn.relu in a call", lambda x: CustomCall()(x), relu, relu_slope),
    Site("tf.nn.relu in a Lambda", lambda x: layers.Lambda(tf.nn.relu)(x), relu, relu_slope),
    Site("tf.nn.relu in a subclassed model", lambda x: SubclassedModel()(x), relu, relu_slope),
    Site("two nesting levels deep", nested_two_deep, relu, relu_slope),
    Site("TimeDistributed", in_time_distributed(layers.ReLU), relu, relu_slope),
    Site(
        "TimeDistributed fused",
        in_time_distributed(lambda: fixed_dense(np.eye(WIDTH // 4), activation="relu")),
        relu,
        relu_slope,
    ),
    Site("ReLU max_value=6", lambda x: layers.ReLU(max_value=6)(x), clipped(6), clipped_slope(6, 0.0)),
    Site("Activation relu6", lambda x: layers.Activation("relu6")(x), clipped(6), clipped_slope(6, 0.0)),
    Site("ops.relu6", lambda x: ops.relu6(x), clipped(6), clipped_slope(6, 0.0)),
    Site("ReLU max_value=3", lambda x: layers.ReLU(max_value=3)(x), clipped(3), clipped_slope(3, 1.0)),
    Site(
        "ReLU negative_slope=.1", lambda x: layers.ReLU(negative_slope=0.1)(x), leaky(0.1), leaky_slope(0.1)
    ),
    Site(
        "ReLU max_value=6 negative_slope=.1",
        lambda x: layers.ReLU(max_value=6, negative_slope=0.1)(x),
        clipped(6, 0.1),
        clipped_slope(6, 0.0, 0.1),
    ),
    Site(
        "ReLU max_value=3 negative_slope=.1",
        lambda x: layers.ReLU(max_value=3, negative_slope=0.1)(x),
        clipped(3, 0.1),
        clipped_slope(3, 1.0, 0.1),
    ),
    Site("LeakyReLU", lambda x: layers.LeakyReLU(negative_slope=0.3)(x), leaky(0.3), leaky_slope(0.3)),
    Site("Activation leaky_relu", lambda x: layers.Activation("leaky_relu")(x), leaky(0.2), leaky_slope(0.2)),
    Site("ops.leaky_relu", lambda x: ops.leaky_relu(x, 0.4), leaky(0.4), leaky_slope(0.4)),
    Site(
        "PReLU",
        lambda x: layers.PReLU(alpha_initializer=keras.initializers.Constant(0.25))(x),
        leaky(0.25),
        leaky_slope(0.25, at_zero=0.0),
    ),
    Site(
        # With a slope above 1 the wrong sign of the negative part would show twice as much.
        "PReLU negative alpha",
        lambda x: layers.PReLU(alpha_initializer=keras.initializers.Constant(-2.0))(x),
        leaky(-2.0),
        leaky_slope(-2.0, at_zero=0.0),
    ),
    Site(
        "PReLU with shared axes",
        lambda x: layers.Reshape((WIDTH,))(
            layers.PReLU(shared_axes=[1, 2], alpha_initializer=keras.initializers.Constant(0.25))(
                layers.Reshape((2, 3, WIDTH // 6))(x)
            )
        ),
        leaky(0.25),
        leaky_slope(0.25, at_zero=0.0),
    ),
    Site("ELU", lambda x: layers.ELU()(x), elu(1.0), elu_slope(1.0)),
    Site("ELU alpha=.5", lambda x: layers.ELU(alpha=0.5)(x), elu(0.5), elu_slope(0.5)),
    Site("Activation elu", lambda x: layers.Activation("elu")(x), elu(1.0), elu_slope(1.0)),
    Site("ops.elu", lambda x: ops.elu(x, 2.0), elu(2.0), elu_slope(2.0)),
    Site("Activation selu", lambda x: layers.Activation("selu")(x), selu, selu_slope),
    Site("GELU", lambda x: layers.Activation("gelu")(x), lambda x: x * normal(x), gelu_slope),
    Site("GELU approximate", lambda x: ops.gelu(x, approximate=True), gelu_tanh, gelu_tanh_slope),
    Site("SiLU", lambda x: layers.Activation("silu")(x), lambda x: x * sigmoid(x), silu_slope),
    Site("SiLU swish", lambda x: x * ops.sigmoid(x), lambda x: x * sigmoid(x), silu_slope),
    Site("hard SiLU", lambda x: layers.Activation("hard_silu")(x), hard_silu, hard_silu_slope),
    # As MobileNetV3 writes it.
    Site(
        "hard SiLU of layers",
        lambda x: layers.Multiply()([x, layers.ReLU(6.0)(x + 3.0) * (1.0 / 6.0)]),
        hard_silu,
        hard_silu_slope,
    ),
    Site("Mish", lambda x: layers.Activation("mish")(x), mish, mish_slope),
    Site("softplus", lambda x: layers.Activation("softplus")(x), lambda x: np.logaddexp(0, x), sigmoid),
    Site("log-sigmoid", lambda x: ops.log_sigmoid(x), lambda x: -np.logaddexp(0, -x), lambda x: sigmoid(-x)),
    Site("sparse plus", lambda x: SPARSE_PLUS(x), sparse_plus, sparse_plus_slope),
    Site("ReLU threshold=1", lambda x: layers.ReLU(threshold=1)(x), threshold, threshold_slope),
    Site(
        "ReLU threshold=1 max_value=6",
        lambda x: layers.ReLU(threshold=1, max_value=6)(x),
        lambda x: np.minimum(threshold(x), 6),
        lambda x: ((x > 1) & (x <= 6)) * 1.0,
    ),
    Site(
        "ReLU threshold=1 negative_slope=.5",
        lambda x: layers.ReLU(threshold=1, negative_slope=0.5)(x),
        lambda x: np.where(x > 1, x, 0.5 * (x - 1)),
        lambda x: np.where(x > 1, 1.0, np.where(x < 1, 0.5, 0.0)),
    ),
    # By hand, in ten ways. At a corner TensorFlow takes the side, or the mean, that is noted.
    Site("maximum(x, 0)", lambda x: ops.maximum(x, 0.0), relu, lambda x: (x >= 0) * 1.0),
    Site("maximum(0.2 x, x)", lambda x: ops.maximum(0.2 * x, x), leaky(0.2), leaky_slope(0.2, at_zero=0.2)),
    Site("where(x < 0)", lambda x: ops.where(x < 0, 0.1 * x, x), leaky(0.1), leaky_slope(0.1, at_zero=1.0)),
    Site("x (x >= 0)", lambda x: x * ops.cast(x >= 0, "float32"), relu, lambda x: (x >= 0) * 1.0),
    Site("(x + |x|) / 2", lambda x: (x + ops.abs(x)) / 2, relu, lambda x: (x > 0) + (x == 0) * 0.5),
    Site("0.5 (|x| + x)", lambda x: 0.5 * (ops.abs(x) + x), relu, lambda x: (x > 0) + (x == 0) * 0.5),
    Site("-minimum(-x, 0)", lambda x: -ops.minimum(-x, 0.0), relu, lambda x: (x >= 0) * 1.0),
    Site(
        "clip(x, 0, 6)",
        lambda x: ops.clip(x, 0.0, 6.0),
        clipped(6),
        lambda x: ((x >= 0) & (x <= 6)) * 1.0,
    ),
    Site(
        "ELU by hand",
        lambda x: ops.where(x > 0, x, ops.exp(ops.minimum(x, 0.0)) - 1),
        elu(1.0),
        lambda x: np.where(x > 0, 1.0, np.exp(np.minimum(x, 0))),
    ),
    Site(
        "in a call of one's own",
        lambda x: Written(lambda t: tf.where(t > 0, t, tf.zeros_like(t)))(x),
        relu,
        relu_slope,
    ),
]
EACH_SITE = pytest.mark.parametrize("site", SITES, ids=[site.name for site in SITES])
EACH_MODIFIER = pytest.mark.parametrize("name", ["guided", "rectified"])


def by_hand(name: str | None, slope: Any, incoming: Any) -> Any:
    """Return the gradient that one activation passes on."""
    if name == "rectified":
        return np.maximum(incoming, 0) * np.ones_like(slope)
    return slope * (np.maximum(incoming, 0) if name == "guided" else incoming)


def between(build: Callable[[Any], Any], x: Any = X, incoming: Any = INCOMING) -> keras.Model:
    """Return a model with the site's output, and with the sum of it weighted by `incoming`."""
    entry = keras.Input(x.shape[1:])
    y = build(entry)
    flat = keras.layers.Flatten()(y) if len(y.shape) > 2 else y
    score = fixed_dense(np.ravel(incoming)[:, None], name="score")(flat)
    return keras.Model(entry, [y, score])


def taped(model: Any, x: Any) -> Any:
    x = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(x)
        score = model(x)[-1]
    return tape.gradient(score, x).numpy()


def taped_persistently(model: Any, x: Any) -> Any:
    """Differentiate twice, the first time by other outputs."""
    x = tf.constant(x)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        y, score = model(x)
    tape.gradient(y, x)
    return tape.gradient(score, x).numpy()


def taped_for_each_output(model: Any, x: Any) -> Any:
    """Take the Jacobian, which TensorFlow vectorises over the outputs."""
    x = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(x)
        score = model(x)[-1]
    return tape.jacobian(score, x).numpy()[0, 0]


def taped_in_function(model: Any, x: Any) -> Any:
    @tf.function
    def outer(x: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(x)
            score = model(x)[-1]
        return tape.gradient(score, x)

    return outer(tf.constant(x)).numpy()


def graph_gradients(model: Any, x: Any) -> Any:
    @tf.function
    def outer(x: Any) -> Any:
        return tf.gradients(model(x)[-1], x)[0]

    return outer(tf.constant(x)).numpy()


def within_another_model(model: Any, x: Any) -> Any:
    """Call the model as a layer, and differentiate what holds it."""
    entry = keras.Input(x.shape[1:])
    holder = keras.Model(entry, model(entry))
    return taped(holder, x)


def by_library(model: Any, x: Any, modifier: Any = None) -> Any:
    loss = ActivationMaximization(model.get_layer("score"), 0)
    return input_gradient(Source(model), [(loss, -1.0)], [x], modifier=modifier)[0]


ROUTES = [taped, taped_in_function, by_library]
OTHER_ROUTES = [taped_persistently, taped_for_each_output, graph_gradients, within_another_model]


@EACH_SITE
def test_oracle_agrees_with_the_plain_network(site: Site) -> None:
    """The formulas of this file against TensorFlow's own derivative: a test of the oracle."""
    model = between(site.build)
    np.testing.assert_allclose(model(X)[0], site.forward(X), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(taped(model, X), by_hand(None, site.slope(X), INCOMING), rtol=1e-5, atol=2e-6)


def same(modified: Any, original: Any) -> None:
    for changed, wanted in zip(keras.tree.flatten(modified), keras.tree.flatten(original), strict=True):
        np.testing.assert_array_equal(changed, wanted)


@EACH_SITE
def test_forward_is_bit_identical(site: Site) -> None:
    model = between(site.build)
    guided, rectified = (backprop_modifiers.get(name)(model) for name in ("guided", "rectified"))

    @tf.function
    def together(x: Any) -> Any:
        return model(x), guided(x), rectified(x)

    # TensorFlow rounds some activations of several operations in another way in a graph.
    original = tf.function(lambda x: model(x))(X)
    np.testing.assert_allclose(original[0], site.forward(X), rtol=1e-5, atol=1e-6)
    same(guided(X), original)
    same(rectified(X), original)
    in_function, *others = together(tf.constant(X))
    for other in others:
        same(other, in_function)


def test_predict_is_bit_identical() -> None:
    """Many sites at once, as `predict` compiles each model anew."""
    # Some share operations, which TensorFlow then computes, and rounds, together or not.
    alone = ("SiLU", "Mish", "GELU", "hard", "soft", "log")
    sites = [site for site in SITES if not site.name.startswith(alone)]
    entry = keras.Input((WIDTH,))
    model = keras.Model(entry, [site.build(entry) for site in sites])
    batch = np.concatenate([X, X[:, ::-1], -X])
    predicted = model.predict(batch, verbose=0)
    for site, output in zip(sites, predicted, strict=True):
        np.testing.assert_allclose(output, site.forward(batch), rtol=1e-5, atol=1e-6, err_msg=site.name)
    for name in ("guided", "rectified"):
        same(backprop_modifiers.get(name)(model).predict(batch, verbose=0), predicted)


@pytest.mark.parametrize("kind", ["SiLU", "Mish", "GELU"])
def test_predict_of_a_composed_activation_is_bit_identical(kind: str) -> None:
    model = between(next(site for site in SITES if site.name == kind).build)
    same(backprop_modifiers.guided(model).predict(X, verbose=0), model.predict(X, verbose=0))


@EACH_SITE
@EACH_MODIFIER
def test_gradient_by_every_route(site: Site, name: str) -> None:
    model = between(site.build)
    modifier = backprop_modifiers.get(name)
    modified = modifier(model)
    expected = by_hand(name, site.slope(X), INCOMING)
    vanilla = taped(model, X)
    assert not np.allclose(expected, vanilla, rtol=1e-3), "the points do not tell the modifier from none"
    for route in ROUTES:
        np.testing.assert_allclose(route(modified, X), expected, rtol=1e-5, atol=3e-6, err_msg=route.__name__)
    np.testing.assert_allclose(by_library(model, X, modifier), expected, rtol=1e-5, atol=3e-6)
    np.testing.assert_array_equal(taped(model, X), vanilla)
    np.testing.assert_allclose(taped_in_function(model, X), vanilla, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(by_library(model, X), vanilla, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("route", OTHER_ROUTES)
@pytest.mark.parametrize("kind", ["fused", "ReLU max_value=3 negative_slope=.1", "ELU alpha=.5"])
@EACH_MODIFIER
def test_gradient_by_other_routes(route: Any, kind: str, name: str) -> None:
    site = next(site for site in SITES if site.name == kind)
    model = between(site.build)
    found = route(backprop_modifiers.get(name)(model), X)
    np.testing.assert_allclose(found, by_hand(name, site.slope(X), INCOMING), rtol=1e-5, atol=1e-6)
    true = by_hand(None, site.slope(X), INCOMING)
    np.testing.assert_allclose(route(model, X), true, rtol=1e-5, atol=1e-6)


@EACH_MODIFIER
def test_one_relu_layer_called_twice(name: str) -> None:
    x = np.array([[-2.0, -1.0, 0.5, 3.0]], np.float32)
    shift, incoming = 1.5, np.array([1.0, -1.0, 2.0, -3.0])
    layer = keras.layers.ReLU()
    model = between(lambda entry: layer(shift - layer(entry)), x, incoming)
    inner = shift - relu(x)
    through_outer = by_hand(name, relu_slope(inner), incoming)
    expected = by_hand(name, relu_slope(x), -through_outer)
    modified = backprop_modifiers.get(name)(model)
    np.testing.assert_allclose(taped(modified, x), expected)
    np.testing.assert_allclose(by_library(modified, x), expected)


@EACH_MODIFIER
def test_layer_shared_by_two_branches(name: str) -> None:
    x = np.array([[-2.0, -1.0, 0.5, 3.0]], np.float32)
    a, b = np.array([1.0, -1.0, 2.0, -3.0]), np.array([-4.0, 5.0, 6.0, -0.5])
    shared = fixed_dense(np.eye(4), activation="relu")

    def build(entry: Any) -> Any:
        return keras.layers.Concatenate()([shared(entry), shared(-entry)])

    model = between(build, x, np.concatenate([a, b]))
    expected = by_hand(name, relu_slope(x), a) - by_hand(name, relu_slope(-x), b)
    modified = backprop_modifiers.get(name)(model)
    np.testing.assert_allclose(taped(modified, x), expected)
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


def simple_rnn(unroll: bool) -> keras.layers.SimpleRNN:
    return keras.layers.SimpleRNN(
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
    np.testing.assert_allclose(taped(modified, SEQUENCE[None])[0], expected, rtol=1e-6)
    np.testing.assert_allclose(by_library(modified, SEQUENCE[None])[0], expected, rtol=1e-6)


@EACH_MODIFIER
def test_bidirectional(name: str) -> None:
    ahead, back = np.array([1.0, -2.0]), np.array([2.0, 1.0])

    def build(x: Any) -> Any:
        return keras.layers.Bidirectional(
            simple_rnn(unroll=True), backward_layer=_backwards(simple_rnn(unroll=True))
        )(x)

    model = between(build, SEQUENCE[None], np.concatenate([ahead, back]))
    x = SEQUENCE.astype(float)
    expected = rnn_gradient(name, x, W, U, ahead) + rnn_gradient(name, x[::-1], W, U, back)[::-1]
    modified = backprop_modifiers.get(name)(model)
    np.testing.assert_allclose(taped(modified, SEQUENCE[None])[0], expected, rtol=1e-6)
    np.testing.assert_allclose(by_library(modified, SEQUENCE[None])[0], expected, rtol=1e-6)


def _backwards(layer: keras.layers.SimpleRNN) -> keras.layers.SimpleRNN:
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
        inner = keras.layers.Conv2D(
            2, 1, use_bias=False, kernel_initializer=keras.initializers.Constant(kernel[None, None])
        )(entry)
        inner = keras.layers.BatchNormalization(
            epsilon=0.0, gamma_initializer=keras.initializers.Constant(scale)
        )(inner)
        inner = keras.layers.Activation("relu")(inner)
        return keras.layers.Activation("relu")(keras.layers.Add()([entry, inner]))

    model = between(build, x, incoming)
    normed = (x @ kernel) * scale
    total = x + relu(normed)
    upper = by_hand(name, relu_slope(total), incoming)
    expected = upper + (by_hand(name, relu_slope(normed), upper) * scale) @ kernel.T
    modified = backprop_modifiers.get(name)(model)
    np.testing.assert_allclose(taped(modified, x), expected, rtol=1e-5, atol=1e-6)
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
    np.testing.assert_allclose(taped(modified, x), expected)
    np.testing.assert_allclose(by_library(modified, x), expected)


def relu_and_itself_doubled(x: Any) -> Any:
    """A leaky ReLU one of whose parts is used elsewhere, too."""
    positive = ops.relu(x)
    leaky = positive - 0.1 * ops.relu(-x)
    return 0.5 * leaky + 0.5 * layers.Lambda(lambda pair: tf.concat(pair, 1)[:, :WIDTH])([positive, leaky])


MISSED = {
    "tf.function-decorated call": (lambda x: DecoratedCall()(x), relu_slope, "relu.* inside"),
    "loop": (lambda x: Written(looped)(x), relu_slope, "relu.* inside"),
    "parts used elsewhere": (
        relu_and_itself_doubled,
        lambda x: np.where(x > 0, 1.0, np.where(x < 0, 0.05, 0.0)),
        "intermediate values are used elsewhere",
    ),
}
EACH_MISSED = pytest.mark.parametrize(("build", "slope", "word"), MISSED.values(), ids=MISSED.keys())


@EACH_MISSED
@EACH_MODIFIER
def test_nothing_reached_raises_and_names_it(build: Any, slope: Any, word: str, name: str) -> None:
    model = between(build)
    modifier = backprop_modifiers.get(name)
    with pytest.raises(ModifierError, match=word):
        modifier(model)
    with pytest.raises(ModifierError, match=word):
        by_library(model, X, modifier)


@EACH_MISSED
@EACH_MODIFIER
def test_partly_reached_warns_and_names_it(build: Any, slope: Any, word: str, name: str) -> None:
    """A ReLU follows the rule; the activation beneath it keeps its true gradient."""
    model = between(lambda x: layers.ReLU(name="reached")(build(x)))
    modifier = backprop_modifiers.get(name)
    with pytest.warns(PartialOverrideWarning, match=word) as caught:
        modified = modifier(model)
    assert len(caught) == 1
    assert "reached" not in str(caught[0].message).split("keep their true gradient")[1]
    # The forward of the activation beneath is taken from the plain network, its slope is by hand.
    y = keras.Model(model.input, model.get_layer("reached").input)(X).numpy()
    expected = by_hand(name, relu_slope(y), INCOMING) * slope(X.astype(float))
    for route in ROUTES:
        if route is by_library:
            with pytest.warns(PartialOverrideWarning, match=word):
                found = by_library(modified, X)
        else:
            found = route(modified, X)
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6, err_msg=route.__name__)


@EACH_MODIFIER
def test_simple_rnn_in_a_while_loop(name: str) -> None:
    """The body of a while loop is a graph of its own: named, and its gradient stays the true one."""
    incoming = np.array([1.0, -2.0])
    modifier = backprop_modifiers.get(name)
    alone = between(lambda x: simple_rnn(unroll=False)(x), SEQUENCE[None], incoming)
    with pytest.raises(ModifierError, match=r"relu.* inside"):
        modifier(alone)
    with pytest.raises(ModifierError, match=r"relu.* inside"):
        by_library(alone, SEQUENCE[None], modifier)

    model = between(lambda x: simple_rnn(unroll=False)(layers.ReLU()(x)), SEQUENCE[None], incoming)
    with pytest.warns(PartialOverrideWarning, match="reaches 1 activation.*relu.* inside"):
        modified = modifier(model)
    x = SEQUENCE.astype(float)
    upper = rnn_gradient("", relu(x), W, U, incoming)
    np.testing.assert_allclose(
        taped(modified, SEQUENCE[None])[0], by_hand(name, relu_slope(x), upper), rtol=1e-6
    )


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
    np.testing.assert_allclose(taped(modified, X), expected, rtol=1e-4, atol=1e-6)


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
    true = taped(between(gate, incoming=np.ones_like(INCOMING)), relu(-X))
    expected = -by_hand(name, relu_slope(-X), true * INCOMING)
    modified = backprop_modifiers.get(name)(model)
    np.testing.assert_allclose(taped(modified, X), expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(by_library(modified, X), expected, rtol=1e-5, atol=1e-6)
    # Without the ReLU nothing is left to modify.
    with pytest.raises(ModifierError, match="reaches no activation"):
        backprop_modifiers.get(name)(between(gate))


@EACH_MODIFIER
def test_original_keeps_its_gradient_in_a_function_traced_before(name: str) -> None:
    """A user's compiled gradient of the original, made before the modifier came, and one made after."""
    model = between(lambda x: layers.ReLU()(x))

    @tf.function
    def before(x: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(x)
            score = model(x)[-1]
        return tape.gradient(score, x)

    true = relu_slope(X) * INCOMING
    np.testing.assert_array_equal(before(tf.constant(X)), true)
    modified = backprop_modifiers.get(name)(model)
    np.testing.assert_allclose(taped(modified, X), by_hand(name, relu_slope(X), INCOMING))
    np.testing.assert_array_equal(before(tf.constant(X)), true)
    np.testing.assert_array_equal(before(tf.constant(np.repeat(X, 2, axis=0)))[1:], true)
    np.testing.assert_array_equal(taped_in_function(model, X), true)


def test_original_and_modified_under_one_tape() -> None:
    model = between(lambda x: layers.ReLU()(x))
    modified = backprop_modifiers.guided(model)
    x = tf.constant(X)
    with tf.GradientTape() as tape:
        tape.watch(x)
        total = model(x)[1] + 10.0 * modified(x)[1]
    expected = relu_slope(X) * (INCOMING + 10 * np.maximum(INCOMING, 0))
    np.testing.assert_allclose(tape.gradient(total, x), expected)


def test_two_modifiers_on_one_model_do_not_mix() -> None:
    model = between(lambda x: layers.ReLU()(x))
    made = {name: backprop_modifiers.get(name)(model) for name in ("guided", "rectified")}
    for name in ("guided", "rectified", "guided"):
        np.testing.assert_allclose(taped(made[name], X), by_hand(name, relu_slope(X), INCOMING))


def test_a_rule_is_given_input_output_gradient_and_true_gradient() -> None:
    """A rule that returns each of its arguments in turn shows them."""
    site = next(site for site in SITES if site.name == "ReLU max_value=3 negative_slope=.1")
    model = between(site.build)
    wanted = [X, site.forward(X), INCOMING[None], site.slope(X) * INCOMING]
    for index, expected in enumerate(wanted):
        modifier = backprop_modifiers.get(lambda *arguments, i=index: arguments[i])
        np.testing.assert_allclose(taped(modifier(model), X), expected, rtol=1e-5)


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
        np.testing.assert_allclose(taped(modified, x), by_hand(name, relu_slope(x), incoming))


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
        np.testing.assert_allclose(taped(backprop_modifiers.get(name)(model), X), expected, rtol=1e-5)


@EACH_MODIFIER
def test_skip_connection_around_an_activation(name: str) -> None:
    """The sum of a value and its ReLU by another layer is a skip connection, and no leaky ReLU."""
    model = between(lambda x: layers.Add()([x, layers.ReLU()(x)]))
    expected = INCOMING + by_hand(name, relu_slope(X), INCOMING)
    np.testing.assert_allclose(taped(backprop_modifiers.get(name)(model), X), expected)


@pytest.fixture
def functions_run_eagerly() -> Iterator[None]:
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


@pytest.mark.usefixtures("functions_run_eagerly")
@EACH_MODIFIER
def test_functions_run_eagerly(name: str) -> None:
    """A switch for debugging, under which there is no graph to mark: the rule holds all the same."""
    model = between(lambda x: layers.ReLU()(x))
    modifier = backprop_modifiers.get(name)
    expected = by_hand(name, relu_slope(X), INCOMING)
    np.testing.assert_allclose(by_library(model, X, modifier), expected)
    np.testing.assert_allclose(taped(modifier(model), X), expected)


@EACH_MODIFIER
def test_modified_before_functions_run_eagerly(name: str, request: pytest.FixtureRequest) -> None:
    modified = backprop_modifiers.get(name)(between(lambda x: layers.ReLU()(x)))
    request.getfixturevalue("functions_run_eagerly")
    np.testing.assert_allclose(taped(modified, X), by_hand(name, relu_slope(X), INCOMING))


def leaky_and_its_positive_part(x: Any) -> Any:
    positive = tf.nn.relu(x)
    return tf.concat([positive - 0.1 * tf.nn.relu(-x), positive], axis=-1)


def leaky_and_its_negative_part(x: Any) -> Any:
    negative = tf.nn.relu(-x)
    return tf.concat([tf.nn.relu(x) - 0.1 * negative, negative], axis=-1)


def two_leaky_of_the_same_parts(x: Any) -> Any:
    positive, negative = tf.nn.relu(x), tf.nn.relu(-x)
    return tf.concat([positive - 0.1 * negative, positive + 0.5 * negative], axis=-1)


def elu_scaled_and_not(x: Any) -> Any:
    y = tf.nn.elu(x)
    return tf.concat([tf.where(x > 0, y, 0.5 * y), y], axis=-1)


def elu_scaled_by_what_depends_on_x(x: Any) -> Any:
    y = tf.nn.elu(x)
    return tf.where(x > 0, y, tf.sin(x) * y)


def elu_scaled_by_itself(x: Any) -> Any:
    y = tf.nn.elu(x)
    return tf.where(x > 0, y, y * y)


def leaky_with_a_slope_for_each_of_two_outputs(x: Any) -> Any:
    slopes = tf.constant([[0.1], [0.5]])[:, None]
    return tf.concat(tf.unstack(tf.nn.relu(x) - slopes * tf.nn.relu(-x)), axis=-1)


def leaky_with_a_slope_that_depends_on_x(x: Any) -> Any:
    return tf.nn.relu(x) - tf.sin(x) * tf.nn.relu(-x)


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
    np.testing.assert_allclose(taped(true, X), taped(model, X), rtol=1e-5, atol=1e-6)
