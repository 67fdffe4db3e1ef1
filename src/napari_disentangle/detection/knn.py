"""knn: distance to the nearest of a bank of normal feature vectors.

PatchCore (Roth et al. 2022, sections 3.1 to 3.3) on the filters that ``mahalanobis``
uses instead of the features of a pretrained network, whitened, so that no feature
counts for more than another (OUR CHOICE).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from napari_disentangle.detection.filters import filtered, reach, sigmas
from napari_disentangle.detection.whitening import nearest, whitened, whitening

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

# Distances from as many vectors to 2,000 stay in the cache of a core.
_CHUNK = 1024


@dataclass(frozen=True)
class Config:
    """Settings.

    Attributes
    ----------
    scale
        Finest scale in pixels; the others are 2 and 4 times that.
    trim
        Share of the training pixels farthest from normal that is neither whitened by
        nor put into the bank, so that anomalies among them do not become normal.
    k
        Number of nearest vectors whose mean distance is the score.
    bank
        Largest number of normal vectors that are kept.

    Raises
    ------
    ValueError
        If one of them is out of range.
    """

    scale: Annotated[float, {"min": 0.5, "max": 8.0, "step": 0.5}] = 1.0
    trim: Annotated[float, {"min": 0.0, "max": 0.5, "step": 0.01}] = 0.02
    k: Annotated[int, {"min": 1, "max": 50}] = 3
    bank: Annotated[int, {"min": 50, "max": 20_000, "step": 50}] = 2000

    def __post_init__(self) -> None:
        if not 0.5 <= self.scale <= 8:
            raise ValueError(f"scale {self.scale} must be 0.5 to 8 pixels")
        if not 0 <= self.trim <= 0.5:
            raise ValueError(f"trim {self.trim} must be 0 to 0.5")
        if not 1 <= self.k <= 50:
            raise ValueError(f"k {self.k} must be 1 to 50")
        if not 50 <= self.bank <= 20_000:
            raise ValueError(f"bank {self.bank} must be 50 to 20,000 vectors")


@dataclass(frozen=True)
class Nearest:
    """The detector."""

    description: str = "Distance to the nearest normal pixels, by the same filters."
    config: type[Any] = Config

    def halo(self, config: Config) -> int:
        """Reach of the widest filter."""
        return reach(sigmas(config.scale)[-1])

    def features(self, signal: NDArray[Any], config: Config) -> NDArray[np.float32]:
        """Nine features per channel (9C, h, w)."""
        return filtered(signal, config.scale)

    def fit(
        self, features: NDArray[np.float32], config: Config
    ) -> dict[str, NDArray[np.float64]]:
        """Mean (F,), whitening matrix (F, F) and bank (F, n) of normal; k."""
        normal = whitening(features, config.trim)
        kept = nearest(features, normal, config.trim)
        even = np.linspace(0, kept.shape[1] - 1, min(config.bank, kept.shape[1]))
        bank = whitened(kept[:, np.rint(even).astype(int)], normal)
        return normal | {"bank": bank, "k": np.array(float(config.k))}

    def score(
        self, features: NDArray[np.float32], normal: Mapping[str, NDArray[np.float64]]
    ) -> NDArray[np.float32]:
        """Mean distance to the k nearest, divided by the root of the feature count."""
        flat = features.reshape(len(features), -1)
        scores = np.empty(flat.shape[1], np.float32)
        for start in range(0, len(scores), _CHUNK):
            part = slice(start, start + _CHUNK)
            scores[part] = _distances(whitened(flat[:, part], normal), normal)
        return scores.reshape(features.shape[1:])


def _distances(
    white: NDArray[np.float64], normal: Mapping[str, NDArray[np.float64]]
) -> NDArray[np.float32]:
    """Mean distance (N,) of whitened vectors (F, N) to their nearest in the bank."""
    import torch

    x, bank = (
        torch.from_numpy(v.astype(np.float32).T) for v in (white, normal["bank"])
    )
    k = min(int(normal["k"]), len(bank))
    # Four times as fast as cdist, but inexact where vectors are close: it says which
    # ones are nearest, and how near they are is computed from their differences.
    shifted = torch.addmm((bank**2).sum(1), x, bank.T, alpha=-2)
    chosen = bank[shifted.topk(k, dim=1, largest=False).indices]
    distance = (x[:, None] - chosen).square().mean(2).sqrt().mean(1)
    result: NDArray[np.float32] = distance.numpy()
    return result


SCORER = Nearest()
