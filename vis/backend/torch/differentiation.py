"""Differentiating a forward pass: what it computes is read once, and then it runs at each call.

If it runs often, what PyTorch ran is written down, and runs in its stead, see `vis.backend.torch.program`.

Keras runs in a scope in which variables are constants, so parameters collect no gradient, and nothing is
assigned. What the rule of a backprop modifier reaches is planned once for each way that the computation can
go, which the nodes of autograd tell.
"""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Iterator, Sequence

import torch

from vis.backend.contract import Coverage, Flow, Forward, Spec, Traced, Way
from vis.backend.torch.draws import Draws
from vis.backend.torch.flows import Flows
from vis.backend.torch.nodes import nodes_behind
from vis.backend.torch.overrides import Withheld, plan, weakly
from vis.backend.torch.plans import Plans
from vis.backend.torch.program import Programs
from vis.backend.torch.reading import read
from vis.backend.torch.running import (
    Constants,
    derivatives,
    differentiating,
    examples,
    leaves,
    record,
    refused,
)
from vis.errors import ModifierError, VisError
from vis.graph import Graph


class Differentiation:
    """The gradients of a forward pass.

    Args:
        forward: takes one tensor per spec.
        specs: what it takes.
        rule: the derivative of the activations, or None for the true one.

    Attributes:
        coverage, draws, reading: see `vis.backend.CompiledGradient`.
    """

    def __init__(self, forward: Forward, specs: Sequence[Spec], rule: Way | None = None) -> None:
        self.coverage: Coverage | None = None
        self.reading: Graph | None = None
        self._flows = Flows(weakref.ref(rule)) if isinstance(rule, Flow) else None
        self._rule = None if rule is None or isinstance(rule, Flow) else weakly(rule)
        self._draws = Draws()
        self._plans: Plans[Traced] = Plans(lambda traced: nodes_behind([traced.loss]))
        self._programs = Programs()
        self._watches, self._of_variables = True, False
        failures = []
        for tensors in examples(specs):
            try:
                self._examine(forward, tensors)
            except VisError:
                raise
            except Exception as error:  # perhaps the sizes are too small for the model
                failures.append((error, tensors))
            else:
                return
        failure, tensors = failures[0]
        if any(None in spec.shape[1:] for spec in specs if spec.example is not None):
            with refused(tensors):
                raise failure
        raise failure

    @property
    def draws(self) -> tuple[str, ...]:
        return self._draws.names

    def __call__(
        self, tensors: Sequence[torch.Tensor], forward: Forward
    ) -> tuple[Traced, list[torch.Tensor | None], list[torch.Tensor]]:
        """Run a forward pass.

        Returns:
            what it returns, the gradients of the loss by what it watches, and what a flow tells.
        """
        if self._flows is not None:
            return self._relevance(self._flows, forward, tensors)
        try:
            return *self._gradients(forward, tensors), []
        except Withheld:
            self._plans.keeps = True
            return *self._gradients(forward, tensors), []

    def _relevance(
        self, flows: Flows, forward: Forward, tensors: Sequence[torch.Tensor]
    ) -> tuple[Traced, list[torch.Tensor | None], list[torch.Tensor]]:
        with torch.inference_mode(False), self._draws.fixed(), Constants(seed=self._draws.seed):
            # Copies, for a forward pass to write into.
            given = [tensor.clone() if tensor.is_floating_point() else tensor for tensor in tensors]
            traced, plan, replay = flows.run(
                forward,
                given,
                lambda made: (made.watched, made.explained, [made.loss], made.references),
            )
        self.coverage = self.coverage or plan.coverage
        return traced, *plan(replay)

    def _examine(self, forward: Forward, tensors: Sequence[torch.Tensor]) -> None:
        """Read what the forward pass computes on some tensors."""
        with self._around():
            _, given = leaves(tensors)
            seen, traced = record(forward, given)
            loose = [tensor for tensor in traced.watched if not tensor.requires_grad]
            if not self._of_variables and any(tensor.is_floating_point() for tensor in loose):
                self._of_variables = True
                return self._examine(forward, tensors)
            if self.reading is None and traced.read:
                self.reading = read(seen, seen.inputs, list(map(seen.slot, traced.read)))
            self._watches = bool(traced.watched)
            self._programs.operations = len(seen.steps)
            self._draws.examine(seen, [traced.loss, *traced.values])
            if self._flows is not None:
                self._relevance(self._flows, forward, [tensor.detach() for tensor in given])
            if self._rule is not None:
                nodes, names = nodes_behind([traced.loss])
                watched = list(map(seen.slot, traced.watched))
                found = plan(seen, watched, [seen.slot(traced.loss)], nodes)
                self._compare(found.coverage)
                self._plans.add(names, found)
        return None

    def _compare(self, coverage: Coverage) -> None:
        """Raise an error if a run reaches fewer activations than it was said to reach."""
        before = self.coverage
        self.coverage = before or coverage
        if before and len(coverage.missed) > len(before.missed):
            raise ModifierError(
                "The model computes something else on this input than on the first one, and there the "
                f"backprop modifier cannot reach: {', '.join(coverage.missed)}. Take backprop_modifier=None."
            )

    @contextlib.contextmanager
    def _around(self) -> Iterator[Constants]:
        with differentiating(), torch.set_grad_enabled(self._watches), self._draws.fixed():
            with Constants(self._of_variables, self._draws.seed) as scope:
                yield scope

    def _gradients(
        self, forward: Forward, tensors: Sequence[torch.Tensor]
    ) -> tuple[Traced, list[torch.Tensor | None]]:
        with self._around() as scope:
            found, given = leaves(tensors)

            def run() -> Traced:
                # What a rule reads is found by counting what runs; what is drawn depends on it, too.
                if self._plans.keeps or self._draws.are_there:
                    return forward(list(given))
                return self._programs.run(forward, given, scope)

            if self._rule is None:
                traced = run()
            else:
                traced = self._plans.run(run, self._rule(), lambda: self._examine(forward, given))
        with differentiating():
            leaf = {id(tensor): each for tensor, each in zip(given, found, strict=True)}
            watched = [leaf.get(id(tensor), tensor) for tensor in traced.watched]
            by = [tensor for tensor in watched if tensor.requires_grad]
            gradients = derivatives(traced.loss, by)
        by_id = {id(tensor): each for tensor, each in zip(by, gradients, strict=False)}
        return traced, [by_id.get(id(tensor)) for tensor in watched]
