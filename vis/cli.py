"""The command `vis`. Whatever is wrong ends in one line on stderr and exit code 2.

TensorFlow is imported by the commands that need it, so that `--help` answers at once.
"""

from __future__ import annotations

import importlib.util
import os
import sys
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import click

from vis import wording
from vis.errors import InputError, VisError, VisWarning, did_you_mean
from vis.version import __version__

_METHODS = {
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
# Pictures optimized side by side: enough to keep the cores busy, few enough for any memory.
_AT_ONCE = 8


class _Command(click.Command):
    """A command that says what is wrong in the words of its options."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except VisError as error:
            raise click.ClickException(wording.on_command_line(str(error), ctx)) from error


def _path(name: str, check: str, **attributes: Any) -> Callable[[Any], Any]:
    """Return the argument of a path, or of several, that are looked at before TensorFlow is imported.

    Args:
        name: of the argument.
        check: what is done to each: `vis.checks.CHECK`.
        **attributes: of the argument.
    """

    def checked(_: click.Context, __: click.Parameter, value: Any) -> Any:
        from vis import checks

        look = getattr(checks, check)
        return tuple(map(look, value)) if isinstance(value, tuple) else look(value)

    return click.argument(name, type=click.Path(path_type=Path), callback=checked, **attributes)


@click.group(invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="vis")
@click.pass_context
def cli(context: click.Context) -> None:
    """See what a Keras model looks at."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


_SAFE_OPTION = click.option(
    "--safe-mode/--no-safe-mode",
    default=True,
    show_default=True,
    help="Refuse a model file that holds code, or load it all the same.",
)


def _command(*options: Any) -> Callable[[Any], Any]:
    """Make a command of a function of a model and of options that several commands share."""

    def decorate(function: Any) -> Any:
        for option in reversed((_path("model", "model_file"), *options)):
            function = option(function)
        return cli.command(cls=_Command)(function)

    return decorate


@_command(_SAFE_OPTION)
def layers(model: Path, safe_mode: bool) -> None:
    """List the layers of MODEL (.keras or .h5).

    For each layer, other operation of the graph, and call of a layer that is called several times: its
    index, its path for --layer, its type, output shape, number of filters and activation, and whether guided
    backpropagation reaches that activation.
    """
    _start_tensorflow()
    from vis import describe, files

    click.echo(describe.layer_table(files.load_model(model, safe_mode)))


_ASKED_OPTIONS = (
    click.option(
        "--layer", help="Index, name, path or call (see `vis layers`).  [default: the model's output]"
    ),
    click.option("--probabilities", is_flag=True, help="Take the softmax itself instead of the logits."),
    click.option(
        "--input-range",
        type=float,
        nargs=2,
        metavar="LOW HIGH",
        help="Pixel values the model takes, for black and white.  [default: those it seems to take]",
    ),
    _SAFE_OPTION,
)


def _size_option(side: int) -> Callable[[Any], Any]:
    """Return the option of a size, by default a square."""
    return click.option(
        "--size",
        type=click.IntRange(min=1),
        nargs=2,
        default=(side, side),
        show_default=True,
        metavar="HEIGHT WIDTH",
        help="Of the pictures, if the model takes any size.",
    )


_PICTURE_OPTIONS = (
    click.option(
        "--preprocess", help="Use the preprocessing of this keras.applications module, e.g. resnet50."
    ),
    click.option(
        "--fit",
        type=click.Choice(["crop", "pad", "stretch"]),
        default="crop",
        show_default=True,
        help="What is done to a picture of another shape than the model takes.",
    ),
)
_FILTER_OPTIONS = (
    click.option("--filter", "filters", type=int, multiple=True, help="Filter or class; may be repeated."),
    click.option("--backprop", help="Backprop modifier: guided or rectified."),
    click.option("--output", type=click.Path(path_type=Path), default=".", help="Folder for the pictures."),
    click.option("--save-array", is_flag=True, help="Write the array itself as .npy beside each picture."),
)
_IMAGES = _path("images", "image_file", nargs=-1, required=True, metavar="IMAGE...")


@_command(_IMAGES, *_FILTER_OPTIONS, *_ASKED_OPTIONS, *_PICTURE_OPTIONS)
@click.option("--grad", default="absolute", show_default=True, help="Gradient modifier.")
def saliency(grad: str, **options: Any) -> None:
    """Draw where each IMAGE changes the output of MODEL (.keras or .h5).

    Without --filter it is the predicted class, or all filters of a layer inside. Writes one PNG per
    image: the input, the map, and the map over the input.
    """
    _start_tensorflow()
    from vis.visualization import visualize_saliency

    _draw("saliency", partial(visualize_saliency, grad_modifier=grad), grad, **options)


@_command(_IMAGES, *_FILTER_OPTIONS, *_ASKED_OPTIONS, *_PICTURE_OPTIONS)
@click.option("--grad", help="Gradient modifier.")
@click.option("--penultimate", help="Layer whose positions are weighed.  [default: the last before]")
def cam(grad: str | None, penultimate: str | None, **options: Any) -> None:
    """Draw where each IMAGE speaks for the output of MODEL (.keras or .h5), by Grad-CAM.

    Without --filter it is the predicted class, or all filters of a layer inside. Writes one PNG per
    image: the input, the map, and the map over the input.
    """
    _start_tensorflow()
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


@_command(*_FILTER_OPTIONS, *_ASKED_OPTIONS)
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
@_size_option(128)
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
    _start_tensorflow()
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


@_command(
    _path("folder", "folder"),
    click.option(
        "-o", "--output", type=click.Path(path_type=Path), required=True, help="The Zarr group to write."
    ),
    *_ASKED_OPTIONS,
    *_PICTURE_OPTIONS,
)
@click.option("--method", default="saliency", show_default=True, help=f"One of {', '.join(_METHODS)}.")
@click.option("--target", type=int, help="Filter or class.  [default: the predicted one]")
@click.option("--batch-size", type=click.IntRange(min=1), default=64, show_default=True)
@_size_option(224)
def explain(
    folder: Path, output: Path, method: str, target: int | None, batch_size: int, **asked: Any
) -> None:
    """Explain all pictures in FOLDER into a Zarr group, to be continued if it is interrupted.

    Row i of its arrays belongs to the picture in line i of the text file beside it, which lists the paths.
    What cannot be read is reported and skipped.
    """
    if method not in _METHODS:
        raise InputError(
            f"Unknown method {method!r}.{did_you_mean(method, _METHODS)} Valid names: {', '.join(_METHODS)}."
        )
    _check_zarr()
    _start_tensorflow()
    from vis import attributions, files
    from vis.question import Question

    question = Question(**asked)
    pictures = files.ImageFolder(folder, question.shape, question.prepared, question.fit)
    explainer = getattr(attributions, _METHODS[method])(question.explained, question.layer, batch_size)
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


@cli.command(cls=_Command)
@_path("maps", "existing")
@click.option("-o", "--output", type=click.Path(path_type=Path), default="sheet.png", show_default=True)
@click.option(
    "--first", type=click.IntRange(min=0), default=0, show_default=True, help="The first map to draw."
)
@click.option(
    "--count", type=click.IntRange(min=1), default=48, show_default=True, help="The number of maps."
)
@click.option("--columns", type=click.IntRange(min=1), default=8, show_default=True)
def show(maps: Path, output: Path, first: int, count: int, columns: int) -> None:
    """Draw a contact sheet of the maps in a Zarr group that `vis explain` has written."""
    _check_zarr()
    _start_tensorflow()
    import numpy as np

    from vis import files, plotting
    from vis.attributions import store
    from vis.utils.utils import stitch_images

    rows = store.read(maps, first, count)
    if rows.ndim != 4:
        raise InputError(f"{str(maps)!r} holds maps of shape {rows.shape[1:]}, which are none of pictures.")
    sheet = stitch_images([plotting.colorize(row[..., 0]) for row in rows], 2, columns)
    files.save_picture(output, np.asarray(sheet))
    click.echo(f"{len(rows)} maps from {first} on -> {output}")


@cli.command(cls=_Command)
@click.option("--output", type=click.Path(path_type=Path), default="demo", show_default=True)
@click.option(
    "--scenes", type=click.IntRange(min=6), default=200, show_default=True, help="Scenes to measure."
)
def demo(output: Path, scenes: int) -> None:
    """Explain a small trained network on digits placed on photographs, and measure the maps."""
    _start_tensorflow()
    from vis import files
    from vis.demo import report, sanity

    try:
        result = report.measure(scenes)
    except ImportError as error:
        raise InputError(str(error)) from error
    click.echo(result.table())
    sheets = {"gallery": tuple(report.METHODS), "explainers": tuple(report.EXPLAINERS), **report.FAMILIES}
    for name, methods in sheets.items():
        with files.written(output / f"{name}.png") as temporary:
            report.gallery(result, methods).savefig(temporary, format="png", dpi=110)
    click.echo(f"\nThe maps are in {', '.join(str(output / f'{name}.png') for name in sheets)}.")
    files.save_picture(output / "digits.png", report.digits())
    click.echo(f"The pictures that the network takes for 0 to 9 are in {output / 'digits.png'}.")
    checks = sanity.checks()
    with files.written(output / "sanity.png") as temporary:
        sanity.figure(checks).savefig(temporary, format="png", dpi=110)
    click.echo(
        "\nAnother network, its weights made random layer by layer: rank correlation with its maps before\n"
    )
    click.echo(sanity.table(checks))
    click.echo(f"\nThe check is drawn in {output / 'sanity.png'}.")


def _check_zarr() -> None:
    """Raise for a Python without zarr, before anything else is done."""
    if importlib.util.find_spec("zarr") is None:
        raise InputError('Maps on disk need zarr: pip install "keras-vis3[zarr]".')


def _start_tensorflow() -> None:
    """Import Keras and run a first operation, without what TensorFlow writes to stderr meanwhile."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.stderr.flush()
    # Its first lines are written by C++ to the file descriptor, before any setting takes effect.
    kept, null = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)
    try:
        import keras

        keras.ops.zeros(())
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(null)


def _distinct(stems: list[str]) -> list[str]:
    """Return names that differ, for images of the same name from different folders."""
    taken: dict[str, int] = {}
    names = []
    for stem in stems:
        taken[stem] = taken.get(stem, 0) + 1
        names.append(stem if taken[stem] == 1 else f"{stem}-{taken[stem]}")
    return names


def _one_line(message: str) -> str:
    return " ".join(message.split())


def _show_warning(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
    if issubclass(category, VisWarning):
        told = wording.on_command_line(str(message), click.get_current_context(silent=True))
        click.echo(f"vis: warning: {_one_line(told)}", err=True)


def main() -> None:
    """Run the command and exit: 0, or 2 with one line on stderr."""
    started = time.monotonic()
    warnings.showwarning = _show_warning
    try:
        cli.main(standalone_mode=False, prog_name="vis")
    except click.exceptions.Abort:
        click.echo(f"vis: stopped after {time.monotonic() - started:.0f} s", err=True)
        sys.exit(130)
    except click.ClickException as error:
        click.echo(f"vis: {_one_line(error.format_message())}", err=True)
        sys.exit(2)
    except (VisError, MemoryError, OSError, ImportError) as error:
        click.echo(f"vis: {_one_line(str(error)) or type(error).__name__}", err=True)
        sys.exit(2)
    except Exception as error:  # what a model's own code raises when it is called
        click.echo(
            f"vis: the model could not be run: {type(error).__name__}: {_one_line(str(error))}", err=True
        )
        sys.exit(2)
