"""The tables of names that the command line holds, beside what the library has."""

import inspect
from collections.abc import Iterator
from typing import Any, Literal

import keras
import pytest
from keras import layers

from vis import attributions, backprop_modifiers, grad_modifiers, metrics, parameterizations
from vis import methods as tables
from vis.cli import cli, methods
from vis.methods import METHODS

# A value for each argument of an explainer.
VALUES: dict[str, Any] = {
    "alpha": 2.0,
    "backprop_modifier": "guided",
    "baseline": 0.5,
    "binary": False,
    "composite": "z_plus",
    "conv_layer": "conv",
    "distance": "euclidean",
    "features": 2,
    "fold_layers": True,
    "grad_modifier": "relu",
    "grid": None,  # of tokens alone
    "grid_size": 3,
    "high": 3.0,
    "kernel_width": 0.5,
    "low": -3.0,
    "max_channels": 2,
    "method": "trapezoid",
    "multiply_by_inputs": False,
    "nb_design": 4,
    "nb_samples": 3,
    "noise": 0.1,
    "noise_scale": "absolute",
    "occlusion_value": 1.0,
    "operator": "regression",
    "patch_size": 2,
    "patch_stride": 1,
    "preservation_probability": 0.3,
    "reducer": "sum",
    "seed": 1,
    "steps": 5,
    "wrt": "conv",
}
# What a base class takes is refused, or left out, by some of those made of it; a second name; an object.
NO_OPTIONS = {
    "model",
    "output_layer",
    "output_layer_index",
    "batch_size",
    "baseline_value",
    "baselines",
    "progress",
    "regressor",
    "upsample",  # what is drawn covers the picture
}


@pytest.fixture(scope="module")
def network() -> keras.Model:
    image = layers.Input((8, 8, 3))
    x = layers.Conv2D(2, 3, activation="relu", name="conv")(image)
    return keras.Model(image, layers.Dense(3)(layers.Flatten()(x)))


def test_the_names_are_those_of_the_registries() -> None:
    assert set(tables.GRAD_MODIFIERS) == set(grad_modifiers.names())
    assert set(tables.BACKPROP_MODIFIERS) == set(backprop_modifiers.names())
    assert set(tables.PARAMETERIZATIONS) == set(parameterizations.names())
    assert tables.MEASURES == tuple(metrics.MEASURES)


def test_every_explainer_is_a_method() -> None:
    found = {
        name
        for name in attributions.__all__
        if inspect.isclass(kind := getattr(attributions, name))
        and issubclass(kind, attributions.Explainer)
        and not inspect.isabstract(kind)
    }
    found -= {
        "AttentionMap",
        "GradientExplainer",
        "ModifiedGradient",
        "Smoothed",
    }  # those that others are made of
    found -= {"DeepLiftShap", "GradientShap"}  # a set of references is no option
    found -= {"InternalInfluence", "LayerConductance", "NeuronGradient"}  # a layer is required
    assert {method.explainer for method in METHODS.values()} == found


def test_every_argument_of_an_explainer_has_a_value_here() -> None:
    parameters = {
        name
        for method in METHODS.values()
        for kind in inspect.getmro(getattr(attributions, method.explainer))
        if "__init__" in vars(kind)
        for name, each in inspect.signature(kind).parameters.items()
        if each.kind not in (each.VAR_KEYWORD, each.VAR_POSITIONAL)
    }
    assert set(VALUES) == parameters - NO_OPTIONS - {"self", "args", "kwargs"}
    assert set(VALUES) == {name for method in METHODS.values() for name in method.options}


@pytest.mark.parametrize("name", VALUES)
@pytest.mark.parametrize("method", METHODS)
def test_a_method_has_the_options_that_its_constructor_takes(
    network: keras.Model, method: str, name: str
) -> None:
    kind = getattr(attributions, METHODS[method].explainer)
    if name in METHODS[method].options:
        kind(network, **{name: VALUES[name]})
    else:
        with pytest.raises(TypeError):
            kind(network, **{name: VALUES[name]})


def defaults(method: str) -> Iterator[tuple[str, Any]]:
    """Yield the arguments that have an option of their own, with their defaults."""
    for name, each in inspect.signature(getattr(attributions, METHODS[method].explainer)).parameters.items():
        if name in methods.OWN:
            yield name, each.default


@pytest.mark.parametrize("method", METHODS)
def test_the_help_tells_the_defaults(method: str) -> None:
    options = {parameter.name: parameter for parameter in cli.commands["explain"].params}
    for name, default in defaults(method):
        assert default is None or options[name].default != default, "the constructor's own is taken"
        if isinstance(default, int | float):
            assert f"[default: {default:g}]" in options[name].help


@pytest.mark.parametrize(
    ("asked", "text", "value"),
    [
        (int, "3", 3),
        (float, "3", 3.0),
        (float, "1e-3", 0.001),
        (bool, "yes", True),
        (bool, "False", False),
        (str, "3", "3"),
        (str | None, "none", None),
        (str | None, "max", "max"),
        (int | None, "None", None),
        (int | tuple[int, ...] | None, "3,4", (3, 4)),
        (Any, "3", 3),
        (Any, "(3, 4)", (3, 4)),
        (Any, "conv", "conv"),
        (Any, "a b", "a b"),
        (Literal["max", "mean"] | None, "max", "max"),
        (Literal["max", "mean"] | None, "none", None),
    ],
)
def test_a_text_becomes_what_is_asked_for(asked: Any, text: str, value: Any) -> None:
    class Asks:
        def __init__(self, thing: Any) -> None: ...

    Asks.__init__.__annotations__["thing"] = asked
    found = methods.converted(Asks, {"thing": text})["thing"]
    assert found == value and type(found) is type(value)
