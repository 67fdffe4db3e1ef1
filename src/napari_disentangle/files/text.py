"""Texts as files that appear only once they are whole."""

import csv
import io
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

from napari_disentangle.errors import DataError
from napari_disentangle.files.place import move_file


def csv_text(names: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A table as CSV; ``None`` is left empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    for row in rows:
        writer.writerow(["" if value is None else value for value in row])
    return text.getvalue()


def check_place(path: Path, overwrite: bool = False) -> None:
    """Refuse what could not be written.

    Raises
    ------
    DataError
        If the file exists already, or its folder does not.
    """
    if path.exists() and not overwrite:
        raise DataError(f"{path.name!r} exists already: choose another name")
    if not path.absolute().parent.is_dir():
        raise DataError(f"there is no folder {str(path.parent)!r}: create it first")


def write_text(path: str | Path, text: str, overwrite: bool = False) -> None:
    """Write a file that appears only once it is whole.

    Raises
    ------
    DataError
        If the file exists already, or its folder does not.
    """
    place = Path(path)
    check_place(place, overwrite)
    partial = place.with_name(f".{place.name}.{uuid4().hex}")
    try:
        with partial.open("x", encoding="utf-8", newline="") as file:
            file.write(text)
        (os.replace if overwrite else move_file)(partial, place)
    except FileExistsError as error:
        raise DataError(
            f"{place.name!r} exists already: choose another name"
        ) from error
    finally:
        partial.unlink(missing_ok=True)
