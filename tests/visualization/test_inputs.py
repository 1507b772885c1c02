"""Saliency on the inputs that tools of this kind fail on.

The oracle is the framework's gradient of the unmodified model, reduced and scaled by NumPy.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops

from tests import native
from vis.attributions import Saliency
from vis.errors import EmptyMapWarning, InputError
from vis.visualization import visualize_saliency


@pytest.fixture(autouse=True)
def seeded() -> None:
    keras.utils.set_random_seed(5)


def normalized(a: Any) -> Any:
    a = np.asarray(a, np.float64)
    return (a - a.min()) / (a.max() - a.min())


def taped(model: Any, *inputs: Any, index: int = 0) -> list[Any]:
    """Return the gradient of one output, by the framework, for each input, without the batch axis."""

    def score(*tensors: Any) -> Any:
        y = model(list(tensors) if len(tensors) > 1 else tensors[0], training=False)
        return ops.mean(y[..., index])

    arrays = [np.asarray(x, np.float32)[None] for x in inputs]
    return [gradient[0] for gradient in native.gradients(score, arrays)]


def reduced(gradient: Any, axis: int = -1) -> Any:
    return normalized(abs(gradient) if gradient.ndim < 2 else abs(gradient).max(axis=axis))


def smooth(shape: tuple[Any, ...], *stack: Any) -> keras.Model:
    """Return a network whose gradient depends on the input everywhere."""
    return keras.Sequential(
        [layers.Input(shape), *stack, layers.Flatten(), layers.Dense(3, "tanh"), layers.Dense(2)]
    )


def picture(*shape: int) -> Any:
    return np.random.default_rng(shape).normal(size=shape).astype(np.float32)


SHAPES = {
    "features only": ((6,), []),
    "Conv1D": ((7, 3), [layers.Conv1D(4, 3, activation="tanh")]),
    "Conv3D": ((4, 5, 3, 2), [layers.Conv3D(3, 2, activation="tanh")]),
    "height is not width": ((4, 7, 3), [layers.Conv2D(4, 3, activation="tanh")]),
    "height of 1": ((1, 7, 3), [layers.Conv2D(4, (1, 3), activation="tanh")]),
    "width of 1": ((7, 1, 3), [layers.Conv2D(4, (3, 1), activation="tanh")]),
    "1 channel": ((4, 5, 1), [layers.Conv2D(4, 3, activation="tanh")]),
    "11 channels": ((4, 5, 11), [layers.Conv2D(4, 3, activation="tanh")]),
    "sequence into LSTM": ((6, 3), [layers.LSTM(4)]),
}


@pytest.mark.parametrize(("shape", "stack"), SHAPES.values(), ids=SHAPES.keys())
def test_shapes(shape: tuple[int, ...], stack: list[Any]) -> None:
    """Without a batch axis, and with one of length 1."""
    # The layers above are only their configuration: each test has its own.
    model = smooth(shape, *(type(layer).from_config(layer.get_config()) for layer in stack))
    x = picture(*shape)
    (wanted,) = taped(model, x)
    for given in (x, x[None]):
        found = visualize_saliency(model, -1, 0, given)
        assert found.shape == (shape if len(shape) == 1 else shape[:-1])
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, reduced(wanted), atol=2e-5)
        kept = visualize_saliency(model, -1, 0, given, grad_modifier=None, keepdims=True)
        np.testing.assert_allclose(kept, normalized(wanted), atol=2e-5)


def test_single_feature_is_never_collapsed() -> None:
    """One value is constant: zeros, with a warning, in the shape of the input."""
    model = smooth((1,))
    with pytest.warns(EmptyMapWarning):
        found = visualize_saliency(model, -1, 0, np.ones(1))
    np.testing.assert_array_equal(found, np.zeros(1))


# A channels_first convolution does not run on every CPU: Keras 3.5 hands it to TensorFlow, which has none.
# Pooling and batch norm do run.
def channels_first() -> keras.Model:
    norm = layers.BatchNormalization(axis=1)
    model = smooth(
        (3, 4, 6),
        layers.AveragePooling2D(2, strides=1, data_format="channels_first"),
        norm,
        layers.Activation("tanh"),
    )
    norm.gamma.assign([1.0, -3.0, 0.2])
    return model


def test_channels_first() -> None:
    model, x = channels_first(), picture(3, 4, 6)
    (wanted,) = taped(model, x)
    found = visualize_saliency(model, -1, 0, x)
    assert found.shape == (4, 6)
    np.testing.assert_allclose(found, reduced(wanted, axis=0), atol=2e-5)
    kept = visualize_saliency(model, -1, 0, x[None], grad_modifier=None, keepdims=True)
    np.testing.assert_allclose(kept, normalized(wanted), atol=2e-5)


def test_channels_first_filters_are_where_the_model_has_them() -> None:
    """The filters of a pooling layer are its channels: the gradient of filter 1 lies in channel 1 alone."""
    model = channels_first()
    pool = model.layers[0]
    found = visualize_saliency(model, pool, 1, picture(3, 4, 6), keepdims=True)
    # Each cell counts once for each window of 2 x 2 that covers it.
    covered = np.outer([1, 2, 2, 1], [1, 2, 2, 2, 2, 1])
    np.testing.assert_allclose(found, np.stack([0 * covered, covered / 4, 0 * covered]), atol=1e-6)


@pytest.mark.parametrize("sizes", [[(5, 4), (9, 7)], [(9, 7), (5, 4)]], ids=["growing", "shrinking"])
def test_two_sizes_in_a_row(sizes: list[tuple[int, int]]) -> None:
    """A fully convolutional model takes pictures of any size, one after the other."""
    model = keras.Sequential(
        [
            layers.Input((None, None, 3)),
            layers.Conv2D(4, 3, activation="tanh"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(2),
        ]
    )
    for size in (*sizes, *sizes):
        x = picture(*size, 3)
        found = visualize_saliency(model, -1, 0, x)
        assert found.shape == size
        np.testing.assert_allclose(found, reduced(taped(model, x)[0]), atol=2e-5)


def read_only(x: Any) -> Any:
    x = x.copy()
    x.flags.writeable = False
    return x


PIXELS = np.random.default_rng(11).integers(0, 5, (4, 5, 3))
FORMS = {
    "uint8": PIXELS.astype(np.uint8),
    "int32": PIXELS.astype(np.int32),
    "int64": PIXELS.astype(np.int64),
    "float16": PIXELS.astype(np.float16),
    "float32": PIXELS.astype(np.float32),
    "float64": PIXELS.astype(np.float64),
    "big-endian": PIXELS.astype(">f4"),
    "int lists": PIXELS.tolist(),
    "int lists with a batch axis": [PIXELS.tolist()],
    "non-contiguous": np.repeat(np.repeat(PIXELS, 2, axis=0), 3, axis=1)[::2, ::3],
    "Fortran order": np.asfortranarray(PIXELS),
    "negative strides": PIXELS[::-1, ::-1].copy()[::-1, ::-1],
    "read-only": read_only(PIXELS.astype(np.float32)),
    "a tensor": ops.convert_to_tensor(PIXELS, "float32"),
    "a list of one picture": [PIXELS],
}


@pytest.mark.parametrize("given", FORMS.values(), ids=FORMS.keys())
def test_types_and_layouts(given: Any) -> None:
    model = smooth((4, 5, 3), layers.Rescaling(0.5), layers.Conv2D(4, 3, activation="tanh"))
    before = np.array(given)
    found = visualize_saliency(model, -1, 0, given)
    np.testing.assert_allclose(found, reduced(taped(model, PIXELS)[0]), atol=2e-5)
    np.testing.assert_array_equal(np.array(given), before)


def test_booleans() -> None:
    model = smooth((6,))
    x = np.array([True, False, True, True, False, False])
    np.testing.assert_allclose(visualize_saliency(model, -1, 0, x), reduced(taped(model, x)[0]), atol=2e-5)


@pytest.mark.parametrize("value", [0.0, 1.0, 255.0])
def test_constant_image(value: float) -> None:
    model = smooth((4, 5, 3), layers.Rescaling(1 / 255), layers.Conv2D(4, 3, activation="tanh"))
    x = np.full((4, 5, 3), value)
    np.testing.assert_allclose(visualize_saliency(model, -1, 0, x), reduced(taped(model, x)[0]), atol=2e-5)


def image_and_table() -> keras.Model:
    image, table = keras.Input((4, 5, 3), name="image"), keras.Input((6,), name="table")
    x = layers.Flatten()(layers.Conv2D(2, 3, activation="tanh")(image))
    x = layers.Concatenate()([x, layers.Dense(3, activation="tanh")(table)])
    return keras.Model([image, table], layers.Dense(2)(layers.Dense(4, activation="tanh")(x)))


def test_image_and_table() -> None:
    model, image, table = image_and_table(), picture(4, 5, 3), picture(6)
    on_image, on_table = taped(model, image, table)
    for given in ([image, table], [image[None], table[None]], (image, table[None])):
        found = visualize_saliency(model, -1, 0, given)
        assert [part.shape for part in found] == [(4, 5), (6,)]
        np.testing.assert_allclose(found[0], reduced(on_image), atol=2e-5)
        np.testing.assert_allclose(found[1], reduced(on_table), atol=2e-5)


def test_list_inputs_by_name() -> None:
    """What is given as a dict comes back as one."""
    model, image, table = image_and_table(), picture(4, 5, 3), picture(6)
    on_image, on_table = taped(model, image, table)
    found = visualize_saliency(model, -1, 0, {"table": table, "image": image})
    assert set(found) == {"image", "table"}
    np.testing.assert_allclose(found["image"], reduced(on_image), atol=2e-5)
    np.testing.assert_allclose(found["table"], reduced(on_table), atol=2e-5)


def test_dict_inputs() -> None:
    # The order of the keys in the model is not that in what is given.
    entry = {"b": keras.Input((3,), name="b"), "a": keras.Input((3,), name="a")}
    hidden = layers.Concatenate()([layers.Dense(4, "tanh")(entry["a"]), layers.Dense(4, "tanh")(entry["b"])])
    model = keras.Model(entry, layers.Dense(2)(hidden))
    x = {"a": picture(3), "b": picture(3)}
    score = lambda *tensors: model(dict(zip(x, tensors, strict=True)))[:, 0]  # noqa: E731
    wanted = dict(zip(x, native.gradients(score, [value[None] for value in x.values()]), strict=True))
    found = visualize_saliency(model, -1, 0, x)
    assert set(found) == {"a", "b"}
    for key in x:
        np.testing.assert_allclose(found[key], reduced(wanted[key][0]), atol=2e-5)


def test_input_that_the_target_does_not_depend_on() -> None:
    """Its map is zero everywhere, and a warning says so; the other's is what it is."""
    image, table = keras.Input((4, 5, 3), name="image"), keras.Input((6,), name="table")
    seen = layers.Dense(2, name="seen")(layers.Flatten()(layers.Conv2D(2, 3, activation="tanh")(image)))
    model = keras.Model([image, table], [seen, layers.Dense(2)(table)])
    x = picture(4, 5, 3)
    with pytest.warns(EmptyMapWarning, match=r"shape \(6,\) is zero everywhere") as caught:
        found = visualize_saliency(model, "seen", 0, [x, picture(6)])
    assert len(caught) == 1
    np.testing.assert_array_equal(found[1], np.zeros(6))
    np.testing.assert_allclose(found[0], reduced(taped(keras.Model(image, seen), x)[0]), atol=2e-5)


