"""
Which voxels of a scan decide
=============================

Volumes are explained like pictures, with one axis more. You learn how to smooth a noisy map with SmoothGrad
and how to look at it slice by slice.
"""

# %%
# The volumes are made here: noise, and in half of them a ball that is a little brighter.

import keras
import numpy as np

from vis import metrics, plotting
from vis.attributions import SmoothGrad

# sphinx_gallery_start_ignore
# isort: split
from vis.demo.script import Script

script = Script(globals())
# sphinx_gallery_end_ignore


def balls(count):
    """Return noisy volumes (N, 16, 20, 20, 1), whether there is a ball in them, and where."""
    volumes = 0.3 * rng.normal(size=(count, 16, 20, 20))
    labels, where = rng.random(count) < 0.5, np.zeros(volumes.shape, bool)
    grid = np.indices(volumes.shape[1:])
    for sick, mask in zip(labels, where, strict=True):
        if sick:
            middle = rng.uniform((4, 4, 4), (12, 16, 16))
            mask |= np.square(grid - middle[:, None, None, None]).sum(axis=0) < 3.5**2
    volumes += 0.5 * where
    return volumes[..., None].astype("float32"), labels, where


# %%
# A small network learns to tell whether there is a ball.

rng = np.random.default_rng(2)
keras.utils.set_random_seed(2)
model = keras.Sequential(
    [
        keras.layers.Input((16, 20, 20, 1)),
        keras.layers.Conv3D(6, 3, activation="relu"),
        keras.layers.MaxPooling3D(2),
        keras.layers.Conv3D(8, 3, activation="relu"),
        keras.layers.GlobalMaxPooling3D(),
        keras.layers.Dense(1),
    ]
)
model.compile(keras.optimizers.Adam(3e-3), keras.losses.BinaryCrossentropy(from_logits=True))
volumes, labels, _ = balls(400)
model.fit(volumes, labels.astype("float32")[:, None], 32, 10, verbose=0)

# %%
# SmoothGrad is the mean of the maps of 16 noisy copies. All slices share one scale, that of the whole map.

volumes, labels, where = balls(60)
right = ((model.predict(volumes, verbose=0)[:, 0] > 0) == labels).mean()
volumes, where = volumes[labels], where[labels]
maps = SmoothGrad(model, nb_samples=16, noise=0.2)(volumes, 0)
figure = plotting.plot_volume(volumes[0], maps[0], "A ball in a noisy volume", name="SmoothGrad")
# sphinx_gallery_start_ignore
script.save(figure, dpi=110)
# sphinx_gallery_end_ignore
figure

# %%
# How much of the map lies in the ball?

share = metrics.energy_in_mask(np.abs(maps), where)
print(f"volume: {right:.2f} right; ball: {where.mean():.2f} of the volume, {np.median(share):.2f} of the map")

# %%
# The ball stands out, and still a large part of the map is elsewhere. ``choose="most"`` draws the slices
# with the largest sum of magnitudes, ``slices=[7, 8, 9]`` those that you name.
