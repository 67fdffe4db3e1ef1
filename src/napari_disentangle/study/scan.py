"""What a study holds: one record per image, found without opening any of them."""

from __future__ import annotations

import csv
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from errno import ELOOP
from fnmatch import fnmatchcase
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import Any

from napari_disentangle.errors import DataError
from napari_disentangle.files.microscope import ENDINGS
from napari_disentangle.files.ome_zarr import MARKS
from napari_disentangle.files.registry import FORMATS, count
from napari_disentangle.study import ledger
from napari_disentangle.study.plate import fields_of, is_plate
from napari_disentangle.study.study import OWN_COLUMNS, Input, Study

# What is taken for an image where no pattern says what is.
_IMAGES = (*FORMATS, *ENDINGS, ".svs", ".ndpi")
_NUMBERED = re.compile(r"^(.+)(#)(\d+|large)$")
_WELL = re.compile(r"^([A-Z]{1,2})/?0*(\d{1,2})$")
_READING = ("axes", "modality", "full_scale")
# Bytes of a file's name that leave room for the output, the ending, and ".unfinished".
_LONGEST_NAME = 180
# Values of a column that are named in a message.
_LISTED = 5


@dataclass(frozen=True)
class Item:
    """An image of a study.

    Attributes
    ----------
    path
        Its name in the study, wherever the recipe is: the path without the way up.
    file
        Where it is, relative to the recipe; ``FILE#1`` is the second image in it.
    output
        Its name in the folder of results, without output and ending.
    labels
        What is known of it, by column.
    reading
        How it is to be read, where its file does not say so.
    inside
        Where it is in the plate, which ``output`` is then the name of.
    group
        Which images were prepared and taken alike.
    control
        Whether the look of its group is measured on it.
    trouble
        Why it cannot be read, if that is known before it is tried.
    """

    path: str
    file: str
    output: str
    labels: Mapping[str, str] = field(default_factory=dict)
    reading: Mapping[str, Any] = field(default_factory=dict)
    group: str = ""
    control: bool = False
    inside: str = ""
    trouble: str = ""

    @property
    def short(self) -> str:
        """Plate, well and field, or the folder and the name of the file."""
        if self.inside:
            return " ".join(self.labels[one] for one in ("plate", "well", "field"))
        return "/".join(self.path.split("/")[-2:])


def well_of(item: Item) -> tuple[str, int] | None:
    """Row and column of the well that an image is of, if that is told."""
    found = _WELL.match(item.labels.get("well", ""))
    return (found.group(1), int(found.group(2))) if found else None


def plate_of(item: Item) -> str:
    """The plate of a well, as far as that is told."""
    return item.labels.get("plate") or item.labels["folder"]


@dataclass(frozen=True)
class _Found:
    """A path, what is known and wrong of it, and where in a plate it is."""

    path: Path
    labels: Mapping[str, str] = field(default_factory=dict)
    trouble: str = ""
    inside: str = ""


def scan(study: Study) -> list[Item]:
    """All images of a study, in a settled order.

    Raises
    ------
    DataError
        If an input is not there, or holds no image, or a column is unknown.
    """
    items: dict[str, Item] = {}
    for given in study.inputs:
        found = [*_items(study, given)]
        if not found:
            raise DataError(f"there is no image in {_said(given)}: check the recipe")
        for item in found:
            there = items.setdefault(item.path, item)
            if there.file != item.file:  # of one name in two places
                items.setdefault(item.file, replace(item, path=item.file))
    return regrouped(study, [*_named(items.values())])


def regrouped(study: Study, items: Sequence[Item]) -> list[Item]:
    """The same images with other labels, groups and controls.

    Raises
    ------
    DataError
        If a column is unknown, or no image has a value that is to be a control.
    """
    told = [
        replace(item, labels={**item.labels, **_read_off(study, item.path)})
        for item in items
    ]
    _check_columns(study, told)
    return [_grouped(study, item) for item in told]


