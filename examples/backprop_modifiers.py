"""Backprop modifiers: vanilla, guided and rectified maps of the same class and scene.

Guided backpropagation passes a gradient through a ReLU only where the gradient and the ReLU's input are
both positive, rectified backpropagation wherever the gradient is positive. Both put more of the map on
the digit than the plain gradient. They also depend less on the class: for the runner-up, the wrong
class with the highest score, they draw nearly the same map. So a clean map of a class tells where the
network finds a digit rather than why it names this one.
"""

from pathlib import Path

import click
import numpy as np

from vis import linear_outputs, metrics, plotting, visualize_saliency
from vis.demo.network import load_network
from vis.demo.scenes import make_scenes

MODIFIERS = {"vanilla": None, "guided": "guided", "rectified": "rectified"}
SHOWN = 4


def correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Return the linear correlation of two maps, -1 to 1."""
    return float(np.corrcoef(first.ravel(), second.ravel())[0, 1])


@click.command()
@click.option("--output", type=click.Path(file_okay=False, path_type=Path), default="pictures")
def main(output: Path) -> None:
    """Draw the maps of the true class with each modifier."""
    logits = linear_outputs(load_network())
    scenes = make_scenes(50, "test", 17)
    scores = logits.predict(scenes.images, verbose=0)
    scores[np.arange(len(scores)), scenes.labels] = -np.inf
    rivals = scores.argmax(axis=1)
    columns = {}
    click.echo(f"the box of a digit covers {scenes.masks.mean():.2f} of a scene")
    for name, modifier in MODIFIERS.items():
        maps, others = (
            [
                visualize_saliency(logits, -1, index, image, backprop_modifier=modifier)
                for index, image in zip(classes, scenes.images, strict=True)
            ]
            for classes in (scenes.labels, rivals)
        )
        inside = metrics.energy_in_mask(maps, scenes.masks)
        alike = [correlation(*pair) for pair in zip(maps, others, strict=True)]
        click.echo(
            f"{name}: {np.mean(inside):.2f} of the energy in the box, "
            f"correlation with the map of the runner-up {np.mean(alike):.2f}"
        )
        columns[name] = maps[:SHOWN]
    figure = plotting.plot_grid(
        scenes.images[:SHOWN],
        columns,
        [f"digit {label}" for label in scenes.labels[:SHOWN]],
        "|gradient| of the digit's logit. Box: the digit",
        scenes.masks[:SHOWN],
    )
    output.mkdir(parents=True, exist_ok=True)
    figure.savefig(output / "backprop_modifiers.png", dpi=150)


if __name__ == "__main__":
    main()
