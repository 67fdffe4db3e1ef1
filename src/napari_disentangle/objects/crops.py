"""Pictures of single objects, all of one size, read from where each of them lies."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from napari_disentangle.compute.device import memory_errors
from napari_disentangle.image.arrays import Array, Floats
from napari_disentangle.image.tiling import Span
from napari_disentangle.model.model import Model
from napari_disentangle.model.render import Rendering
from napari_disentangle.objects.finding import content_of
from napari_disentangle.objects.objects import Objects

SIZE = 32
# Edge of a picture of an object in units of the edge of its box.
_AROUND = 1.4
# Objects that are read at once.
_BATCH = 64


@dataclass(frozen=True, eq=False)
class Crops:
    """Pictures of some objects.

    Attributes
    ----------
    rows
        Of the table of objects (n,).
    values
        Rendered signal (n, C, size, size) without alpha; beyond the image's end its
        last pixels, 0 where it is no number.
    masks
        How much of every pixel is the object (n, size, size).
    pixels
        Edge of a pixel of these pictures, in pixels of the image (n,).
    """

    rows: Array
    values: Floats
    masks: Floats
    pixels: Floats


def crops(
    objects: Objects,
    size: int = SIZE,
    on: Model | None = None,
    rows: Array | None = None,
) -> Iterator[Crops]:
    """Cut objects out, each brought to one size; of a stack its middle plane.

    Parameters
    ----------
    objects
        The objects.
    size
        Edge of the pictures in pixels.
    on
        The model whose content-only image is cut; ``None`` for the images as they are.
    rows
        Which ones; all if ``None``.

    Yields
    ------
    Crops
        Of some objects of one image, image by image.
    """
    for number, image in enumerate(objects.images):
        own = objects.of_image(number)
        own = own if rows is None else np.intersect1d(own, rows)
        if not len(own):
            continue
        rendering = content_of(image, on)
        for begin in range(0, len(own), _BATCH):
            part = own[begin : begin + _BATCH]
            with memory_errors(f"cutting objects out of {image.name!r}"):
                cut = [_cut(objects, row, number, rendering, size) for row in part]
            values, masks, pixels = (np.stack(one) for one in zip(*cut, strict=True))
            yield Crops(part, values, masks, pixels)


def _cut(
    objects: Objects, row: int, number: int, rendering: Rendering, size: int
) -> tuple[Floats, Floats, np.float32]:
    """Picture, mask and size of a pixel of one object."""
    image, columns = rendering.field, objects.columns
    inner, beyond = window(columns, row, image.plane_shape)
    known = plane_of(columns, row, image.axes)
    lead = tuple(known[axis] for axis in image.axes if axis not in "CYX")
    _, signal = rendering.read(lead, *inner)
    seen = [i for i, name in enumerate(image.channel_names) if name != "alpha"]
    values = np.nan_to_num(signal[seen].cpu().numpy(), posinf=0, neginf=0)
    grid = image.axes.replace("C", "")
    index = tuple(known.get(axis, slice(None)) for axis in grid)
    plane = objects.labels[number][index][tuple(span.slice for span in inner)]
    own = np.pad(plane == columns["label"][row], beyond)
    picture = np.pad(values, [(0, 0), *beyond], mode="edge")
    both = np.concatenate([picture, own[None]], dtype=np.float32)
    scaled = _scaled(both, size)
    return scaled[:-1], scaled[-1], np.float32(len(own) / size)


def window(
    columns: Mapping[str, Array], row: int, shape: tuple[int, int]
) -> tuple[Sequence[Span], Sequence[tuple[int, int]]]:
    """The square around an object within the image, and what lies beyond it."""
    begins, ends = (
        [int(columns[f"bbox-{axis}{end}"][row]) for axis in "yx"] for end in (0, 1)
    )
    edge = np.subtract(ends, begins).max() * _AROUND
    edge = int(np.ceil(edge))
    starts = [(a + b - edge) // 2 for a, b in zip(begins, ends, strict=True)]
    inner = [
        Span(max(0, start), min(n, start + edge))
        for start, n in zip(starts, shape, strict=True)
    ]
    beyond = [
        (span.start - start, start + edge - span.stop)
        for span, start in zip(inner, starts, strict=True)
    ]
    return inner, beyond


def plane_of(columns: Mapping[str, Array], row: int, axes: str) -> dict[str, int]:
    """Index of the plane that an object is seen in, by axis."""
    apart = [axis for axis in axes if axis not in "CZYX"]
    known = {axis: int(columns[axis.lower()][row]) for axis in apart}
    if "Z" in axes:
        ends = (int(columns[f"bbox-z{end}"][row]) for end in (0, 1))
        known["Z"] = (sum(ends) - 1) // 2
    return known


def _scaled(values: Floats, size: int) -> Floats:
    """Planes (C, n, n) as (C, size, size)."""
    import torch
    from torch.nn import functional

    found: Floats = functional.interpolate(
        torch.from_numpy(values)[None],
        size=(size, size),
        mode="bilinear",
        align_corners=False,
        antialias=True,
    )[0].numpy()
    return found
