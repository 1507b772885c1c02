"""Examples that explain classes and filters: what they claim holds."""

from pathlib import Path

from tests.examples.running import run, run_apart, shares


def test_class_saliency(tmp_path: Path) -> None:
    printed = run("class_saliency", tmp_path / "made" / "for it")
    (area,) = shares(printed, "the box")
    first = shares(printed, "first class")
    second = shares(printed, "second class")
    both = shares(printed, "both classes")
    assert first[0] > first[1] > 1.5 * area
    assert second[1] > second[0] > 1.5 * area
    assert min(both) > 1.5 * area


def test_filter_saliency(tmp_path: Path) -> None:
    printed = run("filter_saliency", tmp_path)
    (area,) = shares(printed, "the box")
    for layer in ("relu1", "conv5"):
        least, most = shares(printed, layer)
        assert least < area < most / 2


def test_backprop_modifiers(tmp_path: Path) -> None:
    printed = run("backprop_modifiers", tmp_path)
    vanilla, guided, rectified = (shares(printed, name) for name in ("vanilla", "guided", "rectified"))
    assert 0.5 < vanilla[0] < min(guided[0], rectified[0])
    assert vanilla[1] < min(guided[1], rectified[1])


def test_weighted_losses(tmp_path: Path) -> None:
    printed = run("weighted_losses", tmp_path)
    alone, runner_up, rest = (shares(printed, name) for name in ("class alone", "over runner-up", "over all"))
    assert min(alone[0], runner_up[0], rest[0]) > 0.5
    assert alone[1] == 1.0
    assert max(runner_up[1], rest[1]) < 0.98


def test_own_modifiers(tmp_path: Path) -> None:
    printed = run_apart("own_modifiers", tmp_path)
    vanilla, squared, smooth, both = (
        shares(printed, name)[0] for name in ("vanilla", "squared", "smooth_relu", "both")
    )
    assert vanilla < smooth < both
    assert vanilla < squared < both


def test_grad_cam(tmp_path: Path) -> None:
    printed = run("grad_cam", tmp_path)
    (area,) = shares(printed, "a digit's box")
    saliency, cam = shares(printed, "saliency"), shares(printed, "Grad-CAM")
    assert min(saliency[0], cam[0]) > 2 * area
    assert cam[0] / cam[1] > 1.3 * saliency[0] / saliency[1]
    assert sum(cam) < sum(saliency)
