"""Products of matrices of PyTorch in the terms of `vis.graph.words`."""

from __future__ import annotations

import string

import numpy as np

from vis.backend.torch.arithmetic import scaled
from vis.backend.torch.telling import Tell, Telling


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
        made = scaled(step, made, alpha)
        step.end("add", [made, scaled(step, step.given["self"], beta)])

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


PRODUCTS: dict[str, Tell] = {
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
}
