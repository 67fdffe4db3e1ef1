"""``napari-disentangle objects``: tables of objects of images, and their labels."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

import napari_disentangle.cli.options as opt
from napari_disentangle.cli.ending import SOME_FAILED
from napari_disentangle.errors import DataError, DisentangleError

if TYPE_CHECKING:
    import napari_disentangle as nd
    from napari_disentangle.objects.telling import Told

_Step = TypeVar("_Step")
_SUFFIX = "_objects.ome.tif"

Csv = Annotated[
    Path, opt.File("--csv", help="Write the table here; beside it how it came about.")
]
Labels = Annotated[
    Path | None,
    opt.File("--labels", metavar="FOLDER", help="Write labels of all images here."),
]
Diameter = Annotated[
    float | None,
    typer.Option(help="Typical diameter of an object in pixels. Default: measured."),
]
AsTheyAre = Annotated[
    bool, typer.Option("--as-they-are", help="Look at the images, not at content-only.")
]
CoderName = Annotated[
    str, typer.Option("--coder", help="What groups are told by: views or measured.")
]
Level = Annotated[int, typer.Option("--groups", min=1, max=32, help="How many groups.")]


def objects(
    inputs: Annotated[
        list[Path], typer.Argument(metavar="IMAGE", help="Images of the same channels.")
    ],
    csv: Csv,
    labels: Labels = None,
    diameter: Diameter = None,
    as_they_are: AsTheyAre = False,
    coder: CoderName = "views",
    groups: Level = 4,
    axes: opt.Axes = None,
    modality: opt.ImageKind = None,
    full_scale: opt.FullScale = None,
) -> None:
    """Find the objects of images, measure and group them: a table (CSV)."""
    from napari_disentangle.files.text import check_place
    from napari_disentangle.objects.table import targets, write_objects

    for path in targets(csv):
        check_place(path)
    flags = opt.given(axes=axes, modality=modality, full_scale=full_scale)
    images, failed = _opened(flags, inputs)
    if labels:
        _check_labels(labels, images)
    told = _told(images, diameter, as_they_are, coder, groups)
    if labels:
        _write_labels(labels, told)
    write_objects(csv, told.objects, *told.parts)
    print(csv)
    n = len(told.objects)
    level = told.groups.level
    print(f"{n} objects in {level} group{'s' * (level != 1)}", file=sys.stderr)
    for words in (*told.objects.said, *told.groups.codes.said, *failed):
        print(words, file=sys.stderr)
    if failed:
        raise typer.Exit(SOME_FAILED)


def _opened(
    flags: opt.Changes, paths: "Sequence[Path]"
) -> "tuple[list[nd.Field], list[str]]":
    """Images that can be opened, and a sentence on each of the others."""
    from napari_disentangle.objects.coder import check_channels

    images, failed = [], []
    for path in paths:
        try:
            images.append(opt.opened(flags, path))
        except (DisentangleError, OSError) as error:
            failed.append(f"not done: {error}")
    if not images:
        raise DataError("; ".join(failed))
    check_channels(images)
    return images, failed


def _told(
    images: "Sequence[nd.Field]",
    diameter: float | None,
    as_they_are: bool,
    coder: str,
    level: int,
) -> "Told":
    import napari_disentangle as nd
    from napari_disentangle.objects.telling import telling

    model = nd.fit(images) if len(images) > 1 and not as_they_are else None
    for step in nd.find_objects_steps(images, on=model, diameter=diameter):
        found = _shown("finding", step)
    assert not isinstance(found, float)
    if not len(found):
        raise DataError(" ".join(found.said) or "no object was found")
    for part in telling(found, coder, model, level):
        told = _shown("coding", part)
    assert not isinstance(told, float)
    return told


def _shown(what: str, step: _Step) -> _Step:
    """The step; a share that is done is shown, if somebody is watching."""
    if sys.stderr.isatty():
        share = f"{what}: {step:.0%}" if isinstance(step, float) else ""
        print(f"\r\x1b[K{share}", end="", file=sys.stderr, flush=True)
    return step


def _check_labels(folder: Path, images: "Sequence[nd.Field]") -> None:
    """Refuse before anything is computed what could not be written."""
    from napari_disentangle.files.text import check_place, table_of

    names = [image.name for image in images]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise DataError(f"two images are called {twice!r}: do them one by one")
    for name in names if folder.exists() else ():
        path = folder / f"{name}{_SUFFIX}"
        check_place(path)
        check_place(table_of(path))


def _write_labels(folder: Path, told: "Told") -> None:
    """A file of labels for every image."""
    import napari_disentangle as nd
    from napari_disentangle.files.text import csv_text, table_of, write_text
    from napari_disentangle.layers.objects import labels_image
    from napari_disentangle.objects.table import features

    folder.mkdir(exist_ok=True)
    for number, image in enumerate(told.objects.images):
        path = folder / f"{image.name}{_SUFFIX}"
        for _ in nd.write(labels_image(told.objects, number, told.parts), path):
            pass
        columns = features(told.objects, number, told.parts)
        write_text(table_of(path), csv_text(columns))