TOKENS = np.array([3, 1, 4, 1, 5, 0, 0])


def text_model(mask_zero: bool) -> keras.Model:
    return keras.Sequential(
        [
            keras.Input((7,), dtype="int32"),
            layers.Embedding(8, 4, mask_zero=mask_zero, name="embedding"),
            layers.LSTM(5, name="lstm"),
            layers.Dense(2, name="end"),
        ]
    )


def test_integer_tokens_have_no_gradient() -> None:
    with pytest.raises(InputError, match=r"no gradient with respect to an integer.*wrt="):
        visualize_saliency(text_model(mask_zero=False), -1, 0, TOKENS)


@pytest.mark.parametrize("mask_zero", [False, True])
def test_integer_tokens_by_the_output_of_the_embedding(mask_zero: bool) -> None:
    """With `mask_zero` the padding has no part in it: its saliency is exactly 0."""
    model = text_model(mask_zero)
    embedding, lstm, end = (model.get_layer(name) for name in ("embedding", "lstm", "end"))
    mask = ops.convert_to_tensor(TOKENS[None] != 0) if mask_zero else None
    vectors = ops.take(embedding.embeddings, TOKENS[None], axis=0)
    wanted = reduced(native.gradient(lambda given: end(lstm(given, mask=mask))[:, 0], vectors)[0])
    for given in (TOKENS, TOKENS[None], TOKENS.tolist(), TOKENS.astype(float)):
        found = visualize_saliency(model, -1, 0, given, wrt_tensor=embedding.output)
        assert found.shape == (7,)
        np.testing.assert_allclose(found, wanted, atol=2e-5)
        assert (found[5:] == 0).all() == mask_zero


