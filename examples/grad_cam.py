"""Grad-CAM against saliency: which of two digits in a scene speaks for a class.

The scenes hold two digits each. The absolute gradient of one digit's class is nearly as large on the other
digit: both change its score, one for it, the other against it. Grad-CAM keeps what speaks for the class, so
less of it lies on the other digit; at the coarse resolution of the last convolution, more lies beside both.
"""

from pathlib import Path

import click
import numpy as np

from vis import linear_outputs, plotting, visualize_cam, visualize_saliency
from vis.demo.network import load_network
from vis.demo.report import energy_inside
from vis.demo.scenes import make_pairs

SHOWN = 4


@click.command()
@click.option("--output", type=click.Path(file_okay=False, path_type=Path), default="pictures")
def main(output: Path) -> None:
    """Draw saliency and Grad-CAM of each of two digits."""
    network = load_network()
    logits = linear_outputs(network)
    images, labels, boxes = make_pairs(200, "test", 3)
    top_two = np.argsort(network.predict(images, verbose=0))[:, -2:]
    seen = (np.sort(top_two) == np.sort(labels)).all(axis=1)
    chosen = np.flatnonzero(seen & ~boxes.all(axis=1).any(axis=(1, 2)))
    click.echo(f"a digit's box covers {boxes[chosen].mean():.2f} of a scene; means of {len(chosen)} scenes:")
    columns = {}
    for name, explain in {"saliency": visualize_saliency, "Grad-CAM": visualize_cam}.items():
        maps = [[explain(logits, -1, label, images[i]) for label in labels[i]] for i in chosen]
        asked = np.mean(
            [energy_inside(m[k], boxes[i, k]) for i, m in zip(chosen, maps, strict=True) for k in (0, 1)]
        )
        other = np.mean(
            [energy_inside(m[k], boxes[i, 1 - k]) for i, m in zip(chosen, maps, strict=True) for k in (0, 1)]
        )
        click.echo(f"{name}: {asked:.2f} of the energy on the digit asked for, {other:.2f} on the other")
        for k, which in enumerate(("first", "second")):
            columns[f"{name}, {which}"] = [m[k] for m in maps[:SHOWN]]
    figure = plotting.plot_grid(
        images[chosen[:SHOWN]],
        columns,
        [f"{first} and {second}" for first, second in labels[chosen[:SHOWN]]],
        "what changes a digit's score, and what speaks for it",
    )
    output.mkdir(parents=True, exist_ok=True)
    figure.savefig(output / "grad_cam.png", dpi=150)


if __name__ == "__main__":
    main()
