"""Compare relevance with zennit and LXT, and DeepLIFT with Captum, on networks with the same weights.

`make agreement BACKEND=torch` creates an environment with these and runs this. The rows are explained in
docs/explainers/relevance.md, docs/explainers/attention.md and docs/explainers/deep-lift.md.
"""

# ruff: noqa: E402 - the environment is set before the imports that it is for
from __future__ import annotations

import os
import sys
from unittest.mock import MagicMock

os.environ.setdefault("KERAS_BACKEND", "torch")
# zennit imports torchvision, which fits one build of PyTorch only, for networks that are not used here.
for _name in ("torchvision", "torchvision.models", "torchvision.models.resnet"):
    sys.modules.setdefault(_name, MagicMock())

import functools
import platform
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import torch
import zennit.canonizers
import zennit.composites
from captum.attr import DeepLift as CaptumDeepLift
from twins import (
    CLASSES,
    FEATURES,
    SIZE,
    TOKENS,
    TorchEncoder,
    TorchResidual,
    TorchVGG,
    copied,
    encoder,
    randomized,
    residual,
    vgg,
)

from vis.attributions import LRP, DeepLift
from vis.relevance import Composite, Epsilon, Half, Signal, Zero, composites

RESULTS = Path(__file__).with_name("results") / "relevance.md"
Array = npt.NDArray[Any]
# Of the inputs.
LOW, HIGH = -3.0, 3.0


class Merged(zennit.canonizers.SequentialMergeBatchNorm):
    """zennit's merging of batch normalizations, without the epsilon that it leaves in them."""

    def merge_batch_norm(self, modules: Any, batch_norm: Any) -> None:
        super().merge_batch_norm(modules, batch_norm)
        self.merged, self.epsilon = batch_norm, batch_norm.eps
        batch_norm.eps = 0.0

    def remove(self) -> None:
        super().remove()
        self.merged.eps = self.epsilon


COMPOSITES: dict[str, Callable[[], Any]] = {
    "epsilon_plus": lambda: zennit.composites.EpsilonPlus(canonizers=[Merged()]),
    "epsilon_plus_flat": lambda: zennit.composites.EpsilonPlusFlat(canonizers=[Merged()]),
    "epsilon_gamma_box": lambda: zennit.composites.EpsilonGammaBox(LOW, HIGH, canonizers=[Merged()]),
    "epsilon_alpha2_beta1_flat": lambda: zennit.composites.EpsilonAlpha2Beta1Flat(canonizers=[Merged()]),
}


# ---- the comparison -------------------------------------------------------------------------------------


def first(x: Any, channels_last: bool) -> Any:
    """Return an input as a leaf, in the layout of PyTorch."""
    made = torch.as_tensor(x)
    return (made.permute(0, 3, 1, 2) if channels_last else made).contiguous().requires_grad_()


def slopes(function: Callable[[Any], Any], x: Array, classes: Array, is_relevance: bool = True) -> Array:
    """Return the gradient of a function's outputs for some classes, or times these, laid out as in Keras."""
    leaf = first(x, x.ndim == 4)
    y = function(leaf)
    start = torch.zeros_like(y)
    rows = torch.arange(len(x))
    start[rows, classes] = y[rows, classes].detach() if is_relevance else 1
    (found,) = torch.autograd.grad(y, leaf, start)
    array: Array = (found.permute(0, 2, 3, 1) if x.ndim == 4 else found).numpy()
    return array


def of_zennit(module: Any, make: Callable[[], Any], x: Array, classes: Array) -> Array:
    with make().context(module) as changed:
        return slopes(changed, x, classes)


def reference() -> Array:
    """Return a baseline whose numbers differ: in a constant one, all numbers of a window are its largest."""
    return np.random.default_rng(2).uniform(LOW, HIGH, (SIZE, SIZE, 3)).astype(keras.config.floatx())


def of_captum(module: Any, x: Array, classes: Array) -> Array:
    baseline = first(reference()[None], True).detach()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of hooks on the activations
        found = CaptumDeepLift(module).attribute(first(x, True), baseline, target=torch.as_tensor(classes))
    array: Array = found.detach().permute(0, 2, 3, 1).numpy()
    return array


def difference(one: Array, other: Array) -> float:
    """Return the largest difference, relative to the largest value."""
    return float(np.abs(one - other).max() / np.abs(other).max())


def exact(explainer: Any, x: Array, classes: Array) -> Array:
    """Return what maps are made of, which are float32 themselves."""
    found: Array = explainer.attribute([x], np.eye(CLASSES, dtype="float32")[classes]).maps[0]
    return found


