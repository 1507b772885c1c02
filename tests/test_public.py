"""What is public: the names of each module, their documentation and their types."""

import importlib
import inspect
import subprocess
import sys
import typing
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_args

import pytest
from matplotlib.axes import Axes
from mypy import api

import vis
from tests import native
from vis import attributions, backprop_modifiers, grad_modifiers, maps, parameterizations, plotting, words
from vis.attributions import operators

# The public names of each module that users import from.
PUBLIC = {
    "vis": [
        "AblationCAM",
        "EigenCAM",
        "GuidedGradCAM",
        "HiResCAM",
        "ScoreCAM",
        "XGradCAM",
        "ActivationMaximization",
        "AttnLRP",
        "AttentionRelevance",
        "AttentionRollout",
        "BackpropModifier",
        "DeconvNet",
        "DeepLift",
        "DeepLiftShap",
        "DeepTaylor",
        "ExcitationBackprop",
        "Explainer",
        "FeatureAblation",
        "GradCAM",
        "GradCAMPlusPlus",
        "GradientInput",
        "GradientShap",
        "GuidedBackprop",
        "HsicAttribution",
        "IntegratedGradients",
        "InternalInfluence",
        "LayerConductance",
        "NeuronGradient",
        "KernelShap",
        "LRP",
        "LayerCAM",
        "LayerRow",
        "Lime",
        "Loss",
        "Occlusion",
        "Rise",
        "Saliency",
        "SmoothGrad",
        "SobolAttribution",
        "SquareGrad",
        "VarGrad",
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
    ],
    "vis.attributions": [
        "AblationCAM",
        "ChannelActivation",
        "EigenCAM",
        "GuidedGradCAM",
        "HiResCAM",
        "ScoreCAM",
        "XGradCAM",
        "AttnLRP",
        "AttentionMap",
        "AttentionRelevance",
        "AttentionRollout",
        "Attribution",
        "ClassActivation",
        "Coalitions",
        "Conservation",
        "DeconvNet",
        "DeepLift",
        "DeepLiftShap",
        "DeepTaylor",
        "ExcitationBackprop",
        "ExplainEpochs",
        "Explained",
        "Explainer",
        "FeatureAblation",
        "GradCAM",
        "GradCAMPlusPlus",
        "GradientExplainer",
        "GradientInput",
        "GradientShap",
        "GuidedBackprop",
        "HsicAttribution",
        "IntegratedGradients",
        "InternalInfluence",
        "LayerConductance",
        "NeuronGradient",
        "KernelShap",
        "LRP",
        "LayerCAM",
        "Lime",
        "ModifiedGradient",
        "Occlusion",
        "Perturbed",
        "Rise",
        "Saliency",
        "SmoothGrad",
        "Smoothed",
        "SobolAttribution",
        "SquareGrad",
        "VarGrad",
        "compute_saliency_maps",
        "superpixels",
        "wrapped",
    ],
    "vis.attributions.operators": [
        "Operator",
        "OperatorLike",
        "contrastive",
        "detection",
        "detection_of",
        "get",
        "names",
        "register",
        "segmentation",
        "weighted_sum",
    ],
    "vis.attributions.ray": ["ExplainBatches", "explain", "write"],
    "vis.attributions.store": ["explained", "gather", "read", "write"],
    "vis.attributions.targets": ["as_weights"],
    "vis.attributions.training": ["ExplainEpochs"],
    "vis.backprop_modifiers": [
        "BackpropModifier",
        "deconv",
        "get",
        "guided",
        "names",
        "rectified",
        "register",
        "relu",
    ],
    "vis.callbacks": ["GifGenerator", "NamedLosses", "OptimizerCallback", "Print"],
    "vis.errors": [
        "ChannelAxisWarning",
        "EmptyMapWarning",
        "FilterError",
        "GradientError",
        "InputError",
        "LayerError",
        "ModelError",
        "ModifierError",
        "PartialOverrideWarning",
        "RandomWarning",
        "SharedInputWarning",
        "SkippedWarning",
        "SoftmaxWarning",
        "SignWarning",
        "StretchedMapWarning",
        "VisError",
        "VisWarning",
    ],
    "vis.grad_modifiers": [
        "GradModifier",
        "absolute",
        "applied",
        "get",
        "invert",
        "names",
        "negate",
        "register",
        "relu",
        "small_values",
    ],
    "vis.input_modifiers": ["InputModifier", "Jitter", "Rotate", "Scale"],
    "vis.losses": ["ActivationMaximization", "LPNorm", "Loss", "TotalVariation"],
    "vis.maps": [
        "as_picture",
        "deprocess_input",
        "normalize",
        "reduce_channels",
        "scaled",
        "strongest_channel",
        "upsample",
    ],
    "vis.metrics": [
        "Comparison",
        "Curve",
        "DEFAULT_MEASURES",
        "MEASURES",
        "Measure",
        "SanityCheck",
        "Table",
        "average_drop",
        "average_gain",
        "average_stability",
        "blurred",
        "compare",
        "complexity",
        "deletion",
        "energy_in_mask",
        "increase_in_confidence",
        "infidelity",
        "insertion",
        "median",
        "mu_fidelity",
        "plot_curves",
        "plot_sanity",
        "pointing_game",
        "random_logit",
        "rank_correlation",
        "sanity_check",
        "sensitivity_max",
        "sparseness",
        "structural_similarity",
        "table",
    ],
    "vis.optimizer": ["Optimizer"],
    "vis.parameterizations": [
        "MACO",
        "Canvas",
        "Fourier",
        "Parameterization",
        "Pixels",
        "RandomAffine",
        "get",
        "names",
        "register",
    ],
    "vis.plotting": [
        "DIVERGING",
        "Figure",
        "SEQUENTIAL",
        "TokenFigure",
        "colorize",
        "overlay_map",
        "plot_features",
        "plot_grid",
        "plot_intervals",
        "plot_maps",
        "plot_pictures",
        "plot_saliency",
        "plot_series",
        "plot_spread",
        "plot_tokens",
        "plot_volume",
        "save_gif",
    ],
    "vis.regularizers": ["LPNorm", "TotalVariation"],
    "vis.relevance": [
        "AlphaBeta",
        "Box",
        "Composite",
        "Epsilon",
        "Flat",
        "Gamma",
        "Half",
        "Pass",
        "Route",
        "Rule",
        "Signal",
        "Site",
        "WSquare",
        "ZPlus",
        "Zero",
    ],
    "vis.reports": [
        "read_labels",
        "report",
        "sheets",
    ],
    "vis.typing": [
        "Data",
        "Explainable",
        "Filters",
        "Images",
        "Inputs",
        "Layer",
        "Map",
        "Maps",
        "PictureFile",
        "Progress",
        "Targets",
        "Tensor",
    ],
    "vis.utils.helpers": [
        "add_defaults_to_kwargs",
        "listify",
        "random_array",
        "reverse_enumerate",
        "slicer",
    ],
    "vis.utils.utils": [
        "add_defaults_to_kwargs",
        "apply_modifications",
        "bgr2rgb",
        "deprocess_input",
        "draw_text",
        "find_layer_idx",
        "get_img_shape",
        "linear_outputs",
        "listify",
        "load_img",
        "lookup_imagenet_labels",
        "normalize",
        "random_array",
        "reverse_enumerate",
        "slicer",
        "stitch_images",
    ],
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
    "vis.words": [
        "BackpropModifierName",
        "CompositeName",
        "CorrelationName",
        "DataFormat",
        "Direction",
        "DistanceName",
        "GradModifierName",
        "IntegrationMethod",
        "Measured",
        "NoiseScale",
        "Normalization",
        "OperatorName",
        "ParameterizationName",
        "PerturbationName",
        "Reducer",
        "SanityOrder",
        "SimilarityName",
    ],
}
# The modules in which nothing public takes or returns `Any`.
TYPED = [
    "vis",
    "vis.attributions",
    "vis.attributions.operators",
    "vis.attributions.ray",
    "vis.attributions.store",
    "vis.attributions.targets",
    "vis.attributions.training",
    "vis.backprop_modifiers",
    "vis.callbacks",
    "vis.grad_modifiers",
    "vis.input_modifiers",
    "vis.losses",
    "vis.metrics",
    "vis.optimizer",
    "vis.parameterizations",
    "vis.plotting",
    "vis.reports",
    "vis.visualization",
]
# What modules import for their types alone: Ray and Starlette need not be installed, and measures need no
# Matplotlib.
ABSENT = {
    "ray": SimpleNamespace(data=SimpleNamespace(Dataset=object)),
    "Axes": Axes,
    "Explorer": object,
    "Figure": plotting.Figure,
}
EXPLAINERS = [
    getattr(attributions, name)
    for name in attributions.__all__
    if isinstance(getattr(attributions, name), type)
    and issubclass(getattr(attributions, name), attributions.Explainer)
]


