"""The report of a study: one page that anybody can open, made from its files."""

from __future__ import annotations

import math
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import yaml

from napari_disentangle._version import __version__
from napari_disentangle.image.arrays import Array
from napari_disentangle.pipeline.kinds import KINDS, Kind
from napari_disentangle.study.comparison import kept
from napari_disentangle.study.facts import Facts, Look, Side, compared
from napari_disentangle.study.figures import (
    Figures,
    blurred,
    clipped,
    figures,
    places,
    unlike,
)
from napari_disentangle.study.ledger import Record, replacing
from napari_disentangle.study.looks import Looks
from napari_disentangle.study.pictures import colours_of, pairs, plate_maps
from napari_disentangle.study.scan import Item, plate_of, well_of
from napari_disentangle.study.study import Study
from napari_disentangle.study.unit import DONE, FAILED, place_of
from napari_disentangle.study.verdict import biology_of, verdict, warnings
from napari_disentangle.study.workers import Workers

# The record of every output, by image and output.
Known = Mapping[tuple[str, str], Record]
REPORT, _TEMPLATE = "report.html", "report.html.jinja"
# Images that figures are taken from; those of plates, one of a well.
_LOOKED_AT, _WELLS = 200, 400
_LISTED, _NAMED = 50, 3


def write_report(
    study: Study, items: Sequence[Item], looks: Looks, known: Known, crew: Workers
) -> Path:
    """Write the page beside the results.

    Parameters
    ----------
    study, items, looks, known
        The study, its images, their looks, and the record of every output.
    crew
        Who looks at images and outputs.
    """
    known = dict(sorted(known.items()))  # not in the order in which it was made
    done = _done(study, items, known)
    tasks = [*_tasks(study, done)]
    looked = [one for _, one in crew.each(compared, tasks) if isinstance(one, Facts)]
    # a model leaves channels alone that it does not know
    usual = Counter(one.channels for one in looked).most_common(1)
    seen = [one for one in looked if one.channels == usual[0][0]]
    seen.sort(key=lambda one: one.image)
    said = {
        **_told(study, items, known, seen),
        **_shown(study, items, known, seen),
        "points": _points(items, done, looks),
        "some": len(seen) < len(done),
        "unlike": [*_unlike(seen, items, done, looks)][:_LISTED],
        "model_hash": _hash(items, looks),
    }
    path = study.target / REPORT
    with replacing(path) as made:
        made.write_text(_page(said), encoding="utf-8", errors="backslashreplace")
    return path


def _told(
    study: Study, items: Sequence[Item], known: Known, seen: Sequence[Facts]
) -> dict[str, Any]:
    """What is said in words and figures."""
    biology = biology_of(study, items)
    by_path = {item.path: item for item in items}
    found = figures(seen, by_path, biology) if seen else None
    return {
        "title": study.target.resolve().name,
        "warnings": [*warnings(study, items, biology)],
        "verdict": [*verdict(study, found, known)],
        "figures": [*_rows(study, found)],
        "beside": kept(study.target),
        "odd": _odd(known)[:_LISTED],
        "failed": _failed(known)[:_LISTED],
        "remarks": _remarks(known)[:_LISTED],
        "recipe": _recipe(study),
        "controlled": bool(study.controls),
        "version": __version__,
        "n": len(items),
        "looked_at": len(seen),
    }


def _shown(
    study: Study, items: Sequence[Item], known: Known, seen: Sequence[Facts]
) -> dict[str, Any]:
    """What is shown in pictures and colours."""
    return {
        "pictures": pairs(seen, {item.path: item for item in items}),
        "plates": plate_maps(seen, items, _shares(known)),
        "groups": _groups(items, known, seen),
        "colour": bool(seen and seen[0].colour),
        "channels": ", ".join(seen[0].channels) if seen else "",
    }


def _page(context: Mapping[str, Any]) -> str:
    from jinja2 import Environment

    text = resources.files(__package__).joinpath(_TEMPLATE).read_text("utf-8")
    return (
        Environment(autoescape=True, trim_blocks=True).from_string(text).render(context)
    )


def _recipe(study: Study) -> str:
    """What is not as usual; the model and the group are always said."""
    said = study.model_dump(mode="json", exclude_defaults=True)
    usual = {"model": study.model, "group": study.group, "look": study.look}
    plain = usual | said
    return str(yaml.safe_dump(plain, sort_keys=False, allow_unicode=True))


def _done(study: Study, items: Sequence[Item], known: Known) -> list[Item]:
    """Images of which there is what is compared with them, or else the first output."""
    kind = _compared(study) or study.outputs[0]
    there = (known.get((item.path, kind), {}).get("state") for item in items)
    return [item for item, one in zip(items, there, strict=True) if one == DONE]


def _compared(study: Study) -> Kind | None:
    """The first output that is an image as the image is; maps and labels are not."""
    images = (kind for kind in study.outputs if KINDS[kind].shown == "image")
    return next(images, None)


def _tasks(study: Study, done: Sequence[Item]) -> Iterator[Look]:
    """Images that are looked at, in no order; of a well its first field."""
    wells = {(plate_of(i), well_of(i)): i for i in reversed(done)}
    plates = all(well is not None for _, well in wells)
    shown = wells.values() if plates else done
    order = sorted(shown, key=lambda item: crc32(os.fsencode(item.path)))
    for item in order[: _WELLS if plates else _LOOKED_AT]:
        if kind := _compared(study):
            place = place_of(study, item, kind)
            yield Look(item.path, str(study.place(item.file)), item.reading, place)


