"""context: what neither looks normal nor follows from its surroundings.

A predictor hides cells of a grid and says what should be there, and how sure it is (see
nets.masked). What is left, in units of the error that it foresaw, goes through the same
filters as the signal itself. How far a pixel is from all normal ones is asked of both,
each in its own units, and the mean of the answers is the score: asked of all features
at once, a new camera moved it ten times as much (docs/benchmarks.md). OUR CHOICE.
"""

from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import lcm
from typing import Annotated, Any

import numpy as np

from napari_disentangle.detector import knn, standard
from napari_disentangle.detector.base import Features, Scorer
from napari_disentangle.detector.masked import prediction
from napari_disentangle.detector.masked.holes import Policy, grid, period
from napari_disentangle.detector.masked.prediction import Prediction
from napari_disentangle.image.arrays import Array, Doubles, Floats
from napari_disentangle.image.filters import filtered, reach, sigmas, smooth
from napari_disentangle.model.settings import Settings

# A residual beyond this many foreseen errors counts no more.
MOST = 30.0
# Finest scale of the filters in pixels.
SCALE = 1.0
# What is compared with normal, each for itself; the second has three features more.
PARTS = ("signal", "residual")
_SIZES = 3
# Of so many normal pixels one says how far from each other normal is.
_EVERY = 7


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
    trim
        Share of the training pixels farthest from normal that is left out when normal
        is learned a second time.
    bank
        Largest number of normal vectors of the signal, and of the residual, that are
        kept.
    """

    steps: Annotated[int, {"min": 1, "max": 20_000, "step": 100}] = 1500
    hole: Annotated[int, {"min": 2, "max": 32}] = 6
    trim: Annotated[float, {"min": 0.0, "max": 0.5, "step": 0.01}] = 0.02
    bank: Annotated[int, {"min": 50, "max": 20_000, "step": 50}] = 1000

    @property
    def policy(self) -> Policy:
        """One round of four passes."""
        return grid(self.hole)

    @property
    def nearest(self) -> knn.Config:
        """Settings of the comparison with normal."""
        return knn.Config(SCALE, self.trim, bank=self.bank)


@dataclass(frozen=True)
class Context(Scorer):
    """The detector."""

    description: str = "What is neither normal nor follows from its surroundings."
    config: type[Any] = Config
    expects: bool = True

    def halo(self, config: Config) -> int:
        """Reach of the filters behind that of the predictor."""
        return reach(sigmas(SCALE)[-1]) + prediction.REACH

    def stride(self, config: Config) -> int:
        """Where both the grid and the network begin anew."""
        return lcm(period(config.policy), prediction.STEP)

    def learn(
        self, tiles: Sequence[Floats], config: Config, seed: int
    ) -> Iterator[float | Mapping[str, Array]]:
        """Train the predictor."""
        return prediction.learn(tiles, config.steps, seed)

    def extracting(
        self, signal: Floats, config: Config, learned: Mapping[str, Array]
    ) -> Generator[None, None, Features]:
        """18 features per channel, of the signal and of the residual, and 3 of all."""
        steps = prediction.predicting(signal, learned, config.policy)
        return extracted(signal, (yield from steps))

    def fit(self, features: Floats, config: Config) -> Mapping[str, Doubles]:
        """Keep some normal vectors of the signal, and some of the residual."""
        fits = [_compared(part, config.nearest) for part in _parts(features)]
        pairs = zip(PARTS, fits, strict=True)
        return {f"{part}.{key}": v for part, own in pairs for key, v in own.items()}

    def score(self, features: Floats, normal: Mapping[str, Doubles]) -> Floats:
        """Mean of the distances to the nearest of them, each in its own units."""
        pairs = zip(PARTS, _parts(features), strict=True)
        scores = [_distance(part, own(normal, name)) for name, part in pairs]
        mean: Floats = np.mean(scores, axis=0)
        return mean


# --- comparing with normal --------------------------------------------------------
def _parts(features: Floats) -> tuple[Floats, ...]:
    """Features of the signal, and of the residual with its sizes."""
    signal, residual = np.split(features, [(len(features) - _SIZES) // 2])
    return signal, residual


def _compared(features: Floats, config: knn.Config) -> dict[str, Doubles]:
    """Normal vectors, and how far from them normal is."""
    known = knn.SCORER.fit(features, config)
    usual = knn.SCORER.score(features[:, ::_EVERY], known)
    return known | standard.spread(usual[None])


def own(normal: Mapping[str, Doubles], name: str) -> dict[str, Doubles]:
    """What was learned of one of the parts."""
    start = f"{name}."
    return {k.removeprefix(start): v for k, v in normal.items() if k.startswith(start)}


def _distance(features: Floats, normal: Mapping[str, Doubles]) -> Floats:
    scores = knn.SCORER.score(features, normal)
    far: Floats = standard.standard(scores[None], normal)[0]
    return far


# --- features ---------------------------------------------------------------------
def extracted(signal: Floats, found: Prediction) -> Features:
    """Filters of the signal and of what is left, and how much is left."""
    residual = np.clip(found.residual.mean(axis=0), -MOST, MOST)
    parts = [filtered(signal, SCALE), filtered(residual, SCALE)]
    return Features(np.concatenate([*parts, _sizes(residual)]), found.mean)


def _sizes(residual: Floats) -> Floats:
    """Size of the residual around each pixel, at three scales (3, h, w)."""
    size = np.abs(residual).mean(axis=0)
    return np.stack([smooth(size, sigma) for sigma in sigmas(SCALE)])


SCORER = Context()
