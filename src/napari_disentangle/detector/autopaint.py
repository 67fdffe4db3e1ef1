"""autopaint: what an image's own surroundings paint otherwise, and are sure of.

After Astaraki et al. 2023 ("AutoPaint", arXiv 2305.12358), as far as the abstract and
the first author's code tell (grid variant): a grid that is moved hides every pixel
several times; the mean of what is left (bias) and its standard deviation (uncertainty)
are compared with those of normal as Kullback-Leibler divergence, and what diverges is
hidden too when everything is predicted again. OUR CHOICE: the uncertainty contains the
error that the predictor foresaw, the references are learned from normal instead of the
image that is scored, and a threshold ends it instead of a level set.
"""

from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import lcm
from typing import Annotated, Any

import numpy as np

from napari_disentangle.detector import standard
from napari_disentangle.detector.base import Features, Scorer
from napari_disentangle.detector.masked import prediction
from napari_disentangle.detector.masked.holes import Masks, Policy, grid, period
from napari_disentangle.detector.masked.prediction import (
    Learned,
    Prediction,
    predict,
    predicting,
)
from napari_disentangle.image.arrays import Array, Doubles, Floats
from napari_disentangle.model.settings import Settings

# Share of the normal pixels that may be hidden although they are normal.
_HIDDEN = 0.005
# A residual beyond this many foreseen errors counts no more.
_MOST = 30.0
_SMOOTH = 1.0
# Normal tiles that the references are learned from, at most.
_TILES = 32


@dataclass(frozen=True)
class Config(Settings):
    """Settings.

    Attributes
    ----------
    steps
        Training steps of 16 tiles.
    hole
        Edge of the hidden cells in pixels, about half a nucleus at the resolution of
        the score.
    offsets
        Places of the grid along each axis: 1 is four times as fast as 2.
    rounds
        How often everything is predicted; from the second time on without what
        diverged.
    """

    steps: Annotated[int, {"min": 1, "max": 20_000, "step": 100}] = 1500
    hole: Annotated[int, {"min": 2, "max": 16}] = 6
    offsets: Annotated[int, {"min": 1, "max": 2}] = 2
    rounds: Annotated[int, {"min": 1, "max": 4}] = 2

    @property
    def policy(self) -> Policy:
        """One round of four passes per place of the grid."""
        return grid(self.hole, self.offsets)


@dataclass(frozen=True)
class AutoPaint(Scorer):
    """The detector."""

    description: str = "Unlike what is painted from surroundings cleaned of the odd."
    config: type[Any] = Config
    expects: bool = True

    def halo(self, config: Config) -> int:
        """Reach of all rounds: what one hides changes what the next one sees."""
        return config.rounds * (prediction.REACH + standard.smooth_reach(_SMOOTH))

    def stride(self, config: Config) -> int:
        """Where both the grid and the network begin anew."""
        return lcm(prediction.STEP, period(config.policy))

    def learn(
        self, tiles: Sequence[Floats], config: Config, seed: int
    ) -> Iterator[float | Learned]:
        """Train the predictor, then learn how sure it is, and what hardly diverges."""
        for part in prediction.learn(tiles, config.steps, seed):
            if isinstance(part, float):
                yield part
            else:
                yield {**part, **_references(tiles, config, part)}

    def extracting(
        self, signal: Floats, config: Config, learned: Learned
    ) -> Generator[None, None, Features]:
        """Divergence, after the last round."""
        hide: Masks = np.zeros(signal.shape[1:], bool)
        found = estimate((yield from predicting(signal, learned, config.policy)))
        for _ in range(config.rounds - 1):
            hide |= divergence(found, learned["sure"]) > learned["odd"]
            steps = predicting(signal, learned, config.policy, hide)
            found = estimate((yield from steps))
        return Features(divergence(found, learned["sure"])[None], found.expected)

    def fit(self, features: Floats, config: Config) -> Mapping[str, Doubles]:
        """Median and robust standard deviation of the divergence."""
        return standard.spread(features)

    def score(self, features: Floats, normal: Mapping[str, Doubles]) -> Floats:
        """Divergence in robust standard deviations above the typical one."""
        score: Floats = standard.standard(features, normal)[0]
        return score


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

    bias: Floats
    uncertainty: Floats
    expected: Floats


def estimate(found: Prediction) -> Estimate:
    """Put the rounds of a prediction together."""
    residual = np.clip(found.residual, -_MOST, _MOST)
    bias = np.sqrt((residual.mean(axis=0) ** 2).mean(axis=0))
    uncertainty = np.sqrt(residual.var(axis=0).mean(axis=0) + 1)
    return Estimate(bias, uncertainty, found.mean)


def divergence(found: Estimate, sure: Array) -> Floats:
    """Kullback-Leibler divergence of N(bias, uncertainty) from N(0, sure) (h, w).

    Smoothed, and the logarithm of 1 + that, because it grows with the square.
    """
    ratio, bias = found.uncertainty / sure, found.bias / sure
    kl = (bias**2 + ratio**2 - 1) / 2 - np.log(ratio)
    return np.log1p(standard.smooth(kl.astype(np.float32), _SMOOTH))


def _references(tiles: Sequence[Floats], config: Config, learned: Learned) -> Learned:
    """How sure predictions of normal are, and the largest divergence that is normal."""
    some = [_whole(tile) for tile in tiles[:: -(-len(tiles) // _TILES)]]
    known = [np.isfinite(x).all(axis=0) for x in some]
    found = [estimate(predict(x, learned, config.policy)) for x in some]
    pairs = list(zip(found, known, strict=True))
    sure = np.median(np.concatenate([e.uncertainty[k] for e, k in pairs]))
    normal = np.concatenate([divergence(e, sure)[k] for e, k in pairs])
    odd = np.quantile(normal, 1 - _HIDDEN)
    return {"sure": np.array(sure, np.float32), "odd": np.array(odd, np.float32)}


def _whole(tile: Floats) -> Floats:
    """The part of a tile whose edges are multiples of the step of the network."""
    h, w = (n // prediction.STEP * prediction.STEP for n in tile.shape[1:])
    return tile[:, :h, :w]


SCORER = AutoPaint()
