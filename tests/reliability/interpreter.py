"""A slow reader of Keras models: forward and backward in NumPy float64, layer by layer, by hand.

It walks the calls of a functional or sequential graph and of the models nested in it, and knows what each
layer does and what its derivative is; nothing of it is taken from a framework. A backprop modifier is what
its definition says: at an activation with the slope f'(x), the incoming gradient R becomes f'(x) R (None),
f'(x) max(R, 0) ("guided") or max(R, 0) ("rectified").
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Back = Callable[[Array], list[Array]]


@dataclass(frozen=True)
class Curve:
    """An activation: what it makes of x, its slope, where it bends, and what a modifier does to it.

    `overridden` if a modifier acts on it;
    `halves` if it is made of relu(x) and relu(-x). At a bend the slope is the one that TensorFlow has there.
    """

    forward: Callable[[Array], Array]
    slope: Callable[[Array], Array]
    bends: tuple[float, ...] = ()
    overridden: bool = False
    halves: bool = False


@dataclass(eq=False)
class Value:
    """An array, `(batch, ...)`, what it was made of, and how a gradient goes back from it to those."""

    array: Array
    parents: tuple[Value, ...] = ()
    back: Back = lambda incoming: []
    curve: Curve | None = None
    choice: Array | None = None  # which cell of its window a maximum is
    margin: Array | None = None  # per sample, how far from a bend, or from another choice
    elementwise: Curve | None = None  # what it makes of each number, if that is no activation


@dataclass
class Run:
    """All values that a model computes for a batch, each after what it was made of."""

    inputs: list[Value]
    outputs: list[Value]
    values: list[Value] = field(default_factory=list)

    def needed(self, output: Value) -> list[Value]:
        """Return the values on the way to an output, each after what it was made of."""
        wanted = {id(output)}
        for value in reversed(self.values):
            if id(value) in wanted:
                wanted.update(map(id, value.parents))
        return [value for value in self.values if id(value) in wanted]

    def gradients(self, output: Value, incoming: Array, rule: str | None) -> list[Array]:
        """Return the gradient by each input of the sum of an output's values times `incoming`."""
        gradients = {id(output): incoming}
        for value in reversed(self.needed(output)):
            received = gradients.get(id(value))
            if received is None:
                continue
            if value.curve is not None:
                passed = [_passed(value.curve, value.parents[0].array, received, rule)]
            else:
                passed = value.back(received)
            for parent, gradient in zip(value.parents, passed, strict=True):
                gradients[id(parent)] = gradients.get(id(parent), 0.0) + gradient
        return [gradients.get(id(value), np.zeros_like(value.array)) for value in self.inputs]

    def margins(self, output: Value) -> Array:
        """Return for each sample how far it is from where the network on the way to an output bends."""
        found = [value.margin for value in self.needed(output) if value.margin is not None]
        return np.min([np.full(len(output.array), np.inf), *found], axis=0)

    def regions(self, output: Value) -> Array:
        """Return for each sample on which side of each bend it is, `(batch, bends)`."""
        batch = len(output.array)
        found = [np.zeros((batch, 0))]
        for value in self.needed(output):
            if value.choice is not None:
                found.append(value.choice.reshape(batch, -1))
            if value.curve is not None:
                x = value.parents[0].array.reshape(batch, -1)
                found += [x > bend for bend in value.curve.bends]
        return np.concatenate(found, axis=1)

    def coverage(self, outputs: Sequence[Value]) -> int:
        """Return how many activations before some outputs a modifier acts on."""
        needed = {id(value): value for output in outputs for value in self.needed(output)}.values()
        curves = [value.curve for value in needed if value.curve is not None]
        return sum(curve.overridden for curve in curves)


def run(model: keras.Model, inputs: Sequence[npt.ArrayLike]) -> Run:
    """Run a model in inference mode.

    Args:
        model: functional or sequential; of layers that this file knows.
        inputs: an array per input, `(batch, ...)`.
    """
    entries = [Value(np.asarray(array, np.float64)) for array in inputs]
    made = Run(entries, [], list(entries))
    made.outputs = _graph(made, model, entries)
    return made


def forward(model: keras.Model, inputs: Sequence[npt.ArrayLike]) -> list[Array]:
    """Return the outputs of a model, in a list."""
    return [output.array for output in run(model, inputs).outputs]


