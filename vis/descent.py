"""The steps of an optimizer: what a run changes, what it has found, and a second descent for dead filters."""

from __future__ import annotations

import contextlib
import json
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, TypeAlias

import keras
import numpy as np
import numpy.typing as npt
from keras import ops

from vis import advice, backend, checks, grad_modifiers
from vis.callbacks import OptimizerCallback
from vis.engine import Descent, Differentiation, Losses, Source, WeightedLosses
from vis.errors import EmptyMapWarning, GradientError, InputError, ModifierError, warn
from vis.input_modifiers import InputModifier
from vis.parameterizations import Canvas, Parameterization, RandomAffine
from vis.progress import Work, is_watched

Array: TypeAlias = npt.NDArray[Any]
Mask: TypeAlias = npt.NDArray[np.bool_]
# Steps in one go where nobody listens: few enough for a progress bar, many enough to cost nothing.
_STEPS = 20


@dataclass(frozen=True)
class Part:
    """An input that changes.

    Args:
        index: among the inputs of the model, in flat order.
        made_of: how it is computed.
        canvas: the images to make.
        shape: of the parameters of one sample.
        modifiers: change its pixels before and after each step.
        moves: what transforms it inside each step, with the generator that each draws from.
    """

    index: int
    made_of: Parameterization
    canvas: Canvas
    shape: tuple[int, ...]
    modifiers: list[InputModifier]
    moves: list[tuple[RandomAffine, np.random.Generator]]

    def draw(self, steps: int) -> list[Array]:
        sizes = tuple(self.canvas.shape[axis] for axis in self.canvas.image_axes)
        return [affine.draw(random, steps, sizes) for affine, random in self.moves]

    def seen(self, parameters: Any, drawn: Sequence[Any]) -> Any:
        """Return the tensor that the model sees."""
        image = self.made_of.image(self.canvas, parameters)
        for (affine, _), matrix in zip(self.moves, drawn, strict=True):
            image = affine.apply(image, matrix, self.canvas.channels)
        return image


@dataclass(frozen=True)
class Run:
    """One run: what is changed, from where, in how many steps, who else changes it and who listens.

    Args:
        parts: what is changed.
        inputs: all inputs of the model, `(samples, ...)`; those that change are as at the start.
        packed: puts a value for each input into their structure.
        start: the parameters of all parts, `(samples, ...)`, joined.
        single: whether there is one sample only, and so one loss.
        starts: whether the best sample is wanted, and not each.
        max_iter: the number of steps.
        modify: changes the gradient of a part.
        listeners: hear of each step.
    """

    parts: list[Part]
    inputs: list[Array]
    packed: Callable[[list[Any]], Any]
    start: Array
    single: bool
    starts: bool
    max_iter: int
    modify: grad_modifiers.GradModifier | None
    listeners: list[OptimizerCallback]

    def before(self, x: Array) -> Array:
        """Return the values that a step starts from."""
        return self._around(x, [[each.pre for each in part.modifiers] for part in self.parts])

    def after(self, x: Array) -> Array:
        """Return the values that a step ends with."""
        return self._around(x, [[each.post for each in reversed(part.modifiers)] for part in self.parts])

    def _around(self, x: Array, changes: list[list[Any]]) -> Array:
        return joined([*map(_around, split(np, self.parts, x), changes)]) if any(changes) else x

    def modified(self, gradient: Array) -> Array:
        """Return the gradient of all parts, each changed by the gradient modifier."""
        return joined([*map(self.modify, split(np, self.parts, gradient))]) if self.modify else gradient

    def images(self, parameters: Array) -> list[Array]:
        """Return all inputs of the model."""
        made = list(self.inputs)
        for part, own in zip(self.parts, split(np, self.parts, parameters), strict=True):
            image = part.made_of.image(part.canvas, ops.convert_to_tensor(own))
            made[part.index] = np.asarray(ops.convert_to_numpy(image))
        return [array[: len(parameters)] for array in made]

    def image(self, parameters: Array) -> Any:
        return self.packed(self.images(parameters))

    def gradient(self, gradient: Array) -> Any:
        """Return the gradient of each part in the structure of the inputs; None for those that stay."""
        found: list[Any] = [None] * len(self.inputs)
        for part, own in zip(self.parts, split(np, self.parts, gradient), strict=True):
            found[part.index] = own
        return self.packed(found)

    def picture(self, parameters: Array) -> Any:
        pictures: list[Any] = self.images(parameters)
        for part in self.parts:
            drawn = [part.made_of.picture(part.canvas, image) for image in pictures[part.index]]
            pictures[part.index] = np.stack(drawn)
        return self.packed([each[0] for each in pictures] if self.single or self.starts else pictures)

    def draw(self, steps: int) -> list[Array]:
        """Return what differs in each of some steps."""
        return [drawn for part in self.parts for drawn in part.draw(steps)]

    def of_samples(self, values: npt.NDArray[np.float64]) -> Any:
        """Return a number per sample, or that of the single one."""
        return float(values[0]) if self.single else values

    def only(self, sample: int) -> Run:
        """Return the run of one sample."""
        return replace(self, start=self.start[sample : sample + 1], single=True)


