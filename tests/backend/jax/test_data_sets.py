"""Data sets and arrays as users of JAX have them."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grain
import jax.numpy as jnp
import keras
import numpy as np
import pytest
from keras import layers

from tests import native
from tests.native.rows import Rows
from vis import checks, visualize_saliency
from vis.attributions import GradientExplainer, store
from vis.attributions.batches import has_items
from vis.errors import InputError, SkippedWarning

X = np.random.default_rng(3).normal(size=(7, 4, 3, 2)).astype(np.float32)
Y = np.array([0, 2, 1, 1, 0, 2, 2])
TABLE = np.random.default_rng(4).normal(size=(7, 3)).astype(np.float32)
Mapped = grain.MapDataset


@pytest.fixture(scope="module")
def model() -> keras.Model:
    keras.utils.set_random_seed(5)
    entry = layers.Input((4, 3, 2), name="only")
    return keras.Model(entry, layers.Dense(3)(layers.Dense(5, "tanh")(layers.Flatten()(entry))))


@pytest.fixture(scope="module")
def expected(model: keras.Model) -> np.ndarray:
    return np.asarray(native.gradient(lambda x: model(x)[jnp.arange(7), Y], X))


def loader(rows: Any, size: int | None = None) -> Any:
    """Return a loader of single rows, or of batches."""
    sampler = grain.samplers.IndexSampler(
        num_records=len(X), shuffle=False, seed=0, num_epochs=1, shard_options=grain.sharding.NoSharding()
    )
    steps = [] if size is None else [grain.transforms.Batch(batch_size=size)]
    return grain.DataLoader(data_source=rows, sampler=sampler, operations=steps, worker_count=0)


SETS: dict[str, tuple[Callable[[], Any], Any]] = {
    "samples": (lambda: Mapped.source(Rows(X)), Y),
    "pairs": (lambda: Mapped.source(Rows((X, Y))), None),
    "batches": (lambda: Mapped.source(Rows(X)).batch(3), Y),
    "batches of pairs": (lambda: Mapped.source(Rows((X, Y))).batch(3), None),
    "batches of dicts": (lambda: Mapped.source(Rows({"only": X, "label": Y})).batch(3), Y),
    "batches of pairs of dicts": (lambda: Mapped.source(Rows(({"only": X}, Y))).batch(3), None),
    "batches of arrays of JAX": (
        lambda: Mapped.source(Rows((X, Y))).batch(3).map(lambda pair: tuple(map(jnp.asarray, pair))),
        None,
    ),
    "in turn": (lambda: Mapped.source(Rows((X, Y))).to_iter_dataset(), None),
    "in turn in batches": (lambda: Mapped.source(Rows((X, Y))).to_iter_dataset().batch(2), None),
    "an iterator": (lambda: iter(Mapped.source(Rows((X, Y))).batch(2)), None),
    "loader": (lambda: loader(Rows((X, Y))), None),
    "loader of batches": (lambda: loader(Rows((X, Y)), 4), None),
    "loader of inputs": (lambda: loader(Rows(X), 4), Y),
    "repeated and cut": (lambda: Mapped.source(Rows((X, Y))).repeat()[:7], None),
    "filtered": (lambda: Mapped.source(Rows((X, Y))).repeat(2).map_with_index(first_seven), None),
}


def first_seven(number: int, item: Any) -> Any:
    return item if number < 7 else None


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("batch_size", [2, None])
def test_data_sets(model: keras.Model, expected: np.ndarray, name: str, batch_size: int | None) -> None:
    make, targets = SETS[name]
    found = GradientExplainer(model, reducer=None, batch_size=batch_size).explain(make(), targets)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_what_has_items() -> None:
    assert has_items(Mapped.source(Rows(X))) and has_items(Mapped.source(Rows(X)).batch(2))
    assert not has_items(Mapped.source(Rows(X)).to_iter_dataset()) and not has_items(loader(Rows(X)))


def test_several_inputs() -> None:
    keras.utils.set_random_seed(5)
    image, table = keras.Input((4, 3, 2)), keras.Input((3,))
    both = layers.concatenate([layers.Flatten()(image), table])
    explainer = GradientExplainer(keras.Model([image, table], layers.Dense(3)(both)), reducer=None)
    wanted = explainer.explain([X, TABLE], Y)
    pairs = Mapped.source(Rows(((X, TABLE), Y)))
    for data in (pairs, pairs.batch(3), loader(Rows(((X, TABLE), Y)), 3)):
        for one, other in zip(explainer.explain(data), wanted, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


def test_a_run_on_disk_is_continued(model: keras.Model, tmp_path: Path) -> None:
    explainer = GradientExplainer(model, batch_size=2)
    wanted = explainer.explain(X, Y)
    pairs = Mapped.source(Rows((X, Y)))
    for number, data in enumerate((pairs, pairs.batch(3), pairs.to_iter_dataset())):
        for _ in range(2):
            explainer.write(data, tmp_path / str(number), progress=False)
        np.testing.assert_allclose(store.read(tmp_path / str(number)), wanted, rtol=1e-5, atol=1e-6)


def test_what_is_filtered_out_is_a_skipped_row(model: keras.Model, tmp_path: Path) -> None:
    some = Mapped.source(Rows((X, Y))).map_with_index(lambda number, item: None if number == 2 else item)
    with pytest.warns(SkippedWarning, match="Sample 2 is skipped: the data set has filtered it out"):
        GradientExplainer(model).write(some, tmp_path / "maps", progress=False)
    assert np.isnan(store.read(tmp_path / "maps", name="scores")).tolist() == [i == 2 for i in range(7)]


def test_a_data_set_without_end_is_refused(model: keras.Model, tmp_path: Path) -> None:
    endless = Mapped.source(Rows((X, Y))).repeat()
    for data in (endless, endless.batch(2)):
        for explain in (GradientExplainer(model).explain, GradientExplainer(model).explained):
            with pytest.raises(InputError, match=r"never ends.*dataset\[:n\]"):
                list(explain(data))
        with pytest.raises(InputError, match="never ends"):
            GradientExplainer(model).write(data, tmp_path / "maps", progress=False)


ARRAYS: dict[str, Callable[[], Any]] = {
    "an array of JAX": lambda: jnp.asarray(X),
    "a list of arrays": lambda: list(jnp.asarray(X)),
    "a list of one array": lambda: [jnp.asarray(X)],
}


@pytest.mark.parametrize("name", ARRAYS)
def test_arrays(model: keras.Model, expected: np.ndarray, name: str) -> None:
    explainer = GradientExplainer(model, reducer=None)
    for targets in (jnp.asarray(Y), list(jnp.asarray(Y)), jnp.eye(3)[Y]):
        found = explainer.explain(ARRAYS[name](), targets)
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_half_precision(model: keras.Model) -> None:
    explainer = GradientExplainer(model, reducer=None)
    for dtype in (jnp.bfloat16, jnp.float16):
        x = jnp.asarray(X, dtype)
        np.testing.assert_array_equal(
            explainer.explain(x, 1), explainer.explain(np.asarray(x, np.float32), 1)
        )


def test_other_functions_take_arrays(model: keras.Model) -> None:
    x = X[:1].copy()
    given = jnp.asarray(x)
    np.testing.assert_array_equal(
        visualize_saliency(model, -1, 1, given, keepdims=True),
        visualize_saliency(model, -1, 1, x, keepdims=True),
    )


def test_arrays_of_numpy() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for given in (jnp.ones(2), jnp.ones(2, jnp.bfloat16), jnp.ones(2, jnp.float8_e5m2)):
            found = checks.array(given)
            assert isinstance(found, np.ndarray) and found.dtype == np.float32
            assert found.tolist() == [1, 1]
    assert checks.array([jnp.asarray(3), jnp.asarray(4)]).tolist() == [3, 4]
