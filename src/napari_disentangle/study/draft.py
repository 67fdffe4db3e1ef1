"""A first recipe for a folder or a plate, with a word about every line."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

import yaml

from napari_disentangle.errors import DataError
from napari_disentangle.model.registry import DEFAULT
from napari_disentangle.study.batches import parts, pattern
from napari_disentangle.study.plate import is_plate
from napari_disentangle.study.scan import Item, read_off, regrouped, scan
from napari_disentangle.study.study import Input, Study

_WELL = r"(?:^|[^A-Za-z0-9])([A-P]\d{1,2})(?![0-9A-Za-z])"
_TEXT = """\
# What is given one look. Paths are relative to this file.
#   napari-disentangle batch check {name}    says what would be done
#   napari-disentangle batch run {name}      does it; the same again goes on

# Where the images are: folder (with glob: "*/DAPI/*.tif"), files: [...], table: a CSV
# file with a column path, or plate: an OME-Zarr plate. Where files do not say it, add
# axes: ZYX, modality: fluorescence or full_scale: 4095; and all_images: true for files
# that hold several images.
inputs:
{inputs}

# Columns that are read from paths: a regular expression each, what is in its first ()
# counts. For case01_leica.tif: scanner: '_([a-z]+)\\.tif' (in single quotes).
labels:{labels}

# The column that tells which images were prepared and taken alike: {columns}.
group: {group}

# Controls, by columns; then the look of a group is that of its controls alone, so that
# what a treatment does stays. * and ? stand for anything; wells have two digits (A01).
controls: {{}}
#  well: ["*01", "*12", "B03"]

# The column that images should keep telling, such as a treatment; for the report only.
biology: null

# group: one look per group. image: every image by itself, which also removes what
# treatments do.
look: group

# The look that all are given: study (mean of the looks of all groups), or one of
# {{group: NAME}}, {{image: FILE}} and {{look: FILE.json}}.
reference: study

outputs: [content]
model: {model}

# Where results go, and as what: .ome.zarr, .ome.tif, .png; null: as the image is.
folder: {folder}
suffix: null
"""


def first(folder: Path, root: Path) -> tuple[Study, list[Item]]:
    """A first study of a folder, a plate or a table, and its images.

    Parameters
    ----------
    folder
        A folder of images, an OME-Zarr plate, or a CSV file with a column ``path``.
    root
        Where its recipe will be.

    Raises
    ------
    DataError
        If there is no image in it.
    """
    name = re.sub(r"(\.ome)?\.(zarr|csv)$", "", folder.absolute().name)
    blank = Study(
        inputs=(_input(folder, os.path.relpath(folder, root)),),
        folder=f"{name}-normalised",
        model=DEFAULT,
        root=root,
    )
    items = scan(blank)
    if all(item.inside for item in items):
        labels: dict[str, str] = {}
        group: str | None = "plate"
    else:
        labels, group = _told(items)
    study = blank.model_copy(update={"labels": labels, "group": group})
    return study, regrouped(study, items)


def _input(place: Path, given: str) -> Input:
    if place.suffix.lower() == ".csv" and place.is_file():
        return Input(table=given)
    if not place.is_dir():
        raise DataError(
            f"{str(place)!r} is neither a folder nor a table: name a folder of "
            "images, a plate, or a CSV file with a column path"
        )
    return Input(plate=given) if is_plate(place) else Input(folder=given)


def draft(folder: str | Path, recipe: str | Path) -> str:
    """The text of a recipe for a folder of images, a plate or a table.

    Raises
    ------
    DataError
        If there is no image in it.
    """
    place = Path(recipe)
    study, items = first(Path(folder), place.absolute().parent)
    given = study.inputs[0].model_dump(exclude_defaults=True)
    labels = study.labels
    return _TEXT.format(
        name=place.name,
        inputs=_yaml([given]),
        labels=f"\n{_indented(labels)}" if labels else " {}",
        columns=", ".join(items[0].labels),
        group=study.group or "null",
        model=study.model,
        folder=_yaml_word(study.folder),
    )


def _told(items: Sequence[Item]) -> tuple[dict[str, str], str | None]:
    """Columns that paths tell, and the one that may be the batch: the coarser."""
    paths = [item.path for item in items]
    labels = {"well": _WELL} if all(re.search(_WELL, path) for path in paths) else {}
    labels |= parts(paths)
    folders = {item.labels["folder"] for item in items}
    found = pattern(paths)
    if found is not None:
        word, expression = found
        named = {read_off(expression, path) for path in paths}
        if len(folders) == 1 or len(named) <= len(folders):
            return {word: expression, **labels}, word
    return labels, "folder" if len(folders) > 1 else None


def _yaml(value: object) -> str:
    return yaml.safe_dump(value, allow_unicode=True).rstrip()


def _indented(labels: dict[str, str]) -> str:
    return "\n".join(f"  {line}" for line in _yaml(labels).splitlines())


def _yaml_word(name: str) -> str:
    return yaml.safe_dump(name, allow_unicode=True).partition("\n")[0]