# --- tables, pictures, points ---------------------------------------------------------
def _rows(study: Study, found: Figures | None) -> Iterator[tuple[str, str, str, str]]:
    """Figures with what they mean."""
    if found is None:
        return
    biology = study.biology or "control or treated"
    of = ", controls" if study.controls else ""
    named = [
        (f"silhouette by group{of}", found.by_batch, "0 or less: mixed; 1: apart"),
        (f"groups among neighbours{of}", found.batches_near, "more is better mixed"),
        (f"group read by a program{of}", found.leak, "0: chance; 1: always"),
        (f"silhouette by {biology}", found.by_biology, "should not fall"),
    ]
    if study.controls:
        for channel, change in found.effects.items():
            named.append((f"{channel}, treated by control", change, "should stay"))
        for channel, change in found.controls.items():
            what = f"{channel} of controls, largest by smallest group"
            named.append((what, change, "1: the same level"))
    named.append(("share of saturated values", found.saturated, "should not rise"))
    for name, change, meaning in named:
        if not math.isnan(change.after):
            yield name, f"{change.before:.3f}", f"{change.after:.3f}", meaning
    yield "correlation of edges", "", f"{found.edges:.3f}", "1: the same"


def _points(
    items: Sequence[Item], done: Sequence[Item], looks: Looks
) -> list[dict[str, Any]]:
    """Looks as points of a square of 100 units."""
    colours = colours_of(items)
    found = places(done, looks)
    if not found:
        return []
    xs, ys = zip(*found.values(), strict=True)
    span = max(max(xs) - min(xs), max(ys) - min(ys)) or 1.0
    left, low = (sum((min(one), max(one), -span)) / 2 for one in (xs, ys))
    groups = {item.path: item.group for item in items}
    return [
        {
            "x": round(5 + 90 * (x - left) / span, 2),
            "y": round(95 - 90 * (y - low) / span, 2),
            "colour": colours[groups[image]],
            "title": f"{image} ({groups[image]})" if groups[image] else image,
        }
        for image, (x, y) in found.items()
    ]


def _groups(
    items: Sequence[Item], known: Known, facts: Sequence[Facts]
) -> list[dict[str, Any]]:
    colours = colours_of(items)
    rows = {g: {"name": g or "-", "colour": c, "n": 0, "controls": 0, "done": 0}
            for g, c in colours.items()}  # fmt: skip
    done = {image for (image, _), record in known.items() if record["state"] == DONE}
    for item in items:
        row: dict[str, Any] = rows[item.group]
        row["n"] += 1
        row["controls"] += item.control
        row["done"] += item.path in done
    of = {item.path: item.group for item in items}
    for group, row in rows.items():
        own = [one for one in facts if of[one.image] == group]
        for side in ("before", "after"):
            sides = [getattr(one, side) for one in own]
            row[side] = _colour(sides) if own and own[0].colour else _levels(sides)
    return [*rows.values()]


def _colour(sides: Sequence[Side]) -> str:
    """The mean colour of what is stained."""
    dark = [_darkest(side.small) for side in sides]
    levels = np.rint(np.clip(np.mean(dark, axis=0), 0, 1) * 255).astype(int)
    return "#" + "".join(f"{level:02x}" for level in levels)


def _levels(sides: Sequence[Side]) -> str:
    """The mean signal of every channel."""
    if not sides:
        return ""
    means = np.mean([side.signal for side in sides], axis=0)
    return ", ".join(f"{one:,.0f}" if one >= 100 else f"{one:.3g}" for one in means)


def _darkest(small: Array) -> Array:
    """Mean colour of the darker half of the pixels."""
    flat = small.reshape(len(small), -1)
    mean = flat.mean(axis=0)
    return np.asarray(flat[:, mean <= np.median(mean)].mean(axis=1))


def _odd(known: Known) -> list[tuple[str, str, int]]:
    """Images with anomaly maps, the most odd first: share of pixels, and regions."""
    shares = _shares(known)
    regions = {i: r["odd_regions"] for (i, _), r in known.items() if "odd_regions" in r}
    order = sorted(shares, key=lambda image: -shares[image])
    return [(image, f"{shares[image]:.2%}", regions[image]) for image in order]


def _shares(known: Known) -> dict[str, float]:
    """Share of odd pixels, by image."""
    return {i: r["odd_share"] for (i, _), r in known.items() if "odd_share" in r}


def _unlike(
    seen: Sequence[Facts], items: Sequence[Item], done: Sequence[Item], looks: Looks
) -> Iterator[tuple[str, str, str]]:
    """Images to look at, in what, and how much."""
    for image, far in unlike(done, looks):
        yield image, "look", f"{far:.1f} robust standard deviations"
    for image, share in blurred(seen, items):
        yield image, "sharpness", f"{share:.0%} of its group"
    for image, change in clipped(seen):
        yield (
            image,
            "saturated values",
            f"{change.before:.1%} before, {change.after:.1%} after",
        )


def _failed(known: Known) -> list[tuple[str, str]]:
    failed = {i: r["reason"] for (i, _), r in known.items() if r["state"] == FAILED}
    return sorted(failed.items())


def _remarks(known: Known) -> list[tuple[int, str, str]]:
    """What was said of outputs, the most frequent first, with some of their images.

    Remarks that differ in a number are one.
    """
    alike: dict[str, dict[str, str]] = {}
    for (image, _), record in known.items():
        for words in record.get("remarks", ()):
            alike.setdefault(re.sub(r"[0-9.]+", "0", words), {})[image] = words
    order = sorted(alike.values(), key=lambda images: -len(images))
    return [
        (len(images), _some([*images]), next(iter(images.values()))) for images in order
    ]


def _some(names: Sequence[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def _hash(items: Sequence[Item], looks: Looks) -> str:
    records = (looks[item.path] for item in items)
    return next((r["look"]["model_hash"] for r in records if "look" in r), "")
