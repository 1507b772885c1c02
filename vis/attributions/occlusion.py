"""Occlusion: what the score loses when a part of the input is covered."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Sequence
from typing import Any, ParamSpec

import keras
import numpy as np
import numpy.typing as npt

from vis import checks, models
from vis.attributions.base import Attribution, Explainer
from vis.attributions.batches import Arrays
from vis.attributions.operators import OperatorLike
from vis.errors import InputError, LayerError
from vis.typing import Layer

_P = ParamSpec("_P")


def _no_number_second(init: Callable[_P, None]) -> Callable[_P, None]:
    """Refuse a number as the second argument: it is the layer here, and the batch size in Xplique."""

    @functools.wraps(init)
    def checked(*args: _P.args, **kwargs: _P.kwargs) -> None:
        model, second = args[1:3] if len(args) > 2 else (None, None)
        if isinstance(second, int | np.integer) and second >= 1:
            hint = (
                f"The second argument of Occlusion is the layer; in Xplique it is the batch size. Received: "
                f"{second}. Name it: patch_size={second}, batch_size={second} or output_layer={second}."
            )
            try:
                models.find_layer(model, second)
            except LayerError as error:
                raise LayerError(f"{error} {hint}") from None
            raise LayerError(hint)
        init(*args, **kwargs)

    return checked


class Occlusion(Explainer):
    """How much the score falls when a patch is covered: the mean of `S(x) - S(x covered)` over the patches.

    Each value of a map is the mean over all patches that cover it. Patches start at the multiples of the
    stride; the last one ends with the input, so that none is cut. In images and volumes, a patch covers all
    channels; in sequences, it covers time steps and features. No gradient is needed.

    Args:
        model, output_layer, batch_size, operator, output_layer_index, fold_layers: see `Explainer`; the model
            has one input.
        patch_size: the sides of a patch, one int or an int per axis of `(H, W)`, `(D, H, W)`, `(T, W)` (time
            steps and features) or `(W,)`. A side longer than its axis covers all of it.
        patch_stride: the distance from one patch to the next, at most the side; None for `patch_size`.
        occlusion_value: the value that replaces the covered ones.

    Returns from `explain`:
        `(N, H, W, 1)`, `(N, T, W)`, `(N, W)`.

    Raises:
        InputError: if a size or a stride is not a positive integer, a stride is larger than its side, or
            the value is not finite.
        LayerError: for a positive number as the second argument, which is the batch size in Xplique.

    Reference:
        Zeiler, Fergus: Visualizing and Understanding Convolutional Networks, 2014.
    """

    has_channels = False

    @_no_number_second
    def __init__(
        self,
        model: keras.Model,
        output_layer: Layer | None = None,
        batch_size: int | None = 64,
        operator: OperatorLike = None,
        patch_size: int | Sequence[int] = 3,
        patch_stride: int | Sequence[int] | None = None,
        occlusion_value: float = 0.0,
        output_layer_index: Layer | None = None,
        fold_layers: bool = False,
    ) -> None:
        self._ask(model, output_layer, output_layer_index, operator, None, None, fold_layers)
        self._set_up(batch_size, None)
        self.patch_size = patch_size
        self.patch_stride = patch_size if patch_stride is None else patch_stride
        # How many axes there are is known where the model has a symbolic input.
        symbols = self.score.source.symbols
        known = None if symbols is None else [symbol.shape for symbol in keras.tree.flatten(symbols)]
        self._patch(None if known is None else self._sizes(known)[0])
        if not checks.is_number(occlusion_value) or not np.isfinite(occlusion_value):
            raise InputError(f"occlusion_value must be a finite number. Received: {occlusion_value!r}.")
        self.occlusion_value = float(occlusion_value)

    def _arguments(self) -> dict[str, Any]:
        stride = None if self.patch_stride == self.patch_size else self.patch_stride
        return {**super()._arguments(), "patch_stride": stride}

    def empty(self, arrays: Arrays) -> Arrays:
        sizes, channels = self._sizes([array.shape for array in arrays])
        return [np.zeros(_with_channels([0, *sizes], channels, 1))]

    def _sizes(self, shapes: Sequence[Any]) -> tuple[list[int], int | None]:
        """Return the sizes of the axes that patches have, and the channels' axis in a batch of inputs."""
        if len(shapes) != 1:
            raise InputError(f"Occlusion needs a model with one input. Received: a model with {len(shapes)}.")
        rank = len(shapes[0])
        channels = self.score.source.channel_axis(0, rank) if rank > 3 else None
        return [size for axis, size in enumerate(shapes[0]) if axis not in (0, channels)], channels

    def _patch(self, sizes: list[int] | None) -> tuple[list[int], list[int]]:
        """Return the sides and strides of a patch along axes, whose number may not be known."""
        sides = _of_each("patch_size", self.patch_size, sizes)
        strides = _of_each("patch_stride", self.patch_stride, sizes)
        alone = 1 in (len(sides), len(strides))
        pairs = itertools.product(sides, strides) if alone else zip(sides, strides, strict=False)
        if any(stride > side for side, stride in pairs):
            raise InputError(
                "patch_stride must be at most patch_size, so that every value is covered. Received: "
                f"patch_stride={self.patch_stride!r}, patch_size={self.patch_size!r}."
            )
        return sides, strides

    def attribute(self, arrays: Arrays, targets: npt.NDArray[Any]) -> Attribution:
        array, *masks = arrays
        (steps,) = self.score.steps(arrays)
        sizes, channels = self._sizes([array.shape])
        patches = _patches(sizes, *self._patch(sizes))
        scores = self.score.values(arrays, targets)
        falls = np.zeros((len(array), *sizes))
        covers = np.zeros(sizes)
        at_once = max(1, (self.batch_size or len(array) * len(patches)) // len(array))
        for start in range(0, len(patches), at_once):
            some = patches[start : start + at_once]
            covered = np.stack([array] * len(some))
            others = [np.concatenate([each] * len(some)) for each in masks]
            for patch, copies in zip(some, covered, strict=True):
                copies[_with_channels(patch, channels, slice(None))] = self.occlusion_value
            repeated = np.concatenate([targets] * len(some))
            covered = np.where(steps, covered, array).reshape(-1, *array.shape[1:])
            left = self.score.values([covered, *others], repeated)
            for patch, fall in zip(some, scores - left.reshape(len(some), -1), strict=True):
                falls[patch] += fall.reshape(-1, *[1] * len(sizes))
                covers[patch[1:]] += 1
        heat = falls / covers
        return Attribution([heat.reshape(_with_channels([len(array), *sizes], channels, 1))], scores)


def _of_each(name: str, given: Any, sizes: list[int] | None) -> list[int]:
    """Return the value for each axis, or the single one where the number of axes is not known."""
    several = (
        list(given) if isinstance(given, list | tuple) else [given] * (1 if sizes is None else len(sizes))
    )
    if sizes is not None and len(several) != len(sizes):
        raise InputError(f"{name} must be a number, or one per axis of {sizes}. Received: {given!r}.")
    return [checks.whole(name, side) for side in several]


def _patches(sizes: list[int], sides: list[int], strides: list[int]) -> list[tuple[slice, ...]]:
    """Return the patches, each a slice per axis of a batch; the last one along an axis ends with it."""
    axes = [[slice(None)]]
    for size, side, stride in zip(sizes, sides, strides, strict=True):
        last = max(size - side, 0)
        axes.append([slice(start, start + side) for start in [*range(0, last, stride), last]])
    return list(itertools.product(*axes))


def _with_channels(axes: Sequence[Any], channels: int | None, whole: Any) -> tuple[Any, ...]:
    """Return what belongs to each axis of a batch, with `whole` for the channels."""
    return tuple(axes) if channels is None else (*axes[:channels], whole, *axes[channels:])
