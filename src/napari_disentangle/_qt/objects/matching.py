"""Which Labels layer is of which image, and what became of it since."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any
from zlib import crc32

import numpy as np

from napari_disentangle._qt.images.chosen import One
from napari_disentangle._qt.objects.job import Job
from napari_disentangle.image.arrays import Array
from napari_disentangle.image.field import Field
from napari_disentangle.layers.data import KEY
from napari_disentangle.layers.objects import lies_on
from napari_disentangle.objects.objects import Objects

_OURS = "objects"
# Objects that are named, of those that changed.
_NAMED = 5


def labels_on(layers: Iterable[Any], images: Sequence[One]) -> list[Any | None]:
    """The Labels layer of every image, each of one image at most.

    The topmost one that is seen, has the shape and place of the image, and was made
    from it, or is called like it, or lies on no other of these images.
    """
    seen = [one for one in layers if one.visible and _of_objects(one)]
    found: dict[str, Any] = {}
    for layer in reversed(seen):
        below = [one for one in images if lies_on(layer, one.field, one.layers[0])]
        owner = _owner(layer, below)
        if owner is not None:
            found.setdefault(owner.field.name, layer)
    return [found.get(one.field.name) for one in images]


def _owner(layer: Any, below: Sequence[One]) -> One | None:
    """Of which of the images that a layer lies on it is."""
    made_from = layer.metadata.get(KEY, {}).get("image")
    called = [one for one in below if one.field.name in layer.name]
    mine = [one for one in below if one.field.name == made_from]
    if mine or called:
        return mine[0] if mine else max(called, key=lambda one: len(one.field.name))
    return below[0] if len(below) == 1 and made_from is None else None


def why_none(one: One, layers: Iterable[Any], images: Sequence[One]) -> str:
    """One sentence on why an image has no labels, and what to do."""
    reasons = [
        _why_not(layer, one, images)
        for layer in layers
        if _of_objects(layer) and not layer.multiscale
    ]
    told = f" ({'; '.join(filter(None, reasons))})" if any(reasons) else ""
    return (
        f"No Labels layer that is seen is of {one.field.name!r}{told}: press Find "
        "objects, or open its labels."
    )


def _why_not(layer: Any, one: One, images: Sequence[One]) -> str:
    shape = tuple(layer.data.shape)
    if shape != one.field.grid_shape:
        return f"{layer.name!r} has shape {shape}, not {one.field.grid_shape}"
    if not lies_on(layer, one.field, one.layers[0]):
        return f"{layer.name!r} lies elsewhere"
    below = [other for other in images if lies_on(layer, other.field, other.layers[0])]
    if layer.visible and len(below) > 1 and _owner(layer, below) is None:
        return (
            f"{layer.name!r} lies on several images: check one of them, or call it "
            "like its image"
        )
    return ""


def of_ours(layer: Any) -> bool:
    """Whether it is a layer of objects that this plugin made or coded."""
    return bool(layer.metadata.get(KEY, {}).get("output") == _OURS)


def _of_objects(layer: Any) -> bool:
    """Whether it is a Labels layer of objects, of whatever program."""
    output = layer.metadata.get(KEY, {}).get("output", _OURS)
    return hasattr(layer, "selected_label") and output == _OURS


def recipe_of(layers: Sequence[Any]) -> dict[str, Any]:
    """How the labels of layers came about."""
    known = [layer.metadata.get(KEY, {}).get("objects") for layer in layers]
    if known[0] and all(one == known[0] for one in known):
        return dict(known[0])
    return {"labels": [layer.name for layer in layers]}


def print_of(layer: Any) -> tuple[Any, int]:
    """What tells whether a layer was changed."""
    return layer.unique_id, crc32(np.ascontiguousarray(layer.data).tobytes())


def found_by(
    layers: Sequence[Any], found: Mapping[Any, tuple[Job, int]], images: Sequence[Field]
) -> Job | None:
    """How all objects of these images were found, if nobody changed them since."""
    jobs = []
    for layer in layers:
        name, now = print_of(layer)
        job, then = found.get(name, (None, now))
        if job is None or then != now:
            return None
        jobs.append(job)
    first = jobs[0]
    same = [one.name for one in first.images] == [one.name for one in images]
    return first if same and all(job is first for job in jobs) else None


def stale(layers: Sequence[Any], objects: Objects) -> Iterator[str]:
    """Say which objects are no more what was coded."""
    for layer, coded in zip(layers, objects.labels, strict=True):
        data = np.asarray(layer.data)
        if data.shape != coded.shape:
            yield f"{layer.name} had another shape when it was coded: code it again."
            continue
        changed = _changed(data, coded)
        if len(changed):
            first = ", ".join(map(str, changed[:_NAMED]))
            yield (
                f"{len(changed)} objects of {layer.name} were painted after they were "
                f"coded ({first}): press Code and group again."
            )


def _changed(data: Array, coded: Array) -> Array:
    differs = data != coded
    both = np.union1d(np.unique(coded[differs]), np.unique(data[differs]))
    return both[both > 0]


def ends(objects: Objects, row: int, axis: str) -> tuple[float, float]:
    """First and last pixel of an object along an axis."""
    columns, name = objects.columns, axis.lower()
    if axis not in "ZYX":
        return float(columns[name][row]), float(columns[name][row])
    begin, end = (float(columns[f"bbox-{name}{i}"][row]) for i in (0, 1))
    return begin, end - 1
