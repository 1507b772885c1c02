"""
Three Keras tutorials in a few lines each
=========================================

keras.io explains Grad-CAM, integrated gradients and the pictures that filters respond to with code to copy.
Here the same three are calls of functions, for any Keras 3 model and on every backend.
"""

# %%
# The tutorials download Xception and ResNet50V2. This page takes the demo's network, so that nothing is
# downloaded and the answer is known. For an ImageNet network write ``network =
# keras.applications.Xception(weights="imagenet")``.
#
# The lines of the tutorials were counted by hand in the repository keras-team/keras-io, in the files
# ``examples/vision/grad_cam.py`` (commit 068c2e9), ``integrated_gradients.py`` (0a4be8b) and
# ``visualizing_what_convnets_learn.py`` (12bffb0): lines of code, without blank lines, comments and text,
# with imports and drawing. They do more than this page: the second one also draws outlines, for example.

import numpy as np

from vis import linear_outputs, metrics, plotting, visualize_activation
from vis.attributions import GradCAM, IntegratedGradients, Saliency
from vis.demo.network import load_network
from vis.demo.scenes import make_scenes

# sphinx_gallery_start_ignore
# isort: split
from vis.demo.script import Script

script = Script(globals())
# sphinx_gallery_end_ignore
network, scenes = load_network(), make_scenes(4, "test", 3)
images, boxes = scenes.images, scenes.masks

# %%
# `Grad-CAM class activation visualization <https://keras.io/examples/vision/grad_cam/>`_ takes about 60
# lines up to its first overlay; these are 3. The tutorial sets the activation of the last layer to None,
# which changes the model; ``linear_outputs`` does not change it. The layer is found: it is the last one
# that has positions and that every path crosses.

logits = linear_outputs(network)
cam = GradCAM(logits)(images)
plotting.plot_maps(images, cam, overlay=True, boxes=boxes, name="Grad-CAM")

# %%
# `Model interpretability with integrated gradients
# <https://keras.io/examples/vision/integrated_gradients/>`_ takes about 260 lines; these are 3. The
# baseline is black, as in the tutorial's function.

gradient = Saliency(logits)(images)
integrated = IntegratedGradients(logits, baseline=0, steps=50, reducer="sum")(images)
plotting.plot_maps(images, {"gradient": gradient, "integrated gradients": integrated}, boxes=boxes)

# %%
# `Visualizing what convnets learn <https://keras.io/examples/vision/visualizing_what_convnets_learn/>`_
# takes about 70 lines; these are 4. The pictures of 32 filters are optimized at once, as sums of waves
# (``parameterization="fourier"``), where the tutorial changes pixels one filter after the other.

options = {"input_range": (0, 1.0), "parameterization": "fourier", "max_iter": 40, "seed": 0}
pictures = visualize_activation(network, "norm3", range(32), each=True, **options)
rows = {f"{i} to {i + 7}": pictures[i : i + 8] for i in range(0, 32, 8)}
figure = plotting.plot_pictures(rows, {name: [""] * 8 for name in rows}, "What filters of norm3 look for")
# sphinx_gallery_start_ignore
script.save(figure)
# sphinx_gallery_end_ignore
figure

# %%
# The answer is known here: the digit is what counts, and its contributions add up to what the digit
# changes.

print(f"the box of a digit covers {boxes.mean():.2f} of a scene; share of the energy in it:")
for name, maps in {"Grad-CAM": cam, "gradient": gradient, "integrated gradients": integrated}.items():
    print(f"{name}: {metrics.energy_in_mask(np.abs(maps), boxes).mean():.2f}")
scores, black = (logits.predict(x, verbose=0) for x in (images, 0 * images))
top = np.arange(len(images)), scores.argmax(axis=1)
ratio = (integrated.sum(axis=(1, 2, 3)) / (scores - black)[top]).mean()
print(f"sum of the integrated gradients, by the change of the logit from black: {ratio:.2f}")
