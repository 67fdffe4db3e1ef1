"""OME-Zarr: 0.4 and 0.5 are read, 0.5 is written, always with its pyramid."""

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from zarr import Group

from napari_disentangle.compute.lazy import TILE, LazyImage, Record
from napari_disentangle.errors import AxesError, DataError
from napari_disentangle.files.address import Remote, address, reached
from napari_disentangle.files.halves import Permuted, averaged, halving, thinned
from napari_disentangle.image.axes import typed_letters
from napari_disentangle.image.channels import RGB
from napari_disentangle.image.field import check_size
from napari_disentangle.image.units import PIXEL, is_size, unit_name
from napari_disentangle.model.encode import Limits, limits

KEY = "napari-disentangle"
# One of them is in every group.
MARKS = ("zarr.json", ".zgroup")
_ORDER = "TCZYX"
# A plane no larger than this needs no smaller level.
_SMALLEST_LEVEL = 512
# Chunks that are looked for one by one, and names that are spelled out.
_COUNTED, _LISTED = 100_000, 5
_RUNS_CODE = ("pickle",)
_COLORS = {"R": "FF0000", "G": "00FF00", "B": "0000FF"}


def read(path: Path, number: int = 0) -> dict[str, Any]:
    """Arguments of a Field: the pyramid, axes, scale, units, channel names."""
    import zarr

    with reached(path):
        opened = zarr.open_group(address(path) or path, mode="r")
        group, remarks = _image_group(path, opened, number)
        attrs = dict(group.attrs)
        ome = attrs.get("ome", attrs)
        image = ome["multiscales"][0]
        levels = [_array(path, group, dataset["path"]) for dataset in image["datasets"]]
        named = _axes(image)
        axes = typed_letters(named)
        pairs = zip(named, axes, strict=True)
        units = tuple(unit_name(axis.get("unit"), letter) for axis, letter in pairs)
        found: dict[str, Any] = {
            "data": levels if len(levels) > 1 else levels[0],
            "axes": axes,
            "units": units,
            "remarks": (*remarks, *([] if address(path) else _missing(levels[0]))),
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


def count(path: Path) -> int:
    """Number of images in a group, for each of which there is a number."""
    import zarr

    with reached(path):
        return max(1, len(_images_in(zarr.open_group(address(path) or path, mode="r"))))


def _images_in(group: Group) -> list[str]:
    known = sorted(group.groups())
    return [name for name, one in known if "multiscales" in str(dict(one.attrs))]


def _image_group(
    path: Path, group: Group, number: int
) -> tuple[Group, tuple[str, ...]]:
    """The group of one image, and that there are others.

    Raises
    ------
    DataError
        If it holds no image itself.
    """
    attrs = dict(group.attrs)
    ome = attrs.get("ome", attrs)
    if "multiscales" in ome:
        return group, ()
    if "plate" in ome or "well" in ome:
        raise DataError(f"{path.name!r} is {_inside(ome)}: open one field of it")
    inside = _images_in(group)
    if not inside:
        raise DataError(f"{path.name!r} is a Zarr without an image: open one inside")
    if number >= len(inside):
        raise DataError(
            f"{path.name!r} holds {len(inside)} images, numbered from 0: there is no "
            f"number {number}"
        )
    told = (
        f"the file holds {len(inside)} images ({', '.join(inside)}), and this is "
        f"{inside[number]!r}: add # and a number to its name for another"
    )
    chosen = group[inside[number]]
    return chosen, ((told,) if len(inside) > 1 else ())


def _inside(ome: Mapping[str, Any]) -> str:
    """What a plate or a well holds."""
    if "well" in ome:
        fields = [one["path"] for one in ome["well"]["images"]]
        return f"a well with the fields {', '.join(fields[:_LISTED])}"
    wells = [one["path"] for one in ome["plate"]["wells"]]
    more = f" and {len(wells) - _LISTED} more" if len(wells) > _LISTED else ""
    return (
        f"a plate with {len(wells)} wells ({', '.join(wells[:_LISTED])}{more}), whose "
        f"fields are folders such as {wells[0]}/0"
    )


def _axes(image: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Axes with names and types; before version 0.4 by name, before 0.3 always five."""
    named = image.get("axes", [*_ORDER.lower()])
    return [{"name": one} if isinstance(one, str) else one for one in named]


def _missing(array: Any) -> Iterator[str]:
    """That chunks are not there, which are read as one value."""
    if 1 < array.nchunks <= _COUNTED and array.nchunks_initialized < array.nchunks:
        lacking = array.nchunks - array.nchunks_initialized
        yield (
            f"{lacking} of {array.nchunks} chunks are missing, read as "
            f"{array.fill_value}"
        )


def create(lazy: LazyImage, path: Path, metadata: Mapping[str, Any]) -> list[Any]:
    """The arrays of all levels, made now, or opened if they were made before.

    They are an OME-Zarr image, unless that has no such axes.
    """
    import zarr
    from yaozarrs.write.v05 import prepare_image

    order, kind = order_of(lazy), stored_type(lazy.dtype)
    # what is missing later is damage, and not a part that is black
    with zarr.config.set({"array.write_empty_chunks": True}):
        if not path.exists():
            shapes = [_by_axes(level, order) for level in _levels(lazy, order)]
            new = path.with_name("new")
            chunks = _chunks(lazy, order)
            if _can_hold(lazy.axes):
                prepare_image(
                    new,
                    _image(lazy, order, shapes),
                    [(shape, kind) for shape in shapes],
                    extra_attributes={KEY: dict(metadata)},
                    chunks=chunks,
                    writer="zarr",
                    overwrite=True,
                )
            else:
                group = zarr.create_group(new, overwrite=True)
                for i, shape in enumerate(shapes):
                    group.create_array(str(i), shape=shape, dtype=kind, chunks=chunks)
            os.rename(new, path)
        for left in path.rglob("*.partial"):  # by zarr, of a run that was killed
            left.unlink()
        group = zarr.open_group(path, mode="r+")
        return [group[str(i)] for i in range(len(list(group.array_keys())))]


def fill(lazy: LazyImage, arrays: Sequence[Any], record: Record) -> Iterator[int]:
    """Fill the first level tile by tile, then the smaller ones.

    Levels whose chunks are whole in a tile are made from it while it is there.
    """
    order, own = order_of(lazy), lazy.levels
    smaller = thinned if lazy.operation.numbers else averaged
    along = arrays[: _along(lazy.tile)] if len(own) == 1 else arrays[:1]
    yield from lazy.fill(Permuted(along, lazy.axes, order, smaller), record)
    steps: Iterator[int]
    done = lazy.parts()
    for i, target in enumerate(arrays[len(along) :], len(along)):
        if i < len(own):
            steps = own[i].fill(Permuted([target], lazy.axes, order, smaller), record)
        else:
            steps = halving((arrays[i - 1], target), lazy.tile, record, i, smaller)
        for _ in steps:
            yield done


def _along(tile: int) -> int:
    """How many levels have whole chunks in a tile: all that it can be halved to."""
    halved = (tile & -tile) // TILE
    return max(1, halved.bit_length())


def check(lazy: LazyImage, path: Path, metadata: Mapping[str, Any]) -> None:
    """Refuse what the format cannot hold.

    Raises
    ------
    AxesError
        If OME-Zarr has no such axes.
    """
    if not _can_hold(lazy.axes):
        raise AxesError(
            f"OME-Zarr holds time, space and one more axis, not {lazy.axes}: write "
            ".tif instead"
        )


def _can_hold(axes: str) -> bool:
    return len({*axes} - {*"TZYX"}) <= 1


def stored_type(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The type in files: few programs read floats of 16 bits."""
    return np.dtype(np.float32) if dtype == np.float16 else dtype


def order_of(lazy: LazyImage) -> str:
    """The axes in the order in which they are written: time, others, space."""
    others = "".join(axis for axis in lazy.axes if axis not in _ORDER)
    return "".join(axis for axis in f"T{others}CZYX" if axis in lazy.axes)


def provenance(path: Path) -> dict[str, Any]:
    """What :func:`write` kept of the origin."""
    import zarr

    with reached(path):
        kept = _own(dict(zarr.open_group(address(path) or path, mode="r").attrs))
    return {key: value for key, value in kept.items() if key != "modality"}


def _own(attrs: Mapping[str, Any]) -> Mapping[str, Any]:
    """What this package wrote among the attributes of a group."""
    own = attrs.get(KEY, {})
    return own if isinstance(own, dict) else {}


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
        "Y": min(lazy.tile, TILE, shape["Y"]),
        "X": min(lazy.tile, TILE, shape["X"]),
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
    if axis not in _ORDER:
        return v05.CustomAxis(name=axis.lower())
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
    check_size(path.name, array.shape)
    filters = [*array.filters, *array.compressors]
    names = " ".join(type(f).__name__ + str(f) for f in filters).lower()
    if np.dtype(array.dtype).hasobject or any(bad in names for bad in _RUNS_CODE):
        raise DataError(f"{path.name!r} holds pickled objects and is not opened")
    return Remote(path, array) if address(path) else array
