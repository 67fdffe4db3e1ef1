"""Stacks: whether anomalies are found better through Z than plane by plane.

``python benchmarks/stacks.py`` marks half of every stack as normal, fits on it, plants
one thing at a time into the other half, and scores it both ways; it writes its section
of ``docs/benchmarks.md``. ``--quick`` prints a few on a synthetic stack.
"""

from __future__ import annotations

import argparse
import sys
from collections import OrderedDict
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import TYPE_CHECKING
from unittest import mock

import numpy as np
import page
import report
import torch
from anomaly_metrics import auroc, pixel_ap
from planted_stacks import KINDS, dense, nuclei, plant, synthetic
from results import bootstrap, interval

import napari_disentangle as nd
from napari_disentangle.detector.view import Normal

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from looks import Array
    from planted_stacks import Stack

    from napari_disentangle.detector.detector import Detector, Score
    from napari_disentangle.detector.view import Looked
    from napari_disentangle.image.tiling import Part

    Looking = Generator[None, None, Looked]

COMMAND = "python benchmarks/stacks.py"
DETECTORS = ("mahalanobis", "knn", "context")
STEPS = 300
PLANTINGS, QUICK_PLANTINGS = 20, 6
# Every so many-th plane is kept.
KEPT = (1, 2)
# In diameters of the stack's cells, as the detector measures them.
SIZES = (0.5, 1.0, 2.0)
SEED = 8
ALPHA = 0.05
# For regions, as the widget has it to begin with.
STRICT = 0.01
WAYS = ("plane by plane", "through z")
# Looks that are kept: a planted thing leaves most planes as they are.
LOOKS = 512

METHOD = """\
## Stacks

Does it help to smooth scores along Z, by 0.3 cell diameters in world units, instead of
scoring planes one by one? Half of each stack (in Y) is marked as normal and fitted on;
into the other half one thing is planted at a time, {n} per stack: debris, or a ball
with the texture of the other stack, as bright and as varied as this one. They are round
in world units, {sizes} of the stack's own cells across (four do not fit), and cut
off where the stack ends. *Kept*: all planes, or every second one, fitted and scored
without the others.

- *AP*, *AUROC*: of the voxels of that half, means over plantings with 95 % intervals
  from bootstrap samples of them.
- *Planes*: share of the planes of a thing in which some of it has p < {alpha}. *One
  region*: things that meet exactly one region, at p <= {strict} and at p <= {alpha}.
- *False*: share of the voxels of that half with p < {alpha} when nothing is planted; it
  is another part of the stack than the one that calibrates, and only as normal.

The same fit is used both ways. {steps} training steps where there is training, one
seed. The factor 0.3 was chosen on things planted into the two real stacks.

{stacks}
"""

WON = """\
AP through z minus plane by plane, of the same things, with intervals over plantings; of
all of them, and by size in cells:
"""


@dataclass(frozen=True)
class Found:
    """How one planted thing was scored.

    Attributes
    ----------
    size
        In cells.
    ap, auroc
        Of voxels.
    planes
        Share of its planes in which it was found.
    one
        Whether it is one region, at ``STRICT`` and at ``ALPHA``.
    """

    size: float
    ap: float
    auroc: float
    planes: float
    one: tuple[bool, bool]


@dataclass(frozen=True)
class Row:
    """A detector on a stack, scored one way."""

    detector: str
    stack: str
    kept: int
    way: str
    found: tuple[Found, ...]
    false: float


# --- scores ---------------------------------------------------------------------------
def remembering() -> mock._patch[Callable[[Normal, Array, Part], Looking]]:
    """Planes that were looked at before are not looked at again."""
    looking, known = Normal.looking, OrderedDict()

    def once(normal: Normal, signal: Array, kept: Part) -> Looking:
        seen = blake2b(np.ascontiguousarray(signal).tobytes()).digest()
        key = (normal, seen, str(kept))
        if key not in known:
            known[key] = yield from looking(normal, signal, kept)
        known.move_to_end(key)
        while len(known) > LOOKS:
            known.popitem(last=False)
        return known[key]

    return mock.patch.object(Normal, "looking", once)


def fitted(stack: Stack, name: str, kept: int, steps: int) -> Detector:
    """A detector that learned one half of a stack."""
    image = stack.field(stack.values, kept)
    where = np.zeros(image.shape, bool)
    where[:, : stack.middle] = True
    trained = hasattr(nd.detectors()[name].config, "steps")
    marked = replace(image, where=where)
    return nd.fit_detector(marked, name, **({"steps": steps} if trained else {}))


def scored(detector: Detector, stack: Stack, values: Array, kept: int) -> Score:
    """The score of the other half."""
    half = np.s_[:, stack.middle :]
    z = np.asarray(detector.lazy(stack.field(values, kept))[half])
    return detector.read(z, stack.field(values[half], kept))


