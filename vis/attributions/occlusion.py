"""Occlusion: what the score loses when a part of the input is covered."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import numpy.typing as npt

from vis.attributions.base import Attribution, Explainer, whole
from vis.attributions.batches import Arrays
from vis.errors import InputError


class Occlusion(Explainer):
    """How much the score falls when a patch is covered: the mean of `S(x) - S(x covered)` over the patches.

    Each value of a map is the mean over all patches that cover it; patches that would leave the input are
    cut at its edge. The channels are covered together. No gradient is needed.

    Args:
        model, output_layer, batch_size, operator: see `Explainer`; the model has one input.
        patch_size: the sides of a patch, an int or one per axis: of `(H, W)`, `(D, H, W)`, of the steps of
            `(T, W)`, or of the features.
        patch_stride: from one patch to the next; None for `patch_size`.
        occlusion_value: what covers.

    Returns from `explain`:
        `(N, H, W, 1)`, `(N, T, 1)`, `(N, W)`.

    Reference:
        Zeiler, Fergus: Visualizing and Understanding Convolutional Networks, 2014.
    """

    has_channels = False

    def __init__(
        self,
        model: Any,
        output_layer: Any = None,
        batch_size: int | None = 64,
        operator: Any = None,
        patch_size: Any = 3,
        patch_stride: Any = None,
        occlusion_value: float = 0.0,
        output_layer_index: Any = None,
        fold_layers: bool = False,
    ) -> None:
        super().__init__(
            model,
            output_layer,
            batch_size,
            operator,
            None,
            None,
            output_layer_index,
            fold_layers=fold_layers,
        )
        self.patch_size = patch_size
        self.patch_stride = patch_size if patch_stride is None else patch_stride
        number = isinstance(occlusion_value, int | float | np.number) and not isinstance(
            occlusion_value, bool
        )
        if not number or not np.isfinite(occlusion_value):
            raise InputError(f"occlusion_value is a finite number. Received: {occlusion_value!r}.")
        self.occlusion_value = float(occlusion_value)

    def empty(self, arrays: Arrays) -> Arrays:
        return [np.zeros((0, *self._shape(arrays)[0]))]

    def _shape(self, arrays: Arrays) -> tuple[tuple[int, ...], int | None]:
        """Return the shape of one map, and the axis of the channels in a batch of inputs."""
        if len(arrays) != 1:
            raise InputError(f"Occlusion covers one input. Received: a model with {len(arrays)}.")
        rank = arrays[0].ndim
        channels = self.score.source.channel_axis(0, rank) if rank > 2 else None
        sizes = enumerate(arrays[0].shape[1:], 1)
        return tuple(1 if axis == channels else size for axis, size in sizes), channels

    def attribute(self, arrays: Arrays, targets: npt.NDArray[Any]) -> Attribution:
        shape, channels = self._shape(arrays)
        (array,) = arrays
        sizes = [size for axis, size in enumerate(array.shape[1:], 1) if axis != channels]
        patches = _patches(sizes, self._sides("patch_size", sizes), self._sides("patch_stride", sizes))
        scores = self.score.values(arrays, targets)
        falls = np.zeros((len(array), *sizes))
        covers = np.zeros(sizes)
        at_once = max(1, (self.batch_size or len(array) * len(patches)) // len(array))
        for start in range(0, len(patches), at_once):
            some = patches[start : start + at_once]
            covered = np.stack([array] * len(some))
            for patch, copies in zip(some, covered, strict=True):
                copies[_with_channels(patch, channels)] = self.occlusion_value
            repeated = np.concatenate([targets] * len(some))
            left = self.score.values([covered.reshape(-1, *array.shape[1:])], repeated)
            for patch, fall in zip(some, scores - left.reshape(len(some), -1), strict=True):
                falls[_with_channels(patch, None)] += fall.reshape(-1, *[1] * len(sizes))
                covers[patch] += 1
        heat = falls / np.maximum(covers, 1)
        return Attribution([heat.reshape(len(array), *shape)], scores)

    def _sides(self, name: str, sizes: list[int]) -> list[int]:
        given = getattr(self, name)
        several = list(given) if isinstance(given, list | tuple) else [given] * len(sizes)
        if len(several) != len(sizes):
            raise InputError(f"{name} is a number, or one per axis of {sizes}. Received: {given!r}.")
        return [whole(name, side) for side in several]


def _patches(sizes: list[int], sides: list[int], strides: list[int]) -> list[tuple[slice, ...]]:
    """Return the patches, each a slice per axis."""
    axes = [
        [slice(start, start + side) for start in range(0, size, stride)]
        for size, side, stride in zip(sizes, sides, strides, strict=True)
    ]
    return list(itertools.product(*axes))


def _with_channels(patch: tuple[slice, ...], channels: int | None) -> tuple[slice, ...]:
    """Return the index of a patch in a batch, all its channels included."""
    index = [slice(None), *patch]
    if channels is not None:
        index.insert(channels, slice(None))
    return tuple(index)
