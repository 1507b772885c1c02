"""
What changes the score of a class
=================================

The gradient of a class's logit shows which pixels change it, whichever way. With two digits in a scene you
see what that tells and what it does not: it points at digits, but does not tell what raises the class from
what lowers it.
"""

# %%
# The demo's network names digits on photographs. In these scenes there are two digits each, the network
# names both, and we know where they are. ``vis.linear_outputs`` returns the network before its softmax: a
# probability can also rise because others fall, a logit cannot.

from vis import linear_outputs, metrics, plotting, visualize_saliency
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
# ``filter_indices`` is a class, or several, whose logits are then added up. A map has the height and width
# of the picture and values from 0 to 1.

columns = {}
for name, which in {"first class": [0], "second class": [1], "both classes": [0, 1]}.items():
    columns[f"{name}\n|gradient|"] = [
        visualize_saliency(logits, -1, classes[which], image)
        for classes, image in zip(labels, images, strict=True)
    ]
figure = plotting.plot_maps(
    images[:4],
    {name: maps[:4] for name, maps in columns.items()},
    row_names=[f"first: {first}\nsecond: {second}" for first, second in labels[:4]],
    title="What changes the logits of two digits",
)
# sphinx_gallery_start_ignore
script.save(figure, dpi=150)
# sphinx_gallery_end_ignore
figure

# %%
# How much of each map lies on which digit? The energy in a box is the share of the map's sum that lies
# there.

print(f"the box of a digit covers {boxes.mean():.2f} of a scene; means of {len(images)} scenes:")
for name, maps in columns.items():
    first, second = (metrics.energy_in_mask(maps, boxes[:, i]).mean() for i in (0, 1))
    print(f"{name.splitlines()[0]}: {first:.2f} of the energy on the first digit, {second:.2f} on the second")

# %%
# More of a map lies on the digit of its class than on the other one, but not much more: a change of the
# other digit changes the logit, too. `Which of two digits supports a class <grad_cam.html>`_ keeps what
# raises the logit.
