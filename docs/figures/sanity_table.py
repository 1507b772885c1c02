"""Measure what random weights leave of the maps of each explainer.

`python docs/figures/sanity_table.py` prints a row for each, and with --write puts its two numbers into the
table of docs/which-method.md.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

import click
import keras

from vis import attributions, linear_outputs, metrics
from vis.demo.network import load_network
from vis.demo.scenes import make_scenes

PAGE = Path(__file__).parents[1] / "which-method.md"
SCENES = 16
# What the explainers that need a set of baselines get.
BASELINES = make_scenes(8, "train", 2).images
# Maps with signs keep them, in the mean over the colours.
SIGNED = {"grad_modifier": None, "reducer": "mean"}
EXPLAINERS: dict[str, Callable[[keras.Model], attributions.Explainer]] = {
    "Saliency": attributions.Saliency,
    "Saliency, with signs": partial(attributions.Saliency, **SIGNED),
    "GradientInput": attributions.GradientInput,
    "DeconvNet": attributions.DeconvNet,
    "GuidedBackprop": attributions.GuidedBackprop,
    "IntegratedGradients": attributions.IntegratedGradients,
    "LayerConductance": partial(attributions.LayerConductance, layer="conv3"),
    "InternalInfluence": partial(attributions.InternalInfluence, layer="conv3"),
    "SmoothGrad": partial(attributions.SmoothGrad, reducer="mean"),
    "SquareGrad": attributions.SquareGrad,
    "VarGrad": attributions.VarGrad,
    "LRP": attributions.LRP,
    "DeepTaylor": partial(attributions.DeepTaylor, low=0.0, high=1.0),
    "ExcitationBackprop": attributions.ExcitationBackprop,
    "DeepLift": attributions.DeepLift,
    "DeepLiftShap": partial(attributions.DeepLiftShap, baselines=BASELINES),
    "GradientShap": partial(attributions.GradientShap, baselines=BASELINES),
    "GradCAM": attributions.GradCAM,
    "GradCAMPlusPlus": attributions.GradCAMPlusPlus,
    "XGradCAM": attributions.XGradCAM,
    "HiResCAM": attributions.HiResCAM,
    "LayerCAM": attributions.LayerCAM,
    "GuidedGradCAM": attributions.GuidedGradCAM,
    "ScoreCAM": attributions.ScoreCAM,
    "AblationCAM": attributions.AblationCAM,
    "EigenCAM": attributions.EigenCAM,
    "Occlusion": partial(attributions.Occlusion, patch_size=8),
    "FeatureAblation": attributions.FeatureAblation,
    "Rise": partial(attributions.Rise, nb_samples=1000),
    "Lime": attributions.Lime,
    "KernelShap": attributions.KernelShap,
    "SobolAttribution": attributions.SobolAttribution,
    "HsicAttribution": attributions.HsicAttribution,
}


def measured(name: str) -> tuple[float, float]:
    """Return the median rank correlation with the head random, and with everything random."""
    scenes = make_scenes(SCENES, "test", 1)
    check = metrics.sanity_check(
        EXPLAINERS[name], linear_outputs(load_network()), scenes.images, scenes.labels
    )
    ends = check.rank_correlation[[0, -1]]
    return metrics.median(ends[0]), metrics.median(ends[1])


def written(text: str, name: str, numbers: Iterable[float]) -> str:
    """Return a page with the last two cells of the row of an explainer replaced."""
    cells = " | ".join(map(shown, numbers))
    row = rf"^(\|[^\n]*\| {re.escape(label(name))} \|[^\n]*) \| [^|\n]* \| [^|\n]* \|$"
    changed, count = re.subn(row, rf"\1 | {cells} |", text, flags=re.M)
    if count != 1:
        raise click.ClickException(f"The page has {count} rows for {label(name)}.")
    return changed


def shown(number: float) -> str:
    """Return a number with two decimals, and zero without a sign."""
    return f"{round(number, 2) + 0.0:.2f}"


def label(name: str) -> str:
    """Return how the page writes the name of an explainer."""
    first, comma, rest = name.partition(",")
    return f"`{first}`{comma}{rest}"


@click.command()
@click.option("--write", is_flag=True, help="Write the numbers into the page.")
@click.argument("names", nargs=-1)
def main(write: bool, names: tuple[str, ...]) -> None:
    """Measure all explainers, or those that are named."""
    for name in names or EXPLAINERS:
        numbers = measured(name)
        click.echo(f"| {label(name)} | {' | '.join(map(shown, numbers))} |")
        if write:
            PAGE.write_text(written(PAGE.read_text(), name, numbers))


if __name__ == "__main__":
    main()
