"""riad: how far an image is from what its parts let one expect of the others.

Zavrtanik et al. 2021 ("Reconstruction by inpainting for visual anomaly detection",
sections 3.1 and 3.3): cells of several sizes are dealt into groups, every group is
hidden in turn and predicted from the others, and what is scored is the similarity of
gradients at several scales between the image and its predictions. OUR CHOICE: the
predictor, which is trained with other holes and another loss (nets.masked), the sizes
of cells, and that the size of the residual, in units of the error that was foreseen, is
scored beside the gradients: they alone find little at this resolution.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import lcm
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from napari_disentangle.detector import robust
from napari_disentangle.detector.base import Seen
from napari_disentangle.detector.masked import prediction
from napari_disentangle.detector.masked.holes import disjoint, period

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from napari_disentangle.detector.masked.holes import Policy

GROUPS = 3
# The groups are dealt once and for all, so that all tiles of all images agree.
_DEAL = 0
# Scales of the gradients: each has half the resolution of the one before.
SCALES = 3
_COARSEST: int = 2 ** (SCALES - 1)
# Keeps similarities of almost no gradients defined; theirs, of images of about unit
# standard deviation.
_C = 0.0026
_REACH = 2 * _COARSEST
_SMOOTH = 2.0


@dataclass(frozen=True)
class Config:
    """Settings.

    Attributes
    ----------
    steps
        Training steps of 16 tiles.
    hole
        Edge of the largest hidden cells in pixels; others have half of that.

    Raises
    ------
    ValueError
        If one of them is out of range.
    """

    steps: Annotated[int, {"min": 1, "max": 20_000, "step": 100}] = 1500
    hole: Annotated[int, {"min": 4, "max": 32, "step": 4}] = 8

    def __post_init__(self) -> None:
        prediction.check_steps(self.steps)
        if self.hole not in range(4, 33, 4):
            raise ValueError(f"hole {self.hole} must be 4, 8, ... 32 pixels, e.g. 8")

    @property
    def policy(self) -> Policy:
        """One round per size of cells, three passes each."""
        return disjoint((self.hole // 2, self.hole), GROUPS, _DEAL)


@dataclass(frozen=True)
class Riad:
    """The detector."""

    description: str = "Unlike what is predicted of hidden parts, in gradients."
    config: type[Any] = Config

    def halo(self, config: Config) -> int:
        """Reach of the predictor, the gradients and the smoothing."""
        return prediction.REACH + _REACH + robust.reach(_SMOOTH)

    def step(self, config: Config) -> int:
        """Where the cells, the network and the coarsest gradients begin anew."""
        return lcm(period(config.policy), prediction.STEP, _COARSEST)

    def learn(
        self, tiles: Sequence[NDArray[np.float32]], config: Config, seed: int
    ) -> Iterator[float | Mapping[str, NDArray[Any]]]:
        """Train the predictor."""
        return prediction.learn(tiles, config.steps, seed)

    def seeing(
        self,
        signal: NDArray[np.float32],
        config: Config,
        learned: Mapping[str, NDArray[Any]],
    ) -> Generator[None, None, Seen]:
        """Distances of gradients and of values, each the mean over all rounds."""
        found = yield from prediction.predicting(signal, learned, config.policy)
        given = np.where(np.isfinite(signal), signal, found.mean)
        scale = learned["scale"]
        gradients = [msgms(given / scale, e / scale) for e in found.expected]
        values = np.abs(found.residual).mean(axis=1)
        maps = np.mean([gradients, values], axis=1)
        return Seen(np.stack([robust.smooth(m, _SMOOTH) for m in maps]), found.mean)

    def fit(
        self, features: NDArray[np.float32], config: Config
    ) -> Mapping[str, NDArray[np.float64]]:
        """Median and robust standard deviation of the maps."""
        return robust.spread(features)

    def score(
        self, features: NDArray[np.float32], normal: Mapping[str, NDArray[np.float64]]
    ) -> NDArray[np.float32]:
        """Mean over the maps of what is above the typical."""
        mean: NDArray[np.float32] = robust.standard(features, normal).mean(axis=0)
        return mean


def msgms(one: NDArray[np.float32], other: NDArray[np.float32]) -> NDArray[np.float32]:
    """Multi-scale gradient magnitude distance (h, w) of images (C, h, w).

    Mean of ``1 - GMS`` over channels and scales (equations 3 to 5 of the paper). Edges
    are multiples of the coarsest scale.
    """
    maps = []
    for scale in range(SCALES):
        if scale:
            one, other = _half(one), _half(other)
        similarity = _similarity(_gradient(one), _gradient(other)).mean(axis=0)
        maps.append((1 - similarity).repeat(2**scale, 0).repeat(2**scale, 1))
    mean: NDArray[np.float32] = np.mean(maps, axis=0)
    return mean


def _similarity(
    one: NDArray[np.float32], other: NDArray[np.float32]
) -> NDArray[np.float32]:
    return (2 * one * other + _C) / (one**2 + other**2 + _C)


def _gradient(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """Prewitt gradient magnitude of every channel."""
    from scipy.ndimage import prewitt

    return np.stack([np.hypot(prewitt(c, 0), prewitt(c, 1)) / 3 for c in image])


def _half(image: NDArray[np.float32]) -> NDArray[np.float32]:
    c, h, w = image.shape
    half: NDArray[np.float32] = image.reshape(c, h // 2, 2, w // 2, 2).mean(axis=(2, 4))
    return half


SCORER = Riad()
