"""Explanations on disk: the same as in memory, whatever interrupts the run."""

import errno
import functools
import json
import os
import pickle
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import zarr
from keras import layers

from tests import native
from vis import models
from vis.attributions import (
    GradCAM,
    IntegratedGradients,
    Occlusion,
    Rise,
    Saliency,
    SmoothGrad,
    groups,
    store,
)
from vis.attributions.operators import detection_of
from vis.engine import Differentiation
from vis.errors import InputError, SkippedWarning
from vis.metrics import blurred

N, CHUNK = 22, 5
X = np.random.default_rng(0).random((N, 6, 7, 3)).astype(np.float32)
Y = np.random.default_rng(1).integers(0, 4, N)


@pytest.fixture(scope="module")
def model() -> keras.Model:
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [layers.Input((6, 7, 3)), layers.Conv2D(5, 3, activation="relu"), layers.Flatten(), layers.Dense(4)]
    )


@pytest.fixture(autouse=True)
def _batches_in_a_chunk(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(groups, "_CHUNK_BATCHES", getattr(request, "param", 1))


in_chunks = pytest.mark.parametrize("_batches_in_a_chunk", [1, 3], indirect=True)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def group(folder: Path) -> Any:
    return zarr.open_group(str(folder), mode="r")


@pytest.mark.parametrize("targets", [Y, 2, None, np.eye(4, dtype=np.float32)[Y]])
def test_what_is_written_is_what_explain_returns(model: keras.Model, tmp_path: Path, targets: Any) -> None:
    explainer = Saliency(model, batch_size=CHUNK)
    explainer.write(X, tmp_path / "maps.zarr", targets, progress=False)
    held = group(tmp_path / "maps.zarr")
    np.testing.assert_array_equal(held["maps"][:], explainer(X, targets))
    assert held["maps"].chunks == (CHUNK, 6, 7, 1) and held["maps"].dtype == np.float32
    outputs = np.asarray(model(X))
    classes = {"int": np.full(N, 2), "NoneType": outputs.argmax(1)}.get(type(targets).__name__, Y)
    np.testing.assert_allclose(held["scores"][:], outputs[np.arange(N), classes], rtol=1e-5)
    np.testing.assert_array_equal(held["predictions"][:], outputs.argmax(1))
    expected = targets if np.ndim(targets) == 2 else classes
    np.testing.assert_array_equal(held["targets"][:], expected)
    said = dict(held.attrs)
    assert said["settings"]["method"] == "Saliency" and said["settings"]["grad_modifier"] == "absolute"
    assert said["versions"]["keras"] == keras.__version__
    assert said["progress"]["complete"] and said["progress"]["samples"] == N
    assert sorted(path.name for path in tmp_path.iterdir()) == ["maps.zarr"]


@pytest.mark.parametrize(
    ("most", "size", "batches"), [(16, 2**22, 16), (3, 2**22, 3), (16, 2000, 2), (16, 1, 1)]
)
def test_a_few_batches_make_a_chunk(
    model: keras.Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int, size: int, batches: int
) -> None:
    """A map of 6 x 7 float32, two int64 and a float32 take 188 bytes, a batch of 5 takes 940."""
    monkeypatch.setattr(groups, "_CHUNK_BATCHES", most)
    monkeypatch.setattr(groups, "_CHUNK_BYTES", size)
    Saliency(model, batch_size=CHUNK).write(X, tmp_path / "maps", Y, progress=False)
    assert {held.chunks[0] for _, held in group(tmp_path / "maps").arrays()} == {CHUNK * batches}


def test_what_is_finished_is_kept_if_a_batch_cannot_be_explained(
    model: keras.Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(groups, "_CHUNK_BATCHES", 16)
    explainer = Saliency(model, batch_size=CHUNK)
    broken = X.copy()
    broken[12] = np.nan
    with pytest.raises(InputError, match="NaN"):
        explainer.write(iter(broken), tmp_path / "maps", Y, progress=False)
    assert group(tmp_path / "maps").attrs["progress"]["samples"] == 10
    explainer.write(X, tmp_path / "maps", Y, progress=False)
    explainer.write(X, tmp_path / "whole", Y, progress=False)
    assert contents(tmp_path / "maps") == contents(tmp_path / "whole")


def test_kernels_are_folded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    scaled = models.scaled_kernels
    monkeypatch.setattr(models, "scaled_kernels", lambda model: calls.append(model) or scaled(model))
    shape = X.shape[1:]
    x = keras.Input(shape)
    y = keras.layers.Flatten()(keras.layers.BatchNormalization()(keras.layers.Conv2D(4, 3)(x)))
    network = keras.Model(x, keras.layers.Dense(4)(y))
    explainer = Saliency(network, batch_size=CHUNK, fold_layers=True)
    explainer.write(X, tmp_path / "maps", Y, progress=False)
    assert calls == [network]
    np.testing.assert_allclose(store.read(tmp_path / "maps"), Saliency(network)(X, Y), rtol=1e-3, atol=1e-6)


@in_chunks
def test_a_stream_of_other_batches_gives_the_same_bytes(model: keras.Model, tmp_path: Path) -> None:
    explainer = Saliency(model, batch_size=CHUNK)
    explainer.write(X, tmp_path / "a", Y, progress=False)
    for name, stream in {
        "b": native.dataset((X, Y)),
        "c": native.dataset((X, Y), 7),
        "d": native.dataset((X, Y), 2),
        "e": iter(zip(X, Y, strict=True)),
    }.items():
        explainer.write(stream, tmp_path / name, progress=False)
        assert contents(tmp_path / name) == contents(tmp_path / "a")


def test_several_inputs_have_a_map_each(tmp_path: Path) -> None:
    image, table = layers.Input((4, 4, 1), name="image"), layers.Input((3,), name="table")
    x = layers.Concatenate()([layers.Flatten()(image), table])
    explainer = Saliency(keras.Model([image, table], layers.Dense(2)(x)), batch_size=4)
    given = [X[:, :4, :4, :1], X[:, 0, 0, :]]
    explainer.write(given, tmp_path / "maps.zarr", 1, progress=False)
    held = group(tmp_path / "maps.zarr")
    images, tables = explainer(given, 1)
    np.testing.assert_array_equal(held["maps_image"][:], images)
    np.testing.assert_array_equal(store.read(tmp_path / "maps.zarr", name="maps_table"), tables)
    with pytest.raises(InputError, match=r"no array 'maps'.*'maps_image', 'maps_table'"):
        store.read(tmp_path / "maps.zarr")
    np.testing.assert_array_equal(held["maps_table"][:], tables)


class Stop(BaseException):
    """What a kill is in the same process."""


@in_chunks
@pytest.mark.parametrize("kind", ["array", "stream", "items"])
@pytest.mark.parametrize("place", ["explain_arrays", "_put", "_save"])
def test_interrupted_anywhere_and_continued(
    model: keras.Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str, kind: str
) -> None:
    explainer = Saliency(model, batch_size=CHUNK)
    explainer.write(X, tmp_path / "whole", Y, progress=False)
    holder: Any = Saliency if place == "explain_arrays" else groups
    real, calls = getattr(holder, place), 0

    def fail(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls % 2 == 0:
            if place == "_put":
                real(*args, **kwargs)  # all written, but nothing noted
            raise Stop
        return real(*args, **kwargs)

    monkeypatch.setattr(holder, place, fail)
    stops = 0
    for _ in range(50):
        inputs: Any = {"array": X, "stream": iter(X), "items": list_of_items(X)}[kind]
        try:
            explainer.write(inputs, tmp_path / "parts", Y, progress=False)
            break
        except Stop:
            stops += 1
    assert stops >= (3 if groups._CHUNK_BATCHES == 1 else 1)
    assert contents(tmp_path / "parts") == contents(tmp_path / "whole")


def list_of_items(arrays: Any, broken: tuple[int, ...] = ()) -> Any:
    class Items:
        def __len__(self) -> int:
            return len(arrays)

        def __getitem__(self, index: int) -> Any:
            if index in broken:
                raise InputError(f"{index} is broken")
            return arrays[index]

    return Items()


CHILD = """
import sys, time
import keras, numpy as np
from keras import layers
from vis.attributions import Saliency
keras.utils.set_random_seed(0)
model = keras.Sequential([layers.Input((6, 7, 3)), layers.Conv2D(5, 3, activation="relu"), layers.Flatten(),
                          layers.Dense(4)])
def slowly():
    for x in np.random.default_rng(0).random((60, 6, 7, 3)).astype(np.float32):
        time.sleep(float(sys.argv[2]))
        yield x
Saliency(model, batch_size=2).write(slowly(), sys.argv[1], 1, progress=False)
"""


def test_killed_and_continued(tmp_path: Path) -> None:
    def run(path: Path, pause: float) -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, "-c", CHILD, str(path), str(pause)])

    assert run(tmp_path / "whole", 0).wait(120) == 0
    child = run(tmp_path / "parts", 0.05)
    deadline = time.monotonic() + 120
    while not (tmp_path / "parts").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.4)
    child.send_signal(signal.SIGKILL)
    assert child.wait(60) == -signal.SIGKILL
    progress = dict(group(tmp_path / "parts").attrs)["progress"]
    assert 0 <= progress["samples"] < 60 and not progress["complete"]
    assert run(tmp_path / "parts", 0).wait(120) == 0
    assert contents(tmp_path / "parts") == contents(tmp_path / "whole")


