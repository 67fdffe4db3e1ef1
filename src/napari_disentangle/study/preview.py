"""Three images of a study as they would come out, before it is run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

from napari_disentangle.errors import DataError
from napari_disentangle.study.looks import Measure, measured, pooled
from napari_disentangle.study.run import Event
from napari_disentangle.study.scan import Item
from napari_disentangle.study.study import Study
from napari_disentangle.study.unit import DONE, FAILED, rendered, unit

# Images that are shown, groups that the reference is taken from, and images of each.
_SHOWN, _GROUPS, _VOTERS = 3, 6, 3


def preview(
    study: Study, items: Sequence[Item], folder: Path
) -> Iterator[Event | tuple[Item, Path]]:
    """Render an image of each of three groups, from the looks of a few images.

    Parameters
    ----------
    study, items
        The study and its images.
    folder
        Where the pictures go.

    Yields
    ------
    Event or tuple
        Signs of life, then an image and where its first output is.

    Raises
    ------
    DataError
        If none of the images can be used.
    """
    chosen, voters = _chosen(items), _voters(items)
    tried = [*{item.path: item for item in [*voters, *chosen]}.values()]
    records = {}
    for i, item in enumerate(tried):
        records[item.path] = found = measured(Measure.of(study, item))
        trouble = found.get("trouble", "")
        state = FAILED if trouble else DONE
        yield Event("measure", item.path, state, trouble, (), i + 1, len(tried))
    pool = pooled(study, tried, records)
    elsewhere = study.model_copy(update={"folder": str(folder)})
    for i, item in enumerate(chosen):
        task = unit(elsewhere, item, records[item.path], pool)
        (first, *_) = rendered(task)
        if first["state"] == FAILED:
            raise DataError(f"{item.path}: {first['reason']}")
        yield Event("render", item.path, DONE, "", (), i + 1, len(chosen))
        yield item, task.files[study.outputs[0]]


def _chosen(items: Sequence[Item]) -> list[Item]:
    """One image of each of the first groups, or the first images."""
    groups = {item.group: item for item in reversed(items)}
    if len(groups) > 1:
        return [*islice(reversed(groups.values()), _SHOWN)]
    return [*items[:_SHOWN]]


def _voters(items: Sequence[Item]) -> list[Item]:
    """Some controls of some groups."""
    groups: dict[str, list[Item]] = {}
    for item in items:
        own = groups.setdefault(item.group, [])
        if item.control and len(own) < _VOTERS:
            own.append(item)
    return [item for own in islice(groups.values(), _GROUPS) for item in own]
