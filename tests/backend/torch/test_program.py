"""Forward passes that run without Keras after a few runs: the same numbers, and none where it matters."""

from __future__ import annotations

import gc
import threading
import warnings
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from keras import layers, ops

from tests.reliability.architectures import Architecture, architectures
from tests.reliability.scale import NIGHTLY
from vis.attributions import GradCAM, GuidedBackprop, IntegratedGradients, Rise, Saliency
from vis.backend.torch import program
from vis.errors import InputError, ModifierError
from vis.visualization import visualize_activation

pytestmark = pytest.mark.filterwarnings("ignore::vis.errors.EmptyMapWarning")

RNG = np.random.default_rng(0)
X = RNG.normal(size=(2, 8, 8, 3)).astype(np.float32)
ROWS = RNG.normal(size=(2, 5, 3)).astype(np.float32)
TOKENS = np.array([[1, 2, 0, 0], [3, 1, 4, 0]], np.int32)


@pytest.fixture(autouse=True)
def made(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """Make programs at the second run; record whether each attempt made one."""
    attempts: list[Any] = []
    make = program._made

    def noted(*args: Any) -> Any:
        attempts.append(None)
        attempts[-1] = make(*args)
        return attempts[-1]

    monkeypatch.setattr(program, "_made", noted)
    monkeypatch.setattr(program.Entry, "is_due", lambda entry, operations: entry.runs > 0)
    yield attempts


def network(*stack: Any, shape: Any = (8, 8, 3), dtype: str = "float32") -> keras.Model:
    entry = keras.Input(shape, dtype=dtype)
    x = entry
    for each in stack:
        x = each(x)
    return keras.Model(entry, x)


def head(*stack: Any, shape: Any = (8, 8, 3), dtype: str = "float32", end: Any = None) -> keras.Model:
    stack = (*stack, layers.Flatten(), layers.Dense(24, activation="relu"))
    stack = (*stack, layers.Dense(3, activation=end))
    return network(*stack, shape=shape, dtype=dtype)


class Writing(layers.Layer):
    """A layer that writes into a part of its input, and into a view of what it has made."""

    def call(self, x: Any) -> Any:
        x[:, 0] += 1.0
        made = 2 * x
        view = made[:, :, 1:3]
        view.mul_(x[:, :, :2])
        made[:, 1].relu_()
        return made + view.sum()


class Halved(layers.Layer):
    """A layer that computes in half precision, and lets a part of the gradient through."""

    def call(self, x: Any) -> Any:
        half = ops.cast(x, "float16")
        return ops.cast(ops.tanh(half), "float32") + ops.stop_gradient(ops.square(x))


class Taken(layers.Layer):
    """A layer that looks rows up, by numbers that do not change."""

    def call(self, x: Any) -> Any:
        first, second = ops.split(x, 2, axis=1)
        rows = ops.take(x, np.array([3, 0, 0]), axis=1)
        return ops.concatenate(
            [first + second, rows * ops.convert_to_tensor(np.linspace(0, 1, 8)[:, None])], axis=1
        )


def attention(x: Any) -> Any:
    x = layers.Dense(4)(x)
    return layers.LayerNormalization()(layers.Add()([x, layers.MultiHeadAttention(2, 2)(x, x)]))


class Own(keras.Model):
    """A model that is no graph."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = layers.Conv2D(12, 3, activation="relu"), layers.Dense(3)

    def call(self, x: Any) -> Any:
        return self.last(ops.max(self.first(x), axis=(1, 2)))


def own() -> keras.Model:
    model = Own()
    model(X)
    return model


# What is written down: a model, and inputs of it.
WRITTEN: dict[str, tuple[Callable[[], keras.Model], Any]] = {
    "convolutions": (
        lambda: head(
            layers.Conv2D(4, 3, padding="same"),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.MaxPooling2D(),
            layers.DepthwiseConv2D(3),
        ),
        X,
    ),
    "softmax": (lambda: head(end="softmax"), X),
    "recurrence": (lambda: head(layers.LSTM(4), shape=(5, 3)), ROWS),
    "both ways": (lambda: head(layers.Bidirectional(layers.GRU(3)), shape=(5, 3)), ROWS),
    "attention": (lambda: head(attention, shape=(5, 3)), ROWS),
    "no graph": (own, X),
    "writing": (lambda: head(Writing()), X),
    "half precision": (lambda: head(Halved()), X),
    "rows": (lambda: head(Taken()), X),
    "mixed precision": (lambda: head(layers.Conv2D(4, 3, dtype="mixed_bfloat16", activation="gelu")), X),
    "a layer's own numbers": (lambda: head(layers.Normalization(mean=[1, 2, 3], variance=[4, 2, 1])), X),
    "a model inside": (lambda: head(head(layers.Conv2D(2, 3)), layers.Activation("silu")), X),
}


def plainly(monkeypatch: pytest.MonkeyPatch, explain: Callable[[], Any]) -> Any:
    """Return what is computed if each forward pass runs itself."""
    with monkeypatch.context() as changed:
        changed.setattr(program.Programs, "run", lambda self, forward, given, scope: forward(list(given)))
        return explain()


def check(explain: Callable[[Any], Any], inputs: Any, monkeypatch: pytest.MonkeyPatch, runs: int = 4) -> None:
    """Check that each run on other numbers returns what it returns without programs."""
    for scale in (1, -2, 0.5, 3)[:runs]:
        asked = (
            (scale * inputs).astype(inputs.dtype) if inputs.dtype.kind == "f" else np.roll(inputs, int(scale))
        )
        found = explain(asked)
        assert found.any()
        np.testing.assert_array_equal(found, plainly(monkeypatch, lambda x=asked: explain(x)))


@pytest.mark.filterwarnings("ignore::vis.errors.SoftmaxWarning", "ignore::vis.errors.PartialOverrideWarning")
@pytest.mark.parametrize("name", WRITTEN)
def test_a_program_computes_the_same_to_the_bit(
    name: str, made: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    make, inputs = WRITTEN[name]
    model = make()
    for explainer in (Saliency(model, reducer=None), GuidedBackprop(model, reducer=None)):
        check(lambda x, e=explainer: e(x, 1), inputs, monkeypatch)
    assert len(made) > 1 and None not in made


class Branching(layers.Layer):
    """A layer that decides by the values of its input."""

    def __init__(self, decide: Callable[[Any], Any]) -> None:
        super().__init__()
        self.decide = decide

    def call(self, x: Any) -> Any:
        return 2 * x if self.decide(x) else -x * x


class Counting(layers.Layer):
    """A layer that does something else each time."""

    def __init__(self) -> None:
        super().__init__()
        self.counts = [0]

    def call(self, x: Any) -> Any:
        self.counts[0] += 1
        return x * (1 + self.counts[0] % 3)


class Doubling(torch.autograd.Function):
    """A function with a derivative of its own."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        return x * 2

    @staticmethod
    def backward(ctx: Any, slope: Any) -> Any:
        return slope * 5


class Holding(layers.Layer):
    """A layer with a tensor that is no variable, which may be exchanged for another."""

    def __init__(self, tensor: Any) -> None:
        super().__init__()
        self.held = {"tensor": tensor}

    def call(self, x: Any) -> Any:
        return x * x * self.held["tensor"]


def unwatched(x: Any) -> Any:
    with torch.no_grad():
        scale = x * x
    return x * scale


def hooked(x: Any) -> Any:
    x = x * 1
    if x.requires_grad:
        x.register_hook(lambda slope: 7 * slope)
    return x


def largest(x: Any) -> Any:
    """Return the sum of as many values as are positive."""
    return x * x[x > 0].sum()


def wrapped() -> Any:
    return layers.TorchModuleWrapper(torch.nn.Linear(3, 2), output_shape=(None, 8, 8, 2))


# What is not written down: makes a layer.
PLAIN: dict[str, Callable[[], Any]] = {
    "a number": lambda: Branching(lambda x: float(x.sum()) > 0),
    "a truth": lambda: Branching(lambda x: bool((x > 0).all()) or bool(x[0, 0, 0, 0] > 0)),
    "NumPy": lambda: Branching(lambda x: x.detach().cpu().numpy().sum() > 0),
    "an array": lambda: Branching(lambda x: np.asarray(x.detach()).sum() > 0),
    "a list": lambda: Branching(lambda x: x.detach()[0, 0, 0].tolist()[0] > 0),
    "equality": lambda: Branching(lambda x: torch.equal(x, x.abs())),
    "positions": lambda: Branching(lambda x: len(torch.nonzero(x > 0)) > x.numel() // 2),
    "own derivative": lambda: layers.Lambda(Doubling.apply),
    "custom gradient": lambda: layers.Lambda(
        ops.custom_gradient(lambda x: (x * x, lambda *_, upstream: 3 * upstream))
    ),
    "not watched": lambda: layers.Lambda(unwatched),
    "a hook": lambda: layers.Lambda(hooked),
    "some values": lambda: layers.Lambda(largest),
    "a module": wrapped,
    "a tensor": lambda: Holding(torch.full((3,), 2.0)),
    "chance": lambda: layers.Lambda(lambda x: x * torch.rand_like(x)),
}


@pytest.mark.parametrize("name", PLAIN)
@pytest.mark.filterwarnings("ignore::vis.errors.RandomWarning")
def test_what_is_not_known_beforehand_runs_itself(
    name: str, made: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = head(layers.Conv2D(3, 1), PLAIN[name]())
    explain = Saliency(model, reducer=None)
    check(lambda x: explain(x, 1), X if name != "chance" else X[:1], monkeypatch)
    assert made == [None] * (name != "chance")


def test_what_changes_at_each_run_runs_itself(made: list[Any]) -> None:
    explain = Saliency(network(Counting(), layers.Flatten(), layers.Dense(2)))
    found = [explain(X, 1) for _ in range(9)]
    ratios = np.array(found) / np.min(found, axis=0)
    np.testing.assert_allclose(ratios, np.rint(ratios), rtol=1e-5)
    assert len(set(np.rint(ratios[-4:, 0, 0, 0, 0]))) > 1
    assert made and set(made) == {None}


class Module(torch.nn.Module):
    """A module with a parameter, a buffer, and a tensor that is neither."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.full((3,), 2.0))
        self.register_buffer("kept", torch.full((3,), 2.0))
        self.plain = torch.full((3,), 2.0)

    def forward(self, x: Any) -> Any:
        return x * self.weight * self.kept * self.plain


BOX = {"tensor": torch.full((3,), 2.0)}


def boxed() -> tuple[Any, Callable[[Any], None]]:
    return layers.Lambda(lambda x: x * BOX["tensor"]), lambda tensor: BOX.update(tensor=tensor)


def held() -> tuple[Any, Callable[[Any], None]]:
    layer = Holding(torch.full((3,), 2.0))
    return layer, lambda tensor: layer.held.__setitem__("tensor", tensor)


def normalizing() -> tuple[Any, Callable[[Any], None]]:
    layer = layers.Normalization(mean=[0, 0, 0], variance=[1 / 4] * 3)
    return layer, lambda tensor: setattr(layer, "variance", 1 / tensor**2)


def of_module(name: str) -> Callable[[], tuple[Any, Callable[[Any], None]]]:
    def make() -> tuple[Any, Callable[[Any], None]]:
        module = Module()
        wrap = torch.nn.Parameter if name == "weight" else lambda tensor: tensor
        layer = layers.TorchModuleWrapper(module, output_shape=(None, 8, 8, 3))
        return layer, lambda tensor: setattr(module, name, wrap(tensor))

    return make


@pytest.mark.parametrize(
    ("make", "is_written"),
    [(boxed, False), (held, False), (normalizing, True)]
    + [(of_module(name), False) for name in ("weight", "kept", "plain")],
    ids=["a global", "in a layer", "a layer's own", "a parameter", "a buffer", "a module's own"],
)
def test_a_tensor_that_is_exchanged_counts(make: Any, is_written: bool, made: list[Any]) -> None:
    layer, exchange = make()
    two, six = torch.full((3,), 2.0), torch.full((3,), 6.0)
    exchange(two)
    explain = Saliency(network(layer, layers.Flatten(), layers.Dense(2)))
    before = [explain(X, 0) for _ in range(4)][-1]
    assert (made[-1] is not None) == is_written
    for tensor, factor in ((six, 3), (two, 1), (six, 3)):
        exchange(tensor)
        for _ in range(3):
            np.testing.assert_allclose(explain(X, 0), factor * before, rtol=1e-5)


def test_weights_are_read_at_each_run(made: list[Any]) -> None:
    model = network(layers.Flatten(), layers.Dense(2, use_bias=False))
    explain = Saliency(model, reducer=None)
    before = [explain(X, 1) for _ in range(3)][-1]
    kernel = model.layers[-1].kernel
    kernel.assign(2 * kernel)
    np.testing.assert_allclose(explain(X, 1), 2 * before, rtol=1e-6)
    with torch.no_grad():
        kernel.value.mul_(2)
    np.testing.assert_allclose(explain(X, 1), 4 * before, rtol=1e-6)
    model.compile("sgd", "mse")
    model.fit(X, np.ones((2, 2)), verbose=0)
    expected = np.abs(ops.convert_to_numpy(kernel)[:, 1]).reshape(8, 8, 3)
    np.testing.assert_allclose(explain(X, 1), [expected, expected], rtol=1e-6)
    assert len(made) == 1 and made[0] is not None


def test_settings_of_layers_that_change_count(made: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    model = head(layers.Conv2D(4, 3, activation="relu", name="conv"))
    explain = Saliency(model)
    before = [explain(X, 1) for _ in range(3)][-1]
    model.get_layer("conv").activation = keras.activations.tanh
    found = [explain(X, 1) for _ in range(3)][-1]
    assert not np.allclose(before, found)
    np.testing.assert_array_equal(found, plainly(monkeypatch, lambda: explain(X, 1)))
    assert len(made) == 2 and None not in made


@pytest.mark.parametrize("kind", ["forward", "forward_pre", "full_backward"])
def test_hooks_on_layers_act_while_they_are_there(kind: str, made: list[Any]) -> None:
    model = network(layers.Dense(4, use_bias=False), layers.Flatten(), layers.Dense(2, use_bias=False))
    explain, layer = Saliency(model), model.layers[1]
    before = [explain(X, 1) for _ in range(4)][-1]
    assert made[-1] is not None

    def hook(layer: Any, given: Any, *made: Any) -> Any:
        changed = made[0] if kind == "forward" else given
        return tuple(3 * each for each in changed) if isinstance(changed, tuple) else 3 * changed

    for _ in range(2):
        handle = getattr(layer, f"register_{kind}_hook")(hook)
        for _ in range(4):
            np.testing.assert_allclose(explain(X, 1), 3 * before, rtol=1e-5)
        assert made[-1] is None
        handle.remove()
        for _ in range(4):
            np.testing.assert_allclose(explain(X, 1), before, rtol=1e-5)


def test_each_size_has_its_own(made: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    model = network(
        layers.Conv2D(4, 3, activation="relu"), layers.GlobalMaxPooling2D(), shape=(None, None, 3)
    )
    explain = Saliency(model)
    sizes = [(count, side, side + 1) for count in (1, 2) for side in range(4, 4 + program._KEPT)]
    for count, height, width in [*sizes, *sizes[::-1], *sizes]:
        inputs = RNG.normal(size=(count, height, width, 3)).astype(np.float32)
        for _ in range(2):
            found = explain(inputs, 1)
        np.testing.assert_array_equal(found, plainly(monkeypatch, lambda x=inputs: explain(x, 1)))
    assert None not in made and len(made) > len(sizes)


@pytest.mark.parametrize(
    "make",
    [
        lambda model: GradCAM(model),
        lambda model: IntegratedGradients(model, steps=5),
        lambda model: Rise(model, nb_samples=8),
        lambda model: Saliency(model, wrt=model.layers[1]),
        lambda model: Saliency(model, backprop_modifier=lambda x, y, grad, true: grad * y),
    ],
    ids=["class map", "path", "scores alone", "by a layer", "a rule that reads values"],
)
def test_explainers_return_the_same(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    explain = make(head(layers.Conv2D(4, 3, activation="relu"), layers.MaxPooling2D()))
    check(lambda x: explain(x, 1), X, monkeypatch)


def test_masks_and_tokens_reach_it(made: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    model = head(layers.Embedding(5, 4, mask_zero=True), layers.LSTM(3), shape=(4,), dtype="int32")
    explain = Saliency(model, wrt=model.layers[1])
    check(lambda x: explain(x, 1), TOKENS, monkeypatch)
    assert made
    with pytest.raises(InputError, match="range"):
        explain(TOKENS + 7, 1)


def test_a_descent_takes_the_same_steps(made: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    model = head(layers.Conv2D(4, 3, activation="relu"))

    def picture() -> Any:
        return visualize_activation(model, -1, 0, seed_input=X[0], max_iter=12, input_range=(-1, 1))

    found = picture()
    assert made and None not in made
    np.testing.assert_array_equal(found, plainly(monkeypatch, picture))


def test_threads_get_their_own_maps() -> None:
    model = head(layers.Conv2D(4, 3, activation="relu"))
    explain = Saliency(model)
    found: dict[int, Any] = {}

    def run(number: int) -> None:
        found[number] = [explain(number * X, 1) for _ in range(10)]

    threads = [threading.Thread(target=run, args=(number,)) for number in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number, maps in found.items():
        for each in maps:
            np.testing.assert_array_equal(each, explain(number * X, 1))


def test_it_keeps_neither_the_model_nor_its_weights(made: list[Any]) -> None:
    model = head(layers.Conv2D(4, 3, activation="relu"))
    explain = Saliency(model)
    for _ in range(3):
        explain(X, 1)
    held = [weakref.ref(model), *map(weakref.ref, model.weights), weakref.ref(model.weights[0].value)]
    del model, explain
    gc.collect()
    assert made[0] is not None and [reference() for reference in held] == [None] * len(held)


@given(architectures())
@settings(max_examples=100 if NIGHTLY else 15, suppress_health_check=list(HealthCheck))
def test_generated_networks_compute_the_same(architecture: Architecture) -> None:
    model, x = architecture.build(), architecture.inputs(2)
    inputs = x[0] if len(x) == 1 else x
    with warnings.catch_warnings(), pytest.MonkeyPatch.context() as changed:
        warnings.simplefilter("ignore")
        for rule in (None, "guided"):
            try:
                explain = Saliency(model, "out0", reducer=None, grad_modifier=None, backprop_modifier=rule)
                found = [explain(inputs, 0) for _ in range(3)][-1]
            except ModifierError:  # there is no activation
                continue
            expected = plainly(changed, lambda explain=explain: explain(inputs, 0))
            for mine, its in zip(keras.tree.flatten(found), keras.tree.flatten(expected), strict=True):
                np.testing.assert_array_equal(mine, its)
