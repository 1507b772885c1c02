"""Losses: what an optimization minimizes, and what a map explains."""

from vis.losses.activation_maximization import ActivationMaximization
from vis.losses.base import Loss
from vis.losses.lp_norm import LPNorm
from vis.losses.total_variation import TotalVariation

__all__ = ["ActivationMaximization", "LPNorm", "Loss", "TotalVariation"]