def best(function: Callable[[], Any], rounds: int = 15) -> float:
    function()
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return min(times)


def every_rule(epsilon: float) -> Composite:
    """Return the composite attn_lrp with another epsilon wherever it has one."""
    products = [(kind, Half(epsilon)) for kind in ("attention", "product")]
    shared = [(kind, Epsilon(epsilon)) for kind in ("scale", "affine", "sum", "pooling")]
    return Composite([*products, *shared, ("softmax", Zero()), ("gate", Signal(epsilon))])


@dataclass
class Case:
    """A method on a network, ours and theirs.

    Args:
        title: the first cells of its row.
        network: makes the Keras model.
        ours: makes the explainer of a model.
        twin: makes the network of PyTorch with the weights of a model.
        theirs: explains it, given an input and classes.
    """

    title: str
    network: Callable[[], Any]
    ours: Callable[[Any], Any]
    twin: Callable[[Any], Any]
    theirs: Callable[[Any, Array, Array], Array]


def cases() -> Iterator[Case]:
    pairs = (("VGG-like", vgg, TorchVGG), ("residual", residual, TorchResidual))
    for name, network, kind in pairs:

        def twin(model: Any, kind: Any = kind, pooling: str = "Max") -> Any:
            return copied(model, kind(pooling).to(getattr(torch, keras.config.floatx())))

        for composite, other in COMPOSITES.items():
            made = composites.epsilon_gamma_box(LOW, HIGH) if "box" in composite else composite
            yield Case(
                f"{name} | zennit, `{composite}`",
                network,
                lambda model, made=made: LRP(model, made, reducer=None),
                twin,
                lambda module, x, classes, other=other: of_zennit(module, other, x, classes),
            )
        for pooling, said in (("Average", ", averages"), ("Max", "")):
            yield Case(
                f"{name}{said} | Captum, `DeepLift`",
                functools.partial(network, pooling),
                lambda model: DeepLift(model, reference(), reducer=None),
                functools.partial(twin, pooling=pooling),
                of_captum,
            )
    for epsilon in (None, 0.0):
        yield Case(
            f"encoder | LXT, AttnLRP, epsilon {'of each' if epsilon is None else '0'}",
            encoder,
            lambda model, e=epsilon: LRP(model, "attn_lrp" if e is None else every_rule(e), reducer=None),
            lambda model, e=epsilon: TorchEncoder(model, e),
            slopes,
        )


def inputs_for(network: Callable[[], Any], dtype: str) -> Array:
    random = np.random.default_rng(1)
    if network is encoder:
        return random.normal(size=(8, TOKENS, FEATURES)).astype(dtype)
    return random.uniform(LOW, HIGH, (8, SIZE, SIZE, 3)).astype(dtype)


def row(case: Case) -> str:
    cells = []
    classes = np.arange(8) % CLASSES
    for dtype in ("float64", "float32"):
        keras.config.set_floatx(dtype)
        keras.config.set_dtype_policy(dtype)
        keras.utils.set_random_seed(0)
        model = randomized(case.network())
        ours, twin, x = case.ours(model), case.twin(model), inputs_for(case.network, dtype)
        cells.insert(0, f"{difference(exact(ours, x, classes), case.theirs(twin, x, classes)):.0e}")
    timed = [lambda: ours.explain(x, classes), lambda: case.theirs(twin, x, classes)]
    if case.theirs is not slopes:  # whose gradients are not relevance
        timed.append(lambda: slopes(twin, x, classes, is_relevance=False))
    cells += [f"{1e3 * best(each):.1f} ms" for each in timed]
    cells += [""] * (3 - len(timed))
    return f"| {case.title} | {' | '.join(cells)} |"


def main() -> None:
    torch.set_num_threads(1)
    rows = [
        "| network | peer, method | difference, float32 | float64 | vis | peer | gradient |",
        "|---|---|---|---|---|---|---|",
    ]
    for case in cases():
        rows.append(row(case))
        print(rows[-1], flush=True)
    packages = ", ".join(f"{name} {version(name)}" for name in ("zennit", "captum", "lxt"))
    text = "\n".join(
        [
            *rows,
            "",
            f"{packages}, PyTorch {torch.__version__}, Keras {keras.__version__}, one thread of "
            f"{platform.machine()}, 8 images of {SIZE} x {SIZE}, or 8 times {TOKENS} tokens of {FEATURES} "
            "features; the best of 15.",
            "",
        ]
    )
    RESULTS.write_text(text)
    print(text)


if __name__ == "__main__":
    main()
