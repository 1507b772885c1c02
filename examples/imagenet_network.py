"""An ImageNet network: what MobileNetV2 looks at in a photograph.

The picture is cut to a square and preprocessed as the network expects. The maps are those of the
top class, explained by its logit: the plain gradient, and guided backpropagation, which draws the
contours of the object more clearly.
"""

from pathlib import Path

import click
import keras
import numpy as np
from PIL import Image, ImageOps
from sklearn.datasets import load_sample_image

from vis import linear_outputs, plotting, visualize_saliency

SIDE = 224


@click.command()
@click.argument("picture", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--weights", type=click.Choice(["imagenet", "none"]), default="imagenet", show_default=True)
@click.option("--output", type=click.Path(file_okay=False, path_type=Path), default="pictures")
def main(picture: Path | None, weights: str, output: Path) -> None:
    """Explain the top class of PICTURE, by default a photograph of a flower."""
    photo = Image.open(picture) if picture else Image.fromarray(load_sample_image("flower.jpg"))
    pixels = np.asarray(ImageOps.fit(ImageOps.exif_transpose(photo).convert("RGB"), (SIDE, SIDE)))
    module = keras.applications.mobilenet_v2
    network = module.MobileNetV2(weights=None if weights == "none" else weights)
    image = module.preprocess_input(pixels.astype(np.float32))
    probabilities = network.predict(image[None], verbose=0)
    top = int(probabilities[0].argmax())
    name = f"class {top}"
    if weights == "imagenet":
        name = module.decode_predictions(probabilities, top=1)[0][0][1].replace("_", " ")
    click.echo(f"top class: {name}, probability {probabilities[0, top]:.3f}")
    note = "" if weights == "imagenet" else ", of random weights"
    logits = linear_outputs(network)
    maps = {
        "vanilla": [visualize_saliency(logits, -1, top, image)],
        "guided": [visualize_saliency(logits, -1, top, image, backprop_modifier="guided")],
    }
    figure = plotting.plot_grid(
        [pixels], maps, title=f"|gradient| of the logit of {name}, p = {probabilities[0, top]:.3f}{note}"
    )
    figure.set_size_inches(9.6, 3.7)
    output.mkdir(parents=True, exist_ok=True)
    figure.savefig(output / "imagenet_network.png", dpi=110)


if __name__ == "__main__":
    main()
