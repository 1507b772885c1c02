"""Saliency on the ways to build a model that tools of this kind fail on.

The oracle of each is an equivalent network written out with TensorFlow alone, over the model's weights, and
differentiated by a plain tape. It takes the ReLU as an argument: TensorFlow's own for vanilla, one with a
gradient written by hand for guided and rectified.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops

from tests import native
from vis.errors import EmptyMapWarning, GradientError, LayerError
from vis.visualization import visualize_saliency

SHAPE = (5, 4, 3)
IMAGE = np.random.default_rng(7).normal(size=SHAPE).astype(np.float32)


@pytest.fixture(autouse=True)
def seeded() -> None:
    keras.utils.set_random_seed(3)


EACH_MODIFIER = pytest.mark.parametrize("modifier", native.RELUS)


def conv(layer: Any, x: Any) -> Any:
    """The convolution of a layer without its activation."""
    return ops.conv(x, layer.kernel, strides=1, padding=layer.padding) + layer.bias


def dense(layer: Any, x: Any) -> Any:
    return x @ layer.kernel + layer.bias


def flat(x: Any) -> Any:
    return ops.reshape(x, (x.shape[0], -1))


@dataclass
class Case:
    """A model, what is asked of it, and the same written out: `forward(x, relu)`."""

    model: Any
    layer: Any
    forward: Callable[[Any, Any], Any]
    x: Any = None


def gradient(forward: Callable[[Any], Any], x: Any, index: int = 1) -> Any:
    """Return the gradient of one filter's mean over positions, by the framework."""
    return native.gradient(lambda x: ops.mean(forward(x)[..., index]), x)


def normalized(a: Any) -> Any:
    a = np.asarray(a, np.float64)
    return (a - a.min()) / (a.max() - a.min())


def check(case: Case, modifier: str | None) -> None:
    """Compare the map, and the gradient with its signs and channels, with the oracle's."""
    x = IMAGE if case.x is None else case.x
    # The map comes first: it builds a model that has no weights yet.
    found = visualize_saliency(case.model, case.layer, 1, x, backprop_modifier=modifier)
    signed = visualize_saliency(
        case.model, case.layer, 1, x, backprop_modifier=modifier, grad_modifier=None, keepdims=True
    )
    wanted = gradient(lambda given: case.forward(given, native.RELUS[modifier]), x[None])[0]
    np.testing.assert_allclose(found, normalized(abs(wanted).max(axis=-1)), atol=2e-5)
    np.testing.assert_allclose(signed, normalized(wanted), atol=2e-5)
    if modifier:
        plain = gradient(lambda given: case.forward(given, native.relu), x[None])[0]
        assert not np.allclose(wanted, plain, rtol=1e-2), "the case does not tell the modifier from none"


def small_conv(filters: int = 4, **kwargs: Any) -> Any:
    return layers.Conv2D(filters, 3, padding="same", bias_initializer="normal", **kwargs)


def functional_in_functional() -> Case:
    inside = [small_conv(activation="relu"), small_conv(3), layers.Activation("relu")]
    entry = x = keras.Input(SHAPE)
    for layer in inside:
        x = layer(x)
    inner = keras.Model(entry, x, name="inner")
    entry = keras.Input(SHAPE)
    middle = keras.Model(entry, inner(entry), name="middle")
    entry = keras.Input(SHAPE)
    end = layers.Dense(3)
    model = keras.Model(entry, end(layers.Flatten()(middle(entry))))

    def forward(x: Any, relu: Any) -> Any:
        return dense(end, flat(relu(conv(inside[1], relu(conv(inside[0], x))))))

    return Case(model, -1, forward)


def sequential_in_sequential() -> Case:
    first, second, end = small_conv(activation="relu"), small_conv(3), layers.Dense(3)
    inner = keras.Sequential([layers.Input(SHAPE), first])
    inner = keras.Sequential([layers.Input(SHAPE), inner, second, layers.ReLU()])
    model = keras.Sequential([layers.Input(SHAPE), inner, layers.Flatten(), end])
    return Case(model, -1, lambda x, relu: dense(end, flat(relu(conv(second, relu(conv(first, x)))))))


