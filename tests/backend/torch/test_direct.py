"""Layers that are called directly: what they return is what Keras's own call returns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops

from vis.backend.torch.direct import direct
from vis.models import Known, Probe

X = np.linspace(-1, 1, 2 * 6 * 6 * 3, dtype=np.float32).reshape(2, 6, 6, 3)


class Louder(layers.Layer):
    """A layer that is trained unless it is told otherwise."""

    def call(self, x: Any, training: bool = True) -> Any:
        return 100 * x if training else x


class Shifted(layers.Layer):
    """A layer with an argument of its own."""

    def call(self, x: Any, by: float = 2.0) -> Any:
        return x + by


class Called(layers.Layer):
    """A layer that changes what calling means."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return 3 * super().__call__(*args, **kwargs)

    def call(self, x: Any) -> Any:
        return x


class Nested(layers.Layer):
    """A layer whose own layers ask whether they are trained."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = Louder()

    def call(self, x: Any) -> Any:
        return self.inner(x)


def network(*stack: Any, shape: Any = (6, 6, 3), dtype: str = "float32") -> keras.Model:
    entry = keras.Input(shape, dtype=dtype)
    x = entry
    for each in stack:
        x = each(x)
    return keras.Model(entry, x)


def mixed() -> keras.Model:
    policy = keras.DTypePolicy("mixed_bfloat16")
    return network(layers.Conv2D(4, 3, dtype=policy), layers.Conv2D(2, 3), layers.Flatten(dtype=policy))


def inside() -> keras.Model:
    inner = network(layers.Conv2D(4, 3, activation="relu"), layers.BatchNormalization())
    return keras.Sequential([keras.Input((6, 6, 3)), inner, layers.Flatten(), layers.Dense(2)])


MODELS: dict[str, Callable[[], keras.Model]] = {
    "convolutions": lambda: network(
        layers.Conv2D(4, 3), layers.BatchNormalization(), layers.ReLU(), layers.Flatten(), layers.Dense(3)
    ),
    "trained by default": lambda: network(Louder(), layers.Dense(2)),
    "asked for training": lambda: network(lambda x: Louder()(x, training=True), layers.Dense(2)),
    "dropout that stays": lambda: network(lambda x: layers.Dropout(0.5)(x, training=True)),
    "argument of its own": lambda: network(lambda x: Shifted()(x, by=5.0), Shifted()),
    "own call": lambda: network(Called(), layers.Dense(2)),
    "layers inside": lambda: network(Nested(), layers.Dense(2)),
    "mixed precision": mixed,
    "half precision": lambda: network(layers.Conv2D(2, 3, dtype="bfloat16"), layers.Dense(2)),
    "regularized output": lambda: network(layers.Dense(2, activity_regularizer="l2"), layers.ReLU()),
    "two inputs": lambda: network(lambda x: layers.Add()([x, layers.Conv2D(3, 1)(x)])),
    "a model inside": inside,
}


@pytest.mark.parametrize("name", MODELS)
def test_each_run_returns_what_the_model_returns(name: str) -> None:
    keras.utils.set_random_seed(0)
    model = MODELS[name]()
    expected = model(X, training=False)
    known = Known(direct=None)
    for _ in range(3):
        probe = Probe(model, [])
        probe.known = known
        outputs = probe.run(ops.convert_to_tensor(X))[0]
        np.testing.assert_array_equal(ops.convert_to_numpy(outputs), ops.convert_to_numpy(expected))
    assert bool(known.direct) == (name != "mixed precision")


def test_masks_reach_the_layers_that_use_them() -> None:
    keras.utils.set_random_seed(0)
    model = network(
        layers.Embedding(5, 4, mask_zero=True), layers.Dense(4), layers.LSTM(3), shape=(4,), dtype="int32"
    )
    tokens = np.array([[1, 2, 0, 0], [3, 1, 4, 0]])
    expected = ops.convert_to_numpy(model(tokens, training=False))
    probe = Probe(model, [])
    for _ in range(3):
        outputs = probe.run(ops.convert_to_tensor(tokens))[0]
        np.testing.assert_array_equal(ops.convert_to_numpy(outputs), expected)


@pytest.mark.parametrize(
    ("make", "is_direct"),
    [
        (lambda: layers.Conv2D(2, 3), True),
        (layers.BatchNormalization, True),
        (layers.ReLU, True),
        (lambda: layers.Dropout(0.5), True),
        (Louder, True),
        (Nested, True),
        (Shifted, False),
        (Called, False),
        (layers.Masking, False),
        (lambda: layers.Dense(2, activity_regularizer="l1"), False),
        (lambda: layers.Dense(2, dtype="mixed_bfloat16"), False),
    ],
)
def test_which_layers_need_nothing_around_their_call(make: Any, is_direct: bool) -> None:
    layer = make()
    model = network(layer)
    assert (id(layer) in direct([model, *model.layers])) == is_direct


def test_one_layer_of_mixed_precision_casts_what_is_inside_of_it() -> None:
    model = mixed()
    assert direct([model, *model.layers]) == {}


def test_what_does_not_fit_goes_to_keras() -> None:
    layer = layers.Dense(2)
    network(layer)
    calls = []

    def called(*args: Any, **kwargs: Any) -> Any:
        calls.append((args, kwargs))
        return layer(*args, **kwargs)

    run = direct([layer])[id(layer)](layer, called)
    tensor = ops.convert_to_tensor(X)
    np.testing.assert_array_equal(*map(ops.convert_to_numpy, (run(tensor), layer(tensor))))
    assert calls == []
    for args, kwargs in [
        ((X,), {}),
        ((ops.cast(tensor, "int32"),), {}),
        ((tensor,), {"training": False}),
        ((keras.Input((6, 6, 3)),), {}),
    ]:
        run(*args, **kwargs)
        assert len(calls.pop()[0]) == 1
    with pytest.raises(ValueError, match="incompatible with the layer"):
        run(ops.convert_to_tensor(X[..., :2]))
