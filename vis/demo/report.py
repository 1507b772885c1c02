"""The demo: maps of test scenes, measured against the box in which the digit stands."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from vis import attributions, metrics, models, plotting
from vis.demo.network import load_network
from vis.demo.scenes import Scenes, make_pairs, make_scenes
from vis.utils.utils import stitch_images
from vis.visualization import visualize_activation, visualize_cam, visualize_saliency

# Each method takes a model, a layer, a filter and an image.
METHODS: dict[str, Callable[..., npt.NDArray[np.float32]]] = {
    "vanilla": visualize_saliency,
    "negate": partial(visualize_saliency, grad_modifier="negate"),
    "small_values": partial(visualize_saliency, grad_modifier="small_values"),
    "guided": partial(visualize_saliency, backprop_modifier="guided"),
    "rectified": partial(visualize_saliency, backprop_modifier="rectified"),
    "Grad-CAM": visualize_cam,
}
# Each makes an explainer, and a map `(height, width)` without negative values of what that says of an image.
EXPLAINERS: dict[str, tuple[Callable[..., attributions.Explainer], Callable[[Any], Any]]] = {
    "gradient x input": (partial(attributions.GradientInput, reducer=None), np.abs),
    "integrated grad.": (partial(attributions.IntegratedGradients, reducer=None, steps=16), np.abs),
    "SmoothGrad": (partial(attributions.SmoothGrad, reducer=None, nb_samples=16, noise=0.1), np.abs),
    "SquareGrad": (partial(attributions.SquareGrad, reducer=None, nb_samples=16, noise=0.1), np.abs),
    "VarGrad": (partial(attributions.VarGrad, reducer=None, nb_samples=16, noise=0.1), np.abs),
    "Grad-CAM++": (attributions.GradCAMPlusPlus, np.abs),
    "LayerCAM": (attributions.LayerCAM, np.abs),
    "occlusion": (partial(attributions.Occlusion, patch_size=8), lambda x: np.maximum(x, 0)),
}
# The methods of one picture, by its name.
FAMILIES = {
    "gradient": ("vanilla", "gradient x input", "guided", "rectified"),
    "path-and-noise": ("vanilla", "integrated grad.", "SmoothGrad", "SquareGrad", "VarGrad"),
    "class-activation": ("Grad-CAM", "Grad-CAM++", "LayerCAM"),
    "occlusion": ("vanilla", "occlusion"),
}
GALLERY_ROWS = 6
# How many scenes are changed step by step for deletion and insertion.
CHANGED = 50

Maps = list[npt.NDArray[np.float32]]


@dataclass(frozen=True)
class Row:
    """One method: mean share of the energy in the box, pointing-game hits, mean areas under the curves of the
    probability for deletion and insertion, milliseconds per image.
    """

    method: str
    energy: float
    hits: int
    deletion: float
    insertion: float
    milliseconds: float


@dataclass(frozen=True)
class Result:
    """What the demo measured: scenes, maps by method, a row per method, accuracy and mean box area."""

    scenes: Scenes
    maps: dict[str, Maps]
    rows: list[Row]
    accuracy: float
    area: float

    def table(self) -> str:
        """Return the table that the command prints."""
        count = len(self.scenes.labels)
        lines = [
            f"{count} test scenes; the network names {self.accuracy:.1%} of the digits correctly; "
            f"a box covers {self.area:.2f} of a scene. Deletion and insertion are of {min(count, CHANGED)}.",
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


def measure(count: int, seed: int = 1, *, steps: Callable[[tuple[str, ...]], Iterable[str]] = iter) -> Result:
    """Explain the true class of `count` test scenes with every method.

    Args:
        count: the number of scenes.
        seed: makes the scenes.
        steps: goes through the names of the methods, such as `tqdm.tqdm`, which shows how far it is.
    """
    scenes = make_scenes(count, "test", seed)
    network = load_network()
    predicted = network.predict(scenes.images, verbose=0).argmax(axis=-1)
    logits = models.linear_outputs(network)
    drawn: dict[str, Maps] = {}
    rows = []
    for method in steps((*METHODS, *EXPLAINERS)):
        if method in METHODS:
            drawn[method], seconds = _one_by_one(logits, scenes, METHODS[method])
        else:
            drawn[method], seconds = _together(logits, scenes, *EXPLAINERS[method])
        energy = metrics.energy_in_mask(drawn[method], scenes.masks).mean()
        hits = int(metrics.pointing_game(drawn[method], scenes.masks).sum())
        some = (network, scenes.images[:CHANGED], drawn[method][:CHANGED], scenes.labels[:CHANGED])
        deletion, insertion = (
            float(change(*some).area.mean()) for change in (metrics.deletion, metrics.insertion)
        )
        rows.append(Row(method, float(energy), hits, deletion, insertion, 1000 * seconds))
    return Result(scenes, drawn, rows, float((predicted == scenes.labels).mean()), float(scenes.masks.mean()))


def _together(
    logits: keras.Model,
    scenes: Scenes,
    make: Callable[..., attributions.Explainer],
    without_sign: Callable[[Any], Any],
) -> tuple[Maps, float]:
    """Return the maps of all scenes, explained in batches, and the mean seconds of one."""
    explainer = make(logits)
    explainer.explain(scenes.images[:1], scenes.labels[:1])
    start = time.perf_counter()
    maps = explainer.explain(scenes.images, scenes.labels)
    seconds = (time.perf_counter() - start) / len(scenes.labels)
    return list(without_sign(maps).max(axis=-1)), seconds


def _one_by_one(
    logits: keras.Model, scenes: Scenes, explain: Callable[..., npt.NDArray[np.float32]]
) -> tuple[Maps, float]:
    """Return the maps of all scenes, explained one at a time, and the median seconds of one."""
    drawn, times = [], []
    # The first call compiles the gradient and is not what an image costs.
    explain(logits, -1, int(scenes.labels[0]), scenes.images[0])
    for image, label in zip(scenes.images, scenes.labels, strict=True):
        start = time.perf_counter()
        drawn.append(explain(logits, -1, int(label), image))
        times.append(time.perf_counter() - start)
    return drawn, float(np.median(times))


def digits() -> npt.NDArray[np.uint8]:
    """Return the pictures that the network takes for 0 to 9, side by side, at twice their size.

    Above, pixels were optimized; below, waves, seen through random moves, turns and scalings.
    """
    logits = models.linear_outputs(load_network())
    rows = [
        visualize_activation(
            logits, -1, each=True, input_range=(0.0, 1.0), parameterization=name, max_iter=steps, seed=0
        )
        for name, steps in (("pixels", 40), ("fourier", 150))
    ]
    pictures = np.rint(255 * np.concatenate(rows)).astype(np.uint8)
    sheet: npt.NDArray[np.uint8] = stitch_images(pictures.repeat(2, axis=1).repeat(2, axis=2), 4, 10)
    return sheet


def gallery(result: Result, methods: Iterable[str] = METHODS) -> Any:
    """Return a figure of scenes of different digits: input, then a map per method, the box outlined."""
    first_of_each = np.unique(result.scenes.labels, return_index=True)[1]
    shown = np.sort(first_of_each)[:GALLERY_ROWS]
    return plotting.plot_grid(
        [result.scenes.images[i] for i in shown],
        {method: [result.maps[method][i] for i in shown] for method in methods},
        [f"digit {result.scenes.labels[i]}" for i in shown],
        "What the network looks at when it names the digit",
        [result.scenes.masks[i] for i in shown],
    )
