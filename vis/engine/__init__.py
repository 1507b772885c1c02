"""One engine: an objective of a model, its differentiation, and the compiled functions that both share."""

from vis.engine.differentiation import Descent, Differentiation, Evaluated
from vis.engine.functions import FunctionScore, FunctionSource, Wrapped, without_gradient, wrapped
from vis.engine.losses import Losses, WeightedLosses, checked_losses
from vis.engine.objectives import Objective, Output, single_output
from vis.engine.scores import Operator, Score
from vis.engine.source import ModelOrInputs, Source, as_source

__all__ = [
    "Descent",
    "Differentiation",
    "Evaluated",
    "FunctionScore",
    "FunctionSource",
    "Losses",
    "ModelOrInputs",
    "Objective",
    "Operator",
    "Output",
    "Score",
    "Source",
    "WeightedLosses",
    "Wrapped",
    "as_source",
    "checked_losses",
    "single_output",
    "without_gradient",
    "wrapped",
]
