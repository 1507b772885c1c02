"""Gradients and forward passes that are called often: PyTorch runs them step by step."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import torch

from vis.backend.contract import (
    CompiledCall,
    CompiledGradient,
    Coverage,
    Evaluation,
    Flow,
    FlowPlan,
    Forward,
    Rule,
    Spec,
    Way,
)
from vis.backend.torch.differentiation import Differentiation
from vis.backend.torch.flows import Flows
from vis.backend.torch.nodes import nodes_behind
from vis.backend.torch.overrides import Withheld, applied, plan, reads_values
from vis.backend.torch.plans import Plans
from vis.backend.torch.replay import Replay
from vis.backend.torch.running import Constants, differentiating, examples, record, refused
from vis.errors import ModifierError

_WIDEST = "float32" if keras.ops.zeros(()).device.type == "mps" else "float64"


class _Gradient:
    def __init__(self, forward: Forward, specs: Sequence[Spec], rule: Way | None) -> None:
        self._differentiation = Differentiation(forward, specs, rule)
        self._types = [spec.dtype for spec in specs]
        self.coverage = self._differentiation.coverage
        self.draws = self._differentiation.draws
        self.reading = self._differentiation.reading

    def __call__(self, arrays: Sequence[npt.ArrayLike], forward: Forward) -> Evaluation:
        tensors = [tensor(array, dtype) for array, dtype in zip(arrays, self._types, strict=True)]
        with differentiating(), refused(tensors):
            traced, gradients, told = self._differentiation(tensors, forward)
        return Evaluation(
            array(traced.loss),
            [None if gradient is None else array(gradient) for gradient in gradients],
            [array(value) for value in traced.values],
            [array(value) for value in told],
        )


def tensor(given: Any, dtype: str) -> torch.Tensor:
    """Return an array, or a tensor, as a tensor on the device of Keras."""
    if not isinstance(given, torch.Tensor):
        given = np.asarray(given)
        # PyTorch warns of memory that it must not write into, though nothing does.
        given = given if given.flags.writeable else given.copy()
    made: torch.Tensor = keras.ops.convert_to_tensor(given, dtype)
    return made


def array(value: Any) -> npt.NDArray[Any]:
    """Return a tensor as an array that shares no memory among its numbers; half precision as float32."""
    value = value.detach()
    if value.dtype in (torch.float16, torch.bfloat16):
        value = value.float()
    found: npt.NDArray[Any] = value.cpu().contiguous().numpy()
    return found


def compile_gradient(forward: Forward, specs: Sequence[Spec], rule: Way | None = None) -> CompiledGradient:
    """Return the gradient of a scalar with respect to tensors that it is computed from.

    Args:
        forward: takes one tensor per spec.
        specs: what the function takes.
        rule: the derivative of the activations, or None for the true one.
    """
    return _Gradient(forward, specs, rule)


class _Call:
    def __init__(self, forward: Callable[[Any], Any], rule: Rule) -> None:
        self.found: Coverage | None = None
        self.rule = rule
        self._forward = forward
        self._plans: Plans[tuple[Any, Any]] = Plans(
            lambda pair: nodes_behind(*(keras.tree.flatten(each) for each in pair))
        )
        self._plans.keeps = reads_values(rule)

        @functools.wraps(rule)
        def ruled(*args: Any) -> Any:
            try:
                return applied(rule, *args)
            except Withheld:
                self._plans.keeps = True
                raise ModifierError(
                    "The rule reads the input or the output of an activation here, but not in other cases. "
                    "Read them in all cases, or call the model again: they are kept from now on."
                ) from None

        self._ruled = ruled

    def __call__(self, inputs: Any) -> Any:
        inputs = keras.tree.map_structure(keras.ops.convert_to_tensor, inputs)
        if self.found is None:
            self.coverage(keras.tree.map_structure(_spec, inputs))
        if not torch.is_grad_enabled():
            return self._run(inputs)[0]
        outputs, _ = self._plans.run(
            lambda: self._run(inputs), self._ruled, lambda: self._examine_again(inputs)
        )
        return outputs

    def _run(self, inputs: Any) -> tuple[Any, Any]:
        with keras.StatelessScope():
            return self._forward(inputs), inputs

    def _examine_again(self, inputs: Any) -> None:
        try:
            self._examine(inputs, keras.StatelessScope())
        except RuntimeError as error:
            raise ModifierError(
                "The backprop modifier cannot be applied inside this function of torch.func. Differentiate "
                f"with torch.autograd, or one sample after the other. PyTorch says: {error}"
            ) from error

    def coverage(self, specs: Any) -> Coverage:
        failures = []
        for tensors in examples(keras.tree.flatten(specs)):
            given = [tensor.requires_grad_() if tensor.is_floating_point() else tensor for tensor in tensors]
            inputs = keras.tree.pack_sequence_as(specs, given)
            try:
                # With and without gradients by variables: `torch.func` takes none by them.
                self._examine(inputs, Constants())
                self._examine(inputs, keras.StatelessScope())
            except Exception as failure:  # perhaps the sizes are too small for the model
                failures.append(failure)
            if self.found is not None:
                return self.found
        raise failures[0]

    def _examine(self, inputs: Any, scope: Any) -> None:
        """Read what the forward pass computes on inputs that gradients are taken by as by these.

        Args:
            inputs: see above.
            scope: in which Keras runs.
        """
        flat = [each.detach().requires_grad_(each.requires_grad) for each in keras.tree.flatten(inputs)]
        with differentiating(), scope:
            given = [each.clone() for each in flat]
            seen, outputs = record(
                lambda tensors: self._forward(keras.tree.pack_sequence_as(inputs, tensors)), given
            )
            results = keras.tree.flatten(outputs)
            nodes, names = nodes_behind(results, given)
            ends = list(map(seen.slot, results))
            found = plan(seen, list(map(seen.slot, given)), ends, nodes)
        self.found = self.found or found.coverage
        self._plans.add(names, found)


def _spec(tensor: torch.Tensor) -> Spec:
    return Spec(tuple(tensor.shape), keras.backend.standardize_dtype(tensor.dtype))


class _Flowing:
    """A forward pass whose derivative is the relevance."""

    def __init__(self, forward: Callable[[Any], Any], flow: Flow) -> None:
        self.found: Coverage | None = None
        self._forward = forward
        self._flows = Flows(lambda: flow)

    def __call__(self, inputs: Any) -> Any:
        inputs = keras.tree.map_structure(keras.ops.convert_to_tensor, inputs)
        if not torch.is_grad_enabled():
            with keras.StatelessScope():
                return self._forward(inputs)
        returned: list[Any] = []
        flat = _Relevance.apply(self, inputs, returned, *keras.tree.flatten(inputs))
        return keras.tree.pack_sequence_as(returned[0], list(flat))

    def run(self, inputs: Any) -> tuple[Any, FlowPlan, Replay]:
        """Run the forward pass; return its outputs, how relevance flows through it, and the run."""
        flat = [each.detach().clone() for each in keras.tree.flatten(inputs)]
        with keras.StatelessScope():
            made, plan, replay = self._flows.run(
                lambda tensors: self._forward(keras.tree.pack_sequence_as(inputs, tensors)),
                flat,
                lambda outputs: (flat, keras.tree.flatten(outputs), [], []),
            )
        self.found = plan.coverage
        return made, plan, replay

    def coverage(self, specs: Any) -> Coverage:
        failures = []
        for tensors in examples(keras.tree.flatten(specs)):
            try:
                self.run(keras.tree.pack_sequence_as(specs, tensors))
            except Exception as failure:  # perhaps the sizes are too small for the model
                failures.append(failure)
            if self.found is not None:
                return self.found
        raise failures[0]


class _Relevance(torch.autograd.Function):  # type: ignore[misc]
    @staticmethod
    def forward(ctx: Any, call: _Flowing, inputs: Any, returned: list[Any], *tensors: Any) -> Any:
        outputs, ctx.plan, ctx.replay = call.run(keras.tree.pack_sequence_as(inputs, list(tensors)))
        returned.append(keras.tree.map_structure(lambda _: 0, outputs))
        return tuple(keras.tree.flatten(outputs))

    @staticmethod
    def backward(ctx: Any, *slopes: Any) -> Any:
        gradients, _ = ctx.plan(ctx.replay, slopes)
        return None, None, None, *gradients


def compile_call(forward: Callable[[Any], Any], rule: Way) -> CompiledCall:
    """Return a forward pass whose derivative follows `rule`, whoever differentiates it."""
    return _Flowing(forward, rule) if isinstance(rule, Flow) else _Call(forward, rule)


def widest_float() -> str:
    """Return the data type in which sums are taken."""
    return _WIDEST