def layer_of_a_nested_model() -> Case:
    """The target lies inside: what follows it plays no part."""
    first, second = small_conv(activation="relu"), small_conv(3, name="conv5")
    backbone = keras.Sequential([layers.Input(SHAPE), first, second, layers.ReLU()], name="backbone")
    model = keras.Sequential([layers.Input(SHAPE), backbone, layers.Flatten(), layers.Dense(2)])
    return Case(model, "backbone/conv5", lambda x, relu: conv(second, relu(conv(first, x))))


def nested_model_as_the_target() -> Case:
    first, second = small_conv(activation="relu"), small_conv(3)
    backbone = keras.Sequential([layers.Input(SHAPE), first, second], name="backbone")
    model = keras.Sequential([layers.Input(SHAPE), backbone, layers.Flatten(), layers.Dense(2)])
    return Case(model, "backbone", lambda x, relu: conv(second, relu(conv(first, x))))


def backbone_with_dots_in_its_name() -> Case:
    first, second = small_conv(activation="relu", name="conv.0"), small_conv(3, name="conv.1")
    backbone = keras.Sequential([layers.Input(SHAPE), first, second], name="convnext_tiny.fb.in1k")
    model = keras.Sequential([layers.Input(SHAPE), backbone, layers.Flatten(), layers.Dense(2)])
    return Case(model, "convnext_tiny.fb.in1k/conv.1", lambda x, relu: conv(second, relu(conv(first, x))))


def equal_names_on_two_levels() -> Case:
    """The name alone means the layer of the model itself."""
    inside, outside = small_conv(name="conv"), small_conv(3, name="conv")
    inner = keras.Sequential([layers.Input(SHAPE), inside, layers.ReLU()], name="inner")
    model = keras.Sequential([layers.Input(SHAPE), inner, outside])
    return Case(model, "conv", lambda x, relu: conv(outside, relu(conv(inside, x))))


def equal_names_on_two_levels_by_path() -> Case:
    below, inside, outside = small_conv(), small_conv(3, name="conv"), small_conv(5, name="conv")
    inner = keras.Sequential([layers.Input(SHAPE), below, layers.ReLU(), inside], name="inner")
    model = keras.Sequential([layers.Input(SHAPE), inner, outside])
    return Case(model, "inner/conv", lambda x, relu: conv(inside, relu(conv(below, x))))


def layer_with_two_inbound_nodes() -> Case:
    """It is called in another model too, with another input; `layer.output` would be ambiguous."""
    shared, end = small_conv(3), layers.Dense(3)
    other = keras.Input((8, 8, 3))
    keras.Model(other, shared(other))
    entry = keras.Input(SHAPE)
    model = keras.Model(entry, end(layers.Flatten()(layers.ReLU()(shared(small_conv(3)(entry))))))
    below = model.layers[1]
    return Case(model, -1, lambda x, relu: dense(end, flat(relu(conv(shared, conv(below, x))))))


def layer_with_two_inbound_nodes_as_the_target() -> Case:
    case = layer_with_two_inbound_nodes()
    below, shared = case.model.layers[1:3]
    act = layers.ReLU()
    entry = keras.Input(SHAPE)
    case.model = keras.Model(entry, shared(act(below(entry))))
    case.layer = shared
    case.forward = lambda x, relu: conv(shared, relu(conv(below, x)))
    return case


