"""TIFF: read by axes and OME metadata, written as OME-TIFF."""

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
from tifffile import TiffFile, TiffFileError, TiffPageSeries, TiffWriter

from napari_disentangle.compute.lazy import LazyImage
from napari_disentangle.errors import AxesError, DataError
from napari_disentangle.files.damage import readable
from napari_disentangle.files.ome_zarr import order_of
from napari_disentangle.files.stored import OnDisk, Stored, Turned
from napari_disentangle.image.arrays import Array
from napari_disentangle.image.channels import RGBA
from napari_disentangle.image.field import check_size
from napari_disentangle.image.units import PIXEL, SYMBOLS, is_size, unit_name

KEY = "napari-disentangle"
# Of classic and of big files, in either order of bytes.
BEGINNINGS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
# Edge of the tiles that are written, and pages whose tiles are counted.
_TILE, _COUNTED = 512, 1000
_OME_AXES = "TZCYXS"
# Letters of axes that nobody named, and pixels that are fewer than an image has.
_UNNAMED, _FEW = "IQR", 8
# Bytes of a tile or strip that no file needs, if nothing packs bytes so densely.
_LARGE, _DENSEST = 2**30, 2000
# What the values are if they are no intensities; by photometric interpretation.
_NO_INTENSITIES = {
    0: "grey values that count from white as zero",
    3: "indices into a palette",
    5: "amounts of inks",
    8: "CIELAB coordinates",
    9: "CIELAB coordinates",
    10: "CIELAB coordinates",
}
_PALETTE = 3
# RGB, and YCbCr, which is unpacked to RGB.
_COLOUR = (2, 6)
# Micrometers in the inch and the centimeter of the resolution tags.
_MICROMETERS = {2: 25_400.0, 3: 10_000.0}
# 1, 72, 96, 150, 300 or 600 dots per inch are settings for screens and printers that
# programs fill in by themselves; the pixels of a microscope are smaller than theirs.
_SMALLEST_DOT = 25_400.0 / 600.0

Sizes = dict[str, tuple[float, str]]


def read(path: Path, number: int = 0) -> dict[str, Any]:
    """Arguments of a Field: data, axes, scale, units, channel names.

    Parameters
    ----------
    path
        The file; nothing of it is kept in memory.
    number
        Which of its images.
    """
    damaged = readable(path, "TIFF", TiffFileError)
    with damaged, TiffFile(path) as file:
        series = _series(path, file, number)
        check_size(path.name, series.shape)
        _check_length(series)
        pixels = _pixels(file.ome_metadata, number)
        _check_parts(path, file.ome_metadata)
        colour = _is_colour(path, series, file.is_imagej)
        stored = [_stored(path, number, i, one) for i, one in enumerate(series.levels)]
        said = _imagej_sizes(file) if pixels is None else _ome_sizes(pixels)
        # some programs write 0 where they know no size
        known = {axis: one for axis, one in said.items() if is_size(one[0])}
        sizes = _tag_sizes(series) | known
        axes = _axes(series.axes)
        remarks = (*_remarks(file, number), *_unnamed(series))
        return _field(stored, axes, colour, sizes, _ome_channels(pixels)) | {
            "remarks": remarks
        }


def count(path: Path) -> int:
    """Number of images in a file."""
    with readable(path, "TIFF", TiffFileError), TiffFile(path) as file:
        return len(file.series)


def _field(
    stored: Sequence[Stored],
    axes: str,
    colour: bool,
    sizes: Sizes,
    names: tuple[str, ...],
) -> dict[str, Any]:
    """Arguments of a Field of levels, with what is known of sizes and channels."""
    levels: list[OnDisk] = [*stored]
    if colour and not axes.endswith("C"):
        order = axes.replace("C", "") + "C"
        places = tuple(axes.index(axis) for axis in order)
        axes, levels = order, [Turned(one, places) for one in stored]
    shape = levels[0].shape
    rgb = axes.endswith("C") and shape[-1] in (3, 4)
    grid = axes[:-1] if rgb else axes
    scale, units = zip(*(sizes.get(axis, (1.0, PIXEL)) for axis in grid), strict=True)
    found: dict[str, Any] = {"data": levels if len(levels) > 1 else levels[0]}
    found |= {"axes": axes, "scale": scale, "units": units}
    if rgb and colour:
        return found | {"channel_names": RGBA[: shape[-1]]}
    if "C" in grid and len(set(names)) == shape[axes.index("C")] == len(names):
        found["channel_names"] = names
    return found


