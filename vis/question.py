"""The steps of every command before it explains anything: loading the model and preparing the pictures."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from vis import describe, files, inputs, maps, models
from vis.engine import Differentiation, Output, Source
from vis.errors import InputError, LayerError
from vis.files.pictures import image_size
from vis.typing import PictureFile

_FITTED = {"crop": "cropped", "pad": "padded", "stretch": "stretched"}


class PictureInput:
    """How pictures become an input of a model.

    Args:
        network: the model.
        shape: `(height, width, channels)` of the input, None for sizes that vary.
        input_range: the values of black and white; None to read them from the model.
        preprocess: see `vis.files.prepared`; None for values in the range.
        fit: see `vis.files.load_image`.
        size: the height and width of pictures for a model that takes any; None for that of each picture.
        number: which of the inputs it is.

    Attributes:
        shape: `(height, width, channels)` of the pictures; without a size, None where the model takes any.
        any_size: whether it takes any height or width.
        fit: how pictures of another shape are fitted.
        preprocess: the preprocessing, or None.
        input_range: the values of black and white.

    Raises:
        InputError: if both a range and a preprocessing are given.
    """

    def __init__(
        self,
        network: keras.Model,
        shape: tuple[int | None, ...],
        input_range: tuple[float, float] | None = None,
        preprocess: str | None = None,
        fit: str = "crop",
        size: tuple[int, int] | None = None,
        number: int = 0,
    ) -> None:
        input_range = maps.range_of_pictures(input_range, preprocess)
        self.range_is_known = input_range is not None
        height, width, channels = shape
        self.any_size = height is None or width is None
        self.shape: tuple[int | None, ...] = (height, width, channels or 3)
        if size is not None:
            self.shape = (height or size[0], width or size[1], channels or 3)
        self.fit = fit
        self.preprocess = preprocess
        self.input_range = input_range or describe.pixel_range(network, number)

    def picture(self, path: PictureFile, name: str | None = None) -> npt.NDArray[np.float32]:
        """Return a picture as the model sees it, in values from 0 to 255; `name` is what messages call it."""
        return files.load_image(path, self.shape, self.fit, name=name)

    def prepared(self, picture: npt.NDArray[np.float32]) -> npt.NDArray[Any]:
        """Return the model's input of a picture of values from 0 to 255."""
        if self.preprocess is not None:
            return files.prepared(picture, self.preprocess)
        low, high = self.input_range
        return low + (high - low) * picture / 255


