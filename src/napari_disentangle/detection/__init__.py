"""All detectors by name. A new one is a file here and a line in ``DETECTORS``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_disentangle.detection import (
    autopaint,
    context,
    fader,
    intensity,
    knn,
    mahalanobis,
    pca,
    riad,
)
from napari_disentangle.detection.base import Learner
from napari_disentangle.errors import DataError

if TYPE_CHECKING:
    from napari_disentangle.detection.base import Scorer

DEFAULT = "knn"

DETECTORS: dict[str, Scorer | Learner] = {
    "knn": knn.SCORER,
    "mahalanobis": mahalanobis.SCORER,
    "pca": pca.SCORER,
    "intensity": intensity.SCORER,
    "context": context.SCORER,
    "riad": riad.SCORER,
    "autopaint": autopaint.SCORER,
    "fader": fader.SCORER,
}


def named(name: str) -> str:
    """The detector that a name means: ``"default"`` is the one to begin with.

    Raises
    ------
    ValueError
        If there is none of that name.
    """
    known = DEFAULT if name == "default" else name
    if known not in DETECTORS:
        raise ValueError(
            f"detector {name!r} is unknown: use one of {', '.join(DETECTORS)}"
        )
    return known


def scorer(name: str) -> Scorer | Learner:
    """Look a detector up by name; see :func:`named`."""
    return DETECTORS[named(name)]


def expects(name: str) -> bool:
    """Whether a detector says what an image should look like; see :func:`named`."""
    return isinstance(scorer(name), Learner)


def check_expects(name: str) -> None:
    """Refuse a detector that expects nothing.

    Raises
    ------
    DataError
        If there is nothing that it expects.
    """
    if not expects(name):
        known = ", ".join(repr(one) for one in DETECTORS if expects(one))
        raise DataError(
            f"detector {named(name)!r} expects nothing, so there is no pseudo-normal "
            f"image: choose one that predicts ({known})"
        )
