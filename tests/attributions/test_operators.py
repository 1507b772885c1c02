"""Operators: each task against loops, functions of one's own, and what is said about wrong ones."""

from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops

from tests import native
from vis.attributions import GradCAM, GradientExplainer, IntegratedGradients, Occlusion, Saliency, operators
from vis.errors import GradientError, InputError, LayerError, ModifierError

# Where zeros are right, a warning about them is beside the point.
pytestmark = pytest.mark.filterwarnings("ignore::vis.errors.EmptyMapWarning")


def random(*shape: int, seed: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


@pytest.fixture(scope="module")
def network() -> keras.Model:
    keras.utils.set_random_seed(5)
    return keras.Sequential([layers.Input((4,)), layers.Dense(6, "tanh", name="hidden"), layers.Dense(3)])


@pytest.fixture(scope="module")
def segmenter() -> keras.Model:
    keras.utils.set_random_seed(5)
    return keras.Sequential([layers.Input((4, 5, 2)), layers.Conv2D(3, 3, padding="same", activation="tanh")])


@pytest.fixture(scope="module")
def detector() -> keras.Model:
    keras.utils.set_random_seed(5)
    dense = layers.Dense(3 * 8, bias_initializer=keras.initializers.Constant([0, 0, 2, 3, 0.6, 1, 2, 3] * 3))
    return keras.Sequential([layers.Input((4,)), dense, layers.Reshape((3, 8))])


def values(model: Any, operator: Any, x: np.ndarray, targets: np.ndarray) -> np.ndarray:
    return np.asarray(
        operators.get(operator)(model, ops.convert_to_tensor(x), ops.convert_to_tensor(targets))
    )


@pytest.mark.parametrize("name", ["classification", "regression", None])
def test_weighed_outputs(network: keras.Model, name: Any) -> None:
    x, weights = random(5, 4), random(5, 3, seed=4)
    outputs = np.asarray(network(x))
    expected = [sum(float(outputs[n, k]) * float(weights[n, k]) for k in range(3)) for n in range(5)]
    np.testing.assert_allclose(values(network, name, x, weights), expected, rtol=1e-5)
    found = GradientExplainer(network, operator=name).explain(x, weights)
    expected = native.gradient(lambda entry: network(entry) * ops.convert_to_tensor(weights), x)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_segmentation_is_the_mean_over_the_zone(segmenter: keras.Model) -> None:
    x = random(3, 4, 5, 2)
    zone = np.random.default_rng(0).choice([-1.0, 0, 0, 1], size=(3, 4, 5, 3)).astype(np.float32)
    zone[2] = 0  # nothing is asked for
    outputs = np.asarray(segmenter(x))
    expected = []
    for sample, mask in zip(outputs, zone, strict=True):
        places = [at for at in np.ndindex(4, 5, 3) if mask[at] != 0]
        expected.append(sum(float(sample[at] * mask[at]) for at in places) / max(len(places), 1))
    assert expected[2] == 0
    found = values(segmenter, "semantic segmentation", x, zone)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-7)
    gradient = GradientExplainer(segmenter, operator="semantic segmentation", reducer=None).explain(x, zone)
    counts = np.maximum((zone != 0).sum(axis=(1, 2, 3), keepdims=True), 1)
    shares = ops.convert_to_tensor((zone / counts).astype(np.float32))
    wanted = native.gradient(lambda entry: segmenter(entry) * shares, x)
    np.testing.assert_allclose(gradient, wanted, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("task", ["classification", "semantic segmentation", "object detection"])
@pytest.mark.parametrize("kind", [Saliency, Occlusion])
def test_targets_of_every_task_are_finite(segmenter: Any, detector: Any, task: str, kind: Any) -> None:
    model = detector if task == "object detection" else segmenter
    x = random(2, *model.inputs[0].shape[1:])
    targets = model.predict(x, verbose=0)[:, :2] if model is detector else model.predict(x, verbose=0)
    explainer = kind(model, operator=task)
    explainer.explain(x, targets)
    for wrong in (np.nan, np.inf):
        targets.flat[3] = wrong
        with pytest.raises(InputError, match=f"Targets must be finite. Received: 1 of {targets.size}"):
            explainer.explain(x, targets)


def slow_detection(found: np.ndarray, wanted: np.ndarray) -> float:
    best = []
    for target in wanted:
        if not target.any():
            continue
        scores = [0.0]
        for box in found:
            if not box.any():
                continue
            width = max(min(box[2], target[2]) - max(box[0], target[0]), 0)
            height = max(min(box[3], target[3]) - max(box[1], target[1]), 0)
            inside = width * height
            areas = sum((b[2] - b[0]) * (b[3] - b[1]) for b in (box, target))
            cosine = box[5:] @ target[5:] / np.linalg.norm(box[5:]) / np.linalg.norm(target[5:])
            scores.append(inside / (areas - inside) * box[4] * cosine)
        best.append(max(scores))
    return sum(best) / max(len(best), 1)


def boxes(rng: Any, *shape: int) -> np.ndarray:
    corners = rng.random((*shape, 2)) * 3
    sides = rng.random((*shape, 2)) * 4 + 0.2
    rest = rng.random((*shape, 4)) + 0.1
    return np.concatenate([corners, corners + sides, rest], axis=-1).astype(np.float32)


def test_detection_agrees_with_loops() -> None:
    rng = np.random.default_rng(0)
    detections, wanted = boxes(rng, 6, 5), boxes(rng, 6, 2)
    detections[1, 3:] = 0  # padding
    wanted[2, 1] = 0
    wanted[3] = 0
    wanted[4, 0, :4] = [50, 50, 51, 51]  # far from all
    expected = [slow_detection(*pair) for pair in zip(detections, wanted, strict=True)]
    assert expected[3] == 0 and min(expected[:3]) > 0 and max(expected) > 0.05
    identity = lambda tensor: tensor  # noqa: E731 - stands for a model
    found = values(identity, "object detection", detections, wanted)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    one = values(identity, "object detection", detections, wanted[:, 0])
    expected = [slow_detection(a, b[:1]) for a, b in zip(detections, wanted, strict=True)]
    np.testing.assert_allclose(one, expected, rtol=1e-5)


def test_detection_by_hand() -> None:
    found = np.array([[[0, 0, 2, 2, 0.5, 1, 0], [1, 0, 3, 2, 0.9, 0, 1]]], np.float32)
    wanted = np.array([[1, 0, 3, 2, 1, 1, 0]], np.float32)
    # The first covers 2 of 6 with the right class; the second covers all with the wrong one.
    identity = lambda tensor: tensor  # noqa: E731 - stands for a model
    np.testing.assert_allclose(values(identity, "object detection", found, wanted), [0.5 / 3], rtol=1e-6)


def test_explaining_detections(detector: keras.Model) -> None:
    x = random(3, 4) / 10
    wanted = np.tile(np.array([[0, 0, 2, 2, 1, 0, 0, 1]], np.float32), (3, 1))
    explainer = GradientExplainer(detector, operator="object detection")
    found = explainer.explain(x, wanted)
    step = 1e-3
    expected = np.zeros_like(x)
    for i in range(3):
        for j in range(4):
            pair = np.stack([x[i], x[i]])
            pair[:, j] += [step, -step]
            up, down = (slow_detection(rows, wanted[:1]) for rows in np.asarray(detector(pair), np.float64))
            expected[i, j] = (up - down) / (2 * step)
    assert np.abs(expected).max() > 0.01
    np.testing.assert_allclose(found, expected, rtol=0.05, atol=2e-3)
    # Several boxes per sample, one of which is none.
    padded = np.stack([wanted, 0 * wanted], axis=1)
    np.testing.assert_allclose(explainer.explain(x, padded), found, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("policy", ["float64", "mixed_float16", "mixed_bfloat16", "float16", "bfloat16"])
@pytest.mark.parametrize("name", ["classification", "semantic segmentation"])
@pytest.mark.in_64_bits
def test_each_task_in_other_precisions(policy: str, name: str) -> None:
    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [layers.Input((4, 5, 2), dtype=policy.replace("mixed_", "")), layers.Conv2D(3, 3, dtype=policy)]
    )
    zone = np.zeros((2, 2, 3, 3), np.float32)
    zone[:, 0, 1, 2] = 1
    x = random(2, 4, 5, 2)
    found = Saliency(model, operator=name, reducer=None, grad_modifier=None).explain(x, zone)
    assert found.dtype == np.float32
    expected = np.zeros_like(x)
    expected[:, 0:3, 1:4] = np.asarray(model.layers[-1].kernel, np.float32)[..., 2]
    np.testing.assert_allclose(found, expected, rtol=0.02, atol=1e-3)


@pytest.mark.parametrize("policy", ["float64", "float16", "bfloat16"])
@pytest.mark.in_64_bits
def test_padded_boxes_in_other_precisions(policy: str) -> None:
    dense = layers.Dense(16, bias_initializer=keras.initializers.Constant([0, 0, 2, 3, 0.6, 1, 2, 3] * 2))
    dense.dtype_policy = keras.DTypePolicy(policy)
    model = keras.Sequential([layers.Input((4,), dtype=policy), dense, layers.Reshape((2, 8), dtype=policy)])
    wanted = np.zeros((2, 2, 8), np.float32)
    wanted[:, 0] = [0, 0, 2, 2, 1, 0, 0, 1]
    found = Saliency(model, operator="object detection").explain(random(2, 4) / 10, wanted)
    assert found.dtype == np.float32 and np.isfinite(found).all() and found.any()


# ---- of one's own --------------------------------------------------------------------------------------


def margin(model: Any, inputs: Any, targets: Any) -> Any:
    """The chosen output over the largest of the others."""
    outputs = model(inputs)
    chosen = ops.sum(outputs * targets, axis=-1)
    return chosen - ops.max(outputs - 1e6 * targets, axis=-1)


def test_a_function_of_ones_own(network: keras.Model) -> None:
    x, labels = random(5, 4), np.array([0, 1, 2, 0, 1])
    rows = ops.convert_to_tensor(np.eye(3, dtype=np.float32)[labels])

    def score(entry: Any) -> Any:
        outputs = network(entry)
        others = ops.max(ops.where(rows > 0, -np.inf, outputs), axis=-1)
        return ops.sum(outputs * rows, axis=-1) - others

    found = GradientExplainer(network, operator=margin).explain(x, labels)
    np.testing.assert_allclose(found, native.gradient(score, x), rtol=1e-5, atol=1e-6)
    assert np.abs(found - GradientExplainer(network).explain(x, labels)).max() > 0.01
    rise = IntegratedGradients(network, operator=margin)
    np.testing.assert_allclose(
        rise.explain(x, labels).sum(axis=1) + rise.residuals(x, labels),
        score(x) - score(np.zeros_like(x)),
        atol=1e-5,
    )


def test_an_operator_may_call_the_model_on_other_inputs(network: keras.Model) -> None:
    x = random(3, 4)

    def both_ways(model: Any, inputs: Any, targets: Any) -> Any:
        return ops.sum((model(inputs) + model(-2 * inputs) * model(inputs + 1)) * targets, axis=-1)

    def score(entry: Any) -> Any:
        return (network(entry) + network(-2 * entry) * network(entry + 1))[:, 1]

    found = GradientExplainer(network, operator=both_ways).explain(x, 1)
    np.testing.assert_allclose(found, native.gradient(score, x), rtol=1e-4, atol=1e-6)
    assert np.abs(found - GradientExplainer(network).explain(x, 1)).max() > 0.01


def test_an_operator_calls_the_output_layer_as_the_model(network: keras.Model) -> None:
    x, hidden = random(3, 4), network.get_layer("hidden")

    def turned(model: Any, inputs: Any, targets: Any) -> Any:
        return ops.sum(model(inputs) * model(-inputs + 1) * targets, axis=-1)

    found = GradientExplainer(network, "hidden", operator=turned).explain(x, 4)
    expected = native.gradient(lambda entry: (hidden(entry) * hidden(1 - entry))[:, 4], x)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


def test_an_operator_gets_the_structure_of_the_inputs() -> None:
    a, b = keras.Input((3,), name="a"), keras.Input((3,), name="b")
    model = keras.Model({"a": a, "b": b}, layers.Dense(1, kernel_initializer="ones")(a * b))

    def product(model: Any, inputs: Any, targets: Any) -> Any:
        assert set(inputs) == {"a", "b"}
        return model({"a": inputs["b"], "b": inputs["b"]})[:, 0] + ops.sum(inputs["a"], axis=-1)

    x = {"a": random(2, 3), "b": random(2, 3, seed=4)}
    found = GradientExplainer(model, operator=product).explain(x, 0)
    np.testing.assert_allclose(found["a"], np.ones((2, 3)))
    np.testing.assert_allclose(found["b"], 2 * x["b"], rtol=1e-6)


def test_an_operator_may_ask_for_targets_of_any_form(network: keras.Model) -> None:
    def distance(model: Any, inputs: Any, targets: Any) -> Any:
        return ops.sum(ops.square(model(inputs)[:, None] - targets), axis=(1, 2))

    x, targets = random(5, 4), random(5, 7, 3, seed=8)
    for batch_size in (64, 2):
        explainer = GradientExplainer(network, operator=distance, batch_size=batch_size)
        expected = native.gradient(lambda entry: distance(network, entry, ops.convert_to_tensor(targets)), x)
        np.testing.assert_allclose(explainer.explain(x, targets), expected, rtol=1e-4, atol=1e-5)


def two_outputs() -> keras.Model:
    keras.utils.set_random_seed(5)
    a = keras.Input((4,))
    return keras.Model(a, [layers.Dense(2, name="two")(a), layers.Dense(3, name="three")(a)])


def both(model: Any, inputs: Any, targets: Any) -> Any:
    two, three = model(inputs)
    return two[:, 0] * three[:, 1]


def test_an_operator_makes_one_score_of_several_outputs() -> None:
    model, x = two_outputs(), random(3, 4)
    found = GradientExplainer(model, operator=both).explain(x, 0)
    expected = native.gradient(lambda entry: model(entry)[0][:, 0] * model(entry)[1][:, 1], x)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    with pytest.raises(LayerError, match=r"The model has 2 outputs.*output_layer, or pass an operator"):
        GradientExplainer(model).explain(x, 0)
    chosen = GradientExplainer(model, "three").explain(x, 1)
    np.testing.assert_allclose(chosen, native.gradient(lambda entry: model(entry)[1][:, 1], x), rtol=1e-5)


def test_an_operator_on_several_outputs_needs_no_targets() -> None:
    model, x = two_outputs(), random(3, 4)
    explainer = GradientExplainer(model, operator=both)
    np.testing.assert_allclose(explainer.explain(x), explainer.explain(x, 0), rtol=1e-6)


TARGETS: dict[str, Any] = {
    "a class": 1,
    "classes": [0, 1, 4, 7, 2],
    "a column": np.array([[0.0], [1.0], [1.0], [0.0], [1.0]]),
    "weights of another size": random(5, 7),
    "weights of one output": random(5, 3),
    "a picture each": random(5, 2, 3, 2),
    "truths": np.array([True, False, True, True, False]),
}


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("sizes", ["known", "unknown"])
def test_an_operator_on_several_outputs_is_given_its_targets_as_they_are(name: str, sizes: str) -> None:
    targets, x = TARGETS[name], random(5, 4, 2)
    entry = keras.Input((4, 2) if sizes == "known" else (None, 2))
    model = keras.Model(entry, [layers.Conv1D(2, 1)(entry), layers.Conv1D(3, 1)(entry)])
    rows = np.asarray(targets, np.float32) if np.ndim(targets) else np.full(5, targets, np.float32)
    weights = rows.reshape(5, -1).sum(axis=1)

    def weighed(model: Any, inputs: Any, targets: Any) -> Any:
        two, three = model(inputs)
        both = ops.sum(two, axis=(1, 2)) + ops.sum(three**2, axis=(1, 2))
        return both * ops.sum(ops.reshape(targets, (ops.shape(targets)[0], -1)), axis=1)

    expected = native.gradient(
        lambda x: (
            (ops.sum(model(x)[0], (1, 2)) + ops.sum(model(x)[1] ** 2, (1, 2)))
            * ops.convert_to_tensor(weights)
        ),
        x,
    )
    for batch_size in (64, 2):
        found = GradientExplainer(model, operator=weighed, batch_size=batch_size).explain(x, targets)
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    patches = Occlusion(model, operator=weighed, patch_size=2).explain(x, targets)
    assert patches.shape == (5, 4, 2) and patches.any()


def test_an_operator_of_ones_own_is_given_the_labels_of_one_output() -> None:
    """A loss of a sigmoid, say, wants the zeros, too."""
    model = keras.Sequential([layers.Input((4,)), layers.Dense(1)])
    x, labels = random(4, 4), np.array([[0.0], [1.0], [1.0], [0.0]])

    def error(model: Any, inputs: Any, targets: Any) -> Any:
        return -ops.square(model(inputs) - targets)[:, 0]

    truths = ops.convert_to_tensor(labels.astype(np.float32))
    expected = native.gradient(lambda entry: -((model(entry) - truths) ** 2), x)
    for form in (labels, labels.astype(int)):
        found = GradientExplainer(model, operator=error).explain(x, form)
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_targets_of_an_operator_that_are_no_rows_of_numbers() -> None:
    explainer = GradientExplainer(two_outputs(), operator=both)
    for wrong in (["a", "b", "c"], np.zeros((3, 2), "datetime64[s]")):
        with pytest.raises(InputError, match="numbers, with a row for each of 3 samples"):
            explainer.explain(random(3, 4), wrong)


@pytest.mark.parametrize("task", ["classification", "semantic segmentation"])
def test_targets_of_a_task_are_never_broadcast(segmenter: keras.Model, task: str) -> None:
    explainer = GradientExplainer(segmenter, operator=task)
    for wrong in (
        np.ones((2, 4, 1, 3)),
        np.ones((2, 1, 1, 3)),
        np.ones((2, 3)) / 2,
        np.ones((2, 4, 5, 1, 1)),
    ):
        with pytest.raises(InputError, match="The targets of"):
            explainer.explain(random(2, 4, 5, 2), wrong)


@pytest.mark.parametrize("explainer", [GradientExplainer, GradCAM, Occlusion, IntegratedGradients])
def test_the_operator_acts_in_each_explainer(segmenter: keras.Model, explainer: Any) -> None:
    def squared(model: Any, inputs: Any, targets: Any) -> Any:
        return -ops.sum(ops.square(model(inputs)) * targets, axis=(1, 2, 3))

    model = keras.Sequential([layers.Input((4, 5, 2)), *segmenter.layers, layers.Conv2D(2, 2)])
    x = random(2, 4, 5, 2)
    other = explainer(model, operator=squared).explain(x, 0)
    assert np.abs(other - explainer(model).explain(x, 0)).max() > 1e-3


# ---- wrong ones ----------------------------------------------------------------------------------------


def test_names() -> None:
    assert set(operators.names()) == {
        "classification",
        "contrastive",
        "regression",
        "semantic segmentation",
        "object detection",
    }
    assert operators.get(None) is operators.get("classification")
    assert operators.get(margin) is margin


def test_wrong_operators(network: keras.Model) -> None:
    with pytest.raises(ModifierError, match=r"Unknown operator: 'clasification'.*'classification'"):
        Saliency(network, operator="clasification")
    with pytest.raises(ModifierError, match=r"the function must take three arguments"):
        Saliency(network, operator=lambda model: model)
    with pytest.raises(ModifierError, match=r"an operator is a function operator\(model, inputs, targets\)"):
        Saliency(network, operator=3)
    for wrong, shape in (
        (lambda m, x, y: m(x), r"\(None, 3\)" if native.COMPILES else r"\(2, 3\)"),
        (lambda m, x, y: ops.sum(m(x)), r"\(\)"),
        (lambda m, x, y: 1.0, "1.0 of type float"),
    ):
        with pytest.raises(
            GradientError, match=rf"An operator must return the score of each sample.*{shape}"
        ):
            Saliency(network, operator=wrong).explain(random(2, 4), 0)
    with pytest.raises(GradientError, match=r"No path leads"):
        Saliency(network, operator=lambda m, x, y: ops.sum(y, axis=-1)).explain(random(2, 4), 0)


def test_contrastive_agrees_with_loops() -> None:
    outputs = np.random.default_rng(0).normal(size=(4, 5)).astype(np.float32)
    weights = np.zeros((4, 5), np.float32)
    weights[0, 2] = 1  # against the rest
    weights[1, 0], weights[1, 3] = 1, -1  # against another one
    weights[2, :2], weights[2, 2:4] = 0.5, -0.5  # some against others
    weights[3, [0, 1]] = 1
    found = values(lambda tensor: tensor, "contrastive", outputs, weights)
    rest = [np.delete(outputs[0], 2).mean(), 2 * outputs[3, 2:].mean()]
    expected = [
        outputs[0, 2] - rest[0],
        outputs[1, 0] - outputs[1, 3],
        outputs[2, :2].mean() - outputs[2, 2:4].mean(),
        outputs[3, :2].sum() - rest[1],
    ]
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_contrastive_takes_labels() -> None:
    model = keras.Sequential([layers.Input((3,)), layers.Dense(3, use_bias=False)])
    kernel, x = model.get_weights()[0], np.ones((2, 3), np.float32)
    found = Saliency(model, operator="contrastive", grad_modifier=None).explain(x, [0, 2])
    for row, label in zip(found, (0, 2), strict=True):
        expected = kernel[:, label] - np.delete(kernel, label, axis=1).mean(axis=1)
        np.testing.assert_allclose(row, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("order", ["xyxy", "yxyx"])
@pytest.mark.parametrize("from_logits", [True, False])
def test_a_detector_with_a_dict_as_its_output(order: str, from_logits: bool) -> None:
    rng = np.random.default_rng(0)
    rows, wanted = boxes(rng, 6, 5), boxes(rng, 6, 2)
    logits = rng.normal(size=(6, 5, 3)).astype(np.float32)
    shares = 1 / (1 + np.exp(-logits)) if from_logits else rows[..., 5:]
    corners = rows[..., [1, 0, 3, 2]] if order == "yxyx" else rows[..., :4]
    output = {"where": corners / 2, "what": logits if from_logits else rows[..., 5:]}
    operator = operators.detection_of(
        "where", "what", from_logits=from_logits, order=order, decode=lambda found, inputs: found * 2
    )
    tensors = {name: keras.ops.convert_to_tensor(value) for name, value in output.items()}
    found = keras.ops.convert_to_numpy(operator(lambda _: tensors, None, keras.ops.convert_to_tensor(wanted)))
    whole = np.concatenate([rows[..., :4], shares.max(axis=-1, keepdims=True), shares], axis=-1)
    expected = [slow_detection(*pair) for pair in zip(whole, wanted, strict=True)]
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_a_detector_is_explained_by_gradients_and_by_covering() -> None:
    x = keras.Input((4, 4, 1), name="image")
    flat = layers.Flatten()(x)
    where = layers.Reshape((2, 4), name="where")(layers.Dense(8, name="offsets")(flat))
    what = layers.Reshape((2, 3), name="what")(layers.Dense(6)(flat))
    model = keras.Model(x, {"where": where, "what": what})
    model.get_layer("offsets").set_weights([0.01 * np.ones((16, 8)), np.array([0, 0, 2, 2, 1, 1, 3, 3.0])])
    images, wanted = np.random.default_rng(0).random((2, 4, 4, 1)), np.array([[0, 0, 2, 2, 1, 1, 0, 0.0]] * 2)
    operator = operators.detection_of("where", "what")
    for explainer in (Saliency(model, operator=operator), Occlusion(model, operator=operator, patch_size=2)):
        maps = explainer.explain(images, wanted)
        assert maps.shape == (2, 4, 4, 1) and np.isfinite(maps).all() and maps.any()


def test_wrong_calls_of_detectors() -> None:
    with pytest.raises(InputError, match=r'order must be "xyxy" or "yxyx"'):
        operators.detection_of("boxes", "classes", order="xywh")
    with pytest.raises(InputError, match=r"keys 'boxes' and 'classes'. Received: \['other'\]"):
        operators.detection_of("boxes", "classes")(lambda _: {"other": 1}, None, None)
