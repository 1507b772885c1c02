"""Maps worked out by hand: raw by explainers and as the gradient of a modified model, scaled by the verb."""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np
import pytest

from tests import native
from tests.traps.known_values import INTEGRATED, KNOWN, Known, of_three_inputs
from tests.traps.oracle import normalized
from vis import backprop_modifiers
from vis.attributions import DeconvNet, GuidedBackprop, IntegratedGradients, Saliency
from vis.errors import EmptyMapWarning
from vis.visualization import visualize_saliency

EXPLAINERS = {"vanilla": Saliency, "guided": GuidedBackprop, "rectified": DeconvNet}


def warning_if_empty(is_empty: bool) -> Any:
    return pytest.warns(EmptyMapWarning) if is_empty else contextlib.nullcontext()


@pytest.mark.parametrize("known", KNOWN, ids=lambda known: f"{known.name} at {known.x}")
@pytest.mark.parametrize("method", EXPLAINERS)
def test_known_values(known: Known, method: str) -> None:
    model, x = known.build(), np.float32(known.x)
    wanted = np.float32(getattr(known, method))
    options = {"grad_modifier": None} if method == "vanilla" else {}
    with warning_if_empty(not wanted.any()):
        found = EXPLAINERS[method](model, **options)(x[None], 0)
    np.testing.assert_array_equal(found, wanted[None])

    modifier = None if method == "vanilla" else method
    changed = backprop_modifiers.get(modifier)(model) if modifier else model
    np.testing.assert_array_equal(native.gradient(changed, x[None]), wanted[None])

    # A constant gradient shows nothing either.
    with warning_if_empty(not normalized(wanted).any()):
        scaled = visualize_saliency(model, model, 0, x, backprop_modifier=modifier, grad_modifier=None)
    np.testing.assert_allclose(scaled, normalized(wanted), atol=1e-6)


def test_integrated_gradients() -> None:
    _, start, end, wanted = INTEGRATED
    explainer = IntegratedGradients(of_three_inputs(), baseline=np.float32(start), steps=20)
    np.testing.assert_allclose(explainer(np.float32([end]), 0), [wanted], rtol=1e-5)
