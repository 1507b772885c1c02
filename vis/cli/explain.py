"""`vis explain`: any number of pictures into a Zarr group."""

from __future__ import annotations

import contextlib
import os
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from vis import listing, wording
from vis.cli.app import Stopped, check_zarr, on_terminal, start_keras
from vis.cli.methods import OWN, converted, given_by, named_options
from vis.cli.options import (
    ASKED_OPTIONS,
    BACKPROP_OPTION,
    CONV_LAYER_OPTION,
    IMAGES,
    MODEL,
    PICTURE_OPTIONS,
    Name,
    Pair,
    Sides,
    command,
    grad_option,
    number_option,
    output_option,
    size_option,
    target_option,
)
from vis.errors import InputError
from vis.methods import METHODS

_METHOD_OPTIONS = (
    grad_option(None),
    BACKPROP_OPTION,
    CONV_LAYER_OPTION,
    number_option("--steps", help="Points on the path, for integrated-gradients.  [default: 50]"),
    click.option(
        "--baseline",
        type=float,
        metavar="VALUE",
        help="Where that path begins, and what deep-lift compares with.  [default: 0]",
    ),
    number_option(
        "--samples",
        "nb_samples",
        help="Noisy copies, for smoothgrad, squaregrad and vargrad  [default: 50]; masks, for rise  "
        "[default: 4000]; coalitions, for lime  [default: 1000] and kernel-shap.  [default: 2 per feature, "
        "and 2048]",
    ),
    click.option(
        "--noise",
        type=click.FloatRange(min=0),
        metavar="PART",
        help="Their noise, as a fraction of the range of each picture's values.  [default: 0.2]",
    ),
    click.option(
        "--patch-size",
        type=Sides(),
        metavar="SIDE",
        help="The patch that occlusion covers: 16, or 16x24 for height and width.  [default: 3]",
    ),
    click.option(
        "--option",
        "more",
        type=Pair(),
        multiple=True,
        metavar="NAME=VALUE",
        help="Any other option of the method, by its name in Python; may be repeated.",
    ),
)


@command(
    MODEL,
    IMAGES,
    output_option("The Zarr group to write.", required=True),
    click.option(
        "--method",
        type=Name("method", METHODS),
        metavar="NAME",
        default="saliency",
        show_default=True,
        help=f"One of {', '.join(METHODS)}.",
    ),
    target_option("The class or filter that is explained.  [default: the predicted class]"),
    *_METHOD_OPTIONS,
    *ASKED_OPTIONS,
    *PICTURE_OPTIONS,
    number_option(
        "--batch-size", default=64, help="How many pictures the model is given at once.  [default: 64]"
    ),
    size_option(224),
    click.option("--add", is_flag=True, help="Also explain pictures added since the run began."),
    shown="vis explain model.keras photos/ -o maps.zarr --method gradcam",
)
def explain(
    images: tuple[tuple[Path, list[Path]], ...],
    output: Path,
    method: str,
    targets: tuple[int, ...],
    more: tuple[tuple[str, str], ...],
    batch_size: int,
    add: bool,
    **options: Any,
) -> None:
    """Explain any number of pictures into a Zarr group.

    MODEL is a .keras or .h5 file, a PICTURE a file, or a folder whose pictures are all explained. What cannot
    be read is reported and skipped. Row i of the arrays belongs to the picture in line i of the text file
    beside the group. If a run is interrupted, the same command continues it.
    """
    own = {name: options.pop(name) for name in OWN}
    chosen = named_options(method, own, more)
    click.get_current_context().meta[wording.TAKEN] = given_by(method)
    if len(targets) > 1:
        raise click.UsageError(
            f"vis explain explains one target at a time. Received: {', '.join(map(str, targets))}. Run it "
            "for each of them, with another -o."
        )
    check_zarr()
    folder, found = _listed(images)
    listed = _Listing(output, folder, found, add)
    start_keras()
    from vis import attributions, describe, files
    from vis.question import Question

    if chosen.get("conv_layer") is not None:
        chosen["conv_layer"] = describe.layer_key(chosen["conv_layer"])
    kind = getattr(attributions, METHODS[method].explainer)
    chosen = converted(kind, chosen)
    question = Question(**options)
    pictures = files.ImageFolder(folder, question.shape, question.prepared, question.fit, paths=listed.paths)
    explainer = kind(question.explained, output_layer=question.layer, batch_size=batch_size, **chosen)
    source = {**question.source(), "folder": os.path.abspath(folder)}
    with listed.kept(), _told_when_stopped(output, len(pictures)):
        explainer.write(
            pictures, output, targets[0] if targets else None, progress=on_terminal(), source=source
        )
        assumed = question.assumed_of(pictures)
    click.echo(assumed)
    count, skipped = len(pictures), len(_progress(output)["skipped"])
    number = f"{count} picture{'s' if count > 1 else ''}"
    explained = f"{count - skipped} of {number}" if skipped else number
    click.echo(f"{explained} explained by {method} -> {output}, listed in {listed.path}")


