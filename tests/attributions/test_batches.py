"""Every form in which inputs come: arrays, data sets and generators, with and without targets."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops

from tests import native
from vis.attributions import GradientExplainer
from vis.attributions.batches import is_stream
from vis.errors import FilterError, InputError


def random(*shape: int, seed: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


X, Y = random(7, 4, 3, 2), np.array([0, 2, 1, 1, 0, 2, 2])
TABLE, LABELS = random(7, 3), np.array([0, 1, 1, 0, 1, 0, 0])


@pytest.fixture(scope="module")
def model() -> keras.Model:
    keras.utils.set_random_seed(5)
    return keras.Sequential(
        [
            layers.Input((4, 3, 2), name="only"),
            layers.Flatten(),
            layers.Dense(5, "tanh"),
            layers.Dense(3, name="end"),
        ]
    )


@pytest.fixture(scope="module")
def expected(model: keras.Model) -> np.ndarray:
    """One gradient per sample."""
    maps = []
    for x, y in zip(X, Y, strict=True):
        maps.append(native.gradient(lambda entry, y=y: model(entry)[0, y], x[None])[0])
    return np.stack(maps)


def check(model: Any, expected: Any, inputs: Any, targets: Any, batch_size: int | None = 3) -> None:
    found = GradientExplainer(model, reducer=None, batch_size=batch_size).explain(inputs, targets)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


WEIGHTS = np.linspace(0, 3, 7)


class Batches(keras.utils.PyDataset):
    """A Keras data set of batches."""

    def __init__(self, *columns: Any, size: int = 3) -> None:
        super().__init__()
        self.columns, self.size = columns, size

    def __len__(self) -> int:
        return -(-7 // self.size)

    def __getitem__(self, number: int) -> Any:
        part = slice(number * self.size, (number + 1) * self.size)
        return tuple(keras.tree.map_structure(lambda column: column[part], item) for item in self.columns)


class Plain:
    """Something with a length and items, and no more."""

    def __init__(self, items: list[Any]) -> None:
        self.items = items

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, number: int) -> Any:
        return self.items[number]


class Again:
    """An iterator that says its length, and then begins again, as `ImageDataGenerator().flow` does."""

    def __init__(self, items: list[Any]) -> None:
        self.items, self.next = items, 0

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Any:
        return self

    def __next__(self) -> Any:
        self.next += 1
        return self.items[(self.next - 1) % len(self.items)]


PAIRS = [(X[:4], Y[:4]), (X[4:], Y[4:])]
STREAMS: dict[str, tuple[Callable[[], Any], Any]] = {
    "data set": (lambda: native.dataset(X), Y),
    "data set in batches": (lambda: native.dataset(X, 2), Y),
    "data set in one batch": (lambda: native.dataset(X, 50), Y),
    "data set of pairs": (lambda: native.dataset((X, Y)), None),
    "data set of pairs in batches": (lambda: native.dataset((X, Y), 4), None),
    "data set of large pairs": (lambda: native.dataset((X, Y), 7), None),
    "data set of one-hot pairs": (lambda: native.dataset((X, np.eye(3)[Y]), 2), None),
    "data set of tuples of one": (lambda: native.dataset((X,), 2), Y),
    "generator": (lambda: (x for x in X), Y),
    "generator of batches": (lambda: (X[i : i + 4] for i in (0, 4)), Y.tolist()),
    "generator of pairs": (lambda: zip(X, Y, strict=True), None),
    "generator of pairs of batches": (lambda: ((X[i : i + 4], Y[i : i + 4]) for i in (0, 4)), None),
    "generator of batches of all sizes": (lambda: (X[a:b] for a, b in ((0, 1), (1, 6), (6, 7))), Y),
    "iterator of a data set": (lambda: iter(native.dataset((X, Y), 3)), None),
    "data set of triples": (lambda: native.dataset((X, Y, WEIGHTS), 3), None),
    "data set of single triples": (lambda: native.dataset((X, Y, WEIGHTS)), None),
    "generator of triples": (lambda: zip(X, Y, WEIGHTS, strict=True), None),
    "generator of lists of pairs": (lambda: ([x, y] for x, y in PAIRS), None),
    "generator of lists of single pairs": (lambda: ([x, y] for x, y in zip(X, Y, strict=True)), None),
    "columns of labels": (lambda: native.dataset((X, Y[:, None]), 2), None),
    "labels in floats": (lambda: native.dataset((X, Y.astype(np.float32)), 2), None),
    "dicts": (lambda: native.dataset({"only": X}, 2), Y),
    "dicts with more than the input": (lambda: native.dataset({"only": X, "id": Y}, 2), Y),
    "pairs of dicts": (lambda: native.dataset(({"only": X}, {"end": Y}), 2), None),
    "keras data set": (lambda: Batches(X), Y),
    "keras data set of pairs": (lambda: Batches(X, Y), None),
    "keras data set of triples": (lambda: Batches(X, Y, WEIGHTS, size=4), None),
    "keras data set of dicts": (lambda: Batches({"only": X}, Y), None),
    "iterator that begins again": (lambda: Again(PAIRS), None),
    "object of batches": (lambda: Plain([X[:4], X[4:]]), Y),
    "object of pairs of batches": (lambda: Plain(PAIRS), None),
    "object of samples": (lambda: Plain(list(X)), Y),
    "object of pairs": (lambda: Plain(list(zip(X, Y, strict=True))), None),
}


@pytest.mark.parametrize("name", STREAMS)
@pytest.mark.parametrize("batch_size", [1, 3, 7, 64, None])
def test_streams(model: keras.Model, expected: np.ndarray, name: str, batch_size: int | None) -> None:
    make, targets = STREAMS[name]
    check(model, expected, make(), targets, batch_size)


ARRAYS: dict[str, Callable[[], Any]] = {
    "float64": lambda: X.astype(np.float64),
    "a list": lambda: X.tolist(),
    "a list of arrays": lambda: list(X),
    "a tuple of arrays": lambda: tuple(X),
    "a list with the array": lambda: [X],
    "a keras tensor": lambda: ops.convert_to_tensor(X),
    "a variable": lambda: keras.Variable(X),
    "not contiguous": lambda: np.asfortranarray(np.repeat(X, 2, axis=2))[:, :, ::2],
}


@pytest.mark.parametrize("name", ARRAYS)
@pytest.mark.parametrize("batch_size", [3, None])
def test_arrays(model: keras.Model, expected: np.ndarray, name: str, batch_size: int | None) -> None:
    check(model, expected, ARRAYS[name](), Y, batch_size)
    check(model, expected, ARRAYS[name](), ops.convert_to_tensor(Y), batch_size)


def test_bytes_and_read_only_arrays(model: keras.Model) -> None:
    pixels = np.random.default_rng(0).integers(0, 3, size=(5, 4, 3, 2), dtype=np.uint8)
    wanted = GradientExplainer(model).explain(pixels.astype(np.float32), 1)
    pixels.setflags(write=False)
    before = pixels.copy()
    for form in (pixels, pixels.astype(bool).astype(np.uint8) * pixels, pixels.tolist()):
        np.testing.assert_array_equal(GradientExplainer(model).explain(form, 1), wanted)
    assert np.array_equal(pixels, before)


def test_one_target_for_all(model: keras.Model) -> None:
    wanted = GradientExplainer(model).explain(X, [1] * 7)
    for inputs in (X, native.dataset(X), iter(X), native.dataset(X, 4)):
        np.testing.assert_allclose(
            GradientExplainer(model, batch_size=3).explain(inputs, 1), wanted, rtol=1e-5, atol=1e-6
        )


def test_no_targets_are_the_predicted_ones(model: keras.Model) -> None:
    best = np.asarray(model(X)).argmax(axis=1)
    wanted = GradientExplainer(model).explain(X, best)
    for inputs in (X, native.dataset(X), (x for x in X), native.dataset(X, 4)):
        np.testing.assert_allclose(
            GradientExplainer(model, batch_size=3).explain(inputs), wanted, rtol=1e-5, atol=1e-6
        )


def test_a_stream_is_read_as_it_goes(model: keras.Model) -> None:
    read = []

    def endless() -> Any:
        while True:
            read.append(len(read))
            yield X[0]

    found = GradientExplainer(model, batch_size=4).explained(endless(), 0)
    assert len(next(found).maps[0]) == 4 and len(read) == 4
    next(found)
    assert len(read) == 8


def test_a_data_set_without_end_is_refused(model: keras.Model) -> None:
    with pytest.raises(InputError, match=r"never ends.*take\(n\)"):
        GradientExplainer(model).explain(Endless(), 0)


class Endless(keras.utils.PyDataset):
    @property
    def num_batches(self) -> None:
        return None

    def __getitem__(self, number: int) -> Any:
        return (X[:2],)


def test_the_true_values_of_a_regression_are_no_targets() -> None:
    model = keras.Sequential([layers.Input((3,)), layers.Dense(1)])
    explainer = GradientExplainer(model)
    for values in (TABLE[:, :1], TABLE[:, 0] * 90):
        data = native.dataset((TABLE, values), 2)
        with pytest.raises(InputError, match=r"true values of a regression are not targets\. Leave them out"):
            explainer.explain(data)
        kernel = np.asarray(model.layers[-1].kernel)[:, 0]
        np.testing.assert_allclose(explainer.explain(native.dataset(TABLE, 2)), np.tile(kernel, (7, 1)))


def test_a_last_axis_of_one_may_be_left_out() -> None:
    keras.utils.set_random_seed(5)
    model = keras.Sequential([layers.Input((4, 3, 1)), layers.Flatten(), layers.Dense(2)])
    x, explainer = X[..., :1], GradientExplainer(model, batch_size=3)
    wanted = explainer.explain(x, LABELS)
    for given in (x[..., 0], native.dataset(x[..., 0], 2), iter(x[..., 0])):
        np.testing.assert_array_equal(explainer.explain(given, LABELS), wanted)
    with pytest.raises(InputError, match="with its batch axis"):
        explainer.explain(x[0], 0)


def test_what_is_a_stream() -> None:
    assert all(map(is_stream, (Batches(X), Plain([X]), Again([X]), native.dataset(X))))
    assert is_stream(x for x in X) and is_stream(iter([X]))
    arrays = (X, X.tolist(), ops.convert_to_tensor(X), {"a": X}, [X, X], np.ones(3))
    assert not any(is_stream(x) for x in arrays)


# ---- several inputs ------------------------------------------------------------------------------------


def image_and_table(structure: str, named: bool = True) -> keras.Model:
    keras.utils.set_random_seed(5)
    image = keras.Input((4, 3, 2), name="image" if named else None)
    table = keras.Input((3,), name="table" if named else None)
    x = layers.concatenate([layers.Dense(3, "tanh")(layers.Flatten()(image)), layers.Dense(3, "tanh")(table)])
    given: Any = {
        "list": [image, table],
        "tuple": (image, table),
        "dict": {"image": image, "table": table},
    }[structure]
    return keras.Model(given, layers.Dense(2)(x))


def both(structure: str) -> Any:
    return {"list": [X, TABLE], "tuple": (X, TABLE), "dict": {"image": X, "table": TABLE}}[structure]


def parts(found: Any) -> list[np.ndarray]:
    return [found["image"], found["table"]] if isinstance(found, dict) else list(found)


@pytest.fixture(scope="module")
def expected_of_both() -> list[np.ndarray]:
    model, maps = image_and_table("list"), []
    for x, table, y in zip(X, TABLE, LABELS, strict=True):
        found = native.gradients(lambda *entries, y=y: model(list(entries))[0, y], [x[None], table[None]])
        maps.append([gradient[0] for gradient in found])
    return [np.stack(part) for part in zip(*maps, strict=True)]


@pytest.mark.parametrize("structure", ["list", "tuple", "dict"])
@pytest.mark.parametrize("batch_size", [3, None])
def test_several_inputs(structure: str, batch_size: int | None, expected_of_both: list[np.ndarray]) -> None:
    explainer = GradientExplainer(image_and_table(structure), reducer=None, batch_size=batch_size)
    inputs = both(structure)
    found = explainer.explain(inputs, LABELS)
    assert type(found) is {"list": list, "tuple": tuple, "dict": dict}[structure]
    for part, wanted in zip(parts(found), expected_of_both, strict=True):
        np.testing.assert_allclose(part, wanted, rtol=1e-4, atol=1e-6)
    by_name = explainer.explain({"table": TABLE, "image": X}, LABELS)
    assert set(by_name) == {"image", "table"}
    np.testing.assert_array_equal(by_name["image"], parts(found)[0])


@pytest.mark.parametrize("structure", ["tuple", "dict", "list"])
@pytest.mark.parametrize("with_targets", [True, False])
@pytest.mark.parametrize("batched", [None, 2])
def test_data_sets_of_several_inputs(
    structure: str, with_targets: bool, batched: int | None, expected_of_both: list[np.ndarray]
) -> None:
    explainer = GradientExplainer(image_and_table(structure), reducer=None, batch_size=3)
    # A list would be stacked by a data set; its structure for several inputs is a tuple.
    inputs = both("tuple" if structure == "list" else structure)
    data = native.dataset((inputs, LABELS) if with_targets else inputs, batched)
    found = parts(explainer.explain(data, None if with_targets else LABELS))
    for part, wanted in zip(found, expected_of_both, strict=True):
        np.testing.assert_allclose(part, wanted, rtol=1e-4, atol=1e-6)


STRUCTURES: dict[str, Callable[[], Any]] = {
    "keras data set": lambda: Batches((X, TABLE), LABELS),
    "keras data set of triples": lambda: Batches((X, TABLE), LABELS, WEIGHTS),
    "keras data set of dicts": lambda: Batches({"table": TABLE, "image": X}, LABELS),
    "triples": lambda: native.dataset(((X, TABLE), LABELS, WEIGHTS), 2),
    "triples of dicts": lambda: native.dataset(({"image": X, "table": TABLE, "id": Y}, LABELS, WEIGHTS), 2),
    "lists of pairs": lambda: iter([[[X, TABLE], LABELS]]),
}


@pytest.mark.parametrize("name", STRUCTURES)
def test_whatever_holds_several_inputs(name: str, expected_of_both: list[np.ndarray]) -> None:
    explainer = GradientExplainer(image_and_table("list"), reducer=None, batch_size=3)
    for part, wanted in zip(parts(explainer.explain(STRUCTURES[name]())), expected_of_both, strict=True):
        np.testing.assert_allclose(part, wanted, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("structure", ["list", "dict"])
def test_targets_of_several_outputs(structure: str) -> None:
    """Each output has its own in a data set: those of what is explained are taken."""
    keras.utils.set_random_seed(5)
    entry = keras.Input((3,))
    first, second = layers.Dense(2, name="first"), layers.Dense(4, name="second")
    outputs: Any = [first(entry), second(entry)]
    if structure == "dict":
        outputs = {"z": outputs[0], "a": outputs[1]}
    model = keras.Model(entry, outputs)
    names = ("z", "a") if structure == "dict" else ("first", "second")
    of_both: list[Any] = [dict(zip(names, (LABELS, Y), strict=True)), {"first": LABELS, "second": Y}]
    of_both += [(LABELS, Y)] if structure == "list" else []
    for layer, labels in (("first", LABELS), ("second", Y)):
        explainer = GradientExplainer(model, layer, batch_size=3)
        wanted = explainer.explain(TABLE, labels)
        for targets in of_both:
            for size in (None, 2):
                given = native.dataset((TABLE, targets), size)
                np.testing.assert_allclose(explainer.explain(given), wanted, rtol=1e-6)
            if isinstance(targets, dict):
                np.testing.assert_allclose(explainer.explain(TABLE, targets), wanted, rtol=1e-6)
    explainer = GradientExplainer(model, operator=lambda model, x, targets: model(x)[0][:, 0])
    with pytest.raises(
        InputError, match=r"The keys of a dict of targets.*output_layer; a custom operator takes one"
    ):
        explainer.explain(TABLE, of_both[0])


def test_generators_of_several_inputs(expected_of_both: list[np.ndarray]) -> None:
    explainer = GradientExplainer(image_and_table("list"), reducer=None, batch_size=3)
    rows = list(zip(X, TABLE, LABELS, strict=True))
    for stream, targets in (
        (([x, t] for x, t, _ in rows), LABELS),
        (((x, t) for x, t, _ in rows), LABELS),
        ((([x, t], y) for x, t, y in rows), None),
        ((({"image": x, "table": t}, y) for x, t, y in rows), None),
        (iter([([X, TABLE], LABELS)]), None),
    ):
        for part, wanted in zip(parts(explainer.explain(stream, targets)), expected_of_both, strict=True):
            np.testing.assert_allclose(part, wanted, rtol=1e-4, atol=1e-6)


@pytest.mark.filterwarnings("ignore:When providing `inputs` as a dict")
def test_dicts_whose_keys_are_not_the_names_of_the_inputs(expected_of_both: list[np.ndarray]) -> None:
    image, table = keras.Input((4, 3, 2), name="first"), keras.Input((3,), name="second")
    inner = image_and_table("list")
    model = keras.Model({"image": image, "table": table}, inner([image, table]))
    explainer = GradientExplainer(model, reducer=None, batch_size=3)
    given = {"table": TABLE, "image": X}
    for inputs in (given, iter([given]), native.dataset(given, 4)):
        found = parts(explainer.explain(inputs, LABELS))
        np.testing.assert_allclose(found[0], expected_of_both[0], rtol=1e-4, atol=1e-6)


def test_an_input_that_the_target_does_not_depend_on() -> None:
    a, b = keras.Input((3,), name="a"), keras.Input((2, 2, 1), name="b")
    model = keras.Model([a, b], [layers.Dense(2, name="end")(a), layers.Flatten()(b)])
    found = GradientExplainer(model, "end").explain([TABLE, np.ones((7, 2, 2, 1))], 1)
    np.testing.assert_allclose(found[0], np.tile(np.asarray(model.get_layer("end").kernel)[:, 1], (7, 1)))
    assert found[1].shape == (7, 2, 2, 1) and found[1].dtype == np.float32 and not found[1].any()


# ---- python lists --------------------------------------------------------------------------------------


def square() -> keras.Model:
    keras.utils.set_random_seed(5)
    return keras.Sequential([layers.Input((3,)), layers.Dense(4, "tanh"), layers.Dense(2)])


def test_a_generator_of_lists_is_that_of_arrays() -> None:
    """As many samples as features, so that a turned batch would pass for a right one."""
    explainer, x = GradientExplainer(square()), TABLE[:3]
    wanted = explainer.explain(x, 0)
    np.testing.assert_allclose(explainer.explain((row.tolist() for row in x), 0), wanted, rtol=1e-5)


def test_a_generator_of_batches_as_lists() -> None:
    explainer, x = GradientExplainer(square()), TABLE[:4]
    np.testing.assert_allclose(explainer.explain(iter([x.tolist()]), 0), explainer.explain(x, 0), rtol=1e-5)


# ---- nothing, and wrong calls --------------------------------------------------------------------------


def test_no_samples(model: keras.Model) -> None:
    for explainer in (GradientExplainer(model), GradientExplainer(model, batch_size=None)):
        for targets in (None, 1, [], np.zeros((0, 3))):
            found = explainer.explain(X[:0], targets)
            assert found.shape == (0, 4, 3, 1) and found.dtype == np.float32
    raw = GradientExplainer(image_and_table("list"), reducer=None).explain([X[:0], TABLE[:0]])
    assert [part.shape for part in raw] == [(0, 4, 3, 2), (0, 3)]


@pytest.mark.parametrize("empty", [lambda: iter([]), lambda: native.dataset(X[:0])])
def test_an_empty_data_set(model: keras.Model, empty: Any) -> None:
    with pytest.raises(InputError, match=r"There is nothing to explain\. Received: an empty data set"):
        GradientExplainer(model).explain(empty())


def test_targets_that_come_twice(model: keras.Model) -> None:
    pairs = native.dataset((X, Y), 4)
    for targets in (Y, 0):
        with pytest.raises(InputError, match=r"Targets are given twice"):
            GradientExplainer(model).explain(pairs, targets)


def test_targets_that_do_not_fit_in_number(model: keras.Model) -> None:
    explainer = GradientExplainer(model, batch_size=2)
    for wrong in (Y[:6], [*Y, 0], []):
        with pytest.raises(InputError, match=rf"Received: 7 samples, {len(wrong)} targets"):
            explainer.explain(X, wrong)
    with pytest.raises(InputError, match=r"Received: 5 targets for more samples"):
        explainer.explain(native.dataset(X), Y[:5])
    with pytest.raises(InputError, match=r"a batch of 2 samples with 1 targets"):
        explainer.explain(iter([(X[:2], Y[:1])]))


def test_more_targets_than_a_stream_has_samples(model: keras.Model) -> None:
    with pytest.raises(InputError, match="targets"):
        GradientExplainer(model, batch_size=2).explain(native.dataset(X), [*Y, 0, 1])


@pytest.mark.parametrize("batch_size", [2, 3, 64])
def test_pairs_of_batches_that_do_not_fit(model: keras.Model, batch_size: int) -> None:
    with pytest.raises(InputError, match="targets"):
        GradientExplainer(model, batch_size=batch_size).explain(iter([(X[:2], Y[:4])]))


def test_a_batch_with_one_target_for_all(model: keras.Model) -> None:
    """Either it means all of them, or it is refused in words."""
    explainer = GradientExplainer(model)
    try:
        found = explainer.explain(iter([(X, 1)]))
    except InputError as error:
        assert "target" in str(error)
    else:
        np.testing.assert_allclose(found, explainer.explain(X, 1))


def test_wrong_inputs(model: keras.Model) -> None:
    explainer = GradientExplainer(model, batch_size=2)
    wrong = X.copy()
    wrong[5, 1, 2, 0] = np.nan
    for inputs in (wrong, native.dataset(wrong), iter([wrong]), np.where(wrong > 0, np.inf, 0)):
        with pytest.raises(InputError, match=r"values that are NaN or infinite"):
            explainer.explain(inputs, 0)
    for shape in ((7, 4, 3), (4, 3, 2), (7, 4, 3, 3), (7, 3, 4, 2), (2, 7, 4, 3, 2), (7,), ()):
        for form in (np.zeros(shape), np.zeros(shape).tolist()):
            with pytest.raises(InputError, match=r"must have shape \(4, 3, 2\), with its batch axis"):
                explainer.explain(form, 0)
    for form in ("picture.png", None, [["a"]], np.array(["a"]), X + 1j):
        with pytest.raises(InputError):
            explainer.explain(form, 0)
    with pytest.raises(InputError, match="must have shape"):
        explainer.explain(native.dataset(X[..., :1], 2), 0)
    with pytest.raises(FilterError):
        explainer.explain(native.dataset((X, Y + 1)))


def test_wrong_structures() -> None:
    explainer = GradientExplainer(image_and_table("list"))
    with pytest.raises(InputError, match=r"The model takes 2 inputs: 'image', 'table'"):
        explainer.explain([X], 0)
    with pytest.raises(InputError, match=r"The model takes 2 inputs"):
        explainer.explain(X, 0)
    with pytest.raises(InputError, match=r"The model takes the inputs 'image', 'table'"):
        explainer.explain({"image": X, "tabel": TABLE}, 0)
    with pytest.raises(InputError, match=r"same number of samples\. Received: 7 of 'image', 5 of 'table'"):
        explainer.explain([X, TABLE[:5]], 0)
    by_name = GradientExplainer(image_and_table("dict"))
    assert set(by_name.explain({"table": TABLE, "image": X}, 0)) == {"image", "table"}
    for given in ([TABLE, X], [X, TABLE]):
        with pytest.raises(InputError, match="so that no input is mistaken for another"):
            by_name.explain(given, 0)


def test_tokens_are_whole_numbers() -> None:
    keras.utils.set_random_seed(1)
    ids, table = keras.Input((4,), dtype="int32"), keras.Input((3,))
    words = layers.Flatten()(layers.Embedding(9, 2)(ids))
    model = keras.Model([ids, table], layers.Dense(2)(layers.concatenate([words, table])))
    explainer = GradientExplainer(model)
    found = explainer.explain([np.full((2, 4), 3.0), TABLE[:2]], 0)
    assert not found[0].any() and found[0].shape == (2, 4) and found[1].any()
    with pytest.raises(InputError, match=r"takes integers \(int32\)"):
        explainer.explain([np.full((2, 4), 3.5), TABLE[:2]], 0)