def augmentation_and_rescaling_inside() -> Case:
    """At inference the random layers pass the picture on; its values are those of pixels."""
    first, end = small_conv(activation="relu"), layers.Dense(3)
    model = keras.Sequential(
        [
            layers.Input(SHAPE),
            layers.RandomFlip("horizontal", seed=1),
            layers.RandomRotation(0.2, seed=1),
            layers.RandomTranslation(0.2, 0.2, seed=1),
            layers.GaussianNoise(1.0, seed=1),
            layers.Rescaling(1 / 127.5, offset=-1),
            layers.Normalization(mean=[0.1, 0.2, 0.3], variance=[1.0, 2.0, 4.0]),
            first,
            layers.Flatten(),
            end,
        ]
    )

    def forward(x: Any, relu: Any) -> Any:
        mean, deviation = ops.convert_to_tensor([0.1, 0.2, 0.3]), ops.convert_to_tensor([1.0, 2**0.5, 2.0])
        x = (x / 127.5 - 1 - mean) / deviation
        return dense(end, flat(relu(conv(first, x))))

    return Case(model, -1, forward, np.random.default_rng(1).uniform(0, 255, SHAPE).astype(np.float32))


def batch_normalization_and_dropout() -> Case:
    first, norm, end = small_conv(), layers.BatchNormalization(), layers.Dense(3)
    model = keras.Sequential(
        [layers.Input(SHAPE), first, norm, layers.ReLU(), layers.Dropout(0.8), layers.Flatten(), end]
    )
    norm.moving_mean.assign([0.1, -0.2, 0.3, 0.0])
    norm.moving_variance.assign([0.5, 2.0, 1.0, 4.0])
    norm.gamma.assign([1.0, -2.0, 0.5, 3.0])

    def forward(x: Any, relu: Any) -> Any:
        scale = norm.gamma / ops.sqrt(norm.moving_variance + norm.epsilon)
        return dense(end, flat(relu((conv(first, x) - norm.moving_mean) * scale + norm.beta)))

    return Case(model, -1, forward)


def sequential_without_input() -> Case:
    """It has no shape, no weights and no output until the seed input is given."""
    first, end = small_conv(activation="relu"), layers.Dense(3)
    model = keras.Sequential([first, layers.Flatten(), end])
    return Case(model, -1, lambda x, relu: dense(end, flat(relu(conv(first, x)))))


def sequential_without_input_called_before() -> Case:
    case = sequential_without_input()
    case.model(IMAGE[None])
    return case


class Net(keras.Model):
    def __init__(self) -> None:
        super().__init__()
        self.first = small_conv(activation="relu", name="first")
        self.flatten = layers.Flatten()
        self.end = layers.Dense(3, name="end")

    def call(self, x: Any) -> Any:
        return self.end(self.flatten(self.first(x)))

    def written(self, x: Any, relu: Any) -> Any:
        return dense(self.end, flat(relu(conv(self.first, x))))


def subclassed() -> Case:
    model = Net()
    model(IMAGE[None])
    return Case(model, -1, model.written)


def subclassed_by_the_name_of_its_layer() -> Case:
    model = Net()
    model(IMAGE[None])
    return Case(model, "end", model.written)


def subclassed_that_was_never_called() -> Case:
    model = Net()
    return Case(model, "end", model.written)


def subclassed_inside_functional() -> Case:
    net = Net()
    entry = keras.Input(SHAPE)
    below, above = small_conv(3), layers.Dense(3)
    model = keras.Model(entry, above(net(below(entry))))
    return Case(model, -1, lambda x, relu: dense(above, net.written(conv(below, x), relu)))


def layer_of_a_subclassed_model_inside_functional() -> Case:
    net = Net()
    entry = keras.Input(SHAPE)
    below = small_conv(3)
    model = keras.Model(entry, layers.Dense(3)(net(below(entry))))
    return Case(model, net.end, lambda x, relu: net.written(conv(below, x), relu))


class Opaque(layers.Layer):
    """A layer that cannot be saved: its argument is no part of a config."""

    def __init__(self, function: Any) -> None:
        super().__init__()
        self.function = function

    def call(self, x: Any) -> Any:
        return self.function(x)

    def get_config(self) -> Any:
        raise NotImplementedError


