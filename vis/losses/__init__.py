"""What is asked of the model."""

from vis.losses.activation_maximization import ActivationMaximization
from vis.losses.base import Loss

__all__ = ["ActivationMaximization", "Loss"]
