"""
What in a video shows a movement
================================

A video is a volume whose first axis is the time. You learn how to draw its frames with their maps, and how
to save them as an animation.
"""

# %%
# The videos are made here, of scikit-learn's handwritten digits that move to the left or to the right.

import tempfile
from pathlib import Path

import keras
import numpy as np
from sklearn.datasets import load_digits

from vis import metrics, plotting
from vis.attributions import IntegratedGradients

folder = Path(tempfile.mkdtemp())
# sphinx_gallery_start_ignore
# isort: split
from vis.demo.script import Script

script = Script(globals())
folder = script.output or folder
# sphinx_gallery_end_ignore


def moving(count, digits):
    """Return videos (N, 8, 16, 24, 1), whether the digit moves right, and where it is."""
    videos = 0.1 * rng.random((count, 8, 16, 24))
    labels, where = rng.random(count) < 0.5, np.zeros(videos.shape, bool)
    for video, right, mask in zip(videos, labels, where, strict=True):
        digit, top, start = digits[rng.integers(len(digits))], rng.integers(0, 9), rng.integers(0, 3)
        for frame in range(8):
            left = start + 2 * frame if right else 16 - start - 2 * frame
            window = (frame, slice(top, top + 8), slice(max(0, left), max(0, left) + 8))
            video[window] = np.maximum(video[window], digit)
            mask[window] = True
    return videos[..., None].astype("float32"), labels, where


# %%
# A small network learns in which direction the digit moves.

rng = np.random.default_rng(3)
keras.utils.set_random_seed(3)
model = keras.Sequential(
    [
        keras.layers.Input((8, 16, 24, 1)),
        keras.layers.Conv3D(8, (3, 5, 5), activation="relu"),
        keras.layers.Conv3D(8, (3, 3, 3), activation="relu"),
        keras.layers.GlobalAveragePooling3D(),
        keras.layers.Dense(1),
    ]
)
model.compile(keras.optimizers.Adam(1e-2), keras.losses.BinaryCrossentropy(from_logits=True))
digits = load_digits().images / 16
videos, labels, _ = moving(400, digits[:1400])
model.fit(videos, labels.astype("float32")[:, None], 32, 8, verbose=0)

# %%
# ``unit="frame"`` names the slices frames. ``save_gif`` animates them.

videos, labels, where = moving(60, digits[1400:])
right = ((model.predict(videos, verbose=0)[:, 0] > 0) == labels).mean()
maps = IntegratedGradients(model, steps=16)(videos, 0)
one = int(np.flatnonzero(labels)[0])
plotting.save_gif(folder / "video.gif", videos[one], maps[one], fps=4)
figure = plotting.plot_volume(
    videos[one],
    maps[one],
    "A digit that moves to the right",
    unit="frame",
    name="contribution to “right”",
)
# sphinx_gallery_start_ignore
script.save(figure, dpi=110)
# sphinx_gallery_end_ignore
figure

# %%
# How much of the map lies on the digit?

share = metrics.energy_in_mask(np.abs(maps), where)
print(f"video: {right:.2f} right; digit: {where.mean():.2f} of the frames, {np.median(share):.2f} of the map")

# %%
# ``video.gif`` shows the same frames one after the other.
