"""Random changes of inputs: the same for each sample, so that a value does not depend on other samples."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from vis import checks
from vis.attributions.sampled import checked_scale, units
from vis.errors import InputError
from vis.metrics.samples import amount
from vis.words import NoiseScale

# perturbation(one input, its random numbers) -> how much each value of it changes
Perturbation: TypeAlias = Callable[[npt.NDArray[Any], np.random.Generator], npt.ArrayLike]


def drawn(perturbation: Perturbation, array: npt.NDArray[Any], seed: int, number: int) -> npt.NDArray[Any]:
    """Return the change of each input, `(n, ...)`, float64.

    Args:
        perturbation: called with each input.
        array: the inputs, `(n, ...)`.
        seed, number: make the random numbers; all inputs get the same.
    """
    found = [
        checks.real(perturbation(one, np.random.default_rng([seed, number])), "A perturbation")
        for one in (array[row, ...].copy() for row in range(len(array)))  # arrays, if without axes too
    ]
    wrong = [each for each in found if each.shape != array.shape[1:] or not np.isfinite(each).all()]
    if wrong:
        raise InputError(
            f"A perturbation must be finite and have the shape of one input, {array.shape[1:]}. "
            f"Received: shape {wrong[0].shape}."
        )
    return np.stack(found).astype(np.float64)


def noisy(
    name: str, size: float, noise_scale: NoiseScale, draw: Callable[[Any, Any], npt.NDArray[Any]]
) -> Perturbation:
    """Return a perturbation by noise.

    Args:
        name: what the caller names the size.
        size: of the noise, in the unit of `noise_scale`.
        noise_scale: see `vis.attributions.SmoothGrad`.
        draw: draws noise of size 1 by a generator, in a shape.
    """
    size, noise_scale = amount(name, size), checked_scale(noise_scale)

    def noise(one: npt.NDArray[Any], random: np.random.Generator) -> npt.NDArray[Any]:
        if one.dtype.kind != "f":
            raise InputError(
                f"Noise needs inputs of floats. Received: {one.dtype}. Tokens and categories have nothing "
                "between them: pass a perturbation of your own."
            )
        return np.asarray((size * units(one[None], noise_scale) * draw(random, one.shape)[None])[0])

    return noise


def squares(side: int | None, channels: int | None) -> Callable[[Any, Any], npt.NDArray[np.bool_]]:
    """Return a function that chooses the positions of a random square of an input.

    Args:
        side: the largest side; each from 1 to it is as likely, and so is each position. None for a third of
            the shortest axis.
        channels: the axis of one input along which a square has all positions, or None.
    """
    longest = None if side is None else checks.whole("side", side)

    def square(one: npt.NDArray[Any], random: np.random.Generator) -> npt.NDArray[np.bool_]:
        axes = [axis for axis in range(one.ndim) if axis != channels]
        shortest = min((one.shape[axis] for axis in axes), default=1)
        length = random.integers(1, min(longest or max(1, shortest // 3), shortest), endpoint=True)
        chosen = np.zeros(one.shape, bool)
        within: list[Any] = [slice(None)] * one.ndim
        for axis in axes:
            start = random.integers(0, one.shape[axis] - length, endpoint=True)
            within[axis] = slice(start, start + length)
        chosen[tuple(within)] = True
        return chosen

    return square
