"""PyTorch's operations that are several in the terms of `vis.graph.words`."""

from __future__ import annotations

import math
import string
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from vis.backend.torch.attributes import spread, window
from vis.backend.torch.telling import Telling
from vis.graph import Value

Tell = Callable[[Telling], Any]
Link = tuple[str, Any]


def _chained(step: Telling, x: Value, links: Sequence[Link]) -> None:
    """Tell a chain of operations with one other operand each; the last one makes the output."""
    for kind, other in links[:-1]:
        x = step.part(kind, [x, other])
    kind, other = links[-1] if links else ("identity", None)
    step.end(kind, [x] if other is None else [x, other])


def _scaled(step: Telling, value: Any, factor: Any) -> Any:
    """Return a value or number multiplied by a factor, which is 1 as a rule."""
    if factor == 1:
        return value
    return step.part("multiply", [value, factor]) if isinstance(value, Value) else value * factor


def _reduced(shape: Sequence[int], axes: Sequence[int]) -> list[int]:
    return [1 if axis in axes else size for axis, size in enumerate(shape)]


def _reduction(step: Telling, kind: str, x: Value, axes: Sequence[int]) -> Value:
    """Tell a reduction that keeps its axes."""
    return step.part(kind, [x], _reduced(step.shape(x), axes), axes=tuple(axes), keepdims=True)


def _reshaped(step: Telling, x: Value, shape: Sequence[int]) -> Value:
    return step.part("reshape", [x, np.array(shape)], shape, x.dtype)


# ---- arithmetic -------------------------------------------------------------------------------------------


def _sum(kind: str) -> Tell:
    def tell(step: Telling) -> None:
        given = step.given
        step.end(kind, [given["self"], _scaled(step, given["other"], given["alpha"])])

    return tell


def _reverse_difference(step: Telling) -> None:
    given = step.given
    step.end("subtract", [given["other"], _scaled(step, given["self"], given["alpha"])])


def _quotient(step: Telling) -> None:
    mode = step.given.get("rounding_mode")
    if mode in (None, "floor"):
        kind = "divide" if mode is None else "floor_divide"
        step.end(kind, [step.given["self"], step.given["other"]])


def _with_product(kind: str) -> Tell:
    def tell(step: Telling) -> None:
        given = step.given
        term = step.part(kind, [given["tensor1"], given["tensor2"]])
        step.end("add", [given["self"], _scaled(step, term, given["value"])])

    return tell


def _interpolation(step: Telling) -> None:
    given = step.given
    way = step.part("subtract", [given["end"], given["self"]])
    step.end("add", [given["self"], step.part("multiply", [way, given["weight"]])])


def _masked_fill(step: Telling) -> None:
    given = step.given
    step.end("select", [given["mask"], given["value"], given["self"]])


def _logarithm(base: float) -> Tell:
    return lambda step: step.end("divide", [step.part("logarithm", [step.x]), math.log(base)])


def _sum_of_exponentials(step: Telling) -> None:
    """Tell `log(exp(x) + exp(y))` as the larger one and a function of the difference."""
    x, y = step.given["self"], step.given["other"]
    apart = step.part("negative", [step.part("absolute", [step.part("subtract", [x, y])])])
    more = step.part("logarithm_of_1_plus", [step.part("exponential", [apart])])
    step.end("add", [step.part("maximum", [x, y]), more])


def _gated(step: Telling) -> None:
    axis = step.axis(step.given["dim"])
    shape = list(step.shape(step.x))
    shape[axis] //= 2
    x, gate = step.parts("split", [step.x], [shape, shape], axis=axis)
    step.end("multiply", [x, step.part("sigmoid", [gate])])


def _one_hot(step: Telling) -> None:
    """Tell one number written into a constant at each index; others have no word."""
    axis, indices, into = step.axis(step.given["dim"]), step.given["index"], step.given["self"]
    shape = list(step.shape(indices))
    if (
        "value" in step.given
        and "reduce" not in step.given
        and into.constant is not None
        and shape[axis] == 1
    ):
        del shape[axis]
        flat = step.part("squeeze", [indices], shape, indices.dtype, axes=(axis,))
        step.end("one_hot", [flat], axis=axis)


