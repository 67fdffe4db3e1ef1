"""All models by name. A new one is a file here and a line in ``MODELS``."""

from dataclasses import dataclass
from typing import Any

from napari_disentangle.model.affine import method as affine
from napari_disentangle.model.base import Method
from napari_disentangle.model.closed import (
    balanced,
    identity,
    levels,
    macenko,
    meanstd,
    mk,
    percentile,
    reinhard,
)
from napari_disentangle.model.contrimix import method as contrimix

DEFAULT = "affine"

MODELS: dict[str, Method] = {
    "affine": affine.METHOD,
    "balanced": balanced.METHOD,
    "levels": levels.METHOD,
    "mk": mk.METHOD,
    "meanstd": meanstd.METHOD,
    "meanstd_unmasked": meanstd.UNMASKED,
    "reinhard": reinhard.METHOD,
    "percentile": percentile.METHOD,
    "macenko": macenko.METHOD,
    "contrimix": contrimix.METHOD,
    "identity": identity.METHOD,
}


def method(name: str) -> Method:
    """Look a model up by name.

    Raises
    ------
    ValueError
        If there is none of that name.
    """
    if name not in MODELS:
        raise ValueError(f"model {name!r} is unknown: use one of {', '.join(MODELS)}")
    return MODELS[name]


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
