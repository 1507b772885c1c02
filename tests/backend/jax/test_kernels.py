"""Kernels that are turned once for the weights: the same maps, of the present weights, and few are kept."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from typing import Any

import jax
import keras
import numpy as np
import pytest
from keras import layers

from vis.attributions import LRP, GradCAM, GuidedBackprop, Saliency
from vis.backend.jax import kernels, sized
from vis.errors import GradientError
from vis.visualization import visualize_activation

X = np.random.default_rng(0).normal(size=(3, 9, 10, 4)).astype(np.float32)
LEAST = kernels._LEAST
CONVOLUTIONS: dict[str, Callable[[], Any]] = {
    "1 x 1": lambda: layers.Conv2D(4, 1),
    "3 x 3": lambda: layers.Conv2D(6, 3),
    "oblong": lambda: layers.Conv2D(6, (2, 3), padding="same"),
    "strided": lambda: layers.Conv2D(6, 3, 2, padding="same"),
    "dilated": lambda: layers.Conv2D(6, 3, dilation_rate=2),
    "grouped": lambda: layers.Conv2D(6, 3, groups=2),
    "depthwise": lambda: layers.DepthwiseConv2D(3, depth_multiplier=2),
    "separable": lambda: layers.SeparableConv2D(5, 3),
    "transposed": lambda: layers.Conv2DTranspose(5, 3, 2),
    "over time": lambda: keras.Sequential([layers.Reshape((90, 4)), layers.Conv1D(6, 5, padding="causal")]),
    "over volumes": lambda: keras.Sequential([layers.Reshape((3, 3, 10, 4)), layers.Conv3D(3, 2)]),
}


@pytest.fixture(autouse=True)
def held(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Turn the kernels of small networks, too; return what is made of each gradient."""
    made: list[Any] = []
    split = sized.split

    def noted(*args: Any) -> Any:
        made.append(split(*args))
        return made[-1]

    monkeypatch.setattr(kernels, "_LEAST", 0)
    monkeypatch.setattr(sized, "split", noted)
    return made


def network(*stack: Any) -> keras.Model:
    return keras.Sequential(
        [keras.Input((9, 10, 4)), *stack, layers.ReLU(), layers.Flatten(), layers.Dense(3)]
    )


def again(model: keras.Model) -> keras.Model:
    """Return the same network, of which nothing is compiled yet."""
    return keras.Model(model.inputs, model.outputs)


@pytest.mark.parametrize("explainer", [Saliency, GuidedBackprop, LRP])
@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_the_maps_are_the_same(
    name: str, explainer: Any, held: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = network(CONVOLUTIONS[name](), layers.BatchNormalization())
    found = explainer(model).explain(X, [0, 1, 2])
    assert any(held)
    monkeypatch.setattr(kernels, "_LEAST", 2**40)
    held.clear()
    wanted = explainer(again(model)).explain(X, [0, 1, 2])
    assert not any(held)
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6 * np.abs(wanted).max())


@pytest.mark.parametrize("size", [None, (9, 10, 4)], ids=["any size", "one size"])
def test_new_weights_are_seen(size: Any) -> None:
    inputs = keras.Input((None, None, 4) if size is None else size)
    features = layers.Conv2D(5, 3, name="conv")(inputs)
    model = keras.Model(inputs, layers.Dense(3)(layers.GlobalAveragePooling2D()(features * features)))
    explainer = Saliency(model)
    for scale in (1.0, -2.0, 0.5):
        kernel = model.get_layer("conv").kernel
        kernel.assign(scale * keras.ops.flip(kernel, 0))
        np.testing.assert_allclose(explainer(X, 1), Saliency(again(model))(X, 1), rtol=1e-5)
    assert np.abs(explainer(X[:0], np.zeros(0, int))).shape[0] == 0


def test_few_gradients_keep_them(held: list[Any]) -> None:
    explainers = [Saliency(network(layers.Conv2D(4, 3))) for _ in range(7)]
    first = [explainer(X, 0) for explainer in explainers]
    keeping = [each() for each in kernels._holding]
    assert len(keeping) == kernels._MOST and all(each._kept is not None for each in keeping)
    every = [each for each in gc.get_objects() if isinstance(each, kernels.Turned)]
    assert sum(each._kept is not None for each in every) == kernels._MOST
    for explainer, maps in zip(explainers, first, strict=True):
        np.testing.assert_array_equal(explainer(X, 0), maps)


def test_they_go_with_the_model() -> None:
    model = network(layers.Conv2D(4, 3))
    Saliency(model)(X, 0)
    kept = kernels._holding[-1]
    gone = weakref.ref(model)
    del model
    gc.collect()
    assert gone() is None and kept() is None


def test_nothing_of_a_trace_is_kept() -> None:
    model = network(layers.Conv2D(4, 3))
    explainer = Saliency(model)

    @jax.jit
    def inside(x: Any) -> Any:
        with pytest.raises(GradientError, match=r"inside jax\.jit"):
            explainer(X, 0)
        return x

    inside(1.0)
    np.testing.assert_allclose(explainer(X, 0), Saliency(again(model))(X, 0), rtol=1e-6)


def test_other_maps_run_on_them(held: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    model = network(layers.Conv2D(4, 3, name="conv", activation="relu"), layers.Conv2D(4, 3))
    found = [GradCAM(model, conv_layer="conv")(X, 0), visualize_activation(model, -1, 1, max_iter=3, seed=0)]
    assert any(held)
    monkeypatch.setattr(kernels, "_LEAST", 2**40)
    other = again(model)
    wanted = [GradCAM(other, conv_layer="conv")(X, 0), visualize_activation(other, -1, 1, max_iter=3, seed=0)]
    for one, two in zip(found, wanted, strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-4 * np.abs(two).max())


def test_kernels_of_a_small_network_are_left_where_they_are(
    held: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernels, "_LEAST", LEAST)
    before = list(kernels._holding)
    Saliency(network(layers.Conv2D(4, 3)))(X, 0)
    assert kernels._holding == before and not held
