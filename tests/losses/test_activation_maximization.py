"""Activation maximization against a slow oracle, its two routes against each other, and its indices."""

from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keras import layers, ops

from vis.errors import FilterError
from vis.losses import ActivationMaximization


def slow_loss(output: np.ndarray, filters: list[int], axis: int) -> list[float]:
    """Sum and mean one number at a time."""
    losses = []
    for sample in np.moveaxis(output, axis, -1):
        rows = sample.reshape(-1, sample.shape[-1])
        losses.append(-sum(sum(float(row[f]) for row in rows) / len(rows) for f in filters))
    return losses


def both_routes(layer: Any, filters: Any, model: keras.Model, x: np.ndarray) -> list[np.ndarray]:
    """Return the loss by its symbolic expression and by its run-time parameters."""
    loss = ActivationMaximization(layer, filters)
    symbolic = keras.Model(model.inputs[0], loss.build_loss())(x)
    points, evaluate = loss.term(model)
    assert points == [layer]
    output = model(x)
    parameters = loss.parameters([tuple(output.shape)])
    return [
        np.asarray(symbolic),
        np.asarray(evaluate([output], [ops.convert_to_tensor(p) for p in parameters])),
    ]


@given(
    shape=st.sampled_from([(3,), (2, 3), (2, 4, 3), (2, 1, 2, 3)]),
    filters=st.lists(st.integers(-3, 2), min_size=1, max_size=4),
)
def test_agrees_with_the_oracle(shape: tuple[int, ...], filters: list[int]) -> None:
    model = keras.Sequential([layers.Input(shape), layers.Activation("linear")])
    x = np.random.default_rng(0).normal(size=(2, *shape)).astype(np.float32)
    for values in both_routes(model.layers[-1], filters, model, x):
        np.testing.assert_allclose(values, slow_loss(x, filters, -1), rtol=1e-5, atol=1e-6)


def test_channels_first_has_its_filters_in_front() -> None:
    model = keras.Sequential(
        [layers.Input((3, 4, 4)), layers.UpSampling2D(1, data_format="channels_first"), layers.ReLU()]
    )
    x = np.random.default_rng(0).random((1, 3, 4, 4)).astype(np.float32)
    for values in both_routes(model.layers[-1], [1], model, x):
        np.testing.assert_allclose(values, [-x[0, 1].mean()], rtol=1e-5)


@pytest.mark.parametrize("filters", [None, [0, 1, 2], (0, 1, 2), range(3), np.arange(3), [-1, -2, -3]])
def test_all_filters_however_they_are_given(filters: Any) -> None:
    model = keras.Sequential([layers.Input((3,)), layers.Activation("linear")])
    for values in both_routes(model.layers[-1], filters, model, np.array([[1.0, 2.0, 4.0]])):
        assert values.tolist() == [-7.0]


def test_a_filter_named_twice_counts_twice() -> None:
    model = keras.Sequential([layers.Input((3,)), layers.Activation("linear")])
    for values in both_routes(model.layers[-1], [2, 2], model, np.array([[1.0, 2.0, 4.0]])):
        assert values.tolist() == [-8.0]


@pytest.mark.parametrize("index", [3, -4, 100])
def test_an_index_out_of_range_raises(index: int) -> None:
    layer = keras.Sequential([layers.Input((3,)), layers.Activation("linear", name="end")]).layers[-1]
    with pytest.raises(
        FilterError, match=f"Filter index {index} is out of range: the layer 'end' has 3 filters"
    ):
        ActivationMaximization(layer, index).parameters([(None, 3)])


@pytest.mark.parametrize("indices", [1.5, "1", [0.5], True, {"a": 1}])
def test_an_index_is_an_integer(indices: Any) -> None:
    with pytest.raises(FilterError, match="must be integers"):
        ActivationMaximization(layers.Dense(3, name="end"), indices)


def test_no_index_at_all_raises() -> None:
    with pytest.raises(FilterError, match="No filter"):
        ActivationMaximization(layers.Dense(3), [])


def test_an_unknown_number_of_filters_raises() -> None:
    with pytest.raises(FilterError, match="unknown number of filters"):
        ActivationMaximization(layers.Dense(3), 0).parameters([(None, None)])
