"""What a step of `visualize_activation` costs beside a hand-written one.

The reference is what one would write for one model and one class: a `tf.function` of fixed shape around the
forward pass, the same losses, their input gradient, its norm and the same update, called once per step.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from measure import interleave, row, write

from vis import linear_outputs, visualize_activation
from vis.demo.network import build_network

STEPS = 41
FILTER = 3


def by_hand(model: Any, regularized: bool) -> Callable[[], Any]:
    """Return a run of hand-written steps."""
    shape = (1, *model.inputs[0].shape[1:])
    count = float(np.prod(shape))
    x = tf.Variable(np.random.default_rng(0).normal(127.5, 12.75, shape).astype(np.float32))
    cache = tf.Variable(tf.zeros(shape))

    @tf.function
    def step() -> Any:
        image = tf.identity(x)
        with tf.GradientTape() as tape:
            tape.watch(image)
            loss = -tf.reduce_sum(model(image, training=False)[:, FILTER])
            if regularized:
                rows = image[:, 1:, :-1] - image[:, :-1, :-1]
                columns = image[:, :-1, 1:] - image[:, :-1, :-1]
                norm = tf.reduce_sum(tf.abs(image) ** 6.0) ** (1 / 6) / count
                loss += 10 * norm + 10 * tf.reduce_sum(rows**2 + columns**2) / count
        gradient = tf.math.l2_normalize(tape.gradient(loss, image))
        cache.assign(0.95 * cache + 0.05 * gradient**2)
        x.assign_sub(gradient * tf.math.rsqrt(cache + 1e-7))
        return loss

    def run() -> None:
        for _ in range(STEPS):
            loss = step()
        loss.numpy()

    return run


def main() -> None:
    """Measure a small network and MobileNetV2, with random weights, and write the results."""
    keras.utils.set_random_seed(0)
    rows = []
    for name, network in (
        ("small CNN, 64 x 64", build_network()),
        ("MobileNetV2, 224 x 224", keras.applications.MobileNetV2(weights=None)),
    ):
        logits = linear_outputs(network)
        for regularized in (False, True):
            weights = {} if regularized else {"lp_norm_weight": 0, "tv_weight": 0}

            def ours(logits: Any = logits, weights: dict[str, int] = weights) -> None:
                visualize_activation(logits, -1, FILTER, max_iter=STEPS, seed=0, **weights)

            seconds = interleave({"by hand": by_hand(logits, regularized), "visualize_activation": ours})
            title = f"{name}{', with LPNorm and TotalVariation' if regularized else ''}"
            rows.append(row(title, seconds, "by hand", STEPS))
    print(write("activation_maximization", rows))


if __name__ == "__main__":
    main()
