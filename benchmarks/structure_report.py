"""The section about what content-only keeps in ``docs/benchmarks.md``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import cells
import gate
import numpy as np
import page
import report
from affine_report import OURS
from arms import BLUR
from leak import RAW, told
from results import interval

from napari_disentangle.model.base import AffineMethod
from napari_disentangle.model.registry import MODELS

if TYPE_CHECKING:
    from napari_disentangle.audit import Leak, Recognised

COMMAND = "python benchmarks/structure.py"

# What a probe recognises of cells, by source and arm.
Classes = Mapping[str, Mapping[str, "Recognised"]]

INTRODUCTION = """\
## What content-only keeps of the biology

The same pictures under the same four known looks as above. *Edges* is the correlation
of gradients between a picture under its look and its content-only picture before that
is rounded and clipped: median, and the 5th percentile over pictures; *clipped* is the
share of values that 8 bits then cut off. *Nuclei* is the median Dice overlap of nuclei,
segmented anew by a threshold that adapts itself, and beside it its ratio to that of
`blur` (the raw picture behind a Gaussian of 3 px): a ratio near 1 is what a blur gets
as well, so nuclei alone prove little. *Two looks* is the likeness of the content-only
pictures of one picture under two of the looks, median PSNR in decibels; less contrast
makes pictures more alike, and `flat grey` is the same picture always (100).
"""

CELLS = f"""\
### The class of a cell

Boxes around red cells, white cells and platelets in {cells.FIELDS} reported smears
(BCCD), each under one of the four looks at random: all white cells and platelets, and
the first {cells.MOST["RBC"]} red cells of a field. A fresh linear probe reads the class
from the colours of a box, and from 96 frozen random convolutions of the box scaled to
{cells.SIDE} pixels, in grouped folds (a field is never on both sides). The size of a
box is no feature, so that a flat picture is at chance; what scaling does to sharpness
may still hint at it. Every field is measured by itself and shown under the mean look of
all. Balanced accuracy with its 95 % interval over fields, and the paired difference to
raw; *as it came* is the field before its look.
"""

BAR = f"""\
### Against the bar

Content-only is to hide the look and to keep the biology, all at once. What a probe
reads of a known look, over chance: at most {100 * gate.SHARE:.0f} % of what it reads
from the best published closed form, from colours and from convolutions. Median
correlation of edges: at least {gate.EDGES}. Where cells are known, their class: read
no worse than from raw, that is, the 95 % interval of the difference lies above
-{gate.LOSS}; one that only includes 0 is not enough. The best published form is chosen
on these very pictures, probe by probe.
"""


@dataclass(frozen=True)
class Structure:
    """What one arm kept of the pictures of a source under known looks.

    Attributes
    ----------
    source, arm
        What was looked at.
    refusal
        Why the model could not be used, if so; then the rest is empty.
    groups
        Number of slides or fields.
    edges, nuclei, alike
        Of every picture: correlation of gradients, Dice overlap, decibels.
    clipped
        Share of values; NaN where it cannot be said, and edges are of clipped pictures.
    leaks
        What is read of the look, by what the probe sees.
    """

    source: str
    arm: str
    refusal: str = ""
    groups: int = 0
    edges: Sequence[float] = ()
    nuclei: Sequence[float] = ()
    alike: Sequence[float] = ()
    clipped: float = np.nan
    leaks: Mapping[str, Leak] = field(default_factory=dict)


def section(found: Sequence[Sequence[Structure]], classes: Classes) -> str:
    """All of the section as Markdown."""
    return page.section(
        COMMAND,
        INTRODUCTION,
        *map(_kept, found),
        CELLS,
        *(_classes(source, own) for source, own in classes.items()),
        BAR,
        *(_judged(own, classes) for own in found),
    )


# --- structure ------------------------------------------------------------------------
def _kept(found: Sequence[Structure]) -> str:
    head = ["images", "model", "pictures", "groups", "edges", "edges, 5 %", "clipped"]
    head += ["nuclei", "nuclei / blur", "two looks dB"]
    blurred = next(one for one in found if one.arm == BLUR)
    return report.table(head, [_kept_row(one, blurred) for one in found])


def _kept_row(one: Structure, blurred: Structure) -> list[str]:
    if one.refusal:
        return [one.source, one.arm, one.refusal, *[""] * 7]
    nuclei, blur = np.median(one.nuclei), np.median(blurred.nuclei)
    return [
        one.source,
        one.arm,
        str(len(one.edges)),
        str(one.groups),
        f"{np.median(one.edges):.3f}",
        f"{np.percentile(one.edges, 5):.3f}",
        "not known" if np.isnan(one.clipped) else f"{100 * one.clipped:.2f} %",
        f"{nuclei:.2f}",
        f"{nuclei / blur:.2f}",
        f"{np.median(one.alike):.1f}",
    ]


# --- cells ----------------------------------------------------------------------------
def _classes(source: str, found: Mapping[str, Recognised]) -> str:
    head = ["images", "model", "cells", "fields", "accuracy", "against raw"]
    return report.table(head, [_class_row(source, arm, found) for arm in found])


def _class_row(source: str, arm: str, found: Mapping[str, Recognised]) -> list[str]:
    own = found[arm]
    size = [f"{own.counts.sum():.0f}", str(len(own.counts))]
    accuracy = interval(cells.accuracy(own), ".3f")
    apart = interval(cells.against(own, found[RAW]), "+.3f")
    return [source, arm, *size, accuracy, "" if arm == RAW else apart]


# --- bar ------------------------------------------------------------------------------
def _judged(found: Sequence[Structure], classes: Classes) -> str:
    known = [one for one in found if not one.refusal]
    probes = list(known[0].leaks)
    best = {probe: _best(known, probe) for probe in probes}
    head = ["images", "model", *(f"excess: {probe}" for probe in probes), "edges"]
    head += ["cell class against raw", "verdict"]
    rows = [_verdict_row(one, best, classes.get(one.source, {})) for one in known]
    named = ", ".join(f"{p} `{b.arm}` {b.leaks[p].excess:.2f}" for p, b in best.items())
    return f"Best published, {known[0].source}: {named}.\n\n{report.table(head, rows)}"


def _best(found: Sequence[Structure], probe: str) -> Structure:
    """The published closed form that leaks least."""
    published = [one for one in found if _is_published(one.arm)]
    return min(published, key=lambda one: one.leaks[probe].excess)


def _is_published(arm: str) -> bool:
    return arm not in OURS and isinstance(MODELS.get(arm), AffineMethod)


def _verdict_row(
    one: Structure,
    best: Mapping[str, Structure],
    classes: Mapping[str, Recognised],
) -> list[str]:
    kept = judged(one, classes)
    least = {probe: rival.leaks[probe].excess for probe, rival in best.items()}
    short = "; ".join(gate.failures(kept, least))
    return [
        one.source,
        one.arm,
        *(told(leak) for leak in one.leaks.values()),
        f"{kept.edges:.3f}",
        interval(kept.cells, "+.3f") if kept.cells else "",
        short or "**passes**",
    ]


def judged(one: Structure, classes: Mapping[str, Recognised]) -> gate.Kept:
    """What is held against the bar."""
    apart = cells.against(classes[one.arm], classes[RAW]) if classes else None
    leaks = {probe: leak.excess for probe, leak in one.leaks.items()}
    return gate.Kept(leaks, float(np.median(one.edges)), apart)
