"""Numbers: gradients of extreme sizes, of one size, of both signs, and ties."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from keras import layers, ops

from tests.traps.inputs import picture
from tests.traps.relu_sites import same_conv
from tests.traps.topology import chain
from tests.traps.trap import SHAPE, Case, Trap, dense, leaning
from vis.attributions import GradCAM, GuidedBackprop, IntegratedGradients, Saliency, SmoothGrad

X = 1.0 + abs(picture(*SHAPE))
BOTH_SIGNS = leaning((60, 1))[:, 0]
# A third of them are 0, so that the map of their magnitudes is not constant.
ONE_SIZE = np.sign(BOTH_SIGNS) * (np.arange(60) >= 20)


def weighed(kernel: Any) -> Callable[[], Case]:
    """Return what builds a network whose gradient is its last kernel, at an input that its ReLU passes on."""

    def build() -> Case:
        places, end = same_conv(use_bias=False), layers.Dense(1, use_bias=False)
        model = chain(places, layers.ReLU(), layers.Flatten(), end)
        end.set_weights([np.broadcast_to(kernel, 60).astype(np.float32)[:, None]])
        return Case(model, X, filters=0, found=places)

    return build


def ties_in_max_pool() -> Case:
    """All values of each window are the largest."""
    last = layers.ReLU()
    model = chain(same_conv(use_bias=False), layers.MaxPooling2D(2), last, layers.Flatten(), dense(2))
    return Case(
        model, np.float32([1, 2])[[0, 0, 1, 1, 1]][:, None, None] * np.ones(SHAPE, np.float32), found=last
    )


def ties_in_argmax() -> Case:
    """Two outputs of whole numbers, the same to the bit."""
    places, end = same_conv(use_bias=False), layers.Dense(2, use_bias=False)
    model = chain(places, layers.ReLU(), layers.Flatten(), end)
    first = np.random.default_rng(5).integers(-3, 6, SHAPE).astype(np.float32)
    x = np.tile(np.float32([1, 2, 3]), (5, 4, 1)) * np.float32([1, 2, 1, 2])[:, None]
    second = first.copy()
    second[:, 1, 0], second[:, 0, 1] = first[:, 0, 1], first[:, 1, 0]  # where x is 2
    end.set_weights([np.stack([first.ravel(), second.ravel()], 1)])
    return Case(model, x, filters=0, found=places)


def first_of_a_tie(case: Case) -> None:
    """The predicted class is the first of the largest, and the same on the whole way of a path."""
    outputs = ops.convert_to_numpy(case.model(case.x[None]))[0]
    assert outputs[0] == outputs[1]
    for kind in (Saliency, SmoothGrad, IntegratedGradients, GuidedBackprop, GradCAM):
        predicted, first, second = (kind(case.model)(case.x[None], target) for target in (None, 0, 1))
        np.testing.assert_array_equal(predicted, first)
        assert abs(first - second).max() > 0.1


REACHED = {"guided": "reached"}
WARNED = "warned: EmptyMapWarning"
EMPTY = {"saliency": WARNED, "guided": WARNED}

TRAPS = [
    Trap("gradients exactly 0", weighed(0.0), **EMPTY, cam=WARNED, explainers=WARNED),
    Trap(
        "gradients all equal",
        weighed(1.5),
        **EMPTY,
        says=dict.fromkeys(("saliency", "guided", "rectified"), ("gradient is constant",)),
    ),
    Trap("gradients of 1e-7 and -1e-7", weighed(1e-7 * ONE_SIZE), **REACHED),
    Trap("gradients of 1e-30", weighed(1e-30 * BOTH_SIGNS), **REACHED),
    Trap("gradients of 1e30", weighed(1e30 * BOTH_SIGNS), **REACHED),
    Trap("mixed signs", weighed(BOTH_SIGNS), **REACHED),
    Trap("ties in argmax", ties_in_argmax, **REACHED, checks={"explainers": first_of_a_tie}),
    Trap("ties in max-pool", ties_in_max_pool, **REACHED),
]
