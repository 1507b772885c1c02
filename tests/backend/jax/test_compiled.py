"""Compiled gradients on JAX: those of `jax.grad`, whatever the sizes, the weights and the callers."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest
from keras import layers, ops

from tests.backend.jax.compiling import Compiled
from vis import backend, backprop_modifiers
from vis.errors import GradientError, InputError, ModifierError

X = np.random.default_rng(0).normal(size=(3, 6, 5, 2)).astype(np.float32)
SPEC = backend.Spec((None, 6, 5, 2), "float32", X.shape)


@pytest.fixture(autouse=True)
def seeded() -> None:
    keras.utils.set_random_seed(3)


def network(inner: Callable[[Any], Any] = lambda x: x) -> Any:
    entry = keras.Input((6, 5, 2))
    hidden = layers.Conv2D(3, 3, activation="relu", name="conv")(entry)
    normal = layers.BatchNormalization(name="normal")(inner(hidden))
    dropped = layers.Dropout(0.5)(normal)
    return keras.Model(entry, layers.Dense(4, name="end")(layers.Flatten()(dropped)))


def compiled(model: Any, rule: Any = None, specs: Any = None) -> Any:
    """Compile the gradient of the output weighted by what is given at run time."""

    def forward(tensors: list[Any]) -> Any:
        output = model(tensors[0], training=False)
        score = ops.sum(output * tensors[1], axis=-1)
        return backend.Traced(ops.sum(score), [tensors[0]], [score, output])

    return Compiled(forward, specs or [SPEC, backend.Spec((None, 4), "float32")], rule)


def expected(model: Any, x: Any, weights: Any) -> Any:
    def score(x: Any) -> Any:
        return jnp.sum(model(x, training=False) * weights)

    return jax.grad(score)(jnp.asarray(x))


def differentiated(model: Any, x: Any) -> Any:
    return jax.grad(lambda x: model(x).sum())(jnp.asarray(x))


def test_gradient_and_values_for_changing_sizes_and_weights() -> None:
    model = network()
    gradient = compiled(model)
    for samples in (3, 1, 2):
        x, weights = X[:samples], np.arange(4 * samples, dtype=np.float32).reshape(samples, 4)
        found = gradient([x, weights])
        np.testing.assert_allclose(found.gradients[0], expected(model, x, weights), rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(found.values[1], model(x), rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(found.values[0], (model(x) * weights).sum(-1), rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(found.loss, found.values[0].sum(), rtol=1e-5)
        found.gradients[0][:] = 0  # an array of one's own


def test_no_samples() -> None:
    found = compiled(network())([X[:0], np.zeros((0, 4), np.float32)])
    assert found.gradients[0].shape == (0, 6, 5, 2)
    assert [value.shape for value in found.values] == [(0,), (0, 4)]
    assert found.loss == 0


def test_one_trace_serves_a_thousand_weights_and_new_variables() -> None:
    calls = []

    def counted(x: Any) -> Any:
        calls.append(x)
        return x

    model = network(layers.Lambda(counted, output_shape=lambda shape: shape))
    gradient = compiled(model)
    traced = len(calls)
    for index in range(1000):
        gradient([X[:1], np.eye(4, dtype=np.float32)[[index % 4]]])
    assert len(calls) == traced
    model.get_layer("end").kernel.assign(model.get_layer("end").kernel * -2.0)
    weights = np.ones((1, 4), np.float32)
    found = gradient([X[:1], weights]).gradients[0]
    np.testing.assert_allclose(found, expected(model, X[:1], weights), rtol=1e-5, atol=1e-6)


def per_sample(x: Any) -> Any:
    """Something that cannot be traced for a symbolic number of samples."""
    return ops.concatenate([x[index : index + 1] for index in range(int(x.shape[0]))])


@pytest.mark.parametrize("kind", ["one trace", "a trace for each size", "a fixed size", "modified"])
def test_a_compiled_gradient_does_not_keep_the_model(kind: str) -> None:
    each = kind == "a trace for each size"
    model = network(layers.Lambda(per_sample, output_shape=lambda shape: shape) if each else lambda x: x)
    specs = [backend.Spec(X.shape, "float32"), backend.Spec((3, 4), "float32")] if "fixed" in kind else None
    if kind == "modified":
        differentiated(backprop_modifiers.guided(model), X)
        gradient = None
    else:
        gradient = compiled(model, backprop_modifiers.guided.rule, specs)
        gradient([X, np.ones((3, 4), np.float32)])
        gradient = gradient.gradient
    gone = [weakref.ref(model), weakref.ref(model.get_layer("conv"))]
    del model
    gc.collect()
    assert [reference() for reference in gone] == [None, None]
    del gradient


def test_a_pass_that_asks_for_the_number_of_samples_is_traced_for_each() -> None:
    model = network(layers.Lambda(per_sample, output_shape=lambda shape: shape))
    gradient = compiled(model, backprop_modifiers.guided.rule)
    assert len(gradient.coverage.reached) == 1
    plain = compiled(network_of(model), backprop_modifiers.guided.rule)
    for samples in (3, 1, 0, 2, 3):
        weights = np.ones((samples, 4), np.float32)
        if samples:
            found, wanted = (each([X[:samples], weights]) for each in (gradient, plain))
            np.testing.assert_allclose(found.gradients[0], wanted.gradients[0], rtol=1e-5, atol=1e-6)


def network_of(model: Any) -> Any:
    """Return the same network without its Lambda layer."""
    plain = network()
    plain.set_weights(model.get_weights())
    return plain


def test_two_threads() -> None:
    model = network()
    gradients = [compiled(model), compiled(model, backprop_modifiers.rectified.rule)]
    weights = np.ones((1, 4), np.float32)
    wanted = [each([X[:1], weights]).gradients[0] for each in gradients]
    failures: list[Any] = []

    def work(place: int) -> None:
        for samples in (1, 2, 1, 3, 1):
            found = gradients[place]([X[:samples], np.ones((samples, 4), np.float32)]).gradients[0]
            if not np.allclose(found[0], wanted[place][0], rtol=1e-5, atol=1e-6):
                failures.append(place)

    threads = [threading.Thread(target=work, args=(place,)) for place in (0, 1, 0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def test_normalization_and_dropout_do_not_move() -> None:
    model = network()
    before = [np.array(variable) for variable in model.variables]
    compiled(model)([X, np.ones((3, 4), np.float32)])
    modified = backprop_modifiers.guided(model)
    jax.grad(lambda x: modified(x).sum())(jnp.asarray(X))
    for variable, value in zip(model.variables, before, strict=True):
        np.testing.assert_array_equal(variable, value)


def test_by_values_inside_past_skip_connections_and_one_before_the_other() -> None:
    """Total derivatives: what is watched first receives the gradient through what is watched next."""
    seen: dict[str, Any] = {}

    def forward(tensors: list[Any]) -> Any:
        (x,) = tensors
        first = 3 * x
        second = first**2
        return backend.Traced(ops.sum(second * first + x), [first, second, x, first], [second])

    found = Compiled(forward, [backend.Spec((None, 2), "float32")])([X[:, 0, 0]])
    x = X[:, 0, 0]
    wanted = [27 * x**2, 3 * x, 81 * x**2 + 1, 27 * x**2]
    for gradient, value in zip(found.gradients, wanted, strict=True):
        np.testing.assert_allclose(gradient, value, rtol=1e-5)
    np.testing.assert_allclose(found.values[0], 9 * x**2, rtol=1e-5)
    assert not seen


def test_what_the_loss_does_not_depend_on_has_no_gradient() -> None:
    def forward(tensors: list[Any]) -> Any:
        x, unused, tokens = tensors
        rounded = ops.floor(x)
        loss = ops.sum(x**2) + ops.sum(ops.cast(tokens, "float32")) + ops.sum(rounded)
        return backend.Traced(loss, [x, unused, tokens, rounded, ops.stop_gradient(x)])

    specs = [backend.Spec((None, 2), dtype) for dtype in ("float32", "float32", "int32")]
    x = X[:, 0, 0]
    found = Compiled(forward, specs)([x, x, np.ones((3, 2), np.int32)])
    gradient, unused, tokens, rounded, stopped = found.gradients
    np.testing.assert_allclose(gradient, 2 * x)
    np.testing.assert_allclose(rounded, np.ones_like(x))
    assert unused is None and tokens is None and stopped is None


def test_sizes_that_vary_besides_the_batch() -> None:
    entry = keras.Input((None, None, 2))
    hidden = layers.Conv2D(3, 3, padding="same", strides=2, activation="relu")(entry)
    model = keras.Model(entry, layers.Dense(4)(layers.GlobalAveragePooling2D()(hidden)))
    specs = [backend.Spec((None, None, None, 2), "float32", X.shape), backend.Spec((None, 4), "float32")]
    gradient = compiled(model, None, specs)
    for shape in ((2, 6, 5, 2), (1, 9, 7, 2), (2, 6, 5, 2)):
        x, weights = np.resize(X, shape), np.ones((shape[0], 4), np.float32)
        found = gradient([x, weights]).gradients[0]
        np.testing.assert_allclose(found, expected(model, x, weights), rtol=1e-5, atol=1e-6)


def test_parameters_are_broadcast() -> None:
    """Of a parameter, only the rank is known: it has one row, or one per sample."""

    def forward(tensors: list[Any]) -> Any:
        x, parameter = tensors
        return backend.Traced(ops.sum(x * ops.cast(parameter, "float32")), [x])

    specs = [backend.Spec((None, 2), "float32"), backend.Spec((None, None), "float32", (1, 1))]
    gradient = Compiled(forward, specs)
    x = X[:, 0, 0]
    for parameter in (np.array([[1.0, 2]]), np.arange(6.0).reshape(3, 2), np.array([[3.0]])):
        found = gradient([x, parameter.astype(np.float32)]).gradients[0]
        np.testing.assert_allclose(found, np.broadcast_to(parameter, x.shape))


def test_half_precision_comes_out_in_single() -> None:
    def forward(tensors: list[Any]) -> Any:
        x = ops.cast(tensors[0], "bfloat16")
        return backend.Traced(ops.sum(ops.cast(x * 2, "float32")), [x], [x])

    found = Compiled(forward, [backend.Spec((None, 2), "float32")])([X[:, 0, 0]])
    assert found.gradients[0].dtype == found.values[0].dtype == np.float32
    np.testing.assert_array_equal(found.gradients[0], 2)


def test_64_bits_are_taken_as_32_without_a_warning() -> None:
    def forward(tensors: list[Any]) -> Any:
        return backend.Traced(ops.sum(tensors[0] * tensors[1]), [tensors[0]])

    specs = [backend.Spec((None, 2), "float64"), backend.Spec((), backend.widest_float())]
    found = Compiled(forward, specs)([X[:, 0, 0].astype(np.float64), np.float64(3)])
    np.testing.assert_array_equal(found.gradients[0], 3)
    assert backend.widest_float() == "float32"


def test_an_embedding_is_differentiated_by_its_output_and_tokens_are_checked() -> None:
    entry = keras.Input((4,), dtype="int32")
    embedding = layers.Embedding(7, 3)
    model = keras.Model(entry, layers.Dense(2)(layers.LSTM(5)(embedding(entry))))

    def forward(tensors: list[Any]) -> Any:
        embedded = embedding(tensors[0])
        return backend.Traced(ops.sum(model.layers[2](embedded)), [tensors[0], embedded])

    gradient = Compiled(forward, [backend.Spec((None, 4), "int32")])
    tokens = np.array([[0, 1, 6, 2], [3, 3, 3, 3]])
    none, found = gradient([tokens]).gradients
    wanted = jax.grad(lambda embedded: model.layers[2](embedded).sum())(embedding(tokens))
    assert none is None
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-6)
    for wrong in (7, -1):
        text = rf"shape \(1, 4\): the token or category {wrong} is not in the range 0 to 6"
        with pytest.raises(InputError, match=text):
            gradient([np.array([[0, wrong, 1, 2]])])


def test_strings_are_refused() -> None:
    with pytest.raises(InputError, match="an input of strings"):
        compiled(network(), None, [backend.Spec((None,), "string"), backend.Spec((None, 4), "float32")])


def test_an_input_of_a_shape_on_which_the_model_cannot_run() -> None:
    model = network()
    gradient = compiled(model)
    with pytest.raises(InputError, match=r"cannot run on an input of shape \(3, 6, 4, 2\)"):
        gradient([X[:, :, :4], np.ones((3, 4), np.float32)])


def test_inside_a_traced_function() -> None:
    gradient = compiled(network())

    @jax.jit
    def function(x: Any) -> Any:
        return x + gradient([X, np.ones((3, 4), np.float32)]).loss

    with pytest.raises(GradientError, match=r"inside jax\.jit"):
        function(1.0)


@pytest.mark.parametrize("batch", [None, 3])
def test_an_operation_without_a_derivative(batch: int | None) -> None:
    def forward(tensors: list[Any]) -> Any:
        y = jax.lax.while_loop(lambda y: jnp.all(y < 3), lambda y: 2 * y, jnp.exp(tensors[0]))
        return backend.Traced(ops.sum(y), [tensors[0]])

    with pytest.raises(GradientError, match="has no gradient: Reverse-mode differentiation"):
        Compiled(forward, [backend.Spec((batch, 2), "float32")])([X[:, 0, 0]])


def test_what_does_not_lead_to_the_loss_need_not_have_a_derivative() -> None:
    def forward(tensors: list[Any]) -> Any:
        jax.lax.while_loop(lambda y: jnp.all(y < 3), lambda y: 2 * y, jnp.exp(tensors[0]))
        return backend.Traced(ops.sum(tensors[0]), [tensors[0]])

    found = Compiled(forward, [backend.Spec((None, 2), "float32")])([X[:, 0, 0]])
    np.testing.assert_array_equal(found.gradients[0], 1)


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        (lambda x, y, grad, true_grad: 0.0, "0.0 of type float"),
        (lambda x, y, grad, true_grad: np.zeros(x.shape), "an array of NumPy"),
        (lambda x, y, grad, true_grad: grad > 0, "a tensor of type bool"),
        (lambda x, y, grad, true_grad: ops.sum(grad), r"a tensor of shape \(\) for the shape"),
    ],
)
def test_a_rule_that_returns_something_else(rule: Any, text: str) -> None:
    with pytest.raises(ModifierError, match=rf"returns the gradient by x.*test_compiled.*{text}"):
        compiled(network(), rule, [backend.Spec(X.shape, "float32"), backend.Spec((3, 4), "float32")])(
            [X, np.ones((3, 4), np.float32)]
        )


def test_a_modified_model_is_called_symbolically() -> None:
    modified = backprop_modifiers.guided(network())
    outer = keras.Input((6, 5, 2))
    assert modified(outer).shape == (None, 4)
    inner = keras.Model(outer, modified(outer))
    np.testing.assert_allclose(inner(X), modified(X), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(modified.predict(X, verbose=0), modified(X), rtol=1e-5, atol=1e-6)
