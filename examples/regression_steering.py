"""
What raises and lowers a steering angle
=======================================

A regression has a direction: more brightness in some pixels steers to the right, in others to the left. You
learn how to draw both in one signed map, and why a map of what "maintains" the answer is not what keeps it.
"""

# %%
# The roads are rendered: two lane lines in perspective, and coloured blocks and noise that say nothing
# about the angle.

import keras
import numpy as np

from vis import metrics, plotting
from vis.attributions import Saliency

# sphinx_gallery_start_ignore
# isort: split
from vis.demo.script import Script

script = Script(globals())
# sphinx_gallery_end_ignore
HEIGHT, WIDTH, HORIZON = 40, 80, 12


def draw_road(angle: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return a picture (40, 80, 3) in [0, 1], and where its lane lines and the pixels beside them are."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    near = np.clip((rows - HORIZON) / (HEIGHT - 1 - HORIZON), 0, 1)
    centre = WIDTH / 2 + rng.uniform(-6, 6) * near + 24 * angle * (1 - near) ** 2
    half = 3 + 22 * near
    to_line = np.abs(np.abs(columns - centre) - half) - (0.8 + 1.8 * near)
    ground = rows > HORIZON
    image = np.where(ground[..., None], rng.uniform(0.1, 0.5, 3), rng.uniform(0.3, 1.0, 3))
    image[ground & (np.abs(columns - centre) < half)] = rng.uniform(0.2, 0.5)
    for top, left in zip(rng.integers(0, HEIGHT, 12), rng.integers(0, WIDTH, 12), strict=True):
        height, width = rng.integers(3, 10, 2)
        image[top : top + height, left : left + width] = rng.uniform(0.0, 0.8, 3)
    image[ground & (to_line <= 0)] = rng.uniform(0.85, 1.0)
    noisy = np.clip(image + rng.normal(0, 0.1, image.shape), 0, 1)
    return noisy.astype(np.float32), ground & (to_line <= 1)


# %%
# A small network learns the angle, from -1 (left) to 1 (right).

rng = np.random.default_rng(0)
keras.utils.set_random_seed(0)
angles = rng.uniform(-1, 1, 1800)
images = np.stack([draw_road(angle, rng)[0] for angle in angles])
layers = [keras.Input((HEIGHT, WIDTH, 3))]
for filters in (8, 16, 32, 32):
    layers.append(keras.layers.Conv2D(filters, 3, padding="same", activation="relu"))
    # Average pooling spreads the gradient evenly over a stroke; max pooling picks single pixels.
    layers.append(keras.layers.AveragePooling2D(2))
    # Without it the network relies on few filters, and more of the gradient strays from the lane.
    layers.append(keras.layers.SpatialDropout2D(0.1))
layers += [keras.layers.Flatten(), keras.layers.Dropout(0.3)]
layers += [keras.layers.Dense(32, activation="relu"), keras.layers.Dense(1)]
network = keras.Sequential(layers)
network.compile(keras.optimizers.Adam(2e-3), "mse", jit_compile=False)
network.fit(images, angles, epochs=5, verbose=0)

# %%
# ``grad_modifier=None`` keeps the sign of the gradient, ``reducer="mean"`` takes the mean over the colours.
# Where it is positive, more brightness increases the angle (to the right), where it is negative, it
# decreases it. ``"small_values"`` is large where the gradient is nearly zero.

gradient = Saliency(network, grad_modifier=None, reducer="mean")
small = Saliency(network, grad_modifier="small_values")
shown, names, columns = (
    [],
    [],
    {"raises (red), lowers (blue)\ngradient": [], "maintains\n1 / (|gradient| + e)": []},
)
print("means of 20 roads; shares of the lane lines and the pixels beside them in:")
for curve, angle in {"left": -0.8, "straight": 0.0, "right": 0.8}.items():
    roads, lanes = map(np.stack, zip(*(draw_road(angle, rng) for _ in range(20)), strict=True))
    answers = network.predict(roads, verbose=0)[:, 0]
    signed, idle = gradient(roads, 0), small(roads, 0)
    parts = {"increases": np.maximum(signed, 0), "decreases": np.maximum(-signed, 0), "maintains": idle}
    shares = ", ".join(
        f"{name} {metrics.energy_in_mask(part, lanes).mean():.2f}" for name, part in parts.items()
    )
    print(f"{curve} {angle:+.1f} (answer {answers.mean():+.2f}): area {lanes.mean():.2f}, {shares}")
    shown.append(roads[0])
    names.append(f"{curve}, {angle:+.1f}\nread as {answers[0]:+.2f}")
    for maps, found in zip(columns.values(), (signed, idle), strict=True):
        maps.append(found[0])
figure = plotting.plot_maps(
    shown, columns, row_names=names, title="What more brightness does to the steering angle", size=(8.6, 4.6)
)
# sphinx_gallery_start_ignore
script.save(figure, dpi=110)
# sphinx_gallery_end_ignore
figure

# %%
# What raises and what lowers the angle gathers on the lane lines and right beside them, where a line would
# be if the road turned a little more or less. The map of what "maintains" the angle shows single pixels
# that the angle does not depend on, and not what keeps the angle as it is.
