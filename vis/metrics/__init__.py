"""Measures of maps: what they depend on, whether they show what the model uses, and where they point.

A map can look convincing and say nothing about the model. `compare` measures several explainers on the same
samples; `sanity_check` finds maps that do not depend on what the model has learnt. One value for each sample,
and which direction is better:

| measure | better | what it tells |
|---|---|---|
| `deletion`, `insertion` | lower, higher | what a map calls important matters, and is enough |
| `mu_fidelity` | higher | sums of a map follow the drop of the score |
| `infidelity` | lower | a map foretells the drop of the score |
| `average_drop` | lower | the model does not need what a map hides |
| `increase_in_confidence`, `average_gain` | higher | the model is better off without it |
| `sensitivity_max`, `average_stability` | lower | close inputs have close maps |
| `random_logit` | lower | another class has another map |
| `complexity`, `sparseness` | lower, higher | a map lies on few positions |
| `pointing_game`, `energy_in_mask` | higher | a map lies where the object is |

`table` sets the results of several methods side by side.
"""

from vis.metrics.causal import Curve, blurred, deletion, insertion, plot_curves
from vis.metrics.comparison import table
from vis.metrics.concentration import complexity, sparseness
from vis.metrics.explainers import DEFAULT_MEASURES, Comparison, compare
from vis.metrics.fidelity import mu_fidelity
from vis.metrics.infidelities import infidelity
from vis.metrics.localization import energy_in_mask, pointing_game
from vis.metrics.masking import average_drop, average_gain, increase_in_confidence
from vis.metrics.measures import MEASURES, Measure
from vis.metrics.other_classes import random_logit
from vis.metrics.sanity import SanityCheck, plot_sanity, sanity_check
from vis.metrics.similarity import rank_correlation, structural_similarity
from vis.metrics.stability import average_stability, sensitivity_max
from vis.metrics.tables import Table, median

__all__ = [
    "DEFAULT_MEASURES",
    "MEASURES",
    "Comparison",
    "Curve",
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
]
