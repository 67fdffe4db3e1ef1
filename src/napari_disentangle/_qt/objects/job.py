"""What the widget computes, in a worker."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass

from napari_disentangle._qt.runs.script import fields_code
from napari_disentangle.image.arrays import Array
from napari_disentangle.image.field import Field


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
    coder
        Which.
    labels
        Of every image, when they are coded.
    """

    images: Sequence[Field]
    alike: bool
    diameter: float | None = None
    coder: str = "views"
    labels: Sequence[Array] = ()

    @property
    def modelled(self) -> bool:
        """Whether there is more than one look to be taken out."""
        return self.alike and len(self.images) > 1


def find(job: Job) -> Generator[object, None, None]:
    """Yield the share that is done, at last the objects."""
    from napari_disentangle.model.fit import fit
    from napari_disentangle.objects.finding import find_objects_steps

    yield 0.0
    model = fit(list(job.images)) if job.modelled else None
    yield 0.0
    yield from find_objects_steps(job.images, on=model, diameter=job.diameter)


def code(job: Job) -> Generator[object, None, None]:
    """Yield the share that is done, at last the codes."""
    from napari_disentangle.model.fit import fit
    from napari_disentangle.objects.coder import code_steps
    from napari_disentangle.objects.objects import Objects

    yield 0.0
    objects = Objects.of(job.images, list(job.labels))
    model = fit(list(job.images)) if job.modelled else None
    yield 0.0
    yield from code_steps(objects, job.coder, model)


def python_code(
    job: Job, images: Sequence[Sequence[str]], labels: Sequence[str], level: int
) -> str:
    """A script for napari's console that does the same.

    Parameters
    ----------
    job
        What was done.
    images, labels
        Names of the Image layers of every image, and of Labels layers that were there
        already.
    level
        How many groups.
    """
    on = ", on=model" if job.modelled else ""
    taken = ", ".join(f"layers[{name!r}].data" for name in labels)
    size = f", diameter={job.diameter:g}" if job.diameter else ""
    found = f"nd.Objects.of(images, [{taken}])"
    lines = [
        "import napari_disentangle as nd",
        "",
        "layers = viewer.layers",
        f"images = {fields_code(images, job.images)}",
        *(["model = nd.fit(images)"] if job.modelled else []),
        f"objects = {found if labels else f'nd.find_objects(images{on}{size})'}",
        f"codes = nd.code(objects, {job.coder!r}{on})",
        f"groups = nd.group(codes, level={level})",
        f"sources = [layers[name] for name in {[names[0] for names in images]!r}]",
        "nd.add_objects(viewer, objects, codes, groups, layers=sources)",
    ]
    return "\n".join(lines) + "\n"
