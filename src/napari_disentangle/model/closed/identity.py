"""identity: nothing is an attribute; the zero line of every comparison."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_disentangle.model.base import Method, Sample, Values

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Identity(Method):
    """All of the image is content."""

    description: str = "Leaves every image as it is: the zero line of comparisons."
    masked: bool = False

    def names(self, channels: tuple[str, ...]) -> tuple[str, ...]:
        """No values."""
        return ()

    def estimate(self, sample: Sample, config: Any) -> Values:
        """Nothing is measured."""
        return np.empty(0)

    def encode(self, x: torch.Tensor, source: Values) -> torch.Tensor:
        """The signal itself."""
        return x

    def transfer(self, x: torch.Tensor, source: Values, target: Values) -> torch.Tensor:
        """The signal itself."""
        return x


METHOD = Identity()
