"""Verbs, one input at a time, with keras-vis's signatures."""

from vis.visualization.filters import get_num_filters
from vis.visualization.overlay import overlay
from vis.visualization.saliency import visualize_saliency, visualize_saliency_with_losses

__all__ = ["get_num_filters", "overlay", "visualize_saliency", "visualize_saliency_with_losses"]
