"""The two functions: maps by hand and by an oracle, what they return, and each wrong call with its error."""

from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops

from tests import native
from vis import backprop_modifiers, errors, linear_outputs
from vis.losses import ActivationMaximization, Loss
from vis.visualization import visualize_saliency, visualize_saliency_with_losses

IMAGE = np.arange(12, dtype=np.float32).reshape(2, 2, 3)
# The gradient of the only output is this kernel.
KERNEL = np.array([[[1, -4, 2], [0, 0, 0]], [[-1, -1, -3], [2, 0, 1]]], np.float32)


@pytest.fixture
def model() -> keras.Model:
    model = keras.Sequential(
        [layers.Input((2, 2, 3)), layers.Flatten(), layers.Dense(1, use_bias=False, name="end")]
    )
    model.set_weights([KERNEL.reshape(12, 1)])
    return model


@pytest.mark.parametrize(
    ("modifier", "expected"),
    [
        ("absolute", [[1, 0], [0.75, 0.5]]),  # maxima 4, 0, 3, 2
        (None, [[1, 1 / 3], [0, 1]]),  # maxima 2, 0, -1, 2
        ("negate", [[1, 0], [0.75, 0]]),  # maxima 4, 0, 3, 0
        ("relu", [[1, 0], [0, 1]]),  # maxima 2, 0, 0, 2
        (lambda g: g**2, [[1, 0], [9 / 16, 4 / 16]]),  # maxima 16, 0, 9, 4
    ],
)
def test_a_map_by_hand(model: keras.Model, modifier: Any, expected: list[list[float]]) -> None:
    found = visualize_saliency(model, -1, 0, IMAGE, grad_modifier=modifier)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("modifier", "raw"),
    [  # the values of largest magnitude of [1, -4, 2], [0, 0, 0], [-1, -1, -3], [2, 0, 1], modified
        ("absolute", [[4, 0], [3, 2]]),
        (None, [[-4, 0], [-3, 2]]),
        ("negate", [[4, 0], [3, -2]]),
        ("relu", [[2, 0], [0, 2]]),
        (lambda g: -(g**3), [[64, 0], [27, -8]]),
        (lambda g: np.sign(g).astype(int), [[1, 0], [-1, 1]]),  # of 1 and -1, the positive one
        (lambda g: g > 0, [[1, 0], [0, 1]]),
    ],
)
def test_signed_and_raw_maps_by_hand(model: keras.Model, modifier: Any, raw: list[list[float]]) -> None:
    found = visualize_saliency(model, -1, 0, IMAGE, grad_modifier=modifier, normalize=None)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, raw, rtol=1e-6)
    signed = visualize_saliency(model, -1, 0, IMAGE, grad_modifier=modifier, normalize="signed")
    assert signed.dtype == np.float32
    np.testing.assert_allclose(signed, np.array(raw) / np.abs(raw).max(), rtol=1e-6)
    losses = [(ActivationMaximization(model.layers[-1], 0), -1)]
    for expected, normalize in ((found, None), (signed, "signed")):
        other = visualize_saliency_with_losses(
            model, losses, IMAGE, grad_modifier=modifier, normalize=normalize
        )
        assert np.array_equal(other, expected)


SLOW_MODIFIERS = {
    None: lambda g: g,
    "absolute": abs,
    "negate": lambda g: -g,
    "relu": lambda g: g if g > 0 else 0.0,
    "invert": lambda g: 1 / (g + (1e-7 if g >= 0 else -1e-7)),
    "small_values": lambda g: 1 / (abs(g) + 1e-7),
}


def slow_map(gradient: np.ndarray, modifier: str | None, normalize: str | None, keep: bool) -> np.ndarray:
    """One value at a time, from the formulas."""
    values = np.array([SLOW_MODIFIERS[modifier](float(g)) for g in gradient.ravel()])
    rows = values.reshape(-1, gradient.shape[-1])
    if not keep and gradient.ndim > 1:
        strongest = max if normalize == "minmax" else (lambda row: max(row, key=abs))
        rows = np.array([strongest(list(row)) for row in rows])
    numbers = rows.ravel()
    if normalize == "minmax":
        numbers = (numbers - min(numbers)) / (max(numbers) - min(numbers))
    elif normalize == "signed":
        numbers = numbers / max(abs(number) for number in numbers)
    return numbers.reshape(gradient.shape if keep or gradient.ndim < 2 else gradient.shape[:-1])


