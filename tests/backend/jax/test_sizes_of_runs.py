"""XLA compiles for the sizes that it meets: a run over batches brings few."""

from collections.abc import Iterator

import jax
import keras
import numpy as np
import pytest

from vis.attributions import Saliency, SmoothGrad

X = np.random.default_rng(0).random((7, 6), np.float32)


@pytest.fixture
def compiled() -> Iterator[list[str]]:
    """What XLA has compiled."""
    found: list[str] = []

    def note(event: str, _: float, **about: object) -> None:
        if event.endswith("backend_compile_duration"):
            found.append(event)

    jax.monitoring.register_event_duration_secs_listener(note)
    yield found
    jax.monitoring.unregister_event_duration_listener(note)


@pytest.mark.parametrize("kind", [Saliency, SmoothGrad])
def test_the_last_batch_is_not_compiled_for(kind, compiled: list[str]) -> None:
    layers = keras.layers
    model = keras.Sequential([keras.Input((6,)), layers.Dense(8, "relu"), layers.Dense(3)])
    explainer = kind(model, batch_size=3)
    explainer.explain(X[:6], 1)
    del compiled[:]
    explainer.explain(X, 1)
    assert not compiled
    explainer.explain(X[:2], 1)
    assert compiled or kind is SmoothGrad  # its copies fill a batch
