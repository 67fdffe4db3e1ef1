"""Pull microscopy images apart into content and look: ``x = R(content, attribute)``.

The public names below are all that widgets, the command line and scripts use. They load
on first use, so that importing this package costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from napari_disentangle._version import __version__

if TYPE_CHECKING:
    from napari_disentangle.attribute import Attribute
    from napari_disentangle.audit_report import report
    from napari_disentangle.augmentation import augment
    from napari_disentangle.batch import follow, run
    from napari_disentangle.bundled import zoo
    from napari_disentangle.catalogue import detectors, models
    from napari_disentangle.detection.detector import Detector, Score
    from napari_disentangle.detection.learning import fit_detector, fit_detector_steps
    from napari_disentangle.errors import DisentangleError
    from napari_disentangle.field import Field
    from napari_disentangle.fitting import fit, fit_steps, load
    from napari_disentangle.forgetting import fit_without
    from napari_disentangle.layers import add_layers
    from napari_disentangle.model import Model
    from napari_disentangle.output import apply
    from napari_disentangle.placing import painted
    from napari_disentangle.recipe import Recipe
    from napari_disentangle.store import read, read_provenance, write

_HOME = {
    "Attribute": "attribute",
    "Detector": "detection.detector",
    "DisentangleError": "errors",
    "Field": "field",
    "Model": "model",
    "Recipe": "recipe",
    "Score": "detection.detector",
    "add_layers": "layers",
    "apply": "output",
    "augment": "augmentation",
    "detectors": "catalogue",
    "fit": "fitting",
    "fit_detector": "detection.learning",
    "fit_detector_steps": "detection.learning",
    "fit_steps": "fitting",
    "fit_without": "forgetting",
    "follow": "batch",
    "load": "fitting",
    "models": "catalogue",
    "painted": "placing",
    "read": "store",
    "read_provenance": "store",
    "report": "audit_report",
    "run": "batch",
    "write": "store",
    "zoo": "bundled",
}

__all__ = [
    "Attribute",
    "Detector",
    "DisentangleError",
    "Field",
    "Model",
    "Recipe",
    "Score",
    "__version__",
    "add_layers",
    "apply",
    "augment",
    "detectors",
    "fit",
    "fit_detector",
    "fit_detector_steps",
    "fit_steps",
    "fit_without",
    "follow",
    "load",
    "models",
    "painted",
    "read",
    "read_provenance",
    "report",
    "run",
    "write",
    "zoo",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'napari_disentangle' has no attribute {name!r}")
    return getattr(import_module(f"napari_disentangle.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return __all__
