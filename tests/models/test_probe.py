"""Reading values inside a model: the numbers by hand, and the model as it was."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops

from vis.errors import LayerError
from vis.models import Probe

X = np.array([[1.0, -2.0, 3.0], [0.5, 0.0, -1.0]], np.float32)


class Scale(layers.Layer):
    """Multiplies by a number, which makes each value on the way known by hand."""

    def __init__(self, factor: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.factor = factor

    def call(self, x: Any) -> Any:
        return x * self.factor


class Split(layers.Layer):
    """A layer with two outputs."""

    def call(self, x: Any) -> Any:
        return x + 1.0, x - 1.0


def read(model: Any, *points: Any, x: Any = X) -> list[Any]:
    return [np.asarray(value) for value in Probe(model, points)(ops.convert_to_tensor(x))]


def block(name: str, *factors: float) -> keras.Model:
    entry = keras.Input((3,))
    x = entry
    for index, factor in enumerate(factors):
        x = Scale(factor, name=f"s{index}")(x)
    return keras.Model(entry, x, name=name)


def test_layers_of_a_functional_model() -> None:
    model = block("net", 2.0, 5.0)
    first, second = read(model, model.get_layer("s0"), model.get_layer("s1"))
    np.testing.assert_array_equal(first, 2 * X)
    np.testing.assert_array_equal(second, 10 * X)


def test_the_model_itself_and_its_input() -> None:
    model = block("net", 2.0, 5.0)
    whole, tensor, layer = read(model, model, model.input, model.layers[0])
    np.testing.assert_array_equal(whole, 10 * X)
    np.testing.assert_array_equal(tensor, X)
    np.testing.assert_array_equal(layer, X)


def test_symbolic_tensors_and_operations_that_are_no_layers() -> None:
    entry = keras.Input((3,))
    middle = ops.add(entry, 4.0)
    model = keras.Model(entry, ops.multiply(middle, 2.0))
    found, output = read(model, middle, model.output)
    np.testing.assert_array_equal(found, X + 4)
    np.testing.assert_array_equal(output, 2 * (X + 4))


def test_layers_of_nested_models_two_deep() -> None:
    inner = block("inner", 3.0, 5.0)
    middle = keras.Sequential([layers.Input((3,)), Scale(2.0, name="before"), inner], name="middle")
    entry = keras.Input((3,))
    model = keras.Model(entry, Scale(7.0)(middle(entry)))
    deep, deeper, sequential, functional = read(model, middle.layers[0], inner.get_layer("s0"), middle, inner)
    np.testing.assert_array_equal(deep, 2 * X)
    np.testing.assert_array_equal(deeper, 6 * X)
    np.testing.assert_array_equal(sequential, 30 * X)
    np.testing.assert_array_equal(functional, 30 * X)


def test_sequential_that_was_called_before_it_had_an_input() -> None:
    model = keras.Sequential([Scale(2.0), Scale(3.0)])
    model(X)
    first, second = read(model, *model.layers)
    np.testing.assert_array_equal(first, 2 * X)
    np.testing.assert_array_equal(second, 6 * X)


class Subclassed(keras.Model):
    """Holds layers by name, in a list, in a dict and inside a layer that is no model."""

    def __init__(self) -> None:
        super().__init__()
        self.single = Scale(2.0)
        self.several = [Scale(3.0), Scale(5.0)]
        self.named = {"a": Scale(7.0)}
        self.part = Part()

    def call(self, x: Any) -> Any:
        x = self.single(x)
        for layer in self.several:
            x = layer(x)
        return self.part(self.named["a"](x))


class Part(layers.Layer):
    def __init__(self) -> None:
        super().__init__()
        self.held = Scale(11.0)

    def call(self, x: Any) -> Any:
        return self.held(x) - 1.0


def test_layers_of_a_subclassed_model() -> None:
    model = Subclassed()
    model(X)
    points = [model.single, *model.several, model.named["a"], model.part.held, model.part, model]
    expected = [2 * X, 6 * X, 30 * X, 210 * X, 2310 * X, 2310 * X - 1, 2310 * X - 1]
    for found, wanted in zip(read(model, *points), expected, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-6)


def test_subclassed_inside_functional() -> None:
    inner = Subclassed()
    entry = keras.Input((3,))
    model = keras.Model(entry, Scale(0.5)(inner(entry)))
    second, held = read(model, inner.several[1], inner.part.held)
    np.testing.assert_allclose(second, 30 * X, rtol=1e-6)
    np.testing.assert_allclose(held, 2310 * X, rtol=1e-6)


def test_layer_called_twice_is_ambiguous_but_its_tensors_are_not() -> None:
    twice = Scale(3.0, name="twice")
    entry = keras.Input((3,))
    first = twice(entry)
    second = twice(ops.add(first, 1.0))
    model = keras.Model(entry, second)
    with pytest.raises(LayerError, match="'twice' is called 2 times"):
        read(model, twice)
    found = read(model, second, first)
    np.testing.assert_array_equal(found[0], 3 * (3 * X + 1))
    np.testing.assert_array_equal(found[1], 3 * X)


def test_layer_that_another_model_calls_too() -> None:
    """Two inbound nodes, one of them in this model: not ambiguous."""
    shared = Scale(3.0)
    entry, other = keras.Input((3,)), keras.Input((3,))
    model = keras.Model(entry, Scale(2.0)(shared(Scale(5.0)(entry))))
    keras.Model(other, shared(other))
    (found,) = read(model, shared)
    np.testing.assert_array_equal(found, 15 * X)


def test_siamese_encoder() -> None:
    """Each side's encoding is a tensor of its own; the layers inside the encoder run twice."""
    encoder = block("encoder", 2.0, 3.0)
    left, right = keras.Input((3,)), keras.Input((3,))
    a, b = encoder(left), encoder(right)
    model = keras.Model([left, right], ops.subtract(a, b))
    probe = Probe(model, [a, b])
    found = probe([ops.convert_to_tensor(X), ops.convert_to_tensor(X + 1)])
    np.testing.assert_array_equal(found[0], 6 * X)
    np.testing.assert_array_equal(found[1], 6 * (X + 1))
    with pytest.raises(LayerError, match="'s0' is called 2 times"):
        Probe(model, [encoder.get_layer("s0")])([ops.convert_to_tensor(X)] * 2)


