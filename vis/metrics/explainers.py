"""Explainers side by side: every measure of each, with intervals, and what they cost."""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, overload

import keras
import numpy as np
import numpy.typing as npt
from scipy import stats

from vis import checks
from vis.attributions import Explainer
from vis.attributions.asked import pick_of, targets_of, weighs
from vis.attributions.base import checked
from vis.attributions.batches import batches, in_memory, sized
from vis.attributions.features import FeaturesLike
from vis.errors import InputError
from vis.metrics.measures import Measure, measure_of
from vis.metrics.samples import only
from vis.metrics.tables import Table, numbers
from vis.progress import Work
from vis.typing import Data, Targets
from vis.words import Direction

if TYPE_CHECKING:
    from vis.plotting.figures import Axes, Figure

DEFAULT_MEASURES = (
    "deletion",
    "insertion",
    "mu_fidelity",
    "infidelity",
    "sensitivity_max",
    "random_logit",
    "complexity",
    "sparseness",
)
ARROWS: dict[Direction, str] = {"higher": "\u2191", "lower": "\u2193"}
_RESAMPLES = 2000


@dataclass(frozen=True, repr=False)
class Comparison:
    """What `compare` has measured.

    Attributes:
        values: by explainer, then by measure: `(N,)`.
        better: by measure: `"higher"` or `"lower"`.
        seconds: by explainer: of the maps, for each sample.
        confidence: of the intervals, 0 to 1.
        seed: of the intervals.
    """

    values: dict[str, dict[str, npt.NDArray[Any]]]
    better: dict[str, Direction]
    seconds: dict[str, float]
    confidence: float = 0.95
    seed: int = 0

    @cached_property
    def intervals(self) -> dict[str, dict[str, tuple[float, float, float]]]:
        """By explainer, then by measure: the median over the samples, and the ends of its interval.

        NaN is left out. Of booleans it is the mean, the share of samples. The interval is made by bootstrap,
        as the percentiles of 2000 resamples; of fewer than two samples, it is NaN.
        """
        return {
            name: {measure: self._interval(values) for measure, values in row.items()}
            for name, row in self.values.items()
        }

    def _interval(self, values: npt.NDArray[Any]) -> tuple[float, float, float]:
        statistic = np.mean if values.dtype == bool else np.median
        kept = values[~np.isnan(values)].astype(np.float64)
        if len(kept) < 2:
            return (float(kept[0]) if len(kept) else np.nan, np.nan, np.nan)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", stats.DegenerateDataWarning)  # of samples that are all alike
            found = stats.bootstrap(
                (kept,),
                statistic,
                n_resamples=_RESAMPLES,
                confidence_level=self.confidence,
                method="percentile",
                random_state=np.random.default_rng(self.seed),
            ).confidence_interval
        return float(statistic(kept)), float(found.low), float(found.high)

    def table(self) -> Table:
        """Return a table: a row for each explainer, the median and its interval for each measure.

        An arrow says which direction is better; the last column is the milliseconds of a map.
        """
        header = [f"{name} {ARROWS[better]}" for name, better in self.better.items()]
        columns = [self._cells(measure) for measure in self.better]
        times = numbers([1000 * seconds for seconds in self.seconds.values()])
        rows = zip(self.values, *columns, times, strict=True)
        return Table(["explainer", *header, f"ms per map {ARROWS['lower']}"], list(rows))

    def rows(self) -> list[list[str | float]]:
        """Return the numbers of the table as rows under a header, such as those of a CSV file.

        The columns are the explainer, the measure, which direction is better, the median over the samples (of
        booleans the share), and the ends of its interval; the last row of an explainer is its time.
        """
        rows: list[list[str | float]] = [["explainer", "measure", "better", "median", "low", "high"]]
        for name, row in self.intervals.items():
            rows += [[name, measure, self.better[measure], *values] for measure, values in row.items()]
            rows.append([name, "ms per map", "lower", *[1000 * self.seconds[name]] * 3])
        return rows

    def _cells(self, measure: str) -> list[str]:
        found = np.array([row[measure] for row in self.intervals.values()])
        parts = np.reshape(numbers(found.ravel().tolist()), found.shape)
        return [
            middle if low == "nan" else f"{middle} [{low}, {high}]" for middle, low, high in parts.tolist()
        ]

    @overload
    def plot(self, title: str = "", *, ax: None = None) -> Figure: ...
    @overload
    def plot(self, title: str = "", *, ax: Axes) -> Axes: ...
    def plot(self, title: str = "", *, ax: Axes | None = None) -> Figure | Axes:
        """Return a figure: a panel for each measure, a dot and its interval for each explainer.

        Args:
            title: a title above the figure.
            ax: Matplotlib axes, whose area the panels share; None for a new figure.

        Returns:
            A `matplotlib.figure.Figure`, see `vis.plotting.plot_intervals`.
        """
        from vis import plotting

        panels: dict[str, dict[str, Sequence[float]]] = {
            measure.replace("_", " "): {name: row[measure] for name, row in self.intervals.items()}
            for measure in self.better
        }
        panels["ms per map"] = {name: (1000 * value,) * 3 for name, value in self.seconds.items()}
        better: list[Direction] = [*self.better.values(), "lower"]
        return plotting.plot_intervals(panels, dict(zip(panels, better, strict=True)), title, ax=ax)

    def __repr__(self) -> str:
        count = len(next(iter(next(iter(self.values.values())).values()), ()))
        return f"Comparison({len(self.values)} explainers, {len(self.better)} measures, {count} samples)"


