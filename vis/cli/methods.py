"""The explainers and measures by the names of the command line, and which options each takes.

The tables hold only names, so that a misspelt one is reported before Keras is imported. Tests compare them
with the library.
"""

from __future__ import annotations

import ast
import contextlib
import inspect
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import click

from vis import wording
from vis.errors import did_you_mean

GRAD_MODIFIERS = ("absolute", "relu", "negate", "invert", "small_values")
COMPOSITES = (
    "epsilon_plus",
    "epsilon_plus_flat",
    "epsilon_gamma_box",
    "epsilon_alpha2_beta1_flat",
    "deep_taylor",
    "excitation",
    "attn_lrp",
    "cp_lrp",
)
BACKPROP_MODIFIERS = ("guided", "rectified", "relu", "deconv", *COMPOSITES)
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
# The arguments that have an option of their own, and those that the command gives itself.
_OWN = "backprop_modifier baseline conv_layer grad_modifier nb_samples noise patch_size steps"
OWN = {name: wording.OPTIONS[name] for name in _OWN.split()}
GIVEN = {"model": "MODEL", "output_layer": "--layer", "batch_size": "--batch-size"}


def given_by(method: str) -> dict[str, str]:
    """Return the option that gives each argument of the explainers; "" where a method does not take it."""
    taken = METHODS[method].options
    names = dict.fromkeys(name for each in METHODS.values() for name in each.options)
    return {name: OWN.get(name, f"--option {name}") if name in taken else "" for name in names}


def named_options(method: str, own: Mapping[str, Any], more: tuple[tuple[str, str], ...]) -> dict[str, Any]:
    """Return the arguments that the options of a command give to an explainer, by their names in Python.

    Args:
        method: one of `METHODS`.
        own: the values of the options that have a name of their own; None for those that are not given.
        more: the names and texts of the others.

    Raises:
        UsageError: for a name that is unknown, that this method does not take, or that is given twice.
    """
    chosen = {name: value for name, value in own.items() if value is not None}
    for name in chosen:
        _check(method, name, OWN[name])
    spelled = {option.removeprefix("--").replace("-", "_"): name for name, option in OWN.items()}
    for written, text in more:
        name = written.strip().removeprefix("--").replace("-", "_")
        name = spelled.get(name, name)
        _check(method, name, f"--option {written}")
        if name in chosen:
            raise click.UsageError(f"{OWN.get(name, f'--option {name}')} is given twice. Give it once.")
        chosen[name] = text
    return chosen


def _check(method: str, name: str, option: str) -> None:
    valid = METHODS[method].options
    if name in valid:
        return
    if name in GIVEN:
        raise click.UsageError(f"{option} is not an option. Use {GIVEN[name]}.")
    others = [other for other, taking in METHODS.items() if name in taking.options]
    if others:
        what = f"{option} is an option of {', '.join(others)}, not of {method}."
    else:
        what = f"{option} is unknown.{did_you_mean(name, valid)}"
    own = ", ".join(OWN[each] for each in valid if each in OWN)
    more = ", ".join(each for each in valid if each not in OWN)
    takes = f"{own}; and by --option NAME=VALUE {more}" if own else f"by --option NAME=VALUE {more}"
    raise click.UsageError(f"{what} The method {method} takes {takes}.")


def converted(explainer: Callable[..., Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """Return options with each text as the type that the constructor of an explainer asks for.

    Raises:
        BadParameter: for a text that is no such value.
    """
    asked = _parameters(explainer)
    return {
        name: _value(name, text, asked[name]) if isinstance(text, str) else text
        for name, text in options.items()
    }


def _parameters(explainer: Callable[..., Any]) -> dict[str, Any]:
    """Return the types of a constructor's arguments, with those that a class passes on to the next."""
    found: dict[str, Any] = {}
    for kind in inspect.getmro(explainer) if isinstance(explainer, type) else ():
        if "__init__" in vars(kind):
            parameters = inspect.signature(kind, eval_str=True).parameters.values()
            found = {**{each.name: each.annotation for each in parameters}, **found}
    return found


def _value(name: str, text: str, asked: Any) -> Any:
    kinds = _kinds(asked)
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
        raise click.UsageError(f"{OWN.get(name, f'--option {name}')} must be {wanted}. Received: {text!r}.")
    if kinds == {str} or kinds == {str, type(None)}:
        return text
    try:
        return ast.literal_eval(text)  # a number, or several with commas
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return text


def _kinds(asked: Any) -> set[Any]:
    """Return the plain types of which an annotation is a union; a Literal is of its values' types."""
    if typing.get_origin(asked) in (typing.Union, types.UnionType):
        return {kind for part in typing.get_args(asked) for kind in _kinds(part)}
    if typing.get_origin(asked) is typing.Literal:
        return {type(value) for value in typing.get_args(asked)}
    return {asked}
