"""Masked steps: noise, paths and patches leave them alone, and nothing is attributed to them."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops

from vis.attributions import (
    GradientInput,
    IntegratedGradients,
    Occlusion,
    Saliency,
    SmoothGrad,
    SquareGrad,
    VarGrad,
)

LENGTHS = np.array([3, 8, 5])
CLASSES = np.array([0, 1, 1])


def series(value: float = 0.0, seed: int = 0, at_front: bool = False) -> np.ndarray:
    """Three series of eight steps; what is behind their lengths holds `value`."""
    x = np.random.default_rng(seed).normal(size=(3, 8, 2)).astype(np.float32)
    x[padding(at_front)] = value
    return x


def padding(at_front: bool = False) -> np.ndarray:
    masked = np.arange(8) >= LENGTHS[:, None]
    return masked[:, ::-1] if at_front else masked


class Scaled(layers.Layer):
    """A mask by `compute_mask`, and a call that masks by itself and changes what it lets through."""

    def __init__(self, value: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.value = value

    def compute_mask(self, x: Any, mask: Any = None) -> Any:
        return ops.any(ops.not_equal(x, self.value), axis=-1)

    def call(self, x: Any) -> Any:
        counts = ops.any(ops.not_equal(x, self.value), axis=-1, keepdims=True)
        return 2 * x * ops.cast(counts, x.dtype)


class ByHand(keras.Model):
    """Asks for the mask and hands it on itself."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.masking, self.gru, self.scores = layers.Masking(value), layers.GRU(4), layers.Dense(2)

    def call(self, x: Any) -> Any:
        return self.scores(self.gru(x, mask=self.masking.compute_mask(x)))


def sequential(first: list[Any], last: list[Any], steps: Any = 8) -> keras.Model:
    return keras.Sequential([layers.Input((steps, 2)), *first, *last, layers.Dense(2)])


def nested(value: float) -> keras.Model:
    inner = keras.Sequential([layers.Input((8, 2)), layers.Masking(value), layers.GRU(4)])
    return keras.Sequential([layers.Input((8, 2)), layers.Dropout(0.5), inner, layers.Dense(2)])


def merged(value: float) -> keras.Model:
    entry = keras.Input((8, 2))
    masked = layers.Masking(value)(entry)
    both = layers.Concatenate()(
        [layers.Dense(3, "tanh")(masked), layers.GRU(3, return_sequences=True)(masked)]
    )
    return keras.Model(entry, layers.Dense(2)(layers.GlobalAveragePooling1D()(both)))


def called(value: float) -> keras.Model:
    model = ByHand(value)
    model(series(value))
    return model


# Each masks the steps that hold a value.
MODELS: dict[str, Callable[[float], keras.Model]] = {
    "gru": lambda v: sequential([layers.Masking(v)], [layers.GRU(4)]),
    "any length": lambda v: sequential([layers.Masking(v)], [layers.LSTM(4)], None),
    "two": lambda v: sequential(
        [layers.Masking(v)], [layers.Bidirectional(layers.GRU(3, return_sequences=True)), layers.LSTM(3)]
    ),
    "mean": lambda v: sequential(
        [layers.Masking(v)], [layers.Dense(4, "tanh"), layers.GlobalAveragePooling1D()]
    ),
    "flat": lambda v: sequential([layers.Masking(v)], [layers.Flatten(), layers.Dense(4, "tanh")]),
    "own layer": lambda v: sequential([Scaled(v)], [layers.GRU(4)]),
    "nested": nested,
    "merged": merged,
    "by hand": called,
}


def build(name: str, value: float) -> keras.Model:
    keras.utils.set_random_seed(3)
    return MODELS[name](value)


EXPLAINERS: dict[str, Callable[..., Any]] = {
    "Saliency": Saliency,
    "inverted": lambda model: Saliency(model, grad_modifier="invert"),
    "GradientInput": GradientInput,
    "IntegratedGradients": lambda model: IntegratedGradients(model, baseline=0.3, steps=4),
    "SmoothGrad": lambda model: SmoothGrad(model, nb_samples=4),
    "absolute": lambda model: SmoothGrad(model, nb_samples=4, noise_scale="absolute"),
    "SquareGrad": lambda model: SquareGrad(model, nb_samples=4),
    "VarGrad": lambda model: VarGrad(model, nb_samples=4, batch_size=3),
    "Occlusion": lambda model: Occlusion(model, patch_size=2, patch_stride=1, occlusion_value=0.3),
    "both": lambda model: SmoothGrad(IntegratedGradients(model, steps=3), nb_samples=3),
    "of patches": lambda model: SmoothGrad(Occlusion(model, patch_size=3), nb_samples=3),
}


@pytest.mark.filterwarnings("ignore:Layer '.*' .* does not support masking:UserWarning")
@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("value", [0.0, -1.0])
def test_nothing_is_attributed_to_masked_steps(name: str, value: float) -> None:
    model = build(name, value)
    for at_front in (False, True):
        masked = padding(at_front)
        for explainer in EXPLAINERS.values():
            maps = explainer(model)(series(value, at_front=at_front), CLASSES)
            assert not maps[masked].any() and np.abs(maps[~masked]).max() > 0


@pytest.mark.filterwarnings("ignore:Layer '.*' .* does not support masking:UserWarning")
@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("method", ["gauss-legendre", "trapezoid"])
@pytest.mark.parametrize("value", [0.0, -1.0])
def test_integrated_gradients_are_complete(name: str, method: str, value: float) -> None:
    """Also where the path, or only its start, crosses the value that is masked."""
    model = build(name, value)
    for baseline in (value, 0.5, -value):
        steps = 30 if method == "gauss-legendre" else 301
        explainer = IntegratedGradients(model, baseline=baseline, steps=steps, method=method, batch_size=None)
        assert np.abs(explainer.residuals(series(value), CLASSES)).max() < 2e-4