def custom_layer_without_get_config() -> Case:
    first, end = small_conv(), layers.Dense(3)
    model = keras.Sequential(
        [layers.Input(SHAPE), first, Opaque(lambda x: 2.0 * native.relu(x)), layers.Flatten(), end]
    )
    return Case(model, -1, lambda x, relu: dense(end, flat(2.0 * relu(conv(first, x)))))


def with_a_lambda() -> Case:
    first, end = small_conv(), layers.Dense(3)
    model = keras.Sequential(
        [layers.Input(SHAPE), first, layers.Lambda(lambda x: ops.relu(x) ** 2), layers.Flatten(), end]
    )
    return Case(model, -1, lambda x, relu: dense(end, flat(relu(conv(first, x)) ** 2)))


def compiled_with_an_unknown_loss_and_metric() -> Case:
    class Strange(keras.losses.Loss):
        def call(self, y_true: Any, y_pred: Any) -> Any:
            raise AssertionError("nothing asks for this loss")

    case = sequential_in_sequential()
    case.model.compile("adam", Strange(), metrics=[lambda y_true, y_pred: y_pred, Strange()])
    return case


def frozen() -> Case:
    case = functional_in_functional()
    case.model.trainable = False
    return case


def never_compiled() -> Case:
    return functional_in_functional()


CASES = [
    functional_in_functional,
    sequential_in_sequential,
    layer_of_a_nested_model,
    nested_model_as_the_target,
    *([backbone_with_dots_in_its_name] if native.NAMES_WITH_DOTS else []),
    equal_names_on_two_levels,
    equal_names_on_two_levels_by_path,
    layer_with_two_inbound_nodes,
    layer_with_two_inbound_nodes_as_the_target,
    augmentation_and_rescaling_inside,
    batch_normalization_and_dropout,
    sequential_without_input,
    sequential_without_input_called_before,
    subclassed,
    subclassed_by_the_name_of_its_layer,
    subclassed_that_was_never_called,
    subclassed_inside_functional,
    layer_of_a_subclassed_model_inside_functional,
    custom_layer_without_get_config,
    with_a_lambda,
    compiled_with_an_unknown_loss_and_metric,
    frozen,
    never_compiled,
]


@EACH_MODIFIER
@pytest.mark.parametrize("make", CASES, ids=lambda make: make.__name__)
def test_map_is_that_of_the_network_written_out(make: Callable[[], Case], modifier: str | None) -> None:
    check(make(), modifier)


@pytest.mark.parametrize(
    "make", [make for make in CASES if "never_called" not in make.__name__], ids=lambda make: make.__name__
)
def test_model_is_untouched(make: Callable[[], Case], untouched: Callable[[Any], Callable[[], None]]) -> None:
    case = make()
    x = IMAGE if case.x is None else case.x
    if not case.model.built:
        case.model.build((None, *SHAPE))  # what a Sequential without an input cannot do without
    weights = [variable.numpy() for variable in case.model.variables]
    same = untouched(case.model)
    for index, modifier in ((0, None), (1, None), (0, "guided"), (1, "guided")):
        visualize_saliency(case.model, case.layer, index, x, backprop_modifier=modifier)
    same()
    for variable, before in zip(case.model.variables, weights, strict=True):
        np.testing.assert_array_equal(variable.numpy(), before)


@EACH_MODIFIER
def test_reloaded_from_a_file(modifier: str | None, tmp_path: Any) -> None:
    original = functional_in_functional()
    original.model.save(tmp_path / "model.keras")
    model = keras.models.load_model(tmp_path / "model.keras")
    # The original's forward is the oracle, so its weights must be those that the reloaded model has.
    check(Case(model, -1, original.forward), modifier)


