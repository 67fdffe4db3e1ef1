"""What there is to choose from: models and detectors with their settings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from napari_disentangle.detection import DETECTORS, expects
from napari_disentangle.methods import MODELS


@dataclass(frozen=True)
class Entry:
    """A model or detector.

    Attributes
    ----------
    description
        One sentence for a person who chooses.
    config
        Frozen dataclass of its settings.
    modalities
        Kinds of image it works on; all of them for a detector.
    expects
        Whether a detector says what an image should look like.
    """

    description: str
    config: type[Any]
    modalities: tuple[str, ...] = ("brightfield", "fluorescence")
    expects: bool = False


def models() -> dict[str, Entry]:
    """All models by name, the one to begin with first. Does not import torch."""
    return {
        name: Entry(m.description, m.config, m.modalities) for name, m in MODELS.items()
    }


def detectors() -> dict[str, Entry]:
    """All anomaly detectors by name. Does not import torch."""
    return {
        name: Entry(d.description, d.config, expects=expects(name))
        for name, d in DETECTORS.items()
    }
