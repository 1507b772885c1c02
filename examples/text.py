"""
Which words decide a review
===========================

Words arrive as integers, which have no gradient. You learn how to explain the embedding of the words
instead, and how to draw a text whose words are coloured by what they contribute.
"""

# %%
# The reviews are made here: two opinions such as "the film was not dull", where "not" turns one round.
# Those of one good and one bad opinion are left out.

import keras
import numpy as np

from vis import metrics, plotting
from vis.attributions import IntegratedGradients

# sphinx_gallery_start_ignore
# isort: split
from vis.demo.script import Script

script = Script(globals())
# sphinx_gallery_end_ignore
GOOD = ("lovely", "brilliant", "funny", "moving", "clever")
BAD = ("boring", "dull", "awful", "clumsy", "slow")
NOUNS = ("film", "plot", "music", "cast", "ending")
DEGREES = ("very", "rather", "not")
WORDS = ("the", "was", "and", *DEGREES, *NOUNS, *GOOD, *BAD)


def reviews(count):
    texts, labels = [], []
    while len(texts) < count:
        parts, signs = [], []
        for _ in range(2):
            good, degree = rng.random() < 0.5, rng.choice(DEGREES)
            parts.append(["the", rng.choice(NOUNS), "was", degree, rng.choice(GOOD if good else BAD)])
            signs.append(good != (degree == "not"))
        if signs[0] == signs[1]:
            texts.append([str(word) for word in (*parts[0], "and", *parts[1])])
            labels.append(signs[0])
    return texts, np.array(labels)


def tokens(texts):
    return np.array([[WORDS.index(word) for word in words] for words in texts])


# %%
# A small network learns to tell good reviews from bad ones. Its output is a logit.

rng = np.random.default_rng(0)
keras.utils.set_random_seed(0)
model = keras.Sequential(
    [
        keras.layers.Input((11,), dtype="int32"),
        keras.layers.Embedding(len(WORDS), 12, name="embedding"),
        keras.layers.Conv1D(24, 2, activation="relu"),
        keras.layers.GlobalMaxPooling1D(),
        keras.layers.Dense(1),
    ]
)
model.compile(keras.optimizers.Adam(1e-2), keras.losses.BinaryCrossentropy(from_logits=True))
texts, labels = reviews(1500)
model.fit(tokens(texts), labels.astype("float32")[:, None], 32, 8, verbose=0)

# %%
# ``wrt="embedding"`` explains what the embedding makes of the words; the contributions of its 12 numbers
# are added up.

texts, labels = reviews(200)
explainer = IntegratedGradients(model, reducer="sum", steps=16, wrt="embedding")
shown = [texts[i] for i in (*np.flatnonzero(labels)[:2], *np.flatnonzero(~labels)[:2])]
figure = plotting.plot_tokens(
    shown,
    explainer(tokens(shown), 0),
    "Reviews: two good ones, two bad ones",
    name="contribution to “good”",
)
# sphinx_gallery_start_ignore
script.save(figure, dpi=110)
# sphinx_gallery_end_ignore
figure

# %%
# The answer is known: it lies in the opinions and the word "not".

right = ((model.predict(tokens(texts), verbose=0)[:, 0] > 0) == labels).mean()
maps = explainer(tokens(texts), 0)[..., 0]
opinions = np.isin(texts, (*GOOD, *BAD, "not"))
share = metrics.energy_in_mask(np.abs(maps), opinions)
plain = np.isin(texts, GOOD) * 1 - np.isin(texts, BAD)
plain[:, 1:] *= np.array(texts)[:, :-1] != "not"
signs = np.sign(maps)[plain != 0] == plain[plain != 0]
print(
    f"text: {right:.2f} right; opinions: {opinions.mean():.2f} of the words, "
    f"{np.median(share):.2f} of the map, with the right sign in {signs.mean():.2f} of the cases"
)

# %%
# The rest of the map lies on words that say nothing by themselves, such as "was": the network reads pairs
# of words.