@EACH_MODIFIER
def test_siamese_encoder(modifier: str | None) -> None:
    """Both sides through the same layers; each input has its own map."""
    first = small_conv(activation="relu")
    encoder = keras.Sequential([layers.Input(SHAPE), first, layers.Flatten()], name="encoder")
    left, right = keras.Input(SHAPE, name="left"), keras.Input(SHAPE, name="right")
    end = layers.Dense(3)
    model = keras.Model([left, right], end(layers.Multiply()([encoder(left), encoder(right)])))
    a, b = IMAGE, IMAGE[::-1].copy()

    def forward(a: Any, b: Any) -> Any:
        relu = native.RELUS[modifier]
        return dense(end, flat(relu(conv(first, a))) * flat(relu(conv(first, b))))

    on_a = gradient(lambda x: forward(x, b[None]), a[None])[0]
    on_b = gradient(lambda x: forward(a[None], x), b[None])[0]
    found = visualize_saliency(model, -1, 1, [a, b], backprop_modifier=modifier)
    assert isinstance(found, list)
    np.testing.assert_allclose(found[0], normalized(abs(on_a).max(-1)), atol=2e-5)
    np.testing.assert_allclose(found[1], normalized(abs(on_b).max(-1)), atol=2e-5)


def test_layer_that_is_called_twice_is_no_target() -> None:
    """Which of its outputs would be meant cannot be known."""
    twice = small_conv(3, name="twice")
    entry = keras.Input(SHAPE)
    model = keras.Model(entry, twice(twice(entry)))
    with pytest.raises(LayerError, match=r"'twice' is called 2 times"):
        visualize_saliency(model, "twice", 0, IMAGE)
    encoder = keras.Sequential([layers.Input(SHAPE), small_conv(3, name="inside")], name="encoder")
    model = keras.Model(entry, encoder(encoder(entry)))
    with pytest.raises(LayerError, match=r"'inside' is called 2 times"):
        visualize_saliency(model, "encoder/inside", 0, IMAGE)


@dataclass
class Residual:
    """x -> below -> c; relu(c) -> conv -> h; relu(c + h) -> end: c goes around h."""

    below: Any
    aside: Any
    end: Any
    model: Any
    c: Any
    h: Any


def residual() -> Residual:
    below, aside, end = small_conv(3), small_conv(3), layers.Dense(3)
    entry = keras.Input(SHAPE)
    c = below(entry)
    h = aside(layers.ReLU()(c))
    y = layers.ReLU()(layers.Add()([c, h]))
    return Residual(below, aside, end, keras.Model(entry, end(layers.Flatten()(y))), c, h)


@EACH_MODIFIER
def test_skip_connection_around_the_wrt_tensor(modifier: str | None) -> None:
    """With respect to h, c stands still; with respect to c, both ways count."""
    net, relu = residual(), native.RELUS[modifier]
    c = conv(net.below, IMAGE[None])
    h = conv(net.aside, native.relu(c))

    def above(c: Any, h: Any) -> Any:
        return dense(net.end, flat(relu(c + h)))

    for wrt, wanted in (
        (net.h, gradient(lambda given: above(c, given), h)),
        (net.c, gradient(lambda given: above(given, conv(net.aside, relu(given))), c)),
    ):
        found = visualize_saliency(
            net.model,
            -1,
            1,
            IMAGE,
            wrt_tensor=wrt,
            backprop_modifier=modifier,
            grad_modifier=None,
            keepdims=True,
        )
        np.testing.assert_allclose(found, normalized(wanted[0]), atol=2e-5)


def test_wrt_tensor_of_a_nested_model() -> None:
    first, second, end = small_conv(activation="relu", name="first"), small_conv(3), layers.Dense(3)
    backbone = keras.Sequential([layers.Input(SHAPE), first, second], name="backbone")
    model = keras.Sequential([layers.Input(SHAPE), backbone, layers.Flatten(), end])
    y = native.relu(conv(first, IMAGE[None]))
    wanted = gradient(lambda given: dense(end, flat(conv(second, given))), y)[0]
    found = visualize_saliency(
        model, -1, 1, IMAGE, wrt_tensor=first.output, grad_modifier=None, keepdims=True
    )
    np.testing.assert_allclose(found, normalized(wanted), atol=2e-5)


def test_wrt_tensor_after_the_target_has_no_path() -> None:
    net = residual()
    with pytest.raises(GradientError, match="No path leads"):
        visualize_saliency(net.model, net.below, 1, IMAGE, wrt_tensor=net.h)