@contextlib.contextmanager
def listening(callbacks: Sequence[OptimizerCallback]) -> Iterator[None]:
    """Begin callbacks, and end each that was begun, whatever is raised; then raise the first error."""
    begun: list[OptimizerCallback] = []
    errors: list[BaseException] = []
    try:
        for each in callbacks:
            begun.append(each)
            each.on_begin()
        yield
    except BaseException as error:
        errors.append(error)
    for each in begun:
        try:
            each.on_end()
        except Exception as error:
            errors.append(error)
    if errors:
        raise errors[0]


def joined(parts: list[Array]) -> Array:
    """Return the parameters of all parts as one array; of several `(samples, values)`."""
    if len(parts) == 1:
        return parts[0]
    return np.concatenate([part.reshape(len(part), -1) for part in parts], axis=1)


def split(module: Any, parts: Sequence[Part], x: Any) -> list[Any]:
    """Return the parameters of each part, given all of them; the module is `numpy` or `keras.ops`."""
    if len(parts) == 1:
        return [x]
    ends = np.cumsum([0, *(math.prod(part.shape) for part in parts)]).tolist()
    return [
        module.reshape(x[:, start:end], (-1, *part.shape))
        for part, start, end in zip(parts, ends, ends[1:], strict=False)
    ]


@dataclass(frozen=True)
class Found:
    """What a descent has found for each sample, and the losses at its end.

    `still` tells whether the loss of a layer never moved, `done` in how many steps.
    """

    best: Array
    best_loss: npt.NDArray[np.float64]
    gradient: Array
    last: Array
    still: Mask
    done: int
    terms: npt.NDArray[np.float64]

    def with_those(self, chosen: Mask, other: Found) -> Found:
        """Return this with what another descent has found for some samples."""

        def joined(mine: Array, its: Array) -> Array:
            return np.where(chosen.reshape(-1, *[1] * (mine.ndim - 1)), its, mine)

        best, best_loss = joined(self.best, other.best), joined(self.best_loss, other.best_loss)
        gradient, last = joined(self.gradient, other.gradient), joined(self.last, other.last)
        return replace(
            self, best=best, best_loss=best_loss, gradient=gradient, last=last, still=self.still & ~chosen
        )

    def only(self, sample: int) -> Found:
        """Return what was found for one sample."""
        one = slice(sample, sample + 1)
        gradient, last, terms = self.gradient[one], self.last[one], self.terms[:, one]
        return Found(self.best[one], self.best_loss[one], gradient, last, self.still[one], self.done, terms)


