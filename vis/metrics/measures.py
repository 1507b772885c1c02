"""The measures by their names: which direction is better, and what each takes."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from vis import checks
from vis.attributions import Explainer
from vis.errors import InputError, did_you_mean
from vis.metrics.causal import Curve, deletion, insertion
from vis.metrics.concentration import complexity, sparseness
from vis.metrics.fidelity import mu_fidelity
from vis.metrics.infidelities import infidelity
from vis.metrics.masking import average_drop, average_gain, increase_in_confidence
from vis.metrics.other_classes import random_logit
from vis.metrics.stability import average_stability, sensitivity_max
from vis.typing import Data, Targets
from vis.words import Direction, Measured


@dataclass(frozen=True)
class Measure:
    """A measure of explainers: `Measure("energy", lambda maps: energy_in_mask(maps, masks), "higher")`.

    Attributes:
        name: its name in tables and figures.
        function: returns a number or a boolean for each sample, `(N,)`, or a `Curve`, whose area counts.
        better: `"higher"` or `"lower"`.
        takes: what the function is called with: `"maps"`: `(maps)`; `"score"`: `(model, inputs, maps,
            targets)`, with the model that is explained; `"probability"`: the same with the model that
            `compare` is given; `"explainer"`: `(explainer, inputs, targets)`.

    If the function has them, it also gets `output_layer`, `operator`, `batch_size`, `seed` and `features` by
    name.
    """

    name: str
    function: Callable[..., Any]
    better: Direction
    takes: Measured = "maps"

    def using(self, **options: object) -> Measure:
        """Return the same measure with other options: `MEASURES["mu_fidelity"].using(nb_samples=50)`."""
        return replace(self, function=partial(self.function, **options))

    def of(
        self,
        explainer: Explainer,
        inputs: Data,
        maps: npt.NDArray[Any],
        targets: Targets,
        model: keras.Model | None,
        options: Mapping[str, Any],
    ) -> npt.NDArray[Any]:
        """Return the values of an explainer, `(N,)`.

        Args:
            explainer, inputs, targets: what is explained.
            maps: of the explainer.
            model: has probabilities as scores; None for the model that is explained.
            options: `batch_size`, `seed` and `features`, for a function that has them.
        """
        score, other = explainer.score, model is not None and self.takes == "probability"
        layer = None if other else score.layer
        asked = (model if other else explainer.model, inputs, maps, targets)
        first = {"maps": (maps,), "explainer": (explainer, inputs, targets)}.get(self.takes, asked)
        offered = {"output_layer": layer, "operator": score.objective.operator, **options}
        set_already = getattr(self.function, "keywords", {})
        taken = [name for name in inspect.signature(self.function).parameters if name not in set_already]
        found = self.function(*first, **{name: offered[name] for name in taken if name in offered})
        values = found.area if isinstance(found, Curve) else checks.real(found, f"{self.name!r}")
        if values.shape != (len(maps),):
            raise InputError(
                f"A measure must return one value for each sample, ({len(maps)},). Received: {self.name!r} "
                f"of shape {values.shape}."
            )
        return values if values.dtype == bool else values.astype(np.float64)


def _known(*measures: Measure) -> dict[str, Measure]:
    return {measure.name: measure for measure in measures}


MEASURES = _known(
    Measure("deletion", deletion, "lower", "probability"),
    Measure("insertion", insertion, "higher", "probability"),
    Measure("mu_fidelity", mu_fidelity, "higher", "score"),
    Measure(
        "infidelity",
        partial(infidelity, perturbation="square", contributions=True, scaled=True),
        "lower",
        "score",
    ),
    Measure("sensitivity_max", sensitivity_max, "lower", "explainer"),
    Measure("average_stability", average_stability, "lower", "explainer"),
    Measure("random_logit", random_logit, "lower", "explainer"),
    Measure("average_drop", average_drop, "lower", "probability"),
    Measure("increase_in_confidence", increase_in_confidence, "higher", "probability"),
    Measure("average_gain", average_gain, "higher", "probability"),
    Measure("complexity", complexity, "lower", "maps"),
    Measure("sparseness", sparseness, "higher", "maps"),
)


def measure_of(given: Any) -> Measure:
    """Return a measure by its name, or as it is.

    Raises:
        InputError: if the name is unknown, or it is something else.
    """
    if isinstance(given, Measure):
        return given
    if not isinstance(given, str):
        raise InputError(
            f"A measure is a name or a metrics.Measure. Received: {given!r}. Say of a function what it "
            'takes and which direction is better: Measure("energy", function, "higher", "maps").'
        )
    if given not in MEASURES:
        raise InputError(
            f"Unknown measure: {given!r}.{did_you_mean(given, MEASURES)} Valid names: {', '.join(MEASURES)}."
        )
    return MEASURES[given]
