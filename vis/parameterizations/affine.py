"""Random moves, turns and scalings of the image, one per step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from keras import ops

from vis import checks
from vis.errors import InputError
from vis.reprs import TypedRepr
from vis.typing import Tensor


@dataclass(frozen=True, repr=False)
class RandomAffine(TypedRepr):
    """Moves, turns and scales the image at random before the model sees it, differently at each step.

    `y(p) = x(c + R(a) (p - c) / s + d)` with `p` a position in pixels, `c` the middle of the image, `R(a)`
    the rotation by the angle `a`, `s` the scale and `d` the move, drawn evenly within their limits. Between
    pixels the values are interpolated linearly; outside, the image is mirrored at its edge pixels. All
    samples of a batch are transformed alike. Only patterns that survive these transformations raise a filter,
    and fine noise does not.

    Args:
        jitter: the longest move along each image axis, as a fraction of that axis, 0 to 1.
        rotation: the largest angle, in degrees, 0 to 180.
        scale: the largest change of scale, 0 to below 1: 0.1 scales by 0.9 to 1.1.

    Raises:
        InputError: if a limit is outside these ranges.

    Reference:
        Olah, Mordvintsev, Schubert: Feature Visualization, 2017, section "Transformation Robustness".
    """

    jitter: float = 0.05
    rotation: float = 10.0
    scale: float = 0.1

    def __post_init__(self) -> None:
        limits = {"jitter": 1.0, "rotation": 180.0, "scale": 1.0}
        for name, limit in limits.items():
            value = getattr(self, name)
            number = checks.is_number(value)
            if not (number and 0 <= value <= limit and (name != "scale" or value < 1)):
                raise InputError(
                    f"{name} must be a number from 0 to {'below ' if name == 'scale' else ''}{limit:g}. "
                    f"Received: {value!r}."
                )

    def draw(
        self, random: np.random.Generator, steps: int, sizes: tuple[int, ...]
    ) -> npt.NDArray[np.float32]:
        """Return the matrices of some steps, `(steps, 2, 3)`: rotation and scale, and the move.

        Args:
            random: the generator; it is drawn from evenly per step, so that steps may be drawn in parts.
            steps: the number of steps.
            sizes: the height and the width in pixels.

        Raises:
            InputError: if there are not two sizes.
        """
        _check_axes(len(sizes), sizes)
        numbers = random.uniform(-1, 1, (steps, 4))
        angles = np.deg2rad(self.rotation) * numbers[:, 0]
        shrink = 1 / (1 + self.scale * numbers[:, 1])
        cos, sin = shrink * np.cos(angles), shrink * np.sin(angles)
        moves = self.jitter * np.asarray(sizes) * numbers[:, 2:]
        turn = np.stack([cos, -sin, sin, cos], axis=-1).reshape(steps, 2, 2)
        return np.concatenate([turn, moves[..., None]], axis=-1).astype(np.float32)

    def apply(self, image: Tensor, matrix: Tensor, channels: int) -> Tensor:
        """Return the image as one step sees it, in `keras.ops`.

        Args:
            image: `(samples, height, width, channels)` or with the channels first.
            matrix: the matrix of that step, `(2, 3)`.
            channels: the axis of the channels.

        Raises:
            InputError: if the image does not have two image axes.
        """
        _check_axes(len(image.shape) - 2, tuple(image.shape))
        last = ops.moveaxis(image, channels, -1)
        _, height, width, depth = last.shape
        # Half precision has too few digits for points.
        dtype = "float64" if keras.backend.standardize_dtype(last.dtype) == "float64" else "float32"
        matrix = ops.cast(matrix, dtype)
        middle = np.array([[(height - 1) / 2], [(width - 1) / 2]])
        grid = np.mgrid[:height, :width].reshape(2, -1) - middle
        points = matrix[:, :2] @ ops.convert_to_tensor(grid, dtype=dtype)
        points = points + matrix[:, 2:] + ops.convert_to_tensor(middle, dtype=dtype)
        rows, columns = _corners(points[0], height), _corners(points[1], width)
        flat = ops.reshape(last, (-1, height * width, depth))
        # Gathered, so that the gradient is the exact adjoint.
        seen = sum(
            ops.cast(weight_y * weight_x, last.dtype)[:, None] * ops.take(flat, y * width + x, axis=1)
            for y, weight_y in rows
            for x, weight_x in columns
        )
        return ops.moveaxis(ops.reshape(seen, (-1, height, width, depth)), -1, channels)


def _check_axes(count: int, received: tuple[int | None, ...]) -> None:
    if count != 2:
        raise InputError(
            f"RandomAffine needs images with two axes, height and width. Received: {received}. Pass a "
            "parameterization without it: vis.parameterizations.Fourier(transformation=None); and leave out "
            "the input modifiers Rotate and Scale."
        )


def _corners(points: Any, length: int) -> list[tuple[Any, Any]]:
    """Return the two pixels around each point along an axis, mirrored into it, and their weights."""
    period = max(2 * (length - 1), 1)
    inside = ops.mod(points, period)
    inside = ops.where(inside < period - inside, inside, period - inside) if length > 1 else 0 * points
    share = ops.mod(inside, 1)
    low = ops.cast(inside - share, "int32")
    return [(low, 1 - share), (ops.minimum(low + 1, length - 1), share)]