def found(score: Score, odd: Array, size: float) -> Found:
    """How a planted thing (Z, Y, X) was scored."""
    z = np.abs(score.z)
    planes = [score.p[i][own].min() < ALPHA for i, own in enumerate(odd) if own.any()]
    one = (_regions(score, odd, STRICT) == 1, _regions(score, odd, ALPHA) == 1)
    return Found(size, pixel_ap(z, odd), auroc(z, odd), float(np.mean(planes)), one)


def _regions(score: Score, odd: Array, alpha: float) -> int:
    """How many regions meet what is odd."""
    labels, _ = score.regions(alpha)
    return len(set(labels[odd].tolist()) - {0})


def rows(stack: Stack, other: Stack, name: str, kept: int, n: int) -> list[Row]:
    """One detector on one stack, both ways."""
    detector = fitted(stack, name, kept, STEPS)
    ways = (replace(detector, smoothed=None), detector)
    results: tuple[list[Found], ...] = ([], [])
    for i in range(n):
        size = SIZES[i // len(KINDS) % len(SIZES)]
        values, odd = planted(stack, other, KINDS[i % len(KINDS)], size, i)
        for way, own in zip(ways, results, strict=True):
            score = scored(way, stack, values, kept)
            own.append(found(score, odd[::kept], size))
    clean = [scored(way, stack, stack.values, kept) for way in ways]
    shown = zip(WAYS, results, clean, strict=True)
    return [
        Row(name, stack.name, kept, way, tuple(own), float((one.p < ALPHA).mean()))
        for way, own, one in shown
    ]


def planted(
    stack: Stack, other: Stack, kind: str, size: float, number: int
) -> tuple[Array, Array]:
    """A stack with one thing, and where that is in the half it was planted into."""
    half, rng = np.s_[:, stack.middle :], np.random.default_rng((SEED, number))
    values = stack.values.copy()
    values[half], odd = plant(stack, half, other.values, kind, size, rng)
    return values, odd


# --- the section ----------------------------------------------------------------------
def section(stacks: Sequence[Stack], names: Sequence[str], n: int) -> str:
    """The section as Markdown."""
    torch.set_num_threads(1)
    pairs = list(zip(stacks, (*stacks[1:], stacks[0]), strict=True))
    with remembering():
        made = [
            row
            for stack, other in pairs
            for kept in KEPT
            for name in names
            for row in rows(stack, other, name, kept, n)
        ]
    words = METHOD.format(
        n=n,
        sizes=", ".join(f"{size:g}" for size in SIZES),
        alpha=ALPHA,
        strict=STRICT,
        steps=STEPS,
        stacks="\n".join(f"- {stack.words}" for stack in stacks),
    )
    return page.section(COMMAND, words, _scores(made), WON, _won(made))


def _scores(made: Sequence[Row]) -> str:
    head = ["stack", "kept", "detector", "scored", "AP", "AUROC", "planes"]
    head += [f"one region, {STRICT}", f"one region, {ALPHA}", "false"]
    return report.table(head, [_cells(row) for row in made])


def _cells(row: Row) -> list[str]:
    ones = zip(*(one.one for one in row.found), strict=True)
    return [
        *_what(row),
        row.way,
        _mean([one.ap for one in row.found]),
        _mean([one.auroc for one in row.found]),
        f"{np.mean([one.planes for one in row.found]):.2f}",
        *(f"{sum(own)} of {len(row.found)}" for own in ones),
        f"{row.false:.3f}",
    ]


def _what(row: Row) -> list[str]:
    kept = "all" if row.kept == 1 else f"1 in {row.kept}"
    return [row.stack, kept, f"`{row.detector}`"]


def _won(made: Sequence[Row]) -> str:
    sizes = sorted({one.size for row in made for one in row.found})
    head = ["stack", "kept", "detector", "all", *(f"{size:g}" for size in sizes)]
    pairs = zip(made[::2], made[1::2], strict=True)
    return report.table(head, [_gains(*pair, sizes) for pair in pairs])


def _gains(alone: Row, through: Row, sizes: Sequence[float]) -> list[str]:
    gains = [
        (now.size, now.ap - then.ap)
        for now, then in zip(through.found, alone.found, strict=True)
    ]
    by_size = ([gain for own, gain in gains if own == size] for size in sizes)
    every = [gain for _, gain in gains]
    return [*_what(alone), *(_mean(own, "+.3f") for own in (every, *by_size))]


def _mean(values: Sequence[float], form: str = ".3f") -> str:
    scores = [(str(i), value) for i, value in enumerate(values)]
    return interval(bootstrap(scores), form)


def main() -> None:
    """Run the benchmark from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="synthetic, printed")
    if parser.parse_args().quick:
        stacks = [synthetic(0), synthetic(1, 2.5)]
        sys.stdout.write(section(stacks, DETECTORS[:1], QUICK_PLANTINGS))
        return
    page.put(section([nuclei(), dense()], DETECTORS, PLANTINGS))


if __name__ == "__main__":
    main()
