"""Several explainers side by side."""

from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from tests import native
from tests.metrics.models import IMAGES, LABELS, convolutional
from vis import GradientInput, Saliency, linear_outputs, metrics
from vis.errors import InputError
from vis.metrics import MEASURES, Measure, compare

NETWORK = convolutional()
LOGITS = linear_outputs(NETWORK)
EXPLAINERS = {"saliency": Saliency(LOGITS), "times input": GradientInput(LOGITS, reducer="sum")}


def test_every_measure_is_that_of_its_function() -> None:
    found = compare(EXPLAINERS, IMAGES, LABELS, list(MEASURES), model=NETWORK, seed=3)
    assert [*found.values] == ["saliency", "times input"] and [*found.better] == [*MEASURES]
    for name, explainer in EXPLAINERS.items():
        maps = explainer(IMAGES, LABELS)
        wanted = {
            "deletion": metrics.deletion(NETWORK, IMAGES, maps, LABELS).area,
            "insertion": metrics.insertion(NETWORK, IMAGES, maps, LABELS).area,
            "mu_fidelity": metrics.mu_fidelity(LOGITS, IMAGES, maps, LABELS, seed=3),
            "infidelity": metrics.infidelity(
                LOGITS, IMAGES, maps, LABELS, "square", seed=3, contributions=True, scaled=True
            ),
            "sensitivity_max": metrics.sensitivity_max(explainer, IMAGES, LABELS, seed=3),
            "average_stability": metrics.average_stability(explainer, IMAGES, LABELS, seed=3),
            "random_logit": metrics.random_logit(explainer, IMAGES, LABELS, seed=3),
            "average_drop": metrics.average_drop(NETWORK, IMAGES, maps, LABELS),
            "increase_in_confidence": metrics.increase_in_confidence(NETWORK, IMAGES, maps, LABELS),
            "average_gain": metrics.average_gain(NETWORK, IMAGES, maps, LABELS),
            "complexity": metrics.complexity(maps),
            "sparseness": metrics.sparseness(maps),
        }
        assert [*wanted] == [*MEASURES]
        for measure, values in wanted.items():
            np.testing.assert_allclose(found.values[name][measure], values, rtol=1e-4, atol=1e-6)
        assert found.seconds[name] > 0


def test_data_sets_and_predicted_classes() -> None:
    names = ("deletion", "complexity")
    wanted = compare(EXPLAINERS, IMAGES, NETWORK.predict(IMAGES, verbose=0).argmax(1), names).values
    for data in (IMAGES, native.dataset(IMAGES, 3), [IMAGES]):
        found = compare(EXPLAINERS, data, None, names).values
        for name, row in found.items():
            for measure, values in row.items():
                np.testing.assert_allclose(values, wanted[name][measure], rtol=1e-4, atol=1e-6)


def test_measures_of_your_own() -> None:
    seen: dict[str, Any] = {}

    def with_options(model: Any, inputs: Any, maps: Any, targets: Any, seed: int, features: Any) -> Any:
        seen.update(model=model, seed=seed, features=features)
        return np.array([True, False, True, True])

    energy = Measure(
        "energy", lambda maps: metrics.energy_in_mask(np.abs(maps), IMAGES[..., 0] > 0.5), "higher"
    )
    hits = Measure("hits", with_options, "higher", "probability")
    few = MEASURES["mu_fidelity"].using(nb_samples=5, seed=1)
    found = compare(EXPLAINERS, IMAGES, 1, [energy, hits, few], model=NETWORK, features=2, seed=9)
    assert seen == {"model": NETWORK, "seed": 9, "features": 2}
    assert found.intervals["saliency"]["hits"][0] == 0.75, "the share, of booleans"
    maps = EXPLAINERS["saliency"](IMAGES, 1)
    wanted = metrics.mu_fidelity(LOGITS, IMAGES, maps, 1, nb_samples=5, seed=1, features=2)
    np.testing.assert_allclose(found.values["saliency"]["mu_fidelity"], wanted, rtol=1e-5)


def comparison() -> metrics.Comparison:
    rng = np.random.default_rng(0)
    values = {
        "a": {"deletion": np.array([0.1, 0.2, 0.3, np.nan]), "hits": np.array([True, True, True, False])},
        "b": {"deletion": np.full(4, 0.5), "hits": rng.random(4) < 2},
    }
    return metrics.Comparison(values, {"deletion": "lower", "hits": "higher"}, {"a": 0.002, "b": 0.03})


def test_intervals_are_those_of_resamples() -> None:
    rng, values = np.random.default_rng(1), np.random.default_rng(2).normal(size=60)
    one = metrics.Comparison({"a": {"m": values}}, {"m": "lower"}, {"a": 1.0}, 0.9).intervals["a"]["m"]
    medians = np.median(rng.choice(values, (4000, 60)), axis=1)
    np.testing.assert_allclose(one, [np.median(values), *np.quantile(medians, (0.05, 0.95))], atol=0.05)
    found = comparison().intervals
    assert found["a"]["deletion"] == pytest.approx((0.2, 0.1, 0.3)) and found["b"]["deletion"] == (0.5,) * 3
    alone = metrics.Comparison({"a": {"m": values[:1]}}, {"m": "lower"}, {"a": 1.0}).intervals["a"]["m"]
    assert alone[0] == values[0] and np.isnan(alone[1:]).all()


def test_the_table() -> None:
    found = comparison().table()
    assert found.header == ("explainer", "deletion \u2193", "hits \u2191", "ms per map \u2193")
    assert found.rows[0] == ("a", "0.20 [0.10, 0.30]", "0.75 [0.25, 1.00]", "2.00")
    assert found.rows[1] == ("b", "0.50 [0.50, 0.50]", "1.00 [1.00, 1.00]", "30.00")
    assert repr(comparison()) == "Comparison(2 explainers, 2 measures, 4 samples)"


def test_the_figure() -> None:
    figure = comparison().plot("a title")
    assert figure.get_suptitle() == "a title"
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["deletion", "hits", "ms per map"]
    assert [axes.get_xlabel() for axes in figure.axes] == ["\u2190 better", "better \u2192", "\u2190 better"]


TWO = keras.Model(
    [x := layers.Input((3,)), y := layers.Input((3,))], layers.Dense(2)(layers.Concatenate()([x, y]))
)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"explainers": {}}, "Pass the explainers by name"),
        ({"explainers": [EXPLAINERS["saliency"]]}, "Pass the explainers by name"),
        ({"explainers": {"a": LOGITS}}, "Pass an explainer of vis.attributions"),
        ({"measures": ["deletoin"]}, "Unknown measure: 'deletoin'. Did you mean 'deletion'"),
        ({"measures": []}, "Pass at least one measure"),
        ({"measures": ["deletion", "deletion"]}, "each with a name of its own"),
        ({"measures": [metrics.deletion]}, "Say of a function what it takes"),
        ({"measures": [Measure("mean", lambda maps: maps.mean(), "higher")]}, r"'mean' of shape \(\)"),
        ({"measures": [Measure("mean", np.mean, "up")]}, "higher or lower as what is better"),  # type: ignore[arg-type]
        ({"measures": "average_drop"}, "The scores must be probabilities"),
        ({"confidence": 95}, "confidence must be between 0 and 1"),
        ({"inputs": IMAGES[:0], "targets": None}, "There is nothing to compare"),
        ({"explainers": {"a": Saliency(TWO)}, "inputs": [np.ones((2, 3))] * 2, "targets": 0}, "one input"),
    ],
)
def test_what_is_refused(change: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        compare(**{"explainers": EXPLAINERS, "inputs": IMAGES, "targets": LABELS, **change})
