"""Compare relevance with zennit 0.5 on two networks with the same weights, and time both.

`make agreement BACKEND=torch` creates an environment with zennit and runs this. The rows are explained in
docs/explainers/relevance.md.
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
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import torch
import zennit.canonizers
import zennit.composites
import zennit.core
import zennit.layer
import zennit.rules
import zennit.types
from keras import layers

from vis.attributions import LRP
from vis.relevance import composites

RESULTS = Path(__file__).with_name("results") / "relevance.md"
Array = npt.NDArray[Any]
SIZE, CLASSES = 64, 10
# Where the weights come from: each convolution has a batch normalization, a dense layer a bias.
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


# ---- the networks, written twice ------------------------------------------------------------------------


def block(x: Any, filters: int, activate: bool = True) -> Any:
    x = layers.Conv2D(filters, 3, padding="same", use_bias=False)(x)
    x = layers.BatchNormalization()(x)
    return layers.ReLU()(x) if activate else x


def vgg() -> keras.Model:
    inputs = x = keras.Input((SIZE, SIZE, 3))
    for filters in (16, 32, 64):
        x = layers.MaxPooling2D()(block(block(x, filters), filters))
    x = layers.Dense(64, activation="relu")(layers.GlobalAveragePooling2D()(x))
    return keras.Model(inputs, layers.Dense(CLASSES)(x))


def residual() -> keras.Model:
    inputs = keras.Input((SIZE, SIZE, 3))
    x = layers.MaxPooling2D()(block(inputs, 32))
    for _ in range(3):
        x = layers.ReLU()(layers.Add()([x, block(block(x, 32), 32, activate=False)]))
    return keras.Model(inputs, layers.Dense(CLASSES)(layers.GlobalAveragePooling2D()(x)))


class TorchBlock(torch.nn.Sequential):  # type: ignore[misc]
    def __init__(self, given: int, filters: int, activate: bool = True) -> None:
        parts = [
            torch.nn.Conv2d(given, filters, 3, padding=1, bias=False),
            torch.nn.BatchNorm2d(filters, eps=1e-3),
        ]
        super().__init__(*parts, *([torch.nn.ReLU()] if activate else []))


class TorchVGG(torch.nn.Module):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__()
        parts: list[Any] = []
        given = 3
        for filters in (16, 32, 64):
            parts += [TorchBlock(given, filters), TorchBlock(filters, filters), torch.nn.MaxPool2d(2)]
            given = filters
        self.features = torch.nn.Sequential(*parts, torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())
        self.head = torch.nn.Sequential(
            torch.nn.Linear(64, 64), torch.nn.ReLU(), torch.nn.Linear(64, CLASSES)
        )

    def forward(self, x: Any) -> Any:
        return self.head(self.features(x))


class TorchResidual(torch.nn.Module):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__()
        self.begin = torch.nn.Sequential(TorchBlock(3, 32), torch.nn.MaxPool2d(2))
        self.blocks = torch.nn.ModuleList(
            torch.nn.Sequential(TorchBlock(32, 32), TorchBlock(32, 32, activate=False)) for _ in range(3)
        )
        self.sums = torch.nn.ModuleList(zennit.layer.Sum() for _ in range(3))
        self.after = torch.nn.ModuleList(torch.nn.ReLU() for _ in range(3))
        self.end = torch.nn.Sequential(
            torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(32, CLASSES)
        )

    def forward(self, x: Any) -> Any:
        x = self.begin(x)
        for inner, total, after in zip(self.blocks, self.sums, self.after, strict=True):
            # zennit sums over the last axis of a stack, and knows what each summand contributes.
            x = after(total(torch.stack([x, inner(x)], dim=-1)))
        return self.end(x)


def copied(model: keras.Model, module: Any) -> Any:
    """Give a module of PyTorch the weights of a Keras model, layer by layer."""
    kinds = layers.Conv2D | layers.BatchNormalization | layers.Dense
    own = [layer for layer in model.layers if isinstance(layer, kinds)]
    theirs = [
        each
        for each in module.modules()
        if isinstance(each, torch.nn.Conv2d | torch.nn.BatchNorm2d | torch.nn.Linear)
    ]
    for layer, each in zip(own, theirs, strict=True):
        weights = [torch.as_tensor(np.asarray(value)) for value in layer.get_weights()]
        with torch.no_grad():
            if isinstance(layer, layers.Conv2D):
                each.weight.copy_(weights[0].permute(3, 2, 0, 1))
            elif isinstance(layer, layers.Dense):
                each.weight.copy_(weights[0].T)
                each.bias.copy_(weights[1])
            else:
                for name, value in zip(
                    ("weight", "bias", "running_mean", "running_var"), weights, strict=True
                ):
                    getattr(each, name).copy_(value)
    return module.eval()


def randomized(model: keras.Model) -> keras.Model:
    """Give the normalizations of a model statistics as after a training, some scales negative."""
    rng = np.random.default_rng(0)
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            count = layer.gamma.shape[0]
            layer.set_weights(
                [
                    rng.normal(1, 0.5, count),
                    rng.normal(0, 0.3, count),
                    rng.normal(0, 0.3, count),
                    rng.uniform(0.5, 1.5, count),
                ]
            )
        elif isinstance(layer, layers.Dense):
            kernel, bias = layer.get_weights()
            layer.set_weights([kernel, rng.normal(0, 0.1, bias.shape)])
    return model


# ---- the comparison -------------------------------------------------------------------------------------


def theirs(module: Any, composite: Any, images: Array, classes: Array) -> Array:
    x = torch.as_tensor(images).permute(0, 3, 1, 2).contiguous().requires_grad_()
    rows = torch.arange(len(images))
    with composite.context(module) as changed:
        y = changed(x)
        start = torch.zeros_like(y)
        start[rows, classes] = y[rows, classes].detach()
        (found,) = torch.autograd.grad(y, x, start)
    array: Array = found.permute(0, 2, 3, 1).numpy()
    return array


def theirs_made(module: Any, make: Callable[[], Any], images: Array, classes: Array) -> Array:
    return theirs(module, make(), images, classes)


def difference(one: Array, other: Array) -> float:
    return float(np.abs(one - other).max() / np.abs(other).max())


def plain(module: Any, images: Array, classes: Array) -> Array:
    x = torch.as_tensor(images).permute(0, 3, 1, 2).contiguous().requires_grad_()
    y = module(x)
    (found,) = torch.autograd.grad(y[torch.arange(len(images)), classes].sum(), x)
    array: Array = found.numpy()
    return array


def best(function: Callable[[], Any], rounds: int = 15) -> float:
    function()
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return min(times)


def main() -> None:
    torch.set_num_threads(1)
    rows = [
        "| network | composite | difference, float32 | float64 | vis | zennit | gradient |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, make, twin in (("VGG-like", vgg, TorchVGG), ("residual", residual, TorchResidual)):
        found: dict[tuple[str, str], float] = {}
        times: dict[str, tuple[float, float, float]] = {}
        for dtype in ("float32", "float64"):
            keras.config.set_floatx(dtype)
            keras.utils.set_random_seed(0)
            model = randomized(make())
            module = copied(model, twin().to(getattr(torch, dtype)))
            images = np.random.default_rng(1).uniform(LOW, HIGH, (8, SIZE, SIZE, 3)).astype(dtype)
            classes = np.arange(8) % CLASSES
            for composite, other in COMPOSITES.items():
                ours = composites.epsilon_gamma_box(LOW, HIGH) if "box" in composite else composite
                explainer = LRP(model, ours, reducer=None)
                maps = explainer.explain(images, classes)
                # Maps are float32: in float64 what is compared is what they were made of.
                exact = explainer.attribute([images], np.eye(CLASSES, dtype="float32")[classes]).maps[0]
                expected = theirs(module, other(), images, classes)
                found[composite, dtype] = difference(maps if dtype == "float32" else exact, expected)
                if dtype == "float32":
                    times[composite] = (
                        best(functools.partial(explainer.explain, images, classes)),
                        best(functools.partial(theirs_made, module, other, images, classes)),
                        best(functools.partial(plain, module, images, classes)),
                    )
        for composite in COMPOSITES:
            vis_, zennit_, gradient = (f"{1e3 * each:.1f} ms" for each in times[composite])
            pair = [f"{found[composite, dtype]:.0e}" for dtype in ("float32", "float64")]
            rows.append(f"| {name} | `{composite}` | {' | '.join(pair)} | {vis_} | {zennit_} | {gradient} |")
    text = "\n".join(
        [
            *rows,
            "",
            f"zennit {version('zennit')}, PyTorch {torch.__version__}, Keras {keras.__version__}, one thread "
            f"of {platform.machine()}, 8 images of {SIZE} x {SIZE}; the best of 15.",
            "",
        ]
    )
    RESULTS.write_text(text)
    print(text)


if __name__ == "__main__":
    main()
