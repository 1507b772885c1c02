"""
Why a detector found an object
==============================

A detector returns a list of boxes. You learn how to pick one of them and to ask which pixels it needs: the
box, the confidence and the class count together, as in D-RISE.
"""

# %%
# Two small heads on the features of the demo's network: for each of 16 x 16 positions, how far the sides of
# the box are, and a score for each digit. Only the heads are trained.

import keras
import numpy as np
from keras import layers, ops

from vis import metrics, plotting
from vis.attributions import Occlusion
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
features = keras.Input(backbone.output_shape[1:])
heads = keras.Model(features, layers.Conv2D(14, 1)(features))  # four sides, ten digits
centres = np.stack(np.meshgrid(np.arange(2, 64, 4), np.arange(2, 64, 4)), axis=-1).astype("float32")  # x, y


def loss(true, found):
    """Absolute differences of the sides where there is a digit, and binary cross-entropies of the classes."""
    here = ops.max(true[..., 4:], axis=-1, keepdims=True)
    likely = ops.binary_crossentropy(true[..., 4:], found[..., 4:], from_logits=True)
    return ops.mean(here * ops.abs(true[..., :4] - found[..., :4])) + 10 * ops.mean(likely)


def corners(masks):
    """Return left, top, right, bottom of each mask."""
    y, x = masks.any(axis=2), masks.any(axis=1)
    ends = [x.argmax(1), y.argmax(1), 64 - x[:, ::-1].argmax(1), 64 - y[:, ::-1].argmax(1)]
    return np.stack(ends, axis=1).astype("float32")


scenes = make_scenes(600, "train", 0)
inside = scenes.masks[:, 2::4, 2::4, None]
offsets = (corners(scenes.masks)[:, None, None] - np.tile(centres, 2)) / 16
digits = inside * keras.utils.to_categorical(scenes.labels, 10)[:, None, None]
wanted = np.concatenate([offsets, digits], axis=-1)
heads.compile(keras.optimizers.Adam(1e-2), loss)
heads.fit(backbone.predict(scenes.images, verbose=0), wanted.astype("float32"), epochs=15, verbose=0)

# %%
# The detector returns rows of a box (left, top, right, bottom), a confidence and a number for each class:
# ``(N, objects, 5 + classes)``. A detector that returns a dict, as those of KerasHub, takes one call of
# ``operators.detection_of``.

raw = layers.Reshape((256, 14))(heads(backbone.output))
box = 16 * raw[..., :4] + np.tile(centres, 2).reshape(256, 4)
likely = ops.sigmoid(raw[..., 4:])
confidence = ops.max(likely, axis=-1, keepdims=True)
detector = keras.Model(network.inputs, ops.concatenate([box, confidence, likely], axis=-1))

# %%
# Scenes of two digits. Of all boxes we take the one that is most confident of the first digit. It is the
# target.

images, labels, boxes = pairs_seen(network, 200, 3)
rows = detector.predict(images, verbose=0)
numbers = np.arange(len(rows))
targets = rows[numbers, rows[numbers, :, 5 + labels[:, 0]].argmax(axis=1)]
x, y = np.arange(64), np.arange(64)[:, None]
found = np.stack([(a <= x) & (x < c) & (b <= y) & (y < d) for a, b, c, d in targets[:, :4]])
overlap = (found & boxes[:, 0]).sum(axis=(1, 2)) / (found | boxes[:, 0]).sum(axis=(1, 2))
print(f"overlap with the box of the first digit {np.median(overlap):.2f} (median, intersection over union)")
right = overlap > 0.5
images, labels, boxes, targets, found = (a[right] for a in (images, labels, boxes, targets, found))

# %%
# The score of a picture is how well its boxes match the target: overlap x confidence x likeness of the
# classes. ``Occlusion`` covers patches and notes how far that falls.

explainer = Occlusion(detector, operator="object detection", patch_size=12, patch_stride=4)
maps = explainer(images, targets)
figure = plotting.plot_maps(
    images[:6],
    maps[:6],
    [f"{first}, not {second}" for first, second in labels[:6]],
    name="fall of the score",
    boxes=found[:6],
    overlay=True,
    title="Where covering spoils a detection. Box: the detection",
)
# sphinx_gallery_start_ignore
script.save(figure)
# sphinx_gallery_end_ignore
figure

# %%
# How much of the map lies on the digit that was detected, and how much on the other one?

first, second = (metrics.energy_in_mask(np.maximum(maps, 0), boxes[:, i]).mean() for i in (0, 1))
print(f"the box of a digit covers {boxes.mean():.2f} of a scene; means of {len(images)} scenes:")
print(f"falls of the score: {first:.2f} on the detected digit, {second:.2f} on the other")

# %%
# Covering is the right question for a detector: a gradient passes only through the box that wins, and says
# nothing of the boxes that would take over.
