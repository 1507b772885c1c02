"""Several inputs and several starts: against steps by hand, and what stays as it is."""

from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from vis.callbacks import OptimizerCallback
from vis.errors import InputError
from vis.input_modifiers import InputModifier
from vis.losses import ActivationMaximization
from vis.optimizer import Optimizer
from vis.parameterizations import Fourier, Pixels
from vis.visualization import visualize_activation

RANDOM = np.random.default_rng(0)
A, B, C = (RANDOM.normal(size=size).astype(np.float32) for size in (12, 3, 4))
IMAGE, TABLE = RANDOM.normal(size=(3, 4, 1)).astype(np.float32), RANDOM.normal(size=3).astype(np.float32)


class Recorder(OptimizerCallback):
    """Keeps what it hears."""

    def __init__(self) -> None:
        self.heard: list[tuple[Any, ...]] = []

    def callback(self, *args: Any) -> None:
        self.heard.append(args)


@pytest.fixture(scope="module")
def model() -> keras.Model:
    """sum(A image^2) + sum(B table^2) + C[token] as its output; the inputs are not in alphabetical order."""
    table, image = keras.Input((3,), name="table"), keras.Input((3, 4, 1), name="image")
    token = keras.Input((1,), dtype="int32", name="token")
    flat = layers.Flatten()(image)
    values = [
        layers.Dense(1, use_bias=False, name="b")(table * table),
        layers.Dense(1, use_bias=False, name="a")(flat * flat),
        layers.Flatten()(layers.Embedding(4, 1, name="c")(token)),
    ]
    model = keras.Model([table, image, token], layers.Add(name="sum")(values))
    for name, weights in (("a", A[:, None]), ("b", B[:, None]), ("c", C[:, None])):
        model.get_layer(name).set_weights([weights])
    return model


