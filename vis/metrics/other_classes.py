"""Whether a map is of its class: its similarity to the map of another one."""

from __future__ import annotations

from typing import Any, get_args

import numpy as np
import numpy.typing as npt

from vis import checks
from vis.attributions import Explainer
from vis.attributions.asked import class_axis, weighs
from vis.errors import InputError
from vis.metrics.samples import explained, known, only
from vis.metrics.similarity import rank_correlation, structural_similarity
from vis.progress import each
from vis.typing import Data, Targets
from vis.words import SimilarityName

SIMILARITIES = get_args(SimilarityName)


def random_logit(
    explainer: Explainer,
    inputs: Data,
    targets: Targets = None,
    similarity: SimilarityName = "structural",
    nb_samples: int = 1,
    seed: int = 0,
) -> npt.NDArray[np.float64]:
    """Return how similar a map is to that of another class: `mean_k sim(M(x, c), M(x, c + r_k))`.

    The r_k are random, different, and the same for all samples; classes are counted on from the last to the
    first. Where the similarity is high, the map shows the input and not the class.

    Args:
        explainer: of a model of one input whose targets are classes.
        inputs, targets: as `Explainer.explain`.
        similarity: `"structural"`, see `structural_similarity`, or `"rank"`, see `rank_correlation`.
        nb_samples: the number of other classes.
        seed: the seed of the classes.

    Returns:
        `(N,)`, at most 1, small is good; NaN by rank for a constant map.

    Raises:
        InputError: if the targets are not classes, or there are fewer others than `nb_samples`.

    Warns:
        EmptyMapWarning: if a value is NaN.

    Reference:
        Sixt et al.: When Explanations Lie: Why Many Modified BP Attributions Fail, 2020.
    """
    nb_samples, seed = checks.whole("nb_samples", nb_samples), checks.whole("seed", seed, 0)
    if similarity not in SIMILARITIES:
        raise InputError(f"similarity must be one of {', '.join(SIMILARITIES)}. Received: {similarity!r}.")
    found = []
    for run, array, batch in explained(explainer, inputs, targets):
        first, weights = only(batch.maps), batch.targets
        axis = class_axis(run.score, weights.ndim)
        classes = weights.shape[axis] if weighs(run.score) and weights.ndim > 1 else 1
        if classes <= nb_samples:
            raise InputError(
                f"The targets must be classes, of which {nb_samples} others are drawn. Received: targets of "
                f"shape {weights.shape}."
            )
        steps = np.random.default_rng(seed).permutation(np.arange(1, classes))[:nb_samples]
        turns = each(steps.tolist(), "inputs", len(array))
        others = [only(run.explain_arrays([array], np.roll(weights, step, axis)).maps) for step in turns]
        found.append(np.mean([_alike(run, first, other, similarity) for other in others], axis=0))
    return known(np.concatenate(found), "random_logit", "Their maps are constant, and have no ranks.")


def _alike(run: Explainer, one: npt.NDArray[Any], other: npt.NDArray[Any], how: str) -> npt.NDArray[Any]:
    if how == "rank":
        return rank_correlation(one, other)
    return structural_similarity(one, other, run.channel_axis(0, one.ndim))
