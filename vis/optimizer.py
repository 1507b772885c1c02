"""Gradient descent on the input of a model."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Any, TypeAlias

import keras
import numpy as np
import numpy.typing as npt
from keras import ops

from vis import advice, backend, checks, grad_modifiers, inputs, maps, models, parameterizations
from vis.callbacks import OptimizerCallback, Print
from vis.engine import Descent, Differentiation, Losses, WeightedLosses, as_source, checked_losses
from vis.errors import EmptyMapWarning, GradientError, InputError, ModifierError, warn
from vis.grad_modifiers.base import GradModifierLike
from vis.input_modifiers import InputModifier
from vis.parameterizations import Canvas, Parameterization
from vis.parameterizations.base import ParameterizationLike
from vis.reprs import TypedRepr
from vis.typing import Layer

__all__ = ["Optimizer"]

Array: TypeAlias = npt.NDArray[Any]
Mask: TypeAlias = npt.NDArray[np.bool_]
# Steps in one go where nobody listens: few enough for a progress bar, many enough to cost nothing.
_STEPS = 20


class Optimizer(TypedRepr):
    """Changes an input to minimize a weighted sum of losses.

    `z <- z - update(m(g / |g|))` with `g = d(sum_i weight_i loss_i(x(z))) / dz`, `m` the gradient modifier,
    `x(z)` the parameterization of the input, by default `x = z`, and the update of a Keras optimizer: on
    pixels, by default, RMSprop with a learning rate of 1 and a decay of 0.95.

    Args:
        input_tensor: the model's symbolic input, `model.input`, or the model itself, which a modified model
            needs.
        losses: pairs `(loss, weight)` of a `vis.losses.Loss` and a finite number.
        input_range: the values `(low, high)` of the picture that `minimize` returns.
        wrt_tensor: keras-vis's name of `wrt`.
        norm_grads: divide the gradient of each sample by its Euclidean norm.
        wrt: what to differentiate by instead of the input: a symbolic tensor or a layer; if `input_tensor` is
            a model, also the name of one. Its gradient and value are returned after one evaluation, and the
            input does not change.

    Raises:
        InputError: if the model has several inputs, or its only one takes integers; or if `wrt` is given
            under both names.
        ModelError, LayerError: if `input_tensor` or `wrt` is not part of a Keras model.
    """

    def __init__(
        self,
        input_tensor: keras.Model | keras.KerasTensor | Sequence[keras.KerasTensor],
        losses: Losses,
        input_range: tuple[float, float] = (0, 255),
        wrt_tensor: Layer | None = None,
        norm_grads: bool = True,
        *,
        wrt: Layer | None = None,
    ) -> None:
        self.source = as_source(input_tensor)
        symbols = keras.tree.flatten(self.source.symbols)
        if len(symbols) != 1 or symbols[0] is None:
            raise InputError(
                "The optimizer needs a model with one symbolic input. Received: "
                f"{len(symbols)} inputs. Wrap a subclassed model: keras.Model(x, model(x)), x a keras.Input."
            )
        self.input = symbols[0]
        self.losses = losses
        maps.checked_range(input_range)
        self.input_range = input_range
        named = checks.either(wrt, wrt_tensor, "wrt", "wrt_tensor")
        point = None if named is None else self.source.point(named, "wrt")
        self.wrt = None if models.operation_of(point) is models.operation_of(self.input) else point
        self.norm_grads = norm_grads
        if self.wrt is None and not keras.backend.is_float_dtype(self.input.dtype):
            raise InputError(
                f"The model takes {self.input.dtype}, and there is no gradient with respect to an integer. "
                f"Received: the input {self.input.name!r}. Optimize a part of the model that takes floats."
            )

    @property
    def wrt_tensor(self) -> Layer | None:
        """keras-vis's name of `wrt`."""
        return self.wrt

    def _arguments(self) -> dict[str, Any]:
        return {"input_tensor": self.source.model, "wrt_tensor": None}

    def minimize(
        self,
        seed_input: npt.ArrayLike | None = None,
        max_iter: int = 200,
        input_modifiers: Sequence[InputModifier] | None = None,
        grad_modifier: GradModifierLike = None,
        callbacks: Sequence[OptimizerCallback] | None = None,
        verbose: bool = True,
        optimizer: keras.optimizers.Optimizer | None = None,
        seed: int | None = None,
        parameterization: ParameterizationLike = "pixels",
        samples: int | None = None,
    ) -> tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any]]:
        """Return the input that had the best loss as a picture, and the last gradient and value.

        Args:
            seed_input: where to start, one input with or without its batch axis; by default at random.
            max_iter: the number of steps, at least 1.
            input_modifiers: objects that change the pixels before and after each step, see
                `vis.input_modifiers`.
            grad_modifier: changes the gradient, see `vis.grad_modifiers`.
            callbacks: objects that are called after each step.
            verbose: print the losses of each step.
            optimizer: a Keras optimizer; it is not changed. One that depends on the whole variable, such as
                one with `clipnorm`, makes `samples` depend on each other.
            seed: fixes the random start and the random transformations.
            parameterization: how the input is parameterized, `"pixels"` or `"fourier"`, or a
                `vis.parameterizations.Parameterization`.
            samples: how many inputs to optimize side by side, from the same start, each for its own value of
                the losses; None for one input.

        Returns:
            The best input as a picture without its batch axis, or `samples` pictures: on pixels normalised
            to a mean in the middle of `input_range` and a standard deviation of a tenth of it
            (`vis.utils.utils.deprocess_input`). Then the gradient by the optimized values (or by `wrt`) and
            the value of the input (or of `wrt`) at the last step, with their batch axis.

        If the loss of a layer never changes for a sample, for example because the filter is zero at the
        start, a second descent uses the losses of layers alone, and activations that pass no gradient at all
        pass one that turns them on; once these losses change, the descent goes on with all losses. A model
        with a backprop modifier keeps it, and gets no second descent.

        Raises:
            InputError: if `max_iter` or `samples` is below 1, `seed_input` does not fit, or input modifiers
                come with a parameterization that has no pixels to modify.
            GradientError: if a loss is not finite.

        Warns:
            EmptyMapWarning: if no step lowers the loss of a sample, or the loss of a layer never changes.
        """
        max_iter = checks.whole("max_iter", max_iter)
        samples = None if samples is None else checks.whole("samples", samples)
        for loss, _ in checked_losses(self.losses):
            if loss.samples not in (None, samples or 1):
                raise InputError(
                    f"The loss {loss.name!r} is for {loss.samples} samples, one filter each. "
                    f"Received: samples={samples}. Pass samples={loss.samples}."
                )
        made_of = parameterizations.get(parameterization)
        modifiers = checks.listed(input_modifiers, InputModifier, "input modifiers")
        if modifiers and not isinstance(made_of, parameterizations.Pixels):
            raise InputError(
                f"Input modifiers change pixels. Received: input_modifiers with {made_of!r}. "
                "Give the parameterization a transformation: vis.parameterizations.RandomAffine."
            )
        modify = None
        if grad_modifier is not None:
            modify = partial(grad_modifiers.applied, grad_modifiers.get(grad_modifier))
        random = checks.generator(seed)
        canvas, start = self._start(made_of, seed_input, samples, random)
        listeners = checks.listed(callbacks, OptimizerCallback, "callbacks")
        listeners += [Print()] if verbose else []
        run = _Run(made_of, canvas, start, random, samples is None, max_iter, modifiers, modify, listeners)
        if self.wrt is not None:
            gradient, value = self._evaluate(run)
            return run.picture(run.start), gradient, value
        best, gradient, last = self._descend(run, optimizer)
        return run.picture(best), gradient, run.image(last)

    def _start(
        self, made_of: Parameterization, seed_input: Any, samples: int | None, random: np.random.Generator
    ) -> tuple[Canvas, Array]:
        """Return the images to make, and the parameters of the start."""
        shape = tuple(self.input.shape)
        image = None
        if seed_input is not None:
            image = inputs.one_input(self.input, seed_input)[0]
            shape = image.shape
        if None in shape[1:]:
            raise InputError(
                f"The model takes inputs of any size, {shape[1:]}, so there is no random start. "
                "Pass a seed_input of the size you want."
            )
        if samples is not None and self.input.shape[0] not in (None, samples):
            raise InputError(
                f"The model takes {self.input.shape[0]} samples at once. Received: samples={samples}."
            )
        channels = models.input_channel_axis(self.input, len(shape)) % len(shape)
        count = samples or shape[0] or 1
        low, high = self.input_range
        one = Canvas((1, *shape[1:]), channels, (low, high))
        # All samples start alike, so that none depends on how many there are.
        start = made_of.start(one, random) if image is None else made_of.parameters(one, image[:1])
        start = np.repeat(start.astype(self.input.dtype), count, axis=0)
        return replace(one, shape=(count, *shape[1:])), start

    def _evaluate(self, run: _Run) -> tuple[Array, Array]:
        """Return the gradient by `wrt` and its value; where nothing moves, one step is all."""
        x = run.before(run.image(run.start))
        wrt = self.wrt
        found = Differentiation(self.source, WeightedLosses(self.losses)).gradients([x], watch=wrt)
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
            listener.on_end()
        return gradient, value

    def _descend(self, run: _Run, optimizer: keras.optimizers.Optimizer | None) -> tuple[Array, Array, Array]:
        found = self._steps(run, self._compiled(run, optimizer), run.start)
        modified, tried = self.source.modifier is not None, False
        held = np.zeros(len(run.start), bool)
        if run.max_iter > 1 and found.still.any() and not modified:
            descent = self._compiled(run, optimizer, _redirected)
            coverage = descent.compiled.coverage
            tried = bool(coverage and coverage.reached)
            if tried:
                # The other losses would hold the input where the filters are off.
                alone = replace(descent, weights=descent.weights * self._of_layers())
                woken = self._steps(run, alone, run.start, found.done, found.still)
                moved = found.still & ~woken.still
                if moved.any():
                    again = self._steps(run, descent, woken.best, found.done + woken.done)
                    held = moved & ((again.terms == found.terms) & self._of_layers()[:, None]).any(axis=0)
                    found = found.with_those(moved, again)
        for listener in run.listeners:
            listener.on_end()
        if run.max_iter > 1:
            self._warn_of_stuck(run, found, held, tried, modified)
        return found.best, found.gradient, found.last

    def _warn_of_stuck(self, run: _Run, found: _Found, held: Mask, tried: bool, modified: bool) -> None:
        """Warn of samples that are their start, or show nothing of a filter.

        Args:
            run: the run.
            found: what it has found.
            held: samples whose filters came on without the other losses, and are off with them.
            tried: whether a second descent tried to turn activations on.
            modified: whether the model has a modifier, with which there is no second one.
        """
        if held.any():
            which = "" if run.single else f" of the samples {np.flatnonzero(held).tolist()}"
            warn(
                f"The filters{which} become active on their own, but the other losses turn them off again, "
                "so the picture does not show them. Lower tv_weight and lp_norm_weight, or the weights of "
                "the other losses.",
                EmptyMapWarning,
            )
        pairs = zip(found.best, run.start, strict=True)
        stuck = np.asarray([np.array_equal(x, start) for x, start in pairs])
        # Where no activation can be off, the other losses may hold the filters where they are.
        dead = found.still & (stuck | tried | modified)
        if not (stuck | dead).any():
            return
        which = "" if run.single else f" of the samples {np.flatnonzero(stuck | dead).tolist()}"
        end = next((loss.layer for loss, _ in self.losses if hasattr(loss, "layer")), None)
        why, attempts = advice.attempts(self.source.model, end, ["another start", "another optimizer"])
        reason = "The steps are too long, or lead nowhere."
        if dead.any():
            reason = f"The filters are the same for every input on the way from this start ({why})."
        if dead.any() and tried:
            reason = (
                f"The filters are dead for all of {2 * run.max_iter} inputs tried, also where the gradient "
                "passed activations that were off."
            )
        happened = f"None of {run.max_iter} steps has lowered the loss{which}, so the picture is its start."
        if not stuck.any():
            happened = (
                f"None of {run.max_iter} steps has moved the filters{which}, so the picture is that of the "
                "other losses."
            )
        warn(f"{happened} {reason} {attempts}", EmptyMapWarning)

    def _steps(
        self, run: _Run, descent: Descent, start: Array, before: int = 0, off: Mask | None = None
    ) -> _Found:
        """Take the steps of a descent.

        Args:
            run: the run.
            descent: takes the steps.
            start: where it starts.
            before: the number of steps before the first.
            off: samples whose filters are off; the descent ends when they are on, and there is their best.
        """
        from tqdm import tqdm

        state = descent.compiled.start(start)
        best, best_loss, last = start, np.full(len(start), np.inf), start
        names = [loss.name for loss, _ in self.losses]
        same: Mask = np.repeat(self._of_layers()[:, None], len(start), axis=1)
        first: Array | None = None
        done = 0
        # In a notebook, stderr is not a terminal but is read.
        quiet = None if "ipykernel" not in sys.modules else False
        with tqdm(total=run.max_iter, unit="step", delay=2, leave=False, disable=quiet) as progress:
            while done < run.max_iter and (off is None or (off & same.any(axis=0)).any()):
                # The first step stands alone, so that it is known what moves, and the last one, so that the
                # value it started from is.
                alone = run.modifiers or run.listeners or not done
                steps = 1 if alone else min(_STEPS, max(run.max_iter - done - 1, 1))
                state = replace(state, x=run.before(state.x))
                last = state.x
                state = descent.advance(state, steps, run.draw(steps), run.modify)
                named = [(name, run.of_samples(term)) for name, term in zip(names, state.terms, strict=True)]
                if not np.isfinite(state.loss).all():
                    raise GradientError(
                        f"The loss is {run.of_samples(state.loss)} within {done + steps} steps. Received: "
                        f"the losses {dict(named)}. Lower the learning rate or the weights, and check the "
                        "model's weights and the seed_input."
                    )
                for listener in run.listeners:
                    listener.callback(
                        before + done, named, run.of_samples(state.loss), state.gradient, run.image(last)
                    )
                first = state.terms if first is None else first
                was_still = np.asarray(same.any(axis=0))
                same = same & np.equal(state.terms, first)
                better = state.best_loss < best_loss
                if off is not None:
                    better = was_still & ~same.any(axis=0)
                    state = replace(state, best=state.x)
                if better.any():
                    found = run.after(state.best)
                    best = np.where(better.reshape(-1, *[1] * (best.ndim - 1)), found, best)
                    best_loss = np.minimum(best_loss, state.best_loss)
                state = replace(state, x=run.after(state.x))
                done += steps
                progress.update(steps)
        return _Found(best, state.gradient, last, np.asarray(same.any(axis=0)), done, state.terms)

    def _of_layers(self) -> Mask:
        """Tell which losses are those of a layer, and not of the image."""
        return np.asarray([getattr(loss, "layer", None) is not None for loss, _ in self.losses])

    def _compiled(
        self, run: _Run, optimizer: keras.optimizers.Optimizer | None, rule: backend.Rule | None = None
    ) -> Descent:
        if not isinstance(optimizer, keras.optimizers.Optimizer | None):
            raise InputError(f"optimizer must be a Keras optimizer or None. Received: {optimizer!r}.")
        modified = run.modify is not None
        cls, config = _default(run.made_of) if optimizer is None else _settings(optimizer)

        def compile_(
            forward: backend.Forward, specs: list[backend.Spec], own: backend.Way | None
        ) -> backend.CompiledDescent:
            if isinstance(own, backend.Flow):
                raise ModifierError(
                    "A loss is minimized along its gradient, not along relevance. Received: a model with the "
                    f"backprop modifier {self.source.modifier!r}. Take the model without it."
                )
            steps = backend.Steps(
                backend.Spec(run.start.shape, str(run.start.dtype)),
                # A copy: the caller's optimizer may belong to a training, and starts from its own state.
                cls.from_config(dict(config)),
                len(self.losses),
                self.norm_grads,
                modified,
                [backend.Spec(drawn.shape[1:], str(drawn.dtype)) for drawn in run.draw(0)],
                lambda tensors: ops.cast(run.seen(tensors[0], tensors[1:]), specs[0].dtype),
            )
            return backend.compile_descent(forward, specs, steps, rule or own)

        # Keras counts its optimizers up in their names.
        settings = json.dumps({**config, "name": None}, sort_keys=True, default=repr)
        kind = (cls, settings, self.norm_grads, modified, run.made_of, run.canvas, rule)
        image = np.empty(run.canvas.shape, self.input.dtype)
        return Differentiation(self.source, WeightedLosses(self.losses)).descent(image, kind, compile_)


