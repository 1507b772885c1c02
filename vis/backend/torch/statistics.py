"""Moments, lengths and normalizations of PyTorch in the terms of `vis.graph.words`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from vis.backend.torch.telling import Tell, Telling
from vis.graph import Value

Link = tuple[str, Any]


def _chained(step: Telling, x: Value, links: Sequence[Link]) -> None:
    """Tell a chain of operations with one other operand each; the last one makes the output."""
    for kind, other in links[:-1]:
        x = step.part(kind, [x, other])
    kind, other = links[-1] if links else ("identity", None)
    step.end(kind, [x] if other is None else [x, other])


def _reduced(shape: Sequence[int], axes: Sequence[int]) -> list[int]:
    return [1 if axis in axes else size for axis, size in enumerate(shape)]


def _reduction(step: Telling, kind: str, x: Value, axes: Sequence[int]) -> Value:
    """Tell a reduction that keeps its axes."""
    return step.part(kind, [x], _reduced(step.shape(x), axes), axes=tuple(axes), keepdims=True)


def _log_sum_exp(step: Telling) -> None:
    axes = step.axes(step.given["dim"])
    exponential = step.part("exponential", [step.x])
    keeps = step.given["keepdim"]
    shape = list(step.outputs[0].shape)
    total = step.part("reduce_sum", [exponential], shape, axes=axes, keepdims=keeps)
    step.end("logarithm", [total])


def _moments(step: Telling, x: Value, axes: Sequence[int]) -> tuple[Value, Value]:
    """Tell the mean and the mean squared difference from it."""
    mean = _reduction(step, "reduce_mean", x, axes)
    apart = step.part("squared_difference", [x, mean])
    return mean, _reduction(step, "reduce_mean", apart, axes)


def _variance(ends: Sequence[str]) -> Tell:
    """Tell a variance, followed by operations on it."""

    def tell(step: Telling) -> None:
        axes, keeps = step.axes(step.given.get("dim")), step.given.get("keepdim", False)
        correction = step.given.get("correction", int(step.given.get("unbiased", True)))
        correction = 1 if correction is None else correction
        count = math.prod(step.shape(step.x)[axis] for axis in axes)
        mean, variance = _moments(step, step.x, axes)
        links: list[Link] = [] if not correction else [("multiply", count / max(count - correction, 0.5))]
        links += [(kind, None) for kind in ends]
        shape = step.shape(variance)
        kept = [size for axis, size in enumerate(shape) if keeps or axis not in axes]
        for kind, other in links:
            variance = step.part(kind, [variance] if other is None else [variance, other])
        step.end("reshape", [variance, np.array(kept, np.int64)])
        if len(step.outputs) > 1:
            step.end("reshape", [mean, np.array(kept, np.int64)], 1)

    return tell


def _norm(step: Telling) -> None:
    """Tell the length of vectors; other norms have no word."""
    order = step.given.get("ord", step.given.get("p"))
    if order not in (1, 2, None):
        return
    axes, keeps = step.axes(step.given.get("dim")), step.given.get("keepdim", False)
    each = step.part("absolute" if order == 1 else "square", [step.x])
    if order == 1:
        step.end("reduce_sum", [each], axes=axes, keepdims=keeps)
        return
    shape = list(step.outputs[0].shape)
    step.end("square_root", [step.part("reduce_sum", [each], shape, axes=axes, keepdims=keeps)])


def _factors(step: Telling, shape: Sequence[int]) -> list[Link]:
    """Return the multiplication by a weight and the addition of a bias of some shape, where there are any."""
    pairs = (("multiply", step.given["weight"]), ("add", step.given.get("bias")))
    return [(kind, step.reshaped(value, shape)) for kind, value in pairs if value is not None]


def _over_root(step: Telling, variance: Value, epsilon: float) -> Link:
    inverse = step.part("reciprocal_square_root", [step.part("add", [variance, epsilon])])
    return "multiply", inverse


def _layer_norm(step: Telling) -> None:
    x, rank = step.x, len(step.given["normalized_shape"])
    mean, variance = _moments(step, x, range(step.rank - rank, step.rank))
    links = [("subtract", mean), _over_root(step, variance, step.given["eps"])]
    _chained(step, x, links + _factors(step, step.given["normalized_shape"]))


def _root_mean_square_norm(step: Telling) -> None:
    x, rank = step.x, len(step.given["normalized_shape"])
    axes = range(step.rank - rank, step.rank)
    square = _reduction(step, "reduce_mean", step.part("square", [x]), axes)
    epsilon = step.given.get("eps")
    links = [_over_root(step, square, 1e-7 if epsilon is None else epsilon)]
    _chained(step, x, links + _factors(step, step.given["normalized_shape"]))


def _batch_norm(step: Telling) -> None:
    x, given = step.given["input"], step.given
    shape = [1, step.shape(x)[1], *(1 for _ in step.shape(x)[2:])]
    if given.get("training") or given["running_mean"] is None:
        mean, variance = _moments(step, x, [axis for axis in range(step.rank) if axis != 1])
    else:
        mean, variance = (step.reshaped(given[name], shape) for name in ("running_mean", "running_var"))
    links = [
        ("subtract", mean),
        _over_root(step, variance, given["eps"] if "eps" in given else given["epsilon"]),
    ]
    _chained(step, x, links + _factors(step, shape))


def _group_norm(step: Telling) -> None:
    x, groups = step.x, step.given["group"]
    batch, channels, *rest = step.shape(x)
    apart = step.reshaped(x, [batch, groups, channels // groups, *rest])
    mean, variance = _moments(step, apart, range(2, step.rank + 1))
    apart = step.part("subtract", [apart, mean])
    kind, inverse = _over_root(step, variance, step.given["eps"])
    joined = step.reshaped(step.part(kind, [apart, inverse]), step.shape(x))
    _chained(step, joined, _factors(step, [1, channels, *(1 for _ in rest)]))


STATISTICS: dict[str, Tell] = {
    "logsumexp": _log_sum_exp,
    "var": _variance([]),
    "var_mean": _variance([]),
    "std": _variance(["square_root"]),
    "std_mean": _variance(["square_root"]),
    **dict.fromkeys(["linalg_vector_norm", "norm"], _norm),
    "native_layer_norm": _layer_norm,
    **dict.fromkeys(["_fused_rms_norm", "rms_norm"], _root_mean_square_norm),
    **dict.fromkeys(["native_batch_norm", "cudnn_batch_norm", "miopen_batch_norm"], _batch_norm),
    **dict.fromkeys(["_native_batch_norm_legit", "_native_batch_norm_legit_no_training"], _batch_norm),
    "native_group_norm": _group_norm,
}
