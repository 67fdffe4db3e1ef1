"""``napari-disentangle batch``: studies of folders, tables and plates of images."""

import sys
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_disentangle.cli.ending import SOME_FAILED, ending
from napari_disentangle.errors import DataError

if TYPE_CHECKING:
    from napari_disentangle.study.ledger import Part
    from napari_disentangle.study.run import Event
    from napari_disentangle.study.study import Study
    from napari_disentangle.study.workers import Where

# Groups and failed images that are listed; the table of images has all.
_LISTED = 20
_PHASES = {"measure": "measuring", "render": "writing", "report": "report"}

batch = typer.Typer(
    name="batch",
    help="Give all images of a folder, a table or a plate one look.",
    no_args_is_help=True,
)

RecipePath = Annotated[Path, typer.Argument(metavar="RECIPE", help="Recipe (YAML).")]
Workers = Annotated[
    int | None,
    typer.Option(min=1, help="Images at once. Default: as many as there are cores."),
]
Shard = Annotated[
    str | None,
    typer.Option(metavar="I/N", help="Only this part, from 0: 0/4, 1/4, 2/4, 3/4."),
]
Scheduler = Annotated[
    str | None, typer.Option(metavar="ADDRESS", help="Compute on this dask cluster.")
]


@batch.command()
def init(
    folder: Annotated[
        Path, typer.Argument(help="Folder of images, a plate, or a table (CSV).")
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="RECIPE", help="Where it goes.")
    ] = Path("study.yaml"),
) -> None:
    """Write a first recipe of a folder, plate or table, with a word on every line."""
    from napari_disentangle.study.draft import draft

    text = draft(folder, out)
    try:
        with out.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError as error:
        raise DataError(f"{str(out)!r} exists already: choose another name") from error
    print(out)
    print(f"next: napari-disentangle batch check {out}", file=sys.stderr)


@batch.command()
def check(recipe: RecipePath) -> None:
    """Say what a run would do, how long it takes, and how much room it needs."""
    from napari_disentangle.study.check import foresee
    from napari_disentangle.study.study import Study

    study = Study.load(recipe)
    found = foresee(study)
    what = "1 group" if len(found.groups) == 1 else f"{len(found.groups)} groups"
    print(f"{found.images} images in {what}")
    for group, (n, controls) in [*found.groups.items()][:_LISTED]:
        told = f", {controls} of them controls" if study.controls else ""
        print(f"  {group or '-'}: {n}{told}, such as {found.examples[group]}")
    if len(found.groups) > _LISTED:
        print(f"  ... and {len(found.groups) - _LISTED} more groups")
    if found.there:
        print(f"{found.there} of them are done")
    print(f"{found.cost}, in {study.target}")
    for image, reason in found.troubles[:_LISTED]:
        print(f"not usable: {image}: {reason}", file=sys.stderr)
    for words in found.remarks:
        print(words, file=sys.stderr)
    if found.size > found.free:
        raise DataError("there is too little room for the results: choose another disk")


@batch.command()
def measure(
    recipe: RecipePath,
    shard: Shard = None,
    workers: Workers = None,
    scheduler: Scheduler = None,
) -> None:
    """Measure the looks of all images; a later run only renders."""
    from napari_disentangle.study.run import measure_study
    from napari_disentangle.study.study import Study

    study = _with(Study.load(recipe), workers)
    with _where(scheduler) as there:
        _tell(measure_study(study, _part(shard), there))
    print(study.target)


@batch.command()
def run(
    recipe: RecipePath,
    shard: Shard = None,
    workers: Workers = None,
    scheduler: Scheduler = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace outputs of another recipe.")
    ] = False,
) -> None:
    """Measure and write all images, and a report; what is done already is kept.

    Ends with 1 if some images failed: they are listed, and the others are done.
    """
    from napari_disentangle.study.report import REPORT
    from napari_disentangle.study.run import run_study
    from napari_disentangle.study.study import Study

    study = _with(Study.load(recipe), workers)
    with _where(scheduler) as there:
        failed = _tell(run_study(study, _part(shard), there, overwrite))
    print(study.target / REPORT)
    if failed:
        raise typer.Exit(SOME_FAILED)


@batch.command()
def compare(recipe: RecipePath) -> None:
    """Compare the model with all closed forms, on some of the images."""
    from napari_disentangle.study.comparison import compare as compared
    from napari_disentangle.study.study import Study

    print(compared(Study.load(recipe)))


def _with(study: "Study", workers: int | None) -> "Study":
    return study.model_copy(update={"workers": workers}) if workers else study


def _part(shard: str | None) -> "Part":
    from napari_disentangle.study.ledger import Part

    if shard is None:
        return Part()
    number, _, of = shard.partition("/")
    if not (number.isdecimal() and of.isdecimal() and int(number) < int(of)):
        raise ValueError(f"--shard {shard!r} must be I/N with I below N, e.g. 0/4")
    return Part(int(number), int(of))


@contextmanager
def _where(scheduler: str | None) -> Iterator["Where | None"]:
    """Workers of this machine, or of a cluster."""
    if scheduler is None:
        yield None
        return
    from napari_disentangle.study.cluster import cluster

    with cluster(scheduler) as there:
        yield there


# --- what is seen of it ---------------------------------------------------------------
def _tell(events: "Generator[Event, None, None]") -> int:
    """Show what becomes of images; returns how many of them failed."""
    failed: dict[str, str] = {}
    remarked: set[str] = set()
    with ending(events, "run it again to go on") as steps:
        for event in _shown(steps):
            if event.state == "failed":
                failed[event.image] = event.reason
            if event.remarks:
                remarked.add(event.image)
    if remarked:
        n = len(remarked)
        print(f"there are remarks on {n} images, in the report", file=sys.stderr)
    if failed:
        what = "1 image is" if len(failed) == 1 else f"{len(failed)} images are"
        print(f"{what} not done, the others are:", file=sys.stderr)
    for image, reason in [*failed.items()][:_LISTED]:
        print(f"  {image}: {reason}", file=sys.stderr)
    if len(failed) > _LISTED:
        print(f"  ... and {len(failed) - _LISTED} more, in images.csv", file=sys.stderr)
    return len(failed)


def _shown(events: "Iterator[Event]") -> "Iterator[Event]":
    """The same, seen as a bar with the time left on a terminal, else line by line."""
    if not sys.stderr.isatty():
        for event in events:
            print(_line(event), file=sys.stderr, flush=True)
            yield event
        return
    from rich.console import Console
    from rich.progress import MofNCompleteColumn, Progress, TimeRemainingColumn

    columns = (*Progress.get_default_columns()[:2], MofNCompleteColumn())
    with Progress(
        *columns, TimeRemainingColumn(), console=Console(stderr=True)
    ) as shown:
        bars = {}
        for event in events:
            if event.phase not in bars:
                bars[event.phase] = shown.add_task(
                    _PHASES[event.phase], total=event.total
                )
            shown.update(bars[event.phase], completed=event.done)
            yield event


def _line(event: "Event") -> str:
    if event.phase == "report":
        return "report"
    what = event.output or "look"
    reason = f": {event.reason}" if event.reason else ""
    return f"{event.done}/{event.total} {event.image} {what} {event.state}{reason}"
