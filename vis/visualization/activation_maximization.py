"""Activation maximization: the input that a filter responds to most."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import keras
import numpy as np
import numpy.typing as npt

from vis import backprop_modifiers, checks, models, parameterizations
from vis.backprop_modifiers.base import BackpropModifierLike
from vis.callbacks import OptimizerCallback
from vis.engine import Losses, ModelOrInputs
from vis.errors import ModelError
from vis.grad_modifiers.base import GradModifierLike
from vis.inputs import in_order, packed
from vis.inputs import names as names_of
from vis.losses import ActivationMaximization, Loss, LPNorm, TotalVariation
from vis.optimizer import Modifiers, Optimizer, Range
from vis.parameterizations.base import ParameterizationLike
from vis.typing import Filters, Inputs, Layer

Picture: TypeAlias = npt.NDArray[np.uint8 | np.float32]
# The default weight of a regularizer, an object of its own, to tell it from a 10 that the caller passes.
_UNCHOSEN = float(10)


def visualize_activation(
    model: keras.Model,
    layer_idx: Layer,
    filter_indices: Filters = None,
    wrt_tensor: Layer | None = None,
    seed_input: Inputs | None = None,
    input_range: Range | Mapping[str, Range] = (0, 255),
    backprop_modifier: BackpropModifierLike = None,
    grad_modifier: GradModifierLike = None,
    act_max_weight: float = 1,
    lp_norm_weight: float | None = _UNCHOSEN,
    tv_weight: float | None = _UNCHOSEN,
    each: bool = False,
    *,
    max_iter: int = 200,
    input_modifiers: Modifiers | Mapping[str, Modifiers] | None = None,
    callbacks: Sequence[OptimizerCallback] | None = None,
    verbose: bool = False,
    optimizer: keras.optimizers.Optimizer | None = None,
    seed: int | None = None,
    parameterization: ParameterizationLike | Mapping[str, ParameterizationLike] = "pixels",
    samples: int | None = None,
    wrt: Layer | None = None,
    starts: int | None = None,
    inputs: Sequence[str] | None = None,
) -> Picture:
    """Return a picture that maximizes the activation of `filter_indices`.

    ```python
    visualize_activation(logits, -1, 3)  # a picture of class 3, as pixels, as in keras-vis
    visualize_activation(logits, -1, 3, parameterization="fourier")  # more natural
    visualize_activation(model, "conv3", range(8), each=True, parameterization="fourier")  # eight pictures
    ```

    Minimizes `act_max_weight L_act + lp_norm_weight L_lp + tv_weight L_tv`: minus the activation of the
    filters (see `ActivationMaximization`), the 6-norm and the total variation of the picture.

    Args:
        model: a functional or sequential model. It is not changed.
        layer_idx: the layer: an index, a name, a path into nested models, or the layer itself. For a
            class take the logits, see `vis.linear_outputs`.
        filter_indices: an index, several, or None for all; one picture for their sum, unless `each`.
        wrt_tensor: keras-vis's name of `wrt`.
        seed_input: where to start; by default random values around the middle of `input_range`. For several
            inputs, see `vis.optimizer.Optimizer.minimize`; with `starts` or `samples` also one for each.
        input_range: the values `(low, high)` of the picture; None for any, with the values as they are; for
            several inputs also a dict by their names.
        backprop_modifier: changes the derivative of activations, see `visualize_saliency`.
        grad_modifier: changes the gradient, see `visualize_saliency`.
        act_max_weight: the weight of the activation.
        lp_norm_weight: the weight of the norm; 0 or None for none. The default is 10 on pixels, and 0 on
            other parameterizations.
        tv_weight: the weight of the total variation, with the same defaults; 0 on inputs without image axes.
        each: make a picture for each filter, all optimized at once, instead of one for their sum.
        max_iter: the number of steps, at least 1.
        input_modifiers: objects that change the input in or around each step, see `vis.input_modifiers`.
        callbacks: called before the first step, after each and at the end, see `vis.callbacks`.
        verbose: print the losses of each step.
        optimizer: a Keras optimizer; it is not changed. By default the parameterization's.
        seed: fixes the random start and the random transformations.
        parameterization: how the picture is parameterized, `"pixels"`, `"fourier"` or `"maco"`, or a
            `vis.parameterizations.Parameterization`; for several inputs also a dict by their names.
        samples: how many pictures to optimize side by side; by default one, or with `each` one for each
            filter.
        wrt: a layer to differentiate by instead of the input: the picture does not change then, and there is
            a single step for the callbacks, as in keras-vis.
        starts: how many starts to try side by side; the picture of the best one is returned.
        inputs: the names of the inputs that change, of a model with several; None for all that take floats.

    Returns:
        For several inputs, this for each in their structure; inputs that stay are returned as they are.
        `(height, width, channels)`, channels last for models of either data format; with `each` or `samples`
        `(samples, height, width, channels)`. uint8 if both ends of the range are integers from 0 to 255, the
        higher one above 1; float32 otherwise.

    Raises:
        ModelError: for a subclassed model, which has no symbolic input.
        LayerError, FilterError, InputError, ModifierError, GradientError: see `vis.errors`.

    Warns:
        SoftmaxWarning: if the layer ends in a softmax.
        EmptyMapWarning: if no step lowers the loss.

    Reference:
        Simonyan, Vedaldi, Zisserman: Deep Inside Convolutional Networks, 2014, section 2; Mahendran,
        Vedaldi: Understanding Deep Image Representations by Inverting Them, 2015, for the regularizers;
        Olah, Mordvintsev, Schubert: Feature Visualization, 2017, for the Fourier parameterization.
    """
    wrt = checks.either(wrt, wrt_tensor, "wrt", "wrt_tensor")
    models.check_model(model)
    layer = models.find_layer(model, layer_idx)
    symbols = models.input_structure(model)
    if symbols is None:
        raise ModelError(
            f"The model {model.name!r} has no symbolic input to optimize: it is subclassed or not built. "
            "Wrap it: x = keras.Input(shape); keras.Model(x, model(x))."
        )
    maximization = ActivationMaximization(layer, filter_indices, each)
    losses: list[tuple[Loss, float]] = [(maximization, act_max_weight)]
    for name, image in zip(names_of(symbols), keras.tree.flatten(symbols), strict=True):
        if (inputs is not None and name not in inputs) or not keras.backend.is_float_dtype(image.dtype):
            continue
        own = (
            parameterization.get(name, "pixels")
            if isinstance(parameterization, Mapping)
            else parameterization
        )
        unchosen = parameterizations.get(own).regularization
        norm = unchosen if lp_norm_weight is _UNCHOSEN else lp_norm_weight
        has_axes = len(image.shape) >= TotalVariation.lowest_rank
        variation = unchosen * has_axes if tv_weight is _UNCHOSEN else tv_weight
        losses += [(LPNorm(image), norm)] if norm else []
        losses += [(TotalVariation(image), variation)] if variation else []
    if backprop_modifier is not None:
        model = backprop_modifiers.get(backprop_modifier)(model)
    return visualize_activation_with_losses(
        model,
        losses,
        seed_input=seed_input,
        input_range=input_range,
        grad_modifier=grad_modifier,
        max_iter=max_iter,
        input_modifiers=input_modifiers,
        callbacks=callbacks,
        verbose=verbose,
        optimizer=optimizer,
        seed=seed,
        parameterization=parameterization,
        samples=maximization.samples if samples is None else samples,
        wrt=wrt,
        starts=starts,
        inputs=inputs,
    )


def visualize_activation_with_losses(
    input_tensor: ModelOrInputs,
    losses: Losses,
    wrt_tensor: Layer | None = None,
    seed_input: Inputs | None = None,
    input_range: Range | Mapping[str, Range] = (0, 255),
    *,
    grad_modifier: GradModifierLike = None,
    max_iter: int = 200,
    input_modifiers: Modifiers | Mapping[str, Modifiers] | None = None,
    callbacks: Sequence[OptimizerCallback] | None = None,
    verbose: bool = False,
    optimizer: keras.optimizers.Optimizer | None = None,
    seed: int | None = None,
    parameterization: ParameterizationLike | Mapping[str, ParameterizationLike] = "pixels",
    samples: int | None = None,
    wrt: Layer | None = None,
    starts: int | None = None,
    inputs: Sequence[str] | None = None,
) -> Picture:
    """Return a picture that minimizes a weighted sum of losses.

    Minimizes `sum_i weight_i loss_i`, see `vis.optimizer.Optimizer`.

    Args:
        input_tensor: the model's symbolic input or inputs, or the model itself.
        losses: pairs `(loss, weight)` of a `vis.losses.Loss` and a finite number.
        wrt_tensor, seed_input, input_range, grad_modifier, max_iter, input_modifiers, callbacks, verbose,
            optimizer, seed, parameterization, wrt, starts, inputs: see `visualize_activation`.
        samples: how many pictures to optimize side by side; None for one, without an axis of samples.

    Returns:
        As `visualize_activation`.

    Raises:
        ModelError, InputError, ModifierError, GradientError: see `vis.errors`.

    Warns:
        EmptyMapWarning: if no step lowers the loss.
    """
    maximizer = Optimizer(input_tensor, losses, input_range, wrt_tensor, wrt=wrt, inputs=inputs)
    found = maximizer.minimize(
        seed_input,
        max_iter,
        input_modifiers,
        grad_modifier,
        callbacks,
        verbose,
        optimizer,
        seed,
        parameterization,
        samples,
        starts=starts,
    )[0]
    symbols = maximizer.source.symbols
    pictures = in_order(symbols, found)
    for i, symbol in enumerate(keras.tree.flatten(symbols)):
        if any(symbol is each for each in maximizer.changed):
            rank = len(symbol.shape)
            # Counted from the end, whether or not there is an axis of samples.
            channels = models.input_channel_axis(symbol, rank) % rank - rank
            pictures[i] = np.moveaxis(pictures[i], channels, -1)
    made: Picture = pictures[0] if len(pictures) == 1 else packed(symbols, pictures, seed_input)
    return made
