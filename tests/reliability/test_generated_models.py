"""Random networks: what the library says of them against slow oracles, in double precision.

On JAX and PyTorch, Keras makes 32 bits of some operations; then the tolerances are those of 32 bits.
All that a network is asked stands in one test, because building and tracing it costs more than the questions.
A network that fails is printed as a call of `Architecture`, which makes it a test case of its own.
"""

from __future__ import annotations

import itertools
import warnings
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from keras import ops

from tests import native
from tests.precision import precision
from tests.reliability.architectures import Act, Architecture, BatchNorm, Dense, Pad, architectures
from tests.reliability.interpreter import Run, of_filter, run
from tests.reliability.scale import NIGHTLY, compiled
from vis import backprop_modifiers
from vis.attributions import Saliency
from vis.errors import EmptyMapWarning, ModifierError
from vis.visualization import visualize_saliency

pytestmark = [pytest.mark.in_64_bits, pytest.mark.long]

Array = npt.NDArray[Any]

RULES = (None, "guided", "rectified")
SAMPLES = 3
# Nearer than this to a bend, or to another maximum of a window, a rounding decides: in 64 and in 32 bits.
CLEAR = (1e-9, 1e-4)


@dataclass
class Case:
    """A network with samples, one filter of one of its outputs, and how the oracle runs it."""

    model: keras.Model
    x: list[Array]
    number: int
    filter: int
    run: Run
    foldable: bool
    single: bool

    @property
    def inputs(self) -> Any:
        return self.x[0] if len(self.x) == 1 else self.x

    @property
    def layer(self) -> str:
        return f"out{self.number}"

    @property
    def incoming(self) -> Array:
        """The weights of the outputs, in the precision of targets: the mean of the filter over positions."""
        return of_filter(self.run.outputs[self.number].array, self.filter).astype(np.float32)

    def clear(self) -> Array:
        """Tell of each sample whether it is away from all bends."""
        return self.run.margins(self.run.outputs[self.number]) > CLEAR[self.single]

    def within(self, rtol: float) -> float:
        """Return a tolerance for 64 bits, or the one for 32 bits."""
        return max(rtol, 1e-4) if self.single else rtol

    def wanted(self, rule: str | None) -> list[Array]:
        return self.run.gradients(self.run.outputs[self.number], self.incoming, rule)

    def rules(self) -> tuple[str | None, ...]:
        return RULES if self.run.coverage([self.run.outputs[self.number]]) else RULES[:1]


def cases(architecture: Architecture) -> list[Case]:
    model, x = architecture.build(), architecture.inputs(SAMPLES)
    made = run(model, x)
    filters = [architecture.seed % output.array.shape[-1] for output in made.outputs]
    foldable = architecture.uses(BatchNorm) or architecture.uses(Pad)

    def moved(step: Array) -> Array:
        return np.concatenate([y.ravel() for y in outputs_of(model, [each + step for each in x])])

    single = precision(moved, np.zeros(1)) > 1e-10
    if native.NAME != "TensorFlow":  # a part in 32 bits does not change with these steps
        pairs = zip(outputs_of(model, x), made.outputs, strict=True)
        single |= any(abs(y - wanted.array).max() > 1e-10 * abs(y).max() for y, wanted in pairs)
    return [Case(model, x, number, filter, made, foldable, single) for number, filter in enumerate(filters)]


def near(found: Any, wanted: Any, rtol: float, said: str = "") -> None:
    """Compare with a tolerance relative to the largest value; of 32 bits it may be what is left of 1."""
    largest = np.abs(wanted).max(initial=1e-2 if rtol >= 1e-4 else 0)
    np.testing.assert_allclose(found, wanted, rtol=0, atol=rtol and rtol * largest + 1e-15, err_msg=said)


def explainer(case: Case, rule: str | None, **options: Any) -> Saliency:
    return Saliency(
        case.model,
        case.layer,
        backprop_modifier=rule,
        grad_modifier=None,
        reducer=None,
        **options,
    )


