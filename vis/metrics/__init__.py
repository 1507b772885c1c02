"""Measures of maps: what they depend on, whether they show what the model uses, and where they point.

A map can look convincing and say nothing about the model. `sanity_check` finds such maps; `deletion` and
`insertion` test whether what a map calls important matters to the model; `pointing_game` and `energy_in_mask`
compare a map with where the object is. `table` sets the results of several methods side by side.
"""

from vis.metrics.causal import Curve, blurred, deletion, insertion, plot_curves
from vis.metrics.comparison import table
from vis.metrics.localization import energy_in_mask, pointing_game
from vis.metrics.sanity import SanityCheck, plot_sanity, sanity_check
from vis.metrics.similarity import rank_correlation, structural_similarity
from vis.metrics.tables import Table, median

__all__ = [
    "Curve",
    "SanityCheck",
    "Table",
    "blurred",
    "deletion",
    "energy_in_mask",
    "insertion",
    "median",
    "plot_curves",
    "plot_sanity",
    "pointing_game",
    "rank_correlation",
    "sanity_check",
    "structural_similarity",
    "table",
]
