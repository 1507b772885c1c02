"""Every form in which a target is named, and what is said about those that name none."""

from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops

from vis import linear_outputs
from vis.attributions import GradientExplainer
from vis.attributions.targets import as_weights, predicted
from vis.errors import FilterError, GradientError, InputError

# Where zeros are right, a warning about them is beside the point.
pytestmark = pytest.mark.filterwarnings("ignore::vis.errors.EmptyMapWarning")


def random(*shape: int, seed: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def slow(classes: list[int], shape: tuple[int, ...]) -> np.ndarray:
    """One weight at a time: a class of outputs with places is their mean."""
    weights = np.zeros((len(classes), *shape))
    places = int(np.prod(shape[:-1]))
    for i, which in enumerate(classes):
        for at in np.ndindex(*shape):
            if at[-1] == which % shape[-1]:
                weights[(i, *at)] = 1 / places
    return weights


SHAPES = [(4,), (5, 4), (3, 2, 4), (2, 3, 2, 4)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("classes", [[0, 3, 1], [2, 2, 0]])
def test_classes(shape: tuple[int, ...], classes: list[int]) -> None:
    expected = slow(classes, shape)
    forms: list[Any] = [
        classes,
        tuple(classes),
        np.array(classes, np.int8),
        np.array(classes, np.uint8),
        np.array(classes)[:, None],
        np.array(classes, np.float32),
        np.array(classes, np.float64)[:, None],
        ops.convert_to_tensor(classes),
        ops.cast(ops.convert_to_tensor(classes), "bfloat16"),
    ]
    for form in forms:
        found = as_weights(form, 3, shape)
        assert found.dtype == np.float32 and found.shape == (3, *shape)
        np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("which", [0, -1, np.int64(2), np.array(3)])
def test_one_class_for_all(shape: tuple[int, ...], which: Any) -> None:
    np.testing.assert_allclose(as_weights(which, 3, shape), slow([int(which)] * 3, shape), rtol=1e-6)


@pytest.mark.parametrize("shape", SHAPES[1:], ids=str)
def test_positions(shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    # More samples than axes, so that nothing else has this shape.
    at = np.stack([rng.integers(-size, size, 6) for size in shape], axis=1)
    expected = np.zeros((6, *shape))
    for i, place in enumerate(at):
        expected[(i, *place)] = 1
    assert np.array_equal(as_weights(at, 6, shape), expected)
    assert np.array_equal(as_weights(at.tolist(), 6, shape), expected)


@pytest.mark.parametrize("shape", [*SHAPES, (1,), ()], ids=str)
@pytest.mark.parametrize("kind", [np.float32, np.float64, np.float16])
def test_weights_stay_as_they_are(shape: tuple[int, ...], kind: Any) -> None:
    weights = random(3, *shape).astype(kind)
    found = as_weights(weights, 3, shape)
    assert found.dtype == np.float32
    assert np.array_equal(found, weights.astype(np.float32))


def test_one_hot_rows_of_whole_numbers_and_truths() -> None:
    rows = np.eye(4)[[2, 0, 3]]
    for kind in (int, bool, np.uint8):
        assert np.array_equal(as_weights(rows.astype(kind), 3, (4,)), rows)


@pytest.mark.parametrize("kind", [int, bool, np.uint8, np.float32, np.float64])
@pytest.mark.parametrize("column", [True, False])
def test_the_labels_of_one_output_both_ask_for_it(kind: Any, column: bool) -> None:
    labels = np.array([0, 1, 1], kind)
    assert as_weights(labels[:, None] if column else labels, 3, (1,)).tolist() == [[1], [1], [1]]


def test_other_numbers_weigh_one_output() -> None:
    """Each by itself: what a sample's number means does not depend on its neighbours."""
    assert as_weights(0, 2, (1,)).tolist() == [[1], [1]]
    assert as_weights([[1.0], [-1.0], [0.0], [2.5]], 4, (1,)).tolist() == [[1], [-1], [1], [2.5]]
    assert as_weights([[1], [-1]], 2, (1,)).tolist() == [[1], [-1]]


def test_truths_are_labels_of_two_classes() -> None:
    assert as_weights([True, False], 2, (2,)).tolist() == [[0, 1], [1, 0]]
    with pytest.raises(InputError, match="bool"):
        as_weights([True, False], 2, (3,))


def test_a_label_per_position_weighs_as_its_one_hot_row() -> None:
    for shape in ((5, 4), (3, 2, 4), (2, 3, 2, 4)):
        labels = np.random.default_rng(0).integers(0, 4, (3, *shape[:-1]))
        expected = keras.utils.to_categorical(labels, 4)
        for form in (labels, labels[..., None], labels.astype(np.float32), labels.astype(np.uint8)):
            assert np.array_equal(as_weights(form, 3, shape), expected)


def test_a_mask_per_position_weighs_one_channel() -> None:
    mask = np.random.default_rng(0).random((3, 4, 5)) > 0.5
    for form in (mask, mask[..., None], mask.astype(int), mask[..., None].astype(np.float32)):
        assert np.array_equal(as_weights(form, 3, (4, 5, 1)), mask[..., None])
    soft = random(3, 4, 5)
    assert np.array_equal(as_weights(soft, 3, (4, 5, 1))[..., 0], soft)


def test_what_can_be_read_in_two_ways_is_refused() -> None:
    with pytest.raises(InputError, match="a position of each sample or a label per step"):
        as_weights([[0, 1], [1, 0], [1, 1]], 3, (2, 4))


def test_scalars() -> None:
    assert as_weights(0, 3, ()).tolist() == [1, 1, 1]
    assert as_weights([0, 1, 0], 3, ()).tolist() == [1, 1, 1]
    assert as_weights([0.5, -1.0, 0.0], 3, ()).tolist() == [0.5, -1, 0]


def test_predicted() -> None:
    outputs = np.array([[0.1, 0.9, -3], [5, 5, 0]], np.float32)
    assert predicted(outputs).tolist() == [[0, 1, 0], [1, 0, 0]]
    assert predicted(np.array([3.0, -1])).tolist() == [1, 1]
    places = random(3, 4, 5, 6)
    best = [int(np.argmax([sample[..., c].sum() for c in range(6)])) for sample in places]
    np.testing.assert_allclose(predicted(places), slow(best, (4, 5, 6)), rtol=1e-6)


@pytest.mark.parametrize(
    ("wrong", "shape", "said"),
    [
        (4, (4,), r"Target 4 is out of range: there are 4 outputs, so valid indices are -4 to 3"),
        (-5, (4,), r"Target -5 is out of range"),
        ([0, 1, 7], (4,), r"Target 7 is out of range.*labels are 0 to 3.*sample 2"),
        ([0, -1, 2], (4,), r"Target -1 is out of range.*labels are 0 to 3.*sample 1.*leave the sample out"),
        ([[0.0], [255.0], [2.0]], (4,), r"Target 255 is out of range.*sample 1"),
        ([[[0, 1]], [[0, -1]], [[0, 1]]], (1, 2, 4), r"Target -1 .*sample 1 of a batch, at \(0, 1\)"),
        ([[[0, 1]], [[0, 255]], [[0, 1]]], (1, 2, 4), r"Target 255 .*sample 1 of a batch, at \(0, 1\)"),
        ([[37], [5], [2]], (1,), r"Target 37 is out of range: there is a single output"),
        ([[[0, 255]], [[0, 0]], [[0, 255]]], (1, 2, 1), r"Target 255 is out of range"),
        ([0, 1, 4], (5, 4), r"Target 4 is out of range: there are 4"),
        ([[0, 0], [4, 3], [5, 3]], (5, 4), r"Target 5 is out of range: there are 5"),
        ([[0, 0], [4, 3], [0, -5]], (5, 4), r"Target -5 is out of range: there are 4"),
    ],
)
def test_out_of_range(wrong: Any, shape: tuple[int, ...], said: str) -> None:
    with pytest.raises(FilterError, match=said):
        as_weights(wrong, 3, shape)
    with pytest.raises(IndexError):
        as_weights(wrong, 3, shape)


@pytest.mark.parametrize(
    ("wrong", "shape"),
    [
        ([0, 1], (4,)),
        (1.5, (4,)),
        ([0.0, 1.0, 1.5], (4,)),
        ([[0.0], [1.0], [np.nan]], (4,)),
        ([0.0, 1.0, 0.5], (1,)),
        (np.zeros((3, 5)), (4,)),
        (np.zeros((4, 3)), (4,)),
        ("cat", (4,)),
        (["cat", "dog", "cat"], (4,)),
        (None, (4,)),
        ([[1], [1, 2], [3]], (4,)),
        (np.zeros((3, 3), int), (5, 4)),
        (np.zeros((3, 2)), (5, 4)),
        (np.full(3, 0.5), (5, 4)),
        (np.full((3, 5), 0.5), (5, 4)),
        (np.zeros((1, 4)), (4,)),
        (np.zeros((3, 1, 4)), (5, 4)),
        (np.zeros((3, 5, 1, 4)), (5, 6, 4)),
        (1, ()),
        (1j, (4,)),
    ],
    ids=str,
)
def test_other_forms(wrong: Any, shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match=r"The targets of 3 samples with outputs of shape .* Received: "):
        as_weights(wrong, 3, shape)


def test_the_message_names_every_form() -> None:
    with pytest.raises(
        InputError,
        match=r"weights of shape \(3, 5, 4\), a class from 0 to 3 as an int or as 3 ints, labels of shape "
        r"\(3, 5\), positions of shape \(3, 2\)\. Received: ndarray of type float64 and shape \(3, 9\)",
    ):
        as_weights(np.zeros((3, 9)), 3, (5, 4))


# ---- through an explainer ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def classifier() -> keras.Model:
    keras.utils.set_random_seed(5)
    return keras.Sequential([layers.Input((4,)), layers.Dense(6, "tanh"), layers.Dense(3)])


def test_all_forms_explain_the_same(classifier: keras.Model) -> None:
    x, labels = random(5, 4), np.array([2, 0, 1, 1, 2])
    explainer = GradientExplainer(classifier, batch_size=2)
    first, second = (np.asarray(layer.kernel, np.float64) for layer in classifier.layers)
    slopes = 1 - np.tanh(x @ first) ** 2
    expected = np.stack(
        [first @ (slope * second[:, label]) for slope, label in zip(slopes, labels, strict=True)]
    )
    for form in (labels, labels.tolist(), labels.astype(float), labels[:, None], np.eye(3)[labels]):
        np.testing.assert_allclose(explainer.explain(x, form), expected, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(
        explainer.explain(x, np.eye(3)[labels] * -2), -2 * expected, rtol=1e-4, atol=1e-6
    )
    best = np.asarray(classifier(x)).argmax(axis=1)
    assert np.array_equal(explainer.explain(x), explainer.explain(x, best))


@pytest.mark.parametrize("shape", [(6, 2), (5, 6, 2)])
def test_outputs_with_places(shape: tuple[int, ...]) -> None:
    keras.utils.set_random_seed(5)
    convolution = layers.Conv1D if len(shape) == 2 else layers.Conv2D
    model = keras.Sequential([layers.Input(shape), convolution(3, 3, activation="tanh", padding="same")])
    outputs = (*shape[:-1], 3)
    x, axes = random(6, *shape), len(shape)
    explainer = GradientExplainer(model, reducer=None, batch_size=4)
    at = np.stack([np.random.default_rng(1).integers(0, size, 6) for size in outputs], axis=1)
    weights = np.zeros((6, *outputs))
    weights[tuple([np.arange(6), *at.T])] = 1
    found = explainer.explain(x, at)
    np.testing.assert_allclose(found, explainer.explain(x, weights), rtol=1e-6)
    # Only what the position sees has a gradient.
    for sample, place in zip(found, at, strict=True):
        lit = np.argwhere(np.abs(sample).max(axis=-1) > 0)
        assert len(lit) and np.abs(lit - place[: axes - 1]).max() <= 1
    mean = explainer.explain(x, 1)
    single = [explainer.explain(x, [[*p, 1]] * 6) for p in np.ndindex(*outputs[:-1])]
    np.testing.assert_allclose(mean, np.mean(single, axis=0), rtol=1e-4, atol=1e-6)
    best = np.asarray(model(x)).mean(axis=tuple(range(1, axes))).argmax(axis=-1)
    np.testing.assert_allclose(explainer.explain(x), explainer.explain(x, best), rtol=1e-6)


def test_a_model_with_scalar_outputs() -> None:
    entry = keras.Input((3,))
    model = keras.Model(entry, ops.sum(ops.square(entry), axis=-1))
    x = random(4, 3)
    explainer = GradientExplainer(model)
    for form in (None, 0, np.ones(4)):
        np.testing.assert_allclose(explainer.explain(x, form), 2 * x, rtol=1e-5)
    weights = np.array([1.0, -1, 0.5, 0])
    np.testing.assert_allclose(explainer.explain(x, weights), 2 * x * weights[:, None], rtol=1e-5)


def test_wrong_targets_of_an_explainer(classifier: keras.Model) -> None:
    explainer = GradientExplainer(classifier, batch_size=2)
    x = random(5, 4)
    with pytest.raises(FilterError, match="Target 3 is out of range"):
        explainer.explain(x, 3)
    with pytest.raises(InputError, match=r"Each sample needs a target\. Received: 5 samples, 4 targets"):
        explainer.explain(x, [0, 1, 2, 0])
    with pytest.raises(InputError, match=r"The targets of"):
        explainer.explain(x, np.zeros((5, 2)))
    with pytest.raises(InputError, match=r"The targets of"):
        explainer.explain(x, "cat")


@pytest.fixture(scope="module")
def segmenter() -> keras.Model:
    keras.utils.set_random_seed(5)
    return keras.Sequential([layers.Input((4, 5, 2)), layers.Conv2D(3, 3, padding="same", activation="tanh")])


@pytest.mark.parametrize("operator", [None, "semantic segmentation"])
def test_label_maps_are_masks_of_their_classes(segmenter: keras.Model, operator: Any) -> None:
    x, labels = random(3, 4, 5, 2), np.random.default_rng(1).integers(0, 3, (3, 4, 5))
    explainer = GradientExplainer(segmenter, operator=operator, batch_size=2)
    wanted = explainer.explain(x, keras.utils.to_categorical(labels, 3))
    assert np.abs(wanted - explainer.explain(x, 0)).max() > 1e-3
    for form in (labels, labels[..., None], labels.astype(np.float32)):
        np.testing.assert_array_equal(explainer.explain(x, form), wanted)
    with pytest.raises(FilterError, match="Target -1 is out of range"):
        explainer.explain(x, labels - 1)
    for wrong in (labels[:, :2], labels[..., None, None], labels + 0.5):
        with pytest.raises(InputError, match="The targets of"):
            explainer.explain(x, wrong)


@pytest.mark.parametrize("activation", ["sigmoid", None])
def test_binary_labels_explain_the_only_output(activation: Any) -> None:
    keras.utils.set_random_seed(5)
    model = keras.Sequential([layers.Input((4,)), layers.Dense(6, "tanh"), layers.Dense(1, activation)])
    x, labels = random(6, 4), np.array([[0], [1], [1], [0], [0], [1]])
    explainer = GradientExplainer(linear_outputs(model), batch_size=4)
    wanted = explainer.explain(x, np.ones((6, 1), np.float32))
    assert np.abs(wanted).max(axis=1).min() > 1e-3
    for form in (None, 0, labels, labels.astype(np.float32), labels[:, 0], labels[:, 0] > 0):
        np.testing.assert_array_equal(explainer.explain(x, form), wanted)
    np.testing.assert_allclose(explainer.explain(x, np.full((6, 1), -1.0)), -wanted)


def test_targets_that_are_no_array(classifier: keras.Model) -> None:
    with pytest.raises(InputError):
        GradientExplainer(classifier).explain(random(3, 4), [[1], [1, 2], [0]])


def test_weights_that_are_not_finite(classifier: keras.Model) -> None:
    with pytest.raises((InputError, GradientError), match=r"NaN|finite"):
        GradientExplainer(classifier).explain(random(2, 4), np.full((2, 3), np.nan))
