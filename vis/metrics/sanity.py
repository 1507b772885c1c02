"""Whether a map depends on what the model has learnt.

If the maps of a method stay the same when the weights are replaced by random ones, they do not show what the
model has learnt, however convincing they look.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_args, overload

import keras
import numpy as np
import numpy.typing as npt

from vis import models
from vis.attributions import Explainer
from vis.attributions.asked import pick_of, targets_of
from vis.attributions.batches import batches, in_memory
from vis.errors import InputError, ModelError
from vis.files.reading import first_line
from vis.metrics.similarity import rank_correlation, structural_similarity
from vis.metrics.tables import Table, median, numbers, summary
from vis.progress import each
from vis.typing import Data, Targets
from vis.words import SanityOrder

if TYPE_CHECKING:
    from vis.plotting.figures import Axes, Figure

ORDERS = get_args(SanityOrder)


@dataclass(frozen=True, repr=False)
class SanityCheck:
    """How similar the maps are before and after layers are given random weights.

    Attributes:
        order: `"cascading"`: in each row, the layers of the rows above are random, too; or `"independent"`:
            only the layer of the row is.
        layers: the paths of the layers, from the output to the input.
        rank_correlation: `(layers, N)`, see `vis.metrics.rank_correlation`.
        structural_similarity: `(layers, N)`, see `vis.metrics.structural_similarity`.
    """

    order: SanityOrder
    layers: list[str]
    rank_correlation: npt.NDArray[np.float64]
    structural_similarity: npt.NDArray[np.float64]

    def table(self) -> Table:
        """Return a table of the medians over the samples, NaN left out."""
        columns = (self.rank_correlation, self.structural_similarity)
        medians = [numbers([median(row) for row in column]) for column in columns]
        rows = list(zip(self.layers, *medians, strict=True))
        return Table(["layer", "rank correlation", "similarity"], rows)

    @overload
    def plot(self, title: str = "", *, ax: None = None) -> Figure: ...
    @overload
    def plot(self, title: str = "", *, ax: Axes) -> Axes: ...
    def plot(self, title: str = "", *, ax: Axes | None = None) -> Figure | Axes:
        """Return a figure of the check, see `plot_sanity`."""
        return plot_sanity({"": self}, title, ax=ax)

    def __repr__(self) -> str:
        found = ", ".join(
            f"{name}={summary(getattr(self, name))}" for name in ("rank_correlation", "structural_similarity")
        )
        return f"SanityCheck(order={self.order!r}, layers={self.layers}, {found})"


def sanity_check(
    explainer: Callable[[keras.Model], Explainer],
    model: keras.Model,
    inputs: Data,
    targets: Targets = None,
    order: SanityOrder = "cascading",
    seed: int = 0,
) -> SanityCheck:
    """Compare the maps of a model with those of a clone whose layers are given random weights, one by one.

    From the output to the input, the weights of each layer are drawn again by the layer's own initializers.
    The maps of a method that shows what the model has learnt change: their rank correlation with the maps of
    the trained model falls towards 0. Where it stays high, the maps show the input and the architecture.

    Args:
        explainer: makes an explainer of a model: a class such as `vis.attributions.Saliency`, or a function,
            such as `lambda model: Saliency(vis.linear_outputs(model))`.
        model: a functional or sequential Keras model. It is cloned, and not changed.
        inputs: as `Explainer.explain`; a data set is read into arrays.
        targets: as `Explainer.explain`; None for the classes that the trained model predicts, which the clone
            is asked for, too.
        order: `"cascading"`: a layer that is made random stays random; or `"independent"`: one layer at a
            time.
        seed: the seed of the random weights.

    Raises:
        InputError: if the order is unknown.
        ModelError: if the model has no weights, cannot be cloned, or is a modified model.

    Reference:
        Adebayo et al.: Sanity Checks for Saliency Maps, 2018, section 4.
    """
    if order not in ORDERS:
        raise InputError(f"order must be one of {', '.join(ORDERS)}. Received: {order!r}.")
    models.check_model(model)
    if models.unmodified(model)[1] is not None:
        raise ModelError(
            f"{model.name!r} is a modified model, and its clone would not be modified. Pass the model "
            "itself, and modify it in the explainer: lambda model: Saliency(guided(model))."
        )
    untrained, clone = _with_seed(seed, lambda: (_clone(model), _clone(model)))
    clone.set_weights(model.get_weights())
    original = explainer(model)
    score = original.score
    inputs, targets = in_memory(score.source, inputs, targets, pick_of(score))
    read = batches(score.source, inputs, targets, original.at_once())
    weights = np.concatenate([targets_of(score, arrays, given) for arrays, given in read])
    wanted = _maps(original, inputs, weights)
    changed = explainer(clone)
    names, ranks, similarities = [], [], []
    pairs = [*zip(_layers(clone), _layers(untrained), strict=True)]
    for (path, weights_of), (_, drawn) in each(pairs[::-1], "layers"):
        trained = [variable.numpy() for variable in weights_of]
        for variable, new in zip(weights_of, drawn, strict=True):
            variable.assign(new)
        found = _maps(changed, inputs, weights)
        names.append(path)
        ranks.append(rank_correlation(wanted, found))
        similarities.append(structural_similarity(wanted, found, original.channel_axis(0, wanted.ndim)))
        if order == "independent":
            for variable, old in zip(weights_of, trained, strict=True):
                variable.assign(old)
    if not names:
        raise ModelError(f"The model {model.name!r} has no weights to randomize.")
    return SanityCheck(order, names, np.array(ranks), np.array(similarities))


@overload
def plot_sanity(checks: Mapping[str, SanityCheck], title: str = "", *, ax: None = None) -> Figure: ...
@overload
def plot_sanity(checks: Mapping[str, SanityCheck], title: str = "", *, ax: Axes) -> Axes: ...
def plot_sanity(
    checks: Mapping[str, SanityCheck], title: str = "", *, ax: Axes | None = None
) -> Figure | Axes:
    """Return a figure of how the maps of each method change as layers are made random.

    Args:
        checks: checks of one model in one order, by the names of the methods.
        title: a title above the figure.
        ax: Matplotlib axes, whose area the two panels share; None for a new figure.

    Returns:
        A `matplotlib.figure.Figure`, see `vis.plotting.plot_spread`.

    Raises:
        InputError: if there is no check, or they differ in their layers or order.
    """
    from vis import plotting

    kinds = {(check.order, *check.layers) for check in checks.values()}
    if len(kinds) != 1:
        raise InputError(
            "Sanity checks in one figure must be of one model and one order. "
            f"Received: {len(checks)} checks of {len(kinds)} kinds."
        )
    order, *layers = kinds.pop()

    def lines(name: str) -> dict[str, npt.NDArray[np.float64]]:
        # Before anything is random, a map is compared with itself.
        found = {method: getattr(check, name) for method, check in checks.items()}
        return {method: np.vstack([np.ones_like(rows[:1]), rows]) for method, rows in found.items()}

    return plotting.plot_spread(
        ["as trained", *layers],
        {name.replace("_", " "): lines(name) for name in ("rank_correlation", "structural_similarity")},
        title,
        "random from the output to here" if order == "cascading" else "the only random layer",
        ax=ax,
    )


def _maps(explainer: Explainer, inputs: Any, weights: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    found = [batch.maps for batch in explainer.explained(inputs, weights)]
    if len(found[0]) != 1:
        raise InputError(
            f"A sanity check needs a model with one input. Received: a model with {len(found[0])}."
        )
    return np.concatenate([part for (part,) in found])


def _layers(model: Any) -> Iterator[tuple[str, list[Any]]]:
    """Yield the path of each layer, at every depth, with the weights that it holds itself."""
    seen: set[int] = set()
    for path, layer in models.walk(model):
        inside = {id(weight) for child in models.child_layers(layer) for weight in child.weights}
        own = [weight for weight in layer.weights if id(weight) not in inside | seen]
        seen |= {id(weight) for weight in own}
        if own:
            yield path, own


def _clone(model: Any) -> Any:
    try:
        clone = keras.models.clone_model(model)
        if [weight.shape for weight in clone.weights] != [weight.shape for weight in model.weights]:
            raise ValueError("the clone has other weights")
        return clone
    except Exception as error:  # any error of a custom layer
        raise ModelError(
            f"The model {model.name!r} cannot be cloned: {first_line(error)}. Its layers need a "
            "get_config method, and a subclassed model has to be rewritten as a functional one."
        ) from error


def _with_seed(seed: int, make: Callable[[], Any]) -> Any:
    """Make something whose initializers draw their seeds from random numbers that depend on `seed` alone."""
    state = random.getstate()
    # Not the seed itself: the model may have got its first weights from it.
    random.seed(f"sanity check {seed}")
    try:
        return make()
    finally:
        random.setstate(state)
