"""The details of TensorFlow operations, in the terms of `vis.graph.words`."""

from __future__ import annotations

import string
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

Attributes = dict[str, Any]


def attributes(op: Any) -> Attributes:
    """Return the attributes of an operation; empty for types without a reader."""
    reader = _READERS.get(op.type)
    return {} if reader is None else reader(op)


def _static(op: Any, index: int) -> list[Any] | None:
    """Return an integer operand, with None for unknown numbers; None if all are unknown."""
    value = tf.get_static_value(op.inputs[index], partial=True)
    if value is None:
        return None
    return [None if item is None else int(item) for item in np.asarray(value, object).ravel()]


def _sizes(tensor: Any) -> list[int | None] | None:
    return None if tensor.shape.rank is None else list(tensor.shape.as_list())


def _axes(op: Any, index: int, rank: int | None) -> tuple[int, ...] | None:
    """Return the axes that an operand names, as non-negative indices; None if unknown."""
    axes = _static(op, index)
    if axes is None or None in axes or rank is None:
        return None
    return tuple(axis % rank for axis in axes)


def _cast(op: Any) -> Attributes:
    return {"dtype": tf.as_dtype(op.get_attr("DstT")).name}


def _leaky_relu(op: Any) -> Attributes:
    return {"slope": float(op.get_attr("alpha"))}


def _softmax(op: Any) -> Attributes:
    return {"axis": -1}


def _reduction(op: Any) -> Attributes:
    return {"axes": _axes(op, 1, op.inputs[0].shape.rank), "keepdims": op.get_attr("keep_dims")}


def _window(op: Any, x: Any, y: Any, window: list[int | None]) -> Attributes:
    """Return the attributes of an operation that slides a window over x and returns y."""
    format_ = op.get_attr("data_format").decode()
    strides = list(op.get_attr("strides"))
    dilations = [1] * len(strides)
    if "dilations" in op.node_def.attr:
        dilations = list(op.get_attr("dilations"))
    how = op.get_attr("padding").decode()
    padding: list[tuple[int, int] | None]
    if how == "EXPLICIT":
        flat = op.get_attr("explicit_paddings")
        padding = [(flat[2 * axis], flat[2 * axis + 1]) for axis in range(len(strides))]
    elif how == "VALID":
        padding = [(0, 0)] * len(strides)
    else:
        sizes = _sizes(x) or [None] * len(strides)
        padding = [
            _same(*sides) if k is not None else None
            for k, *sides in zip(window, sizes, window, strides, dilations, strict=True)
        ]
    return {
        "window": window,
        "strides": strides,
        "dilations": dilations,
        "padding": padding,
        "channels": format_.index("C"),
    }


