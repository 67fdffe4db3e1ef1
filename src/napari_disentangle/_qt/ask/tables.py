"""Tables of Labels layers as one, and columns that go back into them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from napari_disentangle.asking.columns import text_of
from napari_disentangle.errors import DataError
from napari_disentangle.files.text import read_csv
from napari_disentangle.image.arrays import Array
from napari_disentangle.layers.data import KEY

IMAGE, NAMES = "image", "named"
_NO_ROLE = ("index", "label", NAMES)
# What columns are called that have a role; the first that is there is proposed.
_PROPOSED = {
    "by": ("treatment", "condition", "drug", "compound", "class", "kind"),
    "groups": ("well", "slide", "animal", "patient", "donor", "field", IMAGE),
    "batch": ("plate", "batch", "scanner", "run", "day"),
}
_PROPOSED["domain"] = _PROPOSED["by"]
# Columns of more values than this have no role.
_MOST = 200


@dataclass(frozen=True, eq=False)
class Gathered:
    """Rows of several layers, one after the other.

    Attributes
    ----------
    layers
        Labels layers.
    columns
        That all of them have, (n,) each, and the name of every object's image.
    """

    layers: Sequence[Any]
    columns: Mapping[str, Array]

    def __len__(self) -> int:
        return sum(len(layer.features) for layer in self.layers)

    @property
    def unchanged(self) -> bool:
        """Whether the layers have the same rows as then."""
        now = np.concatenate([numbers(layer) for layer in self.layers])
        return np.array_equal(now, self.columns["index"])

    def place(self, row: int) -> tuple[Any, int]:
        """The layer of a row, and the object's label in it."""
        for layer in self.layers:
            if row < len(layer.features):
                return layer, int(numbers(layer)[row])
            row -= len(layer.features)
        raise IndexError(row)

    def parts(self, values: Array) -> Iterable[tuple[Any, Array]]:
        """Every layer with its own part of a column (n,)."""
        ends = np.cumsum([len(layer.features) for layer in self.layers])
        return zip(self.layers, np.split(values, ends[:-1]), strict=True)


def with_tables(layers: Iterable[Any]) -> list[Any]:
    """Labels layers that are seen and have a row for every object."""
    return [
        one
        for one in layers
        if one.visible
        and type(one).__name__ == "Labels"
        and len(one.features)
        and len(one.features.columns)
        and one.metadata.get(KEY, {}).get("output") != "colours"
    ]


def gathered(layers: Sequence[Any]) -> Gathered:
    """The tables of layers as one.

    Raises
    ------
    DataError
        If there is none, or they have no column in common.
    """
    if not layers:
        raise DataError(
            "No Labels layer that is seen has a table: find and code objects first, "
            "in the tab Find, or open labels with features."
        )
    tables = [layer.features for layer in layers]
    tables = [_named(one) for one in tables]
    names = [n for n in tables[0].columns if all(n in one.columns for one in tables)]
    if not {*names} - {NAMES}:
        raise DataError(
            "The tables of these layers have no column in common: hide all but those "
            "of one kind."
        )
    columns = {
        name: np.concatenate([one[name].to_numpy() for one in tables]) for name in names
    }
    images = [image_of(layer) for layer in layers]
    columns["index"] = np.concatenate([numbers(layer) for layer in layers])
    columns[IMAGE] = np.repeat(np.array(images, object), [len(one) for one in tables])
    return Gathered(layers, columns)


def _named(features: Any) -> Any:
    """The same with names of objects, if none was named yet."""
    return features if NAMES in features else features.assign(**{NAMES: ""})


def numbers(layer: Any) -> Array:
    """Labels of the rows of a layer; without ``index``, as napari counts them."""
    known = layer.features
    if "index" in known:
        return np.asarray(known["index"])
    return np.arange(len(known))


def apart(layers: Sequence[Any]) -> list[str]:
    """Columns that some of the layers have and others have not."""
    every = dict.fromkeys(name for one in layers for name in one.features.columns)
    return [
        name
        for name in every
        if name != NAMES and not all(name in one.features for one in layers)
    ]


def image_of(layer: Any) -> str:
    """The name of the image whose objects these are."""
    return str(layer.metadata.get(KEY, {}).get(IMAGE, layer.name))


