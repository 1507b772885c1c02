"""Advice fits the model: nothing is advised that changes nothing, or is refused."""

from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

import vis
from vis import advice
from vis.attributions import GradCAM, Saliency
from vis.errors import EmptyMapWarning, SoftmaxWarning, VisError

X = np.random.default_rng(3).normal(size=(2, 6, 6, 1)).astype(np.float32)
LOGITS = "vis.linear_outputs"


def network(*ends: Any, dead: bool = False) -> keras.Model:
    """A network that may not depend on its input."""
    keras.utils.set_random_seed(5)
    first = layers.Conv2D(2, 3, activation="relu", bias_initializer=keras.initializers.Constant(-1e3 * dead))
    return keras.Sequential([layers.Input((6, 6, 1)), first, layers.Flatten(), *ends])


class Subclassed(keras.Model):
    def __init__(self, dead: bool) -> None:
        super().__init__()
        self.inner = network(layers.Dense(3), dead=dead)
        self.end = layers.Softmax()

    def call(self, x: Any) -> Any:
        return self.end(self.inner(x))


def subclassed(dead: bool) -> keras.Model:
    model = Subclassed(dead)
    model(X)
    return model


def nested(dead: bool) -> keras.Model:
    inner = network(layers.Dense(3, "softmax"), dead=dead)
    return keras.Sequential([layers.Input((6, 6, 1)), inner])


# How a model ends, and whether it has logits of its own.
MODELS: dict[str, tuple[Any, bool]] = {
    "a fused softmax": (lambda dead: network(layers.Dense(3, "softmax"), dead=dead), True),
    "a softmax layer": (lambda dead: network(layers.Dense(3), layers.Softmax(), dead=dead), True),
    "a sigmoid": (lambda dead: network(layers.Dense(1, "sigmoid"), dead=dead), True),
    "a nested softmax": (nested, True),
    "logits": (lambda dead: network(layers.Dense(3), dead=dead), False),
    "a regression": (lambda dead: network(layers.Dense(1), dead=dead), False),
    "a subclassed model": (subclassed, True),
}


def said(call: Any) -> list[str]:
    with pytest.warns() as caught:
        call()
    return [str(one.message) for one in caught if one.category in (EmptyMapWarning, SoftmaxWarning)]


@pytest.mark.parametrize("name", MODELS)
def test_logits_are_advised_where_there_are_some(name: str) -> None:
    make, some = MODELS[name]
    model = make(True)
    assert advice.has_logits(model, model) is some
    calls = [lambda: Saliency(model).explain(X, 0)]
    if name != "a subclassed model":
        calls.append(lambda: vis.visualize_saliency(model, -1, 0, X[0]))
        calls.append(
            lambda: vis.visualize_activation(model, -1, 0, max_iter=2, lp_norm_weight=0, tv_weight=0)
        )
    for call in calls:
        texts = said(call)
        assert any("Try " in text for text in texts)
        for text in texts:
            assert (LOGITS in text) is some
            assert some or "saturated" not in text
            if "zero everywhere" in text or "lowered" in text:
                several = name not in ("a sigmoid", "a regression")
                assert ("another filter" in text or "another target" in text) is several
    if some:  # and what is advised has no logits in turn
        assert not advice.has_logits(vis.linear_outputs(model), vis.linear_outputs(model))
    else:
        try:
            assert vis.linear_outputs(model) is model
        except VisError:
            pass


@pytest.mark.parametrize("name", MODELS)
def test_a_layer_inside_has_no_logits(name: str) -> None:
    model = MODELS[name][0](False)
    assert not advice.has_logits(model, model.layers[0]) or name == "a nested softmax"


def test_looking_for_logits_leaves_the_model_as_it_was(untouched: Any) -> None:
    for make, _ in MODELS.values():
        model = make(False)
        check = untouched(model)
        advice.has_logits(model, model)
        check()


def test_negate_is_advised_where_it_shows_something() -> None:
    negative = network(layers.Dense(1, kernel_initializer=keras.initializers.Constant(-1.0)))
    (text,) = said(lambda: vis.visualize_cam(negative, -1, 0, X[0]))
    assert "use grad_modifier='negate'" in text
    assert vis.visualize_cam(negative, -1, 0, X[0], grad_modifier="negate").any()
    positive = network(layers.Dense(1, kernel_initializer="ones"))
    (text,) = said(lambda: vis.visualize_cam(positive, -1, 0, X[0], grad_modifier="negate"))
    assert "negate" not in text and "Try " in text
    flat = np.zeros_like(X[0])  # the features are the same everywhere, whatever the sign
    for modifier in (None, "negate"):
        for text in said(lambda m=modifier: vis.visualize_cam(negative, -1, 0, flat, grad_modifier=m)):
            assert "negate" not in text


def test_another_modifier_is_advised_where_it_shows_something() -> None:
    flat = keras.Sequential([layers.Input((3,)), layers.Dense(1, kernel_initializer="ones")])
    signs = keras.Sequential([layers.Input((3,)), layers.Dense(1)])
    signs.layers[0].kernel.assign([[1.0], [-1.0], [1.0]])
    (text,) = said(lambda: vis.visualize_saliency(flat, -1, 0, np.ones(3), grad_modifier="absolute"))
    assert "grad_modifier" not in text
    (text,) = said(lambda: vis.visualize_saliency(signs, -1, 0, np.ones(3), grad_modifier="absolute"))
    assert "another grad_modifier" in text
    assert vis.visualize_saliency(signs, -1, 0, np.ones(3), grad_modifier=None).any()


def test_zero_targets_are_the_reason() -> None:
    model, rows = network(layers.Dense(3)), np.eye(3)[[0, 1]]
    rows[1] = 0
    for kind in (Saliency, GradCAM):
        texts = [text for text in said(lambda k=kind: k(model).explain(X, rows)) if "Their targets" in text]
        assert len(texts) == 1 and "1 of 2 samples are zero everywhere: 1. Their targets are zero" in texts[0]
        assert "logits" not in texts[0]
