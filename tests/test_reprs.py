"""What objects show of themselves can be typed."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

import vis
from vis import attributions, input_modifiers, losses, parameterizations
from vis.attributions import Attribution, Explained, GradientExplainer, Smoothed
from vis.attributions.operators import segmentation
from vis.optimizer import Optimizer
from vis.reprs import Shown, TypedRepr, typed, variable

WORDS: dict[str, Any] = {
    "np": np,
    **{name: getattr(attributions, name) for name in attributions.__all__},
    **{name: getattr(losses, name) for name in losses.__all__},
    **{name: getattr(parameterizations, name) for name in parameterizations.__all__},
    **{name: getattr(input_modifiers, name) for name in input_modifiers.__all__},
    "Optimizer": Optimizer,
}


@pytest.fixture(scope="module")
def network() -> keras.Model:
    keras.utils.set_random_seed(0)
    inner = keras.Sequential(
        [layers.Input((6, 6, 3)), layers.Conv2D(4, 3, activation="relu", name="conv")], name="backbone"
    )
    x = keras.Input((6, 6, 3), name="image")
    pooled = layers.GlobalAveragePooling2D(name="pool")(inner(x))
    return keras.Model(x, layers.Dense(3, name="end")(pooled), name="small-net_1.0")


def again(made: Any, **names: Any) -> Any:
    """Return what is made when the repr of an object is typed."""
    return eval(repr(made), {**WORDS, **names})


EXPLAINERS: dict[str, Callable[[Any], Any]] = {
    "Saliency(small_net_1_0)": lambda m: vis.Saliency(m),
    "Saliency(small_net_1_0, output_layer='pool', batch_size=None, operator='semantic segmentation', "
    "reducer=None, backprop_modifier='guided', grad_modifier='relu', wrt='backbone/conv', "
    "fold_layers=True)": (
        lambda m: vis.Saliency(
            m,
            -2,
            None,
            segmentation,
            None,
            vis.backprop_modifiers.guided,
            "relu",
            wrt="backbone/conv",
            fold_layers=True,
        )
    ),
    "Saliency(small_net_1_0, grad_modifier=None)": lambda m: vis.Saliency(m, grad_modifier=None),
    "Saliency(small_net_1_0, grad_modifier=np.negative)": lambda m: vis.Saliency(
        m, grad_modifier=np.negative
    ),
    "Saliency(small_net_1_0, output_layer='backbone/conv')": (
        lambda m: vis.Saliency(m, m.get_layer("backbone").layers[-1])
    ),
    "GuidedBackprop(small_net_1_0, reducer='max')": lambda m: vis.GuidedBackprop(m, reducer="max"),
    "GradientInput(small_net_1_0, batch_size=2)": lambda m: vis.GradientInput(m, batch_size=2),
    "IntegratedGradients(small_net_1_0, steps=7, baseline=0.5, method='trapezoid')": (
        lambda m: vis.IntegratedGradients(m, steps=7, baseline=0.5, method="trapezoid")
    ),
    "SmoothGrad(small_net_1_0, nb_samples=3, seed=1, noise_scale='absolute')": (
        lambda m: vis.SmoothGrad(m, nb_samples=3, seed=1, noise_scale="absolute")
    ),
    "SmoothGrad(small_net_1_0, output_layer='pool')": lambda m: vis.SmoothGrad(m, "pool"),
    "VarGrad(Saliency(small_net_1_0, output_layer='pool'), reducer='min', noise=0.1)": (
        lambda m: vis.VarGrad(vis.Saliency(m, "pool"), reducer="min", noise=0.1)
    ),
    "GradCAM(small_net_1_0)": lambda m: vis.GradCAM(m),
    "GradCAM(small_net_1_0, conv_layer='backbone/conv')": lambda m: vis.GradCAM(
        m, conv_layer="backbone/conv"
    ),
    "Occlusion(small_net_1_0, patch_size=(2, 3))": lambda m: vis.Occlusion(m, patch_size=(2, 3)),
    "FeatureAblation(small_net_1_0, features=2)": lambda m: vis.FeatureAblation(m, features=2),
    "Rise(small_net_1_0, nb_samples=5, seed=2)": lambda m: vis.Rise(m, nb_samples=5, seed=2),
    "Lime(small_net_1_0, distance='euclidean', kernel_width=2.0)": (
        lambda m: vis.Lime(m, distance="euclidean", kernel_width=2)
    ),
    "KernelShap(small_net_1_0, features=2, nb_samples=50)": (
        lambda m: vis.KernelShap(m, features=2, nb_samples=50)
    ),
    "SobolAttribution(small_net_1_0, nb_design=8)": lambda m: vis.SobolAttribution(m, nb_design=8),
    "HsicAttribution(small_net_1_0, binary=False)": lambda m: vis.HsicAttribution(m, binary=False),
    "Occlusion(small_net_1_0, patch_stride=1)": lambda m: vis.Occlusion(m, patch_stride=1),
}


@pytest.mark.parametrize("shown", EXPLAINERS)
def test_an_explainer(network: keras.Model, shown: str) -> None:
    explainer = EXPLAINERS[shown](network)
    assert repr(explainer) == shown
    typed_again = again(explainer, small_net_1_0=network)
    assert typed_again.settings() == explainer.settings()
    assert repr(typed_again) == shown


def test_every_public_explainer_is_shown(network: keras.Model) -> None:
    names = {shown.split("(")[0] for shown in EXPLAINERS}
    for name in vis.__all__:
        kind = getattr(vis, name)
        if isinstance(kind, type) and issubclass(kind, vis.Explainer) and name != "Explainer":
            if name in ("DeepLiftShap", "GradientShap"):
                references = np.zeros((2, *network.input_shape[1:]))
                shown = repr(kind(network, references))
                assert shown == f"{name}(small_net_1_0, baselines={typed(references)})"
            elif name in ("InternalInfluence", "LayerConductance", "NeuronGradient"):
                layer = network.layers[1].name
                assert repr(kind(network, layer)) == f"{name}(small_net_1_0, layer={layer!r})"
            elif name not in names:
                assert repr(kind(network)) == f"{name}(small_net_1_0)"
            assert kind.__repr__ is TypedRepr.__repr__


def test_a_call_of_a_shared_layer() -> None:
    dense = layers.Dense(4, name="dense")
    x = keras.Input((4,), name="x")
    model = keras.Model(x, dense(dense(x)), name="twice")
    explainer = vis.Saliency(model, "dense:0")
    assert repr(explainer) == "Saliency(twice, output_layer='dense:0')"
    assert again(explainer, twice=model).settings() == explainer.settings()


PLAIN = {
    "RandomAffine()": parameterizations.RandomAffine(),
    "RandomAffine(rotation=5.0)": parameterizations.RandomAffine(rotation=5.0),
    "Fourier()": parameterizations.Fourier(),
    "Fourier(transformation=None)": parameterizations.Fourier(None),
    "Fourier(transformation=RandomAffine(jitter=0.1), decorrelate=False)": parameterizations.Fourier(
        parameterizations.RandomAffine(0.1), False
    ),
    "MACO()": parameterizations.MACO(),
    "MACO(transformation=None)": parameterizations.MACO(None),
    "Pixels()": parameterizations.Pixels(),
    "Canvas((1, 4, 4, 3), channels=3, input_range=(0, 255))": parameterizations.Canvas(
        (1, 4, 4, 3), 3, (0, 255)
    ),
}


@pytest.mark.parametrize("shown", PLAIN)
def test_plain_values_are_equal_when_typed_again(shown: str) -> None:
    assert repr(PLAIN[shown]) == shown
    assert again(PLAIN[shown]) == PLAIN[shown]


def test_jitter() -> None:
    for shown, given in (
        ("Jitter()", {}),
        ("Jitter(jitter=(1.0, 2.0), seed=3)", {"jitter": (1, 2), "seed": 3}),
    ):
        made = input_modifiers.Jitter(**given)
        assert repr(made) == shown
        x = np.arange(32.0).reshape(1, 4, 4, 2)
        if given:
            np.testing.assert_array_equal(again(made).pre(x), input_modifiers.Jitter(**given).pre(x))
    assert repr(input_modifiers.InputModifier()) == "InputModifier()"


def test_losses(network: keras.Model) -> None:
    end, image = network.get_layer("end"), network.inputs[0]
    shown = {
        "ActivationMaximization(end)": losses.ActivationMaximization(end),
        "ActivationMaximization(end, filter_indices=2)": losses.ActivationMaximization(end, np.int64(2)),
        "ActivationMaximization(end, filter_indices=[0, 2], each=True)": losses.ActivationMaximization(
            end, (0, 2), each=True
        ),
        "LPNorm(image)": losses.LPNorm(image),
        "LPNorm(image, p=2.0)": losses.LPNorm(image, 2),
        "TotalVariation(image, beta=1.5, data_format='channels_last')": losses.TotalVariation(
            image, 1.5, "channels_last"
        ),
    }
    for text, loss in shown.items():
        assert repr(loss) == text
        other = again(loss, end=end, image=image)
        assert type(other) is type(loss) and vars(other) == vars(loss)
    pairs = [(shown["ActivationMaximization(end)"], -1.0), (shown["LPNorm(image)"], 10)]
    made = Optimizer(network, pairs, (0, 1))
    assert repr(made) == (
        "Optimizer(small_net_1_0, losses=[(ActivationMaximization(end), -1.0), (LPNorm(image), 10)], "
        "input_range=(0, 1))"
    )
    assert repr(again(made, small_net_1_0=network, end=end, image=image)) == repr(made)


def test_a_loss_of_ones_own(network: keras.Model) -> None:
    class Margin(vis.Loss):
        def __init__(self, layer: Any, by: float = 1.0, secret: int = 0) -> None:
            self.layer, self.by = layer, by

        def build_loss(self) -> Any:
            return self.layer.output

    assert repr(Margin(network.get_layer("end"), 2.0)) == "Margin(end, by=2.0, secret=...)"

    class Nothing(vis.Loss):
        def build_loss(self) -> Any:
            return network.get_layer("end").output

    assert repr(Nothing()) == "Nothing()"


def test_explainers_of_ones_own(network: keras.Model) -> None:
    class Squared(GradientExplainer):
        pass

    class Mean(Smoothed):
        def made_of(self, mean: Any, square: Any) -> Any:
            return mean

    assert repr(Mean(Squared(network), seed=4)) == "Mean(Squared(small_net_1_0), seed=4)"


def test_results(network: keras.Model) -> None:
    maps = np.linspace(-1, 1, 72, dtype=np.float32).reshape(2, 6, 6, 1)
    assert repr(Attribution([maps])) == "Attribution([<float32 (2, 6, 6, 1), -1 to 1>])"
    explained = Explained([maps], np.eye(2, dtype=np.float32), np.array([0.5, 0.25]))
    assert repr(explained) == (
        "Explained([<float32 (2, 6, 6, 1), -1 to 1>], "
        "targets=np.array([[1., 0.], [0., 1.]], dtype='float32'), scores=np.array([0.5 , 0.25]))"
    )
    (found,) = vis.Saliency(network).explained(np.ones((1, 6, 6, 3)), 0, scores=True)
    assert repr(found).startswith("Explained([<float32 (1, 6, 6, 1), ")


def test_typed() -> None:
    assert typed(np.zeros((3, 3))) == "<float64 (3, 3), 0>"
    assert typed(np.full((3, 3), np.nan)) == "<float64 (3, 3)>"
    assert typed(np.array([1.0, np.nan] * 8)) == "<float64 (16,), 1>"
    assert typed(np.array(["a", "b"], object)) == "<object (2,)>"
    assert typed(np.zeros((0, 3), np.float32)) == "<float32 (0, 3)>"
    assert typed(np.array([True])) == "np.array([ True])"
    assert typed(np.float32(0.5)) == "0.5"
    assert typed({"a": (1,), "b": [None, ...]}) == "{'a': (1,), 'b': [None, Ellipsis]}"
    assert typed(max) == "max" and typed(int) == "int"
    assert typed(Shown("as it is")) == "as it is"


@pytest.mark.parametrize("name", ["mobilenetv2_1.00_224", "2d", "class", "", "a b/c"])
def test_variable(name: str) -> None:
    assert variable(name).isidentifier()
    exec(f"{variable(name)} = 1", {})


def test_a_dataclass_of_ones_own() -> None:
    @dataclass(frozen=True, repr=False)
    class Point(TypedRepr):
        x: int
        y: int = 0

    assert repr(Point(1)) == "Point(1)"
    assert repr(Point(1, 2)) == "Point(1, y=2)"