def _settings(optimizer: keras.optimizers.Optimizer) -> tuple[Any, dict[str, Any]]:
    return type(optimizer), optimizer.get_config()


@lru_cache(64)
def _default(made_of: Parameterization) -> tuple[Any, dict[str, Any]]:
    # One is made, and not one per run: each leaves the names of its variables behind in TensorFlow.
    return _settings(made_of.optimizer())


@dataclass(frozen=True)
class _Run:
    """One run: what is changed, from where, in how many steps, who else changes it and who listens."""

    made_of: Parameterization
    canvas: Canvas
    start: Array
    random: np.random.Generator
    single: bool
    max_iter: int
    modifiers: list[InputModifier]
    modify: grad_modifiers.GradModifier | None
    listeners: list[OptimizerCallback]

    def before(self, x: Array) -> Array:
        """Return the values that a step starts from."""
        return _around(x, [modifier.pre for modifier in self.modifiers])

    def after(self, x: Array) -> Array:
        """Return the values that a step ends with."""
        return _around(x, [modifier.post for modifier in reversed(self.modifiers)])

    def image(self, parameters: Array) -> Array:
        image = self.made_of.image(self.canvas, ops.convert_to_tensor(parameters))
        return np.asarray(ops.convert_to_numpy(image))

    def picture(self, parameters: Array) -> Array:
        pictures = [self.made_of.picture(self.canvas, image) for image in self.image(parameters)]
        return pictures[0] if self.single else np.stack(pictures)

    def draw(self, steps: int) -> list[Array]:
        """Return what the transformation has of its own in each of some steps."""
        transformation = self.made_of.transformation
        sizes = tuple(self.canvas.shape[axis] for axis in self.canvas.image_axes)
        return [] if transformation is None else [transformation.draw(self.random, steps, sizes)]

    def seen(self, parameters: Any, drawn: list[Any]) -> Any:
        """Return the tensor that the model sees."""
        image = self.made_of.image(self.canvas, parameters)
        if self.made_of.transformation is not None:
            image = self.made_of.transformation.apply(image, drawn[0], self.canvas.channels)
        return image

    def of_samples(self, values: npt.NDArray[np.float64]) -> Any:
        """Return a number per sample, or that of the single one."""
        return float(values[0]) if self.single else values


