"""Wrong calls: each raises the error that is declared for it, in the library's own words, and leaves nothing.

A table with a row per wrong call. Every public name and every command of the command line has at least one.
After each row a correct call on the same model still gives the map that a plain tape gives.
"""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops
from PIL import Image

import vis
from tests import native
from tests.reliability.scale import NIGHTLY
from vis import (
    attributions,
    backprop_modifiers,
    callbacks,
    cli,
    files,
    grad_modifiers,
    input_modifiers,
    losses,
    metrics,
    optimizer,
    parameterizations,
    plotting,
    regularizers,
)
from vis.attributions import operators, store
from vis.errors import (
    FilterError,
    GradientError,
    InputError,
    LayerError,
    ModelError,
    ModifierError,
    VisError,
)
from vis.utils import utils

# Seconds after which a call is taken for one that never returns.
_PATIENCE = 30

X = np.random.default_rng(3).normal(size=(4, 6, 5, 3)).astype(np.float32)
IMAGE, Y = X[0], np.array([0, 2, 1, 1])


# ---- models --------------------------------------------------------------------------------------------


@functools.cache
def net() -> Any:
    keras.utils.set_random_seed(7)
    model = keras.Sequential(
        [
            layers.Input((6, 5, 3)),
            layers.Conv2D(4, 3, activation="relu", bias_initializer="ones", name="conv"),
            layers.Flatten(name="flat"),
            layers.Dense(6, "relu", bias_initializer="ones", name="dense"),
            layers.Dense(3, name="end"),
        ],
        name="net",
    )
    return model


@functools.cache
def other() -> Any:
    return keras.Sequential([layers.Input((6, 5, 3)), layers.Flatten(), layers.Dense(3, name="foreign")])


@functools.cache
def linear() -> Any:
    return keras.Sequential([layers.Input((6, 5, 3)), layers.Flatten(), layers.Dense(3)], name="linear")


@functools.cache
def vector() -> Any:
    return keras.Sequential([layers.Input((4,)), layers.Dense(3, "relu"), layers.Dense(2)], name="vector")


@functools.cache
def two() -> Any:
    image, table = keras.Input((6, 5, 3), name="image"), keras.Input((2,), name="table")
    flat = layers.Concatenate()([layers.Flatten()(layers.Conv2D(2, 3)(image)), table])
    return keras.Model([image, table], layers.Dense(3)(flat), name="two")


@functools.cache
def named() -> Any:
    image, table = keras.Input((6, 5, 3), name="image"), keras.Input((2,), name="table")
    flat = layers.Concatenate()([layers.Flatten()(image), table])
    return keras.Model({"image": image, "table": table}, layers.Dense(3)(flat), name="named")


@functools.cache
def tokens() -> Any:
    inputs = keras.Input((5,), dtype="int32", name="tokens")
    embedded = layers.Embedding(10, 3, name="embedding")(inputs)
    return keras.Model(inputs, layers.Dense(2)(layers.Flatten()(embedded)), name="words")


@functools.cache
def forked() -> Any:
    inputs = keras.Input((6, 5, 3))
    flat = layers.Flatten()(layers.Conv2D(2, 3)(inputs))
    return keras.Model(inputs, [layers.Dense(2, name="left")(flat), layers.Dense(2, name="right")(flat)])


@functools.cache
def severed() -> Any:
    """No gradient leads through a comparison."""
    inputs = keras.Input((6, 5, 3))
    end = layers.Dense(3)(ops.cast(layers.Flatten()(inputs) > 0.5, "float32"))
    return keras.Model(inputs, end, name="severed")


@functools.cache
def spoiled() -> Any:
    model = keras.models.clone_model(net())
    model.layers[-1].kernel.assign(np.full((6, 3), np.nan))
    return model


@functools.cache
def any_size() -> Any:
    return keras.Sequential([layers.Input((None, None, 3)), layers.Conv2D(2, 3), layers.ReLU()], name="any")


@functools.cache
def plain() -> Any:
    """A convolution without any activation."""
    stack = [layers.Input((6, 5, 3)), layers.Conv2D(2, 3), layers.Flatten(), layers.Dense(3)]
    return keras.Sequential(stack, name="plain")


@functools.cache
def behind() -> Any:
    """Its convolution comes after the layer that is asked about."""
    stack = [layers.Input((6, 5, 3)), layers.MaxPooling2D(1, name="first"), layers.Conv2D(2, 3, name="conv")]
    return keras.Sequential(stack, name="behind")


@functools.cache
def folded() -> Any:
    """A vector that becomes a picture inside."""
    stack = [
        layers.Input((90,)),
        layers.Reshape((6, 5, 3)),
        layers.Conv2D(2, 3),
        layers.Flatten(),
        layers.Dense(3),
    ]
    return keras.Sequential(stack, name="folded")


@functools.cache
def any_channels() -> Any:
    return keras.Sequential([layers.Input((6, 5, None)), layers.ReLU()], name="any_channels")


@functools.cache
def fixed() -> Any:
    inputs = keras.Input(batch_shape=(4, 6, 5, 3))
    return keras.Model(inputs, layers.Dense(3)(layers.Flatten()(inputs)), name="fixed")


class Subclassed(keras.Model):
    def __init__(self) -> None:
        super().__init__(name="subclassed")
        self.end = layers.Dense(3)

    def call(self, x: Any) -> Any:
        return self.end(ops.reshape(x, (-1, 90)))


@functools.cache
def subclassed() -> Any:
    model = Subclassed()
    model(X)
    return model


def ensemble() -> Any:
    entry = keras.Input((3,))
    parts = [layers.Dense(2, activation="softmax")(entry) for _ in range(2)]
    return keras.Model(entry, layers.Average()(parts))


def unbuilt() -> Any:
    return keras.Sequential([layers.Flatten(), layers.Dense(3)], name="unbuilt")


# ---- what is wrong about a call ------------------------------------------------------------------------


def loss_returning(value: Any, name: str = "mine") -> Any:
    class Mine(losses.Loss):
        def build_loss(self) -> Any:
            return value() if callable(value) else value

    Mine.name = name
    return Mine()


def good_loss(model: Any = None) -> Any:
    return losses.ActivationMaximization((model or net()).layers[-1], 1)


class Still(callbacks.OptimizerCallback):
    def callback(self, i: int, named_losses: Any, overall_loss: Any, grads: Any, wrt_value: Any) -> None:
        pass


def with_value(value: float) -> Any:
    array = IMAGE.copy()
    array[2, 3, 1] = value
    return array


def ragged() -> list[Any]:
    return [[[1.0, 2.0], [3.0]], [[4.0]]]


def objects() -> Any:
    array = np.empty((6, 5, 3), object)
    array[:] = "x"
    return array


class Modified(attributions.ModifiedGradient):
    modifier = "gided"


class Cropping(input_modifiers.InputModifier):
    def pre(self, inp: Any) -> Any:
        return inp[:, 1:]


class Bad:
    """An object without anything that an array has."""


class Fitted:
    """A regressor with some coefficients."""

    def __init__(self, coefficients: Any) -> None:
        self.coef_ = coefficients

    def fit(self, x: Any, y: Any, sample_weight: Any) -> None: ...


# Of each file its size and when it was written.
Contents = dict[str, tuple[int, int]]


@dataclass(frozen=True)
class Row:
    """A wrong call: what it is about, the call, the class of the error, and words of its message."""

    name: str
    about: str
    call: Callable[[Path], Any]
    error: type[Exception]
    words: tuple[str, ...]


TABLE: list[Row] = []


def row(about: str, name: str, error: type[Exception], words: Any, call: Callable[[Path], Any]) -> None:
    given = (words,) if isinstance(words, str) else tuple(words)
    TABLE.append(Row(f"{about}: {name}", about, call, error, given))


# A row has few lines, or nobody reads the table.
# fmt: off

SHAPE = ("must have shape (6, 5, 3)", "Received: shape")
REAL = ("must hold real numbers", "Received:", "Pass an array of shape (6, 5, 3)")
FINITE = ("NaN or infinite", "(2, 3, 1)", "numpy.nan_to_num")
# Seed inputs of a model of one picture (6, 5, 3).
SEEDS: dict[str, tuple[Callable[[], Any], tuple[str, ...]]] = {
    "None": (lambda: None, REAL),
    "a string": (lambda: "cat.png", REAL),
    "bytes": (lambda: b"\x89PNG", REAL),
    "a path": (lambda: Path("cat.png"), REAL),
    "strings": (lambda: np.full((6, 5, 3), "x"), REAL),
    "objects": (objects, REAL),
    "complex numbers": (lambda: IMAGE.astype(complex), REAL),
    "dates": (lambda: np.zeros((6, 5, 3), "datetime64[s]"), REAL),
    "a plain object": (Bad, REAL),
    "a set": (lambda: {1.0, 2.0}, REAL),
    "ragged lists": (ragged, ("is not an array", "Pass one of shape (6, 5, 3)")),
    "an empty list": (list, SHAPE),
    "a number": (lambda: 3.0, SHAPE),
    "a transposed picture": (lambda: IMAGE.transpose(1, 0, 2), SHAPE),
    "one channel": (lambda: IMAGE[..., :1], SHAPE),
    "two axes": (lambda: IMAGE[..., 0], SHAPE),
    "five axes": (lambda: IMAGE[None, None], SHAPE),
    "no row": (lambda: IMAGE[:0], SHAPE),
    "NaN": (lambda: with_value(np.nan), FINITE),
    "infinity": (lambda: with_value(np.inf), FINITE),
    "too large for float32": (
        lambda: with_value(1.0).astype(np.float64) * 1e39,
        ("NaN or infinite", "float32"),
    ),
    "a dict of other names": (
        lambda: {"picture": IMAGE},
        ("takes the inputs", "'picture'", "Name each input once"),
    ),
    "a symbolic tensor": (lambda: net().inputs[0], ("is not an array", "Pass one of shape (6, 5, 3)")),
}


def convolution() -> Any:
    return net().get_layer("conv")


def made_of(parameterization: Any, **given: Any) -> Any:
    return vis.visualize_activation(net(), -1, 1, parameterization=parameterization, max_iter=1, **given)


def gif(path: Path) -> None:
    generator = callbacks.GifGenerator(path)
    generator.callback(0, [], 0, None, X[:1])
    generator.on_end()


def seed_activation(model: Any, layer: Any, chosen: Any, seed: Any, **given: Any) -> Any:
    return vis.visualize_activation(model, layer, chosen, seed_input=seed, max_iter=1, **given)


def rows_of_verb(about: str, call: Callable[..., Any], random_start: bool = False) -> None:
    """Add what is wrong in the same way in each of the verbs, `call(model, layer, filters, seed, ...)`."""
    for what, (make, words) in SEEDS.items():
        if not (random_start and what == "None"):
            row(about, f"seed_input is {what}", InputError, words,
                lambda d, make=make: call(net(), -1, 1, make()))
    row(about, "a batch", InputError, ("takes one input at a time", "batch of 4", "explain(batch)"),
        lambda d: call(net(), -1, 1, X))
    models = {
        "a string": "model.keras",
        "None": None,
        "a layer": layers.Dense(2),
        "a class": keras.Model,
        "an array": X,
    }
    for what, model in models.items():
        row(about, f"the model is {what}", ModelError,
            ("Expected a keras.Model. Received:", "Load or build the model first"),
            lambda d, model=model: call(model, -1, 1, IMAGE))
    for what, name, words in (
        ("an unknown layer", "cnv", ("has no layer 'cnv'", "Did you mean 'conv'", "It has 4 layers")),
        ("a path too deep", "conv/inside", ("has no layer 'conv/inside'", "It has 4 layers")),
        ("an empty layer name", "", ("has no layer ''", "It has 4 layers")),
        ("a layer index out of range", 9, ("Layer index 9 is out of range", "-4 to 3")),
        ("a layer that is None", None, ("Name a layer by its index, its name", "Received: None")),
        ("a layer that is a float", 1.5, ("Name a layer by its index, its name", "Received: 1.5")),
        ("a layer that is a list", [1], ("Name a layer by its index, its name", "Received: [1]")),
        ("a layer that is NaN", np.nan, ("Name a layer by its index, its name", "Received: nan")),
        ("a layer that is an array", np.arange(2), ("Name a layer by its index, its name", "Received:")),
        ("a layer that is an image", np.zeros((9, 9, 3)), ("Received: <float64 (9, 9, 3), 0>",)),
    ):
        row(about, what, LayerError, words, lambda d, name=name: call(net(), name, 1, IMAGE))
    row(about, "a layer of another model", LayerError,
        ("'foreign' is not part of the model 'net'", "Pass a layer of this model"),
        lambda d: call(net(), other().layers[-1], 1, IMAGE))
    for index in (3, -4, 10**30):
        row(about, f"filter {index}", FilterError,
            (f"Filter index {index} is out of range", "3 filters", "-3 to 2"),
            lambda d, index=index: call(net(), -1, index, IMAGE))
    for filters in (1.0, "1", True, np.nan, ["a"], {0.5: 1}, [[0, 1], [2]]):
        row(about, f"filters {filters!r}", FilterError,
            ("Filter indices of the layer 'end' must be integers", f"Received: {filters!r}"),
            lambda d, filters=filters: call(net(), -1, filters, IMAGE))
    row(about, "an image in place of filters", FilterError, ("Received: <float64 (8, 8, 3), 1>.",),
        lambda d: call(net(), -1, np.ones((8, 8, 3)), 1))
    row(about, "no filter", FilterError,
        ("No filter of the layer 'end' is chosen", "Received: []", "None for all"),
        lambda d: call(net(), -1, [], IMAGE))
    row(about, "an unknown grad_modifier", ModifierError,
        ("Unknown gradient modifier: 'absolut'", "Did you mean 'absolute'", "Valid names"),
        lambda d: call(net(), -1, 1, IMAGE, grad_modifier="absolut"))
    row(about, "a grad_modifier that is none", ModifierError, ("Not a gradient modifier", "Received: 3"),
        lambda d: call(net(), -1, 1, IMAGE, grad_modifier=3))
    results = {
        "another shape": lambda g: g[..., :1],
        "NaN": lambda g: g * np.nan,
        "None": lambda g: None,
        "strings": lambda g: g.astype(str),
    }
    for what, made in results.items():
        row(about, f"a grad_modifier that returns {what}", ModifierError,
            ("A gradient modifier must return finite numbers in the shape", "Received from"),
            lambda d, made=made: call(net(), -1, 1, IMAGE, grad_modifier=made))
    row(about, "an unknown backprop_modifier", ModifierError,
        ("Unknown backprop modifier: 'gided'", "Did you mean 'guided'", "Valid names"),
        lambda d: call(net(), -1, 1, IMAGE, backprop_modifier="gided"))
    row(about, "a backprop_modifier of two arguments", ModifierError,
        ("must take four arguments", "Received:"),
        lambda d: call(net(), -1, 1, IMAGE, backprop_modifier=lambda x, y: x))
    row(about, "a backprop_modifier without activations", ModifierError,
        ("reaches no activation of the model 'plain'", "ReLU", "backprop_modifier=None"),
        lambda d: call(plain(), -1, 1, IMAGE, backprop_modifier="guided"))
    rules = {
        "None": lambda x, y, grad, true_grad: None,
        "another shape": lambda x, y, grad, true_grad: ops.sum(true_grad),
        "a string": lambda x, y, grad, true_grad: "x",
    }
    for what, rule in rules.items():
        row(about, f"a backprop_modifier that returns {what}", ModifierError, ("rule", "Received", "shape"),
            lambda d, rule=rule: call(net(), -1, 1, IMAGE, backprop_modifier=rule))


rows_of_verb("vis.visualize_saliency", vis.visualize_saliency)
rows_of_verb("vis.visualize_cam", vis.visualize_cam)
rows_of_verb("vis.visualize_activation", seed_activation, random_start=True)

row("vis.visualize_saliency", "no input", TypeError, "missing 1 required",
    lambda d: vis.visualize_saliency(net(), -1, 1))
row("vis.visualize_saliency", "wrt_tensor is no name", LayerError,
    ("no layer 'cnov'", "Did you mean 'conv'"),
    lambda d: vis.visualize_saliency(net(), -1, 1, IMAGE, wrt_tensor="cnov"))
row("vis.visualize_saliency", "wrt_tensor is an array", LayerError,
    ("Name a layer by", "a symbolic tensor", "Received:"),
    lambda d: vis.visualize_saliency(net(), -1, 1, IMAGE, wrt_tensor=IMAGE))
row("vis.visualize_saliency", "wrt_tensor of another model", LayerError, ("not", "model 'net'"),
    lambda d: vis.visualize_saliency(net(), -1, 1, IMAGE, wrt_tensor=other().layers[-1].output))
row("vis.visualize_saliency", "wrt_tensor behind the layer", GradientError,
    ("No path leads from the loss", "Choose a layer after it"),
    lambda d: vis.visualize_saliency(net(), "conv", 1, IMAGE, wrt_tensor=net().layers[-1].output))
