"""What content-only keeps of the biology, beside what it still tells of the look.

``python benchmarks/structure.py`` measures edges, nuclei, sameness under two looks and
the class of cells, on the pictures and looks of ``leak.py``, and holds every model
against the bar of ``gate.py``. It writes its section of ``docs/benchmarks.md``
(minutes, one core); ``--quick`` prints a short run on synthetic tissue.
"""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

import cells
import numpy as np
import page
import structure_report
import swap
import torch
from arms import arms
from leak import QUICK_PAIRS, Dealt, channels_first, corners, deal, look_read
from sources import named
from structure_report import Structure
from trained import BLOOD, NUCLEI, SCANNERS, VIOLET

from napari_disentangle.audit import (
    colour_features,
    convolution_features,
    gradient_correlation,
    nucleus_dice,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from arms import Show, Shown
    from looks import Array

PAIRS = 60
QUICK, QUICK_FIELDS = "synthetic tissue", 5
PROBES = {"colours": colour_features, "convolutions": convolution_features}


def structure(dealt: Dealt, name: str, show: Show) -> Structure:
    """What one arm keeps."""
    shown = [show(picture) for picture in dealt.pictures]
    again = [show(picture).picture for picture in dealt.again]
    after = [channels_first(one.picture) for one in shown]
    edges, clipped = _edges(dealt.pictures, shown)
    return Structure(
        source=dealt.source,
        arm=name,
        groups=len(set(dealt.group)),
        edges=edges,
        clipped=clipped,
        nuclei=_nuclei(dealt.pictures, after),
        alike=[_alike(a.picture, b) for a, b in zip(shown, again, strict=True)],
        leaks={probe: look_read(dealt, after, see) for probe, see in PROBES.items()},
    )


def _edges(
    pictures: Sequence[Array], shown: Sequence[Shown]
) -> tuple[list[float], float]:
    """Correlation of every picture, and the share of all values that is clipped."""
    limits = (0, 255) if pictures[0].dtype == np.uint8 else (-np.inf, np.inf)
    found = [
        gradient_correlation(channels_first(before), after.values, limits)
        for before, after in zip(pictures, shown, strict=True)
    ]
    known = all(one.unclipped is not None for one in shown)
    clipped = float(np.mean([one.clipped for one in found])) if known else np.nan
    return [one.correlation for one in found], clipped


def _nuclei(pictures: Sequence[Array], after: Sequence[Array]) -> list[float]:
    brightfield = pictures[0].dtype == np.uint8
    modality = "brightfield" if brightfield else "fluorescence"
    pairs = zip(map(channels_first, pictures), after, strict=True)
    return [nucleus_dice(a[:3], b[:3], modality) for a, b in pairs]


def _alike(one: Array, other: Array) -> float:
    """Decibels between two pictures, of which a flat one has no range."""
    return swap.MOST if np.array_equal(one, other) else swap.psnr(one, other)


# --- all ------------------------------------------------------------------------------
def source(dealt: Dealt) -> list[Structure]:
    """What every arm keeps of pictures of a source, or why there is none."""
    known = arms(dealt.pictures)
    kept = [structure(dealt, arm, show) for arm, show in known.shows.items()]
    refused = [Structure(dealt.source, *told) for told in known.refusals.items()]
    return kept + refused


def main() -> None:
    """Run the benchmark from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="synthetic, printed")
    torch.set_num_threads(1)
    if parser.parse_args().quick:
        classes = {QUICK: cells.classes(cells.planted(QUICK_FIELDS))}
        found = [source(corners(deal(named(QUICK), QUICK_PAIRS)))]
        sys.stdout.write(structure_report.section(found, classes))
        return
    present = [n for n in (SCANNERS, VIOLET, BLOOD, NUCLEI) if named(n).present]
    classes = {BLOOD: cells.classes(cells.smears())} if BLOOD in present else {}
    found = [source(deal(named(name), PAIRS)) for name in present]
    page.put(structure_report.section(found, classes))


if __name__ == "__main__":
    main()
