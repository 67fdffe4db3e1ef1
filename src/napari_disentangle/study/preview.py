"""Three images of a study as they would come out, before it is run."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import numpy as np

from napari_disentangle.errors import DataError, DisentangleError
from napari_disentangle.image.field import Field
from napari_disentangle.pipeline.follow import follow
from napari_disentangle.pipeline.inputs import Inputs
from napari_disentangle.pipeline.kinds import CONTENT
from napari_disentangle.pipeline.output import Output
from napari_disentangle.pipeline.recipe import Recipe
from napari_disentangle.study.looks import Measure, by_group, measured, opened, pooled
from napari_disentangle.study.run import Event
from napari_disentangle.study.scan import Item
from napari_disentangle.study.study import Study
from napari_disentangle.study.unit import DONE, FAILED, Unit, unit

# Images that are shown, groups that the reference is taken from, images of each, and
# the edge of the part of an image that is shown.
_SHOWN, _GROUPS, _VOTERS, _EDGE = 3, 6, 3, 1024


@dataclass(frozen=True, eq=False)
class Preview:
    """The middle of an image, before and after."""

    item: Item
    before: Field
    after: Field


def preview(
    study: Study, items: Sequence[Item]
) -> Generator[Event | Preview, None, None]:
    """Content-only of an image of each of three groups, from the looks of a few.

    Parameters
    ----------
    study, items
        The study and its images.

    Yields
    ------
    Event or Preview
        Signs of life, then the images.

    Raises
    ------
    DataError
        If none of the images that are tried can be used.
    """
    tried, records = _tried(items), {}
    for i, item in enumerate(tried):
        records[item.path] = found = measured(Measure.of(study, item))
        trouble = found.get("trouble", "")
        state = FAILED if trouble else DONE
        yield Event("measure", item.path, state, trouble, (), i + 1, len(tried))
    pool = pooled(study, tried, records)
    shown = 0
    for item in _in_turn(tried):
        try:
            yield _made(item, unit(study, item, records[item.path], pool))
        except DisentangleError:  # said when it was measured, or by the next one
            continue
        shown += 1
        if shown == _SHOWN:
            return
    if not shown:
        raise DataError("none of the images that were tried can be shown: run check")


def _tried(items: Sequence[Item]) -> list[Item]:
    """Some controls of some groups, and some of their other images."""
    tried: list[Item] = []
    for own in islice(by_group(items).values(), _GROUPS):
        usable = [item for item in own if not item.trouble]
        tried += islice((item for item in usable if item.control), _VOTERS)
        tried += islice((item for item in usable if not item.control), _VOTERS)
    return tried


def _in_turn(items: Iterable[Item]) -> list[Item]:
    """The first image of every group, then the second, and so on."""
    groups = by_group(items).values()
    order = [(place, item) for own in groups for place, item in enumerate(own)]
    return [item for _, item in sorted(order, key=lambda one: one[0])]


def _made(item: Item, task: Unit) -> Preview:
    image = middle(opened(task.path, task.reading), _EDGE)
    recipe = Recipe.from_json({**task.recipe, "outputs": [CONTENT], "normals": []})
    for part in follow(recipe, Inputs([image])):
        if isinstance(part, Output):
            return Preview(item, image, replace(image, data=np.asarray(part.lazy)))
    raise AssertionError("a recipe ends with an output")


def middle(image: Field, edge: int) -> Field:
    """The middle of the first plane, in memory.

    Parameters
    ----------
    image
        The image.
    edge
        Height and width in pixels, or those of the image if they are less.
    """
    place: list[Any] = []
    for axis, n in zip(image.axes, image.shape, strict=True):
        begin = max(0, (n - edge) // 2)
        whole = slice(None) if axis == "C" else slice(0, 1)
        place.append(slice(begin, begin + edge) if axis in "YX" else whole)
    return replace(image, data=np.asarray(image.levels[0][tuple(place)]), where=None)