def test_batch_normalization_and_dropout_do_not_move() -> None:
    """In inference mode twice the same, and no statistic, seed or other variable moves."""
    case = batch_normalization_and_dropout()
    before = [variable.numpy() for variable in case.model.variables]
    maps = [
        visualize_saliency(case.model, -1, 1, IMAGE, backprop_modifier=modifier)
        for modifier in (None, "guided", None, "guided")
    ]
    np.testing.assert_array_equal(maps[0], maps[2])
    np.testing.assert_array_equal(maps[1], maps[3])
    for variable, value in zip(case.model.variables, before, strict=True):
        np.testing.assert_array_equal(variable.numpy(), value)


def test_augmentation_does_not_move_its_seeds() -> None:
    case = augmentation_and_rescaling_inside()
    seeds = [layer.seed_generator.state for layer in case.model.layers if hasattr(layer, "seed_generator")]
    before = [seed.numpy() for seed in seeds]
    visualize_saliency(case.model, -1, 1, case.x)
    assert seeds
    for seed, value in zip(seeds, before, strict=True):
        np.testing.assert_array_equal(seed.numpy(), value)


STEPS = np.random.default_rng(5).normal(size=(4, 2)).astype(np.float32)


@pytest.mark.parametrize("batch", [1, 3])
def test_stateful_rnn(batch: int) -> None:
    """The state that the user left is where it starts, and it is left where it was."""
    rnn = layers.SimpleRNN(3, stateful=True, bias_initializer="normal")
    model = keras.Sequential([keras.Input(batch_shape=(batch, 4, 2)), rnn])
    start = np.float32([0.5, -1.0, 2.0])

    def forward(x: Any) -> Any:
        h = ops.convert_to_tensor(start[None])
        cell = rnn.cell
        for t in range(4):
            h = ops.tanh(x[:, t] @ cell.kernel + cell.bias + h @ cell.recurrent_kernel)
        return h

    wanted = gradient(forward, STEPS[None])[0]
    for _ in range(2):
        rnn.states[0].assign(np.tile(start, (batch, 1)))
        found = visualize_saliency(model, -1, 1, STEPS, grad_modifier=None, keepdims=True)
        np.testing.assert_allclose(found, normalized(wanted), atol=2e-5)
        np.testing.assert_array_equal(rnn.states[0].numpy(), np.tile(start, (batch, 1)))


def test_stateful_rnn_that_the_user_ran_in_between() -> None:
    rnn = layers.GRU(3, stateful=True)
    model = keras.Sequential([keras.Input(batch_shape=(1, 4, 2)), rnn])
    first = visualize_saliency(model, -1, 1, STEPS)
    model(STEPS[None])
    moved = visualize_saliency(model, -1, 1, STEPS)
    rnn.reset_states()
    np.testing.assert_array_equal(visualize_saliency(model, -1, 1, STEPS), first)
    assert not np.allclose(moved, first, atol=1e-3)


def test_layer_that_the_model_holds_and_does_not_run() -> None:
    class Idle(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.end, self.idle = layers.Dense(2), layers.Dense(2, name="idle")
            self.idle.build((None, 3))

        def call(self, x: Any) -> Any:
            return self.end(x)

    model = Idle()
    model(np.zeros((1, 3), np.float32))
    with pytest.raises(LayerError, match="'idle' gave no output"):
        visualize_saliency(model, "idle", 0, np.ones(3))


def test_dead_relu_network_is_said_to_be_empty() -> None:
    """Every path is closed: a map of zeros, with a warning."""
    entry = keras.Input((3,))
    model = keras.Model(entry, layers.Dense(2)(layers.ReLU()(entry - 10.0)))
    with pytest.warns(EmptyMapWarning, match="zero everywhere"):
        found = visualize_saliency(model, -1, 0, np.ones(3))
    np.testing.assert_array_equal(found, np.zeros(3))
