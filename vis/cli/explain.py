"""`vis explain`: a folder of pictures into a Zarr group."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from vis.cli.app import check_zarr, start_tensorflow
from vis.cli.options import ASKED_OPTIONS, PICTURE_OPTIONS, command, path_argument, size_option
from vis.errors import InputError, did_you_mean

METHODS = {
    "saliency": "Saliency",
    "gradient-input": "GradientInput",
    "integrated-gradients": "IntegratedGradients",
    "smoothgrad": "SmoothGrad",
    "squaregrad": "SquareGrad",
    "vargrad": "VarGrad",
    "deconvnet": "DeconvNet",
    "guided": "GuidedBackprop",
    "gradcam": "GradCAM",
    "gradcam++": "GradCAMPlusPlus",
    "layercam": "LayerCAM",
    "occlusion": "Occlusion",
}


@command(
    path_argument("folder", "folder"),
    click.option(
        "-o", "--output", type=click.Path(path_type=Path), required=True, help="The Zarr group to write."
    ),
    *ASKED_OPTIONS,
    *PICTURE_OPTIONS,
)
@click.option("--method", default="saliency", show_default=True, help=f"One of {', '.join(METHODS)}.")
@click.option("--target", type=int, help="Filter or class.  [default: the predicted one]")
@click.option("--batch-size", type=click.IntRange(min=1), default=64, show_default=True)
@size_option(224)
def explain(
    folder: Path, output: Path, method: str, target: int | None, batch_size: int, **asked: Any
) -> None:
    """Explain all pictures in FOLDER into a Zarr group, to be continued if it is interrupted.

    Row i of its arrays belongs to the picture in line i of the text file beside it, which lists the paths.
    What cannot be read is reported and skipped.
    """
    if method not in METHODS:
        raise InputError(
            f"Unknown method {method!r}.{did_you_mean(method, METHODS)} Valid names: {', '.join(METHODS)}."
        )
    check_zarr()
    start_tensorflow()
    from vis import attributions, files
    from vis.question import Question

    question = Question(**asked)
    pictures = files.ImageFolder(folder, question.shape, question.prepared, question.fit)
    explainer = getattr(attributions, METHODS[method])(question.explained, question.layer, batch_size)
    paths = "".join(f"{path.relative_to(folder)}\n" for path in pictures.paths)
    listing = output.with_name(f"{output.name}.txt")
    if output.exists() and listing.exists() and listing.read_text() != paths:
        raise InputError(f"The pictures in {str(folder)!r} have changed since {str(output)!r} was begun.")
    had_listing, had_maps = listing.exists(), output.exists()
    with files.written(listing) as temporary:
        temporary.write_text(paths)
    try:
        explainer.write(pictures, output, target)
    except BaseException:
        if not had_listing and (had_maps or not output.exists()):
            listing.unlink()  # nothing is explained that it could be about
        raise
    click.echo(question.assumed_of(pictures))
    click.echo(f"{len(pictures)} pictures, {method} -> {output}")
