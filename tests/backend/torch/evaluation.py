"""A computation in the words of `vis.graph.words`, run on numbers with NumPy alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from vis.graph import Graph, Operation
from vis.graph.elementwise import computed, is_elementwise

Array = np.ndarray


def _reduction(function: Callable[..., Array]) -> Callable[..., Array]:
    return lambda x, axes, keepdims: function(x, axis=tuple(axes), keepdims=keepdims)


def _softmax(x: Array, axis: int) -> Array:
    exponential = np.exp(x - x.max(axis=axis, keepdims=True))
    return exponential / exponential.sum(axis=axis, keepdims=True)


def _slice(x: Array, begin: Any, end: Any, strides: Any, open: Any, dropped: Any, added: Any) -> Array:
    assert not open and not added
    taken = x[tuple(slice(*entry) for entry in zip(begin, end, strides, strict=True))]
    return taken.squeeze(axis=tuple(dropped))


def _windows(x: Array, window: Any, strides: Any, dilations: Any, padding: Any, fill: float) -> Array:
    """Return what each window sees, `(*positions, *window)`."""
    x = np.pad(x, padding, constant_values=fill)
    span = [(size - 1) * dilation + 1 for size, dilation in zip(window, dilations, strict=True)]
    seen = np.lib.stride_tricks.sliding_window_view(x, span)
    return seen[(*(slice(None, None, s) for s in strides), *(slice(None, None, d) for d in dilations))]


def _pool(function: Callable[..., Array], fill: float) -> Callable[..., Array]:
    def pool(x: Array, channels: int, **window: Any) -> Array:
        seen = _windows(x, fill=fill, **window)
        return function(seen, axis=tuple(range(x.ndim, 2 * x.ndim)))

    return pool


def _convolution(
    x: Array, kernel: Array, groups: int, transposed: bool, channels: int, filters: Any, **window: Any
) -> Array:
    """Run a convolution whose kernel is `(out, in, *window)`, or `(in, out, *window)` if it is transposed."""
    assert channels == 1
    count = x.ndim - 2
    if transposed:
        strides, dilations = window["strides"], window["dilations"]
        spread = np.zeros(
            [*x.shape[:2], *((n - 1) * s + 1 for n, s in zip(x.shape[2:], strides[2:], strict=True))]
        )
        spread[(slice(None), slice(None), *(slice(None, None, s) for s in strides[2:]))] = x
        spans = [(k - 1) * d for k, d in zip(kernel.shape[2:], dilations[2:], strict=True)]
        around = [
            (span - before, span - after)
            for span, (before, after) in zip(spans, window["padding"][2:], strict=True)
        ]
        turned = np.swapaxes(kernel, 0, 1)[(slice(None), slice(None), *[slice(None, None, -1)] * count)]
        window = {
            "window": window["window"],
            "strides": [1] * x.ndim,
            "dilations": dilations,
            "padding": [(0, 0), (0, 0), *around],
        }
        assert groups == 1
        return _convolution(spread, turned, 1, False, 1, filters, **window)
    seen = _windows(x, fill=0, **window)  # (batch, in, *positions, 1, 1, *window)
    seen = seen.reshape(*seen.shape[: x.ndim], *kernel.shape[2:])
    made = []
    taken, given = seen.shape[1] // groups, kernel.shape[0] // groups
    for group in range(groups):
        part = seen[:, group * taken : (group + 1) * taken]
        weights = kernel[group * given : (group + 1) * given]
        axes = list(range(2 + count, 2 + 2 * count))
        made.append(np.tensordot(part, weights, ([1, *axes], [1, *range(2, 2 + count)])))
    return np.moveaxis(np.concatenate(made, axis=-1), -1, 1)


def _product(x: Array, y: Array, letters: tuple[str, str, str]) -> Array:
    return np.einsum(f"{letters[0]},{letters[1]}->{letters[2]}", x, y)


def _pad(x: Array, paddings: Any, mode: str) -> Array:
    kept = tuple(
        slice(max(-before, 0), size + min(behind, 0))
        for size, (before, behind) in zip(x.shape, paddings, strict=True)
    )
    return np.pad(x[kept], [(max(before, 0), max(behind, 0)) for before, behind in paddings], mode=mode)


def _split(operation: Operation, x: Array) -> list[Array]:
    axis = operation.attributes["axis"]
    if operation.kind == "unstack":
        return [np.take(x, index, axis=axis) for index in range(x.shape[axis])]
    ends = np.cumsum([output.shape[axis] for output in operation.outputs])  # type: ignore[index, misc]
    return np.split(x, ends[:-1], axis=axis)


FUNCTIONS: dict[str, Callable[..., Array]] = {
    "softmax": _softmax,
    "log_softmax": lambda x, axis: np.log(_softmax(x, axis)),
    "reduce_sum": _reduction(np.sum),
    "reduce_mean": _reduction(np.mean),
    "reduce_max": _reduction(np.max),
    "reduce_min": _reduction(np.min),
    "reduce_prod": _reduction(np.prod),
    "convolution": _convolution,
    "max_pool": _pool(np.max, -np.inf),
    "average_pool": _pool(np.mean, 0.0),
    "product": _product,
    "reshape": lambda x, sizes: x.reshape(tuple(sizes)),
    "expand_dims": lambda x, axes: np.expand_dims(x, axes),
    "squeeze": lambda x, axes: x.squeeze(axes),
    "transpose": lambda x, permutation: x.transpose(permutation),
    "slice": _slice,
    "pad": _pad,
    "concatenate": lambda *parts, axis: np.concatenate(parts, axis=axis),
    "stack": lambda *parts, axis: np.stack(parts, axis=axis),
    "tile": lambda x, times: np.tile(x, times),
    "broadcast": lambda x, sizes: np.broadcast_to(x, tuple(sizes)),
    "reverse": lambda x, axes: np.flip(x, axes),
    "gather": lambda x, indices, axis: np.take(x, indices, axis=axis),
}


def evaluated(graph: Graph, arrays: Sequence[Array]) -> list[Array]:
    """Return the outputs of a graph; a word without a function is an error."""
    known = dict(zip(graph.inputs, arrays, strict=True))
    for operation in graph.operations:
        operands = [known.get(value) for value in operation.operands]
        if operation.kind in ("input", "variable"):
            continue
        if any(each is None for each in operands):
            continue  # of something random, or of a variable
        if operation.kind in ("split", "unstack"):
            known.update(zip(operation.outputs, _split(operation, operands[0]), strict=True))
        elif operation.kind == "one_hot":
            count, axis = (
                operation.outputs[0].shape[operation.attributes["axis"]],
                operation.attributes["axis"],
            )
            known[operation.outputs[0]] = np.moveaxis(np.eye(count)[operands[0]], -1, axis)
        elif operation.kind == "constant":
            known[operation.outputs[0]] = operation.outputs[0].constant
        elif is_elementwise(operation):
            known[operation.outputs[0]] = computed(operation, operands)
        elif operation.kind in FUNCTIONS:
            known[operation.outputs[0]] = FUNCTIONS[operation.kind](*operands, **operation.attributes)
        for output in operation.outputs:
            if output in known and known[output] is not None:
                assert known[output].shape == output.shape, (operation, known[output].shape)
                if output.constant is not None:
                    np.testing.assert_allclose(known[output], output.constant, rtol=1e-5)
    return [known[value] for value in graph.outputs]
