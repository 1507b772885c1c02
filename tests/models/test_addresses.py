"""Addresses: a call of a layer, an operation of the graph, an output and a tensor are named like a layer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers, ops

import vis
from vis import attributions, describe, models
from vis.errors import LayerError
from vis.models import Call, Probe, find_layer

X = np.array([[1.0, -2.0, 3.0]], np.float32)


class Scale(layers.Layer):
    """Multiplies by a number, so that each value on the way is known by hand."""

    def __init__(self, factor: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.factor = factor

    def call(self, x: Any) -> Any:
        return x * self.factor


class Split(layers.Layer):
    def call(self, x: Any) -> Any:
        return x * 2.0, x * 5.0


def graph() -> Any:
    """entry -> twice:0 (3 x) -> + 1 -> twice:1 -> split -> sum of both -> end"""
    entry = keras.Input((3,), name="entry")
    twice, split = Scale(3.0, name="twice"), Split(name="split")
    shifted = ops.add(twice(entry), 1.0)
    two, five = split(twice(shifted))
    return keras.Model(entry, Scale(1.0, name="end")(ops.multiply(two, five)), name="net")


def nested() -> Any:
    """A block of a layer that runs twice in it, itself called twice: the layer runs four times."""
    inside = keras.Input((3,))
    scale = Scale(2.0, name="scale")
    block = keras.Model(inside, scale(scale(inside)), name="block")
    entry = keras.Input((3,))
    return keras.Model(entry, Scale(1.0, name="end")(block(block(entry))), name="net")


class Own(keras.Model):
    """Calls a layer three times."""

    def __init__(self) -> None:
        super().__init__(name="own")
        self.scale, self.last = Scale(2.0, name="scale"), Scale(1.0, name="end")

    def call(self, x: Any) -> Any:
        return self.last(self.scale(self.scale(self.scale(x)) + 1.0))


def own() -> Any:
    model = Own()
    model(X)
    return model


# Of a model and an address, the value that is found there.
VALUES: list[tuple[Callable[[], Any], str, Any]] = [
    (graph, "twice:0", 3 * X),
    (graph, "add", 3 * X + 1),
    (graph, "add:0", 3 * X + 1),
    (graph, "twice:1", 9 * X + 3),
    (graph, "split:0:0", 18 * X + 6),
    (graph, "split:0:1", 45 * X + 15),
    (graph, "multiply", (18 * X + 6) * (45 * X + 15)),
    (graph, "end:0", (18 * X + 6) * (45 * X + 15)),
    (graph, "entry", X),
    (nested, "block:0", 4 * X),
    (nested, "block:1", 16 * X),
    (nested, "block/scale:0", 2 * X),
    (nested, "block/scale:1", 4 * X),
    (nested, "block/scale:2", 8 * X),
    (nested, "block/scale:3", 16 * X),
    (own, "scale:0", 2 * X),
    (own, "scale:1", 4 * X),
    (own, "scale:2", 8 * X + 2),
    (own, "end:0", 8 * X + 2),
]


@pytest.mark.parametrize(
    ("make", "address", "value"), VALUES, ids=lambda item: getattr(item, "__name__", str(item))
)
def test_the_value_at_an_address(make: Callable[[], Any], address: str, value: Any) -> None:
    keras.utils.clear_session(free_memory=False)  # operations of the graph are numbered anew
    model = make()
    point = find_layer(model, address)
    assert find_layer(model, point) is point
    (found,) = Probe(model, [point])(ops.convert_to_tensor(X))
    np.testing.assert_array_equal(found, value)


def test_tensors_are_found_by_themselves() -> None:
    model = nested()
    for index, tensor in enumerate([model.layers[1]._inbound_nodes[i].output_tensors[0] for i in (-2, -1)]):
        assert find_layer(model, tensor) == Call(model.layers[1], index)
    assert find_layer(model, model.output) is model.layers[-1]
    assert find_layer(model, model.input) is model.layers[0]
    inside = model.layers[1].layers[1]
    with pytest.raises(
        LayerError, match=r"called 4 times.*computed more than once.*'block/scale:0', .*'block/scale:3'"
    ):
        find_layer(model, inside._inbound_nodes[0].output_tensors[0])
    split = graph().get_layer("split")
    assert find_layer(graph_of(split), split.output[1]) == Call(split, 0, 1)
    with pytest.raises(LayerError, match="not part of the graph of the model 'net'"):
        find_layer(model, graph().output)


def graph_of(layer: Any) -> Any:
    return keras.Model(layer._inbound_nodes[0].input_tensors[0], layer.output)


@pytest.mark.parametrize(
    ("make", "address", "words"),
    [
        (nested, "block", r"'block' is called 2 times.*'block:0', 'block:1'"),
        (nested, "block/scale", r"'scale' is called 4 times.*'block/scale:0', .*'block/scale:3'"),
        (own, "scale", r"'scale' is called 3 times.*'scale:0', 'scale:1', 'scale:2'"),
        (own, "scale:3", r"'scale' is called 3 times.*Received: 'scale:3'.*'scale:0'"),
        (nested, "block:2", r"called 2 times.*Received: call 2\. Its calls are 'block:0', 'block:1'"),
        (nested, "end:1", r"called 1 times.*Received: call 1"),
        (graph, "split", r"'split' has 2 outputs.*'split:0:0' to 'split:0:1'"),
        (graph, "split:0:2", r"'split' has 2 outputs, numbered from 0\. Received: 2"),
        (nested, "blocks:0", r"no layer 'blocks:0'"),
        (nested, "block:x", r"no layer 'block:x'"),
        (nested, "block:-1", r"no layer 'block:-1'"),
    ],
)
def test_what_is_ambiguous_lists_its_addresses(make: Callable[[], Any], address: str, words: str) -> None:
    model = make()
    with pytest.raises(LayerError, match=words):
        Probe(model, [find_layer(model, address)])(ops.convert_to_tensor(X))


def test_a_name_with_a_colon_comes_first() -> None:
    twice = Scale(2.0, name="a")
    entry = keras.Input((3,))
    model = keras.Model(entry, Scale(3.0, name="a:1")(twice(twice(entry))))
    assert find_layer(model, "a:1") is model.layers[-1]
    assert find_layer(model, "a:0") == Call(twice, 0)
    assert find_layer(model, "a:1:0") is model.layers[-1]


TOKENS = np.array([[1, 2, 3], [4, 0, 1]])


def tied() -> Any:
    """An embedding of two texts, and its sum with itself as an operation."""
    table = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)
    embedding = layers.Embedding(6, 4, name="embedding", embeddings_initializer=lambda *_, **__: table)
    left, right = keras.Input((3,), name="left"), keras.Input((3,), name="right")
    joined = ops.tanh(embedding(left)) * embedding(right)
    kernel = np.random.default_rng(1).normal(size=(12, 2)).astype(np.float32)
    dense = layers.Dense(2, kernel_initializer=lambda *_, **__: kernel, name="end")
    return keras.Model([left, right], dense(layers.Flatten()(joined)), name="tied"), table, kernel


@pytest.mark.parametrize("by", ["address", "tensor", "layer"])
def test_a_tied_embedding_is_attributed_call_by_call(by: str) -> None:
    model, table, kernel = tied()
    inputs = [TOKENS, TOKENS[::-1].copy()]
    a, b = table[inputs[0]], table[inputs[1]]
    by_left = (kernel[:, 1].reshape(3, 4) * b) * (1 - np.tanh(a) ** 2)
    by_right = kernel[:, 1].reshape(3, 4) * np.tanh(a)
    for index, wanted in enumerate([by_left, by_right]):
        named: Any = f"embedding:{index}"
        if by == "tensor":
            named = next(
                node.output_tensors[0]
                for node in model.get_layer("embedding")._inbound_nodes
                if node.input_tensors[0] is model.inputs[index]
            )
        if by == "layer":
            named = find_layer(model, named)
        explainer = attributions.Saliency(model, wrt=named, reducer=None, grad_modifier=None)
        np.testing.assert_allclose(explainer.explain(inputs, 1), wanted, rtol=1e-4, atol=1e-5)
        complete = attributions.IntegratedGradients(model, wrt=named, reducer=None, steps=60)(inputs, 1)
        # From a left or right text of zeros, of which the score is 0.
        score = (np.tanh(a) * b * kernel[:, 1].reshape(3, 4)).sum(axis=(1, 2))
        np.testing.assert_allclose(complete.sum(axis=(1, 2)), score, rtol=1e-2, atol=1e-2)
        sample = [x[0] for x in inputs]
        one = vis.visualize_saliency(model, -1, 1, sample, wrt_tensor=named, grad_modifier=None)
        raw = wanted[0].max(axis=-1)
        np.testing.assert_allclose(one, (raw - raw.min()) / (raw.max() - raw.min()), rtol=1e-3, atol=1e-4)
    with pytest.raises(LayerError, match=r"'embedding' is called 2 times.*'embedding:0', 'embedding:1'"):
        attributions.Saliency(model, wrt="embedding").explain(inputs, 1)


IMAGE = np.random.default_rng(0).normal(size=(1, 6, 6, 2)).astype(np.float32)


def residual() -> Any:
    """A block of ConvNeXt's kind: `x + y` is an operation of the graph."""
    entry = keras.Input((6, 6, 2))
    x = layers.Conv2D(3, 3, padding="same", name="stem")(entry)
    y = layers.Conv2D(3, 3, padding="same", activation="relu", name="branch")(x)
    joined = x + y
    model = keras.Model(entry, layers.Dense(2, name="end")(layers.Flatten()(joined)))
    return model, joined


