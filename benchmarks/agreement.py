"""Compare the explainers with Xplique 2.0.2 and tf-keras-vis 0.8.7 on the demo's network.

`make agreement` creates an environment with both and runs this. docs/agreement.md explains the rows.
"""

from __future__ import annotations

import platform
import warnings
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any
from unittest import mock

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf
from scipy.stats import spearmanr
from sklearn.linear_model import Ridge
from tf_keras_vis.gradcam import Gradcam
from tf_keras_vis.saliency import Saliency as PeerSaliency
from tf_keras_vis.scorecam import Scorecam
from tf_keras_vis.utils.scores import CategoricalScore
from xplique import attributions as xplique
from xplique import metrics as peers
from xplique.attributions import global_sensitivity_analysis as gsa

from vis import attributions as vis
from vis import linear_outputs, metrics
from vis.attributions.rise import _Field
from vis.demo.network import load_network
from vis.demo.scenes import make_scenes
from vis.errors import EmptyMapWarning

RESULTS = Path(__file__).with_name("results")
XPLIQUE = f"Xplique {version('xplique')}"
TF_KERAS_VIS = f"tf-keras-vis {version('tf-keras-vis')}"
CONVOLUTION = "conv5"
# Its positions are the pixels, so that it does not matter how masks and maps are enlarged.
PIXELS = "relu1"

Maps = npt.NDArray[Any]


class UnsharedScoreCAM(vis.ScoreCAM):
    """Score-CAM whose weights are the scores themselves."""

    def shares(self, scores: Maps) -> Maps:
        return scores


def probability(model: Any, inputs: Any, targets: Any) -> Any:
    """Return the probability of the target's class."""
    return keras.ops.sum(keras.ops.softmax(model(inputs)) * targets, axis=-1)


def difference(ours: Any, theirs: Any) -> float:
    """Return the largest difference, relative to the largest magnitude of ours."""
    ours, theirs = np.asarray(ours, np.float64), np.asarray(theirs, np.float64)
    return float(np.abs(ours - theirs).max() / np.abs(ours).max())


def rank_correlation(ours: Any, theirs: Any) -> float:
    """Return the lowest Spearman correlation between the two maps of a scene, over all scenes."""
    pairs = zip(np.asarray(ours), np.asarray(theirs), strict=True)
    return min(float(spearmanr(a.ravel(), b.ravel()).statistic) for a, b in pairs)


def digits(share: float) -> str:
    """Format a difference for a cell."""
    return f"{share:.1e}" if share else "0"


def in_a_line(error: Exception) -> str:
    """Format an error for a cell."""
    text = " ".join(str(error).split()).replace("|", "/")
    return f"{type(error).__name__}: {text[:60]}..."


def row(method: str, peer: str, ours: Maps, theirs: Callable[[], Any]) -> str:
    """Return a row: the difference between the maps of a peer and ours, or the error that it raises."""
    try:
        found = np.asarray(theirs())
    except Exception as error:
        return f"| {method} | {peer} | fails | {in_a_line(error)} |"
    found = found.reshape(ours.shape)
    return f"| {method} | {peer} | {digits(difference(ours, found))} | {rank_correlation(ours, found):.4f} |"


def scaled(maps: Maps) -> Maps:
    """Return each map scaled to [0, 1]."""
    axes = tuple(range(1, maps.ndim))
    low, high = maps.min(axis=axes, keepdims=True), maps.max(axis=axes, keepdims=True)
    return np.asarray((maps - low) / (high - low))


