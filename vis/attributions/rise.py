"""RISE: the mean score of inputs of which random, smooth masks keep a part."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from vis import checks
from vis.attributions.base import Attribution
from vis.attributions.batches import Arrays
from vis.attributions.operators import OperatorLike
from vis.attributions.perturbed import BaselineLike, Perturbed
from vis.errors import InputError
from vis.typing import Explainable, Layer


class Rise(Perturbed):
    """RISE: `sum_i S(m_i x + (1 - m_i) b) m_i / sum_i m_i`, the mean score where a position is kept.

    A mask is a grid of cells, each 1 with probability p and else 0, enlarged linearly by one cell more than
    the input and cut at a random offset. The paper divides by the expected sum, `n p`; this sum is exact.

    Args:
        nb_samples: the number of masks.
        grid_size: the number of cells along each axis, at most the size of the axis; one int, or one per
            axis of `(H, W)`, `(D, H, W)`, `(T, W)` or `(W,)`.
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
        grid_size: int | tuple[int, ...] = 7,
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
        cells = grid_size if isinstance(grid_size, list | tuple) else (grid_size,)
        self.grid_size = grid_size
        for each in cells:
            checks.whole("grid_size", each)
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
            _Field(self._cells(shape, axis), shape, self.nb_samples, self.preservation_probability, random)
            for shape, axis in zip(shapes, axes, strict=True)
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

    def _cells(self, shape: list[int], axis: int | None) -> list[int]:
        """Return the number of cells along each axis of a sample, 1 for its channels."""
        sizes = [size for at, size in enumerate(shape, 1) if at != axis]
        given = self.grid_size if isinstance(self.grid_size, list | tuple) else [self.grid_size] * len(sizes)
        if len(given) != len(sizes):
            raise InputError(
                f"grid_size must be a number, or one per axis of {sizes}. Received: {self.grid_size!r}."
            )
        cells = [min(each, size) for each, size in zip(given, sizes, strict=True)]
        if axis is not None:
            cells.insert(axis - 1, 1)
        return cells


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
