"""Many calls, from several threads: the same results, no further traces, flat memory, and nothing kept."""

from __future__ import annotations

import contextlib
import gc
import itertools
import random
import shutil
import time
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import zarr

from tests import native
from tests.reliability.long_run import (
    EXPLAINERS,
    MAKERS,
    OUTPUTS,
    Ask,
    Memory,
    Models,
    in_threads,
    random_asks,
    same,
    settled,
    traces_of,
)
from tests.reliability.scale import count
from vis.attributions import GradCAM, GuidedBackprop, IntegratedGradients, Saliency
from vis.errors import FilterError, InputError, LayerError, ModifierError
from vis.losses import ActivationMaximization, TotalVariation
from vis.optimizer import Optimizer
from vis.visualization import visualize_activation, visualize_saliency

# Some maps of places are empty: they matter all the same.
pytestmark = [pytest.mark.filterwarnings("ignore::vis.errors.EmptyMapWarning"), pytest.mark.long]

THREADS, WINDOWS = 4, 4

# ---- one long run --------------------------------------------------------------------------------------


@dataclass
class LongRun:
    """What happened in a warm-up, which is the first window, and in the windows after it."""

    calls: int
    distinct: int
    needed: int
    seconds: float = 0.0
    memory: list[Memory] = field(default_factory=list)
    traces: list[list[int]] = field(default_factory=list)
    traced: list[list[int]] = field(default_factory=list)
    wrong: list[Any] = field(default_factory=list)
    kept: list[Any] = field(default_factory=list)

    def __str__(self) -> str:
        lines = [
            f"{self.calls} calls, {self.distinct} different ones, {THREADS} threads, {self.seconds:.1f} s, "
            f"traces {[len(held) for held in self.traces]} for {self.needed}",
            *map(str, self.memory),
        ]
        return "\n".join(lines)


@pytest.fixture(scope="module")
def long_run() -> LongRun:
    """Each call once alone, on models of their own; then all in threads, from the very first call on."""
    calls = count(600, 10_000)
    asks = random_asks(count(80, 1000), seed=1)
    alone = Models()
    expected = {ask: alone.answer(ask) for ask in asks}
    del alone
    run = LongRun(calls, len(asks), len(set().union(*(ask.traces() for ask in asks))))
    chosen, each = random.Random(2), calls // (WINDOWS + 1)
    # The warm-up has every call, so that all traces are made in it.
    warm_up = chosen.sample(asks, len(asks)) + chosen.choices(asks, k=each - len(asks))
    windows = [warm_up, *(chosen.choices(asks, k=each) for _ in range(WINDOWS))]
    models = Models()
    go_through(run, models, windows, expected)
    things = [part for model in models.models.values() for part in (model, *model.layers, *model.variables)]
    things += [trace for model in models.models.values() for trace in traces_of(model)]
    references = [weakref.ref(thing) for thing in things]
    del models, things
    gc.collect()
    run.kept = [reference() for reference in references if reference() is not None]
    print(f"\n{run}")  # shown with -s
    return run


def go_through(run: LongRun, models: Models, windows: list[list[Ask]], expected: dict[Ask, Any]) -> None:
    """Do the calls of one window after the other, in threads, and note what happens."""

    def work(asks: Sequence[Ask]) -> None:
        for number, ask in enumerate(asks):
            found = models.answer(ask, fresh=number % 2 == 0)
            if not same(found, expected[ask]):
                run.wrong.append((ask, found, expected[ask]))

    begin = time.perf_counter()
    for window in windows:
        jobs = [lambda part=window[number::THREADS]: work(part) for number in range(THREADS)]
        with contextlib.nullcontext() if run.memory else settled():
            run.wrong += [error for error in in_threads(*jobs) if error is not None]
        run.traces.append([id(trace) for model in models.models.values() for trace in traces_of(model)])
        run.traced.append([model.get_layer("counted").runs[0] for model in models.models.values()])
        run.memory.append(Memory.now())
    run.seconds = time.perf_counter() - begin


def test_each_call_in_threads_returns_what_it_returns_alone(long_run: LongRun) -> None:
    assert long_run.wrong == []


