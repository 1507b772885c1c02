"""The demo's comparison of explainers by measures."""

from __future__ import annotations

import pytest

from tests import native
from vis.demo import comparison


def test_what_the_comparison_finds(monkeypatch: pytest.MonkeyPatch) -> None:
    if native.NAME != "TensorFlow":
        monkeypatch.setattr(comparison, "SCENES", 6)
    found = comparison.compared()
    assert tuple(found.values) == comparison.COMPARED
    middle = {name: {measure: row[measure][0] for measure in row} for name, row in found.intervals.items()}
    assert middle["occlusion"]["mu_fidelity"] > 0.9, (
        "what is removed alone says most of what is removed together"
    )
    assert middle["LRP"]["mu_fidelity"] > middle["vanilla"]["mu_fidelity"]
    assert middle["guided"]["random_logit"] > 0.9, "guided maps of two digits are alike"
    assert middle["LRP"]["random_logit"] < 0.5
    assert middle["Grad-CAM"]["sensitivity_max"] < 0.1 < middle["LRP"]["sensitivity_max"]
    assert middle["LRP"]["sparseness"] > middle["Grad-CAM"]["sparseness"]
    lines = str(found.table()).splitlines()
    assert len(lines) == 1 + len(comparison.COMPARED)
