"""What holds whatever the model is: true derivatives, one trace, flat memory, and every call as if alone."""

from __future__ import annotations

import gc
import itertools
import threading
import weakref
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import psutil
import pytest
from keras import layers, ops

from tests import native
from tests.asking import input_gradient
from tests.precision import precision
from vis import backprop_modifiers
from vis.engine import Source
from vis.errors import EmptyMapWarning, PartialOverrideWarning, SoftmaxWarning
from vis.losses import ActivationMaximization, Loss
from vis.visualization import visualize_saliency, visualize_saliency_with_losses


def random(*shape: int, seed: int = 17) -> Any:
    return np.random.default_rng(seed).normal(size=shape)


VECTOR = random(6).astype(np.float32)


@pytest.fixture(autouse=True)
def seeded() -> None:
    keras.utils.set_random_seed(21)


def normalized(a: Any) -> Any:
    a = np.asarray(a, np.float64)
    return (a - a.min()) / (a.max() - a.min())


def relu_network(*extra: Any, width: int = 10) -> keras.Model:
    """Two ReLU layers, and whatever stands before them."""
    return keras.Sequential(
        [
            layers.Input((6,)),
            *extra,
            # Enough units and bias that no seed leaves a network, or a guided path, dead.
            layers.Dense(width, activation="relu", bias_initializer="ones"),
            layers.Dense(width, activation="relu", bias_initializer="ones"),
            layers.Dense(4),
        ]
    )


def oracle(model: keras.Model, x: Any = VECTOR, index: int = 0, modifier: str | None = None) -> Any:
    """Return the gradient of the last three layers of a `relu_network`, written out, by the framework."""
    first, second, end = model.layers[-3:]
    relu = native.RELUS[modifier]

    def score(x: Any) -> Any:
        y = relu(relu(x @ first.kernel + first.bias) @ second.kernel + second.bias)
        return (y @ end.kernel + end.bias)[0, index]

    return native.gradient(score, x[None])[0]


def signed(model: Any, index: int = 0, x: Any = VECTOR, modifier: str | None = None) -> Any:
    return visualize_saliency(model, -1, index, x, backprop_modifier=modifier, grad_modifier=None)


def check(model: Any, index: int = 0, x: Any = VECTOR, modifier: str | None = None) -> None:
    wanted = normalized(oracle(model, x, index, modifier))
    np.testing.assert_allclose(signed(model, index, x, modifier), wanted, atol=1e-5)


def gradient(model: Any, arrays: Sequence[Any], filters: Any, layer: Any = -1, modifier: Any = None) -> Any:
    loss = ActivationMaximization(model.layers[layer], filters)
    found = input_gradient(Source(model), [(loss, -1.0)], arrays, modifier=modifier)
    return found[0] if len(found) == 1 else found


# ---- vanilla is the derivative -------------------------------------------------------------------------


class SelfAttention(layers.Layer):
    """softmax(x x') x: Keras's own attention works in single precision inside, too coarse for differences."""

    def call(self, x: Any) -> Any:
        return ops.softmax(x @ ops.transpose(x, (0, 2, 1))) @ x


def double(kind: Any, *args: Any, **kwargs: Any) -> Any:
    return kind(*args, dtype="float64", **kwargs)


SMOOTH = {
    "dense": ((6,), lambda: [double(layers.Dense, 7, "tanh"), double(layers.Dense, 5, "sigmoid")]),
    "convolution": (
        (6, 5, 2),
        lambda: [
            double(layers.Conv2D, 3, 3, activation="softplus"),
            double(layers.BatchNormalization),
            double(layers.AveragePooling2D, 2),
            double(layers.Flatten),
        ],
    ),
    "depthwise": (
        (6, 5, 2),
        lambda: [
            double(layers.SeparableConv2D, 4, 3, activation="gelu"),
            double(layers.GlobalAveragePooling2D),
        ],
    ),
    "recurrent": ((5, 3), lambda: [double(layers.LSTM, 4, return_sequences=True), double(layers.GRU, 3)]),
    "attention": (
        (4, 3),
        lambda: [
            double(SelfAttention),
            double(layers.LayerNormalization),
            double(layers.Flatten),
        ],
    ),
    "elu and selu": ((6,), lambda: [double(layers.Dense, 7, "silu"), double(layers.Dense, 5, "mish")]),
}


