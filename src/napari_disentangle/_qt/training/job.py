"""What a fit does, as one iterator: from images to a model in a file, without a window.

A preview shows a part of an image under the look of a part of the others, as the model
is just then; whole images would take seconds, in which nothing could be cancelled.
"""

from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
from numpy.typing import NDArray
from platformdirs import user_data_path

from napari_disentangle._qt.window.model_box import ModelFile
from napari_disentangle.compute.device import memory_errors
from napari_disentangle.errors import DisentangleError, ModelFileError
from napari_disentangle.image.arrays import Array
from napari_disentangle.image.axes import Lead
from napari_disentangle.image.field import Field
from napari_disentangle.layers.style import Picked, Style
from napari_disentangle.model.attribute import Attribute, average
from napari_disentangle.model.fit import fit_steps, learned
from napari_disentangle.model.model import Model
from napari_disentangle.model.train import Progress
from napari_disentangle.pipeline.follow import Step

Colours = NDArray[np.uint8]

# What names of files must not hold.
_UNSAFE = '<>:"/\\|?*'
# Steps from preview to preview.
_REFRESH = 25
# Edges in pixels of the part that is shown, and of parts whose look is measured.
_SHOWN, _MEASURED = 256, 512
# Images that give the preview its look, at most.
_OTHERS = 4


@dataclass(frozen=True, eq=False)
class FitJob:
    """Everything a fit needs, taken from the window before it starts.

    Attributes
    ----------
    images
        What is learned from.
    model
        Where fitting begins: a name, or the path of a file.
    seed, steps, device, label
        As the window says; the label is that of the model that comes out.
    shown, centre
        The image of the preview, and its pixel in the middle of the view.
    look_of
        Images whose mean look the preview is given.
    config
        Settings of the model.
    enough
        Set to stop before the budget ends, and to keep what was learned.
    """

    images: Sequence[Field]
    model: str
    seed: int
    steps: int
    device: str
    label: str
    shown: Picked
    centre: tuple[int, ...]
    look_of: Sequence[Field]
    config: Mapping[str, Any] = field(default_factory=dict)
    enough: Event = field(default_factory=Event)


@dataclass(frozen=True, eq=False)
class Preview:
    """The same part of an image as it is and as it would be, in RGB (h, w, 3)."""

    before: Colours
    after: Colours


@dataclass(frozen=True, eq=False)
class Kept:
    """The fit has ended, and the model is in a file."""

    file: ModelFile
    verdict: str

    @property
    def helped(self) -> bool:
        """Whether it is better than the model without it."""
        return not self.verdict.startswith("not enough")


def run_fit(job: FitJob) -> Generator[Step | Progress | Preview | Kept, None, None]:
    """Fit, with a preview now and then; the model is kept at the end only."""
    yield Step("cutting tiles to learn from", 0.0)
    scene = _scene(job)
    with memory_errors("fitting"):
        steps = fit_steps(
            job.images, job.model, job.seed, job.steps, job.device, **job.config
        )
        for step in steps:
            told = _told(step.progress)
            yield told
            if step.progress.index:
                yield step.progress
            if step.progress.index and job.enough.is_set():
                break
            if step.progress.index % _REFRESH == 1:
                yield from _preview(learned(step), scene, told)
        model = yield from _measured(learned(step), job.images)
        yield from _preview(model, scene, told)
    path = keep(model, job.label)
    yield Kept(ModelFile.of(model, path, path.stem), step.progress.verdict)


def _measured(model: Model, images: Sequence[Field]) -> Generator[Step, None, Model]:
    """The model with its reference; unlike ``FitStep.model`` it can be cancelled."""
    looks = []
    for image in images:
        told = Step(f"measuring {image.name}", 1.0)
        looks.append((yield from _look(model, image, told)))
    return replace(model, reference=average(looks))


def _look(model: Model, image: Field, told: Step) -> Generator[Step, None, Attribute]:
    """The attribute of an image; says the same after whatever takes long."""
    yield told
    for part in model.measuring(image):
        if part is not None:
            return part
        yield told
    raise AssertionError("measuring ends with the attribute")


def _told(progress: Progress) -> Step:
    if progress.index == 0:
        return Step(progress.verdict, 0.0)
    text = f"fitting, step {progress.index} of {progress.budget}"
    return Step(text, progress.index / progress.budget)


# --- files ----------------------------------------------------------------------------
def folder() -> Path:
    """Where fitted models are kept."""
    return user_data_path("napari-disentangle", appauthor=False) / "models"


