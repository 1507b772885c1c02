"""Attention as it is found in a graph: its axes, its order, and whether queries are the keys' tokens."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops

from vis import models
from vis.errors import LayerError
from vis.relevance.attention import Attention, Attentions


def found(model: keras.Model) -> list[list[Attention]]:
    graph = models.read(model)
    return Attentions(graph, graph.inputs, graph.outputs).layers


def model_of(function: Callable[[Any], Any], tokens: int = 5, features: int = 6) -> keras.Model:
    inputs = keras.Input((tokens, features))
    return keras.Model(inputs, function(inputs))


def test_layers_are_in_order_and_those_side_by_side_are_one() -> None:
    def function(x: Any) -> Any:
        x = x + layers.MultiHeadAttention(2, 3, name="one")(x, x)
        x = (
            x
            + layers.MultiHeadAttention(2, 3, name="left")(x, x)
            + layers.MultiHeadAttention(1, 3, name="right")(x, x)
        )
        return x + layers.MultiHeadAttention(2, 3, name="three")(x, x)

    paths = [{site.path for site in layer} for layer in found(model_of(function))]
    assert paths == [{"one"}, {"left", "right"}, {"three"}]


def test_layers_that_lead_elsewhere_do_not_count() -> None:
    inputs = keras.Input((5, 6))
    x = inputs + layers.MultiHeadAttention(2, 3, name="used")(inputs, inputs)
    other = layers.MultiHeadAttention(2, 3, name="other")(x, x)
    model = keras.Model(inputs, [layers.Dense(2)(x[:, 0]), other])
    graph = models.read(model)
    layers_of = Attentions(graph, graph.inputs, graph.outputs, graph.outputs[0]).layers
    assert [site.path for layer in layers_of for site in layer] == ["used"]


@pytest.mark.parametrize("heads", [1, 2])
@pytest.mark.parametrize("fused", [False, True])
def test_heads_that_share_keys(heads: int, fused: bool) -> None:
    def function(x: Any) -> Any:
        if fused:
            return x + layers.GroupQueryAttention(3, 4, heads, name="grouped")(x, x)
        query = ops.reshape(layers.Dense(12)(x), (-1, 5, heads, 4 // heads, 3))
        key, value = (ops.reshape(layers.Dense(3 * heads)(x), (-1, 5, heads, 3)) for _ in range(2))
        weights = ops.softmax(ops.einsum("bqhgd,bkhd->bhgqk", query, key))
        return ops.reshape(ops.einsum("bhgqk,bkhd->bqhgd", weights, value), (-1, 5, 12))

    ((site,),) = found(model_of(function))
    assert site.is_self and site.weights.shape is not None
    weights = np.arange(2 * 4 * 5 * 5).reshape(2, 4, 5, 5)
    shape = tuple(2 if size is None else size for size in site.weights.shape)
    if np.prod(shape) == weights.size:  # in the order in which this backend holds them
        whole = ops.convert_to_numpy(site.arranged(ops.reshape(weights, shape), 2, 5))
        assert whole.shape == (2, 4, 5, 5)
        np.testing.assert_array_equal(np.sort(whole.reshape(2, -1)), weights.reshape(2, -1))


def test_other_queries_than_keys() -> None:
    def learned(x: Any) -> Any:
        return layers.MultiHeadAttention(2, 3)(0 * x[:, :1] + 1, x)

    ((site,),) = found(model_of(learned))
    assert not site.is_self

    def pooled(x: Any) -> Any:
        return ops.einsum("bk,bkd->bd", ops.softmax(layers.Dense(1)(x)[..., 0]), x)

    ((site,),) = found(model_of(pooled))
    assert not site.is_self


def test_queries_with_other_positions_than_keys_are_refused() -> None:
    def reduced(x: Any) -> Any:
        return x + layers.MultiHeadAttention(2, 3, name="reduced")(x, layers.AveragePooling1D(2)(x))

    with pytest.raises(LayerError, match="'reduced' cannot be followed: its queries have other positions"):
        found(model_of(reduced, tokens=6))


def test_a_single_token_attends_to_itself() -> None:
    layers_of = found(model_of(lambda x: x + layers.MultiHeadAttention(2, 3)(x, x), tokens=1))
    assert layers_of[0][0].is_self
