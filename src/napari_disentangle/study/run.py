"""Running a study: looks first, then every image, with a ledger of all that is done."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any, Literal

from napari_disentangle.errors import DisentangleError
from napari_disentangle.pipeline.kinds import KINDS, Kind
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
from napari_disentangle.study.plate import complete
from napari_disentangle.study.report import write_report
from napari_disentangle.study.scan import Item, scan
from napari_disentangle.study.study import Study
from napari_disentangle.study.unit import (
    DONE,
    FAILED,
    Unit,
    failures,
    place_of,
    rendered,
    unit,
)
from napari_disentangle.study.workers import Open, Workers

LEDGER, TABLE = "ledger", "images.csv"
RECIPE, REFERENCE = "recipe.yaml", "reference.json"
# An output that was made by an earlier run.
KEPT = "kept"
Place = tuple[str, str]


@dataclass(frozen=True)
class Event:
    """What became of one image, or one output of it.

    Attributes
    ----------
    phase
        ``"measure"`` or ``"render"``.
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

    phase: Literal["measure", "render"]
    image: str
    state: str
    reason: str
    remarks: tuple[str, ...]
    done: int
    total: int
    output: str = ""


def measure_study(
    study: Study, part: Part | None = None, workers: Open | None = None
) -> Iterator[Event]:
    """Measure the looks of all images, those that are not known yet.

    Parameters
    ----------
    study
        The study.
    part
        A share of the images only.
    workers
        Where it is computed; see :class:`Workers`.
    """
    items = scan(study)
    with _at_work(study, items, part or Part(), workers) as run:
        yield from _measure(run, run.part.of_all(items))


