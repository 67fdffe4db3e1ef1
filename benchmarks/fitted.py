"""`contrimix` where it was fitted: swaps, what it tells of the look, and what it keeps.

``python benchmarks/fitted.py`` trains on slides of the three scanners that no benchmark
reports (kept in ``.benchmarks``), scores on the reported ones, and writes its section
of ``docs/benchmarks.md``. ``--quick`` prints a short run of the same on synthetic
tissue.
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import affine
import affine_report
import arms
import gate
import numpy as np
import page
import report
import structure
import torch
import trained
from affine import Contender
from leak import QUICK_PAIRS, RAW, corners, deal
from results import Estimate, bootstrap, interval
from sources import named
from trained import SCANNERS, Task

from napari_disentangle.model.base import AffineMethod
from napari_disentangle.model.fit import beginning, no_look
from napari_disentangle.model.registry import MODELS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from arms import Shown
    from leak import Dealt
    from looks import Array
    from results import Score
    from sources import Source
    from structure_report import Structure

    import napari_disentangle as nd

COMMAND = "python benchmarks/fitted.py"
# What is trained, and whether on these slides or on all other sources.
KINDS = {
    "affine (fitted)": ("affine", True),
    "contrimix (fitted)": ("contrimix", True),
    "contrimix (never saw such slides)": ("contrimix", False),
    "contrimix as published (fitted)": ("published", True),
}
# Our own closed forms are no rivals.
OURS = ("balanced", "levels")
SWAPS, LEAKS = 43, 36
FITS, FIT_STEPS = 2, 300
QUICK = "synthetic tissue"

INTRODUCTION = """\
## ContriMix, fitted

