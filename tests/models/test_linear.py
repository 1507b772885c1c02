"""Logits, and copies that share their variables: numbers by hand, variables by identity."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops

from tests import native
from vis import backprop_modifiers
from vis.attributions import Saliency
from vis.errors import ModelError, SoftmaxWarning
from vis.models import activation_name, linear_outputs, shared_copy
from vis.utils.utils import apply_modifications
from vis.visualization import visualize_activation, visualize_saliency

X = np.array([[1.0, -2.0, 3.0], [0.5, 0.0, -1.0]], np.float32)
STEPS = np.stack([X, -X, 2 * X], axis=1)
KERNEL = np.array([[1.0, -1.0, 0.5, 2.0], [0.25, 2.0, -1.0, 0.0], [-0.5, 0.75, 1.0, 1.5]], np.float32)
BIAS = np.array([0.1, -0.2, 0.3, -0.4], np.float32)


def dense(activation: Any = None, **kwargs: Any) -> layers.Dense:
    return layers.Dense(
        4,
        activation=activation,
        kernel_initializer=lambda shape, dtype=None: KERNEL,
        bias_initializer=lambda shape, dtype=None: BIAS,
        **kwargs,
    )


def logits(x: Any = X) -> Any:
    return x @ KERNEL + BIAS


def softmax(z: Any) -> Any:
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def chain(*stack: Any, shape: tuple[int, ...] = (3,)) -> keras.Model:
    entry = x = keras.Input(shape, name="x")
    for layer in stack:
        x = layer(x)
    return keras.Model(entry, x)


def sequential(*stack: Any, shape: tuple[int, ...] = (3,)) -> keras.Model:
    return keras.Sequential([layers.Input(shape), *stack])


VECTORS = {
    "fused": lambda: chain(dense("softmax")),
    "fused in Sequential": lambda: sequential(dense("softmax")),
    "Activation": lambda: chain(dense(), layers.Activation("softmax")),
    "Softmax layer": lambda: chain(dense(), layers.Softmax()),
    "Softmax layer in Sequential": lambda: sequential(dense(), layers.Softmax()),
    "ops.softmax": lambda: chain(dense(), lambda x: ops.softmax(x)),
    "activations.softmax": lambda: chain(dense(), lambda x: keras.activations.softmax(x)),
    "nested functional": lambda: chain(chain(dense("softmax"))),
    "nested Sequential": lambda: chain(sequential(dense(), layers.Softmax())),
    "nested two deep": lambda: sequential(sequential(chain(dense("softmax")))),
    "Sequential without Input": lambda: called(keras.Sequential([dense("softmax")])),
}
SEQUENCES = {
    "TimeDistributed fused": lambda: chain(layers.TimeDistributed(dense("softmax")), shape=(3, 3)),
    "TimeDistributed Activation": lambda: chain(
        dense(), layers.TimeDistributed(layers.Activation("softmax")), shape=(3, 3)
    ),
    "TimeDistributed Softmax": lambda: chain(dense(), layers.TimeDistributed(layers.Softmax()), shape=(3, 3)),
    "TimeDistributed model": lambda: chain(layers.TimeDistributed(chain(dense("softmax"))), shape=(3, 3)),
}


def called(model: keras.Model) -> keras.Model:
    model(X)
    return model


EACH_VECTOR = pytest.mark.parametrize("make", VECTORS.values(), ids=VECTORS.keys())
EACH_SEQUENCE = pytest.mark.parametrize("make", SEQUENCES.values(), ids=SEQUENCES.keys())
EACH_PLACE = pytest.mark.parametrize(
    ("make", "x"),
    [
        pytest.param(make, x, id=name)
        for table, x in ((VECTORS, X), (SEQUENCES, STEPS))
        for name, make in table.items()
    ],
)


@EACH_PLACE
def test_logits_are_those_computed_by_hand(make: Callable[[], keras.Model], x: Any) -> None:
    model = make()
    linear = linear_outputs(model)
    np.testing.assert_allclose(linear(x), logits(x), rtol=1e-5)
    np.testing.assert_allclose(linear.predict(x, verbose=0), logits(x), rtol=1e-5)
    np.testing.assert_allclose(model(x), softmax(logits(x)), rtol=1e-5)


@EACH_PLACE
def test_variables_are_identical_objects(make: Callable[[], keras.Model], x: Any) -> None:
    model = make()
    linear = linear_outputs(model)
    for name in ("variables", "trainable_variables"):
        found, wanted = getattr(linear, name), getattr(model, name)
        assert len(found) == len(wanted) == 2
        assert all(a is b for a, b in zip(found, wanted, strict=True))
    model.set_weights([2 * KERNEL, BIAS])
    np.testing.assert_allclose(linear(x), x @ (2 * KERNEL) + BIAS, rtol=1e-5)


@EACH_PLACE
def test_the_users_layers_are_untouched(
    make: Callable[[], keras.Model], x: Any, untouched: Callable[[Any], Callable[[], None]]
) -> None:
    model = make()
    check = untouched(model)
    linear_outputs(model)(x)
    linear_outputs(model)
    check()


def test_training_one_changes_the_other() -> None:
    model = chain(dense("softmax"))
    linear = linear_outputs(model)
    linear.compile(keras.optimizers.SGD(0.5), "mse")
    linear.fit(X, np.zeros((2, 4)), epochs=1, batch_size=2, verbose=0)
    # One step of descent on the mean of the squares, by hand.
    slope = 2 * logits() / logits().size
    kernel, bias = KERNEL - 0.5 * X.T @ slope, BIAS - 0.5 * slope.sum(axis=0)
    np.testing.assert_allclose(model.get_weights()[0], kernel, rtol=1e-5)
    np.testing.assert_allclose(model(X), softmax(X @ kernel + bias), rtol=1e-5)


@pytest.mark.parametrize(
    ("activation", "squashed"),
    [
        ("sigmoid", lambda z: 1 / (1 + np.exp(-z))),
        ("log_softmax", lambda z: np.log(softmax(z))),
        ("tanh", np.tanh),
    ],
)
def test_other_squashing_ends(activation: str, squashed: Any) -> None:
    for model in (
        chain(dense(activation)),
        chain(dense(), layers.Activation(activation)),
        chain(dense(), getattr(ops, activation)),
    ):
        np.testing.assert_allclose(linear_outputs(model)(X), logits(), rtol=1e-5)
        np.testing.assert_allclose(model(X), squashed(logits()), rtol=1e-5)


def test_two_heads() -> None:
    entry = keras.Input((3,))
    model = keras.Model(entry, [dense("softmax", name="a")(entry), dense("relu", name="b")(entry)])
    linear = linear_outputs(model)
    first, second = linear(X)
    np.testing.assert_allclose(first, logits(), rtol=1e-5)
    np.testing.assert_allclose(second, np.maximum(logits(), 0), rtol=1e-5)
    assert linear.get_layer("b") is model.get_layer("b")


def test_two_heads_by_name() -> None:
    entry = {"x": keras.Input((3,), name="x")}
    first, second = dense("softmax", name="a"), dense(name="b")
    soft = layers.Softmax()(second(entry["x"]))
    model = keras.Model(entry, {"first": first(entry["x"]), "second": soft})
    found = linear_outputs(model)({"x": X})
    assert set(found) == {"first", "second"}
    np.testing.assert_allclose(found["first"], logits(), rtol=1e-5)
    np.testing.assert_allclose(found["second"], logits(), rtol=1e-5)


def test_nested_model_with_two_heads() -> None:
    entry = keras.Input((3,))
    inner = keras.Model(entry, [dense("softmax")(entry), layers.Softmax()(dense()(-entry))], name="inner")
    entry = keras.Input((3,))
    model = keras.Model(entry, inner(entry))
    first, second = linear_outputs(model)(X)
    np.testing.assert_allclose(first, logits(), rtol=1e-5)
    np.testing.assert_allclose(second, logits(-X), rtol=1e-5)


def test_head_called_twice(untouched: Callable[[Any], Callable[[], None]]) -> None:
    head = dense("softmax", name="head")
    left, right = keras.Input((3,)), keras.Input((3,))
    model = keras.Model([left, right], [head(left), head(right)])
    check = untouched(model)
    first, second = linear_outputs(model)([X, 2 * X])
    np.testing.assert_allclose(first, logits(), rtol=1e-5)
    np.testing.assert_allclose(second, logits(2 * X), rtol=1e-5)
    check()


def test_one_output_twice() -> None:
    entry = keras.Input((3,))
    y = dense("softmax")(entry)
    for found in linear_outputs(keras.Model(entry, [y, y]))(X):
        np.testing.assert_allclose(found, logits(), rtol=1e-5)


def test_softmax_that_is_used_inside_too() -> None:
    """The output loses its softmax; what is computed from it inside does not."""
    entry = keras.Input((3,))
    y = dense("softmax")(entry)
    weights = np.array([[1.0], [-2.0], [3.0], [0.5]], np.float32)
    after = layers.Dense(1, use_bias=False, kernel_initializer=lambda shape, dtype=None: weights)(y)
    first, second = linear_outputs(keras.Model(entry, [y, after]))(X)
    np.testing.assert_allclose(first, logits(), rtol=1e-5)
    np.testing.assert_allclose(second, softmax(logits()) @ weights, rtol=1e-5)


def test_softmax_in_the_middle_stays() -> None:
    """Attention, say: only the end is linear."""
    weights = np.array([[1.0], [-2.0], [3.0], [0.5]], np.float32)
    end = layers.Dense(
        1, activation="sigmoid", use_bias=False, kernel_initializer=lambda shape, dtype=None: weights
    )
    model = chain(dense("softmax"), end)
    np.testing.assert_allclose(linear_outputs(model)(X), softmax(logits()) @ weights, rtol=1e-5)


@pytest.mark.parametrize("activation", [None, "relu", "relu6", "silu", "softplus"])
def test_model_that_has_no_softmax_comes_back_itself(activation: Any) -> None:
    model = chain(dense(activation))
    assert linear_outputs(model) is model
    linear = linear_outputs(chain(dense("softmax")))
    assert linear_outputs(linear) is linear


def test_modified_model_keeps_its_modifier() -> None:
    model = chain(layers.ReLU(), dense("softmax"))
    linear = linear_outputs(backprop_modifiers.rectified(model))
    np.testing.assert_allclose(linear(X), logits(np.maximum(X, 0)), rtol=1e-5)
    expected = np.maximum(np.tile(KERNEL.sum(axis=1), (2, 1)), 0)
    np.testing.assert_allclose(native.gradient(linear, X), expected, rtol=1e-5)


class Net(keras.Model):
    def __init__(self) -> None:
        super().__init__(name="net")
        self.head = dense("softmax")

    def call(self, x: Any) -> Any:
        return self.head(x)


def test_no_graph_to_follow() -> None:
    for model in (Net(), keras.Sequential([dense("softmax")])):
        with pytest.raises(ModelError, match=r"not built.*model\.build"):
            linear_outputs(model)


@pytest.mark.parametrize("wrong", [None, 3, dense()])
def test_no_model(wrong: Any) -> None:
    for function in (linear_outputs, shared_copy):
        with pytest.raises(ModelError, match=r"Expected a keras\.Model"):
            function(wrong)


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: dense("softmax"), "softmax"),
        (lambda: dense(keras.activations.softmax), "softmax"),
        (lambda: layers.Softmax(), "softmax"),
        (lambda: layers.Activation("log_softmax"), "log_softmax"),
        (lambda: layers.TimeDistributed(layers.Softmax()), "softmax"),
        (lambda: sequential(sequential(dense(), layers.Softmax())), "softmax"),
        (lambda: dense("sigmoid"), "sigmoid"),
        (lambda: layers.Flatten(), None),
        (lambda: Net(), None),
    ],
)
def test_activation_name(make: Callable[[], Any], name: str | None) -> None:
    assert activation_name(make()) == name


# What squashes is found by what is computed: each of these, of logits z, and what is left of it.

WRITTEN: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    "a lambda": (lambda z: ops.softmax(z), lambda z: z),
    "exp over sum": (lambda z: ops.exp(z) / ops.sum(ops.exp(z), axis=-1, keepdims=True), lambda z: z),
    "maximum subtracted": (
        lambda z: (lambda e: e / ops.sum(e, axis=-1, keepdims=True))(
            ops.exp(z - ops.max(z, axis=-1, keepdims=True))
        ),
        lambda z: z,
    ),
    "temperature": (lambda z: ops.softmax(z / 4.0), lambda z: z / 4),
    "scaled": (lambda z: 0.5 * ops.softmax(z), lambda z: 0.5 * z),
    "cast": (lambda z: ops.cast(ops.softmax(z), "float64"), lambda z: z),
    "reshaped": (lambda z: ops.reshape(ops.softmax(z), (-1, 2, 2)), lambda z: z.reshape(-1, 2, 2)),
    "sliced": (lambda z: ops.softmax(z)[:, 1:3], lambda z: z[:, 1:3]),
    "clipped": (lambda z: ops.clip(ops.softmax(z), 1e-7, 1 - 1e-7), lambda z: z),
    "reshaped and clipped": (
        lambda z: ops.clip(ops.reshape(ops.softmax(z), (-1, 2, 2)), 1e-7, 1.0),
        lambda z: z.reshape(-1, 2, 2),
    ),
    "log of softmax": (lambda z: ops.log(ops.softmax(z) + 1e-7), lambda z: z),
    "minus logsumexp": (lambda z: z - ops.logsumexp(z, axis=(-1,), keepdims=True), lambda z: z),
    "one minus": (lambda z: 1.0 - ops.softmax(z), lambda z: 1 - z),
    "joined": (
        lambda z: ops.concatenate([ops.softmax(z), ops.tanh(z), z], axis=-1),
        lambda z: np.concatenate([z, z, z], axis=-1),
    ),
    "sigmoid by hand": (lambda z: 1.0 / (1.0 + ops.exp(-z)), lambda z: z),
    "steering": (lambda z: 25.0 * ops.tanh(z), lambda z: 25 * z),
    "twice the arctangent": (lambda z: 2.0 * ops.arctan(z), lambda z: 2 * z),
}


class Squashed(layers.Layer):
    """A dense layer and what squashes it in one call."""

    def __init__(self, function: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dense, self.function = dense(), function

    def call(self, x: Any) -> Any:
        return self.function(self.dense(x))


class Weighing(layers.Layer):
    """The same, with variables of its own."""

    def __init__(self, function: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.function = function

    def build(self, shape: Any) -> None:
        self.kernel = self.add_weight(shape=(3, 4), initializer=lambda shape, dtype=None: KERNEL)
        self.bias = self.add_weight(shape=(4,), initializer=lambda shape, dtype=None: BIAS)

    def call(self, x: Any) -> Any:
        return self.function(x @ self.kernel + self.bias)


class Ending(keras.Model):
    """A subclassed model whose call squashes what its layer returns."""

    def __init__(self, function: Any) -> None:
        super().__init__(name="ending")
        self.head, self.function = dense(name="head"), function

    def call(self, x: Any) -> Any:
        return self.function(self.head(x))


class Holding(keras.Model):
    """A subclassed model whose last layer squashes."""

    def __init__(self, head: Any) -> None:
        super().__init__(name="holding")
        self.body, self.head = layers.Dense(3, kernel_initializer="identity", name="body"), head

    def call(self, x: Any) -> Any:
        return self.head(self.body(x))


HOLDERS: dict[str, Callable[[Any], keras.Model]] = {
    "activation": lambda f: chain(dense(f)),
    "activation in Sequential": lambda f: sequential(dense(f)),
    "operations": lambda f: chain(dense(), f),
    "Lambda": lambda f: chain(dense(), layers.Lambda(f)),
    "Activation": lambda f: chain(dense(), layers.Activation(f)),
    "Dropout behind it": lambda f: chain(dense(f), layers.Dropout(0.5)),
    "a custom layer": lambda f: chain(Squashed(f)),
    "a custom layer with variables": lambda f: chain(Weighing(f)),
    "nested": lambda f: sequential(chain(Squashed(f))),
    "subclassed": lambda f: called(Ending(f)),
    "subclassed, activation": lambda f: called(Holding(dense(f, name="head"))),
    "subclassed, custom layer": lambda f: called(Holding(Weighing(f, name="head"))),
    "subclassed, functional inside": lambda f: called(Holding(chain(dense(), f))),
    "subclassed in functional": lambda f: chain(Holding(Weighing(f, name="head"))),
}


@pytest.mark.parametrize("holder", HOLDERS.values(), ids=HOLDERS.keys())
@pytest.mark.parametrize(("function", "expected"), WRITTEN.values(), ids=WRITTEN.keys())
@pytest.mark.in_64_bits
def test_however_it_is_written_and_wherever(
    holder: Any, function: Any, expected: Any, untouched: Callable[[Any], Callable[[], None]]
) -> None:
    model = holder(function)
    check = untouched(model)
    linear = linear_outputs(model)
    np.testing.assert_allclose(linear(X), expected(logits()), rtol=1e-5)
    assert all(a is b for a, b in zip(linear.variables, model.variables, strict=True))
    check()
    np.testing.assert_allclose(model(X), function(ops.convert_to_tensor(logits())), rtol=1e-5)
    assert linear_outputs(linear) is linear


@pytest.mark.parametrize("holder", HOLDERS.values(), ids=HOLDERS.keys())
def test_logits_wherever_run_and_train_as_a_model_does(holder: Any) -> None:
    model = holder(lambda z: ops.softmax(z))
    linear = linear_outputs(model)
    np.testing.assert_allclose(linear.predict(X, verbose=0), logits(), rtol=1e-5)
    np.testing.assert_allclose(native.gradient(linear, X), np.tile(KERNEL.sum(axis=1), (2, 1)), rtol=1e-5)
    assert all(found.any() for found in native.by_variables(lambda: linear(X), linear.trainable_variables))
    model.set_weights([2 * weights for weights in model.get_weights()])
    scale = 4 if len(model.get_weights()) == 4 else 2
    np.testing.assert_allclose(linear(X), scale * X @ KERNEL + 2 * BIAS, rtol=1e-5)


@pytest.mark.parametrize("holder", HOLDERS.values(), ids=HOLDERS.keys())
def test_maps_of_logits_wherever(holder: Any) -> None:
    """By index, by the model, by an explainer, and with the same names: none warns."""
    model = holder(lambda z: ops.softmax(z))
    linear = linear_outputs(model)
    expected = abs(KERNEL[:, 2])
    expected = (expected - expected.min()) / (expected.max() - expected.min())
    for layer in (-1, linear):
        np.testing.assert_allclose(visualize_saliency(linear, layer, 2, X[0]), expected, rtol=1e-5)
    np.testing.assert_allclose(Saliency(linear).explain(X, 2), np.tile(abs(KERNEL[:, 2]), (2, 1)), rtol=1e-5)
    if len(model.layers) == len(linear.layers):
        assert [layer.name for layer in linear.layers] == [layer.name for layer in model.layers]


@pytest.mark.parametrize("holder", HOLDERS.values(), ids=HOLDERS.keys())
def test_what_is_modified_stays_modified_wherever(holder: Any) -> None:
    model = holder(lambda z: ops.softmax(ops.relu(z)))
    linear = linear_outputs(backprop_modifiers.rectified(model))
    np.testing.assert_allclose(linear(X), np.maximum(logits(), 0), rtol=1e-5)
    # Each logit passes one on, whatever its sign.
    np.testing.assert_allclose(native.gradient(linear, X), np.tile(KERNEL.sum(axis=1), (2, 1)), rtol=1e-5)


@pytest.mark.parametrize("holder", ["activation", "Lambda", "Activation", "a custom layer", "subclassed"])
def test_softmax_of_the_framework(holder: str) -> None:
    np.testing.assert_allclose(linear_outputs(HOLDERS[holder](native.softmax))(X), logits(), rtol=1e-5)


def test_softmax_of_the_framework_can_be_saved(tmp_path: Path) -> None:
    model = chain(layers.Dense(4, activation=native.softmax))
    linear_outputs(model).save(tmp_path / "logits.keras")
    loaded = keras.models.load_model(tmp_path / "logits.keras")
    np.testing.assert_allclose(softmax(np.asarray(loaded(X))), model(X), rtol=1e-5)


def test_pictures_of_logits_inside_a_call() -> None:
    found = [
        visualize_activation(model, -1, 2, input_range=(-1.0, 1.0), max_iter=20, seed=0, lp_norm_weight=0)
        for model in (linear_outputs(chain(Weighing(native.softmax))), chain(dense()))
    ]
    np.testing.assert_allclose(found[0], found[1], rtol=1e-5)


@pytest.mark.parametrize("steps", [3, None])
def test_a_custom_layer_at_each_step(steps: int | None) -> None:
    class Shaped(Weighing):
        def compute_output_shape(self, shape: Any) -> Any:
            return (*shape[:-1], 4)

    model = chain(layers.TimeDistributed(Shaped(native.softmax)), shape=(steps, 3))
    linear = linear_outputs(model)
    np.testing.assert_allclose(linear(STEPS), logits(STEPS), rtol=1e-5)
    with pytest.warns(SoftmaxWarning, match="Explain the logits"):
        visualize_saliency(model, -1, 2, STEPS[0])


def test_tokens_of_a_subclassed_model() -> None:
    class Words(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.embed, self.head = layers.Embedding(5, 3, embeddings_initializer="ones"), dense("softmax")

        def call(self, x: Any) -> Any:
            return self.head(ops.mean(ops.take(self.embed.embeddings, x, axis=0), axis=1))

    model = Words()
    model.embed.build((None, 2))
    tokens = np.array([[1, 2]])
    model(tokens)
    np.testing.assert_allclose(linear_outputs(model)(tokens), logits(np.ones((1, 3))), rtol=1e-5)


def test_a_custom_layer_with_two_outputs() -> None:
    class Both(Weighing):
        def call(self, x: Any) -> Any:
            z = x @ self.kernel + self.bias
            return {"p": ops.softmax(z), "z": z}

    entry = keras.Input((3,))
    found = linear_outputs(keras.Model(entry, Both(None)(entry)))(X)
    np.testing.assert_allclose(found["p"], logits(), rtol=1e-5)
    np.testing.assert_allclose(found["z"], logits(), rtol=1e-5)


def test_what_lies_inside_a_call_is_not_saved_in_silence(tmp_path: Path) -> None:
    with pytest.raises(
        ModelError, match=r"'head' computes its softmax inside its call.*Save the original model"
    ):
        linear_outputs(chain(Weighing(native.softmax, name="head"))).save(tmp_path / "logits.keras")


ENSEMBLES = {
    "average": lambda z: (ops.softmax(z) + ops.softmax(2 * z)) / 2,
    "product": lambda z: ops.softmax(z) * ops.softmax(2 * z),
}


@pytest.mark.parametrize("function", ENSEMBLES.values(), ids=ENSEMBLES.keys())
@pytest.mark.parametrize("holder", ["operations", "Lambda", "a custom layer", "nested", "subclassed"])
def test_several_softmaxes_are_not_taken_off_and_it_says_why(holder: str, function: Any) -> None:
    model = HOLDERS[holder](function)
    with pytest.raises(
        ModelError, match=r"cannot be removed\. Output 0 is unchanged: it is a \w+.* of softmaxes"
    ):
        linear_outputs(model)
    with pytest.warns(SoftmaxWarning, match="cannot be removed: it is a") as caught:
        Saliency(model)
    assert "linear_outputs" not in str(caught[0].message)
    with pytest.warns(SoftmaxWarning, match="cannot be removed: it is a"):
        visualize_saliency(model, model, 1, X[0])


def test_an_ensemble_beside_another_output() -> None:
    entry = keras.Input((3,))
    z = dense()(entry)
    model = keras.Model(entry, [dense("softmax")(entry), ENSEMBLES["average"](z)])
    with pytest.warns(SoftmaxWarning, match="Not every softmax.*Output 1 is unchanged"):
        first, second = linear_outputs(model)(X)
    np.testing.assert_allclose(first, logits(), rtol=1e-5)
    np.testing.assert_allclose(second, (softmax(logits()) + softmax(2 * logits())) / 2, rtol=1e-5)


# Copies: keras-vis's way to change a model is to assign an activation and to apply the modifications.

COPIERS = pytest.mark.parametrize("copy", [shared_copy, apply_modifications])
linear, soft = keras.activations.linear, keras.activations.softmax


@COPIERS
@pytest.mark.parametrize("make", [chain, sequential])
def test_assigned_activation_shows_in_the_copy(copy: Any, make: Any) -> None:
    model = make(dense("softmax"))
    model.layers[-1].activation = linear
    made = copy(model)
    np.testing.assert_allclose(made(X), logits(), rtol=1e-5)
    model.layers[-1].activation = soft
    np.testing.assert_allclose(model(X), softmax(logits()), rtol=1e-5)
    np.testing.assert_allclose(made(X), logits(), rtol=1e-5)
    np.testing.assert_allclose(made.predict(X, verbose=0), logits(), rtol=1e-5)
    assert made.layers[-1].activation is linear


@COPIERS
def test_what_is_assigned_to_the_copy_stays_there(copy: Any) -> None:
    model = chain(dense("softmax"))
    made = copy(model)
    made.layers[-1].activation = linear
    np.testing.assert_allclose(made(X), logits(), rtol=1e-5)
    np.testing.assert_allclose(model(X), softmax(logits()), rtol=1e-5)


@COPIERS
@pytest.mark.parametrize("make", [chain, sequential])
def test_copy_of_nested_models(copy: Any, make: Any) -> None:
    inner = make(dense("softmax", name="end"))
    model = chain(make(inner))
    inner.get_layer("end").activation = linear
    made = copy(model)
    inner.get_layer("end").activation = soft
    np.testing.assert_allclose(made(X), logits(), rtol=1e-5)
    np.testing.assert_allclose(model(X), softmax(logits()), rtol=1e-5)


class Part(layers.Layer):
    """A layer that holds another, and is no wrapper of Keras's."""

    def __init__(self, held: Any) -> None:
        super().__init__()
        self.held = held

    def call(self, x: Any) -> Any:
        return self.held(x)


