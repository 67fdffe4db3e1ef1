"""Objects and what is known of them as one table, and as a file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from napari_disentangle._version import __version__
from napari_disentangle.files.text import check_place, csv_text, write_text
from napari_disentangle.image.arrays import Array
from napari_disentangle.objects.codes import Codes
from napari_disentangle.objects.groups import Groups
from napari_disentangle.objects.objects import Objects

# Of all images together: what tells one from another is its name.
_APART = "image number"


def table(objects: Objects, *codes: Codes | Groups) -> dict[str, Array]:
    """All columns by name (n,), in the order of the objects."""
    columns = dict(objects.columns)
    for one in codes:
        columns |= one.columns()
    return {name: values for name, values in columns.items() if name != _APART}


def features(
    objects: Objects, number: int, codes: Sequence[Codes | Groups] = ()
) -> dict[str, Array]:
    """Columns of one image; napari finds rows by ``index``."""
    rows = objects.of_image(number)
    columns = table(objects, *codes)
    del columns["image"]
    return {"index": columns["label"][rows], **{k: v[rows] for k, v in columns.items()}}


def recipe(objects: Objects, *codes: Codes | Groups) -> dict[str, Any]:
    """How a table came about, in plain JSON types."""
    return {
        "software": f"napari-disentangle {__version__}",
        "objects": dict(objects.recipe or {}),
        "codes": [dict(one.recipe) for one in codes],
        "status": [*objects.said, *(said for one in codes for said in one.said)],
    }


def targets(path: str | Path) -> tuple[Path, Path]:
    """The table, and how it came about."""
    return Path(path), Path(f"{path}.json")


def write_objects(
    path: str | Path, objects: Objects, *codes: Codes | Groups, overwrite: bool = False
) -> None:
    """Write the table of objects (CSV), and beside it how it came about (JSON).

    Parameters
    ----------
    path
        File to be written; the other one has the same name and ``.json`` behind it.
    objects
        The objects.
    *codes
        What is known of them, and their groups.
    overwrite
        Whether files that exist are replaced.

    Raises
    ------
    DataError
        If one of them exists already, or the folder does not.
    """
    place, beside = targets(path)
    for one in (place, beside):
        check_place(one, overwrite)
    columns = table(objects, *codes)
    write_text(place, csv_text(columns), overwrite)
    told = json.dumps(recipe(objects, *codes), indent=1)
    write_text(beside, told + "\n", overwrite)