def compare(
    explainers: Mapping[str, Explainer],
    inputs: Data,
    targets: Targets = None,
    measures: Sequence[str | Measure] = DEFAULT_MEASURES,
    *,
    model: keras.Model | None = None,
    features: FeaturesLike = None,
    batch_size: int = 64,
    confidence: float = 0.95,
    seed: int = 0,
    progress: bool = False,
) -> Comparison:
    """Measure several explainers on the same samples.

    Args:
        explainers: by the names that the table shows; of one model, each with one input.
        inputs, targets: as `Explainer.explain`; a data set is read into arrays. Without targets, the classes
            predicted by the model of the first explainer are explained by all.
        measures: names, see `MEASURES`, or measures of your own, see `Measure`.
        model: the model with its softmax, whose probabilities deletion, insertion and the masks are measured
            by; None for the scores that are explained.
        features: positions that change together, in the measures that have them, see `deletion`.
        batch_size: the largest number of inputs that the model is given at once; an explainer has its own.
        confidence: of the intervals, between 0 and 1.
        seed: of the random changes, and of the intervals.
        progress: whether a progress bar is shown.

    Raises:
        InputError: if there are no explainers or measures, one is unknown, or a measure cannot be applied.
        FilterError, LayerError, ModelError: see `vis.errors`.
    """
    if not isinstance(explainers, Mapping) or not explainers:
        raise InputError(
            f'Pass the explainers by name: {{"saliency": Saliency(model), ...}}. Received: {explainers!r}.'
        )
    for explainer in explainers.values():
        checked(explainer)
    chosen = [measure_of(measure) for measure in ([measures] if isinstance(measures, str) else measures)]
    better = {measure.name: measure.better for measure in chosen}
    if not chosen or len(better) < len(chosen) or not set(better.values()) <= set(ARROWS):
        raise InputError(
            "Pass at least one measure, each with a name of its own, and higher or lower as what is better. "
            f"Received: {[(measure.name, measure.better) for measure in chosen]}."
        )
    if not checks.is_number(confidence) or not 0 < confidence < 1:
        raise InputError(f"confidence must be between 0 and 1. Received: {confidence!r}.")
    options: dict[str, Any] = {
        "batch_size": checks.whole("batch_size", batch_size),
        "seed": checks.whole("seed", seed, 0),
    }
    if features is not None:
        options["features"] = features
    inputs, targets = _together(next(iter(explainers.values())), inputs, targets)
    values: dict[str, dict[str, npt.NDArray[Any]]] = {}
    seconds = {}
    total = len(explainers) * (1 + len(chosen))
    with Work(total, "measures", bar=progress) as work:
        for name, explainer in explainers.items():
            work.describe(f"{name}: maps")
            maps, seconds[name] = _timed(explainer, inputs, targets)
            work.advance()
            values[name] = {}
            for measure in chosen:
                work.describe(f"{name}: {measure.name}")
                values[name][measure.name] = measure.of(explainer, inputs, maps, targets, model, options)
                work.advance()
    return Comparison(values, better, seconds, float(confidence), options["seed"])


def _together(explainer: Explainer, inputs: Data, targets: Targets) -> tuple[npt.NDArray[Any], Targets]:
    """Return the only input of all samples, and what all explainers explain of them."""
    score = explainer.score.batched()
    inputs, targets = in_memory(score.source, inputs, targets, pick_of(score))
    count, read = sized(score.source, inputs)
    if not count:
        raise InputError("There is nothing to compare. Received: no samples.")
    array = only(read(slice(0, count)))
    if targets is None and weighs(score):
        parts = batches(score.source, array, None, explainer.at_once())
        targets = np.concatenate([targets_of(score, arrays, None) for arrays, _ in parts])
    return array, targets


def _timed(explainer: Explainer, array: npt.NDArray[Any], targets: Targets) -> tuple[npt.NDArray[Any], float]:
    """Return the maps of all samples, and the mean seconds of one."""
    first = slice(0, explainer.at_once())
    several = np.ndim(targets) > 0  # type: ignore[arg-type]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # said again below
        # What is compiled for the first batch is not what a map costs.
        explainer.explain(array[first], targets[first] if several else targets)  # type: ignore[index]
    start = time.perf_counter()
    maps = explainer.explain(array, targets)
    seconds = (time.perf_counter() - start) / len(array)
    return only([*keras.tree.flatten(maps)]), seconds