def test_an_operation_is_a_layer_like_any_other() -> None:
    keras.utils.set_random_seed(1)
    model, joined = residual()
    name = joined._keras_history.operation.name
    layer = layers.Add(name="sum")
    same = keras.Model(
        model.input,
        model.layers[-1](model.layers[-2](layer([model.get_layer(n).output for n in ("stem", "branch")]))),
    )
    for named in (name, f"{name}:0", joined, joined._keras_history.operation):
        for one, other in (
            (vis.visualize_saliency(model, named, 1, IMAGE), vis.visualize_saliency(same, "sum", 1, IMAGE)),
            (vis.visualize_cam(model, -1, 1, IMAGE, named), vis.visualize_cam(same, -1, 1, IMAGE, "sum")),
            *(
                (kind(model, conv_layer=named)(IMAGE, 1), kind(same, conv_layer="sum")(IMAGE, 1))
                for kind in (attributions.GradCAM, attributions.LayerCAM)
            ),
            (
                attributions.Saliency(model, named)(IMAGE, np.ones((1, 6, 6, 3))),
                attributions.Saliency(same, "sum")(IMAGE, np.ones((1, 6, 6, 3))),
            ),
            (
                vis.visualize_saliency(model, -1, 1, IMAGE, wrt_tensor=named),
                vis.visualize_saliency(same, -1, 1, IMAGE, wrt_tensor="sum"),
            ),
        ):
            np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)
    loss = [(vis.losses.ActivationMaximization(joined, 1), -1)]
    np.testing.assert_allclose(
        vis.visualize_saliency_with_losses(model.input, loss, IMAGE),
        vis.visualize_saliency(same, "sum", 1, IMAGE),
        rtol=1e-5,
        atol=1e-6,
    )
    picture = vis.visualize_activation(model, name, 1, max_iter=3, seed=0, tv_weight=0, lp_norm_weight=0)
    np.testing.assert_array_equal(
        picture, vis.visualize_activation(same, "sum", 1, max_iter=3, seed=0, tv_weight=0, lp_norm_weight=0)
    )


