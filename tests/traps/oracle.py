"""The right maps, found without the library: networks written out, differentiated by the framework."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from tests import native

RECTIFIERS = ("relu", "relu6", "leaky_relu", "elu", "selu")
RECTIFIER_LAYERS = (layers.ReLU, layers.LeakyReLU, layers.PReLU, layers.ELU)


class Written:
    """A forward pass written out, in which activations follow a rule.

    Args:
        modifier: `"guided"`, `"rectified"`, or None for the true derivative.
        scale: what is explained is multiplied by it: a point on the way from zero.
        added: what is added to the output of a marked layer, by its mark: zeros to differentiate by.
    """

    def __init__(
        self, modifier: str | None, scale: float = 1.0, added: Mapping[str, Any] = MappingProxyType({})
    ) -> None:
        self.modifier, self.scale, self.added = modifier, scale, added
        self.marks: dict[int, str] = {}
        self.kept: dict[str, Any] = {}

    def act(self, function: Callable[[Any], Any]) -> Callable[[Any], Any]:
        """Return an element-wise activation whose derivative follows the rule."""

        def backward(x: Any, incoming: Any) -> Any:
            positive = ops.relu(incoming)
            return positive if self.modifier == "rectified" else native.pullback(function, x, positive)

        return native.with_gradient(function, backward) if self.modifier else function

    def relu(self, x: Any) -> Any:
        """Return the positive part."""
        return self.act(native.relu)(x)

    def run(self, layer: Any, x: Any) -> Any:
        """Return what a layer, a chain of layers, or a model that is such a chain, makes of x."""
        inside = layer if isinstance(layer, list) else getattr(layer, "layers", None)
        if inside is not None:
            for held in inside:
                x = self.run(held, x)
        elif isinstance(layer, layers.Dense | layers.Conv1D | layers.Conv2D | layers.Conv3D):
            x = self.activated(layer.activation, linear(layer, x))
        elif isinstance(layer, layers.Activation):
            x = self.activated(layer.activation, x)
        elif isinstance(layer, RECTIFIER_LAYERS):
            x = self.act(layer)(x)
        elif not isinstance(layer, layers.InputLayer):
            x = layer(x, training=False)
        return self.mark(layer, x)

    def activated(self, activation: Any, x: Any) -> Any:
        """Return an activation by its function."""
        return (self.act(activation) if activation.__name__ in RECTIFIERS else activation)(x)

    def mark(self, layer: Any, x: Any) -> Any:
        """Keep the output of a layer that is to be explained, started from, or weighed by its places."""
        mark = self.marks.get(id(layer))
        if mark is None:
            return x
        if mark == "wrt":
            x = x * self.scale
        self.kept[mark] = x = x + self.added.get(mark, 0)
        return x


def linear(layer: Any, x: Any) -> Any:
    """Return what a dense layer or a convolution makes of x without its activation."""
    if isinstance(layer, layers.Dense):
        y = x @ layer.kernel
    else:
        y = ops.conv(x, layer.kernel, layer.strides, layer.padding)
    return y if layer.bias is None else y + layer.bias


def flat(x: Any) -> Any:
    """Return x without places."""
    return ops.reshape(x, (x.shape[0], -1))


@dataclass
class Right:
    """What is right: the gradients of the inputs, or of a layer; that of the places; without batch axis."""

    score: Any
    output: Any
    gradients: list[Any]
    starts: list[Any]
    features: Any = None
    slopes: Any = None
    zeros: bool = field(init=False)

    def __post_init__(self) -> None:
        self.zeros = not any(gradient.any() for gradient in self.gradients)


def chosen(filters: Any, count: int) -> list[int]:
    """Return filters as a list."""
    if filters is None:
        return list(range(count))
    return [filters] if isinstance(filters, int) else list(filters)


def right(
    case: Any, modifier: str | None = None, scale: float = 1.0, plain: bool = False, anew: bool = False
) -> Right:
    """Return the gradients of the score, the mean over places of the sum of the filters.

    Args:
        case: a case, see `tests.traps.trap`.
        modifier: what activations do.
        scale: what the explained input is multiplied by.
        plain: whether `model(x)` is differentiated in place of the network written out.
        anew: whether it is computed again although it is known.
    """
    key = (modifier, scale, plain)
    if anew or key not in case.computed:
        case.computed[key] = _right(case, *key)
    return case.computed[key]


def _right(case: Any, modifier: str | None, scale: float, plain: bool) -> Right:
    given = [ops.convert_to_tensor(np.asarray(array)[None]) for array in case.inputs()]
    floats = [i for i, x in enumerate(given) if "float" in keras.backend.standardize_dtype(x.dtype)]
    if case.wrt is None:
        for i in floats:
            given[i] = given[i] * ops.cast(scale, given[i].dtype)

    def run(inputs: list[Any], added: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        if plain:
            return case.model(case.packed(inputs), training=False), {}
        written = Written(modifier, scale, added)
        return case.run(written, *inputs), written.kept

    def score(*tensors: Any) -> Any:
        inputs = list(given)
        for i, tensor in zip(floats, tensors, strict=False):
            inputs[i] = tensor
        output, _ = run(inputs, dict(zip(marked, tensors[len(floats) :], strict=True)))
        means = ops.mean(ops.cast(output, "float32"), axis=tuple(range(1, len(output.shape) - 1)))
        return sum(means[0, index] for index in chosen(case.filters, means.shape[-1]))

    output, kept = run(given, {})
    marked = {mark: ops.zeros_like(kept[mark]) for mark in ("wrt", "places") if mark in kept}
    at = [*(given[i] for i in floats), *marked.values()]
    found = native.gradients(score, at)
    by = dict(zip([*floats, *marked], found, strict=True))
    starts, gradients = given, [by.get(i, np.zeros(x.shape, np.float32)) for i, x in enumerate(given)]
    if "wrt" in kept:
        starts, gradients = [kept["wrt"]], [by["wrt"]]
    return Right(
        float(score(*at)),
        output,
        [gradient[0] for gradient in gradients],
        [ops.convert_to_numpy(x)[0] for x in starts],
        ops.convert_to_numpy(kept["places"])[0] if "places" in kept else None,
        by["places"][0] if "places" in kept else None,
    )


def normalized(array: Any) -> Any:
    """Return values scaled to [0, 1]; constant ones become zeros."""
    array = np.asarray(array, np.float64)
    spread = array.max() - array.min()
    return (array - array.min()) / spread if spread else np.zeros_like(array)


def as_map(gradient: Any, axis: int = -1) -> Any:
    """Return the largest magnitude over the channels, scaled to [0, 1]."""
    return normalized(abs(gradient) if gradient.ndim < 2 else abs(gradient).max(axis=axis))


def heat(found: Right, axis: int, size: tuple[int, ...]) -> Any:
    """Return `max(sum_k mean(g_k) F_k, 0)`, each position at its centre in `size`, linear between them.

    The layers weighed here slide a window by one, in the middle of the input, or pool windows side by side.
    """
    features, slopes = (
        np.moveaxis(array.astype(np.float64), axis, -1) for array in (found.features, found.slopes)
    )
    weights = slopes.reshape(-1, slopes.shape[-1]).mean(axis=0)
    values = np.maximum(features @ weights, 0)
    stride = min(new // old for new, old in zip(size, values.shape, strict=True))
    for i, new in enumerate(size):
        old = values.shape[i]
        offset = (stride - 1) / 2 if stride > 1 else (new - old) / 2
        at = (np.arange(new) - offset) / stride
        values = np.apply_along_axis(
            lambda row, at=at, old=old: np.interp(at, np.arange(old), row), i, values
        )
        if stride > 1:  # windows side by side leave out what is behind the last one
            np.moveaxis(values, i, 0)[stride * old :] = 0
    return values


def along_the_way(case: Any, steps: int) -> list[Any]:
    """Return integrated gradients from zero, by Gauss and Legendre's points."""
    points, weights = np.polynomial.legendre.leggauss(steps)
    on_the_way = [right(case, scale=(point + 1) / 2).gradients for point in points]
    parts = zip(right(case).starts, *on_the_way, strict=True)
    return [start * sum(w / 2 * g for w, g in zip(weights, found, strict=True)) for start, *found in parts]
