"""The types of arguments and results of public functions; `vis.words` has the names that options accept."""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, BinaryIO, TypeAlias

import keras
import numpy as np
import numpy.typing as npt

from vis.progress import Progress

__all__ = [
    "Data",
    "Explainable",
    "Filters",
    "Images",
    "Inputs",
    "Layer",
    "Map",
    "Maps",
    "PictureFile",
    "Progress",
    "Targets",
    "Tensor",
]

#: A layer of a model: its index, its name or path, the layer itself, another operation of the graph, or its
#: output.
Layer: TypeAlias = int | str | keras.Layer | keras.Operation | keras.KerasTensor
#: What is explained by its scores alone: a model, or a function from a batch of arrays to outputs.
Explainable: TypeAlias = keras.Model | Callable[..., Any]
#: One filter or class, several, or None for all.
Filters: TypeAlias = int | Sequence[int] | npt.NDArray[np.integer[Any]] | None
#: Pictures, sequences, volumes or features: anything that NumPy can turn into one array.
Images: TypeAlias = npt.ArrayLike
#: The inputs of a model: an array, or a list or dict of arrays.
Inputs: TypeAlias = npt.ArrayLike | Sequence[npt.ArrayLike] | Mapping[str, npt.ArrayLike]
#: The same, or a data set of TensorFlow, Keras, PyTorch or grain, or another iterable of it.
Data: TypeAlias = Inputs | Iterable[Any]
#: Classes, labels, positions or weights; in a dict, by the names of the outputs.
Targets: TypeAlias = npt.ArrayLike | Mapping[str, npt.ArrayLike] | None
#: A map.
Map: TypeAlias = npt.NDArray[np.float32]
#: A map, or one for each of several inputs in their structure.
Maps: TypeAlias = Map | list[Map] | dict[str, Map]
#: A picture that is stored: the path of its file, the bytes of one, or a binary file object that can seek.
PictureFile: TypeAlias = str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO
#: A tensor of the framework that Keras runs on.
Tensor: TypeAlias = Any