@pytest.mark.parametrize(("shape", "stack"), SMOOTH.values(), ids=SMOOTH.keys())
@pytest.mark.in_64_bits
def test_central_finite_differences(shape: tuple[int, ...], stack: Callable[[], list[Any]]) -> None:
    """Moving each input value up and down by a little, in float64, gives the gradient to 1e-4.

    Where Keras makes 32 bits of the 64, it moves further, and the gradient is less near.
    """
    entry = x = keras.Input(shape, dtype="float64")
    for layer in (*stack(), double(layers.Dense, 3)):
        x = layer(x)
    model = keras.Model(entry, x)
    seed = random(*shape)
    found = gradient(model, [seed[None]], [0, 2])
    assert found.dtype == np.float64

    step, tolerance = steps_for(model, seed[None])
    moves = np.eye(seed.size).reshape(-1, *shape) * step
    up, down = (np.asarray(model(seed[None] + sign * moves))[:, [0, 2]].sum(axis=1) for sign in (1, -1))
    differences = ((up - down) / (2 * step)).reshape(shape)
    near = {"rtol": tolerance, "atol": tolerance * abs(differences).max()}
    np.testing.assert_allclose(found[0], differences, **near)
    assert abs(differences).max() > 1e-3


def steps_for(function: Callable[[Any], Any], x: Any) -> tuple[float, float]:
    """Return how far to move, and how near the gradient then is."""
    return (1e-5, 1e-4) if precision(function, x) < 1e-10 else (1e-2, 5e-3)


@pytest.mark.in_64_bits
def test_central_finite_differences_of_an_inner_filter() -> None:
    """The mean over the positions of a filter of a convolution in the middle."""
    conv = double(layers.Conv2D, 3, 3, activation="tanh")
    model = keras.Sequential([keras.Input((6, 5, 2), dtype="float64"), conv, layers.Flatten()])
    seed = random(6, 5, 2)
    found = gradient(model, [seed[None]], 1, layer=0)
    step, tolerance = steps_for(conv, seed[None])
    moves = np.eye(seed.size).reshape(-1, 6, 5, 2) * step
    up, down = (np.asarray(conv(seed[None] + sign * moves))[..., 1].mean(axis=(1, 2)) for sign in (1, -1))
    differences = (up - down) / (2 * step)
    near = {"rtol": tolerance, "atol": tolerance * abs(differences).max()}
    np.testing.assert_allclose(found.ravel(), differences, **near)


# ---- a sample's gradient is its own --------------------------------------------------------------------


@pytest.mark.parametrize("modifier", [None, "guided", "rectified"])
def test_batch_is_its_samples_one_by_one(modifier: str | None) -> None:
    """To 1e-6 relative, in any order, for any batch size; batch norm is in inference mode."""
    model = keras.Sequential(
        [
            layers.Input((6, 5, 2)),
            layers.Conv2D(4, 3, activation="relu"),
            layers.BatchNormalization(),
            layers.Dropout(0.5),
            layers.Flatten(),
            layers.Dense(3),
        ]
    )
    rule = modifier and backprop_modifiers.get(modifier)
    batch = random(7, 6, 5, 2).astype(np.float32)
    alone = np.concatenate([gradient(model, [sample[None]], 1, modifier=rule) for sample in batch])
    near = {"rtol": 1e-6, "atol": 1e-6 * abs(alone).max()}
    np.testing.assert_allclose(gradient(model, [batch], 1, modifier=rule), alone, **near)
    order = np.random.default_rng(1).permutation(7)
    np.testing.assert_allclose(gradient(model, [batch[order]], 1, modifier=rule), alone[order], **near)
    for size in (2, 3, 5):
        parts = [gradient(model, [batch[i : i + size]], 1, modifier=rule) for i in range(0, 7, size)]
        np.testing.assert_allclose(np.concatenate(parts), alone, **near)


def test_negate_is_minus_vanilla() -> None:
    model = relu_network()
    raw = oracle(model)
    found = visualize_saliency(model, -1, 0, VECTOR, grad_modifier="negate")
    np.testing.assert_allclose(found, normalized(-raw), atol=1e-5)


def test_all_filters_are_the_sum_of_each() -> None:
    model = relu_network()
    each = sum(gradient(model, [VECTOR[None]], index) for index in range(4))
    np.testing.assert_allclose(gradient(model, [VECTOR[None]], None), each, rtol=1e-5, atol=1e-6)