def test_layer_with_two_outputs() -> None:
    split = Split(name="split")
    entry = keras.Input((3,))
    up, down = split(entry)
    model = keras.Model(entry, ops.multiply(up, down))
    with pytest.raises(LayerError, match="'split' has 2 outputs"):
        read(model, split)
    found = read(model, down, up)
    np.testing.assert_array_equal(found[0], X - 1)
    np.testing.assert_array_equal(found[1], X + 1)


def test_layer_that_does_not_lead_to_the_output() -> None:
    """It is in no model at all, or in none that runs."""
    entry = keras.Input((3,))
    side = Scale(9.0, name="side")
    side(entry)
    model = keras.Model(entry, Scale(2.0)(entry))
    with pytest.raises(LayerError, match="'side' gave no output"):
        read(model, side)


def test_layer_inside_a_wrapper() -> None:
    """TimeDistributed runs its layer once per step, past what can be observed: an error, not a guess."""
    inner = Scale(4.0, name="inner")
    wrapper = layers.TimeDistributed(inner)
    model = keras.Sequential([layers.Input((2, 3)), wrapper, Scale(2.0)])
    x = np.arange(12, dtype=np.float32).reshape(2, 2, 3)
    with pytest.raises(LayerError, match=r"'inner' gave no output.*Choose the layer that contains it"):
        read(model, inner, x=x)
    (found,) = read(model, wrapper, x=x)
    np.testing.assert_array_equal(found, 4 * x)


def test_inference_mode() -> None:
    """Dropout passes everything, batch norm uses its moving statistics, and neither moves."""
    norm = layers.BatchNormalization(epsilon=0.0)
    model = keras.Sequential([layers.Input((3,)), norm, layers.Dropout(0.9)])
    norm.moving_mean.assign([1.0, 2.0, 3.0])
    norm.moving_variance.assign([4.0, 1.0, 0.25])
    normed, dropped = read(model, norm, model.layers[1])
    np.testing.assert_allclose(normed, (X - [1, 2, 3]) / [2, 1, 0.5], rtol=1e-6)
    np.testing.assert_allclose(dropped, normed, rtol=1e-6)
    np.testing.assert_array_equal(norm.moving_mean, [1, 2, 3])
    np.testing.assert_array_equal(norm.moving_variance, [4, 1, 0.25])


@pytest.mark.parametrize("kind", ["functional", "nested", "subclassed", "wrapped"])
def test_the_users_objects_are_untouched(kind: str, untouched: Callable[[Any], Callable[[], None]]) -> None:
    x = X
    if kind == "functional":
        model = block("net", 2.0, 5.0)
        points = [model.layers[1], model.output]
    elif kind == "nested":
        inner = block("inner", 3.0)
        model = keras.Sequential([layers.Input((3,)), inner, Scale(2.0)])
        points = [inner.layers[1], inner]
    elif kind == "wrapped":
        model = keras.Sequential([layers.Input((2, 3)), layers.TimeDistributed(layers.Dense(2))])
        points, x = [model.layers[0]], np.ones((1, 2, 3), np.float32)
    else:
        model = Subclassed()
        model(X)
        points = [model.several[0], model.part.held]
    check = untouched(model)
    read(model, *points, x=x)
    read(model, *points, x=x)
    check()


