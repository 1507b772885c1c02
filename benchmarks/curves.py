"""How the cost of a map grows with the batch, the image, the noisy copies and the classes.

MobileNetV2 with random weights on images of 128 x 128, unless stated otherwise.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Iterator
from typing import Any

import click
import keras
from limits import gradient, largest
from matplotlib.figure import Figure
from measure import RESULTS, interleave
from networks import build, images

from vis.attributions import Saliency, SmoothGrad

LIMIT, OURS = "hand-written limit", "vis"
SIDE = 128
Run = Callable[[], Any]


def saliency(network: keras.Model, batch: int) -> dict[str, Run]:
    """Return the candidates for the saliency of a batch."""
    x = images(network, batch)
    explainer, limit = Saliency(network, batch_size=None), gradient(network, x.shape, 3)
    return {LIMIT: lambda: largest(limit(x)), OURS: lambda: explainer(x, 3)}


def batches() -> Iterator[tuple[int, dict[str, Run]]]:
    """Yield the saliency of batches of several sizes."""
    network = build("MobileNetV2", SIDE)
    for batch in (1, 2, 4, 8, 16, 32):
        yield batch, saliency(network, batch)


def sides() -> Iterator[tuple[int, dict[str, Run]]]:
    """Yield the saliency of one image of several sizes."""
    for side in (64, 96, 128, 192, 256, 384):
        yield side, saliency(build("MobileNetV2", side), 1)


def copies() -> Iterator[tuple[int, dict[str, Run]]]:
    """Yield SmoothGrad of one image; the limit is the gradient of 16 images, repeated as needed."""
    network = build("MobileNetV2", SIDE)
    x, many = images(network, 1), images(network, 16)
    limit = gradient(network, many.shape, 3)
    for count in (16, 32, 64, 128):
        explainer = SmoothGrad(network, nb_samples=count, batch_size=16)
        yield (
            count,
            {LIMIT: lambda n=count: [limit(many) for _ in range(n // 16)], OURS: lambda e=explainer: e(x, 3)},
        )


def classes() -> Iterator[tuple[int, dict[str, Run]]]:
    """Yield the saliency of one image for several classes in turn; the limit knows only one."""
    network = build("MobileNetV2", SIDE)
    explainer, x = Saliency(network), images(network, 1)
    limit = gradient(network, x.shape, 3)
    for count in (1, 2, 4, 8, 16):
        yield (
            count,
            {
                LIMIT: lambda n=count: [largest(limit(x)) for _ in range(n)],
                OURS: lambda n=count: [explainer(x, index) for index in range(n)],
            },
        )


CURVES = {
    "images in a batch": batches,
    "side of the image": sides,
    "noisy copies": copies,
    "classes": classes,
}


@click.command()
@click.option("--rounds", default=9, show_default=True)
def main(rounds: int) -> None:
    """Measure the curves, write the numbers and draw them."""
    found: dict[str, list[dict[str, Any]]] = {}
    for title, curve in CURVES.items():
        found[title] = []
        for value, candidates in curve():
            seconds = interleave(candidates, rounds)
            medians = {name: round(1000 * statistics.median(times), 2) for name, times in seconds.items()}
            found[title].append({"value": value, "median ms": medians})
            print(title, found[title][-1], flush=True)
    (RESULTS / "curves.json").write_text(json.dumps(found, indent=2) + "\n")
    draw(found).savefig(RESULTS / "curves.png", dpi=100)


def draw(found: dict[str, list[dict[str, Any]]]) -> Figure:
    """Return a figure with a panel per curve."""
    figure = Figure(figsize=(10, 7), layout="constrained")
    for axes, (title, points) in zip(figure.subplots(2, 2).flat, found.items(), strict=True):
        for name, style in ((LIMIT, "o--"), (OURS, "s-")):
            values = [point["value"] for point in points]
            axes.loglog(values, [point["median ms"][name] for point in points], style, base=2, label=name)
        axes.set_xlabel(title)
        axes.set_ylabel("milliseconds")
        axes.xaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_major_formatter("{x:g}")
        axes.set_xticks([point["value"] for point in points], minor=False)
        axes.grid(True, which="major", alpha=0.3)
        axes.legend()
    figure.suptitle("Cost of a map: MobileNetV2, one image of 128 x 128 unless stated otherwise")
    return figure


if __name__ == "__main__":
    main()