def test_tokens_beside_numbers() -> None:
    """The numbers have a map; the tokens' is zero everywhere, which a warning says."""
    tokens, numbers = keras.Input((7,), dtype="int32", name="tokens"), keras.Input((6,), name="numbers")
    text = layers.GlobalAveragePooling1D()(layers.Embedding(8, 4)(tokens))
    joined = layers.Dense(3, "tanh")(layers.Concatenate()([text, numbers]))
    model = keras.Model([tokens, numbers], layers.Dense(2)(joined))
    x = picture(6)
    given_tokens = ops.convert_to_tensor(TOKENS[None])
    wanted = native.gradient(lambda given: model([given_tokens, given])[:, 0], x[None])
    with pytest.warns(EmptyMapWarning, match=r"shape \(7,\)"):
        found = visualize_saliency(model, -1, 0, [TOKENS, x])
    np.testing.assert_allclose(found[1], reduced(wanted[0]), atol=2e-5)


def test_tokens_with_fractions() -> None:
    model = text_model(mask_zero=False)
    with pytest.raises(InputError, match=r"integers \(int32\)"):
        visualize_saliency(model, -1, 0, TOKENS + 0.5, wrt_tensor=model.layers[0].output)


@pytest.mark.parametrize("shape", [(2, 4, 5, 3), (7, 4, 5, 3)])
def test_batch_of_several(shape: tuple[int, ...]) -> None:
    model = smooth((4, 5, 3), layers.Conv2D(4, 3))
    with pytest.raises(
        InputError, match=rf"one input at a time.*batch of {shape[0]}.*Saliency\(model\).explain\(batch"
    ):
        visualize_saliency(model, -1, 0, picture(*shape))