@dataclass(frozen=True)
class _Found:
    """What a descent has found for each sample, and the losses at its end.

    `still` tells whether the loss of a layer never moved, `done` in how many steps.
    """

    best: Array
    gradient: Array
    last: Array
    still: Mask
    done: int
    terms: npt.NDArray[np.float64]

    def with_those(self, chosen: Mask, other: _Found) -> _Found:
        """Return this with what another descent has found for some samples."""

        def joined(mine: Array, its: Array) -> Array:
            return np.where(chosen.reshape(-1, *[1] * (mine.ndim - 1)), its, mine)

        best, gradient = joined(self.best, other.best), joined(self.gradient, other.gradient)
        return replace(
            self, best=best, gradient=gradient, last=joined(self.last, other.last), still=self.still & ~chosen
        )


def _redirected(x: Any, y: Any, grad: Any, true_grad: Any) -> Any:
    """Return the true gradient; of a sample for which that is zero everywhere, what turns activations on.

    The gradient by the output passes where its step leads from x to the other side of zero, times
    `exp(-8 d / mean d)` with `d = |x| - min |x|` over those: the positions that are nearly on lead. In the
    sum over all of them, a filter that looks for differences would see none.

    Reference:
        Olah, Mordvintsev, Schubert: Feature Visualization, 2017 ("redirected ReLU" of its code, Lucid).
    """
    axes = tuple(range(1, len(true_grad.shape)))
    one = ops.ones_like(true_grad)
    alive = ops.any(ops.not_equal(true_grad, 0), axis=axes, keepdims=True)
    leads = ops.where(ops.greater(x, 0), ops.greater(grad, 0), ops.less(grad, 0))
    near = ops.min(ops.where(leads, ops.abs(x), one * np.inf), axis=axes, keepdims=True)
    gap = ops.where(leads, ops.abs(x) - near, 0 * one)
    count = ops.sum(ops.where(leads, one, 0 * one), axis=axes, keepdims=True)
    mean = ops.sum(gap, axis=axes, keepdims=True) / ops.maximum(count, 1)
    weight = ops.exp(-8 * gap / ops.where(ops.greater(mean, 0), mean, 1))
    return ops.where(alive, true_grad, ops.where(leads, weight * grad, 0 * one))


def _around(x: Array, changes: list[Any]) -> Array:
    for change in changes:
        changed = checks.real(change(x), "The result of an input modifier")
        if changed.shape != x.shape:
            raise InputError(
                "An input modifier must return an array of the shape of its argument. Received from "
                f"{change!r}: shape {changed.shape} instead of {x.shape}."
            )
        x = changed
    return x
