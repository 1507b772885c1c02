"""
What a filter responds to in a picture
======================================

The layer need not be the last one: a map of a filter shows which pixels change its mean activation. Early
filters respond to edges and colours everywhere, late ones to the digit or to what is behind it.
"""

# %%
# Each map is that of one filter. The early layer is ``relu1``, the activation after the first convolution:
# a convolution alone is linear, and its gradient is the same for every picture.

import numpy as np

from vis import get_num_filters, metrics, plotting, visualize_saliency
from vis.demo.network import load_network
from vis.demo.scenes import make_scenes

# sphinx_gallery_start_ignore
# isort: split
from vis.demo.script import Script

script = Script(globals())
# sphinx_gallery_end_ignore
network = load_network()
scenes = make_scenes(8, "test", 25)
maps = {
    layer: np.array(
        [
            [visualize_saliency(network, layer, index, image) for image in scenes.images]
            for index in range(get_num_filters(network.get_layer(layer)))
        ]
    )
    for layer in ("relu1", "conv5")
}

# %%
# The filters are ranked by the share of their maps that lies in the box of the digit.

columns = {}
print(f"the box of a digit covers {scenes.masks.mean():.2f} of a scene; share of the energy in it:")
for layer, found in maps.items():
    shares = np.array([metrics.energy_in_mask(each, scenes.masks).mean() for each in found])
    most, second, *_, least = np.argsort(-shares)
    print(f"{layer}: from {shares[least]:.2f} (filter {least}) to {shares[most]:.2f} (filter {most})")
    columns |= {f"{layer} [{index}]": found[index][:4] for index in (most, second, least)}
figure = plotting.plot_maps(
    scenes.images[:4],
    columns,
    row_names=[f"digit {label}" for label in scenes.labels[:4]],
    title="|gradient| of a filter's mean activation. Of each layer: the filters most,\n"
    "second most and least on the digit. Box: the digit",
    boxes=scenes.masks[:4],
)
# sphinx_gallery_start_ignore
script.save(figure, dpi=150)
# sphinx_gallery_end_ignore
figure

# %%
# In both layers some filters respond mainly to the digit and others mainly to the photograph. A map like
# this does not tell what else would excite the filter: `What a filter looks for <filter_pictures.html>`_
# makes a picture for it.
