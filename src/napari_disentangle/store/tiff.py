"""TIFF: read by axes and OME metadata, written as OME-TIFF."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import numpy as np

from napari_disentangle.errors import AxesError
from napari_disentangle.store.damage import readable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from tifffile import TiffFile

    from napari_disentangle.infer import LazyImage

KEY = "napari-disentangle"
_OME_AXES = "TZCYX"
# Names of units (as in OME-Zarr and napari) and their symbols in OME-TIFF.
_SYMBOLS = {
    "pixel": "pixel",
    "nanometer": "nm",
    "micrometer": "µm",
    "millimeter": "mm",
    "centimeter": "cm",
    "meter": "m",
    "millisecond": "ms",
    "second": "s",
    "minute": "min",
    "hour": "h",
}
_NAMES = {symbol: name for name, symbol in _SYMBOLS.items()}
_NAMES |= dict.fromkeys(("um", "micron", "\\u00B5m"), "micrometer") | {"sec": "second"}
_TIMES = ("ms", "s", "min", "h")

Sizes = dict[str, tuple[float, str]]


def read(path: Path) -> dict[str, Any]:
    """Arguments of a Field: data, axes, scale, units, channel names.

    Uncompressed data are mapped, compressed ones unpacked to a temporary file.
    """
    import tifffile

    with readable(path, "TIFF", tifffile.TiffFileError):
        with tifffile.TiffFile(path) as file:
            series = file.series[0]
            data = series.asarray(out="memmap")
            pixels = _pixels(file.ome_metadata)
            sizes = _imagej_sizes(file) if pixels is None else _ome_sizes(pixels)
        axes = _axes(series.axes)
    grid = axes[:-1] if axes.endswith("C") and data.shape[-1] in (3, 4) else axes
    found: dict[str, Any] = {"data": data, "axes": axes}
    found["scale"] = tuple(sizes.get(axis, (1.0, ""))[0] for axis in grid)
    found["units"] = tuple(sizes.get(axis, (1.0, "pixel"))[1] for axis in grid)
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
    rgb = lazy.field.rgb and lazy.operation.keeps_channels
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
        size, unit = sizes.get(axis, (1.0, "pixel"))
        symbol = _SYMBOLS.get(_NAMES.get(unit, unit), unit)
        if (axis == "T") == (symbol in _TIMES) and (size, symbol) != (1.0, "pixel"):
            key = "TimeIncrement" if axis == "T" else f"PhysicalSize{axis}"
            ome |= {key: size, f"{key}Unit": symbol}
    if "C" in axes:
        ome["Channel"] = {"Name": list(field.channel_names)}
    return ome


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
            sizes[axis] = (float(size), _NAMES.get(unit, unit))
    return sizes


def _ome_channels(pixels: ElementTree.Element | None) -> tuple[str, ...]:
    channels = [] if pixels is None else list(pixels)
    names = [e.get("Name") for e in channels if e.tag.endswith("}Channel")]
    return tuple(name for name in names if name)


def _imagej_sizes(file: TiffFile) -> Sizes:
    """ImageJ keeps pixels per unit in tags, and the unit in its own text."""
    imagej = file.imagej_metadata or {}
    unit = str(imagej.get("unit", "pixel"))
    name = _NAMES.get(unit, unit)
    sizes: Sizes = {}
    for axis in "XY":
        tag = file.pages[0].tags.get(f"{axis}Resolution")
        if tag and tag.value[0] and name != "pixel":
            sizes[axis] = (tag.value[1] / tag.value[0], name)
    if "spacing" in imagej:
        sizes["Z"] = (float(imagej["spacing"]), name)
    if imagej.get("finterval"):
        time = str(imagej.get("tunit", "s"))
        sizes["T"] = (float(imagej["finterval"]), _NAMES.get(time, time))
    return sizes
