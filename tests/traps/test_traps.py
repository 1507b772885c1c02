"""Each trap under each method: what is declared happens, and where there is a map, it is right."""

from __future__ import annotations

import contextlib
import functools
import re
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import keras
import numpy as np
import pytest

from tests import native
from tests.reliability.scale import NIGHTLY
from tests.traps.oracle import Right, along_the_way, as_map, chosen, heat, normalized, right
from tests.traps.sections import SECTIONS
from tests.traps.trap import ADVICE, METHODS, Case, Trap
from vis import attributions, backprop_modifiers, errors
from vis.visualization import visualize_cam, visualize_saliency


def is_tried(number: int, trap: Trap, method: str) -> bool:
    """Tell whether a method is tried at this run: by day the plain results of all but guided take turns."""
    is_plain = trap.handled[method] in ("holds", "reached") and method not in trap.checks
    turn = ("saliency", "rectified", "CAM", "explainers")[number % 4]
    return NIGHTLY or not is_plain or method in ("guided", turn)


BACKEND = keras.config.backend()
PAIRS = [
    pytest.param(
        trap,
        method,
        id=f"{trap.name}-{method}",
    )
    for number, trap in enumerate(trap.of(BACKEND) for traps in SECTIONS.values() for trap in traps)
    for method in METHODS
    if trap.handled[method] != "-" and is_tried(number, trap, method)
]


@functools.lru_cache(1)
def made(trap: Trap) -> Case:
    """Return the case that the methods of a trap share."""
    return trap.make()


def said_by(how: str) -> set[str]:
    """Return the names of the warnings that come with a map, or of the error."""
    return set(how.partition(": ")[2].split(", ")) - {""}


@contextlib.contextmanager
def expecting(how: str, words: Iterable[str] = ()) -> Iterator[None]:
    """Fail unless what is declared happens, with these words and an advice in what is said."""
    if how.startswith("refused"):
        (name,) = said_by(how)
        with pytest.raises(getattr(errors, name)) as raised:
            yield
        said = {type(raised.value).__name__: str(raised.value)}
    else:
        with warnings.catch_warnings(record=True) as caught:
            warnings.filterwarnings("always", category=errors.VisWarning)
            yield
        said = {warning.category.__name__: str(warning.message) for warning in caught}
    assert said.keys() == said_by(how)
    for name, text in said.items():
        assert re.search(ADVICE[name], text), text
    for word in words:
        assert any(word in text for text in said.values()), (word, said)


def near(found: Any, wanted: Any, tolerance: float) -> None:
    """Compare a result that is not normalised, by the scale of its largest value."""
    assert found.dtype == np.float32
    largest = abs(wanted).max()
    np.testing.assert_allclose(found, wanted, rtol=5 * tolerance, atol=tolerance * largest)


def same(found: list[Any], wanted: list[Any]) -> None:
    for a, b in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(a, b)


def check_saliency(trap: Trap, case: Case, method: str) -> None:
    """Compare the map, and the gradient with its signs and channels, with the oracle's."""
    modifier = None if method == "saliency" else method
    how, words = trap.handled[method], trap.says.get(method, ())
    wrt = None if case.wrt is None else case.wrt.output

    def found(**options: Any) -> list[Any]:
        asked = (case.model, case.layer, case.filters, case.x)
        maps = visualize_saliency(*asked, backprop_modifier=modifier, wrt_tensor=wrt, **options)
        return keras.tree.flatten(maps)

    with expecting(how, words):
        maps = found()
    if how.startswith("refused"):
        return
    with expecting(how, words):
        signed = found(grad_modifier=None, keepdims=True)
    wanted = right(case, modifier)
    for one, gradient in zip(maps, wanted.gradients, strict=True):
        assert one.dtype == np.float32
        np.testing.assert_allclose(one, as_map(gradient, case.axis), atol=case.tolerance)
    for one, gradient in zip(signed, wanted.gradients, strict=True):
        np.testing.assert_allclose(one, normalized(gradient), atol=case.tolerance)
    true = right(case, plain=case.plain)
    if modifier is None:
        # The oracles agree: the network written out is the model.
        for one, gradient in zip(wanted.gradients, true.gradients, strict=True):
            np.testing.assert_allclose(one, gradient, rtol=1e-3, atol=1e-5 * abs(gradient).max())
    else:
        if "EmptyMapWarning" not in how:
            pairs = zip(wanted.gradients, true.gradients, strict=True)
            apart = any(abs(a - b).max() > 1e-2 * abs(b).max() for a, b in pairs)
            assert apart, "the case does not tell the modifier from none"
        check_modified(case, modifier, true)


def check_modified(case: Case, modifier: str, true: Right) -> None:
    """The modified model predicts the same, to the bit, and the original's gradient is what it was."""
    if case.exact:
        inputs = case.packed([array[None] for array in case.inputs()])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", errors.PartialOverrideWarning)
            predicted = native.array(backprop_modifiers.get(modifier)(case.model)(inputs))
        # TensorFlow rounds some operations in one way in a graph and in another outside of it; XLA in a way
        # of its own in each piece that it compiles.
        bits = 4 * np.finfo(predicted.dtype).eps * abs(predicted).max() if native.NAME == "JAX" else 0
        predict = functools.partial(case.model, training=False)
        ways = [native.array(way(inputs)) for way in (predict, native.compiled(predict))]
        assert {wanted.shape for wanted in ways} == {predicted.shape}
        assert any(abs(predicted - wanted).max() <= bits for wanted in ways)
    same(right(case, plain=case.plain, anew=True).gradients, true.gradients)


