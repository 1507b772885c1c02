"""Occlusion against a loop over the patches, by hand, and its edges."""

import itertools
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops

from tests import native
from vis.attributions import Occlusion
from vis.errors import InputError, LayerError

# Where zeros are right, a warning about them is beside the point.
pytestmark = pytest.mark.filterwarnings("ignore::vis.errors.EmptyMapWarning")


def random(*shape: int, seed: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def build(shape: tuple[int, ...], **kwargs: Any) -> keras.Model:
    keras.utils.set_random_seed(5)
    entry = layers.Input(**kwargs) if kwargs else layers.Input(shape)
    return keras.Sequential([entry, layers.Flatten(), layers.Dense(5, "tanh"), layers.Dense(3)])


MODELS = {shape: build(shape) for shape in [(7,), (7, 2), (6, 5, 3), (4, 3, 5, 2)]}


def slow(
    model: Any, x: np.ndarray, label: int, sides: list[int], strides: list[int], value: float
) -> np.ndarray:
    """One sample, one patch and one call of the model at a time."""
    sizes = x.shape if x.ndim < 3 else x.shape[:-1]
    score = float(model(x[None])[0, label])
    total, number = np.zeros(sizes), np.zeros(sizes)
    starts = []
    for size, side, stride in zip(sizes, sides, strides, strict=True):
        here = [start for start in range(0, size, stride) if start + side <= size] or [0]
        starts.append(here if here[-1] + side >= size else [*here, size - side])
    for start in itertools.product(*starts):
        covered, inside = x.copy(), []
        for at in np.ndindex(*sizes):
            if all(s <= a < s + side for a, s, side in zip(at, start, sides, strict=True)):
                covered[at] = value
                inside.append(at)
        fall = score - float(model(covered[None])[0, label])
        for at in inside:
            total[at] += fall
            number[at] += 1
    assert number.min() > 0
    return total / number


@pytest.mark.parametrize(
    ("shape", "size", "stride"),
    [
        ((7,), 3, None),
        ((7,), 3, 1),
        ((7,), [3], [2]),
        ((7,), 9, None),
        ((7, 2), 2, None),
        ((7, 2), 4, 3),
        ((7, 2), (3, 1), (2, 1)),
        ((6, 5, 3), 3, None),
        ((6, 5, 3), (2, 3), (1, 2)),
        ((6, 5, 3), 4, 2),
        ((6, 5, 3), (3, 4), (2, 4)),
        ((6, 5, 3), (3, 9), 2),
        ((4, 3, 5, 2), (2, 3, 2), (2, 1, 2)),
    ],
    ids=str,
)
def test_agrees_with_the_oracle(shape: tuple[int, ...], size: Any, stride: Any) -> None:
    model, x, labels = MODELS[shape], random(3, *shape), [2, 0, 1]
    axes = len(shape) if len(shape) < 3 else len(shape) - 1
    sides = list(np.broadcast_to(size, axes))
    strides = sides if stride is None else list(np.broadcast_to(stride, axes))
    pairs = zip(x, labels, strict=True)
    expected = np.stack([slow(model, sample, label, sides, strides, 0.5) for sample, label in pairs])
    expected = expected.reshape(3, *(shape if len(shape) < 3 else (*shape[:-1], 1)))
    explainer = Occlusion(model, patch_size=size, patch_stride=stride, occlusion_value=0.5)
    found = explainer.explain(x, labels)
    assert found.dtype == np.float32 and found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("shape", "size", "stride"),
    [((8,), 4, 2), ((9,), 3, 3), ((8, 4), (4, 2), (2, 1)), ((8, 6, 2), 4, 2), ((7, 9, 1), 3, 2)],
    ids=str,
)
def test_a_mirrored_input_under_a_mirrored_model_gives_the_mirrored_map(
    shape: tuple[int, ...], size: Any, stride: Any
) -> None:
    """Where the strides fit."""
    axes = tuple(range(1, len(shape) + 1)) if len(shape) < 3 else (1, 2)
    model = build(shape)
    entry = keras.Input(shape)
    mirrored = keras.Model(entry, model(ops.flip(entry, axes)))
    x = random(2, *shape)
    options: dict[str, Any] = {"patch_size": size, "patch_stride": stride}
    expected = np.flip(Occlusion(model, **options)(x, 1), axes)
    found = Occlusion(mirrored, **options)(np.flip(x, axes), 1)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("stride", [1, 2, 3, 4])
def test_the_mean_of_an_even_picture_is_the_same_everywhere(stride: int) -> None:
    entry = keras.Input((8, 8, 1))
    model = keras.Model(entry, keras.ops.mean(entry, axis=(1, 2)))
    found = Occlusion(model, patch_size=4, patch_stride=stride)(np.ones((1, 8, 8, 1)), 0)
    np.testing.assert_allclose(found, 16 / 64, rtol=1e-6)


