"""Data sets and tensors as users of PyTorch have them."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import torch
from keras import layers
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

from vis import checks, visualize_saliency
from vis.attributions import GradientExplainer, IntegratedGradients, store
from vis.attributions.batches import has_items

X = np.random.default_rng(3).normal(size=(7, 4, 3, 2)).astype(np.float32)
Y = np.array([0, 2, 1, 1, 0, 2, 2])
TABLE = np.random.default_rng(4).normal(size=(7, 3)).astype(np.float32)


class Rows(Dataset):  # type: ignore[type-arg]
    """A map-style data set of samples of any structure."""

    def __init__(self, row: Callable[[int], Any]) -> None:
        self.row = row

    def __len__(self) -> int:
        return len(X)

    def __getitem__(self, number: int) -> Any:
        return self.row(number)


class Stream(IterableDataset):  # type: ignore[type-arg]
    """A data set that is read in turn, and says its length."""

    def __len__(self) -> int:
        return len(X)

    def __iter__(self) -> Iterator[Any]:
        return zip(torch.from_numpy(X), torch.from_numpy(Y), strict=True)


@pytest.fixture(scope="module")
def model() -> keras.Model:
    keras.utils.set_random_seed(5)
    entry = layers.Input((4, 3, 2), name="only")
    return keras.Model(entry, layers.Dense(3)(layers.Dense(5, "tanh")(layers.Flatten()(entry))))


@pytest.fixture(scope="module")
def expected(model: keras.Model) -> np.ndarray:
    x = torch.tensor(X, requires_grad=True)
    model(x)[range(7), Y].sum().backward()
    return x.grad.cpu().numpy()


PAIRS = TensorDataset(torch.from_numpy(X), torch.from_numpy(Y))
SETS: dict[str, tuple[Callable[[], Any], Any]] = {
    "loader of inputs": (lambda: DataLoader(Rows(lambda i: X[i]), 3), Y),
    "loader of tuples of one": (lambda: DataLoader(TensorDataset(torch.from_numpy(X)), 3), Y),
    "loader of pairs": (lambda: DataLoader(PAIRS, 3), None),
    "loader of single pairs": (lambda: DataLoader(PAIRS, None), None),
    "loader of labels as ints": (lambda: DataLoader(Rows(lambda i: (X[i], int(Y[i]))), 2), None),
    "loader of triples": (lambda: DataLoader(Rows(lambda i: (X[i], Y[i], 0.5)), 2), None),
    "loader of dicts": (lambda: DataLoader(Rows(lambda i: {"only": X[i], "label": Y[i]}), 2), Y),
    "loader of pairs of dicts": (lambda: DataLoader(Rows(lambda i: ({"only": X[i]}, Y[i])), 2), None),
    "loader of a stream": (lambda: DataLoader(Stream(), 4), None),
    "loader with a worker": (lambda: DataLoader(PAIRS, 3, num_workers=1), None),
    "stream": (Stream, None),
    "samples": (lambda: Rows(lambda i: X[i]), Y),
    "pairs of tensors": (lambda: PAIRS, None),
    "pairs with ints": (lambda: Rows(lambda i: (torch.from_numpy(X[i]), int(Y[i]))), None),
    "one-hot targets": (lambda: DataLoader(Rows(lambda i: (X[i], np.eye(3)[Y[i]])), 3), None),
}


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("batch_size", [2, None])
def test_data_sets(model: keras.Model, expected: np.ndarray, name: str, batch_size: int | None) -> None:
    make, targets = SETS[name]
    found = GradientExplainer(model, reducer=None, batch_size=batch_size).explain(make(), targets)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_what_has_items() -> None:
    assert has_items(PAIRS) and has_items(Rows(lambda i: X[i]))
    assert not has_items(Stream()) and not has_items(DataLoader(PAIRS, 3))


def test_several_inputs() -> None:
    keras.utils.set_random_seed(5)
    image, table = keras.Input((4, 3, 2)), keras.Input((3,))
    both = layers.concatenate([layers.Flatten()(image), table])
    explainer = GradientExplainer(keras.Model([image, table], layers.Dense(3)(both)), reducer=None)
    wanted = explainer.explain([X, TABLE], Y)
    pairs = Rows(lambda i: ((X[i], TABLE[i]), Y[i]))
    for data in (DataLoader(pairs, 3), pairs):
        for one, other in zip(explainer.explain(data), wanted, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


def test_a_run_on_disk_is_continued(model: keras.Model, tmp_path: Path) -> None:
    explainer = GradientExplainer(model, batch_size=2)
    wanted = explainer.explain(X, Y)
    for number, data in enumerate((PAIRS, DataLoader(PAIRS, 3))):
        for _ in range(2):
            explainer.write(data, tmp_path / str(number), progress=False)
        np.testing.assert_allclose(store.read(tmp_path / str(number)), wanted, rtol=1e-5, atol=1e-6)


TENSORS: dict[str, Callable[[], Any]] = {
    "a tensor": lambda: torch.from_numpy(X),
    "one that requires a gradient": lambda: torch.tensor(X, requires_grad=True),
    "the result of a computation": lambda: torch.tensor(X, requires_grad=True) * 1.0,
    "a parameter": lambda: torch.nn.Parameter(torch.from_numpy(X.copy())),
    "a list of tensors": lambda: list(torch.tensor(X, requires_grad=True)),
    "a view": lambda: torch.from_numpy(X).transpose(1, 2).contiguous().transpose(1, 2),
    "a list of one tensor": lambda: [torch.from_numpy(X)],
}


@pytest.mark.parametrize("name", TENSORS)
def test_tensors(model: keras.Model, expected: np.ndarray, name: str) -> None:
    explainer = GradientExplainer(model, reducer=None)
    for targets in (torch.from_numpy(Y), list(torch.from_numpy(Y)), torch.eye(3)[Y]):
        found = explainer.explain(TENSORS[name](), targets)
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_half_precision(model: keras.Model) -> None:
    explainer = GradientExplainer(model, reducer=None)
    for dtype in (torch.bfloat16, torch.float16, torch.float64):
        x = torch.from_numpy(X).to(dtype)
        np.testing.assert_array_equal(
            explainer.explain(x.requires_grad_(), 1), explainer.explain(x.detach().float(), 1)
        )


def test_other_functions_take_tensors(model: keras.Model) -> None:
    x = torch.tensor(X[:1], requires_grad=True)
    np.testing.assert_array_equal(
        visualize_saliency(model, -1, 1, x, keepdims=True),
        visualize_saliency(model, -1, 1, X[:1], keepdims=True),
    )
    one, other = (
        IntegratedGradients(model, baseline=baseline, steps=3).explain(X, 1)
        for baseline in (torch.tensor(X[1] / 2, requires_grad=True), X[1] / 2)
    )
    np.testing.assert_array_equal(one, other)


def test_arrays_of_tensors() -> None:
    for given in (torch.ones(2, requires_grad=True), torch.ones(2, dtype=torch.bfloat16), torch.ones(2)):
        found = checks.array(given)
        assert isinstance(found, np.ndarray) and found.dtype == np.float32
    assert checks.array(torch.tensor(3)).shape == ()
    assert checks.array([torch.tensor(3), torch.tensor(4, dtype=torch.int32)]).tolist() == [3, 4]
    assert checks.array(torch.ones(2).to(torch.float8_e5m2)).tolist() == [1, 1]
    with pytest.raises(TypeError, match=r"(?i)sparse"):
        checks.array(torch.ones(2).to_sparse())
