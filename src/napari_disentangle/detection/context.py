"""context: what neither looks normal nor follows from its surroundings.

A predictor hides cells of a grid and says what should be there, and how sure it is (see
nets.masked). What is left, in units of the error that it foresaw, goes through the same
filters as the signal itself, and what is far from all normal pixels in both is odd:
together they find more planted anomalies than either (docs/benchmarks.md). OUR CHOICE.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import lcm
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from napari_disentangle.detection import knn
from napari_disentangle.detection.base import Seen
from napari_disentangle.detection.filters import filtered, reach, sigmas, smooth
from napari_disentangle.detection.holes import grid, period
from napari_disentangle.detection.prediction import REACH, STEP, learn, predict

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from napari_disentangle.detection.holes import Policy

# A residual beyond this many foreseen errors counts no more.
_MOST = 30.0
# Finest scale of the filters in pixels.
_SCALE = 1.0


@dataclass(frozen=True)
class Config:
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
        Largest number of normal feature vectors that are kept.

    Raises
    ------
    ValueError
        If one of them is out of range.
    """

    steps: Annotated[int, {"min": 1, "max": 20_000, "step": 100}] = 1500
    hole: Annotated[int, {"min": 2, "max": 32}] = 6
    trim: Annotated[float, {"min": 0.0, "max": 0.5, "step": 0.01}] = 0.02
    bank: Annotated[int, {"min": 50, "max": 20_000, "step": 50}] = 1000

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ValueError(f"steps {self.steps} must be 1 or more, e.g. 1500")
        if not 2 <= self.hole <= 32:
            raise ValueError(f"hole {self.hole} must be 2 to 32 pixels, e.g. 6")
        if not 0 <= self.trim <= 0.5:
            raise ValueError(f"trim {self.trim} must be 0 to 0.5")

    @property
    def policy(self) -> Policy:
        """One round of four passes."""
        return grid(self.hole)

    @property
    def nearest(self) -> knn.Config:
        """Settings of the comparison with normal."""
        return knn.Config(_SCALE, self.trim, bank=self.bank)


@dataclass(frozen=True)
class Context:
    """The detector."""

    description: str = "What is neither normal nor follows from its surroundings."
    config: type[Any] = Config

    def halo(self, config: Config) -> int:
        """Reach of the filters behind that of the predictor."""
        return reach(sigmas(_SCALE)[-1]) + REACH

    def step(self, config: Config) -> int:
        """Where both the grid and the network begin anew."""
        return lcm(period(config.policy), STEP)

    def learn(
        self, tiles: Sequence[NDArray[np.float32]], config: Config, seed: int
    ) -> Iterator[float | Mapping[str, NDArray[Any]]]:
        """Train the predictor."""
        return learn(tiles, config.steps, seed)

    def see(
        self,
        signal: NDArray[np.float32],
        config: Config,
        learned: Mapping[str, NDArray[Any]],
    ) -> Seen:
        """18 features per channel, of the signal and of the residual, and 3 of all."""
        found = predict(signal, learned, config.policy)
        residual = np.clip(found.residual.mean(axis=0), -_MOST, _MOST)
        parts = [filtered(signal, _SCALE), filtered(residual, _SCALE)]
        return Seen(np.concatenate([*parts, _sizes(residual)]), found.mean)

    def fit(
        self, features: NDArray[np.float32], config: Config
    ) -> Mapping[str, NDArray[np.float64]]:
        """Keep some normal vectors."""
        return knn.SCORER.fit(features, config.nearest)

    def score(
        self, features: NDArray[np.float32], normal: Mapping[str, NDArray[np.float64]]
    ) -> NDArray[np.float32]:
        """Distance to the nearest of them."""
        return knn.SCORER.score(features, normal)


def _sizes(residual: NDArray[np.float32]) -> NDArray[np.float32]:
    """Size of the residual around each pixel, at three scales (3, h, w)."""
    size = np.abs(residual).mean(axis=0)
    return np.stack([smooth(size, sigma) for sigma in sigmas(_SCALE)])


SCORER = Context()
