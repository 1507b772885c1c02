"""The demo: maps of test scenes, measured against the box in which the digit stands."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from vis import attributions, metrics, models, plotting, relevance
from vis.demo.network import load_network
from vis.demo.scenes import Scenes, make_pairs, make_scenes
from vis.progress import each
from vis.visualization import visualize_activation


@dataclass(frozen=True)
class Method:
    """What makes the maps of a column, and what a value of them is.

    Attributes:
        make: makes an explainer of a model.
        value: what a value of its maps is, in a few words; without the word "signed" none is negative.
    """

    make: Callable[..., attributions.Explainer]
    value: str


METHODS = {
    "vanilla": Method(attributions.Saliency, "|gradient|"),
    "negate": Method(
        partial(attributions.Saliency, grad_modifier="negate", reducer="mean"), "\u2212gradient, signed"
    ),
    "small_values": Method(
        partial(attributions.Saliency, grad_modifier="small_values"), "1 / (|gradient| + e)"
    ),
    "guided": Method(partial(attributions.Saliency, backprop_modifier="guided"), "|gradient|, guided"),
    "rectified": Method(
        partial(attributions.Saliency, backprop_modifier="rectified"), "|gradient|, rectified"
    ),
    "Grad-CAM": Method(attributions.GradCAM, "positive part"),
}
EXPLAINERS = {
    "gradient x input": Method(partial(attributions.GradientInput, reducer="sum"), "contribution, signed"),
    "integrated grad.": Method(
        partial(attributions.IntegratedGradients, reducer="sum", steps=16), "contribution, signed"
    ),
    "LRP": Method(attributions.LRP, "contribution, signed"),
    "DeepLIFT": Method(attributions.DeepLift, "contribution, signed"),
    "SmoothGrad": Method(
        partial(attributions.SmoothGrad, reducer="mean", nb_samples=16, noise=0.1), "mean gradient, signed"
    ),
    "SquareGrad": Method(
        partial(attributions.SquareGrad, reducer="max", nb_samples=16, noise=0.1), "mean gradient\u00b2"
    ),
    "VarGrad": Method(
        partial(attributions.VarGrad, reducer="max", nb_samples=16, noise=0.1), "variance of gradient"
    ),
    "Grad-CAM++": Method(attributions.GradCAMPlusPlus, "positive part"),
    "LayerCAM": Method(attributions.LayerCAM, "positive part"),
    "occlusion": Method(partial(attributions.Occlusion, patch_size=8), "fall of logit, signed"),
}
# Other composites of rules, in the picture of their family.
COMPOSITES = {
    "LRP gamma": Method(
        partial(attributions.LRP, composite=[(("first", "conv"), relevance.Box(0, 1)), ("conv", "gamma")]),
        "contribution, signed",
    ),
    "LRP alpha 2 beta 1": Method(
        partial(attributions.LRP, composite="epsilon_alpha2_beta1_flat"), "contribution, signed"
    ),
    "deep Taylor": Method(partial(attributions.DeepTaylor, low=0.0, high=1.0), "contribution"),
}
# Other class activation maps, likewise.
ACTIVATIONS = {
    "HiResCAM": Method(attributions.HiResCAM, "positive part"),
    "Score-CAM": Method(partial(attributions.ScoreCAM, max_channels=16), "positive part"),
    "guided Grad-CAM": Method(attributions.GuidedGradCAM, "guided, signed"),
}
ALL = METHODS | EXPLAINERS | COMPOSITES | ACTIVATIONS
# The methods of one picture, by its name.
FAMILIES = {
    "gradient": ("vanilla", "gradient x input", "guided", "rectified"),
    "path-and-noise": ("vanilla", "integrated grad.", "SmoothGrad", "SquareGrad", "VarGrad"),
    "class-activation": ("Grad-CAM", "Grad-CAM++", "LayerCAM", *ACTIVATIONS),
    "relevance": ("gradient x input", "LRP", *COMPOSITES),
}
GALLERY_ROWS = 6
# How many scenes are changed step by step for deletion and insertion.
CHANGED = 50

Maps = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Row:
    """One method: mean share of the energy in the box, pointing-game hits, mean areas under the curves of the
    probability for deletion and insertion, milliseconds per image.

    All but the time are of the absolute values of the maps.
    """

    method: str
    energy: float
    hits: int
    deletion: float
    insertion: float
    milliseconds: float


@dataclass(frozen=True)
class Result:
    """What the demo measured.

    Attributes:
        scenes: the scenes that were explained.
        probabilities: `(N, 10)`, what the network predicts.
        maps: by method, `(N, 64, 64)`, with their signs.
        rows: a row per method.
    """

    scenes: Scenes
    probabilities: npt.NDArray[np.float32]
    maps: dict[str, Maps]
    rows: list[Row]

    @property
    def accuracy(self) -> float:
        """The share of scenes whose digit the network names."""
        return float((self.probabilities.argmax(axis=-1) == self.scenes.labels).mean())

    @property
    def area(self) -> float:
        """The mean share of a scene that the digit's box covers."""
        return float(self.scenes.masks.mean())

    def table(self) -> str:
        """Return the table that the command prints."""
        count = len(self.scenes.labels)
        lines = [
            f"{count} test scenes; the network names {self.accuracy:.1%} of the digits correctly; "
            f"a box covers {self.area:.2f} of a scene. Deletion and insertion are of {min(count, CHANGED)}.",
            "Maps with a sign are measured by their absolute values.",
            "",
            f"{'method':<18}{'energy in the box':>18}{'pointing game':>16}"
            f"{'deletion':>10}{'insertion':>11}{'ms per image':>14}",
        ]
        for row in self.rows:
            hits = f"{row.hits} of {count}"
            areas = f"{row.deletion:>10.2f}{row.insertion:>11.2f}"
            lines.append(f"{row.method:<18}{row.energy:>18.2f}{hits:>16}{areas}{row.milliseconds:>14.1f}")
        return "\n".join(lines)