def test_calls_about_the_same_share_a_trace(long_run: LongRun) -> None:
    """Whatever the filters, gradient modifiers, samples and batch sizes: see `Ask.traces`."""
    assert long_run.needed < long_run.distinct / 2
    assert len(long_run.traces[0]) == long_run.needed


def test_no_trace_is_made_after_the_warm_up(long_run: LongRun) -> None:
    """Neither do the models run in Python again, where they compile, nor are other traces kept."""
    for first, *later in (*([long_run.traced] if native.COMPILES else []), long_run.traces):
        assert later == [first] * WINDOWS


def check_resident(before: Memory, after: Memory) -> None:
    """Fail if what is resident has grown by more than 2 percent.

    20 MiB are allowed in any case, half of what 480 graphs would be, one kept per call: the usual run is over
    before the allocator has settled.
    """
    assert after.resident - before.resident < max(20, 0.02 * before.resident)
    assert after.files <= before.files


def test_memory_stays_flat(long_run: LongRun) -> None:
    """Some 100 bytes a call are allocated for good by TensorFlow and Keras, and a few objects at times.

    Beside that the pools of TensorFlow's threads fill up, in blocks of a fifth of a MiB, to at most one MiB.
    """
    before, settled, *_, last = long_run.memory
    each = long_run.calls // (WINDOWS + 1)
    for after in long_run.memory[1:]:
        check_resident(before, after)
        assert (after.allocated - before.allocated) * 1024 < 1024 + WINDOWS * each
    # In the first window what Python remembers of classes still fills up.
    assert last.objects - settled.objects < (WINDOWS - 1) * each / 4


def test_deleted_models_are_gone_with_all_that_was_made_of_them(long_run: LongRun) -> None:
    assert long_run.kept == []


# ---- the first call ------------------------------------------------------------------------------------

FIRST = [
    Ask("regression", "saliency", filters=1, backprop="guided"),
    Ask("convolutional", "saliency", layer="hidden", grad="negate", backprop="rectified"),
    Ask("two_inputs", "cam", filters=0, wrt="first"),
    Ask("convolutional", "IntegratedGradients", filters=2, rows=3, batch_size=2),
    Ask("two_inputs", "Saliency", filters=1, rows=3, grad="absolute"),
]


@pytest.mark.parametrize("ask", FIRST, ids=lambda ask: f"{ask.model}-{ask.kind}")
def test_two_threads_that_make_the_first_call_share_its_trace(ask: Ask) -> None:
    for seed in range(count(1, 20)):
        models, alone = (Models([ask.model], seed) for _ in range(2))
        model = models.models[ask.model]
        runs, runs_alone = (m.models[ask.model].get_layer("counted").runs for m in (models, alone))
        runs[0] = runs_alone[0] = 0
        expected = alone.answer(ask)
        found = in_threads(*[lambda m=models: m.answer(ask, fresh=True)] * 2)
        assert all(same(each, expected) for each in found)
        # One thread traces the model, and reads where the channels and the positions of its layers lie.
        assert not native.COMPILES or runs == runs_alone
        assert len(traces_of(model)) == len(ask.traces()) == 1


# ---- weights -------------------------------------------------------------------------------------------


def normalized(gradient: Any) -> Any:
    g = np.asarray(gradient, np.float64)
    return (g - g.min()) / (g.max() - g.min())


def derived(model: Any, inputs: list[Any], output: int) -> list[Any]:
    """Return the gradients of the sum of an output by each input, by the framework."""
    score = lambda *x: model(list(x) if len(x) > 1 else x[0])[:, output]  # noqa: E731
    return native.gradients(score, inputs)


def guided_by_hand(model: Any, x: Any, output: int) -> Any:
    """Return the guided gradient of the dense network, written out."""
    x, gradient = np.asarray(x, np.float64), np.zeros(OUTPUTS["regression"])
    gradient[output] = 1
    kernels = [np.asarray(layer.kernel, np.float64) for layer in model.layers[-3:]]
    biases = [np.asarray(layer.bias, np.float64) for layer in model.layers[-3:]]
    first = x @ kernels[0] + biases[0]
    second = np.maximum(first, 0) @ kernels[1] + biases[1]
    gradient = np.maximum(kernels[2] @ gradient, 0) * (second > 0)
    return kernels[0] @ (np.maximum(kernels[1] @ gradient, 0) * (first > 0))


