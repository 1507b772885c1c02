"""Relevance on its way back through a computation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from keras import ops

from vis import backend
from vis.errors import ModifierError
from vis.foreign import defined, described, foreign_arrays
from vis.graph import Graph, Value
from vis.relevance.rules import Rule
from vis.relevance.site import Run, Site
from vis.relevance.steps import Step

# What becomes of the relevance that arrives at a site, in the order in which it is told: what arrives, what
# goes on, and what the bias and epsilon take.
TOLD = ("arrived", "passed", "bias", "epsilon")


class Plan(backend.FlowPlan):
    """The sites of a graph, each with its rule.

    Args:
        steps: from the last to the first.
        graph: the graph.
        sources: what relevance is wanted of.
        ends: where it starts.
        loss: what is computed of the ends; None if their slopes are given.
        tells: whether it notes what becomes of the relevance at each site, summed within each sample.
    """

    def __init__(
        self,
        steps: Sequence[tuple[Step, Rule]],
        graph: Graph,
        sources: Sequence[Value],
        ends: Sequence[Value],
        loss: Value | None = None,
        tells: bool = False,
    ) -> None:
        self._loss, self.tells = loss, tells
        self.steps, self.graph = _reached(steps, ends), graph
        self.sources, self.ends = list(sources), list(ends)
        named = [(step, f"{step.path} ({step.operation.kind})") for step, _ in self.steps]
        self.coverage = backend.Coverage(
            tuple(name for step, name in named if step.kind != "unknown"),
            tuple(name for step, name in named if step.kind == "unknown"),
        )

    def __call__(
        self, replay: backend.Replay, slopes: Sequence[Any] | None = None
    ) -> tuple[list[Any | None], list[Any]]:
        run = Run(replay, self.graph, self.sources)
        arrived: dict[Value, Any] = {}
        told: list[Any] = []

        def add(value: Value, more: Any) -> None:
            arrived[value] = arrived[value] + more if value in arrived else more

        starts = [run.tensor(end) for end in self.ends]
        for value, start, slope in zip(self.ends, starts, slopes or self._slopes(run, starts), strict=True):
            add(value, start * ops.cast(slope, start.dtype))
        for step, rule in self.steps:
            site = Site(step, run, self.tells)
            _check_tensors(site)
            came = [site.arranged(arrived.pop(value)) if value in arrived else None for value in step.outputs]
            last = max(place for place, each in enumerate(came) if each is not None)
            whole = [
                ops.zeros_like(site.outputs[place]) if each is None else each
                for place, each in enumerate(came[: last + 1])
            ]
            gone = self._applied(rule, site, whole)
            if self.tells:
                taken = [site.taken.get(name, ops.zeros_like(run.samples)) for name in ("bias", "epsilon")]
                told += [*(sum(map(run.summed, each)) for each in (whole, gone)), *taken]
            for value, more, reached in zip(step.inputs, gone, rule.reaches(step.signals), strict=True):
                if reached:
                    add(value, more)
        return [arrived.get(source) for source in self.sources], told

    def _slopes(self, run: Run, starts: Sequence[Any]) -> list[Any]:
        """Return the gradients of the loss by the ends, each as if the others did not depend on it."""
        loss = self._loss
        assert loss is not None  # noqa: S101 - otherwise they are given

        def computed(given: Sequence[Any]) -> list[Any]:
            return [run.moved(loss, dict(zip(self.ends, given, strict=True)))]

        return backend.pulled(computed, starts, [ops.ones_like(run.tensor(loss))])

    def _applied(self, rule: Rule, site: Site, relevance: list[Any]) -> list[Any]:
        """Return what a rule returns, checked."""
        with foreign_arrays("The rule", rule):
            found = rule(site, relevance[0] if len(relevance) == 1 else relevance)
        fits = isinstance(found, list | tuple) and len(found) == len(site.inputs)
        if not fits or not all(map(ops.is_tensor, found)):
            raise ModifierError(
                "A rule(site, relevance) returns a list with the relevance of each of site.inputs. Received "
                f"from {defined(rule)} at {site.path!r} with {len(site.inputs)} inputs: {described(found)}."
            )
        return [ops.cast(each, x.dtype) for each, x in zip(found, site.inputs, strict=True)]


def _check_tensors(site: Site) -> None:
    """Raise `ModifierError` if the steps of a loop stand between a site and its inputs."""
    if any("variant" in str(getattr(x, "dtype", "")) for x in site.inputs):
        raise ModifierError(
            "Relevance does not pass through a loop whose steps are not operations of their own. Received: "
            f"{site.path!r}. Build the recurrent layer with unroll=True and the same weights, or name a "
            "layer after it as wrt."
        )


def _reached(steps: Sequence[tuple[Step, Rule]], ends: Sequence[Value]) -> list[tuple[Step, Rule]]:
    """Return the sites at which relevance arrives, from the last to the first."""
    reached, found = {*ends}, []
    for step, rule in steps:
        if not reached.isdisjoint(step.outputs):
            found.append((step, rule))
            given = rule.reaches(step.signals)
            reached.update(value for value, gets in zip(step.inputs, given, strict=True) if gets)
    return found
