"""The demo's sanity check: what remains of the maps of a small network when its weights are random."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from vis import attributions, metrics

METHODS = {
    "vanilla": attributions.Saliency,
    "guided": attributions.GuidedBackprop,
    "rectified": attributions.DeconvNet,
}


def digits() -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """Return scikit-learn's digits at twice their size, `(1797, 16, 16, 1)` in [0, 1], and their labels."""
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise ImportError('The demo needs scikit-learn: pip install "keras-vis3[demo]".') from error
    held = load_digits()
    images = held.images.repeat(2, axis=1).repeat(2, axis=2)[..., None]
    return (images / 16).astype(np.float32), held.target


def train_network(seed: int = 0) -> keras.Model:
    """Return two blocks of convolutions with a dense head, trained on all digits but the last 397.

    Input: `(N, 16, 16, 1)` in [0, 1]; output: logits, `(N, 10)`.
    """
    layers = keras.layers
    keras.utils.set_random_seed(seed)
    network = keras.Sequential([layers.Input((16, 16, 1))])
    for block, filters in enumerate((16, 32), start=1):
        for number in (1, 2):
            name = f"conv{block}{number}"
            network.add(layers.Conv2D(filters, 3, padding="same", activation="relu", name=name))
        network.add(layers.MaxPooling2D())
    network.add(layers.Flatten())
    network.add(layers.Dense(48, activation="relu", name="dense"))
    network.add(layers.Dense(10, name="logits"))
    network.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    images, labels = digits()
    network.fit(images[:1400], labels[:1400], batch_size=32, epochs=6, verbose=0)
    return network


def checks(
    count: int = 64, *, steps: Callable[[tuple[str, ...]], Iterable[str]] = iter
) -> dict[str, metrics.SanityCheck]:
    """Return the sanity check of each method on digits that the network has not seen.

    Args:
        count: the number of digits.
        steps: goes through the names of the methods, such as `tqdm.tqdm`, which shows how far it is.
    """
    network = train_network()
    images, labels = (part[-count:] for part in digits())
    return {name: metrics.sanity_check(METHODS[name], network, images, labels) for name in steps((*METHODS,))}


def table(found: dict[str, metrics.SanityCheck]) -> str:
    """Return the medians of the rank correlation, a row per layer and a column per method."""
    layers = next(iter(found.values())).layers
    lines = [f"{'random down to':<18}" + "".join(f"{name:>12}" for name in found)]
    for row, layer in enumerate(layers):
        values = (metrics.median(check.rank_correlation[row]) for check in found.values())
        lines.append(f"{layer:<18}" + "".join(f"{value:>12.2f}" for value in values))
    return "\n".join(lines)


def figure(found: dict[str, metrics.SanityCheck]) -> Any:
    """Return the figure of the sanity checks."""
    return metrics.plot_sanity(found, "What remains of the maps when weights are random")
