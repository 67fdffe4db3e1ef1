"""Scores of swaps, and what they are worth: means over groups with their intervals."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

# Fewer groups than this say nothing about other images: no interval is given.
FEWEST_GROUPS = 5
RESAMPLES = 10_000


@dataclass(frozen=True)
class Result:
    """One swap of one pair with one model.

    Attributes
    ----------
    source, modality, looks, model, group
        What was swapped, and how.
    psnr
        Decibels between the swap and the truth, over the range of the truth.
    unchanged
        The same for the picture before the swap.
    difference
        Mean CIEDE2000 between the swap and the truth; NaN in fluorescence.
    same_content
        ``psnr`` when the donor shows the picture's own content: what is lost there is
        not lost to other content.
    refused
        Whether the model found nothing to measure and left the picture as it was.
    """

    source: str
    modality: str
    looks: str
    model: str
    group: str
    psnr: float
    unchanged: float
    difference: float
    same_content: float
    refused: bool

    @property
    def gain(self) -> float:
        """Decibels won over leaving the picture as it is."""
        return self.psnr - self.unchanged


@dataclass(frozen=True)
class Score:
    """How near one model came to the truth in one case.

    Attributes
    ----------
    source, looks, group, number, model
        What was done: the case is the same for all models of one number.
    psnr, difference
        Decibels, and mean CIEDE2000 (NaN in fluorescence).
    """

    source: str
    looks: str
    group: str
    number: int
    model: str
    psnr: float
    difference: float


@dataclass(frozen=True)
class Estimate:
    """A mean, one vote per group, and its 95 % interval over groups (NaN: too few)."""

    mean: float
    low: float
    high: float


def estimate(
    results: Sequence[Result], score: Callable[[Result], float], seed: int = 0
) -> Estimate:
    """Mean of a score with a bootstrap interval that resamples groups, not pairs."""
    return bootstrap([(r.group, score(r)) for r in results], seed)


def bootstrap(scores: Sequence[tuple[str, float]], seed: int = 0) -> Estimate:
    """Mean of (group, score), one vote per group, with an interval over groups."""
    values = _by_group(scores)
    if len(values) < FEWEST_GROUPS:
        return Estimate(float(values.mean()), np.nan, np.nan)
    rng = np.random.default_rng(seed)
    drawn = rng.integers(len(values), size=(RESAMPLES, len(values)))
    low, high = np.percentile(values[drawn].mean(axis=1), (2.5, 97.5))
    return Estimate(float(values.mean()), float(low), float(high))


def interval(one: Estimate, form: str) -> str:
    """A mean and its interval, if it has one."""
    if np.isnan(one.low):
        return f"{one.mean:{form}}"
    return f"{one.mean:{form}} [{one.low:{form}}, {one.high:{form}}]"


def count_groups(results: Sequence[Result]) -> int:
    """Number of slides or fields behind some results."""
    return len({r.group for r in results})


def _by_group(scores: Sequence[tuple[str, float]]) -> NDArray[np.float64]:
    groups = defaultdict(list)
    for group, score in scores:
        groups[group].append(score)
    return np.array([np.mean(group) for group in groups.values()])