@COPIERS
@pytest.mark.parametrize("holder", [layers.TimeDistributed, Part])
def test_copy_of_layers_inside_others(copy: Any, holder: Any) -> None:
    end = dense("softmax")
    model = chain(holder(end), shape=(3, 3))
    end.activation = linear
    made = copy(model)
    end.activation = soft
    np.testing.assert_allclose(model(STEPS), softmax(logits(STEPS)), rtol=1e-5)
    np.testing.assert_allclose(made(STEPS), logits(STEPS), rtol=1e-5)


@COPIERS
def test_training_the_copy_trains_the_original(copy: Any) -> None:
    model = chain(dense())
    made = copy(model)
    made.compile(keras.optimizers.SGD(0.5), "mse")
    made.fit(X, np.zeros((2, 4)), epochs=1, batch_size=2, verbose=0)
    slope = 2 * logits() / logits().size
    kernel, bias = KERNEL - 0.5 * X.T @ slope, BIAS - 0.5 * slope.sum(axis=0)
    np.testing.assert_allclose(model.get_weights()[0], kernel, rtol=1e-5)
    np.testing.assert_allclose(model(X), X @ kernel + bias, rtol=1e-5)
    model.set_weights([KERNEL, BIAS])
    np.testing.assert_allclose(made(X), logits(), rtol=1e-5)


