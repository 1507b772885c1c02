"""The same maps by Xplique, tf-keras-vis and tf-explain, called as their documentation says.

Each function returns the calls of one method, by the name of the package that has it.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

# tf-explain needs this layer when it is imported; in Keras 3 it is an argument of ReLU.
if not hasattr(tf.keras.layers, "ThresholdedReLU"):
    tf.keras.layers.ThresholdedReLU = keras.layers.ReLU

from tf_explain import core as tf_explain
from tf_keras_vis.gradcam import Gradcam
from tf_keras_vis.saliency import Saliency
from tf_keras_vis.scorecam import Scorecam
from tf_keras_vis.utils.scores import CategoricalScore
from xplique import attributions as xplique

Run = Callable[[], Any]
XPLIQUE, TF_KERAS_VIS, TF_EXPLAIN = "Xplique", "tf-keras-vis", "tf-explain"
VERSIONS = {name: version(name) for name in ("xplique", "tf-keras-vis", "tf-explain")}
# Keras 3 warns about the lists that tf-keras-vis passes to a model with one input.
warnings.filterwarnings("ignore", message="The structure of `inputs`")
tf.get_logger().setLevel("ERROR")


def saliency(network: keras.Model, images: npt.NDArray[Any], index: int) -> dict[str, Run]:
    """Return the gradient of the class score by the image."""
    rows = _rows(network, images, index)
    theirs = xplique.Saliency(network, batch_size=len(images))
    other = Saliency(network, clone=False)
    score = CategoricalScore([index] * len(images))
    return {
        XPLIQUE: lambda: theirs(images, rows),
        TF_KERAS_VIS: lambda: other(score, images, normalize_map=False),
        TF_EXPLAIN: lambda: tf_explain.VanillaGradients.compute_gradients(images, network, index).numpy(),
    }


def guided(network: keras.Model, images: npt.NDArray[Any], index: int) -> dict[str, Run]:
    """Return guided backpropagation."""
    rows = _rows(network, images, index)
    theirs = xplique.GuidedBackprop(network, batch_size=len(images))
    return {XPLIQUE: lambda: theirs(images, rows)}


def rectified(network: keras.Model, images: npt.NDArray[Any], index: int) -> dict[str, Run]:
    """Return the deconvolution of the score."""
    rows = _rows(network, images, index)
    theirs = xplique.DeconvNet(network, batch_size=len(images))
    return {XPLIQUE: lambda: theirs(images, rows)}


def changing(network: keras.Model, images: npt.NDArray[Any]) -> dict[str, Callable[[int], Any]]:
    """Return the gradient of a class that is chosen at each call."""
    theirs = xplique.Saliency(network, batch_size=len(images))
    other = Saliency(network, clone=False)
    one = tf_explain.VanillaGradients.compute_gradients
    return {
        XPLIQUE: lambda index: theirs(images, _rows(network, images, index)),
        TF_KERAS_VIS: lambda index: other(
            CategoricalScore([index] * len(images)), images, normalize_map=False
        ),
        TF_EXPLAIN: lambda index: one(images, network, index).numpy(),
    }


def smooth(network: keras.Model, images: npt.NDArray[Any], index: int, samples: int) -> dict[str, Run]:
    """Return the mean gradient of noisy copies."""
    rows = _rows(network, images, index)
    theirs = xplique.SmoothGrad(network, batch_size=64, nb_samples=samples)
    other = Saliency(network, clone=False)
    score = CategoricalScore([index] * len(images))

    def tf_explains() -> Any:
        noisy = tf_explain.SmoothGrad.generate_noisy_images(images, samples, 0.2)
        return tf_explain.SmoothGrad.get_averaged_gradients(noisy, network, index, samples).numpy()

    return {
        XPLIQUE: lambda: theirs(images, rows),
        TF_KERAS_VIS: lambda: other(
            score, images, smooth_samples=samples, smooth_noise=0.2, normalize_map=False
        ),
        TF_EXPLAIN: tf_explains,
    }


def integrated(network: keras.Model, images: npt.NDArray[Any], index: int, steps: int) -> dict[str, Run]:
    """Return integrated gradients."""
    rows = _rows(network, images, index)
    theirs = xplique.IntegratedGradients(network, batch_size=64, steps=steps)

    def tf_explains() -> Any:
        path = tf_explain.IntegratedGradients.generate_interpolations(images, steps).astype(np.float32)
        return tf_explain.IntegratedGradients.get_integrated_gradients(path, network, index, steps).numpy()

    return {XPLIQUE: lambda: theirs(images, rows), TF_EXPLAIN: tf_explains}


def grad_cam(network: keras.Model, images: npt.NDArray[Any], index: int, layer: str) -> dict[str, Run]:
    """Return Grad-CAM of a layer."""
    rows = _rows(network, images, index)
    theirs = xplique.GradCAM(network, batch_size=len(images), conv_layer=layer)
    other = Gradcam(network, clone=False)
    score = CategoricalScore([index] * len(images))

    def tf_explains() -> Any:
        found = tf_explain.GradCAM.get_gradients_and_filters(network, images, layer, index, False)
        return [cam.numpy() for cam in tf_explain.GradCAM.generate_ponderated_output(*found)]

    return {
        XPLIQUE: lambda: theirs(images, rows),
        TF_KERAS_VIS: lambda: other(score, images, penultimate_layer=layer, normalize_cam=False),
        TF_EXPLAIN: tf_explains,
    }


def score_cam(
    network: keras.Model, images: npt.NDArray[Any], index: int, layer: str, most: int
) -> dict[str, Run]:
    """Return Score-CAM of the channels of a layer that vary most."""
    other = Scorecam(network, clone=False)
    score = CategoricalScore([index] * len(images))
    return {
        TF_KERAS_VIS: lambda: other(
            score,
            images,
            penultimate_layer=layer,
            seek_penultimate_conv_layer=False,
            batch_size=64,
            max_N=most,
            normalize_cam=False,
        )
    }


def by_scores(
    network: keras.Model, images: npt.NDArray[Any], index: int, passes: dict[str, int]
) -> dict[str, dict[str, Run]]:
    """Return the methods without a gradient: with a number of passes, of 8 x 8 patches of a picture."""
    rows = _rows(network, images, index)
    side = images.shape[1] // 8
    patches = np.arange(64).reshape(8, 8).repeat(side, 0).repeat(side, 1).astype(np.int32)
    groups = {"map_to_interpret_space": lambda _: patches, "ref_value": np.zeros(images.shape[-1])}
    made = {
        "Occlusion": xplique.Occlusion(network, 64, patch_size=side, patch_stride=side, occlusion_value=0.0),
        "Rise": xplique.Rise(network, 64, nb_samples=passes["Rise"]),
        "Lime": xplique.Lime(network, 64, nb_samples=passes["Lime"], **groups),
        "KernelShap": xplique.KernelShap(network, 64, nb_samples=passes["KernelShap"], **groups),
    }
    return {name: {XPLIQUE: lambda theirs=theirs: theirs(images, rows)} for name, theirs in made.items()}


def _rows(network: keras.Model, images: npt.NDArray[Any], index: int) -> npt.NDArray[Any]:
    rows = np.zeros((len(images), network.outputs[0].shape[-1]), np.float32)
    rows[:, index] = 1
    return rows