@pytest.fixture(scope="module")
def two_inputs() -> tuple[keras.Model, list[np.ndarray], list[np.ndarray]]:
    picture, table = layers.Input((3, 4, 2)), layers.Input((3,))
    x = layers.Flatten()(layers.Conv2D(3, 2, activation="tanh")(picture))
    x = layers.Concatenate()([x, layers.Dense(4, "tanh")(table)])
    network = keras.Model([picture, table], layers.Dense(3, "tanh")(x))
    rng = np.random.default_rng(0)  # gradients of both signs by either input
    network.set_weights([0.4 * rng.normal(size=weight.shape) for weight in network.get_weights()])
    arrays = [rng.normal(size=(1, 3, 4, 2)).astype(np.float32), rng.normal(size=(1, 3)).astype(np.float32)]
    gradients = native.gradients(lambda *x: ops.sum(network(list(x))[:, ::2], axis=-1), arrays)
    return network, [x[0] for x in arrays], [gradient[0] for gradient in gradients]


@pytest.mark.parametrize("keep", [False, True])
@pytest.mark.parametrize("normalize", ["minmax", "signed", None])
@pytest.mark.parametrize("modifier", list(SLOW_MODIFIERS))
def test_each_normalization_agrees_with_the_oracle(
    two_inputs: Any, modifier: str | None, normalize: Any, keep: bool
) -> None:
    network, arrays, gradients = two_inputs
    found = visualize_saliency(
        network, -1, [0, 2], arrays, grad_modifier=modifier, keepdims=keep, normalize=normalize
    )
    for one, gradient in zip(found, gradients, strict=True):
        expected = slow_map(gradient, modifier, normalize, keep)
        assert one.dtype == np.float32
        np.testing.assert_allclose(one, expected, rtol=1e-4, atol=1e-6 * np.abs(expected).max())
        if normalize == "signed":
            assert np.abs(one).max() == 1


def constant_gradient(value: float = -3.0) -> keras.Model:
    model = keras.Sequential([layers.Input((2, 2, 1)), layers.Flatten(), layers.Dense(1, use_bias=False)])
    model.set_weights([np.full((4, 1), value)])
    return model


class Times(layers.Layer):
    """The sum of the values, times a number, in 64 bits: a `Dense` of Keras makes 32 of them on PyTorch."""

    def __init__(self, number: float) -> None:
        super().__init__(dtype="float64")
        self.number = number

    def call(self, x: Any) -> Any:
        return ops.sum(x, axis=(1, 2)) * self.number


def constant_double_gradient(value: float) -> keras.Model:
    return keras.Sequential([layers.Input((2, 2, 1), dtype="float64"), Times(value)])


def test_a_constant_map_is_zeros_in_minmax_only() -> None:
    model, image = constant_gradient(), np.ones((2, 2, 1))
    with pytest.warns(errors.EmptyMapWarning, match="gradient is constant.*or normalize=None, which returns"):
        assert not visualize_saliency(model, -1, 0, image).any()
    raw = visualize_saliency(model, -1, 0, image, grad_modifier=None, normalize=None)
    assert raw.tolist() == [[-3, -3], [-3, -3]]
    signed = visualize_saliency(model, -1, 0, image, grad_modifier=None, normalize="signed")
    assert signed.tolist() == [[-1, -1], [-1, -1]]


@pytest.mark.parametrize("normalize", ["minmax", "signed", None])
def test_a_modifier_that_leaves_nothing_is_named(normalize: Any) -> None:
    model, image = constant_gradient(), np.ones((2, 2, 1))
    with pytest.warns(errors.EmptyMapWarning, match="modified gradient is zero. Try another grad_modifier"):
        found = visualize_saliency(model, -1, 0, image, grad_modifier="relu", normalize=normalize)
    assert found.shape == (2, 2) and not found.any()


@pytest.mark.parametrize("normalize", ["minmax", "signed", None])
def test_a_gradient_of_zero_is_named(normalize: Any) -> None:
    model, image = constant_gradient(value=0.0), np.ones((2, 2, 1))
    with pytest.warns(errors.EmptyMapWarning, match="The gradient is zero: the output does not depend"):
        assert not visualize_saliency(model, -1, 0, image, normalize=normalize).any()


