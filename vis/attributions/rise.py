"""RISE: the mean score of inputs of which random, smooth masks keep a part."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from vis import checks
from vis.attributions.base import Attribution
from vis.attributions.batches import Arrays
from vis.attributions.operators import OperatorLike
from vis.attributions.perturbed import BaselineLike, Perturbed, of_each
from vis.errors import InputError
from vis.typing import Explainable, Layer


class Rise(Perturbed):
    """RISE: `sum_i S(m_i x + (1 - m_i) b) m_i / sum_i m_i`, the mean score where a position is kept.

    A mask is a grid of cells, each 1 with probability p and else 0, enlarged linearly by one cell more than
    the input and cut at a random offset. The paper divides by the expected sum, `n p`; this sum is exact.

    Args:
        nb_samples: the number of masks.
        grid_size: the number of cells along each axis, at most the size of the axis; one int, or one per
            axis of `(H, W)`, `(D, H, W)`, `(T, W)` or `(W,)`. For several inputs, one int, or a list or dict
            of numbers of cells.
        preservation_probability: p, between 0 and 1.
        seed: of the masks, which are the same for each sample.
        model, output_layer, batch_size, operator, baseline, output_layer_index, wrt, fold_layers: see
            `Perturbed`.
        progress: see `Perturbed`.

    Returns from `explain`:
        `(N, H, W, 1)`, `(N, T, W)`, `(N, W)`, in units of the score; a map for each of several inputs, whose
        masks are drawn together.

    Raises:
        InputError: if an option is out of its range, or the input is of integers or text.

    Reference:
        Petsiuk, Das, Saenko: RISE: Randomized Input Sampling for Explanation of Black-box Models, 2018,
        equation (6) and section 3.2.
    """

    def __init__(
        self,
        model: Explainable,
        output_layer: Layer | None = None,
        batch_size: int | None = 64,
        operator: OperatorLike = None,
        nb_samples: int = 4000,
        grid_size: int | Sequence[Any] | Mapping[str, Any] = 7,
        preservation_probability: float = 0.5,
        baseline: BaselineLike = 0.0,
        seed: int = 0,
        *,
        output_layer_index: Layer | None = None,
        wrt: Layer | None = None,
        fold_layers: bool = False,
        progress: bool = False,
    ) -> None:
        super().__init__(
            model,
            output_layer,
            batch_size,
            operator,
            baseline,
            output_layer_index=output_layer_index,
            wrt=wrt,
            fold_layers=fold_layers,
            progress=progress,
        )
        self.nb_samples = checks.whole("nb_samples", nb_samples)
        self.grid_size = grid_size
        for each in keras.tree.flatten(grid_size):
            checks.whole("grid_size", each)
        # How many axes there are is known where the model has a symbolic input.
        symbols = None if wrt is not None else self.score.source.symbols
        if symbols is not None:
            self._cells([(1, *symbol.shape[1:]) for symbol in keras.tree.flatten(symbols)])
        if not checks.is_number(preservation_probability) or not 0 < preservation_probability < 1:
            raise InputError(
                "preservation_probability must be a number between 0 and 1. Received: "
                f"{preservation_probability!r}."
            )
        self.preservation_probability = float(preservation_probability)
        self.seed = checks.whole("seed", seed, 0)

    def attribute(self, arrays: Arrays, targets: npt.NDArray[Any]) -> Attribution:
        explained = self.score.explained(arrays)
        axes = self.channels(explained)
        shapes = [self.positions(*each) for each in zip(explained, axes, strict=True)]
        random = np.random.default_rng(self.seed)
        fields = [
            _Field(cells, shape, self.nb_samples, self.preservation_probability, random)
            for cells, shape in zip(self._cells([each.shape for each in explained]), shapes, strict=True)
        ]
        sums = [np.zeros((len(targets), *shape)) for shape in shapes]
        kept = [np.zeros((len(targets), *shape)) for shape in shapes]
        counts = [self.nb_samples] * len(targets)
        drawn = self.perturbed(arrays, targets, counts, lambda _, part: [field[part] for field in fields])
        for sample, _, masks, scores in drawn:
            for index, mask in enumerate(masks):
                sums[index][sample] += np.tensordot(scores, mask, 1)
                kept[index][sample] += mask.sum(axis=0)
        found = [
            np.divide(total, weight, out=np.zeros_like(total), where=weight > 0)
            for total, weight in zip(sums, kept, strict=True)
        ]
        return Attribution(found)

    def _cells(self, shapes: Sequence[Any]) -> list[list[int]]:
        """Return the number of cells along each axis of a sample of each input, 1 for its channels.

        Args:
            shapes: of batches of each input.
        """
        found = []
        for shape, axis, given in zip(
            shapes, self.channels(shapes), self.per_input(self.grid_size, len(shapes)), strict=True
        ):
            sizes = [size for at, size in enumerate(shape) if at not in (0, axis)]
            counts = of_each("grid_size", given, sizes)
            cells = [
                each if size is None else min(each, size) for each, size in zip(counts, sizes, strict=True)
            ]
            found.append(cells if axis is None else [*cells[: axis - 1], 1, *cells[axis - 1 :]])
        return found


class _Field:
    """Smooth random masks, made part by part.

    Args:
        cells: the number of cells along each axis.
        shape: of a mask.
        count: how many masks.
        probability: that a cell is 1.
        random: draws them.
    """

    def __init__(
        self, cells: list[int], shape: list[int], count: int, probability: float, random: np.random.Generator
    ) -> None:
        self.grids = random.random((count, *cells)) < probability
        sides = [-(-size // number) for size, number in zip(shape, cells, strict=True)]
        self.offsets = [random.integers(0, side, count) for side in sides]
        self.weights = [
            _enlarged(number, side) if number > 1 or size > 1 else np.ones((1, 1))
            for number, side, size in zip(cells, sides, shape, strict=True)
        ]
        self.shape = shape

    def __getitem__(self, part: slice) -> npt.NDArray[np.float64]:
        masks = self.grids[part].astype(np.float64)
        for axis, (weights, offsets, size) in enumerate(
            zip(self.weights, self.offsets, self.shape, strict=True), 1
        ):
            rows = weights[offsets[part, None] + np.arange(size)]  # (masks, size, cells)
            moved = np.moveaxis(masks, axis, 1)
            flat = rows @ moved.reshape(*moved.shape[:2], -1)
            masks = np.moveaxis(flat.reshape(len(flat), size, *moved.shape[2:]), 1, axis)
        return masks


def _enlarged(cells: int, side: int) -> npt.NDArray[np.float64]:
    """Return the weights of cells at each position when they are enlarged to one cell more, linearly."""
    positions = (cells + 1) * side
    at = np.clip((np.arange(positions) + 0.5) * cells / positions - 0.5, 0, cells - 1)
    low = np.minimum(at.astype(int), max(cells - 2, 0))
    weights = np.zeros((positions, cells))
    weights[np.arange(positions), low] = 1 - (at - low)
    weights[np.arange(positions), np.minimum(low + 1, cells - 1)] += at - low
    return weights
