"""What a run has to do: which outputs are there, and which are of another recipe."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from napari_disentangle.errors import DataError, DisentangleError
from napari_disentangle.pipeline.kinds import Kind
from napari_disentangle.study import ledger
from napari_disentangle.study.ledger import Record
from napari_disentangle.study.looks import Pooled, Records
from napari_disentangle.study.scan import Item
from napari_disentangle.study.study import Study
from napari_disentangle.study.unit import DONE, Unit, unit

LEDGER, REFERENCE = "ledger", "reference.json"
Place = tuple[str, str]


@dataclass(frozen=True)
class Planned:
    """An image with its outputs that are there, or why there can be none.

    Attributes
    ----------
    item
        The image.
    kept, stale
        Outputs of an earlier run: as they would be made now, and otherwise.
    trouble
        Why nothing can be made of it.
    """

    item: Item
    kept: Sequence[Kind] = ()
    stale: Sequence[Kind] = ()
    trouble: str = ""


def states(study: Study) -> dict[Place, Record]:
    """The newest record of every output, by image and output."""
    records = ledger.read(study.target, LEDGER)
    return {(record["image"], record["output"]): record for record in records}


def planned(
    study: Study,
    items: Sequence[Item],
    looks: Records,
    pool: Pooled,
    normals: Sequence[Mapping[str, Any]],
) -> list[Planned]:
    """What there is of every image.

    Parameters
    ----------
    study, items, looks, pool, normals
        As :func:`unit` takes them.
    """
    known, found = states(study), []
    for item in items:
        try:
            made = unit(study, item, looks[item.path], pool, normals)
        except DisentangleError as error:
            found.append(Planned(item, trouble=str(error)))
        else:
            there = {kind: _there(made, kind, known) for kind in made.files}
            kept = tuple(kind for kind, same in there.items() if same)
            stale = tuple(kind for kind, same in there.items() if same is False)
            found.append(Planned(item, kept, stale))
    return found


def _there(made: Unit, kind: Kind, known: Mapping[Place, Record]) -> bool | None:
    """Whether an output is there as it would be made now; ``None`` if none is."""
    record = known.get((made.image, kind), {})
    whole = made.files[kind].exists() and made.tabled(kind)
    if record.get("state") != DONE or not whole:
        return None
    return bool(record["key"] == made.key)


def check_stale(study: Study, plan: Sequence[Planned]) -> None:
    """Refuse to begin among results of another recipe, before anything is changed.

    Single images that changed since are refused by themselves, later.

    Raises
    ------
    DataError
        If all results that are there are of another recipe.
    """
    stale = sum(len(one.stale) for one in plan)
    if stale and not any(one.kept for one in plan):
        look = os.path.relpath(study.target / REFERENCE, study.root)
        raise DataError(
            f"{stale} results in {str(study.target)!r} are of another recipe or "
            "reference, or of groups with other images: replace them (--overwrite), "
            "choose another folder, or, if only groups were added, keep the reference "
            f"they have (reference: {{look: {look}}})"
        )