def test_batch_of_several_in_one_of_two_inputs() -> None:
    with pytest.raises(InputError, match="batch of 2 for 'table'"):
        visualize_saliency(image_and_table(), -1, 0, [picture(4, 5, 3), picture(2, 6)])


def test_batch_of_several_into_a_subclassed_model() -> None:
    class Net(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.end = layers.Dense(2)

        def call(self, x: Any) -> Any:
            return self.end(x)

    model = Net()
    model(np.zeros((1, 3), np.float32))
    with pytest.raises(InputError, match="batch of 2"):
        visualize_saliency(model, -1, 0, picture(2, 3))


@pytest.mark.parametrize("shape", [(0, 4, 5, 3), (4, 5, 0), (0,)])
def test_batch_of_none(shape: tuple[int, ...]) -> None:
    model = smooth((4, 5, 3), layers.Conv2D(4, 3))
    with pytest.raises(InputError, match=r"must have shape \(4, 5, 3\).*Received: shape"):
        visualize_saliency(model, -1, 0, np.zeros(shape))


def test_a_missing_axis_is_named() -> None:
    model = smooth((4, 5, 1), layers.Conv2D(4, 3))
    with pytest.raises(InputError, match=r"shape \(4, 5\)\. Add the axis of channels: array\[\.\.\., None\]"):
        visualize_saliency(model, -1, 0, np.ones((4, 5)))
    with pytest.raises(InputError, match=r"shape \(4, 5, 1\)\. Add the batch axis: array\[None\]"):
        Saliency(model).explain(np.ones((4, 5, 1)), 0)
    with pytest.raises(InputError, match=r"shape \(20,\)\.$"):
        visualize_saliency(model, -1, 0, np.ones(20))


@pytest.mark.parametrize("shape", [(5, 4, 3), (3, 4, 5), (4, 5), (4, 5, 4), (1, 1, 4, 5, 3), (60,), ()])
def test_wrong_shape(shape: tuple[int, ...]) -> None:
    model = smooth((4, 5, 3), layers.Conv2D(4, 3))
    with pytest.raises(InputError, match=r"must have shape \(4, 5, 3\)") as raised:
        visualize_saliency(model, -1, 0, np.ones(shape))
    assert f"Received: shape {shape}" in str(raised.value)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "real numbers"),
        ("cat.png", "real numbers"),
        (np.ones((4, 5, 3), complex), "real numbers"),
        (np.full((4, 5, 3), "1"), "real numbers"),
        ([[1, 2], [3]], "is not an array"),
    ],
    ids=["None", "a path", "complex", "strings", "ragged"],
)
def test_no_numbers(value: Any, words: str) -> None:
    model = smooth((4, 5, 3), layers.Conv2D(4, 3))
    with pytest.raises(InputError, match=words):
        visualize_saliency(model, -1, 0, value)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_nan_or_inf(value: float) -> None:
    model = smooth((4, 5, 3), layers.Conv2D(4, 3))
    x = picture(4, 5, 3)
    x[2, 3, 1] = x[3, 4, 2] = value
    with pytest.raises(InputError, match=r"2 values that are NaN or infinite.*, the first at \(2, 3, 1\)"):
        visualize_saliency(model, -1, 0, x)