def gradients(case: Case, rule: str | None, fold_layers: bool = False) -> list[Array]:
    """Return what the library finds, in double precision."""
    made = explainer(case, rule, fold_layers=fold_layers)
    found = made.score.gradients(case.x, case.incoming).gradients
    return [np.zeros_like(x) if each is None else each for each, x in zip(found, case.x, strict=True)]


def outputs_of(model: Any, x: list[Array]) -> list[Array]:
    return [np.asarray(y) for y in keras.tree.flatten(model(x if len(x) > 1 else x[0], training=False))]


def derived(case: Case, model: Any) -> list[Array]:
    """Return the gradient of the case by the framework."""

    def score(*x: Any) -> Any:
        outputs = keras.tree.flatten(model(list(x) if len(x) > 1 else x[0]))
        output = outputs[case.number]
        return ops.sum(output * ops.cast(case.incoming, output.dtype))

    return native.gradients(score, case.x)


# ---- the checks ------------------------------------------------------------------------------------------


def check_forward(case: Case) -> None:
    for found, wanted in zip(outputs_of(case.model, case.x), case.run.outputs, strict=True):
        assert case.single or found.dtype == np.float64
        near(found, wanted.array, case.within(1e-10))


def check_differences(case: Case, found: list[Array]) -> None:
    """Move each value of the first sample up and down, where no bend lies between."""
    step = 1e-5
    for index, x in enumerate(case.x):
        moves = step * np.eye(x[0].size).reshape(-1, *x.shape[1:])
        scores, regions = [], []
        for sign in (1, -1):
            moved = [np.repeat(each[:1], len(moves), axis=0) for each in case.x]
            moved[index] = moved[index] + sign * moves
            output = outputs_of(case.model, moved)[case.number]
            scores.append(output[..., case.filter].reshape(len(moves), -1).mean(axis=1))
            made = run(case.model, moved)
            regions.append(made.regions(made.outputs[case.number]))
        differences = (scores[0] - scores[1]) / (2 * step)
        straight = (regions[0] == regions[1]).all(axis=1)
        if not regions[0].shape[1]:
            assert straight.all()
        largest = max(1e-3, np.abs(differences).max())
        np.testing.assert_allclose(
            found[index][0].ravel()[straight], differences[straight], rtol=0, atol=1e-5 * largest
        )


def check_gradient(case: Case, rule: str | None, found: list[Array], rtol: float = 1e-9) -> None:
    clear = case.clear()
    for part, wanted in zip(found, case.wanted(rule), strict=True):
        near(part[clear], wanted[clear], case.within(rtol), f"{rule} gradient of {case.layer}")


def check_batches(case: Case, rule: str | None) -> None:
    """A batch at once, in parts and one by one."""
    found = []
    for size in (1, 2, None):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", EmptyMapWarning)
            explained = explainer(case, rule, batch_size=size).explain(case.inputs, case.incoming)
        found.append(keras.tree.flatten(explained))
    for one, two, whole, wanted in zip(*found, case.wanted(rule), strict=True):
        assert whole.dtype == np.float32 and whole.shape == wanted.shape
        near(whole, one, case.within(1e-6))
        near(two, one, case.within(1e-6))
        near(one[case.clear()], wanted[case.clear()], case.within(1e-6))


def check_maps(case: Case, rule: str | None) -> None:
    """The normalised map of the first sample: |g|, the largest channel, the range made [0, 1]."""
    seed = [x[0] for x in case.x]
    wanted = []
    for gradient in case.wanted(rule):
        size = np.abs(gradient[0])
        wanted.append(size.max(axis=-1) if size.ndim > 1 else size)
    flat = [np.ptp(size) <= CLEAR[case.single] * size.max() for size in wanted]
    with warnings.catch_warnings():
        if any(flat):
            # What is constant up to rounding may be so exactly, or not.
            warnings.simplefilter("ignore", EmptyMapWarning)
        found = visualize_saliency(
            case.model,
            case.layer,
            case.filter,
            seed if len(seed) > 1 else seed[0],
            backprop_modifier=rule,
        )
    for made, size, is_flat in zip(keras.tree.flatten(found), wanted, flat, strict=True):
        assert made.dtype == np.float32 and made.shape == size.shape
        assert made.min() >= 0 and made.max() <= 1
        if case.clear()[0] and not is_flat:
            scaled = (size - size.min()) / np.ptp(size)
            rounding = (1e-5 if case.single else 1e-12) * size.max() / np.ptp(size)
            np.testing.assert_allclose(made, scaled, atol=case.within(1e-6) + rounding)


