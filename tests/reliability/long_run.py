"""Many different calls on a few small models, from several threads, and what they need of the library."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import random
import threading
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import psutil
import pytest
from keras import layers

import vis.engine.traces
from tests import native
from vis.attributions import GradCAM, GuidedBackprop, IntegratedGradients, Saliency, SmoothGrad
from vis.visualization import visualize_cam, visualize_saliency

SAMPLES = 24
MIB = 2**20

# ---- models --------------------------------------------------------------------------------------------
# With biases of one no network, and no guided path, is dead.


class Counted(layers.Layer):
    """Counts how often its call runs in Python, which is once per trace."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.runs = [0]

    def call(self, x: Any) -> Any:
        self.runs[0] += 1
        return x


def convolutional() -> keras.Model:
    """Return a functional model with a nested backbone."""
    inside = keras.Input((7, 6, 2))
    x = layers.Conv2D(4, 3, activation="relu", bias_initializer="ones", name="first")(inside)
    x = layers.Conv2D(5, 3, activation="relu", bias_initializer="ones", name="second")(x)
    backbone = keras.Model(inside, x, name="backbone")
    image = keras.Input((7, 6, 2))
    x = layers.Flatten()(backbone(Counted(name="counted")(image)))
    x = layers.Dense(6, activation="relu", bias_initializer="ones", name="hidden")(x)
    return keras.Model(image, layers.Dense(4, name="end")(x), name="convolutional")


def regression() -> keras.Model:
    """Return dense layers with two outputs."""
    return keras.Sequential(
        [
            layers.Input((6,)),
            Counted(name="counted"),
            layers.Dense(12, activation="relu", bias_initializer="ones", name="first"),
            layers.Dense(6, activation="relu", bias_initializer="ones", name="hidden"),
            layers.Dense(2, name="end"),
        ],
        name="regression",
    )


def two_inputs() -> keras.Model:
    """Return a model of an image and a vector."""
    image, vector = keras.Input((6, 5, 1), name="image"), keras.Input((3,), name="vector")
    x = Counted(name="counted")(image)
    x = layers.Conv2D(3, 3, activation="relu", bias_initializer="ones", name="first")(x)
    x = layers.Concatenate()([layers.Flatten()(x), vector])
    x = layers.Dense(6, activation="relu", bias_initializer="ones", name="hidden")(x)
    return keras.Model([image, vector], layers.Dense(3, name="end")(x), name="two_inputs")


MAKERS: dict[str, Callable[[], keras.Model]] = {
    "convolutional": convolutional,
    "regression": regression,
    "two_inputs": two_inputs,
}
OUTPUTS = {"convolutional": 4, "regression": 2, "two_inputs": 3}
HIDDEN = 6
# The layers whose places a class activation map weighs.
PLACES = {"convolutional": "backbone/first", "two_inputs": "first"}

# ---- calls ---------------------------------------------------------------------------------------------

EXPLAINERS: dict[str, Callable[..., Any]] = {
    "Saliency": Saliency,
    "GuidedBackprop": GuidedBackprop,
    "GradCAM": GradCAM,
    "IntegratedGradients": lambda model, **given: IntegratedGradients(model, steps=4, **given),
    "SmoothGrad": lambda model, **given: SmoothGrad(model, nb_samples=3, noise=0.1, **given),
}


@dataclass(frozen=True)
class Ask:
    """One call with its arguments.

    Args:
        model: the name of the model.
        kind: "saliency" and "cam" for a verb, the name of an explainer, or "predict".
        layer: the layer whose filters are asked for.
        filters: a filter, several, or None for all; for an explainer, a class, or None for the predicted one.
        start, rows: which samples are given; a verb is given the first one.
        backprop, grad: the modifiers.
        wrt: the path of the layer by which is differentiated, or whose places are weighed.
        batch_size: of an explainer.
    """

    model: str
    kind: str
    layer: str = "end"
    filters: int | tuple[int, ...] | None = None
    start: int = 0
    rows: int = 1
    backprop: str | None = None
    grad: str | None = None
    wrt: str | None = None
    batch_size: int | None = None

    def traces(self) -> set[Hashable]:
        """Return what this call needs traces for.

        A trace is about the model, the layer, what is differentiated by, the backprop modifier, and what is
        computed: the loss of a verb, the score of an explainer, or the outputs, for the predicted classes.
        No filter, gradient modifier, number of samples or batch size makes another.
        """
        if self.kind == "predict":
            return set()
        about = (self.model, self.layer, self.backprop)
        if self.kind in ("saliency", "cam"):
            return {("loss", self.wrt, *about)}
        needed: set[Hashable] = {("score", self.wrt, *about)}
        if self.filters is None:
            needed.add(("outputs", self.model, self.layer))
        return needed