row("vis.visualize_saliency", "tokens", InputError,
    ("no gradient with respect to an integer", "int32", "wrt='"),
    lambda d: vis.visualize_saliency(tokens(), -1, 1, np.arange(5)))
row("vis.visualize_saliency", "tokens that are not integers", InputError,
    ("takes integers (int32)", "Received: float64", "token or category numbers"),
    lambda d: vis.visualize_saliency(tokens(), -1, 1, np.arange(5) / 2))
row("vis.visualize_saliency", "a token that the embedding lacks", InputError, ("token", "10"),
    lambda d: vis.visualize_saliency(tokens(), -1, 1, np.full(5, 10), wrt_tensor=tokens().layers[1].output))
row("vis.visualize_saliency", "no path to the input", GradientError,
    ("No path leads from the loss", "to the input", "argmax"),
    lambda d: vis.visualize_saliency(severed(), -1, 1, IMAGE))
row("vis.visualize_saliency", "NaN weights", GradientError, ("NaN or infinite", "Look for NaN weights"),
    lambda d: vis.visualize_saliency(spoiled(), -1, 1, IMAGE))
row("vis.visualize_saliency", "one of two inputs", InputError,
    ("takes 2 inputs: 'image', 'table'", "Received: ndarray", "Pass a list in this order"),
    lambda d: vis.visualize_saliency(two(), -1, 1, IMAGE))
row("vis.visualize_saliency", "a list of one of two inputs", InputError,
    ("takes 2 inputs", "Received: 1 items"), lambda d: vis.visualize_saliency(two(), -1, 1, [IMAGE]))
row("vis.visualize_saliency", "two inputs in the wrong order", InputError,
    ("'image' must have shape (6, 5, 3)", "Received: shape (2,)"),
    lambda d: vis.visualize_saliency(two(), -1, 1, [np.ones(2), IMAGE]))
row("vis.visualize_saliency", "a dict that lacks an input", InputError,
    ("takes the inputs 'image', 'table'", "keys 'image'", "Name each input once"),
    lambda d: vis.visualize_saliency(two(), -1, 1, {"image": IMAGE}))
row("vis.visualize_saliency", "a list for a dict", InputError,
    ("takes a dict of inputs with the keys 'image', 'table'", "Received: list", "Pass a dict"),
    lambda d: vis.visualize_saliency(named(), -1, 1, [IMAGE, np.ones(2)]))
row("vis.visualize_saliency", "two inputs of a subclassed model", ModelError,
    ("is subclassed", "several input arrays", "Wrap it"),
    lambda d: vis.visualize_saliency(subclassed(), -1, 1, [X, X]))
row("vis.visualize_saliency", "a subclassed model and another shape", InputError, ("shape", "5, 5, 3"),
    lambda d: vis.visualize_saliency(subclassed(), -1, 1, IMAGE[:5]))
row("vis.visualize_saliency", "an unbuilt model and a string", InputError,
    ("must hold real numbers", "Received:"), lambda d: vis.visualize_saliency(unbuilt(), -1, 1, "cat.png"))


# ---- losses of one's own, and the verbs that take them --------------------------------------------------

PAIRS: dict[str, tuple[Callable[[], Any], tuple[str, ...]]] = {
    "None": (lambda: None, ("Losses must be a list of pairs", "Received: None")),
    "a loss": (good_loss, ("Losses must be a list of pairs", "Received:")),
    "a list of losses": (lambda: [good_loss()], ("Losses must be a list of pairs", "Received:")),
    "a list of strings": (lambda: ["ab"], ("Losses must be a list of pairs", "Received:")),
    "an empty list": (list, ("There is no loss", "Received: an empty list", "Pass [(loss, weight)]")),
    "a word for a loss": (
        lambda: [("end", 1)],
        ("object of a subclass of vis.losses.Loss", "Received: 'end'"),
    ),
    "a weight of NaN": (lambda: [(good_loss(), np.nan)], ("weight of the loss", "must be finite", "nan")),
    "an infinite weight": (lambda: [(good_loss(), np.inf)], ("weight of the loss", "must be finite", "inf")),
    "a weight of words": (lambda: [(good_loss(), "much")], ("Losses must be a list of pairs", "Received:")),
    "a weight of None": (lambda: [(good_loss(), None)], ("Losses must be a list of pairs", "Received:")),
}
NONSENSE: dict[str, tuple[Any, tuple[str, ...]]] = {
    "None": (None, ("build_loss() of the loss 'mine' must return a numeric keras.ops", "Received: None")),
    "a number": (1.5, ("must return a numeric keras.ops", "Received: 1.5 of type float")),
    "a string": ("end", ("must return a numeric keras.ops", "Received: 'end' of type str")),
    "an array": (IMAGE, ("must return a numeric keras.ops", "an array of NumPy of shape")),
    "a tensor with a value": (lambda: ops.zeros(3), ("must return a numeric keras.ops", "Received:")),
    "a tuple": (lambda: (net().layers[-1].output,), ("must return a numeric keras.ops", "tuple")),
    "a layer": (lambda: net().layers[-1], ("must return a numeric keras.ops", "Dense")),
    "a tensor of another model": (lambda: other().layers[-1].output, ("mine", "model")),
    "words": (lambda: ops.cast(net().layers[-1].output, "string"), ("mine", "numeric")),
}


def saliency_of_losses(pairs: Any) -> Any:
    return vis.visualize_saliency_with_losses(net(), pairs, IMAGE)


def cam_of_losses(pairs: Any) -> Any:
    return vis.visualize_cam_with_losses(net(), pairs, IMAGE, net().get_layer("conv"))


def activation_of_losses(pairs: Any) -> Any:
    return vis.visualize_activation_with_losses(net(), pairs, max_iter=1)


def minimized(pairs: Any) -> Any:
    return optimizer.Optimizer(net(), pairs).minimize(max_iter=1, verbose=False)


for about, of_losses in {
    "vis.visualize_saliency_with_losses": saliency_of_losses,
    "vis.visualize_cam_with_losses": cam_of_losses,
    "vis.visualize_activation_with_losses": activation_of_losses,
    "vis.optimizer.Optimizer": minimized,
}.items():
    for what, (make, words) in PAIRS.items():
        row(about, f"losses are {what}", GradientError, words, lambda d, f=of_losses, make=make: f(make()))
for about, of_losses in {"vis.Loss": saliency_of_losses, "vis.losses.Loss": activation_of_losses}.items():
    for what, (value, words) in NONSENSE.items():
        row(about, f"build_loss returns {what}", GradientError, words,
            lambda d, f=of_losses, value=value: f([(loss_returning(value), 1)]))
    row(about, "the loss is NaN", GradientError,
        ("mine", "NaN or infinite") if "losses" not in about else ("The loss is nan", "mine"),
        lambda d, f=of_losses: f([(loss_returning(lambda: net().layers[-1].output * np.nan), 1)]))
row("vis.Loss", "without build_loss", TypeError, ("abstract", "build_loss"), lambda d: vis.Loss())
row("vis.Loss", "build_loss raises", ZeroDivisionError, "division",
    lambda d: saliency_of_losses([(loss_returning(lambda: 1 / 0), 1)]))

SYMBOLS: dict[str, Callable[[], Any]] = {
    "None": lambda: None,
    "a string": lambda: "model.keras",
    "an array": lambda: IMAGE,
    "the output of a layer": lambda: net().get_layer("conv").output,
    "a layer": lambda: net().get_layer("conv"),
    "an empty list": list,
}
for what, make in SYMBOLS.items():
    words = ("Expected a Keras model or its symbolic input, model.input. Received:",)
    row("vis.visualize_saliency_with_losses", f"input_tensor is {what}", ModelError, words,
        lambda d, make=make: vis.visualize_saliency_with_losses(make(), [(good_loss(), -1)], IMAGE))
    row("vis.visualize_cam_with_losses", f"input_tensor is {what}", ModelError, words,
        lambda d, make=make: vis.visualize_cam_with_losses(make(), [(good_loss(), -1)], IMAGE, convolution()))
    row("vis.visualize_activation_with_losses", f"input_tensor is {what}", ModelError, words,
        lambda d, make=make: vis.visualize_activation_with_losses(make(), [(good_loss(), 1)], max_iter=1))
    row("vis.optimizer.Optimizer", f"input_tensor is {what}", ModelError, words,
        lambda d, make=make: optimizer.Optimizer(make(), [(good_loss(), 1)]))
row("vis.visualize_saliency_with_losses", "an input of another model", GradientError,
    ("cannot be computed from input_tensor", "They need:", "Pass all inputs"),
    lambda d: vis.visualize_saliency_with_losses(other().inputs[0], [(good_loss(), -1)], IMAGE))
row("vis.visualize_saliency_with_losses", "one input of two", GradientError,
    ("cannot be computed from input_tensor", "'table'", "Pass all inputs"),
    lambda d: vis.visualize_saliency_with_losses(two().inputs[0], [(good_loss(two()), -1)], IMAGE))
row("vis.visualize_saliency_with_losses", "a loss of another model", LayerError,
    ("'foreign'", "model 'net'", "Choose the layer"),
    lambda d: vis.visualize_saliency_with_losses(net(), [(good_loss(other()), -1)], IMAGE))
for what, layer, words in (
    ("no name", "cnov", ("no layer 'cnov'", "Did you mean 'conv'")),
    ("no index", 99, ("index 99 is out of range",)),
    ("None", None, ("needs a layer", "Received: conv_layer=None")),
):
    row("vis.visualize_cam_with_losses", f"conv_layer is {what}", LayerError, words,
        lambda d, layer=layer: vis.visualize_cam_with_losses(net(), [(good_loss(), -1)], IMAGE, layer))
row("vis.visualize_cam_with_losses", "a name beside a symbolic input", LayerError,
    ("conv_layer must be a layer or a symbolic tensor", "Received: 'conv'", "pass the model"),
    lambda d: vis.visualize_cam_with_losses(other().inputs, [(good_loss(), -1)], IMAGE, "conv"))
row("vis.visualize_cam_with_losses", "a layer of another model", LayerError, ("foreign", "model 'net'"),
    lambda d: vis.visualize_cam_with_losses(net(), [(good_loss(), -1)], IMAGE, other().layers[-1]))
row("vis.visualize_cam", "a layer without positions", LayerError,
    ("'dense' has no positions", "(6,)", "Choose a convolution"),
    lambda d: vis.visualize_cam(net(), -1, 1, IMAGE, "dense"))
row("vis.visualize_cam", "a layer behind the output", GradientError,
    ("No path leads from the loss", "'conv'", "Choose a layer"),
    lambda d: vis.visualize_cam(behind(), "first", 1, IMAGE, "conv"))
row("vis.visualize_cam", "no convolution", LayerError,
    ("has more than one position", "'vector'", "conv_layer"),
    lambda d: vis.visualize_cam(vector(), -1, 1, np.ones(4)))
row("vis.visualize_cam", "an unknown conv_layer", LayerError,
    ("has no layer 'convv'", "Did you mean 'conv'"),
    lambda d: vis.visualize_cam(net(), -1, 1, IMAGE, "convv"))
row("vis.visualize_cam", "no input with as many positions", LayerError,
    ("has more than one position", "the model 'folded'"),
    lambda d: vis.visualize_cam(folded(), -1, 1, np.ones(90)))

# ---- activation maximization ---------------------------------------------------------------------------

for value in (0, -1, 1.5, "10", True, None):
    words = ("max_iter must be an integer >= 1", f"Received: {value!r}")
    row("vis.visualize_activation", f"max_iter is {value!r}", InputError, words,
        lambda d, value=value: vis.visualize_activation(net(), -1, 1, max_iter=value))
for limits in ((1, 0), (0, 0), (0, np.inf), (np.nan, 1), 255, "ab", (0, 1, 2), ("low", "high")):
    words = ("input_range must be a pair (low, high) of finite", f"Received: {limits!r}", "Pass (0, 255)")
    row("vis.visualize_activation", f"input_range is {limits!r}", InputError, words,
        lambda d, limits=limits: vis.visualize_activation(net(), -1, 1, input_range=limits, max_iter=1))
row("vis.visualize_activation", "an unknown parameterization", ModifierError,
    ("Unknown parameterization: 'furier'", "Did you mean 'fourier'"),
    lambda d: vis.visualize_activation(net(), -1, 1, parameterization="furier"))
row("vis.visualize_activation", "a parameterization that is none", ModifierError,
    ("Not a parameterization", "Received: 3"),
    lambda d: vis.visualize_activation(net(), -1, 1, parameterization=3))
for given in ("adam", 0.1, keras.optimizers.Adam):
    row("vis.visualize_activation", f"optimizer is {given!r}", InputError,
        ("optimizer must be a Keras optimizer or None", "Received:"),
        lambda d, given=given: vis.visualize_activation(net(), -1, 1, max_iter=1, optimizer=given))
for seed in ("a", -1, 1.5):
    row("vis.visualize_activation", f"seed is {seed!r}", InputError, ("seed", repr(seed)),
        lambda d, seed=seed: vis.visualize_activation(net(), -1, 1, max_iter=1, seed=seed))
for samples in (0, -2, 1.5, "two"):
    row("vis.visualize_activation", f"samples is {samples!r}", InputError,
        ("samples must be an integer >= 1", f"Received: {samples!r}"),
        lambda d, samples=samples: vis.visualize_activation(net(), -1, 1, max_iter=1, samples=samples))
row("vis.visualize_activation", "samples beside each", InputError,
    ("is for 2 samples, one filter each", "Received: samples=3", "Pass samples=2"),
    lambda d: vis.visualize_activation(net(), -1, [0, 1], each=True, samples=3, max_iter=1))
for name in ("act_max_weight", "lp_norm_weight", "tv_weight"):
    for value in (np.nan, np.inf):
        row("vis.visualize_activation", f"{name} is {value}", GradientError,
            ("weight of the loss", "must be finite", f"Received: {value}"),
            lambda d, given={name: value}: vis.visualize_activation(net(), -1, 1, max_iter=1, **given))
    row("vis.visualize_activation", f"{name} is a word", GradientError, ("weight", "'much'"),
        lambda d, name=name: vis.visualize_activation(net(), -1, 1, max_iter=1, **{name: "much"}))
for what, given in {"a function": [print], "a number": [3], "no list": Still()}.items():
    row("vis.visualize_activation", f"callbacks are {what}", InputError, ("callback", "Received"),
        lambda d, given=given: vis.visualize_activation(net(), -1, 1, max_iter=1, callbacks=given))
for what, given in {"a function": [np.clip], "a number": [3], "no list": input_modifiers.Jitter()}.items():
    row("vis.visualize_activation", f"input_modifiers are {what}", InputError, ("input modifier", "Received"),
        lambda d, given=given: vis.visualize_activation(net(), -1, 1, max_iter=1, input_modifiers=given))
row("vis.visualize_activation", "input modifiers without pixels", InputError,
    ("Input modifiers change pixels", "Received: input_modifiers with", "RandomAffine"),
    lambda d: made_of("fourier", input_modifiers=[input_modifiers.Jitter()]))
row("vis.visualize_activation", "a subclassed model", ModelError,
    ("'subclassed' has no symbolic input", "Wrap it"),
    lambda d: vis.visualize_activation(subclassed(), -1, 1))
row("vis.visualize_activation", "an unbuilt model", ModelError,
    ("'unbuilt' has no symbolic input", "not built", "Wrap it"),
    lambda d: vis.visualize_activation(unbuilt(), -1, 1))
row("vis.visualize_activation", "an input that stays without a value", InputError,
    ("'table' do not change", "Received: none", "Pass seed_input"),
    lambda d: vis.visualize_activation(two(), -1, 1, inputs=["image"], max_iter=1))
for given in ("image", [], ["picture"], ["image", "image"]):
    row("vis.visualize_activation", f"inputs is {given!r}", InputError,
        ("inputs must be a list of some of 'image', 'table'", f"Received: {given!r}"),
        lambda d, given=given: vis.visualize_activation(two(), -1, 1, inputs=given, max_iter=1))
row("vis.visualize_activation", "a range of an unknown input", InputError,
    ("keys of input_range", "'image', 'table'", "Received: 'picture'"),
    lambda d: vis.visualize_activation(two(), -1, 1, input_range={"picture": (0, 1)}, max_iter=1))
for starts in (0, 1.5):
    row("vis.visualize_activation", f"starts is {starts!r}", InputError,
        ("starts must be an integer >= 1", f"Received: {starts!r}"),
        lambda d, starts=starts: vis.visualize_activation(net(), -1, 1, max_iter=1, starts=starts))
row("vis.visualize_activation", "starts and samples", InputError,
    ("samples=2 and starts=3", "Pass one of them"),
    lambda d: vis.visualize_activation(net(), -1, 1, max_iter=1, samples=2, starts=3))
