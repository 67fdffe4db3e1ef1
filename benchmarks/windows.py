"""Windows of normal images: how many hold a region that is odd as a whole.

``python benchmarks/windows.py`` fits as ``anomaly.py`` does, on several draws of normal
images, and counts windows of the size of a normal block in images of other groups. It
writes its section of ``docs/benchmarks.md``; ``--quick`` prints a few on synthetic
tissue.
"""

from __future__ import annotations

import argparse
import os
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING
from zlib import crc32

import anomaly
import numpy as np
import page
import report
import torch
from results import bootstrap, interval
from swap import field_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from looks import Array

    from napari_disentangle.detector.detector import Detector

COMMAND = "python benchmarks/windows.py"
STUDIES = ("nuclei", "small nuclei", "violet", "white cells")
DETECTORS = ("mahalanobis", "knn")
SEEDS = range(5)
# Of regions.
ALPHA = 0.05

METHOD = """\
## Anomaly detectors: windows that are odd by chance

p of a region says how many normal blocks hold one like it. So of windows as large as a
block, in normal images of other groups, a share of {alpha:g} should hold a region with
p <= {alpha:g}. Here are the whole windows of the normal images of the benchmark above,
for {draws} draws of those to fit on: the share for each draw, and of all, with
intervals over images. *Blocks*: how many calibrate, mean over draws.
"""


@dataclass(frozen=True)
class Counted:
    """Windows of one image that are odd, by one fit."""

    study: str
    detector: str
    seed: int
    group: str
    odd: float
    blocks: int


def odd_windows(detector: Detector, image: Array) -> float:
    """Share of the whole windows of an image that hold an odd region.

    NaN if there is none, or if too few blocks calibrate for p of regions.
    """
    score = detector.score(field_of(image))
    edge = score.calibration.window
    h, w = (n // edge for n in score.extent.shape)
    whole = score.extent[: h * edge, : w * edge]
    largest = whole.reshape(h, edge, w, edge).max(axis=(1, 3))
    p = score.calibration.region_p(largest)
    return float((p <= ALPHA).mean()) if np.isfinite(p).any() else float("nan")


def counted(place: tuple[str, str, int]) -> list[Counted]:
    """All normal images that are scored, by one detector and one draw."""
    torch.set_num_threads(1)
    name, by, seed = place
    study = anomaly.study_of(name, seed)
    job = anomaly.Job(name, "", "", by, seed, anomaly.STEPS, raw=False)
    detector, _ = anomaly.fitted(study, job, "content")
    blocks = len(detector.calibration.extents)
    return [
        Counted(
            study.name,
            by,
            seed,
            str(crc32(image.tobytes())),
            odd_windows(detector, image),
            blocks,
        )
        for image in study.clean
    ]


def section(
    names: Sequence[str], detectors: Sequence[str], seeds: Sequence[int], processes: int
) -> str:
    """The section as Markdown."""
    with ProcessPoolExecutor(processes) as pool:
        parts = list(pool.map(counted, product(names, detectors, seeds)))
    found = [one for part in parts for one in part]
    groups = dict.fromkeys((one.study, one.detector) for one in found)
    head = ["study", "detector", *(f"draw {i + 1}" for i in range(len(seeds)))]
    lines = [
        _line([one for one in found if (one.study, one.detector) == group])
        for group in groups
    ]
    words = METHOD.format(alpha=ALPHA, draws=len(seeds))
    return page.section(COMMAND, words, report.table([*head, "all", "blocks"], lines))


def _line(every: Sequence[Counted]) -> list[str]:
    seeds = sorted({one.seed for one in every})
    draws = [np.mean([one.odd for one in every if one.seed == seed]) for seed in seeds]
    all_draws = interval(bootstrap([(one.group, one.odd) for one in every]), ".3f")
    blocks = f"{np.mean([one.blocks for one in every]):.0f}"
    names = [every[0].study, f"`{every[0].detector}`"]
    return [*names, *(f"{share:.3f}" for share in draws), all_draws, blocks]


def main() -> None:
    """Count from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a few images, printed")
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    given = parser.parse_args()
    if given.quick:
        sys.stdout.write(section([anomaly.QUICK], DETECTORS[:1], (0,), 1))
        return
    page.put(section(STUDIES, DETECTORS, SEEDS, given.processes))


if __name__ == "__main__":
    main()
