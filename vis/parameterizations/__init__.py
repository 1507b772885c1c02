"""Parameterizations: which values the optimizer changes, and how they become an image.

| name | values that change | image |
|---|---|---|
| `pixels` | the pixels | the pixels |
| `fourier` | the coefficients of waves in decorrelated colours | a sigmoid of their sum |
| `maco` | the phases of such waves, whose amplitudes are those of natural images | the same |

Before the model sees the image, a `RandomAffine` may move, turn and scale it, differently at each step.
"""

from vis.parameterizations.affine import RandomAffine
from vis.parameterizations.base import Canvas, Parameterization, get, names, register
from vis.parameterizations.fourier import Fourier
from vis.parameterizations.maco import MACO
from vis.parameterizations.pixels import Pixels

__all__ = [
    "MACO",
    "Canvas",
    "Fourier",
    "Parameterization",
    "Pixels",
    "RandomAffine",
    "get",
    "names",
    "register",
]
