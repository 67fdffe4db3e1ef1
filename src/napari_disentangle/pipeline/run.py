"""From files to files: every output of a recipe, written one by one."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from pathlib import Path

from napari_disentangle.detector.registry import check_expects
from napari_disentangle.errors import DataError
from napari_disentangle.files.registry import Done, read, suffix_of, write
from napari_disentangle.image.field import Field
from napari_disentangle.pipeline.follow import Inputs, Step, follow
from napari_disentangle.pipeline.kinds import KINDS, Kind, need
from napari_disentangle.pipeline.recipe import Recipe, Source


def run(
    recipe: Recipe, folder: str | Path, suffix: str | None = None
) -> Iterator[Step | Done | Path]:
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
        go to PNG or JPEG.

    Yields
    ------
    Step, Done or Path
        Signs of life; the path of every finished file.
    """
    target = Path(folder)
    inputs = open_inputs(recipe)
    if need(recipe.outputs, "prediction"):
        check_expects(recipe.detector)
    _check_names(recipe, inputs, target, suffix)
    target.mkdir(parents=True, exist_ok=True)
    for part in follow(recipe, inputs):
        if isinstance(part, Step):
            yield part
            continue
        path = target / _file_name(part.image, part.kind, suffix)
        yield from write(part.lazy, path)
        yield path


def _check_names(
    recipe: Recipe, inputs: Inputs, folder: Path, suffix: str | None
) -> None:
    """Refuse before anything is computed what could not be written in the end."""
    pairs = product(inputs.images, recipe.outputs)
    names = [_file_name(image, kind, suffix) for image, kind in pairs]
    for name in names:
        if names.count(name) > 1:
            raise DataError(f"two images would be written as {name!r}: rename one")
        if (folder / name).exists():
            raise DataError(f"{name!r} exists already: choose another folder")


def open_inputs(recipe: Recipe) -> Inputs:
    """Read the headers of a recipe's files."""
    groups = (recipe.images, recipe.donors, recipe.normals)
    return Inputs(*([_open(source) for source in group] for group in groups))


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
    own = suffix or suffix_of(Path(image.path or image.name))
    if suffix is None and own in {".jpg", ".jpeg"}:
        own = ".png"  # JPEG would change the values, so that takes asking for
    picture = own.lower() in {".png", ".jpg", ".jpeg"}
    ending = own if KINDS[kind].pixels or not picture else ".ome.tif"
    return f"{image.name}_{kind}{ending}"
