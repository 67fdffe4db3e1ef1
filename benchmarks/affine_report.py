"""The section about the learned attribute in ``docs/benchmarks.md``."""

from __future__ import annotations

from collections import defaultdict
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np
import page
import report
from results import Estimate, bootstrap

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from results import Score

COMMAND = "python benchmarks/affine.py"
# Not models: the best affine map, fitted on the truth, and no swap at all.
BEST, NONE = "best affine map", "no swap"
# Our own closed forms: shown, but no rivals of the tables.
OURS = ("balanced", "levels")
# Sources with slides or fields that the bundled model did not learn from.
SPLIT = (
    "H&E, three scanners",
    "violet histology (DSB)",
    "blood smears (BCCD)",
    "nuclei (DSB)",
)

INTRODUCTION = """\
## The learned attribute

`affine` corrects the closed form `balanced` by a small network. The swaps are made as
above, on slides and fields that no model was trained on. Not all of it is untouched:
how the correction fades and that tiles are not recoloured was settled after a look at
reported swaps of the three scanners and of DSB nuclei (of other crops and looks), so
those rows may flatter. *Against the best* is the mean paired difference in decibels to
the published closed form that is best in that very row, with its 95 % interval over
slides or fields; the best is chosen on the reported swaps themselves, which favours it.
`balanced` and `levels` are our own and stand in columns of their own.
*Gap closed* is the share of the way from that best to the best affine map,
fitted on the truth. *camera* looks are never learned from; *hed* and *fluorescence*
looks are of a kind that is.
"""

UNSEEN = """\
### Where it never saw such images

The decisive experiment: every source is held out whole, the network is trained on the
others (`python benchmarks/trained.py`; seeds {seeds}, averaged for each swap), and its
correction is used as far as it takes the images for known: at most {used}.
"""


def section(
    *,
    seeds: str,
    unseen: Sequence[Score],
    known: Sequence[Score],
    fitted: Sequence[Score],
    pooled: Sequence[Score],
    alike: Sequence[Score],
    alike_fitted: Sequence[Score],
    fits: Sequence[Any],
    curves: Mapping[str, list[list[float]]],
    speed: Mapping[str, tuple[float, float]],
) -> str:
    """All of the section as Markdown."""
    return page.section(
        COMMAND,
        INTRODUCTION,
        UNSEEN.format(seeds=seeds, used="40 % (brightfield), 25 % (fluorescence)"),
        paired(unseen, "affine (never saw it)"),
        "### The bundled models on held-out slides and fields",
        "The three scanners are not among what it learned from; the others are.",
        paired(known, "affine (bundled)"),
        "### Fitted on slides of the same kind",
        f"Three-scanner patches, fitted on other slides; seeds {seeds}. Not shipped.",
        paired(fitted, "affine (fitted)"),
        "### Pooling",
        "Patches that the attribute of the image, and of the donor, is measured on; "
        "slides with at least 16 patches.",
        _pooling(pooled),
        "### Content consistency",
        "*statistics*: two pictures of one slide or field under two looks, rendered to "
        "content; -20 log10 of how much their colour means and spreads differ "
        "otherwise than those of the pictures as they came, under one look. "
        "*content*: one picture under two looks; signal to noise ratio between the two "
        "content-only images. Decibels against the best published closed form.",
        _alike(alike),
        "Fitted on other slides of the three scanners:",
        _alike(alike_fitted),
        "### Fitting on two opened images",
        "As the widget does it; held-out tiles of these images, one thread, no GPU.",
        fit_table(fits),
        "### Learning curves",
        "Decibels on held-out tiles of the training sources, seed 0.",
        _curves(curves),
        "### Speed",
        "Seconds of one thread per megapixel of 8-bit colour; these digits vary.",
        _speed(speed),
    )


# --- tables -------------------------------------------------------------------------
def paired(scores: Sequence[Score], model: str) -> str:
    """A model against the best published closed form of every row."""
    head = [
        "images",
        "looks",
        "swaps",
        "groups",
        "no swap",
        "best published",
        model,
        "against the best",
        "`balanced` against it",
        "`levels` against it",
        "gap closed",
        "dE best, own",
    ]
    rows = [_paired_row(cell, model) for cell in _cells(scores)]
    return report.table(head, rows)


def _paired_row(cell: Sequence[Score], model: str) -> list[str]:
    by = _by_model(cell)
    rival = _rival(by, model)
    own, best, top = (_mean(by[m]) for m in (model, rival, BEST))
    colour = not np.isnan(by[model][0].difference)
    groups = {s.group for s in by[model]}
    return [
        cell[0].source,
        cell[0].looks,
        str(len(by[model])),
        str(len(groups)),
        f"{_mean(by[NONE]):.1f}",
        f"{best:.1f} {rival}",
        f"{own:.1f}",
        _told(_difference(by[model], by[rival])),
        *(_told(_difference(by[name], by[rival])) for name in OURS),
        f"{(own - best) / (top - best):.0%}",
        f"{_colour(by[rival]):.1f}, {_colour(by[model]):.1f}" if colour else "",
    ]


