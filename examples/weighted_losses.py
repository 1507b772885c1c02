"""
Why this class and not that one
===============================

A question about two classes is a weighted sum of two losses. You learn how to ask what favours one class
over another, and how to write a loss of your own.
"""

# %%
# A loss is lower for what is wanted: ``ActivationMaximization`` is minus a logit, so the weights -1 and 1
# of two classes give the gradient of the difference of their logits. The ``Margin`` below asks for the lead
# of a class over all others, by their smooth maximum.

import keras
import numpy as np

from vis import (
    ActivationMaximization,
    Loss,
    linear_outputs,
    metrics,
    plotting,
    visualize_saliency_with_losses,
)
from vis.demo.network import load_network
from vis.demo.scenes import make_scenes

# sphinx_gallery_start_ignore
# isort: split
from vis.demo.script import Script

script = Script(globals())
# sphinx_gallery_end_ignore


class Margin(Loss):
    """The smooth maximum of all other logits minus the logit of one class."""

    name = "margin"

    def __init__(self, layer, index):
        self.layer = layer
        self.index = int(index)

    def build_loss(self):
        logits = self.layer.output
        others = [i for i in range(logits.shape[-1]) if i != self.index]
        # Keras 3.5 takes the axis of a symbolic logsumexp only as a tuple.
        highest = keras.ops.logsumexp(keras.ops.take(logits, others, axis=-1), axis=(-1,))
        return highest - logits[:, self.index]


# %%
# ``grad_modifier="relu"`` keeps the positive part of the gradient: where more brightness raises what is
# asked for.

logits = linear_outputs(load_network())
layer = logits.layers[-1]
scenes = make_scenes(4, "test", 5)
scores = logits.predict(scenes.images, verbose=0)
scores[np.arange(4), scenes.labels] = -np.inf
rivals = scores.argmax(axis=1)
columns = {"class alone": [], "over runner-up": [], "over all": []}
for image, label, rival in zip(scenes.images, scenes.labels, rivals, strict=True):
    wanted = (ActivationMaximization(layer, label), -1.0)
    unwanted = (ActivationMaximization(layer, rival), 1.0)
    asked = ([wanted], [wanted, unwanted], [(Margin(layer, label), -1.0)])
    for maps, losses in zip(columns.values(), asked, strict=True):
        maps.append(visualize_saliency_with_losses(logits, losses, image, grad_modifier="relu"))
figure = plotting.plot_maps(
    scenes.images,
    {f"{name}\npositive part": maps for name, maps in columns.items()},
    row_names=[f"{label}, not {rival}" for label, rival in zip(scenes.labels, rivals, strict=True)],
    title="What raises a class, and what raises its lead. Box: the digit",
    boxes=scenes.masks,
)
# sphinx_gallery_start_ignore
script.save(figure, dpi=150)
# sphinx_gallery_end_ignore
figure

# %%
# How much do the three answers differ?

print(f"the box of a digit covers {scenes.masks.mean():.2f} of a scene")
for name, maps in columns.items():
    inside = metrics.energy_in_mask(maps, scenes.masks).mean()
    pairs = zip(maps, columns["class alone"], strict=True)
    alike = np.mean([np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in pairs])
    print(f"{name}: {inside:.2f} of the energy in the box, correlation with the class alone {alike:.2f}")

# %%
# All three lie mostly on the digit, but they are not the same map. For batches, explainers take
# ``operator="contrastive"``: a class against the mean of all others, or weights such as 1 and -1.
