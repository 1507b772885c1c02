"""A run over batches asks for few batch sizes where each is compiled for."""

import keras
import numpy as np
import pytest

from vis import backend
from vis.attributions import IntegratedGradients, Saliency, SmoothGrad, store
from vis.engine import Source, differentiation
from vis.engine.runs import Run
from vis.metrics import deletion

X = np.random.default_rng(0).random((7, 6), np.float32)


@pytest.fixture
def model() -> keras.Model:
    keras.utils.set_random_seed(0)
    layers = keras.layers
    return keras.Sequential([keras.Input((6,)), layers.Dense(8, "relu"), layers.Dense(3)])


@pytest.fixture(params=[True, False], ids=["compiled for each", "compiled for all"])
def compiles(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    monkeypatch.setattr(backend, "compiles_sizes", request.param)
    return bool(request.param)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The batch sizes of the gradients that are computed."""
    found: list[int] = []
    original = differentiation.evaluated

    def evaluated(trace, given, *args):
        found.append(len(given(1)[0]))
        return original(trace, given, *args)

    monkeypatch.setattr(differentiation, "evaluated", evaluated)
    return found


def test_the_last_batch_is_filled_up(model: keras.Model, compiles: bool, asked: list[int]) -> None:
    maps = Saliency(model, batch_size=3).explain(X, 1)
    assert asked == ([3, 3, 3] if compiles else [3, 3, 1])
    np.testing.assert_allclose(maps, Saliency(model, batch_size=None).explain(X, 1), rtol=1e-5)
    assert maps.shape == X.shape


def test_a_call_of_its_own_is_not_filled_up(model: keras.Model, compiles: bool, asked: list[int]) -> None:
    explainer = Saliency(model, batch_size=3)
    explainer.explain(X[:3], 1)
    explainer.explain(X[:1], 1)
    assert asked == [3, 1]


def test_targets_and_scores_belong_to_the_samples(model: keras.Model, compiles: bool) -> None:
    labels = np.arange(7) % 3
    found = [*Saliency(model, batch_size=4).explained(X, labels, scores=True)]
    outputs = keras.ops.convert_to_numpy(model(X))
    assert [len(batch.maps[0]) for batch in found] == [4, 3]
    np.testing.assert_allclose(
        np.concatenate([batch.scores for batch in found]), outputs[np.arange(7), labels], rtol=1e-5
    )
    predictions = np.concatenate([batch.predictions for batch in found])
    np.testing.assert_array_equal(predictions, outputs.argmax(axis=1))


@pytest.mark.parametrize("kind", [SmoothGrad, IntegratedGradients])
def test_copies_come_in_equal_batches(kind, model: keras.Model, compiles: bool, asked: list[int]) -> None:
    few = kind(model, batch_size=16).explain(X[:1], 1)
    # 50 copies in batches of 16 at most.
    assert asked == ([13] * 4 if compiles else [13, 13, 13, 11])
    np.testing.assert_allclose(few, kind(model, batch_size=None).explain(X[:1], 1), rtol=1e-4, atol=1e-7)


def test_a_stored_run_fills_its_last_batch_up(model, compiles: bool, asked: list[int], tmp_path) -> None:
    pytest.importorskip("zarr")
    explainer = Saliency(model, batch_size=3)
    explainer.write(X, tmp_path / "maps", 1, progress=False)
    assert asked == ([3, 3, 3] if compiles else [3, 3, 1])
    np.testing.assert_allclose(store.read(tmp_path / "maps"), explainer.explain(X, 1), rtol=1e-5)


def test_curves_of_the_last_batch_are_the_same(model: keras.Model, compiles: bool) -> None:
    maps = Saliency(model).explain(X, 1)
    few, all_ = (deletion(model, X, maps, 1, 4, batch_size=size).scores for size in (10, 100))
    np.testing.assert_allclose(few, all_, rtol=1e-5)


def test_functions_have_their_own_sizes(model: keras.Model, compiles: bool) -> None:
    run = Run(Source(model)).batched()
    met = [("a", 3), ("a", 2), ("b", 2), ("a", 5)]
    assert [run.size(*each) for each in met] == ([3, 3, 2, 5] if compiles else [None] * 4)
