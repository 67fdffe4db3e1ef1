"""The section about anomaly detectors: one table per study, and what they sum up to."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import report
from anomaly_studies import NORMALS
from results import Estimate, bootstrap, interval
from scipy.stats import rankdata

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence


HEAD = (
    "detector",
    "pixel AP",
    "to the first",
    "AUROC",
    "image AUROC",
    "AU-PRO",
    "recall at 1",
    "new look, content",
    "new look, raw",
    "p < 0.05",
    "p < 0.05, new look",
    "found at 0.05",
    "fit min",
    "s per MPix",
)

INTRODUCTION = """\
## Anomaly detectors

Every detector is fitted on normal images of a study and scores images of other fields.
*Planted*: half of the fields are normal ({normals} at most are fitted on); in the
others one thing is planted, of five kinds (foreign nucleus, debris, blur, missing
nuclei, texture with mixed phases) and four sizes, half to four times a nucleus, at the
intensities of the image.

- *pixel AP*: average precision of the pixels of an image, its mean over images with a
  95 % interval from bootstrap samples of fields (± standard deviation over seeds);
  *to the first*: AP minus that of the detector of the first row, of the same images and
  with the same seeds; *AUROC* as AP. *Image AUROC*: odd images against normal ones, by
  the largest score. *AU-PRO* up to a false-positive rate of 0.3. *Recall at 1*: odd
  regions found at one false region per field.
- *new look*: change of the AUROC when the same images come under a random look
  (stains, camera; in fluorescence gain, offset, gamma, background, noise). *Content*:
  the detector stands on the bundled `affine` model, as in all other columns; *raw*: the
  same detector, fitted and used on images as they are, with the first seed
  (`context`: nuclei only).
- *p < 0.05*: share of the pixels of normal images of other fields that are called odd
  at 0.05, with an interval over fields, and the same under new looks; *found at 0.05*:
  share of the odd pixels that are.

