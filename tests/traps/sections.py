"""All traps, by sections."""

from __future__ import annotations

from tests.traps import inputs, outputs, relu_sites, topology, values
from tests.traps.trap import Trap

SECTIONS: dict[str, list[Trap]] = {
    "ReLU sites": relu_sites.TRAPS,
    "Topology": topology.TRAPS,
    "Inputs": inputs.TRAPS,
    "Outputs": outputs.TRAPS,
    "Numbers": values.TRAPS,
}
