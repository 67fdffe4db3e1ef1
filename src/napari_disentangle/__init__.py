"""Pull microscopy images apart into content and look: ``x = R(content, attribute)``.

The public names below are all that widgets, the command line and scripts use. They load
on first use, so that importing this package costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from napari_disentangle._version import __version__

if TYPE_CHECKING:
    from napari_disentangle.asking.ask import ask, ask_steps, questions
    from napari_disentangle.audit.report import report
    from napari_disentangle.detector.detector import Detector, Score
    from napari_disentangle.detector.fit import fit_detector, fit_detector_steps
    from napari_disentangle.detector.registry import detectors
    from napari_disentangle.errors import DisentangleError
    from napari_disentangle.files.registry import read, read_provenance, write
    from napari_disentangle.image.field import Field
    from napari_disentangle.layers.add import add_layers
    from napari_disentangle.layers.marks import painted
    from napari_disentangle.layers.objects import add_objects
    from napari_disentangle.model.attribute import Attribute
    from napari_disentangle.model.fit import fit, fit_steps, load
    from napari_disentangle.model.model import Model
    from napari_disentangle.model.refit import fit_without
    from napari_disentangle.model.registry import models
    from napari_disentangle.model.zoo import zoo
    from napari_disentangle.objects.coder import (
        Coder,
        code,
        code_steps,
        coders,
        fit_coder_steps,
    )
    from napari_disentangle.objects.codes import Codes
    from napari_disentangle.objects.finder import Finder
    from napari_disentangle.objects.finding import find_objects, find_objects_steps
    from napari_disentangle.objects.fitting import fit_finder_steps
    from napari_disentangle.objects.groups import Groups, group
    from napari_disentangle.objects.objects import Objects
    from napari_disentangle.objects.table import write_objects
    from napari_disentangle.pipeline.augment import augment
    from napari_disentangle.pipeline.follow import follow
    from napari_disentangle.pipeline.output import apply
    from napari_disentangle.pipeline.recipe import Recipe
    from napari_disentangle.pipeline.run import run
    from napari_disentangle.study.run import measure_study, report_study, run_study
    from napari_disentangle.study.study import Study

_HOME = {
    "Attribute": "model.attribute",
    "Coder": "objects.coder",
    "Codes": "objects.codes",
    "Detector": "detector.detector",
    "DisentangleError": "errors",
    "Field": "image.field",
    "Finder": "objects.finder",
    "Groups": "objects.groups",
    "Model": "model.model",
    "Objects": "objects.objects",
    "Recipe": "pipeline.recipe",
    "Score": "detector.detector",
    "Study": "study.study",
    "add_layers": "layers.add",
    "add_objects": "layers.objects",
    "apply": "pipeline.output",
    "ask": "asking.ask",
    "ask_steps": "asking.ask",
    "augment": "pipeline.augment",
    "code": "objects.coder",
    "code_steps": "objects.coder",
    "coders": "objects.coder",
    "detectors": "detector.registry",
    "find_objects": "objects.finding",
    "find_objects_steps": "objects.finding",
    "fit": "model.fit",
    "fit_coder_steps": "objects.coder",
    "fit_detector": "detector.fit",
    "fit_detector_steps": "detector.fit",
    "fit_finder_steps": "objects.fitting",
    "fit_steps": "model.fit",
    "fit_without": "model.refit",
    "follow": "pipeline.follow",
    "group": "objects.groups",
    "load": "model.fit",
    "measure_study": "study.run",
    "models": "model.registry",
    "painted": "layers.marks",
    "questions": "asking.ask",
    "read": "files.registry",
    "read_provenance": "files.registry",
    "report": "audit.report",
    "report_study": "study.run",
    "run": "pipeline.run",
    "run_study": "study.run",
    "write": "files.registry",
    "write_objects": "objects.table",
    "zoo": "model.zoo",
}

__all__ = [
    "Attribute",
    "Coder",
    "Codes",
    "Detector",
    "DisentangleError",
    "Field",
    "Finder",
    "Groups",
    "Model",
    "Objects",
    "Recipe",
    "Score",
    "Study",
    "__version__",
    "add_layers",
    "add_objects",
    "apply",
    "ask",
    "ask_steps",
    "augment",
    "code",
    "code_steps",
    "coders",
    "detectors",
    "find_objects",
    "find_objects_steps",
    "fit",
    "fit_coder_steps",
    "fit_detector",
    "fit_detector_steps",
    "fit_finder_steps",
    "fit_steps",
    "fit_without",
    "follow",
    "group",
    "load",
    "measure_study",
    "models",
    "painted",
    "questions",
    "read",
    "read_provenance",
    "report",
    "report_study",
    "run",
    "run_study",
    "write",
    "write_objects",
    "zoo",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'napari_disentangle' has no attribute {name!r}")
    return getattr(import_module(f"napari_disentangle.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return __all__
