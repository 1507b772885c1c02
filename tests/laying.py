"""Class activation maps laid over a picture by hand."""

from __future__ import annotations

import numpy as np


def laid(heat: np.ndarray, size: tuple[int, int], stride: int, offset: int, reach: int) -> np.ndarray:
    """Position i at `stride * i + offset`, one value at a time.

    Linear between positions, constant as far as the outermost ones reach, zero beyond.
    """

    def shares(pixel: int, count: int) -> dict[int, float]:
        last = offset + stride * (count - 1)
        if not offset - reach <= pixel <= last + reach:
            return {}
        at = min(max((pixel - offset) / stride, 0), count - 1)
        low = min(int(at), count - 2)
        return {low: 1 - (at - low), low + 1: at - low}

    large = np.zeros(size)
    for y in range(size[0]):
        for x in range(size[1]):
            for i, a in shares(y, heat.shape[0]).items():
                for j, b in shares(x, heat.shape[1]).items():
                    large[y, x] += a * b * heat[i, j]
    return large