def check_nothing_to_override(case: Case, rule: str, by_explainer: bool) -> None:
    seed = [x[0] for x in case.x]
    with pytest.raises(ModifierError, match=f"{rule!r} reaches no activation of the model"):
        if by_explainer:
            explainer(case, rule).explain(case.inputs, case.incoming)
        else:
            one = seed if len(seed) > 1 else seed[0]
            visualize_saliency(case.model, case.layer, case.filter, one, backprop_modifier=rule)


def check_modified_model(case: Case, rule: str, predicted: list[Array], by_tape: bool) -> None:
    """As a model of its own it predicts the same to the bit; a tape around it finds the rule's gradient."""
    if not case.run.coverage(case.run.outputs):
        with pytest.raises(ModifierError, match=f"{rule!r} reaches no activation of the model"):
            backprop_modifiers.get(rule)(case.model)
        return
    modified = backprop_modifiers.get(rule)(case.model)
    found = keras.tree.flatten(modified.predict(case.inputs, verbose=0))
    for made, wanted in zip(found, predicted, strict=True):
        near(made, wanted, 1e-6 if native.NAME == "JAX" else 0)
    if by_tape:
        check_gradient(case, rule, derived(case, modified))


def check(several: list[Case], turn: int | None = None) -> None:
    """Ask a network everything; or, as tracing takes long, some of the questions for one rule, by turns."""
    chosen = several if turn is None else [several[turn % len(several)]]
    before = [derived(case, case.model) for case in several]
    for case, taken in zip(several, before, strict=True):
        check_forward(case)
        check_gradient(case, None, taken)

    def turns(among: tuple[Any, ...], shift: int) -> tuple[Any, ...]:
        return among if turn is None else (among[(turn + shift) % len(among)],)

    for case in chosen:
        for rule in case.rules():
            found = gradients(case, rule)
            check_gradient(case, rule, found)
            check_batches(case, rule)
            if rule is None and not case.single:
                check_differences(case, found)
        if case.foldable:
            for rule in turns(case.rules(), 0):
                check_gradient(case, rule, gradients(case, rule, fold_layers=True))
        for rule in turns(case.rules(), 1):
            check_maps(case, rule)
        if len(case.rules()) == 1:
            for rule, by_explainer in turns(tuple(itertools.product(RULES[1:], (True, False))), 0):
                check_nothing_to_override(case, rule, by_explainer)
    if turn is None or turn % 2 == 0:
        predicted = keras.tree.flatten(chosen[0].model.predict(chosen[0].inputs, verbose=0))
        for rule in RULES[1:] if turn is None else RULES[1 + turn // 2 % 2 :][:1]:
            check_modified_model(chosen[-1], rule, predicted, by_tape=turn is None)
    for case, taken in zip(several, before, strict=True):
        for old, new in zip(taken, derived(case, case.model), strict=True):
            np.testing.assert_array_equal(new, old)


@settings(
    max_examples=compiled(50, 500),
    deadline=None,
    derandomize=not NIGHTLY,
    database=None,
    suppress_health_check=list(HealthCheck),
)
@given(architectures(), st.sampled_from((*range(6), None) if NIGHTLY else range(6)))
def test_the_library_agrees_with_the_oracles(architecture: Architecture, turn: int | None) -> None:
    several = cases(architecture)
    check(several, turn)


# ---- networks that were found ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "architecture",
    [
        Architecture(body=(Act("softplus"), Act("PReLU"))),
        Architecture(body=(Dense(3, "softplus"), Act("ReLU 3 slope"))),
    ],
    ids=["PReLU", "ReLU with a maximum and a slope"],
)
def test_a_softplus_before_an_activation_of_two_halves(architecture: Architecture) -> None:
    (case,) = cases(architecture)
    assert case.run.coverage(case.run.outputs) == 2
    check([case])
