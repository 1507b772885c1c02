"""The demo's sanity check: what remains of the maps of two small networks when their weights are random."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from vis import attributions, metrics, models, plotting
from vis.demo.network import load_network
from vis.demo.scenes import data_sets, make_scenes
from vis.progress import each

# The backprop modifier of each method. One explainer makes all three, so that like is compared with like.
METHODS = {"vanilla": None, "guided": "guided", "rectified": "rectified", "LRP": "epsilon_plus"}
# What becomes of the sign of the gradient: kept, with the mean over the colour channels, or dropped.
SIGNS: dict[str, dict[str, Any]] = {
    "signed": {"grad_modifier": None, "reducer": "mean"},
    "absolute": {"grad_modifier": np.abs, "reducer": "max"},
}


@dataclass(frozen=True)
class Checks:
    """The sanity checks of one network.

    Attributes:
        network: what the network is.
        signed: by the method, the check of its maps with their signs, the mean over the channels.
        absolute: by the method, the check of their absolute values, the maximum over the channels.
    """

    network: str
    signed: dict[str, metrics.SanityCheck]
    absolute: dict[str, metrics.SanityCheck]

    @property
    def panels(self) -> dict[str, dict[str, npt.NDArray[np.float64]]]:
        """By what is compared, by the method: `(layers, N)`."""
        return {
            "rank correlation,\nsigned": {k: check.rank_correlation for k, check in self.signed.items()},
            "rank correlation,\nabsolute": {k: check.rank_correlation for k, check in self.absolute.items()},
            "similarity,\nabsolute": {k: check.structural_similarity for k, check in self.absolute.items()},
        }

    def table(self) -> str:
        """Return the medians over the samples: a row per layer, three columns per comparison."""
        layers = next(iter(self.signed.values())).layers
        names = "".join(f"{name:>11}" for name in METHODS)
        heads = "".join(f"{panel.replace(chr(10), ' '):>33}" for panel in self.panels)
        lines = [f"{self.network:<14}{heads}", f"{'random down to':<14}{names * len(self.panels)}"]
        for row, layer in enumerate(layers):
            values = [rows[row] for panel in self.panels.values() for rows in panel.values()]
            lines.append(f"{layer:<14}" + "".join(f"{np.nanmedian(value):>11.2f}" for value in values))
        return "\n".join(lines)

    def figure(self) -> Any:
        """Return the figure of the checks."""
        layers = next(iter(self.signed.values())).layers
        # Before anything is random, a map is compared with itself.
        panels = {
            panel: {name: np.vstack([np.ones_like(rows[:1]), rows]) for name, rows in lines.items()}
            for panel, lines in self.panels.items()
        }
        return plotting.plot_spread(
            ["as trained", *layers],
            panels,
            f"What remains of the maps of the {self.network} network",
            "random from the output to here",
        )


def of_scenes(count: int = 64, *, progress: bool = False) -> Checks:
    """Return the checks of the network of the gallery and the table, on the same scenes.

    Args:
        count: the number of scenes.
        progress: whether a bar is shown.
    """
    scenes = make_scenes(count, "test", 1)
    return _checks("scenes", load_network(), scenes.images, scenes.labels, progress)


def of_digits(count: int = 64, *, progress: bool = False) -> Checks:
    """Return the checks of a network with a dense head, on digits that it has not seen.

    Args: as `of_scenes`.
    """
    images, labels = (part[-count:] for part in digits())
    return _checks("digits", train_network(), images, labels, progress)


def _checks(name: str, network: keras.Model, images: Any, labels: Any, progress: bool) -> Checks:
    def explainer(model: keras.Model, **options: Any) -> attributions.Explainer:
        return attributions.Saliency(models.linear_outputs(model), **options)

    found: dict[str, dict[str, metrics.SanityCheck]] = {sign: {} for sign in SIGNS}
    for method in each([*METHODS], "methods", bar=progress):
        for sign, options in SIGNS.items():
            make = partial(explainer, backprop_modifier=METHODS[method], **options)
            found[sign][method] = metrics.sanity_check(make, network, images, labels)
    return Checks(name, **found)


def digits() -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """Return scikit-learn's digits at twice their size, `(1797, 16, 16, 1)` in [0, 1], and their labels."""
    held = data_sets().load_digits()
    images = held.images.repeat(2, axis=1).repeat(2, axis=2)[..., None]
    return (images / 16).astype(np.float32), held.target


def build_network() -> keras.Model:
    """Return two blocks of convolutions with a dense head, untrained.

    Input: `(N, 16, 16, 1)` in [0, 1]; output: logits, `(N, 10)`.
    """
    layers = keras.layers
    network = keras.Sequential([layers.Input((16, 16, 1))])
    for block, filters in enumerate((16, 32), start=1):
        for number in (1, 2):
            name = f"conv{block}{number}"
            network.add(layers.Conv2D(filters, 3, padding="same", activation="relu", name=name))
        network.add(layers.MaxPooling2D())
    network.add(layers.Flatten())
    network.add(layers.Dense(48, activation="relu", name="dense"))
    network.add(layers.Dense(10, name="logits"))
    return network


def train_network(seed: int = 0) -> keras.Model:
    """Return the network of `build_network`, trained on all digits but the last 397."""
    keras.utils.set_random_seed(seed)
    network = build_network()
    network.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    images, labels = digits()
    network.fit(images[:1400], labels[:1400], batch_size=32, epochs=6, verbose=0)
    return network
