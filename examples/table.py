"""
Which features of a table decide
================================

Rows of a table are explained like pictures: a contribution for each feature. You learn how to draw one row,
or the spread over many, and how to check the ranking by asking the network.
"""

# %%
# scikit-learn's table of breast tumours: 30 features, and whether the tumour is malignant. The features are
# scaled, so that 0, the baseline of the explainer, is the mean.

import keras
import numpy as np
from sklearn.datasets import load_breast_cancer

from vis import plotting
from vis.attributions import IntegratedGradients

# sphinx_gallery_start_ignore
# isort: split
from vis.demo.script import Script

script = Script(globals())
# sphinx_gallery_end_ignore
rng = np.random.default_rng(4)
keras.utils.set_random_seed(4)
data = load_breast_cancer()
malignant = data.target == 0
order = rng.permutation(len(data.data))
seen, unseen = order[:400], order[400:]
scaled = ((data.data - data.data[seen].mean(axis=0)) / data.data[seen].std(axis=0)).astype("float32")
model = keras.Sequential(
    [keras.layers.Input((30,)), keras.layers.Dense(16, activation="relu"), keras.layers.Dense(1)]
)
model.compile(keras.optimizers.Adam(3e-3), keras.losses.BinaryCrossentropy(from_logits=True))
model.fit(scaled[seen], malignant[seen].astype("float32")[:, None], 32, 15, verbose=0)

# %%
# For one row, ``plot_features`` draws a bar for each feature. For many rows, as here, it draws a box: the
# middle half of the rows, with a line at the median and whiskers from the 5th to the 95th percentile.

rows = scaled[unseen][malignant[unseen]]
maps = IntegratedGradients(model)(rows, 0)
figure = plotting.plot_features(
    data.feature_names,
    maps,
    "Malignant tumours: the features that count",
    top=8,
    name="contribution to “malignant”",
)
# sphinx_gallery_start_ignore
script.save(figure, dpi=110)
# sphinx_gallery_end_ignore
figure

# %%
# Is the ranking right? Set features to their mean, and see how far the logit moves.

right = ((model.predict(scaled[unseen], verbose=0)[:, 0] > 0) == malignant[unseen]).mean()
ranked = np.argsort(-np.abs(maps).mean(axis=0))
changes = []
for features in (ranked[:8], ranked[-8:]):
    changed = rows.copy()
    changed[:, features] = 0
    changes.append(np.abs(model.predict(changed, verbose=0) - model.predict(rows, verbose=0)).mean())
print(
    f"table: {right:.2f} right; set to their mean, the first 8 features change the logit by "
    f"{changes[0]:.2f}, the last 8 by {changes[1]:.2f}"
)

# %%
# Many of these features say nearly the same, such as the radius, the perimeter and the area. How a network
# divides the credit among them depends on its training: another seed may rank them differently. What needs
# only scores, such as ``KernelShap``, also explains models that are not Keras's:
# ``KernelShap(forest.predict_proba).explain(rows)``.
