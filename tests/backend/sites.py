"""Ways to write an activation, with their forward and derivative by hand in NumPy, as formulas of x.

The sites are placed between the input and a weighted sum, so that the weights are the gradient that comes in.
At a kink frameworks take one side or the other, their mean, or 0: see `slope_of`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from tests import native
from tests.asking import input_gradient
from vis.engine import Source
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


def fixed_dense(kernel: Any, **kwargs: Any) -> layers.Dense:
    kernel = np.asarray(kernel, np.float32)
    return layers.Dense(
        kernel.shape[1], use_bias=False, kernel_initializer=lambda shape, dtype=None: kernel, **kwargs
    )


class CustomCall(layers.Layer):
    """The framework's own ReLU in the call of a layer of one's own."""

    def call(self, x: Any) -> Any:
        return native.relu(x)


class SubclassedModel(keras.Model):
    def __init__(self) -> None:
        super().__init__()
        self.identity = fixed_dense(np.eye(WIDTH))

    def call(self, x: Any) -> Any:
        return native.relu(self.identity(x))


def nested_two_deep(x: Any) -> Any:
    def wrapped(inside: Callable[[Any], Any], name: str) -> keras.Model:
        entry = keras.Input((WIDTH,))
        return keras.Model(entry, inside(entry), name=name)

    inner = wrapped(layers.ReLU(name="act"), "inner")
    return wrapped(lambda entry: inner(entry), "outer")(x)


def in_time_distributed(layer: Any) -> Callable[[Any], Any]:
    def build(x: Any) -> Any:
        steps = layers.Reshape((4, WIDTH // 4))(x)
        return layers.Reshape((WIDTH,))(layers.TimeDistributed(layer())(steps))

    return build


def relu(x: Any) -> Any:
    return np.maximum(x, 0)


def relu_slope(x: Any) -> Any:
    return (x > 0) * 1.0


def clipped(maximum: float, negative: float = 0.0) -> Callable[[Any], Any]:
    return lambda x: np.where(x > 0, np.minimum(x, maximum), negative * x)


def clipped_slope(maximum: float, at_maximum: float, negative: float = 0.0) -> Callable[[Any], Any]:
    """Return the derivative of a clip."""
    return lambda x: (
        ((x > 0) & (x < maximum)) * 1.0 + (x == maximum) * at_maximum + np.where(x < 0, negative, 0.0)
    )


def leaky(negative: float) -> Callable[[Any], Any]:
    return lambda x: np.where(x > 0, x, negative * x)


def leaky_slope(negative: float, at_zero: float | None = None) -> Callable[[Any], Any]:
    """Return the derivative."""
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


class Written(layers.Layer):
    """Runs a function."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        super().__init__()
        self.function = function

    def call(self, x: Any) -> Any:
        return self.function(x)


# Newer than the oldest Keras.
SPARSE_PLUS = getattr(keras.activations, "sparse_plus", None) or (
    lambda x: ops.where(x <= -1, ops.zeros_like(x), ops.where(x < 1, (x + 1) ** 2 / 4, x))
)

SITES = [
    Site("fused", lambda x: fixed_dense(np.eye(WIDTH), activation="relu")(x), relu, relu_slope),
    Site("Activation", lambda x: layers.Activation("relu")(x), relu, relu_slope),
    Site("ReLU", lambda x: layers.ReLU()(x), relu, relu_slope),
    Site("ops.relu", lambda x: ops.relu(x), relu, relu_slope),
    Site("the framework's ReLU in a call", lambda x: CustomCall()(x), relu, relu_slope),
    Site("the framework's ReLU in a Lambda", lambda x: layers.Lambda(native.relu)(x), relu, relu_slope),
    Site("the framework's ReLU in a subclassed model", lambda x: SubclassedModel()(x), relu, relu_slope),
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
    # By hand, in ten ways.
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
        # The minimum guards from overflow; at 0, where frameworks would differ, it has no kink.
        lambda x: ops.where(x > 0, x, ops.exp(ops.minimum(x, 1.0)) - 1),
        elu(1.0),
        lambda x: np.where(x > 0, 1.0, np.exp(np.minimum(x, 0))),
    ),
    Site(
        "in a call of one's own",
        lambda x: Written(lambda t: ops.where(t > 0, t, ops.zeros_like(t)))(x),
        relu,
        relu_slope,
    ),
]


def by_hand(name: str | None, slope: Any, incoming: Any) -> Any:
    """Return the gradient that one activation passes on."""
    if name == "rectified":
        return np.maximum(incoming, 0) * np.ones_like(slope)
    return slope * (np.maximum(incoming, 0) if name == "guided" else incoming)


def between(build: Callable[[Any], Any], x: Any = X, incoming: Any = INCOMING) -> keras.Model:
    """Return a model with the site's output, and with the sum of it weighted by `incoming`."""
    entry = keras.Input(x.shape[1:])
    y = build(entry)
    flat = layers.Flatten()(y) if len(y.shape) > 2 else y
    score = fixed_dense(np.ravel(incoming)[:, None], name="score")(flat)
    return keras.Model(entry, [y, score])


def derived(model: Any, x: Any) -> Any:
    """Return the gradient of a model's score by the framework."""
    return native.gradient(lambda x: model(x)[-1], x)


def by_library(model: Any, x: Any, modifier: Any = None) -> Any:
    loss = ActivationMaximization(model.get_layer("score"), 0)
    return input_gradient(Source(model), [(loss, -1.0)], [x], modifier=modifier)[0]


def slope_of(site: Site) -> Any:
    """Return the derivative of a site at X by hand; at a kink, where there is none, the framework's.

    At 0, what a smooth activation is made of may have a kink.
    """
    below, above = (site.slope(X.astype(float) + step) for step in (-1e-6, 1e-6))
    plain = derived(between(site.build, incoming=np.ones_like(INCOMING)), X)
    return np.where((abs(above - below) > 1e-3) | (X == 0), plain, site.slope(X.astype(float)))
