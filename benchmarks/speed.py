"""What a map costs beside a hand-written gradient of fixed shape and class, and beside the peers.

`make benchmark` creates the environment with the peers and runs this and the other scripts, on the backend
that BACKEND names, and on a GPU if it has one. The candidates of a row take turns in one process. Before they
are timed, our result is compared with the reference.
"""

from __future__ import annotations

import itertools
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import keras
import numpy as np
import peers
from limits import BACKEND, device, forward, grad_cam, gradient, largest, variants
from measure import ROUNDS, interleave, named, read, row, write
from networks import NETWORKS, SMALL, build, images

import vis
from vis import attributions, models

LIMIT, OURS = "hand-written limit", "vis"
INDEX = 3
SAMPLES = 50
# XLA is an order of magnitude slower on a CPU.
WRITTEN = 200 if BACKEND == "jax" else 2000
Run = Callable[[], Any]
Row = tuple[str, dict[str, Run], int]


def plain(name: str, network: keras.Model, batch: int) -> Iterator[Row]:
    """Yield the rows of gradients of one class."""
    x = images(network, batch)
    limit = gradient(network, x.shape, INDEX)
    targets = np.full(batch, INDEX)
    of = f"{name}, batch {batch}"
    ours = attributions.Saliency(network, batch_size=None)
    folded = attributions.Saliency(network, batch_size=None, fold_layers=True)
    _same(ours(x, targets), largest(limit(x)))
    saliency: dict[str, Run] = {LIMIT: lambda: limit(x), OURS: lambda: ours(x, targets)}
    for other, call in variants(network, x.shape, INDEX).items():
        saliency[other] = lambda call=call: call(x)
    if models.foldable(network):
        saliency["vis, folded"] = lambda: folded(x, targets)
    if batch == 1:
        saliency["vis.visualize_saliency"] = lambda: vis.visualize_saliency(network, -1, INDEX, x)
    yield f"saliency, {of}", {**saliency, **peers.of("saliency", network, x, INDEX)}, 1
    for title, explainer in (("guided", attributions.GuidedBackprop), ("rectified", attributions.DeconvNet)):
        if title == "rectified" and name not in (SMALL, "MobileNetV2"):
            continue
        modified = explainer(network, batch_size=None, reducer="max")
        candidates: dict[str, Run] = {LIMIT: lambda: limit(x), OURS: lambda m=modified: m(x, targets)}
        yield f"{title}, {of}", {**candidates, **peers.of(title, network, x, INDEX)}, 1


def changing(name: str, network: keras.Model, batch: int) -> Iterator[Row]:
    """Yield the row of a class that changes at each call."""
    x = images(network, batch)
    limit = gradient(network, x.shape, INDEX)
    ours = attributions.Saliency(network, batch_size=None)
    count = network.outputs[0].shape[-1]

    def turning(call: Callable[[int], Any]) -> Run:
        classes = itertools.cycle(range(count))
        return lambda: call(next(classes))

    theirs = {peer: turning(call) for peer, call in peers.of("changing", network, x).items()}
    candidates: dict[str, Run] = {
        LIMIT: lambda: limit(x),
        f"{OURS}, the same class": lambda: ours(x, INDEX),
        OURS: turning(lambda index: ours(x, index)),
        "vis.visualize_saliency": turning(lambda index: vis.visualize_saliency(network, -1, index, x[:1])),
    }
    yield f"a new class at every call, {name}, batch {batch}", {**candidates, **theirs}, 1


def gathered(name: str, network: keras.Model) -> Iterator[Row]:
    """Yield the rows of noisy copies and paths of one image; the limit is the gradient of as many images."""
    x = images(network, 1)
    many = images(network, SAMPLES)
    limit = gradient(network, many.shape, INDEX)
    smooth = attributions.SmoothGrad(network, nb_samples=SAMPLES)
    path = attributions.IntegratedGradients(network, steps=SAMPLES)
    theirs = {
        "SmoothGrad": peers.of("smooth", network, x, INDEX, SAMPLES),
        "IntegratedGradients": peers.of("integrated", network, x, INDEX, SAMPLES),
    }
    for title, ours in (("SmoothGrad", smooth), ("IntegratedGradients", path)):
        candidates: dict[str, Run] = {
            LIMIT: lambda: limit(many).mean(axis=0),
            OURS: lambda ours=ours: ours(x, INDEX),
        }
        yield f"{title}-{SAMPLES}, {name}, one image", {**candidates, **theirs[title]}, 1


def flows(name: str, network: keras.Model, batch: int) -> Iterator[Row]:
    """Yield the row of relevance; the limit is the gradient."""
    x = images(network, batch)
    limit = gradient(network, x.shape, INDEX)
    candidates: dict[str, Run] = {LIMIT: lambda: limit(x)}
    for composite in ("epsilon", "epsilon_plus"):
        explainer = attributions.LRP(network, composite, batch_size=None, reducer=None)
        candidates[f"{OURS}, {composite}"] = lambda explainer=explainer: explainer(x, INDEX)
    yield f"relevance, {name}, batch {batch}", candidates, 1


def cams(name: str, network: keras.Model, batch: int) -> Iterator[Row]:
    """Yield the row of Grad-CAM."""
    x = images(network, batch)
    ours = attributions.GradCAM(network, batch_size=None)
    layer = ours.conv_layer.name
    limit = grad_cam(network, layer, x.shape, INDEX)
    candidates: dict[str, Run] = {LIMIT: lambda: limit(x), OURS: lambda: ours(x, INDEX)}
    theirs = peers.of("grad_cam", network, x, INDEX, layer)
    yield f"Grad-CAM, {name}, batch {batch}", {**candidates, **theirs}, 1


