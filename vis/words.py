"""The names that options accept, as types, in a module that is fast to import.

Where an option also accepts names that users register, its type adds `str`.
"""

from typing import Literal

BackpropModifierName = Literal["guided", "rectified", "relu", "deconv"]
DataFormat = Literal["channels_last", "channels_first"]
GradModifierName = Literal["absolute", "negate", "relu", "invert", "small_values"]
IntegrationMethod = Literal["gauss-legendre", "trapezoid"]
NoiseScale = Literal["range", "absolute"]
Normalization = Literal["minmax", "signed"]
OperatorName = Literal["classification", "regression", "semantic segmentation", "object detection"]
ParameterizationName = Literal["pixels", "fourier"]
Reducer = Literal["max", "mean", "min", "sum"]
SanityOrder = Literal["cascading", "independent"]

__all__ = [
    "BackpropModifierName",
    "DataFormat",
    "GradModifierName",
    "IntegrationMethod",
    "NoiseScale",
    "Normalization",
    "OperatorName",
    "ParameterizationName",
    "Reducer",
    "SanityOrder",
]
