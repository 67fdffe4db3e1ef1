"""OME-Zarr: 0.4 and 0.5 are read, 0.5 is written, always with its pyramid."""

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from napari_disentangle.compute.lazy import LazyImage, Record
from napari_disentangle.errors import AxesError, DataError
from napari_disentangle.files.damage import readable
from napari_disentangle.image.arrays import Array
from napari_disentangle.image.channels import RGB
from napari_disentangle.image.tiling import Span, tiles
from napari_disentangle.image.units import PIXEL, is_size, unit_name
from napari_disentangle.model.encode import Limits, limits

KEY = "napari-disentangle"
_ORDER = "TCZYX"
# A plane no larger than this needs no smaller level.
_SMALLEST_LEVEL = 512
_RUNS_CODE = ("pickle",)
_COLORS = {"R": "FF0000", "G": "00FF00", "B": "0000FF"}


def read(path: Path, number: int = 0) -> dict[str, Any]:
    """Arguments of a Field: the pyramid, axes, scale, units, channel names."""
    import zarr

    with readable(path, "an OME-Zarr image"):
        group = zarr.open_group(path, mode="r")
        attrs = dict(group.attrs)
        ome = attrs.get("ome", attrs)
        image = ome["multiscales"][0]
        levels = [_array(path, group, dataset["path"]) for dataset in image["datasets"]]
        axes = "".join(axis["name"][0].upper() for axis in image["axes"])
        units = tuple(
            unit_name(axis.get("unit"), letter)
            for axis, letter in zip(image["axes"], axes, strict=True)
        )
        found: dict[str, Any] = {
            "data": levels if len(levels) > 1 else levels[0],
            "axes": axes,
            "units": units,
            **_geometry(image, len(axes)),
        }
        channels = ome.get("omero", {}).get("channels", ())
        names = tuple(channel.get("label", "") for channel in channels)
        colour = "brightfield" if names == RGB else None
        modality = _own(attrs).get("modality", colour)
    n = levels[0].shape[axes.index("C")] if "C" in axes else 0
    if all(names) and len(set(names)) == len(names) == n > 0:
        found["channel_names"] = names
    return found | ({"modality": modality} if modality else {})


def create(lazy: LazyImage, path: Path, metadata: Mapping[str, Any]) -> list[Any]:
    """The arrays of all levels, made now, or opened if they were made before.

    Raises
    ------
    AxesError
        If OME-Zarr has no such axes.
    """
    import zarr
    from yaozarrs.write.v05 import prepare_image

    order = order_of(lazy)
    # what is missing later is damage, and not a part that is black
    with zarr.config.set({"array.write_empty_chunks": True}):
        if not path.exists():
            shapes = [_by_axes(level, order) for level in _levels(lazy, order)]
            new = path.with_name("new")
            prepare_image(
                new,
                _image(lazy, order, shapes),
                [(shape, lazy.dtype) for shape in shapes],
                extra_attributes={KEY: {**_modality(lazy), **metadata}},
                chunks=_chunks(lazy, order),
                writer="zarr",
                overwrite=True,
            )
            os.rename(new, path)
        group = zarr.open_group(path, mode="r+")
        return [group[str(i)] for i in range(len(list(group.array_keys())))]


def fill(lazy: LazyImage, arrays: Sequence[Any], record: Record) -> Iterator[int]:
    """Fill the first level tile by tile, then the smaller ones."""
    order = order_of(lazy)
    yield from lazy.fill(_Permuted(arrays[0], lazy.axes, order), record)
    done = lazy.parts()
    own = lazy.levels
    for i, target in enumerate(arrays[1:], 1):
        if i < len(own):
            steps = own[i].fill(_Permuted(target, lazy.axes, order), record)
        else:
            steps = _halve(arrays[i - 1], target, lazy.tile, record, i)
        for _ in steps:
            yield done


def check(lazy: LazyImage, path: Path, metadata: Mapping[str, Any]) -> None:
    """Refuse what the format cannot hold."""
    order_of(lazy)


def order_of(lazy: LazyImage) -> str:
    """The axes in the order in which they are written.

    Raises
    ------
    AxesError
        If OME-Zarr has no such axes.
    """
    if not set(lazy.axes) <= set(_ORDER):
        raise AxesError(f"OME-Zarr cannot hold axes {lazy.axes}: use {_ORDER}")
    return "".join(sorted(lazy.axes, key=_ORDER.index))


def provenance(path: Path) -> dict[str, Any]:
    """What :func:`write` kept of the origin."""
    import zarr

    with readable(path, "an OME-Zarr image"):
        kept = _own(dict(zarr.open_group(path, mode="r").attrs))
    return {key: value for key, value in kept.items() if key != "modality"}


def _own(attrs: Mapping[str, Any]) -> Mapping[str, Any]:
    """What this package wrote among the attributes of a group."""
    own = attrs.get(KEY, {})
    return own if isinstance(own, dict) else {}


def _modality(lazy: LazyImage) -> dict[str, Any]:
    """The kind of image, unless the values are no intensities of one any more."""
    kept = lazy.operation.own_channels is None
    return {"modality": lazy.field.modality} if kept else {}


class _Permuted:
    """Lets tiles be written to an array whose axes come in another order."""

    def __init__(self, array: Any, axes: str, order: str) -> None:
        self.array = array
        self.places = [axes.index(axis) for axis in order]

    def __setitem__(self, key: tuple[slice, ...], values: Array) -> None:
        self.array[tuple(key[i] for i in self.places)] = values.transpose(self.places)


def _by_axes(shape: Mapping[str, int], order: str) -> tuple[int, ...]:
    return tuple(shape[axis] for axis in order)


