"""pca: what the principal components of normal patches do not explain.

A patch of 8 x 8 pixels around the pixel is described by the means of its 4 x 4 cells,
so that a pixel has 16 features per channel and not 64 (OUR CHOICE); the components that
hold 95 % of the variance of normal patches are kept (OUR CHOICE).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np

from napari_disentangle.detector.base import Scorer
from napari_disentangle.image.arrays import Array, Doubles, Floats
from napari_disentangle.image.filters import finite
from napari_disentangle.model.settings import Settings

_CELLS = 4


@dataclass(frozen=True)
class Config(Settings):
    """Settings.

    Attributes
    ----------
    edge
        In pixels, of the cells whose means are compared; a patch has 4 x 4.
    keep
        Share of the variance of normal that counts as explained.
    """

    edge: Annotated[int, {"min": 1, "max": 16}] = 2
    keep: Annotated[float, {"min": 0.5, "max": 0.999, "step": 0.01}] = 0.95


@dataclass(frozen=True)
class Components(Scorer):
    """The detector."""

    description: str = "What the principal components of normal patches leave over."
    config: type[Any] = Config

    def halo(self, config: Config) -> int:
        """Half a patch."""
        return _CELLS // 2 * config.edge

    def features(self, signal: Array, config: Config) -> Floats:
        """Means of the cells of the patch around every pixel (16C, h, w)."""
        return np.concatenate([_cells(one, config.edge) for one in finite(signal)])

    def fit(self, features: Floats, config: Config) -> dict[str, Doubles]:
        """Mean (F,) of normal, and the directions (n, F) that it does not take."""
        x = features.astype(np.float64)
        variances, vectors = np.linalg.eigh(np.cov(x))
        # Ascending: what is left over comes first, at least one direction of it.
        share = np.cumsum(variances.clip(0)) / max(variances.clip(0).sum(), 1e-30)
        left = max(1, int((share <= 1 - config.keep).sum()))
        return {"mean": x.mean(axis=1), "left": vectors[:, :left].T}

    def score(self, features: Floats, normal: Mapping[str, Doubles]) -> Floats:
        """Root mean square of what is left over of a patch."""
        flat = features.reshape(len(features), -1) - normal["mean"][:, None]
        energy = ((normal["left"] @ flat) ** 2).sum(axis=0) / len(features)
        scores: Floats = np.sqrt(energy).astype(np.float32)
        return scores.reshape(features.shape[1:])


def _cells(channel: Floats, cell: int) -> Floats:
    """Means of the 4 x 4 cells around every pixel (16, h, w)."""
    from scipy.ndimage import uniform_filter

    half = _CELLS // 2 * cell
    h, w = channel.shape
    # Every mean is that of the cell that begins at the pixel.
    means = uniform_filter(
        np.pad(channel, half, mode="symmetric"), cell, origin=-(cell // 2)
    )
    starts = range(0, _CELLS * cell, cell)
    return np.stack([means[y : y + h, x : x + w] for y in starts for x in starts])


SCORER = Components()