def size_of(case: Case, wanted: Right) -> tuple[int, ...]:
    """Return the positions of the input that has as many axes of them as the layer."""
    array = next(array for array in case.inputs() if array.ndim == wanted.features.ndim)
    return tuple(np.delete(array.shape, case.axis))


def check_cam(trap: Trap, case: Case, method: str) -> None:
    """Compare Grad-CAM with its formula on the framework's own gradient."""
    how = trap.handled[method]
    with expecting(how, trap.says.get(method, ())):
        found = visualize_cam(case.model, case.layer, case.filters, case.x, case.places)
    if not how.startswith("refused"):
        wanted = right(case)
        expected = normalized(heat(wanted, case.places_axis, size_of(case, wanted)))
        assert found.dtype == np.float32
        assert expected.any() or "EmptyMapWarning" in how
        np.testing.assert_allclose(found, expected, atol=case.tolerance)


def batch_of(case: Case) -> Any:
    """Return a batch of one input."""
    x = case.x
    if isinstance(x, dict):
        return {name: part[None] for name, part in x.items()}
    if isinstance(x, list) and isinstance(x[0], np.ndarray):
        return [part[None] for part in x]
    if isinstance(x, list):
        return [x]
    return x if x.ndim > case.inputs()[0].ndim else x[None]


def target_of(case: Case, output: Any) -> Any:
    """Return filters as the target of an explainer: one, or the weights of several."""
    if isinstance(case.filters, int):
        return case.filters
    weights = np.zeros(output.shape, np.float32)
    for index in chosen(case.filters, output.shape[-1]):
        weights[..., index] += 1 / np.prod(output.shape[1:-1])
    return weights


def check_explainers(trap: Trap, case: Case, method: str) -> None:
    """Compare explainers of four kinds with the oracle's gradients, and smoothing without noise with none."""
    how, words = trap.handled[method], trap.says.get(method, ())
    options = {"output_layer": case.layer, "reducer": None, "wrt": case.wrt}
    where = {"output_layer": case.layer, "conv_layer": case.places}
    refused = how.startswith("refused")
    plain = None if refused else right(case)
    target = case.filters if plain is None else target_of(case, plain.output)
    both = {"noise": 0.0, "nb_samples": 2, **options}
    kinds: list[tuple[str, Any, Any, Any]] = [
        ("explainers", attributions.Saliency, {"grad_modifier": None, **options}, lambda: plain.gradients),
        ("explainers", attributions.SmoothGrad, both, lambda: plain.gradients),
        (
            "explainers",
            attributions.IntegratedGradients,
            {"steps": 3, **options},
            lambda: along_the_way(case, 3),
        ),
        ("guided", attributions.GuidedBackprop, options, lambda: right(case, "guided").gradients),
        (
            "CAM",
            attributions.GradCAM,
            where,
            lambda: [heat(plain, case.places_axis, size_of(case, plain))[..., None]],
        ),
    ]
    for of, kind, given, wanted in kinds:
        if trap.handled[of] == "-" or of in trap.checks or (of == "CAM" and case.wrt is not None):
            continue
        expected, said = how, words
        if trap.handled[of].startswith("refused"):
            expected, said = trap.handled[of], trap.says.get(of, ())
        elif not refused:
            names = said_by(how) | said_by(trap.handled[of])
            empty = not any(array.any() for array in wanted())
            names = (names - {"EmptyMapWarning"}) | ({"EmptyMapWarning"} if empty else set())
            expected, said = f"warned: {', '.join(names)}", ()
        with expecting(expected, said):
            found = keras.tree.flatten(kind(case.model, **given)(batch_of(case), target))
        if not expected.startswith("refused"):
            for one, value in zip(found, wanted(), strict=True):
                near(one, value[None], case.tolerance)


CHECKS = {
    "saliency": check_saliency,
    "guided": check_saliency,
    "rectified": check_saliency,
    "CAM": check_cam,
    "explainers": check_explainers,
}


@pytest.mark.parametrize(("trap", "method"), PAIRS)
def test_trap(trap: Trap, method: str) -> None:
    """What is declared happens, the map is right, and no variable of the model moves."""
    case = trap.make() if trap.fresh else made(trap)
    variables = [*case.model.variables, *case.states]
    before = [np.array(variable) for variable in variables]
    for x in (case.x, *case.others):
        asked = case if x is case.x else replace(case, x=x)
        if method in trap.checks:
            trap.checks[method](asked)
        else:
            CHECKS[method](trap, asked, method)
    same(variables, before)


def test_partial_override_says_what_to_do() -> None:
    """As every other message of the library does."""
    entry = keras.Input((4, 3))
    model = keras.Model(entry, keras.layers.Lambda(native.hidden_relu)(keras.layers.ReLU()(entry)))
    with pytest.warns(errors.PartialOverrideWarning) as caught:
        backprop_modifiers.guided(model)
    assert re.search("(?i)replace|choose|take|use|pass", str(caught[0].message))
