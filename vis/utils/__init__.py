"""keras-vis's helper names."""

from vis.utils import utils

__all__ = ["utils"]
