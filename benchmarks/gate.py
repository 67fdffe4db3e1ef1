"""The bar for content-only: hide the look, and keep the biology.

A flat image hides any look. Hence it takes all of it to pass: less leak than the best
published closed form, edges where they were, and cells that can still be told apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from results import interval

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from results import Estimate

# Most leak, as a share of that of the best published closed form; least median
# correlation of gradients; largest loss of accuracy that counts as none.
SHARE, EDGES, LOSS = 0.5, 0.985, 0.02


@dataclass(frozen=True)
class Kept:
    """What one model made of pictures under known looks.

    Attributes
    ----------
    leaks
        Excess over chance that a probe reads of the look, by what the probe sees.
    edges
        Median correlation of gradients.
    cells
        Balanced accuracy of the cell class minus that from raw pictures, paired; where
        cells are known.
    """

    leaks: Mapping[str, float]
    edges: float
    cells: Estimate | None = None


def failures(kept: Kept, best: Mapping[str, float]) -> Iterator[str]:
    """What falls short of the bar, in words; nothing if it passes.

    Parameters
    ----------
    kept
        What is judged.
    best
        Least leak of a published closed form on the same pictures, by probe.
    """
    for probe, excess in kept.leaks.items():
        most = SHARE * max(best[probe], 0.0)
        if excess > most:
            yield f"look from {probe} {excess:.2f} > {most:.2f}"
    if kept.edges < EDGES:
        yield f"edges {kept.edges:.3f} < {EDGES}"
    if kept.cells and not _no_worse(kept.cells):
        yield f"cell class {interval(kept.cells, '+.3f')}"


def _no_worse(cells: Estimate) -> bool:
    """Whether a loss that counts is ruled out; without an interval, by the mean."""
    least = cells.mean if np.isnan(cells.low) else cells.low
    return bool(least >= -LOSS)
