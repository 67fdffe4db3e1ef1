"""Known-truth swaps of images whose source no network has seen.

``python benchmarks/unseen.py`` trains one model without each part of the sources (90
minutes of two cores, kept in ``.benchmarks``), swaps what that model never saw, and
writes its section of ``docs/studies.md``. ``--quick`` trains a step and prints one row.
"""

from __future__ import annotations

import argparse
import sys
import zlib
from collections import defaultdict
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import looks
import numpy as np
import open_sources
import page
import torch
from report import table
from results import Score, bootstrap, interval
from safetensors import safe_open
from safetensors.numpy import load_file, save_file
from sources import BLOOD, HALVES, SCANNERS, SLIDES, VIOLET, Source, named, pairs
from swap import case_of, field_of, psnr, swapped
from train_zoo import QUICK_STEPS, SEED, STEPS, fit_on, shippable

import napari_disentangle as nd
from napari_disentangle.model.base import Weights
from napari_disentangle.model.fit import no_look, unfitted
from napari_disentangle.model.model import configure

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

COMMAND = "python benchmarks/unseen.py"
KEPT = Path(__file__).resolve().parents[1] / ".benchmarks"
PAIRS = 32
LOOKS = (looks.hed, looks.camera, looks.composed)
PUBLISHED = ("mk", "meanstd", "meanstd_unmasked", "reinhard", "percentile", "macenko")
OWN = ("balanced", "affine")
NONE = "none"


@dataclass(frozen=True)
class Part:
    """Sources that one model never saw: it learned from all others that may ship."""

    name: str
    sources: tuple[Source, ...]
    left_out: tuple[str, ...]


_FEW = (VIOLET, BLOOD, SLIDES)
PARTS = (
    Part("few", tuple(map(named, _FEW)), _FEW),
    *(
        Part(f"half {number}", sources, names)
        for number, sources, names in zip(
            ("I", "II"), HALVES, open_sources.HALVES, strict=True
        )
    ),
)


def weights(part: Part, steps: int | None = None) -> Weights:
    """What was learned without a part; trained now if that has not been done."""
    names = [s.name for s in shippable(without=part.left_out)]
    if steps is not None:
        return fit_on(names[:1], SEED, steps)
    path = _kept(part)
    if not path.exists():
        KEPT.mkdir(exist_ok=True)
        made = dict(fit_on(names, SEED).tensors)
        save_file(made, path, metadata={"steps": str(STEPS)})
    return Weights(load_file(path), {})


def _kept(part: Part) -> Path:
    return KEPT / f"without {part.name}.safetensors"


def _trained(parts: Sequence[str]) -> str:
    """For how many steps the networks of every part were trained."""
    said = []
    for part in (part for part in PARTS if part.name in parts and _kept(part).exists()):
        with safe_open(_kept(part), "numpy") as file:
            said.append(f"{part.name} {(file.metadata() or {}).get('steps', '?')}")
    return f"Steps of training per network: {', '.join(said) or 'few'}."


def scores(source: Source, learned: Weights | None, limit: int) -> Iterator[Score]:
    """Swap pairs with every model under every family of looks."""
    for number, pair in enumerate(pairs(source, limit, SEED)):
        for family in LOOKS:
            key = (SEED, zlib.crc32(source.name.encode()), number)
            case = case_of(pair, family, np.random.default_rng(key))
            for model in (NONE, *PUBLISHED, *OWN):
                if model == NONE:
                    made = case.picture
                else:
                    fitted = _fitted(model, field_of(case.picture), learned)
                    made, _ = swapped(fitted, case.picture, case.donor)
                own = psnr(made, case.truth)
                yield Score(
                    source.name, family.__name__, pair.group, number, model, own, np.nan
                )


def _fitted(model: str, field: nd.Field, learned: Weights | None) -> nd.Model:
    """A model with the image's look for a reference."""
    if model != "affine" or learned is None:
        return nd.fit(field, model)
    blank = replace(unfitted(field, "balanced"), name=model)
    own = no_look(replace(blank, config=configure(model, {}), weights=learned))
    return replace(own, reference=own.look(field))


# --- the section ------------------------------------------------------------------
def rows(found: Sequence[Score]) -> Iterator[list[str]]:
    """One line of the table for every source and family of looks."""
    cells = defaultdict(list)
    for score in found:
        cells[score.source, score.looks].append(score)
    for (source, family), own in cells.items():
        by = defaultdict(dict)
        for score in own:
            by[score.model][score.number] = score
        groups = {s.number: s.group for s in own}
        best = max(PUBLISHED, key=lambda m: _mean(by[m], by[NONE], groups))
        apart = [(groups[n], by["affine"][n].psnr - by[best][n].psnr) for n in groups]
        yield [
            source,
            family,
            str(len({*groups.values()})),
            f"{_mean(by[best], by[NONE], groups):+.2f} ({best})",
            f"{_mean(by['balanced'], by[best], groups):+.2f}",
            interval(bootstrap(apart), "+.2f"),
        ]


def _mean(
    one: dict[int, Score], other: dict[int, Score], groups: dict[int, str]
) -> float:
    pairs = [(groups[n], one[n].psnr - other[n].psnr) for n in groups]
    return bootstrap(pairs).mean


def section(found: Sequence[Score], left_out: Sequence[str]) -> str:
    """All of the section as Markdown."""
    missing = f"Left out, as it was not asked for: {', '.join(left_out) or 'nothing'}."
    asked = [part.name for part in PARTS if part.name not in left_out]
    lines = list(rows(found))
    mean = [f"{np.mean([float(r[i].split()[0]) for r in lines]):+.2f}" for i in (4, 5)]
    head = ["images", "looks", "groups", "best published", "balanced", "affine"]
    return page.section(
        COMMAND,
        METHOD,
        table(head, [*lines, ["*mean of rows*", "", "", "", *mean]]),
        f"{_trained(asked)} {missing}",
    )


METHOD = """\
## Swaps of images that no network has seen

The known-truth swap, with `affine` trained anew without each part of the sources:
violet histology, smears and slides; one half of the open sources; and the other. Which
of two readings a swap takes was settled on the second half, whose rows (from
`oscc_india_he_224` on) that flatters. Its decibels, and those of `balanced`, are
differences to the best published closed form of the row, which is chosen with the truth
in hand and given as what it wins over no swap. *composed* looks are another stain
before another camera. The slides of the three scanners may not be redistributed: no
model learned from them, and `affine` is the bundled one. Means give every
group one vote; intervals are 95 %, over groups.
"""


def main() -> None:
    """Run the study from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="one row, printed")
    every = [part.name for part in PARTS]
    parser.add_argument("--parts", nargs="+", default=every, choices=every)
    given = parser.parse_args()
    torch.set_num_threads(1)
    if given.quick:
        learned = weights(PARTS[0], QUICK_STEPS)
        found = list(scores(named("synthetic tissue"), learned, 1))
        sys.stdout.write(section(found, every))
        return
    found = list(scores(named(SCANNERS), None, PAIRS))
    for part in (part for part in PARTS if part.name in given.parts):
        learned = weights(part)
        for source in part.sources:
            found += scores(source, learned, PAIRS)
    page.put(section(found, [name for name in every if name not in given.parts]))


if __name__ == "__main__":
    main()
