"""What stands beside a map: whether it depends on the weights, how it measures, what maximizes its target."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any

import numpy as np

from vis import metrics
from vis.errors import InputError
from vis.explorer.slots import Array, png, saved
from vis.metrics.explainers import DEFAULT_MEASURES
from vis.plotting.over import as_picture
from vis.progress import each
from vis.visualization import visualize_activation

STEPS = 200
_MEANS = {
    "deletion": "mean score while the largest values are removed first",
    "insertion": "mean score while the largest values are put in first",
    "mu_fidelity": "correlation between the map and what removing random parts costs",
    "infidelity": "squared error of what the map says that a change costs",
    "sensitivity_max": "largest change of the map under small noise",
    "random_logit": "similarity to the map of another class",
    "complexity": "entropy of the map: how widely it is spread",
    "sparseness": "Gini index of the map: how concentrated it is",
}
MEANING = (
    "Layers are given random weights, from the output to the input. A map that shows what the model has "
    "learnt loses its likeness to that of the trained model: 1 is the same map, 0 is unrelated. A map that "
    "stays alike shows the picture and the architecture."
)


@dataclass(frozen=True)
class Beside:
    """What is shown beside a map.

    Args:
        text: what it says.
        rows: a table, the header first.
        figure: as a PNG file; None for none.
        size: the height and width of a figure that is a picture of the model's input; None for a plot.
        warnings: what the library has warned of.
    """

    text: str
    rows: tuple[tuple[str, ...], ...] = ()
    figure: bytes | None = None
    size: tuple[int, int] | None = None
    warnings: tuple[str, ...] = ()

    def told(self) -> dict[str, Any]:
        """Return it in plain values."""
        return {
            "text": self.text,
            "rows": [list(row) for row in self.rows],
            "figure": None if self.figure is None else base64.b64encode(self.figure).decode(),
            "size": self.size,
            "warnings": list(self.warnings),
        }


def sanity(make: Any, model: Any, sample: Any, target: int | None) -> Beside:
    """Return how similar a map stays while layers are given random weights.

    Args:
        make: makes an explainer of a model.
        model: the model.
        sample: a batch of one.
        target: what is explained.
    """
    check = metrics.sanity_check(make, model, sample, target)
    ranks = [float(np.nanmedian(row)) if np.isfinite(row).any() else np.nan for row in check.rank_correlation]
    alike = [float(np.nanmedian(row)) for row in check.structural_similarity]
    rows = [("random from the output to", "rank correlation", "similarity")]
    rows += [
        (path, two_digits(rank), two_digits(same))
        for path, rank, same in zip(check.layers, ranks, alike, strict=True)
    ]
    last = "is constant" if np.isnan(ranks[-1]) else f"has a rank correlation of {two_digits(ranks[-1])}"
    text = f"With all weights random, the map {last} (similarity {two_digits(alike[-1])}). {MEANING}"
    return Beside(text, tuple(rows), saved(check.plot()))


def two_digits(value: float) -> str:
    """Write a number with two digits, and what rounds to zero without a sign."""
    return f"{round(value, 2) + 0.0:.2f}"


def measures(explainer: Any, model: Any, sample: Any, target: int | None) -> Beside:
    """Return the measures of a map.

    Args:
        explainer: makes the map.
        model: has probabilities; None for a layer inside, whose own scores are measured.
        sample: a batch of one.
        target: what is explained.
    """
    maps = np.asarray(explainer.explain(sample, target))
    rows = [("measure", "value", "better", "what it is")]
    for measure in each([metrics.MEASURES[known] for known in DEFAULT_MEASURES], "measures"):
        try:
            (value,) = measure.of(explainer, sample, maps, target, model, {"batch_size": 64, "seed": 0})
            rows.append((measure.name, f"{float(value):.3g}", measure.better, _MEANS[measure.name]))
        except InputError as error:  # noise on words, for example
            rows.append((measure.name, "-", measure.better, str(error)))
    return Beside("Of this sample alone. Compare methods on many samples with vis compare.", tuple(rows))


def maximize(subject: Any, layer: Any, target: int, low_high: Any, sample: Array, what: str) -> Beside:
    """Return a picture that maximizes a class or filter.

    Args:
        subject: the model.
        layer: the layer of it.
        target: the class or filter.
        low_high: the range of the model's pixels, or None.
        sample: an input of the size that is wanted, `(1, ...)`.
        what: the class or filter in words.
    """
    start = None
    if any(size is None for size in subject.inputs[0].shape[1:]):
        low, high = low_high or (0.0, 1.0)
        noise = np.random.default_rng(0).normal(scale=0.01 * (high - low), size=sample.shape[1:])
        start = (low + high) / 2 + noise
    found = visualize_activation(
        subject,
        layer,
        target,
        seed_input=start,
        input_range=low_high,
        parameterization="fourier",
        max_iter=STEPS,
        seed=0,
    )
    low, high = low_high or (float(found.min()), float(found.max()))
    scaled = np.rint(255 * (np.asarray(found, np.float64) - low) / max(high - low, 1e-30))
    picture = as_picture(scaled.astype(np.uint8), found.shape[:2])
    text = f"A picture that {what} responds to, made from noise in {STEPS} steps (Fourier parameterization)."
    return Beside(text, figure=png(picture), size=(picture.shape[0], picture.shape[1]))