def functions(module: str) -> Iterator[tuple[str, Any]]:
    """Yield the public functions of a module and the public methods of its classes."""
    for name in PUBLIC[module]:
        thing = getattr(importlib.import_module(module), name)
        if isinstance(thing, type) and thing.__module__.startswith("vis."):
            for key, method in vars(thing).items():
                own = inspect.isfunction(method) and method.__module__.startswith("vis.")
                if own and (key[0] != "_" or key in ("__init__", "__call__")):
                    yield f"{name}.{key}", method
        elif inspect.isroutine(thing):
            yield name, thing


@pytest.mark.parametrize("module", PUBLIC)
def test_public_names(module: str) -> None:
    held = importlib.import_module(module)
    assert sorted(held.__all__) == sorted(PUBLIC[module])
    assert set(PUBLIC[module]) <= set(dir(held))


@pytest.mark.parametrize("module", PUBLIC)
def test_public_names_are_documented_and_typed(module: str) -> None:
    held = importlib.import_module(module)
    for name in PUBLIC[module]:
        thing = getattr(held, name)
        if isinstance(thing, type) and thing.__module__.startswith("vis."):
            assert vars(thing).get("__doc__"), f"{name} has no docstring"
    for name, function in functions(module):
        kind, _, method = name.rpartition(".")
        documented = inspect.getdoc(getattr(getattr(held, kind), method) if kind else function)
        assert documented or method == "__init__", f"{name} has no docstring"
        signature = inspect.signature(function)
        parameters = [p for p in signature.parameters.values() if p.name != "self"]
        assert all(p.annotation is not p.empty for p in parameters), f"{name} has an untyped parameter"
        assert signature.return_annotation is not signature.empty, f"{name} has no return type"
        typing.get_type_hints(inspect.unwrap(function), localns=ABSENT)  # no name in them is unknown