def random_ask(chosen: random.Random) -> Ask:
    """Return a call with arguments at random."""
    model = chosen.choice(list(MAKERS))
    kinds = ["saliency", "saliency", *(["wrt"] if model == "regression" else ["cam", "GradCAM"])]
    kinds += ["Saliency", "Saliency", "GuidedBackprop", chosen.choice(["IntegratedGradients", "SmoothGrad"])]
    # On JAX, Keras takes the weights out of a model while it predicts.
    kind = "predict" if chosen.random() < 0.03 and native.NAME != "JAX" else chosen.choice(kinds)
    given: dict[str, Any] = {"start": chosen.randrange(SAMPLES - 8)}
    if kind == "predict":
        return Ask(model, kind, rows=8, **given)
    given["layer"] = chosen.choice(["end", "hidden"]) if kind == "saliency" else "end"
    count = HIDDEN if given["layer"] == "hidden" else OUTPUTS[model]
    given["backprop"] = chosen.choice([None, "guided", "rectified"][: 3 if kind == "saliency" else 2])
    if kind in ("saliency", "wrt", "cam"):
        several = tuple(chosen.choices(range(-count, count), k=chosen.randint(1, 3)))
        given["filters"] = chosen.choice([None, several, *range(count)])
        given["grad"] = chosen.choice(["absolute", "negate", "relu", "invert", "small_values", None])
        given["wrt"] = {"saliency": None, "wrt": "first", "cam": PLACES.get(model)}[kind]
        return Ask(model, "saliency" if kind == "wrt" else kind, **given)
    given["filters"] = chosen.choice([None, *range(count)])
    given["rows"], given["batch_size"] = chosen.randint(1, 8), chosen.choice([2, 3, 64, None])
    if kind == "Saliency":
        given["grad"] = chosen.choice(["absolute", "negate", "small_values", None])
    else:
        given["backprop"] = "guided" if kind == "GuidedBackprop" else None
    if kind == "GradCAM":
        given["wrt"] = PLACES[model]
    return Ask(model, kind, **given)


def random_asks(count: int, seed: int) -> list[Ask]:
    """Return calls that differ."""
    chosen = random.Random(seed)
    found: dict[Ask, None] = {}
    while len(found) < count:
        found[random_ask(chosen)] = None
    return list(found)


class Models:
    """Models with their data, and the explainers that all threads share.

    Args:
        names: which models.
        seed: of the weights.
    """

    def __init__(self, names: Sequence[str] = tuple(MAKERS), seed: int = 5) -> None:
        keras.utils.set_random_seed(seed)
        generator = np.random.default_rng(11)
        self.models = {name: MAKERS[name]() for name in names}
        self.data = {
            name: [generator.random((SAMPLES, *symbol.shape[1:]), np.float32) for symbol in model.inputs]
            for name, model in self.models.items()
        }
        self._explainers: dict[Hashable, Any] = {}

    def answer(self, ask: Ask, fresh: bool = False) -> list[np.ndarray]:
        """Return what a call returns, as a list.

        Args:
            ask: the call.
            fresh: whether an explainer is made for it, in place of one that is kept.
        """
        model, data = self.models[ask.model], self.data[ask.model]
        if ask.kind in ("saliency", "cam"):
            found = _verb(ask, model, _packed([array[ask.start] for array in data]))
        else:
            inputs = _packed([array[ask.start : ask.start + ask.rows] for array in data])
            if ask.kind == "predict":
                found = model.predict(inputs, batch_size=4, verbose=0)
            else:
                found = self._explainer(ask, model, fresh).explain(inputs, ask.filters)
        return [np.asarray(part) for part in keras.tree.flatten(found)]

    def _explainer(self, ask: Ask, model: Any, fresh: bool) -> Any:
        key = (ask.model, ask.kind, ask.backprop, ask.grad, ask.batch_size)
        found = None if fresh else self._explainers.get(key)
        if found is None:
            given: dict[str, Any] = {"batch_size": ask.batch_size}
            if ask.kind == "Saliency":
                given.update(backprop_modifier=ask.backprop, grad_modifier=ask.grad)
            if ask.kind == "GradCAM":
                given["conv_layer"] = ask.wrt
            found = EXPLAINERS[ask.kind](model, **given)
            if not fresh:
                self._explainers[key] = found
        return found