def _pooling(scores: Sequence[Score]) -> str:
    rows = []
    for cell in _cells(scores):
        pools = dict.fromkeys(s.model.partition(" | ")[2] for s in cell)
        for pool in pools:
            by = {
                m.partition(" | ")[0]: own
                for m, own in _by_model(cell).items()
                if m.endswith(f" | {pool}")
            }
            model = next(m for m in by if m.startswith("affine"))
            rival = _rival(by, model)
            rows.append(
                [
                    cell[0].looks,
                    pool,
                    str(len({s.group for s in by[model]})),
                    f"{_mean(by[rival]):.1f} {rival}",
                    f"{_mean(by[model]):.1f}",
                    _told(_difference(by[model], by[rival])),
                    f"{_colour(by[rival]):.1f}, {_colour(by[model]):.1f}",
                ]
            )
    head = ["looks", "patches: image, donor", "slides", "best published", "affine"]
    return report.table([*head, "against the best", "dE best, own"], rows)


def _alike(scores: Sequence[Score]) -> str:
    rows = []
    for cell in _cells(scores):
        by = _by_model(cell)
        for model in (m for m in by if m.startswith("affine")):
            told = []
            for score in (lambda s: s.psnr, lambda s: s.difference):
                rival = _rival(by, model, score)
                apart = _difference(by[model], by[rival], score)
                told += [f"{_mean(by[rival], score):.1f} {rival}", _told(apart)]
            rows.append([cell[0].source, cell[0].looks, model, *told])
    head = ["images", "looks", "model", "statistics: best", "against it"]
    return report.table([*head, "content: best", "against it"], rows)


def fit_table(fits: Sequence[Any]) -> str:
    """What fits on opened images took, and what came of them."""
    rows = [
        [f.source, f.images, f"{f.seconds:.0f}", str(f.steps), f.verdict] for f in fits
    ]
    return report.table(["images", "which", "seconds", "steps", "verdict"], rows)


def _curves(curves: Mapping[str, list[list[float]]]) -> str:
    shown = (20, 60, 100, 200, 300, 400, 500, 600)
    rows = []
    for name, points in curves.items():
        known = {int(i): v for i, v in points}
        rows.append([name, *(f"{known[i]:.1f}" if i in known else "" for i in shown)])
    return report.table(["trained", *map(str, shown)], rows)


def _speed(speed: Mapping[str, tuple[float, float]]) -> str:
    rows = [[m, f"{a:.3f}", f"{b:.3f}"] for m, (a, b) in speed.items()]
    return report.table(["model", "measuring the look", "rendering"], rows)


# --- bits ---------------------------------------------------------------------------
def _cells(scores: Sequence[Score]) -> Iterator[list[Score]]:
    order = list(dict.fromkeys((s.source, s.looks) for s in scores))

    def key(score: Score) -> int:
        return order.index((score.source, score.looks))

    for _, cell in groupby(sorted(scores, key=key), key=key):
        yield list(cell)


def _by_model(cell: Sequence[Score]) -> dict[str, list[Score]]:
    by = defaultdict(list)
    for score in sorted(cell, key=lambda s: s.number):
        by[score.model].append(score)
    return dict(by)


def _psnr(score: Score) -> float:
    return score.psnr


def _rival(
    by: Mapping[str, Sequence[Score]],
    model: str,
    score: Callable[[Score], float] = _psnr,
) -> str:
    """The best published closed form."""
    others = [
        m for m in by if not m.startswith("affine") and m not in (BEST, NONE, *OURS)
    ]
    return max(others, key=lambda m: _mean(by[m], score))


def _mean(scores: Sequence[Score], score: Callable[[Score], float] = _psnr) -> float:
    return bootstrap([(s.group, score(s)) for s in scores]).mean


def _colour(scores: Sequence[Score]) -> float:
    return _mean(scores, lambda s: s.difference)


def _difference(
    own: Sequence[Score],
    other: Sequence[Score],
    score: Callable[[Score], float] = _psnr,
) -> Estimate:
    pairs = zip(own, other, strict=True)
    return bootstrap([(a.group, score(a) - score(b)) for a, b in pairs])


def _told(found: Estimate) -> str:
    if np.isnan(found.low):
        return f"{found.mean:+.2f}"
    return f"{found.mean:+.2f} [{found.low:+.2f}, {found.high:+.2f}]"
