"""Total variation against a slow oracle, its gradient against finite differences, and its odd images."""

import itertools
import math
from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from keras import layers, ops

from tests.asking import input_gradient
from vis.engine import Source
from vis.errors import InputError
from vis.losses import ActivationMaximization, Loss
from vis.losses.total_variation import TotalVariation

pytestmark = pytest.mark.in_64_bits

SHAPES = [(5, 2), (3, 4, 2), (2, 3, 4, 2)]
BETAS = [0.5, 1.0, 1.5, 2.0, 3.0]


def slow(image: np.ndarray, beta: float) -> float:
    """One pixel at a time, channels last, by the distance between points."""
    total = 0.0
    *sizes, channels = image.shape
    for channel in range(channels):
        for pixel in itertools.product(*(range(size - 1) for size in sizes)):
            here = [float(image[(*pixel, channel)])] * len(sizes)
            nexts = []
            for axis in range(len(sizes)):
                moved = list(pixel)
                moved[axis] += 1
                nexts.append(float(image[(*moved, channel)]))
            total += math.dist(here, nexts) ** beta
    return total / image.size


def identity(shape: tuple[int | None, ...], dtype: str = "float64") -> keras.Model:
    inputs = keras.Input(shape, dtype=dtype)
    return keras.Model(inputs, layers.Activation("linear", dtype="float64")(inputs))


def value(model: keras.Model, loss: Loss, x: np.ndarray) -> np.ndarray:
    """Return the loss by its expression, after a check that the other route agrees."""
    by_expression = np.asarray(keras.Model(model.inputs[0], loss.build_loss())(x))
    (point,), evaluate = loss.term(model)
    assert point is model.inputs[0]
    np.testing.assert_array_equal(by_expression, np.asarray(evaluate([ops.convert_to_tensor(x)], [])))
    return by_expression


def gradient(model: keras.Model, loss: Loss, x: np.ndarray) -> np.ndarray:
    (found,) = input_gradient(Source(model), [(loss, 1.0)], [x])
    return found


@pytest.mark.parametrize("beta", BETAS)
@pytest.mark.parametrize("shape", SHAPES)
def test_agrees_with_the_oracle(shape: tuple[int, ...], beta: float) -> None:
    model = identity(shape)
    x = np.random.default_rng(0).normal(size=(2, *shape))
    found = value(model, TotalVariation(model.input, beta), x)
    np.testing.assert_allclose(found, [slow(image, beta) for image in x], rtol=1e-12)


@pytest.mark.parametrize("beta", BETAS)
@pytest.mark.parametrize("shape", SHAPES)
def test_gradient_agrees_with_finite_differences(shape: tuple[int, ...], beta: float) -> None:
    model = identity(shape)
    x = np.random.default_rng(1).normal(size=(1, *shape))
    found = gradient(model, TotalVariation(model.input, beta), x)
    expected = np.empty_like(x)
    for place in np.ndindex(x.shape):
        step = np.zeros_like(x)
        step[place] = 1e-6
        expected[place] = (slow((x + step)[0], beta) - slow((x - step)[0], beta)) / 2e-6
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-8)


def test_by_hand() -> None:
    # The one pixel with both neighbours steps by 3 and by 4: 5 long.
    image = np.array([[[1.0], [4.0]], [[5.0], [-7.0]]])[None]
    model = identity((2, 2, 1))
    for beta, expected in ((1, 5 / 4), (2, 25 / 4), (3, 125 / 4)):
        assert value(model, TotalVariation(model.input, beta), image).tolist() == pytest.approx([expected])
    assert gradient(model, TotalVariation(model.input), image)[0, :, :, 0].tolist() == [
        [pytest.approx(-14 / 4), pytest.approx(6 / 4)],
        [pytest.approx(8 / 4), 0],
    ]


def test_a_sample_does_not_depend_on_its_neighbours() -> None:
    model = identity((3, 3, 2))
    x = np.random.default_rng(0).normal(size=(4, 3, 3, 2))
    loss = TotalVariation(model.input)
    together = value(model, loss, x)
    assert together.shape == (4,)
    alone = [float(value(model, loss, one[None])[0]) for one in x]
    np.testing.assert_allclose(together, alone, rtol=1e-14)


