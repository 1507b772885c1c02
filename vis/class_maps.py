"""Shared by class activation maps: the layers they are computed from, and placing a map over the input."""

from __future__ import annotations

import functools
import operator
import threading
import weakref
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from vis import backend, checks, maps, models
from vis.engine import Differentiation, Evaluated
from vis.errors import InputError, StretchedMapWarning, warn
from vis.graph import Positions
from vis.graph.positions import Grid as Grid  # other rooms name it, too
from vis.models import Weighted
from vis.weak import WeakTable

Array = npt.NDArray[Any]
# heat(gradient, features) -> (batch, *positions), both (batch, *positions, channels); negative values count 0
Heat = Callable[[Array, Array], Array]

# By the graph that was read. Layers are held weakly, so an entry lives as long as its model.
_Known = list[tuple[Callable[[], Any], dict[int, Positions]]]
_lock = threading.Lock()
_found: WeakTable[_Known] = WeakTable()


def checked_grid(grid: Any) -> Grid | None:
    """Return rows and columns of tokens, or None.

    Raises:
        InputError: unless it is a pair of whole numbers of at least 1.
    """
    if grid is None:
        return None
    found = checks.pair(grid, operator.index)
    if found is None or min(found) < 1:
        raise InputError(
            f"grid is a pair (height, width) of whole numbers of at least 1. Received: {grid!r}."
        )
    return found


def weighted_layers(
    model: Any, specs: Sequence[backend.Spec], named: Any, end: Any, grid: Grid | None
) -> list[Weighted]:
    """Return the layers whose feature maps a class activation map weights.

    Args:
        model: the model.
        specs: its inputs in flat order.
        named: the layer that the user has named, or None for those that the model's graph shows.
        end: the layer whose output is explained, or None for the model's outputs.
        grid: rows and columns of tokens, where the computation does not show them.

    Raises:
        LayerError: if no layer has positions, or the named one has none.
    """
    # The ids of layers that live as long as the model does.
    points = (models.lasting(point) for point in (named, end))
    key = (*((id(thing), which) for thing, which in points), grid)
    with _lock:
        graph = models.read(model, specs)
        known = _found.get([graph], key)
        if known is None:
            reading = models.Reading(models.unmodified(model)[0], graph, grid)
            made = reading.default(end) if named is None else [reading.named(named)]
            known = _found.put([graph], [(_recalled(layer.point), layer.over) for layer in made], key)
    return [Weighted(point(), over) for point, over in known]


def _recalled(point: Any) -> Callable[[], Any]:
    """Return a function that returns a point. A call, which nothing else holds, is held."""
    return (lambda: point) if isinstance(point, models.Call) else weakref.ref(point)


def weighted(
    objective: Differentiation[Any],
    layers: Sequence[Weighted],
    arrays: Sequence[Array],
    targets: Array | None = None,
) -> tuple[list[tuple[Weighted, Array, Array]], Evaluated]:
    """Return each layer with the gradient of an objective by its output, and that output; and the evaluation.

    Args:
        objective: what is explained.
        layers: at least one.
        arrays, targets: see `Differentiation.gradients`.
    """
    found = []
    for layer in layers:
        evaluated = objective.gradients(arrays, targets, layer.point)
        (gradient,), (features,) = evaluated.gradients, evaluated.values
        assert gradient is not None  # noqa: S101 - a missing path has raised
        found.append((layer, gradient, features))
    return found, evaluated


def grad_cam(gradient: Array, features: Array) -> Array:
    """Return `sum_k a_k F_k` with `a_k = mean_p g_k(p)`.

    Args:
        gradient: g, `(batch, *positions, channels)`.
        features: F, of the same shape.

    Returns:
        The map over the positions, `(batch, *positions)`.

    Reference:
        Selvaraju et al.: Grad-CAM, 2017, equations (1) and (2).
    """
    weights = gradient.mean(axis=tuple(range(1, gradient.ndim - 1)), keepdims=True)
    return np.asarray((weights * features).sum(axis=-1))