def cam_by_hand(model: Any, inputs: list[Any], output: int) -> Any:
    middle = model.get_layer("first").output
    features = keras.Model(model.inputs, middle)(inputs)
    others = [keras.ops.convert_to_tensor(array) for array in inputs[1:]]
    above = keras.Model([middle, *model.inputs[1:]], model.output)
    slopes = native.gradient(lambda x: above([x, *others])[:, output], features)
    weights = slopes.mean(axis=(1, 2), keepdims=True)
    heat = np.maximum((weights * keras.ops.convert_to_numpy(features)).sum(axis=-1), 0)
    # Windows of 3: the centres begin a pixel from the edge, and what they see reaches it.
    return np.pad(heat, [(0, 0), (1, 1), (1, 1)], "edge")[..., None]


Pair = tuple[Callable[[], list[Any]], Callable[[], list[Any]]]


def pairs(models: Models) -> list[Pair]:
    """Return calls of the library, each with what it should return for the weights of that moment."""
    dense, image, two = (models.models[name] for name in ("regression", "convolutional", "two_inputs"))
    (x,), (pictures,), both = (models.data[name] for name in ("regression", "convolutional", "two_inputs"))
    few = [array[:3] for array in both]
    saliency, cam, path = (
        Saliency(image),
        GradCAM(two, conv_layer="first"),
        IntegratedGradients(dense, steps=1),
    )
    guided = GuidedBackprop(dense, reducer=None)
    return [
        (
            lambda: [visualize_saliency(image, "end", 2, pictures[0])],
            lambda: [normalized(np.abs(derived(image, [pictures[:1]], 2)[0][0]).max(axis=-1))],
        ),
        (
            lambda: visualize_saliency(two, -1, 1, [array[0] for array in both], keepdims=True),
            lambda: [normalized(np.abs(g[0])) for g in derived(two, [array[:1] for array in both], 1)],
        ),
        (
            lambda: [visualize_saliency(dense, -1, 0, x[4], None, "guided", None)],
            lambda: [normalized(guided_by_hand(dense, x[4], 0))],
        ),
        (
            lambda: [saliency.explain(pictures, 3)],
            lambda: [np.abs(derived(image, [pictures], 3)[0]).max(axis=-1, keepdims=True)],
        ),
        (lambda: [guided.explain(x[:2], 1)], lambda: [[guided_by_hand(dense, each, 1) for each in x[:2]]]),
        (lambda: [cam.explain(few, 1)], lambda: [cam_by_hand(two, few, 1)]),
        # One step of Gauss and Legendre is in the middle.
        (lambda: [path.explain(x, 1)], lambda: [x * derived(dense, [x / 2], 1)[0]]),
    ]


def test_changed_weights_change_the_next_call_of_every_thread() -> None:
    models = Models()
    asked = pairs(models)
    variables = [variable for model in models.models.values() for variable in model.trainable_variables]
    first = [np.asarray(variable) for variable in variables]
    before: list[Any] = []
    for seed in range(count(3, 60)):
        changes = np.random.default_rng(seed)
        for variable, value in zip(variables, first, strict=True):
            variable.assign(value + 0.1 * changes.normal(size=value.shape))
        expected = [should() for _, should in asked]
        for found in in_threads(*[lambda: [call() for call, _ in asked]] * THREADS):
            for maps_, wanted in zip(found, expected, strict=True):
                for part, oracle in zip(maps_, wanted, strict=True):
                    np.testing.assert_allclose(part, oracle, rtol=1e-4, atol=1e-5)
        for old, new in zip(before, expected, strict=bool(before)):
            assert max(np.abs(np.subtract(a, b)).max() for a, b in zip(old, new, strict=True)) > 1e-3
        before = expected


# ---- errors --------------------------------------------------------------------------------------------


class OnPurpose(Exception):
    """Raised by a modifier of one's own."""


def refuses(*_: Any) -> Any:
    raise OnPurpose


