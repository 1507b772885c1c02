"""What each filter of a layer looks for: the pictures that raise them most, side by side.

The pictures of a layer are optimized at once, as images made of waves, seen through random moves, turns and
scalings (`parameterization="fourier"`). A row per layer of the demo's network, the earliest on top: strokes
of a slant and a colour, then textures of them. The layers are those before a ReLU, where no filter is dead.
"""

from pathlib import Path

import click
import keras
import numpy as np

from vis import plotting, visualize_activation
from vis.demo.network import load_network
from vis.demo.scenes import make_scenes

COLUMNS = 8


@click.command()
@click.option("--output", type=click.Path(file_okay=False, path_type=Path), default="pictures")
@click.option("--steps", type=click.IntRange(min=1), default=160, show_default=True)
def main(output: Path, steps: int) -> None:
    """Draw what filters of three layers respond to most."""
    network = load_network()
    scenes = make_scenes(100, "test", 4).images
    rows, labels = {}, {}
    for name in ("norm2", "norm3", "norm4"):
        layer = network.get_layer(name)
        responses = keras.Model(network.inputs, keras.ops.mean(keras.ops.relu(layer.output), axis=(1, 2)))
        to_scenes = responses.predict(scenes, verbose=0).mean(axis=0)
        # Filters that the scenes hardly excite have little to show.
        chosen = np.sort(np.argsort(to_scenes)[-COLUMNS:])
        pictures = visualize_activation(
            network,
            name,
            chosen,
            each=True,
            input_range=(0, 1.0),
            parameterization="fourier",
            max_iter=steps,
            seed=0,
        )
        to_pictures = responses.predict(pictures, verbose=0)[:, chosen]
        ratios = np.diag(to_pictures) / to_scenes[chosen]
        own = (to_pictures.argmax(axis=0) == np.arange(COLUMNS)).sum()
        click.echo(
            f"{name}: its picture excites a filter {np.median(ratios):.1f} times as much as a scene does; "
            f"for {own} of {COLUMNS} filters no other of these pictures excites it more"
        )
        rows[name] = pictures
        labels[name] = [f"[{filter}] {ratio:.1f} x" for filter, ratio in zip(chosen, ratios, strict=True)]
    output.mkdir(parents=True, exist_ok=True)
    title = "What filters look for: [filter], and its response as a multiple of that to a scene"
    plotting.plot_pictures(rows, labels, title).savefig(output / "filter_pictures.png", dpi=130)


if __name__ == "__main__":
    main()
