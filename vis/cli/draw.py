"""`vis saliency`, `vis cam`, `vis activation`: pictures of a few images or filters."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import click

from vis.cli.app import start_tensorflow
from vis.cli.options import ASKED_OPTIONS, FILTER_OPTIONS, IMAGES, PICTURE_OPTIONS, command, size_option

# Pictures optimized side by side: enough to keep the cores busy, few enough for any memory.
_AT_ONCE = 8


@command(IMAGES, *FILTER_OPTIONS, *ASKED_OPTIONS, *PICTURE_OPTIONS)
@click.option("--grad", default="absolute", show_default=True, help="Gradient modifier.")
def saliency(grad: str, **options: Any) -> None:
    """Draw where each IMAGE changes the output of MODEL (.keras or .h5).

    Without --filter it is the predicted class, or all filters of a layer inside. Writes one PNG per
    image: the input, the map, and the map over the input.
    """
    start_tensorflow()
    from vis.visualization import visualize_saliency

    _draw("saliency", partial(visualize_saliency, grad_modifier=grad), grad, **options)


@command(IMAGES, *FILTER_OPTIONS, *ASKED_OPTIONS, *PICTURE_OPTIONS)
@click.option("--grad", help="Gradient modifier.")
@click.option("--penultimate", help="Layer whose positions are weighed.  [default: the last before]")
def cam(grad: str | None, penultimate: str | None, **options: Any) -> None:
    """Draw where each IMAGE speaks for the output of MODEL (.keras or .h5), by Grad-CAM.

    Without --filter it is the predicted class, or all filters of a layer inside. Writes one PNG per
    image: the input, the map, and the map over the input.
    """
    start_tensorflow()
    from vis.describe import layer_key
    from vis.visualization import visualize_cam

    weighed = None if penultimate is None else layer_key(penultimate)
    draw = partial(visualize_cam, penultimate_layer_idx=weighed, grad_modifier=grad)
    _draw("cam", draw, "Grad-CAM" if grad is None else f"Grad-CAM of {grad}", **options)


def _draw(
    kind: str,
    explain: Any,
    label: str,
    images: tuple[Path, ...],
    filters: tuple[int, ...],
    backprop: str | None,
    output: Path,
    save_array: bool,
    **asked: Any,
) -> None:
    """Explain each image and write the pictures."""
    import numpy as np

    from vis import files, plotting
    from vis.question import Question

    question = Question(**asked)
    pictures = [question.picture(path) for path in images]
    inputs = [*map(question.prepared, pictures)]
    names = _distinct([path.stem for path in images])
    for path, name, picture, array in zip(images, names, pictures, inputs, strict=True):
        chosen = list(filters) or question.predicted(array)
        drawn = explain(question.explained, question.layer, chosen, array, backprop_modifier=backprop)
        which = "all filters" if chosen is None else ", ".join(map(str, chosen))
        title = f"{question.name} [{which}], {backprop or 'vanilla'}, {label}"
        figure = plotting.plot_saliency(np.rint(picture).astype(np.uint8), drawn, title, kind)
        with files.written(output / f"{name}.{kind}.png") as temporary:
            figure.savefig(temporary, format="png", dpi=110)
        if save_array:
            with files.written(output / f"{name}.{kind}.npy") as temporary:
                np.save(temporary, drawn, allow_pickle=False)
        click.echo(f"{path}: {question.assumed(path, array)}")
        click.echo(f"{path}: {title} -> {output / f'{name}.{kind}.png'}")


@command(*FILTER_OPTIONS, *ASKED_OPTIONS)
@click.option("--steps", type=click.IntRange(min=1), default=200, show_default=True)
@click.option(
    "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Same seed, same picture."
)
@click.option(
    "--parameterization",
    default="fourier",
    show_default=True,
    help="What is changed: fourier or pixels.",
)
@size_option(128)
def activation(
    filters: tuple[int, ...],
    backprop: str | None,
    output: Path,
    save_array: bool,
    steps: int,
    seed: int,
    parameterization: str,
    **asked: Any,
) -> None:
    """Draw a picture that a filter or class of MODEL (.keras or .h5) responds to most.

    Writes one PNG per filter; without --filter, of all filters of the layer.
    """
    start_tensorflow()
    import numpy as np

    from vis import files, maps
    from vis.question import Question
    from vis.visualization import get_num_filters, visualize_activation

    question = Question(**asked)
    low, high = question.input_range
    # A model that takes any size is not told one by its input.
    shape = [side or 0 for side in question.shape]
    start = np.full(shape, (low + high) / 2, np.float32) if question.any_size else None
    chosen = list(filters) or list(range(get_num_filters(question.layer)))
    for first in range(0, len(chosen), _AT_ONCE):
        some = chosen[first : first + _AT_ONCE]
        pictures = visualize_activation(
            question.explained,
            question.layer,
            some,
            seed_input=start,
            input_range=(low, high),
            backprop_modifier=backprop,
            each=True,
            max_iter=steps,
            seed=seed,
            parameterization=parameterization,
        )
        for index, picture in zip(some, pictures, strict=True):
            name = question.name.replace(":", "-").replace("/", "-")
            path = output / f"{name}-{index}.activation.png"
            files.save_picture(path, maps.as_picture(255 * (picture - low) / (high - low), (0, 255)))
            if save_array:
                with files.written(path.with_suffix(".npy")) as temporary:
                    np.save(temporary, picture, allow_pickle=False)
            click.echo(f"{question.name} [{index}], {parameterization} -> {path}")
    click.echo(question.assumed())


def _distinct(stems: list[str]) -> list[str]:
    """Return names that differ, for images of the same name from different folders."""
    taken: dict[str, int] = {}
    names = []
    for stem in stems:
        taken[stem] = taken.get(stem, 0) + 1
        names.append(stem if taken[stem] == 1 else f"{stem}-{taken[stem]}")
    return names
