"""A trap: a model and an input that make tools of this kind fail, and what the methods do with it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from unittest import mock

import keras
import numpy as np
from keras import initializers, ops

from tests.traps.oracle import Written

METHODS = ("saliency", "guided", "rectified", "CAM", "explainers")
SHAPE = (5, 4, 3)
IMAGE = np.random.default_rng(7).normal(size=SHAPE).astype(np.float32)
# The initializers that draw by default, or by the name that a trap gives.
RANDOM = (
    initializers.VarianceScaling,
    initializers.Orthogonal,
    initializers.RandomNormal,
    initializers.RandomUniform,
)
# How a warning or an error says what to do.
ADVICE = {
    "SoftmaxWarning": "Explain the logits",
    "EmptyMapWarning": "Try ",
    "PartialOverrideWarning": "keep their true gradient",
    "ModifierError": "choose a layer after one, or backprop_modifier=None",
    "ModelError": "Call it once, or build it",
    "FilterError": "valid indices are",
    "LayerError": "Name the layer|Choose a layer|Choose a convolution|Build a model that ends in",
    "GradientError": "Choose a layer",
    "InputError": "wrt=|must have shape|Replace or remove them|make an explainer",
}


def leaning(shape: tuple[int, int], dtype: Any = None) -> Any:
    """Return a kernel of both signs that leans to the positive, most of all for filter 1.

    So the weights of Grad-CAM are not all negative, and its map is not empty.
    """
    kernel = np.random.default_rng(shape).uniform(-0.7, 0.8, shape)
    kernel[:, min(1, shape[1] - 1)] += 0.2
    return kernel.astype(np.float32)


def drawn(shape: tuple[int, ...], dtype: Any = None) -> Any:
    """Return a kernel drawn by NumPy, the same on each backend."""
    scale = np.sqrt(2 / np.prod(shape[:-1]))
    return (scale * np.random.default_rng(shape).normal(size=shape)).astype(np.float32)


def hidden(units: int = 6) -> Any:
    """Return a dense layer with a ReLU that is not dead."""
    return keras.layers.Dense(units, "relu", kernel_initializer=leaning, bias_initializer="ones")


def dense(units: int, activation: str | None = None, **options: Any) -> Any:
    """Return a dense layer for the end of a network."""
    return keras.layers.Dense(units, activation, kernel_initializer=leaning, **options)


@dataclass
class Case:
    """A model with what is asked of it, and the same written out.

    Args:
        model: a Keras model.
        x: one input, as a user gives it: without a batch axis unless that is the point.
        forward: the same network written out, `forward(written, *inputs)`, up to the target; by default its
            layers one after the other.
        layer: the layer that is explained, as the library is given it.
        filters: which of its filters.
        target: that layer itself, if it is not the end of what is written out.
        places: the layer that Grad-CAM uses, or None if the library finds it by itself.
        found: that layer, where the library finds it.
        wrt: the layer by whose output is differentiated; None for the input.
        arrays: the inputs as arrays without a batch axis, where `x` is something else.
        axis: that of the channels in an input.
        places_axis: that of the channels in the layer that Grad-CAM uses.
        tolerance: of a map, whose values lie between 0 and 1.
        plain: whether `model(x)` is what is explained, so that a tape around it is an oracle too.
        others: more inputs of the same model, explained in turn.
        exact: whether the modified model's predictions are compared to the bit, on JAX to the last bits.
        states: variables that the model does not count among its own.
    """

    model: Any
    x: Any = field(default_factory=lambda: IMAGE)
    forward: Callable[..., Any] | None = None
    layer: Any = -1
    filters: Any = 1
    target: Any = None
    places: Any = None
    found: Any = None
    wrt: Any = None
    arrays: list[Any] | None = None
    axis: int = -1
    places_axis: int = -1
    tolerance: float = 2e-5
    plain: bool = True
    others: tuple[Any, ...] = ()
    exact: bool = False
    states: tuple[Any, ...] = ()
    computed: dict[Any, Any] = field(default_factory=dict, init=False)

    def inputs(self) -> list[Any]:
        """Return the inputs as arrays without a batch axis, in the order in which they are given."""
        if self.arrays is not None:
            return self.arrays
        return [np.asarray(part) for part in keras.tree.flatten(self.x)]

    def packed(self, parts: list[Any]) -> Any:
        """Return something for each input in the structure in which the inputs are given."""
        if isinstance(self.x, dict):
            return dict(zip(sorted(self.x), parts, strict=True))
        return list(parts) if len(parts) > 1 else parts[0]

    def run(self, written: Written, *inputs: Any) -> Any:
        """Return the output of the network written out."""
        written.marks = {
            id(self.places or self.found): "places",
            id(self.wrt): "wrt",
            id(self.target): "target",
        }
        output = self.forward(written, *inputs) if self.forward else written.run(self.model, *inputs)
        return written.kept.get("target", output)


@dataclass(frozen=True, eq=False)
class Trap:
    """A named entry: how to build it, and what each method does with it.

    Args:
        name: what it is, as the page says it.
        build: makes the case.
        saliency, guided, rectified, cam, explainers: `"reached"` or `"holds"`, a correct map;
            `"warned: <Warning>"`, a correct map and a warning; `"refused: <Error>"`; `"-"`, makes no sense.
        says: words that the warning or error of a method contains: the name of the thing.
        checks: what is checked of a method in place of the map.
        fresh: whether each method has a model of its own.
        on: what is otherwise on another backend than TensorFlow: some of these arguments, by its name.
    """

    name: str
    build: Callable[[], Case]
    saliency: str = "holds"
    guided: str = "holds"
    rectified: str = ""
    cam: str = "holds"
    explainers: str = "holds"
    says: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    checks: Mapping[str, Callable[[Case], None]] = field(default_factory=dict)
    fresh: bool = False
    on: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def handled(self) -> dict[str, str]:
        """Return what each method does with it."""
        rectified = self.rectified or self.guided
        return dict(
            zip(METHODS, (self.saliency, self.guided, rectified, self.cam, self.explainers), strict=True)
        )

    def of(self, backend: str) -> Trap:
        """Return the trap as it is on a backend."""
        return replace(self, **self.on.get(backend, {}))

    def make(self) -> Case:
        """Return the case, always the same, and with the same weights on each backend.

        They lean to the positive, so that no map of Grad-CAM is empty by chance.
        """
        keras.utils.set_random_seed(3)
        draws = np.random.default_rng(4)

        def draw(initializer: Any, shape: tuple[int, ...], dtype: Any = None) -> Any:
            scale = np.sqrt(2 / np.prod(shape[:-1])) if len(shape) > 1 else 0.05
            return ops.convert_to_tensor(scale * (draws.normal(size=shape) + 0.2), dtype)

        with contextlib.ExitStack() as stack:
            for kind in RANDOM:
                stack.enter_context(mock.patch.object(kind, "__call__", draw))
            return self.build()