def put(table: Gathered, columns: Mapping[str, Array]) -> Callable[[], None]:
    """Put columns (n,) into the tables; what takes them back."""
    before = [
        (layer, {name: layer.features.get(name) for name in columns})
        for layer in table.layers
    ]
    for name, values in columns.items():
        for layer, part in table.parts(np.asarray(values)):
            layer.features = layer.features.assign(**{name: part})

    def restore() -> None:
        for layer, known in before:
            gone = [name for name, values in known.items() if values is None]
            kept = {name: v for name, v in known.items() if v is not None}
            left = layer.features.drop(columns=gone, errors="ignore")
            layer.features = left.assign(**kept)

    return restore


def roles(columns: Mapping[str, Array]) -> list[str]:
    """Columns that can have a role: text, or numbers of few values."""
    most = max(_MOST, len(columns[IMAGE]) // 2) if IMAGE in columns else _MOST
    return [
        name
        for name, values in columns.items()
        if name not in _NO_ROLE
        and values.dtype.kind != "f"
        and 2 <= len({text_of(one) for one in values.tolist()}) <= most
    ]


def proposed(role: str, names: Sequence[str]) -> str:
    """The column that is called like a role, "" for none."""
    lower = {name.lower(): name for name in names}
    for word in _PROPOSED.get(role, ()):
        for known, name in lower.items():
            if word == known or word in re.split(r"[\W_]+", known):
                return name
    return ""


# --- what is known of images ----------------------------------------------------------
def read_names(pattern: str, images: Sequence[str]) -> dict[str, list[str]]:
    """What a pattern such as ``{plate}_{well}_*`` reads off names of images.

    Raises
    ------
    DataError
        If it names nothing, or does not fit all of them.
    """
    if "}{" in pattern:
        raise DataError("Put what stands between them between two names in braces.")
    parts = re.split(r"(\{[^\W\d]\w*\}|\*)", pattern)
    regex = "".join(
        f"(?P<{part[1:-1]}>.+?)" if part.startswith("{") else
        ".*?" if part == "*" else re.escape(part)
        for part in parts
    )  # fmt: skip
    try:
        fitting = re.compile(regex)
    except re.error as error:
        raise DataError(f"{pattern!r} is no pattern: {error}") from error
    if not fitting.groupindex:
        raise DataError("Put names into braces, such as {plate}_{well}_*.")
    _check_names(list(fitting.groupindex))
    found = [fitting.fullmatch(image) for image in images]
    lacking = [name for name, one in zip(images, found, strict=True) if one is None]
    if lacking:
        raise DataError(f"{pattern!r} does not fit {lacking[0]!r}.")
    return {
        name: [one[name] for one in found if one is not None]
        for name in fitting.groupindex
    }


def read_file(path: Path, images: Sequence[str]) -> dict[str, list[Any]]:
    """Columns of a table (CSV) for images, found by the column that holds their names.

    Raises
    ------
    DataError
        If no column names all of them.
    """
    table = read_csv(path)
    for key, values in table.items():
        rows = [text_of(one) for one in values]
        if all(image in rows for image in images):
            twice = next((one for one in images if rows.count(one) > 1), None)
            if twice is not None:
                raise DataError(f"{path.name!r} has {twice!r} twice: keep one row.")
            known = [name for name in table if name != key]
            _check_names(known)
            order = [rows.index(image) for image in images]
            return {name: [table[name][i] for i in order] for name in known}
    raise DataError(
        f"No column of {path.name!r} names all images: there must be a row for "
        f"{images[0]!r} and every other one, written as here."
    )


def _check_names(names: Sequence[str]) -> None:
    """Refuse columns by which objects are found."""
    taken = next((name for name in names if name in (*_NO_ROLE, IMAGE)), None)
    if taken is not None:
        raise DataError(f"A column {taken!r} is there already: call it otherwise.")


def spread(table: Gathered, known: Mapping[str, Sequence[Any]]) -> dict[str, Array]:
    """What is known of images, in their order, for every object (n,)."""
    counts = [len(layer.features) for layer in table.layers]
    return {
        name: np.repeat(np.array([text_of(v) for v in values], object), counts)
        for name, values in known.items()
    }
