"""Compare class activation maps with pytorch-grad-cam 1.5.7 on the demo's network, with the same weights.

`make agreement BACKEND=torch` runs this. docs/agreement.md explains the rows.
"""

from __future__ import annotations

import os

os.environ.setdefault("KERAS_BACKEND", "torch")

import warnings
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from peers.plain import equal
from peers.torch import GRAD_CAM
from pytorch_grad_cam import AblationCAM, EigenCAM, GradCAM, HiResCAM, LayerCAM, ScoreCAM, XGradCAM
from pytorch_grad_cam.guided_backprop import GuidedBackpropReLUModel
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

from vis import attributions as vis
from vis import linear_outputs
from vis.demo.network import load_network
from vis.demo.scenes import make_scenes
from vis.errors import EmptyMapWarning

RESULTS = Path(__file__).with_name("results") / "class_activation.md"
# Its positions are the pixels, so that it does not matter how a map or a mask is enlarged.
LAYER = "relu1"
Maps = npt.NDArray[Any]


class Centred(vis.EigenCAM):
    """Eigen-CAM of features whose mean over the positions is zero."""

    def weights(self, seen: Any) -> Maps:
        features = seen.features
        features -= features.mean(axis=tuple(range(1, features.ndim - 1)), keepdims=True)
        return super().weights(seen)


def scaled(maps: Maps) -> Maps:
    """Return each map scaled to [0, 1], as pytorch-grad-cam does."""
    axes = tuple(range(1, maps.ndim))
    low = maps.min(axis=axes, keepdims=True)
    return np.asarray((maps - low) / (1e-7 + (maps - low).max(axis=axes, keepdims=True)))


def row(method: str, ours: Maps, theirs: Maps) -> str:
    """Return the largest difference of both, for the scene where it is largest, and for the median scene."""
    each = np.abs(ours - theirs).max(axis=tuple(range(1, ours.ndim))) / np.abs(ours).max()
    return f"| {method} | {each.max():.1e} | {np.median(each):.1e} |"


def main() -> None:
    """Compare the maps, print the table and write it."""
    warnings.filterwarnings("ignore", category=EmptyMapWarning)
    scenes = make_scenes(8, "test", 1)
    images, labels = scenes.images, scenes.labels
    logits = linear_outputs(load_network())
    plain: Any = equal(logits)
    x = torch.tensor(np.moveaxis(images, -1, 1).copy())
    targets = [ClassifierOutputTarget(int(label)) for label in labels]
    layers = [plain.get_submodule(LAYER)]

    def theirs(method: Any) -> Maps:
        plain.requires_grad_(True)
        return np.asarray(method(plain, layers)(x, targets))

    lines = ["| method | largest difference | median scene |", "|---|---|---|"]
    for title, own, method in (
        ("GradCAM", vis.GradCAM, GradCAM),
        ("LayerCAM", vis.LayerCAM, LayerCAM),
        ("HiResCAM", vis.HiResCAM, HiResCAM),
        ("XGradCAM", vis.XGradCAM, XGradCAM),
        ("ScoreCAM", vis.ScoreCAM, ScoreCAM),
        ("AblationCAM", vis.AblationCAM, AblationCAM),
        ("EigenCAM", vis.EigenCAM, EigenCAM),
        ("EigenCAM, ours of centred features", Centred, EigenCAM),
    ):
        ours = own(logits, conv_layer=LAYER).explain(images, labels)[..., 0]
        lines.append(row(title, scaled(ours), theirs(method)))
    guided = GuidedBackpropReLUModel(equal(logits), "cpu")
    product = np.stack([guided(x[i : i + 1], int(label)) for i, label in enumerate(labels)])
    product *= theirs(GradCAM)[..., None]
    fused = vis.GuidedGradCAM(logits, conv_layer=LAYER, reducer=None).explain(images, labels)
    # Their Grad-CAM is scaled to [0, 1], ours is in units of the score.
    tops = [np.abs(each).max(axis=(1, 2, 3), keepdims=True) for each in (fused, product)]
    lines.append(row("GuidedGradCAM, both by their largest magnitude", fused / tops[0], product / tops[1]))
    text = "\n".join([*lines, "", f"{GRAD_CAM} {version('grad-cam')}, layer `{LAYER}`, eight scenes."])
    print(text)
    RESULTS.write_text(text + "\n")


if __name__ == "__main__":
    main()