def explainers() -> list[str]:
    """Return a row per explainer and peer."""
    scenes = make_scenes(8, "test", 1)
    logits = linear_outputs(load_network())
    images, labels = scenes.images, scenes.labels
    rows = np.eye(10, dtype=np.float32)[labels]
    noise = 0.01 * np.random.default_rng(0).standard_normal(images.shape)
    untied = (images + noise).astype(np.float32)
    score = CategoricalScore(labels.tolist())
    lines = ["| method | peer | difference | rank correlation |", "|---|---|---|---|"]

    for name in ("Saliency", "GradientInput", "GuidedBackprop", "DeconvNet"):
        ours = getattr(vis, name)(logits).explain(images, labels)
        peer = getattr(xplique, name)
        lines.append(row(name, XPLIQUE, ours, lambda peer=peer: peer(logits).explain(images, rows)))
    for title, method, given in (
        ("IntegratedGradients", "gauss-legendre", images),
        ('IntegratedGradients, `method="trapezoid"`', "trapezoid", images),
        ("the same, noise of 0.01 on the scenes", "trapezoid", untied),
    ):
        ours = vis.IntegratedGradients(logits, method=method).explain(given, labels)
        lines.append(
            row(
                title,
                XPLIQUE,
                ours,
                lambda given=given: xplique.IntegratedGradients(logits).explain(given, rows),
            )
        )
    smooth = vis.SmoothGrad(logits, noise_scale="absolute").explain(images, labels)
    lines.append(
        row(
            "SmoothGrad, 50 copies",
            XPLIQUE,
            smooth,
            lambda: xplique.SmoothGrad(logits).explain(images, rows),
        )
    )
    lines.append(
        row(
            "SmoothGrad, 50 copies",
            "vis, another seed",
            smooth,
            lambda: vis.SmoothGrad(logits, seed=1, noise_scale="absolute").explain(images, labels),
        )
    )

    ours = vis.GradCAM(logits, conv_layer=CONVOLUTION).explain(images, labels)
    small = vis.GradCAM(logits, conv_layer=CONVOLUTION, upsample=False).explain(images, labels)
    cubic = tf.image.resize(small, images.shape[1:3], "bicubic").numpy()
    corners = Gradcam(logits)

    def peer_cam() -> Any:
        return xplique.GradCAM(logits, conv_layer=CONVOLUTION).explain(images, rows)

    lines.append(row("GradCAM", XPLIQUE, ours, peer_cam))
    lines.append(row("GradCAM, ours enlarged bicubically", XPLIQUE, cubic, peer_cam))
    lines.append(
        row(
            "GradCAM",
            TF_KERAS_VIS,
            ours,
            lambda: corners(score, images, penultimate_layer=CONVOLUTION, normalize_cam=False),
        )
    )
    lines.append(
        row(
            "GradCAM, before it is enlarged",
            TF_KERAS_VIS,
            small,
            lambda: corners(
                score, images, penultimate_layer=CONVOLUTION, normalize_cam=False, expand_cam=False
            ),
        )
    )
    masks = Scorecam(logits)

    def peer_score_cam(most: int | None) -> Any:
        # One by one: together, each image gets the channels of all.
        return [
            masks(
                CategoricalScore([int(label)]),
                image[None],
                penultimate_layer=PIXELS,
                seek_penultimate_conv_layer=False,
                max_N=most,
                normalize_cam=False,
            )
            for image, label in zip(images, labels, strict=True)
        ]

    ours = vis.ScoreCAM(logits, conv_layer=PIXELS).explain(images, labels)
    lines.append(
        row(
            "ScoreCAM, each map from 0 to 1",
            TF_KERAS_VIS,
            scaled(ours),
            lambda: scaled(np.reshape(peer_score_cam(None), ours.shape)),
        )
    )
    for most in (None, 8):
        unshared = UnsharedScoreCAM(logits, operator=probability, conv_layer=PIXELS, max_channels=most)
        lines.append(
            row(
                f"ScoreCAM, `max_channels={most}`, weights as in tf-keras-vis",
                TF_KERAS_VIS,
                unshared.explain(images, labels),
                lambda most=most: peer_score_cam(most),
            )
        )
    ours = vis.Saliency(logits).explain(images, labels)
    lines.append(
        row(
            "Saliency",
            TF_KERAS_VIS,
            ours,
            lambda: PeerSaliency(logits)(score, images, normalize_map=False),
        )
    )
    lines.append(
        row(
            "Saliency, each map from 0 to 1",
            TF_KERAS_VIS,
            scaled(ours),
            lambda: PeerSaliency(logits)(score, images),
        )
    )
    return lines


