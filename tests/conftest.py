"""What several test files need."""

from __future__ import annotations

import importlib
import re
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import hypothesis
import keras
import pytest

from tests import native
from tests.reliability.scale import NIGHTLY

# How long an example takes depends on what is compiled before it. New examples come by night.
hypothesis.settings.register_profile("untimed", deadline=None, derandomize=not NIGHTLY)
hypothesis.settings.load_profile("untimed")
# What modules make when they are imported.
keras.utils.set_random_seed(0)


def _everything_in(model: Any) -> list[Any]:
    """Return a model with the operations at every depth of it, found by its public names alone."""
    found: dict[int, Any] = {}
    pending = [model]
    while pending:
        operation = pending.pop()
        if id(operation) in found:
            continue
        found[id(operation)] = operation
        pending += getattr(operation, "operations", None) or getattr(operation, "layers", None) or []
        pending += [
            value
            for name in ("layer", "forward_layer", "backward_layer", "cell")
            if isinstance(value := getattr(operation, name, None), keras.Operation)
        ]
    return list(found.values())


def _state(model: Any) -> list[Any]:
    state: list[Any] = []
    for operation in _everything_in(model):
        for name, value in vars(operation).items():
            if name == "_called":  # where Keras itself notes that a model was ever called
                continue
            # The value itself stands in the state too, so that its id stays taken.
            state.append((operation, name, id(value), value))
            if isinstance(value, list | tuple | dict | set):
                state += [(operation, name, id(item), item) for item in value]
        state.append((operation, "inbound", len(operation._inbound_nodes), None))
        state.append((operation, "outbound", len(operation._outbound_nodes), None))
    return state


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the long tests first, and refuse names with an address in them.

    These differ from process to process, so that none would run.
    """
    items.sort(key=lambda item: item.get_closest_marker("long") is None)
    moving = [item.nodeid for item in items if re.search(r" at 0x[0-9A-Fa-f]{6}", item.nodeid)]
    if moving:
        raise pytest.UsageError(f"Give the cases of these tests names: {', '.join(moving)}")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Make the weights of a test, and of what it shares with those after it, the same in every run."""
    native.seed(zlib.crc32(item.nodeid.encode()))


@pytest.fixture(scope="module", autouse=True)
def forgotten() -> Iterator[None]:
    """Drop what JAX keeps of a file's tests: with GiB of it, each collection of garbage takes long."""
    yield
    native.forget()


@pytest.fixture(autouse=True)
def in_64_bits(request: pytest.FixtureRequest) -> Iterator[None]:
    """The marker of tests that compute in 64 bits: JAX does so only if it is told."""
    if request.node.get_closest_marker("in_64_bits"):
        with native.double():
            yield
    else:
        yield


@pytest.fixture
def as_users_have_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let PyTorch refuse to make an array of a tensor that asks for a gradient, which other tests do."""
    if native.NAME == "PyTorch":
        own = importlib.import_module("tests.native.torch")._own_array
        monkeypatch.setattr("torch.Tensor.__array__", own)


@pytest.fixture
def untouched() -> Callable[[Any], Callable[[], None]]:
    """`check = untouched(model)` looks at a model; `check()` fails if it gained, lost or changed anything.

    That is: an attribute of the model or of an operation at any depth, an item of such an attribute, or a
    link to another operation.
    """

    def look(model: Any) -> Callable[[], None]:
        before = _state(model)

        def check() -> None:
            now = _state(model)
            keys = [[(id(operation), name, mark) for operation, name, mark, _ in s] for s in (before, now)]
            gone, new = set(keys[0]) - set(keys[1]), set(keys[1]) - set(keys[0])
            changed = {
                f"{operation.name}.{name}"
                for state, which in ((before, gone), (now, new))
                for operation, name, mark, _ in state
                if (id(operation), name, mark) in which
            }
            assert not changed, f"the model {model.name!r} was changed: {sorted(changed)}"
            assert len(keys[0]) == len(keys[1])

        return check

    return look
