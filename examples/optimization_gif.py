"""An optimization as an animated GIF: how a digit appears in a picture that starts as noise.

Every step moves the picture so that the score of one class rises. `GifGenerator` listens to the optimizer and
keeps a frame per step.
"""

from pathlib import Path

import click
import numpy as np

from vis import linear_outputs, plotting, visualize_activation
from vis.callbacks import GifGenerator, OptimizerCallback
from vis.demo.network import load_network

SHOWN = 5


class Keep(OptimizerCallback):
    """Keeps the image of every step."""

    def __init__(self):
        self.images = []

    def callback(self, i, named_losses, overall_loss, grads, wrt_value):
        self.images.append(wrt_value[0])


@click.command()
@click.option("--output", type=click.Path(file_okay=False, path_type=Path), default="pictures")
@click.option("--digit", type=click.IntRange(0, 9), default=0, show_default=True)
@click.option("--steps", type=click.IntRange(min=SHOWN), default=150, show_default=True)
def main(output: Path, digit: int, steps: int) -> None:
    """Write the optimization of a digit's picture as a GIF, and five of its frames as a picture."""
    network = load_network()
    output.mkdir(parents=True, exist_ok=True)
    gif, keep = GifGenerator(output / "optimization_gif.gif", input_range=(0, 1)), Keep()
    visualize_activation(
        linear_outputs(network),
        -1,
        digit,
        input_range=(0, 1.0),
        parameterization="fourier",
        max_iter=steps,
        seed=0,
        callbacks=[gif, keep],
    )
    # Most of it happens early.
    shown = np.geomspace(1, steps, SHOWN).round().astype(int) - 1
    frames = np.stack([keep.images[i] for i in shown])
    probabilities = network.predict(frames, verbose=0)[:, digit]
    for step, probability in zip(shown, probabilities, strict=True):
        click.echo(f"step {step + 1}: the network takes it for {digit} with probability {probability:.2f}")
    labels = [f"step {step + 1}: p = {p:.2f}" for step, p in zip(shown, probabilities, strict=True)]
    figure = plotting.plot_pictures(
        {"": frames},
        {"": labels},
        f"A picture optimized for {digit}, and the probability p of {digit}",
        size=2,
    )
    figure.savefig(output / "optimization_gif.png", dpi=110)


if __name__ == "__main__":
    main()
