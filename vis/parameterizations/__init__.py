"""What the optimizer changes instead of the pixels, and how it becomes an image.

| name | what is changed | the image |
|---|---|---|
| `pixels` | the pixels | they themselves |
| `fourier` | the coefficients of waves in decorrelated colours | a sigmoid of their sum |

Before the model sees the image, a `RandomAffine` may move, turn and scale it, differently at each step.
"""

from vis.parameterizations.affine import RandomAffine
from vis.parameterizations.base import Canvas, Parameterization, get, names, register
from vis.parameterizations.fourier import Fourier
from vis.parameterizations.pixels import Pixels

__all__ = ["Canvas", "Fourier", "Parameterization", "Pixels", "RandomAffine", "get", "names", "register"]
