"""Outputs: what stands at the end of a network, and which of its filters is asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras import layers, ops

from tests.traps.inputs import conv1d, conv2d, picture
from tests.traps.oracle import Written
from tests.traps.topology import chain, conv, refused
from tests.traps.trap import METHODS, SHAPE, Case, Trap, dense, drawn, hidden
from vis.models import linear_outputs

EACH = tuple(method for method in METHODS if method != "explainers")


def ending(*end: Callable[[], Any], logits: bool = False, **options: Any) -> Callable[[], Case]:
    """Return what builds a network with such an end; with `logits`, its logits are explained."""

    def build() -> Case:
        first = conv2d()
        below = [first, layers.Flatten(), hidden()]
        last = [layer() for layer in end]
        model = chain(*below, *last)
        if not logits:
            return Case(model, found=first, **options)
        # What is written out is the last dense layer without its softmax.
        squashed = next(layer for layer in last if isinstance(layer, layers.Dense))
        bare = layers.Dense(squashed.units)
        bare.build((None, 6))
        bare.set_weights(squashed.get_weights())
        linear = linear_outputs(model)
        return Case(linear, forward=lambda w, x: w.run([*below, bare], x), found=first, **options)

    return build


def softmaxes() -> dict[str, tuple[Callable[[], Any], ...]]:
    logits = lambda: dense(3)  # noqa: E731
    return {
        "fused softmax": (lambda: dense(3, "softmax"),),
        "a separate softmax layer": (logits, layers.Softmax),
        "softmax in Activation": (logits, lambda: layers.Activation("softmax")),
        "log_softmax": (lambda: dense(3, "log_softmax"),),
    }


def saturated() -> Any:
    """A softmax whose logits lie 200 and more apart."""
    bias = keras.initializers.Constant([0.0, 400.0, 0.0])
    return dense(3, "softmax", bias_initializer=bias)


def regression(output: float) -> Callable[[], Case]:
    def build() -> Case:
        case = ending(lambda: dense(1), filters=0)()
        end = case.model.layers[-1]
        end.bias.assign([output - float(case.model(case.x[None])[0, 0])])
        assert abs(float(case.model(case.x[None])[0, 0]) - output) < 1e-5
        return case

    return build


def head(name: str, named: bool = False) -> Callable[[], Case]:
    """Return what builds a network with two heads, one of which is explained by the name of its layer."""

    def build() -> Case:
        below = [conv2d(), layers.Flatten(), hidden()]
        heads = {"a": dense(3, name="a"), "b": dense(2, name="b")}
        entry = x = keras.Input(SHAPE)
        for layer in below:
            x = layer(x)
        outputs = {key: layer(x) for key, layer in heads.items()}
        model = keras.Model(entry, outputs if named else list(outputs.values()))
        forward = lambda w, x: w.run([*below, heads[name]], x)  # noqa: E731
        return Case(model, forward=forward, layer=name, found=below[0], plain=False)

    return build


def sequences() -> Case:
    """(B, T, C): the mean over the steps of one class."""
    first = conv1d()
    return Case(chain(first, dense(5), shape=(7, 3)), picture(7, 3), filters=2, found=first)


def unet() -> Case:
    """(B, H, W, C): the mean over the pixels of one class."""
    down, low, end = (
        layers.Conv2D(filters, size, padding="same", activation=activation, kernel_initializer=drawn)
        for filters, size, activation in ((4, 3, "relu"), (4, 3, "relu"), (3, 1, None))
    )
    pool, up = layers.AveragePooling2D(2), layers.UpSampling2D(2)
    entry = keras.Input((8, 6, 3))
    high = down(entry)
    model = keras.Model(entry, end(layers.Concatenate()([high, up(low(pool(high)))])))

    def forward(w: Written, x: Any) -> Any:
        high = w.run(down, x)
        return w.run(end, ops.concatenate([high, up(w.run(low, pool(high)))], -1))

    return Case(model, picture(8, 6, 3), forward, places=low)


def filters_of_a_conv(filters: Any) -> Callable[[], Case]:
    """Return what builds a network with four filters; filter 1 is dead: its bias is below what comes in."""

    def build() -> Case:
        first, second = conv(), conv(name="conv")
        model = chain(first, second, layers.Flatten(), dense(2))
        second.bias.assign([0.5, -1000.0, 0.5, 0.5])
        return Case(model, layer="conv", filters=filters, target=second, found=first, plain=False)

    return build


def warned(*names: str) -> dict[str, str]:
    return dict.fromkeys(("saliency", "guided", "cam", "explainers"), f"warned: {', '.join(names)}")


def of_conv(index: str, **expected: Any) -> dict[str, Any]:
    return {**refused("FilterError"), "says": dict.fromkeys(METHODS, (index,)), **expected}


REACHED = {"guided": "reached"}
SOFTMAX = warned("SoftmaxWarning")
NAMED = dict.fromkeys(EACH, ("linear_outputs(model)",))

TRAPS = [
    *(Trap(name, ending(*end), **SOFTMAX, says=NAMED) for name, end in softmaxes().items()),
    *(Trap(f"logits of {name}", ending(*end, logits=True), **REACHED) for name, end in softmaxes().items()),
    Trap("logits", ending(lambda: dense(3)), **REACHED),
    Trap(
        "saturated softmax, a gap of more than 100",
        ending(saturated),
        **warned("SoftmaxWarning", "EmptyMapWarning"),
        says=NAMED,
    ),
    Trap("logits of a saturated softmax", ending(saturated, logits=True), **REACHED),
    Trap("sigmoid(1)", ending(lambda: dense(1, "sigmoid"), filters=0), **REACHED),
    Trap(
        "sigmoid(1), filter 1",
        ending(lambda: dense(1, "sigmoid"), filters=1),
        **of_conv("-1 to 0"),
    ),
    Trap("multi-label, two of four", ending(lambda: dense(4, "sigmoid"), filters=[0, 3]), **REACHED),
    *(
        Trap(f"scalar regression at {name} output", regression(value), **REACHED)
        for name, value in (("a positive", 2.5), ("a zero", 0.0), ("a negative", -1.5))
    ),
    Trap("two heads, the first", head("a"), **REACHED),
    Trap("two heads, the second", head("b"), **REACHED),
    Trap("two heads in a dict", head("b", named=True), **REACHED),
    Trap("sequences, (B, T, C)", sequences, **REACHED),
    Trap("U-Net, (B, H, W, C)", unet, **REACHED),
    Trap("a conv filter: the first", filters_of_a_conv(0), **REACHED),
    Trap("a conv filter: the last", filters_of_a_conv(3), **REACHED),
    Trap("a conv filter: the last, from the end", filters_of_a_conv(-1), **REACHED),
    Trap("a conv filter: dead", filters_of_a_conv(1), rectified="reached", **warned("EmptyMapWarning")),
    Trap("conv filters: all", filters_of_a_conv(None), **REACHED),
    Trap("a conv filter: out of range by one", filters_of_a_conv(4), **of_conv("-4 to 3")),
    Trap("a conv filter: out of range by one, from the end", filters_of_a_conv(-5), **of_conv("-4 to 3")),
]
