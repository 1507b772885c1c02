"""
Guided backpropagation, and what it does not tell
=================================================

Guided and rectified maps are cleaner than the plain gradient. You learn how to make them, and why a clean
map of a class may only show where the network finds something, and not why it names this class.
"""

# %%
# ``backprop_modifier`` changes what a ReLU passes back: ``"guided"`` passes a gradient only where the
# gradient and the input of the ReLU are both positive, ``"rectified"`` wherever the gradient is positive.
# The model itself is not changed.

import numpy as np

from vis import linear_outputs, metrics, plotting
from vis.attributions import Saliency
from vis.demo.network import load_network
from vis.demo.scenes import make_scenes

# sphinx_gallery_start_ignore
# isort: split
from vis.demo.script import Script

script = Script(globals())
# sphinx_gallery_end_ignore
logits = linear_outputs(load_network())
scenes = make_scenes(50, "test", 17)
explainers = {
    "vanilla": Saliency(logits),
    "guided": Saliency(logits, backprop_modifier="guided"),
    "rectified": Saliency(logits, backprop_modifier="rectified"),
}
maps = {name: explainer(scenes.images, scenes.labels) for name, explainer in explainers.items()}
figure = plotting.plot_maps(
    scenes.images[:4],
    {name: found[:4] for name, found in maps.items()},
    row_names=[f"digit {label}" for label in scenes.labels[:4]],
    title="|gradient| of the digit's logit. Box: the digit",
    boxes=scenes.masks[:4],
)
# sphinx_gallery_start_ignore
script.save(figure, dpi=150)
# sphinx_gallery_end_ignore
figure

# %%
# Now explain the runner-up, too: the wrong class with the highest score. A map that tells why the network
# names *this* class should look different for another one.

scores = logits.predict(scenes.images, verbose=0)
scores[np.arange(len(scores)), scenes.labels] = -np.inf
others = {name: explainer(scenes.images, scores.argmax(axis=1)) for name, explainer in explainers.items()}
print(f"the box of a digit covers {scenes.masks.mean():.2f} of a scene")
for name, found in maps.items():
    inside = metrics.energy_in_mask(found, scenes.masks).mean()
    pairs = zip(found, others[name], strict=True)
    alike = np.mean([np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in pairs])
    print(
        f"{name}: {inside:.2f} of the energy in the box, "
        f"correlation with the map of the runner-up {alike:.2f}"
    )

# %%
# Guided and rectified maps put more of their sum on the digit, and depend less on the class. They change
# little even when the weights of the upper layers are random: see ``metrics.sanity_check`` and `Adebayo et
# al. 2018 <https://arxiv.org/abs/1810.03292>`_. Judge a model by vanilla maps.
