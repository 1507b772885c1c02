"""Occlusion: what the score loses when a part of the input is covered."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ParamSpec

import keras
import numpy as np
import numpy.typing as npt

from vis import models
from vis.attributions.base import Attribution
from vis.attributions.batches import Arrays
from vis.attributions.operators import OperatorLike
from vis.attributions.perturbed import BaselineLike, Perturbed, of_each
from vis.errors import InputError, LayerError
from vis.typing import Explainable, Layer

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


class Occlusion(Perturbed):
    """How much the score falls when a patch is covered: the mean of `S(x) - S(x covered)` over the patches.

    Each value of a map is the mean over all patches that cover it. Patches start at the multiples of the
    stride; the last one ends with the input, so that none is cut. In images and volumes, a patch covers all
    channels; in sequences, it covers time steps and features. Of several inputs, one is covered at a time.

    Args:
        model, output_layer, batch_size, operator, output_layer_index, fold_layers, wrt: see `Perturbed`.
        patch_size: the sides of a patch, one int or an int per axis of `(H, W)`, `(D, H, W)`, `(T, W)` (time
            steps and features) or `(W,)`. A side longer than its axis covers all of it. For several inputs,
            one int, or a list or dict of sides.
        patch_stride: the distance from one patch to the next, at most the side, likewise; None for
            `patch_size`.
        occlusion_value: the value that replaces the covered ones, or what else `Perturbed` takes as a
            baseline.
        progress: see `Perturbed`.

    Returns from `explain`:
        `(N, H, W, 1)`, `(N, T, W)`, `(N, W)`; one for each of several inputs.

    Raises:
        InputError: if a size or a stride is not a positive integer, a stride is larger than its side, or
            the value is not finite.
        LayerError: for a positive number as the second argument, which is the batch size in Xplique.

    Reference:
        Zeiler, Fergus: Visualizing and Understanding Convolutional Networks, 2014.
    """

    @_no_number_second
    def __init__(
        self,
        model: Explainable,
        output_layer: Layer | None = None,
        batch_size: int | None = 64,
        operator: OperatorLike = None,
        patch_size: int | Sequence[Any] | Mapping[str, Any] = 3,
        patch_stride: int | Sequence[Any] | Mapping[str, Any] | None = None,
        occlusion_value: BaselineLike = 0.0,
        output_layer_index: Layer | None = None,
        fold_layers: bool = False,
        *,
        wrt: Layer | None = None,
        progress: bool = False,
    ) -> None:
        self._ask(model, output_layer, output_layer_index, operator, None, wrt, fold_layers)
        self._set_up(batch_size, None)
        self._perturb("occlusion_value", occlusion_value, progress)
        self.patch_size = patch_size
        self.patch_stride = patch_size if patch_stride is None else patch_stride
        # How many axes there are is known where the model has a symbolic input.
        symbols = None if wrt is not None else self.score.source.symbols
        known = [None] if symbols is None else [symbol.shape for symbol in keras.tree.flatten(symbols)]
        self._patches(known)

    @property
    def occlusion_value(self) -> Any:
        """What replaces the covered values."""
        return self.baseline

    def _arguments(self) -> dict[str, Any]:
        stride = None if self.patch_stride == self.patch_size else self.patch_stride
        return {**super()._arguments(), "patch_stride": stride}

    def settings(self) -> dict[str, Any]:
        said = super().settings()
        value = said.pop("baseline")
        return {**said, "occlusion_value": value}

    def _patches(self, shapes: Sequence[Any]) -> list[list[tuple[slice, ...]]]:
        """Return the patches of each input, for batches of some shapes, of which one may be unknown."""
        sides = self.per_input(self.patch_size, len(shapes))
        strides = self.per_input(self.patch_stride, len(shapes))
        axes = [None] if shapes == [None] else self.channels(shapes)
        found = []
        for shape, axis, side, stride in zip(shapes, axes, sides, strides, strict=True):
            sizes = None if shape is None else [size for at, size in enumerate(shape) if at not in (0, axis)]
            pair = of_each("patch_size", side, sizes), of_each("patch_stride", stride, sizes)
            alone = 1 in map(len, pair)
            if any(far > near for near, far in (itertools.product if alone else zip)(*pair)):
                raise InputError(
                    "patch_stride must be at most patch_size, so that every value is covered. Received: "
                    f"patch_stride={stride!r}, patch_size={side!r}."
                )
            if sizes is not None and None not in sizes:
                found.append([_with_channels(patch, axis) for patch in _tiles(sizes, *pair)])
        return found

    def attribute(self, arrays: Arrays, targets: npt.NDArray[Any]) -> Attribution:
        explained = self.score.explained(arrays)
        axes = self.channels(explained)
        shapes = [self.positions(*each) for each in zip(explained, axes, strict=True)]
        tiles = self._patches([array.shape for array in explained])
        patches = [(which, patch) for which, own in enumerate(tiles) for patch in own]
        whole = self.score.values(arrays, targets)
        falls = [np.zeros((len(whole), *shape)) for shape in shapes]
        covers = [np.zeros(shape) for shape in shapes]
        for which, patch in patches:
            covers[which][patch] += 1

        def masks(sample: int, part: slice) -> Arrays:
            some = patches[part]
            kept = [np.ones((len(some), *shape), bool) for shape in shapes]
            for number, (which, patch) in enumerate(some):
                kept[which][number, ...][patch] = False
            return kept

        counts = [len(patches)] * len(whole)
        for sample, part, _, scores in self.perturbed(arrays, targets, counts, masks):
            for (which, patch), score in zip(patches[part], scores, strict=True):
                falls[which][sample, ...][patch] += whole[sample] - score
        return Attribution([fall / cover for fall, cover in zip(falls, covers, strict=True)], whole)


def _tiles(sizes: list[int], sides: list[int], strides: list[int]) -> list[tuple[slice, ...]]:
    """Return the patches, each a slice per axis; the last one along an axis ends with it."""
    axes = []
    for size, side, stride in zip(sizes, sides, strides, strict=True):
        last = max(size - side, 0)
        axes.append([slice(start, start + side) for start in [*range(0, last, stride), last]])
    return list(itertools.product(*axes))


def _with_channels(patch: tuple[slice, ...], axis: int | None) -> tuple[slice, ...]:
    """Return a patch of a sample with all channels, whose axis in a batch is given."""
    return patch if axis is None else (*patch[: axis - 1], slice(None), *patch[axis - 1 :])
