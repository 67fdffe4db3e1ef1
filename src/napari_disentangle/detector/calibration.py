"""Calibration: from raw scores to signed z, and to p of pixels and of regions."""

from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import compress
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_disentangle.compute.iterators import finished
from napari_disentangle.detector.extent import extents
from napari_disentangle.errors import DataError
from napari_disentangle.image.arrays import Array, Doubles, Floats

# What p and q of regions have to be able to reach.
LEVEL = 0.05

_MAD_TO_STD = 1.4826
# With fewer, p of a pixel could not even reach LEVEL; p of a region neither.
_FEWEST_PIXELS = 20
_FEWEST_BLOCKS = 19
_MOST_PIXELS = 2**20
# p of pixels from which on their extent counts; every further level is half as large.
_SURPRISING = 0.05
# What has a smaller share of the usable pixels of the median block is none.
_SLIVER = 0.25


@dataclass(frozen=True, eq=False)
class Calibration:
    """Raw scores of normal blocks that were held out; the larger, the more surprising.

    Attributes
    ----------
    scores
        Scores of pixels, sorted (N,).
    extents
        Largest extent of every block, sorted (B,), see :meth:`extent`.
    block_size
        Mean number of usable pixels in these blocks.
    """

    scores: Floats
    extents: NDArray[np.uint32]
    block_size: float

    @cached_property
    def center(self) -> float:
        """Median of the held-out scores."""
        return float(np.median(self.scores))

    @cached_property
    def spread(self) -> float:
        """Their robust standard deviation."""
        deviation = float(np.median(np.abs(self.scores - self.center)))
        return max(_MAD_TO_STD * deviation, 1e-6)

    def z(self, scores: NDArray[np.floating], sign: ArrayLike = 1) -> Floats:
        """How far above the typical score, in robust standard deviations, signed.

        Scores below the typical one give 0, NaN gives NaN. ``sign`` is +1 or -1, one
        for all or one per score.
        """
        above = np.maximum(0, (scores - self.center) / self.spread)
        signed: Floats = (np.asarray(sign) * above).astype(np.float32)
        return signed

    def raw(self, z: Floats) -> Floats:
        """Scores of a z map: the typical score for all that lie below it."""
        return (np.abs(z) * self.spread + self.center).astype(np.float32)

    def p(self, scores: NDArray[np.floating]) -> Floats:
        """Conformal p value: share of held-out scores at least as large.

        ``(1 + #{held out >= score}) / (1 + N)`` (Vovk et al. 2005, "Algorithmic
        Learning in a Random World", section 2.2). NaN scores give NaN.
        """
        p = _conformal(self.scores, scores).astype(np.float32)
        return np.where(np.isfinite(scores), p, np.float32(np.nan))

    def threshold(self, alpha: float) -> float:
        """The score above which, and only there, ``p <= alpha``.

        Much faster than the p value of every pixel.
        """
        n = len(self.scores)
        # As rounded as p itself, so that both always agree.
        reached = (np.arange(1, n + 2) / (1 + n)).astype(np.float32)
        allowed = int(np.searchsorted(reached, np.float32(alpha), side="right")) - 1
        if allowed < 0:
            return np.inf
        return -np.inf if allowed == n else float(self.scores[n - 1 - allowed])

    @cached_property
    def levels(self) -> tuple[float, ...]:
        """Scores above which p is at most 0.05, 0.025, and so on."""
        n = int(np.log2(_SURPRISING * (1 + len(self.scores)))) + 1
        return tuple(self.threshold(_SURPRISING / 2**i) for i in range(n))

    @property
    def window(self) -> int:
        """Edge in pixels of what is as large as a block."""
        edge: int = max(1, round(self.block_size**0.5))
        return edge

    def extent(self, scores: NDArray[np.floating]) -> NDArray[np.uint32]:
        """How many pixels are surprising together, for every pixel of (..., Y, X).

        The number of those that are connected with p of at most 0.05, plus the number
        of those with at most 0.025, and so on, in windows of the size of a block, see
        :func:`napari_disentangle.detector.extent.extents`.
        """
        return finished(self.extending(scores))

    def extending(
        self, scores: NDArray[np.floating]
    ) -> Generator[None, None, NDArray[np.uint32]]:
        """The same, some rows at a time."""
        known = np.where(np.isfinite(scores), scores, np.nan)
        return extents(known, self.levels, self.window)

    def region_p(self, extent: ArrayLike) -> Doubles:
        """Conformal p value of regions, from their largest extent.

        The share of normal blocks with one at least as large, counted like :meth:`p`;
        NaN if too few blocks were held out, see :attr:`limits`.
        """
        p = _conformal(self.extents, extent)
        return p if len(self.extents) >= _FEWEST_BLOCKS else np.full_like(p, np.nan)

    def figures(self, alphas: Sequence[float]) -> dict[str, Any]:
        """What tells p from z, in plain JSON types.

        ``z`` is (raw score - center) / spread. ``z_at`` is the absolute z above which
        p of a pixel is at most that; ``None`` if too few pixels were held out.
        """
        limits = {a: np.asarray(self.threshold(a), np.float32) for a in alphas}
        # as rounded as a map, so that a pixel that equals the limit is not above it
        z_at = {
            str(a): float(self.z(limit)) if np.isfinite(limit) else None
            for a, limit in limits.items()
        }
        return {
            "center": self.center,
            "spread": self.spread,
            "pixels": len(self.scores),
            "blocks": len(self.extents),
            "z_at": z_at,
        }

    @property
    def limits(self) -> str:
        """Why regions have no p value, in one sentence; empty if they have."""
        n = len(self.extents)
        if n >= _FEWEST_BLOCKS:
            return ""
        return (
            f"regions cannot be told from chance: only {_counted(n)} held out and "
            f"{_FEWEST_BLOCKS} are needed for p = {LEVEL}; mark more as normal"
        )

    def looks(self, scores: NDArray[np.floating]) -> int:
        """How many blocks could have shown something in a map of scores."""
        return int(np.ceil(np.isfinite(scores).sum() / self.block_size))


