"""Whether a map foretells how the score changes: infidelity."""

from __future__ import annotations

from typing import Any, get_args

import keras
import numpy as np
import numpy.typing as npt

from vis import checks
from vis.attributions.operators import OperatorLike
from vis.errors import InputError
from vis.metrics.causal import Baseline
from vis.metrics.perturbations import Perturbation, drawn, noisy, squares
from vis.metrics.samples import Samples, replaced_by, with_maps
from vis.typing import Data, Layer, Targets
from vis.words import NoiseScale, PerturbationName

PERTURBATIONS = get_args(PerturbationName)


def infidelity(
    model: keras.Model,
    inputs: Data,
    maps: npt.ArrayLike,
    targets: Targets = None,
    perturbation: PerturbationName | Perturbation = "gaussian",
    nb_samples: int = 100,
    noise: float = 0.2,
    side: int | None = None,
    baseline: Baseline = 0.0,
    output_layer: Layer | None = None,
    operator: OperatorLike = None,
    batch_size: int = 64,
    seed: int = 0,
    *,
    scaled: bool = False,
    contributions: bool = False,
    noise_scale: NoiseScale = "range",
) -> npt.NDArray[np.float64]:
    """Return how far a map is from foretelling the drop of the score: `mean_k (b I_k . M - drop_k)^2`.

    The drop is `S(x) - S(x - I_k)`, I_k a random change of the input, M the map, and b 1 or the best factor.

    Args:
        model, inputs, targets, output_layer, operator, batch_size: see `deletion`.
        maps: with their signs; as for `deletion`. A map with one channel counts for each channel.
        perturbation: `"gaussian"`: I is noise; `"square"`: I is the input minus the baseline in a random
            square and 0 elsewhere; or a function of one input and a generator of NumPy that returns I.
        nb_samples: the number of changes k; all samples get the same.
        noise: the standard deviation of the noise, in the unit of `noise_scale`.
        side: the largest side of a square in positions; None for a third of the shortest axis.
        baseline: what a square is replaced by, see `deletion`.
        seed: the seed of the changes.
        scaled: whether b is the factor that makes the result smallest for each sample, `sum_k (I_k . M)
            drop_k / sum_k (I_k . M)^2`, so that only the proportions of a map count; otherwise 1.
        contributions: whether the maps are contributions, multiplied by the input already, as those of
            `IntegratedGradients` and `LRP`: then `I / (x - x0)` takes the place of I, which in a square is 1.
        noise_scale: see `vis.attributions.SmoothGrad`.

    Returns:
        `(N,)`, at least 0, in squared units of the score. Small is good.

    Raises:
        InputError, FilterError, LayerError, ModelError: see `vis.errors`.

    Reference:
        Yeh et al.: On the (In)fidelity and Sensitivity of Explanations, 2019, definition 2.1.
    """
    nb_samples, seed = checks.whole("nb_samples", nb_samples), checks.whole("seed", seed, 0)
    if not callable(perturbation) and perturbation not in PERTURBATIONS:
        raise InputError(
            f"perturbation must be one of {', '.join(PERTURBATIONS)}, or a function of one input and a "
            f"generator. Received: {perturbation!r}."
        )
    draw = perturbation if callable(perturbation) else noisy("noise", noise, noise_scale, _normal)
    found = []
    for some in with_maps(model, inputs, maps, targets, output_layer, operator, batch_size):
        away = some.array - replaced_by(baseline, some.array, some.rows).astype(np.float64)
        square = squares(side, some.channels - 1 if some.array.ndim > 3 else None)
        foretold, drops = _both(
            some,
            away,
            square if perturbation == "square" else None,
            draw,
            contributions,
            nb_samples,
            batch_size,
            seed,
        )
        if scaled:
            power = np.square(foretold).sum(axis=0)
            foretold *= (foretold * drops).sum(axis=0) / np.where(power > 0, power, 1)
        found.append(np.square(foretold - drops).mean(axis=0))
    return np.concatenate(found)


def _normal(random: np.random.Generator, shape: tuple[int, ...]) -> npt.NDArray[Any]:
    return random.standard_normal(shape)


def _both(
    some: Samples,
    away: npt.NDArray[np.float64],
    square: Perturbation | None,
    draw: Perturbation,
    contributions: bool,
    nb_samples: int,
    batch_size: int,
    seed: int,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return what the maps foretell and how the score drops, `(nb_samples, n)` each."""
    foretold = []

    def changed(number: int) -> npt.NDArray[Any]:
        chosen = drawn(draw if square is None else square, some.array, seed, number)
        removed = chosen if square is None else chosen * away
        taken = removed
        if contributions:
            share = np.divide(removed, away, out=np.zeros_like(removed), where=away != 0)
            taken = share if square is None else chosen
            if taken.shape != some.maps.shape:  # a contribution of all channels
                taken = taken.mean(axis=some.channels, keepdims=True)
        foretold.append((taken * some.maps).reshape(len(taken), -1).sum(axis=1))
        return np.asarray(some.array - removed)

    drops = some.base - some.scores(changed, nb_samples, batch_size)
    return np.array(foretold), drops
