"""Activation maximization: the input that a filter responds to most."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from vis import backprop_modifiers, models, parameterizations
from vis.errors import ModelError
from vis.losses import ActivationMaximization, Loss, LPNorm, TotalVariation
from vis.optimizer import Optimizer
from vis.source import Losses

# The default weight of a regularizer, as an object of its own: 10 that somebody passes is a choice.
_UNCHOSEN = float(10)


def visualize_activation(
    model: Any,
    layer_idx: Any,
    filter_indices: Any = None,
    wrt_tensor: Any = None,
    seed_input: Any = None,
    input_range: tuple[float, float] = (0, 255),
    backprop_modifier: Any = None,
    grad_modifier: Any = None,
    act_max_weight: float = 1,
    lp_norm_weight: float | None = _UNCHOSEN,
    tv_weight: float | None = _UNCHOSEN,
    each: bool = False,
    **optimizer_params: Any,
) -> npt.NDArray[Any]:
    """Return a picture that maximizes the activation of `filter_indices`.

    ```python
    visualize_activation(logits, -1, 3)  # a picture for class 3, of pixels, as keras-vis
    visualize_activation(logits, -1, 3, parameterization="fourier")  # more natural
    visualize_activation(model, "conv3", range(8), each=True, parameterization="fourier")  # eight
    ```

    Descends `act_max_weight L_act + lp_norm_weight L_lp + tv_weight L_tv`: minus the activation of the
    filters (see `ActivationMaximization`), the 6-norm and the total variation of the picture.

    Args:
        model: a functional or sequential model of one input. It is not changed.
        layer_idx: the layer: an index, a name, a path into nested models, or the layer itself. For a
            class take the logits, see `vis.linear_outputs`.
        filter_indices: an index, several, or None for all; one picture for their sum, unless `each`.
        wrt_tensor: as `vis.optimizer.Optimizer`.
        seed_input: where to start; by default random values around the middle of `input_range`.
        input_range: the values `(low, high)` of the picture.
        backprop_modifier: the derivative of activations, see `visualize_saliency`.
        grad_modifier: what is done to the gradient, see `visualize_saliency`.
        act_max_weight: the weight of the activation.
        lp_norm_weight: the weight of the norm; 0 or None for none. Unless chosen, 10 on pixels, and 0 on
            other parameterizations.
        tv_weight: the weight of the total variation, with the same defaults; 0 on inputs without image axes.
        each: a picture for each filter, all optimized at once, in place of one for their sum.
        **optimizer_params: what `Optimizer.minimize` takes: `max_iter`, `parameterization`, `optimizer`,
            `seed`, `input_modifiers`, `callbacks`, `verbose`.

    Returns:
        `(height, width, channels)`, with `each` `(filters, height, width, channels)`: uint8 if both ends of
        the range are integers from 0 to 255, the higher one above 1, float32 otherwise; channels last
        whatever the model's format.

    Raises:
        ModelError: for a subclassed model, which has no symbolic input.
        LayerError, FilterError, InputError, ModifierError, GradientError: see `vis.errors`.

    Warns:
        SoftmaxWarning: if the layer ends in a softmax.

    Reference:
        Simonyan, Vedaldi, Zisserman: Deep Inside Convolutional Networks, 2014, section 2; Mahendran,
        Vedaldi: Understanding Deep Image Representations by Inverting Them, 2015, for the regularizers;
        Olah, Mordvintsev, Schubert: Feature Visualization, 2017, for the Fourier parameterization.
    """
    models.check_model(model)
    layer = models.find_layer(model, layer_idx)
    symbols = models.input_structure(model)
    if symbols is None:
        raise ModelError(
            f"The model {model.name!r} has no symbolic input to optimize: it is subclassed or not built. "
            "Wrap it: x = keras.Input(shape); keras.Model(x, model(x))."
        )
    unchosen = parameterizations.get(optimizer_params.get("parameterization", "pixels")).regularization
    image = model.inputs[0]
    if lp_norm_weight is _UNCHOSEN:
        lp_norm_weight = unchosen
    if tv_weight is _UNCHOSEN:
        tv_weight = unchosen if len(image.shape) >= TotalVariation.lowest_rank else 0
    maximization = ActivationMaximization(layer, filter_indices, each)
    losses: list[tuple[Loss, float]] = [(maximization, act_max_weight)]
    losses += [(LPNorm(image), lp_norm_weight)] if lp_norm_weight else []
    losses += [(TotalVariation(image), tv_weight)] if tv_weight else []
    optimizer_params.setdefault("samples", maximization.samples)
    if backprop_modifier is not None:
        model = backprop_modifiers.get(backprop_modifier)(model)
    return visualize_activation_with_losses(
        model, losses, wrt_tensor, seed_input, input_range, grad_modifier=grad_modifier, **optimizer_params
    )


def visualize_activation_with_losses(
    input_tensor: Any,
    losses: Losses,
    wrt_tensor: Any = None,
    seed_input: Any = None,
    input_range: tuple[float, float] = (0, 255),
    **optimizer_params: Any,
) -> npt.NDArray[Any]:
    """Return a picture that minimizes a weighted sum of losses.

    Args:
        input_tensor: the model's symbolic input, or the model itself.
        losses: pairs `(loss, weight)` of a `vis.losses.Loss` and a finite number.
        wrt_tensor: as `vis.optimizer.Optimizer`.
        seed_input: where to start; by default random values around the middle of `input_range`.
        input_range: the values `(low, high)` of the picture.
        **optimizer_params: what `Optimizer.minimize` takes.

    Returns:
        As `visualize_activation`.

    Raises:
        ModelError, InputError, ModifierError, GradientError: see `vis.errors`.
    """
    optimizer = Optimizer(input_tensor, losses, input_range, wrt_tensor)
    picture = optimizer.minimize(seed_input, **{"verbose": False, **optimizer_params})[0]
    rank = len(optimizer.input.shape)
    # Counted from the end, whether or not there is an axis of samples.
    return np.moveaxis(picture, models.input_channel_axis(optimizer.input, rank) % rank - rank, -1)
