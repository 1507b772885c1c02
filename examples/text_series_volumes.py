"""Text, series, volumes, videos and tables: maps of other inputs than photographs.

Five small networks are trained in about a minute, each on a task whose answer lies somewhere that is known:
in the opinions of a review, in one deformed heartbeat, in a ball inside a noisy volume, in the path of a
moving digit, in the features of a table. What is printed says how well the maps find it.

The reviews, the heartbeats and the volumes are made here; the digits and the table of breast tumours are
those of scikit-learn.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import click
import keras
import numpy as np
from sklearn.datasets import load_breast_cancer, load_digits

from vis import metrics, plotting
from vis.attributions import IntegratedGradients, SmoothGrad

layers = keras.layers
GOOD = ("lovely", "brilliant", "funny", "moving", "clever")
BAD = ("boring", "dull", "awful", "clumsy", "slow")
NOUNS = ("film", "plot", "music", "cast", "ending")
DEGREES = ("very", "rather", "not")
WORDS = ("the", "was", "and", *DEGREES, *NOUNS, *GOOD, *BAD)


class Found(NamedTuple):
    """What an example of one kind has found: what it prints, and what draws it into axes or a figure."""

    line: str
    draw: Callable[..., Any]


def train(
    model: keras.Model, inputs: np.ndarray, labels: np.ndarray, epochs: int, rate: float = 3e-3
) -> None:
    """Train a network with one output, the logit of the second class."""
    model.compile(keras.optimizers.Adam(rate), keras.losses.BinaryCrossentropy(from_logits=True))
    model.fit(inputs, labels.astype(np.float32)[:, None], 32, epochs, verbose=0)


def accuracy(model: keras.Model, inputs: np.ndarray, labels: np.ndarray) -> float:
    """Return how often the sign of the logit is right."""
    return float(((model.predict(inputs, verbose=0)[:, 0] > 0) == labels).mean())


def reviews(count: int, rng: np.random.Generator) -> tuple[list[list[str]], np.ndarray]:
    """Return reviews of two opinions, of which "not" turns one round, and whether they are good.

    Those of one good and one bad opinion are left out.
    """
    texts, labels = [], []
    while len(texts) < count:
        parts, signs = [], []
        for _ in range(2):
            good, degree = rng.random() < 0.5, rng.choice(DEGREES)
            parts.append(["the", rng.choice(NOUNS), "was", degree, rng.choice(GOOD if good else BAD)])
            signs.append(good != (degree == "not"))
        if signs[0] == signs[1]:
            texts.append([str(word) for word in (*parts[0], "and", *parts[1])])
            labels.append(signs[0])
    return texts, np.array(labels)


def text(rng: np.random.Generator) -> Found:
    """Explain which words make a review a good or a bad one."""
    model = keras.Sequential(
        [
            layers.Input((11,), dtype="int32"),
            layers.Embedding(len(WORDS), 12, name="embedding"),
            layers.Conv1D(24, 2, activation="relu"),
            layers.GlobalMaxPooling1D(),
            layers.Dense(1),
        ]
    )

    def tokens(texts: list[list[str]]) -> np.ndarray:
        return np.array([[WORDS.index(word) for word in words] for words in texts])

    texts, labels = reviews(1500, rng)
    train(model, tokens(texts), labels, 8, 1e-2)
    texts, labels = reviews(200, rng)
    explainer = IntegratedGradients(model, reducer="sum", steps=16, wrt="embedding")
    maps = explainer(tokens(texts), np.zeros(len(texts), int))[..., 0]
    opinions = np.isin(texts, (*GOOD, *BAD, "not"))
    share = metrics.energy_in_mask(np.abs(maps), opinions)
    plain = np.isin(texts, GOOD) * 1 - np.isin(texts, BAD)
    plain[:, 1:] *= np.array(texts)[:, :-1] != "not"
    right = np.sign(maps)[plain != 0] == plain[plain != 0]
    shown = [texts[i] for i in (*np.flatnonzero(labels)[:2], *np.flatnonzero(~labels)[:2])]

    def draw(**options: Any) -> Any:
        values = explainer(tokens(shown), np.zeros(4, int))
        title = "Reviews: two good ones, two bad ones"
        return plotting.plot_tokens(shown, values, title, name="contribution to “good”", **options)

    return Found(
        f"text: {accuracy(model, tokens(texts), labels):.2f} right; opinions: {opinions.mean():.2f} of the "
        f"words, {np.median(share):.2f} of the map, with the right sign in {right.mean():.2f} of the cases",
        draw,
    )


def heartbeats(count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return series (N, 160, 2) of beats, whether one of them is deformed in the second lead, and where."""
    time = np.arange(160)
    series = 0.15 * rng.normal(size=(count, 160, 2))
    labels, where = rng.random(count) < 0.5, np.zeros((count, 160), bool)
    for one, sick, mask in zip(series, labels, where, strict=True):
        beats = rng.uniform(8, 18) + 24 * np.arange(6) + rng.normal(size=6)
        deformed = rng.integers(1, 5) if sick else -1
        for number, beat in enumerate(beats):
            one += np.exp(-(((time - beat) / 1.5) ** 2))[:, None] * (1, 0.7)
            if number == deformed:
                one[:, 1] -= 1.4 * np.exp(-(((time - beat - 5) / 3) ** 2))
                mask |= abs(time - beat - 5) <= 6
    return series.astype(np.float32), labels, where