# ---- the model as it is now ----------------------------------------------------------------------------


def test_training_changes_the_next_map() -> None:
    model = relu_network()
    for modifier in native.RELUS:
        check(model, modifier=modifier)
    before = {modifier: signed(model, modifier=modifier) for modifier in native.RELUS}
    model.compile(keras.optimizers.SGD(0.05), "mse")
    inputs = random(16, 6).astype(np.float32)
    model.fit(inputs, inputs[:, :4], epochs=20, verbose=0)
    for modifier, old in before.items():
        check(model, modifier=modifier)
        assert abs(signed(model, modifier=modifier) - old).max() > 1e-3


def test_random_weights_change_the_map() -> None:
    """The sanity check of Adebayo et al. 2018: a map that does not depend on the weights shows nothing."""
    model = relu_network()
    for modifier in native.RELUS:
        check(model, modifier=modifier)
    before = {modifier: signed(model, modifier=modifier) for modifier in native.RELUS}
    model.set_weights([random(*weight.shape, seed=i) for i, weight in enumerate(model.get_weights())])
    for modifier, old in before.items():
        check(model, modifier=modifier)
        assert abs(signed(model, modifier=modifier) - old).max() > 0.05


def test_assigned_activation_changes_the_next_map() -> None:
    model = keras.Sequential([layers.Input((6,)), layers.Dense(5, activation="relu"), layers.Dense(2)])
    nested = keras.Sequential([layers.Input((6,)), model])
    first, end = model.layers
    kernels = first.get_weights()[0], end.get_weights()[0]
    z = VECTOR @ kernels[0]
    slopes = {"relu": z > 0, "tanh": 1 - np.tanh(z) ** 2, "linear": np.ones(5)}
    for name in ("relu", "tanh", "linear", "relu"):
        first.activation = keras.activations.get(name)
        wanted = normalized(kernels[0] @ (slopes[name] * kernels[1][:, 0]))
        np.testing.assert_allclose(signed(model), wanted, atol=1e-5)
        np.testing.assert_allclose(signed(nested), wanted, atol=1e-5)


@pytest.mark.parametrize("nested", [False, True])
def test_sequential_that_loses_or_gains_a_layer(nested: bool) -> None:
    """As keras-vis's readers take the softmax off: pop, and perhaps add."""
    inner = keras.Sequential([layers.Input((6,)), layers.Dense(5, "tanh"), layers.Dense(3), layers.Dense(4)])
    model = keras.Sequential([layers.Input((6,)), inner]) if nested else inner
    for change in (lambda: None, inner.pop, lambda: inner.add(layers.Dense(3, "tanh")), inner.pop):
        change()

        def score(y: Any) -> Any:
            for layer in inner.layers:
                y = layer(y)
            return y[0, 0]

        wanted = normalized(native.gradient(score, VECTOR[None])[0])
        for target in (-1, model):
            found = visualize_saliency(model, target, 0, VECTOR, grad_modifier=None)
            np.testing.assert_allclose(found, wanted, atol=1e-5)


# ---- one trace, flat memory ----------------------------------------------------------------------------


class Counted(layers.Layer):
    """Counts how often its call runs in Python: once per trace; on PyTorch, at the first calls, too."""

    def __init__(self) -> None:
        super().__init__()
        self.count = [0]

    def call(self, x: Any) -> Any:
        self.count[0] += 1
        return x


def test_a_thousand_calls_one_trace_flat_memory() -> None:
    """Over changing filters and inputs, and weights that change too."""
    counted = Counted()
    model = relu_network(counted, width=64)
    counted.count[0] = 0
    inputs = random(50, 6).astype(np.float32)
    filters = [0, -1, [1, 2], None, (3, 3, 0)]
    process = psutil.Process()

    def call(times: int) -> None:
        for index in range(times):
            visualize_saliency(model, -1, filters[index % 5], inputs[index % 50])

    call(200)
    gc.collect()
    objects = len(gc.get_objects())
    growth = []
    for _ in range(4):
        resident = process.memory_info().rss
        call(250)
        gc.collect()
        growth.append(process.memory_info().rss - resident)
    assert counted.count[0] in native.runs(1200)
    assert len(gc.get_objects()) - objects < 200
    # The allocator of a process with a history takes a page now and then; a leak grows in every window:
    # a graph kept per call would be some 100 KB, 25 MB in each.
    assert min(growth) < 2**19


