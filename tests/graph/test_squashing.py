"""What a value ends in: each written in many ways, and what looks like one and is none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops

from tests.native import compiled
from vis.models import squashings

Make = Callable[[Any], Any]


def without_gradient(x: Any) -> Any:
    """Stop the gradient; the oldest Keras cannot do so symbolically."""
    try:
        return ops.stop_gradient(x)
    except ValueError:
        return layers.Lambda(ops.stop_gradient)(x)


def normalized(e: Any) -> Any:
    return e / ops.sum(e, axis=-1, keepdims=True)


def highest(x: Any) -> Any:
    return ops.max(x, axis=-1, keepdims=True)


def log_of_sum(x: Any) -> Any:
    return ops.log(ops.sum(ops.exp(x), axis=-1, keepdims=True))


SOFTMAX: dict[str, Make] = {
    "ops": ops.softmax,
    "another axis": lambda x: ops.softmax(x, axis=1),
    "exp over sum": lambda x: ops.exp(x) / ops.sum(ops.exp(x), axis=-1, keepdims=True),
    "exp once": lambda x: normalized(ops.exp(x)),
    "maximum subtracted": lambda x: normalized(ops.exp(x - highest(x))),
    "maximum without its gradient": lambda x: normalized(ops.exp(x - without_gradient(highest(x)))),
    "mean subtracted": lambda x: normalized(ops.exp(x - ops.mean(x, axis=-1, keepdims=True))),
    "sum expanded": lambda x: ops.exp(x) / ops.expand_dims(ops.sum(ops.exp(x), axis=-1), -1),
    "with an epsilon": lambda x: ops.exp(x) / (ops.sum(ops.exp(x), axis=-1, keepdims=True) + 1e-7),
    "a reciprocal": lambda x: ops.exp(x) * ops.reciprocal(ops.sum(ops.exp(x), axis=-1, keepdims=True)),
    "powers of two": lambda x: normalized(ops.power(2.0, x)),
    "exp of log_softmax": lambda x: ops.exp(ops.log_softmax(x)),
    "exp of logsumexp": lambda x: ops.exp(x - ops.logsumexp(x, axis=(-1,), keepdims=True)),
    "several axes": lambda x: layers.Softmax(axis=(1, 2))(x),
    "temperature": lambda x: ops.softmax(x / 3.0),
    "temperature by hand": lambda x: normalized(ops.exp(x / 3.0 - highest(x / 3.0))),
    "scaled": lambda x: 0.5 * ops.softmax(x),
    "smoothed": lambda x: 0.9 * ops.softmax(x) + 0.1 / 4,
    "clipped": lambda x: ops.clip(ops.softmax(x), 1e-7, 1 - 1e-7),
    "cast": lambda x: ops.cast(ops.softmax(x), "float16"),
    "flattened": lambda x: ops.reshape(ops.softmax(x), (-1, 12)),
    "transposed": lambda x: ops.transpose(ops.softmax(x), (0, 2, 1)),
    "reversed": lambda x: ops.flip(ops.softmax(x), axis=-1),
    "one of several": lambda x: ops.split(ops.softmax(x), 2, axis=-1)[1],
    "some of the classes": lambda x: ops.take(ops.softmax(x), [0, 2], axis=-1),
    "upsampled": lambda x: layers.UpSampling1D(2)(ops.softmax(x)),
    "repeated": lambda x: ops.repeat(ops.softmax(x), 2, axis=1),
    "sliced": lambda x: ops.softmax(x)[..., 1:],
    "one minus": lambda x: 1.0 - ops.softmax(x),
    "squared": lambda x: ops.softmax(x) ** 2,
    "joined with another": lambda x: ops.concatenate([ops.softmax(x), ops.softmax(-x)], axis=-1),
    "joined with what is none": lambda x: ops.concatenate([ops.softmax(x), x], axis=-1),
}
LOG_SOFTMAX: dict[str, Make] = {
    "ops": ops.log_softmax,
    "log of softmax": lambda x: ops.log(ops.softmax(x)),
    "log of softmax with an epsilon": lambda x: ops.log(ops.softmax(x) + 1e-7),
    "minus logsumexp": lambda x: x - ops.logsumexp(x, axis=(-1,), keepdims=True),
    "minus log of sum": lambda x: x - log_of_sum(x),
    "maximum subtracted": lambda x: (x - highest(x)) - log_of_sum(x - highest(x)),
    "maximum in the logarithm": lambda x: x - (log_of_sum(x - highest(x)) + highest(x)),
    "negative": lambda x: -ops.log_softmax(x),
}
SIGMOID: dict[str, Make] = {
    "sigmoid": ops.sigmoid,
    "by hand": lambda x: 1.0 / (1.0 + ops.exp(-x)),
    "by hand, from exp": lambda x: ops.exp(x) / (1.0 + ops.exp(x)),
    "of tanh": lambda x: 0.5 * (1.0 + ops.tanh(x / 2)),
    "falling": lambda x: 1.0 / (1.0 + ops.exp(x)),
    "tanh": ops.tanh,
    "tanh by hand": lambda x: (ops.exp(x) - ops.exp(-x)) / (ops.exp(x) + ops.exp(-x)),
    "steering": lambda x: 25.0 * ops.tanh(x),
    "twice the arctangent": lambda x: 2.0 * ops.arctan(x),
    "softsign": lambda x: x / (1 + ops.abs(x)),
    "x over its root": lambda x: x / ops.sqrt(1.0 + x * x),
    "error function": ops.erf,
    "hard sigmoid": ops.hard_sigmoid,
    "hard sigmoid by hand": lambda x: ops.clip(0.2 * x + 0.5, 0.0, 1.0),
    "clipped at both sides": lambda x: ops.clip(x, -1.0, 1.0),
}
NONE: dict[str, Make] = {
    "nothing": lambda x: x * 1.0,
    "relu": ops.relu,
    "relu6": ops.relu6,
    "silu": ops.silu,
    "gelu": ops.gelu,
    "softplus": ops.softplus,
    "exponential": ops.exp,
    "a bump": lambda x: ops.exp(-x * x),
    "sine": ops.sin,
    "mean": lambda x: ops.mean(x, axis=-1),
    "unit length": lambda x: x / ops.sqrt(ops.sum(x * x, axis=-1, keepdims=True)),
    "layer norm": lambda x: (x - ops.mean(x, axis=-1, keepdims=True)) / ops.std(x, axis=-1, keepdims=True),
    "attention": lambda x: ops.matmul(ops.softmax(ops.matmul(x, ops.transpose(x, (0, 2, 1)))), x),
    "attention pooling": lambda x: ops.sum(ops.softmax(x, axis=1) * x, axis=1),
    "a gate": lambda x: ops.sigmoid(x) * ops.flip(x, axis=-1),
    "a gated state": lambda x: ops.sigmoid(x) * ops.tanh(ops.flip(x, axis=-1)),
    "a residual": lambda x: x + ops.softmax(x),
    "an embedding": lambda x: ops.take(
        np.eye(5, dtype="float32"), ops.cast(ops.argmax(x, -1), "int32"), axis=0
    ),
    "largest probability": lambda x: ops.max(ops.softmax(x), axis=-1),
}
MIXED: dict[str, tuple[Make, str]] = {
    "average of two": (lambda x: (ops.softmax(x) + ops.softmax(-x)) / 2, "a sum or average"),
    "average layer": (lambda x: layers.Average()([ops.softmax(x), ops.softmax(-x)]), "a sum or average"),
    "average of a stack": (
        lambda x: ops.mean(ops.stack([ops.softmax(x), ops.softmax(-x)], axis=0), axis=0),
        "an average",
    ),
    "weighed": (lambda x: 0.3 * ops.softmax(x) + 0.7 * ops.softmax(-x), "a sum or average"),
    "product": (lambda x: ops.softmax(x) * ops.softmax(-x), "a product"),
    "largest of two": (lambda x: ops.maximum(ops.softmax(x), ops.softmax(-x)), "a maximum"),
    "logarithm of an average": (lambda x: ops.log(ops.softmax(x) + ops.softmax(-x)), "a sum or average"),
    "average over positions": (lambda x: ops.mean(ops.softmax(x), axis=1), "an average"),
    "objectness": (lambda x: ops.sigmoid(x[..., :1]) * ops.softmax(x), "a product"),
}


def ending(make: Make) -> keras.Model:
    entry = keras.Input((3, 4))
    return keras.Model(entry, make(layers.Dense(4)(entry)))


@pytest.mark.parametrize("inside", [False, True], ids=["operations", "in a layer"])
@pytest.mark.parametrize(
    ("kind", "make"),
    [
        pytest.param(kind, make, id=f"{kind}: {name}")
        for kind, table in (("softmax", SOFTMAX), ("log_softmax", LOG_SOFTMAX), ("sigmoid", SIGMOID))
        for name, make in table.items()
    ],
)
def test_found_however_it_is_written(kind: str, make: Make, inside: bool) -> None:
    (found,) = squashings(ending(layers.Lambda(make) if inside else make))
    assert found.kind == kind
    assert found.skips and not found.why


@pytest.mark.parametrize("make", NONE.values(), ids=NONE.keys())
def test_what_is_none(make: Make) -> None:
    assert squashings(ending(make)) == []
    assert squashings(ending(layers.Lambda(make))) == []


@pytest.mark.parametrize(("make", "word"), MIXED.values(), ids=MIXED.keys())
def test_of_several_softmaxes_none_can_be_taken_off(make: Make, word: str) -> None:
    for model in (ending(make), ending(layers.Lambda(make))):
        (found,) = squashings(model)
        assert found.kind in ("softmax", "log_softmax")
        assert word in found.why and not found.skips


class Compiled(layers.Layer):
    def call(self, x: Any) -> Any:
        return compiled(ops.softmax)(x)


def test_inside_a_function_of_its_own() -> None:
    """TensorFlow cannot reach it there, but it is seen."""
    (found,) = squashings(ending(Compiled()))
    assert found.kind == "softmax"
    if keras.config.backend() == "tensorflow":
        assert "@tf.function" in found.why and not found.skips
    else:
        assert found.skips and not found.why


def test_a_softmax_of_a_softmax() -> None:
    (found,) = squashings(ending(lambda x: ops.softmax(2.0 * ops.softmax(x))))
    assert len(found.skips) == 2


def test_each_output_by_itself() -> None:
    entry = keras.Input((3, 4))
    model = keras.Model(entry, [ops.softmax(entry), entry * 2.0, ops.tanh(entry)])
    assert [found.kind for found in squashings(model)] == ["softmax", "sigmoid"]


class Net(keras.Model):
    def __init__(self) -> None:
        super().__init__()
        self.body = layers.Dense(4, name="body")
        self.head = layers.Dense(4, activation=lambda x: ops.softmax(x / 2.0), name="head")

    def call(self, x: Any) -> Any:
        return self.head(self.body(x))


def test_a_subclassed_model_and_its_layers() -> None:
    net = Net()
    net(np.zeros((2, 4), np.float32))
    assert [found.kind for found in squashings(net)] == ["softmax"]
    assert [found.kind for found in squashings(net, net.head)] == ["softmax"]
    assert squashings(net, net.body) == []
