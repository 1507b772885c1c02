"""The demo's comparison: explainers by measures, each with an interval."""

from __future__ import annotations

from vis import metrics, models
from vis.demo.network import load_network
from vis.demo.report import ALL
from vis.demo.scenes import make_scenes

COMPARED = (
    "vanilla",
    "guided",
    "gradient x input",
    "integrated grad.",
    "LRP",
    "Grad-CAM",
    "guided Grad-CAM",
    "occlusion",
)
MEASURES = (
    metrics.MEASURES["mu_fidelity"].using(nb_samples=100),
    metrics.MEASURES["infidelity"],
    metrics.MEASURES["sensitivity_max"],
    metrics.MEASURES["random_logit"],
    metrics.MEASURES["complexity"],
    metrics.MEASURES["sparseness"],
)
SCENES = 16


def compared(seed: int = 1, *, progress: bool = False) -> metrics.Comparison:
    """Compare explainers of the demo's network on the first of its test scenes.

    Args:
        seed: makes the scenes, and the random changes.
        progress: whether a bar is shown.
    """
    scenes = make_scenes(SCENES, "test", seed)
    network = load_network()
    logits = models.linear_outputs(network)
    explainers = {name: ALL[name].make(logits) for name in COMPARED}
    return metrics.compare(
        explainers, scenes.images, scenes.labels, MEASURES, model=network, seed=seed, progress=progress
    )
