"""A dry run: what a study would do, how long it takes, and what it needs."""

from __future__ import annotations

import math
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import numpy as np

from napari_disentangle.errors import DataError, DisentangleError
from napari_disentangle.model.attribute import average
from napari_disentangle.model.fit import unfitted
from napari_disentangle.objects.finding import check_size
from napari_disentangle.pipeline.kinds import OBJECTS
from napari_disentangle.study.ledger import Record
from napari_disentangle.study.looks import (
    Looks,
    Measure,
    Plain,
    Pooled,
    look_of,
    measured,
    model_of,
    opened,
    pooled,
    usual_channels,
)
from napari_disentangle.study.oddities import normals
from napari_disentangle.study.plan import check_stale, planned
from napari_disentangle.study.preview import middle
from napari_disentangle.study.scan import Item, scan
from napari_disentangle.study.study import Study
from napari_disentangle.study.unit import other_channels, unit, written
from napari_disentangle.study.verdict import warnings_of
from napari_disentangle.study.workers import cores

# Images that are tried, and the edge of the part of each that is rendered.
_TRIED, _EDGE = 5, 1024
# Files whose headers are read, and seconds that beginning and the report take.
_OPENED, _BEGIN = 5000, 5.0
_FEW_CONTROLS = 3


@dataclass(frozen=True)
class Foreseen:
    """What a run would do.

    Attributes
    ----------
    groups
        Numbers of images and of controls by group.
    examples
        An image of every group.
    images, there
        Number of images, and of those that are done.
    troubles
        Images that cannot be used as they are, and why.
    remarks
        What to think of before it is run.
    seconds, size, free
        How long it takes, bytes of all results, and bytes that are free.
    """

    groups: Mapping[str, tuple[int, int]]
    examples: Mapping[str, str]
    images: int
    there: int
    troubles: Sequence[tuple[str, str]]
    remarks: Sequence[str]
    seconds: float
    size: float
    free: int

    @property
    def cost(self) -> str:
        """Time and room, in words."""
        size, free = _room(self.size), _room(self.free)
        return f"about {_time(self.seconds)} and {size}, of {free} that are free"


def foresee(study: Study) -> Foreseen:
    """Look at a study, and try some of its images, without writing anything into it.

    Raises
    ------
    DataError
        If an input is not there, none of the images can be used, or nothing could be
        made of any.
    """
    items = scan(study)
    troubles = [*_troubles(study, items)]
    bad = {path for path, _ in troubles}
    usable = [item for item in items if item.path not in bad]
    tried = usable[:: math.ceil(len(usable) / _TRIED) or 1]
    records = [measured(Measure.of(study, item)) for item in tried]
    known = {record["image"]: record for record in records}
    channels = usual_channels(tried, known)
    found = [
        (i, r)
        for i, r in zip(tried, records, strict=True)
        if "look" in r and tuple(r["look"]["channels"]) == channels
    ]
    if not found:
        reason = troubles[0][1] if troubles else records[0]["trouble"]
        raise DataError(f"no image can be used; the first: {reason}")
    there = _there(study, items)
    seconds, size = _trial(study, found)
    left = len(usable) - there
    return Foreseen(
        _counted(items),
        {item.group: item.path for item in reversed(items)},
        len(items),
        there,
        troubles,
        [*_remarks(study, items, [record for _, record in found])],
        _BEGIN + seconds * left / (study.workers or cores()),
        size * left,
        shutil.disk_usage(_on_disk(study.target)).free,
    )


