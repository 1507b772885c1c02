"""The sanity check on networks and methods whose answer is known."""

import random
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

import vis
from tests import native
from vis.attributions import Explainer, GradCAM, GuidedBackprop, Saliency
from vis.attributions.base import Attribution
from vis.backprop_modifiers import guided
from vis.errors import InputError, ModelError
from vis.metrics import plot_sanity, rank_correlation, sanity_check, structural_similarity

IMAGES = np.random.default_rng(0).random((3, 6, 7, 2), np.float32)


@pytest.fixture
def network() -> keras.Model:
    """A nested block, a normalization with statistics of its own, a head."""
    keras.utils.set_random_seed(0)
    inner = keras.Input((6, 7, 2))
    block = keras.Model(inner, layers.Conv2D(3, 3, activation="relu", name="conv")(inner), name="block")
    norm = layers.BatchNormalization(name="norm")
    image = keras.Input((6, 7, 2))
    x = layers.Flatten()(norm(block(image)))
    model = keras.Model(image, layers.Dense(4, activation="softmax", name="head")(x))
    norm.moving_mean.assign(norm.moving_mean + 0.3)
    return model


class InputItself(Explainer):
    """A method that shows the input, whatever the model."""

    has_channels = False

    def attribute(self, arrays: Any, targets: Any) -> Attribution:
        return Attribution([arrays[0].sum(axis=-1, keepdims=True)])


class KernelItself(Explainer):
    """A method that shows the weights of the head, and nothing else."""

    has_channels = False

    def attribute(self, arrays: Any, targets: Any) -> Attribution:
        kernel = self.model.get_layer("head").kernel.numpy()
        return Attribution([np.repeat(kernel.reshape(1, 12, 20), len(arrays[0]), axis=0)])


def logits(kind: Any) -> Any:
    return lambda model: kind(vis.linear_outputs(model))


def test_what_shows_the_input_fails(network: keras.Model) -> None:
    check = sanity_check(logits(InputItself), network, IMAGES)
    assert check.layers == ["head", "norm", "block/conv"]
    np.testing.assert_array_equal(check.rank_correlation, np.ones((3, 3)))
    np.testing.assert_allclose(check.structural_similarity, 1)
    assert check.table().splitlines()[1].split() == ["head", "1.00", "1.00"]


@pytest.mark.parametrize("order", ["cascading", "independent"])
def test_what_shows_one_layer(network: keras.Model, order: str) -> None:
    check = sanity_check(logits(KernelItself), network, IMAGES, 0, order)
    head = abs(check.rank_correlation[0])
    assert (head < 0.5).all()
    others = check.rank_correlation[1:]
    if order == "independent":
        assert (others == 1).all(), "the head is as it was again"
    else:
        np.testing.assert_array_equal(others, [check.rank_correlation[0]] * 2)


@pytest.mark.parametrize("order", ["cascading", "independent"])
def test_by_hand(network: keras.Model, order: str) -> None:
    """Layer by layer, with models made and filled here."""
    check = sanity_check(logits(Saliency), network, IMAGES, [1, 2, 0], order, seed=7)
    state = random.getstate()
    random.seed("sanity check 7")
    drawn = keras.models.clone_model(network)
    random.setstate(state)
    wanted = logits(Saliency)(network).explain(IMAGES, [1, 2, 0])
    # conv kernel, bias; gamma, beta, mean, variance; head kernel, bias
    spans = [slice(6, 8), slice(2, 6), slice(0, 2)]
    weights = [variable.numpy() for variable in network.weights]
    for row, span in enumerate(spans):
        mixed = list(weights)
        mixed[span] = [variable.numpy() for variable in drawn.weights[span]]
        if order == "cascading":
            weights = mixed
        changed = keras.models.clone_model(network)
        changed.set_weights(mixed)
        found = logits(Saliency)(changed).explain(IMAGES, [1, 2, 0])
        np.testing.assert_allclose(check.rank_correlation[row], rank_correlation(wanted, found), atol=1e-6)
        similarity = structural_similarity(wanted, found)
        np.testing.assert_allclose(check.structural_similarity[row], similarity, atol=1e-5)
    assert (check.rank_correlation[-1] < 0.9).all()


def test_the_model_and_random_numbers_are_left_alone(network: keras.Model, untouched: Any) -> None:
    logits(Saliency)(network)(IMAGES, 0)
    check, weights = untouched(network), network.get_weights()
    random.seed(3)
    wanted = random.Random(3).random()
    sanity_check(logits(Saliency), network, IMAGES, 0)
    assert random.random() == wanted
    for before, after in zip(weights, network.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)
    check()