@pytest.mark.in_64_bits
def test_raw_values_that_float32_does_not_hold() -> None:
    image = np.ones((2, 2, 1))
    large, small = constant_double_gradient(1e200), constant_double_gradient(1e-200)
    with pytest.raises(
        errors.GradientError, match=r'too large for float32: 1e\+200. Pass normalize="signed"'
    ):
        visualize_saliency(large, -1, 0, image, normalize=None)
    with pytest.warns(errors.EmptyMapWarning, match="too small for float32"):
        assert not visualize_saliency(small, -1, 0, image, normalize=None).any()
    for model in (large, small):
        assert visualize_saliency(model, -1, 0, image, normalize="signed").tolist() == [[1, 1], [1, 1]]


@pytest.mark.parametrize("wrong", ["min-max", "sign", 1, False, ["minmax"], np.array(["minmax", "signed"])])
def test_a_wrong_normalization_is_refused_first(model: keras.Model, wrong: Any) -> None:
    losses = [(ActivationMaximization(model.layers[-1], 0), -1)]
    with pytest.raises(errors.InputError, match=r'normalize must be "minmax".*Received: ') as caught:
        visualize_saliency(model, "no layer", 0, IMAGE, normalize=wrong)
    assert ("Did you mean" in str(caught.value)) is isinstance(wrong, str)
    with pytest.raises(errors.InputError, match='normalize must be "minmax"'):
        visualize_saliency_with_losses(model, losses, IMAGE, normalize=wrong)


def test_wrt_is_a_tensor_a_layer_or_a_name() -> None:
    keras.utils.set_random_seed(3)
    entry = layers.Input((5,))
    hidden = layers.Dense(4, "tanh", name="hidden")
    model = keras.Model(entry, layers.Dense(2, "tanh")(hidden(entry)))
    vector = np.linspace(-1, 1, 5)
    losses = [(ActivationMaximization(model.layers[-1], 1), -1)]
    expected = visualize_saliency(model, -1, 1, vector, hidden.output)
    assert expected.shape == (4,) and expected.any()
    for wrt in (hidden.output, hidden, "hidden", 1):
        for argument in ("wrt", "wrt_tensor"):
            assert np.array_equal(visualize_saliency(model, -1, 1, vector, **{argument: wrt}), expected)
            found = visualize_saliency_with_losses(model, losses, vector, **{argument: wrt})
            assert np.array_equal(found, expected)
    found = visualize_saliency_with_losses(model.inputs, losses, vector, wrt=hidden.output)
    assert np.array_equal(found, expected)
    with pytest.raises(
        errors.LayerError, match=r"wrt must be a layer or a symbolic tensor.*Received: 'hidden'"
    ):
        visualize_saliency_with_losses(model.inputs, losses, vector, wrt="hidden")
    for call in (
        lambda: visualize_saliency(model, -1, 1, vector, "hidden", wrt="hidden"),
        lambda: visualize_saliency_with_losses(model, losses, vector, "hidden", wrt=hidden),
    ):
        with pytest.raises(errors.InputError, match="wrt and wrt_tensor name the same argument"):
            call()


def test_small_values_and_invert(model: keras.Model) -> None:
    found = visualize_saliency(model, -1, 0, IMAGE, grad_modifier="small_values")
    # A gradient of zero gives 1e7, beside which all others vanish.
    np.testing.assert_allclose(found, [[0, 1], [0, 1]], atol=1e-6)
    found = visualize_saliency(model, -1, 0, IMAGE, grad_modifier="invert")
    np.testing.assert_allclose(found, [[0, 1], [0, 1]], atol=1e-6)


def test_keepdims_keeps_the_channels(model: keras.Model) -> None:
    found = visualize_saliency(model, -1, 0, IMAGE, keepdims=True)
    np.testing.assert_allclose(found, np.abs(KERNEL) / 4, rtol=1e-6)


@pytest.mark.parametrize("given", ["name", -1, 1, "layer", np.int64(1)])
def test_a_layer_by_whatever_names_it(model: keras.Model, given: Any) -> None:
    layer = {"name": "end", "layer": model.layers[-1]}.get(given, given)
    assert visualize_saliency(model, layer, None, IMAGE).max() == 1


def test_with_losses_is_the_same_for_the_same_loss(model: keras.Model) -> None:
    losses = [(ActivationMaximization(model.layers[-1], 0), -1)]
    expected = visualize_saliency(model, -1, 0, IMAGE, grad_modifier=None)
    for source in (model, model.inputs[0], model.inputs):
        found = visualize_saliency_with_losses(source, losses, IMAGE, grad_modifier=None)
        assert np.array_equal(found, expected)


