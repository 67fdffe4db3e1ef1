"""Texts as files that appear only once they are whole."""

import csv
import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np

from napari_disentangle.errors import DataError
from napari_disentangle.files.place import move_file
from napari_disentangle.image.arrays import Array

# In the provenance of a file of labels: its table lies beside it. Without, another one
# may be left of an older file.
TABLE = "table beside"


def table_of(path: str | Path) -> Path:
    """Where the table of a file of labels is: beside it."""
    return Path(f"{path}.csv")


def csv_text(columns: Mapping[str, Array]) -> str:
    """A table of columns (n,) as CSV; what is not known is left empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*map(_plain, columns.values()), strict=True))
    return text.getvalue()


def _plain(values: Array) -> list[Any]:
    """Values as they are written: numbers as short as their type allows."""
    if values.dtype.kind != "f":
        return list(values.tolist())
    short = values.astype(str).tolist() if values.itemsize < 8 else values.tolist()
    return [
        one if ok else "" for one, ok in zip(short, np.isfinite(values), strict=True)
    ]


def read_csv(path: Path) -> dict[str, list[Any]]:
    """Columns of a table, as numbers where all that is known of one is.

    Raises
    ------
    DataError
        If it is no table.
    """
    names, rows = _rows(path)
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise DataError(f"{path.name!r} has two columns {twice!r}: name them apart")
    short = next((i for i, row in enumerate(rows) if len(row) != len(names)), None)
    if short is not None:
        raise DataError(
            f"row {short + 2} of {path.name!r} has {len(rows[short])} cells, and there "
            f"are {len(names)} columns"
        )
    columns = zip(*rows, strict=True) if rows else ([] for _ in names)
    return {name: _read(values) for name, values in zip(names, columns, strict=True)}


def _rows(path: Path) -> tuple[list[str], list[list[str]]]:
    """The names of a table and its rows, without empty ones."""
    try:
        # spreadsheets begin with a mark of the encoding
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path.name!r} is no text in UTF-8: save it as CSV in UTF-8"
        ) from error
    except OSError as error:
        raise DataError(f"{str(path)!r} cannot be read: {error.strerror}") from error
    first = text.partition("\n")[0]
    comma = max(",;\t", key=first.count)
    try:
        lines = csv.reader(io.StringIO(text, newline=""), delimiter=comma)
        names, *rows = [row for row in lines if row]
    except (ValueError, csv.Error) as error:
        raise DataError(f"{path.name!r} is no table (CSV), or is empty") from error
    return names, rows


def _read(values: Sequence[str]) -> list[Any]:
    for kind in (int, float):
        try:
            return [kind(one) if one or kind is int else float("nan") for one in values]
        except ValueError:
            continue
    if {*values} <= {"True", "False"}:
        return [one == "True" for one in values]
    return list(values)


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
        If the file exists already, its folder does not, or it cannot be written.
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
    except OSError as error:
        raise DataError(
            f"{place.name!r} cannot be written ({error.strerror or error}): make room "
            "or choose another folder, and run again"
        ) from error
    finally:
        partial.unlink(missing_ok=True)
