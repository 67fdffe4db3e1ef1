"""mahalanobis: distance from normal in a bank of classical filters.

Gaussian, gradient magnitude and Laplacian at three scales, per channel, in the plane;
one Gaussian describes normal wherever it lies, because cells are not aligned (OUR
CHOICE; PaDiM, Defard et al. 2020, has one Gaussian per position).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

_TRUNCATE = 3.0
_RIDGE = 1e-3


@dataclass(frozen=True)
class Config:
    """Settings.

    Attributes
    ----------
    scale
        Finest scale in pixels; the others are 2 and 4 times that.
    trim
        Share of the training pixels farthest from normal that is left out when normal
        is learned a second time, so that anomalies among them do not widen it.

    Raises
    ------
    ValueError
        If one of them is out of range.
    """

    scale: Annotated[float, {"min": 0.5, "max": 8.0, "step": 0.5}] = 1.0
    trim: Annotated[float, {"min": 0.0, "max": 0.5, "step": 0.01}] = 0.02

    def __post_init__(self) -> None:
        if not 0.5 <= self.scale <= 8:
            raise ValueError(f"scale {self.scale} must be 0.5 to 8 pixels")
        if not 0 <= self.trim <= 0.5:
            raise ValueError(f"trim {self.trim} must be 0 to 0.5")

    @property
    def sigmas(self) -> tuple[float, float, float]:
        """The three scales in pixels."""
        return self.scale, 2 * self.scale, 4 * self.scale


@dataclass(frozen=True)
class Mahalanobis:
    """The detector."""

    description: str = "Distance from normal in Gaussian, gradient, Laplacian filters."
    config: type[Any] = Config

    def halo(self, config: Config) -> int:
        """Reach of the widest filter."""
        return _reach(config.sigmas[-1])

    def features(self, signal: NDArray[Any], config: Config) -> NDArray[np.float32]:
        """Nine features per channel (9C, h, w)."""
        x = np.nan_to_num(signal, posinf=0, neginf=0).astype(np.float32, copy=False)
        bank = [f for channel in x for s in config.sigmas for f in _filters(channel, s)]
        return np.stack(bank)

    def fit(
        self, features: NDArray[np.float32], config: Config
    ) -> dict[str, NDArray[np.float64]]:
        """Mean (F,) and whitening matrix (F, F) of normal."""
        first = _gaussian(features)
        if config.trim == 0:
            return first
        distance = self.score(features, first)
        return _gaussian(
            features[:, distance <= np.quantile(distance, 1 - config.trim)]
        )

    def score(
        self, features: NDArray[np.float32], normal: Mapping[str, NDArray[np.float64]]
    ) -> NDArray[np.float32]:
        """Mahalanobis distance per pixel, divided by the root of the feature count."""
        flat = features.reshape(len(features), -1) - normal["mean"][:, None]
        white = normal["whiten"] @ flat
        distance = np.sqrt((white**2).mean(axis=0)).astype(np.float32)
        scores: NDArray[np.float32] = distance.reshape(features.shape[1:])
        return scores


def _gaussian(features: NDArray[np.float32]) -> dict[str, NDArray[np.float64]]:
    x = features.astype(np.float64)
    covariance = np.cov(x)
    floor = _RIDGE * np.maximum(np.diag(covariance), 1e-12)
    whiten = np.linalg.inv(np.linalg.cholesky(covariance + np.diag(floor)))
    return {"mean": x.mean(axis=1), "whiten": whiten}


def _filters(
    channel: NDArray[np.float32], sigma: float
) -> Iterator[NDArray[np.float32]]:
    """Smoothed value, gradient magnitude and Laplacian, of finite reach."""
    from scipy.ndimage import gaussian_filter

    def derivative(order: tuple[int, int]) -> NDArray[np.float32]:
        reach = _reach(sigma)
        smooth: NDArray[np.float32] = gaussian_filter(
            channel, sigma, order, radius=reach
        )
        return smooth

    yield derivative((0, 0))
    one = np.float32(sigma)
    yield np.hypot(derivative((1, 0)), derivative((0, 1))) * one
    yield (derivative((2, 0)) + derivative((0, 2))) * one**2


def _reach(sigma: float) -> int:
    return int(np.ceil(_TRUNCATE * sigma))


SCORER = Mahalanobis()