@pytest.mark.parametrize("module", TYPED)
def test_no_any_where_there_is_a_better_word(module: str) -> None:
    for name, function in functions(module):
        signature = inspect.signature(function)
        words_of = {p.name: p.annotation for p in signature.parameters.values()}
        words_of["return"] = signature.return_annotation
        loose = [key for key, annotation in words_of.items() if annotation in ("Any", Any)]
        assert not loose, f"{name} takes or returns Any: {loose}"


def test_names_that_come_with_the_library_are_those_of_the_types() -> None:
    assert set(get_args(words.GradModifierName)) <= set(grad_modifiers.names())
    assert set(get_args(words.BackpropModifierName)) <= set(backprop_modifiers.names())
    assert set(get_args(words.ParameterizationName)) <= set(parameterizations.names())
    assert set(get_args(words.OperatorName)) <= set(operators.names())
    assert set(get_args(words.Reducer)) == set(maps.REDUCERS)
    script = (
        "from typing import get_args; from vis import backprop_modifiers as b, grad_modifiers as g; "
        "from vis import parameterizations as p, words as w; from vis.attributions import operators as o;"
        "pairs = ((w.GradModifierName, g), (w.BackpropModifierName, b), (w.ParameterizationName, p), "
        "(w.OperatorName, o)); print(all(sorted(get_args(a)) == sorted(m.names()) for a, m in pairs))"
    )
    # In a process of its own, where no test has registered anything.
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True"


# ---- explainers ----------------------------------------------------------------------------------------