def write(
    lazy: LazyImage, levels: Sequence[Any], path: Path, metadata: Mapping[str, Any]
) -> None:
    """Write computed levels as an OME-TIFF: tiled, compressed, with its pyramid.

    Parameters
    ----------
    lazy
        What was computed.
    levels
        Arrays (TCZYX as far as they are there), largest first.
    path
        The new file.
    metadata
        Provenance.
    """
    order = order_of(lazy)
    rgb = _written_as_colour(lazy)
    axes = order.replace("C", "") + "S" if rgb else order
    options: dict[str, Any] = {
        "photometric": "rgb" if rgb else "minisblack",
        "compression": "adobe_deflate",
        "predictor": True,
    }
    known = set(axes) <= set(_OME_AXES)
    if known:
        said = _ome(lazy, axes) | {"MapAnnotation": _annotation(metadata)}
    else:
        said = {"axes": axes, **_annotation(metadata)}
        options |= _resolution(lazy)
    with TiffWriter(path, ome=known, bigtiff=lazy.nbytes > 2**31) as file:
        for i, level in enumerate(levels):
            shape = _shape(level.shape, order, axes)
            edges = [min(_TILE, -(-n // 16) * 16) for n in level.shape[-2:]]
            more = {"subifds": len(levels) - 1, "metadata": said} if i == 0 else {}
            if i > 0:
                more = {"subfiletype": 1, "metadata": None}
            file.write(
                _tiles(level, order, edges, rgb),
                shape=shape,
                dtype=level.dtype,
                tile=tuple(edges),
                **options,
                **more,
            )


def check(lazy: LazyImage, path: Path, metadata: Mapping[str, Any]) -> None:
    """Refuse planes that are one pixel wide: tifffile takes those for samples."""
    width = lazy.shape[lazy.axes.index("X")]
    if width == 1 and lazy.ndim > len("YX") and not _written_as_colour(lazy):
        raise DataError(
            f"{path.name!r} cannot hold planes that are one pixel wide: write .ome.zarr"
        )


def _resolution(lazy: LazyImage) -> dict[str, Any]:
    """Pixels per centimeter, of pixels that have a size."""
    field = lazy.field
    places = [field.grid_axes.index(axis) for axis in "XY"]
    if any(field.units[i] != "micrometer" for i in places):
        return {}
    pixels = tuple(_MICROMETERS[3] / abs(field.scale[i]) for i in places)
    return {"resolution": pixels, "resolutionunit": "CENTIMETER"}


def _written_as_colour(lazy: LazyImage) -> bool:
    return lazy.rgb and lazy.field.modality == "brightfield"


def _shape(shape: Sequence[int], order: str, axes: str) -> tuple[int, ...]:
    """Sizes of the axes of the file."""
    letters = order.replace("C", "S") if "S" in axes else order
    sizes = dict(zip(letters, shape, strict=True))
    return tuple(sizes[axis] for axis in axes)


def _tiles(level: Any, order: str, edges: Sequence[int], rgb: bool) -> Iterator[Array]:
    """All tiles of all planes, filled up at the far borders."""
    lead = order[:-2].replace("C", "") if rgb else order[:-2]
    sizes = [level.shape[order.index(axis)] for axis in lead]
    h, w = level.shape[-2:]
    for index in np.ndindex(*sizes):
        at = dict(zip(lead, index, strict=True))
        for y, x in product(range(0, h, edges[0]), range(0, w, edges[1])):
            key = [at.get(axis, slice(None)) for axis in order[:-2]]
            spans = slice(y, y + edges[0]), slice(x, x + edges[1])
            block = np.asarray(level[(*key, *spans)])
            lacking = [(0, e - n) for e, n in zip(edges, block.shape[-2:], strict=True)]
            full = np.pad(block, [(0, 0)] * (block.ndim - 2) + lacking, mode="edge")
            yield np.ascontiguousarray(np.moveaxis(full, 0, -1)) if rgb else full


def provenance(path: Path) -> dict[str, Any]:
    """What :func:`write` kept of the origin."""
    with readable(path, "TIFF", TiffFileError):
        with TiffFile(path) as file:
            ome = file.ome_metadata
            shaped: dict[str, Any] = (file.shaped_metadata or ({},))[0]
        if KEY in shaped:
            return dict(json.loads(shaped[KEY]))
        for item in ElementTree.fromstring(ome).iter() if ome else ():
            if item.get("K") == KEY and item.text:
                kept: dict[str, Any] = json.loads(item.text)
                return kept
    return {}


def _annotation(metadata: Mapping[str, Any]) -> dict[str, str]:
    return {KEY: json.dumps(metadata, sort_keys=True)}


def _ome(lazy: LazyImage, axes: str) -> dict[str, Any]:
    field = lazy.field
    sizes = dict(
        zip(field.grid_axes, zip(field.scale, field.units, strict=True), strict=True)
    )
    ome: dict[str, Any] = {"axes": axes}
    for axis in "XYZT":
        size, unit = sizes.get(axis, (1.0, PIXEL))
        name = unit_name(unit, axis)
        if axis != "T" and (size, name) != (1.0, PIXEL):
            key = f"PhysicalSize{axis}"
            ome |= {key: size, f"{key}Unit": SYMBOLS.get(name, PIXEL)}
        elif axis == "T" and name != PIXEL:
            ome |= {"TimeIncrement": size, "TimeIncrementUnit": SYMBOLS[name]}
    if "C" in axes:
        ome["Channel"] = {"Name": list(lazy.channel_names)}
    return ome


def _series(path: Path, file: TiffFile, number: int) -> TiffPageSeries:
    if not file.series:
        raise DataError(f"{path.name!r} holds no image: it is cut off or damaged")
    if number >= len(file.series):
        raise DataError(
            f"{path.name!r} holds {len(file.series)} images, numbered from 0: there is "
            f"no number {number}"
        )
    return file.series[number]


def _check_length(series: TiffPageSeries) -> None:
    """Refuse a file that ends before its pixels do."""
    pages = [page for page in series.pages[:_COUNTED] if page is not None]
    for page in pages:
        size = page.parent.filehandle.size  # of an image in several files, its own
        pairs = zip(page.dataoffsets, page.databytecounts, strict=False)
        if any(start + n > size for start, n in pairs):
            raise ValueError(f"it ends after {size} bytes, before its pixels do")
        claimed = np.prod(page.chunks) * page.dtype.itemsize
        if claimed > max(_LARGE, _DENSEST * max(page.databytecounts, default=0)):
            raise ValueError(
                f"{claimed / 2**30:.1f} GiB cannot be packed in {size} bytes"
            )


def _remarks(file: TiffFile, number: int) -> Iterator[str]:
    """What is odd about a file."""
    if len(file.series) > 1:
        yield (
            f"the file holds {len(file.series)} images, and this is number {number}: "
            "add # and a number to its name for another"
        )
    pages = [page for page in file.series[number].pages if page is not None]
    counts = [n for page in pages[:_COUNTED] for n in page.databytecounts]
    missing = sum(n == 0 for n in counts)
    if missing:
        yield f"{missing} of {len(counts)} tiles or strips are missing, read as 0"


def _unnamed(series: TiffPageSeries) -> Iterator[str]:
    """That axes are not named, or seem to have another name."""
    sizes = dict(zip(series.axes, series.shape, strict=True))
    for axis in series.axes:
        if axis in _UNNAMED and sizes[axis] > 1:
            yield (
                f"the axis of {sizes[axis]} planes has no name: taken for positions; "
                "if it is depth, time or channels, say e.g. --axes ZYX, TYX or CYX"
            )
    if series.axes[-1] == "X" and sizes["X"] <= _FEW < sizes.get("Y", 0):
        yield (
            f"its planes are only {sizes['X']} pixels wide: if channels come last, say "
            "e.g. --axes YXC"
        )


def _check_parts(path: Path, ome: str | None) -> None:
    """Refuse an image of several files if one of them is not there."""
    items = ElementTree.fromstring(ome).iter() if ome else ()
    names = {one.get("FileName") for one in items if one.tag.endswith("}UUID")}
    for name in sorted(filter(None, names)):
        if len(names) > 1 and not path.with_name(name).exists():
            raise DataError(
                f"{path.name!r} is one of several files of an image, and {name!r} is "
                "missing: put it beside"
            )


def _stored(path: Path, number: int, level: int, series: TiffPageSeries) -> Stored:
    """Pixels of a level, and whether they can be read as they lie in the file."""
    own = Path(series.keyframe.parent.filehandle.path) == path
    plain = own and series.dataoffset is not None and series.keyframe.fillorder == 1
    offset = series.dataoffset if plain else None
    order = series.keyframe.parent.byteorder
    kind = np.dtype(series.dtype)
    return Stored(path, number, level, series.axes, series.shape, kind, offset, order)


def _is_colour(path: Path, series: TiffPageSeries, imagej: bool) -> bool:
    """Whether the samples are RGB; values that are no intensities are refused."""
    tags = series.keyframe.tags
    meaning = tags.valueof("PhotometricInterpretation")
    # The palette of ImageJ is a look-up table through which intensities are shown.
    shown = meaning == _PALETTE and imagej
    if meaning in _NO_INTENSITIES and not shown:
        raise DataError(
            f"{path.name!r} holds {_NO_INTENSITIES[meaning]}: convert it to grey or RGB"
        )
    return meaning in _COLOUR


def _axes(axes: str) -> str:
    """Our letters for tifffile's: samples are colour, unknown axes are positions."""
    read = axes.replace("S", "C")
    for unknown in "IQR":
        read = read.replace(unknown, "P" if "P" not in read else "V")
    if len(set(read)) != len(read):
        raise AxesError(f"a TIFF with axes {axes} has two channel axes: split it first")
    return read


def _pixels(ome: str | None, number: int) -> ElementTree.Element | None:
    """What is said of one of the images."""
    every = ElementTree.fromstring(ome).iter() if ome else ()
    found = [element for element in every if element.tag.endswith("}Pixels")]
    return found[min(number, len(found) - 1)] if found else None


def _ome_sizes(pixels: ElementTree.Element) -> Sizes:
    keys = {axis: (f"PhysicalSize{axis}", "µm") for axis in "XYZ"}
    sizes = {}
    for axis, (key, default) in (keys | {"T": ("TimeIncrement", "s")}).items():
        size = pixels.get(key)
        if size is not None:
            unit = pixels.get(f"{key}Unit", default)
            sizes[axis] = (float(size), unit_name(unit, axis))
    return sizes


def _ome_channels(pixels: ElementTree.Element | None) -> tuple[str, ...]:
    channels = [] if pixels is None else list(pixels)
    names = [e.get("Name") for e in channels if e.tag.endswith("}Channel")]
    return tuple(name for name in names if name)


def _tag_sizes(series: TiffPageSeries) -> Sizes:
    """Sizes from the resolution tags; those of screens and printers are ignored."""
    tags = series.keyframe.tags
    unit = _MICROMETERS.get(tags.valueof("ResolutionUnit"), 0.0)
    sizes: Sizes = {}
    for axis in "XY":
        pixels, units = tags.valueof(f"{axis}Resolution", default=(0, 1))
        size = unit * units / pixels if pixels else 0.0
        if 0 < size < _SMALLEST_DOT:
            sizes[axis] = (size, "micrometer")
    return sizes


def _imagej_sizes(file: TiffFile) -> Sizes:
    """ImageJ keeps pixels per unit in tags, and the unit in its own text."""
    imagej = file.imagej_metadata or {}
    name = unit_name(imagej.get("unit"), "X")
    sizes: Sizes = {}
    for axis in "XY":
        tag = file.pages[0].tags.get(f"{axis}Resolution")
        if tag and tag.value[0] and name != PIXEL:
            sizes[axis] = (tag.value[1] / tag.value[0], name)
    if "spacing" in imagej:
        sizes["Z"] = (float(imagej["spacing"]), name)
    if imagej.get("finterval"):
        time = unit_name(imagej.get("tunit", "s"), "T")
        sizes["T"] = (float(imagej["finterval"]), time)
    return sizes
