"""Random turns and scalings: what each step sees, against a loop over its pixels, and whose seed it is."""

from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from vis.callbacks import OptimizerCallback
from vis.input_modifiers import InputModifier, Rotate, Scale
from vis.parameterizations import Fourier, Pixels, RandomAffine
from vis.visualization import visualize_activation

SHAPE = (5, 6, 2)
START = np.random.default_rng(0).uniform(0, 1, SHAPE).astype(np.float32)
KERNEL = np.random.default_rng(1).normal(size=(60, 1)).astype(np.float32)


# The steps are so short that only the transformations matter.
pytestmark = pytest.mark.filterwarnings("ignore:None of 3 steps has lowered the loss")


class Heard(OptimizerCallback):
    """Keeps the losses and the gradients."""

    def __init__(self) -> None:
        self.losses: list[float] = []
        self.gradients: list[np.ndarray] = []

    def callback(self, i: int, named_losses: Any, overall_loss: Any, grads: Any, wrt_value: Any) -> None:
        self.losses.append(overall_loss)
        self.gradients.append(grads[0])


@pytest.fixture
def model() -> keras.Model:
    model = keras.Sequential([layers.Input(SHAPE), layers.Flatten(), layers.Dense(1, use_bias=False)])
    model.set_weights([KERNEL])
    return model


def run(model: keras.Model, modifiers: list[InputModifier], **how: Any) -> Heard:
    heard, given = Heard(), {"seed": 4, "max_iter": 3, "parameterization": Pixels(), **how}
    given = {"seed_input": START, "input_range": (0.0, 1.0), "lp_norm_weight": 0, "tv_weight": 0, **given}
    optimizer = keras.optimizers.SGD(1e-6)  # which stays where it is
    visualize_activation(
        model, -1, 0, input_modifiers=modifiers, callbacks=[heard], optimizer=optimizer, **given
    )
    return heard


def slow(matrix: np.ndarray) -> np.ndarray:
    """Return the linear map, `(60, 60)`, from the pixels to what is seen, pixel by pixel."""
    height, width, depth = SHAPE
    made = np.zeros((height, width, height, width))
    middle = np.array([(height - 1) / 2, (width - 1) / 2])
    for row in range(height):
        for column in range(width):
            point = matrix[:, :2] @ (np.array([row, column]) - middle) + middle
            for y in range(-9, 20):
                for x in range(-9, 20):
                    weight = max(0, 1 - abs(point[0] - y)) * max(0, 1 - abs(point[1] - x))
                    folded = (abs(y) % (2 * (height - 1)), abs(x) % (2 * (width - 1)))
                    at = (
                        min(folded[0], 2 * (height - 1) - folded[0]),
                        min(folded[1], 2 * (width - 1) - folded[1]),
                    )
                    made[row, column][at] += weight
    return np.kron(made.reshape(height * width, -1), np.eye(depth))


def drawn(rotation: float, scale: float, seed: int) -> list[np.ndarray]:
    """Return the matrices of three steps."""
    random, found = np.random.default_rng(seed), []
    for _ in range(3):
        numbers = random.uniform(-1, 1, 4)
        angle, factor = np.deg2rad(rotation * numbers[0]), 1 + scale * numbers[1]
        turn = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
        found.append(np.array(turn) / factor)
    return found


@pytest.mark.parametrize(
    ("modifier", "rotation", "scale", "seed"),
    [
        (Rotate(40), 40, 0, 4),
        (Rotate(40, seed=7), 40, 0, 7),
        (Scale(0.5), 0, 0.5, 4),
        (Scale(0.5, 8), 0, 0.5, 8),
    ],
    ids=repr,
)
def test_each_step_sees_another_image(
    model: keras.Model, modifier: InputModifier, rotation: float, scale: float, seed: int
) -> None:
    heard = run(model, [modifier])
    for found, gradient, matrix in zip(
        heard.losses, heard.gradients, drawn(rotation, scale, seed), strict=True
    ):
        seen = slow(matrix)
        assert found == pytest.approx(-float(KERNEL[:, 0] @ seen @ START.ravel()), abs=1e-4)
        expected = -(KERNEL[:, 0] @ seen).reshape(SHAPE)
        np.testing.assert_allclose(gradient, expected / np.sqrt((expected**2).sum()), atol=1e-5)


def test_they_add_up_in_their_order_and_go_with_waves(model: keras.Model) -> None:
    both = run(model, [Rotate(40, seed=1), Scale(0.5, seed=2)])
    for found, turn, size in zip(both.losses, drawn(40, 0, 1), drawn(0, 0.5, 2), strict=True):
        seen = slow(size) @ slow(turn) @ START.ravel()
        assert found == pytest.approx(-float(KERNEL[:, 0] @ seen), abs=1e-4)
    waves = run(model, [Rotate(40, seed=1)], parameterization=Fourier(None))
    np.testing.assert_allclose(waves.losses, run(model, [Rotate(40, seed=1)]).losses, atol=1e-3)
    own = run(model, [], parameterization=Fourier(RandomAffine(0, 40, 0)))
    np.testing.assert_allclose(own.losses, run(model, [Rotate(40)]).losses, atol=1e-3)


def test_they_leave_what_they_are_given(model: keras.Model) -> None:
    assert [repr(Rotate()), repr(Scale(0.2, 3))] == ["Rotate()", "Scale(scale=0.2, seed=3)"]
    assert Rotate().pre(START) is START and Scale().post(START) is START
    still = run(model, [Rotate(0), Scale(0)])
    np.testing.assert_allclose(still.losses, -float(KERNEL[:, 0] @ START.ravel()), rtol=1e-4)


def test_a_seed_makes_the_same_steps_each_time(model: keras.Model) -> None:
    modifiers = [Rotate(40, seed=0), Scale(0.5, seed=2)]
    assert run(model, modifiers).losses == run(model, modifiers).losses
