"""The unit of work: one image, with all that is needed to render it anywhere."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from time import perf_counter
from typing import Any

from napari_disentangle.errors import DataError, DisentangleError
from napari_disentangle.files.registry import read_provenance, suffix_like, write
from napari_disentangle.files.text import csv_text, table_of, write_text
from napari_disentangle.image.field import Field
from napari_disentangle.model.remarks import NO_FOREGROUND
from napari_disentangle.pipeline.follow import follow
from napari_disentangle.pipeline.inputs import Inputs
from napari_disentangle.pipeline.kinds import KINDS, Kind
from napari_disentangle.pipeline.output import Output
from napari_disentangle.pipeline.recipe import Recipe
from napari_disentangle.study.ledger import Record
from napari_disentangle.study.looks import Plain, Pooled, model_of, opened
from napari_disentangle.study.oddities import detector_of, look_for
from napari_disentangle.study.scan import Item
from napari_disentangle.study.study import Study

# What an output's provenance says of its study.
STUDY_KEY = "study"
DONE, FAILED = "done", "failed"
_ZARR = ".ome.zarr"
_NO_LOOK = "no foreground found: the image is rendered with the look of its group"
# What a recipe has of looks; and what is another elsewhere, and gives the same.
_LOOKS, _PASSING = ("source", "reference", "donor"), ("model", "device")


@dataclass(frozen=True)
class Unit:
    """What is made of one image.

    Attributes
    ----------
    image, path, reading
        Its name in the study, where it is, and how it is to be read.
    recipe
        Its recipe in plain JSON types, without the image itself.
    files, beside
        Where each output goes, and what belongs to it, without an ending.
    key
        The same for the same image, recipe and looks, wherever the study is.
    said
        What outputs tell of the study: group and labels.
    overwrite
        Whether files of another recipe are replaced.
    """

    image: str
    path: str
    reading: Mapping[str, Any]
    recipe: Mapping[str, Any]
    files: Mapping[Kind, Path]
    beside: Mapping[Kind, Path]
    key: str
    said: Mapping[str, Any]
    overwrite: bool = False

    def tabled(self, kind: Kind) -> bool:
        """Whether an output has its table, if it is to have one."""
        place = counts_of(self.files[kind], self.beside[kind])
        return KINDS[kind].shown != "labels" or place.exists()


def unit(
    study: Study,
    item: Item,
    look: Record,
    pool: Pooled,
    normals: Sequence[Mapping[str, Any]] = (),
) -> Unit:
    """The unit of an image.

    Parameters
    ----------
    study, item, look, pool
        The study, the image, its record, and the looks of groups.
    normals
        Images that show what is normal, as a recipe has them.

    Raises
    ------
    DataError
        If it has no look, or its group has none.
    """
    if "look" not in look:
        raise DataError(look.get("trouble", "its look was not measured"))
    own = Plain.read(look)
    _check_channels(own, pool.reference)
    source = own if study.look == "image" else _of_group(pool, item.group, own)
    looks = (source, pool.reference, pool.donor)
    recipe = _recipe(study, looks, normals)
    passing = (*_LOOKS, *_PASSING)
    timeless = {k: v for k, v in recipe.items() if k not in passing}
    timeless["normals"] = [one["name"] for one in normals]
    known = [one and one.digest for one in (own, *looks)]
    said = [timeless, own.json["model_hash"], dict(item.reading), known, study.suffix]
    key = sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:16]
    return Unit(
        item.path,
        str(study.place(item.file)),
        item.reading,
        recipe,
        {kind: place_of(study, item, kind) for kind in study.outputs},
        {kind: beside(study, item, kind) for kind in study.outputs},
        key,
        {"key": key, "group": item.group, "labels": dict(item.labels)},
    )


def _recipe(
    study: Study, looks: Iterable[Plain | None], normals: Iterable[Mapping[str, Any]]
) -> dict[str, Any]:
    """The recipe of an image, without the image itself."""
    return {
        "model": model_of(study),
        "config": study.config,
        "outputs": list(study.outputs),
        **dict(zip(_LOOKS, (one and one.json for one in looks), strict=True)),
        "strength": study.strength,
        "detector": study.detector,
        "detector_config": study.detector_config,
        "normals": [*normals],
        "cell": study.cell,
        "seed": study.seed,
        "device": study.device,
    }


def _of_group(pool: Pooled, group: str, own: Plain) -> Plain:
    """The look of the group, with what is to be said of this image."""
    look = pool.groups[group]
    if isinstance(look, str):
        raise DataError(look)
    own_words = [words for words in own.json["status"] if words != NO_FOREGROUND]
    if len(own_words) < len(own.json["status"]):
        own_words.append(_NO_LOOK)
    said = [*own_words, *look.json["status"]]
    return replace(look, json={**look.json, "status": said})


def _check_channels(own: Plain, reference: Plain) -> None:
    channels, usual = ([*one.json["channels"]] for one in (own, reference))
    if channels != usual:
        raise DataError(other_channels(channels, usual))


def other_channels(own: Sequence[str], usual: Sequence[str]) -> str:
    """Why an image of other channels cannot take part."""
    return (
        f"it has channels {', '.join(own)}, but the study has {', '.join(usual)}: take "
        "it out, or normalise it by itself"
    )


def place_of(study: Study, item: Item, kind: Kind) -> Path:
    """Where an output goes; fields of a plate into a plate, if it is to be Zarr."""
    ending = study.suffix or (_ZARR if item.inside else suffix_like(item.path))
    if study.suffix is None and ending in {".jpg", ".jpeg"}:
        ending = ".png"  # JPEG would change the values, so that takes asking for
    if item.inside and ending.endswith(".zarr"):
        return study.target / f"{item.output}_{kind}{_ZARR}" / item.inside
    if ending in {".png", ".jpg", ".jpeg"} and not KINDS[kind].pixels:
        ending = ".ome.tif"
    flat = beside(study, item, kind)
    return flat.with_name(f"{flat.name}{ending}")


def beside(study: Study, item: Item, kind: Kind) -> Path:
    """Where what belongs to an output goes, without an ending; never into a plate."""
    parts = [item.labels[one] for one in ("well", "field")] if item.inside else []
    inside = "".join(f"_{part}" for part in parts)
    return study.target / f"{item.output}{inside}_{kind}"


# --- in any process -------------------------------------------------------------------
def rendered(task: Unit) -> list[Record]:
    """Write all outputs of one image; a record for each, failed ones included."""
    made: list[Record] = []
    try:
        made.extend(written(task, opened(task.path, task.reading)))
        return made
    except DisentangleError as error:
        reason = str(error)
    except OSError as error:
        reason = f"{Path(task.path).name!r} cannot be read ({error.strerror or error})"
    known = {record["output"] for record in made}
    left = [kind for kind in task.files if kind not in known]
    return [*made, *failures(task.image, left, reason)]


def failures(image: str, kinds: Iterable[Kind], reason: str) -> list[Record]:
    """Records of outputs that cannot be made."""
    return [
        {"image": image, "output": kind, "state": FAILED, "reason": reason}
        for kind in kinds
    ]


def written(task: Unit, image: Field) -> Iterator[Record]:
    """Write the outputs of an image that is open; a record for each."""
    recipe = Recipe.from_json({**task.recipe, "outputs": list(task.files)})
    for part in follow(recipe, Inputs([image]), detector_of(recipe)):
        if isinstance(part, Output):
            known = {"image": task.image, "output": part.kind, "key": task.key}
            try:
                yield {**known, **_written(task, part)}
            except DisentangleError as error:
                yield {**known, "state": FAILED, "reason": str(error)}


def _written(task: Unit, part: Output) -> dict[str, Any]:
    begin, path = perf_counter(), task.files[part.kind]
    path.parent.mkdir(parents=True, exist_ok=True)
    there = path.exists()
    ours = there and is_of(path, task.key)
    if there and not ours and not task.overwrite:
        raise DataError(
            f"{str(path)!r} is there already, from another recipe, reference or image: "
            "move it away, or add --overwrite"
        )
    table = counts_of(path, task.beside[part.kind])
    lies = part.table is not None and table.exists() and not there
    if lies and not task.overwrite:
        raise DataError(
            f"{str(table)!r} is there already: move it away, or add --overwrite"
        )
    if not ours:
        kept = {**part.lazy.provenance, STUDY_KEY: dict(task.said)}
        for _ in write(part.lazy, path, kept, overwrite=there):
            pass
    if part.table is not None:
        write_text(table, csv_text(part.table), overwrite=True)
    found = {} if part.codes is None else {"objects": len(part.codes.objects)}
    return (
        look_for(part, task.beside[part.kind])
        | found
        | {
            "state": DONE,
            "remarks": list(part.status),
            "checksum": checksum(path),
            "seconds": round(perf_counter() - begin, 3),
        }
    )


def counts_of(path: Path, beside: Path) -> Path:
    """Where the table of objects is: beside their labels, and never in a plate."""
    inside = path.parent != beside.parent
    return table_of(beside if inside else path)


def is_of(path: Path, key: str) -> bool:
    """Whether an output that is there was made from the same image and looks."""
    try:
        known = read_provenance(path).get(STUDY_KEY, {})
    except DataError:
        return False
    return isinstance(known, dict) and known.get("key") == key


def checksum(path: Path) -> str:
    """SHA-256 of a file, or of all files of a Zarr with their names."""
    known = sha256()
    for one in sorted(path.rglob("*")) if path.is_dir() else [path]:
        if one.is_file():
            known.update(one.relative_to(path).as_posix().encode())
            with one.open("rb") as file:
                while block := file.read(2**20):
                    known.update(block)
    return known.hexdigest()
