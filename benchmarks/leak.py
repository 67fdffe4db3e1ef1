"""What content-only still tells of the look, and whether it still tells of the cells.

``python benchmarks/leak.py`` deals four known looks at random over pictures of the same
slides or fields, so that look and tissue are independent, and asks a fresh probe which
look each content-only picture came from; then the same for real scanners, where they
are not. It writes its section of ``docs/studies.md``; ``--quick`` prints a short run
on what is always there.
"""

from __future__ import annotations

import argparse
import os
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import page
import report
import swap
import torch
from sources import (
    BLOOD,
    DATA,
    NUCLEI,
    SCANNERS,
    VIOLET,
    Source,
    manifest,
    named,
    pairs,
)

import napari_disentangle as nd
from napari_disentangle.audit import (
    Leak,
    colour_features,
    convolution_features,
    gradient_correlation,
    nucleus_dice,
    probe,
)
from napari_disentangle.model.registry import MODELS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from looks import Array, Look

    from napari_disentangle.image.field import Modality

COMMAND = "python benchmarks/leak.py"
SEED = 4
LOOKS, PAIRS = 4, 60
# Pairs of a quick run, and the edge in pixels of what is seen of their pictures.
QUICK_PAIRS, QUICK_EDGE = 7, 80
# No model at all, and a model that would win if nothing were asked but the leak.
RAW, FLAT = "raw", "flat grey"
# The three scanners, without any look of ours.
REAL = "three scanners as they are"

INTRODUCTION = """\
## What content-only still tells of the look

Four known looks are dealt at random over pictures of the same slides or fields. Every
picture is measured by itself and rendered under the mean look of all. *Excess* is what
a fresh linear probe reads of the look above chance, in grouped folds (a slide or field
is never on both sides): 0 at chance, 1 if it reads all; from statistics of the colours,
and from 96 frozen random convolutions. Intervals are 95 %, over slides or fields; a
leak is found however faint it is. *Edges* is the median correlation of gradients
between the picture under its look and its content-only picture, *nuclei* the median
Dice overlap. `flat grey` shows that a leak alone says nothing: it has none, and no
edges either. *Three scanners as they are* asks for the scanner instead: different
scanners hold different patients, so that what is left may be the patients.
"""


@dataclass(frozen=True, eq=False)
class Dealt:
    """Pictures under looks: which look each has, and whose slide or field it is.

    ``again`` are the same pictures, each under another look, where looks are known.
    """

    source: str
    pictures: Sequence[Array]
    look: Sequence[str]
    group: Sequence[str]
    again: Sequence[Array] = ()


def known_looks(
    modality: Modality, channels: int, rng: np.random.Generator
) -> list[Look]:
    """Looks of every family of this kind of image in turn."""
    families = swap.GENERATORS[modality]
    return [families[i % len(families)](rng, channels) for i in range(LOOKS)]


def deal(source: Source, limit: int) -> Dealt:
    """Known looks, dealt at random over both pictures of every pair."""
    rng, noise = np.random.default_rng(SEED), np.random.default_rng((SEED, 1))
    drawn = list(pairs(source, limit, SEED))
    channels = 3 if source.modality == "brightfield" else len(drawn[0].first)
    looks = known_looks(source.modality, channels, rng)
    pictures, dealt, groups, again = [], [], [], []
    for pair in drawn:
        for picture in (pair.first, pair.second):
            look = int(rng.integers(LOOKS))
            pictures.append(looks[look].photograph(picture, rng))
            dealt.append(str(look))
            groups.append(pair.group)
            again.append(looks[look - 1].photograph(picture, noise))
    return Dealt(source.name, pictures, dealt, groups, again)


def corners(dealt: Dealt) -> Dealt:
    """Only a part of every brightfield picture, for a quick run."""
    pictures, again = (
        [picture[:QUICK_EDGE, :QUICK_EDGE] for picture in several]
        for several in (dealt.pictures, dealt.again)
    )
    return replace(dealt, pictures=pictures, again=again)


