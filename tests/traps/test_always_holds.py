"""What holds whatever the model is, in short; the longer tests are in `tests/visualization`."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import psutil
import pytest
from keras import layers

from tests import native
from tests.precision import precision
from tests.traps.inputs import conv2d, picture
from tests.traps.oracle import normalized, right
from tests.traps.topology import chain
from tests.traps.trap import IMAGE, SHAPE, Case, dense, hidden
from vis.attributions import GradCAM, GuidedBackprop, IntegratedGradients, Saliency, SmoothGrad
from vis.visualization import visualize_cam, visualize_saliency

BATCH = picture(7, *SHAPE)
EXPLAINERS: dict[str, Callable[..., Any]] = {
    "Saliency": Saliency,
    "GuidedBackprop": GuidedBackprop,
    "GradCAM": GradCAM,
    "IntegratedGradients": lambda model, **o: IntegratedGradients(model, steps=5, **o),
    "SmoothGrad": lambda model, **o: SmoothGrad(model, nb_samples=5, **o),
}
MODIFIERS = (None, "guided", "rectified")


@pytest.fixture(autouse=True)
def seeded() -> None:
    keras.utils.set_random_seed(3)


def network(*extra: Any, units: int = 6) -> Case:
    stack = [*extra, conv2d(), layers.BatchNormalization(), layers.Dropout(0.5), layers.Flatten()]
    return Case(chain(*stack, hidden(units), dense(3)))


def signed(case: Case, modifier: str | None = None) -> Any:
    return visualize_saliency(
        case.model, -1, 1, IMAGE, backprop_modifier=modifier, grad_modifier=None, keepdims=True
    )


def check(case: Case, modifier: str | None = None) -> None:
    wanted = normalized(right(case, modifier, anew=True).gradients[0])
    np.testing.assert_allclose(signed(case, modifier), wanted, atol=2e-5)


@pytest.mark.parametrize("kind", EXPLAINERS)
def test_batch(kind: str) -> None:
    """A batch gives the same maps as its samples one by one, in any order, for any `batch_size`."""
    model = network().model
    alone = np.concatenate([EXPLAINERS[kind](model)(sample[None], 1) for sample in BATCH])
    near = {"rtol": 1e-6, "atol": 1e-6 * abs(alone).max()}
    for size in (1, 3, 64):
        np.testing.assert_allclose(EXPLAINERS[kind](model, batch_size=size)(BATCH, 1), alone, **near)
    order = np.random.default_rng(1).permutation(7)
    np.testing.assert_allclose(EXPLAINERS[kind](model)(BATCH[order], 1), alone[order], **near)


def test_negate() -> None:
    """`negate` is minus vanilla before normalisation."""
    case = network()
    found = Saliency(case.model, reducer=None, grad_modifier="negate")(IMAGE[None], 1)[0]
    np.testing.assert_allclose(found, -right(case).gradients[0], rtol=1e-4, atol=1e-6)


def test_smoothgrad() -> None:
    """SmoothGrad with noise 0 is vanilla, and with noise it is not."""
    model = network().model
    vanilla = Saliency(model, reducer=None, grad_modifier=None)(BATCH, 1)
    still, noisy = (
        SmoothGrad(model, reducer=None, nb_samples=4, noise=noise)(BATCH, 1) for noise in (0, 0.5)
    )
    np.testing.assert_allclose(still, vanilla, rtol=1e-6, atol=1e-6 * abs(vanilla).max())
    assert abs(noisy - vanilla).max() > 0.01


def smooth(dtype: str) -> keras.Model:
    conv = layers.Conv2D(4, 3, activation="tanh", dtype=dtype)
    stack = [
        conv,
        layers.Flatten(dtype=dtype),
        layers.Dense(5, "softplus", dtype=dtype),
        layers.Dense(3, dtype=dtype),
    ]
    return keras.Sequential([keras.Input(SHAPE, dtype=dtype), *stack])


def test_integrated_gradients() -> None:
    """Integrated gradients sum to f(x) - f(x0)."""
    model = smooth("float32")
    found = IntegratedGradients(model, steps=20, reducer=None, baseline=0.5)(BATCH, 1)
    outputs = np.asarray(model(BATCH) - model(np.full((1, *SHAPE), 0.5)))[:, 1]
    np.testing.assert_allclose(found.sum((1, 2, 3)), outputs, atol=1e-4)
    assert abs(outputs).min() > 0.01


@pytest.mark.in_64_bits
def test_finite_differences() -> None:
    """Central finite differences agree with vanilla on smooth networks, to 1e-4 in float64."""
    model, x = smooth("float64"), IMAGE.astype(np.float64)
    step, tolerance = (1e-5, 1e-4) if precision(model, x[None]) < 1e-10 else (1e-2, 5e-3)
    moves = step * np.eye(x.size).reshape(-1, *SHAPE)
    differences = np.asarray(model(x + moves) - model(x - moves))[:, 1].reshape(SHAPE) / (2 * step)
    found = Saliency(model, reducer=None, grad_modifier=None)(x[None], 1)[0]
    np.testing.assert_allclose(found, differences, rtol=tolerance, atol=tolerance * abs(differences).max())


def test_training() -> None:
    """Training the model changes the next map, and it is right."""
    case = network()
    before = [signed(case, modifier) for modifier in MODIFIERS]
    case.model.compile(keras.optimizers.SGD(0.05), "mse")
    case.model.fit(BATCH, BATCH[:, 0, 0], epochs=5, verbose=0)
    for modifier, old in zip(MODIFIERS, before, strict=True):
        check(case, modifier)
        assert abs(signed(case, modifier) - old).max() > 1e-3


def test_random_weights() -> None:
    """Re-initialising the weights changes the map (Adebayo et al. 2018), guided and rectified ones too."""
    case = network()
    before = [signed(case, modifier) for modifier in MODIFIERS]
    cam = visualize_cam(case.model, -1, 1, IMAGE)
    rng = np.random.default_rng(4)
    for variable in case.model.trainable_variables:
        if len(variable.shape) > 1:
            variable.assign(rng.normal(0.2, 0.5, variable.shape))
    for modifier, old in zip(MODIFIERS, before, strict=True):
        check(case, modifier)
        assert abs(signed(case, modifier) - old).max() > 0.05
    assert abs(visualize_cam(case.model, -1, 1, IMAGE) - cam).max() > 0.05


class Counted(layers.Layer):
    """Counts how often its call runs in Python, which is once per trace."""

    def __init__(self) -> None:
        super().__init__()
        self.count = [0]

    def call(self, x: Any) -> Any:
        self.count[0] += 1
        return x


def test_a_thousand_calls() -> None:
    """1,000 calls, of changing classes and inputs: one trace for each method if there is one, flat memory."""
    counted = Counted()
    model = network(counted).model
    counted.count[0] = 0
    saliency, process, growth = Saliency(model), psutil.Process(), []

    def call(times: int) -> None:
        for index in range(times):
            saliency(BATCH[index % 7][None], index % 3)
            visualize_saliency(model, -1, index % 3, BATCH[index % 7])

    call(100)
    # Besides, the model is read: where the channels of its input lie.
    assert counted.count[0] < native.runs(100, 100).stop + 2
    first = counted.count[0]
    gc.collect()
    objects = len(gc.get_objects())
    for _ in range(4):
        resident = process.memory_info().rss
        call(100)
        gc.collect()
        growth.append(process.memory_info().rss - resident)
    assert counted.count[0] == first
    assert len(gc.get_objects()) - objects < 200
    # A graph kept per call would be some 100 KB, 20 MB in each window.
    assert min(growth) < 2**19


def test_deleted_model() -> None:
    """`del model`: the model and its variables are freed, whatever was made of it."""
    case = network()
    for modifier in MODIFIERS:
        signed(case, modifier)
    visualize_cam(case.model, -1, 1, IMAGE)
    for make in EXPLAINERS.values():
        make(case.model)(BATCH, 1)
    gone = [weakref.ref(thing) for thing in (case.model, *case.model.layers, *case.model.variables)]
    del case
    gc.collect()
    assert [ref() for ref in gone] == [None] * len(gone)


def test_interleaved() -> None:
    """Two models interleaved: each as if alone."""
    one, two = network(), network(units=9)
    for modifier in (*MODIFIERS, *MODIFIERS):
        check(one, modifier)
        check(two, modifier)


def test_threads() -> None:
    """Two threads, on one model and on one each: each as if alone."""
    one, two, found = network(), network(units=9), {}
    jobs = {
        "vanilla": (one, None),
        "guided": (one, "guided"),
        "again": (one, "guided"),
        "other": (two, "guided"),
    }
    barrier = threading.Barrier(len(jobs))

    def run(name: str) -> None:
        barrier.wait()
        found[name] = [signed(*jobs[name]) for _ in range(3)]

    threads = [threading.Thread(target=run, args=(name,)) for name in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for name, (case, modifier) in jobs.items():
        wanted = normalized(right(case, modifier, anew=True).gradients[0])
        np.testing.assert_allclose(found[name], [wanted] * 3, atol=2e-5)


def test_guided_then_vanilla() -> None:
    """Guided, then vanilla on the same model, and the other way round: each as if alone."""
    case = network()
    for modifier in ("guided", None, "rectified", "guided", None):
        check(case, modifier)
    maps = [signed(case, modifier) for modifier in MODIFIERS]
    assert all(abs(a - b).max() > 0.01 for a, b in zip(maps, maps[1:] + maps[:1], strict=True))
