"""What stands beside a map: whether it depends on the weights, how it measures, what maximizes its target."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any

import numpy as np

from vis import metrics
from vis.errors import InputError
from vis.explorer.drawings import png, saved
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


@dataclass(frozen=True)
class Maximized:
    """How a picture is made that maximizes a class or filter.

    Args:
        layer: the path of the layer; None for the output.
        target: the class or filter.
        low_high: the range of the model's pixels, or None.
        shape: of the picture as the model takes it.
        sides: its height and width.
        free: whether the model takes any size, so that noise of this one is the start.
    """

    layer: str | None
    target: int
    low_high: tuple[float, float] | None
    shape: tuple[int, ...]
    sides: tuple[int, ...]
    free: bool

    def of(self, subject: Any) -> Beside:
        """Return the picture for a model."""
        start = None
        low, high = self.low_high or (0.0, 1.0)
        if self.free:
            noise = np.random.default_rng(0).normal(scale=0.01 * (high - low), size=self.shape)
            start = (low + high) / 2 + noise
        found = visualize_activation(
            subject,
            subject.outputs[0] if self.layer is None else self.layer,
            self.target,
            seed_input=start,
            input_range=self.low_high,
            parameterization="fourier",
            max_iter=STEPS,
            seed=0,
        )
        low, high = self.low_high or (float(found.min()), float(found.max()))
        scaled = np.rint(255 * (np.float64(found) - low) / max(high - low, 1e-30)).astype(np.uint8)
        what = f"class {self.target}" if self.layer is None else f"filter {self.target} of {self.layer}"
        text = (
            f"A picture that {what} responds to, made from noise in {STEPS} steps (Fourier parameterization)."
        )
        return Beside(text, figure=png(as_picture(scaled, self.sides)), size=(self.sides[0], self.sides[1]))

    def lines(self, subject: str) -> list[str]:
        """Return the same as Python, for a model of this name."""
        where = f"{subject}.outputs[0]" if self.layer is None else repr(self.layer)
        low, high = self.low_high or (0.0, 1.0)
        start = []
        if self.free:
            start = [
                f"noise = np.random.default_rng(0).normal(scale={0.01 * (high - low)!r}, size={self.shape!r})"
            ]
        seed_input = f" seed_input={(low + high) / 2!r} + noise," if self.free else ""
        ends = "float(picture.min()), float(picture.max())" if self.low_high is None else f"{low!r}, {high!r}"
        return [
            *start,
            "picture = vis.visualize_activation(",
            f"    {subject}, {where}, {self.target}, input_range={self.low_high!r},{seed_input}",
            f'    parameterization="fourier", max_iter={STEPS}, seed=0,',
            ")",
            f"low, high = {ends}",
            "picture = np.rint(255 * (np.float64(picture) - low) / max(high - low, 1e-30)).astype(np.uint8)",
            f'Image.fromarray(plotting.over.as_picture(picture, {self.sides!r})).save("maximized.png")',
        ]