def scanners(source: Source, limit: int) -> Dealt:
    """Patches of held-out slides as they came; every slide met one scanner."""
    table = manifest(DATA / str(source.folder))
    scanner = {f"{row['dataset']} {row['slide']}": row["scanner"] for row in table}
    drawn = list(pairs(source, limit, SEED))
    pictures = [picture for p in drawn for picture in (p.first, p.second)]
    groups = [p.group for p in drawn for _ in "ab"]
    return Dealt(REAL, pictures, [scanner[group] for group in groups], groups)


# --- one source -----------------------------------------------------------------------
def rows(dealt: Dealt) -> list[list[str]]:
    """One row per model."""
    fields = [swap.field_of(picture) for picture in dealt.pictures]
    modality = fields[0].modality
    names = [
        n
        for n, e in nd.models().items()
        if modality in e.modalities and not MODELS[n].needs_fit
    ]
    done: dict[str, Sequence[Array]] = {
        RAW: dealt.pictures,
        FLAT: [np.full_like(p, dealt.pictures[0].mean()) for p in dealt.pictures],
    }
    for name in names:
        if name != "identity":
            model = nd.fit(fields, name)
            done[name] = [model.content(field) for field in fields]
    return [_row(dealt, name, made) for name, made in done.items()]


def _row(dealt: Dealt, name: str, made: Sequence[Array]) -> list[str]:
    before, after = ([channels_first(p) for p in ps] for ps in (dealt.pictures, made))
    modality = "brightfield" if made[0].dtype == np.uint8 else "fluorescence"
    pairs = list(zip(before, after, strict=True))
    edges = np.median([gradient_correlation(a, b).correlation for a, b in pairs])
    nuclei = np.median([nucleus_dice(a[:3], b[:3], modality) for a, b in pairs])
    return [
        dealt.source,
        name,
        str(len(made)),
        str(len(set(dealt.group))),
        _read(dealt, after, colour_features),
        _read(dealt, after, convolution_features),
        f"{edges:.3f}",
        f"{nuclei:.2f}",
    ]


def _read(
    dealt: Dealt, pictures: Sequence[Array], features: Callable[[Array], Array]
) -> str:
    return told(look_read(dealt, pictures, features))


def look_read(
    dealt: Dealt, pictures: Sequence[Array], features: Callable[[Array], Array]
) -> Leak:
    """What a probe reads of the look from pictures (C, Y, X)."""
    return probe(np.stack([features(p) for p in pictures]), dealt.look, dealt.group)


def told(leak: Leak) -> str:
    """Excess over chance with its interval."""
    low, high = leak.interval
    if np.isnan(low):
        return f"{leak.excess:.2f}"
    return f"{leak.excess:.2f} [{low:.2f}, {high:.2f}]"


def channels_first(picture: Array) -> Array:
    """A picture as measures take it (C, Y, X)."""
    return picture.transpose(2, 0, 1) if picture.dtype == np.uint8 else picture


# --- all ------------------------------------------------------------------------------
def _rows_of(name: str) -> list[list[str]]:
    torch.set_num_threads(1)
    if name == REAL:
        return rows(scanners(named(SCANNERS), PAIRS))
    return rows(deal(named(name), PAIRS))


def section(found: Sequence[list[list[str]]]) -> str:
    """The section as Markdown: a table per source."""
    head = ["images", "model", "pictures", "groups", "excess: colours"]
    head += ["excess: convolutions", "edges", "nuclei"]
    tables = (report.table(head, own) for own in found)
    return page.section(COMMAND, INTRODUCTION, *tables)


def main() -> None:
    """Run the benchmark from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="synthetic, printed")
    torch.set_num_threads(1)
    if parser.parse_args().quick:
        dealt = corners(deal(named("synthetic tissue"), QUICK_PAIRS))
        sys.stdout.write(section([rows(dealt)]))
        return
    names = [n for n in (SCANNERS, VIOLET, BLOOD, NUCLEI) if named(n).present]
    real = [REAL] if SCANNERS in names else []
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        page.put(section(list(pool.map(_rows_of, [*names, *real]))))


if __name__ == "__main__":
    main()
