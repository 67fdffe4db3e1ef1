"""Pictures of a report: images before and after, alone or as the map of a plate."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from napari_disentangle.image.arrays import Array
from napari_disentangle.study.batches import COLOURS
from napari_disentangle.study.facts import Facts, shown
from napari_disentangle.study.scan import Item, plate_of, well_of

# Pictures, and plates, that a report shows at most.
_SHOWN, _PLATES = 48, 6


@dataclass(frozen=True)
class Picture:
    """A thumbnail pair, and what it is of."""

    title: str
    group: str
    colour: str
    before: str
    after: str


@dataclass(frozen=True)
class Well:
    """A well of a plate.

    Attributes
    ----------
    picture
        One of its fields before and after.
    odd
        Share of odd pixels, mean over its fields; empty without anomaly maps.
    tint
        How odd it is beside the most odd well, in percent.
    """

    picture: Picture | None
    odd: str
    tint: int


@dataclass(frozen=True)
class Plate:
    """The map of a plate: names of columns, and rows of wells or nothing."""

    name: str
    columns: Sequence[str]
    rows: Sequence[tuple[str, Sequence[Well | None]]]


def plate_maps(
    facts: Sequence[Facts], items: Sequence[Item], odd: Mapping[str, float]
) -> list[Plate]:
    """Maps of plates, if every image is of a well.

    Parameters
    ----------
    facts, items
        What was looked at, and all images of the study.
    odd
        Share of odd pixels of images that have anomaly maps, by path.
    """
    by_path = {item.path: item for item in items}
    wells = {item.path: well_of(item) for item in items}
    if not items or not all(wells.values()):
        return []
    shown = [one for one in facts if wells[one.image]]
    pictures = dict(zip((f.image for f in shown), _drawn(shown, by_path), strict=True))
    plates: dict[str, dict[tuple[str, int], list[Item]]] = {}
    for item in items:
        well = wells[item.path]
        assert well is not None
        plates.setdefault(plate_of(item), {}).setdefault(well, []).append(item)
    most = max(odd.values(), default=0.0) or 1.0
    return [
        _plate(
            name, {well: _well(own, pictures, odd, most) for well, own in of.items()}
        )
        for name, of in [*plates.items()][:_PLATES]
    ]


def _well(
    fields: Sequence[Item],
    pictures: Mapping[str, Picture],
    odd: Mapping[str, float],
    most: float,
) -> Well:
    shown = (pictures[one.path] for one in fields if one.path in pictures)
    shares = [odd[one.path] for one in fields if one.path in odd]
    mean = float(np.mean(shares)) if shares else 0.0
    said = f"{mean:.1%}" if shares else ""
    return Well(next(shown, None), said, round(100 * mean / most))


def _plate(name: str, cells: Mapping[tuple[str, int], Well]) -> Plate:
    rows = sorted({row for row, _ in cells}, key=lambda row: (len(row), row))
    columns = sorted({column for _, column in cells})
    return Plate(
        name,
        [str(column) for column in columns],
        [(row, [cells.get((row, column)) for column in columns]) for row in rows],
    )


def pairs(facts: Sequence[Facts], items: Mapping[str, Item]) -> list[Picture]:
    """Some images before and after, evenly chosen."""
    return _drawn(facts[:: max(1, -(-len(facts) // _SHOWN))], items)


def _drawn(chosen: Sequence[Facts], items: Mapping[str, Item]) -> list[Picture]:
    """Pairs of pictures with the same limits."""
    colours = colours_of(items.values())
    if not chosen:
        return []
    rgb = chosen[0].colour
    sides = [*(one.before for one in chosen), *(one.after for one in chosen)]
    made = [_jpeg(one) for one in shown(sides, rgb)]
    both = zip(chosen, made[: len(chosen)], made[len(chosen) :], strict=True)
    return [
        Picture(_title(items[f.image]), g, colours[g], before, after)
        for f, before, after in both
        for g in [items[f.image].group]
    ]


def _title(item: Item) -> str:
    well = item.labels.get("well")
    return f"{well} {item.labels.get('field', '')}".strip() if well else item.path


def _jpeg(picture: Array) -> str:
    import imageio.v3 as imageio

    made = io.BytesIO()
    imageio.imwrite(made, picture, extension=".jpg", quality=85)
    return base64.b64encode(made.getvalue()).decode()


def colours_of(items: Iterable[Item]) -> dict[str, str]:
    """A colour for every group."""
    groups = sorted({item.group for item in items})
    return {group: COLOURS[i % len(COLOURS)] for i, group in enumerate(groups)}
