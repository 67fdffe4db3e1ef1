"""Regions as files for others: tables as CSV, outlines as GeoJSON for QuPath."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_disentangle.detector.outlines import Polygon, outlines
from napari_disentangle.errors import AxesError
from napari_disentangle.files.text import csv_text, write_text
from napari_disentangle.image.arrays import Array
from napari_disentangle.image.units import plain_symbol

# QuPath refuses a class without a colour (its GsonTools.PathClassTypeAdapter).
_CLASS = {"name": "anomaly", "color": [230, 60, 40]}


def write_csv(
    path: str | Path,
    table: Mapping[str, Array],
    units: Sequence[str],
    overwrite: bool = False,
) -> None:
    """Write a table of regions, with units in the names of its columns.

    Values that are not known are left empty.

    Parameters
    ----------
    path
        File to be written.
    table
        As :func:`napari_disentangle.detector.regions.regions` returns it.
    units
        Name or symbol of the unit per axis of the labels.
    overwrite
        Whether a file that exists is replaced.

    Raises
    ------
    DataError
        If the file exists already, or its folder does not.
    """
    write_text(path, csv_text(named(table, units)), overwrite)


def write_geojson(
    path: str | Path,
    labels: NDArray[np.integer],
    table: Mapping[str, Array],
    axes: str,
    units: Sequence[str],
    overwrite: bool = False,
) -> None:
    """Write the outlines of regions as annotations that QuPath reads.

    Coordinates are pixels, x before y, and (0, 0) is the outer corner of the first
    pixel. A region in several planes becomes one annotation in each, with the
    measurements of the whole region; what is not known is no measurement, since QuPath
    reads no empty ones.

    Parameters
    ----------
    path
        File to be written.
    labels
        Labels on the grid of ``axes``.
    table
        One row per label, with a column ``label``; labels without a row, such as those
        painted by hand, have no measurements.
    axes
        Axes of the labels: Y and X, and at most Z and T.
    units
        Name or symbol of the unit per axis; it goes into the names of measurements.
    overwrite
        Whether a file that exists is replaced.

    Raises
    ------
    AxesError
        If the axes do not fit the labels, or QuPath does not know them.
    DataError
        If the file exists already, or its folder does not.
    """
    _check_axes(axes, labels.shape)
    known = _measurements(table, units)
    features = [
        _feature(label, polygons, plane, known.get(label, {}))
        for plane, values in _planes(labels, axes)
        for label, polygons in outlines(values).items()
    ]
    collection = {"type": "FeatureCollection", "features": features}
    write_text(path, json.dumps(collection, allow_nan=False), overwrite)


def named(table: Mapping[str, Array], units: Sequence[str]) -> dict[str, Array]:
    """A table with units in the names of its columns, e.g. ``area_um2``.

    Parameters
    ----------
    table
        Columns by name.
    units
        Name or symbol of the unit per axis of the labels.
    """
    suffixes = {"size": "px", "area": _power(units[-2:]), "volume": _power(units[-3:])}
    suffixes["equivalent_diameter"] = _symbol(units[-3 if "volume" in table else -2 :])
    for i, unit in enumerate(units):
        suffixes |= {f"centroid-{i}": "px", f"centroid_world-{i}": plain_symbol(unit)}
    return {
        f"{name}_{suffixes[name]}" if name in suffixes else name: values
        for name, values in table.items()
    }


def _symbol(units: Sequence[str]) -> str:
    symbols = {plain_symbol(unit) for unit in units}
    return symbols.pop() if len(symbols) == 1 else "mixed"


def _power(units: Sequence[str]) -> str:
    symbol = _symbol(units)
    return symbol if symbol == "mixed" else f"{symbol}{len(units)}"


def _rows(table: Mapping[str, Array]) -> Iterator[list[Any]]:
    """The rows as plain numbers; ``None`` where they are not finite."""
    columns = [values.tolist() for values in table.values()]
    for row in zip(*columns, strict=True):
        yield [value if np.isfinite(value) else None for value in row]


def _measurements(
    table: Mapping[str, Array], units: Sequence[str]
) -> dict[int, dict[str, float]]:
    """What is known of each label."""
    names, known = list(named(table, units)), {}
    for row in _rows(table):
        record = dict(zip(names, row, strict=True))
        label = record.pop("label")
        known[label] = {name: one for name, one in record.items() if one is not None}
    return known


def _check_axes(axes: str, shape: tuple[int, ...]) -> None:
    if len(axes) != len(shape) or len(set(axes)) < len(axes) or {*"YX"} - {*axes}:
        raise AxesError(f"axes {axes!r} do not fit labels of shape {shape}: name each")
    if {*axes} - {*"TZYX"}:
        raise AxesError(
            f"axes {axes!r} are more than Y, X, Z and T, which is all that QuPath "
            "knows: write each position to its own file"
        )


def _planes(
    labels: NDArray[np.integer], axes: str
) -> Iterator[tuple[dict[str, int], NDArray[np.integer]]]:
    """Every plane (Y, X) with labels, and where it is as QuPath puts it."""
    lead = [axis for axis in axes if axis in "TZ"]
    planes = labels.transpose([axes.index(axis) for axis in [*lead, *"YX"]])
    for index in np.ndindex(planes.shape[:-2]):
        if planes[index].any():
            place = dict(zip(lead, index, strict=True))
            yield (
                {"c": -1, "z": place.get("Z", 0), "t": place.get("T", 0)},
                planes[index],
            )


def _feature(
    label: int,
    polygons: list[Polygon],
    plane: dict[str, int],
    measurements: dict[str, float],
) -> dict[str, Any]:
    one = len(polygons) == 1
    geometry = {
        "type": "Polygon" if one else "MultiPolygon",
        "coordinates": polygons[0] if one else polygons,
        "plane": plane,
    }
    properties = {
        "objectType": "annotation",
        "name": f"anomaly {label}",
        "classification": _CLASS,
        "measurements": measurements,
    }
    return {"type": "Feature", "geometry": geometry, "properties": properties}