@pytest.mark.filterwarnings("ignore::vis.errors.EmptyMapWarning")  # of the other picture
def test_the_calls_of_a_shared_encoder() -> None:
    """Of each call there are maps: as the target, and as the layer of a class activation map."""
    conv = layers.Conv2D(3, 3, padding="same", activation="relu", name="conv")
    encoder = keras.Sequential([keras.Input((6, 6, 2)), conv], name="encoder")
    one, two = keras.Input((6, 6, 2)), keras.Input((6, 6, 2))
    a, b = encoder(one), encoder(two)
    end = layers.Dense(2, name="end")(layers.Flatten()(layers.Concatenate()([a, b])))
    model = keras.Model([one, two], end)
    pictures = [IMAGE, IMAGE[:, ::-1].copy()]
    for index, tensor in enumerate((a, b)):
        other = f"encoder:{1 - index}"
        for address in (f"encoder:{index}", f"encoder/conv:{index}", tensor):
            found = vis.visualize_saliency(model, address, 1, pictures)
            assert found[index].any() and not found[1 - index].any()
            maps = {at: attributions.LayerCAM(model, conv_layer=at)(pictures, 1) for at in (address, other)}
            assert maps[address].any() and not np.allclose(maps[address], maps[other])


def test_one_trace_serves_all_calls_of_an_address() -> None:
    model = nested()

    def traces() -> int:
        return len(vis.engine.traces._traces)

    vis.visualize_saliency(model, "block:0", 0, X)
    known = traces()
    for _ in range(3):
        vis.visualize_saliency(model, "block:0", 1, X)
    assert traces() == known
    vis.visualize_saliency(model, "block:1", 0, X)
    assert traces() == known + 1


