"""What a run or a fit would do now, taken from the panel before a worker starts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from napari_disentangle._qt.images.chosen import Chosen, One, one_painted
from napari_disentangle._qt.images.picking import in_the_middle
from napari_disentangle._qt.images.table import IMAGE, NORMAL, REFERENCE
from napari_disentangle._qt.runs.job import Job
from napari_disentangle._qt.runs.script import Names
from napari_disentangle._qt.training.job import FitJob
from napari_disentangle._qt.window.normal import OTHERS, PAINTED
from napari_disentangle._qt.window.panel import Panel
from napari_disentangle._qt.window.tasks import COMPARABLE, ODD, SWAP, why_not
from napari_disentangle.errors import DataError, DisentangleError
from napari_disentangle.layers.data import Marking
from napari_disentangle.model.attribute import Attribute
from napari_disentangle.pipeline.recipe import Recipe


@dataclass(frozen=True, eq=False)
class Plan:
    """A run, ready to be started.

    Attributes
    ----------
    job
        What is computed.
    names
        What its images are called in a script.
    sources
        The layers of each image, in the order of the job.
    """

    job: Job
    names: Names
    sources: Sequence[tuple[Any, ...]]


@contextmanager
def said(say: Any) -> Iterator[None]:
    """Hand over what a person can act on, as one sentence."""
    try:
        yield
    except (DisentangleError, ValueError, OSError) as error:
        text = str(error)
        say(text[:1].upper() + text[1:])


def preferred_device() -> str:
    """The device of napari's preferences (Plugins > Disentangle)."""
    from napari.settings import get_plugin_settings

    return str(get_plugin_settings("napari-disentangle").processing.device)


def obstacle(panel: Panel, chosen: Chosen, look: Attribute | None) -> str:
    """Why Run cannot be pressed, and what to do; empty if it can."""
    if not panel.images.table.layers():
        return "Open images, or press Try it: it opens two blood smears."
    reason = why_not(panel.task, chosen, look is not None) or _unlike(chosen, look)
    if reason or panel.task != ODD:
        return reason
    if panel.normal.kind == OTHERS and not chosen.of(NORMAL):
        return "Set the role of an image to 'normal'."
    if panel.normal.kind == PAINTED and not panel.normal.marks.count():
        return "Add a Shapes or Labels layer and paint what is normal."
    return ""


def _unlike(chosen: Chosen, look: Attribute | None) -> str:
    """Why a loaded look is not for these images, or nothing."""
    if look is None or not chosen.images:
        return ""
    own = chosen.images[0].field.channel_names
    lacking = [name for name in look.channels if name not in own]
    if not lacking or len(own) == len(look.channels) == 1:
        return ""
    return (
        f"The loaded look is of images with {', '.join(look.channels)}, and these have "
        f"{', '.join(own)}: load another, or set the role of one to 'reference look'."
    )


def plan_of(panel: Panel, layers: Any, saved: Attribute | None) -> Plan:
    """What Run would do now; a saved look gives way to reference images.

    Raises
    ------
    DisentangleError
        If something is missing or does not fit.
    """
    chosen = panel.images.chosen()
    reason = obstacle(panel, chosen, saved)
    if reason:
        raise DataError(reason)
    if panel.task == ODD:
        return _odd(panel, layers, chosen)
    return _under_a_look(panel, layers, chosen, saved)


def _under_a_look(
    panel: Panel, layers: Any, chosen: Chosen, saved: Attribute | None
) -> Plan:
    """Content-only under the reference, or a swap to it."""
    marks = panel.measured.among(layers)
    chosen = chosen.measured_on(marks)
    images, others = chosen.of(IMAGE), chosen.of(REFERENCE)
    look = saved.to_json() if saved and not others else None
    batches = tuple(one.batch or None for one in images)
    pool = panel.pool.currentData()
    batched = pool == "image" and any(batches)
    swap = panel.task == SWAP
    recipe = _recipe(
        panel,
        pool="batch" if batched else pool,
        strength=panel.strength.value() / 100 if swap else 1.0,
        **{"donor" if swap else "reference": look},
    )
    job = Job(
        recipe,
        [one.picked for one in images],
        donors=[one.picked for one in others] if swap else (),
        references=() if swap else [one.field for one in others],
        batches=batches if batched else (),
    )
    called = [one.names for one in others]
    names = Names(
        [one.names for one in images],
        donors=called if swap else (),
        references=() if swap else called,
        where=marks.name if marks else "",
    )
    return Plan(job, names, [one.layers for one in images])