def pairs_seen(
    network: keras.Model, count: int, seed: int
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Return those of `count` test scenes of two digits that are apart, and both named by the network.

    Returns:
        Images, labels `(N, 2)` and boxes `(N, 2, 64, 64)`, see `make_pairs`.
    """
    images, labels, boxes = make_pairs(count, "test", seed)
    top_two = np.argsort(network.predict(images, verbose=0))[:, -2:]
    named = (np.sort(top_two) == np.sort(labels)).all(axis=1)
    apart = ~(boxes[:, 0] & boxes[:, 1]).any(axis=(1, 2))
    chosen = named & apart
    return images[chosen], labels[chosen], boxes[chosen]


def measure(count: int, seed: int = 1, *, progress: bool = False) -> Result:
    """Explain the true class of `count` test scenes with every method.

    Args:
        count: the number of scenes.
        seed: makes the scenes.
        progress: whether a bar is shown.
    """
    scenes = make_scenes(count, "test", seed)
    network = load_network()
    logits = models.linear_outputs(network)
    drawn: dict[str, Maps] = {}
    rows = []
    for name in each([*ALL], "methods", bar=progress):
        drawn[name], seconds = _explained(ALL[name].make(logits), scenes)
        heat = np.abs(drawn[name])
        energy = metrics.energy_in_mask(heat, scenes.masks).mean()
        hits = int(metrics.pointing_game(heat, scenes.masks).sum())
        some = (network, scenes.images[:CHANGED], heat[:CHANGED], scenes.labels[:CHANGED])
        deletion, insertion = (
            float(change(*some).area.mean()) for change in (metrics.deletion, metrics.insertion)
        )
        rows.append(Row(name, float(energy), hits, deletion, insertion, 1000 * seconds))
    return Result(scenes, network.predict(scenes.images, verbose=0), drawn, rows)


def _explained(explainer: attributions.Explainer, scenes: Scenes) -> tuple[Maps, float]:
    """Return the maps of all scenes, explained in batches, and the mean seconds of one."""
    # The first call compiles the gradient and is not what a scene costs.
    explainer.explain(scenes.images[:1], scenes.labels[:1])
    start = time.perf_counter()
    maps = explainer.explain(scenes.images, scenes.labels)
    return maps[..., 0], (time.perf_counter() - start) / len(scenes.labels)


def digits() -> Any:
    """Return a figure of pictures that the network takes for 0 to 9, each with the probability of its digit.

    Above, pixels were optimized; below, waves, seen through random moves, turns and scalings.
    """
    network = load_network()
    rows: dict[str, Any] = {}
    labels: dict[str, list[str]] = {}
    for name, parameterization, steps in (("pixels", "pixels", 40), ("waves", "fourier", 150)):
        rows[name] = visualize_activation(
            models.linear_outputs(network),
            -1,
            each=True,
            input_range=(0.0, 1.0),
            parameterization=parameterization,
            max_iter=steps,
            seed=0,
        )
        chances = network.predict(rows[name], verbose=0)
        labels[name] = [f"{digit}: {chances[digit, digit]:.3f}" for digit in range(10)]
    return plotting.plot_pictures(
        rows, labels, "Pictures optimized for a digit, each under its digit and the probability of that digit"
    )


def gallery(result: Result, methods: Collection[str] = (*METHODS,)) -> Any:
    """Return a figure of scenes of different digits: input, then a map per method, the box outlined."""
    first_of_each = np.unique(result.scenes.labels, return_index=True)[1]
    shown = np.sort(first_of_each)[:GALLERY_ROWS]
    labels = result.scenes.labels[shown]
    signed = any("signed" in ALL[name].value for name in methods)
    title = "Maps of the digit's logit\nBox: the digit." + " Red: positive, blue: negative" * signed
    return plotting.plot_grid(
        [result.scenes.images[i] for i in shown],
        {f"{name}\n{ALL[name].value}": [result.maps[name][i] for i in shown] for name in methods},
        [f"digit {k}\np = {result.probabilities[i, k]:.3f}" for i, k in zip(shown, labels, strict=True)],
        title,
        [result.scenes.masks[i] for i in shown],
    )
