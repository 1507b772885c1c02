"""Class saliency: which pixels change the score of one class, or of two classes together.

The scenes hold two digits each. The gradient of the logit of one digit's class is large on that digit, and
hardly less on the other one: the absolute gradient does not tell what speaks for a class from what speaks
against it. With both classes in `filter_indices` it is the gradient of the sum of their logits.
"""

from pathlib import Path

import click
import numpy as np

from vis import linear_outputs, plotting, visualize_saliency
from vis.demo.network import load_network
from vis.demo.report import energy_inside
from vis.demo.scenes import make_pairs

SHOWN = 4


@click.command()
@click.option("--output", type=click.Path(file_okay=False, path_type=Path), default="pictures")
def main(output: Path) -> None:
    """Draw the maps of two digits' classes, alone and together."""
    network = load_network()
    logits = linear_outputs(network)
    images, labels, pairs = make_pairs(200, "test", 3)
    top_two = np.argsort(network.predict(images, verbose=0))[:, -2:]
    seen = (np.sort(top_two) == np.sort(labels)).all(axis=1)
    chosen = np.flatnonzero(seen & ~pairs.all(axis=1).any(axis=(1, 2)))
    click.echo(
        f"the box of a digit covers {pairs[chosen].mean():.2f} of a scene; means of {len(chosen)} scenes:"
    )
    columns = {}
    for name, which in {"first class": [0], "second class": [1], "both classes": [0, 1]}.items():
        maps = [visualize_saliency(logits, -1, labels[i, which], images[i]) for i in chosen]
        shares = [[energy_inside(m, box) for box in pairs[i]] for i, m in zip(chosen, maps, strict=True)]
        first, second = np.mean(shares, axis=0)
        click.echo(f"{name}: {first:.2f} of the energy on the first digit, {second:.2f} on the second")
        columns[name] = maps[:SHOWN]
    figure = plotting.plot_grid(
        images[chosen[:SHOWN]],
        columns,
        [f"{first} and {second}" for first, second in labels[chosen[:SHOWN]]],
        "|gradient| of the logits of two digits",
    )
    output.mkdir(parents=True, exist_ok=True)
    figure.savefig(output / "class_saliency.png", dpi=150)


if __name__ == "__main__":
    main()
