"""
Which explainer to believe
==========================

Explainers of the same picture disagree. You learn how to compare them by measures that ask the network, and
to read the table: each with an interval, and without a sum.
"""

# %%
# Five explainers of 12 scenes. ``model`` is the network with its softmax, whose probabilities are read
# while pixels are removed.

from vis import linear_outputs, metrics
from vis.attributions import LRP, GradCAM, GradientInput, Occlusion, Saliency
from vis.demo.network import load_network
from vis.demo.scenes import make_scenes

# sphinx_gallery_start_ignore
# isort: split
from vis.demo.script import Script

script = Script(globals())
# sphinx_gallery_end_ignore
network, scenes = load_network(), make_scenes(12, "test", 1)
logits = linear_outputs(network)
explainers = {
    "saliency": Saliency(logits),
    "gradient x input": GradientInput(logits, reducer="sum"),
    "LRP": LRP(logits, reducer="sum"),
    "Grad-CAM": GradCAM(logits),
    "occlusion": Occlusion(logits, patch_size=16),
}
measures = [
    "deletion",
    metrics.MEASURES["mu_fidelity"].using(nb_samples=40),
    "random_logit",
    "sparseness",
    metrics.Measure(
        "energy in the box", lambda maps: metrics.energy_in_mask(abs(maps), scenes.masks), "higher"
    ),
]

# %%
# A cell is the median over the scenes with an interval of 95 % by bootstrap. The last measure is a custom
# one, which is possible here because the position of the digit is known.

comparison = metrics.compare(explainers, scenes.images, scenes.labels, measures, model=network)
print(comparison.table())

# %%
# In the figure, blue are the best and those whose intervals overlap with its own: these scenes do not tell
# them apart.

figure = comparison.plot("Five explainers of 12 scenes")
# sphinx_gallery_start_ignore
script.save(figure)
# sphinx_gallery_end_ignore
figure

# %%
# No explainer is the best by all measures. Choose the measure that your question needs: ``deletion`` and
# ``mu_fidelity`` ask whether what a map calls important matters to the network, ``random_logit`` whether it
# depends on the class (low is better), ``sparseness`` only how easy it is to read. A good value is not a
# proof: pixels that are removed leave holes that the network has not seen in training.
