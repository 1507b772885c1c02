"""Gradient descent on an input, step by step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import torch
from keras import ops

from vis.backend.contract import CompiledDescent, Forward, Rule, Spec, Steps
from vis.backend.steps import Descent, Modify, Point, Slope, modified
from vis.backend.torch.compiled import widest_float
from vis.backend.torch.differentiation import Differentiation
from vis.backend.torch.running import differentiating


class _Descent(Descent):
    def __init__(self, forward: Forward, specs: Sequence[Spec], steps: Steps, rule: Rule | None) -> None:
        super().__init__(specs, steps, widest_float())
        self._differentiation = made = Differentiation(forward, specs, rule)
        self.coverage, self.draws, self.reading = made.coverage, made.draws, made.reading

    def _run(
        self,
        forward: Forward,
        point: Point,
        steps: int,
        rest: list[Any],
        drawn: list[Any],
        modify: Modify | None,
    ) -> Point:
        with differentiating():
            point, rest, drawn = keras.tree.map_structure(ops.convert_to_tensor, (point, rest, drawn))
            for i in range(steps):
                slope = self._slope_at(forward, point.x, rest, [array[i] for array in drawn])
                # The optimizers write into what they are given, which may be their own moving average.
                point = point._replace(x=point.x.clone())
                point = self._moved(point, slope if modify is None else modified(slope, modify))
        return point

    def _slope_at(self, forward: Forward, x: Any, rest: list[Any], own: list[Any]) -> Slope:
        x = x.detach().requires_grad_()
        seen = self._steps.first(x, own)
        traced, gradients, _ = self._differentiation([*seen, *rest], forward)
        pairs = zip(seen, gradients, strict=True)
        used = [(part, g) for part, g in pairs if g is not None and part.requires_grad]
        gradient = None
        if used:
            ends, slopes = zip(*used, strict=True)
            (gradient,) = torch.autograd.grad(ends, x, slopes, allow_unused=True)
        with torch.no_grad():
            gradient = torch.zeros_like(x) if gradient is None else gradient
            return self._slope(traced.of_samples, traced.terms, gradient)


def compile_descent(
    forward: Forward, specs: Sequence[Spec], steps: Steps, rule: Rule | None = None
) -> CompiledDescent:
    """Return steps of gradient descent on the first input of a forward pass.

    Args:
        forward: takes one tensor per spec.
        specs: what it takes.
        steps: what the steps are.
        rule: the derivative of the activations, or None for the true one.
    """
    return _Descent(forward, specs, steps, rule)