def _verb(ask: Ask, model: Any, seed_input: Any) -> Any:
    filters = list(ask.filters) if isinstance(ask.filters, tuple) else ask.filters
    modifiers = {"backprop_modifier": ask.backprop, "grad_modifier": ask.grad}
    if ask.kind == "cam":
        return visualize_cam(model, ask.layer, filters, seed_input, ask.wrt, **modifiers)
    wrt = None if ask.wrt is None else model.get_layer(ask.wrt).output
    return visualize_saliency(model, ask.layer, filters, seed_input, wrt, **modifiers)


def _packed(inputs: list[Any]) -> Any:
    return inputs if len(inputs) > 1 else inputs[0]


def same(found: Sequence[np.ndarray], expected: Sequence[np.ndarray]) -> bool:
    """Tell whether two results are the same, up to the order in which a pool of threads adds."""
    return len(found) == len(expected) and all(
        a.shape == b.shape
        and a.dtype == b.dtype
        and np.allclose(a, b, rtol=1e-6, atol=1e-6 * np.abs(b).max(initial=0.0))
        for a, b in zip(found, expected, strict=True)
    )


# ---- threads, memory, traces ---------------------------------------------------------------------------


@contextlib.contextmanager
def settled() -> Iterator[None]:
    """Let PyTorch leave Keras out at the first run of a forward pass, as it does at last after some dozen."""
    with pytest.MonkeyPatch.context() as changed:
        if native.NAME == "PyTorch":
            changed.setattr("vis.backend.torch.program.Entry.is_due", lambda entry, operations: True)
        yield


def in_threads(*jobs: Callable[[], Any]) -> list[Any]:
    """Run jobs at once, from the same moment on; return the result of each, or the exception."""
    barrier, results = threading.Barrier(len(jobs)), [None] * len(jobs)

    def run(index: int) -> None:
        barrier.wait()
        try:
            results[index] = jobs[index]()
        except Exception as error:  # a result like others, for the test to look at
            results[index] = error.with_traceback(None)

    threads = [threading.Thread(target=run, args=(index,)) for index in range(len(jobs))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def resident() -> float:
    """Return the memory of this process in MiB, once what nobody holds is gone."""
    while gc.collect():
        pass
    return float(psutil.Process().memory_info().rss / MIB)


class _Mallinfo2(ctypes.Structure):
    _fields_ = tuple(
        (name, ctypes.c_size_t)
        for name in "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost".split()
    )


# How much is allocated in all, and a way to give back the rest; not every C library has them.
_malloc_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
_mallinfo2 = getattr(ctypes.CDLL(None), "mallinfo2", None)
if _mallinfo2 is not None:
    _mallinfo2.restype = _Mallinfo2


@dataclass(frozen=True)
class Memory:
    """What this process holds, once what nobody holds is gone.

    Args:
        resident: its memory, in MiB, after the allocator has given back what it kept for later, where it
            can: in a process that has run other tests, that is far more than what these take.
        allocated: what has been allocated and not freed, by TensorFlow too, in MiB; or 0 where the C library
            does not tell.
        objects: how many objects the garbage collector knows.
        files, threads: how many there are.
    """

    resident: float
    allocated: float
    objects: int
    files: int
    threads: int

    @classmethod
    def now(cls) -> Memory:
        while gc.collect():
            pass
        process, told = psutil.Process(), 0
        if _malloc_trim is not None:
            _malloc_trim(0)
        if _mallinfo2 is not None:
            info = _mallinfo2()
            told = info.uordblks + info.hblkhd
        resident, found = process.memory_info().rss, len(gc.get_objects())
        return cls(resident / MIB, told / MIB, found, process.num_fds(), process.num_threads())


def traces_of(model: Any) -> list[Any]:
    """Return the compiled functions that are kept about a model; those of others may go at any time."""
    entries = list(vis.engine.traces._traces._entries.values())
    return [trace for trace, about in entries if any(item() is model for item in about)]