def test_two_probes_do_not_see_each_other() -> None:
    model = block("net", 2.0, 5.0)
    one, two = Probe(model, [model.layers[1]]), Probe(model, [model.layers[1], model.layers[2]])
    for _ in range(2):
        np.testing.assert_array_equal(one(ops.convert_to_tensor(X))[0], 2 * X)
        np.testing.assert_array_equal(two(ops.convert_to_tensor(-X))[1], -10 * X)


def test_layer_read_twice() -> None:
    model = block("net", 2.0, 5.0)
    found = read(model, model.layers[1], model.layers[1], model.layers[1].output)
    for value in found:
        np.testing.assert_array_equal(value, 2 * X)


def test_dict_inputs() -> None:
    entry = {"a": keras.Input((3,), name="a"), "b": keras.Input((3,), name="b")}
    layer = layers.Subtract()
    model = keras.Model(entry, Scale(2.0)(layer([entry["a"], entry["b"]])))
    inputs = {"a": ops.convert_to_tensor(X), "b": ops.ones((2, 3))}
    difference, b = (np.asarray(value) for value in Probe(model, [layer, entry["b"]])(inputs))
    np.testing.assert_array_equal(difference, X - 1)
    np.testing.assert_array_equal(b, np.ones((2, 3)))


class Noted(Scale):
    """Notes when it runs."""

    def __init__(self, factor: float, log: list[str], **kwargs: Any) -> None:
        super().__init__(factor, **kwargs)
        self.note = log.append  # Keras would copy a list

    def call(self, x: Any) -> Any:
        self.note(self.name)
        return super().call(x)


def given(model: Any, start: Any, points: list[Any], value: Any) -> tuple[Any, list[Any]]:
    """Run a model from the given output of a layer."""
    outputs, values = Probe(model, points, start).run(ops.convert_to_tensor(X), ops.convert_to_tensor(value))
    return np.asarray(outputs), [np.asarray(each) for each in values]


def noted(kind: str) -> tuple[Any, Any, list[str]]:
    """Return a model of layers that note when they run, what is given in it, and the notes."""
    log: list[str] = []
    a, b, c = (Noted(number, log, name=name) for number, name in ((2.0, "a"), (3.0, "b"), (5.0, "c")))
    entry = keras.Input((3,))
    if kind == "chain":
        model = keras.Model(entry, c(b(a(entry))))
    elif kind == "sequential":
        model = keras.Sequential([entry, a, b, c])
    elif kind == "nested":
        inner = keras.Input((3,))
        model = keras.Model(entry, c(keras.Model(inner, b(a(inner)), name="inner")(entry)))
    elif kind == "around":
        hidden = a(entry)
        model = keras.Model(entry, c(b(hidden)) + hidden)
    else:  # a layer that the rest calls, too
        model = keras.Model(entry, a(c(b(a(entry)))))
    log.clear()
    return model, b, log


@pytest.mark.parametrize(
    ("kind", "runs", "expected"),
    [
        ("chain", ["c"], 5 * X),
        ("sequential", ["c"], 5 * X),
        ("nested", ["c"], 5 * X),
        ("around", ["a", "c"], 7 * X),
        ("shared", ["a", "c", "a"], 10 * X),
    ],
)
def test_what_only_a_given_output_needs_does_not_run(kind: str, runs: list[str], expected: Any) -> None:
    model, start, log = noted(kind)
    found, _ = given(model, start, [], X)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert log == runs


def test_what_is_read_runs_before_a_given_output_too() -> None:
    model, start, log = noted("chain")
    first, last = model.get_layer("a"), model.get_layer("c")
    found, values = given(model, start, [first, last], 10 * X)
    np.testing.assert_allclose(found, 50 * X, rtol=1e-6)
    np.testing.assert_allclose(values[0], 2 * X, rtol=1e-6)
    np.testing.assert_allclose(values[1], 50 * X, rtol=1e-6)
    assert log == ["a", "c"]
    np.testing.assert_allclose(given(model, start, [start], 10 * X)[1][0], 10 * X, rtol=1e-6)


def test_masks_reach_what_follows_a_given_output() -> None:
    entry = keras.Input((3,), dtype="int32")
    hidden = layers.Embedding(9, 2, mask_zero=True, name="embedding")(entry)
    middle = layers.Activation("linear", name="middle")(hidden)
    model = keras.Model(entry, layers.GlobalAveragePooling1D()(middle))
    value = np.arange(6, dtype=np.float32).reshape(1, 3, 2)
    tokens = ops.convert_to_tensor(np.array([[4, 5, 0]], np.int32))
    found, _ = Probe(model, [], model.get_layer("middle")).run(tokens, ops.convert_to_tensor(value))
    np.testing.assert_allclose(np.asarray(found), value[:, :2].mean(axis=1), rtol=1e-6)
