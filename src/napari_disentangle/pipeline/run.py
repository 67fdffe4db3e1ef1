"""From files to files: every output of a recipe, written one by one."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from itertools import product
from pathlib import Path

from napari_disentangle.detector.registry import check_expects
from napari_disentangle.errors import DataError, DisentangleError
from napari_disentangle.files.place import tidy
from napari_disentangle.files.registry import (
    Done,
    read,
    read_provenance,
    suffix_like,
    write,
)
from napari_disentangle.files.text import csv_text, table_of, write_text
from napari_disentangle.image.field import Field
from napari_disentangle.pipeline.follow import Failed, Step, follow
from napari_disentangle.pipeline.inputs import Inputs
from napari_disentangle.pipeline.kinds import KINDS, Kind, need
from napari_disentangle.pipeline.output import Output
from napari_disentangle.pipeline.recipe import Recipe, Source


def run(
    recipe: Recipe,
    folder: str | Path,
    suffix: str | None = None,
    skip_existing: bool = False,
) -> Iterator[Step | Done | Path | Failed]:
    """Follow a recipe from files to files.

    Parameters
    ----------
    recipe
        Its images must have paths.
    folder
        Where the outputs go, as ``<image>_<output><suffix>``.
    suffix
        ``".ome.zarr"``, ``".ome.tif"``, ``".png"`` or ``".jpg"``; ``None`` takes that
        of the image, PNG for JPEG. Anomaly and content maps are float32 and never
        go to PNG or JPEG, nor do objects, whose table (CSV) lies beside them.
    skip_existing
        Whether files that are there are left as they are; else they are an error.

    Yields
    ------
    Step, Done, Path or Failed
        Signs of life; the path of every finished file; what became of images that
        cannot be used, while the others are done.
    """
    target = Path(folder)
    inputs, failed = _readable(recipe)
    yield from failed
    if need(recipe.outputs, "prediction"):
        check_expects(recipe.detector)
    _check_names(recipe, inputs, target, suffix, skip_existing)
    target.mkdir(parents=True, exist_ok=True)
    lacking = partial(_lacks, target, suffix) if skip_existing else _every
    for part in follow(recipe, inputs, wanted=lacking):
        if not isinstance(part, Output):
            yield part
            continue
        path = target / _file_name(part.image, part.kind, suffix)
        try:
            if not (skip_existing and path.exists()):
                yield from write(part.lazy, path)
            elif not _is_same(path, part):
                raise DataError(
                    f"{path.name!r} has no table, and is of another recipe: move it "
                    "away, and run again"
                )
            if part.table is not None:
                write_text(table_of(path), csv_text(part.table), skip_existing)
        except DisentangleError as error:
            if len(inputs.images) == 1 and not failed:
                raise
            yield Failed(part.image.name, str(error))
        else:
            yield path


def _is_same(path: Path, part: Output) -> bool:
    """Whether labels that are there are those that would be made now."""
    known, now = read_provenance(path), part.lazy.provenance
    return all(known.get(key) == now.get(key) for key in ("objects", "codes"))


def _every(image: Field, kind: Kind) -> bool:
    return True


def _lacks(folder: Path, suffix: str | None, image: Field, kind: Kind) -> bool:
    """Whether an output or its table is not there yet."""
    path = folder / _file_name(image, kind, suffix)
    if path.exists():
        tidy(path)
    return not path.exists() or (_has_table(kind) and not table_of(path).exists())


def _has_table(kind: Kind) -> bool:
    return KINDS[kind].shown == "labels"


def _check_names(
    recipe: Recipe, inputs: Inputs, folder: Path, suffix: str | None, skip: bool
) -> None:
    """Refuse before anything is computed what could not be written in the end."""
    pairs = [*product(inputs.images, recipe.outputs)]
    names = [_file_name(image, kind, suffix) for image, kind in pairs]
    for name, (_, kind) in zip(names, pairs, strict=True):
        path = folder / name
        table = table_of(path)
        if _has_table(kind) and table.exists() and not path.exists():
            raise DataError(
                f"{table.name!r} is there without {name!r}: move it away, or choose "
                "another folder"
            )
        if names.count(name) > 1:
            raise DataError(f"two images would be written as {name!r}: rename one")
        if path.exists() and not skip:
            raise DataError(
                f"{name!r} exists already: choose another folder, or skip what exists"
            )


def _readable(recipe: Recipe) -> tuple[Inputs, list[Failed]]:
    """The inputs, and the images that cannot be read.

    Raises
    ------
    DisentangleError
        If no image can be read, or a donor or a normal cannot.
    """
    groups = (recipe.donors, recipe.normals, recipe.references)
    donors, normals, references = ([_open(s) for s in group] for group in groups)
    images, failed = {}, []
    for source in recipe.images:
        try:
            images[_open(source)] = source.batch
        except DisentangleError as error:
            if len(recipe.images) == 1:
                raise
            failed.append(Failed(source.name, str(error)))
    if not images and failed:
        raise DataError(f"no image can be read; the first: {failed[0].reason}")
    batches = list(images.values())
    return Inputs(list(images), donors, normals, references, batches), failed


def open_inputs(recipe: Recipe) -> Inputs:
    """Read the headers of a recipe's files."""
    groups = (recipe.images, recipe.donors, recipe.normals, recipe.references)
    images, donors, normals, references = ([_open(s) for s in g] for g in groups)
    batches = [source.batch for source in recipe.images]
    return Inputs(images, donors, normals, references, batches)


def _open(source: Source) -> Field:
    if source.path is None:
        raise DataError(f"the recipe gives no file for {source.name!r}: add its path")
    field = read(
        source.path,
        axes=source.axes,
        modality=source.modality,
        full_scale=source.full_scale,
        channel_names=source.channels,
    )
    return replace(field, where=source.marks(field.grid_shape))


def _file_name(image: Field, kind: Kind, suffix: str | None) -> str:
    own = suffix or suffix_like(image.path or image.name)
    if suffix is None and own in {".jpg", ".jpeg"}:
        own = ".png"  # JPEG would change the values, so that takes asking for
    picture = own.lower() in {".png", ".jpg", ".jpeg"}
    ending = own if KINDS[kind].pixels or not picture else ".ome.tif"
    return f"{image.name}_{kind}{ending}"
