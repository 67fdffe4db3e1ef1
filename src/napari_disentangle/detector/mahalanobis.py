"""mahalanobis: distance from normal in a bank of classical filters."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from napari_disentangle.detector.base import Scorer
from napari_disentangle.detector.standard import length, whitened, whitening
from napari_disentangle.image.arrays import Array, Doubles, Floats
from napari_disentangle.image.filters import filtered, reach, sigmas
from napari_disentangle.model.settings import Settings


@dataclass(frozen=True)
class Config(Settings):
    """Settings.

    Attributes
    ----------
    scale
        Finest scale in pixels; the others are 2 and 4 times that.
    trim
        Share of the training pixels farthest from normal that is left out when normal
        is learned a second time, so that anomalies among them do not widen it.
    """

    scale: Annotated[float, {"min": 0.5, "max": 8.0, "step": 0.5}] = 1.0
    trim: Annotated[float, {"min": 0.0, "max": 0.5, "step": 0.01}] = 0.02


@dataclass(frozen=True)
class Mahalanobis(Scorer):
    """The detector."""

    description: str = "Distance from the mean of normal, by filters: the quickest."
    config: type[Any] = Config

    def halo(self, config: Config) -> int:
        """Reach of the widest filter."""
        return reach(sigmas(config.scale)[-1])

    def features(self, signal: Array, config: Config) -> Floats:
        """Nine features per channel (9C, h, w)."""
        return filtered(signal, config.scale)

    def fit(self, features: Floats, config: Config) -> dict[str, Doubles]:
        """Mean (F,) and whitening matrix (F, F) of normal."""
        return whitening(features, config.trim)

    def score(self, features: Floats, normal: Mapping[str, Doubles]) -> Floats:
        """Mahalanobis distance per pixel, divided by the root of the feature count."""
        flat = features.reshape(len(features), -1)
        return length(whitened(flat, normal)).reshape(features.shape[1:])


SCORER = Mahalanobis()