def test_the_same_seed_gives_the_same(network: keras.Model) -> None:
    first, again, other = (
        sanity_check(logits(Saliency), network, IMAGES, seed=seed).rank_correlation for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_the_model_s_own_classes_are_asked_of_the_clones(network: keras.Model) -> None:
    classes = network.predict(IMAGES, verbose=0).argmax(axis=-1)
    own, named = (sanity_check(logits(Saliency), network, IMAGES, given) for given in (None, classes))
    np.testing.assert_array_equal(own.rank_correlation, named.rank_correlation)


@pytest.mark.parametrize("kind", [Saliency, GuidedBackprop, GradCAM])
def test_logits_and_sequential_models_are_cloned(kind: Any) -> None:
    model = keras.Sequential(
        [
            layers.Input((6, 7, 2)),
            layers.Conv2D(3, 3, activation="relu", name="conv"),
            layers.Flatten(),
            layers.Dropout(0.5),
            layers.Dense(4, activation="softmax", name="head"),
        ]
    )
    for given in (model, vis.linear_outputs(model)):
        assert sanity_check(logits(kind), given, IMAGES, 1).layers == ["head", "conv"]


def test_the_figure(network: keras.Model) -> None:
    checks = {
        name: sanity_check(logits(Saliency), network, IMAGES, seed=seed)
        for name, seed in (("a", 1), ("b", 2))
    }
    figure = plot_sanity(checks, "what is kept")
    upper, lower = figure.axes
    assert [text.get_text() for text in lower.get_xticklabels()] == ["as trained", *checks["a"].layers]
    assert [line.get_label() for line in upper.get_lines()[:2]] == ["a", "b"]
    medians = [1, *np.median(checks["b"].rank_correlation, axis=1)]
    np.testing.assert_allclose(upper.get_lines()[1].get_ydata(), medians)
    medians = [1, *np.median(checks["a"].structural_similarity, axis=1)]
    np.testing.assert_allclose(lower.get_lines()[0].get_ydata(), medians)
    other = sanity_check(logits(Saliency), network, IMAGES, order="independent")
    for wrong in ({}, {**checks, "c": other}):
        with pytest.raises(InputError, match="of one model and one order"):
            plot_sanity(wrong)


class Subclassed(keras.Model):
    def __init__(self, size: int) -> None:
        super().__init__()
        self.dense = layers.Dense(size)

    def call(self, x: Any) -> Any:
        return self.dense(x)


def test_what_is_refused(network: keras.Model) -> None:
    with pytest.raises(InputError, match="order must be one of cascading, independent"):
        sanity_check(Saliency, network, IMAGES, order="random")
    with pytest.raises(ModelError, match="is a modified model"):
        sanity_check(Saliency, guided(network), IMAGES)
    subclassed = Subclassed(3)
    subclassed(np.ones((1, 4)))
    with pytest.raises(ModelError, match="cannot be cloned"):
        sanity_check(Saliency, subclassed, np.ones((1, 4)))
    without = keras.Sequential([layers.Input((4,)), layers.Activation("tanh")])
    with pytest.raises(ModelError, match="has no weights"):
        sanity_check(Saliency, without, np.ones((1, 4)), 0)
    with pytest.raises(ModelError, match=r"Expected a keras\.Model"):
        sanity_check(Saliency, "model", IMAGES)


def test_a_data_set_is_that_of_arrays(network: keras.Model) -> None:
    labels = np.array([1, 3, 0])
    wanted = sanity_check(logits(Saliency), network, IMAGES, labels)
    data = (IMAGES, labels)
    for given in (native.dataset(data, 2), iter(native.dataset(data))):
        found = sanity_check(logits(Saliency), network, given)
        np.testing.assert_allclose(found.rank_correlation, wanted.rank_correlation, rtol=1e-5)


def test_a_check_shows_itself(network: keras.Model) -> None:
    check = sanity_check(logits(Saliency), network, IMAGES)
    assert repr(check).startswith(
        "SanityCheck(order='cascading', layers=['head', 'norm', 'block/conv'], rank_correlation=<3 x 3 "
    )
    assert len(repr(check)) < 300
    table = check.table()
    assert table.header == ("layer", "rank correlation", "similarity")
    assert [row[0] for row in table.rows] == check.layers
    np.testing.assert_allclose(
        np.array([row[1:] for row in table.rows], float),
        np.stack([np.median(check.rank_correlation, 1), np.median(check.structural_similarity, 1)], 1),
        atol=0.005,
    )
    upper, lower = check.plot("a title").axes
    assert upper.get_legend() is None and lower.get_xlabel() == "random from the output to here"
    np.testing.assert_allclose(upper.lines[0].get_ydata(), [1, *np.median(check.rank_correlation, axis=1)])
