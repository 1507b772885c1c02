"""vis shows what a Keras model looks at.

The exports are loaded when they are first used, so that `vis --help` need not wait for TensorFlow.
"""

import importlib
from typing import TYPE_CHECKING, Any

from vis.version import __version__

if TYPE_CHECKING:
    from vis.backprop_modifiers import BackpropModifier
    from vis.losses import ActivationMaximization, Loss
    from vis.models import linear_outputs
    from vis.visualization import (
        get_num_filters,
        visualize_activation,
        visualize_activation_with_losses,
        visualize_cam,
        visualize_cam_with_losses,
        visualize_saliency,
        visualize_saliency_with_losses,
    )
    from vis.visualization.overlay import overlay

__all__ = [
    "ActivationMaximization",
    "BackpropModifier",
    "Loss",
    "__version__",
    "get_num_filters",
    "linear_outputs",
    "overlay",
    "visualize_activation",
    "visualize_activation_with_losses",
    "visualize_cam",
    "visualize_cam_with_losses",
    "visualize_saliency",
    "visualize_saliency_with_losses",
]

_ROOMS = {
    "vis.backprop_modifiers": ["BackpropModifier"],
    "vis.losses": ["ActivationMaximization", "Loss"],
    "vis.models": ["linear_outputs"],
    "vis.visualization": [
        "get_num_filters",
        "overlay",
        "visualize_activation",
        "visualize_activation_with_losses",
        "visualize_cam",
        "visualize_cam_with_losses",
        "visualize_saliency",
        "visualize_saliency_with_losses",
    ],
}
_EXPORTS = {name: room for room, names in _ROOMS.items() for name in names}
_MODULES = (
    "attributions",
    "backprop_modifiers",
    "callbacks",
    "errors",
    "grad_modifiers",
    "input_modifiers",
    "losses",
    "maps",
    "metrics",
    "models",
    "optimizer",
    "parameterizations",
    "plotting",
    "regularizers",
    "utils",
    "visualization",
)


def __getattr__(name: str) -> Any:
    if name in _EXPORTS:
        return getattr(importlib.import_module(_EXPORTS[name]), name)
    if name in _MODULES:
        return importlib.import_module(f"vis.{name}")
    raise AttributeError(f"module 'vis' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*__all__, *_MODULES})
