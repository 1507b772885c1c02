"""The details of PyTorch's operations, in the terms of `vis.graph.words`.

Each function tells a step that is one operation with attributes.
"""

from __future__ import annotations

import numpy as np

from vis.backend.torch.telling import Tell, Telling, dtype_of
from vis.graph import Value

# ---- elementwise ------------------------------------------------------------------------------------------


def _to_copy(step: Telling) -> None:
    dtype = dtype_of(step.outputs[0])
    if dtype == step.x.dtype:
        step.end("identity", [step.x])
    else:
        step.end("cast", [step.x], dtype=dtype)


def _copy(step: Telling) -> None:
    source, dtype = step.given["src"], dtype_of(step.outputs[0])
    if source.dtype != dtype:
        source = step.part("cast", [source], dtype=dtype)
    step.end("broadcast", [source, step.sizes()])


def _clamp(step: Telling) -> None:
    low, high = step.given["min"], step.given["max"]
    if low is None or high is None:
        step.end("minimum" if low is None else "maximum", [step.x, high if low is None else low])
    else:
        step.end("clip", [step.x, low, high])


def _leaky_relu(step: Telling) -> None:
    step.end("leaky_relu", [step.x], slope=float(step.given["negative_slope"]))


def _random_leaky_relu(step: Telling) -> None:
    if not step.given["training"]:
        slope = (step.given["lower"] + step.given["upper"]) / 2
        step.end("leaky_relu", [step.given["self"]], slope=float(slope))


def _elu(step: Telling) -> None:
    alpha, scale, input_scale = (float(step.given[name]) for name in ("alpha", "scale", "input_scale"))
    step.end("elu", [step.x], alpha=alpha, scale=scale, input_scale=input_scale)


def _celu(step: Telling) -> None:
    alpha = float(step.given["alpha"])
    step.end("elu", [step.x], alpha=alpha, input_scale=1 / alpha)


def _shrink(kind: str) -> Tell:
    return lambda step: step.end(kind, [step.x], margin=float(step.given["lambd"]))


def _filled(number: float | None = None) -> Tell:
    """Tell an operation whose output holds one number, whatever its operands are."""

    def tell(step: Telling) -> None:
        given = step.given.get("fill_value", step.given.get("value")) if number is None else number
        if isinstance(given, Value):
            step.end("broadcast", [given, step.sizes()])
        else:
            step.end_constant(given)

    return tell


# ---- along axes -------------------------------------------------------------------------------------------


def _softmax(kind: str) -> Tell:
    return lambda step: step.end(kind, [step.x], axis=step.axis(step.given["dim"]))


def _reduction(kind: str) -> Tell:
    def tell(step: Telling) -> None:
        axes = step.axes(step.given.get("dim"))
        step.end(kind, [step.x], axes=axes, keepdims=step.given.get("keepdim", False))

    return tell


def _extreme(kind: str, of_two: str) -> Tell:
    def tell(step: Telling) -> None:
        if "other" in step.given:
            step.end(of_two, step.operands)
        else:
            _reduction(kind)(step)

    return tell


def _concatenation(step: Telling) -> None:
    rank = len(step.outputs[0].shape)
    parts = [value for value in step.operands if value.shape != (0,) or rank == 1]
    step.end("concatenate", parts, axis=step.axis(step.given["dim"], rank))


def _stack(step: Telling) -> None:
    step.end("stack", step.operands, axis=step.axis(step.given["dim"], step.rank + 1))


def _parts(kind: str) -> Tell:
    return lambda step: step.ends(kind, [step.x], axis=step.axis(step.given["dim"]))


def _reverse(step: Telling) -> None:
    step.end("reverse", [step.x], axes=step.axes(step.given["dims"]))


def _index_select(step: Telling) -> None:
    step.end("gather", [step.x, step.given["index"]], axis=step.axis(step.given["dim"]))


def _embedding(step: Telling) -> None:
    step.end("gather", [step.given["weight"], step.given["indices"]], axis=0)


def _index(step: Telling) -> None:
    """Tell the choice of some entries along one axis; others have no word."""
    taken = [(axis, value) for axis, value in enumerate(step.given["indices"]) if value is not None]
    if len(taken) == 1 and taken[0][1].dtype not in ("bool", "uint8"):
        ((axis, value),) = taken
        step.end("gather", [step.x, value], axis=axis)


# ---- shapes -----------------------------------------------------------------------------------------------


def _reshape(step: Telling) -> None:
    if "dtype" not in step.given:  # otherwise the same bytes, read as other numbers
        step.end("reshape", [step.x, step.sizes()])


def _unsqueeze(step: Telling) -> None:
    step.end("expand_dims", [step.x], axes=(step.axis(step.given["dim"], step.rank + 1),))


def _squeeze(step: Telling) -> None:
    axes = step.axes(step.given.get("dim"))
    step.end("squeeze", [step.x], axes=tuple(axis for axis in axes if step.shape(step.x)[axis] == 1))


def _permute(step: Telling) -> None:
    step.end("transpose", [step.x], permutation=tuple(step.axis(axis) for axis in step.given["dims"]))


