"""The same maps by Captum and pytorch-grad-cam, called as their documentation says.

Each function returns the calls of one method, by the name of the package that has it. The packages take the
Keras model as the module that it is in PyTorch, where they can. Captum's guided backpropagation and
deconvolution replace modules `nn.ReLU`, of which a Keras model has none, and its Grad-CAM takes the second
axis for the channels: they, and once more the others, are given the equal network in plain PyTorch, where
there is one.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib.metadata import version
from importlib.util import find_spec
from types import ModuleType
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import torch
from captum import attr
from torch import nn

from peers.plain import equal

# pytorch-grad-cam imports torchvision to read pictures, which nothing here does; a torchvision that fits the
# installed PyTorch is not always to be had.
if find_spec("torchvision") is None:
    for _name in ("torchvision", "torchvision.transforms", "torchvision.transforms.functional"):
        sys.modules[_name] = ModuleType(_name)
    for _name in ("Compose", "Normalize", "ToTensor"):
        setattr(sys.modules["torchvision.transforms"], _name, None)
    sys.modules["torchvision.transforms.functional"].resize = None

from pytorch_grad_cam import GradCAM
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

Array = npt.NDArray[Any]
Run = Callable[[], Any]
CAPTUM, GRAD_CAM, PLAIN = "Captum", "pytorch-grad-cam", "plain network"
VERSIONS = {name: version(name) for name in ("captum", "grad-cam")}


def saliency(network: keras.Model, images: Array, index: int) -> dict[str, Run]:
    """Return the gradient of the class score by the image, and that of the plain network by hand."""

    def by_hand(module: nn.Module, x: torch.Tensor) -> torch.Tensor:
        x.requires_grad_()
        return torch.autograd.grad(module(x)[:, index].sum(), x)[0]

    found = _captum(network, images, lambda module, x: attr.Saliency(module).attribute(x, target=index))
    plain = equal(network)
    if plain is not None:
        found[f"hand-written limit, {PLAIN}"] = _run(by_hand, plain, images, True)
    return found


def guided(network: keras.Model, images: Array, index: int) -> dict[str, Run]:
    """Return guided backpropagation."""
    return _replaced(attr.GuidedBackprop, network, images, index)


def rectified(network: keras.Model, images: Array, index: int) -> dict[str, Run]:
    """Return the deconvolution of the score."""
    return _replaced(attr.Deconvolution, network, images, index)


def changing(network: keras.Model, images: Array) -> dict[str, Callable[[int], Any]]:
    """Return the gradient of a class that is chosen at each call."""
    theirs = attr.Saliency(network)
    return {CAPTUM: lambda index: theirs.attribute(_tensor(images), target=index).cpu().numpy()}


def smooth(network: keras.Model, images: Array, index: int, samples: int) -> dict[str, Run]:
    """Return the mean gradient of noisy copies."""
    return _captum(
        network,
        images,
        lambda module, x: attr.NoiseTunnel(attr.Saliency(module)).attribute(
            x, nt_type="smoothgrad", nt_samples=samples, stdevs=0.2, target=index
        ),
    )


def integrated(network: keras.Model, images: Array, index: int, steps: int) -> dict[str, Run]:
    """Return integrated gradients."""
    return _captum(
        network,
        images,
        lambda module, x: attr.IntegratedGradients(module).attribute(x, n_steps=steps, target=index),
    )


def grad_cam(network: keras.Model, images: Array, index: int, layer: str) -> dict[str, Run]:
    """Return Grad-CAM of a layer."""
    targets = [ClassifierOutputTarget(index)] * len(images)

    def own(cam: GradCAM) -> Run:
        # Something must need a gradient; the weights are frozen, which saves more.
        return lambda: cam(_turned(_tensor(images)).requires_grad_(), targets)

    # It leaves hooks on the layers, which would slow the other candidates down.
    copy = keras.models.clone_model(network)
    copy.set_weights(network.get_weights())
    copy.requires_grad_(False)
    theirs = GradCAM(_ChannelsFirst(copy), [copy.get_layer(layer)], _turned)
    found = {GRAD_CAM: own(theirs)}
    plain = equal(network)
    if plain is not None:
        module = plain.get_submodule(layer)
        found[f"{GRAD_CAM}, {PLAIN}"] = own(GradCAM(plain, [module]))
        found[f"{CAPTUM}, {PLAIN}"] = _run(
            lambda network, x: attr.LayerGradCam(network, module).attribute(x, target=index),
            plain,
            images,
            True,
        )
    return found


def by_scores(
    network: keras.Model, images: Array, index: int, passes: dict[str, int]
) -> dict[str, dict[str, Run]]:
    """Return the methods without a gradient: with a number of passes, of 8 x 8 patches of a picture."""
    side = images.shape[1] // 8
    patches = torch.arange(64).reshape(1, 8, 8, 1)
    patches = patches.repeat_interleave(side, 1).repeat_interleave(side, 2).to(_tensor(images).device)
    several = {"target": index, "perturbations_per_eval": 64}

    def of_patches(kind: Any, name: str) -> dict[str, Run]:
        theirs = kind(network)
        options = {**several, "feature_mask": patches, "n_samples": passes[name]}
        return {CAPTUM: lambda: theirs.attribute(_tensor(images), **options).cpu().numpy()}

    occlusion = attr.Occlusion(network)
    window = (side, side, images.shape[-1])
    return {
        "Occlusion": {
            CAPTUM: lambda: occlusion.attribute(_tensor(images), window, window, **several).cpu().numpy()
        },
        "Lime": of_patches(attr.Lime, "Lime"),
        "KernelShap": of_patches(attr.KernelShap, "KernelShap"),
    }


class _ChannelsFirst(nn.Module):
    """A Keras model that takes images as PyTorch has them."""

    def __init__(self, network: keras.Model) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.network(x.permute(0, 2, 3, 1))


def _captum(
    network: keras.Model, images: Array, call: Callable[[nn.Module, torch.Tensor], torch.Tensor]
) -> dict[str, Run]:
    """Return a call of Captum on the Keras model, and on the plain network."""
    plain = equal(network)
    found = {CAPTUM: _run(call, network, images)}
    if plain is not None:
        found[f"{CAPTUM}, {PLAIN}"] = _run(call, plain, images, True)
    return found


def _replaced(method: Any, network: keras.Model, images: Array, index: int) -> dict[str, Run]:
    """Return a method of Captum that replaces modules of the network that it is given."""
    plain = equal(network)
    if plain is None:
        return {}
    theirs = method(plain)
    return {f"{CAPTUM}, {PLAIN}": _run(lambda _, x: theirs.attribute(x, target=index), plain, images, True)}


def _run(
    call: Callable[[nn.Module, torch.Tensor], torch.Tensor],
    module: nn.Module,
    images: Array,
    channels_first: bool = False,
) -> Run:
    def run() -> Array:
        x = _turned(_tensor(images)) if channels_first else _tensor(images)
        found = call(module, x.requires_grad_()).detach()
        return np.moveaxis(found.cpu().numpy(), 1, -1) if channels_first else found.cpu().numpy()

    return run


def _tensor(images: Array) -> torch.Tensor:
    tensor: torch.Tensor = keras.ops.convert_to_tensor(images)
    return tensor


def _turned(tensor: torch.Tensor) -> torch.Tensor:
    """Return images with the channels first."""
    return tensor.permute(0, 3, 1, 2).contiguous()