def run_study(
    study: Study,
    part: Part | None = None,
    workers: Open | None = None,
    overwrite: bool = False,
) -> Iterator[Event]:
    """Measure all looks, then render every image; what is done already is kept.

    Parameters
    ----------
    study
        The study.
    part
        A share of the images only; the looks are still those of all images.
    workers
        Where it is computed; see :class:`Workers`.
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
        _keep_reference(study.target / REFERENCE, pool, overwrite)
        _keep_recipe(study)
        yield from _render(run, run.part.of_all(items), pool, overwrite)
        _finish(run, items)
        write_report(study, items, run.looks, states(study), run.crew)


@dataclass(frozen=True)
class _Run:
    """What a run works with: its study and share, its workers, what was measured."""

    study: Study
    part: Part
    crew: Workers
    looks: Looks
    normals: Sequence[Mapping[str, Any]]

    def unit(self, item: Item, pool: Pooled) -> Unit:
        """The unit of an image; see :func:`unit`."""
        return unit(self.study, item, self.looks[item.path], pool, self.normals)


@contextmanager
def _at_work(
    study: Study, items: Sequence[Item], part: Part, workers: Open | None
) -> Iterator[_Run]:
    looks = Looks(study.target)
    with (
        ledger.alone(study.target, part),
        Workers(study.workers or cores(), workers) as crew,
    ):
        looks.load()
        yield _Run(study, part, crew, looks, normals(study, items))


def cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


# --- looks ----------------------------------------------------------------------------
def _measure(run: _Run, items: Sequence[Item]) -> Iterator[Event]:
    tasks = [Measure.of(run.study, item) for item in items]
    wanted = [task for task in tasks if not run.looks.valid(task)]
    done = len(tasks) - len(wanted)
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
        with _replacing(path) as made:
            text = json.dumps(pool.reference.json, indent=1)
            made.write_text(text, encoding="utf-8")


def _keep_recipe(study: Study) -> None:
    """The recipe beside its results, from which they can be gone on with."""
    with _replacing(study.target / RECIPE) as made:
        study.moved(study.target).save(made)


@contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    """A file that takes the place of another when it is whole."""
    made = path.with_name(f".{os.getpid()}.{path.name}")
    with ledger.writable(path):
        yield made
        os.replace(made, path)


# --- images ---------------------------------------------------------------------------
def _render(
    run: _Run, items: Sequence[Item], pool: Pooled, overwrite: bool
) -> Iterator[Event]:
    known, counted = states(run.study), count(1)
    total = len(items) * len(run.study.outputs)
    with ledger.adding(run.study.target, LEDGER, run.part) as file:
        for record in _records(run, items, pool, known, overwrite):
            place = record["image"], record["output"]
            if record["state"] != KEPT and not _same(record, known.get(place)):
                ledger.add(file, record)
            yield _event(record, next(counted), total)


def _same(record: Record, before: Record | None) -> bool:
    """Whether it failed before, and in the same way."""
    return record["state"] == FAILED and before is not None and record == before


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
    items: Sequence[Item],
    pool: Pooled,
    known: Mapping[Place, Record],
    overwrite: bool,
) -> Iterator[Record]:
    """What became of every output: at once if that is known, then what is rendered."""
    wanted = []
    for item in items:
        try:
            made = run.unit(item, pool)
        except DisentangleError as error:
            yield from failures(item.path, run.study.outputs, str(error))
        else:
            there = _kept(made, known)
            yield from ({**known[item.path, kind], "state": KEPT} for kind in there)
            if len(there) < len(made.files):
                wanted.append((item, there))
    for task, found in run.crew.each(rendered, _units(run, wanted, pool, overwrite)):
        if isinstance(found, BaseException):
            found = failures(task.image, [*task.files], _words(found))
        yield from found


def _units(
    run: _Run,
    wanted: Iterable[tuple[Item, Sequence[Kind]]],
    pool: Pooled,
    overwrite: bool,
) -> Iterator[Unit]:
    for item, there in wanted:
        made = run.unit(item, pool)
        left = {kind: path for kind, path in made.files.items() if kind not in there}
        yield replace(made, files=left, overwrite=overwrite)


def _kept(made: Unit, known: Mapping[Place, Record]) -> list[Kind]:
    """Outputs that an earlier run has made of the same image and looks."""
    found = ((kind, known.get((made.image, kind), {})) for kind in made.files)
    return [
        kind
        for kind, record in found
        if record.get("state") == DONE
        and record.get("key") == made.key
        and made.files[kind].exists()
    ]


# --- what is left to be read ----------------------------------------------------------
def states(study: Study) -> dict[Place, Record]:
    """The newest record of every output, by image and output."""
    records = ledger.read(study.target, LEDGER)
    return {(record["image"], record["output"]): record for record in records}


def _finish(run: _Run, items: Sequence[Item]) -> None:
    """Plates that open as such, and the table of images."""
    plates = {
        (_plate(run.study.place(item.path), item), _plate(place, item))
        for item in items
        for kind in run.study.outputs
        if item.inside and (place := place_of(run.study, item, kind)).suffix == ""
    }
    for source, target in sorted(plates):
        complete(source, target)
    for kind in run.study.outputs:
        if KINDS[kind].shown == "score":
            places = {item.path: place_of(run.study, item, kind) for item in items}
            merge(run.study.target, places)
    with (
        _replacing(run.study.target / TABLE) as made,
        made.open("w", newline="", encoding="utf-8", errors="backslashreplace") as file,
    ):
        columns = dict.fromkeys(name for row in _rows(run, items) for name in row)
        writer = csv.DictWriter(file, [*columns])
        writer.writeheader()
        writer.writerows(_rows(run, items))


def _plate(path: Path, item: Item) -> Path:
    return path.parents[item.inside.count("/")]


def _rows(run: _Run, items: Sequence[Item]) -> Iterator[dict[str, object]]:
    """A row per output: the image, what became of it, and its look."""
    known = states(run.study)
    for item in items:
        look = run.looks[item.path].get("look")
        values = zip(look["names"], look["values"], strict=True) if look else ()
        plain = {
            f"look: {k}": v
            for k, v in values
            if not (isinstance(v, list) or " class " in k)
        }
        for kind in run.study.outputs:
            record = known.get((item.path, kind), {})
            place = place_of(run.study, item, kind).relative_to(run.study.target)
            yield {
                "image": item.path,
                "group": item.group,
                "control": item.control,
                "output": kind,
                "state": record.get("state", ""),
                "reason": record.get("reason", ""),
                "file": place.as_posix() if record.get("state") == DONE else "",
                **{k: record[k] for k in ("odd_regions", "odd_share") if k in record},
                "remarks": "; ".join(record.get("remarks", ())),
                **{f"label: {k}": v for k, v in item.labels.items()},
                **plain,
            }