def _transpose(step: Telling) -> None:
    order = list(range(step.rank))
    if order:
        first, second = (
            step.axis(step.given.get(name, place)) for place, name in enumerate(["dim0", "dim1"])
        )
        order[first], order[second] = order[second], order[first]
    step.end("transpose", [step.x], permutation=tuple(order))


def _expand(step: Telling) -> None:
    step.end("broadcast", [step.x, step.sizes()])


def _repeat(step: Telling) -> None:
    times, x = step.given["repeats"], step.x
    if len(times) > step.rank:
        shape = (1,) * (len(times) - step.rank) + step.shape(x)
        x = step.part("reshape", [x, np.array(shape)], shape)
    step.end("tile", [x, np.array(times)])


def _sliced(step: Telling, axis: int, begin: int, end: int, stride: int, dropped: tuple[int, ...]) -> None:
    ends = list(step.shape(step.x))
    begins, strides = [0] * len(ends), [1] * len(ends)
    begins[axis], ends[axis], strides[axis] = begin, end, stride
    step.end("slice", [step.x], begin=begins, end=ends, strides=strides, open=(), dropped=dropped, added=())


def _slice(step: Telling) -> None:
    axis = step.axis(step.given["dim"])
    stride = step.given["step"]
    begin, end, _ = slice(step.given["start"], step.given["end"]).indices(step.shape(step.x)[axis])
    _sliced(step, axis, begin, max(begin, end), stride, ())


def _select(step: Telling) -> None:
    axis = step.axis(step.given["dim"])
    index = step.given["index"] % step.shape(step.x)[axis]
    _sliced(step, axis, index, index + 1, 1, (axis,))


def _pad(mode: str) -> Tell:
    def tell(step: Telling) -> None:
        given: list[int] = step.given["pad"] if "pad" in step.given else step.given["padding"]
        pairs = list(zip(given[::2], given[1::2], strict=True))[::-1]  # the last axis comes first
        paddings = [(0, 0)] * (step.rank - len(pairs)) + pairs
        step.end("pad", [step.x], paddings=paddings, mode=mode)

    return tell


ATTRIBUTES: dict[str, Tell] = {
    "_to_copy": _to_copy,
    "copy": _copy,
    "clamp": _clamp,
    "leaky_relu": _leaky_relu,
    "rrelu_with_noise": _random_leaky_relu,
    "elu": _elu,
    "celu": _celu,
    "softplus": lambda step: step.end("softplus", [step.x], beta=float(step.given["beta"])),
    "gelu": lambda step: step.end("gelu", [step.x], approximate=step.given["approximate"] == "tanh"),
    "softshrink": _shrink("soft_shrink"),
    "hardshrink": _shrink("hard_shrink"),
    **dict.fromkeys(["zeros", "zeros_like", "new_zeros", "zero"], _filled(0)),
    **dict.fromkeys(["ones", "ones_like", "new_ones"], _filled(1)),
    **dict.fromkeys(["full", "full_like", "new_full", "fill"], _filled()),
    **dict.fromkeys(["empty_like", "new_empty"], lambda step: step.end("constant", [])),
    **dict.fromkeys(["_softmax", "_safe_softmax"], _softmax("softmax")),
    "_log_softmax": _softmax("log_softmax"),
    "sum": _reduction("reduce_sum"),
    "mean": _reduction("reduce_mean"),
    "prod": _reduction("reduce_prod"),
    "amax": _reduction("reduce_max"),
    "amin": _reduction("reduce_min"),
    "max": _extreme("reduce_max", "maximum"),
    "min": _extreme("reduce_min", "minimum"),
    "cat": _concatenation,
    "stack": _stack,
    **dict.fromkeys(["split", "split_with_sizes", "split_copy", "split_with_sizes_copy"], _parts("split")),
    **dict.fromkeys(["unsafe_split", "unsafe_split_with_sizes", "unsafe_chunk"], _parts("split")),
    **dict.fromkeys(["unbind", "unbind_copy"], _parts("unstack")),
    "flip": _reverse,
    "index_select": _index_select,
    "embedding": _embedding,
    **dict.fromkeys(["index", "_unsafe_index"], _index),
    **dict.fromkeys(["view", "_unsafe_view", "reshape", "_reshape_alias", "view_copy"], _reshape),
    **dict.fromkeys(["unsqueeze", "unsqueeze_copy"], _unsqueeze),
    **dict.fromkeys(["squeeze", "squeeze_copy"], _squeeze),
    **dict.fromkeys(["permute", "permute_copy"], _permute),
    **dict.fromkeys(["transpose", "transpose_copy", "t", "t_copy"], _transpose),
    **dict.fromkeys(["expand", "expand_copy"], _expand),
    "repeat": _repeat,
    **dict.fromkeys(["slice", "slice_copy"], _slice),
    **dict.fromkeys(["select", "select_copy"], _select),
    "constant_pad_nd": _pad("constant"),
    **dict.fromkeys(["reflection_pad1d", "reflection_pad2d", "reflection_pad3d"], _pad("reflect")),
    **dict.fromkeys(["replication_pad1d", "replication_pad2d", "replication_pad3d"], _pad("edge")),
}
