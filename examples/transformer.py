"""
What a vision transformer attends to
====================================

Three answers for the same transformer: attention rollout, attention times its gradient, and relevance that
also follows the values and the dense layers. You learn how they differ, and which of them depend on the
class.
"""

# %%
# A digit somewhere in noise. The transformer sees 6 x 6 patches.

import keras
import numpy as np
from keras import layers
from sklearn.datasets import load_digits

from vis import metrics, plotting
from vis.attributions import AttentionRelevance, AttentionRollout, AttnLRP

# sphinx_gallery_start_ignore
# isort: split
from vis.demo.script import Script

script = Script(globals())
# sphinx_gallery_end_ignore
rng = np.random.default_rng(0)
digits = load_digits()


def scenes(which):
    """Return pictures (N, 24, 24, 1), their digits, and where these are."""
    images = 0.2 * rng.random((len(which), 24, 24))
    masks = np.zeros(images.shape, bool)
    for image, mask, digit in zip(images, masks, digits.images[which] / 16, strict=True):
        top, left = 4 * rng.integers(0, 5, 2)
        image[top : top + 8, left : left + 8] += digit
        mask[top : top + 8, left : left + 8] = True
    return images[..., None].astype("float32"), digits.target[which], masks


class Tokens(layers.Layer):
    """Puts a class token before the patches and adds a vector for each position."""

    def build(self, shape):
        self.first = self.add_weight(shape=(1, 1, shape[2]), initializer="random_normal")
        self.vectors = self.add_weight(shape=(shape[1] + 1, shape[2]), initializer="random_normal")

    def call(self, x):
        first = keras.ops.repeat(self.first, keras.ops.shape(x)[0], axis=0)
        return keras.ops.concatenate([first, x], axis=1) + self.vectors


# %%
# A transformer of two blocks, written with Keras's own layers. Explainers find the attention in what it
# computes.

keras.utils.set_random_seed(0)
inputs = keras.Input((24, 24, 1))
x = layers.Reshape((36, 32))(layers.Conv2D(32, 4, 4)(inputs))
x = Tokens()(x)
for _ in range(2):
    y = layers.LayerNormalization()(x)
    x = x + layers.MultiHeadAttention(4, 8)(y, y)
    y = layers.Dense(64, activation="gelu")(layers.LayerNormalization()(x))
    x = x + layers.Dense(32)(y)
model = keras.Model(inputs, layers.Dense(10)(layers.LayerNormalization()(x[:, 0])))
model.compile(keras.optimizers.Adam(3e-3), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
images, labels, _ = scenes(np.tile(np.arange(1400), 2))
model.fit(images, labels, 64, 6, verbose=0)
images, labels, masks = scenes(np.arange(1400, 1700))
right = model.predict(images, verbose=0).argmax(axis=1) == labels
print(f"{right.mean():.2f} of 300 digits named")

# %%
# Rollout multiplies what the layers mix. ``AttentionRelevance`` counts only what raises the class,
# ``AttnLRP`` follows all operations and gives signs.

explainers = {
    "rollout": AttentionRollout(model),
    "attention x gradient": AttentionRelevance(model),
    "AttnLRP": AttnLRP(model),
}
maps = {name: explainer(images, labels) for name, explainer in explainers.items()}
figure = plotting.plot_maps(
    images[:4],
    {name: found[:4] for name, found in maps.items()},
    row_names=[f"digit {label}" for label in labels[:4]],
    boxes=masks[:4],
    title="A vision transformer. Box: the digit",
)
# sphinx_gallery_start_ignore
script.save(figure)
# sphinx_gallery_end_ignore
figure

# %%
# How much of each map lies on the digit, and how alike are the maps of two classes?

print(f"the box of a digit covers {masks.mean():.2f} of a picture")
for name, explainer in explainers.items():
    inside = metrics.energy_in_mask(np.abs(maps[name]), masks).mean()
    pairs = zip(maps[name], explainer(images, (labels + 1) % 10), strict=True)
    alike = np.mean([np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in pairs])
    print(
        f"{name}: {inside:.2f} of the map on the digit, correlation with the map of another class {alike:.2f}"
    )

# %%
# Rollout shows where the class token takes from, which hardly depends on the class. Attention times its
# gradient depends on the class more, and ``AttnLRP`` most: it also follows what the attention carries.
# Compare them before you believe one.
