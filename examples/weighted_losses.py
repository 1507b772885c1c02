"""Weighted losses: what favours one class over another, and a loss of your own.

`visualize_saliency_with_losses` differentiates a weighted sum of losses. A loss is lower for what is wanted:
`ActivationMaximization` is minus a logit, so the weights -1 and 1 of two classes give the gradient of
the difference of their logits. The `Margin` loss asks for the lead of a class over all others.
The maps keep the positive part of the gradient: where more brightness raises what is asked for.
"""

from pathlib import Path
from typing import Any

import click
import keras
import numpy as np

from vis import (
    ActivationMaximization,
    Loss,
    linear_outputs,
    metrics,
    plotting,
    visualize_saliency_with_losses,
)
from vis.demo.network import load_network
from vis.demo.scenes import make_scenes

SHOWN = 4


class Margin(Loss):
    """The smooth maximum of all other logits minus the logit of one class."""

    name = "margin"

    def __init__(self, layer: keras.Layer, index: int) -> None:
        self.layer = layer
        self.index = int(index)

    def build_loss(self) -> Any:
        """Return one value per sample, lower if the class leads by more."""
        logits = self.layer.output
        others = [i for i in range(logits.shape[-1]) if i != self.index]
        # Keras 3.5 takes the axis of a symbolic logsumexp only as a tuple.
        highest = keras.ops.logsumexp(keras.ops.take(logits, others, axis=-1), axis=(-1,))
        return highest - logits[:, self.index]


def correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Return the linear correlation of two maps, -1 to 1."""
    return float(np.corrcoef(first.ravel(), second.ravel())[0, 1])


@click.command()
@click.option("--output", type=click.Path(file_okay=False, path_type=Path), default="pictures")
def main(output: Path) -> None:
    """Draw a class alone, against its runner-up, and against all others."""
    logits = linear_outputs(load_network())
    layer = logits.layers[-1]
    scenes = make_scenes(SHOWN, "test", 5)
    columns: dict[str, list[np.ndarray]] = {"class alone": [], "over runner-up": [], "over all": []}
    names = []
    scores = logits.predict(scenes.images, verbose=0)
    scores[np.arange(SHOWN), scenes.labels] = -np.inf
    for image, label, rival in zip(scenes.images, scenes.labels, scores.argmax(axis=1), strict=True):
        names.append(f"{label}, not {rival}")
        wanted = (ActivationMaximization(layer, label), -1.0)
        unwanted = (ActivationMaximization(layer, rival), 1.0)
        asked = ([wanted], [wanted, unwanted], [(Margin(layer, label), -1.0)])
        for maps, losses in zip(columns.values(), asked, strict=True):
            maps.append(visualize_saliency_with_losses(logits.input, losses, image, grad_modifier="relu"))
    click.echo(f"the box of a digit covers {scenes.masks.mean():.2f} of a scene")
    for name, maps in columns.items():
        inside = metrics.energy_in_mask(maps, scenes.masks)
        alike = [correlation(*pair) for pair in zip(maps, columns["class alone"], strict=True)]
        click.echo(
            f"{name}: {np.mean(inside):.2f} of the energy in the box, "
            f"correlation with the class alone {np.mean(alike):.2f}"
        )
    figure = plotting.plot_grid(
        scenes.images,
        {f"{name}\npositive part": maps for name, maps in columns.items()},
        names,
        "What raises a class, and what raises its lead. Box: the digit",
        scenes.masks,
    )
    output.mkdir(parents=True, exist_ok=True)
    figure.savefig(output / "weighted_losses.png", dpi=150)


if __name__ == "__main__":
    main()