def _dropout(step: Telling) -> None:
    if not step.given["train"]:
        step.end("identity", [step.x])
        return
    step.end("multiply", [step.x, step.part("random", [], step.shape(step.x))])


# ---- statistics -------------------------------------------------------------------------------------------


def _log_sum_exp(step: Telling) -> None:
    axes = step.axes(step.given["dim"])
    exponential = step.part("exponential", [step.x])
    keeps = step.given["keepdim"]
    shape = list(step.outputs[0].tensor.shape)
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
    shape = list(step.outputs[0].tensor.shape)
    step.end("square_root", [step.part("reduce_sum", [each], shape, axes=axes, keepdims=keeps)])


def _factors(step: Telling, shape: Sequence[int]) -> list[Link]:
    """Return the multiplication by a weight and the addition of a bias of some shape, where there are any."""
    pairs = (("multiply", step.given["weight"]), ("add", step.given.get("bias")))
    return [(kind, _reshaped(step, value, shape)) for kind, value in pairs if value is not None]


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
        mean, variance = (_reshaped(step, given[name], shape) for name in ("running_mean", "running_var"))
    links = [
        ("subtract", mean),
        _over_root(step, variance, given["eps"] if "eps" in given else given["epsilon"]),
    ]
    _chained(step, x, links + _factors(step, shape))