def measures() -> list[str]:
    """Return a row per measure of maps: its mean over the scenes and Xplique's, of the same draws."""
    scenes = make_scenes(8, "test", 1)
    network = load_network()
    logits = linear_outputs(network)
    images, labels = scenes.images, scenes.labels
    rows = np.eye(10, dtype=np.float32)[labels]
    explainer = vis.GradientInput(logits, reducer="sum")
    maps = explainer.explain(images, labels)
    # The probability of the second class can rise where a map hides something; that of the first is near 1.
    others = np.argsort(network.predict(images, verbose=0), axis=1)[:, -2]
    other_rows = np.eye(10, dtype=np.float32)[others]
    cells = np.arange(81).reshape(9, 9)
    grid = tf.image.resize(cells[..., None], images.shape[1:3], "nearest").numpy()[..., 0]

    peer_fidelity = peers.MuFidelity(logits, images, rows, nb_samples=100, batch_size=800)
    draw = tf.random.uniform
    subsets = np.random.default_rng(0).random((100, 81)).astype(np.float32)
    tf.random.uniform = lambda *_, **__: tf.constant(subsets)
    try:
        fidelity = peer_fidelity.evaluate(maps)
    finally:
        tf.random.uniform = draw
    peer_stability = peers.AverageStability(logits, images, rows, nb_samples=10)
    noises = peer_stability.noisy_masks.numpy()
    turn = iter(np.repeat(noises, len(images), axis=0))
    ours_of = {
        'mu_fidelity, `correlation="spearman"`': (
            metrics.mu_fidelity(
                logits, images, maps, labels, subsets <= 0.2, features=grid, correlation="spearman"
            ),
            lambda: fidelity,
        ),
        "average_stability, `relative=False`": (
            metrics.average_stability(
                explainer, images, labels, nb_samples=10, relative=False, perturbation=lambda *_: next(turn)
            ),
            lambda: peer_stability.evaluate(lambda x, y: explainer.explain(x, y)),
        ),
        "complexity": (metrics.complexity(maps), lambda: peers.Complexity().evaluate(maps)),
        "sparseness": (metrics.sparseness(maps), lambda: peers.Sparseness().evaluate(maps)),
        "average_drop": (
            metrics.average_drop(network, images, maps, labels),
            lambda: peers.AverageDropMetric(network, images, rows).evaluate(maps),
        ),
        "average_gain, of the second class": (
            metrics.average_gain(network, images, maps, others),
            lambda: peers.AverageGainMetric(network, images, other_rows).evaluate(maps),
        ),
        "increase_in_confidence, of the second class": (
            metrics.increase_in_confidence(network, images, maps, others),
            lambda: peers.AverageIncreaseMetric(network, images, other_rows).evaluate(maps),
        ),
    }
    lines = ["| measure | ours | Xplique | difference |", "|---|---|---|---|"]
    for name, (values, theirs) in ours_of.items():
        ours = float(np.mean(values))
        try:
            found = float(theirs())
        except Exception as error:
            lines.append(f"| {name} | {ours:.6f} | fails | {in_a_line(error)} |")
            continue
        lines.append(f"| {name} | {ours:.6f} | {found:.6f} | {digits(abs(ours - found))} |")
    return lines


