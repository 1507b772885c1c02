"""Gradient descent on the input of a model."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from vis import backend, grad_modifiers, inputs, maps
from vis.callbacks import OptimizerCallback, Print
from vis.errors import GradientError, InputError
from vis.gradients import compiled_descent, gradient_and_value
from vis.input_modifiers import InputModifier
from vis.source import Losses, as_source

# Steps in one go where nobody listens: few enough for a progress bar, many enough to cost nothing.
_STEPS = 20


class Optimizer:
    """Changes an input so that a weighted sum of losses falls.

    `x <- x - update(m(g / |g|))` with `g = d(sum_i weight_i loss_i) / dx`, `m` the gradient modifier, and
    the update of a Keras optimizer, by default RMSprop with a learning rate of 1 and a decay of 0.95.

    Args:
        input_tensor: the model's symbolic input, `model.input`, or the model itself, which a modified
            model needs.
        losses: pairs `(loss, weight)` of a `vis.losses.Loss` and a finite number.
        input_range: the values `(low, high)` of the picture that `minimize` returns.
        wrt_tensor: a symbolic tensor other than the input: its gradient and value are returned, and the
            input stays as it is.
        norm_grads: divide the gradient by its Euclidean norm.
    """

    def __init__(
        self,
        input_tensor: Any,
        losses: Losses,
        input_range: tuple[float, float] = (0, 255),
        wrt_tensor: Any = None,
        norm_grads: bool = True,
    ) -> None:
        self.source = as_source(input_tensor)
        symbols = keras.tree.flatten(self.source.symbols)
        if len(symbols) != 1 or symbols[0] is None:
            raise InputError(
                "The optimizer changes the input of a model with one symbolic input. Received: "
                f"{len(symbols)} inputs. Wrap a subclassed model: keras.Model(x, model(x)), x a keras.Input."
            )
        self.input = symbols[0]
        self.losses = losses
        maps.checked_range(input_range)
        self.input_range = input_range
        self.wrt_tensor = None if wrt_tensor is self.input else wrt_tensor
        self.norm_grads = norm_grads

    def minimize(
        self,
        seed_input: Any = None,
        max_iter: int = 200,
        input_modifiers: Sequence[InputModifier] | None = None,
        grad_modifier: Any = None,
        callbacks: Sequence[OptimizerCallback] | None = None,
        verbose: bool = True,
        optimizer: keras.optimizers.Optimizer | None = None,
        seed: int | None = None,
    ) -> tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any]]:
        """Return the input that had the best loss as a picture, and the last gradient and value.

        Args:
            seed_input: where to start, one input with or without its batch axis; by default random
                values around the middle of `input_range`.
            max_iter: the number of steps, at least 1.
            input_modifiers: what is done to the input around each step.
            grad_modifier: what is done to the gradient, see `vis.grad_modifiers`.
            callbacks: what listens to each step.
            verbose: print the losses of each step.
            optimizer: a Keras optimizer; it is not changed.
            seed: makes the random start the same.

        Returns:
            The best input without its batch axis, normalised to a mean in the middle of `input_range` and
            a standard deviation of a tenth of it (`vis.utils.utils.deprocess_input`); the gradient and the
            value of the input (or of `wrt_tensor`) at the last step, with their batch axis.

        Raises:
            InputError: if `max_iter` is below 1 or `seed_input` does not fit.
            GradientError: if a loss is not finite.
        """
        if max_iter < 1:
            raise InputError(f"max_iter is a number of steps, at least 1. Received: {max_iter}.")
        x = self._start(seed_input, seed)
        modify = None if grad_modifier is None else grad_modifiers.get(grad_modifier)
        if self.wrt_tensor is not None:
            gradient, value = gradient_and_value(self.source, self.losses, [x], self.wrt_tensor)
            if self.norm_grads:
                gradient = gradient / (np.linalg.norm(gradient) or 1.0)
            return self._picture(x), gradient if modify is None else modify(gradient), value
        listeners = [*(callbacks or ()), *([Print()] if verbose else [])]
        best, gradient, last = self._descend(
            x, max_iter, list(input_modifiers or ()), modify, listeners, optimizer
        )
        return self._picture(best), gradient, last

    def _start(self, seed_input: Any, seed: int | None) -> npt.NDArray[Any]:
        low, high = maps.checked_range(self.input_range)
        shape = tuple(self.input.shape)
        if seed_input is not None:
            return inputs.one_input(self.input, seed_input)[0]
        if None in shape[1:]:
            raise InputError(
                f"The model takes inputs of any size, {shape[1:]}, so there is no random start. "
                "Pass a seed_input of the size you want."
            )
        random = np.random.default_rng(seed)
        values = random.normal((low + high) / 2, 0.05 * (high - low), (1, *shape[1:]))
        return values.astype(self.input.dtype)

    def _picture(self, x: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return maps.deprocess_input(x[0], self.input_range)

    def _descend(
        self,
        x: npt.NDArray[Any],
        max_iter: int,
        modifiers: list[InputModifier],
        modify: grad_modifiers.GradModifier | None,
        listeners: list[OptimizerCallback],
        optimizer: keras.optimizers.Optimizer | None,
    ) -> tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any]]:
        from tqdm import tqdm

        descent, arrays = self._compiled(x, modify is not None, optimizer)
        state = descent.start(x)
        best, best_loss, last = x, np.inf, x
        names = [loss.name for loss, _ in self.losses]
        with tqdm(total=max_iter, unit="step", delay=2, leave=False) as progress:
            done = 0
            while done < max_iter:
                # The last step stands alone, so that the value it started from is known.
                steps = 1 if modifiers or listeners else min(_STEPS, max(max_iter - done - 1, 1))
                state = _around(state, [modifier.pre for modifier in modifiers])
                last = state.x
                state = descent.advance(state, steps, arrays, modify)
                if not np.isfinite(state.loss):
                    raise GradientError(
                        f"The loss is {state.loss} after {done + steps} steps. Received: the losses "
                        f"{dict(zip(names, state.terms.tolist(), strict=True))}. Lower the learning rate or "
                        "the weights, and check the model's weights and the seed_input."
                    )
                for listener in listeners:
                    named = list(zip(names, state.terms.tolist(), strict=True))
                    listener.callback(done, named, state.loss, state.gradient, last)
                after = [modifier.post for modifier in reversed(modifiers)]
                if state.best_loss < best_loss:
                    best, best_loss = _around(replace(state, x=state.best), after).x, state.best_loss
                state = _around(state, after)
                done += steps
                progress.update(steps)
        for listener in listeners:
            listener.on_end()
        return best, state.gradient, last

    def _compiled(
        self,
        x: npt.NDArray[Any],
        modified: bool,
        optimizer: keras.optimizers.Optimizer | None,
    ) -> tuple[backend.CompiledDescent, list[npt.NDArray[Any]]]:
        given = keras.optimizers.RMSprop(1.0, rho=0.95) if optimizer is None else optimizer
        if not isinstance(given, keras.optimizers.Optimizer):
            raise InputError(f"optimizer is a Keras optimizer or None. Received: {optimizer!r}.")
        config = given.get_config()
        # A copy: the caller's optimizer may belong to a training, and starts from its own state.
        copy = type(given).from_config(config)

        def compile_(
            forward: backend.Forward, specs: list[backend.Spec], rule: backend.Rule | None
        ) -> backend.CompiledDescent:
            return backend.compile_descent(
                forward, specs, copy, len(self.losses), self.norm_grads, modified, rule
            )

        # Keras counts its optimizers up in their names.
        settings = json.dumps({**config, "name": None}, sort_keys=True, default=repr)
        kind = ("descent", type(given), settings, self.norm_grads, modified)
        return compiled_descent(self.source, self.losses, x, kind, compile_)


def _around(state: backend.DescentState, changes: list[Any]) -> backend.DescentState:
    x = state.x
    for change in changes:
        x = np.asarray(change(x))
    return replace(state, x=x)