def _group_norm(step: Telling) -> None:
    x, groups = step.x, step.given["group"]
    batch, channels, *rest = step.shape(x)
    apart = _reshaped(step, x, [batch, groups, channels // groups, *rest])
    mean, variance = _moments(step, apart, range(2, step.rank + 1))
    apart = step.part("subtract", [apart, mean])
    kind, inverse = _over_root(step, variance, step.given["eps"])
    joined = _reshaped(step, step.part(kind, [apart, inverse]), step.shape(x))
    _chained(step, joined, _factors(step, [1, channels, *(1 for _ in rest)]))


# ---- products ---------------------------------------------------------------------------------------------


def _letters(left: int, right: int) -> tuple[str, str, str]:
    """Return the letters of a product of matrices, or of vectors, with batch axes before them."""
    batch = string.ascii_uppercase[: max(left, right, 2) - 2]
    x = batch[len(batch) - max(left - 2, 0) :] + ("k" if left == 1 else "mk")
    y = batch[len(batch) - max(right - 2, 0) :] + ("k" if right == 1 else "kn")
    return x, y, batch + ("" if left == 1 else "m") + ("" if right == 1 else "n")


def _product(x: str, y: str) -> Tell:
    def tell(step: Telling) -> None:
        pair = [step.given[x], step.given[y]]
        left, right = map(step.shape, pair)
        step.end("product", pair, letters=_letters(len(left), len(right)))

    return tell


def _product_and_sum(x: str, y: str) -> Tell:
    def tell(step: Telling) -> None:
        pair = [step.given[x], step.given[y]]
        left, right = map(step.shape, pair)
        letters = _letters(len(left), len(right))
        shape = [*left[:-1], *right[len(right) - 1 :]] if len(right) > 1 else left[:-1]
        made = step.part("product", pair, shape, letters=letters)
        beta, alpha = step.given.get("beta", 1), step.given.get("alpha", 1)
        made = _scaled(step, made, alpha)
        step.end("add", [made, _scaled(step, step.given["self"], beta)])

    return tell


def _linear(step: Telling) -> None:
    x, weight, bias = step.positional
    left, _, out = _letters(len(step.shape(x)), 2)
    letters = (left, "nk", out)  # the weight is turned around
    if bias is None:
        step.end("product", [x, weight], letters=letters)
        return
    made = step.part("product", [x, weight], [*step.shape(x)[:-1], step.shape(weight)[0]], letters=letters)
    step.end("add", [made, bias])


def _attention(step: Telling) -> None:
    given = step.given
    query, key, value = given["query"], given["key"], given["value"]
    *batch, length, depth = step.shape(query)
    others = step.shape(key)[-2]
    names = string.ascii_uppercase[: len(batch)]
    shape = [*batch, length, others]
    scores = step.part("product", [query, key], shape, letters=(f"{names}mk", f"{names}nk", f"{names}mn"))
    scale = given.get("scale")
    scores = step.part("multiply", [scores, depth**-0.5 if scale is None else scale])
    if given.get("is_causal"):
        scores = step.part("add", [scores, np.triu(np.full((length, others), -np.inf), 1)])
    mask = given.get("attn_mask", given.get("attn_bias"))
    if mask is not None and mask.dtype == "bool":
        scores = step.part("select", [mask, scores, -np.inf])
    elif mask is not None:
        scores = step.part("add", [scores, mask])
    weights = step.part("softmax", [scores], shape, axis=len(batch) + 1)
    step.end("product", [weights, value], letters=(f"{names}mk", f"{names}kn", f"{names}mn"))


def _convolution(step: Telling) -> None:
    x, kernel, *_ = step.operands
    given, shape = step.given, step.shape(kernel)
    attributes = window(step, shape[2:], given["stride"], given["padding"], given["dilation"])
    attributes |= {"groups": given["groups"], "transposed": given.get("transposed", False)}
    if attributes["transposed"]:
        more = [0, 0, *spread(given["output_padding"], len(shape) - 2)]
        pairs = zip(attributes["padding"], more, strict=True)
        attributes["padding"] = [(before, behind - extra) for (before, behind), extra in pairs]
    bias = given.get("bias")
    if bias is None:
        step.end("convolution", [x, kernel], **attributes)
        return
    made = step.part("convolution", [x, kernel], tuple(step.outputs[0].tensor.shape), **attributes)
    around = [1] * len(shape)
    around[attributes["channels"]] = step.shape(bias)[0]
    step.end("add", [made, _reshaped(step, bias, around)])


def _blocks(step: Telling) -> None:
    """Tell how channels become pixels, `pixel_shuffle`, or the other way around."""
    *batch, channels, high, wide = step.shape(step.x)
    n = len(batch)
    front = list(range(n))
    if "upscale_factor" in step.given:
        (by,) = spread(step.given["upscale_factor"], 1)
        shape = [*batch, channels // by**2, by, by, high, wide]
        order = [*front, n, n + 3, n + 1, n + 4, n + 2]
    else:
        (by,) = spread(step.given["downscale_factor"], 1)
        shape = [*batch, channels, high // by, by, wide // by, by]
        order = [*front, n, n + 2, n + 4, n + 1, n + 3]
    apart = _reshaped(step, step.x, shape)
    turned = step.part("transpose", [apart], [shape[i] for i in order], permutation=tuple(order))
    step.end("reshape", [turned, np.array(step.outputs[0].tensor.shape)])


FUSED: dict[str, Tell] = {
    "add": _sum("add"),
    "sub": _sum("subtract"),
    "rsub": _reverse_difference,
    "div": _quotient,
    "addcmul": _with_product("multiply"),
    "addcdiv": _with_product("divide"),
    "lerp": _interpolation,
    "masked_fill": _masked_fill,
    "log2": _logarithm(2),
    "log10": _logarithm(10),
    **dict.fromkeys(["exp2", "special_exp2"], lambda step: step.end("power", [2.0, step.x])),
    "logaddexp": _sum_of_exponentials,
    "glu": _gated,
    "scatter": _one_hot,
    "native_dropout": _dropout,
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
    "mm": _product("self", "mat2"),
    "bmm": _product("self", "mat2"),
    "matmul": _product("self", "other"),
    "mv": _product("self", "vec"),
    "dot": _product("self", "tensor"),
    "addmm": _product_and_sum("mat1", "mat2"),
    "baddbmm": _product_and_sum("batch1", "batch2"),
    "addmv": _product_and_sum("mat", "vec"),
    **dict.fromkeys(["linear", "mkldnn_linear"], _linear),
    **dict.fromkeys(
        [
            "_scaled_dot_product_flash_attention",
            "_scaled_dot_product_flash_attention_for_cpu",
            "_scaled_dot_product_efficient_attention",
            "_scaled_dot_product_cudnn_attention",
            "_scaled_dot_product_fused_attention_overrideable",
            "_scaled_dot_product_attention_math",
        ],
        _attention,
    ),
    **dict.fromkeys(["convolution", "_convolution", "convolution_overrideable"], _convolution),
    **dict.fromkeys(["mkldnn_convolution", "cudnn_convolution"], _convolution),
    **dict.fromkeys(["pixel_shuffle", "pixel_unshuffle"], _blocks),
}
