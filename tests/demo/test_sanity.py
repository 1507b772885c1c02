"""The demo's sanity check, and what the documentation says of it."""

import re
from pathlib import Path

import keras
import numpy as np
import pytest
from scipy import ndimage, stats

from tests import native
from vis.attributions import Saliency
from vis.demo import network, sanity, scenes
from vis.models import linear_outputs

ROOT = Path(__file__).parents[2]
TRUST, METRICS = (" ".join((ROOT / "docs" / name).read_text().split()) for name in ("trust.md", "metrics.md"))
N = 64


@pytest.fixture(scope="module")
def of_scenes() -> sanity.Checks:
    return sanity.of_scenes(N)


@pytest.fixture(scope="module")
def of_digits() -> sanity.Checks:
    return sanity.of_digits(N)


def medians(checks: sanity.Checks) -> dict[str, dict[str, list[float]]]:
    """Return by comparison, by method, the median for each layer."""
    return {
        name.replace(",\n", " "): {k: np.median(rows, axis=1).tolist() for k, rows in panel.items()}
        for name, panel in checks.panels.items()
    }


def quoted(text: str, pattern: str) -> list[float]:
    """Return the numbers of the one sentence of a text that fits a pattern, where `#` is a number."""
    (found,) = re.findall(re.escape(pattern).replace(r"\#", r"(-?\d\.\d\d)"), text)
    return [float(number) for number in ([found] if isinstance(found, str) else found)]


def rank_correlation(first: np.ndarray, second: np.ndarray, where: np.ndarray) -> float:
    """Return the median over the samples of Spearman's correlation of the values of two maps in a mask."""
    pairs = zip(first, second, where, strict=True)
    return float(np.median([stats.spearmanr(a[mask], b[mask]).statistic for a, b, mask in pairs]))


def test_signs_go_when_vanilla_maps_become_random_and_those_of_guided_maps_stay(
    of_scenes: sanity.Checks,
) -> None:
    found = medians(of_scenes)["rank correlation signed"]
    assert max(map(abs, found["vanilla"])) < 0.1
    # Everything above the second block is random: nothing is left that knows the digits.
    assert found["guided"][of_scenes.signed["guided"].layers.index("conv3")] > 0.5
    assert found["guided"][-1] > found["rectified"][-1] > 0.1


def test_absolute_values_stay_for_all_methods(of_scenes: sanity.Checks) -> None:
    found = medians(of_scenes)
    assert all(min(rows) > 0.6 for rows in found["rank correlation absolute"].values())
    similar = found["similarity absolute"]
    assert similar["vanilla"][-1] < similar["rectified"][-1] < similar["guided"][-1]


def test_what_is_left_of_absolute_values_is_where_the_digit_stands() -> None:
    made = scenes.make_scenes(N, "test", 1)
    keras.utils.set_random_seed(0)
    trained, untrained = network.load_network(), network.build_network()
    maps = {}
    for name, modifier in (("vanilla", None), ("guided", "guided")):
        maps[name] = [
            Saliency(linear_outputs(model), backprop_modifier=modifier)(made.images, made.labels)[..., 0]
            for model in (trained, untrained)
        ]
    everywhere = np.ones_like(made.masks)
    near = np.stack([-ndimage.distance_transform_edt(~mask) for mask in made.masks])
    # The nearness to the box knows nothing of a gradient, and ranks the pixels of a trained map as well.
    assert rank_correlation(*maps["vanilla"], everywhere) > 0.5
    assert rank_correlation(maps["vanilla"][0], near, everywhere) > 0.6
    alone = [rank_correlation(maps["vanilla"][0], near, everywhere)]
    assert quoted(METRICS, "the trained network's vanilla maps by #.") == pytest.approx(alone, abs=0.011)
    zeros = np.mean(maps["vanilla"][0] == 0)
    assert f"{100 * zeros:.0f} % of the pixels of a vanilla map exactly zero" in METRICS
    vanilla, guided = found = [rank_correlation(*maps[name], made.masks) for name in ("vanilla", "guided")]
    assert vanilla < 0.5 < guided
    if native.NAME == "TensorFlow":  # its random weights are those of the documentation
        assert quoted(METRICS, "inside the box vanilla maps keep # and guided ones #.") == pytest.approx(
            found, abs=0.03
        )