def _levels(lazy: LazyImage, order: str) -> Iterator[dict[str, int]]:
    """Sizes of all levels: the image's own, then halves down to the smallest."""
    shape: dict[str, int] = {}
    for level in lazy.levels:
        shape = dict(zip(level.axes, level.shape, strict=True))
        yield shape
    while max(shape["Y"], shape["X"]) > _SMALLEST_LEVEL:
        shape = shape | {axis: -(-shape[axis] // 2) for axis in "YX"}
        yield shape


def _chunks(lazy: LazyImage, order: str) -> tuple[int, ...]:
    shape = dict(zip(lazy.axes, lazy.shape, strict=True))
    colour = shape["C"] if lazy.rgb else 1
    edge = {
        "Y": min(lazy.tile, shape["Y"]),
        "X": min(lazy.tile, shape["X"]),
        "C": colour,
    }
    return tuple(edge.get(axis, 1) for axis in order)


def _image(lazy: LazyImage, order: str, shapes: list[tuple[int, ...]]) -> Any:
    from yaozarrs import v05

    field = lazy.field
    world = dict(
        zip(
            field.grid_axes,
            zip(field.scale, field.translate, field.units, strict=True),
            strict=True,
        )
    )
    known = [world.get(axis, (1.0, 0.0, "pixel")) for axis in order]
    datasets = []
    for i, shape in enumerate(shapes):
        factors = [n / m for n, m in zip(shapes[0], shape, strict=True)]
        scale = [s * f for (s, _, _), f in zip(known, factors, strict=True)]
        shift = [
            t + s * (f - 1) / 2 for (s, t, _), f in zip(known, factors, strict=True)
        ]
        datasets.append(_dataset(v05, str(i), scale, shift))
    axes = [_axis(v05, a, unit) for a, (_, _, unit) in zip(order, known, strict=True)]
    image = v05.Multiscale(name=field.name, axes=axes, datasets=datasets)
    named = zip(lazy.channel_names, _ranges(lazy), strict=True)
    channels = [_channel(v05, name, *ends) for name, ends in named]
    omero = v05.Omero(channels=channels) if channels else None
    return v05.Image(multiscales=[image], omero=omero)


def _ranges(lazy: LazyImage) -> list[Limits]:
    """From what to what each channel is shown."""
    if lazy.operation.own_channels:
        return limits(lazy)
    return [(0.0, lazy.field.full_scale)] * len(lazy.channel_names)


def _channel(v05: Any, name: str, low: float, high: float) -> Any:
    """What viewers need to show a channel: a colour and a range."""
    window = v05.OmeroWindow(start=low, min=low, end=high, max=high)
    return v05.OmeroChannel(
        label=name, color=_COLORS.get(name, "FFFFFF"), window=window, active=True
    )


def _dataset(v05: Any, path: str, scale: list[float], shift: list[float]) -> Any:
    moves = [v05.ScaleTransformation(scale=scale)]
    moves.append(v05.TranslationTransformation(translation=shift))
    return v05.Dataset(path=path, coordinateTransformations=moves)


def _axis(v05: Any, axis: str, unit: str) -> Any:
    if axis == "C":
        return v05.ChannelAxis(name="c")
    kind = v05.TimeAxis if axis == "T" else v05.SpaceAxis
    name = unit_name(unit, axis)
    return kind(name=axis.lower(), unit=None if name == PIXEL else name)


def _geometry(image: Mapping[str, Any], ndim: int) -> dict[str, tuple[float, ...]]:
    scale, shift = np.ones(ndim), np.zeros(ndim)
    first = image["datasets"][0].get("coordinateTransformations", [])
    for move in [*first, *image.get("coordinateTransformations", [])]:
        factor = np.asarray(move.get("scale", np.ones(ndim)))
        scale, shift = scale * factor, shift * factor
        shift = shift + np.asarray(move.get("translation", np.zeros(ndim)))
    scale = np.where([is_size(size) for size in scale], scale, 1.0)
    return {"scale": tuple(scale.tolist()), "translate": tuple(shift.tolist())}


def _array(path: Path, group: Any, name: str) -> Any:
    """One level; object arrays and pickle filters run code when they are read."""
    array = group[name]
    filters = [*array.filters, *array.compressors]
    names = " ".join(type(f).__name__ + str(f) for f in filters).lower()
    if np.dtype(array.dtype).hasobject or any(bad in names for bad in _RUNS_CODE):
        raise DataError(f"{path.name!r} holds pickled objects and is not opened")
    return array


def _halve(
    source: Any, target: Any, tile: int, record: Record, level: int
) -> Iterator[int]:
    """Means of 2 x 2 pixels; Y and X are the last axes."""
    *lead, h, w = target.shape
    whole = (Span(0, h), Span(0, w))
    for index in np.ndindex(*lead):
        for part in tiles(whole, (h, w), tile):
            name = f"half {level} {index} {part.inner[0].start} {part.inner[1].start}"
            if name not in record.done:
                y, x = (slice(2 * s.start, 2 * s.stop) for s in part.inner)
                block = np.asarray(source[(*index, y, x)])
                inner = (*index, *(s.slice for s in part.inner))
                target[inner] = _mean2(block).astype(target.dtype)
                record.add(name)
            yield 0


def _mean2(block: Array) -> Array:
    h, w = block.shape
    even = np.pad(block, ((0, h % 2), (0, w % 2)), mode="edge")
    blocks = even.reshape(math.ceil(h / 2), 2, math.ceil(w / 2), 2)
    mean: Array = blocks.mean(axis=(1, 3))
    return np.rint(mean) if block.dtype.kind in "ui" else mean
