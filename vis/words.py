"""The names that options accept, as types, in a module that is fast to import.

Where an option also accepts names that users register, its type adds `str`.
"""

from typing import Literal

CompositeName = Literal[
    "epsilon_plus",
    "epsilon_plus_flat",
    "epsilon_gamma_box",
    "epsilon_alpha2_beta1_flat",
    "deep_taylor",
    "excitation",
    "attn_lrp",
    "cp_lrp",
]
BackpropModifierName = Literal["guided", "rectified", "relu", "deconv", CompositeName]
CorrelationName = Literal["pearson", "spearman"]
DataFormat = Literal["channels_last", "channels_first"]
Direction = Literal["higher", "lower"]
DistanceName = Literal["l1", "l2"]
GradModifierName = Literal["absolute", "negate", "relu", "invert", "small_values"]
IntegrationMethod = Literal["gauss-legendre", "trapezoid"]
Measured = Literal["maps", "score", "probability", "explainer"]
NoiseScale = Literal["range", "absolute"]
Normalization = Literal["minmax", "signed"]
OperatorName = Literal[
    "classification", "contrastive", "regression", "semantic segmentation", "object detection"
]
ParameterizationName = Literal["pixels", "fourier", "maco"]
PerturbationName = Literal["gaussian", "square"]
Reducer = Literal["max", "mean", "min", "sum"]
SanityOrder = Literal["cascading", "independent"]
SimilarityName = Literal["structural", "rank"]

__all__ = [
    "BackpropModifierName",
    "CompositeName",
    "CorrelationName",
    "DataFormat",
    "Direction",
    "DistanceName",
    "GradModifierName",
    "IntegrationMethod",
    "Measured",
    "NoiseScale",
    "Normalization",
    "OperatorName",
    "ParameterizationName",
    "PerturbationName",
    "Reducer",
    "SanityOrder",
    "SimilarityName",
]
