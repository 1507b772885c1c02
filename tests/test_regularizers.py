"""keras-vis's import path of the regularizers."""

from vis import regularizers
from vis.losses.lp_norm import LPNorm
from vis.losses.total_variation import TotalVariation


def test_they_are_the_losses() -> None:
    assert regularizers.TotalVariation is TotalVariation
    assert regularizers.LPNorm is LPNorm