def _items(study: Study, given: Input) -> Iterator[Item]:
    own = {key: getattr(given, key) for key in _READING}
    for found in _found(study, given):
        known = dict(found.labels)
        said = {**own, **{k: known.pop(k) for k in _READING if known.get(k)}}
        reading = {key: one for key, one in said.items() if one is not None}
        if "full_scale" in reading:
            reading["full_scale"] = _number(found.path, reading["full_scale"])
        for path in _each(found, given.all_images):
            relative = Path(os.path.relpath(path, study.root)).as_posix()
            place = PurePosixPath(relative.lstrip("./"))
            outside = _outside(place, found.inside)
            labels = {"name": outside.name, "folder": outside.parent.name, **known}
            output = str(_stem(outside))
            item = Item(str(place), relative, output, labels, reading)
            trouble = found.trouble or _unnameable(relative)
            yield replace(item, inside=found.inside, trouble=trouble)


def _number(path: Path, text: Any) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise DataError(
            f"full_scale of {path.name!r} is {text!r}: it must be a number"
        ) from error


def _each(found: _Found, every: bool) -> Iterator[str]:
    """The images of one file."""
    yield str(found.path)
    if every and not found.trouble:
        try:
            n = count(found.path)
        except DataError:  # said when it is read
            return
        yield from (f"{found.path}#{number}" for number in range(1, n))


def _unnameable(path: str) -> str:
    """What is wrong with a name that no recipe can hold."""
    shown = path.encode(errors="backslashreplace").decode()
    return "" if shown == path else f"{shown!r} is no name in UTF-8: rename it"


def _read_off(study: Study, path: str) -> dict[str, str]:
    return {column: read_off(one, path) for column, one in study.labels.items()}


def read_off(pattern: str, path: str) -> str:
    """What a pattern finds in a path: its first group, or the whole."""
    match = re.search(pattern, path)
    return (match.group(1 if match.re.groups else 0) or "") if match else ""


def _outside(path: PurePosixPath, inside: str) -> PurePosixPath:
    """The plate that an image is in, or the image."""
    return path.parents[inside.count("/")] if inside else path


# --- where they are -------------------------------------------------------------------
def _said(given: Input) -> str:
    name = given.folder or given.table or given.plate or ", ".join(given.files or ())
    return f"{name!r}" + (f" like {given.glob!r}" if given.folder else "")


def _found(study: Study, given: Input) -> Iterator[_Found]:
    if given.plate is not None:
        yield from _fields(study.place(given.plate))
    elif given.table is not None:
        yield from _rows(study.place(given.table))
    elif given.files is not None:
        yield from (_checked(study.place(name)) for name in given.files)
    else:
        folder = study.place(str(given.folder))
        if not folder.is_dir():
            raise DataError(f"there is no folder {str(folder)!r}: check the recipe")
        if folder.is_relative_to(study.target):
            raise DataError(
                f"results in {str(study.target)!r} would lie among the images of "
                f"{str(folder)!r}: choose another folder for them"
            )
        for found in _walk(folder, {_identity(folder)}):
            if found.trouble or _wanted(found.path.relative_to(folder), given.glob):
                yield from _expanded(found)


def _wanted(path: Path, glob: str) -> bool:
    if glob == "**/*":
        return _like_image(path)
    any_depth = glob.removeprefix("**/")
    name = path.as_posix()
    return fnmatchcase(name, glob) or (
        glob != any_depth and fnmatchcase(name, any_depth)
    )


def _walk(folder: Path, above: set[tuple[int, int]]) -> Iterator[_Found]:
    """Files and Zarrs below a folder by name; links that lead back are not followed."""
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        yield _Found(folder, {}, f"{folder.name!r} cannot be listed ({error.strerror})")
        return
    for entry in entries:
        path = Path(entry.path)
        if entry.is_symlink() and _broken(path):
            if _like_image(path):
                yield _checked(path)
        elif not entry.is_dir() or _like_image(path) or _is_zarr(path):
            yield _Found(path)
        elif _identity(path) not in above:
            if not ledger.in_use(path):  # results of a study are not its images
                yield from _walk(path, above | {_identity(path)})
        else:
            yield _Found(path, {}, f"{path.name!r} is a link to a folder that it is in")


def _like_image(path: Path) -> bool:
    return path.name.lower().endswith(_IMAGES)


def _is_zarr(folder: Path) -> bool:
    with suppress(PermissionError):  # said when it is listed
        return any((folder / mark).exists() for mark in MARKS)
    return False