def _same(size: int | None, window: int, stride: int, dilation: int) -> tuple[int, int] | None:
    """Return the padding for which the output is as long as the input divided by the stride."""
    if window == 1 and stride == 1:
        return (0, 0)
    if size is None:
        return None
    total = max((-(-size // stride) - 1) * stride + (window - 1) * dilation + 1 - size, 0)
    return (total // 2, total - total // 2)


def _kernel_window(op: Any, rank: int, channels: int) -> list[int | None]:
    kernel = _sizes(op.inputs[1]) or [None] * rank
    spatial = kernel[: rank - 2]
    return [1, 1, *spatial] if channels == 1 else [1, *spatial, 1]


def _convolution(op: Any) -> Attributes:
    rank = len(op.get_attr("strides"))
    channels = op.get_attr("data_format").decode().index("C")
    found = _window(op, op.inputs[0], op.outputs[0], _kernel_window(op, rank, channels))
    depth = (_sizes(op.inputs[0]) or [None] * rank)[channels]
    kernel = _sizes(op.inputs[1])
    taken = 1 if op.type.startswith("Depthwise") else None if kernel is None else kernel[rank - 2]
    filters = (rank - 2, rank - 1) if op.type.startswith("Depthwise") else (rank - 1,)
    groups = depth // taken if depth and taken else None
    return {**found, "groups": groups, "transposed": False, "filters": filters}


def _transposed_convolution(op: Any) -> Attributes:
    rank = len(op.get_attr("strides"))
    window = _kernel_window(op, rank, op.get_attr("data_format").decode().index("C"))
    found = _window(op, op.outputs[0], op.inputs[2], window)
    return {**found, "groups": 1, "transposed": True, "filters": (rank - 2,)}


def _pool(op: Any) -> Attributes:
    return _window(op, op.inputs[0], op.outputs[0], list(op.get_attr("ksize")))


def _expand_dims(op: Any) -> Attributes:
    rank = op.outputs[0].shape.rank
    return {"axes": _axes(op, 1, rank)}


def _squeeze(op: Any) -> Attributes:
    axes = op.get_attr("squeeze_dims")
    rank = op.inputs[0].shape.rank
    if rank is None:
        return {"axes": None}
    if not axes:
        return {"axes": tuple(axis for axis, size in enumerate(_sizes(op.inputs[0]) or []) if size == 1)}
    return {"axes": tuple(axis % rank for axis in axes)}


def _transpose(op: Any) -> Attributes:
    return {"permutation": _axes(op, 1, op.inputs[0].shape.rank)}


def _axis(operand: int, of: int = 0) -> Callable[[Any], Attributes]:
    def read(op: Any) -> Attributes:
        axes = _axes(op, operand, op.inputs[of].shape.rank)
        return {"axis": axes[0] if axes else None}

    return read


def _concatenation(op: Any) -> Attributes:
    axes = _axes(op, len(op.inputs) - 1, op.outputs[0].shape.rank)
    return {"axis": axes[0] if axes else None}


def _stack(op: Any) -> Attributes:
    rank = op.outputs[0].shape.rank
    return {"axis": None if rank is None else op.get_attr("axis") % rank}


def _unstack(op: Any) -> Attributes:
    rank = op.inputs[0].shape.rank
    return {"axis": None if rank is None else op.get_attr("axis") % rank}


def _reverse(op: Any) -> Attributes:
    return {"axes": _axes(op, 1, op.inputs[0].shape.rank)}


def _pairs(op: Any, index: int) -> list[tuple[int, int]] | None:
    flat = _static(op, index)
    if flat is None or None in flat:
        return None
    return list(zip(flat[::2], flat[1::2], strict=True))


def _pad(op: Any) -> Attributes:
    mode = op.get_attr("mode").decode().lower() if op.type == "MirrorPad" else "constant"
    return {"paddings": _pairs(op, 1), "mode": mode}


def _blocks(op: Any) -> Attributes:
    return {"block": _static(op, 1), "paddings": _pairs(op, 2)}


def _resize(op: Any) -> Attributes:
    if op.type == "ScaleAndTranslate":
        shift = tf.get_static_value(op.inputs[3])
        plain = shift is not None and not np.any(shift)
        return {
            "axes": (1, 2),
            "method": op.get_attr("kernel_type").decode(),
            "align_corners": False,
            "half_pixel_centers": plain,
        }
    names = {"ResizeBilinear": "bilinear", "ResizeNearestNeighbor": "nearest", "ResizeBicubic": "bicubic"}
    corners = op.get_attr("align_corners")
    half = op.type == "ResizeArea" or op.get_attr("half_pixel_centers")
    return {
        "axes": (1, 2),
        "method": names.get(op.type, "area"),
        "align_corners": corners,
        "half_pixel_centers": half,
    }


def _slice(op: Any) -> Attributes:
    rank, sizes = op.inputs[0].shape.rank, _sizes(op.inputs[0])
    begin, count = _static(op, 1), _static(op, 2)
    if rank is None or sizes is None:
        return {}
    begin, count = begin or [None] * rank, count or [None] * rank
    ends: list[int | None] = []
    for first, length, size in zip(begin, count, sizes, strict=True):
        whole = length == -1
        ends.append(size if whole else None if first is None or length is None else first + length)
    open_ends = tuple(axis for axis, length in enumerate(count) if length == -1 and sizes[axis] is None)
    return {
        "begin": begin,
        "end": ends,
        "strides": [1] * rank,
        "open": open_ends,
        "dropped": (),
        "added": (),
    }


def _strided_slice(op: Any) -> Attributes:
    """Return the entries of a slice with its masks applied."""
    rank, sizes = op.inputs[0].shape.rank, _sizes(op.inputs[0])
    given = op.inputs[1].shape.num_elements()
    if rank is None or sizes is None or given is None:
        return {}
    parts = [_static(op, index) or [None] * given for index in (1, 2, 3)]
    masks = {
        name: op.get_attr(f"{name}_mask") for name in ("begin", "end", "ellipsis", "new_axis", "shrink_axis")
    }

    def is_set(name: str, entry: int) -> bool:
        return bool(masks[name] >> entry & 1)

    begin: list[int | None] = []
    end: list[int | None] = []
    strides: list[int | None] = []
    opened, dropped, added, made = [], [], [], 0

    def whole(axis: int) -> None:
        begin.append(0)
        end.append(sizes[axis])
        strides.append(1)
        if sizes[axis] is None:
            opened.append(axis)

    taken = sum(not is_set("new_axis", e) and not is_set("ellipsis", e) for e in range(given))
    for entry in range(given):
        axis = len(begin)
        if is_set("ellipsis", entry):
            for _ in range(rank - taken):
                whole(len(begin))
                made += 1
        elif is_set("new_axis", entry):
            added.append(made)
            made += 1
        else:
            first, last, step = (part[entry] for part in parts)
            size = sizes[axis]
            if is_set("shrink_axis", entry):
                first = first + size if first is not None and first < 0 and size is not None else first
                begin.append(None if first is not None and first < 0 else first)
                end.append(None if begin[-1] is None else begin[-1] + 1)
                strides.append(1)
                dropped.append(axis)
                continue
            made += 1
            backwards = step is not None and step < 0
            strides.append(step)
            begin.append(_bound(first, size, backwards, is_set("begin", entry), False))
            end.append(_bound(last, size, backwards, is_set("end", entry), True))
            if is_set("end", entry) and size is None and not backwards:
                opened.append(axis)
    while len(begin) < rank:
        whole(len(begin))
    return {
        "begin": begin,
        "end": end,
        "strides": strides,
        "open": tuple(opened),
        "dropped": tuple(dropped),
        "added": tuple(added),
    }


def _bound(value: int | None, size: int | None, backwards: bool, masked: bool, is_end: bool) -> int | None:
    """Return where a slice begins or ends, counted from the first position; -1 is before the first."""
    if masked:
        if is_end == backwards:
            return -1 if backwards else 0
        return None if size is None else size - 1 if backwards else size
    if value is None or (value < 0 and size is None):
        return None
    if size is None:
        return value
    value = value + size if value < 0 else value
    return min(max(value, -1 if backwards else 0), size - 1 if backwards else size)


def _matrices(op: Any) -> Attributes:
    """Return the letters of the axes of a matrix product."""
    ranks = [tensor.shape.rank for tensor in op.inputs[:2]]
    if None in ranks:
        return {}
    names = ("transpose_a", "transpose_b") if op.type == "MatMul" else ("adj_x", "adj_y")
    turned = [op.get_attr(name) for name in names]
    batch = string.ascii_uppercase[: max(ranks) - 2]
    x, y = "km" if turned[0] else "mk", "nk" if turned[1] else "kn"
    left = batch[len(batch) - ranks[0] + 2 :] + x
    return {"letters": (left, batch[len(batch) - ranks[1] + 2 :] + y, f"{batch}mn")}


def _einsum(op: Any) -> Attributes:
    sides, arrow, out = op.get_attr("equation").decode().replace(" ", "").partition("->")
    parts = sides.split(",")
    ranks = [tensor.shape.rank for tensor in op.inputs]
    if len(parts) != 2 or not arrow or None in ranks:
        return {}
    free = [letter for letter in string.ascii_letters if letter not in sides + out]
    counts = [
        rank - len(part.replace("...", "")) if "..." in part else 0
        for part, rank in zip(parts, ranks, strict=True)
    ]
    dots = "".join(free[: max(counts)])
    letters = [
        part.replace("...", dots[len(dots) - count :]) for part, count in zip(parts, counts, strict=True)
    ]
    return {"letters": (*letters, out.replace("...", dots))}


_READERS: dict[str, Callable[[Any], Attributes]] = {
    "Cast": _cast,
    "LeakyRelu": _leaky_relu,
    **dict.fromkeys(["Softmax", "LogSoftmax"], _softmax),
    **dict.fromkeys(["Sum", "Mean", "Max", "Min", "Prod"], _reduction),
    **dict.fromkeys(["Conv2D", "Conv3D", "DepthwiseConv2dNative"], _convolution),
    **dict.fromkeys(["Conv2DBackpropInput", "Conv3DBackpropInputV2"], _transposed_convolution),
    **dict.fromkeys(["MaxPool", "MaxPool3D", "AvgPool", "AvgPool3D"], _pool),
    "ExpandDims": _expand_dims,
    "Squeeze": _squeeze,
    "Transpose": _transpose,
    "ConcatV2": _concatenation,
    "Pack": _stack,
    "Unpack": _unstack,
    "Split": _axis(0, 1),
    "SplitV": _axis(2),
    "GatherV2": _axis(2),
    "ResourceGather": lambda op: {"axis": 0},
    "ReverseV2": _reverse,
    **dict.fromkeys(["Pad", "PadV2", "MirrorPad"], _pad),
    **dict.fromkeys(["SpaceToBatchND", "BatchToSpaceND"], _blocks),
    **dict.fromkeys(
        ["ResizeBilinear", "ResizeNearestNeighbor", "ResizeBicubic", "ResizeArea", "ScaleAndTranslate"],
        _resize,
    ),
    "Slice": _slice,
    "StridedSlice": _strided_slice,
    **dict.fromkeys(["MatMul", "BatchMatMul", "BatchMatMulV2"], _matrices),
    "Einsum": _einsum,
    "OneHot": lambda op: {"axis": op.get_attr("axis")},
}