def test_the_sign_of_a_weight_turns_the_gradient(model: keras.Model) -> None:
    losses = [(ActivationMaximization(model.layers[-1], 0), 1)]
    found = visualize_saliency_with_losses(model, losses, IMAGE, grad_modifier=None)
    assert np.array_equal(found, visualize_saliency(model, -1, 0, IMAGE, grad_modifier="negate"))


def test_a_weight_of_zero_gives_an_empty_map_and_says_so(model: keras.Model) -> None:
    losses = [(ActivationMaximization(model.layers[-1], 0), 0)]
    with pytest.warns(errors.EmptyMapWarning, match="zero everywhere"):
        assert not visualize_saliency_with_losses(model, losses, IMAGE).any()


def relu_model() -> keras.Model:
    inputs = layers.Input((3,))
    return keras.Model(inputs, layers.Dense(1, use_bias=False)(ops.relu(2.0 * inputs)))


@pytest.mark.parametrize(
    "given", ["guided", backprop_modifiers.guided, lambda x, y, dy, dx: ops.relu(dy) * 0 + dx]
)
def test_a_backprop_modifier_by_whatever_names_it(given: Any) -> None:
    model = relu_model()
    model.set_weights([np.array([[1.0], [-1.0], [3.0]])])
    found = visualize_saliency(model, -1, 0, [1.0, 1.0, -1.0], None, given, None)
    # Vanilla is (2, -2, 0), guided (2, 0, 0).
    expected = [1, 0, 0] if not callable(given) or given is backprop_modifiers.guided else [1, 0, 0.5]
    assert found.tolist() == expected


def test_a_modified_model_is_explained_by_its_own_rule() -> None:
    model = relu_model()
    model.set_weights([np.array([[1.0], [-1.0], [3.0]])])
    guided = backprop_modifiers.guided(model)
    assert visualize_saliency(guided, -1, 0, [1.0, 1.0, -1.0], grad_modifier=None).tolist() == [1, 0, 0]
    losses = [(ActivationMaximization(guided.layers[-1], 0), -1)]
    found = visualize_saliency_with_losses(guided, losses, [1.0, 1.0, -1.0], grad_modifier=None)
    assert found.tolist() == [1, 0, 0]


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"model": 3}, errors.ModelError, "Expected a keras.Model. Received: 3"),
        ({"layer_idx": "ned"}, errors.LayerError, "no layer 'ned'. Did you mean 'end'"),
        ({"layer_idx": 2}, errors.LayerError, "valid indices are -2 to 1"),
        ({"layer_idx": 1.0}, errors.LayerError, "Received: 1.0 of type float"),
        ({"layer_idx": None}, errors.LayerError, "Received: None"),
        ({"layer_idx": layers.Dense(1, name="stray")}, errors.LayerError, "'stray' is not part of the model"),
        ({"filter_indices": 1}, errors.FilterError, "index 1 is out of range: the layer 'end' has 1 filters"),
        ({"filter_indices": -2}, errors.FilterError, "index -2 is out of range"),
        ({"filter_indices": "a"}, errors.FilterError, "must be integers"),
        ({"seed_input": np.zeros((3, 2, 3))}, errors.InputError, "must have shape (2, 2, 3)"),
        ({"seed_input": np.zeros((2, 2))}, errors.InputError, "Received: shape (2, 2)"),
        ({"seed_input": np.zeros((5, 2, 2, 3))}, errors.InputError, "a batch of 5"),
        ({"seed_input": np.zeros((0, 2, 2, 3))}, errors.InputError, "Received: shape (0, 2, 2, 3)"),
        ({"seed_input": np.full((2, 2, 3), np.nan)}, errors.InputError, "12 values that are NaN or infinite"),
        ({"seed_input": np.full((2, 2, 3), np.inf)}, errors.InputError, "the first at (0, 0, 0)"),
        ({"seed_input": "picture.png"}, errors.InputError, "must hold real numbers. Received: str"),
        ({"seed_input": None}, errors.InputError, "must hold real numbers. Received: NoneType"),
        ({"seed_input": IMAGE + 1j}, errors.InputError, "of type complex64"),
        ({"seed_input": [[1, 2], [3]]}, errors.InputError, "is not an array"),
        ({"seed_input": {"a": IMAGE}}, errors.InputError, "a dict with the keys 'a'"),
        ({"wrt_tensor": IMAGE}, errors.LayerError, "a symbolic tensor, or pass the layer itself. Received"),
        ({"backprop_modifier": "guided"}, errors.ModifierError, "reaches no activation of the model"),
        ({"backprop_modifier": "gided"}, errors.ModifierError, "Did you mean 'guided'"),
        ({"backprop_modifier": lambda x: x}, errors.ModifierError, "rule(x, y, grad, true_grad)"),
        ({"grad_modifier": "abs"}, errors.ModifierError, "Valid names: absolute, invert"),
        ({"grad_modifier": 1}, errors.ModifierError, "Not a gradient modifier"),
        ({"grad_modifier": lambda g: g[0]}, errors.ModifierError, "shape (2, 3) instead of (2, 2, 3)"),
        ({"grad_modifier": np.log}, errors.ModifierError, "values are NaN or infinite"),
    ],
)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # the logarithm of zero is the point
def test_each_wrong_call_has_its_error(
    model: keras.Model, changes: dict[str, Any], error: type[Exception], words: str
) -> None:
    arguments = {"model": model, "layer_idx": -1, "filter_indices": 0, "seed_input": IMAGE} | changes
    with pytest.raises(error) as caught:
        visualize_saliency(**arguments)
    assert words in str(caught.value)
    assert isinstance(caught.value, errors.VisError)


