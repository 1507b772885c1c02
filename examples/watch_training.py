"""
Watch what a network learns
===========================

A Keras callback explains the same pictures after each epoch. You learn how to write these pictures to a
folder or to TensorBoard, and see when the maps of a network settle on what matters.
"""

# %%
# The demo's network, untrained, and a short training.

import tempfile
from pathlib import Path

import keras

from vis import linear_outputs, metrics, plotting
from vis.attributions import ExplainEpochs, Saliency
from vis.demo.network import build_network
from vis.demo.scenes import make_scenes

folder = Path(tempfile.mkdtemp())
# sphinx_gallery_start_ignore
# isort: split
from vis.demo.script import Script

script = Script(globals())
folder = script.output or folder
# sphinx_gallery_end_ignore
keras.utils.set_random_seed(0)
network = build_network()
network.compile(keras.optimizers.Adam(3e-3), "sparse_categorical_crossentropy", metrics=["accuracy"])
training, test = make_scenes(500, "train", 0), make_scenes(64, "test", 1)

# %%
# The logits share the variables of the network that is trained, so one explainer serves all epochs.
# ``log_dir`` writes to TensorBoard, too.

explainer = Saliency(linear_outputs(network))
watch = ExplainEpochs(explainer, test.images[:4], test.labels[:4], folder=folder / "epochs")


class Measure(keras.callbacks.Callback):
    """Keeps the share of the maps in the boxes of the digits after each epoch."""

    def __init__(self):
        super().__init__()
        self.maps, self.shares = [], []

    def on_epoch_end(self, epoch, logs=None):
        maps = explainer(test.images, test.labels)
        self.maps.append(maps[:4])
        self.shares.append(metrics.energy_in_mask(maps, test.masks).mean())


measure = Measure()
history = network.fit(
    training.images, training.labels, batch_size=16, epochs=5, verbose=0, callbacks=[watch, measure]
)

# %%
# The maps of the same scenes, epoch by epoch:

figure = plotting.plot_maps(
    test.images[:4],
    {f"epoch {epoch}": maps for epoch, maps in enumerate(measure.maps, start=1)},
    row_names=[f"digit {label}" for label in test.labels[:4]],
    boxes=test.masks[:4],
    title="|gradient| of the digit's logit after each epoch. Box: the digit",
)
# sphinx_gallery_start_ignore
script.save(figure)
# sphinx_gallery_end_ignore
figure

# %%
# What was written, and how the training went:

print(", ".join(sorted(path.name for path in (folder / "epochs").glob("*.png"))))
for epoch, (share, right) in enumerate(
    zip(measure.shares, history.history["accuracy"], strict=True), start=1
):
    print(f"epoch {epoch}: {right:.2f} of the training scenes named, {share:.2f} of the maps in the box")

# %%
# The maps gather on the digits while the network learns to name them. A share that stays low while the
# accuracy rises would be a reason to look closer.
