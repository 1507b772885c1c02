"""What is differentiated: a model, or symbolic inputs of a graph."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import keras
import numpy.typing as npt

from vis import backend, models
from vis import inputs as inputs_
from vis.backprop_modifiers import BackpropModifier
from vis.errors import (
    GradientError,
    InputError,
    LayerError,
    ModelError,
    SharedInputWarning,
    VisError,
    warn,
)

# A model, or the symbolic inputs of one in their structure.
ModelOrInputs: TypeAlias = (
    keras.Model | keras.KerasTensor | Sequence[keras.KerasTensor] | Mapping[str, keras.KerasTensor]
)


@dataclass(frozen=True)
class Source:
    """What is differentiated: a model, or symbolic inputs of a graph.

    Args:
        model: a Keras model, with its backprop modifier if it has one, or one or more symbolic inputs.
    """

    model: Any

    @property
    def is_model(self) -> bool:
        return isinstance(self.model, keras.Model)

    @property
    def symbols(self) -> Any:
        """The structure of symbolic inputs, or None for a model that has none."""
        if not self.is_model:
            return self.model
        found = vars(self).get("_symbols")
        if found is None:
            found = models.input_structure(self.model)
            if not isinstance(self.model, keras.Sequential):  # which may be changed
                vars(self)["_symbols"] = found
        return found

    def anchor(self) -> Any:
        """Return the object that traces live as long as."""
        if self.is_model:
            return models.unmodified(self.model)[0]
        return keras.tree.flatten(self.model)[0]._keras_history.operation

    @property
    def modifier(self) -> BackpropModifier | None:
        """The backprop modifier of a modified model."""
        own = models.unmodified(self.model)[1] if self.is_model else None
        return BackpropModifier(*own) if own else None

    def specs(self, arrays: Sequence[npt.NDArray[Any]]) -> list[backend.Spec]:
        """Return what a compiled function takes for batches of inputs such as `arrays`, in flat order."""
        if self.symbols is None:
            shape, dtype = arrays[0].shape, arrays[0].dtype
            return [backend.Spec((None, *shape[1:]), "string" if dtype.kind == "O" else str(dtype), shape)]
        symbols = keras.tree.flatten(self.symbols)
        examples = itertools.chain((array.shape for array in arrays), itertools.repeat(None))
        return [
            backend.Spec(tuple(symbol.shape), symbol.dtype, example)
            for symbol, example in zip(symbols, examples, strict=False)
        ]

    def sized(self, arrays: Sequence[npt.NDArray[Any]]) -> list[backend.Spec]:
        """Return the specs of `arrays` with their own sizes, except the number of samples."""
        return [
            backend.Spec((spec.shape[0], *array.shape[1:]), spec.dtype, array.shape)
            for spec, array in zip(self.specs(arrays), arrays, strict=False)
        ]

    def batch(self, inputs: Any) -> list[npt.NDArray[Any]]:
        """Return the arrays of a batch in flat order, in the types that the model takes.

        Raises:
            InputError: see `vis.inputs`.
        """
        if self.symbols is None:
            return [inputs_.unbuilt_batch(self.model, inputs)]
        return inputs_.batch_of_inputs(self.symbols, inputs)

    def channel_axis(self, index: int, rank: int) -> int:
        """Return the channel axis of arrays of some rank for one input, by its index in flat order."""
        origin = self.model if self.symbols is None else keras.tree.flatten(self.symbols)[index]
        return models.input_channel_axis(origin, rank) % rank

    def point(self, named: Any, argument: str) -> Any:
        """Return what is named inside the model: a layer, a call of one, or a symbolic tensor.

        Args:
            named: what `vis.models.find_layer` takes, or, for symbolic inputs, a layer or tensor; or a list
                of one (`model.input` is such a list if the model was made with one).
            argument: the caller's name for it, for the message.

        Raises:
            LayerError: if there is no such layer, or if it is named and the model is not known.
        """
        thing = named[0] if isinstance(named, list | tuple) and len(named) == 1 else named
        if self.is_model:
            return models.find_layer(self.model, thing)
        if isinstance(thing, models.POINTS):
            return thing
        raise LayerError(
            f"{argument} must be a layer or a symbolic tensor, such as model.get_layer('conv1') or its "
            f"output. "
            f"Received: {named!r} of type {type(named).__name__}. To name a layer by name, path or index, "
            "pass the model in place of its symbolic input."
        )

    @contextlib.contextmanager
    def tried(self, specs: Sequence[backend.Spec]) -> Iterator[None]:
        """Raise `InputError` if a model without symbolic inputs cannot run on the inputs it is given.

        Raises:
            InputError: for whatever its layers raise.
        """
        try:
            yield
        except VisError:
            raise
        except Exception as error:
            if self.symbols is not None:
                raise
            shapes = ", ".join(str(spec.shape[1:]) for spec in specs)
            raise InputError(
                f"The model {self.model.name!r} cannot run on inputs of shape {shapes}: {error}"
            ) from error

    def graph(self, made: Callable[[], list[keras.KerasTensor]]) -> Any:
        """Return the model that contains the layers of symbolic tensors, which are made only if needed."""
        if self.is_model:
            return models.unmodified(self.model)[0]
        symbols = made()
        given = {id(tensor._keras_history.operation) for tensor in keras.tree.flatten(self.model)}
        needed = [node.operation for node in models.upstream(symbols) if not node.input_tensors]
        if not given.issuperset(map(id, needed)):
            raise GradientError(
                "The losses cannot be computed from input_tensor. They need: "
                f"{', '.join(repr(operation.name) for operation in needed)}. Received: "
                f"{', '.join(t.name for t in keras.tree.flatten(self.model))}. Pass all inputs of the model; "
                "for a layer of a nested or modified model, pass the model in place of input_tensor."
            )
        return keras.Model(self.model, symbols)


def as_source(model: Any) -> Source:
    """Return the source for a Keras model or symbolic inputs.

    Raises:
        ModelError: for anything else.
    """
    given = [] if isinstance(model, keras.Model) else keras.tree.flatten(model)
    if isinstance(model, keras.Model) or (given and all(map(_is_input, given))):
        if any(map(models.is_modified_too, given)):
            warn(
                "The symbolic input belongs to a model and to a modified model made from it. This uses the "
                "plain gradient. Pass the model that you mean, modified or not, in place of its input.",
                SharedInputWarning,
            )
        return Source(model)
    raise ModelError(
        f"Expected a Keras model or its symbolic input, model.input. Received: {model!r} of type "
        f"{type(model).__name__}."
    )


def _is_input(tensor: Any) -> bool:
    return isinstance(tensor, keras.KerasTensor) and isinstance(
        tensor._keras_history.operation, keras.layers.InputLayer
    )
