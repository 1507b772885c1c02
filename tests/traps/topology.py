"""Topology: ways to build a model, and to name what is explained in it."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from tests import native
from tests.traps.oracle import Written, flat
from tests.traps.trap import IMAGE, SHAPE, Case, Trap, dense, drawn


def conv(filters: int = 4, activation: str | None = "relu", **kwargs: Any) -> Any:
    """Return a convolution that keeps the places."""
    return layers.Conv2D(
        filters, 3, padding="same", activation=activation, bias_initializer="normal", **kwargs
    )


def chain(*stack: Any, name: str | None = None, shape: tuple[int | None, ...] = SHAPE) -> keras.Model:
    """Return a functional model of layers one after the other."""
    entry = x = keras.Input(shape)
    for layer in stack:
        x = layer(x)
    return keras.Model(entry, x, name=name)


def sequential(*stack: Any, name: str | None = None) -> keras.Model:
    return keras.Sequential([layers.Input(SHAPE), *stack], name=name)


def head(units: int = 3) -> list[Any]:
    return [layers.Flatten(), layers.Dense(units)]


def functional_in_functional() -> Case:
    last = layers.Activation("relu")
    inner = chain(conv(), conv(3, None), last, name="inner")
    return Case(chain(chain(inner, name="middle"), *head()), found=last)


def sequential_in_sequential() -> Case:
    last = layers.ReLU()
    inner = sequential(sequential(conv()), conv(3, None), last)
    return Case(sequential(inner, *head()), found=last)


def named_inside(below: str, name: str, backbone: str, layer: str) -> Callable[[], Case]:
    """Return what builds a model whose target lies in a nested one: what follows it plays no part."""

    def build() -> Case:
        first, second = conv(name=below), conv(3, None, name=name)
        model = sequential(sequential(first, second, layers.ReLU(), name=backbone), *head(2))
        return Case(model, layer=layer, target=second, found=first, plain=False)

    return build


def equal_names(layer: str) -> Callable[[], Case]:
    def build() -> Case:
        below, inside, outside = conv(), conv(3, None, name="conv"), conv(5, None, name="conv")
        last = layers.ReLU()
        model = sequential(sequential(below, inside, last, name="inner"), outside)
        if layer == "conv":  # the name alone means the layer of the model itself
            return Case(model, layer=layer, target=outside, found=last)
        return Case(model, layer=layer, target=inside, found=below, plain=False)

    return build


def siamese() -> Case:
    """Both inputs through the same layers; each has its own map."""
    first, end = conv(), layers.Dense(3)
    encoder = sequential(first, layers.Flatten(), name="encoder")
    left, right = keras.Input(SHAPE, name="left"), keras.Input(SHAPE, name="right")
    model = keras.Model([left, right], end(layers.Multiply()([encoder(left), encoder(right)])))
    return Case(
        model,
        [IMAGE, IMAGE[::-1].copy()],
        lambda w, a, b: w.run(end, w.run(encoder, a) * w.run(encoder, b)),
        places=first,
    )


def two_inbound_nodes(as_target: bool) -> Callable[[], Case]:
    """Return what builds a model with a layer that is called in another model too."""

    def build() -> Case:
        shared, below = conv(3, None), conv(3)
        other = keras.Input((8, 8, 3))
        keras.Model(other, shared(other))
        if as_target:
            return Case(chain(below, shared), layer=shared, found=below)
        last = layers.ReLU()
        return Case(chain(below, shared, last, *head()), found=last)

    return build


def around_wrt(name: str) -> Callable[[], Case]:
    """Return what builds x -> c; relu(c) -> h; relu(c + h) -> end, where c goes around h."""

    def build() -> Case:
        c, h, act, end = conv(3, None), conv(3, None), layers.ReLU(), layers.Dense(3)
        entry = keras.Input(SHAPE)
        low = c(entry)
        model = keras.Model(entry, end(layers.Flatten()(act(layers.Add()([low, h(layers.ReLU()(low))])))))

        def forward(w: Written, x: Any) -> Any:
            low = w.run(c, x)
            return w.run(end, flat(w.relu(low + w.run(h, w.relu(low)))))

        return Case(model, forward=forward, wrt={"c": c, "h": h}[name], plain=False)

    return build


def augmentation() -> Case:
    """At inference the random layers pass the picture on; its values are those of pixels."""
    first = conv()
    model = sequential(
        layers.RandomFlip("horizontal", seed=1),
        layers.RandomRotation(0.2, seed=1),
        layers.RandomTranslation(0.2, 0.2, seed=1),
        layers.GaussianNoise(1.0, seed=1),
        layers.Rescaling(1 / 127.5, offset=-1),
        first,
        *head(),
    )
    pixels = np.random.default_rng(1).uniform(0, 255, SHAPE).astype(np.float32)

    def forward(w: Written, x: Any) -> Any:
        return w.run(model.layers[-3:], x / 127.5 - 1)

    return Case(model, pixels, forward, found=first)


def norm_and_dropout() -> Case:
    first, norm = conv(activation=None), layers.BatchNormalization()
    last = layers.ReLU()
    model = sequential(first, norm, last, layers.Dropout(0.8), *head())
    values = [1, -2, 0.5, 3], [0.1, 0, -0.3, 0], [0.1, -0.2, 0.3, 0], [0.5, 2, 1, 4]
    norm.set_weights([np.float32(value) for value in values])
    return Case(model, found=last)


def without_input() -> Case:
    """It has no shape and no weights until an input is given."""
    first = conv()
    return Case(keras.Sequential([first, *head()]), places=first)


def reloaded() -> Case:
    """What the original has written out is the oracle of what comes back."""
    original = sequential(sequential(conv(name="conv"), name="backbone"), *head())
    with tempfile.TemporaryDirectory() as folder:
        original.save(Path(folder) / "model.keras")
        model = keras.models.load_model(Path(folder) / "model.keras")
    first = original.get_layer("backbone").get_layer("conv")
    return Case(model, forward=lambda w, x: w.run(original, x), found=first)


class Net(keras.Model):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.flatten, self.end = conv(name="first"), *head()

    def call(self, x: Any) -> Any:
        return self.end(self.flatten(self.first(x)))


def subclassed(called: bool = True, places: bool = True) -> Callable[[], Case]:
    def build() -> Case:
        model = Net()
        if called:
            model(IMAGE[None])
        return Case(model, **{"places" if places else "found": model.first})

    return build


def subclassed_inside_functional() -> Case:
    net, below = Net(), conv(3, None)
    return Case(chain(below, net, layers.Dense(3)), found=net.first)


class Opaque(layers.Layer):
    """A layer that cannot be saved: its argument is no part of a config."""

    def __init__(self, function: Any) -> None:
        super().__init__()
        self.function = function

    def call(self, x: Any) -> Any:
        return self.function(x)

    def get_config(self) -> Any:
        raise NotImplementedError


def holding(make: Callable[[Any], Any], function: Any, forward: Callable[[Written, Any], Any]) -> Any:
    """Return what builds a model with a layer made of a function."""

    def build() -> Case:
        first, layer, (flatten, end) = conv(activation=None), make(function), head()
        model = sequential(first, layer, flatten, end)
        return Case(model, forward=lambda w, x: w.run(end, flat(forward(w, w.run(first, x)))), places=first)

    return build


def compiled_strangely() -> Case:
    class Strange(keras.losses.Loss):
        def call(self, y_true: Any, y_pred: Any) -> Any:
            raise AssertionError("nothing asks for this loss")

    case = sequential_in_sequential()
    case.model.compile("adam", Strange(), metrics=[lambda y_true, y_pred: y_pred, Strange()])
    return case


def frozen() -> Case:
    case = functional_in_functional()
    case.model.trainable = False
    return case


def ending_in_an_operation() -> Case:
    """It is no layer, so the model itself is the target."""
    first, end = conv(), layers.Dense(3)
    entry = keras.Input(SHAPE)
    model = keras.Model(entry, ops.square(end(layers.Flatten()(first(entry)))) + 1.0)
    return Case(
        model,
        forward=lambda w, x: w.run([first, layers.Flatten(), end], x) ** 2 + 1,
        layer=model,
        found=first,
    )


def stateful() -> Case:
    """The state that the user left is where it starts, and it is left where it was."""
    kernels = {"kernel_initializer": drawn, "recurrent_initializer": drawn, "bias_initializer": "ones"}
    rnn = layers.SimpleRNN(4, "relu", stateful=True, unroll=True, **kernels)
    model = keras.Sequential([keras.Input(batch_shape=(1, 5, 4)), rnn, dense(3)])
    rnn.states[0].assign([[0.5, 1.0, 2.0, 0.0]])

    def forward(w: Written, x: Any) -> Any:
        cell, state = rnn.cell, ops.convert_to_tensor(rnn.states[0].numpy())
        for t in range(5):
            state = w.relu(x[:, t] @ cell.kernel + cell.bias + state @ cell.recurrent_kernel)
        return w.run(model.layers[-1], state)

    return Case(model, IMAGE[..., 0].copy(), forward, plain=False, states=tuple(rnn.states))


def called_twice() -> Case:
    twice = conv(3, name="twice")
    entry = keras.Input(SHAPE)
    return Case(keras.Model(entry, twice(twice(entry))), layer="twice")


def refused(error: str) -> dict[str, str]:
    return dict.fromkeys(("saliency", "guided", "cam", "explainers"), f"refused: {error}")


REACHED = {"guided": "reached"}
TWICE = dict.fromkeys(
    ("saliency", "guided", "rectified", "CAM", "explainers"), ("'twice' is called 2 times",)
)

TRAPS = [
    Trap("Functional in Functional", functional_in_functional, **REACHED),
    Trap("Sequential in Sequential", sequential_in_sequential, **REACHED),
    Trap("a layer of a nested model", named_inside("a", "conv5", "backbone", "backbone/conv5"), **REACHED),
    Trap(
        "a backbone whose name has dots",
        named_inside("conv.0", "conv.1", "convnext_tiny.fb.in1k", "convnext_tiny.fb.in1k/conv.1"),
        **REACHED,
        # PyTorch refuses such a name.
        on={"torch": dict.fromkeys(("saliency", "guided", "cam", "explainers"), "-")},
    ),
    Trap("equal names on two levels: the upper by its name", equal_names("conv"), **REACHED),
    Trap("equal names on two levels: the lower by its path", equal_names("inner/conv"), **REACHED),
    Trap("shared (siamese) encoder", siamese, **REACHED, cam="refused: LayerError"),
    Trap("a layer with two inbound nodes", two_inbound_nodes(False), **REACHED),
    Trap("a layer with two inbound nodes as the target", two_inbound_nodes(True), **REACHED),
    Trap("a layer called twice as the target", called_twice, **refused("LayerError"), says=TWICE),
    Trap("a skip connection around the wrt tensor", around_wrt("h"), **REACHED, cam="-"),
    Trap("a skip connection from the wrt tensor", around_wrt("c"), **REACHED, cam="-"),
    Trap("augmentation and Rescaling layers inside", augmentation, **REACHED),
    Trap("BatchNormalization and Dropout", norm_and_dropout, **REACHED),
    Trap("Sequential without Input", without_input, **REACHED, explainers="refused: ModelError", fresh=True),
    Trap("reloaded from .keras", reloaded, **REACHED),
    Trap("subclassed", subclassed(), **REACHED),
    Trap(
        "subclassed, its convolution not named",
        subclassed(places=False),
        **REACHED,
    ),
    Trap(
        "subclassed, never called",
        subclassed(called=False),
        **REACHED,
        explainers="refused: ModelError",
        fresh=True,
    ),
    Trap("subclassed inside Functional", subclassed_inside_functional, **REACHED),
    Trap(
        "a custom layer without get_config",
        holding(Opaque, lambda x: 2.0 * native.relu(x), lambda w, x: 2.0 * w.relu(x)),
        **REACHED,
    ),
    Trap(
        "Lambda", holding(layers.Lambda, lambda x: ops.relu(x) ** 2, lambda w, x: w.relu(x) ** 2), **REACHED
    ),
    Trap("a model that ends in an operation of keras.ops", ending_in_an_operation, **REACHED),
    Trap("compiled with an unknown custom loss and metric", compiled_strangely, **REACHED),
    Trap("frozen", frozen, **REACHED),
    Trap("never compiled", sequential_in_sequential, **REACHED),
    Trap("a stateful RNN", stateful, **REACHED, cam="refused: LayerError"),
]