*contrimix* is the preset `default`: an invertible matrix per image, read three times;
*as published* the preset `published` at its default settings (n = 4, k = 1, M = 3,
exact statistics of every image). Both were fitted, like *affine*, for {steps} steps on
the unreported slides of the three scanners, {seeds} seeds; *never saw such slides* was
trained on all sources that may be redistributed instead, like the bundled model.
*contrimix* and *affine* learn from swaps with a known truth, *published* from its own
losses. Scored on {groups} other slides: known-truth swaps (mean PSNR, and the paired
difference to the published closed form that is best in that row, 95 % over slides;
scores of seeds are averaged for each swap), and content-only under four known looks, as
in the sections on leak and structure, seeds one by one (mean ± standard deviation).
*Bar* is that of `gate.py`, but for the class of cells, which these slides do not have.
"""


def contenders(source: Source) -> list[Contender]:
    """Closed forms, and what was fitted, with the weights of every seed."""
    return [*affine.closed_forms(source), *(fitted(name) for name in KINDS)]


def fitted(name: str) -> Contender:
    """A model with the weights of every seed."""
    kind, _ = KINDS[name]
    config = {"preset": "published"} if kind == "published" else {}
    model = "affine" if kind == "affine" else "contrimix"
    return Contender(name, model, tuple(map(trained.weights, tasks_of(name))), config)


def tasks_of(name: str) -> list[Task]:
    """What has to be trained for it."""
    kind, own = KINDS[name]
    return [Task(SCANNERS, own, seed, kind) for seed in trained.SEEDS]


# --- swaps ----------------------------------------------------------------------------
def swap_rows(scores: Sequence[Score]) -> Iterator[list[str]]:
    """One row per kind of look and model, against the best published closed form."""
    by: dict[str, dict[str, list[Score]]] = defaultdict(lambda: defaultdict(list))
    for score in scores:
        by[score.looks][score.model].append(score)
    for looks, models in by.items():
        best = max((m for m in models if _published(m)), key=lambda m: _mean(models[m]))
        for name, own in models.items():
            told = "" if name == best else interval(_against(own, models[best]), "+.2f")
            yield [looks, name, f"{_mean(own):.2f}", told]


def _published(name: str) -> bool:
    return isinstance(MODELS.get(name), AffineMethod) and name not in OURS


def _mean(scores: Sequence[Score]) -> float:
    return bootstrap([(s.group, s.psnr) for s in scores]).mean


def _against(own: Sequence[Score], best: Sequence[Score]) -> Estimate:
    pairs = zip(own, best, strict=True)
    return bootstrap([(a.group, a.psnr - b.psnr) for a, b in pairs])


# --- content --------------------------------------------------------------------------
def shows(dealt: Dealt, one: Contender) -> Iterator[arms.Show]:
    """Content-only of every seed, under the mean look of the pictures."""
    fields = [arms.field_of(picture) for picture in dealt.pictures]
    for weights in one.weights:
        known = beginning(fields[0], one.model, **one.config)
        model = no_look(replace(known, weights=weights)) if weights else known
        look = model.attribute(fields, pool="batch")
        yield partial(_content, replace(model, reference=look))


def _content(model: nd.Model, picture: Array) -> Shown:
    return arms.content(model, picture)


def kept(dealt: Dealt, many: Sequence[Contender]) -> dict[str, list[Structure]]:
    """What content-only keeps and tells, per seed, beside the picture as it is."""
    raw = arms.controls(0.0)[RAW]
    found = {RAW: [structure.structure(dealt, RAW, raw)]}
    for one in many:
        name = one.name
        each = shows(dealt, one)
        found[name] = [structure.structure(dealt, name, show) for show in each]
    return found


def content_rows(found: Mapping[str, Sequence[Structure]]) -> Iterator[list[str]]:
    """One row per model: mean over seeds, and their spread."""
    probes = list(structure.PROBES)
    published = [name for name in found if _published(name)]
    best = {p: min(_excess(found[n], p) for n in published) for p in probes}
    for name, seeds in found.items():
        leaks = {p: _excess(seeds, p) for p in probes}
        edges = float(np.mean([np.median(s.edges) for s in seeds]))
        told = list(gate.failures(gate.Kept(leaks, edges), best))
        cells = [_spread([s.leaks[p].excess for s in seeds], 2) for p in probes]
        median = [float(np.median(s.edges)) for s in seeds]
        nuclei = [float(np.median(s.nuclei)) for s in seeds]
        alike = [float(np.mean(s.alike)) for s in seeds]
        numbers = [_spread(median, 3), _spread(nuclei, 2), _spread(alike, 1)]
        yield [name, *cells, *numbers, "; ".join(told) or "passes"]


def _excess(seeds: Sequence[Structure], probe: str) -> float:
    return float(np.mean([s.leaks[probe].excess for s in seeds]))


def _spread(values: Sequence[float], digits: int) -> str:
    mean = f"{np.mean(values):.{digits}f}"
    if len(values) == 1:
        return mean
    return f"{mean} ± {np.std(values, ddof=1):.{digits}f}"


# --- all ------------------------------------------------------------------------------
def section(
    source: Source,
    many: Sequence[Contender],
    swaps: int,
    dealt: Dealt,
    fits: Sequence[affine.Fitted],
) -> str:
    """The section as Markdown."""
    scores = list(affine.swaps(source, many, swaps))
    known = {"steps": trained.OWN_STEPS, "seeds": len(trained.SEEDS)}
    text = INTRODUCTION.format(**known, groups=len(set(dealt.group)))
    head = ["looks", "model", "PSNR", "against the best published"]
    content_head = ["model", *(f"excess: {p}" for p in structure.PROBES), "edges"]
    content_head += ["nuclei", "two looks dB", "bar"]
    tables = (
        report.table(head, list(swap_rows(scores))),
        report.table(content_head, list(content_rows(kept(dealt, many)))),
        "Fitted on two opened images at a time, as the widget does it; held-out tiles "
        "of these images, one thread, no GPU:",
        affine_report.fit_table(fits),
    )
    return page.section(COMMAND, text, *tables)


def main() -> None:
    """Run the benchmark from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="synthetic, printed")
    torch.set_num_threads(1)
    if parser.parse_args().quick:
        source = named(QUICK)
        few = [Contender(n, n) for n in ("mk", "meanstd", "contrimix")]
        dealt = corners(deal(source, QUICK_PAIRS))
        sys.stdout.write(section(source, few, 1, dealt, ()))
        return
    source = named(SCANNERS)
    tasks = [t for one in KINDS for t in tasks_of(one)]
    trained.train_missing(tasks)
    fits = [
        fit
        for name in (trained.BLOOD, trained.VIOLET, trained.NUCLEI)
        for fit in affine.fits(named(name), FITS, FIT_STEPS, "contrimix")
    ]
    dealt = deal(source, LEAKS)
    page.put(section(source, contenders(source), SWAPS, dealt, fits))


if __name__ == "__main__":
    main()
