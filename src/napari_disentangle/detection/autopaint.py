"""autopaint: what an image's own surroundings paint otherwise, and are sure of.

After Astaraki et al. 2023 ("AutoPaint", arXiv 2305.12358), as far as the abstract and
the first author's code tell (grid variant): a grid that is moved hides every pixel
several times; the mean of what is left (bias) and its standard deviation (uncertainty)
are compared with those of normal as Kullback-Leibler divergence, and what diverges is
hidden too when everything is predicted again. OUR CHOICE: the uncertainty contains the
error that the predictor foresaw, the references are learned from normal instead of the
image that is scored, two sizes of cells so that what is larger than a cell is found,
and that a threshold ends it instead of a level set.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import lcm
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from napari_disentangle.detection import prediction, robust
from napari_disentangle.detection.base import Seen
from napari_disentangle.detection.holes import grid, period
from napari_disentangle.detection.prediction import predict

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from napari_disentangle.detection.holes import Masks, Policy
    from napari_disentangle.detection.prediction import Learned, Prediction

# Sizes of cells in units of ``hole``.
SIZES = (1, 2)
# Share of the normal pixels that may be hidden although they are normal.
_HIDDEN = 0.005
# A residual beyond this many foreseen errors counts no more.
_MOST = 30.0
_SMOOTH = 1.0
# Normal tiles that the references are learned from, at most.
_TILES = 32


@dataclass(frozen=True)
class Config:
    """Settings.

    Attributes
    ----------
    steps
        Training steps of 16 tiles.
    hole
        Edge of the smaller hidden cells in pixels; the others have twice that.
    offsets
        Places of the grid along each axis: 1 is four times as fast as 2.
    rounds
        How often everything is predicted; from the second time on without what
        diverged.

    Raises
    ------
    ValueError
        If one of them is out of range.
    """

    steps: Annotated[int, {"min": 1, "max": 20_000, "step": 100}] = 1500
    hole: Annotated[int, {"min": 2, "max": 16}] = 6
    offsets: Annotated[int, {"min": 1, "max": 2}] = 2
    rounds: Annotated[int, {"min": 1, "max": 4}] = 2

    def __post_init__(self) -> None:
        prediction.check_steps(self.steps)
        if not 2 <= self.hole <= 16:
            raise ValueError(f"hole {self.hole} must be 2 to 16 pixels, e.g. 6")
        if self.offsets not in (1, 2):
            raise ValueError(f"offsets {self.offsets} must be 1 or 2")
        if not 1 <= self.rounds <= 4:
            raise ValueError(f"rounds {self.rounds} must be 1 to 4, e.g. 2")

    @property
    def policies(self) -> tuple[Policy, ...]:
        """One per size of cells."""
        return tuple(grid(size * self.hole, self.offsets) for size in SIZES)


@dataclass(frozen=True)
class AutoPaint:
    """The detector."""

    description: str = "Unlike what is painted from surroundings cleaned of the odd."
    config: type[Any] = Config

    def halo(self, config: Config) -> int:
        """Reach of all rounds: what one hides changes what the next one sees."""
        return config.rounds * (prediction.REACH + robust.reach(_SMOOTH))

    def step(self, config: Config) -> int:
        """Where all grids and the network begin anew."""
        return lcm(prediction.STEP, *(period(policy) for policy in config.policies))

    def learn(
        self, tiles: Sequence[NDArray[np.float32]], config: Config, seed: int
    ) -> Iterator[float | Learned]:
        """Train the predictor, then learn how sure it is, and what hardly diverges."""
        for part in prediction.learn(tiles, config.steps, seed):
            if isinstance(part, float):
                yield part
            else:
                yield {**part, **_references(tiles, config, part)}

    def see(
        self, signal: NDArray[np.float32], config: Config, learned: Learned
    ) -> Seen:
        """Divergence at each size of cells."""
        hide: Masks = np.zeros(signal.shape[1:], bool)
        found = _estimates(signal, config, learned, hide)
        for _ in range(config.rounds - 1):
            maps = divergences(found, learned["sure"])
            hide |= (maps > learned["odd"][:, None, None]).any(axis=0)
            found = _estimates(signal, config, learned, hide)
        return Seen(divergences(found, learned["sure"]), found[0].expected)

    def fit(
        self, features: NDArray[np.float32], config: Config
    ) -> Mapping[str, NDArray[np.float64]]:
        """Median and robust standard deviation of the divergences."""
        return robust.spread(features)

    def score(
        self, features: NDArray[np.float32], normal: Mapping[str, NDArray[np.float64]]
    ) -> NDArray[np.float32]:
        """The larger of the divergences, each in its own standard deviations."""
        largest: NDArray[np.float32] = robust.standard(features, normal).max(axis=0)
        return largest


@dataclass(frozen=True, eq=False)
class Estimate:
    """What all places of a grid say, in units of the error that was foreseen.

    Attributes
    ----------
    bias
        (h, w) mean over the rounds of what is left, its size over all channels.
    uncertainty
        (h, w) standard deviation over the rounds and of the foreseen error.
    expected
        (C, h, w) mean over the rounds, in units of the signal.
    """

    bias: NDArray[np.float32]
    uncertainty: NDArray[np.float32]
    expected: NDArray[np.float32]


def estimate(found: Prediction) -> Estimate:
    """Put the rounds of a prediction together."""
    residual = np.clip(found.residual, -_MOST, _MOST)
    bias = np.sqrt((residual.mean(axis=0) ** 2).mean(axis=0))
    uncertainty = np.sqrt(residual.var(axis=0).mean(axis=0) + 1)
    return Estimate(bias, uncertainty, found.mean)


def divergence(found: Estimate, sure: float) -> NDArray[np.float32]:
    """Kullback-Leibler divergence of N(bias, uncertainty) from N(0, sure) (h, w)."""
    ratio = found.uncertainty / sure
    bias = found.bias / sure
    kl: NDArray[np.float32] = (bias**2 + ratio**2 - 1) / 2 - np.log(ratio)
    return kl


def divergences(found: Sequence[Estimate], sure: NDArray[Any]) -> NDArray[np.float32]:
    """Logarithms of the smoothed divergences, one per size of cells (S, h, w)."""
    pairs = zip(found, sure, strict=True)
    maps = np.stack([robust.smooth(divergence(f, s), _SMOOTH) for f, s in pairs])
    return np.log1p(maps).astype(np.float32)


def _estimates(
    signal: NDArray[np.float32],
    config: Config,
    learned: Learned,
    hide: Masks | None = None,
) -> list[Estimate]:
    """One per size of cells."""
    policies = config.policies
    return [estimate(predict(signal, learned, policy, hide)) for policy in policies]


def _references(
    tiles: Sequence[NDArray[np.float32]], config: Config, learned: Learned
) -> Learned:
    """How sure predictions of normal are, and the largest divergence that is normal.

    Both per size of cells (S,).
    """
    some = [_whole(tile) for tile in tiles[:: -(-len(tiles) // _TILES)]]
    known = [_known(x) for x in some]
    found = [_estimates(x, config, learned) for x in some]
    unsure = [np.stack([e.uncertainty for e in one]) for one in found]
    sure = np.median(_of(unsure, known), axis=1)
    maps = [divergences(one, sure) for one in found]
    odd = np.quantile(_of(maps, known), 1 - _HIDDEN, axis=1)
    return {"sure": sure.astype(np.float32), "odd": odd.astype(np.float32)}


def _known(tile: NDArray[np.float32]) -> Masks:
    known: Masks = np.isfinite(tile).all(axis=0)
    return known


def _of(
    maps: Sequence[NDArray[np.float32]], known: Sequence[Masks]
) -> NDArray[np.float32]:
    """Values (S, N) of all known pixels."""
    return np.concatenate([m[:, k] for m, k in zip(maps, known, strict=True)], axis=1)


def _whole(tile: NDArray[np.float32]) -> NDArray[np.float32]:
    """The part of a tile whose edges are multiples of the step of the network."""
    h, w = (n // prediction.STEP * prediction.STEP for n in tile.shape[1:])
    return tile[:, :h, :w]


SCORER = AutoPaint()