def test_nan_in_one_of_two_inputs_names_it() -> None:
    with pytest.raises(InputError, match=r"'table' has 1 values that are NaN"):
        visualize_saliency(image_and_table(), -1, 0, [picture(4, 5, 3), np.array([0, 1, 2, np.nan, 4, 5])])


@pytest.mark.parametrize(
    "given",
    [
        picture(4, 5, 3),
        [picture(4, 5, 3)],
        [picture(4, 5, 3), picture(6), picture(6)],
    ],
    ids=["an array", "one", "three"],
)
def test_wrong_number_of_inputs(given: Any) -> None:
    with pytest.raises(InputError, match="takes 2 inputs: 'image', 'table'"):
        visualize_saliency(image_and_table(), -1, 0, given)


@pytest.mark.parametrize("keys", [("image",), ("image", "tabel"), ("image", "table", "more")])
def test_wrong_names_of_inputs(keys: tuple[str, ...]) -> None:
    values = {"image": picture(4, 5, 3)}
    with pytest.raises(InputError, match="takes the inputs 'image', 'table'"):
        visualize_saliency(image_and_table(), -1, 0, {key: values.get(key, picture(6)) for key in keys})


@pytest.fixture
def policy(request: pytest.FixtureRequest) -> Iterator[str]:
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(request.param)
    yield request.param
    keras.config.set_dtype_policy(before)


@pytest.mark.parametrize(
    "policy", ["float16", "bfloat16", "mixed_float16", "mixed_bfloat16", "float64"], indirect=True
)
@pytest.mark.parametrize("modifier", [None, "guided"])
@pytest.mark.in_64_bits
def test_policy(policy: str, modifier: str | None) -> None:
    """Maps come out as float32, near those of the same weights in single precision."""

    def build() -> keras.Model:
        return smooth((4, 5, 3), layers.Conv2D(4, 3, activation="relu"))

    model = build()
    keras.config.set_dtype_policy("float32")
    twin = build()
    twin.set_weights([np.asarray(weight, np.float32) for weight in model.get_weights()])
    x = picture(4, 5, 3)
    found = visualize_saliency(model, -1, 0, x, backprop_modifier=modifier)
    assert found.dtype == np.float32
    relu = native.RELUS[modifier]

    def written_out(x: Any, training: Any) -> Any:
        conv, *rest = twin.layers
        x = relu(ops.conv(x, conv.kernel) + conv.bias)
        for layer in rest:
            x = layer(x)
        return x

    wanted = reduced(taped(written_out, x)[0])
    if modifier:
        assert abs(wanted - reduced(taped(twin, x)[0])).max() > 0.1
    np.testing.assert_allclose(found, wanted, atol=0.06 if "bfloat16" in policy else 0.01)


@pytest.mark.parametrize("policy", ["float16", "bfloat16"], indirect=True)
def test_input_of_half_precision(policy: str) -> None:
    """The input itself is of half precision, as is the seed that is given."""
    model = keras.Sequential(
        [keras.Input((6,), dtype=policy), layers.Dense(4, activation="tanh"), layers.Dense(2)]
    )
    x = ops.convert_to_tensor(picture(6), policy)
    kernels = [np.asarray(weight, np.float32) for weight in model.get_weights()]
    hidden = np.tanh(ops.convert_to_numpy(ops.cast(x, "float32")) @ kernels[0] + kernels[1])
    wanted = reduced((kernels[2][:, 0] * (1 - hidden**2)) @ kernels[0].T)
    found = visualize_saliency(model, -1, 0, x)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, wanted, atol=0.06 if policy == "bfloat16" else 0.01)