@pytest.mark.parametrize("modifier", [None, "guided"])
def test_one_trace_per_target_wrt_and_modifier(modifier: str | None) -> None:
    counted = Counted()
    model = relu_network(counted)
    counted.count[0] = 0
    for index in (0, 1, [2, 3], None):
        for x in (VECTOR, VECTOR[None], VECTOR.tolist(), VECTOR.astype(np.float64)):
            visualize_saliency(model, -1, index, x, backprop_modifier=modifier)
    assert counted.count[0] in native.runs(16)
    for index in (None, [0, 1, 2, 3, 4]):  # of which one at least is not dead
        visualize_saliency(model, -2, index, VECTOR, grad_modifier="negate", backprop_modifier=modifier)
    assert counted.count[0] in native.runs(16, 2)
    for index in (0, 1):
        visualize_saliency(
            model, -1, index, VECTOR, wrt_tensor=model.layers[1].output, backprop_modifier=modifier
        )
    assert counted.count[0] in native.runs(16, 2, 2)
    for index in (0, 1):
        visualize_saliency(model, -1, index, VECTOR, backprop_modifier="rectified")
    assert counted.count[0] in native.runs(16, 2, 2, 2)
    visualize_saliency(model, -1, 0, VECTOR, backprop_modifier=modifier)
    assert counted.count[0] in native.runs(17, 2, 2, 2)


def test_one_trace_for_every_batch_size_and_picture_size() -> None:
    counted = Counted()
    model = keras.Sequential(
        [layers.Input((None, None, 2)), counted, layers.Conv2D(3, 3), layers.GlobalAveragePooling2D()]
    )
    counted.count[0] = 0
    for batch, height, width in ((1, 5, 4), (3, 5, 4), (2, 7, 9), (1, 3, 3)):
        shape = (batch, height, width, 2)
        assert gradient(model, [random(*shape).astype(np.float32)], 0).shape == shape
    # On JAX the derivative of a convolution needs numbers: a trace for each size follows that with symbols.
    assert counted.count[0] in native.runs(4, *[1] * 4 if native.NAME == "JAX" else ())


def test_one_trace_for_one_loss_object() -> None:
    """A loss of one's own is built once, and links one node to the layer that it reads."""

    class Squared(Loss):
        def __init__(self, layer: Any) -> None:
            self.layer, self.built = layer, 0

        def build_loss(self) -> Any:
            self.built += 1
            return ops.sum(ops.square(self.layer.output), axis=-1)

    counted = Counted()
    model = relu_network(counted)
    loss = Squared(model.layers[-1])
    counted.count[0] = 0
    for weight in (1.0, -2.0, 0.5):
        for x in (VECTOR, -VECTOR):
            visualize_saliency_with_losses(model.inputs[0], [(loss, weight)], x)
    assert loss.built == 1
    assert counted.count[0] in native.runs(6)


def test_calls_link_nothing_to_the_layers(untouched: Callable[[Any], Callable[[], None]]) -> None:
    model = relu_network()
    same = untouched(model)
    for index in range(20):
        visualize_saliency(model, -1, index % 4, VECTOR)
        losses = [(ActivationMaximization(model.layers[-1], index % 4), -1.0)]
        visualize_saliency_with_losses(model.inputs[0], losses, VECTOR)
    same()


class MeanOutput(Loss):
    def __init__(self, layer: Any) -> None:
        self.layer = layer

    def build_loss(self) -> Any:
        return ops.mean(self.layer.output)


class Net(keras.Model):
    def __init__(self) -> None:
        super().__init__()
        self.first = layers.Dense(5, activation="relu", bias_initializer="ones")
        self.end = layers.Dense(4)

    def call(self, x: Any) -> Any:
        return self.end(self.first(x))


def subclassed() -> keras.Model:
    model = Net()
    model(VECTOR[None])
    return model


def use_loss(model: Any) -> None:
    losses = [(ActivationMaximization(model.layers[-1], 0), -1.0)]
    visualize_saliency_with_losses(model, losses, VECTOR)


def use_loss_of_ones_own(model: Any) -> None:
    visualize_saliency_with_losses(model.inputs[0], [(MeanOutput(model.layers[-1]), 1)], VECTOR)


