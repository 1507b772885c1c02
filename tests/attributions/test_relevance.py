"""LRP and its kin as explainers, as backprop modifiers, and as modified models."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers, ops

import vis
from tests import native
from vis.attributions import LRP, AttnLRP, DeepTaylor, ExcitationBackprop, GradCAM, Saliency, SmoothGrad
from vis.errors import GradientError, ModifierError, PartialOverrideWarning, SignWarning
from vis.relevance import Composite, Epsilon, composites


@pytest.fixture(scope="module")
def network() -> keras.Model:
    keras.utils.set_random_seed(1)
    inputs = keras.Input((8, 6, 3), name="image")
    x = layers.Conv2D(4, 3, padding="same", name="conv1")(inputs)
    x = layers.ReLU()(layers.BatchNormalization()(x))
    x = layers.MaxPooling2D()(x)
    x = layers.ReLU()(layers.Add()([x, layers.Conv2D(4, 3, padding="same", name="conv2")(x)]))
    return keras.Model(inputs, layers.Dense(5, name="logits")(layers.GlobalAveragePooling2D()(x)))


IMAGES = np.random.default_rng(0).normal(size=(4, 8, 6, 3)).astype("float32")
CLASSES = np.array([0, 3, 1, 4])


@pytest.mark.parametrize("name", composites.NAMES)
def test_a_batch_is_its_samples_and_the_sum_is_the_score(network: keras.Model, name: str) -> None:
    explainer = LRP(network, name, reducer=None)
    maps = explainer.explain(IMAGES, CLASSES)

    assert maps.shape == IMAGES.shape
    for sample, label, expected in zip(IMAGES, CLASSES, maps, strict=True):
        found = explainer.explain(sample[None], label)[0]
        np.testing.assert_allclose(found, expected, atol=2e-6 * np.abs(expected).max())
    if name not in ("deep_taylor", "excitation", "epsilon_alpha2_beta1_flat"):
        # Without biases but those of the normalizations, which are zero here.
        scores = network.predict(IMAGES, verbose=0)[np.arange(4), CLASSES]
        np.testing.assert_allclose(maps.sum((1, 2, 3)), scores, rtol=2e-3, atol=2e-5)


def test_new_weights_and_new_classes_need_no_new_trace(network: keras.Model) -> None:
    explainer = LRP(network)
    before = explainer.explain(IMAGES, CLASSES)
    kernel, bias = network.get_layer("logits").get_weights()
    network.get_layer("logits").set_weights([2 * kernel, bias])
    try:
        after = explainer.explain(IMAGES, CLASSES)
    finally:
        network.get_layer("logits").set_weights([kernel, bias])
    np.testing.assert_allclose(after, 2 * before, rtol=2e-3, atol=1e-5)


def test_the_explainers_are_composites(network: keras.Model) -> None:
    pairs = [
        (ExcitationBackprop(network), "excitation"),
        (AttnLRP(network), "attn_lrp"),
        (DeepTaylor(network), "deep_taylor"),
        (DeepTaylor(network, low=-4, high=4), composites.deep_taylor(-4, 4)),
    ]
    for explainer, composite in pairs:
        expected = LRP(network, composite).explain(IMAGES, CLASSES)
        np.testing.assert_array_equal(explainer.explain(IMAGES, CLASSES), expected)


def test_as_a_backprop_modifier_it_is_the_same(network: keras.Model) -> None:
    expected = LRP(network, "epsilon_plus", reducer=None).explain(IMAGES[:1], 3)[0]

    found = vis.visualize_saliency(
        network,
        "logits",
        3,
        IMAGES[0],
        backprop_modifier="epsilon_plus",
        grad_modifier=None,
        normalize=None,
        keepdims=True,
    )
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-7)
    saliency = Saliency(network, reducer=None, backprop_modifier="epsilon_plus", grad_modifier=None)
    np.testing.assert_allclose(saliency.explain(IMAGES[:1], 3)[0], expected, rtol=1e-5, atol=1e-8)


def test_the_gradient_of_a_modified_model_is_the_relevance(network: keras.Model) -> None:
    modified = vis.backprop_modifiers.get("epsilon_plus")(network)

    predicted = modified.predict(IMAGES, verbose=0)
    np.testing.assert_allclose(predicted, network.predict(IMAGES, verbose=0), rtol=1e-5, atol=1e-6)
    (found,) = native.gradients(lambda x: modified(x)[:, 3], [IMAGES])
    expected = LRP(network, "epsilon_plus", reducer=None).explain(IMAGES, 3)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)
    # Explained as it is.
    np.testing.assert_allclose(
        Saliency(modified, reducer=None, grad_modifier=None).explain(IMAGES, 3),
        expected,
        rtol=1e-4,
        atol=1e-6,
    )


def test_the_relevance_of_a_filter_of_a_convolution(network: keras.Model) -> None:
    found = vis.visualize_saliency(
        network,
        "conv2",
        1,
        IMAGES[0],
        backprop_modifier=composites.get("zero"),
        grad_modifier=None,
        normalize=None,
        keepdims=True,
    )
    output = keras.Model(network.inputs, network.get_layer("conv2").output).predict(IMAGES[:1], verbose=0)
    np.testing.assert_allclose(found.sum(), output[0, ..., 1].mean(), rtol=1e-3, atol=1e-5)


def test_relevance_of_a_layer(network: keras.Model) -> None:
    found = LRP(network, "zero", wrt="conv2", reducer=None).explain(IMAGES, CLASSES)

    assert found.shape == (4, 4, 3, 4)
    cam = GradCAM(network, conv_layer="conv2", backprop_modifier="epsilon_plus").explain(IMAGES, CLASSES)
    assert cam.shape == (4, 8, 6, 1)


def test_noisy_copies_of_relevance(network: keras.Model) -> None:
    same = SmoothGrad(LRP(network), nb_samples=2, noise=0.0).explain(IMAGES, CLASSES)
    np.testing.assert_allclose(same, LRP(network).explain(IMAGES, CLASSES), rtol=1e-4, atol=1e-6)


def test_rules_by_path_and_by_function(network: keras.Model) -> None:
    both = LRP(network, [("conv*", "z_plus")]).explain(IMAGES, CLASSES)
    np.testing.assert_array_equal(both, LRP(network, "epsilon_plus").explain(IMAGES, CLASSES))
    exact = LRP(network, [("conv1", "z_plus"), ("conv2", "z_plus")]).explain(IMAGES, CLASSES)
    np.testing.assert_array_equal(exact, both)
    by_class = LRP(network, [(layers.Conv2D, "z_plus")])
    np.testing.assert_array_equal(by_class.explain(IMAGES, CLASSES), both)
    kinds = {site.kind: site.rule for site in by_class.conservation(IMAGES[:1], CLASSES[:1]).sites}
    assert kinds["conv"] == "ZPlus()" and kinds["dense"] == "Epsilon()"
    chosen = LRP(network, [(lambda site: site.is_first, "flat")]).explain(IMAGES, CLASSES)
    np.testing.assert_array_equal(chosen, LRP(network, [("first", "flat")]).explain(IMAGES, CLASSES))
    assert np.abs(chosen - both).max() > 1e-3


def test_integers_are_explained_by_their_embedding() -> None:
    keras.utils.set_random_seed(2)
    inputs = keras.Input((5,), dtype="int32")
    x = layers.Embedding(7, 4, name="words")(inputs)
    x = layers.GRU(3, unroll=True, reset_after=False)(x)
    model = keras.Model(inputs, layers.Dense(2, use_bias=False)(x))

    explainer = LRP(model, "epsilon", wrt="words")
    found = explainer.explain(np.array([[1, 2, 3, 4, 5]]), 1)
    assert found.shape == (1, 5, 1)
    assert np.abs(found).min() > 0
    balance = explainer.conservation(np.array([[1, 2, 3, 4, 5]]), 1)
    taken = sum(values[0] for values in balance.taken().values())
    assert balance.scores[0] - balance.sums[0] == pytest.approx(taken, abs=1e-6)


def test_two_inputs_and_two_heads() -> None:
    image, table = keras.Input((4,), name="a"), keras.Input((3,), name="b")
    a, b = layers.Dense(2, use_bias=False), layers.Dense(2, use_bias=False)
    shared = layers.Add()([a(image), b(table)])
    heads = [
        layers.Dense(2, use_bias=False, name="one")(shared),
        layers.Dense(3, use_bias=False, name="two")(shared),
    ]
    model = keras.Model([image, table], heads)
    x = [np.ones((1, 4), "float32"), np.full((1, 3), 2.0, "float32")]

    maps = LRP(model, "zero", output_layer="two").explain(x, 2)
    total = sum(float(each.sum()) for each in maps)
    assert total == pytest.approx(float(model.predict(x, verbose=0)[1][0, 2]), rel=1e-4)


def test_a_custom_derivative_does_not_count() -> None:
    negated = native.with_gradient(lambda x: x * 1.0, lambda x, incoming: -incoming)
    inputs = keras.Input((3,))
    model = keras.Model(inputs, layers.Lambda(negated, output_shape=(3,))(inputs))

    found = LRP(model, "zero").explain(np.array([[1.0, 2.0, 3.0]]), 1)
    np.testing.assert_allclose(found, [[0, 2, 0]], atol=1e-6)


def test_unknown_operations_are_named() -> None:
    inputs = keras.Input((3,))
    model = keras.Model(inputs, ops.sum(ops.arctan2(inputs, ops.flip(inputs, 1)), axis=1, keepdims=True))

    with pytest.warns(PartialOverrideWarning, match="arctan2"):
        LRP(model).explain(np.array([[1.0, 2.0, 3.0]]), np.ones((1, 1)))


def test_what_is_refused_or_warned_of(network: keras.Model) -> None:
    for kind in (vis.GradientInput, vis.IntegratedGradients):
        with pytest.raises(ModifierError, match="multiply it by the input once more"):
            kind(network, backprop_modifier="epsilon_plus")
    with pytest.warns(SignWarning, match="grad_modifier=None"):
        Saliency(network, backprop_modifier="epsilon_plus")
    with pytest.warns(SignWarning, match="grad_modifier=None"):
        vis.visualize_saliency(network, "logits", 1, IMAGES[0], backprop_modifier="epsilon_plus")
    with pytest.raises(
        ModifierError, match=r"Unknown composite: 'epsilon_pluss'. Did you mean 'epsilon_plus'"
    ):
        LRP(network, "epsilon_pluss")
    with pytest.raises(ModifierError, match="list of pairs"):
        Composite(["conv"])
    modified = vis.backprop_modifiers.get("epsilon_plus")(network)
    with pytest.raises(ModifierError, match="along its gradient, not along relevance"):
        vis.visualize_activation(modified, "logits", 1, max_iter=1)


def test_no_path_is_an_error() -> None:
    inputs = keras.Input((3,))
    model = keras.Model(inputs, ops.round(inputs))

    with pytest.raises((GradientError, ModifierError)):
        LRP(model).explain(np.ones((1, 3)), np.ones((1, 3)))


def test_half_precision_is_computed_in_single() -> None:
    keras.utils.set_random_seed(3)
    inputs = keras.Input((6,), dtype="float16")
    x = layers.Dense(8, activation="relu", dtype="float16")(inputs)
    model = keras.Model(inputs, layers.Dense(2, dtype="float16")(x))
    wide_in = keras.Input((6,))
    y = layers.Dense(8, activation="relu")(wide_in)
    wide = keras.Model(wide_in, layers.Dense(2)(y))
    wide.set_weights([np.asarray(value, "float32") for value in model.get_weights()])
    x = np.random.default_rng(0).normal(size=(2, 6)).astype("float16")

    found = LRP(model, [("any", Epsilon(1e-3))]).explain(x, 1)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, LRP(wide, [("any", Epsilon(1e-3))]).explain(x, 1), rtol=0.05, atol=5e-3)


def test_a_loop_is_refused() -> None:
    model = keras.Sequential([keras.Input((5, 2)), layers.LSTM(3), layers.Dense(2)])
    if native.NAME != "TensorFlow":
        pytest.skip("the other frameworks show its steps")
    with pytest.raises(ModifierError, match=r"through a loop.*unroll=True"):
        LRP(model).explain(np.ones((1, 5, 2), "float32"), 1)