def kept() -> Iterator[ModelFile | str]:
    """Models that were fitted before, by name; a sentence for one that is broken."""
    for path in sorted(folder().glob("*.safetensors")):
        try:
            yield ModelFile.read(path)
        except DisentangleError as error:
            yield str(error)


def keep(model: Model, label: str) -> Path:
    """Save a fitted model where recipes can name it, under the name it was given.

    A number is added where another model of that name is there already; the same model
    is kept once.

    Raises
    ------
    ModelFileError
        If it cannot be written.
    """
    for one in kept():
        if isinstance(one, ModelFile) and one.hash == model.hash:
            return one.path
    name = "".join("_" if letter in _UNSAFE else letter for letter in label)
    numbered = (f"{name} {n}" if n > 1 else name for n in count(1))
    paths = (folder() / f"{one}.safetensors" for one in numbered)
    path = next(path for path in paths if not path.exists())
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        model.save(path)
    except OSError as error:
        raise ModelFileError(
            f"the fitted model cannot be kept in {str(path.parent)!r} ({error})"
        ) from error
    return path


# --- the preview ----------------------------------------------------------------------
@dataclass(frozen=True, eq=False)
class _Scene:
    """What previews are drawn from.

    Attributes
    ----------
    part, place
        A part of the image that is large enough to be measured, and where in it lies
        what is shown.
    others
        Parts of the images whose look it is given.
    styles
        How napari shows it.
    """

    part: Field
    place: tuple[slice, slice]
    others: Sequence[Field]
    styles: Sequence[Style]


def _scene(job: FitJob) -> _Scene:
    image = job.shown.field
    lead, *measured = _region(image, _MEASURED, job.centre)
    _, *shown = _region(image, _SHOWN, job.centre)
    y, x = (
        slice(inner.start - outer.start, inner.stop - outer.start)
        for inner, outer in zip(shown, measured, strict=True)
    )
    others = (
        _part(other, *_region(other, _MEASURED)) for other in job.look_of[:_OTHERS]
    )
    return _Scene(_part(image, lead, *measured), (y, x), list(others), job.shown.styles)


def _region(
    image: Field, edge: int, centre: Sequence[int] = ()
) -> tuple[Lead, slice, slice]:
    """A plane and a square in it around a pixel of the layer, or in the middle."""
    at = {axis: image.size(axis) // 2 for axis in image.grid_axes}
    at |= zip(image.grid_axes[-len(centre) :], centre, strict=False)
    lead = tuple(_inside(at[axis], image.size(axis)) for axis in image.lead_axes)
    y, x = (_around(at[axis], image.size(axis), edge) for axis in "YX")
    return lead, y, x


def _inside(place: int, size: int) -> int:
    return min(max(place, 0), size - 1)


def _around(middle: int, size: int, edge: int) -> slice:
    start = min(max(middle - edge // 2, 0), max(0, size - edge))
    return slice(start, min(start + edge, size))


def _part(image: Field, lead: Lead, y: slice, x: slice) -> Field:
    return Field(
        image.plane(lead, y, x),
        "CYX",
        channel_names=image.channel_names,
        modality=image.modality,
        full_scale=image.full_scale,
        name=image.name,
    )


def _preview(
    model: Model, scene: _Scene, told: Step
) -> Generator[Step | Preview, None, None]:
    """Give the scene the look of the others; ``told`` is a sign of life."""
    own = yield from _look(model, scene.part, told)
    looks = []
    for other in scene.others:
        looks.append((yield from _look(model, other, told)))
    look = average(looks)
    if look.found:
        y, x = scene.place
        after = np.asarray(model.lazy(scene.part, look, own)[:, y, x])
        pair = (scene.part.plane((), y, x), after)
        yield Preview(*(_colours(plane, scene) for plane in pair))


def _colours(plane: Array, scene: _Scene) -> Colours:
    """Show channels (C, h, w) as napari does, in RGB (h, w, 3)."""
    if "colormap" not in scene.styles[0].look:
        shown = plane[:3] / scene.part.full_scale
        return _bytes(np.moveaxis(shown, 0, -1))
    pairs = zip(plane, scene.styles, strict=False)
    return _bytes(np.sum([_mapped(values, style) for values, style in pairs], axis=0))


def _mapped(values: Array, style: Style) -> Array:
    low, high = style.look["contrast_limits"]
    unit = np.clip((values - low) / max(high - low, 1e-12), 0, 1)
    shown = style.look["colormap"].map(unit.ravel() ** style.look["gamma"])
    colour: Array = shown[:, :3].reshape(*values.shape, 3)
    return colour


def _bytes(unit: Array) -> Colours:
    return np.ascontiguousarray(np.clip(np.nan_to_num(unit), 0, 1) * 255, np.uint8)