USES = {
    "vanilla": lambda model: visualize_saliency(model, -1, 0, VECTOR),
    "guided": lambda model: visualize_saliency(model, -1, 0, VECTOR, backprop_modifier="guided"),
    "modified": lambda model: visualize_saliency(backprop_modifiers.guided(model), -1, 0, VECTOR),
    "loss": use_loss,
    "own loss": use_loss_of_ones_own,
    "wrt": lambda model: visualize_saliency(model, -1, 0, VECTOR, wrt_tensor=model.layers[0].output),
}
MODELS = {
    "sequential": relu_network,
    # What `wrt` names is another output than that of the layer the loss reads.
    "nested": lambda: keras.Sequential([layers.Input((6,)), layers.Dense(6), relu_network()]),
    "subclassed": subclassed,
}
# A subclassed model has no symbolic tensors to differentiate by, or to write a loss over.
PAIRS = [
    (model, use)
    for model in MODELS
    for use in USES
    if (model, use) not in (("subclassed", "wrt"), ("subclassed", "own loss"))
]


@pytest.mark.parametrize(("model", "use"), PAIRS)
def test_deleted_model_is_freed(model: Any, use: str) -> None:
    """The model and its variables go, although their compiled gradients were kept while it lived."""
    model = MODELS[model]()
    USES[use](model)
    gone = [weakref.ref(thing) for thing in (model, *model.layers, *model.variables)]
    del model
    for _ in range(3):  # what JAX has compiled goes first, and then what that has held
        gc.collect()
        if not any(ref() is not None for ref in gone):
            break
    assert [ref() for ref in gone] == [None] * len(gone)


def test_deleted_loss_is_freed_while_the_model_lives() -> None:
    model = relu_network()
    loss = MeanOutput(model.layers[-1])
    visualize_saliency_with_losses(model.inputs[0], [(loss, 1)], VECTOR)
    gone = weakref.ref(loss)
    del loss
    gc.collect()
    assert gone() is None
    check(model)


# ---- every call as if alone ----------------------------------------------------------------------------


def test_two_models_interleaved() -> None:
    one, two = relu_network(), relu_network(width=14)
    for index in (0, 1, 2, 0):
        for modifier in (None, "guided"):
            check(one, index, modifier=modifier)
            check(two, index, modifier=modifier)


def test_two_models_of_equal_names() -> None:
    def make() -> keras.Model:
        return keras.Sequential([layers.Input((6,)), layers.Dense(2, name="end")], name="net")

    one, two = make(), make()
    for model in (one, two, one):
        kernel = model.layers[0].get_weights()[0][:, 0]
        np.testing.assert_allclose(signed(model), normalized(kernel), atol=1e-6)


@pytest.mark.parametrize("order", [("guided", None), (None, "guided"), ("rectified", "guided", None)])
def test_guided_then_vanilla_on_the_same_model(order: tuple[str | None, ...]) -> None:
    model = relu_network()
    for modifier in (*order, *order):
        check(model, modifier=modifier)
    maps = [signed(model, modifier=modifier) for modifier in order]
    assert all(abs(a - b).max() > 0.01 for a, b in itertools.pairwise(maps))


def test_modified_model_brings_its_modifier() -> None:
    model = relu_network()
    guided = backprop_modifiers.guided(model)
    for _ in range(2):
        np.testing.assert_allclose(signed(guided), normalized(oracle(model, modifier="guided")), atol=1e-5)
        check(model)
    # The modifier that is named in the call comes first.
    found = signed(guided, modifier="rectified")
    np.testing.assert_allclose(found, normalized(oracle(model, modifier="rectified")), atol=1e-5)


