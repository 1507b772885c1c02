"""The explainers and measures by the names that the command line and the explorer use, and their options.

The tables hold only names, so that a misspelt one is reported before Keras is imported. Tests compare them
with the library.
"""

from __future__ import annotations

import ast
import contextlib
import inspect
import types
import typing
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from vis.words import BackpropModifierName, CompositeName

GRAD_MODIFIERS = ("absolute", "relu", "negate", "invert", "small_values")
COMPOSITES: tuple[str, ...] = typing.get_args(CompositeName)
BACKPROP_MODIFIERS: tuple[str, ...] = typing.get_args(BackpropModifierName)
PARAMETERIZATIONS = ("fourier", "maco", "pixels")
MEASURES = (
    "deletion",
    "insertion",
    "mu_fidelity",
    "infidelity",
    "sensitivity_max",
    "average_stability",
    "random_logit",
    "average_drop",
    "increase_in_confidence",
    "average_gain",
    "complexity",
    "sparseness",
)


@dataclass(frozen=True)
class Method:
    """An explainer of `vis.attributions`, and the arguments of its constructor that are options here."""

    explainer: str
    options: tuple[str, ...]


_ANY = ("operator", "fold_layers")
_GRADIENT = ("reducer", "wrt", *_ANY)
_NOISE = ("nb_samples", "noise", "noise_scale", "seed", "backprop_modifier", *_GRADIENT)
_LAYER = ("conv_layer", "grid", *_ANY)
_POSITIONS = ("conv_layer", "grid", "backprop_modifier", *_ANY)
_FEATURES = ("features", "baseline", "wrt", *_ANY)
_ATTENTION = ("wrt", "grid", "operator")
METHODS = {
    "saliency": Method("Saliency", ("grad_modifier", "backprop_modifier", *_GRADIENT)),
    "gradient-input": Method("GradientInput", ("backprop_modifier", *_GRADIENT)),
    "integrated-gradients": Method(
        "IntegratedGradients",
        ("steps", "baseline", "method", "multiply_by_inputs", "backprop_modifier", *_GRADIENT),
    ),
    "smoothgrad": Method("SmoothGrad", _NOISE),
    "squaregrad": Method("SquareGrad", _NOISE),
    "vargrad": Method("VarGrad", _NOISE),
    "deconvnet": Method("DeconvNet", _GRADIENT),
    "guided": Method("GuidedBackprop", _GRADIENT),
    "deep-lift": Method("DeepLift", ("baseline", "reducer", "wrt", "operator")),
    "excitation": Method("ExcitationBackprop", ("reducer", "wrt", "operator")),
    "attn-lrp": Method("AttnLRP", ("reducer", "wrt", "operator")),
    "deep-taylor": Method("DeepTaylor", ("low", "high", "reducer", "wrt", "operator")),
    "lrp": Method("LRP", ("composite", "reducer", "wrt", "operator")),
    "attention-rollout": Method("AttentionRollout", _ATTENTION),
    "attention-relevance": Method("AttentionRelevance", _ATTENTION),
    "gradcam": Method("GradCAM", _POSITIONS),
    "gradcam++": Method("GradCAMPlusPlus", _POSITIONS),
    "layercam": Method("LayerCAM", _POSITIONS),
    "hires-cam": Method("HiResCAM", _POSITIONS),
    "xgrad-cam": Method("XGradCAM", _POSITIONS),
    "guided-grad-cam": Method("GuidedGradCAM", ("reducer", *_LAYER)),
    "score-cam": Method("ScoreCAM", ("max_channels", *_LAYER)),
    "ablation-cam": Method("AblationCAM", _LAYER),
    "eigen-cam": Method("EigenCAM", _LAYER),
    "occlusion": Method("Occlusion", ("patch_size", "patch_stride", "occlusion_value", "wrt", *_ANY)),
    "feature-ablation": Method("FeatureAblation", _FEATURES),
    "rise": Method(
        "Rise",
        ("nb_samples", "grid_size", "preservation_probability", "baseline", "seed", "wrt", *_ANY),
    ),
    "lime": Method("Lime", ("nb_samples", "distance", "kernel_width", "alpha", "seed", *_FEATURES)),
    "kernel-shap": Method("KernelShap", ("nb_samples", "seed", *_FEATURES)),
    "sobol": Method("SobolAttribution", ("nb_design", "seed", *_FEATURES)),
    "hsic": Method("HsicAttribution", ("nb_design", "binary", "seed", *_FEATURES)),
}


def parameters(explainer: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """Return the arguments of a constructor, with those that a class passes on to the next."""
    found: dict[str, inspect.Parameter] = {}
    for kind in inspect.getmro(explainer) if isinstance(explainer, type) else ():
        if "__init__" in vars(kind):
            found = {**inspect.signature(kind, eval_str=True).parameters, **found}
    return found


def value(text: str, asked: Any) -> Any:
    """Return what a text means for an argument of a type.

    Raises:
        ValueError: for a text that is not such a value, with what it must be.
    """
    kinds = kinds_of(asked)
    if type(None) in kinds and text.lower() == "none":
        return None
    if bool in kinds and text.lower() in ("true", "yes", "1", "false", "no", "0"):
        return text.lower() in ("true", "yes", "1")
    for kind in (int, float):
        if kind in kinds:
            with contextlib.suppress(ValueError):
                return kind(text)
    if kinds <= {bool, int, float, type(None)}:
        told = {bool: "true or false", int: "an integer", float: "a number", type(None): "none"}
        kinds = kinds - {int} if float in kinds else kinds
        wanted = " or ".join(word for kind, word in told.items() if kind in kinds)
        raise ValueError(wanted)
    if kinds == {str} or kinds == {str, type(None)}:
        return text
    try:
        return ast.literal_eval(text)  # a number, or several with commas
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return text


def kinds_of(asked: Any) -> set[Any]:
    """Return the plain types of which an annotation is a union; a Literal is of its values' types."""
    if typing.get_origin(asked) in (typing.Union, types.UnionType):
        return {kind for part in typing.get_args(asked) for kind in kinds_of(part)}
    if typing.get_origin(asked) is typing.Literal:
        return {type(value) for value in typing.get_args(asked)}
    return {asked}