class Laid:
    """Maps over inputs, summed layer by layer.

    Args:
        arrays: the inputs in flat order, each `(batch, ...)`.
        upsample: whether a map covers the input, or stays at the layer's own positions.

    Attributes:
        maps: by the index of the input, without an axis of channels.
    """

    def __init__(self, arrays: Sequence[Array], upsample: bool = True) -> None:
        self._arrays = arrays
        self._upsample = upsample
        self.maps: dict[int, Array] = {}

    def add(self, layer: Weighted, gradient: Array, features: Array, heat: Heat) -> None:
        """Add the map of a layer.

        Args:
            layer: the layer, with the inputs that it sees.
            gradient, features: `(batch, ...)`.
            heat: makes a map over the positions of both.
        """
        for index, found in layer.over.items():
            wide = [found.moved(array.astype(np.float64)) for array in (gradient, features)]
            self.place(layer.point.name, index, np.maximum(heat(*wide), 0), found)

    def place(self, name: str, index: int, small: Array, found: Positions) -> None:
        """Add a map over the positions of a layer, `(batch, *positions)`.

        Args:
            name: the layer's.
            index: of the input that the positions lie over.
            small: the map.
            found: the positions.
        """
        if found.lost and self._upsample:
            warn(
                f"The positions of the layer {name!r} cannot be followed to the input of shape "
                f"{self._arrays[index].shape[1:]}, because of {found.lost}. The map is stretched over the "
                "whole input, which is wrong if the input was cropped or padded. Choose an earlier layer.",
                StretchedMapWarning,
            )
        self._add(index, placed(small, found, self._sizes(index, found)) if self._upsample else small)

    def add_empty(self, layer: Weighted) -> None:
        """Add the map of a layer for an empty batch."""
        for index, found in layer.over.items():
            self.add_nothing(index, found)

    def add_nothing(self, index: int, found: Positions) -> None:
        """Add the map of an empty batch over an input."""
        self._add(index, np.zeros((0, *(self._sizes(index, found) if self._upsample else found.sizes))))

    def _sizes(self, index: int, found: Positions) -> tuple[int, ...]:
        return tuple(self._arrays[index].shape[axis] for axis in found.sources)

    def _add(self, index: int, large: Array) -> None:
        self.maps[index] = self.maps[index] + large if index in self.maps else large

    def result(self, trailing: bool) -> list[Array]:
        """Return one map if the layers see one input, else one for each input, zeros for those not seen.

        Args:
            trailing: whether the maps end with an axis of one channel.
        """
        made = {index: array[..., None] if trailing else array for index, array in self.maps.items()}
        if len(made) == 1:
            return list(made.values())
        return [made.get(index, np.zeros(array.shape)) for index, array in enumerate(self._arrays)]


def placed(small: Array, found: Positions, sizes: tuple[int, ...]) -> Array:
    """Return a map over positions, `(batch, ...)`, as a map over an input, `(batch, *sizes)`.

    Linear between the centres of receptive fields; constant beyond the outermost ones, as far as they see;
    zero where nothing is seen.

    Args:
        small: the map.
        found: where its positions lie.
        sizes: those of the input, without its batch and channels.
    """
    if found.along is None:
        return maps.upsample(small, (len(small), *sizes))
    order = [row.dimension for row in found.along if row.dimension is not None]
    # One axis for each axis of the input, of size 1 where the positions do not run along it.
    small = np.transpose(small, [0, *(dimension + 1 for dimension in order)])
    for axis, row in enumerate(found.along, start=1):
        if row.dimension is None:
            small = np.expand_dims(small, axis)
    for axis, (row, size) in enumerate(zip(found.along, sizes, strict=True), start=1):
        weights = _weights(small.shape[axis], size, row.stride, row.offset, row.reach, row.bounds)
        small = np.moveaxis(np.tensordot(weights, small, (1, axis)), 0, axis)
    return small


def spread(large: Array, found: Positions, rank: int) -> Array:
    """Return a map over an input, `(batch, *sizes)`, with axes of size 1 for the others of the input.

    Args:
        large: the map.
        found: the positions, which tell the axes of the input that it covers.
        rank: the number of axes of the input.
    """
    return np.expand_dims(large, [axis for axis in range(1, rank) if axis not in found.sources])


@functools.lru_cache(64)
def _weights(
    count: int, size: int, stride: float, offset: float, reach: float, bounds: tuple[float, float]
) -> npt.NDArray[np.float64]:
    """Return the weight of each position in each pixel along an axis of the input, `(size, count)`."""
    here = np.arange(size)
    last = offset + stride * (count - 1)
    low, high = min(offset, last) - reach, max(offset, last) + reach
    if not stride:
        low, high = -np.inf, np.inf
    low, high = max(low, bounds[0]), min(high, bounds[1])
    # A pixel extends half its width to both sides.
    seen = (here + 0.5 > low + 1e-6) & (here - 0.5 < high - 1e-6) | (here == low) | (here == high)
    at = np.clip((here - offset) / stride, 0, count - 1) if stride else np.zeros(size)
    weights = np.maximum(1 - np.abs(at[:, None] - np.arange(count)), 0) * seen[:, None]
    weights.setflags(write=False)
    return np.asarray(weights)
