"""Own modifiers: a gradient modifier and a backprop modifier, registered and then used by name.

A gradient modifier is a function of the gradient; `squared` gives the strongest pixels more weight. A
backprop modifier is a rule for the derivative of an activation; `smooth_relu` replaces the step in a ReLU's
derivative by a sigmoid, so that units just below zero count too and the map is less noisy.
"""

from pathlib import Path
from typing import Any

import click
import keras
import numpy as np

from vis import backprop_modifiers, grad_modifiers, linear_outputs, metrics, plotting, visualize_saliency
from vis.demo.network import load_network
from vis.demo.scenes import make_scenes

SHARPNESS = 2.0
SHOWN = 4


@grad_modifiers.register("squared")
def squared(grads: np.ndarray) -> np.ndarray:
    """Return `g^2`."""
    return np.square(grads)


@backprop_modifiers.register("smooth_relu")
def smooth_relu(x: Any, y: Any, incoming: Any, true: Any) -> Any:
    """Pass on what comes in times the derivative of the softplus `log(1 + exp(s x)) / s`.

    Reference:
        Dombrowski et al.: Explanations can be manipulated and geometry is to blame, 2019, section 5.
    """
    return incoming * keras.ops.sigmoid(SHARPNESS * x)


OPTIONS = {
    "vanilla": {},
    "squared": {"grad_modifier": "squared"},
    "smooth_relu": {"backprop_modifier": "smooth_relu"},
    "both": {"backprop_modifier": "smooth_relu", "grad_modifier": "squared"},
}


@click.command()
@click.option("--output", type=click.Path(file_okay=False, path_type=Path), default="pictures")
def main(output: Path) -> None:
    """Draw the maps of the true class with each modifier and with both."""
    logits = linear_outputs(load_network())
    scenes = make_scenes(50, "test", 14)
    columns = {}
    click.echo(f"the box of a digit covers {scenes.masks.mean():.2f} of a scene; share of the energy in it:")
    for name, options in OPTIONS.items():
        maps = [
            visualize_saliency(logits, -1, label, image, **options)
            for image, label in zip(scenes.images, scenes.labels, strict=True)
        ]
        click.echo(f"{name}: {metrics.energy_in_mask(maps, scenes.masks).mean():.2f}")
        value = "gradient\u00b2" if "grad_modifier" in options else "|gradient|"
        columns[f"{name}\n{value}"] = maps[:SHOWN]
    figure = plotting.plot_grid(
        scenes.images[:SHOWN],
        columns,
        [f"digit {label}" for label in scenes.labels[:SHOWN]],
        "Maps of the digit's logit with own modifiers. Box: the digit",
        scenes.masks[:SHOWN],
    )
    output.mkdir(parents=True, exist_ok=True)
    figure.savefig(output / "own_modifiers.png", dpi=150)


if __name__ == "__main__":
    main()
