"""The section about mitoses on another scanner in ``docs/benchmarks.md``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import page
import report
from mitosis_net import BATCH, DECAY, EDGE, GAIN, OFFSET, WIDTHS, n_parameters
from results import RESAMPLES, Estimate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from looks import Array
    from mitosis import Budget

COMMAND = "python benchmarks/mitosis.py"
# Arms without a model.
RAW, JITTER = "raw", "colour jitter"
MEAN = "*mean of scanners*"

INTRODUCTION = """\
## Mitoses on a scanner that was never trained on

Does removing or mixing the look help a network that meets another scanner? Patches of
128x128 pixels, each with a mitosis that most of three experts called typical or
atypical; the scanners hold different patients, so that what a network loses there may
be the scanner or the patients. In turn, every scanner is held out: a small network
learns from the two others and is asked about all of its patches. No slide is on both
sides. The biology is only weakly visible: two of the experts differ on 15 % of the
patches, and colour statistics tell typical from atypical with a balanced accuracy of
0.549 (0.5 is chance) on other slides of the same scanners.

- *raw*: as the patches came.
- *colour jitter*: while training, a random gain exp(N(0, {gain})) and offset
  N(0, {offset}) of the absorbance of every image and channel.
- *content*: trained on and asked about content-only patches. Every patch is freed from
  the look of its slide, pooled over the slide's patches (also on the held-out scanner:
  without labels, but it has to see the slide's other patches), and shown under the mean
  look of the training slides, one vote each.
- *mixing*: trained on the patches as they came and on {copies} copies of each under the
  looks of the slides of other patches, drawn once by `nd.augment`; asked about raw
  patches. One of {versions} versions of a patch is drawn whenever it is in a batch.

All else is measured on training slides only. `affine` is the bundled model: by its card
(`nd.zoo()`) it learned from none of these patches, but the closed form under it was
settled on some of them, without labels.{learned}
"""

LEARNED = """ `contrimix` learns in every turn from the patches of the two training
scanners, {steps} steps, seed 0, once for both of its arms and all seeds."""

TRAINING = """\
### How networks were trained

