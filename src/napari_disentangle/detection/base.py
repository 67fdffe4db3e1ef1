"""The contract of a detector: features of a plane, fitted to normal, then scored."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray


class Scorer(Protocol):
    """What a detector has to state."""

    @property
    def description(self) -> str:
        """One sentence for a person who chooses a detector."""

    @property
    def config(self) -> type[Any]:
        """Frozen dataclass of settings: its fields are the form and the options."""

    def halo(self, config: Any) -> int:
        """How many pixels around a pixel its features see, at least 1.

        What is normal is learned at full resolution, and so it is scored there only.
        """

    def features(self, signal: NDArray[Any], config: Any) -> NDArray[np.float32]:
        """Features (F, h, w) of a signal (C, h, w)."""

    def fit(
        self, features: NDArray[np.float32], config: Any
    ) -> Mapping[str, NDArray[np.float64]]:
        """Learn normal from feature vectors (F, N)."""

    def score(
        self,
        features: NDArray[np.float32],
        normal: Mapping[str, NDArray[np.float64]],
    ) -> NDArray[np.float32]:
        """How far feature vectors (F, ...) are from normal."""