def bad_calls(models: Models) -> list[tuple[type[Exception], Callable[[], Any]]]:
    """Return calls that raise, and what; some in the middle of a trace."""
    dense, image = models.models["regression"], models.models["convolutional"]
    (x,), (pictures,) = models.data["regression"], models.data["convolutional"]
    spoilt = pictures.copy()
    spoilt[1, 2, 3, 0] = np.nan

    def verb(model: Any, filters: Any, seed_input: Any, **more: Any) -> Callable[[], Any]:
        return lambda: visualize_saliency(model, "end", filters, seed_input, **more)

    return [
        (FilterError, verb(dense, 99, x[0])),
        (FilterError, verb(image, [0, -5], pictures[0])),
        (InputError, verb(image, 0, spoilt[1])),
        (InputError, verb(dense, 0, x[0, :5])),
        (LayerError, lambda: visualize_saliency(dense, "no such layer", 0, x[0])),
        (ModifierError, verb(dense, 0, x[0], grad_modifier="no such modifier")),
        (OnPurpose, verb(dense, 0, x[0], grad_modifier=refuses)),
        (OnPurpose, verb(image, 0, pictures[0], backprop_modifier=refuses)),
        (
            ModifierError,
            verb(image, 0, pictures[0], backprop_modifier=lambda x, y, grad, true_grad: true_grad[..., :1]),
        ),
        (InputError, lambda: Saliency(image).explain(spoilt, 0)),
        (FilterError, lambda: Saliency(image).explain(pictures, 4)),
        (OnPurpose, lambda: Saliency(dense, operator=refuses).explain(x, 0)),
    ]


def test_errors_in_two_threads_do_not_disturb_the_others() -> None:
    names = ["regression", "convolutional"]
    asks = [ask for ask in random_asks(600, seed=3) if ask.model in names and ask.kind != "predict"]
    asks = asks[: count(12, 200)]
    alone, models = Models(names), Models(names)
    expected = [alone.answer(ask) for ask in asks]
    bad = bad_calls(models)

    def good() -> list[Any]:
        return [ask for ask, each in zip(asks, expected, strict=True) if not same(models.answer(ask), each)]

    def fail() -> list[Any]:
        unexpected = []
        for kind, call in bad:
            try:
                unexpected.append((kind, call()))
            except Exception as error:
                if not isinstance(error, kind):
                    unexpected.append((kind, error))
        return unexpected

    for _ in range(count(1, 20)):
        assert in_threads(good, fail, good, fail) == [[]] * 4
    needed = {trace for ask in asks for trace in ask.traces()}
    # A filter is looked up, and a gradient modified, once there is a trace.
    needed |= {("loss", None, name, "end", None) for name in names}
    # Nor may a rule be applied before, elsewhere than on TensorFlow: one fails, one has a wrong shape.
    rules = 0 if native.NAME == "TensorFlow" else 2
    assert 0 <= sum(len(traces_of(model)) for model in models.models.values()) - len(needed) <= rules


# ---- runs of the optimizer -----------------------------------------------------------------------------


def descents(model: Any) -> list[Callable[[], Any]]:
    """Return runs that differ in what is optimized, how, and of what the picture is made."""
    settings: dict[str, Any] = {"max_iter": 3, "seed": 0, "verbose": False}
    others: dict[str, Any] = {"backprop_modifier": "guided", "parameterization": "fourier", "each": True}

    def seen(filters: Any, **more: Any) -> Callable[[], Any]:
        return lambda: visualize_activation(model, "end", filters, **settings, **more)

    def of_losses(index: int) -> Callable[[], Any]:
        variation = TotalVariation(model.input)
        losses = [(ActivationMaximization(model.layers[-1], index), 1), (variation, 0.5 * index)]
        return lambda: Optimizer(model, losses).minimize(**settings)

    return [
        *(seen(filters) for filters in (0, 1, [2, 3], None)),
        *(seen(2, grad_modifier=modifier) for modifier in ("relu", "absolute", np.sign)),
        *(seen(filters, **others) for filters in ([0, 3], [1, 1])),
        *(of_losses(index) for index in range(2)),
    ]


