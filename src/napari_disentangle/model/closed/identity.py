"""identity: nothing is an attribute; the zero line of every comparison."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_disentangle.image.field import Modality
from napari_disentangle.image.signal import Space, natural_space
from napari_disentangle.model.base import NoSettings, Pointwise, Sample, Values, Weights

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Identity(Pointwise):
    """All of the image is content."""

    description: str = "Leaves every image as it is: the zero line of comparisons."
    config: type[Any] = NoSettings
    modalities: tuple[Modality, ...] = ("brightfield", "fluorescence")
    masked: bool = False

    def space(self, modality: Modality) -> Space:
        """Absorbance or intensity."""
        return natural_space(modality)

    def names(self, channels: tuple[str, ...]) -> tuple[str, ...]:
        """No values."""
        return ()

    def estimate(self, sample: Sample, config: Any) -> Values:
        """Nothing is measured."""
        return np.empty(0)

    def learned(self, settings: Any, weights: Weights | None) -> Identity:
        """Nothing is learned."""
        return self

    def unlike(self, sample: Sample) -> float | None:
        """Nothing is learned."""
        return None

    def encode(self, x: torch.Tensor, source: Values) -> torch.Tensor:
        """The signal itself."""
        return x

    def transfer(self, x: torch.Tensor, source: Values, target: Values) -> torch.Tensor:
        """The signal itself."""
        return x


METHOD = Identity()