images = hnp.arrays(
    np.float32,
    st.sampled_from([(1, *shape) for shape in SHAPES]),
    elements=st.one_of(
        st.sampled_from([0.0, 1.0, 1e-38, 1e-30, 1e-8, -3e4, 255.0]),
        st.floats(-256, 256, width=32),
    ),
)
_models: dict[Any, tuple[keras.Model, TotalVariation]] = {}


def built(shape: tuple[int, ...], beta: float) -> tuple[keras.Model, TotalVariation]:
    """Return one model and one loss per shape, so that an example costs no trace."""
    if (shape, beta) not in _models:
        model = identity(shape, "float32")
        _models[shape, beta] = model, TotalVariation(model.input, beta)
    return _models[shape, beta]


@settings(deadline=None)  # the first example of each kind compiles
@given(image=images, beta=st.sampled_from(BETAS))
def test_is_finite_positive_and_indifferent_to_brightness(image: np.ndarray, beta: float) -> None:
    model, loss = built(image.shape[1:], beta)
    _, evaluate = loss.term(model)
    found = float(evaluate([image], [])[0])
    assert math.isfinite(found) and found >= 0
    assert np.isfinite(gradient(model, loss, image)).all()
    np.testing.assert_allclose(found, slow(image[0], beta), rtol=1e-4, atol=1e-17)
    assert float(evaluate([-image], [])[0]) == found


@pytest.mark.parametrize("beta", BETAS)
@pytest.mark.parametrize("level", [0.0, 7.0])
def test_a_flat_image_has_no_variation_and_no_gradient(level: float, beta: float) -> None:
    model, loss = built((3, 4, 2), beta)
    x = np.full((1, 3, 4, 2), level, np.float32)
    assert value(model, loss, x).tolist() == [0]
    assert not gradient(model, loss, x).any()


def test_small_steps_are_not_lost() -> None:
    # Their squares, 1e-60, are 0 in float32.
    model, loss = built((3, 4, 2), 1.0)
    x = np.random.default_rng(0).normal(size=(1, 3, 4, 2)).astype(np.float32)
    np.testing.assert_allclose(
        value(model, loss, x * np.float32(1e-30)), 1e-30 * value(model, loss, x), rtol=1e-5
    )
    np.testing.assert_allclose(
        gradient(model, loss, x * np.float32(1e-30)), gradient(model, loss, x), rtol=1e-5, atol=1e-7
    )


def test_large_steps_do_not_overflow() -> None:
    model, loss = built((3, 4, 2), 1.0)
    x = np.random.default_rng(0).normal(size=(1, 3, 4, 2)).astype(np.float32)
    np.testing.assert_allclose(
        value(model, loss, x * np.float32(1e30)), 1e30 * value(model, loss, x), rtol=1e-5
    )


def test_bytes_do_not_wrap_around() -> None:
    inputs = keras.Input((2, 2, 1), dtype="uint8")
    model = keras.Model(inputs, layers.Rescaling(1.0)(inputs))
    x = np.array([[[255], [0]], [[255], [0]]], np.uint8)[None]
    assert value(model, TotalVariation(inputs, 1), x).tolist() == [255 / 4]


def test_an_axis_of_length_one_does_not_count() -> None:
    x = np.random.default_rng(0).normal(size=(2, 5, 3))
    sequence, picture = identity((5, 3)), identity((5, 1, 3))
    np.testing.assert_array_equal(
        value(sequence, TotalVariation(sequence.input), x),
        value(picture, TotalVariation(picture.input), x[:, :, None]),
    )
    point = identity((1, 1, 3))
    assert value(point, TotalVariation(point.input), x[:, :1, None]).tolist() == [0, 0]


def test_an_image_of_unknown_size() -> None:
    known, unknown = identity((4, 5, 2)), identity((None, None, 2))
    x = np.random.default_rng(0).normal(size=(2, 4, 5, 2))
    expected = value(known, TotalVariation(known.input), x)
    loss = TotalVariation(unknown.input)
    np.testing.assert_allclose(value(unknown, loss, x), expected, rtol=1e-14)
    np.testing.assert_allclose(
        gradient(unknown, loss, x), gradient(known, TotalVariation(known.input), x), rtol=1e-14
    )
    np.testing.assert_allclose(value(unknown, loss, x[:, :3]), [slow(i, 2) for i in x[:, :3]], rtol=1e-12)


