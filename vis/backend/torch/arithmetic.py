"""Arithmetic of PyTorch that is several operations in the terms of `vis.graph.words`."""

from __future__ import annotations

import math
from typing import Any

from vis.backend.torch.telling import Tell, Telling
from vis.graph import Value


def scaled(step: Telling, value: Any, factor: Any) -> Any:
    """Return a value or number multiplied by a factor, which is 1 as a rule."""
    if factor == 1:
        return value
    return step.part("multiply", [value, factor]) if isinstance(value, Value) else value * factor


def _sum(kind: str) -> Tell:
    def tell(step: Telling) -> None:
        given = step.given
        step.end(kind, [given["self"], scaled(step, given["other"], given["alpha"])])

    return tell


def _reverse_difference(step: Telling) -> None:
    given = step.given
    step.end("subtract", [given["other"], scaled(step, given["self"], given["alpha"])])


def _quotient(step: Telling) -> None:
    mode = step.given.get("rounding_mode")
    if mode in (None, "floor"):
        kind = "divide" if mode is None else "floor_divide"
        step.end(kind, [step.given["self"], step.given["other"]])


def _with_product(kind: str) -> Tell:
    def tell(step: Telling) -> None:
        given = step.given
        term = step.part(kind, [given["tensor1"], given["tensor2"]])
        step.end("add", [given["self"], scaled(step, term, given["value"])])

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


def _blocks(step: Telling) -> None:
    """Tell how channels become pixels, `pixel_shuffle`, or the other way around."""
    *batch, channels, high, wide = step.shape(step.x)
    n = len(batch)
    front = list(range(n))
    if "upscale_factor" in step.given:
        by = step.given["upscale_factor"]
        shape = [*batch, channels // by**2, by, by, high, wide]
        order = [*front, n, n + 3, n + 1, n + 4, n + 2]
    else:
        by = step.given["downscale_factor"]
        shape = [*batch, channels, high // by, by, wide // by, by]
        order = [*front, n, n + 2, n + 4, n + 1, n + 3]
    apart = step.reshaped(step.x, shape)
    turned = step.part("transpose", [apart], [shape[i] for i in order], permutation=tuple(order))
    step.end("reshape", [turned, step.sizes()])


def _turned(step: Telling) -> None:
    """Tell a turn by a right angle, once or several times."""
    first, second = (step.axis(axis) for axis in step.given["dims"])
    order = list(range(step.rank))
    order[first], order[second] = second, first
    times = step.given["k"] % 4
    if times % 2 == 0:
        step.end("reverse", [step.x], axes=(first, second) if times else ())
        return
    shape = step.shape(step.x)
    turned = step.part("transpose", [step.x], [shape[i] for i in order], permutation=tuple(order))
    step.end("reverse", [turned], axes=(first if times == 1 else second,))


ARITHMETIC: dict[str, Tell] = {
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
    "rot90": _turned,
    **dict.fromkeys(["pixel_shuffle", "pixel_unshuffle"], _blocks),
}
