"""intensity: how far the smoothed signal is outside of what normal has, up or down.

Otsu's threshold (1979) parts normal into a darker and a brighter half, that is, into
background and foreground where there are both; each has a median and separate spreads
below and above. A pixel is as odd as it is far from the nearer half, in the channel in
which it is farthest (OUR CHOICE: with one range for all, an empty slide is the oddest
part of most images). What lies between the halves is met at every border, and so it is
odd only where borders are rare.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from napari_disentangle.image.filters import finite, reach, smooth

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

# One standard deviation below and above the median, where values are Gaussian.
_PERCENTILES = (15.87, 50, 84.13)
_BINS = 256


@dataclass(frozen=True)
class Config:
    """Settings.

    Attributes
    ----------
    scale
        Standard deviation in pixels of the Gaussian that smooths the signal.

    Raises
    ------
    ValueError
        If it is out of range.
    """

    scale: Annotated[float, {"min": 0.5, "max": 16.0, "step": 0.5}] = 2.0

    def __post_init__(self) -> None:
        if not 0.5 <= self.scale <= 16:
            raise ValueError(f"scale {self.scale} must be 0.5 to 16 pixels")


@dataclass(frozen=True)
class Intensity:
    """The detector."""

    description: str = "How much brighter or darker than anything normal."
    config: type[Any] = Config

    def halo(self, config: Config) -> int:
        """Reach of the filter."""
        return reach(config.scale)

    def features(self, signal: NDArray[Any], config: Config) -> NDArray[np.float32]:
        """The smoothed channels (C, h, w)."""
        return np.stack([smooth(one, config.scale) for one in finite(signal)])

    def fit(
        self, features: NDArray[np.float32], config: Config
    ) -> dict[str, NDArray[np.float64]]:
        """Middle, and spreads below and above, of both halves per channel (C, 2)."""
        halves = np.array([_halves(values.astype(np.float64)) for values in features])
        low, middle, high = np.moveaxis(halves, -1, 0)
        floor = 1e-6 + 1e-2 * features.std(axis=1, dtype=np.float64)[:, None]
        below, above = (np.maximum(d, floor) for d in (middle - low, high - middle))
        return {"middle": middle, "below": below, "above": above}

    def score(
        self, features: NDArray[np.float32], normal: Mapping[str, NDArray[np.float64]]
    ) -> NDArray[np.float32]:
        """Distance in spreads from the nearer half, in the oddest channel."""
        scores = np.zeros(features.shape[1:], np.float32)
        keys = ("middle", "below", "above")
        for values, *halves in zip(features, *(normal[k] for k in keys), strict=True):
            each = [_distance(values, *half) for half in zip(*halves, strict=True)]
            np.maximum(scores, np.minimum(*each), out=scores)
        return scores


def _halves(values: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """Percentiles of the values that Otsu's threshold parts."""
    dark = values <= _otsu(values)
    return [
        np.percentile(part if part.size else values, _PERCENTILES)
        for part in (values[dark], values[~dark])
    ]


def _otsu(values: NDArray[np.float64]) -> float:
    """The threshold that leaves least variance on its two sides."""
    from skimage.filters import threshold_otsu

    return float(threshold_otsu(values, _BINS))


def _distance(
    values: NDArray[np.float32], middle: float, below: float, above: float
) -> NDArray[np.float32]:
    away = values - np.float32(middle)
    distance: NDArray[np.float32] = np.where(
        away < 0, -away / np.float32(below), away / np.float32(above)
    )
    return distance


SCORER = Intensity()
