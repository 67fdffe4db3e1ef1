"""All models by name. A new one is a file here and a line in ``MODELS``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_disentangle.methods import (
    affine,
    balanced,
    contrimix,
    identity,
    levels,
    macenko,
    meanstd,
    mk,
    percentile,
    reinhard,
)

if TYPE_CHECKING:
    from napari_disentangle.methods.base import Method

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
