"""What becomes of relevance on its way from the score to the inputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from vis import checks
from vis.errors import InputError
from vis.plotting import Figure
from vis.plotting.balance import plot_balance
from vis.plotting.figures import Axes
from vis.relevance.flow import TOLD
from vis.reprs import TypedRepr

Array = npt.NDArray[np.float64]
# What is lost by rounding, as a share of the score.
_NOTHING = 1e-6


@dataclass(frozen=True, repr=False)
class SiteBalance(TypedRepr):
    """What becomes of the relevance at one site.

    Args:
        path: the path of its layer and the name of its operation.
        kind: what it computes, see `vis.relevance.steps`.
        rule: the rule, as it can be typed.
        arrived, passed: the relevance of its outputs and of its inputs, `(samples,)`.
        bias, epsilon: what its bias and the rule's epsilon took, `(samples,)`.
    """

    path: str
    kind: str
    rule: str
    arrived: Array
    passed: Array
    bias: Array
    epsilon: Array

    @property
    def rest(self) -> Array:
        """What the rule itself took, or, at an unknown site, its gradient, `(samples,)`."""
        return self.arrived - self.passed - self.bias - self.epsilon


@dataclass(frozen=True, repr=False)
class Conservation(TypedRepr):
    """A balance of relevance: where it started, what arrived at the inputs, and what was lost on the way.

    `print` shows it as a table, the sites that took most first.

    Args:
        scores: the scores of the samples, `(samples,)`.
        sums: the relevance of their inputs, `(samples,)`.
        sites: from the explained output to the inputs.
    """

    scores: Array
    sums: Array
    sites: Sequence[SiteBalance]

    def taken(self) -> dict[str, Array]:
        """Return what biases, epsilon, rules, unknown operations and the operator took, each `(samples,)`.

        They add up to `scores - sums`.
        """
        zero = np.zeros_like(self.scores)
        known = [site for site in self.sites if site.kind != "unknown"]
        unknown = [site for site in self.sites if site.kind == "unknown"]
        found = {
            "bias": sum((site.bias for site in self.sites), zero),
            "epsilon": sum((site.epsilon for site in self.sites), zero),
            "rules": sum((site.rest for site in known), zero),
            "unknown": sum((site.rest for site in unknown), zero),
        }
        # Of an operator that is not linear, only the part that its gradient shows is shared.
        return {**found, "operator": self.scores - self.sums - sum(found.values(), zero)}

    def __str__(self) -> str:
        """Return the balance as a table of sums over the samples."""
        rows: list[tuple[str, ...]] = [("site", "kind", "rule", "arrived", "bias", "epsilon", "rule took")]
        least = _NOTHING * np.abs(self.scores).sum()
        lost = [site for site in self.sites if np.abs(site.arrived - site.passed).sum() > least]
        for site in sorted(lost, key=lambda site: -float(np.abs(site.arrived - site.passed).sum())):
            numbers = (site.arrived, site.bias, site.epsilon, site.rest)
            rows.append((site.path, site.kind, site.rule, *(f"{each.sum():.4g}" for each in numbers)))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [
            "  ".join(
                cell.ljust(width) if place < 3 else cell.rjust(width)
                for place, (cell, width) in enumerate(zip(row, widths, strict=True))
            ).rstrip()
            for row in rows
        ]
        total = ", ".join(f"{name} {values.sum():.4g}" for name, values in self.taken().items())
        samples = "1 sample" if len(self.scores) == 1 else f"{len(self.scores)} samples"
        end = f"{samples}: score {self.scores.sum():.6g}, relevance {self.sums.sum():.6g}; taken: {total}"
        return "\n".join([*lines, end])

    def plot(self, sample: int = 0, ax: Axes | None = None) -> Figure | Axes:
        """Draw the way from the score of a sample to the sum of its relevance.

        Args:
            sample: the index of the sample.
            ax: the axes to draw into; None for a new figure.

        Raises:
            InputError: if there is no such sample.
        """
        if not 0 <= checks.whole("sample", sample, 0) < len(self.scores):
            raise InputError(
                f"sample must be from 0 to {len(self.scores) - 1}, one for each score. Received: {sample}."
            )
        least = _NOTHING * abs(self.scores[sample])
        taken = {name: float(values[sample]) for name, values in self.taken().items()}
        steps = {name: -value for name, value in taken.items() if abs(value) > least}
        return plot_balance(
            ("score", float(self.scores[sample])), steps, ("relevance", float(self.sums[sample])), ax=ax
        )


def balanced(
    sites: Sequence[tuple[str, str, str]], rows: Sequence[tuple[float, float, Sequence[Any]]]
) -> Conservation:
    """Return the balance of several samples.

    Args:
        sites: the path, kind and rule of each.
        rows: of each sample its score, the sum of its relevance, and what a flow notes, see `TOLD`.
    """
    scores, sums = (np.array([row[place] for row in rows], np.float64) for place in (0, 1))
    told = np.array([[float(each[0]) for each in row[2]] for row in rows]).reshape(len(rows), -1, len(TOLD))
    balances = [
        SiteBalance(*site, *(told[:, place, which] for which in range(len(TOLD))))
        for place, site in enumerate(sites)
    ]
    return Conservation(scores, sums, balances)
