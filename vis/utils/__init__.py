"""keras-vis's helpers, in `vis.utils.utils`."""

from vis.utils import utils

__all__ = ["utils"]