def _identity(folder: Path) -> tuple[int, int]:
    known = folder.stat()
    return known.st_dev, known.st_ino


def _broken(path: Path) -> str:
    """What is wrong with a link; empty if it leads somewhere."""
    try:
        path.stat()
    except FileNotFoundError:
        return f"{path.name!r} is a link to {os.readlink(path)!r}, which is not there"
    except OSError as error:
        if error.errno == ELOOP:
            return f"{path.name!r} is a link that leads to itself"
        return f"{path.name!r} is a link that cannot be followed ({error.strerror})"
    return ""


def _expanded(found: _Found) -> Iterator[_Found]:
    """A file, or the fields of a plate."""
    if not found.trouble and found.path.is_dir() and is_plate(found.path):
        yield from _fields(found.path)
    else:
        yield found


def _fields(plate: Path) -> Iterator[_Found]:
    for inside, labels in fields_of(plate):
        yield _Found(plate / inside, labels, inside=inside)


def _checked(path: Path) -> _Found:
    return _Found(path, {}, _broken(path) if path.is_symlink() else "")


def _rows(table: Path) -> Iterator[_Found]:
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            rows = [*csv.DictReader(file)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{table.name!r} cannot be read as CSV ({error})") from error
    for line, row in enumerate(rows, 2):
        if not row.get("path"):
            raise DataError(
                f"{table.name!r} names no file in line {line}: it needs a column 'path'"
            )
        labels = {str(k): str(v or "") for k, v in row.items() if k and k != "path"}
        place = table.parent / str(row["path"])
        yield replace(_checked(place), labels=labels)


# --- what they are called, and which belong together ----------------------------------
def _stem(path: PurePosixPath) -> PurePosixPath:
    """The name of results; what tells apart images of one file or plate stays."""
    name, sign, number = path.name, "", ""
    if found := _NUMBERED.match(path.name):
        name, sign, number = found.groups()
    known = (one for one in _IMAGES if name.lower().endswith(one))
    stem = name[: -len(next(known, "")) or None] + (f"_{number}" if sign else "")
    whole = os.fsencode(stem)
    if len(whole) > _LONGEST_NAME:
        end = sha256(whole).hexdigest()[:8]
        stem = f"{whole[:_LONGEST_NAME].decode(errors='ignore')}~{end}"
    return path.with_name(stem)


def _named(items: Iterable[Item]) -> Iterator[Item]:
    """Images of one name in one folder keep their endings."""
    listed = [*items]
    often = Counter((item.output.lower(), item.inside) for item in listed)
    for item in listed:
        if often[item.output.lower(), item.inside] > 1:
            ending = sha256(os.fsencode(item.path)).hexdigest()[:8]
            yield replace(item, output=f"{item.output}~{ending}")
        else:
            yield item


def _check_columns(study: Study, items: Iterable[Item]) -> None:
    known: dict[str, set[str]] = {name: set() for name in OWN_COLUMNS}
    for item in items:
        for name, value in item.labels.items():
            known.setdefault(name, set()).add(value)
    for column in filter(None, [study.group, study.biology]):
        _check_column(column, known)
    for said in (study.controls, study.normal):
        for column, values in said.items():
            _check_column(column, known)
            for value in values:
                _check_value(column, value, known[column])


def _check_column(column: str, known: Mapping[str, set[str]]) -> None:
    if column not in known:
        raise DataError(
            f"no image has a column {column!r}: use one of "
            f"{', '.join(sorted(known))}, or add it to labels"
        )


def _check_value(column: str, value: str, known: set[str]) -> None:
    """Refuse what would lose controls in silence."""
    if not any(fnmatchcase(one, value) for one in known):
        some = ", ".join(sorted(known)[:_LISTED])
        raise DataError(
            f"no image has {value!r} as {column}: there are {some}"
            + ", ..." * (len(known) > _LISTED)
        )


def _grouped(study: Study, item: Item) -> Item:
    group = item.labels.get(study.group, "") if study.group else ""
    return replace(item, group=group, control=matches(item, study.controls))


def matches(item: Item, said: Mapping[str, Sequence[str]]) -> bool:
    """Whether an image has one of the values in each of these columns."""
    return all(
        any(fnmatchcase(item.labels.get(column, ""), one) for one in values)
        for column, values in said.items()
    )