def test_integers_have_no_gradient() -> None:
    model = keras.Sequential(
        [
            layers.Input((4,), dtype="int32"),
            layers.Embedding(10, 2, name="words"),
            layers.Flatten(),
            layers.Dense(1),
        ]
    )
    with pytest.raises(errors.InputError, match="wrt='words'"):
        visualize_saliency(model, -1, 0, [1, 2, 3, 4])
    with pytest.raises(errors.InputError, match=r"takes integers \(int32\)"):
        visualize_saliency(model, -1, 0, [1.5, 2, 3, 4])
    words = model.get_layer("words")
    assert visualize_saliency(model, -1, 0, [1, 2, 3, 4], wrt_tensor=words.output).shape == (4,)


def test_no_path_to_the_loss(model: keras.Model) -> None:
    inputs = layers.Input((3,))
    first = layers.Dense(2, name="first")(inputs)
    last = layers.Dense(2, name="last")(first)
    model = keras.Model(inputs, last)
    with pytest.raises(
        errors.GradientError, match="No path leads from the loss 'ActivationMax Loss' to 'last'"
    ):
        visualize_saliency(model, "first", 0, np.ones(3), wrt_tensor=last)


def test_weights_that_are_not_finite(model: keras.Model) -> None:
    model.set_weights([np.full((12, 1), np.nan)])
    with pytest.raises(errors.GradientError, match="12 of 12 values that are NaN or infinite"):
        visualize_saliency(model, -1, 0, IMAGE)


def test_a_softmax_under_the_loss_warns(model: keras.Model) -> None:
    inputs = layers.Input((3,))
    model = keras.Model(inputs, layers.Dense(2, activation="softmax", name="classes")(inputs))
    with pytest.warns(errors.SoftmaxWarning, match="'classes' ends in a softmax.*linear_outputs"):
        visualize_saliency(model, -1, 0, np.ones(3))


def test_warnings_point_to_the_call(model: keras.Model) -> None:
    losses = [(ActivationMaximization(model.layers[-1], 0), 0)]
    with pytest.warns(errors.EmptyMapWarning) as caught:
        visualize_saliency_with_losses(model, losses, IMAGE)
    with pytest.warns(errors.EmptyMapWarning) as also:
        visualize_saliency(model, -1, 0, IMAGE, grad_modifier=np.zeros_like)
    assert {caught[0].filename, also[0].filename} == {__file__}


class Margin(Loss):
    """One output of a layer over another."""

    name = "margin"

    def __init__(self, layer: Any) -> None:
        self.layer = layer

    def build_loss(self) -> Any:
        return self.layer.output[:, 0] - self.layer.output[:, 1]


@pytest.mark.parametrize("end", ["softmax", lambda x: ops.exp(x) / ops.sum(ops.exp(x), -1, keepdims=True)])
def test_a_loss_of_a_softmax_that_the_model_leaves_out(end: Any) -> None:
    """The loss computes the softmax itself, whatever layers the model has."""
    model = keras.Sequential([layers.Input((3,)), layers.Dense(3, activation=end, name="classes")])
    logits = linear_outputs(model)
    row = np.ones(3, np.float32)
    with pytest.warns(errors.SoftmaxWarning, match="'classes' ends in a softmax.*linear_outputs"):
        visualize_saliency_with_losses(logits, [(Margin(model.layers[-1]), 1)], row)
    visualize_saliency_with_losses(logits, [(Margin(logits.layers[-1]), 1)], row)