def score_cams(name: str, network: keras.Model, most: int) -> Iterator[Row]:
    """Yield the row of Score-CAM of one image; the limit is Keras's prediction of as many images."""
    x, many = images(network, 1), images(network, most)
    ours = attributions.ScoreCAM(network, max_channels=most)
    layer = ours.conv_layer.name
    candidates: dict[str, Run] = {
        LIMIT: lambda: network.predict(many, batch_size=64, verbose=0),
        OURS: lambda: ours(x, INDEX),
    }
    theirs = peers.of("score_cam", network, x, INDEX, layer, most)
    yield f"Score-CAM of {most} channels, {name}, one image", {**candidates, **theirs}, 1


def by_scores(name: str, network: keras.Model) -> Iterator[Row]:
    """Yield the rows of explainers without gradients; the limit is the forward pass of as many images."""
    x = images(network, 1)
    side = x.shape[1] // 8
    limit = forward(network, (64, *x.shape[1:]))
    many = images(network, 64)
    passes = {"Occlusion": 64, "Rise": 512, "Lime": 512, "KernelShap": 512}
    made = {
        "Occlusion": attributions.Occlusion(network, patch_size=side),
        "Rise": attributions.Rise(network, nb_samples=512),
        "Lime": attributions.Lime(network, features=side, nb_samples=512),
        "KernelShap": attributions.KernelShap(network, features=side, nb_samples=512),
    }
    theirs: dict[str, Any] = peers.of("by_scores", network, x, INDEX, passes)
    for title, explainer in made.items():
        candidates: dict[str, Run] = {
            LIMIT: lambda count=passes[title]: [limit(many) for _ in range(count // 64)],
            OURS: lambda explainer=explainer: explainer(x, INDEX),
        }
        yield f"{title}, {passes[title]} passes, {name}", {**candidates, **theirs.get(title, {})}, 1


def written(name: str, network: keras.Model, batch: int = 16) -> Iterator[Row]:
    """Yield the row of a job that writes to disk; the limit stores nothing."""
    x = images(network, WRITTEN)
    targets = np.full(WRITTEN, INDEX)
    limit = gradient(network, (batch, *x.shape[1:]), INDEX)

    def by_hand() -> None:
        for start in range(0, WRITTEN, batch):
            largest(limit(x[start : start + batch]))

    def ours(**options: Any) -> None:
        explainer = attributions.Saliency(network, batch_size=batch, **options)
        with tempfile.TemporaryDirectory() as folder:
            explainer.write(x, Path(folder) / "maps.zarr", targets, progress=False)

    candidates: dict[str, Run] = {LIMIT: by_hand, OURS: ours}
    if models.foldable(network):
        candidates["vis, folded"] = lambda: ours(fold_layers=True)
    yield f"write of {WRITTEN} images, {name}, batches of {batch}", candidates, WRITTEN


def rows() -> Iterator[tuple[str, Callable[[], Iterator[Row]]]]:
    """Yield each group of rows with the function that makes it, the slowest last."""
    few, more = (SMALL, "MobileNetV2"), (SMALL, "MobileNetV2", "ResNet50")
    for batch in (1, 16):
        for name in NETWORKS if BACKEND == "tensorflow" else more:
            yield f"plain {name} {batch}", lambda n=name, b=batch: plain(n, build(n), b)
        small = "MobileNetV2, 96 x 96"
        yield f"plain {small} {batch}", lambda n=small, b=batch: plain(n, build("MobileNetV2", 96), b)
        for name in more:
            yield f"cam {name} {batch}", lambda n=name, b=batch: cams(n, build(n), b)
        if batch == 1:
            for name in few:
                yield f"changing {name}", lambda n=name: changing(n, build(n), 1)
            yield f"write {SMALL}", lambda: written(SMALL, build(SMALL))
    for name, most in ((SMALL, 48), ("MobileNetV2", 64)):
        yield f"score-cam {name}", lambda n=name, m=most: score_cams(n, build(n), m)
    for name in (SMALL, "VGG16", "ResNet50"):
        yield f"relevance {name}", lambda n=name: flows(n, build(n), 8)
    for name in more:
        yield f"gathered {name}", lambda n=name: gathered(n, build(n))
    for name, side in (SMALL, 64), ("MobileNetV2", 96):
        title = f"{name}, {side} x {side}"
        yield f"scores {title}", lambda t=title, n=name, s=side: by_scores(t, build(n, s))
    yield "write MobileNetV2", lambda: written("MobileNetV2, 96 x 96", build("MobileNetV2", 96))


def _same(ours: Any, limit: Any) -> None:
    # Where rounding moves a value across the kink of a ReLU, single pixels differ by some percent.
    assert np.linalg.norm(ours - limit) <= 1e-2 * np.linalg.norm(limit), "the maps differ"  # noqa: S101


@click.command()
@click.option("--only", default="", help="Measure only groups of rows whose name contains this.")
@click.option("--rounds", default=ROUNDS, show_default=True)
@click.option("--output", default=named("speed"), show_default=True, help="The name of the results.")
def main(only: str, rounds: int, output: str) -> None:
    """Measure the rows and write the results; other rows are kept. Each group has a process of its own."""
    groups = dict(rows())
    if only not in groups:
        for group in filter(lambda group: only in group, groups):
            options = ["--only", group, "--rounds", str(rounds), "--output", output]
            subprocess.run([sys.executable, __file__, *options], check=True)
        return
    found, about = read(output), {"device": device(), **peers.VERSIONS}
    for title, candidates, units in groups[only]():
        found[title] = row(title, interleave(candidates, rounds), LIMIT, units)
        ratios = {name: each["ratio"] for name, each in found[title]["candidates"].items()}
        print(title, ratios, flush=True)
    write(output, list(found.values()), about)


if __name__ == "__main__":
    main()
