"""Integrated gradients against a loop over the path, by hand, and how far they are from adding up."""

import re
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops

from tests import native
from vis.attributions import IntegratedGradients
from vis.attributions.integrated_gradients import nodes
from vis.errors import InputError

# Where zeros are right, a warning about them is beside the point.
pytestmark = pytest.mark.filterwarnings("ignore::vis.errors.EmptyMapWarning")


def random(*shape: int, seed: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


@pytest.fixture(scope="module")
def network() -> keras.Model:
    keras.utils.set_random_seed(5)
    return keras.Sequential(
        [
            layers.Input((5, 4, 2)),
            layers.Conv2D(3, 2, activation="tanh"),
            layers.Flatten(),
            layers.Dense(3),
        ]
    )


def hand_made() -> keras.Model:
    """5a + b^2 + sin c."""
    entry = keras.Input((3,), dtype="float64")
    a, b, c = entry[:, :1], entry[:, 1:2], entry[:, 2:]
    return keras.Model(entry, 5 * a + b * b + ops.sin(c))


def slow(model: Any, x: np.ndarray, x0: np.ndarray, index: int, steps: int, method: str) -> np.ndarray:
    """The sum over the path, one sample, one point at a time."""
    if method == "trapezoid":
        points = [k / (steps - 1) for k in range(steps)]
        weights = [(0.5 if k in (0, steps - 1) else 1.0) / (steps - 1) for k in range(steps)]
    else:
        # The roots of the Legendre polynomial, and 2 / ((1 - r^2) P'(r)^2), moved from [-1, 1] to [0, 1].
        legendre = np.polynomial.legendre.Legendre.basis(steps)
        roots = np.sort(np.real(legendre.roots()))
        points = [(root + 1) / 2 for root in roots]
        weights = [1 / ((1 - root**2) * legendre.deriv()(root) ** 2) for root in roots]
    total = np.zeros(x.shape)
    for point, weight in zip(points, weights, strict=True):
        at = (x0 + point * (x - x0))[None].astype(model.inputs[0].dtype)
        total += weight * native.gradient(lambda at: model(at)[0, index], at)[0]
    return (x - x0) * total


@pytest.mark.parametrize("method", ["gauss-legendre", "trapezoid"])
@pytest.mark.parametrize("steps", [2, 7])
@pytest.mark.parametrize("batch_size", [64, 3, None])
def test_agrees_with_the_oracle(
    network: keras.Model, method: str, steps: int, batch_size: int | None
) -> None:
    x, labels, x0 = random(4, 5, 4, 2), [0, 2, 1, 2], random(5, 4, 2, seed=8)
    explainer = IntegratedGradients(
        network, batch_size=batch_size, reducer=None, steps=steps, baseline=x0, method=method
    )
    pairs = zip(x, labels, strict=True)
    expected = np.stack([slow(network, sample, x0, label, steps, method) for sample, label in pairs])
    assert np.abs(expected).max() > 0.1
    found = explainer.explain(x, labels)
    assert found.dtype == np.float32 and found.shape == x.shape
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    bare = IntegratedGradients(
        network, reducer=None, steps=steps, baseline=x0, method=method, multiply_by_inputs=False
    )
    np.testing.assert_allclose(bare(x, labels) * (x - x0), expected, rtol=1e-4, atol=1e-5)
    explainer.reducer = "mean"
    mean = expected.mean(axis=-1, keepdims=True)
    np.testing.assert_allclose(explainer.explain(x, labels), mean, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("method", "near"), [("gauss-legendre", 1e-6), ("trapezoid", 1e-3)])
@pytest.mark.in_64_bits
def test_by_hand(method: str, near: float) -> None:
    explainer = IntegratedGradients(hand_made(), baseline=[0.5, 1, 1], method=method)
    expected = [2.5, 3, np.sin(3) - np.sin(1)]
    np.testing.assert_allclose(explainer.explain([[1, 2, 3]], 0), [expected], rtol=near)
    assert abs(explainer.residuals([[1, 2, 3]], 0)[0]) < near


@pytest.mark.in_64_bits
def test_one_gauss_point_is_the_middle() -> None:
    found = IntegratedGradients(hand_made(), steps=1, baseline=[0.5, 1, 1]).explain([[1, 2, 3]], 0)
    np.testing.assert_allclose(found, [[2.5, 3, 2 * np.cos(2)]], rtol=1e-6)


@pytest.mark.in_64_bits
def test_two_trapezoid_points_are_the_ends() -> None:
    explainer = IntegratedGradients(hand_made(), steps=2, baseline=[0.5, 1, 1], method="trapezoid")
    expected = [2.5, 3, np.cos(1) + np.cos(3)]
    np.testing.assert_allclose(explainer.explain([[1, 2, 3]], 0), [expected], rtol=1e-6)
    np.testing.assert_allclose(
        explainer.residuals([[1, 2, 3]], 0), [np.sin(3) - np.sin(1) - expected[2]], rtol=1e-6
    )


@pytest.mark.parametrize("steps", [1, 2, 5, 50])
def test_gauss_legendre_is_exact_for_polynomials(steps: int) -> None:
    points, weights = nodes(steps, "gauss-legendre")
    assert points.min() > 0 and points.max() < 1 and len(points) == steps
    for degree in range(2 * steps):
        np.testing.assert_allclose((weights * points**degree).sum(), 1 / (degree + 1), rtol=1e-10)
    assert abs((weights * points ** (2 * steps)).sum() - 1 / (2 * steps + 1)) > 1e-35


def test_the_trapezoid() -> None:
    points, weights = nodes(5, "trapezoid")
    assert points.tolist() == [0, 0.25, 0.5, 0.75, 1]
    assert weights.tolist() == [0.125, 0.25, 0.25, 0.25, 0.125]


def test_completeness_and_residuals(network: keras.Model) -> None:
    x, x0 = random(6, 5, 4, 2), random(5, 4, 2, seed=8)
    rise = np.asarray(network(x) - network(x0[None]))[:, 1]
    for steps, near in ((50, 1e-5), (2, 1.0)):
        explainer = IntegratedGradients(network, None, 4, None, None, steps, x0)
        found, rest = explainer.explain(x, 1), explainer.residuals(x, 1)
        assert rest.shape == (6,) and rest.dtype == np.float64
        np.testing.assert_allclose(rest, rise - found.sum(axis=(1, 2, 3)), atol=1e-5)
        assert np.abs(rest).max() < near
    assert np.abs(rest).max() > 1e-4


def test_nothing_at_the_baseline(network: keras.Model) -> None:
    x = random(2, 5, 4, 2).astype(np.float32)
    assert not IntegratedGradients(network, baseline=x[0])(x[:1], 0).any()
    assert IntegratedGradients(network, baseline=x[0])(x[1:], 0).any()


def test_a_linear_model_gives_weights_times_the_way() -> None:
    model = keras.Sequential([layers.Input((4,)), layers.Dense(2)])
    x = random(3, 4)
    kernel = np.asarray(model.layers[0].kernel)[:, 1]
    for value in (0.0, 2, np.float32(-1.5)):
        found = IntegratedGradients(model, steps=3, baseline=value).explain(x, 1)
        np.testing.assert_allclose(found, (x - value) * kernel, rtol=1e-4, atol=1e-6)


def test_xpliques_name_of_the_baseline(network: keras.Model) -> None:
    x = np.random.default_rng(4).normal(size=(2, *network.input_shape[1:]))
    for value in (0.0, 0.5, x[0]):
        explainer = IntegratedGradients(network, steps=3, baseline=value)
        same = IntegratedGradients(network, steps=3, baseline_value=value)
        np.testing.assert_array_equal(same.explain(x, 0), explainer.explain(x, 0))
        assert same.settings() == explainer.settings()
        assert repr(same) == repr(explainer)
    for value in (float("0"), 0, x[0]):
        with pytest.raises(InputError, match="baseline and baseline_value name the same argument"):
            IntegratedGradients(network, baseline=value, baseline_value=0.5)


def test_a_baseline_per_sample_is_refused(network: keras.Model) -> None:
    x, x0 = random(5, 5, 4, 2), random(5, 5, 4, 2, seed=8)
    with pytest.raises(InputError, match="have the shape of one input"):
        IntegratedGradients(network, baseline=x0)
    one = IntegratedGradients(network, baseline=x0[0]).explain(x, 0)
    np.testing.assert_array_equal(IntegratedGradients(network, baseline=x0[:1]).explain(x, 0), one)


def test_baselines_of_several_inputs() -> None:
    keras.utils.set_random_seed(1)
    a, b = keras.Input((3,), name="a"), keras.Input((3,), name="b")
    out = layers.Dense(2)(layers.Dense(4, "tanh")(a - 2 * b))
    x = {"a": random(2, 3), "b": random(2, 3, seed=4)}
    x0 = {"a": random(3, seed=5), "b": random(3, seed=6)}
    listed = IntegratedGradients(keras.Model([a, b], out), baseline=[x0["a"], x0["b"]])
    expected = listed.explain([x["a"], x["b"]], 0)
    np.testing.assert_allclose(listed.residuals([x["a"], x["b"]], 0), 0, atol=1e-5)
    model = keras.Model({"a": a, "b": b}, out)
    found = IntegratedGradients(model, baseline=x0).explain(x, 0)
    np.testing.assert_allclose(found["a"], expected[0], rtol=1e-6)
    np.testing.assert_allclose(found["b"], expected[1], rtol=1e-6)
    # A dict has names, whatever their order.
    turned = IntegratedGradients(model, baseline={"b": x0["b"], "a": x0["a"]}).explain(x, 0)
    np.testing.assert_allclose(turned["a"], expected[0], rtol=1e-6)


def test_a_model_of_a_fixed_batch_size_gets_no_more_than_that() -> None:
    def build(**kwargs: Any) -> keras.Model:
        keras.utils.set_random_seed(1)
        return keras.Sequential([layers.Input(**kwargs), layers.Dense(4, "tanh"), layers.Dense(2)])

    x = random(6, 3)
    fixed, free = build(batch_shape=(4, 3)), build(shape=(3,))
    expected = IntegratedGradients(free, steps=4)
    np.testing.assert_allclose(IntegratedGradients(fixed, steps=4)(x, 1), expected(x, 1), rtol=1e-5)
    np.testing.assert_allclose(
        IntegratedGradients(fixed, steps=4).residuals(x, 1), expected.residuals(x, 1), atol=1e-6
    )


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_wrong_calls(network: keras.Model) -> None:
    with pytest.raises(
        InputError, match=r"method must be one of gauss-legendre, trapezoid\. Received: 'simpson'"
    ):
        IntegratedGradients(network, method="simpson")
    for steps, method in ((0, "gauss-legendre"), (1, "trapezoid"), (2.5, "trapezoid"), (True, "trapezoid")):
        with pytest.raises(InputError, match=r"steps must be an integer >="):
            IntegratedGradients(network, steps=steps, method=method)
    for shape in ((3, 3, 2), (5, 4), (2, 5, 4, 2), (5, 4, 1), (1, 1, 5, 4, 2)):
        words = rf"The baseline must be a number, or have the shape.*{re.escape(str(shape[shape[0] == 1 :]))}"
        with pytest.raises(InputError, match=words):
            IntegratedGradients(network, baseline=np.zeros(shape))
    with pytest.raises(InputError, match=r"takes 1 inputs|takes the inputs"):
        IntegratedGradients(network, baseline={"a": 0, "b": 1})


def test_a_baseline_is_checked_as_soon_as_the_shape_is_known() -> None:
    entry = keras.Input((None, 2))
    model = keras.Model(entry, layers.Dense(1)(layers.GlobalAveragePooling1D()(layers.Dense(3)(entry))))
    for options in ({}, {"wrt": 1}):
        with pytest.raises(
            InputError, match=r"The baseline must be a number, or have the shape of one input"
        ):
            IntegratedGradients(model, baseline=np.zeros((4, 5)), **options)
    explainer = IntegratedGradients(model, baseline=np.zeros((4, 2)))
    assert explainer(random(2, 4, 2), 0).shape == (2, 4, 2)
    with pytest.raises(InputError, match=r"of one input: \[\(5, 2\)\]\. Received: \[\(4, 2\)\]"):
        explainer(random(2, 5, 2), 0)


@pytest.mark.parametrize("baseline", [float("nan"), "zeros", None])
def test_a_baseline_that_is_no_number_is_named(network: keras.Model, baseline: Any) -> None:
    with pytest.raises(InputError, match="baseline"):
        IntegratedGradients(network, baseline=baseline)


def test_a_baseline_of_each_sample_and_the_mean_over_several(network: keras.Model) -> None:
    x, labels = random(3, 5, 4, 2), [0, 2, 1]
    seen: list[tuple[int, ...]] = []

    def half(sample: Any) -> Any:
        seen.append(sample.shape)
        return sample / 2 + sample.mean()

    own = IntegratedGradients(network, reducer=None, steps=5, baseline=half)
    found = own.explain(x, labels)
    for i, label in enumerate(labels):
        expected = slow(network, x[i], x[i] / 2 + x[i].mean(), label, 5, "gauss-legendre")
        np.testing.assert_allclose(found[i], expected, rtol=1e-4, atol=1e-5)
    assert set(seen) == {(5, 4, 2)}
    np.testing.assert_allclose(own.explain(x[1:2], 2), found[1:2], rtol=1e-4, atol=1e-6)
    assert np.abs(own.residuals(x, labels)).max() < 1e-2
    several = random(4, 5, 4, 2, seed=9)
    mean = IntegratedGradients(network, reducer=None, steps=5, baselines=several)
    each = [IntegratedGradients(network, reducer=None, steps=5, baseline=one)(x, labels) for one in several]
    np.testing.assert_allclose(mean(x, labels), np.mean(each, axis=0), rtol=1e-4, atol=1e-5)
    assert np.abs(mean.residuals(x, labels)).max() < 1e-2


def test_a_baseline_of_each_sample_of_two_inputs() -> None:
    a, b = keras.Input((2,), name="a"), keras.Input((3,), name="b")
    model = keras.Model([a, b], layers.Dense(1, use_bias=False)(layers.Concatenate()([a * a, b])))
    x = [random(2, 2), random(2, 3)]
    explainer = IntegratedGradients(model, baseline=lambda sample: [sample[0] / 2, 0 * sample[1]])
    found, kernel = explainer.explain(x), model.layers[-1].get_weights()[0][:, 0]
    np.testing.assert_allclose(found[0], kernel[:2] * x[0] ** 2 * 0.75, rtol=1e-4)
    np.testing.assert_allclose(found[1], kernel[2:] * x[1], rtol=1e-4)
