"""Filter saliency: which pixels change the mean activation of a filter, early and late in the network.

A filter of the first block responds to a colour or an edge wherever it stands, digit or not. In the last
convolution some filters respond to the digit and others to the photograph behind it. The early
layer is `relu1`, the activation after the first convolution: a convolution is linear, and its own gradient
is the same for every picture.
"""

from pathlib import Path

import click
import numpy as np

from vis import get_num_filters, metrics, plotting, visualize_saliency
from vis.demo.network import load_network
from vis.demo.scenes import make_scenes

LAYERS = ("relu1", "conv5")
SHOWN = 4


@click.command()
@click.option("--output", type=click.Path(file_okay=False, path_type=Path), default="pictures")
def main(output: Path) -> None:
    """Draw, for both layers, the two filters that are most on the digit and the one that is least."""
    network = load_network()
    scenes = make_scenes(8, "test", 25)
    columns = {}
    click.echo(f"the box of a digit covers {scenes.masks.mean():.2f} of a scene; share of the energy in it:")
    for layer in LAYERS:
        maps = [
            [visualize_saliency(network, layer, index, image) for image in scenes.images]
            for index in range(get_num_filters(network.get_layer(layer)))
        ]
        shares = [metrics.energy_in_mask(row, scenes.masks).mean() for row in maps]
        ranked = np.argsort(shares)[::-1]
        for index in (*ranked[:2], ranked[-1]):
            columns[f"{layer} [{index}]"] = maps[index][:SHOWN]
        least, most = ranked[-1], ranked[0]
        click.echo(
            f"{layer}: from {shares[least]:.2f} (filter {least}) to {shares[most]:.2f} (filter {most})"
        )
    figure = plotting.plot_grid(
        scenes.images[:SHOWN],
        columns,
        [f"digit {label}" for label in scenes.labels[:SHOWN]],
        "|gradient| of a filter's mean activation. Of each layer: the filters most,\n"
        "second most and least on the digit. Box: the digit",
        scenes.masks[:SHOWN],
    )
    output.mkdir(parents=True, exist_ok=True)
    figure.savefig(output / "filter_saliency.png", dpi=150)


if __name__ == "__main__":
    main()
