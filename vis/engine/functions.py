"""A function on arrays instead of a model: it is run as it is, and has no layers and no gradient."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import keras
import numpy as np
import numpy.typing as npt
from keras import ops

from vis import backend, checks
from vis import inputs as inputs_
from vis.engine.differentiation import Differentiation, Evaluated
from vis.engine.objectives import Seen
from vis.engine.runs import Array, Arrays, in_parts
from vis.engine.scores import Score
from vis.engine.source import Source
from vis.errors import InputError, ModelError

Shape: TypeAlias = tuple[int | None, ...]
# Of one sample of an input, or of each of several in their structure.
InputShape: TypeAlias = Shape | list[Shape] | dict[str, Shape] | None


class Wrapped(keras.Model):  # type: ignore[misc]
    """A function on arrays, with what the library asks of a model.

    Args: see `wrapped`.
    """

    def __init__(self, function: Callable[..., Any], input_shape: Any, dtype: Any) -> None:
        name = getattr(function, "__name__", type(function).__name__)
        super().__init__(name=re.sub(r"\W", "_", name).strip("_") or "function")
        self.function = function
        self.built = True
        self.takes = dtype
        self._entries = None if input_shape is None else _entries(input_shape, dtype)

    @property
    def inputs(self) -> list[keras.KerasTensor]:
        """The symbolic inputs in flat order, if their shapes are known."""
        if self._entries is None:
            raise AttributeError("The shapes of the inputs are not known.")
        return list(keras.tree.flatten(self._entries))

    @property
    def input(self) -> Any:
        """The symbolic inputs in their structure, if their shapes are known."""
        return self._entries

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Refuse to be run as a part of a model."""
        raise without_gradient(self)

    def outputs(self, given: Any) -> npt.NDArray[Any]:
        """Return what the function returns for a batch, as an array.

        Raises:
            InputError: if it is not an array of real numbers with a row for each sample.
        """
        # A copy, which the function may change.
        given = keras.tree.map_structure(lambda part: np.array(checks.array(part)), given)
        count = len(keras.tree.flatten(given)[0])
        found = checks.real(self.function(given), f"What the function {self.name!r} returns")
        if found.shape[:1] != (count,):
            raise InputError(
                f"The function {self.name!r} must return a row for each sample, ({count}, ...). "
                f"Received: shape {found.shape}."
            )
        return found


def wrapped(
    function: Callable[..., Any], input_shape: InputShape = None, dtype: str | None = None
) -> keras.Model:
    """Return a function on arrays as what explainers without gradients, and measures, take like a model.

    A function of one array of any shape needs no wrapping: `Rise(forest.predict_proba)`.

    Args:
        function: takes a batch, an array `(batch, ...)`, or the structure of several; returns outputs
            `(batch, ...)`: a scikit-learn model's `predict_proba`, a request to a served model, any other.
        input_shape: of one sample, with None for any size: `(28, 28, 1)`; a list or a dict of shapes for a
            function of several inputs; None for one input of any shape.
        dtype: of the inputs; None for the type that they come in, or, where `input_shape` tells their shapes,
            for `keras.config.floatx()`.

    Raises:
        ModelError: if it is not a function.
    """
    if not callable(function) or isinstance(function, type | keras.Operation):
        raise ModelError(
            "Expected a function on arrays, from a batch to outputs (batch, ...), such as "
            f"forest.predict_proba. Received: {function!r} of type {type(function).__name__}. A Keras "
            "model is passed as it is."
        )
    return Wrapped(function, input_shape, dtype)


def without_gradient(model: Wrapped) -> ModelError:
    """Return the error for what needs the layers of a model, or its gradient."""
    return ModelError(
        "Expected a keras.Model: a function has no layers and no gradient. Received: the function "
        f"{model.name!r}. Explain it by scores alone, with Occlusion, FeatureAblation, Rise, Lime or "
        "KernelShap."
    )


@dataclass(frozen=True)
class FunctionSource(Source):
    """A function instead of a model, see `Wrapped`."""

    def batch(self, inputs: Any) -> list[npt.NDArray[Any]]:
        if self.symbols is not None:
            return super().batch(inputs)
        array = checks.array(inputs)
        kept = self.model.takes or (str(array.dtype) if array.dtype.kind in "fiub" else None)
        return [inputs_.unbuilt_batch(self.model, inputs, kept)]


class FunctionScore(Differentiation[Score]):
    """The score of each sample by a function that is not compiled; it has no gradient.

    Args: see `Differentiation`; the source is a `Wrapped`.
    """

    def begin(self, arrays: Arrays) -> list[Array]:
        return list(arrays)

    def _evaluated(
        self,
        kind: str,
        arrays: Arrays,
        targets: Array | None = None,
        watch: Any = None,
        references: Arrays = (),
    ) -> Evaluated:
        function, objective = self.source.model, self.objective
        if kind != "values":
            raise without_gradient(function)

        def run(arrays: list[Array], targets: Array | None) -> list[list[Any]]:
            given, _, _ = self.entered(arrays)
            parameters = [] if targets is None else [ops.convert_to_tensor(targets)]
            _, evaluate = objective.prepared(function)

            def model(asked: Any) -> Any:
                return ops.convert_to_tensor(function.outputs(asked))

            seen = Seen(given, [], parameters, None, model)
            found = [ops.convert_to_numpy(term) for term, _ in evaluate(seen)]
            objective.check(backend.Evaluation(np.zeros(()), [], found), len(arrays[0]))
            return [found]

        (terms,) = in_parts(run, arrays, targets, None, False)
        return Evaluated(terms, [], [], [], [])


def _entries(shapes: Any, dtype: Any) -> Any:
    """Return symbolic inputs in the structure of shapes."""
    if isinstance(shapes, dict):
        return {name: keras.Input(shape, dtype=dtype, name=name) for name, shape in shapes.items()}
    if isinstance(shapes, list):
        return [keras.Input(shape, dtype=dtype) for shape in shapes]
    return keras.Input(shapes, dtype=dtype)
