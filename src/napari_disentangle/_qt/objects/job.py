"""What the widget computes, in a worker."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from napari_disentangle._qt.runs.script import fields_code
from napari_disentangle.image.arrays import Array
from napari_disentangle.image.field import Field
from napari_disentangle.objects.closed import FORMS
from napari_disentangle.objects.telling import Told

# As nd.find_objects has it.
DEFAULT = "opening"


@dataclass(frozen=True, eq=False)
class Job:
    """What is to be found or coded.

    Attributes
    ----------
    images
        The images.
    alike
        Whether content-only is looked at: all images under one look.
    diameter
        Of a typical object in pixels; measured if ``None``.
    finder, coder
        Which.
    labels
        Of every image, when they are coded.
    level
        How many groups.
    recipe
        How the labels came about, if it is known.
    """

    images: Sequence[Field]
    alike: bool
    diameter: float | None = None
    finder: str = DEFAULT
    coder: str = "views"
    labels: Sequence[Array] = ()
    level: int = 4
    recipe: Mapping[str, Any] | None = None

    @property
    def modelled(self) -> bool:
        """Whether there is more than one look to be taken out."""
        return self.alike and len(self.images) > 1


@dataclass(frozen=True, eq=False)
class Shown:
    """Groups that are shown, of which Labels layers, and how they were coded."""

    told: Told
    layers: Sequence[Any]
    job: Job
    names: Sequence[Sequence[str]]


def find(job: Job) -> Generator[object, None, None]:
    """Yield the share that is done, at last the objects."""
    from napari_disentangle.model.fit import fit
    from napari_disentangle.objects.finder import STUDENT, Finder
    from napari_disentangle.objects.finding import find_objects_steps
    from napari_disentangle.objects.fitting import fit_finder_steps

    yield 0.0
    model = fit(list(job.images)) if job.modelled else None
    yield 0.0
    if job.finder == STUDENT:
        for step in fit_finder_steps(job.images, model, job.diameter):
            yield step.index / step.budget
        finder = step.finder()
        assert finder is not None
    else:
        finder = Finder(job.finder)
    yield from find_objects_steps(job.images, finder, model, job.diameter)


def code(job: Job) -> Generator[object, None, None]:
    """Yield the share that is done, at last all that is told."""
    from napari_disentangle.model.fit import fit
    from napari_disentangle.objects.objects import Objects
    from napari_disentangle.objects.telling import telling

    yield 0.0
    objects = replace(Objects.of(job.images, list(job.labels)), recipe=job.recipe)
    model = fit(list(job.images)) if job.modelled else None
    yield 0.0
    yield from telling(objects, job.coder, model, job.level)


def python_code(
    job: Job, images: Sequence[Sequence[str]], labels: Sequence[str]
) -> str:
    """A script for napari's console that does the same.

    Parameters
    ----------
    job
        What was done.
    images, labels
        Names of the Image layers of every image, and of Labels layers that were there
        already.
    """
    on = ", on=model" if job.modelled else ""
    taken = ", ".join(f"layers[{name!r}].data" for name in labels)
    size = f", diameter={job.diameter:g}" if job.diameter else ""
    finder = "" if job.finder == DEFAULT else ", finder"
    found = f"nd.find_objects(images{finder}{on}{size})"
    if labels:
        found = f"nd.Objects.of(images, [{taken}])"
    lines = [
        "import napari_disentangle as nd",
        "",
        "layers = viewer.layers",
        f"images = {fields_code(images, job.images)}",
        *(["model = nd.fit(images)"] if job.modelled else []),
        *([] if labels else _finder_lines(job, f"{on}{size}")),
        f"objects = {found}",
        f"measured = nd.code(objects, 'measured'{on})",
        f"codes = nd.code(objects, {job.coder!r}{on})",
        f"groups = nd.group(codes, level={job.level})",
        f"sources = [layers[name] for name in {[names[0] for names in images]!r}]",
        "nd.add_objects(viewer, objects, groups, measured, codes, layers=sources)",
    ]
    return "\n".join(lines) + "\n"


def _finder_lines(job: Job, arguments: str) -> list[str]:
    """How a finder comes about that is not the default one."""
    if job.finder == DEFAULT:
        return []
    if job.finder in FORMS:
        return [f"finder = nd.Finder({job.finder!r})"]
    return [
        f"*_, last = nd.fit_finder_steps(images{arguments})",
        "finder = last.finder()",
    ]