def _listed(images: tuple[tuple[Path, list[Path]], ...]) -> tuple[Path, list[Path]]:
    """Return the folder that holds all pictures, and their paths within it, each once."""
    if len(images) == 1 and images[0][0].is_dir():
        folder = images[0][0]
    else:
        tops = [os.path.abspath(given if given.is_dir() else given.parent) for given, _ in images]
        folder = Path(os.path.commonpath(tops))
        images = tuple((given, [Path(os.path.abspath(path)) for path in found]) for given, found in images)
    return folder, list(dict.fromkeys(path.relative_to(folder) for _, found in images for path in found))


class _Listing:
    """The text file beside a group, whose lines are the pictures of its rows.

    Args:
        output: the group.
        folder: the pictures lie here.
        found: what is there now.
        add: whether pictures that are new are appended, in the order in which they come.

    Raises:
        InputError: if what is there is not what the group was begun with.
    """

    def __init__(self, output: Path, folder: Path, found: list[Path], add: bool) -> None:
        from vis import checks

        if output.exists():
            checks.group(output)
        self.path = listing.beside(output)
        self._output = output
        self._before = self.path.read_bytes() if self.path.exists() else None
        names = [str(path) for path in found]
        if output.exists() and self._before is not None:
            names = self._continued(listing.decoded(self._before), names, add)
        elif output.exists() and add:
            raise InputError(
                f"{str(self.path)!r} is missing; it lists the pictures of the rows of {str(output)!r}. "
                f"Choose another -o."
            )
        self._now = listing.encoded(names)
        self.paths = [folder / name for name in names]

    def _continued(self, before: list[str], names: list[str], add: bool) -> list[str]:
        output = str(self._output)
        new = sorted(set(names) - set(before), key=names.index)
        gone = [name for name in before if name not in set(names)]
        if gone:
            back = "it" if len(gone) == 1 else "them"
            raise InputError(
                f"{_some(gone)} missing from those that {output!r} was begun with. Put {back} back, "
                "or choose another -o."
            )
        if new and not add:
            raise InputError(
                f"{_some(new)} new since {output!r} was begun. Add --add to explain what is new, too, or "
                "choose another -o."
            )
        return before + new

    @contextlib.contextmanager
    def kept(self) -> Iterator[None]:
        """Write the file; put back what was there if it ends up with no row that it could be about."""
        from vis import files

        existed = self._output.exists()
        with files.written(self.path) as temporary:
            temporary.write_bytes(self._now)
        try:
            yield
        except BaseException:
            if self._before is None and (existed or not self._output.exists()):
                self.path.unlink()
            elif self._before is not None and _done(self._output) <= len(listing.decoded(self._before)):
                self.path.write_bytes(self._before)
            raise


def _some(names: list[str]) -> str:
    """Return how many pictures there are, and the first of their names, with "is" or "are"."""
    shown = f"{', '.join(map(repr, names[:3]))}{', ...' if len(names) > 3 else ''}"
    return f"{len(names)} pictures ({shown}) are" if len(names) > 1 else f"The picture {shown} is"


def _progress(output: Path) -> dict[str, Any]:
    """Return what a group says of how far its run has come."""
    from vis.attributions import groups

    return dict(groups.opened(output).attrs["progress"])


def _done(output: Path) -> int:
    """Return how many rows of a group are finished."""
    try:
        return int(_progress(output)["samples"])
    except (InputError, KeyError, TypeError, ValueError):
        return 0


@contextlib.contextmanager
def _told_when_stopped(output: Path, count: int) -> Iterator[None]:
    """When the user stops a run, say what is done and how it goes on."""
    try:
        yield
    except KeyboardInterrupt:
        done = _done(output)
        again = shlex.join(["vis", *sys.argv[1:]])
        kept = (
            f"{done} of {count} pictures are explained and kept in {output}"
            if done
            else "nothing is kept yet"
        )
        raise Stopped(f"stopped: {kept}. To {'continue' if done else 'begin again'}: {again}") from None
