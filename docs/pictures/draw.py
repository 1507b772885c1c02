"""Draw the pictures of docs/pictures.md and of without-gradients.md: python docs/pictures/draw.py"""

from pathlib import Path

import click

from vis import linear_outputs, plotting
from vis.attributions import (
    FeatureAblation,
    GradCAM,
    GradientInput,
    HsicAttribution,
    KernelShap,
    Lime,
    Occlusion,
    Rise,
    Saliency,
    SobolAttribution,
)
from vis.demo.network import load_network
from vis.demo.scenes import make_scenes


@click.command()
@click.option("--output", type=click.Path(file_okay=False, path_type=Path), default=Path(__file__).parent)
def main(output: Path) -> None:
    """Draw digits on photographs with the maps of several methods."""
    scenes = make_scenes(6, "test", 1)
    images, labels = scenes.images[:3], scenes.labels[:3]
    logits = linear_outputs(load_network())
    maps = {
        "saliency": Saliency(logits)(images, labels),
        "gradient x input": GradientInput(logits)(images, labels),
        "Grad-CAM": GradCAM(logits)(images, labels),
    }
    names = [f"digit {label}" for label in labels]
    without = {
        "Occlusion\npatches of 8": Occlusion(logits, patch_size=8, patch_stride=4),
        "FeatureAblation\n8 x 8 patches": FeatureAblation(logits),
        "Rise\n2000 masks": Rise(logits, nb_samples=2000),
        "Lime\nsuperpixels": Lime(logits, features="superpixels"),
        "KernelShap\nsuperpixels": KernelShap(logits, features="superpixels"),
        "SobolAttribution\n8 x 8 patches": SobolAttribution(logits),
        "HsicAttribution\n8 x 8 patches": HsicAttribution(logits),
    }
    figures = {
        "saliency": plotting.plot_saliency(images[0], maps["Grad-CAM"][0], names[0], "Grad-CAM"),
        "methods": plotting.plot_maps(images, maps, row_names=names, colorbar=True),
        "without-gradients": plotting.plot_maps(
            images,
            {name: explainer(images, labels) for name, explainer in without.items()},
            row_names=names,
            boxes=scenes.masks[:3],
        ),
        "overlays": plotting.plot_maps(images, maps, row_names=names, overlay=True),
    }
    output.mkdir(parents=True, exist_ok=True)
    for name, figure in figures.items():
        figure.savefig(output / f"{name}.png", dpi=100)
        click.echo(f"{output / name}.png")


if __name__ == "__main__":
    main()
