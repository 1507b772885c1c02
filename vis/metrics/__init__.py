"""Measures of maps: whether they depend on what a model has learnt, on what it uses, and where they point.

Maps look convincing that say nothing of the model. `sanity_check` tells those apart; `deletion` and
`insertion` ask whether what a map calls important matters to the model; `pointing_game` and `energy_in_mask`
compare a map with where the thing is.
"""

from vis.metrics.causal import Curve, blurred, deletion, insertion
from vis.metrics.localization import energy_in_mask, pointing_game
from vis.metrics.sanity import SanityCheck, median, plot_sanity, sanity_check
from vis.metrics.similarity import rank_correlation, structural_similarity

__all__ = [
    "Curve",
    "SanityCheck",
    "blurred",
    "deletion",
    "energy_in_mask",
    "insertion",
    "median",
    "plot_sanity",
    "pointing_game",
    "rank_correlation",
    "sanity_check",
    "structural_similarity",
]