row("vis.input_modifiers.Rotate", "an angle too large", InputError,
    ("rotation must be a number from 0 to 180", "Received: 181"), lambda d: input_modifiers.Rotate(181))
row("vis.input_modifiers.Rotate", "a wrong seed", InputError, ("seed", "'a'"),
    lambda d: input_modifiers.Rotate(seed="a"))
row("vis.input_modifiers.Scale", "a change too large", InputError,
    ("scale must be a number from 0 to below 1", "Received: 1"), lambda d: input_modifiers.Scale(1))
row("vis.input_modifiers.Scale", "a sequence", InputError, ("height and width", "leave out"),
    lambda d: vis.visualize_activation(vector(), -1, input_modifiers=[input_modifiers.Scale()], max_iter=1))
row("vis.parameterizations.MACO", "images of another shape", InputError,
    ("shape of the input", "Crop or resize"),
    lambda d: made_of(parameterizations.MACO(images=X[:, 1:])))
row("vis.parameterizations.MACO", "flat images", InputError, ("must have waves", "same value everywhere"),
    lambda d: made_of(parameterizations.MACO(images=0 * X)))
row("vis.parameterizations.MACO", "NaN", InputError, ("must be finite", "Leave out"),
    lambda d: parameterizations.MACO(images=np.full((2, 2), np.nan)))
row("vis.visualize_activation", "tokens", InputError,
    ("takes int32", "no gradient with respect to an integer", "takes floats"),
    lambda d: vis.visualize_activation(tokens(), -1, 1))
row("vis.visualize_activation", "any size and no start", InputError,
    ("takes inputs of any size", "Pass a seed_input"), lambda d: vis.visualize_activation(any_size(), -1, 1))
row("vis.visualize_activation", "an unknown option", TypeError, "unexpected keyword argument",
    lambda d: vis.visualize_activation(net(), -1, 1, steps=3))
row("vis.visualize_activation", "NaN weights", GradientError,
    ("The loss is nan", "check the model's weights"),
    lambda d: vis.visualize_activation(spoiled(), -1, 1, max_iter=2))
row("vis.visualize_activation", "a learning rate too large", GradientError,
    ("The loss is", "Lower the learning rate"),
    lambda d: vis.visualize_activation(net(), -1, 1, max_iter=3, optimizer=keras.optimizers.SGD(1e+38)))
row("vis.visualize_activation", "a modifier that changes the shape", InputError, ("input modifier", "shape"),
    lambda d: vis.visualize_activation(net(), -1, 1, max_iter=1, input_modifiers=[Cropping()]))
row("vis.visualize_activation", "wrt_tensor is no name", LayerError,
    ("no layer 'cnov'", "Did you mean 'conv'"),
    lambda d: vis.visualize_activation(net(), -1, 1, wrt_tensor="cnov"))
row("vis.visualize_activation", "as many samples as the model does not take", InputError,
    ("takes 4 samples at once", "Received: samples=3"),
    lambda d: vis.visualize_activation(fixed(), -1, range(3), each=True))
row("vis.optimizer.Optimizer", "input_range is backwards", InputError, ("input_range must be", "(255, 0)"),
    lambda d: optimizer.Optimizer(net(), [(good_loss(), 1)], (255, 0)))
row("vis.optimizer.Optimizer", "no losses at all", TypeError, "missing 1 required",
    lambda d: optimizer.Optimizer(net()))

# ---- losses and regularizers ---------------------------------------------------------------------------

row("vis.ActivationMaximization", "filter out of range", FilterError,
    ("Filter index 7 is out of range", "3 filters"),
    lambda d: saliency_of_losses([(vis.ActivationMaximization(net().layers[-1], 7), -1)]))
for filters in (1.0, "all", True, []):
    row("vis.ActivationMaximization", f"filters {filters!r}", FilterError,
        ("'end'", f"Received: {filters!r}"),
        lambda d, filters=filters: vis.ActivationMaximization(net().layers[-1], filters))
for layer in ("end", None, 3):
    row("vis.losses.ActivationMaximization", f"the layer is {layer!r}", LayerError,
        ("layer", f"Received: {layer!r}"),
        lambda d, layer=layer: saliency_of_losses([(losses.ActivationMaximization(layer, 0), -1)]))
row("vis.losses.ActivationMaximization", "each of several on one sample", InputError, ("2 samples", "one"),
    lambda d: saliency_of_losses([(losses.ActivationMaximization(net().layers[-1], [0, 1], each=True), -1)]))
for p in (0, 0.5, -1, np.nan, "six", True, None):
    row("vis.losses.LPNorm", f"p is {p!r}", InputError,
        ("p must be a number from 1 to infinity", f"Received: {p!r}", "Pass 6"),
        lambda d, p=p: losses.LPNorm(net().inputs[0], p))
for beta in (0, -1, np.inf, np.nan, "two", True, None):
    row("vis.losses.TotalVariation", f"beta is {beta!r}", InputError,
        ("beta must be a finite positive number", f"Received: {beta!r}"),
        lambda d, beta=beta: losses.TotalVariation(net().inputs[0], beta))
for about, kind in {
    "vis.regularizers.LPNorm": regularizers.LPNorm,
    "vis.regularizers.TotalVariation": regularizers.TotalVariation,
}.items():
    for what, make in {
        "an array": lambda: IMAGE,
        "None": lambda: None,
        "the model": net,
        "a list": lambda: net().inputs,
    }.items():
        row(about, f"the image is {what}", InputError,
            ("needs one symbolic image", "Received:", "model.inputs"),
            lambda d, kind=kind, make=make: kind(make()))
    row(about, "an unknown data_format", InputError, ("Unknown data_format", "'channels'", "'channels_last'"),
        lambda d, kind=kind: kind(net().inputs[0], data_format="channels"))
row("vis.losses.TotalVariation", "a vector", InputError, ("at least 3 axes", "Received: shape (None, 4)"),
    lambda d: losses.TotalVariation(vector().inputs[0]))

# ---- counting, overlaying, logits ----------------------------------------------------------------------

for layer in ("end", None, 3):
    row("vis.get_num_filters", f"the layer is {layer!r}", LayerError,
        ("cannot be counted", repr(layer), "Pass a layer"), lambda d, layer=layer: vis.get_num_filters(layer))
row("vis.get_num_filters", "a layer that was never called", LayerError,
    ("cannot be counted", "no symbolic output"), lambda d: vis.get_num_filters(layers.Dense(3)))
row("vis.get_num_filters", "an unknown number of filters", LayerError, ("unknown number of filters", "None"),
    lambda d: vis.get_num_filters(any_channels().layers[-1]))
for alpha in (-0.1, 1.1, np.nan, np.inf):
    row("vis.overlay", f"alpha is {alpha}", InputError,
        ("alpha must be an opacity from 0 to 1", f"Received: {alpha}"),
        lambda d, alpha=alpha: vis.overlay(IMAGE, IMAGE, alpha))
for alpha in ("half", None):
    row("vis.overlay", f"alpha is {alpha!r}", InputError,
        ("alpha must be an opacity from 0 to 1", f"Received: {alpha!r}"),
        lambda d, alpha=alpha: vis.overlay(IMAGE, IMAGE, alpha))
row("vis.overlay", "other shapes", InputError,
    ("must have the same shape", "(6, 5, 3) and (6, 5)", "vis.plotting.colorize"),
    lambda d: vis.overlay(IMAGE, IMAGE[..., 0]))
row("vis.overlay", "strings", InputError, ("numbers", "Received"),
    lambda d: vis.overlay(np.full(3, "x"), np.full(3, "x")))
row("vis.overlay", "ragged lists", InputError, "Received", lambda d: vis.overlay(ragged(), ragged()))
for model in ("model.keras", None, 3, IMAGE):
    row("vis.linear_outputs", f"the model is {type(model).__name__}", ModelError,
        ("Expected a keras.Model. Received:", "Load or build"),
        lambda d, model=model: vis.linear_outputs(model))
row("vis.linear_outputs", "a subclassed model that was never called", ModelError,
    ("'subclassed' is not built", "call() return logits"), lambda d: vis.linear_outputs(Subclassed()))
row("vis.linear_outputs", "an average of softmaxes", ModelError,
    ("cannot be removed", "Output 0 is unchanged: it is a sum or average of softmaxes"),
    lambda d: vis.linear_outputs(ensemble()))
row("vis.linear_outputs", "an unbuilt model", ModelError,
    ("'unbuilt' is not built", "model.build"), lambda d: vis.linear_outputs(unbuilt()))

# ---- modifiers and their registries --------------------------------------------------------------------

for about, module, kind in (
    ("vis.grad_modifiers", grad_modifiers, "gradient modifier"),
    ("vis.backprop_modifiers", backprop_modifiers, "backprop modifier"),
    ("vis.parameterizations", parameterizations, "parameterization"),
    ("vis.attributions.operators", operators, "operator"),
):
    row(f"{about}.get", "an unknown name", ModifierError, (f"Unknown {kind}: 'nonsense'.", "Valid names:"),
        lambda d, module=module: module.get("nonsense"))
    row(f"{about}.get", "an empty name", ModifierError, (f"Unknown {kind}: ''.", "Valid names:"),
        lambda d, module=module: module.get(""))
    row(f"{about}.get", "a number", ModifierError, (f" {kind}: ", "Received: 3", "Pass one of"),
        lambda d, module=module: module.get(3))
    row(f"{about}.get", "a list", ModifierError, (f" {kind}: ", "Received: []", "Pass one of"),
        lambda d, module=module: module.get([]))
    row(f"{about}.register", "without a name", ModifierError,
        (f"A {kind}" if kind[0] not in "aeiou" else f"n {kind}", "one or more names", "Received: ()"),
        lambda d, module=module: module.register()(abs))
    row(f"{about}.register", "under an empty name", ModifierError, ("one or more names", "Received: ('',)"),
        lambda d, module=module: module.register("")(abs))
    row(f"{about}.register", "without a call", ModifierError,
        ("one or more names", "Received:", '@register("my_name")'),
        lambda d, module=module: module.register(abs))
    row(f"{about}.register", "a name that is taken", ModifierError,
        (f"{kind} name {module.names()[0]!r} is taken", "Choose another name"),
        lambda d, module=module: module.register(module.names()[0])(abs))
    row(f"{about}.register", "what is none", ModifierError, (f" {kind}: ", "Received: 3"),
        lambda d, module=module: module.register("a new name")(3))
    row(f"{about}.names", "an argument", TypeError, "argument", lambda d, module=module: module.names(1))
for name in ("absolute", "invert", "negate", "relu", "small_values"):
    row(f"vis.grad_modifiers.{name}", "without a gradient", TypeError, "missing 1 required",
        lambda d, name=name: getattr(grad_modifiers, name)())
for name in ("guided", "rectified", "relu", "deconv"):
    row(f"vis.backprop_modifiers.{name}", "a model alone", ModelError, "Expected a keras.Model",
        lambda d, name=name: getattr(backprop_modifiers, name)("model.keras"))
    row(f"vis.backprop_modifiers.{name}", "an unbuilt model", ModelError,
        ("'unbuilt' is not built", "model.build"),
        lambda d, name=name: getattr(backprop_modifiers, name)(unbuilt()))
    row(f"vis.backprop_modifiers.{name}", "a model without activations", ModifierError,
        ("reaches no activation of the model 'plain'", "ReLU"),
        lambda d, name=name: getattr(backprop_modifiers, name)(plain()))
row("vis.BackpropModifier", "not on a model", ModelError, "Expected a keras.Model. Received: 3",
    lambda d: vis.BackpropModifier("mine", lambda x, y, grad, true_grad: true_grad)(3))
row("vis.BackpropModifier", "without a rule", TypeError, "missing 1 required",
    lambda d: vis.BackpropModifier("mine"))
row("vis.BackpropModifier", "a rule that is none", ModifierError, ("rule", "Received: 3"),
    lambda d: vis.BackpropModifier("mine", 3)(net()))
row("vis.backprop_modifiers.BackpropModifier", "training a modified model", ModelError,
    ("runs in inference mode only", "Received: training=True", "Train the original"),
    lambda d: vis.backprop_modifiers.get("guided")(net())(X, training=True))
row("vis.grad_modifiers.applied", "a modifier that returns NaN", ModifierError,
    ("must return finite numbers in the shape", "Received from"),
    lambda d: grad_modifiers.applied(lambda g: g * np.nan, IMAGE))

for jitter in (-1, np.nan, np.inf, "a", None, [], [[1, 2]], [1, -1]):
    row("vis.input_modifiers.Jitter", f"jitter is {jitter!r}", InputError,
        ("jitter must be a number >= 0, or one per image axis", f"Received: {jitter!r}"),
        lambda d, jitter=jitter: input_modifiers.Jitter(jitter))
row("vis.input_modifiers.Jitter", "an unknown data_format", InputError, ("Unknown data_format", "'first'"),
    lambda d: input_modifiers.Jitter(data_format="first"))
row("vis.input_modifiers.Jitter", "a picture without its batch axis", InputError,
    ("with their batch axis and channels", "Received: shape (6, 5)", "image[None]"),
    lambda d: input_modifiers.Jitter().pre(IMAGE[..., 0]))
row("vis.input_modifiers.Jitter", "as many values as there are no axes", InputError,
    ("Jitter has 3 values", "Pass one number, or 2"), lambda d: input_modifiers.Jitter([1, 2, 3]).pre(X))
for seed in ("a", -1):
    row("vis.input_modifiers.Jitter", f"seed is {seed!r}", InputError, ("seed", repr(seed)),
        lambda d, seed=seed: input_modifiers.Jitter(seed=seed))
row("vis.input_modifiers.InputModifier", "an argument", TypeError, "argument",
    lambda d: input_modifiers.InputModifier(1))

for name, value in (
    ("jitter", -0.1),
    ("jitter", 2),
    ("rotation", 181),
    ("rotation", "a"),
    ("scale", 1),
    ("scale", np.nan),
    ("scale", True),
):
    row("vis.parameterizations.RandomAffine", f"{name} is {value!r}", InputError,
        (f"{name} must be a number from 0 to", f"Received: {value!r}"),
        lambda d, name=name, value=value: parameterizations.RandomAffine(**{name: value}))
row("vis.parameterizations.RandomAffine", "a sequence", InputError,
    ("needs images with two axes", "Received:", "transformation=None"),
    lambda d: vis.visualize_activation(vector(), -1, 0, parameterization="fourier", max_iter=1))
for name in ("Fourier", "Pixels"):
    row(f"vis.parameterizations.{name}", "a transformation that is none", InputError,
        ("transformation", "Received: 3"),
        lambda d, name=name: made_of(getattr(parameterizations, name)(transformation=3)))
row("vis.parameterizations.Parameterization", "itself", TypeError, "abstract",
    lambda d: parameterizations.Parameterization())
row("vis.parameterizations.Canvas", "without a shape", TypeError, "missing 3 required",
    lambda d: parameterizations.Canvas())

# ---- callbacks -----------------------------------------------------------------------------------------

row("vis.callbacks.OptimizerCallback", "itself", TypeError, "abstract",
    lambda d: callbacks.OptimizerCallback())
row("vis.callbacks.Print", "an argument", TypeError, "argument", lambda d: callbacks.Print(3))
row("vis.callbacks.GifGenerator", "a range backwards", InputError, ("input_range must be", "(1, 0)"),
    lambda d: callbacks.GifGenerator(d / "a.gif", (1, 0)))
row("vis.callbacks.GifGenerator", "an unknown data_format", InputError, ("Unknown data_format", "'x'"),
    lambda d: callbacks.GifGenerator(d / "a.gif", data_format="x"))
row("vis.callbacks.GifGenerator", "no path", TypeError, "PathLike", lambda d: callbacks.GifGenerator(None))
row("vis.callbacks.GifGenerator", "two channels", InputError,
    ("needs pictures with 1 or 3 channels", "(1, 6, 5, 2)", "leave GifGenerator out"),
    lambda d: callbacks.GifGenerator(d / "a.gif").callback(0, [], 0, None, X[:1, ..., :2]))
row("vis.callbacks.GifGenerator", "NaN", InputError, ("finite values", "1 of 90", "Lower the learning rate"),
    lambda d: callbacks.GifGenerator(d / "a.gif").callback(0, [], 0, None, with_value(np.nan)[None]))
row("vis.callbacks.GifGenerator", "strings", InputError, ("GifGenerator", "Received"),
    lambda d: callbacks.GifGenerator(d / "a.gif").callback(0, [], 0, None, np.full((1, 6, 5, 3), "x")))
row("vis.callbacks.GifGenerator", "a path inside a file", InputError, "cannot be written",
    lambda d: gif(d / "file" / "a.gif"))

# ---- explainers ----------------------------------------------------------------------------------------

