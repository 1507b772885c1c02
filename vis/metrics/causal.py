"""Whether what a map calls important matters to the model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias, overload

import keras
import numpy as np
import numpy.typing as npt
from scipy import integrate, ndimage

from vis import checks
from vis.attributions.features import FeaturesLike
from vis.attributions.operators import OperatorLike
from vis.errors import InputError
from vis.metrics.features import feature_numbers, sums_by_feature, value_numbers
from vis.metrics.samples import replaced_by, with_maps
from vis.metrics.tables import Table, numbers, summary
from vis.typing import Data, Layer, Targets

if TYPE_CHECKING:
    from vis.plotting.figures import Axes, Figure

Baseline: TypeAlias = npt.ArrayLike | Callable[[npt.NDArray[Any]], npt.ArrayLike]


@dataclass(frozen=True, repr=False)
class Curve:
    """The score of each sample as more and more of its positions change.

    Attributes:
        fractions: the share of the positions that have changed, `(steps + 1,)`, 0 to 1.
        scores: `(N, steps + 1)`.
        change: what happens to the positions: `"removed"`, `"inserted"`, or another word.
    """

    fractions: npt.NDArray[np.float64]
    scores: npt.NDArray[np.float64]
    change: str = "changed"

    @property
    def area(self) -> npt.NDArray[np.float64]:
        """The area under each curve by trapezoids, `(N,)`, in units of the score."""
        return np.asarray(integrate.trapezoid(self.scores, self.fractions, axis=1))

    def table(self) -> Table:
        """Return a table of the scores at each fraction, and of the areas: the median and the quartiles."""
        values = np.concatenate([self.scores, self.area[:, None]], axis=1)
        quartiles = (
            np.quantile(values, (0.25, 0.5, 0.75), axis=0)
            if len(values)
            else np.full((3, values.shape[1]), np.nan)
        )
        names = [*(f"{fraction:.0%}" for fraction in self.fractions), "area"]
        rows = list(zip(names, *map(numbers, quartiles), strict=True))
        return Table([self.change, "lower quartile", "median", "upper quartile"], rows)

    @overload
    def plot(self, title: str = "", *, ax: None = None) -> Figure: ...
    @overload
    def plot(self, title: str = "", *, ax: Axes) -> Axes: ...
    def plot(self, title: str = "", *, ax: Axes | None = None) -> Figure | Axes:
        """Return a figure of the curve, see `plot_curves`."""
        return plot_curves({"": self}, title, ax=ax)

    def __repr__(self) -> str:
        fractions, scores = summary(self.fractions), summary(self.scores)
        return f"Curve(fractions={fractions}, scores={scores}, change={self.change!r})"


@overload
def plot_curves(curves: Mapping[str, Curve], title: str = "", *, ax: None = None) -> Figure: ...
@overload
def plot_curves(curves: Mapping[str, Curve], title: str = "", *, ax: Axes) -> Axes: ...
def plot_curves(curves: Mapping[str, Curve], title: str = "", *, ax: Axes | None = None) -> Figure | Axes:
    """Return a figure of the curves of methods: the median over the samples, the middle half as a band.

    Args:
        curves: by the names of the methods; all of deletion or all of insertion, at the same fractions.
        title: a title above the figure.
        ax: Matplotlib axes to draw into; None for a new figure.

    Returns:
        A `matplotlib.figure.Figure`, see `vis.plotting.plot_spread`.

    Raises:
        InputError: if there is no curve, or curves differ in their fractions or in what changes.
    """
    from vis import plotting

    kinds = {(curve.change, *curve.fractions.tolist()) for curve in curves.values()}
    if len(kinds) != 1:
        raise InputError(
            "Curves in one figure must have the same fractions and the same kind of change. "
            f"Received: {curves}. Draw deletion and insertion apart, with the same steps."
        )
    change, *fractions = kinds.pop()
    return plotting.plot_spread(
        fractions,
        {"score": {name: curve.scores.T for name, curve in curves.items()}},
        title,
        f"share of the positions that are {change}",
        ax=ax,
    )


def deletion(
    model: keras.Model,
    inputs: Data,
    maps: npt.ArrayLike,
    targets: Targets = None,
    steps: int = 20,
    baseline: Baseline = 0.0,
    output_layer: Layer | None = None,
    operator: OperatorLike = None,
    batch_size: int = 64,
    *,
    features: FeaturesLike = None,
) -> Curve:
    """Return the scores as the positions of an input are removed, those with the largest map values first.

    A small area is good: the model needs what is removed first.

    Args:
        model: a Keras model of one input. Probabilities make curves that can be compared: pass the model with
            its softmax.
        inputs: `(N, ...)`, an array; or a data set, which is read into one.
        maps: of the shape of the inputs; or with one channel or without channels: then all channels of a
            position change together. Positions of equal value change in their order.
        targets: as `vis.attributions.Explainer.explain`; None for the predicted class.
        steps: the positions change in this many parts, from none to all.
        baseline: what replaces the removed values: a number or one input, in the units of the input; an array
            of the shape of `inputs`; or a function of the inputs, such as `blurred`.
        output_layer, operator: as `vis.attributions.Explainer`.
        batch_size: the largest number of inputs that the model is given at once.
        features: positions that change together, those with the largest mean of the map first, as in
            `vis.attributions.Coalitions`: the side of patches, `"superpixels"`, the numbers of segments,
            `(H, W)`, or `(N, H, W)` for each sample, or a function that returns them for one input. None for
            single positions.

    Raises:
        InputError, FilterError, LayerError, ModelError: see `vis.errors`.

    Reference:
        Petsiuk et al.: RISE: Randomized Input Sampling for Explanation of Black-box Models, 2018,
        algorithm 1.
    """
    given = (model, inputs, maps, targets, steps, baseline, output_layer, operator, batch_size, features)
    return _curve(*given, inserted=False)


def insertion(
    model: keras.Model,
    inputs: Data,
    maps: npt.ArrayLike,
    targets: Targets = None,
    steps: int = 20,
    baseline: Baseline | None = None,
    output_layer: Layer | None = None,
    operator: OperatorLike = None,
    batch_size: int = 64,
    *,
    features: FeaturesLike = None,
) -> Curve:
    """Return the scores as the positions of an input are inserted, those with the largest map values first.

    A large area is good: what is inserted first is enough for the model.

    Args:
        baseline: what the positions are inserted into; None for `blurred` images, and 0 for inputs of other
            kinds.
        model, inputs, maps, targets, steps, output_layer, operator, batch_size, features: see `deletion`.

    Raises:
        InputError, FilterError, LayerError, ModelError: see `vis.errors`.

    Reference:
        Petsiuk et al.: RISE: Randomized Input Sampling for Explanation of Black-box Models, 2018,
        algorithm 1.
    """
    given = (model, inputs, maps, targets, steps, baseline, output_layer, operator, batch_size, features)
    return _curve(*given, inserted=True)


def blurred(images: npt.ArrayLike, sigma: float | None = None) -> npt.NDArray[np.float64]:
    """Return images blurred by a Gaussian, each channel on its own.

    Args:
        images: `(N, H, W, C)`, `(N, D, H, W, C)`.
        sigma: the standard deviation of the Gaussian in pixels; None for 5/224 of the longest side, as
            in RISE.
    """
    array = checks.array(images).astype(np.float64)
    if array.ndim < 4:
        raise InputError(
            f"Images must have the axes samples, height, width and channels. Received: shape {array.shape}."
        )
    wide = max(array.shape[1:-1]) * 5 / 224 if sigma is None else sigma
    return np.asarray(ndimage.gaussian_filter(array, (0, *[wide] * (array.ndim - 2), 0)))


def _curve(
    model: keras.Model,
    inputs: Data,
    maps: npt.ArrayLike,
    targets: Targets,
    steps: int,
    baseline: Baseline | None,
    output_layer: Layer | None,
    operator: OperatorLike,
    batch_size: int,
    features: FeaturesLike,
    *,
    inserted: bool,
) -> Curve:
    steps = checks.whole("steps", steps)
    curves = []
    for some in with_maps(model, inputs, maps, targets, output_layer, operator, batch_size):
        array = some.array
        if baseline is None and inserted:
            baseline = blurred if array.ndim >= 4 else 0.0
        other = replaced_by(baseline, array, some.rows)
        start, end = (other, array) if inserted else (array, other)
        numbers_of = value_numbers(some) if features is None else feature_numbers(features, some)
        ranks, counts = _ranks(some.maps, numbers_of)
        changed = partial(_changed, start, end, ranks, counts, steps)
        curves.append(some.scores(changed, steps + 1, batch_size).T)
    change = "inserted" if inserted else "removed"
    return Curve(np.arange(steps + 1) / steps, np.concatenate(curves), change)


def _changed(
    start: npt.NDArray[Any],
    end: npt.NDArray[Any],
    ranks: npt.NDArray[Any],
    counts: npt.NDArray[Any],
    steps: int,
    step: int,
) -> npt.NDArray[Any]:
    """Return inputs of which the first features have changed."""
    done = np.rint(step * counts / steps)
    return np.where(ranks < done.reshape(-1, *[1] * (ranks.ndim - 1)), end, start)


def _ranks(heat: npt.NDArray[Any], which: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Return the rank of the feature of each position, 0 for the largest mean, and the number of features."""
    sums, sizes = sums_by_feature(heat, which), sums_by_feature(np.ones_like(heat), which)
    orders = [np.argsort(-(a / b), kind="stable") for a, b in zip(sums, sizes, strict=True)]
    ranks = [np.argsort(order)[part] for order, part in zip(orders, which, strict=True)]
    return np.stack(ranks), np.array([len(order) for order in orders])
