"""
Relevance that adds up to the score
===================================

Layer-wise relevance propagation (LRP) divides the score of a class among the pixels. You learn how to
choose rules, and to see in a table where relevance is lost on the way.
"""

# %%
# A composite says which rule holds where. By name: ``"epsilon_plus"``, which is the default, ``"epsilon"``,
# ``"epsilon_alpha2_beta1_flat"``, ... Or as a list: here the first convolution knows that pixels lie
# between 0 and 1.

import numpy as np

from vis import linear_outputs, metrics, plotting, relevance
from vis.attributions import LRP
from vis.demo.network import load_network
from vis.demo.scenes import make_scenes

# sphinx_gallery_start_ignore
# isort: split
from vis.demo.script import Script

script = Script(globals())
# sphinx_gallery_end_ignore
logits = linear_outputs(load_network())
scenes = make_scenes(32, "test", 6)
explainers = {
    "epsilon": LRP(logits, "epsilon"),
    "epsilon plus": LRP(logits),
    "alpha 2 beta 1": LRP(logits, "epsilon_alpha2_beta1_flat"),
    "gamma and box": LRP(logits, [(("first", "conv"), relevance.Box(0, 1)), ("conv", "gamma")]),
}
maps = {name: explainer(scenes.images, scenes.labels) for name, explainer in explainers.items()}
figure = plotting.plot_maps(
    scenes.images[:4],
    {name: found[:4] for name, found in maps.items()},
    row_names=[f"digit {label}" for label in scenes.labels[:4]],
    boxes=scenes.masks[:4],
    title="Relevance for the digit's logit. Red supports it, blue lowers it",
)
# sphinx_gallery_start_ignore
script.save(figure)
# sphinx_gallery_end_ignore
figure

# %%
# How much of the relevance, by its magnitude, is on the digit?

print(f"the box of a digit covers {scenes.masks.mean():.2f} of a scene")
for name, found in maps.items():
    share = metrics.energy_in_mask(np.abs(found), scenes.masks).mean()
    print(f"{name}: {share:.2f} of the magnitudes in the box")

# %%
# The sum of the relevance is the score, less what biases, epsilon and rules took. ``conservation`` shows
# where:

balance = explainers["epsilon plus"].conservation(scenes.images[:3], scenes.labels[:3])
print(balance)
kept = (balance.sums / balance.scores).mean()
print(f"epsilon plus: {kept:.2f} of the score arrives at the pixels (mean of 3 scenes)")

# %%
# The same for one scene, as a picture of the way from the score to the pixels:

balance.plot(0)

# %%
# Here the biases took nearly all that is missing, most of it in the first convolution: what a bias adds to
# a score comes from no pixel. Take a map of ``epsilon_plus`` for where, and its sign for which.