SHARED = [
    "model",
    "output_layer",
    "batch_size",
    "operator",
    "reducer",
    "backprop_modifier",
    "output_layer_index",
    "wrt",
    "fold_layers",
]
LEFT_OUT = {
    "Perturbed": {"reducer", "backprop_modifier"},
    "ClassActivation": {"reducer", "wrt"},
    "ChannelActivation": {"reducer", "backprop_modifier", "wrt"},
    "GuidedGradCAM": {"backprop_modifier", "wrt"},
    "ModifiedGradient": {"backprop_modifier"},
    "LRP": {"backprop_modifier", "fold_layers"},
    "AttentionMap": {"reducer", "backprop_modifier", "fold_layers"},
    "DeepLift": {"backprop_modifier", "fold_layers"},
    "LayerPath": {"reducer", "backprop_modifier", "output_layer_index", "wrt", "fold_layers"},
    "NeuronGradient": {"output_layer", "operator", "output_layer_index", "fold_layers"},
    "DeepLiftShap": {"backprop_modifier", "fold_layers"},
}
# keras-vis and Xplique users pass these by position.
POSITIONAL = {
    "Explainer": SHARED,
    "AttentionMap": SHARED[:4],
    "Saliency": [*SHARED[:6], "grad_modifier"],
    "ModifiedGradient": SHARED[:5],
    "DeepTaylor": [*SHARED[:5], "low", "high"],
    "_Composed": SHARED[:5],
    "LRP": ["model", "composite", *SHARED[1:5]],
    "DeepLift": ["model", "baseline", *SHARED[1:5]],
    "DeepLiftShap": ["model", "baselines", *SHARED[1:5]],
    "GradientShap": [
        "model",
        "baselines",
        *SHARED[1:5],
        "nb_samples",
        "noise",
        "seed",
        "backprop_modifier",
    ],
    "IntegratedGradients": [*SHARED[:5], "steps", "baseline", "method", "backprop_modifier"],
    "LayerPath": ["model", "layer", *SHARED[1:4], "steps", "baseline", "method"],
    "NeuronGradient": ["model", "layer", "batch_size", "reducer"],
    "Smoothed": [*SHARED[:5], "nb_samples", "noise", "seed", "backprop_modifier"],
    "ChannelActivation": [*SHARED[:4], "conv_layer"],
    "ScoreCAM": [*SHARED[:4], "conv_layer", "max_channels"],
    "GuidedGradCAM": [*SHARED[:5], "conv_layer"],
    "ClassActivation": [*SHARED[:4], "conv_layer", "backprop_modifier", "output_layer_index", "fold_layers"],
    "Occlusion": [
        *SHARED[:4],
        "patch_size",
        "patch_stride",
        "occlusion_value",
        "output_layer_index",
        "fold_layers",
    ],
    "Perturbed": [*SHARED[:4], "baseline"],
    "Coalitions": [*SHARED[:4], "features", "baseline"],
    "Rise": [*SHARED[:4], "nb_samples", "grid_size", "preservation_probability", "baseline", "seed"],
}
BATCH_SIZES = {"IntegratedGradients": 16, "LayerPath": 16, "GradientShap": 16, "Smoothed": 16}
REDUCERS = {"Saliency": "max", "LRP": "sum", "DeepLift": "sum", "DeepLiftShap": "sum", "Smoothed": ...}


def of_class(table: dict[str, Any], explainer: type, default: Any) -> Any:
    """Return the entry of a class, or of the nearest class that it is made of."""
    return next((table[kind.__name__] for kind in explainer.__mro__ if kind.__name__ in table), default)


@pytest.mark.parametrize("explainer", EXPLAINERS, ids=lambda kind: kind.__name__)
def test_explainers_take_the_same_options(explainer: type) -> None:
    parameters = inspect.signature(explainer).parameters
    assert not {p.kind for p in parameters.values()} & {
        inspect.Parameter.VAR_KEYWORD,
        inspect.Parameter.VAR_POSITIONAL,
    }
    left_out = of_class(LEFT_OUT, explainer, set())
    shared = [name for name in parameters if name in SHARED]
    assert set(shared) == set(SHARED) - left_out
    keywords = [name for name in shared if parameters[name].kind is inspect.Parameter.KEYWORD_ONLY]
    assert keywords == [name for name in SHARED if name in keywords]
    positional = [p.name for p in parameters.values() if p.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD]
    assert positional == of_class(POSITIONAL, explainer, None)
    defaults = {name: parameters[name].default for name in shared}
    assert defaults.pop("model") is inspect.Parameter.empty
    assert defaults.pop("batch_size") == of_class(BATCH_SIZES, explainer, 64)
    assert defaults.pop("reducer", None) == (
        None if "reducer" in left_out else of_class(REDUCERS, explainer, "mean")
    )
    assert defaults.pop("fold_layers", False) is False
    assert set(defaults.values()) == {None}
    types = {name: parameters[name].annotation for name in shared if name not in ("model", "reducer")}
    base = inspect.signature(attributions.Explainer).parameters
    assert types == {name: base[name].annotation for name in types}