def _recipe(panel: Panel, **known: Any) -> Recipe:
    """The recipe of what the panel shows, with this."""
    return Recipe(
        model=panel.model.chosen,
        config=panel.settings(),
        outputs=panel.outputs(),
        device=panel.device.currentData() or "auto",
        **known,
    )


# --- what is odd ----------------------------------------------------------------------
def marking_of(panel: Panel) -> Marking:
    """How regions are found now."""
    return Marking(panel.regions.level(), panel.regions.min_size.value())


def _odd(panel: Panel, layers: Any, chosen: Chosen) -> Plan:
    images = chosen.of(IMAGE)
    normals, marks = _normals(panel, layers, chosen)
    recipe = _recipe(
        panel,
        detector=panel.detector.name.currentText(),
        detector_config=panel.detector.settings(),
        cell=panel.detector.cell.value() or None,
    )
    job = Job(
        recipe,
        [one.picked for one in images],
        normals=[one.field for one in normals],
        marking=marking_of(panel),
    )
    names = Names(
        [one.names for one in images],
        normals=[one.names for one in normals],
        marks=marks,
    )
    return Plan(job, names, [one.layers for one in images])


def _normals(panel: Panel, layers: Any, chosen: Chosen) -> tuple[list[One], str]:
    """The normal images, or painted parts of images, and what they are painted in."""
    if panel.normal.kind == OTHERS:
        return chosen.of(NORMAL), ""
    if panel.normal.kind != PAINTED:
        return [], ""
    marks = panel.normal.marks.among(layers)
    if marks is None:
        raise DataError("add a Shapes or Labels layer and paint what is normal")
    painted = [one_painted(one, marks) for one in chosen.of(IMAGE)]
    found = [one for one in painted if one.field.where is not None]
    if not found:
        raise DataError(
            f"{marks.name!r} marks nothing on the images: paint there what is normal"
        )
    return found, marks.name


# --- training -------------------------------------------------------------------------
def fit_of(panel: Panel, viewer: Any) -> FitJob:
    """What training would do now.

    Raises
    ------
    DisentangleError
        If no image is checked, or one cannot be read.
    """
    chosen = panel.images.chosen()
    if not chosen.images:
        raise DataError(why_not(COMPARABLE, chosen, True))
    chosen = chosen.measured_on(panel.measured.among(viewer.layers))
    everything = [one.field for one in chosen.images]
    first = (chosen.of(IMAGE) or list(chosen.images))[0]
    return FitJob(
        images=everything,
        model=panel.model.beginning,
        seed=panel.fitting.seed.value(),
        steps=panel.fitting.steps.value(),
        device=panel.device.currentData() or "auto",
        label=panel.fitting.name.text().strip() or panel.model.next_label(),
        config=panel.settings() if panel.model.learned else {},
        shown=first.picked,
        centre=in_the_middle(viewer, first.layers[0]),
        look_of=[one.field for one in chosen.of(REFERENCE)] or everything,
    )


def words_for(task: str, chosen: Chosen, kind: str) -> str:
    """What will be compared with what, before Run."""
    images, normals = chosen.of(IMAGE), chosen.of(NORMAL)
    if task != ODD or not images:
        return ""
    which = images[0].field.name if len(images) == 1 else "Each image"
    if kind == OTHERS:
        names = ", ".join(one.field.name for one in normals) or "nothing yet"
        return f"{which} will be compared with {names}."
    if kind == PAINTED:
        return f"{which} will be compared with what is painted."
    return f"{which} will be compared with itself: what is rare in it stands out."
