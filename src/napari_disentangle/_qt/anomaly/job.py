"""What is chosen in the widget "Anomaly map", taken before a worker starts."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from napari_disentangle._qt.anomaly.panel import OTHERS, PAINTED, AnomalyPanel
from napari_disentangle._qt.common.choices import (
    check_images,
    names_in,
    painted_on,
    picked,
)
from napari_disentangle._qt.common.job import Job, Names
from napari_disentangle._qt.common.picking import groups
from napari_disentangle.errors import DataError
from napari_disentangle.image.field import Field
from napari_disentangle.layers.data import Marking
from napari_disentangle.layers.style import Picked
from napari_disentangle.pipeline.recipe import Recipe


def job_of(panel: AnomalyPanel, layers: Any) -> tuple[Job, Names]:
    """What Run would do now.

    Raises
    ------
    DisentangleError
        If something is missing or does not fit.
    """
    check_images(panel)
    images = picked(panel, panel.images)
    normals, names = _normals(panel, layers, images)
    job = Job(_recipe(panel), images, normals=normals, marking=marking_of(panel))
    return job, replace(names, images=names_in(panel, panel.images))


def marking_of(panel: AnomalyPanel) -> Marking:
    """How regions are found now."""
    return Marking(panel.regions.level(), panel.regions.min_size.value())


def _recipe(panel: AnomalyPanel) -> Recipe:
    if not panel.outputs():
        raise DataError("nothing is to be made: check the anomaly map")
    return Recipe(
        model=panel.model.chosen,
        config=panel.settings(),
        outputs=panel.outputs(),
        detector=panel.detector.currentText(),
        detector_config=panel.detector_settings(),
        cell=panel.cell.value() or None,
        device=panel.device.currentData() or "auto",
    )


def _normals(
    panel: AnomalyPanel, layers: Any, images: Sequence[Picked]
) -> tuple[list[Field], Names]:
    """The normal images, or painted parts of images, and what they are called."""
    if panel.normal_kind == OTHERS:
        found = [one.field for one in picked(panel, panel.normals)]
        if not found:
            raise DataError("no normal image is checked: check one under 'Normal is'")
        return found, Names((), normals=names_in(panel, panel.normals))
    if panel.normal_kind == PAINTED:
        return _painted(panel, layers, images)
    return [], Names(())


def _painted(
    panel: AnomalyPanel, layers: Any, images: Sequence[Picked]
) -> tuple[list[Field], Names]:
    marks = panel.marks.among(layers)
    if marks is None:
        raise DataError(
            "nothing is painted: add a Shapes or Labels layer and paint what is normal"
        )
    grouped = groups(panel.images.checked(), panel.as_channels.isChecked())
    fields, names = [], []
    for one, group in zip(images, grouped, strict=True):
        field = painted_on(marks, one.field, group)
        if field.where is not None:
            fields.append(field)
            names.append([layer.name for layer in group])
    if not fields:
        raise DataError(
            f"{marks.name!r} marks nothing on the images: paint there what is normal"
        )
    return fields, Names((), normals=names, marks=marks.name)