def gradient(
    model: keras.Model, inputs: Sequence[npt.ArrayLike], output_index: int, filter: int, rule: str | None
) -> list[Array]:
    """Return the gradient by each input of one filter of one output, in the mean over its positions.

    Args:
        model: see `run`.
        inputs: see `run`.
        output_index: which output of the model.
        filter: an index in the last axis of that.
        rule: None, "guided" or "rectified".
    """
    made = run(model, inputs)
    output = made.outputs[output_index]
    return made.gradients(output, of_filter(output.array, filter), rule)


def of_filter(output: Array, filter: int) -> Array:
    """Return the gradient of the mean over positions of one filter by the output, in the output's shape."""
    incoming = np.zeros_like(output)
    incoming[..., filter] = 1 / math.prod(output.shape[1:-1])
    return incoming


def _passed(curve: Curve, x: Array, incoming: Array, rule: str | None) -> Array:
    if curve.overridden and rule == "rectified":
        return np.maximum(incoming, 0)
    if curve.overridden and rule == "guided":
        return curve.slope(x) * np.maximum(incoming, 0)
    return curve.slope(x) * incoming


def _graph(made: Run, model: Any, given: list[Value]) -> list[Value]:
    """Run the graph of a model on values, and return its outputs."""
    known = {id(symbol): value for symbol, value in zip(model.inputs, given, strict=True)}

    def of(symbol: Any) -> Value:
        if id(symbol) not in known:
            operation, node_index, _ = symbol._keras_history
            node = operation._inbound_nodes[node_index]
            results = _call(made, operation, [of(parent) for parent in node.input_tensors])
            known.update({id(s): value for s, value in zip(node.output_tensors, results, strict=True)})
        return known[id(symbol)]

    return [of(symbol) for symbol in model.outputs]


def _call(made: Run, operation: Any, given: list[Value]) -> list[Value]:
    if isinstance(operation, keras.Model):
        return _graph(made, operation, given)
    value = LAYERS[type(operation).__name__](operation, *given)
    if not any(value is known for known in given):
        made.values.append(value)
    if isinstance(getattr(operation, "activation", None), Callable) and value.curve is None:
        curve = CURVES[operation.activation.__name__]
        if curve is not None:
            value = _activated(value, curve)
            made.values.append(value)
    return [value]


# ---- activations -----------------------------------------------------------------------------------------


def _rectifier(maximum: float | None, negative: float) -> Curve:
    """ReLU with a largest value and a slope for what is negative, which is any of those that Keras has."""
    if negative and maximum is None:
        # One operation, whose slope is a number.
        return _leaky(negative)
    top = math.inf if maximum is None else maximum

    def slope(x: Array) -> Array:
        # At its largest value ReLU6, one operation, has the slope 0, and a minimum has 1.
        inside = (x > 0) & ((x < top) if maximum == 6 else (x <= top))
        return inside * 1.0 + (x < 0) * negative

    def height(x: Array) -> Array:
        return np.where(x > 0, np.minimum(x, top), negative * x)

    bends = (0.0,) if maximum is None else (0.0, maximum)
    return Curve(height, slope, bends, overridden=True, halves=negative != 0)


def _leaky(negative: float) -> Curve:
    if keras.config.backend() == "tensorflow":  # an attribute of its operation, in single precision
        negative = float(np.float32(negative))
    return Curve(
        lambda x: np.where(x > 0, x, negative * x),
        lambda x: np.where(x > 0, 1.0, negative),
        (0.0,),
        overridden=True,
    )


def _elu(alpha: float) -> Curve:
    return Curve(
        lambda x: np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0))),
        lambda x: np.where(x > 0, 1.0, alpha * np.exp(np.minimum(x, 0))),
        (0.0,),
        overridden=True,
    )


def _prelu(alpha: Array) -> Curve:
    return Curve(
        lambda x: np.where(x > 0, x, alpha * x),
        lambda x: (x > 0) * 1.0 + (x < 0) * alpha,
        (0.0,),
        overridden=True,
        halves=True,
    )


def _sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


# By the name of the function; None for nothing at all.
CURVES: dict[str, Curve | None] = {
    "linear": None,
    "relu": _rectifier(None, 0.0),
    "relu6": _rectifier(6.0, 0.0),
    "leaky_relu": _leaky(0.2),
    "elu": _elu(1.0),
    "tanh": Curve(np.tanh, lambda x: 1 - np.tanh(x) ** 2),
    "sigmoid": Curve(_sigmoid, lambda x: _sigmoid(x) * (1 - _sigmoid(x))),
    "softplus": Curve(lambda x: np.logaddexp(0, x), _sigmoid, overridden=True),
}


