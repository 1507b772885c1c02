"""Watchers are told of every part of long work, change no number, and can stop it anywhere."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

import vis
from tests.metrics.models import IMAGES, LABELS, convolutional
from vis import attributions, metrics
from vis.attributions import store
from vis.errors import InputError
from vis.input_modifiers import Jitter
from vis.progress import Work, each

Told = tuple[int, int | None, str]


class Stop(Exception):
    pass


def told(compute: Callable[[], Any]) -> tuple[list[Told], Any]:
    """Return what a watcher is told, and the result."""
    heard: list[Told] = []
    with vis.watching(lambda *now: heard.append(now)):
        found = compute()
    return heard, found


def counts(total: int, what: str, *done: int) -> list[Told]:
    return [(number, total, what) for number in done]


# ---- watching ------------------------------------------------------------------------------------------


def test_work_is_told_part_by_part() -> None:
    def compute() -> None:
        with Work(7, "samples", 2) as work:
            work.advance(3)
            work.advance(2)
        for _ in each("ab", "letters", 5):
            pass
        with Work(None, "items") as work:
            work.advance()

    heard, _ = told(compute)
    assert heard == [
        *counts(7, "samples", 2, 5, 7),
        *counts(10, "letters", 0, 5, 10),
        (0, None, "items"),
        (1, None, "items"),
    ]


def test_watchers_inside_each_other() -> None:
    heard: list[str] = []
    with vis.watching(lambda *now: heard.append("outer")):
        with vis.watching(lambda *now: heard.append("inner")), Work(1, "samples"):
            pass
        with Work(1, "samples"):
            pass
    with Work(1, "samples"):
        pass
    assert heard == ["outer", "inner", "outer"]


def test_what_a_watcher_computes_is_not_watched() -> None:
    heard: list[Told] = []

    def progress(*now: Any) -> None:
        heard.append(now)
        for _ in each("abc", "letters"):
            pass

    with vis.watching(progress), Work(1, "samples") as work:
        work.advance()
    assert heard == counts(1, "samples", 0, 1)


def test_a_watcher_that_raises_is_gone() -> None:
    stop = Stop()

    def progress(*_: Any) -> None:
        raise stop

    with pytest.raises(Stop) as caught, vis.watching(progress), Work(1, "samples"):
        raise AssertionError("not reached")
    assert caught.value is stop
    with Work(1, "samples") as work:
        work.advance()


def test_each_thread_has_its_own_watchers() -> None:
    heard: dict[str, list[Told]] = {"one": [], "two": [], "none": []}
    together = threading.Barrier(3)

    def work(name: str) -> None:
        def compute() -> None:
            with Work(1, name) as work:
                together.wait(10)
                work.advance()

        if name == "none":
            compute()
        else:
            with vis.watching(lambda *now: heard[name].append(now)):
                compute()

    threads = [threading.Thread(target=work, args=(name,)) for name in heard]
    with vis.watching(lambda *now: heard["none"].append(now)):  # of this thread, and not of the others
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert heard == {"one": counts(1, "one", 0, 1), "two": counts(1, "two", 0, 1), "none": []}


@pytest.mark.parametrize("progress", [None, 3])
def test_what_is_not_a_function(progress: Any) -> None:
    with pytest.raises(InputError, match=r"progress must be a function of \(done, total, what\)"):
        vis.watching(progress).__enter__()


def test_a_bar_is_closed_whatever_is_raised(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(Stop), Work(2, "samples", bar=True) as work:
        work.describe("now")
        work.advance()
        raise Stop
    assert work._bar.disable  # as tqdm marks a bar that is closed
    shown = capfd.readouterr().err
    assert "now: " in shown and "0/2" in shown and " samples" in shown
    with Work(2, "samples"):
        pass
    assert capfd.readouterr().err == ""


# ---- what is told --------------------------------------------------------------------------------------


def of(name: str, **options: Any) -> Callable[[], Any]:
    """Return what explains the first two images."""
    explainer = getattr(attributions, name)(convolutional(None), **options)
    return lambda: explainer(IMAGES[:2], LABELS[:2])


def saliency(**options: Any) -> attributions.Explainer:
    return vis.Saliency(convolutional(None), **options)


def picture(**options: Any) -> Any:
    settings = {"input_range": (0, 1), "seed": 0, "max_iter": 45, "parameterization": "fourier", **options}
    return vis.visualize_activation(convolutional(None), -1, 1, **settings)


def stream() -> Iterator[Any]:
    return iter([(image, label) for image, label in zip(IMAGES, LABELS, strict=True)])


def sanity() -> Any:
    found = metrics.sanity_check(vis.Saliency, convolutional(None), IMAGES, LABELS)
    return found.rank_correlation, found.structural_similarity


def comparison() -> Any:
    explainers = {"one": saliency(batch_size=4), "two": saliency(batch_size=4)}
    return metrics.compare(explainers, IMAGES, LABELS, ["complexity", "sparseness"]).values


SAMPLES = [(0, 2, "samples"), (2, 2, "samples")]


def around(inside: list[Told]) -> list[Told]:
    return [SAMPLES[0], *inside, SAMPLES[1]]


# Each by hand: what is computed, and what a watcher hears.
COMPUTED: dict[str, tuple[Callable[[], Any], list[Told]]] = {
    "batches": (lambda: saliency(batch_size=3)(IMAGES, LABELS), counts(4, "samples", 0, 3, 4)),
    "a stream": (
        lambda: saliency(batch_size=3)(stream()),
        [(0, None, "samples"), (3, None, "samples"), (4, None, "samples")],
    ),
    # Three copies of two samples at once.
    "SmoothGrad": (
        lambda: of("SmoothGrad", nb_samples=7, batch_size=6)(),
        around(counts(14, "inputs", 0, 6, 12, 14)),
    ),
    "IntegratedGradients": (
        lambda: of("IntegratedGradients", steps=4, batch_size=4)(),
        around(
            [(0, 1, "baselines"), *counts(8, "inputs", 0, 4, 8), (1, 1, "baselines")],
        ),
    ),
    "LayerConductance": (
        lambda: of("LayerConductance", layer=0, steps=2)(),
        around(counts(6, "inputs", 0, 2, 4, 6)),
    ),
    "Rise": (
        lambda: of("Rise", nb_samples=5, grid_size=3, batch_size=4)(),
        around(counts(10, "inputs", 0, 4, 8, 10)),
    ),
    "Occlusion": (
        lambda: of("Occlusion", patch_size=3, patch_stride=3, batch_size=5)(),
        around(counts(12, "inputs", 0, 5, 10, 12)),
    ),
    "ScoreCAM": (
        lambda: of("ScoreCAM", batch_size=4)(),
        around(counts(8, "inputs", 0, 4, 8)),
    ),
    "deletion": (
        lambda: metrics.deletion(convolutional(None), IMAGES, IMAGES, LABELS, batch_size=4, steps=2).scores,
        [(0, 4, "samples"), *counts(12, "inputs", 0, 4, 8, 12), (4, 4, "samples")],
    ),
    "random_logit": (
        lambda: metrics.random_logit(saliency(), IMAGES, LABELS, nb_samples=2),
        [(0, 4, "samples"), *counts(8, "inputs", 0, 4, 8), (4, 4, "samples")],
    ),
    "residuals": (
        lambda: vis.IntegratedGradients(convolutional(None), steps=2, batch_size=8).residuals(IMAGES, LABELS),
        [
            (0, 4, "samples"),
            (0, 1, "baselines"),
            *counts(8, "inputs", 0, 8),
            (1, 1, "baselines"),
            (4, 4, "samples"),
        ],
    ),
    "sanity_check": (
        sanity,
        [
            *counts(4, "samples", 0, 4),
            (0, 2, "layers"),
            *counts(4, "samples", 0, 4),
            (1, 2, "layers"),
            *counts(4, "samples", 0, 4),
            (2, 2, "layers"),
        ],
    ),
    "visualize_activation": (picture, counts(45, "steps", *range(46))),
    "with modifiers": (
        lambda: picture(max_iter=5, parameterization="pixels", input_modifiers=[Jitter(1, seed=0)]),
        counts(5, "steps", *range(6)),
    ),
}


def same(one: Any, other: Any) -> bool:
    pairs = zip(keras.tree.flatten(one), keras.tree.flatten(other), strict=True)
    return all(np.array_equal(*pair, equal_nan=True) for pair in pairs)


@pytest.mark.parametrize("name", COMPUTED)
def test_what_is_told_and_that_it_can_be_stopped_anywhere(name: str) -> None:
    compute, expected = COMPUTED[name]
    weights = convolutional(None).get_weights()
    wanted = compute()
    heard, found = told(compute)
    assert heard == expected
    assert same(found, wanted), "a watcher changes no number"
    for last in sorted({0, len(expected) // 2, len(expected) - 1}):
        stop, left = Stop(), last

        def progress(*_: Any, stop: Stop = stop) -> None:
            nonlocal left
            if not left:
                raise stop
            left -= 1

        states = random.getstate(), np.random.get_state()[1].tolist()  # type: ignore[union-attr,index]
        with pytest.raises(Stop) as caught, vis.watching(progress):
            compute()
        assert caught.value is stop
        assert states == (random.getstate(), np.random.get_state()[1].tolist())  # type: ignore[index]
        assert same(compute(), wanted), "nothing is left of what was stopped"
    assert same(weights, convolutional(None).get_weights())


def test_a_comparison_is_told_of_its_measures() -> None:
    heard, found = told(comparison)
    assert [now for now in heard if now[2] == "measures"] == counts(6, "measures", *range(7))
    assert same(found, comparison())


def test_the_first_call_can_be_stopped() -> None:
    """Before anything is compiled, and then after it: what the first call leaves is not half of something."""
    model = keras.Sequential([layers.Input((6, 7, 3)), layers.Flatten(), layers.Dense(2)])
    calls: list[Callable[[], Any]] = [
        lambda: vis.SmoothGrad(model, nb_samples=4, batch_size=2)(IMAGES[:1], 0),
        lambda: vis.visualize_activation(model, -1, 0, input_range=(0, 1), seed=0, max_iter=40),
    ]
    for compute in calls:
        for last in (0, 1, 2):
            heard: list[Told] = []

            def progress(*now: Any, heard: list[Told] = heard, last: int = last) -> None:
                heard.append(now)
                if len(heard) > last:
                    raise Stop

            with pytest.raises(Stop), vis.watching(progress):
                compute()
        again = keras.models.clone_model(model)
        again.set_weights(model.get_weights())
        assert np.isfinite(compute()).all() and again.count_params() == model.count_params()
        assert same(compute(), compute())


def test_what_is_written_is_kept(tmp_path: Path) -> None:
    explainer = saliency(batch_size=1)
    heard, _ = told(lambda: explainer.write(IMAGES, tmp_path / "whole.zarr", LABELS, progress=False))
    assert heard == counts(4, "samples", 0, 1, 2, 3, 4)

    def progress(done: int, total: int | None, what: str) -> None:
        if done == 2:
            raise Stop

    path = tmp_path / "stopped.zarr"
    with pytest.raises(Stop), vis.watching(progress):
        explainer.write(IMAGES, path, LABELS, progress=False)
    assert len(store.read(path)) == 2
    heard, _ = told(lambda: explainer.write(IMAGES, path, LABELS, progress=False))
    assert heard == counts(4, "samples", 2, 3, 4)
    for name in ("maps", "scores", "targets"):
        assert same(store.read(path, name=name), store.read(tmp_path / "whole.zarr", name=name))


def test_callbacks_end_when_a_picture_is_stopped() -> None:
    class Ends(vis.callbacks.OptimizerCallback):
        steps, ends = 0, 0

        def callback(self, *_: Any) -> None:
            self.steps += 1

        def on_end(self) -> None:
            self.ends += 1

    def progress(done: int, total: int | None, what: str) -> None:
        if done == 3:
            raise Stop

    ends = Ends()
    with pytest.raises(Stop), vis.watching(progress):
        picture(callbacks=[ends])
    assert (ends.steps, ends.ends) == (3, 1)


@pytest.mark.filterwarnings("ignore::vis.errors.EmptyMapWarning")
def test_a_report_is_told_of_its_maps(tmp_path: Path) -> None:
    saliency().write(IMAGES, tmp_path / "maps.zarr", LABELS, progress=False)
    heard, _ = told(lambda: vis.report(tmp_path / "maps.zarr", images=IMAGES, progress=False))
    assert heard == counts(4, "maps", 0, 4)