def captum() -> keras.Model:
    """Captum's `BasicModel_MultiLayer`: relu(s - 10) + 3 relu(s + 1) - 1, with s the sum of the inputs."""
    model = keras.Sequential([layers.Input((3,)), layers.Dense(4, "relu"), layers.Dense(2)])
    model.set_weights([np.ones((3, 4)), np.array([-10, 1, 1, 1]), np.ones((4, 2)), np.array([-1, 1])])
    return model


@pytest.mark.parametrize(
    ("size", "stride", "value", "expected"),
    [(1, None, 0, [80, 200, 120]), (2, 1, 10, [200, 220, 240])],
)
def test_captums_toy_network(size: int, stride: Any, value: float, expected: list[float]) -> None:
    found = Occlusion(captum(), patch_size=size, patch_stride=stride, occlusion_value=value)(
        [[20, 50, 30]], 0
    )
    assert found.tolist() == [expected]


@pytest.mark.parametrize("batch_size", [1, 2, 5, 7, 64, None])
def test_any_batch_size(batch_size: int | None) -> None:
    model, x = MODELS[(6, 5, 3)], random(5, 6, 5, 3)
    expected = Occlusion(model, patch_size=2, patch_stride=1).explain(x, 0)
    found = Occlusion(model, batch_size=batch_size, patch_size=2, patch_stride=1).explain(x, 0)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_a_linear_score_by_hand() -> None:
    model = keras.Sequential([layers.Input((4,)), layers.Dense(1)])
    model.set_weights([np.array([[1.0], [2], [3], [4]]), np.zeros(1)])
    x = [[1.0, -1, 2, 3]]  # contributions 1, -2, 6, 12
    assert Occlusion(model, patch_size=1)(x, 0).tolist() == [[1, -2, 6, 12]]
    assert Occlusion(model, patch_size=2)(x, 0).tolist() == [[-1, -1, 18, 18]]
    # Patches of 2 at 0, 1, 2: falls -1, 4, 18.
    assert Occlusion(model, patch_size=2, patch_stride=1)(x, 0).tolist() == [[-1, 1.5, 11, 18]]
    # Patches of 3 at 0, and flush with the end at 1: falls 5, 16.
    assert Occlusion(model, patch_size=3)(x, 0).tolist() == [[5, 10.5, 10.5, 16]]
    # The whole input covered with ones: 17 - 10.
    assert Occlusion(model, patch_size=9, occlusion_value=1)(x, 0).tolist() == [[7, 7, 7, 7]]


def test_the_channels_are_covered_together() -> None:
    model = keras.Sequential([layers.Input((2, 2, 2)), layers.Flatten(), layers.Dense(1, use_bias=False)])
    model.layers[-1].kernel.assign(np.arange(8.0)[:, None])
    found = Occlusion(model, patch_size=1)(np.ones((1, 2, 2, 2)), 0)
    assert found[0, ..., 0].tolist() == [[1, 5], [9, 13]]


def test_channels_first() -> None:
    model = keras.Sequential(
        [layers.Input((2, 4, 6)), layers.AveragePooling2D(2, data_format="channels_first"), layers.Flatten()]
    )
    x = np.zeros((1, 2, 4, 6), np.float32)
    x[0, 1, :2, 2:4] = 1
    found = Occlusion(model, patch_size=2).explain(x, 7)
    assert found.shape == (1, 1, 4, 6)
    expected = np.zeros((4, 6))
    expected[:2, 2:4] = 1
    assert np.array_equal(found[0, 0], expected)


def test_tokens_are_covered_too() -> None:
    model = keras.Sequential(
        [layers.Input((3,), dtype="int32"), layers.Embedding(5, 1), layers.Flatten(), layers.Dense(1)]
    )
    model.set_weights([np.array([[0.0], [1], [2], [3], [4]]), np.ones((3, 1)), np.zeros(1)])
    assert Occlusion(model, patch_size=1).explain([[4, 0, 2]], 0).tolist() == [[4, 0, 2]]


@pytest.mark.parametrize("shape", MODELS)
def test_no_sample_has_the_shape_of_one(shape: tuple[int, ...]) -> None:
    expected = (0, *shape) if len(shape) < 3 else (0, *shape[:-1], 1)
    assert Occlusion(MODELS[shape]).explain(np.zeros((0, *shape)), 0).shape == expected


def test_a_model_of_a_fixed_batch_size() -> None:
    x = random(6, 7)
    fixed = keras.Sequential(
        [layers.Input(batch_shape=(4, 7)), layers.Reshape((7,)), *MODELS[(7,)].layers[1:]]
    )
    free = keras.Sequential([layers.Input((7,)), layers.Reshape((7,)), *MODELS[(7,)].layers[1:]])
    expected = Occlusion(free).explain(x, 1)
    np.testing.assert_allclose(Occlusion(fixed).explain(x, 1), expected, rtol=1e-5, atol=1e-6)


