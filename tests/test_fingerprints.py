"""Functions are told apart by what they compute, and in the same way by each process."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

import vis
from vis import fingerprints
from vis.attributions import LRP, KernelShap, Occlusion, Saliency
from vis.errors import InputError
from vis.relevance import Composite, Gamma

SCALE = 2.0


def adding(number: Any) -> Callable[[Any], Any]:
    return lambda x: x + number


def helped(x: Any) -> Any:
    return SCALE * x


class Adds:
    def __init__(self, number: Any) -> None:
        self.number = number

    def __call__(self, x: Any) -> Any:
        return x + self.number


def counted(x: Any) -> Any:
    return x if x == 0 else counted(x - 1)


# Each differs from all others.
DIFFERENT: list[Any] = [
    lambda x: x,
    lambda x: -x,
    lambda x: x + 1,
    lambda x: x + 2,
    lambda x: x + 1.0,
    lambda x: x.real,
    lambda x: x.imag,
    lambda x, y=1: x + y,
    lambda x, y=2: x + y,
    lambda x, *, y=2: x + y,
    lambda x: [each + 1 for each in x],
    lambda x: [each + 2 for each in x],
    lambda x: x in {"a", "b"},
    lambda x: x in {"a", "c"},
    lambda x: np.sum(x),
    lambda x: np.mean(x),
    lambda x: helped(x),
    lambda x: counted(x),
    adding(1),
    adding(2),
    adding(np.zeros(3)),
    adding(np.ones(3)),
    adding(keras.ops.ones(4)),
    adding({"a": [1]}),
    adding({"a": [2]}),
    adding(adding(1)),
    adding(adding(2)),
    functools.partial(max, 1),
    functools.partial(max, 2),
    Adds(1),
    Adds(2),
    Adds(1).__call__,
    Adds,
    Composite([("affine", Gamma(0.25))]),
    Composite([("affine", Gamma(0.5))]),
    Composite([("affine", lambda site, relevance: [relevance])]),
    Composite([("affine", lambda site, relevance: [2 * relevance])]),
]


def test_what_differs_has_another_digest() -> None:
    found = [fingerprints.fingerprint(each) for each in DIFFERENT]
    assert len(set(found)) == len(found)
    assert found == [fingerprints.fingerprint(each) for each in DIFFERENT]


def test_what_is_equal_has_the_same_digest() -> None:
    for make in (adding, Adds):
        for value in (3, [1, 2], np.arange(4.0), None, {"a", "b"}, frozenset([1, 2]), {}):
            assert fingerprints.fingerprint(make(value)) == fingerprints.fingerprint(make(value))
    model = keras.Sequential([layers.Input((2,)), layers.Dense(1)])
    before = fingerprints.fingerprint(adding(model))
    assert fingerprints.fingerprint(adding(model)) == before
    model.set_weights([weights + 1 for weights in model.get_weights()])
    assert fingerprints.fingerprint(adding(model)) != before


def test_a_global_variable_is_a_part(monkeypatch: pytest.MonkeyPatch) -> None:
    before = fingerprints.fingerprint(DIFFERENT[16])
    monkeypatch.setattr(sys.modules[__name__], "SCALE", 3.0)
    assert fingerprints.fingerprint(DIFFERENT[16]) != before


def test_what_a_library_has_goes_by_its_name() -> None:
    for known, name in ((vis.metrics.blurred, "blurred"), (np.mean, "mean"), (keras.ops.relu, "relu")):
        assert fingerprints.named(known) == name
    assert fingerprints.named(helped).startswith("helped ")


def test_what_cannot_be_described_is_never_the_same() -> None:
    lock = threading.Lock()
    assert fingerprints.fingerprint(adding(lock)) != fingerprints.fingerprint(adding(lock))


def test_another_process_says_the_same() -> None:
    """With other addresses, and another order of the items of sets."""
    code = (
        "import json, tests.test_fingerprints as t; "
        "print(json.dumps([t.fingerprints.fingerprint(each) for each in t.DIFFERENT]))"
    )
    found = []
    for seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "PYTHONHASHSEED": seed},
        )
        found.append(json.loads(done.stdout.splitlines()[-1]))
    assert found[0] == found[1] and len(set(found[0])) == len(DIFFERENT)


def some() -> keras.Model:
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [layers.Input((4, 4, 1)), layers.Conv2D(2, 2, activation="relu"), layers.Flatten(), layers.Dense(2)]
    )


MAKE: dict[str, Callable[[keras.Model, Any], Any]] = {
    "operator": lambda model, by: Saliency(model, operator=lambda model, x, y: by * model(x)[:, 0]),
    "grad_modifier": lambda model, by: Saliency(model, grad_modifier=lambda g: by * g),
    "backprop_modifier": lambda model, by: Saliency(model, backprop_modifier=lambda x, y, g, t: by * t),
    "composite": lambda model, by: LRP(model, Composite([("affine", Gamma(by))])),
    "occlusion_value": lambda model, by: Occlusion(model, patch_size=2, occlusion_value=lambda x: by * x),
    "features": lambda model, by: KernelShap(
        model, features=lambda x: (np.arange(16) // (8 / by)).astype(int).reshape(4, 4)
    ),
    "function": lambda model, by: Occlusion(lambda x: by * x.reshape(len(x), -1), patch_size=2),
}


@pytest.mark.parametrize("name", MAKE)
def test_a_run_is_not_continued_with_another_function(name: str, tmp_path: Path) -> None:
    x, model = np.random.default_rng(0).random((3, 4, 4, 1)).astype(np.float32), some()
    make = functools.partial(MAKE[name], model)
    make(1.0).write(x, tmp_path / "run", [0, 0, 0], progress=False)
    make(1.0).write(x, tmp_path / "run", [0, 0, 0], progress=False)
    with pytest.raises(InputError, match=rf"other settings: .*{name} is '"):
        make(2.0).write(x, tmp_path / "run", [0, 0, 0], progress=False)
