"""Functions that explain one input at a time, with keras-vis's signatures."""

from vis.visualization.activation_maximization import visualize_activation, visualize_activation_with_losses
from vis.visualization.blending import overlay
from vis.visualization.cam import visualize_cam, visualize_cam_with_losses
from vis.visualization.filters import get_num_filters
from vis.visualization.saliency import visualize_saliency, visualize_saliency_with_losses

__all__ = [
    "get_num_filters",
    "overlay",
    "visualize_activation",
    "visualize_activation_with_losses",
    "visualize_cam",
    "visualize_cam_with_losses",
    "visualize_saliency",
    "visualize_saliency_with_losses",
]
