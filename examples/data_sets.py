"""
Explain batches and data sets
=============================

An explainer is made once for a model and called with as many pictures as you like: arrays, data sets or
generators of batches. You learn how to draw several explainers side by side and how to measure them on a
whole data set.
"""

# %%
# An explainer keeps its compiled gradient. Targets are the classes that are explained; without them it is
# the predicted class of each sample.

import keras
import numpy as np

from vis import linear_outputs, metrics, plotting
from vis.attributions import GradCAM, IntegratedGradients, Saliency, SmoothGrad
from vis.demo.network import load_network
from vis.demo.scenes import make_scenes

# sphinx_gallery_start_ignore
# isort: split
from vis.demo.script import Script

script = Script(globals())
# sphinx_gallery_end_ignore
logits = linear_outputs(load_network())
scenes = make_scenes(32, "test", 1)
maps = Saliency(logits)(scenes.images, scenes.labels)
print(f"images {scenes.images.shape}, maps {maps.shape}")

# %%
# Several explainers: a dict of maps makes a column for each. ``SmoothGrad`` smooths any other explainer.

explainers = {
    "saliency": Saliency(logits),
    "integrated gradients": IntegratedGradients(logits, steps=16, reducer="sum"),
    "Grad-CAM": GradCAM(logits),
    "SmoothGrad": SmoothGrad(Saliency(logits), nb_samples=16, noise=0.1),
}
shown = scenes.images[:4]
figure = plotting.plot_maps(
    shown,
    {name: explainer(shown, scenes.labels[:4]) for name, explainer in explainers.items()},
    row_names=[f"digit {label}" for label in scenes.labels[:4]],
    boxes=scenes.masks[:4],
    title="Four explainers of four scenes. Box: the digit",
)
# sphinx_gallery_start_ignore
script.save(figure)
# sphinx_gallery_end_ignore
figure

# %%
# A data set gives batches of inputs, or pairs of inputs and targets. ``keras.utils.PyDataset`` runs on
# every backend. A ``tf.data.Dataset`` on TensorFlow, a ``DataLoader`` on PyTorch and data sets of ``grain``
# on JAX are passed in the same way.


class Batches(keras.utils.PyDataset):
    def __len__(self):
        return 4

    def __getitem__(self, index):
        part = slice(8 * index, 8 * index + 8)
        return scenes.images[part], scenes.labels[part]


print(f"the box of a digit covers {scenes.masks.mean():.2f} of a scene; share of the energy in it:")
for name, explainer in explainers.items():
    found = np.abs(explainer.explain(Batches()))
    print(f"{name}: {metrics.energy_in_mask(found, scenes.masks).mean():.2f}")

# %%
# The map of a sample does not depend on the others, nor on ``batch_size``, which only limits what the model
# receives at once:

alone = Saliency(logits, batch_size=1)(scenes.images[:8], scenes.labels[:8])
print(f"largest difference of the maps, one at a time or all at once: {np.abs(alone - maps[:8]).max():.1e}")

# %%
# A map's share in the box tells where it points, not whether the explainer is right: `Which explainer to
# believe <choosing_a_method.html>`_ measures more. For more pictures than fit into memory, see `Explain
# 50,000 pictures <many_pictures.html>`_.