{layers} convolutions 3x3 of stride 2 ({widths} channels) with batch normalisation and
ReLU, the mean over what is left, and one logit: {parameters:,} parameters. They see the
absorbance of {view}. AdamW, weight decay {decay}, learning
rate {rate} falling to 0 as a half cosine, {steps} batches of {batch}, half of them
atypical; random flips and quarter turns. No early stopping, and nothing is chosen on
answers about a held-out scanner. Steps, rate and view were chosen once (of two each),
for raw patches, on every fourth slide of the training scanners of each turn, kept out
of that training: what suits raw may suit the other arms less. All arms of a seed begin
with the same network and draw the same patches, turned alike. {seeds} seeds;
`{command}` gives the same digits again, one thread per process, and
`--choose` the choice.
"""


@dataclass(frozen=True, eq=False)
class Answers:
    """What the networks of an arm said about a held-out scanner.

    Attributes
    ----------
    scanner, arm
        What was held out, and how networks were trained.
    slides, atypical
        Of every patch (n,): where it is from, and the truth.
    chances
        Probabilities (seeds, n) that it is atypical.
    """

    scanner: str
    arm: str
    slides: Sequence[str]
    atypical: Array
    chances: Array

    @property
    def together(self) -> Array:
        """Probabilities (n,), the mean over seeds."""
        return self.chances.mean(axis=0)


# Answers of every scanner, by arm: what one row of a table tells.
Arms = dict[str, list[Answers]]


def section(answers: Sequence[Answers], budget: Budget) -> str:
    """All of the section as Markdown."""
    rows = {scanner: _by_arm(answers, scanner) for scanner in _scanners(answers)}
    every = {MEAN: _by_arm(answers), **rows}
    return page.section(
        COMMAND,
        _introduction(every[MEAN], budget),
        "### Held-out scanners",
        _EXPLAINED,
        report.table(_HEAD, [line for row in every.items() for line in _lines(*row)]),
        "### What won and what lost",
        _verdict(every),
        "### Patches",
        _patches(rows),
        _training(budget),
    )


_HEAD = ["held out", "arm", "AUROC", "balanced accuracy"]
_HEAD += ["AUROC, seeds averaged", "against raw", "against jitter"]
_EXPLAINED = f"""\
*AUROC* and *balanced accuracy* (at a probability of 0.5) are means over seeds ±
standard deviation over seeds. Then the AUROC of the probabilities averaged over seeds,
and its paired differences to raw and to colour jitter, with 95 % intervals from
{RESAMPLES:,} bootstrap samples of the held-out slides; for the mean, slides are drawn
within each scanner. The intervals know of other slides, not of other scanners or seeds.
The best arm of a scanner, by that AUROC, is bold.
"""


def _introduction(cell: Arms, budget: Budget) -> str:
    learned = LEARNED.format(steps=budget.fit_steps)
    return INTRODUCTION.format(
        gain=GAIN,
        offset=OFFSET,
        copies=budget.copies,
        versions=budget.copies + 1,
        learned=learned if any("contrimix" in arm for arm in cell) else "",
    )


def _training(budget: Budget) -> str:
    how = budget.training
    centre = f"the central {EDGE}x{EDGE} pixels"
    return TRAINING.format(
        layers=len(WIDTHS),
        widths=", ".join(map(str, WIDTHS)),
        parameters=n_parameters(),
        view=centre if how.view == "centre" else "the patch at half its size",
        decay=DECAY,
        rate=how.rate,
        steps=how.steps,
        batch=BATCH,
        seeds=len(budget.seeds),
        command=COMMAND,
    )


# --- tables ---------------------------------------------------------------------------
def _lines(held_out: str, cell: Arms) -> list[list[str]]:
    """One line per arm."""
    reached = {arm: auroc_of(own) for arm, own in cell.items()}
    best = max(reached, key=lambda arm: reached[arm].mean)
    lines = []
    for arm, own in cell.items():
        mark = "**" if arm == best else ""
        lines.append(
            [
                held_out,
                f"{mark}{arm}{mark}",
                _over_seeds(own, auroc),
                _over_seeds(own, balanced_accuracy),
                _told(reached[arm], ".3f"),
                _apart(cell, arm, RAW),
                "" if arm == RAW else _apart(cell, arm, JITTER),
            ]
        )
    return lines


def _apart(cell: Arms, arm: str, other: str) -> str:
    return "" if arm == other else _told(difference(cell[arm], cell[other]), "+.3f")


def _verdict(every: Mapping[str, Arms]) -> str:
    """Arms that won or lost, against raw and against what needs no model."""
    return "\n\n".join(
        (
            *_against(every, RAW, (RAW,)),
            *_against(every, JITTER, (RAW, JITTER)),
            "Rows are not corrected for their number: where nothing differs, about "
            "one\ninterval in twenty excludes 0 all the same.",
        )
    )


def _against(
    every: Mapping[str, Arms], other: str, left_out: Sequence[str]
) -> Iterator[str]:
    """Arms whose interval against another excludes 0, and how many that leaves."""
    found = [
        (held_out, arm, difference(own, cell[other]))
        for held_out, cell in every.items()
        for arm, own in cell.items()
        if arm not in left_out
    ]
    won = [one for one in found if one[2].low > 0]
    lost = [one for one in found if one[2].high < 0]
    yield _list(f"Above {other}, with an interval above 0:", won)
    yield _list(f"Below {other}, with an interval below 0:", lost)
    rest = len(found) - len(won) - len(lost)
    yield f"Against {other}, the interval includes 0 in {rest} of {len(found)} rows."


def _list(title: str, found: Sequence[tuple[str, str, Estimate]]) -> str:
    if not found:
        return f"{title} none."
    lines = (f"- {row}: {arm} {_told(e, '+.3f')}" for row, arm, e in found)
    return "\n".join((title, "", *lines))


def _patches(rows: Mapping[str, Arms]) -> str:
    head = ["scanner", "patches", "atypical", "typical", "slides", "with both"]
    table = [[s, *map(str, _counts(cell[RAW][0]))] for s, cell in rows.items()]
    return report.table(head, table)


def _counts(own: Answers) -> tuple[int, ...]:
    kinds = [
        {s for s, a in zip(own.slides, own.atypical, strict=True) if a == kind}
        for kind in (True, False)
    ]
    n, odd = len(own.slides), int(own.atypical.sum())
    return n, odd, n - odd, len(set(own.slides)), len(kinds[0] & kinds[1])


# --- measures -------------------------------------------------------------------------
def auroc(chances: Array, atypical: Array) -> float:
    """Share of pairs of an atypical and a typical patch that are in the right order."""
    return float(_order(chances, atypical).mean())


def balanced_accuracy(chances: Array, atypical: Array) -> float:
    """Mean share of each class that is on its side of 0.5."""
    called = chances > 0.5
    return float((called[atypical].mean() + (~called[~atypical]).mean()) / 2)


def auroc_of(own: Sequence[Answers]) -> Estimate:
    """AUROC with its interval, the mean over scanners if there are several."""
    return _estimate(
        np.array([auroc(o.together, o.atypical) for o in own]), _samples(own)
    )


def difference(own: Sequence[Answers], other: Sequence[Answers]) -> Estimate:
    """Paired difference in AUROC with its interval: both meet the same slides."""
    points = [
        auroc(a.together, a.atypical) - auroc(b.together, b.atypical)
        for a, b in zip(own, other, strict=True)
    ]
    return _estimate(np.array(points), _samples(own) - _samples(other))


def _estimate(points: Array, samples: Array) -> Estimate:
    low, high = np.nanpercentile(samples, (2.5, 97.5))
    return Estimate(float(points.mean()), float(low), float(high))


def _samples(own: Sequence[Answers]) -> Array:
    """AUROC (RESAMPLES,) over bootstrap samples of slides, the mean over scanners.

    NaN where a sample has but one class.
    """
    drawn = [resampled(one, seed) for seed, one in enumerate(own)]
    return np.mean(drawn, axis=0)


def resampled(own: Answers, seed: int) -> Array:
    """AUROC (RESAMPLES,) of one scanner; the same seed draws the same slides."""
    names, of = np.unique(own.slides, return_inverse=True)
    member = np.eye(len(names))[of]
    odd, plain = member[own.atypical], member[~own.atypical]
    right = odd.T @ _order(own.together, own.atypical) @ plain
    rng = np.random.default_rng(seed)
    times = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), RESAMPLES)
    pairs = (times @ odd.sum(axis=0)) * (times @ plain.sum(axis=0))
    won = np.einsum("ra,ab,rb->r", times, right, times, optimize=True)
    return np.divide(won, pairs, out=np.full(RESAMPLES, np.nan), where=pairs > 0)


def _order(chances: Array, atypical: Array) -> Array:
    """1 where an atypical patch is above a typical one, 0.5 if equal (odd, plain)."""
    apart = chances[atypical][:, None] - chances[~atypical]
    return (np.sign(apart) + 1) / 2


def _over_seeds(own: Sequence[Answers], score: Callable[[Array, Array], float]) -> str:
    """Mean over seeds ± their standard deviation, of the mean over scanners."""
    scores = np.array([[score(c, one.atypical) for c in one.chances] for one in own])
    seeds = scores.mean(axis=0)
    return f"{seeds.mean():.3f} ± {seeds.std(ddof=1):.3f}"


# --- bits -----------------------------------------------------------------------------
def _scanners(answers: Sequence[Answers]) -> list[str]:
    return list(dict.fromkeys(one.scanner for one in answers))


def _by_arm(answers: Sequence[Answers], scanner: str | None = None) -> Arms:
    """Answers about one scanner or all, by arm in order of appearance."""
    cell: Arms = {}
    for one in answers:
        if scanner in (None, one.scanner):
            cell.setdefault(one.arm, []).append(one)
    return cell


def _told(found: Estimate, form: str) -> str:
    return f"{found.mean:{form}} [{found.low:{form}}, {found.high:{form}}]"
