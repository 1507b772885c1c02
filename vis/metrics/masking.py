"""What the score keeps of an input that a map has masked: average drop, increase in confidence, gain."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from vis.attributions.operators import OperatorLike
from vis.errors import InputError
from vis.maps import normalize
from vis.metrics.causal import Baseline
from vis.metrics.samples import replaced_by, with_maps
from vis.typing import Data, Layer, Targets


def average_drop(
    model: keras.Model,
    inputs: Data,
    maps: npt.ArrayLike,
    targets: Targets = None,
    baseline: Baseline = 0.0,
    output_layer: Layer | None = None,
    operator: OperatorLike = None,
    batch_size: int = 64,
) -> npt.NDArray[np.float64]:
    """Return the share of the probability that is lost where the map is small: `max(0, S(x) - S(x')) / S(x)`.

    `x' = x0 + m (x - x0)`, with m the map's absolute values, scaled to [0, 1] for each sample, and x0 the
    baseline. The mean over the samples is the average drop.

    Args:
        model: a Keras model of one input, whose scores are probabilities: pass it with its softmax.
        inputs, maps, targets, baseline, output_layer, operator, batch_size: see `deletion`.

    Returns:
        `(N,)`, 0 to 1, small is good.

    Raises:
        InputError: if a score is not between 0 and 1.
        FilterError, LayerError, ModelError: see `vis.errors`.

    Reference:
        Chattopadhay et al.: Grad-CAM++: Improved Visual Explanations for Deep Convolutional Networks, 2018,
        section 4.1.
    """
    base, masked = _both(model, inputs, maps, targets, baseline, output_layer, operator, batch_size)
    return np.asarray(np.maximum(base - masked, 0) / np.where(base > 0, base, 1))


def increase_in_confidence(
    model: keras.Model,
    inputs: Data,
    maps: npt.ArrayLike,
    targets: Targets = None,
    baseline: Baseline = 0.0,
    output_layer: Layer | None = None,
    operator: OperatorLike = None,
    batch_size: int = 64,
) -> npt.NDArray[np.bool_]:
    """Tell whether the probability rises where the map is small and hides the input: `S(x') > S(x)`.

    The share of the samples for which it does is the increase in confidence.

    Args and raises: see `average_drop`.

    Returns:
        `(N,)`; many are good.

    Reference:
        Chattopadhay et al., 2018, see `average_drop`.
    """
    base, masked = _both(model, inputs, maps, targets, baseline, output_layer, operator, batch_size)
    return np.asarray(masked > base)


def average_gain(
    model: keras.Model,
    inputs: Data,
    maps: npt.ArrayLike,
    targets: Targets = None,
    baseline: Baseline = 0.0,
    output_layer: Layer | None = None,
    operator: OperatorLike = None,
    batch_size: int = 64,
) -> npt.NDArray[np.float64]:
    """Return the share that masking gains of what is missing to 1: `max(0, S(x') - S(x)) / (1 - S(x))`.

    It complements `average_drop`, which a mask that hides nothing makes 0.

    Args and raises: see `average_drop`.

    Returns:
        `(N,)`, 0 to 1, large is good.

    Reference:
        Zhang et al.: Opti-CAM: Optimizing saliency maps for interpretability, 2024.
    """
    base, masked = _both(model, inputs, maps, targets, baseline, output_layer, operator, batch_size)
    return np.asarray(np.maximum(masked - base, 0) / np.where(base < 1, 1 - base, 1))


def _both(
    model: keras.Model,
    inputs: Data,
    maps: npt.ArrayLike,
    targets: Targets,
    baseline: Baseline,
    output_layer: Layer | None,
    operator: OperatorLike,
    batch_size: int,
) -> npt.NDArray[Any]:
    """Return the scores of inputs, and of masked ones, `(2, N)`."""
    found = []
    for some in with_maps(model, inputs, maps, targets, output_layer, operator, batch_size):
        masks = np.stack([normalize(np.abs(each)) for each in some.maps])
        other = replaced_by(baseline, some.array, some.rows)
        masked = (other + masks * (some.array - other)).astype(some.array.dtype)
        found.append([some.base, some.score.values([masked], some.targets).astype(np.float64)])
    both = np.concatenate(found, axis=1)
    if both.min() < -_ROUNDING or both.max() > 1 + _ROUNDING:
        raise InputError(
            "The scores must be probabilities. Received: scores from "
            f"{both.min():.3g} to {both.max():.3g}. Pass the model with its softmax."
        )
    return np.clip(both, 0, 1)


_ROUNDING = 1e-3  # of half precision