@pytest.mark.parametrize("explainer", EXPLAINERS, ids=lambda kind: kind.__name__)
def test_explainers_name_their_options_in_the_docstring(explainer: type) -> None:
    if "__init__" in vars(explainer):
        text = explainer.__doc__ or ""
        for name in inspect.signature(explainer).parameters:
            assert name in text, f"{explainer.__name__} says nothing of {name}"


# ---- the top -------------------------------------------------------------------------------------------


def test_the_top_is_light_and_complete() -> None:
    script = (
        "import sys, vis; names = dir(vis); "
        "print({'keras', 'numpy', 'tensorflow'} & set(sys.modules)); "
        "print([name for name in names if not hasattr(vis, name)]); "
        "from vis import *; print(Saliency is vis.attributions.Saliency)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:3] == ["set()", "[]", "True"]
    explainers = {kind.__name__ for kind in EXPLAINERS}
    bases = {"AttentionMap", "ChannelActivation", "ClassActivation", "Coalitions", "GradientExplainer"}
    bases |= {"ModifiedGradient", "Perturbed", "Smoothed"}
    assert explainers - bases <= set(vis.__all__)


def test_words_import_nothing() -> None:
    script = "import sys, vis.words; print({'keras', 'numpy', 'tensorflow'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


# ---- what a type checker sees --------------------------------------------------------------------------

FIRST = """
from typing import Any
import keras
import numpy as np
import numpy.typing as npt
import vis
from vis import backprop_modifiers, grad_modifiers, input_modifiers, losses, metrics, parameterizations
from matplotlib.axes import Axes
from pathlib import Path
from vis import attributions, callbacks, plotting, reports
from vis.attributions import operators, store, targets
from vis.optimizer import Optimizer
from vis.typing import Map, Maps, Tensor
from vis.utils import utils

model: keras.Model
image: npt.NDArray[np.float32]
several: dict[str, npt.NDArray[np.float32]]
loss: vis.Loss
axes: Axes
perhaps: Axes | None

@grad_modifiers.register("mine")
def my_modifier(grads: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    return grads

@backprop_modifiers.register("mine")
def my_rule(x: Tensor, y: Tensor, grad: Tensor, true_grad: Tensor) -> Tensor:
    return true_grad

@operators.register("mine")
def my_operator(model: Any, inputs: Any, targets: Any) -> float:
    return 1.0
"""
# An expression, and its type.
REVEALED = {
    "vis.Saliency(model)": "vis.Saliency",
    "vis.Saliency(model).explain(image, 3)": "Map",
    "vis.Saliency(model)(image)": "Map",
    "vis.Saliency(model).explain(several)": "Maps",
    "vis.Saliency(model).explain(iter([image]))": "Maps",
    "vis.GradCAM(model, conv_layer='conv5').explain(image)": "Map",
    "vis.SmoothGrad(vis.GradCAM(model), nb_samples=8)(image)": "Map",
    "vis.IntegratedGradients(model, method='trapezoid').residuals(image)": "npt.NDArray[np.float64]",
    "vis.Saliency(model).output_layer": "str | None",
    "vis.Saliency(model).settings()": "dict[str, Any]",
    "vis.attributions.compute_saliency_maps([[1.0]], [1], model)": "Map",
    "operators.get('regression')": "operators.Operator",
    "operators.get(my_operator)": "operators.Operator",
    "targets.as_weights(3, 4, (10,))": "npt.NDArray[np.float32]",
    "my_modifier(image)": "npt.NDArray[np.float32]",
    "my_operator(model, image, 3)": "float",
    "grad_modifiers.relu(image)": "npt.NDArray[Any]",
    "grad_modifiers.get('relu')": "grad_modifiers.GradModifier",
    "parameterizations.get('fourier')": "parameterizations.Parameterization",
    "losses.LPNorm(model.input).samples": "int | None",
    "input_modifiers.Jitter().pre(image)": "npt.NDArray[Any]",
    "vis.visualize_saliency(model, -1, 3, image)": "Map",
    "vis.visualize_saliency(model, 'conv5', [3, 4], image, wrt='embedding', normalize='signed')": "Map",
    "vis.visualize_saliency(model, -1, None, several, normalize=None)": "Maps",
    "vis.visualize_saliency_with_losses(model, [(loss, -1)], image)": "Map",
    "vis.visualize_saliency_with_losses(model.inputs, [(loss, -1)], [image, image])": "Maps",
    "vis.visualize_cam(model, -1, range(3), image, conv_layer='conv5')": "Map",
    "vis.visualize_cam(model, -1, 3, several, grid=(14, 14))": "Maps",
    "vis.visualize_cam_with_losses(model, [(loss, -1)], image, conv_layer=2)": "Map",
    "vis.visualize_activation(model, 'conv5', 3, each=True)": "npt.NDArray[np.uint8 | np.float32]",
    "vis.visualize_activation_with_losses(model, [(loss, 1)], seed=0)": "npt.NDArray[np.uint8 | np.float32]",
    "vis.overlay(image, image)": "npt.NDArray[Any]",
    "plotting.plot_maps(image, vis.Saliency(model)(image))": "plotting.Figure",
    "plotting.plot_maps(image, {'Saliency': image}, titles='a cat', ax=axes)": "Axes",
    "plotting.plot_maps(image, image, ax=perhaps)": "plotting.Figure | Axes",
    "plotting.plot_grid([image], {'Saliency': [image]})": "plotting.Figure",
    "plotting.plot_saliency(image, image, ax=axes)": "Axes",
    "plotting.plot_tokens(['a', 'word'], image)": "plotting.TokenFigure",
    "plotting.plot_tokens(['a', 'word'], image, ax=axes)": "Axes",
    "plotting.plot_series(image, image)": "plotting.Figure",
    "plotting.plot_volume(image, image, ax=axes)": "Axes",
    "plotting.plot_features(['age'], image)": "plotting.Figure",
    "plotting.plot_spread([0.0], {'score': {'': image}})": "plotting.Figure",
    "plotting.plot_pictures({'': [image]}, {'': ['cat']}, ax=axes)": "Axes",
    "plotting.overlay_map(image, image)": "npt.NDArray[np.uint8]",
    "metrics.deletion(model, image, image, 3, 9, metrics.blurred, operator='regression')": "metrics.Curve",
    "metrics.insertion(model, image, [image], output_layer='logits').plot()": "plotting.Figure",
    "metrics.plot_curves({}, ax=axes)": "Axes",
    "metrics.deletion(model, image, image, features=16)": "metrics.Curve",
    "metrics.infidelity(model, image, image, 3, 'square', scaled=True)": "npt.NDArray[np.float64]",
    "metrics.mu_fidelity(model, image, image, features=lambda one: one, correlation='spearman')": (
        "npt.NDArray[np.float64]"
    ),
    "metrics.increase_in_confidence(model, image, image)": "npt.NDArray[np.bool_]",
    "metrics.average_stability(vis.Saliency(model), image, distance='l1')": "npt.NDArray[np.float64]",
    "metrics.random_logit(vis.Saliency(model), image, 3, 'rank')": "npt.NDArray[np.float64]",
    "metrics.compare({'saliency': vis.Saliency(model)}, image, 3, ['deletion'])": "metrics.Comparison",
    "metrics.compare({}, image, measures=[metrics.MEASURES['infidelity'].using(side=8)]).plot()": (
        "plotting.Figure"
    ),
    "plotting.plot_intervals({}, {}, ax=axes)": "Axes",
    "metrics.sanity_check(vis.Saliency, model, image, order='independent')": "metrics.SanityCheck",
    "metrics.sanity_check(lambda model: vis.GradCAM(model), model, image).plot(ax=perhaps)": (
        "Axes | plotting.Figure"
    ),
    "metrics.plot_sanity({}, 'title')": "plotting.Figure",
    "vis.report('maps.zarr', images=image, labels=['cat'])": "Path",
    "reports.sheets('maps.zarr', images=Path('photos'))": "list[Path]",
    "store.explained(vis.Saliency(model), image, 3)": "dict[str, npt.NDArray[Any]]",
    "store.read('maps.zarr', name='scores')": "npt.NDArray[Any]",
    "attributions.ExplainEpochs(vis.Saliency(model), image, [3]).on_train_end()": "None",
    "callbacks.Print().callback(0, [('loss', 1.0)], 1.0, image, image)": "None",
    "backprop_modifiers.get('guided')": "vis.BackpropModifier",
    "backprop_modifiers.guided": "vis.BackpropModifier",
    "my_rule": "vis.BackpropModifier",
    "utils.load_img('cat.jpg')": "npt.NDArray[np.uint8]",
    "utils.lookup_imagenet_labels([3, 4])": "list[str]",
    "Optimizer(model, []).minimize()": "tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any]]",
}
# What a type checker refuses.
REFUSED = [
    "vis.Saliency(model, reducer='median')",
    "vis.Saliency(model, no_such_option=1)",
    "vis.SmoothGrad(model, noise_scale='relative')",
    "vis.IntegratedGradients(model, method='simpson')",
    "vis.GradCAM(model, grid=16)",
    "vis.visualize_saliency(model, -1, 3, image, normalize='unit')",
    "vis.visualize_saliency(model, -1, 'class', image)",
    "vis.visualize_cam(model, -1, 3, image, grid=16)",
    "vis.visualize_activation(model, -1, 3, max_itr=3)",
    "plotting.plot_maps(image, image, ax='axes')",
    "plotting.plot_maps(image, image, colour='red')",
    "metrics.sanity_check(vis.Saliency, model, image, order='random')",
    "metrics.deletion(model, image, image, baseline=None)",
    "metrics.infidelity(model, image, image, perturbation='laplace')",
    "metrics.compare([vis.Saliency(model)], image)",
    "metrics.Measure('energy', metrics.complexity, 'up')",
    "vis.report('maps.zarr', images=3)",
    "callbacks.GifGenerator('picture.gif', data_format='nchw')",
    "backprop_modifiers.get(None)",
    "losses.TotalVariation(model.input, data_format='nchw')",
    "vis.no_such_name",
]


def checked(lines: list[str], folder: Path) -> list[str]:
    """Return what mypy says of each line that stands behind the first ones."""
    file = folder / "snippets.py"
    file.write_text(FIRST + "\n".join(lines))
    config = str(Path(vis.__file__).parent.parent / "pyproject.toml")
    output, errors, _ = api.run(
        ["--config-file", config, "--cache-dir", str(folder / "cache"), "--no-error-summary", str(file)]
    )
    assert not errors, errors
    start = FIRST.count("\n") + 1
    said = [""] * len(lines)
    for line in output.splitlines():
        path, number, message = line.split(":", 2)
        if Path(path).name == file.name and int(number) >= start:
            said[int(number) - start] += message.strip()
    return said


@native.once
def test_what_a_type_checker_reveals_and_refuses(tmp_path: Path) -> None:
    expected = [f"expected_{number}" for number in range(len(REVEALED))]
    declared = [f"{name}: {kind}" for name, kind in zip(expected, REVEALED.values(), strict=True)]
    revealed = [f"reveal_type({expression})" for expression in [*REVEALED, *expected]]
    said = checked([*declared, *revealed, *REFUSED], tmp_path)
    parts = [said[len(REVEALED) * part : len(REVEALED) * (part + 1)] for part in range(3)]
    assert not any(parts[0])
    for (expression, kind), found, wanted in zip(REVEALED.items(), *parts[1:], strict=True):
        assert "Revealed type is" in found, expression
        assert found == wanted, f"{expression} is no {kind}"
    for expression, found in zip(REFUSED, said[3 * len(REVEALED) :], strict=True):
        assert found.startswith("error:"), f"{expression} is not refused: {found}"