def _time(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = seconds / 60
    return f"{minutes:.0f} min" if minutes < 90 else f"{minutes / 60:.1f} h"


def _room(size: float) -> str:
    return f"{size / 2**30:.1f} GiB" if size > 2**29 else f"{size / 2**20:.0f} MiB"


def _troubles(study: Study, items: Sequence[Item]) -> Iterator[tuple[str, str]]:
    """Images that cannot be opened or go with the others, of so many that are tried."""
    every = math.ceil(len(items) / _OPENED) or 1
    channels = {}
    for i, item in enumerate(items):
        if item.trouble:
            yield item.path, item.trouble
        elif i % every == 0:
            try:
                channels[item.path] = _channels(study, item)
            except (DisentangleError, OSError) as error:
                yield item.path, str(error)
    often = Counter(channels.values())
    usual = max(often, key=lambda one: (often[one], one), default=())
    for path, own in channels.items():
        if own != usual:
            yield path, other_channels(own, usual)


def _channels(study: Study, item: Item) -> tuple[str, ...]:
    """The channels that the model sees of an image.

    Raises
    ------
    DataError
        If it cannot be opened, or is not for this model.
    """
    image = opened(str(study.place(item.file)), item.reading)
    model = unfitted(image, model_of(study), **study.config)
    model.channel_index(image)
    return model.channels


def _too_large(study: Study, items: Sequence[Item]) -> Iterator[str]:
    """Images whose objects cannot be labelled; what else is asked for can be made."""
    every = math.ceil(len(items) / _OPENED) or 1
    for item in items[::every] if OBJECTS in study.outputs else ():
        try:
            image = opened(str(study.place(item.file)), item.reading)
        except (DisentangleError, OSError):
            continue  # said before
        try:
            check_size(image)
        except DataError as error:
            yield f"no objects of {item.path}: {error}"


def _there(study: Study, items: Sequence[Item]) -> int:
    """Images that are done as they would be made now.

    Raises
    ------
    DataError
        If what is there is of another recipe.
    """
    looks = Looks(study.target)
    looks.load()
    known = [item for item in items if looks.valid(Measure.of(study, item))]
    if len(known) < len(items) / 2:
        return 0
    pool = pooled(study, items, looks)
    plan = planned(study, items, looks, pool, normals(study, items))
    check_stale(study, plan)
    return sum(len(one.kept) == len(study.outputs) for one in plan)


def _on_disk(folder: Path) -> Path:
    return next(one for one in (folder, *folder.absolute().parents) if one.exists())


def _counted(items: Sequence[Item]) -> dict[str, tuple[int, int]]:
    groups: dict[str, tuple[int, int]] = {}
    for item in items:
        n, controls = groups.get(item.group, (0, 0))
        groups[item.group] = n + 1, controls + item.control
    return groups


def _trial(study: Study, found: Sequence[tuple[Item, Record]]) -> tuple[float, float]:
    """Mean seconds and bytes of an image, from a part of each that is tried."""
    mean = average([look_of(record) for _, record in found])
    groups: dict[str, Plain | str] = {item.group: Plain.of(mean) for item, _ in found}
    reference = Plain.of(replace(mean, values=mean.values * 1.01))
    pool = Pooled(groups, reference, reference if study.donor else None)
    seconds, size = [], []
    with TemporaryDirectory() as folder:
        for i, (item, record) in enumerate([found[0], *found]):
            elsewhere = study.model_copy(update={"folder": f"{folder}/{i}"})
            task = unit(elsewhere, item, record, pool)
            image = opened(task.path, task.reading)
            begin = perf_counter()
            part = middle(image, _EDGE)
            for _ in written(task, part):
                pass
            spent = perf_counter() - begin
            larger = math.prod(image.shape) / math.prod(part.shape)
            seconds.append(record["seconds"] + spent * larger)
            size.append(sum(_bytes(path) for path in task.files.values()) * larger)
    return float(np.mean(seconds[1:])), float(np.mean(size))  # the first takes longer


def _bytes(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(one.stat().st_size for one in files if one.is_file())


def _remarks(
    study: Study, items: Sequence[Item], records: Sequence[Record]
) -> Iterator[str]:
    """What to think of before a study is run."""
    groups = _counted(items)
    yield from warnings_of(study, items)
    yield from _too_large(study, items)
    for group, (n, controls) in groups.items():
        if study.controls and controls == 0:
            yield f"group {group!r} has no control among {n} images: none is rendered"
        elif study.controls and controls < _FEW_CONTROLS:
            yield f"group {group!r} has only {controls} controls: its look is uncertain"
    scales = {f"{record['full_scale']:g}" for record in records}
    if len(scales) > 1:
        yield (
            f"images have different full scales ({', '.join(sorted(scales))}): say "
            "full_scale in the inputs, if it is one"
        )
