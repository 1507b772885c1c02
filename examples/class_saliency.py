"""Class saliency: which pixels change the score of one class, or of two classes together.

The scenes hold two digits each. The gradient of the logit of one digit's class is large on that digit, and
hardly less on the other one: the absolute gradient does not tell what raises a class from what lowers
it. With both classes in `filter_indices` it is the gradient of the sum of their logits.
"""

from pathlib import Path

import click

from vis import linear_outputs, metrics, plotting, visualize_saliency
from vis.demo.network import load_network
from vis.demo.report import pairs_seen

SHOWN = 4


@click.command()
@click.option("--output", type=click.Path(file_okay=False, path_type=Path), default="pictures")
def main(output: Path) -> None:
    """Draw the maps of two digits' classes, alone and together."""
    network = load_network()
    logits = linear_outputs(network)
    images, labels, boxes = pairs_seen(network, 200, 3)
    click.echo(f"the box of a digit covers {boxes.mean():.2f} of a scene; means of {len(images)} scenes:")
    columns = {}
    for name, which in {"first class": [0], "second class": [1], "both classes": [0, 1]}.items():
        pairs = zip(labels, images, strict=True)
        maps = [visualize_saliency(logits, -1, label[which], image) for label, image in pairs]
        first, second = (metrics.energy_in_mask(maps, boxes[:, i]).mean() for i in (0, 1))
        click.echo(f"{name}: {first:.2f} of the energy on the first digit, {second:.2f} on the second")
        columns[f"{name}\n|gradient|"] = maps[:SHOWN]
    figure = plotting.plot_grid(
        images[:SHOWN],
        columns,
        [f"first: {first}\nsecond: {second}" for first, second in labels[:SHOWN]],
        "What changes the logits of two digits",
    )
    output.mkdir(parents=True, exist_ok=True)
    figure.savefig(output / "class_saliency.png", dpi=150)


if __name__ == "__main__":
    main()
