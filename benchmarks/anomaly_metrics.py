"""How well anomaly maps find what is odd: figures over pixels, and over regions.

Higher scores are odder. Equal scores are never told apart by their order. Maps and
their truths (Y, X) are pooled over images: one threshold holds for all of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.integrate import trapezoid
from scipy.ndimage import label

if TYPE_CHECKING:
    from collections.abc import Sequence

    from looks import Array

# Pixels that touch at a corner are of one region.
TOUCHING = np.ones((3, 3))
# Shares of all pixels that are predicted, at the thresholds that are tried: most of
# them where little is, as what is odd is rare.
PREDICTED = np.geomspace(1e-5, 0.5, 50)


# --- pixels, or images --------------------------------------------------------------
def pixel_ap(scores: Array, odd: Array) -> float:
    """Average precision: precision at every distinct score, weighted by recall won."""
    hits, misses = _climb(scores, odd, ~odd)
    won = np.diff(hits, prepend=0) / hits[-1]
    return float(won @ (hits / (hits + misses)))


def auroc(scores: Array, odd: Array) -> float:
    """Share of pairs of an odd and a normal score in the right order; ties are half."""
    hits, misses = (np.append(0, sums) for sums in _climb(scores, odd, ~odd))
    return float(trapezoid(hits / hits[-1], misses / misses[-1]))


def _climb(scores: Array, *weights: Array) -> list[Array]:
    """Sums of weights of what reaches each distinct score, from the highest down."""
    order = np.argsort(-scores, axis=None)
    ranked = scores.ravel()[order]
    last = np.append(ranked[1:] != ranked[:-1], True)
    return [np.cumsum(own.ravel()[order])[last] for own in weights]


# --- regions ------------------------------------------------------------------------
def au_pro(maps: Sequence[Array], odds: Sequence[Array], limit: float = 0.3) -> float:
    """Area under the curve of per-region overlap against false positive rate.

    Parameters
    ----------
    maps
        Scores; NaN is counted nowhere.
    odds
        The truth; its connected parts are the regions, and large and small ones count
        the same.
    limit
        False positive rate at which the curve ends; the area is divided by it. A map
        of one value reaches ``limit / 2``.
    """
    known = [~np.isnan(scores) for scores in maps]
    scores, normal, weights = (
        np.concatenate([part[k] for part, k in zip(parts, known, strict=True)])
        for parts in (maps, [~odd for odd in odds], _shares(_regions(maps, odds)))
    )
    overlap, false = (np.append(0, sums) for sums in _climb(scores, weights, normal))
    return _area(false / false[-1], overlap / overlap[-1], limit) / limit


def _area(x: Array, y: Array, limit: float) -> float:
    """Area under a curve up to a limit, where it is cut between two points."""
    kept = x <= limit
    end = np.interp(limit, x, y)
    return float(trapezoid(np.append(y[kept], end), np.append(x[kept], limit)))


def _regions(maps: Sequence[Array], odds: Sequence[Array]) -> list[Array]:
    """The regions of every image, numbered from 1; what has no score is in none."""
    pairs = zip(maps, odds, strict=True)
    return [label(odd & ~np.isnan(scores), TOUCHING)[0] for scores, odd in pairs]


def _shares(regions: Sequence[Array]) -> list[Array]:
    """What share of its region every pixel is."""
    areas = (np.bincount(numbers.ravel()) for numbers in regions)
    pairs = zip(regions, areas, strict=True)
    return [(numbers > 0) / area[numbers] for numbers, area in pairs]


def recall_at_false_regions(
    maps: Sequence[Array],
    odds: Sequence[Array],
    per_field: float = 1.0,
    mostly: float = 0.5,
) -> float:
    """Share of true regions that are hit while false ones stay few.

    Predicted regions are the connected parts of what reaches a threshold; the best of
    about 50 is taken, each the same for all images. A predicted region is false if it
    touches no true one. It hits those that it overlaps if at least ``mostly`` of it is
    odd, however much of them it leaves out; one that touches a true region and mostly
    lies elsewhere does neither, so that nothing is won by predicting whole images.

    Parameters
    ----------
    maps
        Scores; NaN is never predicted and in no true region.
    odds
        The truth; its connected parts are the regions.
    per_field
        How many false regions an image may have on average.
    mostly
        Which part of a predicted region has to be odd for a hit. A map of one value
        hits where so much of an image is odd.
    """
    regions = _regions(maps, odds)
    total = sum(numbers.max() for numbers in regions)
    hits, false = np.array(
        [_counts(maps, regions, t, mostly) for t in _thresholds(maps)]
    ).T
    # At a threshold that nothing reaches, nothing is hit.
    return float(max(hits[false <= per_field * len(maps)], default=0) / total)


def _thresholds(maps: Sequence[Array]) -> Array:
    scores = np.concatenate([scores[~np.isnan(scores)] for scores in maps])
    return np.unique(np.quantile(scores, 1 - PREDICTED, method="higher"))


def _counts(
    maps: Sequence[Array], regions: Sequence[Array], threshold: float, mostly: float
) -> tuple[int, int]:
    """How many true regions are hit, and how many predicted ones are false."""
    pairs = zip(maps, regions, strict=True)
    found = [_field_counts(scores >= threshold, own, mostly) for scores, own in pairs]
    hits, false = np.sum(found, axis=0)
    return hits, false


def _field_counts(predicted: Array, regions: Array, mostly: float) -> tuple[int, int]:
    parts, _ = label(predicted, TOUCHING)
    areas = np.bincount(parts.ravel())
    odd = np.bincount(parts[regions > 0], minlength=len(areas))
    good = odd >= mostly * areas
    hit = np.unique(regions[good[parts] & predicted & (regions > 0)])
    return len(hit), int((odd[1:] == 0).sum())