def by_scores() -> list[str]:
    """Return a row per explainer without gradients; Xplique is given our masks and coalitions."""
    scenes = make_scenes(4, "test", 1)
    logits = linear_outputs(load_network())
    images, labels = scenes.images, scenes.labels
    rows = np.eye(10, dtype=np.float32)[labels]
    side = images.shape[1] // 8
    count, channels = 64, images.shape[-1]
    patches = np.arange(count).reshape(8, 8).repeat(side, 0).repeat(side, 1).astype(np.int32)
    lines = ["| method | peer | difference | rank correlation |", "|---|---|---|---|"]

    occlusion = vis.Occlusion(logits, patch_size=8).explain(images, labels)
    peer = xplique.Occlusion(logits, patch_size=8, patch_stride=8, occlusion_value=0.0)
    lines.append(row("Occlusion, patches side by side", XPLIQUE, occlusion, lambda: peer(images, rows)))

    rise = vis.Rise(logits, nb_samples=400)
    field = _Field([7, 7, 1], [*images.shape[1:3], 1], 400, 0.5, np.random.default_rng(0))

    def applied(x: Any, part: Any, value: float) -> Any:
        masks = tf.constant(field[int(part[0]) : int(part[-1]) + 1], tf.float32)
        return masks * x + (1 - masks) * value, masks

    def peer_rise() -> Any:
        given = {"_get_masks": lambda *_: tf.range(400), "_apply_masks": applied}
        with mock.patch.multiple(xplique.Rise, **{name: staticmethod(each) for name, each in given.items()}):
            return xplique.Rise(logits)(images, rows)

    lines.append(row("Rise, the same masks", XPLIQUE, rise.explain(images, labels), peer_rise))

    def regression(explainer: Any, coalitions: Maps, kind: Any, **options: Any) -> str:
        peer = kind(logits, map_to_interpret_space=lambda _: patches, ref_value=np.zeros(channels), **options)
        peer.pertub_func = lambda *_: tf.constant(coalitions, tf.int32)
        name = f"{type(explainer).__name__}, the same coalitions"
        return row(name, XPLIQUE, explainer.explain(images, labels), lambda: peer(images, rows))

    def near(_: Any, coalitions: Any, __: Any) -> Any:
        away = 1 - tf.sqrt(tf.reduce_mean(tf.cast(coalitions, tf.float32), axis=1))
        return tf.exp(-((away / 0.25) ** 2))

    lime, shap = vis.Lime(logits), vis.KernelShap(logits, nb_samples=2000)
    options = {"interpretable_model": Ridge(1), "similarity_kernel": near, "batch_size": 64}
    lines.append(regression(lime, lime.table(count)[:], xplique.Lime, **options))
    lines.append(regression(shap, shap.table(count)[:][1:], xplique.KernelShap, nb_samples=2000))

    def enlarged(maps: Maps) -> Maps:
        return np.asarray(tf.image.resize(maps[:, ::side, ::side], images.shape[1:3], "bicubic"))

    class Design(gsa.ScipySobolSequenceRS):
        def __call__(self, dimension: int, nb_design: int) -> Any:
            made = vis.SobolAttribution(logits).table(dimension)
            return tf.constant(np.concatenate([made.a, made.b, made[nb_design : len(made)]]), tf.float32)

    class Masks(gsa.LatinHypercube):
        def __call__(self, dimension: int, nb_design: int) -> Any:
            return tf.constant(vis.HsicAttribution(logits).table(dimension), tf.float32)

    class Widths(gsa.BinaryEstimator):
        def output_kernel_func(self, x: Any, y: Any) -> Any:
            apart = np.abs(x - y)
            return tf.constant(np.exp(-((apart / np.median(apart[apart > 0])) ** 2) / 2), tf.float32)

    sobol = enlarged(vis.SobolAttribution(logits).explain(images, labels))
    peer_sobol = xplique.SobolAttributionMethod(logits, sampler=Design())
    title = "SobolAttribution, the same masks, ours enlarged bicubically"
    lines.append(row(title, XPLIQUE, sobol, lambda: peer_sobol(images, rows)))
    hsic = enlarged(vis.HsicAttribution(logits).explain(images, labels))
    for title, estimator in (
        ("HsicAttribution, the same masks, ours enlarged, theirs scaled", gsa.BinaryEstimator()),
        ("the same, Xplique with our width", Widths()),
    ):
        peer = xplique.HsicAttributionMethod(logits, sampler=Masks(binary=True), estimator=estimator)
        lines.append(
            row(title, XPLIQUE, hsic, lambda peer=peer: peer(images, rows).numpy() * 500 / 499**2 / 2)
        )
    return lines