def series(rng: np.random.Generator) -> Found:
    """Explain which part of a series makes it a sick one."""
    model = keras.Sequential(
        [
            layers.Input((160, 2)),
            layers.Conv1D(8, 9, activation="relu", padding="same"),
            layers.Conv1D(8, 9, activation="relu", padding="same"),
            layers.GlobalMaxPooling1D(),
            layers.Dense(1),
        ]
    )
    train(model, *heartbeats(600, rng)[:2], 12)
    inputs, labels, where = heartbeats(100, rng)
    right = accuracy(model, inputs, labels)
    inputs, where = inputs[labels], where[labels]
    explainer = IntegratedGradients(model, reducer=None, steps=16)
    maps = explainer(inputs, np.zeros(len(inputs), int))
    share = metrics.energy_in_mask(np.abs(maps).sum(axis=-1), where)
    second = np.abs(maps[..., 1]).sum(axis=1) / np.abs(maps).sum(axis=(1, 2))

    def draw(**options: Any) -> Any:
        return plotting.plot_series(
            inputs[0],
            maps[0],
            "A deformed beat in the second of two leads",
            channels=["lead 1", "lead 2"],
            name="contribution to “sick”",
            **options,
        )

    return Found(
        f"series: {right:.2f} right; deformed beat: {where.mean():.2f} of the time, "
        f"{np.median(share):.2f} of the map; its lead: {np.median(second):.2f} of the map",
        draw,
    )