KINDS = {
    "functional": lambda: chain(dense("softmax")),
    "sequential": lambda: sequential(dense("softmax")),
    "nested": lambda: chain(sequential(dense("softmax"))),
    "operations": lambda: chain(dense(), lambda x: ops.softmax(x)),
    "subclassed": lambda: called(Net()),
    "subclassed in functional": lambda: chain(Net()),
    "wrapped": lambda: chain(layers.Reshape((1, 3)), layers.TimeDistributed(dense("softmax"))),
}


@COPIERS
@pytest.mark.parametrize("make", KINDS.values(), ids=KINDS.keys())
def test_copy_shares_variables_and_leaves_the_original(
    copy: Any, make: Any, untouched: Callable[[Any], Callable[[], None]]
) -> None:
    model = make()
    check = untouched(model)
    made = copy(model)
    np.testing.assert_array_equal(made(X), model(X))
    assert made is not model
    assert made.name == model.name
    assert [layer.name for layer in made.layers] == [layer.name for layer in model.layers]
    assert all(a is b for a, b in zip(made.variables, model.variables, strict=True))
    assert len(made.variables) == 2
    check()


@COPIERS
@pytest.mark.parametrize("make", [lambda net: called(net), lambda net: chain(net)])
def test_copy_of_a_subclassed_model(copy: Any, make: Any) -> None:
    net = Net()
    model = make(net)
    net.head.activation = linear
    made = copy(model)
    net.head.activation = soft
    np.testing.assert_allclose(made(X), logits(), rtol=1e-5)
    np.testing.assert_allclose(made.predict(X, verbose=0), logits(), rtol=1e-5)
    np.testing.assert_allclose(model(X), softmax(logits()), rtol=1e-5)
    np.testing.assert_allclose(model.predict(X, verbose=0), softmax(logits()), rtol=1e-5)


