"""All detectors by name. A new one is a file here and a line in ``DETECTORS``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_disentangle.detection import intensity, knn, mahalanobis, pca

if TYPE_CHECKING:
    from napari_disentangle.detection.base import Scorer

DEFAULT = "mahalanobis"

DETECTORS: dict[str, Scorer] = {
    "mahalanobis": mahalanobis.SCORER,
    "knn": knn.SCORER,
    "pca": pca.SCORER,
    "intensity": intensity.SCORER,
}


def scorer(name: str) -> Scorer:
    """Look a detector up by name; ``"default"`` is the one to begin with.

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
    return DETECTORS[known]