EXPLAINERS: dict[str, Callable[..., Any]] = {
    "Saliency": attributions.Saliency,
    "GradientInput": attributions.GradientInput,
    "GradientExplainer": attributions.GradientExplainer,
    "DeconvNet": attributions.DeconvNet,
    "GuidedBackprop": attributions.GuidedBackprop,
    "IntegratedGradients": attributions.IntegratedGradients,
    "SmoothGrad": attributions.SmoothGrad,
    "SquareGrad": attributions.SquareGrad,
    "VarGrad": attributions.VarGrad,
    "GradCAM": attributions.GradCAM,
    "GradCAMPlusPlus": attributions.GradCAMPlusPlus,
    "LayerCAM": attributions.LayerCAM,
    "HiResCAM": attributions.HiResCAM,
    "XGradCAM": attributions.XGradCAM,
    "GuidedGradCAM": attributions.GuidedGradCAM,
    "ScoreCAM": attributions.ScoreCAM,
    "AblationCAM": attributions.AblationCAM,
    "EigenCAM": attributions.EigenCAM,
    "FeatureAblation": attributions.FeatureAblation,
    "Occlusion": attributions.Occlusion,
    "Rise": functools.partial(attributions.Rise, nb_samples=4),
    "Lime": functools.partial(attributions.Lime, nb_samples=4),
    "KernelShap": functools.partial(attributions.KernelShap, nb_samples=120),
    "SobolAttribution": functools.partial(attributions.SobolAttribution, nb_design=2),
    "HsicAttribution": functools.partial(attributions.HsicAttribution, nb_design=4),
}
BY_GRADIENT = ("GradCAM", "GradCAMPlusPlus", "LayerCAM", "HiResCAM", "XGradCAM")
BY_CHANNELS = ("ScoreCAM", "AblationCAM", "EigenCAM")
BY_SCORES = ("FeatureAblation", "Occlusion", "Rise", "Lime", "KernelShap")
BY_INDICES = ("SobolAttribution", "HsicAttribution")
WITHOUT_REDUCER = (*BY_GRADIENT, *BY_CHANNELS, *BY_SCORES, *BY_INDICES)
FORMS = (
    "The targets of 4 samples with outputs of shape (3,) are weights of shape (4, 3)",
    "a class from 0 to 2",
    "Received:",
)
COUNTED = ("Each sample needs a target", "Received: 4 samples")
TARGETS: dict[str, tuple[Any, type[Exception], tuple[str, ...]]] = {
    "a class out of range": (3, FilterError, ("Target 3 is out of range", "3 outputs", "-3 to 2")),
    "a negative class out of range": (-4, FilterError, ("Target -4 is out of range", "-3 to 2")),
    "a class of one sample out of range": (
        [0, 1, 9, 2],
        FilterError,
        ("Target 9 is out of range", "labels are 0 to 2", "sample 2"),
    ),
    "a negative class of one sample": (
        [0, 1, -1, 2],
        FilterError,
        ("Target -1 is out of range", "labels are 0 to 2", "leave the sample out"),
    ),
    "a float": (1.0, InputError, FORMS),
    "NaN": (np.nan, InputError, FORMS),
    "a string": ("cat", InputError, FORMS),
    "True": (True, InputError, FORMS),
    "strings": (["a", "b", "c", "d"], InputError, FORMS),
    "a class in fractions": (Y + np.float32(0.5), InputError, FORMS),
    "objects": (np.array([0, 1, 2, None], object), InputError, FORMS),
    "too few": ([0, 1, 2], InputError, (*COUNTED, "3 targets")),
    "too many": ([0, 1, 2, 0, 1], InputError, (*COUNTED, "5 targets")),
    "none of them": ([], InputError, (*COUNTED, "0 targets")),
    "rows of another length": (np.ones((4, 2)), InputError, FORMS),
    "rows of three axes": (np.ones((4, 3, 1)), InputError, FORMS),
    "ragged": ([[1, 0, 0], [1]], InputError, ("The targets are not an array", "Received: list")),
    "weights of NaN": (np.full((4, 3), np.nan), InputError, ("NaN", "Targets")),
    "infinite weights": (np.full((4, 3), np.inf), InputError, ("infinite", "Targets")),
    "a dict": ({"class": 1}, InputError, ("must be the names of the model's outputs", "Received: 'class'")),
}
BATCH = ("must have shape (6, 5, 3), with its batch axis", "Received: shape")
BATCHES: dict[str, tuple[Callable[[], Any], tuple[str, ...]]] = {
    "None": (lambda: None, ("must hold real numbers", "Received: NoneType")),
    "a string": (lambda: "photos", ("must hold real numbers", "Received: str")),
    "a path": (lambda: Path("photos"), ("must hold real numbers", "Received:")),
    "a number": (lambda: 3.0, BATCH),
    "a plain object": (Bad, ("must hold real numbers", "Received: Bad")),
    "strings": (lambda: np.full((4, 6, 5, 3), "x"), ("must hold real numbers", "Received:")),
    "objects": (lambda: np.stack([objects()] * 4), ("must hold real numbers", "object")),
    "complex numbers": (lambda: X.astype(complex), ("must hold real numbers", "complex")),
    "one picture": (lambda: IMAGE, BATCH),
    "another shape": (lambda: X[:, :5], BATCH),
    "five axes": (lambda: X[None], BATCH),
    "an empty list": (list, BATCH),
    "ragged lists": (ragged, ("is not an array", "Pass one of shape (6, 5, 3)")),
    "a dict of other names": (
        lambda: {"picture": X},
        ("takes the inputs", "'picture'", "Name each input once"),
    ),
    "NaN": (lambda: np.where(X == X[2, 1, 1, 1], np.nan, X), ("NaN or infinite", "(1, 1, 1)", "nan_to_num")),
    "infinity": (lambda: np.where(X == X[2, 1, 1, 1], np.inf, X), ("NaN or infinite", "(1, 1, 1)")),
    "an empty iterator": (lambda: iter(()), ("nothing to explain", "an empty data set")),
    "an iterator of another shape": (
        lambda: iter(X[:, :5]),
        ("must have shape (6, 5, 3)", "Received: shape"),
    ),
    "an iterator of strings": (lambda: iter(["a", "b"]), ("must hold real numbers", "Received:")),
    "an iterator of None": (lambda: iter([None]), ("must hold real numbers", "Received:")),
    "samples of different shapes": (lambda: iter([X[0], X[0, :5]]), ("same shape",)),
    "a data set of another shape": (
        lambda: native.dataset(X[:, :5], 2),
        ("must have shape (6, 5, 3)", "Received: shape"),
    ),
}
SCORES: dict[str, tuple[Any, type[Exception], tuple[str, ...]]] = {
    "an unknown task": (
        "clasification",
        ModifierError,
        ("Unknown operator: 'clasification'", "Did you mean 'classification'"),
    ),
    "a number": (3, ModifierError, ("Not an operator", "Received: 3")),
    "of two arguments": (lambda model, inputs: 1, ModifierError, ("must take three arguments", "Received:")),
}
RETURNED: dict[str, tuple[Any, tuple[str, ...]]] = {
    "all outputs": (
        lambda model, inputs, targets: model(inputs),
        ("An operator must return the score of each sample", ", 3)", "Sum over the other axes"),
    ),
    "one number": (
        lambda model, inputs, targets: ops.sum(model(inputs)),
        ("An operator must return the score of each sample", "shape ()"),
    ),
    "a float": (
        lambda model, inputs, targets: 1.0,
        ("An operator must return the score of each sample", "1.0 of type float"),
    ),
    "an array": (
        lambda model, inputs, targets: np.ones(2),
        ("An operator must return the score of each sample", "an array of NumPy of shape (2,)"),
    ),
    "None": (
        lambda model, inputs, targets: None,
        ("An operator must return the score of each sample", "None of type NoneType"),
    ),
    "scores of another number": (
        lambda model, inputs, targets: ops.concatenate([model(inputs)[:, 0]] * 2),
        ("An operator must return the score of each sample", "8"),
    ),
    "words": (lambda model, inputs, targets: ["a"] * len(X), ("An operator must return", "Received")),
    **(
        {
            "a tensor of words": (
                lambda model, inputs, targets: ops.cast(model(inputs)[:, 0], "string"),
                ("An operator must return", "Received"),
            )
        }
        if native.NAME == "TensorFlow"  # the other ones have no such tensors
        else {}
    ),
}


def some(table: dict[str, Any], name: str) -> Iterator[tuple[str, Any]]:
    """Yield what is wrong for an explainer: all of it for some, and at night."""
    if NIGHTLY or name in ("Saliency", "SmoothGrad", "GradCAM", "Occlusion"):
        yield from table.items()
    else:
        yield from list(table.items())[list(EXPLAINERS).index(name) % 5 :: 5]


def rows_of_explainer(name: str, make: Callable[..., Any]) -> None:
    about = f"vis.attributions.{name}"
    for what, model in {
        "a string": "model.keras",
        "None": None,
        "a layer": layers.Dense(2),
        "an array": X,
    }.items():
        row(about, f"the model is {what}", ModelError, ("Expected a keras.Model. Received:", "Load or build"),
            lambda d, model=model: make(model))
    row(about, "an unbuilt model", ModelError, ("'unbuilt' is not built", "model.build(input_shape)"),
        lambda d: make(unbuilt()))
    for option in ("output_layer", "output_layer_index"):
        row(about, f"{option} is unknown", LayerError, ("has no layer 'denze'", "Did you mean 'dense'"),
            lambda d, option=option: make(net(), **{option: "denze"}))
    row(about, "a layer out of range", LayerError, ("Layer index 9 is out of range", "-4 to 3"),
        lambda d: make(net(), 9))
    row(about, "a layer that is none", LayerError, ("Name a layer by its index", "Received: 1.5"),
        lambda d: make(net(), 1.5))
    row(about, "a layer of another model", LayerError, "'foreign' is not part of the model 'net'",
        lambda d: make(net(), other().layers[-1]))
    row(about, "both names of the layer", InputError,
        ("output_layer and output_layer_index name the same argument", "Pass output_layer alone"),
        lambda d: make(net(), -1, output_layer_index=-1))
    for size in (0, -1, 1.5, "a", True, [4]):
        row(about, f"batch_size is {size!r}", InputError,
            ("batch_size must be an integer >= 1", f"Received: {size!r}"),
            lambda d, size=size: make(net(), batch_size=size))
    for what, (operator, error, words) in SCORES.items():
        row(about, f"the operator is {what}", error, words,
            lambda d, operator=operator: make(net(), operator=operator))
    if name not in WITHOUT_REDUCER:
        for reducer in ("median", 3, True, ["max"]):
            row(about, f"reducer is {reducer!r}", InputError,
                ("reducer must be one of max, mean, min, sum, or None", f"Received: {reducer!r}"),
                lambda d, reducer=reducer: make(net(), reducer=reducer))
    if name not in (*WITHOUT_REDUCER, "GuidedGradCAM"):
        row(about, "wrt is unknown", LayerError, ("has no layer 'denze'", "Did you mean 'dense'"),
            lambda d: make(net(), wrt="denze"))
    row(about, "an unknown option", TypeError, "unexpected keyword argument",
        lambda d: make(net(), nonsense=1))
    row(about, "no inputs", TypeError, "missing 1 required", lambda d: make(net()).explain())
    for what, (targets, error, words) in some(TARGETS, name):
        row(about, f"targets are {what}", error, words,
            lambda d, targets=targets: make(net()).explain(X, targets))
    for what, (given, words) in some(BATCHES, name):
        row(about, f"inputs are {what}", InputError, words,
            lambda d, given=given: make(net()).explain(given(), 1))


for _name, _make in EXPLAINERS.items():
    rows_of_explainer(_name, _make)

Saliency = attributions.Saliency
for about in ("vis.attributions.Saliency", "vis.attributions.Occlusion", "vis.attributions.GradCAM"):
    make = getattr(attributions, about.rsplit(".", 1)[-1])
    for what, (operator, words) in RETURNED.items():
        row(about, f"the operator returns {what}", GradientError, words,
            lambda d, make=make, operator=operator: make(net(), operator=operator).explain(X, Y))
    row(about, "two outputs", LayerError, ("has 2 outputs; one is explained at a time", "output_layer"),
        lambda d, make=make: make(forked()).explain(X, Y % 2))
row("vis.attributions.operators.detection_of", "an unknown order", InputError, ("order must be", "'xywh'"),
    lambda d: attributions.operators.detection_of("boxes", "classes", order="xywh"))
row("vis.attributions.operators.contrastive", "two outputs", LayerError, ("has 2 outputs", "output_layer"),
    lambda d: Saliency(forked(), operator="contrastive").explain(X, Y % 2))
row("vis.attributions.Saliency", "object detection with targets of a class", InputError, "object detection",
    lambda d: Saliency(net(), operator="object detection").explain(X, Y))
row("vis.attributions.Saliency", "an unknown backprop_modifier", ModifierError,
    ("Unknown backprop modifier", "'guided'"), lambda d: Saliency(net(), backprop_modifier="gided"))
row("vis.attributions.Saliency", "an unknown grad_modifier", ModifierError,
    ("Unknown gradient modifier", "'absolute'"), lambda d: Saliency(net(), grad_modifier="absolut"))
row("vis.attributions.Saliency", "a grad_modifier that returns another shape", ModifierError,
    ("finite numbers in the shape", "Received from"),
    lambda d: Saliency(net(), grad_modifier=lambda g: g[:1]).explain(X, Y))
row("vis.attributions.Saliency", "tokens", InputError, ("no gradient with respect to an integer", "wrt='"),
    lambda d: Saliency(tokens()).explain(np.zeros((2, 5), int), 0))
row("vis.attributions.Saliency", "no path to the input", GradientError, ("No path leads from", "argmax"),
    lambda d: Saliency(severed()).explain(X, 0))
row("vis.attributions.Saliency", "wrt behind the output", GradientError, ("No path leads from", "'dense'"),
    lambda d: Saliency(net(), "conv", wrt="dense").explain(X, 0))
row("vis.attributions.Saliency", "NaN weights", GradientError, ("NaN or infinite", "Look for NaN weights"),
    lambda d: Saliency(spoiled()).explain(X, 0))
row("vis.attributions.Saliency", "NaN weights and no target", GradientError, "NaN",
    lambda d: Saliency(spoiled()).explain(X))
row("vis.attributions.Saliency", "targets twice", InputError, ("Targets are given twice", "pairs"),
    lambda d: Saliency(net()).explain(iter([(X, Y)]), Y))
row("vis.attributions.Saliency", "a stream with too few targets", InputError,
    ("Each sample needs a target", "2 targets"), lambda d: Saliency(net()).explain(iter(X), [0, 1]))
row("vis.attributions.Saliency", "a stream with too many targets", InputError,
    ("Each sample needs a target", "4 samples, 6 targets"),
    lambda d: Saliency(net()).explain(iter(X), [0] * 6))
row("vis.attributions.Saliency", "a batch of a stream with too few targets", InputError,
    ("Each sample needs a target", "4 samples with 2 targets"),
    lambda d: Saliency(net()).explain(iter([(X, Y[:2])])))
row("vis.attributions.Saliency", "one of two inputs", InputError,
    ("takes 2 inputs: 'image', 'table'", "Received: ndarray"), lambda d: Saliency(two()).explain(X, 0))
row("vis.attributions.Saliency", "two inputs of different numbers", InputError,
    ("the same number of samples", "4 of 'image', 3 of 'table'"),
    lambda d: Saliency(two()).explain([X, np.ones((3, 2))], 0))
row("vis.attributions.Saliency", "a dict that lacks an input", InputError,
    ("takes the inputs 'image', 'table'", "keys 'image'"),
    lambda d: Saliency(named()).explain({"image": X}, 0))
row("vis.attributions.Saliency", "a list for a dict", InputError, ("dict", "'image', 'table'"),
    lambda d: Saliency(named()).explain([X, np.ones((4, 2))], 0))
row("vis.attributions.Saliency", "a subclassed model and strings", InputError, "must hold real numbers",
    lambda d: Saliency(subclassed()).explain("photos", 0))
row("vis.attributions.Saliency", "a subclassed model and another shape", InputError,
    ("shape", "5, 5, 3"), lambda d: Saliency(subclassed()).explain(X[:, :5], 0))
for name in (*BY_GRADIENT, *BY_CHANNELS, "GuidedGradCAM"):
    about, make = f"vis.attributions.{name}", getattr(attributions, name)
    row(about, "an unknown conv_layer", LayerError, ("has no layer 'convv'", "Did you mean 'conv'"),
        lambda d, make=make: make(net(), conv_layer="convv"))
    row(about, "a conv_layer without positions", LayerError,
        ("'dense' has no positions", "(6,)", "Choose a convolution"),
        lambda d, make=make: make(net(), conv_layer="dense").explain(X, Y))
    row(about, "no convolution", LayerError,
        ("has more than one position", "'vector'", "conv_layer"),
        lambda d, make=make: make(vector()))
    if name not in BY_CHANNELS:
        row(about, "a conv_layer behind the output", GradientError, ("No path leads", "'conv'"),
            lambda d, make=make: make(behind(), "first", conv_layer="conv").explain(X, 0))
    row(about, "no input with as many positions", LayerError,
        ("has more than one position", "the model 'folded'"),
        lambda d, make=make: make(folded()).explain(X.reshape(4, 90), 0))