def test_the_rise_at_the_first_layer_of_the_digits_network_is_made_of_zeros() -> None:
    keras.utils.set_random_seed(1)
    trained, untrained, first_kept = sanity.train_network(), sanity.build_network(), sanity.build_network()
    first_kept.set_weights([*trained.get_weights()[:2], *untrained.get_weights()[2:]])
    images, labels = (part[-N:] for part in sanity.digits())
    before, kept, after = (
        Saliency(model)(images, labels)[..., 0] for model in (trained, first_kept, untrained)
    )
    everywhere, nonzero = np.ones_like(before, bool), after != 0
    assert np.mean(before == 0) < 0.01 and np.mean(kept == 0) < 0.01
    # The biases of a random network are zero, and so is the background: a ReLU passes nothing on there.
    assert f"exactly zero on {100 * np.mean(after == 0):.0f} % of the pixels" in METRICS
    assert np.mean(images[..., 0][~nonzero] == 0) == 1
    rises = [rank_correlation(before, found, everywhere) for found in (kept, after)]
    assert rises[1] > rises[0] + 0.1
    # Without those pixels there is hardly a rise.
    alone = [rank_correlation(before, found, nonzero) for found in (kept, after)]
    assert alone[1] - alone[0] < (rises[1] - rises[0]) / 2


def test_guided_maps_of_the_digits_network_stay(of_digits: sanity.Checks) -> None:
    found = medians(of_digits)
    dense = of_digits.signed["guided"].layers.index("dense")
    for panel in found.values():
        assert panel["guided"][dense] > 0.85 and panel["vanilla"][dense] < 0.65
    lines = of_digits.table().splitlines()
    assert [line.split()[0] for line in lines[2:]] == of_digits.signed["guided"].layers
    assert [len(line.split()) for line in lines[2:]] == [1 + 3 * len(sanity.METHODS)] * 6
    figure = of_digits.figure()
    assert [axes.get_ylabel() for axes in figure.axes] == list(of_digits.panels)
    assert "digits" in figure.get_suptitle()


@pytest.mark.skipif(native.NAME != "TensorFlow", reason="its random weights are those of the documentation")
def test_the_numbers_in_the_documentation(of_scenes: sanity.Checks, of_digits: sanity.Checks) -> None:
    found = medians(of_scenes)
    ends = {name: {method: rows[-1] for method, rows in panel.items()} for name, panel in found.items()}
    signed, absolute = ends["rank correlation signed"], ends["rank correlation absolute"]
    similar = ends["similarity absolute"]
    assert quoted(
        TRUST, "vanilla maps keep a rank correlation of #, guided ones #, rectified ones # and LRP's #."
    ) == (pytest.approx([signed[name] for name in sanity.METHODS], abs=0.03))
    assert quoted(TRUST, "keep # to # with any of the four") == pytest.approx(
        [min(absolute.values()), max(absolute.values())], abs=0.03
    )
    assert quoted(
        METRICS, "structural similarity is # for vanilla, # for rectified and # for guided maps"
    ) == (pytest.approx([similar[name] for name in ("vanilla", "rectified", "guided")], abs=0.03))
    mixed = quoted(METRICS, "(vanilla #, guided # here)")
    assert mixed == pytest.approx([absolute["vanilla"], signed["guided"]], abs=0.03)
    dense = of_digits.signed["guided"].layers.index("dense")
    of_dense = [medians(of_digits)["rank correlation signed"][name][dense] for name in ("vanilla", "guided")]
    sentence = "With both dense layers random, # of vanilla maps with their signs is left, # of guided ones."
    assert quoted(METRICS, sentence) == pytest.approx(of_dense, abs=0.05)
    rise = medians(of_digits)["rank correlation absolute"]["vanilla"][-2:]
    assert quoted(METRICS, "rise again, from # to #.") == pytest.approx(rise, abs=0.05)