def in_threads(*jobs: Callable[[], Any]) -> list[Any]:
    """Run the jobs at once, and return their results."""
    barrier, results = threading.Barrier(len(jobs)), [None] * len(jobs)

    def run(index: int) -> None:
        barrier.wait()
        try:
            results[index] = jobs[index]()
        except BaseException as error:  # handed to the test, which fails of it
            results[index] = error

    threads = [threading.Thread(target=run, args=(index,)) for index in range(len(jobs))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return results


@pytest.mark.parametrize("modifiers", [(None, None), ("guided", "guided"), (None, "guided")])
def test_two_threads_at_once(modifiers: tuple[str | None, str | None]) -> None:
    """On one model: the very first call, and those after it; what one compiles the other does not."""
    counted = Counted()
    model = relu_network(counted)
    counted.count[0] = 0
    inputs = [VECTOR, -VECTOR[::-1].copy()]
    wanted = [
        [normalized(oracle(model, x, index, modifier)) for index in (0, 1, 2, 3)]
        for x, modifier in zip(inputs, modifiers, strict=True)
    ]

    def job(x: Any, modifier: str | None) -> Callable[[], Any]:
        return lambda: [signed(model, index, x, modifier) for index in (0, 1, 2, 3)]

    jobs = [job(x, modifier) for x, modifier in zip(inputs, modifiers, strict=True)]
    for _ in range(2):
        found = in_threads(*jobs)
        np.testing.assert_allclose(found, wanted, atol=1e-5)
    traces = len(set(modifiers))
    assert counted.count[0] in native.runs(*[16 // traces] * traces)


def test_two_threads_with_a_model_each() -> None:
    models = [relu_network(), relu_network(width=14)]
    jobs = [lambda model=model: signed(model, 1, modifier="guided") for model in models]
    for model, found in zip(models, in_threads(*jobs), strict=True):
        np.testing.assert_allclose(found, normalized(oracle(model, VECTOR, 1, "guided")), atol=1e-5)


def test_plain_gradients_in_one_thread_while_another_compiles_guided_ones() -> None:
    """The rule acts in one graph only: a user's own function that is traced meanwhile has none."""
    model, other = relu_network(), relu_network()

    def trace_plain() -> Any:
        plain = native.compiled(lambda x: native.pullback(lambda x: model(x)[:, 0], x, ops.ones(1)))
        return ops.convert_to_numpy(plain(ops.convert_to_tensor(VECTOR[None])))[0]

    def compile_guided() -> None:
        for modifier in ("guided", "rectified"):
            signed(other, modifier=modifier)

    found, _ = in_threads(trace_plain, compile_guided)
    np.testing.assert_allclose(found, oracle(model), rtol=1e-5, atol=1e-6)


def test_while_a_user_differentiates() -> None:
    model = relu_network()

    def triple(x: Any) -> Any:
        check(model, modifier="guided")
        return 3.0 * x

    np.testing.assert_array_equal(native.gradient(triple, np.ones((1, 1))), [[3.0]])


def test_nothing_given_and_nothing_returned_is_kept() -> None:
    """The input stays what it was, and a map that is written to is not the next one."""
    model = relu_network()
    x = VECTOR.copy()
    found = signed(model, x=x)
    np.testing.assert_array_equal(x, VECTOR)
    found[:] = 7.0
    check(model)

    def spoil(g: Any) -> Any:
        g[:] = 0.0
        return np.arange(6.0)

    visualize_saliency(model, -1, 0, VECTOR, grad_modifier=spoil)
    check(model)


def test_global_settings_and_random_numbers_are_left_alone() -> None:
    model = relu_network(layers.Dropout(0.5), layers.GaussianNoise(1.0))
    keras.utils.set_random_seed(1)
    wanted = np.random.rand(), native.draw()
    keras.utils.set_random_seed(1)
    before = keras.config.floatx(), keras.config.image_data_format(), keras.config.dtype_policy()
    visualize_saliency(model, -1, 0, VECTOR, backprop_modifier="guided")
    assert (np.random.rand(), native.draw()) == wanted
    assert (keras.config.floatx(), keras.config.image_data_format(), keras.config.dtype_policy()) == before


def test_warnings_point_at_the_line_that_called() -> None:
    end = layers.Dense(3, activation="softmax", kernel_initializer="zeros")
    hidden = layers.Lambda(native.hidden_relu)
    model = keras.Sequential([layers.Input((6,)), layers.ReLU(), hidden, end])
    losses = [(ActivationMaximization(end, 0), -1.0)]
    with pytest.warns() as caught:
        visualize_saliency(model, -1, 0, VECTOR, backprop_modifier="guided")
        backprop_modifiers.guided(model)
        visualize_saliency_with_losses(model, losses, VECTOR)
    kinds = [warning.category for warning in caught]
    assert kinds.count(SoftmaxWarning) == kinds.count(EmptyMapWarning) == 2
    assert kinds.count(PartialOverrideWarning) == 2
    assert {warning.filename for warning in caught} == {__file__}
