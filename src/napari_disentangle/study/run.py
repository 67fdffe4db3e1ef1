"""Running a study: looks first, then every image, with a ledger of all that is done."""

from __future__ import annotations

import csv
import json
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any, Literal

from napari_disentangle.errors import DisentangleError
from napari_disentangle.pipeline.kinds import KINDS, OBJECTS
from napari_disentangle.study import ledger
from napari_disentangle.study.ledger import Part, Record
from napari_disentangle.study.looks import (
    LOOKS,
    Looks,
    Measure,
    Pooled,
    measured,
    pooled,
)
from napari_disentangle.study.oddities import merge, normals
from napari_disentangle.study.plan import (
    LEDGER,
    REFERENCE,
    Place,
    Planned,
    check_stale,
    planned,
    states,
)
from napari_disentangle.study.plate import complete
from napari_disentangle.study.report import REPORT, write_report
from napari_disentangle.study.scan import Item, scan
from napari_disentangle.study.study import Study
from napari_disentangle.study.unit import (
    DONE,
    FAILED,
    Unit,
    beside,
    counts_of,
    failures,
    place_of,
    rendered,
    unit,
)
from napari_disentangle.study.workers import Where, Workers, here

TABLE, COUNTS, RECIPE = "images.csv", "objects.csv", "recipe.yaml"
# What is counted in an output.
_COUNTED = ("odd_regions", "odd_share", "objects")
# An output that was made by an earlier run.
KEPT = "kept"


@dataclass(frozen=True)
class Event:
    """What became of one image, or one output of it.

    Attributes
    ----------
    phase
        ``"measure"``, ``"render"``, and once ``"report"``.
    image
        Its path in the study.
    state
        ``"done"``, ``"failed"``, or ``"kept"`` from an earlier run.
    reason
        Why it failed, in one sentence.
    remarks
        What a person should know, in words.
    done, total
        Images that are through this phase, and all.
    output
        Which output; empty while looks are measured.
    """

    phase: Literal["measure", "render", "report"]
    image: str
    state: str
    reason: str
    remarks: tuple[str, ...]
    done: int
    total: int
    output: str = ""


def measure_study(
    study: Study, part: Part | None = None, workers: Where | None = None
) -> Generator[Event, None, None]:
    """Measure the looks of all images, those that are not known yet.

    Parameters
    ----------
    study
        The study.
    part
        A share of the images only.
    workers
        Where it is computed; on this machine if ``None``.
    """
    items = scan(study)
    with _at_work(study, items, part or Part(), workers) as run:
        yield from _measure(run, run.part.of_all(items))


def run_study(
    study: Study,
    part: Part | None = None,
    workers: Where | None = None,
    overwrite: bool = False,
) -> Generator[Event, None, None]:
    """Measure all looks, then render every image; what is done already is kept.

    Parameters
    ----------
    study
        The study.
    part
        A share of the images only; the looks are still those of all images.
    workers
        Where it is computed; on this machine if ``None``.
    overwrite
        Whether outputs of another recipe are replaced.

    Yields
    ------
    Event
        One per look that is measured, and one per output.

    Raises
    ------
    DataError
        If nothing can be done at all, or another process runs the same.
    """
    items = scan(study)
    with _at_work(study, items, part or Part(), workers) as run:
        yield from _measure(run, items)
        pool = pooled(study, items, run.looks)
        plan = planned(study, items, run.looks, pool, run.normals)
        if not overwrite:
            check_stale(study, plan)
        _keep_reference(study.target / REFERENCE, pool, overwrite)
        _keep_recipe(study)
        fresh = yield from _render(run, run.part.of_all(plan), pool, overwrite)
        _finish(run, items)
        if fresh or _outdated(study):
            yield Event("report", REPORT, DONE, "", (), len(items), len(items))
            write_report(study, items, run.looks, states(study), run.crew)


def report_study(study: Study, workers: Where | None = None) -> Path:
    """Write the report of what is there, without measuring or rendering anything.

    Parameters
    ----------
    study
        The study.
    workers
        Where it is computed; on this machine if ``None``.

    Returns
    -------
    Path
        Where the report is.

    Raises
    ------
    DataError
        If there is no image, or another process runs the study.
    """
    items = scan(study)
    with _at_work(study, items, Part(), workers) as run:
        return write_report(study, items, run.looks, states(study), run.crew)


@dataclass(frozen=True)
class _Run:
    """What a run works with: its study and share, its workers, what was measured."""

    study: Study
    part: Part
    crew: Workers
    looks: Looks
    normals: Sequence[Mapping[str, Any]]


@contextmanager
def _at_work(
    study: Study, items: Sequence[Item], part: Part, workers: Where | None
) -> Iterator[_Run]:
    looks = Looks(study.target)
    with (
        ledger.alone(study.target, part),
        Workers(workers or here(study.workers)) as crew,
    ):
        looks.load()
        yield _Run(study, part, crew, looks, normals(study, items))


# --- looks ----------------------------------------------------------------------------
def _measure(run: _Run, items: Sequence[Item]) -> Iterator[Event]:
    tasks = [Measure.of(run.study, item) for item in items]
    wanted = [task for task in tasks if not run.looks.valid(task)]
    done = len(tasks) - len(wanted)
    if not wanted:
        return
    with ledger.adding(run.study.target, LOOKS, run.part) as file:
        for task, found in run.crew.each(measured, wanted):
            if isinstance(found, BaseException):
                known = {"image": task.image, "spec": task.spec}
                found = {**known, "trouble": _words(found)}
            run.looks.note(task.image, Path(file.name), ledger.add(file, found))
            done += 1
            trouble = found.get("trouble", "")
            state = FAILED if trouble else DONE
            yield Event("measure", task.image, state, trouble, (), done, len(tasks))


