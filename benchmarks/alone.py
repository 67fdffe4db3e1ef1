"""An image as its own normal: what is found of what is odd in it.

``python benchmarks/alone.py`` fits the detectors that take seconds on every image of
the studies of ``anomaly.py``, and scores that very image. It writes its section of
``docs/benchmarks.md``; ``--quick`` prints two detectors on synthetic tissue.
"""

from __future__ import annotations

import argparse
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
import page
import report
import torch
from anomaly import ON, study_of
from anomaly_metrics import auroc, pixel_ap
from results import bootstrap, interval
from swap import field_of

import napari_disentangle as nd
from napari_disentangle.detector.registry import ALONE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from looks import Array

COMMAND = "python benchmarks/alone.py"
STUDIES = ("nuclei", "small nuclei", "violet", "white cells")
# The first is what the others are compared with.
DETECTORS = (ALONE, "knn", "pca")
PROCESSES = 2

METHOD = """\
## Anomaly detectors: an image as its own normal

Where nothing is said to be normal, a detector is fitted on the very image that it
scores, what is odd in it included. Cases of the studies above, content only, one seed;
means with 95 % intervals that resample fields. *Difference*: in pixel AP from `{first}`
on the same images. That one is what begins here; it was chosen on fields that may be
fitted on, which are none of these.
"""


@dataclass(frozen=True, eq=False)
class Found:
    """How a detector scored the cases of a study: fields, pixel AP and AUROC (N,)."""

    groups: Sequence[str]
    ap: Array
    auroc: Array

    def mean(self, values: Array) -> str:
        """The mean of one value per case."""
        return interval(bootstrap(list(zip(self.groups, values, strict=True))), ".3f")


def found(study: str, detector: str) -> Found:
    """Fit on every case of a study, and score it."""
    torch.set_num_threads(1)
    made = study_of(study, 0)
    model, scores = nd.load(ON[made.modality]), []
    for case in made.cases:
        image = field_of(case.image)
        z = np.abs(nd.fit_detector(image, detector, model).score(image).z)
        scores.append([m(z[case.use], case.odd[case.use]) for m in (pixel_ap, auroc)])
    return Found([case.group for case in made.cases], *np.transpose(scores))


def line(study: str, detector: str, own: Found, first: Found) -> list[str]:
    """One row of the table."""
    means = [own.mean(values) for values in (own.ap, own.auroc, own.ap - first.ap)]
    return [study, f"`{detector}`", *means, str(len(own.groups))]


def section(studies: Sequence[str], detectors: Sequence[str]) -> str:
    """The section as Markdown."""
    jobs = list(product(studies, detectors))
    with ProcessPoolExecutor(PROCESSES) as pool:
        known = dict(zip(jobs, pool.map(found, *zip(*jobs, strict=True)), strict=True))
    head = ["fields", "detector", "pixel AP", "AUROC", "difference", "n"]
    rows = [line(s, d, known[s, d], known[s, detectors[0]]) for s, d in jobs]
    return page.section(
        COMMAND, METHOD.format(first=detectors[0]), report.table(head, rows)
    )


def main() -> None:
    """Fit and score from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a few, printed")
    if parser.parse_args().quick:
        sys.stdout.write(section(["synthetic"], DETECTORS[:2]))
        return
    page.put(section(STUDIES, DETECTORS))


if __name__ == "__main__":
    main()
