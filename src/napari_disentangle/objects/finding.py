"""From images to their objects, one tile after the other."""

from __future__ import annotations

import math
from collections.abc import Generator, Iterable, Iterator, Sequence
from functools import partial

import numpy as np

from napari_disentangle.compute.device import memory_errors
from napari_disentangle.compute.iterators import changed, finished
from napari_disentangle.compute.lazy import IN_MEMORY_LIMIT, LARGE_TILE, TILE, LazyImage
from napari_disentangle.errors import DataError
from napari_disentangle.image.cells import cell_diameter
from napari_disentangle.image.field import Field
from napari_disentangle.image.tiling import Span
from napari_disentangle.model.fit import fit
from napari_disentangle.model.model import Model
from napari_disentangle.model.render import Rendering
from napari_disentangle.objects.finder import Finder, preparing
from napari_disentangle.objects.instances import Labels, filled, instances
from napari_disentangle.objects.objects import Objects, places, rows, several

# Pixels of a plane or a stack that is labelled at once, at most.
_MOST = 2**27
# Edge of the middle of an image that its objects are measured in.
_EDGE = 1024
DEFAULT = Finder("opening")


def find_objects(
    images: Field | Sequence[Field],
    finder: Finder = DEFAULT,
    on: Model | None = None,
    diameter: float | None = None,
    seed: int = 0,
) -> Objects:
    """Find the objects of images; see :func:`find_objects_steps`."""
    return finished(_finding(images, finder, on, diameter, seed))


def find_objects_steps(
    images: Field | Sequence[Field],
    finder: Finder = DEFAULT,
    on: Model | None = None,
    diameter: float | None = None,
    seed: int = 0,
) -> Iterator[float | Objects]:
    """Find the objects of images, tile by tile.

    Foreground by the finder, then a watershed of the distance to its border. Stacks are
    labelled as such, with their spacing; every time point by itself.

    Parameters
    ----------
    images
        Of any axes and channels.
    finder
        A closed form, or a student.
    on
        The model whose content-only image is looked at; ``None`` for the images as
        they are.
    diameter
        Of a typical object in pixels; measured, image by image, if ``None``.
    seed
        Decides which blocks of large images are measured.

    Yields
    ------
    float or Objects
        The share that is done; at last the objects. An image in which nothing stands
        out has none, and :attr:`Objects.said` tells it.

    Raises
    ------
    DataError
        If a plane or a stack is too large, or an image cannot be read.
    ValueError
        If the diameter is not above 0.
    """
    yield (yield from _finding(images, finder, on, diameter, seed))


def _finding(
    images: Field | Sequence[Field],
    finder: Finder,
    on: Model | None,
    diameter: float | None,
    seed: int,
) -> Generator[float, None, Objects]:
    many = several(images)
    shown = (content_of(image, on) for image in many)
    return (yield from finding_in(many, shown, finder, on, diameter, seed))


def finding_in(
    many: tuple[Field, ...],
    shown: Iterable[Rendering],
    finder: Finder = DEFAULT,
    on: Model | None = None,
    diameter: float | None = None,
    seed: int = 0,
) -> Generator[float, None, Objects]:
    """Find the objects of images in what is shown of each; yield the share done."""
    if diameter is not None and not 0 < diameter < math.inf:
        raise ValueError(f"diameter {diameter!r} must be above 0, in pixels")
    found, said, sizes = [], [], []
    for number, rendering in enumerate(shown):
        size = typical(rendering) if diameter is None else diameter
        steps = _of_image(finder, rendering, size, seed)
        labels, words = yield from changed(steps, partial(_share, number, len(many)))
        found.append(labels)
        sizes.append(round(size, 3))
        said += words
    recipe = {
        "finder": finder.name,
        "finder_hash": finder.hash,
        "diameters": sizes,
        "seed": seed,
        "on": None if on is None else on.hash,
    }
    return Objects(many, tuple(found), rows(many, found), tuple(said), recipe)


def _share(number: int, total: int, own: float) -> float:
    return (number + own) / total


def content_of(image: Field, on: Model | None) -> Rendering:
    """The operation that shows an image's content, or the image as it is."""
    model = fit(image, "identity") if on is None else on
    return model.rendering(image, model.reference)


def typical(rendering: Rendering) -> float:
    """Typical diameter of objects in the middle of the middle plane, in pixels."""
    image = rendering.field
    leads = list(image.leads())
    y, x = (
        Span(max(0, (n - _EDGE) // 2), min(n, (n + _EDGE) // 2))
        for n in image.plane_shape
    )
    with memory_errors(f"measuring objects of {image.name!r}"):
        _, signal = rendering.read(leads[len(leads) // 2], y, x)
    return cell_diameter(signal.cpu().numpy().astype(np.float32))


def _of_image(
    finder: Finder, rendering: Rendering, diameter: float, seed: int
) -> Generator[float, None, tuple[Labels, list[str]]]:
    """Labels of an image, and what is to be said of it."""
    image = rendering.field
    every = list(places(image))
    check_size(image)
    preparation = preparing(finder, rendering, diameter, seed)
    finding = yield from changed(preparation, lambda _: 0.0)
    labels = np.zeros(image.grid_shape, np.int32)
    if not finding.grey.high > finding.grey.low:
        return labels, [f"nothing stands out of {image.name!r}: it has no objects"]
    lazy = LazyImage(image, finding, tile=min(LARGE_TILE, TILE * finding.factor))
    for done, part in enumerate(every):
        view = lazy[part.index]
        probability = np.empty(view.shape, np.float32)
        for tiles in view.fill(probability):
            yield (done + tiles / view.parts()) / len(every)
        spacing = _spacing(image, part.axes)
        if image.modality == "brightfield" and probability.ndim == 2:
            probability = filled(probability, diameter)
        found = instances(probability, diameter, spacing)
        # a number is one object, also over time
        labels[part.index] = np.where(found > 0, found + labels.max(), 0)
    return labels, [] if labels.any() else [f"no object was found in {image.name!r}"]


def check_size(image: Field) -> None:
    """Refuse an image that is too large to be labelled.

    Raises
    ------
    DataError
        With its size, and how much can be.
    """
    n = sum(1 for _ in places(image))
    every = 4 * math.prod(image.grid_shape)
    if every > IN_MEMORY_LIMIT:
        raise DataError(
            f"labels of {image.name!r} would take {every / 2**30:.1f} GiB of memory: "
            "take a part of it"
        )
    pixels = math.prod(image.grid_shape) // max(1, n)
    if pixels > _MOST:
        raise DataError(
            f"{image.name!r} has {pixels / 1e6:.0f} million pixels in one plane or "
            f"stack, and {_MOST / 1e6:.0f} can be labelled at once: take a part of it"
        )


def _spacing(image: Field, axes: str) -> tuple[float, ...]:
    """Size of a pixel along axes, in pixels along X."""
    sizes = dict(zip(image.grid_axes, map(abs, image.scale), strict=True))
    return tuple(sizes[axis] / sizes["X"] for axis in axes)
