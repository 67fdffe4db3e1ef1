"""knn: distance to the nearest of a bank of normal feature vectors.

PatchCore (Roth et al. 2022, sections 3.1 to 3.3) without its weight for a rare nearest
vector, on the filters that ``mahalanobis`` uses instead of the features of a pretrained
network, whitened, so that no feature counts for more than another (OUR CHOICE).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from napari_disentangle.detector.base import Scorer
from napari_disentangle.detector.standard import nearest, whitened, whitening
from napari_disentangle.image.arrays import Array, Doubles, Floats
from napari_disentangle.image.filters import filtered, reach, sigmas
from napari_disentangle.model.settings import Settings

if TYPE_CHECKING:
    import torch

# Distances from as many vectors to 2,000 stay in the cache of a core.
_CHUNK = 512
# Vectors of the bank in which the least is looked for together.
_GROUP = 25


@dataclass(frozen=True)
class Config(Settings):
    """Settings.

    Attributes
    ----------
    scale
        Finest scale in pixels; the others are 2 and 4 times that.
    trim
        Share of the training pixels farthest from normal that is neither whitened by
        nor put into the bank, so that anomalies among them do not become normal.
    bank
        Largest number of normal vectors that are kept.
    """

    scale: Annotated[float, {"min": 0.5, "max": 8.0, "step": 0.5}] = 1.0
    trim: Annotated[float, {"min": 0.0, "max": 0.5, "step": 0.01}] = 0.02
    bank: Annotated[int, {"min": 50, "max": 20_000, "step": 50}] = 2000


@dataclass(frozen=True)
class Nearest(Scorer):
    """The detector."""

    description: str = "Distance to the nearest of many normal pixels, by filters."
    config: type[Any] = Config

    def halo(self, config: Config) -> int:
        """Reach of the widest filter."""
        return reach(sigmas(config.scale)[-1])

    def features(self, signal: Array, config: Config) -> Floats:
        """Nine features per channel (9C, h, w)."""
        return filtered(signal, config.scale)

    def fit(self, features: Floats, config: Config) -> dict[str, Doubles]:
        """Mean (F,), whitening matrix (F, F) and bank (F, n) of normal."""
        normal = whitening(features, config.trim)
        kept = nearest(features, normal, config.trim)
        even = np.linspace(0, kept.shape[1] - 1, min(config.bank, kept.shape[1]))
        bank = whitened(kept[:, np.rint(even).astype(int)], normal)
        return normal | {"bank": bank}

    def score(self, features: Floats, normal: Mapping[str, Doubles]) -> Floats:
        """Distance to the nearest, divided by the root of the feature count."""
        flat, bank = features.reshape(len(features), -1), _vectors(normal["bank"])
        scores = np.empty(flat.shape[1], np.float32)
        for start in range(0, len(scores), _CHUNK):
            part = slice(start, start + _CHUNK)
            white = _vectors(whitened(flat[:, part], normal))
            scores[part] = distances(white, bank).numpy()
        return scores.reshape(features.shape[1:])


def _vectors(values: Doubles) -> torch.Tensor:
    """Vectors (N, F) of (F, N)."""
    import torch

    return torch.from_numpy(values.astype(np.float32).T)


def distances(x: torch.Tensor, bank: torch.Tensor) -> torch.Tensor:
    """Distance (N,) of vectors (N, F) to their nearest in a bank (n, F)."""
    import torch

    # Four times as fast as cdist, but inexact where vectors are close: it says which
    # one is nearest, and how near it is is computed from their difference.
    shifted = torch.addmm((bank**2).sum(1)[:, None], bank, x.T, alpha=-2)
    found = bank.index_select(0, _least(shifted))
    distance: torch.Tensor = torch.linalg.vector_norm(x - found, dim=1)
    distance /= x.shape[1] ** 0.5
    return distance


def _least(values: torch.Tensor) -> torch.Tensor:
    """Row (N,) of the least value of every column (n, N).

    What is least is found much faster than where it is: so first the least of every
    group of rows.
    """
    import torch

    missing = -len(values) % _GROUP
    if missing:
        values = torch.nn.functional.pad(values, (0, 0, 0, missing), value=torch.inf)
    groups = values.view(-1, _GROUP, values.shape[1])
    group = groups.amin(1).min(0).indices
    columns = torch.arange(values.shape[1], device=values.device)
    return group * _GROUP + groups[group, :, columns].argmin(1)


SCORER = Nearest()
