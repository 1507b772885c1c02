"""vis shows what a Keras model looks at.

The exports are loaded when they are first used, so that `vis --help` need not wait for Keras.
"""

import importlib
from typing import TYPE_CHECKING, Any

from vis import frameworks
from vis.version import __version__

if TYPE_CHECKING:
    from vis import attributions as attributions
    from vis import backprop_modifiers as backprop_modifiers
    from vis import callbacks as callbacks
    from vis import errors as errors
    from vis import grad_modifiers as grad_modifiers
    from vis import input_modifiers as input_modifiers
    from vis import losses as losses
    from vis import maps as maps
    from vis import metrics as metrics
    from vis import models as models
    from vis import optimizer as optimizer
    from vis import parameterizations as parameterizations
    from vis import plotting as plotting
    from vis import regularizers as regularizers
    from vis import relevance as relevance
    from vis import typing as typing
    from vis import utils as utils
    from vis import visualization as visualization
    from vis.attributions import (
        LRP,
        AblationCAM,
        AttentionRelevance,
        AttentionRollout,
        AttnLRP,
        DeconvNet,
        DeepLift,
        DeepLiftShap,
        DeepTaylor,
        EigenCAM,
        ExcitationBackprop,
        Explainer,
        FeatureAblation,
        GradCAM,
        GradCAMPlusPlus,
        GradientInput,
        GradientShap,
        GuidedBackprop,
        GuidedGradCAM,
        HiResCAM,
        HsicAttribution,
        IntegratedGradients,
        InternalInfluence,
        KernelShap,
        LayerCAM,
        LayerConductance,
        Lime,
        NeuronGradient,
        Occlusion,
        Rise,
        Saliency,
        ScoreCAM,
        SmoothGrad,
        SobolAttribution,
        SquareGrad,
        VarGrad,
        XGradCAM,
    )
    from vis.backprop_modifiers import BackpropModifier
    from vis.describe import LayerRow, list_layers
    from vis.engine import wrapped
    from vis.explorer import explore
    from vis.losses import ActivationMaximization, Loss
    from vis.models import linear_outputs
    from vis.progress import watching
    from vis.reports import report
    from vis.visualization import (
        get_num_filters,
        visualize_activation,
        visualize_activation_with_losses,
        visualize_cam,
        visualize_cam_with_losses,
        visualize_saliency,
        visualize_saliency_with_losses,
    )
    from vis.visualization.blending import overlay

__all__ = [
    "LRP",
    "AblationCAM",
    "ActivationMaximization",
    "AttentionRelevance",
    "AttentionRollout",
    "AttnLRP",
    "BackpropModifier",
    "DeconvNet",
    "DeepLift",
    "DeepLiftShap",
    "DeepTaylor",
    "EigenCAM",
    "ExcitationBackprop",
    "Explainer",
    "FeatureAblation",
    "GradCAM",
    "GradCAMPlusPlus",
    "GradientInput",
    "GradientShap",
    "GuidedBackprop",
    "GuidedGradCAM",
    "HiResCAM",
    "HsicAttribution",
    "IntegratedGradients",
    "InternalInfluence",
    "KernelShap",
    "LayerCAM",
    "LayerConductance",
    "LayerRow",
    "Lime",
    "Loss",
    "NeuronGradient",
    "Occlusion",
    "Rise",
    "Saliency",
    "ScoreCAM",
    "SmoothGrad",
    "SobolAttribution",
    "SquareGrad",
    "VarGrad",
    "XGradCAM",
    "__version__",
    "explore",
    "get_num_filters",
    "linear_outputs",
    "list_layers",
    "overlay",
    "report",
    "visualize_activation",
    "visualize_activation_with_losses",
    "visualize_cam",
    "visualize_cam_with_losses",
    "visualize_saliency",
    "visualize_saliency_with_losses",
    "watching",
    "wrapped",
]

_ROOMS = {
    "vis.attributions": (
        "AblationCAM AttentionRelevance AttentionRollout AttnLRP DeconvNet DeepLift DeepLiftShap "
        "DeepTaylor EigenCAM ExcitationBackprop Explainer FeatureAblation GradCAM GradCAMPlusPlus "
        "GradientInput GradientShap GuidedBackprop GuidedGradCAM HiResCAM HsicAttribution "
        "IntegratedGradients InternalInfluence KernelShap LRP LayerCAM LayerConductance Lime "
        "NeuronGradient Occlusion Rise Saliency ScoreCAM SmoothGrad SobolAttribution SquareGrad VarGrad "
        "XGradCAM wrapped"
    ),
    "vis.backprop_modifiers": "BackpropModifier",
    "vis.describe": "LayerRow list_layers",
    "vis.explorer": "explore",
    "vis.losses": "ActivationMaximization Loss",
    "vis.models": "linear_outputs",
    "vis.progress": "watching",
    "vis.reports": "report",
    "vis.visualization": (
        "get_num_filters overlay visualize_activation visualize_activation_with_losses visualize_cam "
        "visualize_cam_with_losses visualize_saliency visualize_saliency_with_losses"
    ),
}
_EXPORTS = {name: room for room, names in _ROOMS.items() for name in names.split()}
_MODULES = (
    "attributions backprop_modifiers callbacks errors grad_modifiers input_modifiers losses maps metrics "
    "models optimizer parameterizations plotting regularizers relevance reports typing utils visualization"
).split()

frameworks.check_when_needed()


if not TYPE_CHECKING:  # where it would hide that a name does not exist

    def __getattr__(name: str) -> Any:
        if name in _EXPORTS:
            return getattr(importlib.import_module(_EXPORTS[name]), name)
        if name in _MODULES:
            return importlib.import_module(f"vis.{name}")
        raise AttributeError(f"module 'vis' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*__all__, *_MODULES})
