"""Steps of gradient descent on an input, where a step is a function of tensors.

The steps are written in `keras.ops`, and hold no state: so is the update of a Keras optimizer.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
import numpy.typing as npt
from keras import ops

from vis.backend.contract import Coverage, DescentState, Forward, Spec, Steps
from vis.graph import Graph

Modify = Callable[[npt.NDArray[Any]], npt.NDArray[Any]]


class Slope(NamedTuple):
    """The loss of each sample, `(batch,)`, of each term and sample, `(terms, batch)`, and the gradient."""

    loss: Any
    terms: Any
    gradient: Any


class Point(NamedTuple):
    """Where a descent is: the fields of a `DescentState`, as tensors."""

    x: Any
    variables: list[Any]
    best: Any
    best_loss: Any
    slope: Slope


class Descent(ABC):
    """Steps of gradient descent; a backend has the slope, and runs the steps.

    Args:
        specs: what the forward pass takes.
        steps: what the steps are.
        widest: the data type of the losses.
    """

    coverage: Coverage | None = None
    draws: tuple[str, ...] = ()
    reading: Graph | None = None

    def __init__(self, specs: Sequence[Spec], steps: Steps, widest: str) -> None:
        shape: Any = steps.start.shape
        self._steps, self._widest = steps, widest
        self._variable = keras.Variable(np.zeros(shape), dtype=steps.start.dtype)
        steps.optimizer.build([self._variable])
        # Read once: the state before the first step.
        self._initial = [ops.convert_to_numpy(held) for held in steps.optimizer.variables]
        self._dtype = np.dtype(steps.start.dtype)
        self._dtypes = [np.dtype(spec.dtype) for spec in (*specs[steps.made :], *steps.drawn)]

    @abstractmethod
    def _run(
        self,
        forward: Forward,
        point: Point,
        steps: int,
        rest: list[Any],
        drawn: list[Any],
        modify: Modify | None,
    ) -> Point:
        """Return where some steps lead, given arrays."""

    def start(self, x: npt.ArrayLike) -> DescentState:
        array = np.asarray(x, self._dtype)
        worst = np.full(len(array), np.inf)
        nothing = np.zeros((self._steps.terms, len(array)))
        return DescentState(array, self._initial, array, worst, worst, nothing, np.zeros_like(array))

    def advance(
        self,
        state: DescentState,
        steps: int,
        arrays: Sequence[npt.ArrayLike],
        drawn: Sequence[npt.ArrayLike] = (),
        modify: Modify | None = None,
        *,
        forward: Forward,
    ) -> DescentState:
        given = zip([*arrays, *drawn], self._dtypes, strict=True)
        cast = [np.asarray(array, dtype) for array, dtype in given]
        rest, own = cast[: len(arrays)], cast[len(arrays) :]
        found = self._run(forward, self._point(state), steps, rest, own, modify)
        x, variables, best, best_loss, slope = keras.tree.map_structure(ops.convert_to_numpy, found)
        return DescentState(x, variables, best, best_loss, *slope)

    def _point(self, state: DescentState) -> Point:
        dtype, wide = self._dtype, self._widest
        slope = Slope(state.loss.astype(wide), state.terms.astype(wide), state.gradient.astype(dtype))
        best, best_loss = state.best.astype(dtype), state.best_loss.astype(wide)
        return Point(state.x.astype(dtype), list(state.variables), best, best_loss, slope)

    def _slope(self, of_samples: Any, terms: Sequence[Any], gradient: Any) -> Slope:
        """Return the slope, given what a forward pass tells (see `Traced`), and the gradient of its loss."""
        samples = gradient.shape[0]

        def per_sample(value: Any) -> Any:
            return ops.broadcast_to(ops.cast(value, self._widest), (samples,))

        told = ops.stack([per_sample(term) for term in terms])
        return Slope(per_sample(of_samples), told, _unit(gradient) if self._steps.normalize else gradient)

    def _moved(self, point: Point, slope: Slope) -> Point:
        """Return where one step along a slope leads."""
        best, best_loss = best_of(point.x, slope.loss, point.best, point.best_loss)
        update = self._steps.optimizer.stateless_apply
        (x,), variables = update(point.variables, [slope.gradient], [point.x])
        return Point(x, variables, best, best_loss, slope)


def best_of(x: Any, loss: Any, best: Any, best_loss: Any) -> tuple[Any, Any]:
    """Return for each sample the better of two inputs, with its loss; the second if they are equal."""
    better = loss < best_loss
    of_sample = ops.reshape(better, (-1, *[1] * (len(x.shape) - 1)))
    return ops.where(of_sample, x, best), ops.where(better, loss, best_loss)


def modified(slope: Slope, modify: Modify) -> Slope:
    """Return a slope whose gradient a function of arrays has changed."""
    gradient = ops.convert_to_numpy(slope.gradient)
    changed = np.asarray(modify(gradient), gradient.dtype)
    return slope._replace(gradient=ops.convert_to_tensor(changed))


def _unit(gradient: Any) -> Any:
    """Return the gradient of each sample divided by its Euclidean norm; zeros stay zero."""
    axes = tuple(range(1, len(gradient.shape)))
    # Dividing by the largest value first keeps the squares from overflowing or vanishing.
    largest = ops.max(ops.abs(gradient), axes, keepdims=True)
    scaled = gradient / ops.where(largest > 0, largest, 1)
    return scaled / ops.sqrt(ops.maximum(ops.sum(ops.square(scaled), axes, keepdims=True), 1))
