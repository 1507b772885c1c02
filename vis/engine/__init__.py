"""One engine: an objective of a model, its differentiation, and the compiled functions that both share."""

from vis.engine.differentiation import Descent, Differentiation, Evaluated
from vis.engine.losses import Losses, WeightedLosses, checked_losses
from vis.engine.objectives import Objective, Output, single_output
from vis.engine.scores import Operator, Score
from vis.engine.source import ModelOrInputs, Source, as_source

__all__ = [
    "Descent",
    "Differentiation",
    "Evaluated",
    "Losses",
    "ModelOrInputs",
    "Objective",
    "Operator",
    "Output",
    "Score",
    "Source",
    "WeightedLosses",
    "as_source",
    "checked_losses",
    "single_output",
]
