"""Which compiled functions run one operation after another, and that they compute the same."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, ops

from vis.attributions import GuidedBackprop, Saliency
from vis.backend.tensorflow import compiled
from vis.errors import InputError

X = np.random.default_rng(0).normal(size=(3, 6, 6, 4)).astype(np.float32)
Found = list[bool]


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> Found:
    """Return what is decided for each function that is compiled."""
    made: Found = []
    decide = compiled.in_turn

    def noted(*args: Any) -> bool:
        made.append(decide(*args))
        return made[-1]

    monkeypatch.setattr(compiled, "in_turn", noted)
    return made


def conv(x: Any) -> Any:
    return layers.Conv2D(4, 3, padding="same", activation="relu")(x)


def squeezed(x: Any) -> Any:
    """Return features scaled by what two dense layers make of their means."""
    return x * layers.Dense(4, "sigmoid")(layers.Dense(2, "relu")(ops.mean(x, (1, 2), keepdims=True)))


@tf.function  # type: ignore[untyped-decorator]
def doubled(x: Any) -> Any:
    return 2 * x


def drawn_beside(x: Any) -> Any:
    """Return what came in, and draw numbers in a loop that nothing needs."""
    tf.while_loop(lambda i: i < 2.0, lambda i: i + 1.0 + tf.random.uniform(()), [x[0, 0, 0, 0]])
    return x


NETWORKS: dict[str, tuple[Any, bool]] = {
    "a chain": (lambda x: conv(conv(x)), True),
    "normalized": (lambda x: conv(layers.BatchNormalization()(conv(x))), True),
    "skipped": (lambda x: x + conv(conv(x)), True),
    "densely connected": (lambda x: layers.Concatenate()([x, conv(x)]), True),
    "scaled by itself": (lambda x: conv(squeezed(conv(x))), True),
    "depthwise": (lambda x: layers.SeparableConv2D(4, 3)(conv(x)), True),
    "two branches": (lambda x: conv(x) + conv(x), False),
    "a convolution in each shortcut": (lambda x: conv(conv(x)) + conv(x), False),
    "a loop": (lambda x: layers.GRU(4)(ops.reshape(x, (-1, 36, 4))), False),
    "a condition": (
        lambda x: layers.Lambda(lambda v: tf.cond(v[0, 0, 0, 0] > 0, lambda: v, lambda: 2 * v))(x),
        False,
    ),
    "a loop beside the output": (lambda x: conv(layers.Lambda(drawn_beside)(x)), False),
    "a function": (lambda x: conv(layers.Lambda(doubled)(x)), False),
}


def network(make: Any) -> keras.Model:
    inputs = keras.Input((6, 6, 4))
    return keras.Model(inputs, layers.Dense(3)(layers.Flatten()(make(inputs))))


@pytest.mark.parametrize("name", NETWORKS)
def test_chains_run_in_turn(name: str, found: Found, monkeypatch: pytest.MonkeyPatch) -> None:
    make, chain = NETWORKS[name]
    model = network(make)
    explainer = GuidedBackprop if chain else Saliency
    maps = explainer(model).explain(X, [0, 1, 2])
    assert found == [chain]
    monkeypatch.setattr(compiled, "in_turn", lambda *_: False)
    pooled = explainer(keras.Model(model.inputs, model.outputs)).explain(X, [0, 1, 2])
    np.testing.assert_array_equal(pooled, maps)


def test_nothing_to_compute_is_no_chain(found: Found) -> None:
    inputs = keras.Input((5,))
    Saliency(keras.Model(inputs, ops.tanh(inputs))).explain(X[0, :, :5, 0], 1)
    assert found == [False]


def test_other_devices_keep_the_pool(found: Found, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tf.config, "list_logical_devices", lambda: ["CPU:0", "GPU:0"])
    Saliency(network(conv)).explain(X, 0)
    assert found == [False]


@pytest.mark.parametrize(("depth", "beside"), [(9, 1), (8, 1), (18, 2), (17, 2), (30, 0)])
def test_a_tenth_of_the_costly_operations_may_stand_beside_the_chain(
    depth: int, beside: int, found: Found
) -> None:
    inputs = x = keras.Input((4,))
    for _ in range(depth):
        x = layers.Dense(4)(x)
    branches = [layers.Dense(4)(inputs) for _ in range(beside)]
    Saliency(keras.Model(inputs, layers.Add()([x, inputs, *branches]))).explain(X[0, 0], 0)
    assert found == [depth >= 0.9 * (depth + beside)]


def test_errors_are_the_same() -> None:
    inputs = keras.Input((5,))
    tokens = layers.Embedding(7, 4)(ops.cast(inputs, "int32"))
    model = keras.Model(inputs, layers.Dense(2)(layers.Flatten()(tokens)))
    with pytest.raises(InputError, match=r"the token or category 7 is not in the range 0 to 6"):
        Saliency(model, wrt=tokens).explain(np.full((1, 5), 7.0, np.float32), 0)
