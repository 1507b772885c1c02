"""Convolutions, pools and resizing along the last axes, in the terms of `vis.graph.words`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from vis.backend.torch.telling import Tell, Telling


def _window(
    step: Telling, size: Sequence[int], stride: Sequence[int], padding: Sequence[int], dilation: Sequence[int]
) -> dict[str, Any]:
    """Return the attributes of a window along the last axes; a single number is for all of them."""
    count = len(size)
    front = [1] * (step.rank - count)
    before = [(each, each) for each in _spread(padding, count)]
    return {
        "window": [*front, *size],
        "strides": [*front, *_spread(stride, count)],
        "dilations": [*front, *_spread(dilation, count)],
        "padding": [*((0, 0) for _ in front), *before],
        "channels": step.rank - count - 1,
    }


def _spread(numbers: int | Sequence[int], count: int) -> list[int]:
    """Return one number per axis."""
    listed = [numbers] if isinstance(numbers, int) else list(numbers)
    return listed * count if len(listed) == 1 else listed


def _pool(kind: str, count: int) -> Tell:
    def tell(step: Telling) -> None:
        size = _spread(step.given["kernel_size"], count)
        stride = step.given["stride"] or size
        told = _window(step, size, stride, step.given["padding"], step.given.get("dilation", [1]))
        step.end(kind, [step.x], **told)

    return tell


def _adaptive_pool(kind: str) -> Tell:
    """Tell a pool with a given number of outputs: windows overlap if it does not divide the size."""

    def tell(step: Telling) -> None:
        made = step.given["output_size"]
        count = len(made)
        axes = tuple(range(step.rank - count, step.rank))
        old = [step.shape(step.x)[axis] for axis in axes]
        if any(before % after for before, after in zip(old, made, strict=True)):
            _resized(step, "area", axes, half_pixels=True)
        else:
            size = [before // after for before, after in zip(old, made, strict=True)]
            step.end(kind, [step.x], **_window(step, size, size, [0], [1]))

    return tell


def _resized(
    step: Telling, method: str, axes: tuple[int, ...], half_pixels: bool, align_corners: bool = False
) -> None:
    """Tell the resizing of some axes."""
    step.end(
        "resize",
        [step.x, step.sizes(axes)],
        axes=axes,
        method=method,
        align_corners=align_corners,
        half_pixel_centers=half_pixels,
    )


def _resize(method: str) -> Tell:
    def tell(step: Telling) -> None:
        axes = tuple(range(2, step.rank))
        aligned = bool(step.given.get("align_corners", False))
        half = not aligned
        if method == "nearest" and "exact" not in step.name:
            # It takes the pixel at or before; repeating pixels is the same with both conventions.
            new = step.sizes(axes)
            half = all(size % step.shape(step.x)[axis] == 0 for size, axis in zip(new, axes, strict=True))
        _resized(step, method, axes, half, aligned)

    return tell


def _resizes() -> dict[str, Tell]:
    lengths = ("1d", "2d", "3d")
    methods = {
        **{f"upsample_nearest{length}": "nearest" for length in lengths},
        **{f"_upsample_nearest_exact{length}": "nearest" for length in lengths},
        **dict.fromkeys(["upsample_linear1d", "upsample_bilinear2d", "upsample_trilinear3d"], "bilinear"),
        "_upsample_bilinear2d_aa": "bilinear",
        **dict.fromkeys(["upsample_bicubic2d", "_upsample_bicubic2d_aa"], "bicubic"),
        "_upsample_lanczos2d_aa": "lanczos",
    }
    return {name: _resize(method) for name, method in methods.items()}


def _convolution(step: Telling) -> None:
    x, kernel, *_ = step.operands
    given, shape = step.given, step.shape(kernel)
    attributes = _window(step, shape[2:], given["stride"], given["padding"], given["dilation"])
    attributes |= {"groups": given["groups"], "transposed": given.get("transposed", False)}
    attributes["filters"] = (0,)
    if attributes["transposed"]:
        attributes["filters"] = (1,) if attributes["groups"] == 1 else None
        more = [0, 0, *_spread(given["output_padding"], len(shape) - 2)]
        pairs = zip(attributes["padding"], more, strict=True)
        attributes["padding"] = [(before, behind - extra) for (before, behind), extra in pairs]
    bias = given.get("bias")
    if bias is None:
        step.end("convolution", [x, kernel], **attributes)
        return
    made = step.part("convolution", [x, kernel], step.outputs[0].shape, **attributes)
    around = [1] * len(shape)
    around[attributes["channels"]] = step.shape(bias)[0]
    step.end("add", [made, step.reshaped(bias, around)])


WINDOWS: dict[str, Tell] = {
    **dict.fromkeys(["convolution", "_convolution", "convolution_overrideable"], _convolution),
    **dict.fromkeys(["mkldnn_convolution", "cudnn_convolution"], _convolution),
    **dict.fromkeys(["max_pool1d_with_indices", "max_pool1d"], _pool("max_pool", 1)),
    **dict.fromkeys(["max_pool2d_with_indices", "mkldnn_max_pool2d"], _pool("max_pool", 2)),
    **dict.fromkeys(["max_pool3d_with_indices", "mkldnn_max_pool3d"], _pool("max_pool", 3)),
    "avg_pool1d": _pool("average_pool", 1),
    "avg_pool2d": _pool("average_pool", 2),
    "avg_pool3d": _pool("average_pool", 3),
    **dict.fromkeys(["_adaptive_avg_pool2d", "_adaptive_avg_pool3d"], _adaptive_pool("average_pool")),
    **dict.fromkeys(["adaptive_max_pool2d", "adaptive_max_pool3d"], _adaptive_pool("max_pool")),
    **_resizes(),
}