def test_the_model_is_called_with_no_more_than_batch_size() -> None:
    seen: list[int] = []

    class Counting(layers.Layer):
        def call(self, x: Any) -> Any:
            return native.observe(lambda array: seen.append(len(array)), x)

    model = keras.Sequential([layers.Input((7,)), Counting(), *MODELS[(7,)].layers[1:]])
    seen.clear()  # Keras itself may run a layer to learn the shape of its output
    Occlusion(model, batch_size=4, patch_size=1).explain(random(6, 7), 0)
    assert seen and max(seen) <= 4


class Subclassed(keras.Model):
    """A model that tells nothing of its inputs."""

    def __init__(self) -> None:
        super().__init__()
        self.flat, self.dense = layers.Flatten(), layers.Dense(2)

    def call(self, x: Any) -> Any:
        return self.dense(self.flat(x))


@pytest.mark.parametrize("known", [True, False], ids=["functional", "subclassed"])
@pytest.mark.parametrize(
    ("options", "words"),
    [({"patch_size": wrong}, "patch_size must be an integer >= 1") for wrong in (0, -1, 1.5, "3", None, True)]
    + [({"patch_size": (3, 0)}, r"patch_size must be an integer >= 1\. Received: 0")]
    + [({"patch_stride": wrong}, "patch_stride must be an integer >= 1") for wrong in (0, 1.5, "3")]
    + [
        (
            {"patch_size": size, "patch_stride": stride},
            r"patch_stride must be at most patch_size.*Received: patch_st",
        )
        for size, stride in [(2, 3), ((2, 4), 3), (3, (1, 4)), ((2, 2), (2, 3))]
    ],
    ids=str,
)
def test_wrong_patches_are_refused_by_the_constructor(known: bool, options: Any, words: str) -> None:
    model = MODELS[(6, 5, 3)] if known else Subclassed()
    model(np.zeros((1, 6, 5, 3)))
    with pytest.raises(InputError, match=words):
        Occlusion(model, **options)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"patch_size": (2, 2, 3)}, r"patch_size must be a number, or one per axis of \[6, 5\]"),
        ({"patch_stride": (2,)}, r"patch_stride must be a number, or one per axis of \[6, 5\]"),
    ],
    ids=str,
)
def test_a_wrong_number_of_axes_is_refused_as_soon_as_it_is_known(options: Any, words: str) -> None:
    with pytest.raises(InputError, match=words):
        Occlusion(MODELS[(6, 5, 3)], **options)
    model, x = Subclassed(), random(1, 6, 5, 3)
    model(x)
    explainer = Occlusion(model, **options)
    with pytest.raises(InputError, match=words):
        explainer(x, 0)


def test_one_of_two_inputs_is_covered_at_a_time() -> None:
    a, b = keras.Input((2,), name="a"), keras.Input((4, 1), name="b")
    x = [random(3, 2), random(3, 4, 1)]
    score = layers.Dense(1, "tanh")(ops.sum(a, axis=1, keepdims=True)) + ops.sum(b * b, axis=1)
    model = keras.Model([a, b], score)
    found = Occlusion(model, patch_size=[1, (2, 1)], occlusion_value=[0.5, np.full((4, 1), -1)])(x, 0)
    alone = [
        slow(keras.Model(a, model([a, ops.zeros((1, 4, 1))])), x[0][0], 0, [1], [1], 0.5),
        slow(keras.Model(b, model([ops.zeros((1, 2)), b])), x[1][0], 0, [2, 1], [2, 1], -1),
    ]
    for part, expected in zip(found, alone, strict=True):
        np.testing.assert_allclose(part[0], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("second", [1, 2, 8, np.int64(32)])
def test_xpliques_order_of_arguments_is_refused(second: Any) -> None:
    model = MODELS[(7,)]
    with pytest.raises(
        LayerError, match=rf"patch_size={second}, batch_size={second} or output_layer={second}"
    ):
        Occlusion(model, second)


def test_a_layer_can_be_named_in_any_way() -> None:
    model, x = MODELS[(7,)], random(2, 7)
    expected = Occlusion(model, output_layer=1)(x, 0)
    for named in (-2, model.layers[1], model.layers[1].name):
        np.testing.assert_array_equal(Occlusion(model, named)(x, 0), expected)


@pytest.mark.parametrize("value", ["grey", None, float("nan")])
def test_a_cover_that_is_no_number_is_named(value: Any) -> None:
    with pytest.raises(InputError, match="occlusion_value"):
        Occlusion(MODELS[(6, 5, 3)], occlusion_value=value).explain(random(1, 6, 5, 3), 0)
