"""What a forward pass computes, read off one run on an example."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras

from vis.backend.contract import Spec
from vis.backend.torch.reading import read
from vis.backend.torch.running import Constants, differentiating, examples, leaves, record
from vis.errors import VisError
from vis.graph import Graph


def traced(forward: Callable[[list[Any]], Any], specs: Sequence[Spec]) -> Graph:
    """Return what a forward pass computes.

    Args:
        forward: takes one tensor per spec, and returns a structure of tensors.
        specs: the specs of its inputs.
    """
    failures = []
    for tensors in examples(specs):
        try:
            with differentiating(), Constants():
                seen, outputs = record(forward, leaves(tensors)[1])
                return read(seen, seen.inputs, [seen.slot(tensor) for tensor in keras.tree.flatten(outputs)])
        except VisError:
            raise
        except Exception as failure:  # perhaps the sizes are too small for the model
            failures.append(failure)
    raise failures[0]
