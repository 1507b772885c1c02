"""Gradient descent on the inputs of a model."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, TypeAlias

import keras
import numpy as np

from vis import checks, grad_modifiers, inputs, maps, models, parameterizations
from vis.callbacks import OptimizerCallback, Print
from vis.descent import Array, Part, Run, Search, joined, listening
from vis.engine import Differentiation, Losses, WeightedLosses, as_source, checked_losses
from vis.errors import InputError
from vis.grad_modifiers.base import GradModifierLike
from vis.input_modifiers import InputModifier
from vis.parameterizations import Canvas, Parameterization
from vis.parameterizations.base import ParameterizationLike
from vis.reprs import TypedRepr
from vis.typing import Inputs, Layer

__all__ = ["Optimizer"]

# The values (low, high) of a picture, or None for any.
Range: TypeAlias = tuple[float, float] | None
Modifiers: TypeAlias = Sequence[InputModifier]


class Optimizer(TypedRepr):
    """Changes inputs to minimize a weighted sum of losses.

    `z <- z - update(m(g / |g|))` with `g = d(sum_i weight_i loss_i(x(z))) / dz`, `m` the gradient modifier,
    `x(z)` the parameterization of the input, by default `x = z`, and the update of a Keras optimizer: on
    pixels, by default, RMSprop with a learning rate of 1 and a decay of 0.95. Of several inputs, `z` holds
    all that change, and `|g|` is taken over them together.

    Args:
        input_tensor: the model's symbolic input or inputs, `model.input`, or the model itself, which a
            modified model needs.
        losses: pairs `(loss, weight)` of a `vis.losses.Loss` and a finite number.
        input_range: the values `(low, high)` of the picture that `minimize` returns; None for any: the
            optimized values are returned as they are, in float32. For several inputs, one for all, or a dict
            by their names.
        wrt_tensor: keras-vis's name of `wrt`.
        norm_grads: divide the gradient of each sample by its Euclidean norm.
        wrt: what to differentiate by instead of the input: a symbolic tensor or a layer; if `input_tensor` is
            a model, also the name of one. Its gradient and value are returned after one evaluation, and the
            input does not change.
        inputs: the names of the inputs that change, of a model with several; None for all that take floats.
            The others stay as `seed_input` has them.

    Raises:
        InputError: if the model has no symbolic input, or an input that changes takes integers; or if `wrt`
            is given under both names.
        ModelError, LayerError: if `input_tensor` or `wrt` is not part of a Keras model.
    """

    def __init__(
        self,
        input_tensor: keras.Model | keras.KerasTensor | Sequence[keras.KerasTensor],
        losses: Losses,
        input_range: Range | Mapping[str, Range] = (0, 255),
        wrt_tensor: Layer | None = None,
        norm_grads: bool = True,
        *,
        wrt: Layer | None = None,
        inputs: Sequence[str] | None = None,
    ) -> None:
        self.source = as_source(input_tensor)
        self._symbols = keras.tree.flatten(self.source.symbols)
        if None in self._symbols:
            raise InputError(
                "The optimizer needs a model with symbolic inputs. Received: "
                f"{self.source.model!r}. Wrap a subclassed model: keras.Model(x, model(x)), x a keras.Input."
            )
        self.losses = losses
        named = checks.either(wrt, wrt_tensor, "wrt", "wrt_tensor")
        point = None if named is None else self.source.point(named, "wrt")
        only = len(self._symbols) == 1 and models.operation_of(point) is models.operation_of(self._symbols[0])
        self.wrt = None if only else point
        self.inputs = inputs
        self._changed = self._changing(inputs)
        self.input_range = input_range
        self._ranges = [_range(own) for own in self._of_each(input_range, (0, 255), "input_range")]
        self.norm_grads = norm_grads

    @property
    def input(self) -> keras.KerasTensor:
        """The symbolic input that changes; the first one of several."""
        return self.changed[0]

    @property
    def changed(self) -> list[keras.KerasTensor]:
        """The symbolic inputs that change, in flat order."""
        return [self._symbols[i] for i in self._changed]

    @property
    def wrt_tensor(self) -> Layer | None:
        """keras-vis's name of `wrt`."""
        return self.wrt

    def _arguments(self) -> dict[str, Any]:
        return {"input_tensor": self.source.model, "wrt_tensor": None}

    @property
    def _names(self) -> list[str]:
        return inputs.names(self.source.symbols)

    def _changing(self, named: Sequence[str] | None) -> list[int]:
        """Return which inputs change, in flat order."""
        names = self._names
        if named is not None and (
            isinstance(named, str)
            or not named
            or not set(named) <= set(names)
            or len(set(named)) < len(named)
        ):
            raise InputError(
                f"inputs must be a list of some of {', '.join(map(repr, names))}, each once. "
                f"Received: {named!r}."
            )
        floats = [keras.backend.is_float_dtype(symbol.dtype) for symbol in self._symbols]
        found = [i for i, name in enumerate(names) if (floats[i] if named is None else name in named)]
        wrong = next((i for i in found if not floats[i]), None if found else 0)
        if wrong is not None and self.wrt is None:
            symbol = self._symbols[wrong]
            raise InputError(
                f"The model takes {symbol.dtype}, and there is no gradient with respect to an integer. "
                f"Received: the input {symbol.name!r}. Optimize a part of the model that takes floats."
            )
        return found or [0]

    def _of_each(self, given: Any, default: Any, what: str) -> list[Any]:
        """Return a setting for each input that changes: one for all, or a dict by their names."""
        names = [self._names[i] for i in self._changed]
        if not isinstance(given, Mapping):
            return [given] * len(names)
        if not set(given) <= set(names):
            raise InputError(
                f"The keys of {what} must be names of the inputs that change, "
                f"{', '.join(map(repr, names))}. Received: {', '.join(map(repr, given))}."
            )
        return [given.get(name, default) for name in names]

    def minimize(
        self,
        seed_input: Inputs | None = None,
        max_iter: int = 200,
        input_modifiers: Modifiers | Mapping[str, Modifiers] | None = None,
        grad_modifier: GradModifierLike = None,
        callbacks: Sequence[OptimizerCallback] | None = None,
        verbose: bool = True,
        optimizer: keras.optimizers.Optimizer | None = None,
        seed: int | None = None,
        parameterization: ParameterizationLike | Mapping[str, ParameterizationLike] = "pixels",
        samples: int | None = None,
        *,
        starts: int | None = None,
    ) -> tuple[Array, Array, Array]:
        """Return the input that had the best loss as a picture, and the last gradient and value.

        Args:
            seed_input: where to start, one input with or without its batch axis; by default at random. For
                several inputs their structure, or a dict by their names, with None for an input that
                starts at random. With `samples` or `starts` also a batch of as many, one for each.
            max_iter: the number of steps, at least 1.
            input_modifiers: objects that change the input, see `vis.input_modifiers`; for several inputs, a
                list for all that change, or a dict of lists by their names.
            grad_modifier: changes the gradient, see `vis.grad_modifiers`; that of each input by itself.
            callbacks: objects that are called before the first step, after each step and at the end, see
                `vis.callbacks`.
            verbose: print the losses of each step.
            optimizer: a Keras optimizer; it is not changed. One that depends on the whole variable, such as
                one with `clipnorm`, makes `samples` depend on each other.
            seed: fixes the random start and the random transformations.
            parameterization: how the input is parameterized, `"pixels"`, `"fourier"` or `"maco"`, or a
                `vis.parameterizations.Parameterization`; for several inputs, one for all, or a dict by their
                names (the others are pixels).
            samples: how many inputs to optimize side by side, from the same start unless `seed_input` has
                one for each, each for its own value of the losses; None for one input.
            starts: how many starts to try side by side, each with its own steps; what had the lowest loss of
                all is returned. The first start is the only one of a call without `starts`, and no start
                depends on their number.

        Returns:
            The best input as a picture without its batch axis, or `samples` pictures: on pixels normalised
            to a mean in the middle of `input_range` and a standard deviation of a tenth of it
            (`vis.utils.utils.deprocess_input`). Then the gradient by the optimized values (or by `wrt`) and
            the value of the input (or of `wrt`) at the last step, with their batch axis. For several inputs,
            each is a structure of all of them: inputs that stay are returned as they are, their gradients
            are None.

        If the loss of a layer never changes for a sample, for example because the filter is zero at the
        start, a second descent uses the losses of layers alone, and activations that pass no gradient at all
        pass one that turns them on; once these losses change, the descent goes on with all losses. A model
        with a backprop modifier keeps it, and gets no second descent.

        Raises:
            InputError: if `max_iter`, `samples` or `starts` is below 1, both of the latter are given,
                `seed_input` does not fit, or modifiers of pixels come with a parameterization that has none.
            GradientError: if a loss is not finite.

        Warns:
            EmptyMapWarning: if no step lowers the loss of a sample, or the loss of a layer never changes.
        """
        max_iter = checks.whole("max_iter", max_iter)
        samples = None if samples is None else checks.whole("samples", samples)
        starts = None if starts is None else checks.whole("starts", starts)
        if samples is not None and starts is not None:
            raise InputError(
                f"samples returns an input for each, starts the best of all. Received: samples={samples} and "
                f"starts={starts}. Pass one of them."
            )
        for loss, _ in checked_losses(self.losses):
            if loss.samples not in (None, samples or starts or 1):
                raise InputError(
                    f"The loss {loss.name!r} is for {loss.samples} samples, one filter each. "
                    f"Received: samples={samples}. Pass samples={loss.samples}."
                )
        modify = None
        if grad_modifier is not None:
            modify = partial(grad_modifiers.applied, grad_modifiers.get(grad_modifier))
        random = checks.generator(seed)
        made_of = self._of_each(parameterization, "pixels", "parameterization")
        modifiers = self._of_each(input_modifiers, None, "input_modifiers")
        count = samples or starts
        values, start, parts = self._start(
            [*map(parameterizations.get, made_of)], modifiers, seed_input, count, bool(starts), random
        )
        listeners = checks.listed(callbacks, OptimizerCallback, "callbacks")
        listeners += [Print()] if verbose else []
        symbols = self.source.symbols

        def packed(values: list[Any]) -> Any:
            one = len(values) == 1
            return values[0] if one else inputs.packed(symbols, values, seed_input)

        single = samples is None and (starts or 1) == 1
        run = Run(parts, values, packed, start, single, bool(starts), max_iter, modify, listeners)
        with listening(listeners):
            if self.wrt is not None:
                gradient, value = self._evaluate(run)
                return run.picture(run.start), gradient, value
            found = Search(self.source, self.losses, self.norm_grads).found(run, optimizer)
        return run.picture(found.best), run.gradient(found.gradient), run.image(found.last)

    def _start(
        self,
        made_of: list[Parameterization],
        modifiers: list[Modifiers | None],
        seed_input: Any,
        count: int | None,
        differ: bool,
        random: np.random.Generator,
    ) -> tuple[list[Array], Array, list[Part]]:
        """Return all inputs, the parameters of the start, and what changes.

        Args:
            made_of: the parameterization of each input that changes.
            modifiers: its modifiers.
            seed_input: as `minimize`.
            count: the number of samples or starts; None for one.
            differ: whether each sample has a random start of its own.
            random: draws the start, and then the transformations.
        """
        seeds = self._seeds(seed_input, count)
        # Derived from the state, so that the first start is that of a single one.
        key = int(copy.deepcopy(random).integers(2**63))
        parts, starts = [], []
        for i, (index, own, changes) in enumerate(zip(self._changed, made_of, modifiers, strict=True)):
            symbol, image = self._symbols[index], seeds[index]
            shape = tuple(symbol.shape) if image is None else image.shape
            if None in shape[1:]:
                raise InputError(
                    f"The model takes inputs of any size, {shape[1:]}, so there is no random start. "
                    "Pass a seed_input of the size you want."
                )
            fixed = symbol.shape[0]
            if count is not None and fixed not in (None, count):
                raise InputError(
                    f"The model takes {fixed} samples at once. Received: "
                    f"{'starts' if differ else 'samples'}={count}."
                )
            channels = models.input_channel_axis(symbol, len(shape)) % len(shape)
            one = Canvas((1, *shape[1:]), channels, self._ranges[i])
            number = count or fixed or 1
            if image is not None:
                rows = [own.parameters(one, row[None]) for row in image]
            else:
                # All samples start alike, so that none depends on how many there are.
                more = [np.random.default_rng([key, k]) for k in range(1, number if differ else 1)]
                rows = [own.start(one, each) for each in (random, *more)]
            start = np.concatenate(rows).astype(symbol.dtype)
            start = np.repeat(start, number // len(start), axis=0)
            canvas = replace(one, shape=(number, *shape[1:]))
            part = Part(index, own, canvas, start.shape[1:], *_changes(changes, own, random))
            parts.append(part)
            starts.append(start)
            seeds[index] = np.zeros(canvas.shape, symbol.dtype)
        total = len(starts[0])
        values = [np.repeat(seed, total // len(seed), axis=0) for seed in seeds]
        return values, joined(starts), parts

    def _seeds(self, seed_input: Any, count: int | None) -> list[Any]:
        """Return where each input starts, `(1, ...)` or `(count, ...)`; None at random."""
        names = self._names
        given = (
            [None] * len(names) if seed_input is None else inputs.in_order(self.source.symbols, seed_input)
        )
        lacking = [names[i] for i, each in enumerate(given) if each is None and i not in self._changed]
        if lacking:
            raise InputError(
                f"The inputs {', '.join(map(repr, lacking))} do not change, so they need values. Received: "
                "none. Pass seed_input, a dict by the names of the inputs, with None for a random start."
            )
        return [
            None if each is None else _rows(symbol, each, count)
            for symbol, each in zip(self._symbols, given, strict=True)
        ]

    def _evaluate(self, run: Run) -> tuple[Array, Array]:
        """Return the gradient by `wrt` and its value; where nothing moves, one step is all."""
        x = run.images(run.before(run.start))
        found = Differentiation(self.source, WeightedLosses(self.losses)).gradients(x, watch=self.wrt)
        (gradient,), (value,) = found.gradients, found.values
        assert gradient is not None  # noqa: S101 - a missing path has raised
        terms = [float(term.sum()) for term in found.terms]
        named = list(zip([loss.name for loss, _ in self.losses], terms, strict=True))
        total = sum(weight * term for (_, weight), term in zip(self.losses, terms, strict=True))
        if self.norm_grads:
            gradient = maps.unit(gradient)
        if run.modify is not None:
            gradient = run.modify(gradient)
        for listener in run.listeners:
            listener.callback(0, named, total, gradient, value)
        return gradient, value


def _range(given: Any) -> Range:
    """Return a range, checked, with its numbers as they are: whole ones make pictures of bytes."""
    if given is None:
        return None
    maps.checked_range(given)
    low, high = given
    return low, high


def _rows(symbol: Any, given: Any, count: int | None) -> Array:
    """Return where one input starts, checked: one for all samples, or one for each."""
    if (count or 1) > 1 and np.ndim(given) == len(symbol.shape) and len(given) == count:
        return np.concatenate([inputs.one_input(symbol, row)[0][:1] for row in given])
    return inputs.one_input(symbol, given)[0][:1]


def _changes(
    given: Any, made_of: Parameterization, random: np.random.Generator
) -> tuple[list[InputModifier], list[Any]]:
    """Return what changes an input around each step, and what transforms it inside, with its generator."""
    modifiers = checks.listed(given, InputModifier, "input modifiers")
    around = [modifier for modifier in modifiers if modifier.transformation is None]
    if around and not isinstance(made_of, parameterizations.Pixels):
        raise InputError(
            f"Input modifiers change pixels. Received: input_modifiers with {made_of!r}. "
            "Give the parameterization a transformation: vis.parameterizations.RandomAffine."
        )
    inside = [
        (each.transformation, random if each.random is None else checks.generator(each.random))
        for each in modifiers
        if each.transformation
    ]
    if made_of.transformation is not None:
        inside.append((made_of.transformation, random))
    return around, inside