def calibration(blocks: Sequence[NDArray[np.floating]]) -> Calibration:
    """Calibrate on the raw scores of held-out normal blocks.

    Parameters
    ----------
    blocks
        Scores (h, w) of each block, NaN where a pixel cannot be used. What has less
        than a quarter as many usable pixels as the median one is no block, as little
        can be connected in it; its pixels count. Neither can much be in thin lines:
        with such blocks p of regions is too small.

    Raises
    ------
    DataError
        If fewer than 20 pixels are left: p could not even reach 0.05.
    """
    return finished(calibrating(blocks))


def calibrating(
    blocks: Sequence[NDArray[np.floating]], done: float = 1
) -> Generator[float, None, Calibration]:
    """Calibrate as :func:`calibration` does, and say ``done`` after every block."""
    scores = _known(blocks)
    sizes = np.array([np.isfinite(block).sum() for block in blocks])
    counted = sizes >= _SLIVER * np.median(sizes[sizes > 0])
    pixels = Calibration(scores, np.zeros(0, np.uint32), float(sizes[counted].mean()))
    largest = []
    for block in compress(blocks, counted):
        rounded_as_a_map = pixels.raw(pixels.z(block))
        largest.append(pixels.extent(rounded_as_a_map).max())
        yield done
    return replace(pixels, extents=np.sort(np.array(largest)))


def _known(blocks: Sequence[NDArray[np.floating]]) -> Floats:
    """Scores of all usable pixels, sorted (N,), or some if there are very many."""
    known = [block[np.isfinite(block)] for block in blocks]
    n = sum(map(len, known))
    if n < _FEWEST_PIXELS:
        raise DataError(
            f"only {n} normal pixels are left to calibrate on: mark more as normal"
        )
    return _thinned(np.sort(np.concatenate(known)).astype(np.float32))


def adjusted(
    p: NDArray[np.floating], n_blocks: int, looks: int = 0, level: float = LEVEL
) -> Doubles:
    """Benjamini-Hochberg q values of regions.

    Regions are what is left of many places after those with low scores were dropped.
    To count the regions alone would call chance findings significant, so every place
    that was looked at counts as a test, those without a region with p = 1.

    Parameters
    ----------
    p
        P values of the regions (R,).
    n_blocks
        Number of held-out normal blocks.
    looks
        Number of places that were looked at, see :meth:`Calibration.looks`.
    level
        What q has to be able to reach.

    Returns
    -------
    ndarray
        (R,); all NaN where :func:`adjusted_limits` says why.
    """
    from scipy.stats import false_discovery_control

    tests = max(len(p), looks)
    if len(p) == 0 or adjusted_limits(n_blocks, tests, level):
        return np.full(len(p), np.nan)
    every: Doubles = np.ones(tests)
    every[: len(p)] = p
    q: Doubles = false_discovery_control(every)[: len(p)]
    return q


def adjusted_limits(n_blocks: int, tests: int, level: float = LEVEL) -> str:
    """Why ``tests`` regions or places have no q value; empty if they have."""
    needed = max(_FEWEST_BLOCKS, int(np.ceil(round(tests / level, 6))) - 1)
    if n_blocks >= needed:
        return ""
    return (
        f"false discoveries cannot be controlled: only {_counted(n_blocks)} held out "
        f"and {needed} are needed to look at {tests} places for q = {level}; mark more "
        "as normal or look at a smaller part"
    )


def _conformal(known: Array, scores: ArrayLike) -> Doubles:
    at_least = len(known) - np.searchsorted(known, scores, side="left")
    return np.asarray((1 + at_least) / (1 + len(known)))


def _thinned(scores: Floats) -> Floats:
    """Evenly spaced ones of very many sorted scores."""
    if len(scores) <= _MOST_PIXELS:
        return scores
    even = np.linspace(0, len(scores) - 1, _MOST_PIXELS).round().astype(int)
    kept: Floats = scores[even]
    return kept


def _counted(n_blocks: int) -> str:
    return f"{n_blocks} normal block{'s were' if n_blocks != 1 else ' was'}"