for number in (0, -1, 1.5, "a", True):
    row("vis.attributions.ScoreCAM", f"max_channels is {number!r}", InputError,
        ("max_channels must be an integer >= 1", f"Received: {number!r}"),
        lambda d, number=number: attributions.ScoreCAM(net(), max_channels=number))
row("vis.attributions.ScoreCAM", "tokens", InputError, ("Received: an input of type int", "AblationCAM"),
    lambda d: attributions.ScoreCAM(tokens(), conv_layer="embedding").explain(np.zeros((2, 5), int), 0))
for steps in (0, -1, 2.5, "a", True, None):
    row("vis.attributions.IntegratedGradients", f"steps is {steps!r}", InputError,
        ("steps must be an integer >= 1", f"Received: {steps!r}"),
        lambda d, steps=steps: attributions.IntegratedGradients(net(), steps=steps))
row("vis.attributions.IntegratedGradients", "one step of a trapezoid", InputError,
    ("steps must be an integer >= 2", "Received: 1"),
    lambda d: attributions.IntegratedGradients(net(), steps=1, method="trapezoid"))
row("vis.attributions.IntegratedGradients", "an unknown method", InputError,
    ("method must be one of gauss-legendre, trapezoid", "Received: 'simpson'"),
    lambda d: attributions.IntegratedGradients(net(), method="simpson"))
for baseline in (np.nan, np.inf, "black", None, [None]):
    row("vis.attributions.IntegratedGradients", f"baseline is {baseline!r}", InputError,
        ("The baseline must be a finite number, or an input of finite numbers", f"Received: {baseline!r}"),
        lambda d, baseline=baseline: attributions.IntegratedGradients(net(), baseline=baseline))
for what, baseline in {
    "of another shape": np.zeros((5, 6, 3)),
    "a batch": X,
    "one channel": IMAGE[..., :1],
}.items():
    row("vis.attributions.IntegratedGradients", f"baseline is {what}", InputError,
        ("The baseline must be a number, or have the shape of one input", "(6, 5, 3)", "Received:"),
        lambda d, baseline=baseline: attributions.IntegratedGradients(net(), baseline=baseline))
row("vis.attributions.IntegratedGradients", "the baseline under both names", InputError,
    ("baseline=0.5 and baseline_value=1", "Pass baseline alone"),
    lambda d: attributions.IntegratedGradients(net(), baseline=0.5, baseline_value=1))
row("vis.attributions.IntegratedGradients", "a baseline of one of two inputs", InputError, "takes 2 inputs",
    lambda d: attributions.IntegratedGradients(two(), baseline=IMAGE))
row("vis.attributions.IntegratedGradients", "residuals of no sample", InputError, "nothing to explain",
    lambda d: attributions.IntegratedGradients(net()).residuals(iter(())))
for name, least in (("SmoothGrad", 1), ("SquareGrad", 1), ("VarGrad", 2)):
    about, make = f"vis.attributions.{name}", getattr(attributions, name)
    for number in (least - 1, -1, 1.5, "a", True, None):
        row(about, f"nb_samples is {number!r}", InputError,
            (f"nb_samples must be an integer >= {least}", f"Received: {number!r}"),
            lambda d, make=make, number=number: make(net(), nb_samples=number))
    for noise in (-1, np.nan, np.inf, "a", None, [1]):
        row(about, f"noise is {noise!r}", InputError,
            ("noise must be a standard deviation >= 0", f"Received: {noise!r}"),
            lambda d, make=make, noise=noise: make(net(), noise=noise))
    for seed in (-1, 1.5, "a", None):
        row(about, f"seed is {seed!r}", InputError,
            ("seed must be an integer >= 0", f"Received: {seed!r}"),
            lambda d, make=make, seed=seed: make(net(), seed=seed))
    row(about, "an explainer and a layer", InputError,
        ("of an explainer uses the settings", "Pass output_layer to Saliency"),
        lambda d, make=make: make(Saliency(net()), -1))
for name in ("patch_size", "patch_stride"):
    for value in (0, -1, 1.5, "a", True, (3, 0)):
        wrong = value[1] if isinstance(value, tuple) else value
        row("vis.attributions.Occlusion", f"{name} is {value!r}", InputError,
            (f"{name} must be an integer >= 1", f"Received: {wrong!r}"),
            lambda d, name=name, value=value: attributions.Occlusion(net(), **{name: value}))
    row("vis.attributions.Occlusion", f"{name} has three numbers", InputError,
        (f"{name} must be a number, or one per axis of [6, 5]", "Received: (1, 2, 3)"),
        lambda d, name=name: attributions.Occlusion(net(), **{name: (1, 2, 3)}))
row("vis.attributions.Occlusion", "patch_size is None", InputError,
    ("patch_size must be an integer >= 1", "Received: None"),
    lambda d: attributions.Occlusion(net(), patch_size=None))
row("vis.attributions.Occlusion", "patch_stride is larger than patch_size", InputError,
    ("patch_stride must be at most patch_size", "patch_stride=3, patch_size=2"),
    lambda d: attributions.Occlusion(net(), patch_size=2, patch_stride=3))
row("vis.attributions.Occlusion", "a number in second position", LayerError,
    ("in Xplique it is the batch size. Received: 2", "patch_size=2, batch_size=2 or output_layer=2"),
    lambda d: attributions.Occlusion(net(), 2))
for value in (np.nan, np.inf, "grey", None, True):
    row("vis.attributions.Occlusion", f"occlusion_value is {value!r}", InputError,
        ("occlusion_value must be a finite number", f"Received: {value!r}"),
        lambda d, value=value: attributions.Occlusion(net(), occlusion_value=value))
row("vis.attributions.Occlusion", "sides for one of two inputs", InputError,
    ("takes the inputs", "Received a dict"), lambda d: attributions.Occlusion(two(), patch_size={"image": 2}))
for name, option, least in (
    ("Lime", "nb_samples", 2),
    ("KernelShap", "nb_samples", 2),
    ("SobolAttribution", "nb_design", 2),
    ("HsicAttribution", "nb_design", 2),
    ("Lime", "seed", 0),
    ("KernelShap", "seed", 0),
    ("SobolAttribution", "seed", 0),
    ("HsicAttribution", "seed", 0),
):
    for value in (least - 1, 2.5, "a", True):
        row(f"vis.attributions.{name}", f"{option} is {value!r}", InputError,
            (f"{option} must be an integer >= {least}", f"Received: {value!r}"),
            lambda d, name=name, option=option, value=value: getattr(attributions, name)(
                net(), **{option: value}))
for option in ("kernel_width", "alpha"):
    for value in (0, -1, np.inf, np.nan, "a", True):
        row("vis.attributions.Lime", f"{option} is {value!r}", InputError,
            (f"{option} must be a number > 0", f"Received: {value!r}"),
            lambda d, option=option, value=value: attributions.Lime(net(), **{option: value}))
row("vis.attributions.Lime", "an unknown distance", InputError,
    ('distance must be "cosine" or "euclidean"', "Received: 'cosin'"),
    lambda d: attributions.Lime(net(), distance="cosin"))
row("vis.attributions.Lime", "a narrow kernel", InputError,
    ("all weights are zero", "Received: 0.001"),
    lambda d: attributions.Lime(net(), kernel_width=1e-3).explain(X, Y))
row("vis.attributions.Lime", "a regressor that is none", InputError,
    ("regressor must have fit(X, y, sample_weight=) and coef_", "Received: 'ridge'"),
    lambda d: attributions.Lime(net(), regressor="ridge"))
row("vis.attributions.Lime", "a regressor without coefficients", InputError,
    ("The coefficients coef_ of regressor must be an array", "NoneType"),
    lambda d: attributions.Lime(net(), regressor=Fitted(None)).explain(X, Y))
row("vis.attributions.Lime", "a regressor with two coefficients", InputError,
    ("one for each of 30 features", "Received: 2"),
    lambda d: attributions.Lime(net(), regressor=Fitted([1, 2])).explain(X, Y))
row("vis.attributions.KernelShap", "few coalitions", InputError,
    ("The contributions of 30 features", "Received: 20", "or larger features"),
    lambda d: attributions.KernelShap(net(), nb_samples=20).explain(X, Y))
row("vis.attributions.SobolAttribution", "no power of two", InputError,
    ("nb_design must be a power of two", "Received: 12"),
    lambda d: attributions.SobolAttribution(net(), nb_design=12))
row("vis.attributions.SobolAttribution", "many features", InputError,
    ("at most 10600 features", "Received: 10800", "features="),
    lambda d: attributions.SobolAttribution(lambda x: x.sum(axis=1, keepdims=True)).explain(
        np.ones((1, 10800)), 0))
for name in ("SobolAttribution", "HsicAttribution"):
    options = {"binary": False} if name == "HsicAttribution" else {}
    row(f"vis.attributions.{name}", "shares of tokens", InputError, ("need inputs of real numbers", "wrt="),
        lambda d, name=name, options=options: getattr(attributions, name)(tokens(), **options).explain(
            np.zeros((2, 5), int), 0))
row("vis.attributions.Saliency", "the model is a function", ModelError,
    ("has no layers and no gradient", "Received: the function 'sum'", "Occlusion"),
    lambda d: Saliency(np.sum))
row("vis.attributions.wrapped", "a model", ModelError,
    ("Expected a function on arrays", "A Keras model is passed as it is"),
    lambda d: attributions.wrapped(net()))
row("vis.attributions.wrapped", "words in return", InputError,
    ("What the function 'lambda' returns must be an array of real numbers", "list"),
    lambda d: attributions.Rise(attributions.wrapped(lambda x: ["a"] * len(x))).explain(X, 0))
row("vis.attributions.superpixels", "a table", InputError,
    ("Superpixels are of pictures and volumes", "Received: shape (4,)"),
    lambda d: attributions.superpixels(Y))
for name in ("Explainer", "ClassActivation", "ChannelActivation", "AttentionMap", "Perturbed", "Coalitions"):
    row(f"vis.attributions.{name}", "itself", TypeError, "abstract",
        lambda d, name=name: getattr(attributions, name)(net()))
for name in ("AttentionRollout", "AttentionRelevance"):
    row(f"vis.attributions.{name}", "no attention", LayerError,
        ("There is no attention between the input", "GradCAM"),
        lambda d, name=name: getattr(attributions, name)(net()).explain(X, Y))
row("vis.attributions.LRP", "an unknown composite", ModifierError,
    ("Unknown composite: 'epsilon_pluss'", "Did you mean 'epsilon_plus'"),
    lambda d: attributions.LRP(net(), "epsilon_pluss"))
row("vis.attributions.LRP", "a layer in second position", ModifierError,
    ("A composite is a list of pairs", "Received: <Dense"),
    lambda d: attributions.LRP(net(), net().layers[-1]))
for name in ("AttnLRP", "ExcitationBackprop"):
    row(f"vis.attributions.{name}", "an unknown reducer", InputError,
        ("reducer must be one of", "Received: 'most'"),
        lambda d, name=name: getattr(attributions, name)(net(), reducer="most"))
row("vis.attributions.DeepTaylor", "bounds the wrong way round", ModifierError,
    ("low must be less than high", "low=1, high=0"),
    lambda d: attributions.DeepTaylor(net(), low=1, high=0))
row("vis.attributions.Conservation", "a sample that is not there", InputError,
    ("sample must be from 0 to 0", "Received: 3"),
    lambda d: attributions.LRP(net()).conservation(X[:1], Y[:1]).plot(3))
row("vis.attributions.DeepLift", "a baseline of NaN", InputError,
    ("The baseline must be a finite number", "Received: nan"),
    lambda d: attributions.DeepLift(net(), np.nan))
for name in ("InternalInfluence", "LayerConductance", "NeuronGradient"):
    row(f"vis.attributions.{name}", "an unknown layer", LayerError, "'nowhere'",
        lambda d, name=name: getattr(attributions, name)(net(), "nowhere"))
row("vis.attributions.InternalInfluence", "what adds up", InputError, ("do not add up", "LayerConductance"),
    lambda d: attributions.InternalInfluence(net(), -2).residuals(X))
row("vis.attributions.LayerConductance", "an unknown method", InputError,
    ("method must be one of", "'simpson'"),
    lambda d: attributions.LayerConductance(net(), -2, method="simpson"))
row("vis.attributions.IntegratedGradients", "both baselines", InputError, ("baseline", "baselines"),
    lambda d: attributions.IntegratedGradients(net(), baseline=0.5, baselines=X))
row("vis.attributions.IntegratedGradients", "a function that returns another shape", InputError,
    ("must return finite numbers in the shape of the sample", "(6, 5, 3)"),
    lambda d: attributions.IntegratedGradients(net(), baseline=lambda x: x[:1]).explain(X, Y))
for name in ("DeepLiftShap", "GradientShap"):
    row(f"vis.attributions.{name}", "baselines of another shape", InputError, "baselines",
        lambda d, name=name: getattr(attributions, name)(net(), np.zeros((2, 3))))
row("vis.attributions.Smoothed", "an explainer and a layer", InputError, "uses the settings of",
    lambda d: attributions.Smoothed(Saliency(net()), -1))
row("vis.attributions.ModifiedGradient", "a string", ModelError, "Expected a keras.Model",
    lambda d: Modified("model.keras"))
row("vis.attributions.ModifiedGradient", "an unknown modifier", ModifierError,
    ("Unknown backprop modifier: 'gided'", "Did you mean 'guided'"), lambda d: Modified(net()))
for name in ("Attribution", "Explained"):
    row(f"vis.attributions.{name}", "without maps", TypeError, "missing",
        lambda d, name=name: getattr(attributions, name)())
compute = attributions.compute_saliency_maps
row("vis.attributions.compute_saliency_maps", "no model", ModelError,
    "Expected a keras.Model. Received: 'model.keras'", lambda d: compute(X, Y, "model.keras"))
row("vis.attributions.compute_saliency_maps", "arguments in another order", ModelError,
    "Expected a keras.Model", lambda d: compute(net(), X, Y))
row("vis.attributions.compute_saliency_maps", "a class out of range", FilterError,
    ("Target 9 is out of range", "0 to 2"), lambda d: compute(X, [0, 1, 2, 9], net()))
row("vis.attributions.compute_saliency_maps", "too few classes", InputError, "4 samples, 3 targets",
    lambda d: compute(X, [0, 1, 2], net()))
row("vis.attributions.compute_saliency_maps", "a subclassed model that was never called", ModelError,
    "is not built", lambda d: compute(X, Y, Subclassed()))
row("vis.attributions.compute_saliency_maps", "one picture", InputError, BATCH,
    lambda d: compute(IMAGE, 1, net()))

watch = attributions.ExplainEpochs
row("vis.attributions.ExplainEpochs", "neither folder nor log", InputError,
    ("Maps are written to a folder, a log or both", "Received: neither"), lambda d: watch(Saliency(net()), X))
row("vis.attributions.ExplainEpochs", "maps with channels", InputError,
    ("ExplainEpochs needs one map per image", "(4, 6, 5, 3)", "Pass a reducer"),
    lambda d: watch(Saliency(net(), reducer=None), X, Y, folder=d / "epochs").on_epoch_end(0))
row("vis.attributions.ExplainEpochs", "a model in place of an explainer", InputError,
    ("explainer", "Received"), lambda d: watch(net(), X, Y, folder=d / "epochs").on_epoch_end(0))
row("vis.attributions.ExplainEpochs", "a folder inside a file", InputError, "cannot be written",
    lambda d: watch(Saliency(net()), X, Y, folder=d / "file" / "epochs").on_epoch_end(0))
row("vis.attributions.ExplainEpochs", "wrong inputs", InputError, BATCH,
    lambda d: watch(Saliency(net()), X[:, :5], Y, folder=d / "epochs").on_epoch_end(0))

# ---- maps on disk --------------------------------------------------------------------------------------

