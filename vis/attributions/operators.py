"""Operators: functions that turn the output of a model into the score of each sample, which is explained.

| name | score |
|---|---|
| `classification`, `regression` | the sum of the outputs weighted by the targets |
| `contrastive` | that sum, less the mean of the outputs without a target times the sum of the targets |
| `semantic segmentation` | the same, divided by the number of targets that are not zero |
| `object detection` | how well detections cover the target boxes: overlap x confidence x class similarity |

An operator is a function `operator(model, inputs, targets) -> (batch,)` in `keras.ops`; `model(inputs)` is
the output of the model, or of the `output_layer`. For a model with a single output of several classes, a
class, or one per sample, arrives as one-hot rows; all other targets arrive unchanged, in float32, with a row
per sample.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, TypeAlias, TypeVar, cast

import keras
from keras import ops

from vis.engine import Operator, single_output
from vis.errors import InputError
from vis.registry import Registry
from vis.typing import Tensor
from vis.words import OperatorName

__all__ = [
    "Operator",
    "OperatorLike",
    "contrastive",
    "detection",
    "detection_of",
    "get",
    "names",
    "register",
    "segmentation",
    "weighted_sum",
]

# What an option `operator` takes.
OperatorLike: TypeAlias = OperatorName | str | Operator | None
F = TypeVar("F", bound=Operator)
_Model = Callable[[Any], Tensor]
Decode: TypeAlias = Callable[[Tensor, Tensor], Tensor]
_EPSILON = 1e-7


def _wrap(thing: Any, name: str) -> Operator:
    if not callable(thing):
        raise TypeError("an operator is a function operator(model, inputs, targets)")
    try:
        inspect.signature(thing).bind(None, None, None)
    except (TypeError, ValueError):
        raise TypeError("the function must take three arguments, operator(model, inputs, targets)") from None
    operator: Operator = thing
    return operator


_registry: Registry[Operator] = Registry("operator", _wrap)
names = _registry.names


def name_of(operator: Operator) -> str | None:
    """Return the name of a registered operator, or None."""
    return _registry.name_of(registered(operator))


def register(*names: str) -> Callable[[F], F]:
    """Return a decorator that registers an operator under each of `names` and returns it.

    Raises:
        ModifierError: if a name is taken by another one, or it is not a function of three arguments.
    """
    return cast("Callable[[F], F]", _registry.register(*names))


def get(identifier: OperatorLike) -> Operator:
    """Return the operator for a task's name, a function, or None (classification).

    Raises:
        ModifierError: if the name is unknown; the valid ones and the nearest are listed.
    """
    return _registry.get("classification" if identifier is None else identifier)


@register("classification", "regression")
def weighted_sum(model: _Model, inputs: Tensor, targets: Tensor) -> Tensor:
    """Return the sum of the outputs times the targets: with a one-hot target, that output.

    Args:
        model: gives outputs `(batch, ...)`.
        inputs: what the model is called with.
        targets: of the outputs' shape.
    """
    outputs = single_output(model(inputs))
    weighted = outputs * ops.cast(targets, outputs.dtype)
    return (
        ops.sum(weighted, axis=tuple(range(1, len(weighted.shape)))) if len(weighted.shape) > 1 else weighted
    )


@register("contrastive")
def contrastive(model: _Model, inputs: Tensor, targets: Tensor) -> Tensor:
    """Return what tells some classes from others: `sum_c t_c y_c - (sum_c t_c) mean_{c: t_c = 0} y_c`.

    A class as the target is compared with all others. To compare it with one other, or with some, pass
    weights that add up to 0, such as 1 and -1: then the mean of the rest does not count.

    Args:
        model: gives outputs `(batch, ..., classes)`; at each position, the classes are compared there.
        inputs: what the model is called with.
        targets: of the outputs' shape.

    Reference:
        Prabhushankar et al.: Contrastive Explanations in Neural Networks, 2020, for "why this, and not that".
    """
    return _contrastive(model, inputs, targets, -1)


def _contrastive(model: _Model, inputs: Tensor, targets: Tensor, axis: int) -> Tensor:
    outputs = single_output(model(inputs))
    weights = ops.cast(targets, outputs.dtype)
    rest = ops.cast(ops.equal(weights, 0), outputs.dtype)
    total = ops.sum(weights, axis=axis, keepdims=True)
    share = total / ops.maximum(ops.sum(rest, axis=axis, keepdims=True), 1)
    return weighted_sum(lambda _: outputs, inputs, weights - share * rest)


# `contrastive` by the axis of the classes.
_along: dict[int, Operator] = {}


def along(operator: Operator, axis: int) -> Operator:
    """Return an operator for outputs whose classes lie along another axis than the last one.

    The same object for the same axis, so that it is compiled once.
    """
    if operator is not contrastive:
        return operator

    def turned(model: _Model, inputs: Tensor, targets: Tensor) -> Tensor:
        return _contrastive(model, inputs, targets, axis)

    turned.__name__ = turned.__qualname__ = "contrastive"
    return _along.setdefault(axis, turned)


def registered(operator: Operator) -> Operator:
    """Return the operator that `along` was given."""
    return contrastive if any(operator is made for made in _along.values()) else operator


@register("semantic segmentation")
def segmentation(model: _Model, inputs: Tensor, targets: Tensor) -> Tensor:
    """Return the mean of the outputs over a region.

    Args:
        model: gives outputs `(batch, height, width, classes)`.
        inputs: what the model is called with.
        targets: of the outputs' shape: 1 for the class and the positions of the region, 0 elsewhere; -1 asks
            for less of a class.
    """
    axes = tuple(range(1, len(targets.shape)))
    counts = ops.sum(ops.cast(ops.not_equal(targets, 0), targets.dtype), axis=axes)
    score = weighted_sum(model, inputs, targets)
    return score / ops.cast(ops.maximum(counts, 1), score.dtype)


@register("object detection")
def detection(model: _Model, inputs: Tensor, targets: Tensor) -> Tensor:
    """Return how well detections match the target boxes.

    For each target box the largest of `IoU x confidence x cosine(classes, target classes)` over all
    detections; of several target boxes, the mean. Rows of zeros are not objects.

    Args:
        model: gives detections `(batch, objects, 5 + classes)`: a box `(left, top, right, bottom)`, a
            confidence, and a number per class.
        inputs: what the model is called with.
        targets: boxes in the same form, `(batch, boxes, 5 + classes)` or `(batch, 5 + classes)`.

    Reference:
        Petsiuk et al.: Black-box Explanation of Object Detectors via Saliency Maps (D-RISE), 2021.
    """
    found = single_output(model(inputs))
    if keras.backend.standardize_dtype(found.dtype) != "float64":
        found = ops.cast(found, "float32")  # half precision cannot hold the smallest lengths
    if len(found.shape) != 3 or targets.shape[-1] != found.shape[-1] or len(targets.shape) not in (2, 3):
        raise InputError(
            "The operator for object detection needs detections of shape (batch, objects, 5 + classes), and "
            f"boxes of the same form as targets. Received: outputs {tuple(found.shape)}, targets "
            f"{tuple(targets.shape)}."
        )
    wanted = ops.cast(targets, found.dtype)
    wanted = wanted if len(wanted.shape) == 3 else wanted[:, None]
    overlap = _overlap(found[:, None, :, :4], wanted[:, :, None, :4])
    likeness = ops.sum(_unit(found[:, None, :, 5:]) * _unit(wanted[:, :, None, 5:]), axis=-1)
    scores = overlap * found[:, None, :, 4] * likeness
    is_wanted = ops.cast(ops.any(ops.not_equal(wanted, 0), axis=-1), found.dtype)
    # A row of zeros has no confidence, and scores 0.
    best = ops.max(scores, axis=-1)
    return ops.sum(best * is_wanted, axis=-1) / ops.maximum(ops.sum(is_wanted, axis=-1), 1)


def detection_of(
    boxes: str, classes: str, *, from_logits: bool = True, order: str = "xyxy", decode: Decode | None = None
) -> Operator:
    """Return the operator `detection` for a detector whose output is a dict of boxes and class scores.

    Each class score is a probability `p_c`, the sigmoid of a logit, and the confidence of a detection is the
    largest of them: `IoU x max_c p_c x cosine(p, target classes)`.

    ```python
    operator = detection_of("bbox_regression", "cls_logits", order="yxyx", decode=to_boxes)
    maps = Occlusion(detector, operator=operator).explain(images, wanted)
    ```

    Args:
        boxes: the key of the boxes, `(batch, objects, 4)`.
        classes: the key of the scores of the classes, `(batch, objects, classes)`.
        from_logits: whether these are logits, and not probabilities.
        order: the order of the corners of a box: `"xyxy"` (left, top, right, bottom) or `"yxyx"`.
        decode: `decode(boxes, inputs)` returns the corners, in `keras.ops`, for a model that returns boxes in
            another form, such as offsets from anchors; None if they are corners.

    Returns:
        an operator whose targets are `(batch, boxes, 5 + classes)` or `(batch, 5 + classes)`: a box
        `(left, top, right, bottom)`, any number but 0, and the weights of the classes.

    Raises:
        InputError: if `order` is unknown; when it is called, if the output has no such keys.

    Reference:
        Petsiuk et al.: Black-box Explanation of Object Detectors via Saliency Maps (D-RISE), 2021.
    """
    if order not in ("xyxy", "yxyx"):
        raise InputError(f'order must be "xyxy" or "yxyx". Received: {order!r}.')

    def detection_in_dict(model: Callable[[Any], Any], inputs: Tensor, targets: Tensor) -> Tensor:
        found = model(inputs)
        if not isinstance(found, dict) or boxes not in found or classes not in found:
            keys = list(found) if isinstance(found, dict) else type(found).__name__
            raise InputError(
                f"The output of the model must be a dict with the keys {boxes!r} and {classes!r}. "
                f"Received: {keys}. Pass its keys to detection_of."
            )
        corners = found[boxes] if decode is None else decode(found[boxes], inputs)
        corners = ops.cast(corners, "float32")
        if order == "yxyx":
            corners = ops.stack([corners[..., i] for i in (1, 0, 3, 2)], axis=-1)
        shares = ops.cast(found[classes], "float32")
        shares = ops.sigmoid(shares) if from_logits else shares
        confidence = ops.max(shares, axis=-1, keepdims=True)
        rows = ops.concatenate([corners, confidence, shares], axis=-1)
        return detection(lambda _: rows, inputs, targets)

    # By which explainers tell their operators apart.
    how = f"from_logits={from_logits}, order={order!r}, decode={getattr(decode, '__qualname__', decode)}"
    detection_in_dict.__qualname__ = f"detection_of({boxes!r}, {classes!r}, {how})"
    return detection_in_dict


def _overlap(a: Any, b: Any) -> Any:
    """Return the intersection over the union of boxes."""
    sides = ops.minimum(a[..., 2:], b[..., 2:]) - ops.maximum(a[..., :2], b[..., :2])
    inside = ops.prod(ops.maximum(sides, 0), axis=-1)
    areas = ops.prod(a[..., 2:] - a[..., :2], axis=-1) + ops.prod(b[..., 2:] - b[..., :2], axis=-1)
    return inside / ops.maximum(areas - inside, _EPSILON)


def _unit(vectors: Any) -> Any:
    squares = ops.sum(ops.square(vectors), axis=-1, keepdims=True)
    return vectors * ops.rsqrt(ops.maximum(squares, _EPSILON**2))
