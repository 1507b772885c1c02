"""Steps of a forward pass that are left out on JAX: in a call, under each transformation, and in a trace."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from keras import layers, ops

from vis import backend
from vis.graph import Graph, Skip, Squashings

X = np.random.default_rng(0).normal(size=(2, 3)).astype(np.float32)


class Ending(layers.Layer):
    def __init__(self, function: Callable[[Any], Any]) -> None:
        super().__init__()
        self.function, self.dense = function, layers.Dense(4)

    def call(self, x: Any) -> Any:
        return self.function(self.dense(x))


def find(graph: Graph) -> list[Sequence[Skip]]:
    ends = Squashings(graph)
    found = [ends.of(value) for value in graph.outputs]
    return [() if each is None else each.skips for each in found]


ENDS: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    "softmax": (lambda z: ops.softmax(z), lambda z: z),
    "jax.nn.softmax": (jax.nn.softmax, lambda z: z),
    "by hand": (lambda z: ops.exp(z) / ops.sum(ops.exp(z), -1, keepdims=True), lambda z: z),
    "scaled": (lambda z: 3 * ops.softmax(z / 2), lambda z: 3 * z / 2),
    "log-softmax": (lambda z: jax.nn.log_softmax(z), lambda z: z),
    "sigmoid": (lambda z: ops.sigmoid(z), lambda z: z),
    "none": (lambda z: z + 1, lambda z: z + 1),
}


@pytest.mark.parametrize("name", ENDS)
def test_a_squashing_step_is_left_out(name: str) -> None:
    function, without = ENDS[name]
    layer = Ending(function)
    layer(X)
    skipped = backend.skipping(lambda x: layer(x), find)
    expected = without(layer.dense(X))
    np.testing.assert_allclose(skipped(jnp.asarray(X)), expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(jax.jit(skipped)(jnp.asarray(X)), expected, rtol=1e-5, atol=1e-6)
    slope = jax.grad(lambda x: without(layer.dense(x)).sum())(jnp.asarray(X))
    found = jax.grad(lambda x: skipped(x).sum())(jnp.asarray(X))
    np.testing.assert_allclose(found, slope, rtol=1e-5, atol=1e-6)
    graph = backend.traced(lambda tensors: skipped(tensors[0]), [backend.Spec((None, 3), "float32")])
    assert not Squashings(graph).of(graph.outputs[0])


def test_of_several_outputs_each_goes_without_its_own_step() -> None:
    layer = Ending(lambda z: [ops.softmax(z), z * 2, ops.sum(ops.softmax(z))])
    layer(X)
    softmax, double, total = backend.skipping(lambda x, training=None: layer(x), find)(
        jnp.asarray(X), training=False
    )
    z = layer.dense(X)
    np.testing.assert_allclose(softmax, z, rtol=1e-5)
    np.testing.assert_allclose(double, z * 2, rtol=1e-5)
    np.testing.assert_allclose(total, 2, rtol=1e-5)


def test_the_variables_of_the_layer_are_read_at_each_call() -> None:
    layer = Ending(lambda z: ops.softmax(z))
    layer(X)
    skipped = backend.skipping(lambda x: layer(x), find)
    before = skipped(jnp.asarray(X))
    layer.dense.kernel.assign(layer.dense.kernel * 2.0)
    np.testing.assert_allclose(skipped(jnp.asarray(X)), before * 2, rtol=1e-5)


def test_layers_inside_are_noted() -> None:
    layer = Ending(lambda z: ops.softmax(z))
    layer(X)

    def call(x: Any) -> Any:
        with backend.noted("dense", True) as returned:
            z = layer.dense(x)
            returned(z)
        return ops.softmax(z)

    skipped = backend.skipping(call, find)

    def forward(tensors: list[Any]) -> Any:
        with backend.noted("end", True) as returned:
            y = skipped(tensors[0])
            returned(y)
        return y

    graph = backend.traced(forward, [backend.Spec((None, 3), "float32")])
    calls = {call.path: call for call in graph.calls}
    assert list(calls) == ["dense", "end"]
    kinds = [operation.kind for operation in graph.operations[calls["dense"].first : calls["dense"].stop]]
    assert "product" in kinds
    assert calls["dense"].outputs[0].shape == calls["end"].outputs[0].shape == (None, 4)
