"""
Why a segmentation labels a region
==================================

A segmentation network answers at every position. You learn how to ask about the positions that you choose:
what makes the network call this region a 3?
"""

# %%
# A head on the features of the demo's network says for each of 16 x 16 positions which digit is there, or
# that there is none (class 10). Only the head is trained, on scenes whose boxes are known.

import keras
import numpy as np

from vis import metrics, plotting
from vis.attributions import IntegratedGradients
from vis.demo.network import load_network
from vis.demo.report import pairs_seen
from vis.demo.scenes import make_scenes

# sphinx_gallery_start_ignore
# isort: split
from vis.demo.script import Script

script = Script(globals())
# sphinx_gallery_end_ignore
keras.utils.set_random_seed(0)
network = load_network()
backbone = keras.Model(network.inputs, network.get_layer("relu4").output)
head = keras.Sequential([keras.Input(backbone.output_shape[1:]), keras.layers.Conv2D(11, 1)])
head.compile(keras.optimizers.Adam(1e-2), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
scenes = make_scenes(400, "train", 0)
answers = np.where(scenes.masks[:, 2::4, 2::4], scenes.labels[:, None, None], 10)
head.fit(backbone.predict(scenes.images, verbose=0), answers, epochs=12, verbose=0)
model = keras.Model(network.inputs, head(backbone.output))

# %%
# Scenes of two digits. The region of a digit is where the network names its class.

images, labels, boxes = pairs_seen(network, 200, 3)
named = model.predict(images, verbose=0).argmax(axis=-1)
regions = np.stack([named == label[:, None, None] for label in labels.T], axis=1)
found = regions.any(axis=(2, 3)).all(axis=1)
images, labels, boxes, regions = images[found], labels[found], boxes[found], regions[found]
truth = boxes[:, :, 2::4, 2::4]
precision = (regions & truth).sum() / regions.sum()
print(f"{precision:.2f} of the positions named as one of the digits lie in its box")

# %%
# The targets are weights in the shape of the outputs: 1 for the class and the positions of the region. The
# score is the mean of the class over the region.

explainer = IntegratedGradients(model, operator="semantic segmentation", reducer="sum", steps=16)
maps = [
    explainer(images, regions[:, k, ..., None] * keras.utils.to_categorical(labels[:, k], 11)[:, None, None])
    for k in (0, 1)
]
columns = {"region of the first": regions[:4, 0].repeat(4, axis=1).repeat(4, axis=2), "its map": maps[0][:4]}
columns |= {
    "region of the second": regions[:4, 1].repeat(4, axis=1).repeat(4, axis=2),
    "map of it": maps[1][:4],
}
figure = plotting.plot_maps(
    images[:4],
    columns,
    row_names=[f"first: {first}\nsecond: {second}" for first, second in labels[:4]],
    title="What makes the network name a region. Red supports it, blue lowers it",
)
# sphinx_gallery_start_ignore
script.save(figure)
# sphinx_gallery_end_ignore
figure

# %%
# How much of each map lies on which digit?

print(f"the box of a digit covers {boxes.mean():.2f} of a scene; means of {len(images)} scenes:")
for k, name in enumerate(("first", "second")):
    shares = [metrics.energy_in_mask(np.abs(maps[k]), boxes[:, i]).mean() for i in (0, 1)]
    print(f"{name} region: {shares[k]:.2f} of the map on its own digit, {shares[1 - k]:.2f} on the other")

# %%
# A region's map lies mostly on its digit: a position of this network sees only part of the scene. In a
# network with a larger view, look for what lies outside the region: that is context that the network uses.
