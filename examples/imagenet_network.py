"""
What an ImageNet network looks at
=================================

Explain the top class of MobileNetV2 for a photograph of yours. This page is made without a download, with
random weights, and so it also shows what a guided map draws when a network has learnt nothing.
"""

# %%
# With ``WEIGHTS = "imagenet"``, Keras downloads the trained weights (14 MB). The photograph is cut to a
# square and preprocessed as the network expects.

import keras
import numpy as np
from PIL import Image, ImageOps
from sklearn.datasets import load_sample_image

from vis import linear_outputs, plotting
from vis.attributions import Saliency

PHOTO = None  # the path of a photograph; None for the one of a flower that scikit-learn has
WEIGHTS = None  # or "imagenet"
# sphinx_gallery_start_ignore
# isort: split
import click

from vis.demo.script import Script

script = Script(
    globals(),
    click.Argument(["picture"], required=False, type=click.Path(exists=True, dir_okay=False)),
    click.Option(
        ["--weights"], type=click.Choice(["imagenet", "none"]), default="imagenet", show_default=True
    ),
)
if script.output is not None:
    PHOTO = script.options["picture"]
    WEIGHTS = {"none": None}.get(script.options["weights"], script.options["weights"])
# sphinx_gallery_end_ignore

photo = Image.open(PHOTO) if PHOTO else Image.fromarray(load_sample_image("flower.jpg"))
pixels = np.asarray(ImageOps.fit(ImageOps.exif_transpose(photo).convert("RGB"), (224, 224)))
module = keras.applications.mobilenet_v2
keras.utils.set_random_seed(0)
network = module.MobileNetV2(weights=WEIGHTS)
image = module.preprocess_input(pixels.astype(np.float32))

# %%
# ``linear_outputs`` returns the network before its softmax.

probabilities = network.predict(image[None], verbose=0)
top = int(probabilities[0].argmax())
name = f"class {top}"
if WEIGHTS:
    name = module.decode_predictions(probabilities, top=1)[0][0][1].replace("_", " ")
print(f"top class: {name}, probability {probabilities[0, top]:.3f}")
logits = linear_outputs(network)
explainers = {"vanilla": Saliency(logits), "guided": Saliency(logits, backprop_modifier="guided")}
maps = {method: explainer(image[None], top) for method, explainer in explainers.items()}
note = "" if WEIGHTS else ", of random weights"
figure = plotting.plot_maps(
    pixels[None],
    maps,
    title=f"|gradient| of the logit of {name}, p = {probabilities[0, top]:.3f}{note}",
    size=(9.6, 3.7),
)
# sphinx_gallery_start_ignore
script.save(figure, dpi=110)
# sphinx_gallery_end_ignore
figure

# %%
# Explain a class in the middle of the ranking, too. A map that tells why the network names *this* class
# should look different for another one.

middle = int(np.argsort(probabilities[0])[probabilities.shape[1] // 2])
for method, explainer in explainers.items():
    alike = np.corrcoef(maps[method].ravel(), explainer(image[None], middle).ravel())[0, 1]
    print(f"{method}: correlation with the map of another class {alike:.2f}")

# %%
# With random weights there is nothing to explain, and still the guided map draws the flower, for one class
# as for another. So an outline in a guided map is not evidence that the network has learnt to see what it
# outlines.
