"""`vis compare`: several methods, measured on the same pictures."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import click

from vis.cli.app import on_terminal, say, start_keras
from vis.cli.options import (
    ASKED_OPTIONS,
    IMAGES,
    MODEL,
    PICTURE_OPTIONS,
    Names,
    command,
    number_option,
    output_option,
    size_option,
    target_option,
)
from vis.errors import InputError, SkippedWarning, warn
from vis.methods import MEASURES, METHODS

_FIGURES = (".png", ".pdf", ".svg")
_DEFAULT = "saliency,gradient-input,integrated-gradients,lrp,gradcam"


@command(
    MODEL,
    IMAGES,
    click.option(
        "--methods",
        type=Names("method", METHODS),
        metavar="NAMES",
        default=_DEFAULT,
        show_default=True,
        help="Methods with commas between them, see `vis explain --help`.",
    ),
    click.option(
        "--measures",
        type=Names("measure", MEASURES),
        metavar="NAMES",
        help=f"Measures with commas between them: {', '.join(MEASURES)}.  [default: those of "
        "vis.metrics.compare]",
    ),
    output_option("A table (.csv) or figure (.png, .pdf, .svg) to write; may be repeated.", multiple=True),
    target_option("The class that is explained.  [default: the predicted class]"),
    number_option("--count", default=100, help="How many pictures are measured at most.  [default: 100]"),
    number_option("--seed", least=0, default=0, help="The seed of random changes.  [default: 0]"),
    *ASKED_OPTIONS,
    *PICTURE_OPTIONS,
    number_option(
        "--batch-size", default=64, help="How many pictures the model is given at once.  [default: 64]"
    ),
    size_option(224),
    shown="vis compare model.keras photos/ --methods lrp,gradcam -o figure.png",
)
def compare(
    images: tuple[tuple[Path, list[Path]], ...],
    methods: list[str],
    measures: list[str] | None,
    output: tuple[Path, ...],
    targets: tuple[int, ...],
    count: int,
    seed: int,
    batch_size: int,
    **options: Any,
) -> None:
    """Measure several methods on the same pictures.

    MODEL is a .keras or .h5 file, a PICTURE a file, or a folder. The table shows the median of each measure
    over the pictures, an interval of 95 percent around it, which direction is better, and what a map costs.
    """
    from vis import checks

    for path in output:
        checks.ending(path, "A table or figure", ".csv", *_FIGURES)
    if len(targets) > 1:
        raise click.UsageError(
            f"One target is explained at a time. Received: {', '.join(map(str, targets))}."
        )
    paths = list(dict.fromkeys(path for _, found in images for path in found))
    start_keras()
    import numpy as np

    from vis import attributions, files, metrics
    from vis.question import Question

    question = Question(**options)
    arrays = []
    for path in paths[:count]:
        try:
            arrays.append(question.prepared(question.picture(path)))
        except InputError as error:
            warn(f"{error} It is skipped.", SkippedWarning)
    if not arrays:
        raise InputError("None of the pictures could be read.")
    if len(paths) > count:
        say(f"{count} of {len(paths)} pictures are measured (--count)")
    how = {"output_layer": question.layer, "batch_size": batch_size}
    explainers = {
        name: getattr(attributions, METHODS[name].explainer)(question.explained, **how) for name in methods
    }
    found = metrics.compare(
        explainers,
        np.stack(arrays),
        targets[0] if targets else None,
        measures or metrics.DEFAULT_MEASURES,
        model=question.whole,
        batch_size=batch_size,
        seed=seed,
        progress=on_terminal(),
    )
    click.echo(question.assumed())
    click.echo(found.table())
    for path in output:
        with files.written(path) as temporary:
            if path.suffix.lower() in _FIGURES:
                found.plot().savefig(temporary, format=path.suffix[1:].lower(), dpi=150)
            else:
                with open(temporary, "w", newline="", encoding="utf-8") as file:
                    csv.writer(file).writerows(found.rows())
        click.echo(f"-> {path}")