{steps} training steps (the default is 1,500). Seeds: {seeds}, each with normal images
of its own, cut in other halves to learn from and to calibrate on; `context` has two of
them, and the first alone where nothing is planted, as have `riad`, `autopaint` and
`fader` everywhere: a seed decides much in histology and smears, so compare detectors by
*to the first*. Times are of one core, of a detector that predicts with its
pseudo-normal image. What is odd is never used in fitting or in choosing a threshold.
How `context` compares, what it is trained under, and how far scores are smoothed was
chosen on foreign nuclei, debris and mixed texture, planted into fields of small nuclei
and of violet histology that may be fitted on; *blur*, *missing* and the other studies
are free of that. Its holes were chosen earlier, on all kinds, partly in the same fields
of small nuclei.
"""


@dataclass(frozen=True)
class Found:
    """How one case was scored.

    Attributes
    ----------
    group, kind, size
        Of the case.
    ap, auroc
        Of its pixels.
    moved, raw_moved
        Change of the AUROC when the image has a new look, on content and on raw images;
        NaN if the detector was not fitted on them.
    recalled
        Share of the odd pixels with p below ``ALPHA``.
    """

    group: str
    kind: str
    size: float
    ap: float
    auroc: float
    moved: float
    raw_moved: float
    recalled: float


@dataclass(frozen=True)
class Job:
    """One detector to be fitted on one study, also on images as they are if ``raw``."""

    study: str
    title: str
    words: str
    detector: str
    seed: int
    steps: int
    raw: bool


@dataclass(frozen=True)
class Row:
    """A detector on a study.

    Attributes
    ----------
    found
        One for every case.
    false, false_moved
        Share of the normal pixels with p below ``ALPHA``, by clean image, and the same
        under new looks.
    image_auroc, pro, recall
        Of images; AU-PRO up to a false-positive rate of 0.3; recall at one false
        region per field.
    minutes, seconds
        To fit, and to score a megapixel.
    """

    job: Job
    found: tuple[Found, ...]
    false: tuple[float, ...]
    false_moved: tuple[float, ...]
    image_auroc: float
    pro: float
    recall: float
    minutes: float
    seconds: float


Rows = "Sequence[Row]"


def introduction(steps: int, seeds: int) -> str:
    """What was done, in words."""
    return INTRODUCTION.format(steps=f"{steps:,}", seeds=seeds, normals=NORMALS)


def tables(rows: Rows) -> Iterator[str]:
    """One table per study, then one by kind and size, then the mean ranks."""
    for study, own in _by(rows, lambda row: row.job.title).items():
        yield f"### {study[0].upper()}{study[1:]}\n\n{own[0].job.words}"
        first, *_ = _detectors(own)
        cells = [_cells(same, first) for same in _detectors(own)]
        yield report.table(list(HEAD), cells)
        if any(found.kind for found in own[0].found):
            yield _by_what(own)
    yield _ranks(rows)


def _by(rows: Rows, key: Callable[[Row], str]) -> dict[str, list[Row]]:
    groups = defaultdict(list)
    for row in rows:
        groups[key(row)].append(row)
    return dict(groups)


def _detectors(rows: Rows) -> Iterator[list[Row]]:
    """Rows of all seeds, detector by detector."""
    yield from _by(rows, lambda row: row.job.detector).values()


def _cells(rows: Rows, first: Rows) -> list[str]:
    return [
        f"`{rows[0].job.detector}`",
        interval(ap(rows), ".3f") + _spread([_mean(row, "ap") for row in rows]),
        "" if rows == first else interval(_gain(rows, first), "+.3f"),
        interval(_over(rows, "auroc"), ".3f"),
        f"{np.mean([row.image_auroc for row in rows]):.3f}",
        f"{np.mean([row.pro for row in rows]):.3f}",
        f"{np.mean([row.recall for row in rows]):.2f}",
        interval(_over(rows, "moved"), "+.3f"),
        _raw(rows),
        interval(_false(rows, "false"), ".3f"),
        interval(_false(rows, "false_moved"), ".3f"),
        f"{_over(rows, 'recalled').mean:.2f}",
        f"{np.mean([row.minutes for row in rows]):.1f}",
        f"{np.mean([row.seconds for row in rows]):.1f}",
    ]


def _raw(rows: Rows) -> str:
    own = [row for row in rows if row.job.raw]
    return interval(_over(own, "raw_moved"), "+.3f") if own else ""


def _spread(means: Sequence[float]) -> str:
    return f" ± {np.std(means, ddof=1):.3f}" if len(means) > 1 else ""


def _mean(row: Row, name: str) -> float:
    return float(np.mean([getattr(found, name) for found in row.found]))


def ap(rows: Rows) -> Estimate:
    """Pixel AP over the images of all seeds."""
    return _over(rows, "ap")


def _over(rows: Rows, name: str) -> Estimate:
    """Mean over images, an interval over fields; seeds are of the same field."""
    return bootstrap(
        [(f.group, float(getattr(f, name))) for row in rows for f in row.found]
    )


def _gain(rows: Rows, first: Rows) -> Estimate:
    """AP minus that of another detector, of the same images with the same seeds."""
    known = {row.job.seed: row.found for row in first}
    pairs = (
        pair
        for row in rows
        for pair in zip(row.found, known[row.job.seed], strict=True)
    )
    return bootstrap([(one.group, one.ap - other.ap) for one, other in pairs])


def _false(rows: Rows, name: str) -> Estimate:
    return bootstrap(
        [(str(i), share) for row in rows for i, share in enumerate(getattr(row, name))]
    )


def _by_what(rows: Rows) -> str:
    """Pixel AP by kind and by size."""
    first = rows[0].found
    kinds = list(dict.fromkeys(found.kind for found in first))
    sizes = sorted({found.size for found in first})
    head = ["pixel AP of", *kinds, *(f"{size:g} nuclei" for size in sizes)]
    lines = []
    for same in _detectors(rows):
        every = [found for row in same for found in row.found]
        parts = [[f for f in every if f.kind == kind] for kind in kinds]
        parts += [[f for f in every if f.size == size] for size in sizes]
        values = [f"{np.mean([f.ap for f in part]):.3f}" for part in parts]
        lines.append([f"`{same[0].job.detector}`", *values])
    return report.table(head, lines)


def _ranks(rows: Rows) -> str:
    """Rank by pixel AP in every study, and its mean.

    Against the first detector with the same seeds, as some have fewer seeds.
    """
    studies = _by(rows, lambda row: row.job.title)
    names = list(_by(rows, lambda row: row.job.detector))
    ranks = []
    for own in studies.values():
        first, *_ = every = list(_detectors(own))
        known = {same[0].job.detector: _gain(same, first).mean for same in every}
        ranks.append(rankdata([-known[name] for name in names]))
    columns = np.array(ranks).T
    order = np.argsort(columns.mean(axis=1), kind="stable")
    head = ["rank by pixel AP", *studies, "mean"]
    lines = [
        [f"`{names[i]}`", *(f"{r:g}" for r in columns[i]), f"{columns[i].mean():.1f}"]
        for i in order
    ]
    return report.table(head, lines)
