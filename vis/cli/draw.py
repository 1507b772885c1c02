"""`vis saliency`, `vis cam`, `vis activation`: pictures of a few images or filters."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import click

from vis.cli.app import Stopped, say, start_keras
from vis.cli.options import (
    ASKED_OPTIONS,
    CONV_LAYER_OPTION,
    FILTER_OPTIONS,
    IMAGES,
    MODEL,
    NORMALIZE_OPTION,
    PICTURE_OPTIONS,
    Name,
    command,
    grad_option,
    number_option,
    size_option,
)
from vis.errors import InputError
from vis.methods import PARAMETERIZATIONS

# Pictures optimized side by side: enough to keep the cores busy, few enough for any memory.
_AT_ONCE = 8
# Pictures that are read before they are explained.
_AHEAD = 8
# What is drawn, for each gradient modifier.
_GRADIENTS = {
    "none": "gradient",
    "absolute": "|gradient|",
    "relu": "max(gradient, 0)",
    "negate": "-gradient",
    "invert": "1 / gradient",
    "small_values": "|1 / gradient|",
}
# Those that keep a sign.
_SIGNED = ("none", "negate", "invert")


@command(
    MODEL,
    IMAGES,
    *FILTER_OPTIONS,
    grad_option("absolute", none=True),
    NORMALIZE_OPTION,
    *ASKED_OPTIONS,
    *PICTURE_OPTIONS,
    shown="vis saliency model.keras cat.jpg photos/ --target 3 -o maps",
)
def saliency(grad_modifier: str, normalize: str, **options: Any) -> None:
    """Draw where a change of each picture changes an output of a model.

    MODEL is a .keras or .h5 file, a PICTURE a file, or a folder whose pictures are all drawn. Without
    --target, the predicted class is explained, or all filters of the --layer. Each PNG shows the input, the
    map, and the map over the input.

    --grad-modifier none --normalize signed shows where more brightness raises the output, and where it
    lowers it.
    """
    start_keras()
    from vis.visualization import visualize_saliency

    label = _GRADIENTS[grad_modifier]
    if normalize == "minmax" and grad_modifier in _SIGNED:
        label += " from its lowest value to its highest"
    _draw("saliency", _with(visualize_saliency, grad_modifier, normalize), label, **options)


@command(
    MODEL,
    IMAGES,
    *FILTER_OPTIONS,
    grad_option("none", none=True),
    NORMALIZE_OPTION,
    CONV_LAYER_OPTION,
    *ASKED_OPTIONS,
    *PICTURE_OPTIONS,
    shown="vis cam model.keras photos/ --target 3 --conv-layer block5_conv3",
)
def cam(grad_modifier: str, normalize: str, conv_layer: str | None, **options: Any) -> None:
    """Draw what in each picture raises a model's output, by Grad-CAM.

    MODEL is a .keras or .h5 file, a PICTURE a file, or a folder whose pictures are all drawn. Without
    --target, the predicted class is explained, or all filters of the --layer. Each PNG shows the input, the
    map, and the map over the input.
    """
    start_keras()
    from vis.describe import layer_key
    from vis.visualization import visualize_cam

    weighted = None if conv_layer is None else layer_key(conv_layer)
    draw = partial(_with(visualize_cam, grad_modifier, normalize), conv_layer=weighted)
    label = "Grad-CAM" if grad_modifier == "none" else f"Grad-CAM of {_GRADIENTS[grad_modifier]}"
    _draw("cam", draw, label, **options)


def _with(explain: Any, grad_modifier: str, normalize: str) -> Any:
    """Return a function of `vis.visualization` with options, of which "none" is None in Python."""
    given = {"grad_modifier": grad_modifier, "normalize": normalize}
    return partial(explain, **{name: None if value == "none" else value for name, value in given.items()})


def _draw(
    kind: str,
    explain: Any,
    label: str,
    images: tuple[tuple[Path, list[Path]], ...],
    targets: tuple[int, ...],
    backprop_modifier: str | None,
    output: Path,
    save_array: bool,
    **asked: Any,
) -> None:
    """Explain each picture and write what is drawn of it."""
    import numpy as np

    from vis import files, plotting
    from vis.attributions.ahead import read_ahead
    from vis.question import Question

    question = Question(**asked)
    named = {path for given, found in images for path in found if not given.is_dir()}
    for path in named:
        question.picture(path)  # so that nothing is written if a name was wrong
    paths = list(dict.fromkeys(path for _, found in images for path in found))
    names = distinct([path.stem for path in paths])
    coming = read_ahead(
        lambda number: question.picture(paths[number]), range(len(paths)), min(os.cpu_count() or 1, 8), _AHEAD
    )
    with contextlib.closing(coming), _told_when_stopped(paths, output) as drawn:
        for path, name, read in zip(paths, names, coming, strict=True):
            try:
                picture = read()
                array = question.prepared(picture)
            except InputError as error:
                if path in named:
                    raise
                say(f"warning: {path} is skipped: {error}")
                continue
            chosen = list(targets) or question.predicted(array)
            found = explain(
                question.explained, question.layer, chosen, array, backprop_modifier=backprop_modifier
            )
            which = "all filters" if chosen is None else ", ".join(map(str, chosen))
            title = f"{question.name} [{which}], {backprop_modifier or 'vanilla'}, {label}"
            figure = plotting.plot_saliency(np.rint(picture).astype(np.uint8), found, title, kind)
            with files.written(output / f"{name}.{kind}.png") as temporary:
                figure.savefig(temporary, format="png", dpi=110)
            if save_array:
                with files.written(output / f"{name}.{kind}.npy") as temporary:
                    np.save(temporary, found, allow_pickle=False)
            drawn.append(path)
            click.echo(f"{path}: {question.assumed(path, array)}")
            click.echo(f"{path}: {title} -> {output / f'{name}.{kind}.png'}")
    if not drawn:
        raise InputError("None of the pictures could be read.")


@contextlib.contextmanager
def _told_when_stopped(paths: list[Path], output: Path) -> Iterator[list[Path]]:
    """Give a list for what is done; say how long it is when the user stops the command."""
    done: list[Path] = []
    try:
        yield done
    except KeyboardInterrupt:
        raise Stopped(f"stopped. {len(done)} of {len(paths)} pictures are drawn, in {output}.") from None


@command(
    MODEL,
    *FILTER_OPTIONS,
    *ASKED_OPTIONS,
    number_option("--steps", default=200, help="Steps of the optimization.  [default: 200]"),
    number_option("--seed", least=0, default=0, help="The same seed gives the same picture.  [default: 0]"),
    click.option(
        "--parameterization",
        type=Name("parameterization", PARAMETERIZATIONS),
        metavar="NAME",
        default="fourier",
        show_default=True,
        help="What is optimized: waves (fourier), or pixels.",
    ),
    size_option(128),
    shown="vis activation model.keras --layer conv3 --target 0 --target 5 -o filters",
)
def activation(
    targets: tuple[int, ...],
    backprop_modifier: str | None,
    output: Path,
    save_array: bool,
    steps: int,
    seed: int,
    parameterization: str,
    **asked: Any,
) -> None:
    """Draw a picture that a class or filter of a model responds to most.

    MODEL is a .keras or .h5 file. One PNG is written for each --target, or for each filter of the --layer
    without one.
    """
    start_keras()
    import numpy as np

    from vis import files, maps
    from vis.question import Question
    from vis.visualization import get_num_filters, visualize_activation

    question = Question(**asked)
    low, high = question.input_range
    # A model that takes any size is not told one by its input.
    shape = [side or 0 for side in question.shape]
    start = np.full(shape, (low + high) / 2, np.float32) if question.any_size else None
    chosen = list(targets) or list(range(get_num_filters(question.layer)))
    for first in range(0, len(chosen), _AT_ONCE):
        some = chosen[first : first + _AT_ONCE]
        pictures = visualize_activation(
            question.explained,
            question.layer,
            some,
            seed_input=start,
            input_range=(low, high),
            backprop_modifier=backprop_modifier,
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


def distinct(stems: list[str]) -> list[str]:
    """Return names that differ, for pictures of one name in several folders or formats."""
    taken: set[str] = set()
    names = []
    for stem in stems:
        name, number = stem, 1
        while name in taken:
            number += 1
            name = f"{stem}-{number}"
        taken.add(name)
        names.append(name)
    return names
