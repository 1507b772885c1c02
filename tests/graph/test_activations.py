"""Which regions of a traced computation are activations, and where they begin and end."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers, ops

from tests.native import gradient, relu, with_gradient
from vis import backend, backprop_modifiers, models
from vis.graph import Activations, find_activations

RECTIFIERS = {
    "relu": relu,
    "maximum": lambda x: ops.maximum(0.0, x),
    "minimum alone": lambda x: ops.minimum(x, 2.0),
    "absolute": ops.abs,
    "root of a square": lambda x: ops.sqrt(x * x),
    "softplus by hand": lambda x: ops.log(1 + ops.exp(x)),
    "softplus with a slope": lambda x: ops.log1p(ops.exp(3 * x)) / 3,
    "SiLU by division": lambda x: x / (1 + ops.exp(-x)),
    "SiLU with a factor": lambda x: x * ops.sigmoid(1.702 * x),
    "GELU by error function": lambda x: 0.5 * x * (1 + ops.erf(x / 1.4142135)),
    "squareplus": lambda x: (x + ops.sqrt(x**2 + 4)) / 2,
    "CELU": lambda x: ops.maximum(x, 0.0) + ops.minimum(2 * (ops.exp(x / 2) - 1), 0.0),
    "LiSHT": lambda x: x * ops.tanh(x),
    "threshold": lambda x: ops.where(x > 1.5, x, 0.0 * x),
    "ReLU with a maximum": lambda x: ops.minimum(relu(x), 20.0),
    "clip from zero": lambda x: ops.clip(x, 0.0, 6.0),
    "straight through": lambda x: x * ops.stop_gradient(ops.cast(x > 0, x.dtype)),
    "of its own derivative": with_gradient(relu, lambda x, g: 3 * g),
}
OTHERS = {
    "affine": lambda x: 2 * x + 1,
    "batch normalization by hand": lambda x: (x - 0.5) * 2.0**-0.5 + 1,
    "sigmoid": ops.sigmoid,
    "sigmoid by hand": lambda x: 1 / (1 + ops.exp(-x)),
    "hard sigmoid": lambda x: ops.relu6(x + 3) / 6,
    "hard sigmoid by a clip": lambda x: ops.clip(0.2 * x + 0.5, 0.0, 1.0),
    "tanh": ops.tanh,
    "hard tanh": lambda x: ops.maximum(ops.minimum(x, 1.0), -1.0),
    "softsign": lambda x: x / (1 + ops.abs(x)),
    "square": ops.square,
    "cube": lambda x: x**3,
    "exponential": ops.exp,
    "sine": ops.sin,
    "Gaussian": lambda x: ops.exp(-(x**2)),
    "soft shrink": lambda x: ops.where(x > 0.5, x - 0.5, ops.where(x < -0.5, x + 0.5, 0.0 * x)),
    "hard shrink": lambda x: ops.where(ops.abs(x) > 0.5, x, 0.0 * x),
    "snake": lambda x: x + ops.sin(x) ** 2,
    "rounding": ops.round,
    "reciprocal": lambda x: 1 / x,
    "root": ops.sqrt,
}


def found(function: Any, *shapes: Any) -> Activations:
    specs = [backend.Spec(shape, "float32") for shape in shapes or [(None, 4)]]
    graph = backend.traced(lambda tensors: function(*tensors), specs)
    return find_activations(graph, graph.inputs, graph.outputs)


@pytest.mark.parametrize("name", RECTIFIERS)
def test_rectifiers(name: str) -> None:
    activations = found(RECTIFIERS[name])
    assert len(activations.found) == 1 and not activations.missed, name
    (region,) = activations.found
    assert region.route and region.slopes is not None


@pytest.mark.parametrize("name", OTHERS)
def test_others(name: str) -> None:
    activations = found(OTHERS[name])
    assert not activations.found and not activations.missed, name


@pytest.mark.parametrize(
    ("function", "slopes"),
    [
        (lambda x: 3 * relu(x) + 1, (0, 1)),
        (lambda x: relu(5 * x - 2), (0, 1)),
        (lambda x: (x + ops.abs(x)) / 2, (0, 1)),
        (lambda x: 4 * (x + ops.abs(x)) / 2, (0, 2)),
        (lambda x: -ops.minimum(-x, 0), (0, 1)),
        (lambda x: -ops.softplus(-x), (1, 0)),
        (lambda x: -(relu(x) ** 2), (0, 1)),
    ],
)
def test_where_a_region_begins_and_ends(function: Any, slopes: Any) -> None:
    """What scales an activation from outside is none of it; what it is written with is."""
    (region,) = found(function).found
    np.testing.assert_allclose(region.slopes, slopes, atol=1e-3)


def test_a_chain_of_layers_has_a_region_each() -> None:
    model = keras.Sequential([keras.Input((4,)), layers.ReLU(), layers.ReLU(max_value=3), layers.ELU()])
    graph = models.read(model)
    assert len(find_activations(graph, graph.inputs, graph.outputs).found) == 3


def test_of_two_inputs_there_is_none() -> None:
    assert not found(lambda x, y: ops.maximum(x, y), (None, 4), (None, 4)).found
    assert not found(lambda x, y: x * ops.sigmoid(y), (None, 4), (None, 4)).found
    assert not found(lambda x: ops.maximum(x, ops.flip(x, axis=1))).found


def test_between_sources_and_ends_only() -> None:
    """What lies beside the way, or hangs on a size alone, does not count."""
    assert not found(lambda x: 2 * x + 0 * ops.cast(ops.shape(relu(x))[0], "float32")).found
    specs = [backend.Spec((None, 4), "float32")] * 2
    graph = backend.traced(lambda tensors: relu(tensors[0]) + tensors[1], specs)
    assert len(find_activations(graph, graph.inputs[:1], graph.outputs).found) == 1
    assert not find_activations(graph, graph.inputs[1:], graph.outputs).found


def test_parts_used_elsewhere_are_named() -> None:
    def function(x: Any) -> Any:
        gate = ops.sigmoid(x)
        return x * gate + ops.flip(gate, axis=1)

    activations = found(function)
    assert not activations.found
    assert "whose intermediate values are used elsewhere" in activations.missed[0]


def test_inside_a_derivative_of_ones_own_is_named() -> None:
    """Between products of matrices there is a ReLU that no gradient passes."""

    def dense(x: Any) -> Any:
        kernel = ops.ones((4, 4))
        return relu(x @ kernel) @ kernel

    activations = found(with_gradient(dense, lambda x, g: g))
    assert not activations.found
    assert "inside a custom gradient" in activations.missed[0]


# ---- generated ways to write an activation ---------------------------------------------------------------

# Each writes the function of slope a to the left of zero, and b to the right, with tensors or symbols.
WAYS = {
    "where": lambda x, a, b: ops.where(x < 0, a * x, b * x),
    "where, turned around": lambda x, a, b: ops.where(x >= 0, b * x, x * a),
    "two parts": lambda x, a, b: b * ops.maximum(x, 0.0) + a * ops.minimum(x, 0.0),
    "two ReLUs": lambda x, a, b: b * ops.relu(x) - a * ops.relu(-x),
    "comparisons": lambda x, a, b: x * (b * ops.cast(x > 0, "float32") + a * ops.cast(x <= 0, "float32")),
    "absolute": lambda x, a, b: 0.5 * (a + b) * x + 0.5 * (b - a) * ops.abs(x),
    "sign": lambda x, a, b: x * (0.5 * (a + b) + 0.5 * (b - a) * ops.sign(x)),
    "ReLU and line": lambda x, a, b: a * x + (b - a) * ops.relu(x),
    "mirrored": lambda x, a, b: -(b * ops.minimum(-x, 0.0) + a * ops.maximum(-x, 0.0)),
}
PLACES = {
    "operations": lambda function: function,
    "Lambda": layers.Lambda,
    "nested model": lambda function: nested(function),
    "TimeDistributed": lambda function: layers.TimeDistributed(layers.Lambda(function)),
}
X = np.array([[[-3.0, -1.0, -0.25, 0.5], [2.0, 7.0, -0.1, 1.0]]], np.float32)
INCOMING = np.array([[1.0, -2.0, 0.5, 3.0], [-1.0, 1.5, -0.75, -2.0]], np.float32)


def nested(function: Any) -> Any:
    entry = keras.Input((2, 4))
    return keras.Model(entry, function(entry))


@settings(max_examples=40, deadline=None)
@given(
    way=st.sampled_from(sorted(WAYS)),
    place=st.sampled_from(sorted(PLACES)),
    a=st.integers(-9, 9).map(lambda tenths: tenths / 10),
    b=st.sampled_from([0.5, 1.0, 1.5, 3.0]),
    scale=st.sampled_from([None, 2.0]),
)
def test_an_activation_is_reached_however_it_is_written(
    way: str, place: str, a: float, b: float, scale: float | None
) -> None:
    """Guided: the true slope of what comes in with a plus. Rectified: what comes in with a plus."""
    a *= b
    entry = keras.Input((2, 4))
    x = entry if scale is None else layers.Rescaling(scale)(entry)
    y = PLACES[place](lambda x: WAYS[way](x, a, b))(x)
    end = layers.Dense(
        1, use_bias=False, kernel_initializer=keras.initializers.Constant(INCOMING.ravel()[:, None])
    )
    model = keras.Model(entry, end(layers.Flatten()(y)))
    slope = np.where(X[0] < 0, a, b)
    positive = np.maximum(INCOMING, 0)
    for name, wanted in {"guided": slope * positive, "rectified": positive}.items():
        modified = backprop_modifiers.get(name)(model)
        found = gradient(modified, X)[0]
        np.testing.assert_allclose(found, wanted * (scale or 1.0), rtol=1e-4, atol=1e-5)