def test_channels_first_by_the_argument_the_model_or_the_configuration() -> None:
    x = np.random.default_rng(0).normal(size=(1, 2, 3, 4))
    expected = slow(np.moveaxis(x[0], 0, -1), 2)
    assert expected != pytest.approx(slow(x[0], 2))
    plain = identity((2, 3, 4))
    by_argument = TotalVariation(plain.input, data_format="channels_first")
    assert value(plain, by_argument, x).tolist() == pytest.approx([expected])

    inputs = keras.Input((2, 3, 4), dtype="float64")
    model = keras.Model(inputs, layers.UpSampling2D(1, data_format="channels_first")(inputs))
    _, evaluate = TotalVariation(inputs).term(model)
    assert np.asarray(evaluate([x], [])).tolist() == pytest.approx([expected])

    keras.config.set_image_data_format("channels_first")
    try:
        assert value(plain, TotalVariation(plain.input), x).tolist() == pytest.approx([expected])
        # A sequence has its features last all the same.
        sequence = identity((5, 2))
        y = np.random.default_rng(0).normal(size=(1, 5, 2))
        assert value(sequence, TotalVariation(sequence.input), y)[0] == pytest.approx(slow(y[0], 2))
    finally:
        keras.config.set_image_data_format("channels_last")


def test_the_model_keeps_no_trace_of_it(untouched: Any) -> None:
    model = identity((3, 4, 2))
    check = untouched(model)
    gradient(model, TotalVariation(model.input), np.ones((1, 3, 4, 2)))
    check()


def test_equal_losses_share_a_trace() -> None:
    model = identity((3, 4, 2))
    first, again = TotalVariation(model.input, 2), TotalVariation(model.input, 2.0)
    others = [TotalVariation(model.input, 1), TotalVariation(identity((3, 4, 2)).input, 2)]

    def about(loss: TotalVariation) -> Any:
        return list(map(id, loss.trace_objects())), loss.trace_settings()

    assert about(first) == about(again)
    assert about(first) not in [about(other) for other in others]


def test_next_to_another_loss() -> None:
    model = identity((3, 4, 2))
    x = np.random.default_rng(0).normal(size=(1, 3, 4, 2))
    losses = [ActivationMaximization(model.layers[-1], 1), TotalVariation(model.input)]
    for source in (Source(model), Source(model.input)):
        (both,) = input_gradient(source, [(losses[0], 2.0), (losses[1], 10.0)], [x])
        expected = 2 * gradient(model, losses[0], x) + 10 * gradient(model, losses[1], x)
        np.testing.assert_allclose(both, expected, rtol=1e-12)


def test_of_an_expression_over_the_input() -> None:
    inputs = keras.Input((3, 4, 2), dtype="float64")
    model = keras.Model(inputs, layers.Activation("linear", dtype="float64")(inputs))
    x = np.random.default_rng(0).normal(size=(1, 3, 4, 2))
    found = gradient(model, TotalVariation(inputs * 3.0), x)
    np.testing.assert_allclose(found, 9 * gradient(model, TotalVariation(inputs), x), rtol=1e-12)


def test_its_name_is_that_of_keras_vis() -> None:
    assert TotalVariation(identity((3, 4, 2)).input, 2).name == "TV(2.0) Loss"


@pytest.mark.parametrize("beta", [0, -1.0, math.nan, math.inf, "2", None, True, [2]])
def test_an_invalid_beta(beta: Any) -> None:
    with pytest.raises(InputError, match=r"beta must be a finite positive number. Received:"):
        TotalVariation(identity((3, 4, 2)).input, beta)


@pytest.mark.parametrize("img_input", [np.zeros((1, 3, 4, 2)), None, "input", [1]])
def test_no_symbolic_image(img_input: Any) -> None:
    with pytest.raises(InputError, match=r"needs one symbolic image, such as model\.input"):
        TotalVariation(img_input)


def test_no_image_axis_and_no_data_format() -> None:
    with pytest.raises(InputError, match=r"at least 3 axes.*shape \(None, 4\)"):
        TotalVariation(keras.Input((4,)))
    with pytest.raises(InputError, match=r"Unknown data_format. Received: 'last'"):
        TotalVariation(keras.Input((4, 4, 3)), data_format="last")
