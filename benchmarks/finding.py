"""Small and large: how many odd things are found, and how many would be by chance.

``python benchmarks/finding.py`` fits as ``anomaly.py`` does and plants one foreign
nucleus or one clump of debris at a time, of half a nucleus and of four nuclei, into
every field that is not fitted on. It writes its section of ``docs/benchmarks.md``;
``--quick`` prints a few on synthetic tissue.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass, replace
from itertools import chain, product
from typing import TYPE_CHECKING

import anomaly
import anomaly_studies
import numpy as np
import page
import report
import torch
from scipy.stats import binomtest
from swap import field_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from anomaly_studies import Study
    from looks import Array

    from napari_disentangle.detector.detector import Detector

COMMAND = "python benchmarks/finding.py"
STUDIES = ("nuclei", "small nuclei", "violet")
DETECTORS = ("mahalanobis", "knn", "context")
KINDS = ("foreign nucleus", "debris")
SIZES = (0.5, 4.0)
# At which regions are cut out, as the widget has it to begin with; and for regions.
STRICT, ALPHA = 0.01, 0.05

METHOD = """\
## Anomaly detectors: half a nucleus and four nuclei

One foreign nucleus or one clump of debris at a time, planted into every field that is
not fitted on ({cases} at most; {steps} training steps where there is training, one
seed). *Found*: things that a region at p <= {strict:g} meets; *by chance*: the same
places in the same fields before anything was planted. *Odd as a whole*: things that a
region meets which is itself odd at p <= {alpha:g} among normal blocks, and the same
before. *Anywhere*: fields that hold such a region before anything is planted; a field
is as large as several blocks, so that it should be more than {alpha:g}. Shares of the
things or fields with 95 % intervals (Wilson), and how many there are. Where the
detector says that one normal field alone holds most of the most surprising normal
pixels, everything is done again without that field, until it says so no more.
"""


@dataclass(frozen=True)
class Marked:
    """Regions of a field: all, and those that are odd as a whole."""

    labels: Array
    odd: Sequence[int]

    def meets(self, place: Array) -> tuple[bool, bool]:
        """Whether one lies in a place, and one that is odd as a whole."""
        there = np.unique(self.labels[place])
        return bool((there > 0).any()), bool(np.isin(there, self.odd).any())


def marked(detector: Detector, image: Array) -> Marked:
    """Score a field and cut out its regions."""
    labels, table = detector.score(field_of(image)).regions(STRICT)
    odd = np.asarray(table["label"])[np.asarray(table["p"]) <= ALPHA]
    return Marked(labels, odd.tolist())


def found(detector: Detector, study: str, kind: str, size: float) -> Array:
    """What was met in each of N cases (N, 5).

    By a region, and before planting; by one that is odd as a whole, and before; whether
    there was one anywhere before.
    """
    cases = []
    for case, before in anomaly_studies.everywhere(study, kind, size):
        now, then = marked(detector, case.image), marked(detector, before)
        pairs = zip(now.meets(case.odd), then.meets(case.odd), strict=True)
        cases.append([*chain.from_iterable(pairs), len(then.odd) > 0])
    return np.array(cases)


def rows(study: str, detector: str, steps: int) -> list[list[str]]:
    """Fit, plant and score; again without what is named, if something is."""
    job = anomaly.Job(study, "", "", detector, 0, steps, raw=False)
    given = anomaly.study_of(study, 0)
    fitted, _ = anomaly.fitted(given, job, "content")
    lines = _lines(study, fitted)
    left = _without_named(given, fitted)
    if len(left.normals) < len(given.normals):
        while fitted.status:
            fitted, _ = anomaly.fitted(left, job, "content")
            left = _without_named(left, fitted)
        out = len(given.normals) - len(left.normals)
        lines += _lines(f"{study}, {out} normal fields left out", fitted, study)
    return lines


def _without_named(study: Study, detector: Detector) -> Study:
    """The study without the normal image that the detector says decides alone."""
    named = [f"{image.name!r} alone" for image in detector.fitted_on]
    said = " ".join(detector.status)
    pairs = zip(study.normals, named, strict=True)
    return replace(study, normals=[image for image, name in pairs if name not in said])


def _lines(words: str, detector: Detector, study: str = "") -> list[list[str]]:
    """One line per kind and size."""
    lines = []
    for kind, size in product(KINDS, SIZES):
        hits = found(detector, study or words, kind, size)
        shares = [_share(column) for column in hits.T]
        thing = f"{kind}, {size:g} nuclei"
        lines.append([words, f"`{detector.name}`", thing, *shares, str(len(hits))])
    return lines


def _share(hits: Array) -> str:
    n, k = len(hits), int(hits.sum())
    low, high = binomtest(k, n).proportion_ci(method="wilson")
    return f"{k / n:.2f} [{low:.2f}, {high:.2f}]"


def section(studies: Sequence[str], detectors: Sequence[str], steps: int) -> str:
    """The section as Markdown."""
    head = ["fields", "detector", "planted", "found", "by chance"]
    head += ["odd as a whole", "by chance", "anywhere", "n"]
    lines = [line for s, d in product(studies, detectors) for line in rows(s, d, steps)]
    words = METHOD.format(
        cases=anomaly_studies.CASES, steps=f"{steps:,}", strict=STRICT, alpha=ALPHA
    )
    return page.section(COMMAND, words, report.table(head, lines))


def main() -> None:
    """Plant and score from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a few, printed")
    torch.set_num_threads(1)
    if parser.parse_args().quick:
        sys.stdout.write(section(["synthetic"], ["mahalanobis"], 5))
        return
    page.put(section(STUDIES, DETECTORS, anomaly.STEPS))


if __name__ == "__main__":
    main()