def test_what_is_complete_is_not_done_again(
    model: keras.Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    explainer = Saliency(model, batch_size=CHUNK)
    explainer.write(X, tmp_path / "maps", progress=False)
    monkeypatch.setattr(Saliency, "explain_arrays", None)
    explainer.write(X, tmp_path / "maps", progress=False)


def test_another_configuration_is_refused(model: keras.Model, tmp_path: Path) -> None:
    path = tmp_path / "maps"
    Saliency(model, batch_size=CHUNK).write(X, path, Y, progress=False)
    before = contents(path)
    other = keras.models.clone_model(model)
    baselines = [
        IntegratedGradients(model, batch_size=CHUNK, baseline=0.5),
        SmoothGrad(model, batch_size=CHUNK),
    ]
    for explainer, words in [
        (Saliency(model, batch_size=CHUNK + 1), "batch_size is 5 there, 6 here"),
        (Saliency(model, batch_size=CHUNK, reducer="mean"), "reducer is 'max' there, 'mean' here"),
        (Saliency(other, batch_size=CHUNK), "the model has other weights"),
        *((each, "method is 'Saliency' there") for each in baselines),
    ]:
        with pytest.raises(InputError, match=rf"other settings: .*{words}"):
            explainer.write(X, path, Y, progress=False)
    with pytest.raises(InputError, match="maps of other inputs"):
        Saliency(model, batch_size=CHUNK).write(X + 1, path, Y, progress=False)
    with pytest.raises(InputError, match="exists"):
        Saliency(model, batch_size=CHUNK).write(X, path, Y, resume=False, progress=False)
    assert contents(path) == before


def test_baselines_tell_configurations_apart(model: keras.Model) -> None:
    settings = [
        IntegratedGradients(model, baseline=baseline).settings()
        for baseline in (0.0, 0.5, X[0], X[1], [X[0]])
    ]
    assert all(a != b for i, a in enumerate(settings) for b in settings[:i])
    smoothed = [SmoothGrad(GradCAM(model), seed=seed).settings() for seed in (0, 1)]
    assert smoothed[0] != smoothed[1] and smoothed[0]["method"] == "SmoothGrad"


def test_options_of_functions_tell_configurations_apart(model: keras.Model) -> None:
    def some(model: Any, inputs: Any, targets: Any, column: int) -> Any:
        return model(inputs)[:, column]

    operators: list[Any] = [
        *(functools.partial(some, column=column) for column in (0, 1)),
        detection_of("boxes", "classes"),
        detection_of("boxes", "scores"),
        detection_of("boxes", "classes", order="yxyx"),
        detection_of("boxes", "classes", decode=lambda boxes, inputs: boxes),
    ]
    made: list[Callable[[], Any]] = [
        *(functools.partial(Rise, model, operator=operator) for operator in operators),
        *(
            functools.partial(Occlusion, model, occlusion_value=functools.partial(blurred, sigma=sigma))
            for sigma in (1, 2)
        ),
    ]
    settings = [json.dumps(each().settings()) for each in made]
    assert len(set(settings)) == len(settings)
    # Another process says the same: no address in memory.
    assert not any(re.search(r"0x[0-9a-f]{6}", each) for each in settings)
    assert "baseline" not in Occlusion(model).settings()


def test_the_method_of_integration_is_not_that_of_the_run(model: keras.Model) -> None:
    one, other = (
        IntegratedGradients(model, method=method).settings() for method in ("gauss-legendre", "trapezoid")
    )
    assert one["method"] == other["method"] == "IntegratedGradients"
    assert (one["own_method"], other["own_method"]) == ("gauss-legendre", "trapezoid")


@pytest.mark.parametrize("kind", ["folder", "file", "group"])
def test_something_else_is_left_alone(model: keras.Model, tmp_path: Path, kind: str) -> None:
    path = tmp_path / "other"
    if kind == "file":
        path.write_text("mine")
    elif kind == "folder":
        path.mkdir()
        (path / "mine").write_text("mine")
    else:
        zarr.open_group(str(path), mode="w").attrs["mine"] = 1
    with pytest.raises(InputError, match="does not contain maps of this library"):
        Saliency(model).write(X, path, progress=False)
    if kind == "folder":
        assert contents(path) == {"mine": b"mine"}


def test_a_full_disk_keeps_what_is_finished(
    model: keras.Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    explainer = Saliency(model, batch_size=CHUNK)
    explainer.write(X, tmp_path / "whole", Y, progress=False)
    real, calls = groups._put, 0

    def full(*args: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(*args)

    monkeypatch.setattr(groups, "_put", full)
    with pytest.raises(InputError, match=r"No space left on device\. 10 samples are finished and kept"):
        explainer.write(X, tmp_path / "parts", Y, progress=False)
    np.testing.assert_array_equal(group(tmp_path / "parts")["maps"][:10], explainer(X[:10], Y[:10]))
    explainer.write(X, tmp_path / "parts", Y, progress=False)
    assert contents(tmp_path / "parts") == contents(tmp_path / "whole")


@in_chunks
@pytest.mark.parametrize("broken", [(3,), (0, 1, 2, 3, 4), (21,), (20, 21), (2, 7, 8)])
def test_what_cannot_be_read_is_skipped(model: keras.Model, tmp_path: Path, broken: tuple[int, ...]) -> None:
    explainer = Saliency(model, batch_size=CHUNK)
    with pytest.warns(SkippedWarning) as record:
        explainer.write(list_of_items(X, broken), tmp_path / "maps", Y, progress=False)
    assert [str(w.message) for w in record] == [f"Sample {i} is skipped: {i} is broken" for i in broken]
    held = group(tmp_path / "maps")
    good = np.setdiff1d(np.arange(N), broken)
    np.testing.assert_allclose(held["maps"][:][good], explainer(X, Y)[good], rtol=1e-5, atol=1e-7)
    np.testing.assert_array_equal(held["targets"][:][good], Y[good])
    assert np.isnan(held["maps"][:][list(broken)]).all() and np.isnan(held["scores"][:][list(broken)]).all()
    assert [number for number, _ in dict(held.attrs)["progress"]["skipped"]] == list(broken)
    assert not store.read(tmp_path / "maps")[list(broken)].any()


@pytest.mark.filterwarnings("ignore::vis.errors.SkippedWarning")
def test_nothing_to_explain(model: keras.Model, tmp_path: Path) -> None:
    empty: Iterator[Any] = iter([])
    for inputs in (X[:0], empty, list_of_items(X, tuple(range(N))), list_of_items([])):
        with pytest.raises(InputError, match="nothing to explain"):
            Saliency(model).write(inputs, tmp_path / "maps", progress=False)
    assert not list(tmp_path.iterdir())


def test_targets_must_be_as_many(model: keras.Model, tmp_path: Path) -> None:
    for inputs in (X, list_of_items(X)):
        with pytest.raises(InputError, match="22 samples, 3 targets"):
            Saliency(model).write(inputs, tmp_path / "maps", Y[:3], progress=False)


def test_reading(model: keras.Model, tmp_path: Path) -> None:
    explainer = Saliency(model, batch_size=CHUNK)
    explainer.write(X, tmp_path / "maps", Y, progress=False)
    np.testing.assert_array_equal(store.read(tmp_path / "maps", 4, 6), explainer(X, Y)[4:10])
    np.testing.assert_array_equal(store.read(tmp_path / "maps", 20), explainer(X, Y)[20:])
    np.testing.assert_array_equal(store.read(tmp_path / "maps", 4, 6, name="targets"), Y[4:10])
    for name in ("scores", "predictions"):
        expected = group(tmp_path / "maps")[name][:]
        np.testing.assert_array_equal(store.read(tmp_path / "maps", name=name), expected)
    with pytest.raises(InputError, match=r"no array 'score'\. Did you mean 'scores'"):
        store.read(tmp_path / "maps", name="score")
    with pytest.raises(InputError, match="has 22 maps"):
        store.read(tmp_path / "maps", 22)
    with pytest.raises(InputError, match="does not contain maps"):
        store.read(tmp_path / "nothing")


def counted(monkeypatch: pytest.MonkeyPatch, name: str) -> list[str]:
    """Return a list that grows by one for each call of a method of `Score`."""
    calls: list[str] = []
    real = getattr(Differentiation, name)
    monkeypatch.setattr(
        Differentiation, name, lambda *args, **kwargs: calls.append(name) or real(*args, **kwargs)
    )
    return calls


@pytest.mark.parametrize(
    ("method", "targets", "runs"),
    [(Saliency, None, 1), (Saliency, 2, 0), (GradCAM, 2, 0), (SmoothGrad, 2, 1), (Occlusion, None, 1)],
)
def test_the_model_runs_at_most_once_more_for_the_predictions(
    model: keras.Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: Any, targets: Any, runs: int
) -> None:
    calls = counted(monkeypatch, "outputs")
    method(model, batch_size=N).write(X, tmp_path / "maps", targets, progress=False)
    assert len(calls) == runs
    predictions = store.read(tmp_path / "maps", name="predictions")
    np.testing.assert_array_equal(predictions, np.asarray(model(X)).argmax(axis=1))


def test_predictions_without_a_meaning_are_minus_one(model: keras.Model, tmp_path: Path) -> None:
    """A layer inside has no classes, nor has a single output; of positions, the mean counts."""
    single = keras.Sequential([layers.Input((6, 7, 3)), layers.Flatten(), layers.Dense(1)])
    dense = keras.Sequential([layers.Input((6, 7, 3)), layers.Conv2D(4, 3)])
    x = layers.Input((6, 7, 3))
    double = keras.Model(x, [layers.Dense(3, name="a")(layers.Flatten()(x)), layers.Conv2D(2, 3)(x)])
    total = Saliency(double, operator=lambda model, x, y: keras.ops.sum(model(x)[0], axis=1))
    for name, explainer, targets, expected in [
        ("inside", Saliency(model, 0), 1, np.full(N, -1)),
        ("single", Saliency(single), None, np.full(N, -1)),
        ("several", total, 1, np.full(N, -1)),
        ("one", Saliency(double, "a"), 1, np.asarray(double(X)[0]).argmax(1)),
        ("positions", Saliency(dense), 1, np.asarray(dense(X)).mean((1, 2)).argmax(1)),
        ("predicted positions", Saliency(dense), None, np.asarray(dense(X)).mean((1, 2)).argmax(1)),
    ]:
        explainer.write(X, tmp_path / name, targets, progress=False)
        np.testing.assert_array_equal(group(tmp_path / name)["predictions"][:], expected, err_msg=name)
    with pytest.warns(SkippedWarning):
        Saliency(model).write(list_of_items(X, (3,)), tmp_path / "skipped", progress=False)
    expected = np.asarray(model(X)).argmax(1)
    expected[3] = -1
    np.testing.assert_array_equal(group(tmp_path / "skipped")["predictions"][:], expected)


def test_a_group_of_an_earlier_version_is_continued(model: keras.Model, tmp_path: Path) -> None:
    """It has no predictions, and none after that."""
    explainer = Saliency(model, batch_size=CHUNK)
    with pytest.raises(InputError, match="NaN"):
        explainer.write(iter([*X[:12], np.full_like(X[0], np.nan)]), tmp_path / "maps", 1, progress=False)
    shutil.rmtree(tmp_path / "maps" / "predictions")
    explainer.write(X, tmp_path / "maps", 1, progress=False)
    assert sorted(name for name, _ in group(tmp_path / "maps").arrays()) == ["maps", "scores", "targets"]
    np.testing.assert_array_equal(store.read(tmp_path / "maps"), explainer(X, 1))


def test_the_source_stands_in_the_attributes(model: keras.Model, tmp_path: Path) -> None:
    explainer = Saliency(model, batch_size=CHUNK)
    explainer.write(X, tmp_path / "maps", progress=False)
    assert "source" not in dict(group(tmp_path / "maps").attrs)
    for source in ({"folder": "/a", "shape": (6, 7, 3), "layer": None}, {"folder": "/moved"}):
        explainer.write(X, tmp_path / "maps", progress=False, source=source)
        held = dict(group(tmp_path / "maps").attrs)
        assert held["source"] == json.loads(json.dumps(source))
        assert held["progress"]["complete"] and held["settings"]["method"] == "Saliency"
    before = contents(tmp_path / "maps")
    explainer.write(X, tmp_path / "maps", progress=False)
    assert contents(tmp_path / "maps") == before
    explainer.write(X, tmp_path / "new", progress=False, source={"folder": "/moved"})
    assert contents(tmp_path / "new") == before


@pytest.mark.parametrize("source", ["/folder", {"folder": Path("/a")}, {"range": float("nan")}, [1]])
def test_a_source_is_what_json_knows(model: keras.Model, tmp_path: Path, source: Any) -> None:
    with pytest.raises(InputError, match="source must be a dict"):
        Saliency(model).write(X, tmp_path / "maps", progress=False, source=source)
    assert not (tmp_path / "maps").exists()


class Trojan:
    """What runs code when it is unpickled."""

    def __reduce__(self) -> Any:
        return (pytest.fail, ("code was run",))


@pytest.mark.parametrize("where", ["filters", "compressor"])
def test_an_array_that_would_be_unpickled_is_not_read(model: keras.Model, tmp_path: Path, where: str) -> None:
    """Zarr's format 2 has a codec that unpickles what it reads."""
    path = tmp_path / "maps"
    held = zarr.open_group(str(path), mode="w", zarr_format=2)
    (getattr(held, "create_array", None) or held.create_dataset)("maps", shape=(4,), chunks=(4,), dtype="f4")
    said = json.loads((path / "maps" / ".zarray").read_text())
    codec = {"id": "pickle", "protocol": 5}
    said |= {"dtype": "|O", "fill_value": None, where: [codec] if where == "filters" else codec}
    (path / "maps" / ".zarray").write_text(json.dumps(said))
    (path / "maps" / "0").write_bytes(pickle.dumps(Trojan()))
    with pytest.raises(InputError, match=r"maps' uses the codec 'pickle'"):
        store.read(path)
    with pytest.raises(InputError, match="uses the codec 'pickle'"):
        Saliency(model).write(X, path, progress=False)


def test_damaged_chunks(model: keras.Model, tmp_path: Path) -> None:
    Saliency(model, batch_size=CHUNK).write(X, tmp_path / "maps", Y, progress=False)
    for path in (tmp_path / "maps" / "maps").rglob("*"):
        if path.is_file() and path.suffix != ".json":
            path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(InputError, match="does not contain maps of this library, or they are damaged"):
        store.read(tmp_path / "maps")


@pytest.mark.parametrize("name", ["scores", "targets", "maps"])
def test_a_group_that_lacks_an_array_is_not_continued(model: keras.Model, tmp_path: Path, name: str) -> None:
    explainer = Saliency(model, batch_size=CHUNK)
    stream = iter([*X[:12], np.full_like(X[0], np.nan)])
    with pytest.raises(InputError, match="NaN"):
        explainer.write(stream, tmp_path / "maps", 1, progress=False)
    shutil.rmtree(tmp_path / "maps" / name)
    words = r"maps' cannot be written: (it contains|its array 'scores' is missing)"
    with pytest.raises(InputError, match=words):
        explainer.write(X, tmp_path / "maps", 1, progress=False)


class WithFilters(Saliency):
    """A method of one's own, with settings that are called as what Zarr says of its arrays."""

    def __init__(self, model: Any, **options: Any) -> None:
        super().__init__(model, **options)
        self.filters, self.codecs, self.compressor = [3, 5], {"name": "mine"}, "pickle"


def test_settings_are_no_codecs(model: keras.Model, tmp_path: Path) -> None:
    for _ in range(2):
        WithFilters(model).write(X, tmp_path / "maps", Y, progress=False)
    np.testing.assert_array_equal(store.read(tmp_path / "maps"), Saliency(model)(X, Y))


class Rows(keras.utils.PyDataset):
    """Batches of four."""

    def __len__(self) -> int:
        return -(-N // 4)

    def __getitem__(self, number: int) -> Any:
        part = slice(4 * number, 4 * number + 4)
        return X[part], Y[part], np.ones(len(X[part]))


class Items:
    """An item per sample or per batch, some of which cannot be read."""

    def __init__(self, items: list[Any], broken: tuple[int, ...] = ()) -> None:
        self.items, self.broken = items, broken

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, number: int) -> Any:
        if number in self.broken:
            raise InputError("it is torn")
        return self.items[number]


@in_chunks
def test_what_predict_takes_gives_the_same_bytes(model: keras.Model, tmp_path: Path) -> None:
    explainer = Saliency(model, batch_size=CHUNK)
    explainer.write(X, tmp_path / "whole", Y, progress=False)
    given = {
        "keras data set": Rows(),
        "triples": native.dataset((X, Y, np.ones(N)), 3),
        "batches": Items([(X[:9], Y[:9]), (X[9:], Y[9:])]),
        "samples": Items(list(zip(X, Y, strict=True))),
    }
    for name, inputs in given.items():
        explainer.write(inputs, tmp_path / name, progress=False)
        assert contents(tmp_path / name) == contents(tmp_path / "whole"), name


def test_labels_come_with_samples_that_cannot_all_be_read(model: keras.Model, tmp_path: Path) -> None:
    explainer = Saliency(model, batch_size=CHUNK)
    items = Items(list(zip(X, Y, strict=True)), broken=(0, 7))
    with pytest.warns(SkippedWarning, match="it is torn"):
        explainer.write(items, tmp_path / "maps", progress=False)
    held, kept = group(tmp_path / "maps"), np.delete(np.arange(N), [0, 7])
    np.testing.assert_array_equal(held["targets"][:][kept], Y[kept])
    np.testing.assert_array_equal(held["maps"][:][kept], explainer(X, Y)[kept])
    assert np.isnan(held["maps"][:][[0, 7]]).all()


@pytest.mark.parametrize("column", [Y[:, None], Y.astype(np.float32), Y[:, None].astype(np.float32)])
def test_columns_of_labels_are_kept_as_classes(model: keras.Model, tmp_path: Path, column: Any) -> None:
    Saliency(model, batch_size=CHUNK).write(X, tmp_path / "maps", column, progress=False)
    np.testing.assert_array_equal(group(tmp_path / "maps")["targets"][:], Y)