@COPIERS
@pytest.mark.parametrize(
    "make", [lambda net: called(net), lambda net: chain(net), lambda net: sequential(net)]
)
def test_copy_after_predict(copy: Any, make: Any) -> None:
    """Keras compiles `predict` once; the copy compiles its own, with the activation of now."""
    net = Net()
    model = make(net)
    np.testing.assert_allclose(model.predict(X, verbose=0), softmax(logits()), rtol=1e-5)
    net.head.activation = linear
    np.testing.assert_allclose(copy(model).predict(X, verbose=0), logits(), rtol=1e-5)


def test_copy_of_a_layer_that_is_called_twice() -> None:
    """It stays one layer: its activation is assigned once."""
    shared = layers.Dense(3, kernel_initializer="identity", activation="relu", name="shared")
    entry = keras.Input((3,))
    made = shared_copy(keras.Model(entry, shared(-shared(entry) + 1.0)))
    np.testing.assert_allclose(made(X), np.maximum(1 - np.maximum(X, 0), 0))
    made.get_layer("shared").activation = linear
    np.testing.assert_allclose(made(X), 1 - X)
    np.testing.assert_allclose(shared(X), np.maximum(X, 0))


def test_copy_keeps_batch_norm_statistics_shared() -> None:
    norm = layers.BatchNormalization(epsilon=0.0)
    made = shared_copy(chain(norm, layers.Dropout(0.5)))
    norm.moving_mean.assign([1.0, 2.0, 3.0])
    np.testing.assert_allclose(made(X), X - [1, 2, 3], rtol=1e-6)


