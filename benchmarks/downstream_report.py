"""The section about a segmentation under other looks in ``docs/benchmarks.md``."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import page
import report
from affine_report import OURS
from results import RESAMPLES, Estimate, bootstrap

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

COMMAND = "python benchmarks/downstream.py"
# Arms that are no models: the image before its look, and under it.
CAME, RAW = "as it came", "raw"
LEARNED = ("affine (bundled)", "contrimix (bundled)")
# What is 0 in three digits is no loss.
SEEN = 0.0005

INTRODUCTION = """\
## A segmentation that was tuned in one look

Does content-only help a segmentation that was tuned in one look and meets others? Two
plain segmenters are tuned on slides or fields as they came, and frozen. The *threshold*
is one linear projection of a pixel's absorbance (fluorescence: its intensity); the
*classifier* is one of Gaussian-filtered channels at 0, 2, 4 and 8 px. Both get their
weights by logistic regression and the cut with the best mean Dice on the tuning images.
All fluorescence of a source is divided by one number: the median, over the tuning
images, of their 99.9th percentiles.
Neither measures anything on the image it segments: a segmenter that adapts itself, such
as Otsu's threshold, has less to gain.

The images scored are of other slides or fields, each under its own random look (see
above). *raw* is the image under that look; the models show it content-only, under the
mean look of the tuning images. No segmenter was tuned on a scored image, and the
bundled models learned from none; what was looked at while the models were settled is
said above. Under looks *as they came* nothing is changed: what content-only costs, or
wins, where the looks are those of the source itself. *as it came* is the Dice before
the look. It is no strict bound, as the images of a source differ in look too, most of
all in fluorescence.

The truths are nucleus masks (DSB), and for blood the ellipses in the boxes of white
cells: boxes of red cells miss about a third of the stained pixels, so they are no
truth. An ellipse is not a cell and the stain marks its nucleus best, so a Dice of 1 is
out of reach there; differences count. Images without a white cell have no Dice.
"""


@dataclass(frozen=True)
class Overlap:
    """How well one image was segmented.

    Attributes
    ----------
    source, looks, segmenter, group, number, arm
        What was done: the image is the same for all arms of one number.
    dice
        Overlap with the truth, 0 to 1.
    """

    source: str
    looks: str
    segmenter: str
    group: str
    number: int
    arm: str
    dice: float


Row = tuple[str, str, str]
Cell = dict[str, list[Overlap]]


def section(overlaps: Sequence[Overlap], seed: int, sizes: tuple[int, int]) -> str:
    """All of the section as Markdown."""
    rows = cells(overlaps)
    return page.section(
        COMMAND,
        INTRODUCTION,
        "### Dice",
        "Means with one vote per slide or field; the best arm of a row is bold.",
        _dices(rows),
        "### Against raw",
        "Mean paired difference in Dice with its 95 % interval, from "
        f"{RESAMPLES:,} bootstrap samples of slides or fields.",
        _against_raw(rows),
        "### Against the best published closed form",
        "The best is chosen on these very images, row by row, which favours it; "
        "`balanced` and `levels` are our own.",
        _against_best(rows),
        "### Where content-only is worse than raw",
        _losses(rows),
        f"`{COMMAND}`: at most {sizes[0]} images of a source tuned on and {sizes[1]} "
        "scored, one of every slide or field in turn; "
        f"seed {seed} for images, pixels and looks, 0 for the bootstrap.",
    )


def cells(overlaps: Sequence[Overlap]) -> dict[Row, Cell]:
    """Overlaps by row (images, segmenter, looks) and arm."""
    rows: dict[Row, Cell] = defaultdict(dict)
    for one in overlaps:
        row = rows[one.source, one.segmenter, one.looks]
        row.setdefault(one.arm, []).append(one)
    sources, segmenters = (list(dict.fromkeys(r[i] for r in rows)) for i in (0, 1))
    order = sorted(rows, key=lambda r: (sources.index(r[0]), segmenters.index(r[1])))
    return {row: rows[row] for row in order}


# --- tables -------------------------------------------------------------------------
def _dices(rows: Mapping[Row, Cell]) -> str:
    arms = _arms(rows)
    head = ["images", "segmenter", "looks", "number", "groups", CAME, RAW, *arms]
    return report.table(head, [_dice_row(*row, arms) for row in rows.items()])


def _dice_row(row: Row, cell: Cell, arms: Sequence[str]) -> list[str]:
    means = {arm: mean(cell[arm]) for arm in (RAW, *arms) if arm in cell}
    told = {arm: f"{value:.3f}" for arm, value in means.items()}
    best = max(means, key=lambda arm: means[arm])
    told[best] = f"**{told[best]}**"
    shown = [told.get(arm, "") for arm in (RAW, *arms)]
    groups = len({one.group for one in cell[RAW]})
    return [*row, str(len(cell[RAW])), str(groups), f"{mean(cell[CAME]):.3f}", *shown]


def _against_raw(rows: Mapping[Row, Cell]) -> str:
    arms = _arms(rows)
    told = [
        [*row, *(_told(cell.get(arm), cell[RAW]) for arm in arms)]
        for row, cell in rows.items()
    ]
    return report.table(["images", "segmenter", "looks", *arms], told)


def _against_best(rows: Mapping[Row, Cell]) -> str:
    own = (*LEARNED, *OURS)
    told = []
    for row, cell in rows.items():
        best = rival(cell)
        apart = [_told(cell.get(arm), cell[best]) for arm in own]
        told.append([*row, f"{mean(cell[best]):.3f} {best}", *apart])
    return report.table(["images", "segmenter", "looks", "best published", *own], told)


def _losses(rows: Mapping[Row, Cell]) -> str:
    """Where a model is worse than doing nothing, and that is not chance."""
    lines = [
        f"- {', '.join(row)}: `{arm}` {_told(cell[arm], cell[RAW])}"
        for row, cell in rows.items()
        for arm in _arms(rows)
        if arm in cell and difference(cell[arm], cell[RAW]).high < -SEEN
    ]
    return "\n".join(lines) if lines else "In no row with an interval below 0."


# --- bits ---------------------------------------------------------------------------
def mean(overlaps: Sequence[Overlap]) -> float:
    """Mean Dice, one vote per group."""
    return bootstrap([(one.group, one.dice) for one in overlaps]).mean


def difference(own: Sequence[Overlap], other: Sequence[Overlap]) -> Estimate:
    """Mean paired difference in Dice with its interval."""
    pairs = zip(own, other, strict=True)
    return bootstrap([(a.group, a.dice - b.dice) for a, b in pairs])


def rival(cell: Cell) -> str:
    """The published closed form with the best mean."""
    others = [arm for arm in cell if arm not in (CAME, RAW, *LEARNED, *OURS)]
    return max(others, key=lambda arm: mean(cell[arm]))


def _arms(rows: Mapping[Row, Cell]) -> list[str]:
    """All models, in order."""
    every = dict.fromkeys(arm for cell in rows.values() for arm in cell)
    return [arm for arm in every if arm not in (CAME, RAW)]


def _told(own: Sequence[Overlap] | None, other: Sequence[Overlap]) -> str:
    """A difference and its interval; nothing for a model that does not fit."""
    if own is None:
        return ""
    found = difference(own, other)
    if np.isnan(found.low):
        return f"{found.mean:+.3f}"
    return f"{found.mean:+.3f} [{found.low:+.3f}, {found.high:+.3f}]"