def _words(error: BaseException) -> str:
    """An error in one sentence, also one that nobody foresaw."""
    if isinstance(error, DisentangleError):
        return str(error)
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


def _keep_reference(path: Path, pool: Pooled, overwrite: bool) -> None:
    """The reference of the first run, for others that are to have the same."""
    if overwrite or not path.exists():
        with ledger.replacing(path) as made:
            text = json.dumps(pool.reference.json, indent=1)
            made.write_text(text, encoding="utf-8")


def _keep_recipe(study: Study) -> None:
    """The recipe beside its results, from which they can be gone on with."""
    with ledger.replacing(study.target / RECIPE) as made:
        study.moved(study.target).save(made)


def _outdated(study: Study) -> bool:
    """Whether the report is older than what it should tell, or is not there."""
    page = study.target / REPORT
    books = ledger.files(study.target, LEDGER)
    return not page.exists() or any(
        book.stat().st_mtime_ns > page.stat().st_mtime_ns for book in books
    )


# --- images ---------------------------------------------------------------------------
def _render(
    run: _Run, plan: Sequence[Planned], pool: Pooled, overwrite: bool
) -> Generator[Event, None, bool]:
    """Render what is not there; returns whether there is anything new."""
    known, counted = states(run.study), count(1)
    total, fresh = len(plan) * len(run.study.outputs), False
    with ledger.adding(run.study.target, LEDGER, run.part) as file:
        for record in _records(run, plan, pool, known, overwrite):
            before = known.get((record["image"], record["output"]))
            if record["state"] != KEPT and record != before:
                ledger.add(file, record)
                fresh = True
            yield _event(record, next(counted), total)
    return fresh


def _event(record: Record, done: int, total: int) -> Event:
    return Event(
        "render",
        record["image"],
        record["state"],
        record.get("reason", ""),
        tuple(record.get("remarks", ())),
        done,
        total,
        record["output"],
    )


def _records(
    run: _Run,
    plan: Sequence[Planned],
    pool: Pooled,
    known: Mapping[Place, Record],
    overwrite: bool,
) -> Iterator[Record]:
    """What became of every output: at once if that is known, then what is rendered."""
    for one in plan:
        image = one.item.path
        if one.trouble:
            yield from failures(image, run.study.outputs, one.trouble)
        yield from ({**known[image, kind], "state": KEPT} for kind in one.kept)
    tasks = _units(run, plan, pool, overwrite)
    for task, found in run.crew.each(rendered, tasks):
        if isinstance(found, BaseException):
            found = failures(task.image, [*task.files], _words(found))
        yield from found


def _units(
    run: _Run, plan: Sequence[Planned], pool: Pooled, overwrite: bool
) -> Iterator[Unit]:
    """What is to be rendered."""
    for one in plan:
        if not one.trouble and len(one.kept) < len(run.study.outputs):
            look = run.looks[one.item.path]
            made = unit(run.study, one.item, look, pool, run.normals)
            left = {k: path for k, path in made.files.items() if k not in one.kept}
            yield replace(made, files=left, overwrite=overwrite)


# --- what is left to be read ----------------------------------------------------------
def _finish(run: _Run, items: Sequence[Item]) -> None:
    """Plates that open as such, and the table of images."""
    plates = {
        (_plate(run.study.place(item.file), item), _plate(place, item))
        for item in items
        for kind in run.study.outputs
        if item.inside and (place := place_of(run.study, item, kind)).suffix == ""
    }
    for source, target in sorted(plates):
        complete(source, target)
    for kind in run.study.outputs:
        if KINDS[kind].shown == "score":
            places = {item.path: beside(run.study, item, kind) for item in items}
            merge(run.study.target, places)
    if OBJECTS in run.study.outputs:
        ledger.write_table(run.study.target / COUNTS, lambda: _counted(run, items))
    ledger.write_table(run.study.target / TABLE, lambda: _rows(run, items))


def _counted(run: _Run, items: Sequence[Item]) -> Iterator[dict[str, object]]:
    """A row per object of all images, with what is known of the image."""
    known = states(run.study)
    for item in items:
        if known.get((item.path, OBJECTS), {}).get("state") == DONE:
            place = place_of(run.study, item, OBJECTS)
            path = counts_of(place, beside(run.study, item, OBJECTS))
            said = {"image": item.path, **item.labels}
            if path.exists():  # else it is made again by the next run
                with path.open(newline="", encoding="utf-8") as file:
                    for row in csv.DictReader(file):
                        yield {_apart(k, row): v for k, v in said.items()} | row


def _apart(name: str, row: Mapping[str, object]) -> str:
    """What a column of images is called beside those of objects."""
    return f"image {name}" if name in row else name


def _plate(path: Path, item: Item) -> Path:
    return path.parents[item.inside.count("/")]


def _rows(run: _Run, items: Sequence[Item]) -> Iterator[dict[str, object]]:
    """A row per output: the image, and what became of it."""
    known = states(run.study)
    for item in items:
        for kind in run.study.outputs:
            record = known.get((item.path, kind), {})
            place = place_of(run.study, item, kind).relative_to(run.study.target)
            yield {
                "image": item.path,
                "group": item.group,
                "control": item.control if run.study.controls else "",
                "output": kind,
                "state": record.get("state", ""),
                "reason": record.get("reason", ""),
                "file": place.as_posix() if record.get("state") == DONE else "",
                **{k: record[k] for k in _COUNTED if k in record},
                "remarks": "; ".join(record.get("remarks", ())),
                **item.labels,
            }