def balls(count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return noisy volumes (N, 16, 20, 20, 1), whether there is a ball in them, and where."""
    volumes = 0.3 * rng.normal(size=(count, 16, 20, 20))
    labels, where = rng.random(count) < 0.5, np.zeros(volumes.shape, bool)
    grid = np.indices(volumes.shape[1:])
    for sick, mask in zip(labels, where, strict=True):
        if sick:
            middle = rng.uniform((4, 4, 4), (12, 16, 16))
            mask |= np.square(grid - middle[:, None, None, None]).sum(axis=0) < 3.5**2
    volumes += 0.5 * where
    return volumes[..., None].astype(np.float32), labels, where


def volume(rng: np.random.Generator) -> Found:
    """Explain which voxels of a volume show that there is a ball."""
    model = keras.Sequential(
        [
            layers.Input((16, 20, 20, 1)),
            layers.Conv3D(6, 3, activation="relu"),
            layers.MaxPooling3D(2),
            layers.Conv3D(8, 3, activation="relu"),
            layers.GlobalMaxPooling3D(),
            layers.Dense(1),
        ]
    )
    train(model, *balls(400, rng)[:2], 10)
    inputs, labels, where = balls(60, rng)
    right = accuracy(model, inputs, labels)
    inputs, where = inputs[labels], where[labels]
    maps = SmoothGrad(model, nb_samples=16, noise=0.2)(inputs, np.zeros(len(inputs), int))
    share = metrics.energy_in_mask(np.abs(maps), where)

    def draw(**options: Any) -> Any:
        title = "A ball in a noisy volume"
        return plotting.plot_volume(inputs[0], maps[0], title, name="SmoothGrad", **options)

    return Found(
        f"volume: {right:.2f} right; ball: {where.mean():.2f} of the volume, "
        f"{np.median(share):.2f} of the map",
        draw,
    )


def moving_digits(
    count: int, pictures: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return videos (N, 8, 16, 24, 1) of moving digits, whether they move right, and where they are."""
    videos = 0.1 * rng.random((count, 8, 16, 24))
    labels, where = rng.random(count) < 0.5, np.zeros(videos.shape, bool)
    for video, right, mask in zip(videos, labels, where, strict=True):
        digit, top, start = pictures[rng.integers(len(pictures))], rng.integers(0, 9), rng.integers(0, 3)
        for frame in range(8):
            left = start + 2 * frame if right else 16 - start - 2 * frame
            window = (frame, slice(top, top + 8), slice(max(0, left), max(0, left) + 8))
            video[window] = np.maximum(video[window], digit)
            mask[window] = True
    return videos[..., None].astype(np.float32), labels, where


def video(rng: np.random.Generator) -> Found:
    """Explain what in a video shows where something moves."""
    digits = load_digits().images / 16
    model = keras.Sequential(
        [
            layers.Input((8, 16, 24, 1)),
            layers.Conv3D(8, (3, 5, 5), activation="relu"),
            layers.Conv3D(8, (3, 3, 3), activation="relu"),
            layers.GlobalAveragePooling3D(),
            layers.Dense(1),
        ]
    )
    train(model, *moving_digits(400, digits[:1400], rng)[:2], 8, 1e-2)
    inputs, labels, where = moving_digits(60, digits[1400:], rng)
    maps = IntegratedGradients(model, steps=16)(inputs, np.zeros(len(inputs), int))
    share = metrics.energy_in_mask(np.abs(maps), where)
    one = int(np.flatnonzero(labels)[0])

    def draw(path: Path | None = None, **options: Any) -> Any:
        if path is not None:
            return plotting.save_gif(path, inputs[one], maps[one], fps=4)
        title = "A digit that moves to the right"
        name = "contribution to “right”"
        return plotting.plot_volume(inputs[one], maps[one], title, unit="frame", name=name, **options)

    return Found(
        f"video: {accuracy(model, inputs, labels):.2f} right; digit: {where.mean():.2f} of the frames, "
        f"{np.median(share):.2f} of the map",
        draw,
    )


def table(rng: np.random.Generator) -> Found:
    """Explain which features of a tumour make it a malignant one."""
    data = load_breast_cancer()
    order = rng.permutation(len(data.data))
    seen, unseen = order[:400], order[400:]
    scaled = ((data.data - data.data[seen].mean(axis=0)) / data.data[seen].std(axis=0)).astype(np.float32)
    model = keras.Sequential([layers.Input((30,)), layers.Dense(16, activation="relu"), layers.Dense(1)])
    malignant = data.target == 0
    train(model, scaled[seen], malignant[seen], 15)
    inputs, labels = scaled[unseen], malignant[unseen]
    right = accuracy(model, inputs, labels)
    inputs = inputs[labels]
    maps = IntegratedGradients(model)(inputs, np.zeros(len(inputs), int))
    ranked = np.argsort(-np.abs(maps).mean(axis=0))

    def without(features: np.ndarray) -> float:
        changed = inputs.copy()
        changed[:, features] = 0
        return float(np.abs(model.predict(changed, verbose=0) - model.predict(inputs, verbose=0)).mean())

    def draw(**options: Any) -> Any:
        name = "contribution to “malignant”"
        title = "Malignant tumours: the features that count"
        return plotting.plot_features(data.feature_names, maps, title, top=8, name=name, **options)

    return Found(
        f"table: {right:.2f} right; set to their mean, the first 8 features change the logit by "
        f"{without(ranked[:8]):.2f}, the last 8 by {without(ranked[-8:]):.2f}",
        draw,
    )


@click.command()
@click.option("--output", type=click.Path(file_okay=False, path_type=Path), default="pictures")
def main(output: Path) -> None:
    """Train the five networks, say what their maps find, and draw them apart and together."""
    output.mkdir(parents=True, exist_ok=True)
    found = {}
    for number, kind in enumerate((text, series, volume, video, table)):
        keras.utils.set_random_seed(number)
        found[kind.__name__] = kind(np.random.default_rng(number))
        click.echo(found[kind.__name__].line)
    for name, one in found.items():
        one.draw().savefig(output / f"{name}.png", dpi=110)
    found["video"].draw(output / "video.gif")
    figure = plotting.Figure(figsize=(15, 11), layout="constrained")
    axes = figure.subplot_mosaic([["text", "series"], ["volume", "video"], ["volume", "table"]])
    for name, one in found.items():
        one.draw(ax=axes[name])
    figure.savefig(output / "text_series_volumes.png", dpi=100)


if __name__ == "__main__":
    main()
