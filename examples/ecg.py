"""
Which part of a series decides
==============================

A heartbeat recorded in two leads: one beat of the second lead is deformed. You learn how to explain a
series, channel by channel, and how to draw the map behind its curves.
"""

# %%
# The series are made here, and with them the truth: where the deformed beat is.

import keras
import numpy as np

from vis import metrics, plotting
from vis.attributions import IntegratedGradients

# sphinx_gallery_start_ignore
# isort: split
from vis.demo.script import Script

script = Script(globals())
# sphinx_gallery_end_ignore


def heartbeats(count):
    """Return series (N, 160, 2) of beats, whether one of them is deformed in the second lead, and where."""
    time = np.arange(160)
    series = 0.15 * rng.normal(size=(count, 160, 2))
    labels, where = rng.random(count) < 0.5, np.zeros((count, 160), bool)
    for one, sick, mask in zip(series, labels, where, strict=True):
        beats = rng.uniform(8, 18) + 24 * np.arange(6) + rng.normal(size=6)
        deformed = rng.integers(1, 5) if sick else -1
        for number, beat in enumerate(beats):
            one += np.exp(-(((time - beat) / 1.5) ** 2))[:, None] * (1, 0.7)
            if number == deformed:
                one[:, 1] -= 1.4 * np.exp(-(((time - beat - 5) / 3) ** 2))
                mask |= abs(time - beat - 5) <= 6
    return series.astype("float32"), labels, where


# %%
# A small network learns to tell whether there is a deformed beat.

rng = np.random.default_rng(1)
keras.utils.set_random_seed(1)
model = keras.Sequential(
    [
        keras.layers.Input((160, 2)),
        keras.layers.Conv1D(8, 9, activation="relu", padding="same"),
        keras.layers.Conv1D(8, 9, activation="relu", padding="same"),
        keras.layers.GlobalMaxPooling1D(),
        keras.layers.Dense(1),
    ]
)
model.compile(keras.optimizers.Adam(3e-3), keras.losses.BinaryCrossentropy(from_logits=True))
series, labels, _ = heartbeats(600)
model.fit(series, labels.astype("float32")[:, None], 32, 12, verbose=0)

# %%
# ``reducer=None`` keeps a value for each lead. What supports "sick" is red, what lowers it is blue.

series, labels, where = heartbeats(100)
right = ((model.predict(series, verbose=0)[:, 0] > 0) == labels).mean()
series, where = series[labels], where[labels]
maps = IntegratedGradients(model, reducer=None, steps=16)(series, 0)
figure = plotting.plot_series(
    series[0],
    maps[0],
    "A deformed beat in the second of two leads",
    channels=["lead 1", "lead 2"],
    name="contribution to “sick”",
)
# sphinx_gallery_start_ignore
script.save(figure, dpi=110)
# sphinx_gallery_end_ignore
figure

# %%
# How much of the map lies on the deformed beat, and how much on its lead?

share = metrics.energy_in_mask(np.abs(maps).sum(axis=-1), where)
second = np.abs(maps[..., 1]).sum(axis=1) / np.abs(maps).sum(axis=(1, 2))
print(
    f"series: {right:.2f} right; deformed beat: {where.mean():.2f} of the time, "
    f"{np.median(share):.2f} of the map; its lead: {np.median(second):.2f} of the map"
)

# %%
# The contributions are differences from a baseline, here a series of zeros. Another baseline, such as a
# healthy series, asks another question: ``IntegratedGradients(model, baseline=healthy)``.