for about, written in {
    "vis.attributions.Explainer": lambda made, *given, **options: made.write(
        *given, progress=False, **options
    ),
    "vis.attributions.store.write": lambda made, *given, **options: store.write(
        made, *given, progress=False, **options
    ),
}.items():
    for what, name in {
        "a file": "file",
        "a folder of other things": "plain",
        "a model": "model.keras",
    }.items():
        row(about, f"the path is {what}", InputError,
            ("does not contain maps of this library", f"{name}'", "Choose another path"),
            lambda d, f=written, name=name: f(Saliency(net()), X, d / name, Y))
    row(about, "the path is inside a file", InputError, ("cannot be written", "maps.zarr'"),
        lambda d, f=written: f(Saliency(net()), X, d / "file" / "maps.zarr", Y))
    row(about, "the path may not be written", InputError, ("cannot be written", "maps.zarr'"),
        lambda d, f=written: f(Saliency(net()), X, Path("/proc/nowhere/maps.zarr"), Y))
    row(about, "the path is too long", InputError, ("cannot be written", "too long"),
        lambda d, f=written: f(Saliency(net()), X, d / ("x" * 300), Y))
    row(about, "the path has a zero byte", InputError, "cannot be written",
        lambda d, f=written: f(Saliency(net()), X, f"{d}/a\x00b", Y))
    row(about, "the path is None", TypeError, "None", lambda d, f=written: f(Saliency(net()), X, None, Y))
    row(about, "the path is empty", InputError, "does not contain maps of this library",
        lambda d, f=written: f(Saliency(net()), X, "", Y))
    row(about, "maps of another method", InputError,
        ("other settings", "method is 'Saliency' there, 'GradCAM' here", "Choose another path"),
        lambda d, f=written: f(attributions.GradCAM(net()), X, d / "maps.zarr", Y))
    row(about, "maps with another setting", InputError,
        ("other settings", "reducer is 'max' there, 'min' here"),
        lambda d, f=written: f(Saliency(net(), reducer="min"), X, d / "maps.zarr", Y))
    row(about, "maps of other inputs", InputError,
        ("contains maps of other inputs", "Choose another path"),
        lambda d, f=written: f(Saliency(net()), X + 1, d / "maps.zarr", Y))
    row(about, "maps of fewer inputs", InputError,
        ("contains maps of other inputs", "Choose another path"),
        lambda d, f=written: f(Saliency(net()), X[:2], d / "maps.zarr", Y[:2]))
    row(about, "maps of other targets", InputError, "other targets",
        lambda d, f=written: f(Saliency(net()), X, d / "maps.zarr", 0))
    row(about, "maps and no resuming", InputError, ("exists", "resume=True"),
        lambda d, f=written: f(Saliency(net()), X, d / "maps.zarr", Y, resume=False))
    row(about, "wrong inputs", InputError, BATCH,
        lambda d, f=written: f(Saliency(net()), X[:, :5], d / "new.zarr", Y))
    row(about, "wrong targets", FilterError, "Target 9 is out of range",
        lambda d, f=written: f(Saliency(net()), X, d / "new.zarr", 9))
    row(about, "too few targets", InputError, COUNTED,
        lambda d, f=written: f(Saliency(net()), X, d / "new.zarr", Y[:3]))
    row(about, "an empty iterator", InputError, "nothing to explain",
        lambda d, f=written: f(Saliency(net()), iter(()), d / "new.zarr"))
    row(about, "no input", InputError, "must hold real numbers",
        lambda d, f=written: f(Saliency(net()), None, d / "new.zarr"))
row("vis.attributions.store.write", "a model in place of an explainer", InputError, ("explainer", "Received"),
    lambda d: store.write(net(), X, d / "new.zarr", Y))
for what, name in {
    "a file": "file",
    "a folder of other things": "plain",
    "nothing": "nowhere",
    "a picture": "a.png",
}.items():
    row("vis.attributions.store.read", f"the path is {what}", InputError,
        (f"{name}'", "does not contain maps of this library"), lambda d, name=name: store.read(d / name))
row("vis.list_layers", "the model is a string", ModelError,
    ("Expected a keras.Model. Received:", "Load or build"), lambda d: vis.list_layers("model.keras"))
row("vis.watching", "the function is a string", InputError,
    ("progress must be a function", "Received: 'bar'"), lambda d: vis.watching("bar").__enter__())
row("vis.explore", "the model is a string", ModelError, ("must be a Keras model", "str", "Load a file"),
    lambda d: vis.explore("model.keras"))
row("vis.explore", "pictures for a model of vectors", InputError, ("does not take one picture", ".npz"),
    lambda d: vis.explore(vector(), d))
row("vis.explore", "an input of five axes", InputError, "has 5 axes",
    lambda d: vis.explore(keras.Sequential([keras.Input((2, 2, 2, 2, 2)), keras.layers.Flatten()])))
row("vis.explore", "images of another rank", InputError, ("must have shape", "shape (2, 3)"),
    lambda d: vis.explore(net(), np.zeros((2, 3))))
row("vis.explore", "images of another size", InputError, ("must have shape", "(2, 5, 5, 3)"),
    lambda d: vis.explore(net(), np.zeros((2, 5, 5, 3))))
row("vis.explore", "no images", InputError, "at least one sample",
    lambda d: vis.explore(net(), np.zeros((0, 6, 5, 3))))
row("vis.explore", "labels that are a number", InputError, "Labels are a file",
    lambda d: vis.explore(net(), labels=3))
row("vis.explore", "the port is -1", InputError, ("port", "-1"), lambda d: vis.explore(net(), port=-1))
row("vis.explore", "the port is 70000", InputError, ("port must be from 0 to 65535", "Received: 70000"),
    lambda d: vis.explore(net(), port=70000))
row("vis.report", "no run", InputError, ("'missing.zarr' does not contain maps", "Choose another path"),
    lambda d: vis.report("missing.zarr"))
row("vis.attributions.store.read", "a row behind the end", InputError, ("has 4 maps", "the first is 99"),
    lambda d: store.read(d / "maps.zarr", 99))
row("vis.attributions.store.read", "no row", InputError, ("count", "0"),
    lambda d: store.read(d / "maps.zarr", 0, 0))
row("vis.attributions.store.read", "a negative first row", InputError, ("first", "-1"),
    lambda d: store.read(d / "maps.zarr", -1, 2))
row("vis.attributions.store.read", "a negative number of rows", InputError, ("count", "-1"),
    lambda d: store.read(d / "maps.zarr", 0, -1))
row("vis.attributions.store.read", "a word for a row", InputError, ("first", "'a'"),
    lambda d: store.read(d / "maps.zarr", "a"))
row("vis.attributions.store.read", "a path that is None", TypeError, "PathLike", lambda d: store.read(None))
row("vis.attributions.store.explained", "wrong inputs", InputError, BATCH,
    lambda d: store.explained(Saliency(net()), IMAGE))

row("vis.attributions.store.gather", "a path that exists", InputError, ("exists", "Remove it"),
    lambda d: store.gather(Saliency(net()), [], d / "maps.zarr", 2))
row("vis.attributions.store.gather", "nothing", InputError, "There is nothing to explain",
    lambda d: store.gather(Saliency(net()), [], d / "new.zarr", 2))
for name in ("weighted_sum", "segmentation", "detection"):
    row(f"vis.attributions.operators.{name}", "a model alone", TypeError, "missing 2 required",
        lambda d, name=name: getattr(operators, name)(net()))

# ---- files ---------------------------------------------------------------------------------------------

for what, name, words in (
    (
        "a file that is not there",
        "none.keras",
        ("There is no model file", "none.keras'", "Pass the path of a .keras or .h5 file"),
    ),
    ("a folder", "plain", ("is a folder, not a file", "plain'")),
    ("words", "text.keras", ("could not be read as a Keras model", "text.keras'")),
    ("a picture", "a.png", ("could not be read as a Keras model", "a.png'")),
    ("weights", "net.weights.h5", ("does not contain a model, perhaps only weights", "model.save")),
    ("a layer with code", "lambda.keras", ("Lambda",)),
):
    row("vis.files.load_model", what, ModelError, words, lambda d, name=name: files.load_model(d / name))
row("vis.files.load_model", "None", TypeError, "None", lambda d: files.load_model(None))
row("vis.files.load_model", "a zero byte", ModelError, "no model file", lambda d: files.load_model("a\x00b"))
row("vis.files.exists", "a zero byte", InputError, "cannot be written", lambda d: files.exists("a\x00b"))
row("vis.files.exists", "a name too long", InputError, "cannot be written", lambda d: files.exists("a" * 300))
for what, name, words in (
    ("a file that is not there", "none.png", ("There is no image file", "none.png'")),
    ("a folder", "plain", ("plain'", "is a folder, not a file")),
    ("words", "text.keras", ("is not a picture in a format that Pillow reads", "text.keras'")),
    ("half a picture", "broken.png", ("could not be decoded", "broken.png'")),
    ("a path inside a file", "file/a.png", ("file/a.png'",)),
    ("a zero byte", "a\0b", ("There is no image file",)),
    (
        "a picture of real numbers",
        "real.tiff",
        ("pixel type 'F'", "whose range is not known", "8 or 16 bits"),
    ),
):
    row("vis.files.load_image", what, InputError, words,
        lambda d, name=name: files.load_image(f"{d}/{name}", (6, 5, 3)))
row("vis.files.load_image", "eleven channels", InputError,
    ("1, 3 or 4 channels", "a model with 11", "with an array"),
    lambda d: files.load_image(d / "a.png", (6, 5, 11)))
row("vis.files.ImageFolder", "no folder", InputError, ("There is no picture in the folder", "nowhere'"),
    lambda d: files.ImageFolder(d / "nowhere", (6, 5, 3)))
row("vis.files.ImageFolder", "an empty folder", InputError, ("There is no picture in the folder", "plain'"),
    lambda d: files.ImageFolder(d / "plain", (6, 5, 3)))
row("vis.files.ImageFolder", "any size", InputError, ("have the same", "(None, None, 3)", "Pass the"),
    lambda d: files.ImageFolder(d / "photos", (None, None, 3)))
row("vis.files.ImageFolder", "a picture that is broken", InputError, "could not be decoded",
    lambda d: files.ImageFolder(d / "photos", (6, 5, 3))[1])
row("vis.files.PictureLog", "inside a file", InputError, "cannot be written",
    lambda d: files.PictureLog(d / "file" / "log"))
row("vis.files.save_picture", "eleven channels", InputError, ("1, 3 or 4 channels", "Received: 11"),
    lambda d: files.save_picture(d / "new.png", np.zeros((2, 2, 11), np.uint8)))
row("vis.files.save_picture", "inside a file", InputError, "cannot be written",
    lambda d: files.save_picture(d / "file" / "new.png", np.zeros((2, 2, 3), np.uint8)))
row("vis.files.save_picture", "over a folder", InputError, "cannot be written",
    lambda d: files.save_picture(d / "plain", np.zeros((2, 2, 3), np.uint8)))
row("vis.files.save_picture", "a name too long", InputError, ("cannot be written", "too long"),
    lambda d: files.save_picture(d / ("x" * 300 + ".png"), np.zeros((2, 2, 3), np.uint8)))
row("vis.files.written", "inside a file", InputError, "cannot be written",
    lambda d: files.written(d / "file" / "new").__enter__())
row("vis.files.write_gif", "inside a file", InputError, "cannot be written",
    lambda d: files.write_gif(d / "file" / "a.gif", [np.zeros((3, 4), np.uint8)], 100))
row("vis.files.prepared", "an unknown module", InputError,
    ("no preprocessing 'resnet5'", "Did you mean", "Valid names"), lambda d: files.prepared(IMAGE, "resnet5"))
row("vis.files.prepared", "one channel", InputError, "'resnet50' does not take a picture of shape (6, 5, 1)",
    lambda d: files.prepared(IMAGE[..., :1], "resnet50"))

# ---- helpers -------------------------------------------------------------------------------------------

row("vis.utils.utils.find_layer_idx", "an unknown layer", LayerError,
    ("has no layer 'convv'", "Did you mean 'conv'"), lambda d: utils.find_layer_idx(net(), "convv"))
row("vis.utils.utils.find_layer_idx", "no model", ModelError, "Expected a keras.Model",
    lambda d: utils.find_layer_idx("net", "conv"))
row("vis.utils.utils.apply_modifications", "no model", ModelError, "Expected a keras.Model. Received: None",
    lambda d: utils.apply_modifications(None))
row("vis.utils.utils.linear_outputs", "no model", ModelError, "Expected a keras.Model. Received: None",
    lambda d: utils.linear_outputs(None))
row("vis.utils.utils.bgr2rgb", "four channels", InputError,
    ("must hold three channels", "Received: shape (6, 5, 4)"), lambda d: utils.bgr2rgb(np.zeros((6, 5, 4))))
row("vis.utils.utils.bgr2rgb", "a number", InputError, ("Received: shape ()", "Pass (height, width, 3)"),
    lambda d: utils.bgr2rgb(3))
row("vis.utils.utils.deprocess_input", "NaN", InputError, ("A picture must have finite values", "1 of"),
    lambda d: utils.deprocess_input(with_value(np.nan)))
row("vis.utils.utils.deprocess_input", "nothing", InputError, ("must have at least one value", "shape (0,)"),
    lambda d: utils.deprocess_input([]))
row("vis.utils.utils.deprocess_input", "a range backwards", InputError, ("input_range must be", "(1, 0)"),
    lambda d: utils.deprocess_input(IMAGE, (1, 0)))
row("vis.utils.utils.deprocess_input", "strings", InputError, ("picture", "Received"),
    lambda d: utils.deprocess_input(["a", "b"]))
row("vis.utils.utils.normalize", "strings", InputError, "Received", lambda d: utils.normalize(["a", "b"]))
row("vis.utils.utils.normalize", "NaN", InputError, ("finite", "NaN"),
    lambda d: utils.normalize(with_value(np.nan)))
for what, given in {
    "a float picture": (IMAGE, "x"),
    "two channels": (np.zeros((6, 5, 2), np.uint8), "x"),
    "a vector": (np.zeros(5, np.uint8), "x"),
}.items():
    row("vis.utils.utils.draw_text", what, InputError,
        ("The picture under a text must be uint8 with 1, 3 or 4 channels", "Received:"),
        lambda d, given=given: utils.draw_text(*given))
row("vis.utils.utils.draw_text", "a colour of two numbers", InputError, ("color", "(1, 2)"),
    lambda d: utils.draw_text(np.zeros((9, 9, 3), np.uint8), "x", color=(1, 2)))
row("vis.utils.utils.draw_text", "a size of zero", InputError, ("font_size", "0"),
    lambda d: utils.draw_text(np.zeros((9, 9, 3), np.uint8), "x", font_size=0))
row("vis.utils.utils.draw_text", "a number for the text", InputError, ("text", "3"),
    lambda d: utils.draw_text(np.zeros((9, 9, 3), np.uint8), 3))
for given in (np.zeros(3), 3, "cat.png", None):
    row("vis.utils.utils.get_img_shape", f"a {type(given).__name__}", InputError,
        ("Images must have samples, channels and image axes", "Received: shape"),
        lambda d, given=given: utils.get_img_shape(given))
row("vis.utils.utils.load_img", "no file", InputError, "There is no image file",
    lambda d: utils.load_img(d / "none.png"))
row("vis.utils.utils.load_img", "half a file", InputError, "could not be decoded",
    lambda d: utils.load_img(d / "broken.png"))
for size in ((0, 3), (3,), 3, (1.5, 2), "ab", (-1, 2), (None, None)):
    row("vis.utils.utils.load_img", f"target_size is {size!r}", InputError,
        ("target_size must be (height, width) in pixels", f"Received: {size!r}"),
        lambda d, size=size: utils.load_img(d / "a.png", target_size=size))
for what, given in {
    "1000": 1000,
    "-1": -1,
    "a float": 1.5,
    "a name": "tabby",
    "a list of names": ["tabby"],
}.items():
    row("vis.utils.utils.lookup_imagenet_labels", what, InputError,
        ("The classes of ImageNet must be integers from 0 to 999", f"Received: {given!r}"),
        lambda d, given=given: utils.lookup_imagenet_labels(given))
for std in (-1, np.nan):
    row("vis.utils.utils.random_array", f"std is {std}", InputError,
        ("std must be a standard deviation >= 0", f"Received: std={std!r}"),
        lambda d, std=std: utils.random_array((2, 2), std=std))
row("vis.utils.utils.random_array", "std is a word", InputError, ("standard deviation", "'a'"),
    lambda d: utils.random_array((2, 2), std="a"))
for shape in ((None, 3), "ab", (-1, 2), (1.5,)):
    row("vis.utils.utils.random_array", f"shape is {shape!r}", InputError,
        ("shape must be a tuple of sizes", f"Received: {shape!r}"),
        lambda d, shape=shape: utils.random_array(shape))
row("vis.utils.utils.slicer", "dots for the channels", InputError,
    ("samples first and the channels second", "an Ellipsis at position 1 of 2", "slicer[:, channel, ...]"),
    lambda d: utils.slicer[..., 1])
row("vis.utils.utils.stitch_images", "nothing", InputError, ("one shape", "0 of the shapes []"),
    lambda d: utils.stitch_images([]))
row("vis.utils.utils.stitch_images", "other shapes", InputError,
    ("one shape", "Received: 2 of the shapes", "Resize them first"),
    lambda d: utils.stitch_images([np.zeros((2, 2)), np.zeros((3, 2))]))
