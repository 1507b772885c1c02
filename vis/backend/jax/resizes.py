"""Resizes: products with matrices that interpolate between positions, and lookups of the nearest one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from vis.backend.jax.attributes import Sizes, Told
from vis.backend.jax.known import Known


def resize(equation: Any, imagined: Known, product_of: Callable[[Any], Any]) -> tuple[Told, list[Any]] | None:
    """Return the resize that ends here: products with weights along single axes, and a transposition.

    Args:
        equation: the last equation.
        imagined: what is known, or would be if the sizes of the inputs were.
        product_of: the product that computes a variable, or None.

    Returns:
        the resize, and the equations before the last one, from the last to the first.
    """
    before: list[Any] = []
    steps: list[tuple[int, int, npt.NDArray[Any]]] = []
    turned = equation.primitive.name == "transpose"
    x = equation.invars[0] if turned else equation.outvars[0]
    while (product := product_of(x)) is not None:
        weighed = _weighed(product, imagined)
        if weighed is None:
            break
        x, step = weighed
        steps.append(step)
        before.append(product)
    order, matrices = list(range(len(x.aval.shape))), {}
    for axis, place, weights in reversed(steps):
        moved = order.pop(axis)
        if moved in matrices:
            return None
        order.insert(place, moved)
        matrices[moved] = weights
    if turned:
        order = [order[axis] for axis in equation.params["permutation"]]
    ways = {interpolation(weights) for weights in matrices.values()}
    if not steps or len(order) < 3 or order != sorted(order) or len({start for _, start in ways}) != 1:
        return None
    methods, starts = zip(*ways, strict=True)
    if "" in methods:
        return None
    method = methods[0] if len(set(methods)) == 1 else "linear"
    shape = equation.outvars[0].aval.shape
    sizes = {axis: shape[axis] for axis in matrices}
    return resized(x, sizes, method, starts[0]), before if turned else before[1:]


def _weighed(product: Any, imagined: Known) -> tuple[Any, tuple[int, int, npt.NDArray[Any]]] | None:
    """Return what a product multiplies by a matrix that is known, along which of its axes, where the new
    axis lies, and the weights, `(old, new)`.
    """
    contracted, batched = product.params["dimension_numbers"]
    if len(contracted[0]) != 1 or len(batched[0]):
        return None
    for side in (0, 1):
        matrix, x = product.invars[side], product.invars[1 - side]
        numbers = imagined.full(matrix)
        if numbers is None or numbers.ndim != 2 or imagined.array(x) is not None:
            continue
        old, axis = int(contracted[side][0]), int(contracted[1 - side][0])
        place = 0 if side == 0 else len(x.aval.shape) - 1
        return x, (axis, place, numbers if old == 0 else numbers.T)
    return None


def interpolation(weights: npt.NDArray[Any]) -> tuple[str, str]:
    """Return how weights, `(old, new)`, interpolate between positions, and the attribute that says where the
    first new position lies; empty texts if they do not.
    """
    old, new = weights.shape
    weights = weights.astype(np.float64)
    if not np.allclose(weights.sum(axis=0), 1, atol=1e-3):
        return "", ""
    index = np.arange(new)
    centres = np.arange(old) @ weights
    nearest = bool(np.all(np.isin(weights, (0, 1))))
    inner = (weights[0] == 0) & (weights[-1] == 0)
    checked = inner if inner.any() else np.ones(new, bool)
    scale = old / new
    ways = {
        "half_pixel_centers": (index + 0.5) * scale - 0.5,
        "align_corners": index * (old - 1) / max(new - 1, 1),
        "": index * scale,
    }
    apart = {way: float(np.abs(centres - wanted)[checked].mean()) for way, wanted in ways.items()}
    start = min(apart, key=apart.__getitem__)
    far = np.abs(np.arange(old)[:, None] - ways[start])
    # Weights far from the centre of a position are no interpolation.
    if apart[start] > 0.5 * max(scale, 1) or np.any((far > 4 * max(scale, 1) + 1) & (np.abs(weights) > 1e-6)):
        return "", ""
    return "nearest" if nearest else "linear", start


def nearest(x: Any, axis: int, indices: npt.NDArray[Any]) -> Told | None:
    """Return a resize if each position takes the nearest one, other than at equal steps."""
    old, new = x.aval.shape[axis], indices.size
    if indices.ndim != 1 or not isinstance(old, int) or new < 2 or len(set(np.diff(indices))) == 1:
        return None
    # Rounded down, up to the precision with which the positions were computed.
    behind = (np.arange(new) + 0.5) * old / new - indices
    if np.any(behind < -1e-3) or np.any(behind > 1 + 1e-3):
        return None
    return resized(x, {axis: new}, "nearest")


def resized(x: Any, sizes: Mapping[int, int], method: str, start: str = "half_pixel_centers") -> Told:
    """Return a resize.

    Args:
        x: what is resized.
        sizes: the new size of each axis that is resized.
        method: how.
        start: the attribute that says where the first position lies, or an empty text.
    """
    axes = tuple(sorted(sizes))
    places = {name: name == start for name in ("align_corners", "half_pixel_centers")}
    return Told(
        "resize", (x, Sizes(tuple(sizes[axis] for axis in axes))), {"axes": axes, "method": method, **places}
    )
