"""Compare attributions to layers with Captum's on the demo's network, with the same weights.

`make agreement BACKEND=torch` runs this. docs/agreement.md explains the rows.
"""

from __future__ import annotations

import os

os.environ.setdefault("KERAS_BACKEND", "torch")

from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from captum import attr
from class_activation import Maps, row
from peers.plain import equal

from vis import attributions as vis
from vis import linear_outputs
from vis.demo.network import load_network
from vis.demo.scenes import make_scenes

RESULTS = Path(__file__).with_name("results") / "layers.md"
LAYERS = ("relu1", "conv5")
STEPS = 20
UNIT = (4, 5, 3)  # a row, a column and a channel


def last(tensor: Any) -> Maps:
    """Return an array whose channels come last."""
    return np.moveaxis(tensor.detach().numpy(), 1, -1)


def main() -> None:
    """Compare the maps, print the table and write it."""
    scenes = make_scenes(8, "test", 1)
    # The scenes have even areas, in which maxima are equal and rounding decides which one gets a gradient.
    noise = np.random.default_rng(0).normal(0, 0.01, scenes.images.shape)
    images, labels = (scenes.images + noise).astype(np.float32), scenes.labels
    logits = linear_outputs(load_network())
    plain: Any = equal(logits)
    x, target = torch.tensor(np.moveaxis(images, -1, 1).copy()), torch.tensor(labels)
    lines = ["| method | largest difference | median scene |", "|---|---|---|"]
    for name in LAYERS:
        layer = plain.get_submodule(name)
        path = {"target": target, "n_steps": STEPS, "method": "gausslegendre"}
        for ours, theirs in (
            (vis.LayerConductance, attr.LayerConductance),
            (vis.InternalInfluence, attr.InternalInfluence),
        ):
            found = ours(logits, name, steps=STEPS).explain(images, labels)
            lines.append(
                row(f"{ours.__name__}, `{name}`", found, last(theirs(plain, layer).attribute(x, **path)))
            )
        units = np.array([UNIT] * len(images))
        found = vis.NeuronGradient(logits, name, reducer=None).explain(images, units)
        selected = (UNIT[2], *UNIT[:2])
        given = last(attr.NeuronGradient(plain, layer).attribute(x, neuron_selector=selected))
        lines.append(row(f"NeuronGradient, `{name}`", found, given))
    text = "\n".join([*lines, "", f"Captum {version('captum')}, {STEPS} steps, eight scenes with noise."])
    print(text)
    RESULTS.write_text(text + "\n")


if __name__ == "__main__":
    main()