def activations() -> list[str]:
    """Return a row per activation f: how far `GuidedBackprop` is from `f'(x W) max(v, 0) W^T` in NumPy.

    The network is `f(x W) v`. The last column is the difference in the forward pass of Xplique's clone.
    """
    random = np.random.default_rng(0)
    x, weights, last = (
        random.standard_normal(shape).astype(np.float32) for shape in ((64, 5), (5, 7), (7, 1))
    )
    x *= 2
    layers, before = keras.layers, x @ weights
    cases: dict[str, tuple[Any, Maps]] = {
        "`ReLU()`": (layers.ReLU(), before > 0),
        "`ReLU(max_value=1)`": (layers.ReLU(max_value=1.0), (before > 0) & (before < 1)),
        "`ReLU(threshold=1)`": (layers.ReLU(threshold=1.0), before > 1),
        "`ReLU(negative_slope=0.2)`": (layers.ReLU(negative_slope=0.2), np.where(before > 0, 1, 0.2)),
        "`LeakyReLU(0.2)`": (layers.LeakyReLU(0.2), np.where(before > 0, 1, 0.2)),
        '`Activation("relu6")`': (layers.Activation("relu6"), (before > 0) & (before < 6)),
        "`ops.relu`": (keras.ops.relu, before > 0),
        "`ReLU()` in a nested model": (keras.Sequential([keras.Input((7,)), layers.ReLU()]), before > 0),
    }
    lines = ["| activation | vis | Xplique | Xplique's forward pass |", "|---|---|---|---|"]
    for name, (activation, slope) in cases.items():
        inputs = keras.Input((5,))
        first, second = layers.Dense(7, use_bias=False), layers.Dense(1, use_bias=False)
        model = keras.Model(inputs, second(activation(first(inputs))), name="network")
        first.set_weights([weights])
        second.set_weights([last])
        expected = (slope * np.maximum(last.T, 0)) @ weights.T
        cells = []
        try:
            cells.append(digits(difference(expected, vis.GuidedBackprop(model).explain(x, 0))))
        except Exception as error:
            cells.append(in_a_line(error))
        try:
            peer = xplique.GuidedBackprop(model)
            found = peer.explain(x, np.ones((len(x), 1), np.float32))
            cells += [digits(difference(expected, found)), digits(difference(model(x), peer.model(x)))]
        except Exception as error:
            cells += [in_a_line(error), ""]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def main() -> None:
    """Compare the explainers, print the tables and write them."""
    # Keras 3 warns about the lists that tf-keras-vis passes to a model with one input.
    warnings.filterwarnings("ignore", message="The structure of `inputs`")
    # If no unit of an activation is active, the map is zero, and so is the formula.
    warnings.filterwarnings("ignore", category=EmptyMapWarning)
    tf.get_logger().setLevel("ERROR")
    tf.random.set_seed(0)
    packages = ", ".join(f"{name} {version(name)}" for name in ("tensorflow", "keras", "numpy", "scipy"))
    text = "\n".join(
        [
            "The difference is the largest absolute difference divided by our largest magnitude. The rank",
            "correlation is the lowest over the eight scenes.",
            "",
            *explainers(),
            "",
            "Measures of maps, in the mean over the scenes, with Xplique's random draws.",
            "",
            *measures(),
            "",
            "Explainers without gradients, on four scenes.",
            "",
            *by_scores(),
            "",
            "`GuidedBackprop` through one activation: the difference from the formula in NumPy.",
            "",
            *activations(),
            "",
            f"Python {platform.python_version()}, {packages}.",
        ]
    )
    print(text)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "agreement.md").write_text(text + "\n")


if __name__ == "__main__":
    main()
