"""TIFF: read by axes and OME metadata, written as OME-TIFF."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
from tifffile import TiffFile

from napari_disentangle.compute.lazy import LazyImage
from napari_disentangle.errors import AxesError, DataError
from napari_disentangle.files.damage import readable
from napari_disentangle.image.channels import RGBA
from napari_disentangle.image.units import PIXEL, SYMBOLS, is_size, unit_name

KEY = "napari-disentangle"
_OME_AXES = "TZCYX"
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


def read(path: Path) -> dict[str, Any]:
    """Arguments of a Field: data, axes, scale, units, channel names.

    Uncompressed data are mapped, compressed ones unpacked to a temporary file.
    """
    import tifffile

    with readable(path, "TIFF", tifffile.TiffFileError):
        with tifffile.TiffFile(path) as file:
            series = file.series[0]
            colour = _is_colour(path, file)
            data, letters = series.asarray(out="memmap"), series.axes
            pixels = _pixels(file.ome_metadata)
            said = _imagej_sizes(file) if pixels is None else _ome_sizes(pixels)
            # some programs write 0 where they know no size
            known = {axis: one for axis, one in said.items() if is_size(one[0])}
            sizes = _tag_sizes(file) | known
        if colour and "S" in letters:
            data = np.moveaxis(data, letters.index("S"), -1)
            letters = letters.replace("S", "") + "S"
        axes = _axes(letters)
    rgb = axes.endswith("C") and data.shape[-1] in (3, 4)
    grid = axes[:-1] if rgb else axes
    found: dict[str, Any] = {"data": data, "axes": axes}
    found["scale"] = tuple(sizes.get(axis, (1.0, PIXEL))[0] for axis in grid)
    found["units"] = tuple(sizes.get(axis, (1.0, PIXEL))[1] for axis in grid)
    if rgb and colour:
        return found | {"channel_names": RGBA[: data.shape[-1]]}
    names = _ome_channels(pixels)
    if "C" in grid and len(set(names)) == data.shape[axes.index("C")] == len(names):
        found["channel_names"] = names
    return found


def write(lazy: LazyImage, path: Path, metadata: Mapping[str, Any]) -> Iterator[int]:
    """Fill a memory-mapped OME-TIFF (uncompressed) tile by tile."""
    import tifffile

    axes = lazy.axes
    if not set(axes) <= set(_OME_AXES):
        raise AxesError(
            f"OME-TIFF cannot hold axes {axes}: name them from {_OME_AXES}, "
            "or write OME-Zarr"
        )
    rgb = lazy.rgb and lazy.field.modality == "brightfield"
    order = sorted(axes, key="TZYXC".index if rgb else "TCZYX".index)
    places = [axes.index(axis) for axis in order]
    target = tifffile.memmap(
        path,
        shape=tuple(lazy.shape[i] for i in places),
        dtype=lazy.dtype,
        ome=True,
        bigtiff=lazy.nbytes > 2**31,
        photometric="rgb" if rgb else "minisblack",
        metadata=_ome(lazy, order, rgb) | {"MapAnnotation": _annotation(metadata)},
    )
    yield from lazy.fill(target.transpose(np.argsort(places)))
    target.flush()


def provenance(path: Path) -> dict[str, Any]:
    """What :func:`write` kept of the origin."""
    import tifffile

    with readable(path, "TIFF", tifffile.TiffFileError):
        with tifffile.TiffFile(path) as file:
            ome = file.ome_metadata
        for item in ElementTree.fromstring(ome).iter() if ome else ():
            if item.get("K") == KEY and item.text:
                kept: dict[str, Any] = json.loads(item.text)
                return kept
    return {}


def _annotation(metadata: Mapping[str, Any]) -> dict[str, str]:
    return {KEY: json.dumps(metadata, sort_keys=True)}


def _ome(lazy: LazyImage, order: list[str], rgb: bool) -> dict[str, Any]:
    field = lazy.field
    sizes = dict(
        zip(field.grid_axes, zip(field.scale, field.units, strict=True), strict=True)
    )
    axes = "".join("S" if rgb and axis == "C" else axis for axis in order)
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


def _is_colour(path: Path, file: TiffFile) -> bool:
    """Whether the samples are RGB; values that are no intensities are refused."""
    tags = file.series[0].keyframe.tags
    meaning = tags.valueof("PhotometricInterpretation")
    # The palette of ImageJ is a look-up table through which intensities are shown.
    shown = meaning == _PALETTE and file.is_imagej
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


def _pixels(ome: str | None) -> ElementTree.Element | None:
    if not ome:
        return None
    found = (e for e in ElementTree.fromstring(ome).iter() if e.tag.endswith("}Pixels"))
    return next(found, None)


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


def _tag_sizes(file: TiffFile) -> Sizes:
    """Sizes from the resolution tags; those of screens and printers are ignored."""
    tags = file.series[0].keyframe.tags
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