row("vis.utils.utils.stitch_images", "vectors", InputError, ("one shape", "(3,)"),
    lambda d: utils.stitch_images([np.zeros(3)]))
for option in ({"margin": -1}, {"cols": 0}, {"cols": 1.5}, {"margin": "a"}):
    row("vis.utils.utils.stitch_images", f"{option}", InputError,
        (f"{next(iter(option))} must be an integer >= {int('cols' in option)}",
         f"Received: {next(iter(option.values()))!r}"),
        lambda d, option=option: utils.stitch_images([np.zeros((2, 2))], **option))
row("vis.utils.utils.listify", "nothing", TypeError, "missing 1 required", lambda d: utils.listify())
row("vis.utils.utils.reverse_enumerate", "a number", TypeError, "iterable",
    lambda d: utils.reverse_enumerate(3))
row("vis.utils.utils.add_defaults_to_kwargs", "nothing", TypeError, "missing 1 required",
    lambda d: utils.add_defaults_to_kwargs())

for what, given, message in (
    ("three axes", IMAGE, ("one value per position", "shape (6, 5, 3), with 3 channels", "Reduce them")),
    ("a vector", np.zeros(3), ("must have the axes (height, width)", "Received: shape (3,)")),
    ("NaN", with_value(np.nan)[..., 1], ("must be finite", "1 of 30 values of shape (6, 5)", "at (2, 3)")),
    ("nothing", np.zeros((0, 5)), ("map", "(0, 5)")),
    ("strings", [["a"]], ("map", "Received")),
    ("ragged lists", [[1.0], [1.0, 2.0]], ("map", "Received")),
):
    row("vis.plotting.colorize", what, InputError, message, lambda d, given=given: plotting.colorize(given))
    row("vis.plotting.overlay_map", what, InputError, message,
        lambda d, given=given: plotting.overlay_map(IMAGE, given))
for option, message in (
    ({"clip_percentile": 100}, ("clip_percentile must be a percentage", "100")),
    ({"cmap": "jetty"}, ("no colormap 'jetty'", "Did you mean 'jet'")),
    ({"absolute": True, "signed": True}, ("Magnitudes have no sign", "Pass one")),
):
    row("vis.plotting.colorize", f"{option}", InputError, message,
        lambda d, option=option: plotting.colorize(IMAGE[..., 0], **option))
    row("vis.plotting.plot_maps", f"{option}", InputError, message,
        lambda d, option=option: plotting.plot_maps(X, X[..., 0], **option))
row("vis.plotting.overlay_map", "another size", InputError,
    ("must have the same height and width", "image of shape (5, 5, 3)", "map of shape (6, 5)"),
    lambda d: plotting.overlay_map(IMAGE[:5], IMAGE[..., 0]))
row("vis.plotting.overlay_map", "alpha is 2", InputError, "alpha must be an opacity from 0 to 1. Received: 2",
    lambda d: plotting.overlay_map(IMAGE, IMAGE[..., 0], alpha=2))
row("vis.plotting.plot_maps", "too few maps", InputError,
    ("one entry per input", "4 inputs and maps {'map': 2}"),
    lambda d: plotting.plot_maps(X, X[:2, ..., 0]))
row("vis.plotting.plot_maps", "several maps of one image", InputError, ("1 input and maps", "Pass a mapping"),
    lambda d: plotting.plot_maps(IMAGE, X[..., 0]))
row("vis.plotting.plot_maps", "maps with channels", InputError,
    ("Map 0 must", "3 channels", "Reduce them"),
    lambda d: plotting.plot_maps(X, X))
row("vis.plotting.plot_maps", "too few titles", InputError, ("one entry per input", "'titles': 1"),
    lambda d: plotting.plot_maps(X, X[..., 0], ["a"]))
row("vis.plotting.plot_maps", "a number as size", InputError, ("size must be (width, height)", "Received: 3"),
    lambda d: plotting.plot_maps(X, X[..., 0], size=3))
row("vis.plotting.plot_maps", "a figure as axes", InputError, ("ax must be Matplotlib axes", "Figure"),
    lambda d: plotting.plot_maps(X, X[..., 0], ax=plotting.Figure()))
row("vis.plotting.plot_saliency", "another size", InputError,
    ("must have the same height and width", "image of shape (5, 5, 3)", "map of shape (6, 5)"),
    lambda d: plotting.plot_saliency(IMAGE[:5], IMAGE[..., 0]))
row("vis.plotting.plot_saliency", "a map of three axes", InputError,
    ("must have one value per position", "Received: shape (6, 5, 3)"),
    lambda d: plotting.plot_saliency(IMAGE, IMAGE))
row("vis.plotting.plot_saliency", "a series of another length", InputError,
    ("must have the same axes", "series of shape (4,)", "map of shape (5,)"),
    lambda d: plotting.plot_saliency(np.zeros(4), np.zeros(5)))
row("vis.plotting.plot_saliency", "a path", InputError, "Received",
    lambda d: plotting.plot_saliency("cat.png", IMAGE[..., 0]))
row("vis.plotting.plot_saliency", "a picture of NaN", InputError, "NaN",
    lambda d: plotting.plot_saliency(with_value(np.nan), IMAGE[..., 0]))
row("vis.plotting.plot_grid", "nothing", InputError, ("one entry per input", "Received: no maps"),
    lambda d: plotting.plot_grid([], {}))
row("vis.plotting.plot_grid", "too few maps", InputError,
    ("one entry per input", "2 inputs and maps {'a': 1}"),
    lambda d: plotting.plot_grid([IMAGE, IMAGE], {"a": [IMAGE[..., 0]]}))
row("vis.plotting.plot_grid", "too many names", InputError, ("one entry per input", "'row_names': 2"),
    lambda d: plotting.plot_grid([IMAGE], {"a": [IMAGE[..., 0]]}, ["x", "y"]))
row("vis.plotting.plot_grid", "an empty box", InputError, "box",
    lambda d: plotting.plot_grid([IMAGE], {"a": [IMAGE[..., 0]]}, boxes=[np.zeros((6, 5), bool)]))

row("vis.plotting.plot_spread", "nothing", InputError, ("A line needs values (ticks, N)", "Received: {}"),
    lambda d: plotting.plot_spread([], {}))
row("vis.plotting.plot_spread", "no row per tick", InputError, ("here (2, N)", "{'a': (3, 4)}"),
    lambda d: plotting.plot_spread(["x", "y"], {"panel": {"a": np.ones((3, 4))}}))

WORDS = ["a", "dull", "day"]
row("vis.plotting.plot_tokens", "a text", InputError, ("must be a list of words", "text.split()"),
    lambda d: plotting.plot_tokens("a dull day", np.ones(3)))
row("vis.plotting.plot_tokens", "too few values", InputError, ("for each word", "3 words", "shape (2,)"),
    lambda d: plotting.plot_tokens(WORDS, np.ones(2)))
row("vis.plotting.plot_tokens", "an unknown reducer", InputError, ("reducer must be one of", "'norm'"),
    lambda d: plotting.plot_tokens(WORDS, np.ones(3), reducer="norm"))
row("vis.plotting.plot_series", "another length", InputError, ("series of shape (4,)", "map of shape (5,)"),
    lambda d: plotting.plot_series(np.zeros(4), np.zeros(5)))
row("vis.plotting.plot_series", "equal times", InputError, ("must be finite and increase", "for 3 steps"),
    lambda d: plotting.plot_series(np.zeros(3), np.zeros(3), times=[0, 0, 1]))
row("vis.plotting.plot_volume", "a batch", InputError, ("volume[i], values[i]", "(2, 3, 4, 5)"),
    lambda d: plotting.plot_volume(np.zeros((2, 3, 4, 5)), np.zeros((2, 3, 4, 5))))
row("vis.plotting.plot_volume", "no such slice", InputError, ("indices from 0 to 2", "[7]"),
    lambda d: plotting.plot_volume(np.zeros((3, 4, 5)), np.zeros((3, 4, 5)), slices=[0, 7]))
row("vis.plotting.save_gif", "too fast", InputError, ("fps must be a number of frames", "Received: 100"),
    lambda d: plotting.save_gif(d / "a.gif", np.zeros((3, 4, 5)), np.zeros((3, 4, 5)), fps=100))
row("vis.plotting.plot_features", "too few names", InputError, ("each feature a name", "3 names", "(4,)"),
    lambda d: plotting.plot_features(WORDS, np.zeros(4)))

# ---- metrics -------------------------------------------------------------------------------------------

HEAT = np.abs(X[..., 0])
for name in ("deletion", "insertion"):
    about, make = f"vis.metrics.{name}", getattr(metrics, name)
    row(about, "no model", ModelError, "Expected a keras.Model. Received: 'model.keras'",
        lambda d, f=make: f("model.keras", X, HEAT, Y))
    row(about, "maps of another shape", InputError, ("have the shape of its input", "5, 5", "(4, 6, 5, 3)"),
        lambda d, f=make: f(net(), X, HEAT[:, :5], Y))
    row(about, "maps of NaN", InputError, "A map must be finite and have the shape of its input",
        lambda d, f=make: f(net(), X, np.full(HEAT.shape, np.nan), Y))
    row(about, "maps of words", InputError, ("map", "Received"), lambda d, f=make: f(net(), X, "maps", Y))
    row(about, "too few maps", InputError, ("Pass one map for each sample", "4 samples, 3 maps"),
        lambda d, f=make: f(net(), X, HEAT[:3], Y))
    row(about, "too many maps", InputError, ("Pass one map for each sample", "4 samples, 5 maps"),
        lambda d, f=make: f(net(), X, np.concatenate([HEAT, HEAT[:1]]), Y))
    row(about, "inputs of another shape", InputError, BATCH, lambda d, f=make: f(net(), X[:, :5], HEAT, Y))
    row(about, "a class out of range", FilterError, "Target 9 is out of range",
        lambda d, f=make: f(net(), X, HEAT, 9))
    for steps in (0, 1.5, "a", True):
        row(about, f"steps is {steps!r}", InputError, ("steps must be an integer >= 1", f"{steps!r}"),
            lambda d, f=make, steps=steps: f(net(), X, HEAT, Y, steps=steps))
    for what, given in {"NaN": np.nan, "a word": "black", "another shape": np.zeros((5, 6, 3))}.items():
        row(about, f"baseline is {what}", InputError, ("The baseline must be", "Received:"),
            lambda d, f=make, given=given: f(net(), X, HEAT, Y, baseline=given))
    row(about, "two inputs", InputError, ("need a model with one input", "a model with 2 inputs"),
        lambda d, f=make: f(two(), [X, np.ones((4, 2))], HEAT, 0, baseline=0.0))
row("vis.metrics.blurred", "one picture", InputError, ("samples, height, width and channels", "(6, 5, 3)"),
    lambda d: metrics.blurred(IMAGE))
for name in ("pointing_game", "energy_in_mask"):
    about, make = f"vis.metrics.{name}", getattr(metrics, name)
    row(about, "masks of another shape", InputError, ("Each map needs a mask of the same shape", "(4, 5, 5)"),
        lambda d, f=make: f(HEAT, HEAT[:, :5] > 0))
    row(about, "maps of NaN", InputError, ("Maps must be finite", "Received: 120"),
        lambda d, f=make: f(np.full(HEAT.shape, np.nan), HEAT > 0))
    row(about, "maps of words", InputError, ("map", "Received"), lambda d, f=make: f("maps", HEAT > 0))
row("vis.metrics.energy_in_mask", "negative values", InputError, ("without negative values", "numpy.abs"),
    lambda d: metrics.energy_in_mask(-HEAT, HEAT > 0))
for tolerance in (-1, np.nan, "a"):
    row("vis.metrics.pointing_game", f"tolerance is {tolerance!r}", InputError,
        ("tolerance must be a distance in pixels, at least 0", f"Received: {tolerance!r}"),
        lambda d, tolerance=tolerance: metrics.pointing_game(HEAT, HEAT > 0, tolerance))
for name in ("rank_correlation", "structural_similarity"):
    about, make = f"vis.metrics.{name}", getattr(metrics, name)
    row(about, "maps of other shapes", InputError, ("two maps of a sample must have the same", "(4, 5, 5)"),
        lambda d, f=make: f(HEAT, HEAT[:, :5]))
    row(about, "maps of NaN", InputError, "Maps must be finite", lambda d, f=make: f(HEAT * np.nan, HEAT))
check = metrics.sanity_check
row("vis.metrics.sanity_check", "no model", ModelError, "Expected a keras.Model",
    lambda d: check(Saliency, "model.keras", X, Y))
row("vis.metrics.sanity_check", "an unknown order", InputError, ("order must be", "Received: 'random'"),
    lambda d: check(Saliency, net(), X, Y, order="random"))
row("vis.metrics.sanity_check", "a modified model", ModelError, ("modified model", "Pass the model itself"),
    lambda d: check(Saliency, vis.backprop_modifiers.get("guided")(net()), X, Y))
row("vis.metrics.plot_sanity", "nothing", InputError, "Received: 0 checks", lambda d: metrics.plot_sanity({}))
row("vis.metrics.plot_curves", "nothing", InputError, ("in one figure", "Received: {}"),
    lambda d: metrics.plot_curves({}))
row("vis.metrics.table", "nothing", InputError, ("must have the same measures", "Received: {}"),
    lambda d: metrics.table({}))
row("vis.metrics.table", "a mean", InputError, ("one value for each sample", "'energy' of 'a'"),
    lambda d: metrics.table({"a": {"energy": 0.5}}))
for name in ("mu_fidelity", "infidelity", "average_drop", "average_gain", "increase_in_confidence"):
    about, make = f"vis.metrics.{name}", getattr(metrics, name)
    row(about, "no model", ModelError, "Expected a keras.Model. Received: 'model.keras'",
        lambda d, f=make: f("model.keras", X, HEAT, Y))
    row(about, "maps of another shape", InputError, ("have the shape of its input", "5, 5", "(4, 6, 5, 3)"),
        lambda d, f=make: f(net(), X, HEAT[:, :5], Y))
    row(about, "too few maps", InputError, ("Pass one map for each sample", "4 samples, 3 maps"),
        lambda d, f=make: f(net(), X, HEAT[:3], Y))
    row(about, "a class out of range", FilterError, "Target 9 is out of range",
        lambda d, f=make: f(net(), X, HEAT, 9))
    row(about, "two inputs", InputError, ("need a model with one input", "a model with 2 inputs"),
        lambda d, f=make: f(two(), [X, np.ones((4, 2))], HEAT, 0))
for name in ("average_drop", "average_gain", "increase_in_confidence"):
    about, make = f"vis.metrics.{name}", getattr(metrics, name)
    row(about, "logits", InputError, ("must be probabilities", "the model with its softmax"),
        lambda d, f=make: f(net(), 50 * X, HEAT, Y))
row("vis.metrics.mu_fidelity", "everything is a subset", InputError, ("a share between 0 and 1", "1.0"),
    lambda d: metrics.mu_fidelity(net(), X, HEAT, Y, 1.0))
row("vis.metrics.infidelity", "an unknown perturbation", InputError, ("must be one of gaussian", "'noise'"),
    lambda d: metrics.infidelity(net(), X, HEAT, Y, "noise"))
for name in ("sensitivity_max", "average_stability", "random_logit"):
    about, make = f"vis.metrics.{name}", getattr(metrics, name)
    row(about, "a class in place of an explainer", InputError, ("Pass an explainer", "Saliency"),
        lambda d, f=make: f(Saliency, X, Y))
    row(about, "inputs of another shape", InputError, BATCH,
        lambda d, f=make: f(Saliency(net()), X[:, :5], Y))
row("vis.metrics.random_logit", "too many classes", InputError, ("3 others are drawn", "(4, 3)"),
    lambda d: metrics.random_logit(Saliency(net()), X, Y, nb_samples=3))
for name in ("complexity", "sparseness"):
    about, make = f"vis.metrics.{name}", getattr(metrics, name)
    row(about, "maps of NaN", InputError, ("Maps must be finite", "120 values NaN"),
        lambda d, f=make: f(HEAT * np.nan))
row("vis.metrics.compare", "a list", InputError, ("Pass the explainers by name", "Received: ["),
    lambda d: metrics.compare([Saliency(net())], X, Y))
row("vis.metrics.compare", "an unknown measure", InputError, ("Unknown measure", "Did you mean 'deletion'"),
    lambda d: metrics.compare({"a": Saliency(net())}, X, Y, ["deletoin"]))
row("vis.plotting.plot_intervals", "nothing", InputError, ("three numbers for each method", "Received: {}"),
    lambda d: plotting.plot_intervals({}, {}))
missing = {"Comparison": "missing 3", "Curve": "missing 2", "Measure": "missing 3", "SanityCheck": "missing",
           "Table": "missing 2", "median": "missing 1"}
for name, words in missing.items():
    row(f"vis.metrics.{name}", "nothing", TypeError, words, lambda d, name=name: getattr(metrics, name)())

