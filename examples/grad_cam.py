"""
Which of two digits supports a class
====================================

The absolute gradient does not tell what raises a score from what lowers it. Grad-CAM keeps what raises it,
at the coarse resolution of a late layer. Two digits in a scene show the difference.
"""

# %%
# The same scenes as in `What changes the score of a class <class_saliency.html>`_.

import numpy as np

from vis import linear_outputs, metrics, plotting, visualize_cam, visualize_saliency
from vis.demo.network import load_network
from vis.demo.report import pairs_seen

# sphinx_gallery_start_ignore
# isort: split
from vis.demo.script import Script

script = Script(globals())
# sphinx_gallery_end_ignore
network = load_network()
logits = linear_outputs(network)
images, labels, boxes = pairs_seen(network, 200, 3)

# %%
# ``visualize_cam`` takes the last layer that every path crosses and that has positions, here ``conv5``.
# Another one is chosen with ``conv_layer``.

maps = {
    name: np.array(
        [
            [explain(logits, -1, label, image) for label in both]
            for both, image in zip(labels, images, strict=True)
        ]
    )
    for name, explain in {"saliency": visualize_saliency, "Grad-CAM": visualize_cam}.items()
}
columns = {
    "saliency, first\n|gradient|": maps["saliency"][:4, 0],
    "saliency, second\n|gradient|": maps["saliency"][:4, 1],
    "Grad-CAM, first\npositive part": maps["Grad-CAM"][:4, 0],
    "Grad-CAM, second\npositive part": maps["Grad-CAM"][:4, 1],
}
figure = plotting.plot_maps(
    images[:4],
    columns,
    row_names=[f"first: {first}\nsecond: {second}" for first, second in labels[:4]],
    title="What changes the logit of a digit, and what raises it",
)
# sphinx_gallery_start_ignore
script.save(figure, dpi=150)
# sphinx_gallery_end_ignore
figure

# %%
# The share of each digit's map in its own box, and in the box of the other digit:

print(f"a digit's box covers {boxes.mean():.2f} of a scene; means of {len(images)} scenes:")
for name, found in maps.items():
    own, other = (
        np.mean([metrics.energy_in_mask(found[:, k], boxes[:, box]).mean() for k, box in pairs])
        for pairs in ([(0, 0), (1, 1)], [(0, 1), (1, 0)])
    )
    print(f"{name}: {own:.2f} of the energy on the digit asked for, {other:.2f} on the other")

# %%
# Less of Grad-CAM lies on the other digit. More of it lies beside both digits: its map has 16 x 16
# positions for 64 x 64 pixels. So it tells which digit, and saliency tells which pixels.
