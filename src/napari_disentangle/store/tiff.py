"""TIFF: read by axes and OME metadata, written as OME-TIFF."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import numpy as np

from napari_disentangle.errors import AxesError, DataError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from napari_disentangle.infer import LazyImage

KEY = "napari-disentangle"
_OME_AXES = "TZCYX"
_UNITS = {"micrometer": "µm", "micron": "µm", "um": "µm", "nanometer": "nm"}


def read(path: Path) -> dict[str, Any]:
    """Arguments of a Field: data, axes, scale, units, channel names."""
    import tifffile

    try:
        with tifffile.TiffFile(path) as file:
            series = file.series[0]
            data, axes = series.asarray(), _axes(series.axes)
            ome = file.ome_metadata
            imagej = file.imagej_metadata or {}
            resolution = file.pages[0].tags.get("XResolution")
            value = resolution.value if resolution else None
    except (OSError, ValueError, IndexError, tifffile.TiffFileError) as error:
        raise DataError(f"{path.name!r} cannot be read as TIFF ({error})") from error
    found: dict[str, Any] = {"data": data, "axes": axes}
    pixels = _pixels(ome)
    grid = axes[:-1] if axes.endswith("C") and data.shape[-1] in (3, 4) else axes
    sizes = _ome_sizes(pixels) if pixels is not None else _imagej_sizes(imagej, value)
    found["scale"] = tuple(sizes.get(axis, (1.0, ""))[0] for axis in grid)
    found["units"] = tuple(sizes.get(axis, (1.0, "pixel"))[1] for axis in grid)
    names = _ome_channels(pixels)
    if "C" in grid and len(names) == data.shape[axes.index("C")]:
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
    for axis in "XYZ":
        size, unit = sizes.get(axis, (1.0, "pixel"))
        if unit != "pixel":
            ome[f"PhysicalSize{axis}"] = size
            ome[f"PhysicalSize{axis}Unit"] = _UNITS.get(unit, unit)
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


def _ome_sizes(pixels: ElementTree.Element) -> dict[str, tuple[float, str]]:
    sizes = {}
    for axis in "XYZ":
        size = pixels.get(f"PhysicalSize{axis}")
        if size is not None:
            unit = pixels.get(f"PhysicalSize{axis}Unit", "µm")
            sizes[axis] = (float(size), "micrometer" if unit == "µm" else unit)
    return sizes


def _ome_channels(pixels: ElementTree.Element | None) -> tuple[str, ...]:
    channels = [] if pixels is None else list(pixels)
    names = [e.get("Name") for e in channels if e.tag.endswith("}Channel")]
    return tuple(name for name in names if name)


def _imagej_sizes(
    imagej: Mapping[str, Any], resolution: tuple[int, int] | None
) -> dict[str, tuple[float, str]]:
    """ImageJ keeps pixels per unit in a tag, and the unit in its own text."""
    unit = {"um": "micrometer", "µm": "micrometer", "\\u00B5m": "micrometer"}.get(
        str(imagej.get("unit")), str(imagej.get("unit"))
    )
    if "unit" not in imagej or not resolution or not resolution[0]:
        return {}
    size = resolution[1] / resolution[0]
    sizes = {"Y": (size, unit), "X": (size, unit)}
    if "spacing" in imagej:
        sizes["Z"] = (float(imagej["spacing"]), unit)
    return sizes
