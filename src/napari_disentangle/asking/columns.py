"""A table of objects as questions see it: features, and columns with a role."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from napari_disentangle.asking.finding import listed
from napari_disentangle.errors import DataError
from napari_disentangle.files.text import read_csv
from napari_disentangle.image.arrays import Array, Doubles

# Columns that say where an object is or what was found before, not what it looks like.
_PLACES = {"index", "label", "t", "z", "y", "x", "image", "image number", "group",
           "touches_border", "population", "orientation"}  # fmt: skip
_BEGINNINGS = ("centroid", "bbox", "taught", "typical", "Unnamed", "ImageNumber",
               "ObjectNumber", "Location_", "Metadata_", "AreaShape_Center",
               "AreaShape_BoundingBox")  # fmt: skip
_CODES = "view "
# Rows of which the main axes are learned that are drawn; share of a column that must be
# known.
_DRAWN, _KNOWN = 20_000, 0.5


@dataclass(frozen=True, eq=False)
class Table:
    """Objects, one row each.

    Attributes
    ----------
    columns
        All of them (n,).
    names
        Of the features.
    values
        Features of mean 0 and spread 1 (n, F).
    said
        What was left out, in sentences.
    """

    columns: Mapping[str, Array]
    names: tuple[str, ...]
    values: Doubles = field(repr=False)
    said: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.values)

    def role(self, name: str, role: str) -> Array:
        """A column as text (n,), "" where it is not known.

        Raises
        ------
        DataError
            If there is no such column, or it has but one value.
        """
        if name not in self.columns:
            raise DataError(
                f"the table has no column {name!r} ({role}): it has "
                f"{listed([*self.columns], 12)}"
            )
        column = self.columns[name]
        texts = np.array([text_of(one) for one in column.tolist()], dtype=object)
        if len({*texts} - {""}) < 2:
            raise DataError(f"column {name!r} ({role}) has one value: take another")
        return texts.astype(str)

    def picture(self) -> Doubles:
        """Rows along the two main axes, to be drawn (n, 2)."""
        step = max(1, len(self) // _DRAWN)
        _, axes = np.linalg.eigh(self.values[::step].T @ self.values[::step])
        drawn = np.zeros((len(self), 2))
        drawn[:, : min(2, len(axes))] = self.values @ axes[:, ::-1][:, :2]
        return drawn

    def only(self, rows: Array) -> Table:
        """Some of the rows."""
        columns = {name: column[rows] for name, column in self.columns.items()}
        return Table(columns, self.names, self.values[rows], self.said)


def read_table(
    source: Any, roles: Iterable[str] = (), features: Sequence[str] | str | None = None
) -> Table:
    """A table as questions see it.

    Parameters
    ----------
    source
        Columns by name, a table of pandas (such as ``layer.features``), or a CSV file.
    roles
        Columns that are no features.
    features
        Names of features; else the codes (``view 1`` ...), or without them all columns
        of numbers that do not say where an object is.

    Raises
    ------
    DataError
        If it is no table, or there is no feature in it.
    """
    columns = columns_of(source)
    if not columns or not len(next(iter(columns.values()))):
        raise DataError("the table is empty: take one with a row per object")
    if len({len(one) for one in columns.values()}) > 1:
        raise DataError("columns of the table have different lengths")
    named = [features] if isinstance(features, str) else features
    whole: list[str] = []
    if named is None:
        named, whole = _of_objects(columns, _features(columns, {*roles}), {*roles})
    names = list(named)
    absent = [name for name in names if name not in columns]
    if absent:
        raise DataError(f"the table has no column {listed(absent)}")
    texts = [name for name in names if columns[name].dtype.kind not in "fiub"]
    if texts:
        raise DataError(f"{listed(texts)} holds no numbers: leave it out of features")
    kept, values, said = _standard(columns, names)
    if whole:
        said = (*said, f"no features, for they are of wells or images: {listed(whole)}")
    if not kept:
        raise DataError(
            "no column of the table says what objects look like: measure or code them, "
            "or name features"
        )
    return Table(columns, kept, values, (*said, f"features: {listed(kept, 6)}"))


def columns_of(source: Any) -> dict[str, Array]:
    """Columns by name (n,), whatever holds them."""
    if isinstance(source, (str, Path)):
        path = Path(source)
        if not path.is_file():
            raise DataError(f"there is no file {str(source)!r}")
        source = read_csv(path)
    if not (hasattr(source, "keys") and hasattr(source, "__getitem__")):
        raise DataError(
            f"{type(source).__name__} is no table: give columns by name, features of a "
            "layer or a CSV file"
        )
    return {str(name): _array(source[name]) for name in source.keys()}  # noqa: SIM118


def _array(column: Any) -> Array:
    values = np.asarray(column)
    if values.dtype.kind in "fiub":
        return values
    return np.array([text_of(one) for one in values.tolist()], dtype=object)


def text_of(value: Any) -> str:
    """A value as it is compared: 1.0 and 1 are the same, what is unknown is empty."""
    if isinstance(value, float):
        if not np.isfinite(value):
            return ""
        value = int(value) if value.is_integer() else value
    text = "" if value is None else str(value).strip()
    return "" if text in ("nan", "<NA>", "None") else text


def _features(columns: Mapping[str, Array], roles: set[str]) -> list[str]:
    """Codes, or all numbers that do not say where an object is."""
    numbers = [
        name
        for name, column in columns.items()
        if column.dtype.kind in "fiu"
        and name not in roles | _PLACES
        and not name.startswith(_BEGINNINGS)
    ]
    codes = [name for name in numbers if name.startswith(_CODES)]
    return codes or numbers


def _of_objects(
    columns: Mapping[str, Array], names: Sequence[str], roles: set[str]
) -> tuple[list[str], list[str]]:
    """Columns that differ between objects of a well or image, and those that do not."""
    n = len(next(iter(columns.values())))
    units = [columns[name] for name in roles | {"image"} if name in columns]
    keys = [np.unique(one.astype(str), return_inverse=True)[1] for one in units]
    few = [key for key in keys if 2 <= key.max() + 1 <= n // 4]
    whole = [
        name
        for name in names
        if any(_same_within(columns[name].astype(float), key) for key in few)
    ]
    return [name for name in names if name not in whole], whole


def _same_within(values: Doubles, key: Array) -> bool:
    """Whether a column differs, but not within units that have several objects."""
    if not np.isfinite(values).any() or np.nanmin(values) == np.nanmax(values):
        return False
    first = values[np.unique(key, return_index=True)[1]]
    return bool(np.array_equal(first[key], values, equal_nan=True))


def _standard(
    columns: Mapping[str, Array], names: Sequence[str]
) -> tuple[tuple[str, ...], Doubles, tuple[str, ...]]:
    """Features of mean 0 and spread 1, and which were left out."""
    kept, values, dropped = [], [], []
    for name in names:
        one = columns[name].astype(np.float64)
        known = np.isfinite(one)
        mean = one[known].mean() if known.any() else 0.0
        filled = np.where(known, one, mean)
        spread = filled.std()
        if known.mean() < _KNOWN or spread <= 1e-9 * max(abs(mean), 1e-300):
            dropped.append(name)
            continue
        kept.append(name)
        values.append((filled - mean) / spread)
    said = (f"left out, for it is constant or unknown: {listed(dropped)}",)
    table = np.stack(values, axis=1) if values else np.empty((0, 0))
    return tuple(kept), table, said if dropped else ()