class Question(PictureInput):
    """A model, the layer of it to explain, and how pictures become its inputs.

    Args:
        model: the file, or the model itself.
        layer: an index as text, a name or a path; None for the model's output.
        probabilities: explain the model itself, not its logits.
        safe_mode: see `vis.files.load_model`.
        input_range, preprocess, fit, size: see `PictureInput`.

    Attributes:
        explained: the model that is explained.
        layer: the layer of it that is, or the model itself for its output.
        whole: the model as it was loaded, with its softmax, if its only output is explained; otherwise None.
        name: what the layer is called.

    Raises:
        VisError: as its parts.
    """

    def __init__(
        self,
        model: Path | keras.Model,
        layer: str | None = None,
        probabilities: bool = False,
        input_range: tuple[float, float] | None = None,
        safe_mode: bool = True,
        preprocess: str | None = None,
        fit: str = "crop",
        size: tuple[int, int] | None = None,
    ) -> None:
        self._path, self._probabilities = None if isinstance(model, keras.Model) else model, probabilities
        self._network = model if isinstance(model, keras.Model) else files.load_model(model, safe_mode)
        shape = describe.image_shape(self._network)
        super().__init__(self._network, shape, input_range, preprocess, fit, size)
        self.explained = self._network if probabilities else models.linear_outputs(self._network)
        found = (
            self._network if layer is None else models.find_layer(self._network, describe.layer_key(layer))
        )
        ends = [list(_ends(tensor)) for tensor in self._network.outputs]
        # Which output is explained, if it is one.
        self._output = next((i for i, end in enumerate(ends) if any(found is one for one in end)), None)
        if found is self._network:
            if len(ends) > 1:
                names = " and ".join(repr(end[0].name) for end in ends)
                raise LayerError(
                    f"The model {found.name!r} has {len(ends)} outputs, of the layers {names}. Name one of "
                    "these layers."
                )
            self._output = 0
        self.name = ends[0][0].name if found is self._network else found.name
        self.layer = found if self._output is None else _end(self.explained, self._output)
        self.whole = self._network if self._output is not None and len(ends) == 1 else None

    def source(self) -> dict[str, Any]:
        """Return how pictures become inputs and what is explained, in plain values, to be kept with maps."""
        return {
            "model": None if self._path is None else os.path.abspath(self._path),
            "shape": list(self.shape),
            "fit": self.fit,
            "input_range": None if self.preprocess is not None else list(self.input_range),
            "preprocess": self.preprocess,
            "probabilities": self._probabilities,
            "layer": self.name,
        }

    def predicted(self, array: npt.NDArray[Any]) -> list[int] | None:
        """Return the predicted class of an input, without its batch axis, if an output is explained."""
        return None if self._output is None else [int(_means(self.explained, self.layer, array).argmax())]

    def assumed(self, path: PictureFile | None = None, array: npt.NDArray[Any] | None = None) -> str:
        """Return in words how pictures become inputs, what of that was guessed, and what is predicted.

        Args:
            path: a picture, or None for pictures in general.
            array: its input.
        """
        low, high = self.input_range
        said = [f"values from {low:g} to {high:g}{'' if self.range_is_known else ' assumed (--input-range)'}"]
        if self.preprocess is not None:
            said = [f"preprocessed as for {self.preprocess}"]
        if path is not None:
            size = image_size(path)
            height, width = self.shape[:2]
            if height is not None and width is not None and size[0] * width != size[1] * height:
                said.append(f"{_FITTED[self.fit]} from {size[0]} x {size[1]} to {height} x {width} (--fit)")
        if array is not None and (self._output is not None or len(self._network.outputs) == 1):
            output = self._output or 0
            found = _means(self.explained, _end(self.explained, output), array)
            score = _means(self._network, _end(self._network, output), array)
            of = f"predicted class {found.argmax()}, score" if len(found) > 1 else "predicted"
            said.append(f"{of} {score[found.argmax()]:.4g}")
        return ", ".join(said)

    def assumed_of(self, pictures: files.ImageFolder) -> str:
        """Return the same for the first picture of a folder that can be read."""
        for number, path in enumerate(pictures.paths):
            with contextlib.suppress(InputError):
                return f"{path}: {self.assumed(path, pictures[number])}"
        return self.assumed()


def _ends(tensor: Any) -> Iterator[Any]:
    """Yield the operations that an output comes out of: a model, its last layer, what that wraps."""
    operation, _, index = tensor._keras_history
    yield operation
    if isinstance(operation, keras.Model) and models.input_structure(operation) is not None:
        yield from _ends(operation.outputs[index])
    while isinstance(operation, keras.layers.Wrapper):
        operation = operation.layer
        yield operation


def _end(model: Any, output: int) -> Any:
    """Return what an output of a model is explained as: the layer that it comes out of, or the model.

    A layer that has other outputs or calls does not stand for it, nor does a model inside.
    """
    tensor = model.outputs[output]
    operation = tensor._keras_history.operation
    if len(model.outputs) > 1:
        return operation
    if not isinstance(operation, keras.Layer):
        return model
    try:
        return operation if operation.output is tensor else model
    except (AttributeError, ValueError):  # called several times
        return model


def _means(model: Any, layer: Any, array: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Return the output of a layer for one input, in the mean over positions, `(filters,)`."""
    source = Source(model)
    read = Differentiation(source, Output(None if layer is model else layer, layer.name))
    output = np.asarray(read.values(inputs.one_input(source.symbols, array))[0], np.float64)
    if output.ndim == 0:
        return output[None]
    axis = models.filter_axis(layer, output.ndim + 1) % (output.ndim + 1) - 1
    return np.asarray(output.mean(axis=tuple(i for i in range(output.ndim) if i != axis)))
