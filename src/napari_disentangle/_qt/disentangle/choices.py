"""What is chosen in the panel, taken on the main thread before a worker starts."""

from typing import Any

from napari_disentangle._qt.common.choices import (
    check_images,
    check_marks,
    measured,
    names_in,
    picked,
)
from napari_disentangle._qt.common.job import Job, Names
from napari_disentangle._qt.common.picking import LayerList, in_the_middle
from napari_disentangle._qt.disentangle.fit_job import FitJob
from napari_disentangle._qt.disentangle.panel import Panel
from napari_disentangle.errors import DisentangleError
from napari_disentangle.layers.style import Picked
from napari_disentangle.model.attribute import Attribute
from napari_disentangle.pipeline.recipe import Recipe


def looks_of(panel: Panel, choice: LayerList, layers: Any) -> list[Picked]:
    """Images of a list, with their look measured where the panel says."""
    return measured(panel, choice, panel.measured.among(layers))


def taking_part(panel: Panel, layers: Any) -> list[Picked]:
    """The checked images, and the donors that are not among them."""
    images = looks_of(panel, panel.images, layers)
    known = {one.styles[0].name for one in images}
    donors = looks_of(panel, panel.donors, layers) if images else []
    return [*images, *(one for one in donors if one.styles[0].name not in known)]


def run_of(panel: Panel, layers: Any, saved: Attribute | None) -> tuple[Job, Names]:
    """What Run would do now; a saved look gives way to checked donors.

    Raises
    ------
    DisentangleError
        If something is missing or does not fit.
    """
    check_images(panel)
    images = looks_of(panel, panel.images, layers)
    donors = [one.field for one in looks_of(panel, panel.donors, layers)]
    normals = [one.field for one in picked(panel, panel.normals)]
    marks = panel.measured.among(layers)
    check_marks(marks, [*(one.field for one in images), *donors])
    look = None if donors else saved
    recipe = Recipe(
        model=panel.model.chosen,
        config=panel.settings(),
        pool=panel.pool.currentText(),
        outputs=panel.outputs(donor=bool(donors or look)),
        donor=look.to_json() if look else None,
        strength=panel.strength.value() / 100,
        device=panel.device.currentData() or "auto",
    )
    lists = (panel.images, panel.donors, panel.normals)
    names = [names_in(panel, choice) for choice in lists]
    called = Names(names[0], names[1], names[2], where=marks.name if marks else "")
    return Job(recipe, images, donors, normals), called


def fit_of(panel: Panel, viewer: Any) -> FitJob:
    """What Fit would do now.

    Raises
    ------
    DisentangleError
        If no image is checked, or one cannot be read.
    """
    check_images(panel)
    layers = viewer.layers
    everything = taking_part(panel, layers)
    donors = [one.field for one in looks_of(panel, panel.donors, layers)]
    images = [one.field for one in everything]
    return FitJob(
        images=images,
        model=panel.model.beginning,
        seed=panel.fitting.seed.value(),
        steps=panel.fitting.steps.value(),
        device=panel.device.currentData() or "auto",
        label=panel.model.next_label(),
        config=panel.settings() if panel.model.learned else {},
        shown=everything[0],
        centre=in_the_middle(viewer, panel.images.checked()[0]),
        look_of=donors or images,
    )


def names_of(panel: Panel, layers: Any) -> list[str]:
    """Names of the images that take part."""
    return [one.field.name for one in readable(panel, layers)]


def readable(panel: Panel, layers: Any) -> list[Picked]:
    """What takes part; nothing if it cannot be read, which the summary says."""
    try:
        return taking_part(panel, layers)
    except (DisentangleError, ValueError):
        return []
