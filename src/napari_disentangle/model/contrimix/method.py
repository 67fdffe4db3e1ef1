"""contrimix: content and attribute without batch labels (Nguyen et al. 2023)."""

from dataclasses import dataclass, replace
from typing import Any

from napari_disentangle.model.base import Method, Weights
from napari_disentangle.model.contrimix.published.method import Published
from napari_disentangle.model.contrimix.repeated import Repeated
from napari_disentangle.model.contrimix.settings import Config


@dataclass(frozen=True)
class ContriMix(Repeated):
    """The model with its settings; as published it is another one."""

    config: type[Any] = Config
    description: str = (
        "ContriMix: reads the look until little is left; as published, to be fitted."
    )

    def learned(self, settings: Any, weights: Weights | None) -> Method:
        """The same with settings and weights."""
        if settings.preset == "published":
            return Published(settings, weights)
        return replace(self, weights=weights)


METHOD = ContriMix()
