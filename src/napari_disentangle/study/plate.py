"""Plates as OME-Zarr: their fields, and plates of results with the same wells."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from napari_disentangle.errors import DataError
from napari_disentangle.files.damage import readable
from napari_disentangle.files.ome_zarr import MARKS

_VERSION = "0.5"


def is_plate(folder: Path) -> bool:
    """Whether a folder is an OME-Zarr plate."""
    marked = any((folder / mark).exists() for mark in MARKS)
    return marked and "plate" in _attributes(folder)


def fields_of(plate: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """Where the fields of a plate are in it, and their columns.

    Raises
    ------
    DataError
        If it is no plate.
    """
    if not plate.is_dir():
        raise DataError(f"there is no plate {str(plate)!r}: check the recipe")
    known = _attributes(plate)
    if "plate" not in known:
        raise DataError(f"{plate.name!r} is no plate: use folder, files or table")
    for well in known["plate"]["wells"]:
        row, _, column = str(well["path"]).partition("/")
        labels = {
            "plate": _stem(plate),
            "well": f"{row}{column:0>2}",
            "row": row,
            "column": column,
        }
        for image in _images(plate, row, column):
            path = str(image["path"])
            yield f"{row}/{column}/{path}", {**labels, "field": path}


def complete(source: Path, target: Path) -> None:
    """Make a plate of the fields that are there, with the layout of another.

    What is not there is not listed, so that programs open what is.
    """
    import zarr

    known = dict(_attributes(source)["plate"])
    wells = []
    for well in known["wells"]:
        row, _, column = str(well["path"]).partition("/")
        there = [
            dict(image)
            for image in _images(source, row, column)
            if (target / row / column / str(image["path"]) / MARKS[0]).exists()
        ]
        if there:
            wells.append(dict(well))
            zarr.open_group(target / row, mode="a", zarr_format=3)
            inner = zarr.open_group(target / row / column, mode="a", zarr_format=3)
            inner.attrs["ome"] = {"version": _VERSION, "well": {"images": there}}
    if wells:
        outer = zarr.open_group(target, mode="a", zarr_format=3)
        named = {"name": f"{known.get('name', '')} {_stem(target)}".strip()}
        named["version"] = _VERSION
        plate = {**known, "wells": wells, **named}
        outer.attrs["ome"] = {"version": _VERSION, "plate": plate}


def _images(plate: Path, row: str, column: str) -> list[Mapping[str, Any]]:
    """Fields of a well; none if it cannot be read."""
    well = plate / row / column
    if not well.is_dir():
        return []
    return [*_attributes(well).get("well", {}).get("images", [])]


def _attributes(folder: Path) -> Mapping[str, Any]:
    import zarr

    with readable(folder, "Zarr"):
        kept = dict(zarr.open_group(folder, mode="r").attrs)
    found = kept.get("ome", kept)
    return found if isinstance(found, dict) else {}


def _stem(plate: Path) -> str:
    return plate.name.removesuffix(".zarr").removesuffix(".ome")
