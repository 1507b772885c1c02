"""Random turns and scalings of the image."""

from __future__ import annotations

import numpy as np

from vis import checks
from vis.input_modifiers.base import InputModifier
from vis.parameterizations import RandomAffine


class Rotate(InputModifier):
    """Turns the image by a random angle before the model sees it, differently at each step.

    `y(p) = x(c + R(a) (p - c))` with `c` the middle of the image and the angle `a` drawn evenly from
    `-rotation` to `rotation`, see `vis.parameterizations.RandomAffine`: interpolated linearly, mirrored at
    the edges, the samples of a batch alike. The gradient passes through it, and the optimized values stay
    where they are, so it works with every parameterization.

    Args:
        rotation: the largest angle, in degrees, 0 to 180.
        seed: a seed, for the same angles each time, or a NumPy generator, which goes on; None for those of
            the optimizer's `seed`.

    Raises:
        InputError: if `rotation` is outside its range, or the seed is invalid; in the first step, if the
            input is not an image with height and width.

    Reference:
        Olah, Mordvintsev, Schubert: Feature Visualization, 2017, section "Transformation Robustness".
    """

    def __init__(self, rotation: float = 10.0, seed: int | np.random.Generator | None = None) -> None:
        self.transformation = RandomAffine(0.0, rotation, 0.0)
        self.rotation, self.seed = self.transformation.rotation, seed
        checks.generator(seed)
        self.random = seed


class Scale(InputModifier):
    """Scales the image by a random factor before the model sees it, differently at each step.

    `y(p) = x(c + (p - c) / s)` with `c` the middle of the image and `s` drawn evenly from `1 - scale` to
    `1 + scale`, otherwise as `Rotate`.

    Args:
        scale: the largest change, 0 to below 1: 0.1 scales by 0.9 to 1.1.
        seed: a seed, for the same factors each time, or a NumPy generator, which goes on; None for those of
            the optimizer's `seed`.

    Raises:
        InputError: if `scale` is outside its range, or the seed is invalid; in the first step, if the input
            is not an image with height and width.

    Reference:
        Olah, Mordvintsev, Schubert: Feature Visualization, 2017, section "Transformation Robustness".
    """

    def __init__(self, scale: float = 0.1, seed: int | np.random.Generator | None = None) -> None:
        self.transformation = RandomAffine(0.0, 0.0, scale)
        self.scale, self.seed = self.transformation.scale, seed
        checks.generator(seed)
        self.random = seed
