"""All detectors by name. A new one is a file here and a line in ``DETECTORS``."""

from collections.abc import Mapping
from typing import Any

from napari_disentangle.detector import autopaint, context, fader, knn, mahalanobis, pca
from napari_disentangle.detector.base import Scorer
from napari_disentangle.errors import DataError
from napari_disentangle.model.registry import Entry
from napari_disentangle.model.settings import checked

# To begin with; and where one whole image is all that is known: what is odd in it would
# be in the bank of the first, and so be normal (docs/benchmarks.md).
DEFAULT, ALONE = "knn", "mahalanobis"

DETECTORS: dict[str, Scorer] = {
    "knn": knn.SCORER,
    "mahalanobis": mahalanobis.SCORER,
    "pca": pca.SCORER,
    "context": context.SCORER,
    "autopaint": autopaint.SCORER,
    "fader": fader.SCORER,
}

# What is gone, and what finds more.
_GONE = {"riad": "'knn', or 'context' for what was expected", "intensity": "'knn'"}
# Settings under the names that they had.
_RENAMED = {"pca": {"cell": "edge"}}


def named(name: str, alone: bool = False) -> str:
    """The detector that a name means.

    ``"default"`` is the one to begin with, another where an image is ``alone``.

    Raises
    ------
    ValueError
        If there is none of that name.
    """
    default = ALONE if alone else DEFAULT
    known = default if name == "default" else name
    if known in _GONE:
        raise ValueError(f"there is no detector {known!r} any more: use {_GONE[known]}")
    if known not in DETECTORS:
        raise ValueError(
            f"detector {name!r} is unknown: use one of {', '.join(DETECTORS)}"
        )
    return known


def scorer(name: str) -> Scorer:
    """Look a detector up by name; see :func:`named`."""
    return DETECTORS[named(name)]


def settings(name: str, values: Mapping[str, Any]) -> Any:
    """Settings of a detector from plain values.

    Raises
    ------
    ValueError
        If there is no such detector or setting, or a value is out of range.
    """
    renamed = _RENAMED.get(named(name), {})
    by_name = {renamed.get(key, key): value for key, value in values.items()}
    return checked(named(name), scorer(name).config, by_name)


def expects(name: str) -> bool:
    """Whether a detector says what an image should look like; see :func:`named`."""
    return scorer(name).expects


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


def detectors() -> dict[str, Entry]:
    """All anomaly detectors by name. Does not import torch."""
    return {
        name: Entry(d.description, d.config, expects=expects(name))
        for name, d in DETECTORS.items()
    }