@dataclass(frozen=True)
class Search:
    """Looks for the inputs with the lowest loss.

    Args:
        source: the model.
        losses: pairs of a loss and its weight.
        norm_grads: divide the gradient of each sample by its Euclidean norm.
    """

    source: Source
    losses: Losses
    norm_grads: bool

    def found(self, run: Run, optimizer: keras.optimizers.Optimizer | None) -> Found:
        """Return what a run has found; of several starts, for the best one.

        Args:
            run: the run.
            optimizer: a Keras optimizer; None for that of the first part's parameterization.

        Raises:
            InputError, GradientError, ModifierError: as `vis.optimizer.Optimizer.minimize`.

        Warns:
            EmptyMapWarning: likewise.
        """
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
        if run.starts:
            best = int(found.best_loss.argmin())
            run, found, held = run.only(best), found.only(best), held[best : best + 1]
        if run.max_iter > 1:
            self._warn_of_stuck(run, found, held, tried, modified)
        return found

    def _warn_of_stuck(self, run: Run, found: Found, held: Mask, tried: bool, modified: bool) -> None:
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
        self, run: Run, descent: Descent, start: Array, before: int = 0, off: Mask | None = None
    ) -> Found:
        """Take the steps of a descent.

        Args:
            run: the run.
            descent: takes the steps.
            start: where it starts.
            before: the number of steps before the first.
            off: samples whose filters are off; the descent ends when they are on, and there is their best.
        """
        state = descent.compiled.start(start)
        best, best_loss, last = start, np.full(len(start), np.inf), start
        names = [loss.name for loss, _ in self.losses]
        same: Mask = np.repeat(self._of_layers()[:, None], len(start), axis=1)
        first: Array | None = None
        done = 0
        # In a notebook, stderr is not a terminal but is read.
        shown = None if "ipykernel" not in sys.modules else True
        with Work(run.max_iter, "steps", bar=shown, delay=2) as work:
            while done < run.max_iter and (off is None or (off & same.any(axis=0)).any()):
                # The first step stands alone, so that it is known what moves, and the last one, so that the
                # value it started from is.
                alone = run.listeners or not done or any(part.modifiers for part in run.parts)
                steps = 1 if alone else min(_STEPS, max(run.max_iter - done - 1, 1))
                state = replace(state, x=run.before(state.x))
                last = state.x
                modify = None if run.modify is None else run.modified
                # A watcher hears of each step, but what follows is decided after as many steps as ever.
                drawn, at_once = run.draw(steps), 1 if is_watched() else steps
                for begun in range(0, steps, at_once):
                    now = [each[begun : begun + at_once] for each in drawn]
                    state = descent.advance(state, at_once, now, modify)
                    if begun + at_once < steps:
                        work.advance(at_once)
                named = [(name, run.of_samples(term)) for name, term in zip(names, state.terms, strict=True)]
                if not np.isfinite(state.loss).all():
                    raise GradientError(
                        f"The loss is {run.of_samples(state.loss)} within {done + steps} steps. Received: "
                        f"the losses {dict(named)}. Lower the learning rate or the weights, and check the "
                        "model's weights and the seed_input."
                    )
                for listener in run.listeners:
                    gradient, image = run.gradient(state.gradient), run.image(last)
                    listener.callback(before + done, named, run.of_samples(state.loss), gradient, image)
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
                work.advance(at_once)
        still = np.asarray(same.any(axis=0))
        return Found(best, best_loss, state.gradient, last, still, done, state.terms)

    def _of_layers(self) -> Mask:
        """Tell which losses are those of a layer, and not of the image."""
        return np.asarray([getattr(loss, "layer", None) is not None for loss, _ in self.losses])

    def _compiled(
        self, run: Run, optimizer: keras.optimizers.Optimizer | None, rule: backend.Rule | None = None
    ) -> Descent:
        if not isinstance(optimizer, keras.optimizers.Optimizer | None):
            raise InputError(f"optimizer must be a Keras optimizer or None. Received: {optimizer!r}.")
        modified = run.modify is not None
        # What is compiled does not hold the caller's modifiers.
        parts = [replace(part, modifiers=[]) for part in run.parts]
        cls, config = _default(parts[0].made_of) if optimizer is None else _settings(optimizer)

        def compile_(
            forward: backend.Forward, specs: list[backend.Spec], own: backend.Way | None
        ) -> backend.CompiledDescent:
            if isinstance(own, backend.Flow):
                raise ModifierError(
                    "A loss is minimized along its gradient, not along relevance. Received: a model with the "
                    f"backprop modifier {self.source.modifier!r}. Take the model without it."
                )

            def prepare(tensors: list[Any]) -> list[Any]:
                drawn = iter(tensors[1:])
                own = [(part, [next(drawn) for _ in part.moves]) for part in parts]
                pairs = zip(own, split(ops, parts, tensors[0]), specs, strict=False)
                return [ops.cast(part.seen(x, moves), spec.dtype) for (part, moves), x, spec in pairs]

            steps = backend.Steps(
                backend.Spec(run.start.shape, str(run.start.dtype)),
                # A copy: the caller's optimizer may belong to a training, and starts from its own state.
                cls.from_config(dict(config)),
                len(self.losses),
                self.norm_grads,
                modified,
                [backend.Spec(drawn.shape[1:], str(drawn.dtype)) for drawn in run.draw(0)],
                prepare,
                len(parts),
            )
            return backend.compile_descent(forward, specs, steps, rule or own)

        # Keras counts its optimizers up in their names.
        settings = json.dumps({**config, "name": None}, sort_keys=True, default=repr)
        about = tuple(
            (part.made_of, part.canvas, part.shape, tuple(affine for affine, _ in part.moves))
            for part in parts
        )
        kind = (cls, settings, self.norm_grads, modified, about, rule)
        changed = [part.index for part in parts]
        return Differentiation(self.source, WeightedLosses(self.losses)).descent(
            run.inputs, changed, kind, compile_
        )


def _settings(optimizer: keras.optimizers.Optimizer) -> tuple[Any, dict[str, Any]]:
    return type(optimizer), optimizer.get_config()


@lru_cache(64)
def _default(made_of: Parameterization) -> tuple[Any, dict[str, Any]]:
    # One is made, and not one per run: each leaves the names of its variables behind in TensorFlow.
    return _settings(made_of.optimizer())


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
