"""Which axis of an output or an input holds the channels: a transposed twin gives the same maps."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from tests import native
from vis import metrics, models, visualize_saliency
from vis.attributions import GradCAM, GradientInput, Occlusion, Saliency
from vis.attributions.targets import as_weights, classes_of, predicted
from vis.errors import ChannelAxisWarning
from vis.reports.run import Run

CONVOLUTIONS = {1: layers.Conv1D, 2: layers.Conv2D, 3: layers.Conv3D}
POOLS = {1: layers.AveragePooling1D, 2: layers.AveragePooling2D, 3: layers.AveragePooling3D}
SIZES = (7, 6, 5)
# TensorFlow has no convolution with its channels first for a CPU, but it can be built and read.
runs = pytest.mark.skipif(
    native.NAME == "TensorFlow", reason="no convolution with its channels first on a CPU"
)


def first(rank: int) -> tuple[int, ...]:
    """Return the permutation that moves the last axis of a sample to the front."""
    return (rank + 1, *range(1, rank + 1))


def last(rank: int) -> tuple[int, ...]:
    return (*range(2, rank + 2), 1)


def picture(rank: int, form: str) -> tuple[int, ...]:
    sizes = SIZES[:rank]
    return (3, *sizes) if form == "channels_first" else (*sizes, 3)


def made(shape: tuple[int, ...], *stack: Any) -> keras.Model:
    return keras.Sequential([layers.Input(shape), *stack])


def conv(rank: int, form: str, filters: int = 4) -> Any:
    return CONVOLUTIONS[rank](filters, 2, data_format=form, activation="relu")


CHAINS: dict[str, tuple[str, Any, str]] = {
    # the format of the input, the layers, and where the filters of the last one are
    "convolution": ("channels_first", lambda r: [conv(r, "channels_first")], "channels_first"),
    "then an activation": (
        "channels_first",
        lambda r: [conv(r, "channels_first"), layers.BatchNormalization(axis=1), layers.ReLU()],
        "channels_first",
    ),
    "turned back": (
        "channels_first",
        lambda r: [conv(r, "channels_first"), layers.Permute(last(r))],
        "channels_last",
    ),
    "turned": (
        "channels_last",
        lambda r: [conv(r, "channels_last"), layers.Permute(first(r)), layers.ReLU()],
        "channels_first",
    ),
    "turned before": (
        "channels_first",
        lambda r: [layers.Permute(last(r)), conv(r, "channels_last")],
        "channels_last",
    ),
    "turned before and after": (
        "channels_first",
        lambda r: [layers.Permute(last(r)), conv(r, "channels_last"), layers.Permute(first(r))],
        "channels_first",
    ),
    "pooled": (
        "channels_first",
        lambda r: [layers.Rescaling(2.0), POOLS[r](2, data_format="channels_first"), layers.ReLU()],
        "channels_first",
    ),
    "units after it": (
        "channels_first",
        lambda r: [conv(r, "channels_first"), layers.Permute(last(r)), layers.Dense(5)],
        "channels_last",
    ),
}


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("name", CHAINS)
@pytest.mark.parametrize("is_nested", [False, True])
def test_axes_are_read(name: str, rank: int, is_nested: bool) -> None:
    form, stack, end = CHAINS[name]
    shape = picture(rank, form)
    model = made(shape, *([made(shape, *stack(rank))] if is_nested else stack(rank)))
    expected = {"channels_first": 1, "channels_last": rank + 1}
    with warnings.catch_warnings(action="error"):
        assert models.filter_axis(model.layers[-1], rank + 2) % (rank + 2) == expected[end]
        assert models.filter_axis(model, rank + 2) % (rank + 2) == expected[end]
        assert models.input_channel_axis(model.inputs[0], rank + 2) % (rank + 2) == expected[form]
        if is_nested:
            inner = model.layers[-1].layers[-1]
            assert models.filter_axis(inner, rank + 2) % (rank + 2) == expected[end]


@pytest.mark.parametrize("is_nested", [False, True])
def test_an_axis_is_followed_through_a_nested_model(is_nested: bool) -> None:
    turn = layers.Permute((2, 3, 1))
    model = made(
        (3, 8, 9), conv(2, "channels_first"), made((4, 7, 8), turn) if is_nested else turn, layers.ReLU()
    )
    assert models.filter_axis(model.layers[-1], 4) % 4 == 3
    model = made(
        (3, 8, 9), made((3, 8, 9), turn) if is_nested else turn, layers.ReLU(), conv(2, "channels_last")
    )
    assert models.input_channel_axis(model.inputs[0], 4) % 4 == 1


def test_branches_and_tokens() -> None:
    entry = keras.Input((8, 6, 3))
    a = layers.Permute((3, 1, 2))(layers.Conv2D(4, 3, padding="same")(entry))
    b = layers.Permute((3, 1, 2))(layers.Conv2D(5, 3, padding="same")(entry))
    joined = layers.Concatenate(axis=1)([a, b])
    assert models.filter_axis(joined, 4) % 4 == 1
    mean = layers.GlobalAveragePooling2D(data_format="channels_first", keepdims=True)(joined)
    scaled = layers.Multiply()([joined, mean])
    assert models.filter_axis(scaled, 4) % 4 == 1
    tokens = layers.Reshape((9, 48))(joined)
    assert models.filter_axis(tokens, 3) % 3 == 1
    words = layers.LSTM(5, return_sequences=True)(layers.Embedding(9, 4)(keras.Input((7,), dtype="int32")))
    assert models.filter_axis(words, 3) % 3 == 2


def test_a_doubt_is_said() -> None:
    """Without an axis of channels, a label could only name a column."""
    model = made((8, 9, 3), layers.Conv2D(1, 3), layers.Reshape((6, 7)))
    with pytest.warns(
        ChannelAxisWarning, match="which of the 3 axes of the output of 'reshape.*holds positions"
    ):
        assert models.filter_axis(model.layers[-1], 3) % 3 == 2
    with pytest.warns(ChannelAxisWarning):
        Saliency(model)(np.random.default_rng(0).random((1, 8, 9, 3)))
    # The convention is no doubt, where the computation tells nothing.
    with warnings.catch_warnings(action="error"):
        assert models.filter_axis(made((4, 5), layers.ReLU()).layers[-1], 3) % 3 == 2


def test_reading_leaves_no_trace() -> None:
    model = made((3, 8, 9), layers.Permute((2, 3, 1)), layers.Conv2D(4, 3), layers.ReLU())

    def state() -> list[Any]:
        held = [*model.layers, model.inputs[0]._keras_history.operation]
        return [(set(vars(each)), len(each._inbound_nodes), len(each._outbound_nodes)) for each in held]

    before = state()
    models.filter_axis(model.layers[-1], 4)
    models.input_channel_axis(model.inputs[0], 4)
    assert state() == before


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_targets_along_another_axis_are_those_along_the_last_one_turned(rank: int) -> None:
    sizes, rng = SIZES[:rank], np.random.default_rng(rank)
    shape, turned = (*sizes, 4), (4, *sizes)
    labels = rng.integers(0, 4, (3, *sizes))
    outputs = rng.normal(size=(3, *shape))
    for form in [2, -1, [0, 3, 1], np.float32([[0], [3], [1]]), labels, labels[..., None]]:
        expected = np.moveaxis(as_weights(form, 3, shape), -1, 1)
        np.testing.assert_array_equal(as_weights(form, 3, turned, 1), expected)
    weights = rng.normal(size=(3, *turned)).astype(np.float32)
    np.testing.assert_array_equal(as_weights(weights, 3, turned, 1), weights)
    expected = predicted(outputs)
    np.testing.assert_array_equal(predicted(np.moveaxis(outputs, -1, 1), 1), np.moveaxis(expected, -1, 1))
    best = outputs.mean(axis=tuple(range(1, rank + 1))).argmax(axis=1)
    assert list(classes_of(np.moveaxis(expected, -1, 1), 1)) == list(best)
    position = np.stack([rng.integers(0, size, 3) for size in turned], axis=1)
    found = as_weights(position, 3, turned, 1)
    assert all(found[(i, *at)] == 1 for i, at in enumerate(position)) and found.sum() == 3


def twins(rank: int, kind: str) -> tuple[keras.Model, keras.Model]:
    """Return a network with its channels last, and its twin whose output has them first."""
    keras.utils.set_random_seed(rank)
    plain = made(picture(rank, "channels_last"), conv(rank, "channels_last"), CONVOLUTIONS[rank](5, 1))
    shape = picture(rank, "channels_first")
    ends = {
        "native": [conv(rank, "channels_first"), CONVOLUTIONS[rank](5, 1, data_format="channels_first")],
        "turned": [
            layers.Permute(last(rank)),
            conv(rank, "channels_last"),
            CONVOLUTIONS[rank](5, 1),
            layers.Permute(first(rank)),
        ],
    }
    twin = made(shape, *ends[kind])
    twin.set_weights(plain.get_weights())
    return plain, twin


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("kind", [pytest.param("native", marks=runs), "turned"])
def test_labels_name_classes_wherever_they_are(rank: int, kind: str) -> None:
    plain, twin = twins(rank, kind)
    x = np.random.default_rng(0).normal(size=(3, *picture(rank, "channels_last"))).astype(np.float32)
    turned = np.moveaxis(x, -1, 1)
    options: list[dict[str, Any]] = [{}, {"operator": "contrastive"}]
    for given in (None, [4, 0, 2], 3):
        for option in options:
            expected = Saliency(plain, reducer=None, **option).explain(x, given)
            found = Saliency(twin, reducer=None, **option).explain(turned, given)
            assert expected.any()
            np.testing.assert_allclose(np.moveaxis(found, 1, -1), expected, rtol=1e-4, atol=1e-6)
    batch = next(Saliency(twin).explained(turned, None, scores=True))
    wanted = next(Saliency(plain).explained(x, None, scores=True))
    assert list(batch.predictions) == list(wanted.predictions)


@pytest.mark.parametrize("kind", [pytest.param("native", marks=runs), "turned"])
def test_each_family_agrees_with_the_twin(kind: str) -> None:
    plain, twin = twins(2, kind)
    for model in (plain, twin):  # positive, so that no class activation map is zero
        model.set_weights([np.abs(weights) for weights in model.get_weights()])
    x = np.random.default_rng(1).random(size=(2, *picture(2, "channels_last"))).astype(np.float32)
    turned = np.moveaxis(x, -1, 1)
    hidden = {id(plain): 0, id(twin): 0 if kind == "native" else 1}
    for make in (
        lambda model: GradientInput(model, reducer="sum"),
        lambda model: Occlusion(model, patch_size=2, patch_stride=2),
        lambda model: GradCAM(model, conv_layer=hidden[id(model)]),
    ):
        expected = make(plain).explain(x, [1, 4])
        found = make(twin).explain(turned, [1, 4])
        assert expected.any()
        np.testing.assert_allclose(np.squeeze(found), np.squeeze(expected), rtol=1e-4, atol=1e-6)
    expected = visualize_saliency(plain, -1, 3, x[0])
    np.testing.assert_allclose(visualize_saliency(twin, -1, 3, turned[0]), expected, atol=1e-5)
    measured = [
        metrics.random_logit(Saliency(model, reducer="max"), given, [1, 4], nb_samples=4)
        for model, given in ((plain, x), (twin, turned))
    ]
    np.testing.assert_allclose(measured[1], measured[0], atol=1e-4)


def test_a_stored_run_names_the_classes(tmp_path: Path) -> None:
    _, twin = twins(1, "turned")
    x = np.random.default_rng(2).random((3, *picture(1, "channels_first"))).astype(np.float32)
    Saliency(twin).write(x, tmp_path / "run.zarr", [4, 0, 2], progress=False)
    assert [row.target for row in Run(tmp_path / "run.zarr").rows(range(0))] == [4, 0, 2]