# ---- the command line ----------------------------------------------------------------------------------


class Ended(Exception):
    """What a command has written on stderr, when it ended with the exit code 2."""


def command(*arguments: object) -> None:
    """Run the command in this process; raise what it says."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["vis", *map(str, arguments)])
        patch.setattr("warnings.showwarning", None)
        patch.setattr("warnings.filters", [])
        said: list[tuple[str, bool]] = []
        patch.setattr("click.echo", lambda message=None, err=False, **_: said.append((str(message), err)))
        with pytest.raises(SystemExit) as stop:
            cli.main()
    assert stop.value.code == 2
    assert [err for _, err in said] == [True], f"one line on stderr and none on stdout: {said}"
    raise Ended(said[0][0])


COMMANDS: dict[str, list[tuple[tuple[str, ...], str]]] = {
    "layers": [
        ((), "Missing argument 'MODEL'"),
        (("none.keras",), "There is no model file 'none.keras'"),
        (("plain",), "'plain' is a folder, not a file"),
        (("text.keras",), "could not be read as a Keras model"),
        (("net.weights.h5",), "does not contain a model, perhaps only weights"),
        (("lambda.keras",), "Lambda"),
        (("model.keras", "model.keras"), "unexpected extra argument"),
        (("model.keras", "--nonsense"), "No such option"),
    ],
    "saliency": [
        ((), "Missing argument 'MODEL'"),
        (("model.keras",), "Missing argument 'PICTURE...'"),
        (("a.png", "model.keras"), "could not be read as a Keras model"),
        (("model.keras", "none.png"), "There is no image file 'none.png'"),
        (("model.keras", "plain"), "There is no picture in the folder 'plain'"),
        (("model.keras", "text.keras"), "is not a picture"),
        (("model.keras", "a.png", "broken.png"), "could not be decoded"),
        (("model.keras", "a.png", "--layer", "convv"), "Did you mean 'conv'"),
        (("model.keras", "a.png", "--layer", "99"), "Layer index 99 is out of range"),
        (("model.keras", "a.png", "--layer", ""), "has no layer ''"),
        (("model.keras", "a.png", "--target", "3"), "valid indices are -3 to 2"),
        (("model.keras", "a.png", "--target", "one"), "'one' is not a valid integer"),
        (("model.keras", "a.png", "--grad-modifier", "absolut"), "Did you mean 'absolute'"),
        (("model.keras", "a.png", "--backprop-modifier", "gided"), "Did you mean 'guided'"),
        (("plain.keras", "a.png", "--backprop-modifier", "guided"), "reaches no activation"),
        (("model.keras", "a.png", "--input-range", "0"), "requires 2 arguments"),
        (("model.keras", "a.png", "--input-range", "nan", "1"), "range"),
        (("model.keras", "a.png", "--input-range", "0", "inf"), "range"),
        (("model.keras", "a.png", "--input-range", "1", "0"), "range"),
        (("model.keras", "a.png", "--preprocess", "resnet5"), "Did you mean"),
        (("model.keras", "a.png", "--output", "file"), "cannot be written"),
        (("model.keras", "a.png", "--output", "file/inside"), "cannot be written"),
        (("vector.keras", "a.png"), "needs a model with one picture"),
        (("two.keras", "a.png"), "needs a model with one picture"),
    ],
    "cam": [
        ((), "Missing argument 'MODEL'"),
        (("model.keras", "a.png", "--conv-layer", "convv"), "Did you mean 'conv'"),
        (("model.keras", "a.png", "--conv-layer", "dense"), "has no positions"),
        (("model.keras", "a.png", "--conv-layer", "99"), "Layer index 99 is out of range"),
        (("model.keras", "a.png", "--target", "-4"), "valid indices are -3 to 2"),
        (("dense.keras", "a.png"), "has more than one position"),
        (("model.keras", "a.png", "--grad-modifier", "absolute", "--output", "file"), "cannot be written"),
    ],
    "activation": [
        ((), "Missing argument 'MODEL'"),
        (("model.keras", "--steps", "0"), "0 is not in the range"),
        (("model.keras", "--seed", "-1"), "-1 is not in the range"),
        (("model.keras", "--size", "0", "0"), "0 is not in the range"),
        (("model.keras", "--target", "3"), "valid indices are -3 to 2"),
        (("model.keras", "--parameterization", "furier"), "Did you mean 'fourier'"),
        (("model.keras", "--input-range", "1", "0"), "--input-range must be a pair (low, high)"),
        (("model.keras", "--target", "0", "--steps", "1", "--output", "file"), "cannot be written"),
        (("model.keras", "a.png"), "unexpected extra argument"),
    ],
    "explain": [
        ((), "Missing argument 'MODEL'"),
        (("model.keras",), "Missing argument 'PICTURE...'"),
        (("model.keras", "photos"), "Missing option '-o'"),
        (("model.keras", "nowhere", "-o", "new.zarr"), "There is no image file 'nowhere'"),
        (("model.keras", "good", "-o", "new.zarr", "--target", "1", "--target", "2"), "Received: 1, 2"),
        (("model.keras", "good", "-o", "new.zarr", "--option", "seed=1"), "not of saliency"),
        (("model.keras", "good", "-o", "new.zarr", "--option", "reducr=max"), "Did you mean 'reducer'"),
        (("model.keras", "good", "-o", "new.zarr", "--option", "reducer"), "is not of the form NAME=VALUE"),
        (("model.keras", "good", "-o", "new.zarr", "--option", "reducer=med"), "reducer must be one of"),
        (("model.keras", "good", "-o", "new.zarr", "--samples", "3"), "not of saliency"),
        (("model.keras", "good", "-o", "new.zarr", "--baseline", "black"), "'black' is not a valid float"),
        (("model.keras", "good", "-o", "new.zarr", "--patch-size", "8x"), "give 16, or 16x24"),
        (("model.keras", "good", "-o", "maps.zarr", "--add"), "'maps.zarr.txt' is missing"),
        (("model.keras", "plain", "-o", "new.zarr"), "There is no picture in the folder 'plain'"),
        (("model.keras", "photos", "-o", "new.zarr", "--method", "gradcm"), "Did you mean 'gradcam'"),
        (("model.keras", "good", "-o", "new.zarr", "--target", "3"), "valid indices are -3 to 2"),
        (("model.keras", "photos", "-o", "new.zarr", "--target", "cat"), "'cat' is not a valid integer"),
        (("model.keras", "photos", "-o", "new.zarr", "--layer", "convv"), "Did you mean 'conv'"),
        (("model.keras", "photos", "-o", "new.zarr", "--batch-size", "0"), "0 is not in the range"),
        (("model.keras", "photos", "-o", "file"), "does not contain maps of this library"),
        (("model.keras", "photos", "-o", "plain"), "does not contain maps of this library"),
        (("model.keras", "good", "-o", "maps.zarr"), "contains maps with other settings"),
        (("model.keras", "photos", "-o", "file/new.zarr"), "cannot be written"),
    ],
    "show": [
        ((), "Missing argument 'MAPS'"),
        (("nowhere",), "does not exist"),
        (("file",), "does not contain maps of this library"),
        (("plain",), "does not contain maps of this library"),
        (("maps.zarr", "--first", "99", "-o", "new.png"), "has 4 maps"),
        (("maps.zarr", "--first", "-1"), "-1 is not in the range"),
        (("maps.zarr", "--count", "0"), "0 is not in the range"),
        (("maps.zarr", "--columns", "0"), "0 is not in the range"),
        (("maps.zarr", "-o", "file/new.png"), "cannot be written"),
        (("maps.zarr", "-o", "plain"), "cannot be written"),
        (("maps.zarr", "-o", "new.jpg"), "A sheet is written to a file that ends in .png"),
        (("maps.zarr", "--labels", "nowhere"), "'nowhere' does not exist"),
    ],
    "report": [
        ((), "Missing argument 'MAPS'"),
        (("nowhere",), "does not exist"),
        (("file",), "does not contain maps of this library"),
        (("plain",), "does not contain maps of this library"),
        (("maps.zarr", "--first", "99", "-o", "new.html"), "has 4 maps"),
        (("maps.zarr", "--count", "0"), "0 is not in the range"),
        (("maps.zarr", "--size", "0"), "0 is not in the range"),
        (("maps.zarr", "--images", "nowhere"), "'nowhere' does not exist"),
        (("maps.zarr", "--labels", "nowhere"), "'nowhere' does not exist"),
        (("maps.zarr", "--clip-percentile", "100"), "--clip-percentile"),
        (("maps.zarr", "--cmap", "infrno"), "Did you mean 'inferno'"),
        (("maps.zarr", "-o", "new.csv"), "A report is written to a file that ends in .html"),
        (("maps.zarr", "-o", "file/new.html"), "cannot be written"),
        (("maps.zarr", "-o", "plain"), "cannot be written"),
    ],
    "compare": [
        ((), "Missing argument 'MODEL'"),
        (("model.keras",), "Missing argument 'PICTURE...'"),
        (("model.keras", "plain"), "There is no picture in the folder 'plain'"),
        (("model.keras", "a.png", "--methods", "saliency,gradcm"), "Did you mean 'gradcam'"),
        (("model.keras", "a.png", "--measures", "deletoin"), "Did you mean 'deletion'"),
        (("model.keras", "a.png", "--target", "3", "--measures", "deletion"), "3 is out of range"),
        (("model.keras", "a.png", "-o", "table.txt"), "is written to a file that ends in .csv"),
        (("model.keras", "a.png", "--count", "0"), "0 is not in the range"),
    ],
    "demo": [
        (("--scenes", "5"), "5 is not in the range"),
        (("--scenes", "many"), "'many' is not a valid integer"),
        (("model.keras",), "unexpected extra argument"),
        (("--nonsense",), "No such option"),
    ],
    "explore": [
        ((), "Missing argument 'MODEL'"),
        (("none.keras",), "There is no model file 'none.keras'"),
        (("a.png",), "could not be read as a Keras model"),
        (("model.keras", "none.png"), "There is no image file 'none.png'"),
        (("model.keras", "plain"), "There is no picture in the folder 'plain'"),
        (("model.keras", "--demo"), "--demo has a model of its own"),
        (("model.keras", "--port", "65536"), "65536 is not in the range"),
        (("model.keras", "--host", "256.0.0.1", "--no-browser"), "cannot be listened on"),
        (("model.keras", "--preprocess", "resnet5"), "Did you mean"),
        (("model.keras", "--nonsense"), "No such option"),
    ],
}
for _command, _wrong in COMMANDS.items():
    for _arguments, _words in _wrong:
        row(f"vis {_command}", " ".join(_arguments), Ended, _words,
            lambda d, c=_command, a=_arguments: command(c, *a))
row("vis", "an unknown command", Ended, "No such command 'frobnicate'", lambda d: command("frobnicate"))

# fmt: on


# ---- the tests -----------------------------------------------------------------------------------------


def make_stock(path: Path) -> None:
    """Write the files that the rows name."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("warnings.filters", [])  # Keras advises against its own older format
        saved = {"model": net, "plain": plain, "vector": vector, "two": two, "dense": linear}
        for name, model in saved.items():
            model().save(path / f"{name}.keras")
        code = keras.Sequential([layers.Input((6, 5, 3)), layers.Lambda(lambda x: 2 * x)])
        code.save(path / "lambda.keras")
        net().save_weights(path / "net.weights.h5")
    pixels = np.random.default_rng(0).integers(0, 256, (6, 5, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path / "a.png")
    (path / "broken.png").write_bytes((path / "a.png").read_bytes()[:90])
    Image.fromarray(pixels[..., 0].astype(np.float32)).save(path / "real.tiff")
    (path / "file").write_text("words")
    (path / "text.keras").write_text("words")
    for folder, names in {"plain": [], "photos": ["a.png", "broken.png"], "good": ["a.png"]}.items():
        (path / folder).mkdir()
        for name in names:
            (path / folder / name).write_bytes((path / name).read_bytes())
    (path / "plain" / "notes.txt").write_text("words")
    Saliency(net()).write(X, path / "maps.zarr", Y, progress=False)
    Saliency(vector()).write(np.ones((3, 4)), path / "table.zarr", 1, progress=False)


def contents(path: Path) -> Contents:
    """Return what a folder holds."""
    found = {}
    for folder, folders, names in os.walk(path):
        for name in folders + names:
            status = os.stat(os.path.join(folder, name))
            is_file = name in names
            found[os.path.join(folder, name)] = (status.st_size, status.st_mtime_ns) if is_file else (0, 0)
    return found


@pytest.fixture(scope="module")
def stock(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Contents]:
    path = tmp_path_factory.mktemp("bad") / "stock"
    path.mkdir()
    make_stock(path)
    return path, contents(path)


@pytest.fixture
def folder(stock: tuple[Path, Contents]) -> Iterator[Path]:
    """The files; what a failing row leaves is taken away behind it."""
    path, before = stock
    yield path
    if contents(path) != before:
        shutil.rmtree(path)
        path.mkdir()
        make_stock(path)
        before.clear()
        before.update(contents(path))


@contextlib.contextmanager
def patience() -> Iterator[None]:
    """Interrupt what does not return."""

    def stop(*_: Any) -> None:
        raise TimeoutError(f"no answer within {_PATIENCE} s")

    old = signal.signal(signal.SIGALRM, stop)
    signal.alarm(_PATIENCE)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, old)


@functools.cache
def derived() -> Any:
    """Return the magnitudes of the gradient of class 1, the largest over the channels, by the framework."""
    found = native.gradient(lambda x: net()(x, training=False)[0, 1], IMAGE[None])
    return np.abs(found[0]).max(axis=-1)


def check_a_correct_call() -> None:
    """Fail unless a correct call on the model of most rows still gives the right map."""
    scaled = (derived() - derived().min()) / (derived().max() - derived().min())
    np.testing.assert_allclose(vis.visualize_saliency(net(), -1, 1, IMAGE), scaled, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("wrong", [pytest.param(wrong, id=wrong.name) for wrong in TABLE])
def test_a_wrong_call(
    wrong: Row, folder: Path, stock: tuple[Path, Contents], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    with patience(), pytest.raises(Exception) as caught:
        wrong.call(folder)
    error, message = caught.value, str(caught.value)
    assert type(error) is wrong.error, f"{type(error).__name__}: {message}"
    missing = [words for words in wrong.words if words not in message]
    assert not missing, f"{missing} not in: {message}"
    first = message.splitlines()[0]
    assert not [words for words in ("tensorflow", "Node:", "{{node", "jaxlib", "aten::") if words in first], (
        first
    )
    assert contents(folder) == stock[1], "nothing is left, and nothing changed"
    check_a_correct_call()


def test_explainers_are_right_behind_them_all() -> None:
    found = Saliency(net()).explain(X[:1], 1)[0, ..., 0]
    np.testing.assert_allclose(found, derived(), rtol=1e-4, atol=1e-6)


def test_rows_have_names_of_their_own_and_errors_of_the_library() -> None:
    assert len(TABLE) >= 80
    assert len({wrong.name for wrong in TABLE}) == len(TABLE)
    # A loss of one's own may raise what it likes; Python itself says what a signature lacks.
    others = {wrong.error for wrong in TABLE} - {TypeError, Ended, ZeroDivisionError}
    assert others == set(VisError.__subclasses__())
    assert all(wrong.words for wrong in TABLE)


def public_names() -> Iterator[str]:
    """Yield every public name of the library, and every command."""
    # The explainers stand at the top, too: they are the same.
    yield from (f"vis.{name}" for name in vis.__all__ if vis._EXPORTS.get(name) != "vis.attributions")
    rooms = [attributions, losses, regularizers, grad_modifiers, backprop_modifiers, input_modifiers]
    for module in [*rooms, parameterizations, utils, files, metrics]:
        yield from (f"{module.__name__}.{name}" for name in module.__all__)
    for module in (callbacks, plotting, optimizer, store, operators):
        for name in getattr(module, "__all__", vars(module)):
            value = getattr(module, name)
            if getattr(value, "__module__", None) == module.__name__ and name[0] != "_" and callable(value):
                yield f"{module.__name__}.{name}"
    yield from (f"vis {name}" for name in cli.cli.commands)


# What has no wrong call, or none of its own.
NO_WRONG_CALL = {
    "vis.__version__": "a string",
    "vis.LayerRow": "a row that `vis.list_layers` makes",
    "vis.metrics.MEASURES": "a dict",
    "vis.metrics.DEFAULT_MEASURES": "a tuple of names",
    "vis.grad_modifiers.GradModifier": "a type",
}


def test_every_public_name_has_a_wrong_call() -> None:
    known = {wrong.about for wrong in TABLE}
    names = list(public_names())
    assert len(names) > 90
    assert [name for name in names if name not in known and name not in NO_WRONG_CALL] == []
    assert not known & set(NO_WRONG_CALL)
