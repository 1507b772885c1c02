"""How much maps change with small changes of the input."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from vis import checks
from vis.attributions import Explainer
from vis.errors import InputError
from vis.metrics.perturbations import Perturbation, drawn, noisy
from vis.metrics.samples import explained, known, maps_of_changed, only
from vis.typing import Data, Targets
from vis.words import DistanceName, NoiseScale

# distance(differences of maps (n, values)) -> (n,)
Distance: TypeAlias = Callable[[npt.NDArray[Any]], npt.NDArray[Any]]
DISTANCES: dict[str, Distance] = {
    "l1": lambda values: np.abs(values).sum(axis=1),
    "l2": lambda values: np.sqrt(np.square(values).sum(axis=1)),
}


def sensitivity_max(
    explainer: Explainer,
    inputs: Data,
    targets: Targets = None,
    radius: float = 0.02,
    nb_samples: int = 10,
    distance: DistanceName = "l2",
    seed: int = 0,
    *,
    relative: bool = True,
    noise_scale: NoiseScale = "range",
    perturbation: Perturbation | None = None,
) -> npt.NDArray[np.float64]:
    """Return how far the map of a close input can lie: `max_k |M(x + e_k) - M(x)| / |M(x)|`.

    Each value of e_k is uniform in [-radius, radius]. The target is that of x.

    Args:
        explainer: of a model of one input, whose batches are of `explainer.batch_size`.
        inputs, targets: as `Explainer.explain`.
        radius: the largest change of a value, in the unit of `noise_scale`.
        nb_samples: the number of changed copies; all samples get the same changes.
        distance: `"l1"` or `"l2"`, the norm of a map.
        seed: the seed of the changes.
        relative: whether distances are divided by the norm of the map, so that explainers of different units
            can be compared.
        noise_scale: `"range"`: the radius is a fraction of the maximum minus the minimum of each sample;
            `"absolute"`: it is in the units of the input.
        perturbation: a function of one input and a generator of NumPy that returns e; None for the one
            above.

    Returns:
        `(N,)`, at least 0, small is good; NaN for a map of zeros if `relative`.

    Raises:
        InputError: if an option is invalid, or the inputs are not floats.

    Warns:
        EmptyMapWarning: if a value is NaN.

    Reference:
        Yeh et al.: On the (In)fidelity and Sensitivity of Explanations, 2019, definition 3.1.
    """
    how = (radius, nb_samples, distance, seed, relative, noise_scale, perturbation)
    found = [part.max(axis=0) for part in _distances(explainer, inputs, targets, *how)]
    return known(np.concatenate(found), "sensitivity_max", _EMPTY)


def average_stability(
    explainer: Explainer,
    inputs: Data,
    targets: Targets = None,
    radius: float = 0.1,
    nb_samples: int = 20,
    distance: DistanceName = "l2",
    seed: int = 0,
    *,
    relative: bool = True,
    noise_scale: NoiseScale = "range",
    perturbation: Perturbation | None = None,
) -> npt.NDArray[np.float64]:
    """Return how far the maps of close inputs lie in the mean: `mean_k |M(x + e_k) - M(x)| / |M(x)|`.

    Args, returns, raises, warns: see `sensitivity_max`.

    Reference:
        Bhatt et al.: Evaluating and Aggregating Feature-based Model Explanations, 2020, definition 2.
    """
    how = (radius, nb_samples, distance, seed, relative, noise_scale, perturbation)
    found = [part.mean(axis=0) for part in _distances(explainer, inputs, targets, *how)]
    return known(np.concatenate(found), "average_stability", _EMPTY)


_EMPTY = "Their maps are zero everywhere, so that no distance is relative to them."


def _distances(
    explainer: Explainer,
    inputs: Data,
    targets: Targets,
    radius: float,
    nb_samples: int,
    distance: Any,
    seed: int,
    relative: bool,
    noise_scale: NoiseScale,
    perturbation: Perturbation | None,
) -> Iterator[npt.NDArray[np.float64]]:
    """Yield the distances of the maps of changed inputs, `(nb_samples, n)`, for each batch."""
    nb_samples, seed = checks.whole("nb_samples", nb_samples), checks.whole("seed", seed, 0)
    if distance not in DISTANCES:
        raise InputError(f"distance must be one of {', '.join(DISTANCES)}. Received: {distance!r}.")
    norm = DISTANCES[distance]
    draw = perturbation or noisy("radius", radius, noise_scale, _uniform)
    for run, array, batch in explained(explainer, inputs, targets):
        first = only(batch.maps).astype(np.float64)

        def changed(number: int, array: npt.NDArray[Any] = array) -> npt.NDArray[Any]:
            return np.asarray(array + drawn(draw, array, seed, number))

        others = maps_of_changed(run, array, batch.targets, changed, nb_samples)
        found = np.stack([norm((other - first).reshape(len(first), -1)) for other in others])
        size = norm(first.reshape(len(first), -1)) if relative else np.ones(len(first))
        yield np.where(size > 0, found / np.where(size > 0, size, 1), np.nan)


def _uniform(random: np.random.Generator, shape: tuple[int, ...]) -> npt.NDArray[np.float64]:
    return random.uniform(-1, 1, shape)
