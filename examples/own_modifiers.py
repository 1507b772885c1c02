"""
Write your own modifiers
========================

Two functions of a few lines, registered under a name, change the gradient after or during backpropagation.
From then on every function and explainer takes the name.
"""

# %%
# A gradient modifier is a function of the gradient: ``squared`` gives the strongest pixels more weight. A
# backprop modifier is a rule for the derivative of an activation: ``smooth_relu`` replaces the step in the
# derivative of a ReLU by a sigmoid, the derivative of ``log(1 + exp(s x)) / s``, so that units just below
# zero count, too (`Dombrowski et al. 2019 <https://arxiv.org/abs/1906.07983>`_, section 5).

import keras
import numpy as np

from vis import backprop_modifiers, grad_modifiers, linear_outputs, metrics, plotting
from vis.attributions import Saliency
from vis.demo.network import load_network
from vis.demo.scenes import make_scenes

# sphinx_gallery_start_ignore
# isort: split
from vis.demo.script import Script

script = Script(globals())
# sphinx_gallery_end_ignore


@grad_modifiers.register("squared")
def squared(grads):
    return np.square(grads)


@backprop_modifiers.register("smooth_relu")
def smooth_relu(x, y, incoming, true):
    return incoming * keras.ops.sigmoid(2.0 * x)


# %%
# A name belongs to one definition: a cell of a notebook that is run again replaces it.

logits = linear_outputs(load_network())
scenes = make_scenes(50, "test", 14)
explainers = {
    "vanilla\n|gradient|": Saliency(logits),
    "squared\ngradient²": Saliency(logits, grad_modifier="squared"),
    "smooth_relu\n|gradient|": Saliency(logits, backprop_modifier="smooth_relu"),
    "both\ngradient²": Saliency(logits, backprop_modifier="smooth_relu", grad_modifier="squared"),
}
maps = {name: explainer(scenes.images, scenes.labels) for name, explainer in explainers.items()}
figure = plotting.plot_maps(
    scenes.images[:4],
    {name: found[:4] for name, found in maps.items()},
    row_names=[f"digit {label}" for label in scenes.labels[:4]],
    title="Maps of the digit's logit with custom modifiers. Box: the digit",
    boxes=scenes.masks[:4],
)
# sphinx_gallery_start_ignore
script.save(figure, dpi=150)
# sphinx_gallery_end_ignore
figure

# %%
# What do they change?

print(f"the box of a digit covers {scenes.masks.mean():.2f} of a scene; share of the energy in it:")
for name, found in maps.items():
    print(f"{name.splitlines()[0]}: {metrics.energy_in_mask(found, scenes.masks).mean():.2f}")

# %%
# Squares make any map look more concentrated: that is a matter of scale, and says nothing about the
# network. The smooth rule puts more of the map on the digit at the same scale.