def soaked(model: Any) -> list[Any]:
    """Run the optimizer many times in two threads; return references to all that was made for it."""
    runs = descents(model)
    with settled():
        expected = [keras.tree.flatten(run()) for run in runs]
    held = list(map(id, traces_of(model)))
    # The filters, which gradient modifier, and the weights of the losses are run-time inputs.
    assert len(held) == 4

    def work(numbers: list[int]) -> list[int]:
        return [n for n in numbers if not same(keras.tree.flatten(runs[n]()), expected[n])]

    order = random.Random(4).choices(range(len(runs)), k=count(20, 300))
    before = Memory.now()
    assert in_threads(lambda: work(order[::2]), lambda: work(order[1::2])) == [[], []]
    assert list(map(id, traces_of(model))) == held
    after = Memory.now()
    print(f"\n{len(order)} runs: {before}\n{after}")
    # Each loss is built of operations, whose shapes JAX works out, and keeps up to some number of them.
    assert native.NAME == "JAX" or after.objects - before.objects < len(order)
    return [weakref.ref(thing) for thing in (model, *model.layers, *model.variables, *traces_of(model))]


def test_runs_of_the_optimizer() -> None:
    """Each, in threads, as alone; a trace for each kind of run; and nothing is kept."""
    references = soaked(MAKERS["convolutional"]())
    gc.collect()
    assert [reference() for reference in references if reference() is not None] == []


def test_memory_stays_flat_over_runs_of_the_optimizer() -> None:
    """The same run again and again; each window of 20 would grow by 1.4 MiB."""
    if not Memory.now().allocated:
        pytest.skip("the C library does not tell how much is allocated")
    models = Models(["regression"])
    model, (x,) = models.models["regression"], models.data["regression"]
    held, runs = [], count(20, 200)
    for _ in range(4):
        for number in range(runs):
            visualize_activation(model, "end", number % 2, seed_input=x[0], max_iter=1)
        held.append(Memory.now())
    print("", *held, sep="\n")
    for before, after in itertools.pairwise(held):
        check_resident(before, after)
        assert (after.allocated - before.allocated) * 1024 < 2 * runs


# ---- to disk -------------------------------------------------------------------------------------------


def test_groups_on_disk(tmp_path: Path) -> None:
    """Two at once, again and again: what is written is what `explain` returns, and nothing stays open."""
    models = Models(["convolutional"])
    model, (pictures,) = models.models["convolutional"], models.data["convolutional"]
    names = ("Saliency", "GradCAM", "IntegratedGradients", "SmoothGrad")
    explainers = [EXPLAINERS[name](model, batch_size=5) for name in names]
    targets = [0, None, np.arange(len(pictures)) % OUTPUTS["convolutional"]]
    asked = [(explainer, target) for explainer in explainers for target in targets]
    expected = [explainer.explain(pictures, target) for explainer, target in asked]

    def write(number: int) -> None:
        explainer, target = asked[number % len(asked)]
        folder = tmp_path / str(number)
        explainer.write(pictures, folder, target, progress=False)
        written = zarr.open_group(str(folder), mode="r")["maps"][:]
        # Two threads at once may round differently on PyTorch.
        wanted = expected[number % len(asked)]
        np.testing.assert_allclose(
            written, wanted, rtol=0, atol=0 if native.COMPILES else 1e-6 * abs(wanted).max()
        )
        shutil.rmtree(folder)

    in_threads(lambda: [write(number) for number in range(len(asked))])
    held = list(map(id, traces_of(model)))
    before, groups = Memory.now(), count(10, 100)
    for number in range(0, groups, 2):
        assert in_threads(lambda n=number: write(n), lambda n=number: write(n + 1)) == [None, None]
    after = Memory.now()
    print(f"\n{groups} groups: {before}\n{after}")
    assert list(map(id, traces_of(model))) == held
    check_resident(before, after)
    assert (after.allocated - before.allocated) * 1024 < 20 * groups
    assert after.objects - before.objects < 20 * groups
    # Zarr has a pool of threads, which fills up.
    assert after.threads - before.threads < 8
    assert list(tmp_path.iterdir()) == []