def _activated(x: Value, curve: Curve) -> Value:
    apart = [np.abs(x.array - bend).reshape(len(x.array), -1) for bend in curve.bends]
    margin = None
    if apart:
        # What is 0 to the last bit (a padding, the output of another ReLU) is so in any order of summation.
        margin = np.min([np.where(part == 0, np.inf, part).min(axis=1) for part in apart], axis=0)
    return Value(curve.forward(x.array), (x,), curve=curve, margin=margin)


def _by_function(layer: Any, x: Value) -> Value:
    curve = CURVES[layer.activation.__name__]
    return x if curve is None else _activated(x, curve)


def _relu_layer(layer: Any, x: Value) -> Value:
    return _activated(x, _rectifier(layer.max_value, layer.negative_slope))


# ---- windows ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Windows:
    """Where a window stands on the places of an image: its size, its steps, and the padding around."""

    size: tuple[int, int]
    strides: tuple[int, int]
    pads: tuple[tuple[int, int], tuple[int, int]]
    image: tuple[int, int]

    @classmethod
    def over(cls, x: Array, size: Any, strides: Any, padding: str) -> Windows:
        image = (x.shape[1], x.shape[2])
        pads = [(0, 0), (0, 0)]
        if padding == "same":
            for axis in (0, 1):
                steps = math.ceil(image[axis] / strides[axis]) - 1
                total = max(steps * strides[axis] + size[axis] - image[axis], 0)
                pads[axis] = (total // 2, total - total // 2)
        return cls(tuple(size), tuple(strides), (pads[0], pads[1]), image)

    @property
    def places(self) -> tuple[int, int]:
        """The number of places of the window."""
        count = [
            (size + sum(pad) - window) // stride + 1
            for size, pad, window, stride in zip(self.image, self.pads, self.size, self.strides, strict=True)
        ]
        return count[0], count[1]

    def cells(self) -> Iterator[tuple[int, int, tuple[slice, ...]]]:
        """Yield each cell of the window, row by row, with where it is in the padded image, for all places."""
        for row in range(self.size[0]):
            for column in range(self.size[1]):
                ends = [
                    (count - 1) * stride + 1 for count, stride in zip(self.places, self.strides, strict=True)
                ]
                yield (
                    row,
                    column,
                    (
                        slice(None),
                        slice(row, row + ends[0], self.strides[0]),
                        slice(column, column + ends[1], self.strides[1]),
                    ),
                )

    def padded(self, x: Array, fill: float = 0.0) -> Array:
        return np.pad(x, ((0, 0), *self.pads, (0, 0)), constant_values=fill)

    def cut(self, padded: Array) -> Array:
        (top, _), (left, _) = self.pads
        return padded[:, top : top + self.image[0], left : left + self.image[1]]


def _convolution(layer: Any, x: Value) -> Value:
    kernel = _read(layer.kernel)
    windows = Windows.over(x.array, layer.kernel_size, layer.strides, layer.padding)
    padded = windows.padded(x.array)
    y = np.zeros((len(padded), *windows.places, kernel.shape[-1]))
    for row, column, where in windows.cells():
        y += np.einsum("nijc,cf->nijf", padded[where], kernel[row, column])

    def back(incoming: Array) -> list[Array]:
        spread = np.zeros_like(padded)
        for row, column, where in windows.cells():
            spread[where] += np.einsum("nijf,cf->nijc", incoming, kernel[row, column])
        return [windows.cut(spread)]

    return Value(y + (_read(layer.bias) if layer.use_bias else 0.0), (x,), back)


def _depthwise(layer: Any, x: Value) -> Value:
    kernel = _read(layer.kernel)  # (height, width, channels, multiplier)
    windows = Windows.over(x.array, layer.kernel_size, layer.strides, layer.padding)
    padded = windows.padded(x.array)
    shape = (len(padded), *windows.places, *kernel.shape[2:])
    y = np.zeros(shape)
    for row, column, where in windows.cells():
        y += np.einsum("nijc,cm->nijcm", padded[where], kernel[row, column])

    def back(incoming: Array) -> list[Array]:
        spread = np.zeros_like(padded)
        for row, column, where in windows.cells():
            spread[where] += np.einsum("nijcm,cm->nijc", incoming.reshape(shape), kernel[row, column])
        return [windows.cut(spread)]

    y = y.reshape(*shape[:3], -1)
    return Value(y + (_read(layer.bias) if layer.use_bias else 0.0), (x,), back)


def _maximum(layer: Any, x: Value) -> Value:
    windows = Windows.over(x.array, layer.pool_size, layer.strides, layer.padding)
    padded = windows.padded(x.array, -np.inf)
    cells = np.stack([padded[where] for _, _, where in windows.cells()])
    choice = cells.argmax(axis=0)  # of several largest the first

    def back(incoming: Array) -> list[Array]:
        spread = np.zeros_like(padded)
        for number, (_, _, where) in enumerate(windows.cells()):
            spread[where] += np.where(choice == number, incoming, 0.0)
        return [windows.cut(spread)]

    margin = None
    if len(cells) > 1:
        second, first = np.sort(cells, axis=0)[-2:]
        with np.errstate(invalid="ignore"):
            apart = np.where((first == 0) & (second == 0), np.inf, first - second)
        margin = apart.reshape(len(apart), -1).min(axis=1)
    return Value(cells.max(axis=0), (x,), back, choice=choice, margin=margin)


def _average(layer: Any, x: Value) -> Value:
    windows = Windows.over(x.array, layer.pool_size, layer.strides, layer.padding)
    padded, inside = windows.padded(x.array), windows.padded(np.ones_like(x.array))
    counts = sum(inside[where] for _, _, where in windows.cells())  # the padding does not count

    def back(incoming: Array) -> list[Array]:
        spread = np.zeros_like(padded)
        for _, _, where in windows.cells():
            spread[where] += incoming / counts
        return [windows.cut(spread)]

    return Value(sum(padded[where] for _, _, where in windows.cells()) / counts, (x,), back)


def _zero_padding(layer: Any, x: Value) -> Value:
    (top, bottom), (left, right) = layer.padding
    height, width = x.array.shape[1:3]
    y = np.pad(x.array, ((0, 0), (top, bottom), (left, right), (0, 0)))
    return Value(y, (x,), lambda incoming: [incoming[:, top : top + height, left : left + width]])


# ---- other layers ----------------------------------------------------------------------------------------


def _read(variable: Any) -> Array:
    return np.asarray(keras.ops.convert_to_numpy(variable), np.float64)


def _dense(layer: Any, x: Value) -> Value:
    kernel = _read(layer.kernel)
    y = np.einsum("...i,io->...o", x.array, kernel) + (_read(layer.bias) if layer.use_bias else 0.0)
    return Value(y, (x,), lambda incoming: [np.einsum("...o,io->...i", incoming, kernel)])


def _global_average(layer: Any, x: Value) -> Value:
    height, width = x.array.shape[1:3]

    def back(incoming: Array) -> list[Array]:
        return [np.broadcast_to(incoming[:, None, None] / (height * width), x.array.shape)]

    return Value(x.array.sum(axis=(1, 2)) / (height * width), (x,), back)


def _flatten(layer: Any, x: Value) -> Value:
    shape = x.array.shape
    return Value(x.array.reshape(len(x.array), -1), (x,), lambda incoming: [incoming.reshape(shape)])


def _batch_normalization(layer: Any, x: Value) -> Value:
    scale = _read(layer.gamma) / np.sqrt(_read(layer.moving_variance) + layer.epsilon)
    y = (x.array - _read(layer.moving_mean)) * scale + _read(layer.beta)
    shift = _read(layer.beta) - _read(layer.moving_mean) * scale
    affine = Curve(lambda points: points * scale + shift, lambda points: np.ones_like(points) * scale)
    return Value(y, (x,), lambda incoming: [incoming * scale], elementwise=affine)


def _layer_normalization(layer: Any, x: Value) -> Value:
    gamma, count = _read(layer.gamma), x.array.shape[-1]
    centred = x.array - x.array.sum(axis=-1, keepdims=True) / count
    deviation = np.sqrt((centred**2).sum(axis=-1, keepdims=True) / count + layer.epsilon)
    unit = centred / deviation

    def back(incoming: Array) -> list[Array]:
        by_unit = incoming * gamma
        mean = by_unit.sum(axis=-1, keepdims=True) / count
        along = (by_unit * unit).sum(axis=-1, keepdims=True) / count
        return [(by_unit - mean - unit * along) / deviation]

    return Value(unit * gamma + _read(layer.beta), (x,), back)


def _add(layer: Any, *given: Value) -> Value:
    return Value(np.sum([value.array for value in given], axis=0), given, lambda r: [r] * len(given))


def _multiply(layer: Any, a: Value, b: Value) -> Value:
    for x, gate in ((a, b), (b, a)):
        found = _gated(x, gate)
        if found is not None:
            return found
    return Value(a.array * b.array, (a, b), lambda r: [r * b.array, r * a.array])


def _gated(x: Value, gate: Value) -> Value | None:
    """Return x times a gate of x, `x sigmoid(x)`, as one activation; None if it is none.

    It is one if what x is multiplied by settles, far to the left and far to the right, at two numbers.
    """
    chain: list[Value] = []
    while gate is not x:
        if (gate.curve or gate.elementwise) is None:
            return None
        chain.insert(0, gate)
        (gate,) = gate.parents
    curves = [value.curve or value.elementwise for value in chain]

    def forward(points: Array) -> Array:
        for curve in curves:
            points = curve.forward(points)
        return points

    def slope(points: Array) -> Array:
        product = np.ones_like(points)
        for curve in curves:
            product = product * curve.slope(points)
            points = curve.forward(points)
        return product

    channels = np.ones(x.array.shape[-1])
    left, lefter, right, righter = (forward(far * channels) for far in (-1e4, -2e4, 1e4, 2e4))
    settled = np.allclose(left, lefter, atol=1e-3) and np.allclose(right, righter, atol=1e-3)
    if not chain or not settled or np.allclose(left, right, atol=1e-3):
        return None
    margins = [value.margin for value in chain if value.margin is not None]
    sides = [
        value.parents[0].array.reshape(len(x.array), -1) > bend
        for value, curve in zip(chain, curves, strict=True)
        for bend in curve.bends
    ]
    return Value(
        x.array * forward(x.array),
        (x,),
        curve=Curve(lambda p: p * forward(p), lambda p: forward(p) + p * slope(p), overridden=True),
        choice=np.concatenate(sides, axis=1) if sides else None,
        margin=np.min(margins, axis=0) if margins else None,
    )


def _concatenate(layer: Any, *given: Value) -> Value:
    ends = np.cumsum([value.array.shape[-1] for value in given])[:-1]
    y = np.concatenate([value.array for value in given], axis=-1)
    return Value(y, given, lambda incoming: np.split(incoming, ends, axis=-1))


def _pass(layer: Any, x: Value) -> Value:
    return x


def _negative(operation: Any, x: Value) -> Value:
    negative = Curve(np.negative, lambda points: -np.ones_like(points))
    return Value(-x.array, (x,), lambda incoming: [-incoming], elementwise=negative)


def _square(operation: Any, x: Value) -> Value:
    square = Curve(np.square, lambda points: 2 * points)
    return Value(x.array**2, (x,), lambda incoming: [2 * x.array * incoming], elementwise=square)


# By the name of the class of a layer, or of an operation of `keras.ops`.
LAYERS: dict[str, Callable[..., Value]] = {
    "Activation": _by_function,
    "Add": _add,
    "AveragePooling2D": _average,
    "BatchNormalization": _batch_normalization,
    "Concatenate": _concatenate,
    "Conv2D": _convolution,
    "Dense": _dense,
    "DepthwiseConv2D": _depthwise,
    "Dropout": _pass,
    "ELU": lambda layer, x: _activated(x, _elu(layer.alpha)),
    "Flatten": _flatten,
    "GlobalAveragePooling2D": _global_average,
    "LayerNormalization": _layer_normalization,
    "LeakyReLU": lambda layer, x: _activated(x, _leaky(layer.negative_slope)),
    "MaxPooling2D": _maximum,
    "Multiply": _multiply,
    "Negative": _negative,
    "PReLU": lambda layer, x: _activated(x, _prelu(_read(layer.alpha))),
    "ReLU": _relu_layer,
    "Relu": lambda operation, x: _activated(x, CURVES["relu"]),
    "Square": _square,
    "ZeroPadding2D": _zero_padding,
}
