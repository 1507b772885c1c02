"""Grad-CAM against saliency: which of two digits in a scene supports a class.

The scenes hold two digits each. The absolute gradient of one digit's class is nearly as large on the other
digit: both change its score, one for it, the other against it. Grad-CAM keeps what raises the score, so
less of it lies on the other digit; at the coarse resolution of the last convolution, more lies beside both.
"""

from pathlib import Path

import click
import numpy as np

from vis import linear_outputs, metrics, plotting, visualize_cam, visualize_saliency
from vis.demo.network import load_network
from vis.demo.report import pairs_seen

SHOWN = 4


@click.command()
@click.option("--output", type=click.Path(file_okay=False, path_type=Path), default="pictures")
def main(output: Path) -> None:
    """Draw saliency and Grad-CAM of each of two digits."""
    network = load_network()
    logits = linear_outputs(network)
    images, labels, boxes = pairs_seen(network, 200, 3)
    click.echo(f"a digit's box covers {boxes.mean():.2f} of a scene; means of {len(images)} scenes:")
    columns = {}
    values = {"saliency": "|gradient|", "Grad-CAM": "positive part"}
    for name, explain in {"saliency": visualize_saliency, "Grad-CAM": visualize_cam}.items():
        pairs = zip(labels, images, strict=True)
        maps = [[explain(logits, -1, label, image) for label in both] for both, image in pairs]
        # For each scene the share of each digit's map in each digit's box.
        shares = np.array(
            [
                [metrics.energy_in_mask([m, m], two) for m in each]
                for two, each in zip(boxes, maps, strict=True)
            ]
        )
        asked, other = shares[:, [0, 1], [0, 1]].mean(), shares[:, [0, 1], [1, 0]].mean()
        click.echo(f"{name}: {asked:.2f} of the energy on the digit asked for, {other:.2f} on the other")
        for k, which in enumerate(("first", "second")):
            columns[f"{name}, {which}\n{values[name]}"] = [m[k] for m in maps[:SHOWN]]
    figure = plotting.plot_grid(
        images[:SHOWN],
        columns,
        [f"first: {first}\nsecond: {second}" for first, second in labels[:SHOWN]],
        "What changes the logit of a digit, and what raises it",
    )
    output.mkdir(parents=True, exist_ok=True)
    figure.savefig(output / "grad_cam.png", dpi=150)


if __name__ == "__main__":
    main()
