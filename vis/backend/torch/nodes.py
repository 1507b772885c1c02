"""The graph of autograd: its nodes, in an order that is the same for each run of the same computation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

Nodes = list[Any]
# What PyTorch runs in place of an operation while operations are watched.
_NAMES = {"ReshapeAliasBackward0": "ViewBackward0"}


def nodes_behind(
    tensors: Sequence[torch.Tensor], inputs: Sequence[torch.Tensor] = ()
) -> tuple[Nodes, tuple[str, ...]]:
    """Return the nodes through which gradients flow back from some tensors, and what they are, in order.

    Args:
        tensors: what is differentiated.
        inputs: the tensors before which the search ends.
    """
    nodes: Nodes = []
    names: list[str] = []
    seen = {tensor.grad_fn for tensor in inputs}
    pending = [tensor.grad_fn for tensor in reversed(tensors) if tensor.grad_fn is not None]
    while pending:
        node = pending.pop()
        if node in seen:
            continue
        seen.add(node)
        after = node.next_functions
        # Nothing follows a tensor that no operation has made.
        if after:
            nodes.append(node)
            names.append(_NAMES.get(node.name(), node.name()))
            pending += [each for each, _ in after if each is not None]
    return nodes, tuple(names)
