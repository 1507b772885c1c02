"""ReLU sites: the ways to write a rectifier, and what is none.

Each site is given values below 0, at 0, between, at a maximum of 3 and of 6, and above it; what comes in from
above has both signs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from tests import native
from tests.traps.oracle import Written, flat
from tests.traps.trap import SHAPE, Case, Trap, dense, drawn, leaning

BACKEND = keras.config.backend()
POINTS = np.float32([-7, -3, -1, -0.5, 0, 0.25, 1, 2, 3, 4, 6, 7.5])
X = np.random.default_rng(1).permutation(np.tile(POINTS, 5)).reshape(SHAPE)


def same_conv(**kwargs: Any) -> Any:
    """Return a convolution that gives back what it is given, to the bit."""
    kernel = np.eye(3, dtype=np.float32)[None, None]
    return layers.Conv2D(3, 1, kernel_initializer=keras.initializers.Constant(kernel), **kwargs)


def network(build: Callable[[Any], Any], forward: Callable[[Written, Any], Any]) -> Case:
    """Return a network with something between a convolution and a dense layer."""
    entry = keras.Input(SHAPE)
    places, end = same_conv(use_bias=False), dense(3)
    y = build(places(entry))
    model = keras.Model(entry, end(layers.Flatten()(y) if len(y.shape) > 2 else y))

    def run(written: Written, x: Any) -> Any:
        return written.run(end, flat(forward(written, written.run(places, x))))

    return Case(model, X, run, places=places, exact=True)


def site(
    name: str, make: Callable[[], Any], under: bool = False, reached: bool = True, **expected: Any
) -> Trap:
    """Return the trap of an element-wise activation.

    Args:
        name: what it is.
        make: makes the layer or function.
        under: whether a ReLU layer stands above it.
        reached: whether the rule reaches it on the backend at hand.
        expected: what `Trap` takes.
    """

    def build() -> Case:
        function = make()
        act = lambda w, x: (w.act(function) if reached else function)(x)  # noqa: E731
        if under:
            return network(lambda x: layers.ReLU(name="above")(function(x)), lambda w, x: w.relu(act(w, x)))
        return network(function, act)

    return Trap(name, build, **{"guided": "reached", **expected})


def compiled() -> list[Trap]:
    """Return the traps of a call that the framework compiles: alone, and under a ReLU."""
    name = "a call that the framework compiles"
    options = {
        "says": {"guided": ("(relu) inside",), "rectified": ("(relu) inside",)},
        "reached": BACKEND != "tensorflow",
        # JAX tells what is in it; PyTorch runs it step by step.
        "on": {backend: {"guided": "reached", "says": {}} for backend in ("jax", "torch")},
    }
    return [
        site(f"{name}, alone", Compiled, guided="refused: ModifierError", **options),
        site(
            f"{name}, under a ReLU",
            Compiled,
            under=True,
            guided="warned: PartialOverrideWarning",
            **options,
        ),
    ]


class CustomCall(layers.Layer):
    def call(self, x: Any) -> Any:
        return native.relu(x)


class Compiled(layers.Layer):
    """A call that is a graph of its own, where the framework makes graphs."""

    def __init__(self) -> None:
        super().__init__()
        self.function = native.compiled(native.relu)

    def call(self, x: Any) -> Any:
        return self.function(x)


class Subclassed(keras.Model):
    def __init__(self) -> None:
        super().__init__()
        self.inner = same_conv(use_bias=False)

    def call(self, x: Any) -> Any:
        return native.relu(self.inner(x))


def two_levels_deep() -> Any:
    inner, outer = keras.Input(SHAPE), keras.Input(SHAPE)
    return keras.Model(outer, keras.Model(inner, layers.ReLU()(inner))(outer))


def sparse_plus(x: Any) -> Any:
    return ops.where(x <= -1, ops.zeros_like(x), ops.where(x < 1, (x + 1) ** 2 / 4, x))


def called_twice() -> Case:
    layer = layers.ReLU()
    return network(lambda x: layer(layer(x) - 1.5), lambda w, x: w.relu(w.relu(x) - 1.5))


def shared_by_two_branches() -> Case:
    shared = same_conv(activation="relu")

    def build(x: Any) -> Any:
        return layers.Concatenate()([shared(x), shared(-x)])

    return network(build, lambda w, x: ops.concatenate([w.run(shared, x), w.run(shared, -x)], -1))


def recurrent(unroll: bool, both_ways: bool = False, below: bool = False) -> Callable[[], Case]:
    """Return what builds a recurrent network over the rows of the image."""

    def make() -> Any:
        kernel = keras.initializers.Constant(leaning((12, 4)))
        recurrent = keras.initializers.Constant(drawn((4, 4)))
        return layers.SimpleRNN(
            4,
            "relu",
            unroll=unroll,
            kernel_initializer=kernel,
            recurrent_initializer=recurrent,
            bias_initializer="ones",
        )

    def step(written: Written, layer: Any, x: Any) -> Any:
        state = ops.zeros((1, 4))
        # A loop is a graph of its own: its activations keep their true gradient. PyTorch runs its steps.
        relu = written.relu if unroll or BACKEND == "torch" else native.relu
        for t in range(SHAPE[0]):
            cell = layer.cell
            state = relu(x[:, t] @ cell.kernel + cell.bias + state @ cell.recurrent_kernel)
        return state

    def build() -> Case:
        rnn = layers.Bidirectional(make()) if both_ways else make()

        def built(x: Any) -> Any:
            return rnn(layers.Reshape((SHAPE[0], -1))(layers.ReLU()(x) if below else x))

        def forward(written: Written, x: Any) -> Any:
            x = ops.reshape(written.relu(x) if below else x, (1, SHAPE[0], -1))
            if not both_ways:
                return step(written, rnn, x)
            ahead, back = (
                step(written, rnn.forward_layer, x),
                step(written, rnn.backward_layer, ops.flip(x, axis=1)),
            )
            return ops.concatenate([ahead, back], -1)

        return network(built, forward)

    return build


def resnet_style() -> Case:
    """Convolution, batch norm, activation, each a layer, and a way around them."""
    conv, norm = layers.Conv2D(3, 3, padding="same"), layers.BatchNormalization()

    def build(x: Any) -> Any:
        inner = layers.Activation("relu")(norm(conv(x)))
        return layers.Activation("relu")(layers.Add()([x, inner]))

    case = network(build, lambda w, x: w.relu(x + w.relu(norm(w.run(conv, x), training=False))))
    norm.set_weights([np.float32(v) for v in ([1, -2, 0.5], [0.1, 0, 0.3], [0.1, -0.2, 0.3], [0.5, 2, 1])])
    return case


def relu_in_time_distributed() -> Any:
    return layers.TimeDistributed(layers.ReLU())


def fused_in_time_distributed() -> Any:
    kernel = keras.initializers.Constant(np.eye(3))
    return layers.TimeDistributed(layers.Dense(3, activation="relu", kernel_initializer=kernel))


REFUSED = {"guided": "refused: ModifierError"}
IN_A_LOOP = {
    "says": {"guided": ("inside",), "rectified": ("inside",)},
    "on": {"torch": {"guided": "reached", "says": {}}},
}

TRAPS = [
    site('activation="relu"', lambda: same_conv(activation="relu")),
    site('Activation("relu")', lambda: layers.Activation("relu")),
    site("layers.ReLU()", layers.ReLU),
    site("ReLU(max_value=6)", lambda: layers.ReLU(max_value=6)),
    site("ReLU(max_value=3)", lambda: layers.ReLU(max_value=3)),
    site("ReLU(threshold=1)", lambda: layers.ReLU(threshold=1)),
    site("ReLU(threshold=1, max_value=6)", lambda: layers.ReLU(threshold=1, max_value=6)),
    site("ReLU(negative_slope=0.1)", lambda: layers.ReLU(negative_slope=0.1)),
    site(
        "ReLU(max_value=3, negative_slope=0.1)",
        lambda: layers.ReLU(max_value=3, negative_slope=0.1),
    ),
    site('Activation("relu6")', lambda: layers.Activation("relu6")),
    site("LeakyReLU", lambda: layers.LeakyReLU(negative_slope=0.3)),
    site('Activation("leaky_relu")', lambda: layers.Activation("leaky_relu")),
    site("PReLU", lambda: layers.PReLU(alpha_initializer=keras.initializers.Constant(0.25))),
    site("ELU", lambda: layers.ELU(alpha=0.5)),
    site('Activation("selu")', lambda: layers.Activation("selu")),
    site("GELU", lambda: layers.Activation("gelu")),
    site("SiLU", lambda: layers.Activation("silu")),
    site("Mish", lambda: layers.Activation("mish")),
    site("softplus", lambda: layers.Activation("softplus")),
    site("hard SiLU", lambda: layers.Activation("hard_silu")),
    site("maximum(0.2 x, x)", lambda: lambda x: ops.maximum(0.2 * x, x)),
    site("where(x < 0, 0.1 x, x)", lambda: lambda x: ops.where(x < 0, 0.1 * x, x)),
    site("x (x >= 0), a product with a comparison", lambda: lambda x: x * ops.cast(x >= 0, "float32")),
    site("(x + |x|) / 2", lambda: lambda x: (x + ops.abs(x)) / 2),
    site("minimum(x, 0) turned around twice", lambda: lambda x: -ops.minimum(-x, 0.0)),
    site("sparse plus by hand", lambda: sparse_plus),
    site("keras.ops.relu as a functional node", lambda: ops.relu),
    site("the framework's own ReLU in the call of a custom layer", CustomCall),
    site("the framework's own ReLU in a Lambda", lambda: layers.Lambda(native.relu)),
    site("the framework's own ReLU in a subclassed model", Subclassed),
    *compiled(),
    Trap("one ReLU layer called twice", called_twice, guided="reached"),
    Trap("a layer shared by two branches", shared_by_two_branches, guided="reached"),
    site("ReLU two nesting levels deep", two_levels_deep),
    site("inside TimeDistributed", relu_in_time_distributed),
    site("fused, inside TimeDistributed", fused_in_time_distributed),
    Trap("inside Bidirectional, unrolled", recurrent(True, both_ways=True), guided="reached"),
    Trap("inside Bidirectional, in a loop", recurrent(False, both_ways=True), **REFUSED, **IN_A_LOOP),
    Trap("inside SimpleRNN, unrolled", recurrent(True), guided="reached"),
    Trap("inside SimpleRNN, in a loop", recurrent(False), **REFUSED, **IN_A_LOOP),
    Trap(
        "inside SimpleRNN, in a loop, above a ReLU",
        recurrent(False, below=True),
        guided="warned: PartialOverrideWarning",
        **IN_A_LOOP,
    ),
    Trap("linear convolution and separate Activation, ResNet style", resnet_style, guided="reached"),
    site("no ReLU at all", lambda: layers.Activation("tanh"), **REFUSED, says={"guided": ("'guided'",)}),
]
