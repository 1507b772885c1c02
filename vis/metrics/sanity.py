"""Whether a map depends on what the model has learnt.

A method whose maps stay as they are when the weights are replaced by random ones does not show what the
model looks at, however good they look.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

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

ORDERS = ("cascading", "independent")


@dataclass(frozen=True)
class SanityCheck:
    """How alike the maps are before and after layers are given random weights.

    Attributes:
        order: `"cascading"`: each row has the layers of the rows above it random, too; or `"independent"`.
        layers: the paths of the layers, from the output to the input.
        rank_correlation: `(layers, N)`, see `vis.metrics.rank_correlation`.
        structural_similarity: `(layers, N)`, see `vis.metrics.structural_similarity`.
    """

    order: str
    layers: list[str]
    rank_correlation: npt.NDArray[np.float64]
    structural_similarity: npt.NDArray[np.float64]

    def table(self) -> str:
        """Return a table of the medians over the samples."""
        width = max(len(name) for name in ("layer", *self.layers))
        lines = [f"{'layer':<{width}}{'rank correlation':>18}{'similarity':>12}"]
        for name, *rows in zip(self.layers, self.rank_correlation, self.structural_similarity, strict=True):
            rank, similarity = (median(row) for row in rows)
            lines.append(f"{name:<{width}}{rank:>18.2f}{similarity:>12.2f}")
        return "\n".join(lines)


def median(values: npt.NDArray[np.float64]) -> float:
    """Return the median of what is no NaN, or NaN."""
    known = values[~np.isnan(values)]
    return float(np.median(known)) if known.size else float("nan")


def sanity_check(
    explainer: Callable[[Any], Explainer],
    model: Any,
    inputs: Any,
    targets: Any = None,
    order: str = "cascading",
    seed: int = 0,
) -> SanityCheck:
    """Compare the maps of a model with those of clones of it whose layers are given random weights.

    Layer by layer from the output to the input, weights are drawn anew by the layers' own initializers. A
    method that shows what the model has learnt loses its maps on the way: the rank correlation falls towards
    0. Where it stays high, the maps show the input and the architecture.

    Args:
        explainer: makes an explainer of a model: a class such as `vis.attributions.Saliency`, or a function,
            such as `lambda model: Saliency(vis.linear_outputs(model))`.
        model: a functional or sequential Keras model. It is cloned, and not changed.
        inputs: as `Explainer.explain`; a data set is read into arrays.
        targets: as `Explainer.explain`; None for the classes that the model itself predicts, in the clones,
            too.
        order: `"cascading"`: what is random stays random; or `"independent"`: one layer at a time.
        seed: of the weights.

    Raises:
        InputError: if the order is unknown.
        ModelError: if the model has no weights, cannot be cloned, or is a modified one.

    Reference:
        Adebayo et al.: Sanity Checks for Saliency Maps, 2018, section 4.
    """
    if order not in ORDERS:
        raise InputError(f"order is one of {', '.join(ORDERS)}. Received: {order!r}.")
    models.check_model(model)
    if models.unmodified(model)[1] is not None:
        raise ModelError(
            f"{model.name!r} is a modified model, whose clone is none. Pass the model itself, and modify it "
            "in the explainer: lambda model: Saliency(guided(model))."
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
    for (path, weights_of), (_, drawn) in reversed([*zip(_layers(clone), _layers(untrained), strict=True)]):
        trained = [variable.numpy() for variable in weights_of]
        for variable, new in zip(weights_of, drawn, strict=True):
            variable.assign(new)
        found = _maps(changed, inputs, weights)
        names.append(path)
        ranks.append(rank_correlation(wanted, found))
        similarities.append(structural_similarity(wanted, found))
        if order == "independent":
            for variable, old in zip(weights_of, trained, strict=True):
                variable.assign(old)
    if not names:
        raise ModelError(f"The model {model.name!r} has no weights that could be random.")
    return SanityCheck(order, names, np.array(ranks), np.array(similarities))


def plot_sanity(checks: Mapping[str, SanityCheck], title: str = "") -> Any:
    """Return a figure of how the maps of methods change as layers are made random.

    Args:
        checks: of one model in one order, by the names of the methods.
        title: stands above the figure.

    Returns:
        A `matplotlib.figure.Figure`, see `vis.plotting.plot_spread`.

    Raises:
        InputError: if there is no check, or they are of other layers or orders.
    """
    from vis import plotting

    kinds = {(check.order, *check.layers) for check in checks.values()}
    if len(kinds) != 1:
        raise InputError(
            "Sanity checks of one model in one order are drawn together. "
            f"Received: {len(checks)} checks of {len(kinds)} kinds."
        )
    order, *layers = kinds.pop()

    def lines(name: str) -> dict[str, npt.NDArray[np.float64]]:
        # As it was, a map is like itself.
        found = {method: getattr(check, name) for method, check in checks.items()}
        return {method: np.vstack([np.ones_like(rows[:1]), rows]) for method, rows in found.items()}

    return plotting.plot_spread(
        ["as trained", *layers],
        {name.replace("_", " "): lines(name) for name in ("rank_correlation", "structural_similarity")},
        title,
        "random from the output to here" if order == "cascading" else "random alone",
    )


def _maps(explainer: Explainer, inputs: Any, weights: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    found = [batch.maps for batch in explainer.explained(inputs, weights)]
    if len(found[0]) != 1:
        raise InputError(f"The maps of one input are compared. Received: a model with {len(found[0])}.")
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
    except Exception as error:  # whatever a layer of one's own raises
        raise ModelError(
            f"The model {model.name!r} cannot be cloned: {first_line(error)}. Its layers need a "
            "get_config; what a subclassed model does is not known from outside: make it a functional one."
        ) from error


def _with_seed(seed: int, make: Callable[[], Any]) -> Any:
    """Make something whose initializers draw their seeds from random numbers that depend on `seed` alone."""
    state = random.getstate()
    # Not the seed itself: a model may have got its first weights by that.
    random.seed(f"sanity check {seed}")
    try:
        return make()
    finally:
        random.setstate(state)