@settings(max_examples=25, deadline=None)
@given(steps=st.lists(st.sampled_from(["a", "b", "op", "block"]), min_size=1, max_size=6))
def test_addresses_count_in_the_order_of_running(steps: list[str]) -> None:
    factors = {"a": 2.0, "b": 3.0, "op": 5.0, "block": 2.0 * 7.0}
    shared = {name: Scale(factors[name], name=name) for name in "ab"}
    inside = keras.Input((3,))
    block = keras.Model(inside, Scale(7.0, name="c")(shared["a"](inside)), name="block")
    entry = keras.Input((3,))
    x, value, wanted, counts = entry, 1.0, {}, dict.fromkeys(("a", "b", "block", "block/c"), 0)

    def note(name: str, factor: float) -> float:
        wanted[f"{name}:{counts[name]}"] = value * factor
        counts[name] += 1
        return value * factor

    for step in steps:
        if step == "op":
            x, value = ops.multiply(x, 5.0), value * 5.0
        elif step == "block":
            x = block(x)
            before = value
            value = note("a", 2.0)
            value = note("block/c", 7.0)
            wanted[f"block:{counts['block']}"] = before * 14.0
            counts["block"] += 1
        else:
            x, value = shared[step](x), note(step, factors[step])
    model = keras.Model(entry, Scale(1.0)(x))
    table = describe.layer_table(model)
    held = {path for path, _ in models.walk(model, operations=True)}
    for address, factor in wanted.items():
        if address.split(":")[0] not in held:
            continue
        (found,) = Probe(model, [find_layer(model, address)])(ops.convert_to_tensor(X))
        np.testing.assert_array_equal(found, factor * X)
        if counts[address.split(":")[0]] > 1:
            assert f" {address} " in table


def test_the_table_lists_operations_and_calls() -> None:
    keras.utils.clear_session(free_memory=False)
    rows = [line.split() for line in describe.layer_table(graph()).splitlines()[1:]]
    assert [row[1] if row[0].isdigit() else row[0] for row in rows] == [
        "entry", "twice:0", "twice:1", "add", "split", "multiply", "end",
    ]  # fmt: skip
    model, _, _ = tied()
    table = describe.layer_table(model)
    assert "embedding:0" in table and "embedding:1" in table and "3x4" in table