def slow(changed: set[str], steps: int) -> tuple[list[float], dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Return the losses, the last values and gradients of steps of SGD with momentum on minus the output."""
    x = {"image": IMAGE.ravel().astype(float), "table": TABLE.astype(float)}
    weights, speed, losses = {"image": A, "table": B}, {"image": 0.0, "table": 0.0}, []
    for _ in range(steps):
        losses.append(-sum(float(weights[name] @ x[name] ** 2) for name in x) - float(C[2]))
        gradients = {name: -2 * weights[name] * x[name] for name in changed}
        norm = np.sqrt(sum((gradient**2).sum() for gradient in gradients.values()))
        gradients, last = {name: g / norm for name, g in gradients.items()}, dict(x)
        for name, gradient in gradients.items():
            speed[name] = 0.9 * speed[name] - 0.1 * gradient
            x[name] = x[name] + speed[name]
    return losses, last, gradients


@pytest.mark.parametrize("changed", [None, ["image"], ["table"], ["table", "image"]])
def test_several_inputs_agree_with_steps_by_hand(model: keras.Model, changed: list[str] | None) -> None:
    recorder = Recorder()
    optimizer = Optimizer(
        model, [(ActivationMaximization(model.layers[-1], 0), 1)], input_range=None, inputs=changed
    )
    seed = {"image": IMAGE, "table": TABLE, "token": np.array([2])}
    sgd = keras.optimizers.SGD(0.1, momentum=0.9)
    best, gradient, last = optimizer.minimize(seed, 6, callbacks=[recorder], verbose=False, optimizer=sgd)
    named = set(changed or ("image", "table"))
    losses, values, gradients = slow(named, 6)
    np.testing.assert_allclose([heard[2] for heard in recorder.heard], losses, rtol=1e-5)
    for name in ("image", "table"):
        np.testing.assert_allclose(last[name].ravel(), values[name], rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(recorder.heard[-1][4][name], last[name])
        if name in named:
            np.testing.assert_allclose(gradient[name].ravel(), gradients[name], rtol=1e-4, atol=1e-5)
            np.testing.assert_allclose(recorder.heard[-1][3][name], gradient[name])
        else:
            assert gradient[name] is None
            np.testing.assert_array_equal(best[name], seed[name])
    assert best["image"].shape == (3, 4, 1) and best["token"].tolist() == [2] and gradient["token"] is None
    # A list, in the order of the model.
    listed = optimizer.minimize([TABLE, IMAGE, [2]], 6, verbose=False, optimizer=sgd)[0]
    np.testing.assert_array_equal(listed[1], best["image"])


def test_each_input_has_its_own_range_parameterization_and_modifiers(model: keras.Model) -> None:
    class Noting(InputModifier):
        def __init__(self) -> None:
            self.shapes: list[tuple[int, ...]] = []

        def post(self, inp: Any) -> Any:
            self.shapes.append(inp.shape)
            return np.clip(inp, -1, 1)

    noting = Noting()
    found = visualize_activation(
        model,
        -1,
        0,
        seed_input={"image": None, "table": None, "token": [2]},
        input_range={"image": (0, 255), "table": None},
        parameterization={"image": Fourier(None)},
        input_modifiers={"table": [noting]},
        max_iter=3,
        seed=0,
    )
    assert found["image"].dtype == np.uint8 and found["image"].shape == (3, 4, 1)
    assert found["table"].dtype == np.float32 and np.abs(found["table"]).max() <= 1
    assert set(noting.shapes) == {(1, 3)}
    with pytest.raises(InputError, match="Input modifiers change pixels"):
        visualize_activation(
            model,
            -1,
            0,
            seed_input=found,
            parameterization="fourier",
            input_modifiers=[noting],
            inputs=["image"],
        )


def test_samples_of_several_inputs_do_not_depend_on_their_number(model: keras.Model) -> None:
    settings: dict[str, Any] = {"seed": 1, "max_iter": 4, "input_range": None, "lp_norm_weight": 0}
    settings |= {"tv_weight": 0, "optimizer": keras.optimizers.SGD(0.1)}
    seed = {"image": None, "table": TABLE, "token": [2]}
    one = visualize_activation(model, -1, 0, seed_input=seed, **settings)
    three = visualize_activation(model, -1, 0, seed_input=seed, samples=3, **settings)
    for name in ("image", "table"):
        np.testing.assert_allclose(three[name], np.stack([one[name]] * 3), rtol=1e-4, atol=1e-5)
    rows = {**seed, "table": np.stack([0 * TABLE, TABLE, 2 * TABLE]), "token": [[0], [2], [1]]}
    several = visualize_activation(model, -1, 0, seed_input=rows, samples=3, **settings)
    np.testing.assert_allclose(several["table"][1], one["table"], rtol=1e-4, atol=1e-5)
    assert not np.allclose(several["table"][2], one["table"])


@pytest.fixture(scope="module")
def hills() -> keras.Model:
    """A function of two numbers with several maxima."""
    x = keras.Input((2,), name="x")
    hidden = layers.Dense(8, activation="tanh", name="hidden")(x)
    model = keras.Model(x, layers.Dense(1, name="end")(hidden))
    random = np.random.default_rng(4)
    model.get_layer("hidden").set_weights([3 * random.normal(size=(2, 8)), random.normal(size=8)])
    return model


def test_the_best_of_several_starts_is_kept(hills: keras.Model) -> None:
    settings: dict[str, Any] = {
        "input_range": None,
        "max_iter": 12,
        "lp_norm_weight": 0,
        "parameterization": Pixels(),
        "optimizer": keras.optimizers.SGD(0.1),
    }
    seeds = np.random.default_rng(5).normal(size=(4, 2)).astype(np.float32)
    alone = np.stack([visualize_activation(hills, -1, 0, seed_input=row, **settings) for row in seeds])
    scores = hills.predict(alone, verbose=0)[:, 0]
    recorder = Recorder()
    best = visualize_activation(hills, -1, 0, seed_input=seeds, starts=4, callbacks=[recorder], **settings)
    np.testing.assert_allclose(best, alone[scores.argmax()], rtol=1e-4, atol=1e-5)
    assert recorder.heard[0][2].shape == (4,) and recorder.heard[0][3].shape == (4, 2)
    each = visualize_activation(hills, -1, 0, seed_input=seeds, samples=4, **settings)
    np.testing.assert_allclose(each, alone, rtol=1e-4, atol=1e-5)
    with pytest.raises(InputError, match="one input at a time"):
        visualize_activation(hills, -1, 0, seed_input=seeds, starts=3, **settings)


def test_a_start_does_not_depend_on_the_number_of_starts(hills: keras.Model) -> None:
    settings: dict[str, Any] = {"input_range": None, "max_iter": 2, "lp_norm_weight": 0, "seed": 3}
    settings["optimizer"] = keras.optimizers.SGD(0.01)
    begun = {}
    for starts in (None, 1, 3, 5):
        recorder = Recorder()
        found = visualize_activation(hills, -1, 0, starts=starts, callbacks=[recorder], **settings)
        assert found.shape == (2,)
        begun[starts] = recorder.heard[0][4]
    assert begun[None].shape == begun[1].shape == (1, 2)
    for starts in (1, 3, 5):
        np.testing.assert_array_equal(begun[starts][:1], begun[None])
    np.testing.assert_array_equal(begun[5][:3], begun[3])
    assert len(np.unique(begun[5], axis=0)) == 5


def test_the_gradient_by_a_layer_of_a_model_of_several_inputs(model: keras.Model) -> None:
    seed = {"image": IMAGE, "table": TABLE, "token": [2]}
    optimizer = Optimizer(
        model, [(ActivationMaximization(model.layers[-1], 0), 1)], None, norm_grads=False, wrt="a"
    )
    picture, gradient, value = optimizer.minimize(seed, verbose=False)
    np.testing.assert_array_equal(picture["image"], IMAGE)
    np.testing.assert_allclose(gradient, [[-1]])
    np.testing.assert_allclose(value, [[A @ IMAGE.ravel() ** 2]], rtol=1e-5)
