"""keras-vis's import path of the losses of an image: total variation and the p-norm.

They live in `vis.losses`; `from vis.regularizers import LPNorm, TotalVariation` gives the same classes.
"""

from vis.losses.lp_norm import LPNorm
from vis.losses.total_variation import TotalVariation

__all__ = ["LPNorm", "TotalVariation"]