def test_copy_of_a_modified_model_keeps_its_modifier() -> None:
    model = chain(layers.ReLU(), dense("softmax"))
    model.layers[-1].activation = linear
    made = shared_copy(backprop_modifiers.rectified(model))
    expected = np.maximum(np.tile(KERNEL.sum(axis=1), (2, 1)), 0)
    np.testing.assert_allclose(native.gradient(made, X), expected, rtol=1e-5)


@pytest.mark.parametrize("modifier", [None, "guided"])
def test_the_layers_of_a_sequential_keep_their_indices(modifier: str | None) -> None:
    model = sequential(layers.Dense(5, activation="relu"), layers.Dense(3), dense("softmax"))
    end = linear_outputs(model if modifier is None else backprop_modifiers.get(modifier)(model))
    assert len(end.layers) == len(model.layers) == 3
    assert end.layers[0] is model.layers[0] and end.layers[1] is model.layers[1]
    assert [layer.name for layer in end.layers] == [layer.name for layer in model.layers]
    again = linear_outputs(end)
    assert again is end


def test_logits_of_a_sequential_can_be_saved(tmp_path: Path) -> None:
    end = linear_outputs(
        sequential(layers.Dense(3, activation="relu"), layers.Dense(2, activation="softmax"))
    )
    end.save(tmp_path / "logits.keras")
    loaded = keras.models.load_model(tmp_path / "logits.keras")
    np.testing.assert_array_equal(loaded(X), end(X))
    assert len(loaded.layers) == 2
